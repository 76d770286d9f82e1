/* Which of many things is due next: a binary heap of deadlines that are members of the things themselves. */
#ifndef SERVER_DEADLINES_H
#define SERVER_DEADLINES_H

#include <stddef.h>
#include <stdint.h>

struct deadline {
    int64_t at_ns; /* monotonic */
    size_t place;  /* in the heap, from 1; 0: not in it */
};

struct deadlines {
    struct deadline **heap; /* heap[0] is not used */
    size_t n, room;
};

void deadlines_init(struct deadlines *d);
void deadlines_fini(struct deadlines *d);
/* Puts it in or moves it. */
void deadline_set(struct deadlines *d, struct deadline *x, int64_t at_ns);
/* Takes it out; nothing where it is not in. */
void deadline_clear(struct deadlines *d, struct deadline *x);
/* The one that is due first, which has passed; NULL: none has. Stays in. */
struct deadline *deadline_due(const struct deadlines *d, int64_t now_ns);
/* Milliseconds until the first is due, rounded up, for epoll_wait: at most `most`. */
int deadlines_wait_ms(const struct deadlines *d, int64_t now_ns, int most);

#endif
