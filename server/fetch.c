/* libcurl's easy interface, set up so that nothing but the given URL's own host is ever spoken to.
 *
 * The address is judged where the socket is made, after the name was resolved and for each address that is
 * tried: a check of the name before would be another look-up, whose answer may differ. */
#include "fetch.h"

#include "clock.h"
#include "upstream_transport.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <unistd.h>

/* ---- addresses */

struct net4 {
    uint32_t addr;
    unsigned bits;
};

#define NET4(a, b, c, d, n)                               \
    {                                                     \
        UINT32_C(a) << 24 | (b) << 16 | (c) << 8 | (d), n \
    }

/* IANA's special-purpose registry, multicast and what is reserved */
static const struct net4 not_public[] = {
    NET4(0, 0, 0, 0, 8),        /* this network */
    NET4(10, 0, 0, 0, 8),       /* private */
    NET4(100, 64, 0, 0, 10),    /* shared by a provider's customers */
    NET4(127, 0, 0, 0, 8),      /* loopback */
    NET4(169, 254, 0, 0, 16),   /* link-local, with the clouds' metadata */
    NET4(172, 16, 0, 0, 12),    /* private */
    NET4(192, 0, 0, 0, 24),     /* protocol assignments */
    NET4(192, 0, 2, 0, 24),     /* documentation */
    NET4(192, 88, 99, 0, 24),   /* 6to4 relays */
    NET4(192, 168, 0, 0, 16),   /* private */
    NET4(198, 18, 0, 0, 15),    /* benchmarks */
    NET4(198, 51, 100, 0, 24),  /* documentation */
    NET4(203, 0, 113, 0, 24),   /* documentation */
    NET4(168, 63, 129, 16, 32), /* Azure's door to its own machines */
    NET4(224, 0, 0, 0, 4),      /* multicast */
    NET4(240, 0, 0, 0, 4),      /* reserved, broadcast */
};

static bool public4(uint32_t addr)
{
    for (size_t i = 0; i < sizeof(not_public) / sizeof(not_public[0]); i++)
        if ((addr ^ not_public[i].addr) >> (32 - not_public[i].bits) == 0)
            return false;
    return true;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool prefix(const uint8_t a[16], uint32_t first, unsigned bits)
{
    return (be32(a) ^ first) >> (32 - bits) == 0;
}

/* Of IPv6 only what is handed out for the internet (2000::/3), less its special parts; and IPv4 addresses in
 * the two forms that reach an IPv4 host: mapped, and by the well-known NAT64 prefix. */
static bool public6(const uint8_t a[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return public4(be32(a + 12));
    if (!prefix(a, UINT32_C(0x20000000), 3))
        return false;
    return !prefix(a, UINT32_C(0x20010000), 23)     /* Teredo, ORCHID, benchmarks … */
           && !prefix(a, UINT32_C(0x20010db8), 32)  /* documentation */
           && !prefix(a, UINT32_C(0x20020000), 16)  /* 6to4 */
           && !prefix(a, UINT32_C(0x3fff0000), 20); /* documentation */
}

bool fetch_address_public(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET)
        return public4(ntohl(((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr));
    if (addr->sa_family == AF_INET6)
        return public6(((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr.s6_addr);
    return false;
}

/* ---- the exchange */

enum { MAX_FETCH_HEAD = 64 * 1024 };

struct run {
    const struct fetch *f;
    struct fetch_answer *answer;
    bool refused; /* an address was not public */
    bool stopped;
    size_t head; /* bytes of header lines */
    char error[CURL_ERROR_SIZE];
};

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct run *run = arg;
    (void)purpose;
    if (run->f->public_only && !fetch_address_public(&a->addr)) {
        run->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct run *run = arg;
    return buf_add(run->answer->body, (struct str){p, size * n}) == 0 ? size * n : 0;
}

/* libcurl keeps them all, whatever they are. */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct run *run = arg;
    (void)p;
    run->head += size * n;
    return run->head <= MAX_FETCH_HEAD ? size * n : 0;
}

static void set_limits(CURL *e, struct run *run)
{
    int64_t left = (run->f->patience.deadline_ns - clock_mono_ns()) / NS_PER_MS;
    if (left > INT32_MAX)
        left = INT32_MAX;
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(left > 0 ? left : 1));
    curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)run->answer->body->max);
    upstream_confine(e);
    curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
}

static void set_callbacks(CURL *e, struct run *run)
{
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, run->error);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, run);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, run);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, run);
    upstream_trust(e, run->f->ca_file);
}

