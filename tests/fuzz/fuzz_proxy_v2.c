/* A header has one verdict however it arrives, and what it says survives being written and read again. */
#include "fuzz.h"
#include "proxy_v2.h"

#include <string.h>

static void check_again(const struct proxy_v2 *p)
{
    char out[MAX_PROXY_V2];
    struct proxy_v2 again;
    ssize_t n = proxy_v2_build(out, sizeof(out), &p->src, &p->dst, p->has_tls ? p->tls_subject : NULL);
    CHECK(n > 0);
    CHECK(proxy_v2_parse((struct str){out, (size_t)n}, &again) == 1);
    CHECK(again.length == (size_t)n);
    CHECK(again.has_tls == p->has_tls);
    CHECK(strcmp(again.tls_subject, p->tls_subject) == 0);
    CHECK(memcmp(&again.src, &p->src, sizeof(p->src)) == 0);
    CHECK(memcmp(&again.dst, &p->dst, sizeof(p->dst)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    struct proxy_v2 whole, part;
    int verdict = proxy_v2_parse(in, &whole), slow = 0;
    size_t n = 0;
    for (; n <= in.n && !slow; n++)
        slow = proxy_v2_parse((struct str){in.p, n}, &part);
    CHECK(slow == verdict);
    if (verdict == 1) {
        CHECK(whole.length == n - 1 && whole.length <= MAX_PROXY_V2);
        CHECK(memchr(whole.tls_subject, '\0', sizeof(whole.tls_subject)));
        if (!whole.local)
            check_again(&whole);
    }
    return 0;
}
