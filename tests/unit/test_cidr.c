/* Networks: what is read, what is refused, what matches. */
#include "config.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void refused_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           "/",         "10.0.0.0/33",      "10.0.0.0/",  "10.0.0.0/+8", "10.0.0/8",
        "fd00::/129", "::1/1/2",   "10.0.0.0/ 8",      "1.2.3.4.5",  "localhost",   "[::1]",
        " 10.0.0.0",  "10.0.0.0 ", "::ffff:1.2.3.4.5", "fe80::1%lo", "01.2.3.4/8"};
    struct cidr c;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (cidr_parse(str_of(bad[i]), &c) != -1)
            fail_msg("\"%s\" was taken", bad[i]);
}

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&s;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&s;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        s.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        s.ss_family = AF_INET6;
    return s; /* neither: AF_UNSPEC, as a unix socket's peer has no address either */
}

static void matches(void **state)
{
    (void)state;
    static const struct {
        const char *network, *peer;
        bool match;
    } cases[] = {
        {"10.0.0.0/8", "10.255.3.4", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3/8", "10.9.9.9", true}, /* host bits do not matter */
        {"192.168.4.0/23", "192.168.5.255", true},
        {"192.168.4.0/23", "192.168.6.0", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "::1", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"127.0.0.1", "::ffff:127.0.0.1", true},
        {"::ffff:127.0.0.1", "127.0.0.1", false},
        {"::/0", "fd00::1", true},
        {"::/0", "1.2.3.4", false},
        {"fd00::/8", "fdff::1", true},
        {"fd00::/8", "fe00::1", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1", "::1", true},
        {"0.0.0.0/0", "unix", false},
        {"::/0", "unix", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cidr c;
        struct sockaddr_storage peer = address(cases[i].peer);
        assert_int_equal(cidr_parse(str_of(cases[i].network), &c), 0);
        if (cidr_match(&c, &peer) != cases[i].match)
            fail_msg("%s in %s: expected %d", cases[i].peer, cases[i].network, cases[i].match);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused_forms), cmocka_unit_test(matches)};
    return cmocka_run_group_tests_name("cidr", tests, NULL, NULL);
}
