/* The exchange by which a credential is fetched. Run by workers. */
#include "credential.h"
#include "fetch.h"

int credential_http(const struct conf_provider *p, const char *method, const char *url,
                    const char *const headers[], struct str body, const struct patience *patience,
                    struct buf *answer, struct error *err)
{
    struct fetch f = {.method = method,
                      .url = url,
                      .headers = headers,
                      .body = body,
                      .ca_file = p->ca_file,
                      .patience = *patience};
    struct fetch_answer a = {.body = answer};
    return fetch_run(&f, &a, err) == FETCH_OK ? a.status : -1;
}
