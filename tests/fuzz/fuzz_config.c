/* Any text, as a configuration: it is refused with a message that names the file, or what comes of it holds
 * together. Credentials and private keys are not looked at. */
#include "config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libconfig 1.5 does not free the texts that it has just read when it meets a syntax error. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig.so\n";
}

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_whole(const struct config *c)
{
    check(c->n_listen >= 1 && c->n_listen <= MAX_LISTENERS);
    for (size_t i = 0; i < c->n_listen; i++) {
        check(c->listen[i].address && c->listen[i].port > 0);
        check(!c->listen[i].tls.on || (c->listen[i].tls.certificate && c->listen[i].tls.key));
    }
    check(c->admin.address && c->admin.token_file && c->run_dir && c->state_dir && c->log.level &&
          c->log.format);
    check(c->workers.min >= 1 && c->workers.min <= c->workers.max && c->workers.max <= MAX_WORKERS);
    check(c->limits.table_slots && (c->limits.table_slots & (c->limits.table_slots - 1)) == 0);
    check(c->http.max_head <= MAX_HEAD && c->http.max_headers <= MAX_HEADERS && c->http.max_body <= MAX_BODY);
    for (size_t i = 0; i < c->n_providers; i++) {
        const struct conf_provider *p = &c->providers[i];
        check(config_provider(c, str_of(p->name)) == p);
        check(p->base_url || strcmp(p->type, "virtual") == 0);
        check(p->timeouts.connect && p->timeouts.first_byte && p->timeouts.idle && p->timeouts.total);
    }
    for (size_t i = 0; i < c->n_models; i++) {
        const struct conf_model *m = &c->models[i];
        check(config_model(c, str_of(m->name)) == m || strchr(m->name, '*'));
        check(m->n_targets >= 1 && m->n_targets <= MAX_TARGETS);
        for (size_t k = 0; k < m->n_targets; k++)
            check(m->targets[k].provider < c->n_providers && m->targets[k].model);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {{0}};
    struct config *c = config_parse((struct str){(const char *)data, size}, "fuzz.conf", false, &err);
    if (c)
        check_whole(c);
    else
        check(strncmp(err.text, "fuzz.conf:", 10) == 0 && strlen(err.text) > 14);
    config_free(&c);
    return 0;
}
