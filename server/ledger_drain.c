/* Exactly once, whoever is killed when:
 *  - a row is in its ring until the transaction that stores it has been committed, and only then the tail
 * moves and lets the worker reuse its place;
 *  - that transaction also holds the position behind the row; a ledger that starts again reads it, and it
 *    outranks the tail. A position of another segment means nothing: the tail counts then;
 *  - the begun row of a dead worker is stored with the position behind it while the line is SETTLED. If we
 * die before the line is closed, the row's number is below the position: it is closed and not stored again.
 * Only the ledger moves positions and tails, so they are cached here. */
#include "ledger_drain.h"
#include "log.h"
#include "ring.h"
#include "scoreboard.h"

#include <stdlib.h>

/* What a slot gave to the batch. */
struct taken {
    uint32_t slot;
    uint64_t next; /* the position behind its last row */
    bool settled;  /* its line is to be closed and freed */
};

struct pass {
    struct taken taken[MAX_SLOTS];
    uint32_t n;
    bool begun; /* a transaction is open */
    struct drained done;
};

static uint32_t slots_used(const struct segment *s)
{
    uint32_t n = atomic_load_explicit(&s->header->slots_used, memory_order_acquire);
    return n < MAX_SLOTS ? n : MAX_SLOTS;
}

/* The stored position, where it can be right for this ring; else the tail. */
static uint64_t plausible(const struct segment *s, uint32_t slot, const struct usage_position *p)
{
    uint64_t head = ring_head(s, slot), tail = ring_tail(s, slot);
    if (p->segment != s->header->segment_id)
        return tail;
    /* one further than head: stored from a settled line that could not be closed any more */
    if (p->next <= head + (ring_is_open(s, slot) ? 1 : 0) && p->next + SHM_RING_ROWS >= head)
        return p->next;
    log_warn("the store's position of slot %u is %llu, its ring holds rows %llu to %llu: going on from there",
             slot, (unsigned long long)p->next, (unsigned long long)tail, (unsigned long long)head);
    return tail;
}

static int learn_position(struct drain *d, uint32_t slot, struct error *err)
{
    struct usage_position p;
    if (d->known[slot])
        return 0;
    if (usage_store_position(d->store, slot, &p, err) < 0)
        return -1;
    d->next[slot] = plausible(d->segment, slot, &p);
    d->known[slot] = true;
    /* the one before us may have been killed between its commit and this */
    if (d->next[slot] > ring_tail(d->segment, slot) && d->next[slot] <= ring_head(d->segment, slot))
        ring_set_tail(d->segment, slot, d->next[slot]);
    return 0;
}

static bool has_work(const struct drain *d, uint32_t slot)
{
    /* acquire: the line's state before its ring */
    return atomic_load_explicit(&segment_line(d->segment, slot)->state, memory_order_acquire) ==
               LINE_SETTLED ||
           ring_head(d->segment, slot) != d->next[slot];
}

static int add_row(struct drain *d, struct pass *p, const struct usage_row *row, struct error *err)
{
    if (!p->begun && usage_store_begin(d->store, err) < 0)
        return -1;
    p->begun = true;
    if (usage_store_add(d->store, row, err) < 0)
        return -1;
    p->done.rows++;
    return 0;
}

/* The begun row of a line in state SETTLED. */
static int take_settled(struct drain *d, struct pass *p, struct taken *t, struct error *err)
{
    struct usage_row row;
    uint64_t seq;
    const struct shm_line *line = segment_line(d->segment, t->slot);
    if (atomic_load_explicit(&line->state, memory_order_acquire) != LINE_SETTLED)
        return 0;
    if (ring_open_row(d->segment, t->slot, &row, &seq) == 1) {
        if (seq > t->next) /* published and died since we looked at its ring: next time */
            return 0;
        if (seq == t->next) {
            if (add_row(d, p, &row, err) < 0)
                return -1;
            p->done.killed++;
            t->next = seq + 1;
        }
    } else if (ring_head(d->segment, t->slot) != t->next) {
        return 0;
    }
    t->settled = true;
    return 0;
}

static int take_slot(struct drain *d, struct pass *p, uint32_t slot, struct error *err)
{
    struct taken t = {.slot = slot, .next = d->next[slot]};
    const struct usage_row *row;
    while ((row = ring_peek(d->segment, slot, t.next)) != NULL) {
        if (add_row(d, p, row, err) < 0)
            return -1;
        t.next++;
    }
    if (take_settled(d, p, &t, err) < 0)
        return -1;
    if (t.next != d->next[slot]) {
        struct usage_position pos = {.segment = d->segment->header->segment_id, .next = t.next};
        if (usage_store_set_position(d->store, slot, pos, err) < 0)
            return -1;
    }
    if (t.settled || t.next != d->next[slot])
        p->taken[p->n++] = t;
    return 0;
}

/* After the commit: the places may be used again. */
static void release(struct drain *d, const struct pass *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct taken *t = &p->taken[i];
        d->next[t->slot] = t->next;
        if (t->settled) {
            ring_close_open(d->segment, t->slot); /* moves the tail, too */
            ring_set_tail(d->segment, t->slot, t->next);
            scoreboard_free(d->segment, t->slot);
        } else {
            ring_set_tail(d->segment, t->slot, t->next);
        }
    }
}

static enum drain_result give_up(struct drain *d, struct pass *p)
{
    usage_store_abort(d->store);
    p->done = (struct drained){.rows = 0};
    return DRAIN_FAILED;
}

enum drain_result drain_pass(struct drain *d, struct drained *done, struct error *err)
{
    struct pass p;
    p.n = 0;
    p.begun = false;
    p.done = (struct drained){.rows = 0};
    *done = p.done;
    uint32_t slots = slots_used(d->segment);
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (learn_position(d, slot, err) < 0)
            return give_up(d, &p);
        if (has_work(d, slot) && take_slot(d, &p, slot, err) < 0)
            return give_up(d, &p);
    }
    bool full = false;
    if (p.begun && usage_store_commit(d->store, &full, err) < 0)
        return full ? DRAIN_FULL : DRAIN_FAILED;
    release(d, &p);
    *done = p.done;
    return p.begun ? DRAIN_STORED : DRAIN_NOTHING;
}

uint64_t drain_fullest(struct drain *d)
{
    uint64_t fullest = 0;
    uint32_t slots = slots_used(d->segment);
    for (uint32_t slot = 0; slot < slots; slot++) {
        uint64_t head = ring_head(d->segment, slot), next = d->next[slot];
        if (d->known[slot] && head > next && head - next > fullest)
            fullest = head - next;
    }
    return fullest;
}
