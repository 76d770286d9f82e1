/* "METHOD PATH": what matches never names another path to another parser, and what is passed on lies inside
 * of it. */
#include "endpoint.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str path = {(const char *)data, size}, method;
    if (!str_split(&path, ' ', &method))
        return 0;
    struct endpoint_match m = endpoint_match(method, path);
    if (m.endpoint == EP_NONE)
        return 0;
    static const char *const never[] = {"%2f", "%2F", "..", "/./", "%00", "%2e", "%2E", "\\"};
    /* a model's id, which is looked up and goes nowhere, may hold an encoded slash */
    for (size_t i = m.endpoint == EP_MODEL ? 2 : 0; i < sizeof(never) / sizeof(never[0]); i++)
        CHECK(!str_has(path, never[i]));
    CHECK(!str_has(m.rest, "//")); /* but in front of it, where a base URL ended with a slash */
    struct str known = path;
    if (m.endpoint != EP_NATIVE && path.n > 1 && path.p[path.n - 1] == '/')
        known.n--;
    CHECK(m.rest.n == 0 || (fuzz_within(m.rest, path) && m.rest.p + m.rest.n == known.p + known.n));
    CHECK(!m.wrong_method && (m.endpoint == EP_NATIVE) == (m.provider.n > 0));
    return 0;
}
