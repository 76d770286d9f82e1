/* Prometheus' text format, version 0.0.4. */
#ifndef ADMIN_PROMETHEUS_H
#define ADMIN_PROMETHEUS_H

#include "admin.h"
#include "buf.h"

/* All metrics of a gateway; the segment is attached. */
void prometheus_write(struct buf *b, const struct admin *a, int64_t mono_ns, int64_t wall_us);

#endif
