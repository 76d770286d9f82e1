/* The two clocks. Limits, deadlines and latencies use the monotonic one; records use the wall clock. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

#define NS_PER_SEC INT64_C(1000000000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_US  INT64_C(1000)

int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC, ns; the same in all processes until reboot */
int64_t clock_wall_us(void); /* CLOCK_REALTIME, µs since 1970-01-01 UTC */

#endif
