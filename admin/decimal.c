/* Exact decimal text of scaled integers. */
#include "decimal.h"

#include <inttypes.h>

int decimal_put(struct buf *b, uint64_t v, unsigned places)
{
    uint64_t scale = 1;
    for (unsigned i = 0; i < places; i++)
        scale *= 10;
    uint64_t fraction = v % scale;
    if (!fraction)
        return buf_printf(b, "%" PRIu64, v / scale);
    while (fraction % 10 == 0) {
        fraction /= 10;
        places--;
    }
    return buf_printf(b, "%" PRIu64 ".%0*" PRIu64, v / scale, (int)places, fraction);
}

int decimal_put_usd(struct buf *b, uint64_t pico)
{
    return decimal_put(b, pico, 12);
}