static struct curl_slist *header_list(const struct fetch *f)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    for (size_t i = 0; f->headers && f->headers[i]; i++) {
        struct curl_slist *more = curl_slist_append(list, f->headers[i]);
        list = more ? more : list;
    }
    return list;
}

static void set_request(CURL *e, const struct fetch *f)
{
    curl_easy_setopt(e, CURLOPT_USERAGENT, "aigw/" AIGW_VERSION);
    if (f->body.n > 0) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body.n);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, f->body.p);
    }
    if (f->method)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, f->method);
}

static void keep_head(CURL *e, struct fetch_answer *answer)
{
    long status = 0;
    char *type = NULL;
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(e, CURLINFO_CONTENT_TYPE, &type);
    answer->status = (int)status;
    str_copy(answer->content_type, sizeof(answer->content_type), str_of(type));
}

/* libcurl's own messages name the host and sometimes the whole URL; ours don't. */
static enum fetch_result result_of(CURLcode code, const struct run *run, struct error *err)
{
    if (run->stopped)
        return error_set(err, "it was broken off"), FETCH_STOPPED;
    switch (code) {
    case CURLE_OK:
        return FETCH_OK;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_LOGIN_DENIED: /* a user in the URL */
        return error_set(err, "the URL can't be used"), FETCH_BAD_URL;
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
        if (code == CURLE_WRITE_ERROR && run->head > MAX_FETCH_HEAD)
            return error_set(err, "the answer's head has more than %d bytes", MAX_FETCH_HEAD), FETCH_FAILED;
        return error_set(err, "the answer has more than %zu bytes", run->answer->body->max), FETCH_TOO_LARGE;
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(err, "no answer in time"), FETCH_TIMEOUT;
    default:
        break;
    }
    if (run->refused)
        return error_set(err, "the host's address is not a public one"), FETCH_PRIVATE;
    error_set(err, "%s", curl_easy_strerror(code));
    return FETCH_FAILED;
}

/* As curl_easy_perform does it, but for looking whether it is still wanted. */
static CURLcode perform(CURL *e, struct run *run)
{
    CURLM *multi = curl_multi_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    int running = 1, left;
    if (!multi || curl_multi_add_handle(multi, e) != CURLM_OK) {
        curl_multi_cleanup(multi);
        return code;
    }
    while (!run->stopped && curl_multi_perform(multi, &running) == CURLM_OK && running) {
        curl_multi_poll(multi, NULL, 0, PATIENCE_LOOK_MS, NULL);
        run->stopped = patience_gone(&run->f->patience);
    }
    const CURLMsg *done = curl_multi_info_read(multi, &left);
    if (done && done->msg == CURLMSG_DONE)
        code = done->data.result;
    curl_multi_remove_handle(multi, e);
    curl_multi_cleanup(multi);
    return code;
}

enum fetch_result fetch_run(const struct fetch *f, struct fetch_answer *answer, struct error *err)
{
    struct run run = {.f = f, .answer = answer};
    answer->status = 0;
    answer->content_type[0] = '\0';
    buf_reset(answer->body);
    CURL *e = curl_easy_init();
    if (!e)
        return error_set(err, "libcurl has no memory"), FETCH_FAILED;
    struct curl_slist *headers = header_list(f);
    set_limits(e, &run);
    set_callbacks(e, &run);
    set_request(e, f);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_setopt(e, CURLOPT_URL, f->url);
    if (code == CURLE_OK)
        code = perform(e, &run);
    if (code == CURLE_OK)
        keep_head(e, answer);
    enum fetch_result result = result_of(code, &run, err);
    curl_easy_cleanup(e);
    curl_slist_free_all(headers);
    return result;
}
