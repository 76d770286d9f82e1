/* The arguments of a function that stands for a custom tool, whatever they are: in pieces they are the input
 * that they are as a whole, and an input that was made arguments comes back as it was. */
#include "custom_tool.h"
#include "fuzz.h"

static struct str in_pieces(struct str in, struct arena *a)
{
    struct custom_input c = {0};
    struct buf out = {0};
    uint32_t seed = fuzz_seed(in);
    while (in.n > 0) {
        size_t n = fuzz_piece(&seed) % 8;
        n = n < in.n ? n : in.n;
        custom_input_take(&c, (struct str){in.p, n}, a, &out, a);
        in.p += n, in.n -= n;
    }
    custom_input_end(&c, &out, a);
    CHECK(c.state == INPUT_ENDED);
    return buf_str(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = fuzz_str(data, size);
    struct arena a;
    arena_init(&a);
    struct str whole = custom_tool_input(in, &a);
    CHECK(str_eq(in_pieces(in, &a), whole));
    struct str arguments = custom_tool_arguments(whole, &a);
    CHECK(json_scan(arguments, NULL, 0, NULL, NULL) == 0);
    struct str again = custom_tool_input(arguments, &a); /* what is no UTF-8 is mended on the way */
    CHECK(str_eq(custom_tool_input(custom_tool_arguments(again, &a), &a), again));
    arena_fini(&a);
    return 0;
}
