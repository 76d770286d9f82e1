/* The first line of the input is a Content-Type, the rest a body: whatever they are, a field that is found
 * lies inside of the body, and its value holds no delimiter. */
#include "fuzz.h"
#include "multipart.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size}, type, boundary, value = STR_NULL;
    if (!str_split(&body, '\n', &type) || !multipart_type(type, &boundary))
        return 0;
    if (multipart_field(body, boundary, "model", &value) != 1)
        return 0;
    CHECK(fuzz_within(value, body));
    char delimiter[80] = "\r\n--";
    memcpy(delimiter + 4, boundary.p, boundary.n);
    CHECK(!memmem(value.p, value.n, delimiter, boundary.n + 4));
    return 0;
}
