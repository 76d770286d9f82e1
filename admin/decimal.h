/* Exact decimal text of scaled integers: money is never a floating-point number here. */
#ifndef ADMIN_DECIMAL_H
#define ADMIN_DECIMAL_H

#include "buf.h"

/* Adds v / 10^places without trailing zeros: (150000, 6) gives "0.15". places <= 18. */
int decimal_put(struct buf *b, uint64_t v, unsigned places);
/* Pico-USD as USD. */
int decimal_put_usd(struct buf *b, uint64_t pico);

#endif
