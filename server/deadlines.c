/* A heap and not a wheel: ten thousand waiting connections are 14 levels, and nothing has to tick while
 * nobody is due. Run by acceptor and tls, one thread each. */
#include "deadlines.h"
#include "clock.h"
#include "mem.h"

void deadlines_init(struct deadlines *d)
{
    *d = (struct deadlines){NULL, 0, 0};
}

void deadlines_fini(struct deadlines *d)
{
    free(d->heap);
    deadlines_init(d);
}

static void put(struct deadlines *d, size_t place, struct deadline *x)
{
    d->heap[place] = x;
    x->place = place;
}

static void rise(struct deadlines *d, size_t i, struct deadline *x)
{
    for (; i > 1 && d->heap[i / 2]->at_ns > x->at_ns; i /= 2)
        put(d, i, d->heap[i / 2]);
    put(d, i, x);
}

static void sink(struct deadlines *d, size_t i, struct deadline *x)
{
    for (;;) {
        size_t child = 2 * i;
        if (child > d->n)
            break;
        if (child < d->n && d->heap[child + 1]->at_ns < d->heap[child]->at_ns)
            child++;
        if (d->heap[child]->at_ns >= x->at_ns)
            break;
        put(d, i, d->heap[child]);
        i = child;
    }
    put(d, i, x);
}

static void settle(struct deadlines *d, size_t i, struct deadline *x)
{
    if (i > 1 && d->heap[i / 2]->at_ns > x->at_ns)
        rise(d, i, x);
    else
        sink(d, i, x);
}

void deadline_set(struct deadlines *d, struct deadline *x, int64_t at_ns)
{
    x->at_ns = at_ns;
    if (x->place == 0) {
        if (d->n + 2 > d->room) {
            d->room = d->room ? 2 * d->room : 64;
            d->heap = mem_resize(d->heap, d->room * sizeof d->heap[0]);
        }
        d->n++;
        x->place = d->n;
    }
    settle(d, x->place, x);
}

void deadline_clear(struct deadlines *d, struct deadline *x)
{
    size_t i = x->place;
    if (i == 0)
        return;
    x->place = 0;
    struct deadline *last = d->heap[d->n--];
    if (last != x)
        settle(d, i, last);
}

struct deadline *deadline_due(const struct deadlines *d, int64_t now_ns)
{
    return d->n > 0 && d->heap[1]->at_ns <= now_ns ? d->heap[1] : NULL;
}

int deadlines_wait_ms(const struct deadlines *d, int64_t now_ns, int most)
{
    if (d->n == 0)
        return most;
    int64_t left = d->heap[1]->at_ns - now_ns;
    if (left <= 0)
        return 0;
    int64_t ms = (left + NS_PER_MS - 1) / NS_PER_MS;
    return ms < most ? (int)ms : most;
}
