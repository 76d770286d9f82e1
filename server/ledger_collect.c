/* Exactly once, whoever is killed when:
 *  - a row is in its ring until it has been published in the stage, and only then the tail moves and lets the
 *    worker reuse its place. A ledger that starts again finds in the stage which rows those were;
 *  - what has left the stage is below the position that the store has for its slot. Position and stage
 * outrank the tail. A position of another segment means nothing (the stage is the segment's own);
 *  - the begun row of a dead worker is staged while its line is SETTLED. If we die before the line is closed,
 *    the row's number is below where we go on: the line is closed and the row not taken again.
 * Only the ledger moves tails, so where they are is kept here. */
#include "ledger_collect.h"
#include "log.h"
#include "ring.h"
#include "scoreboard.h"
#include "stage.h"

#include <stdlib.h>

/* What a slot gave to the pass. */
struct taken {
    uint32_t slot;
    uint64_t next; /* behind its last row */
    bool settled;  /* its line is to be closed and freed */
};

struct pass {
    struct taken taken[MAX_SLOTS];
    uint32_t n;
    struct collected done;
};

/* ---- where a former ledger was ---- */

/* The stored position, where it can be right for this ring; else the tail. */
static uint64_t plausible(const struct segment *s, uint32_t slot, const struct usage_position *p)
{
    uint64_t head = ring_head(s, slot), tail = ring_tail(s, slot);
    if (p->segment != s->header->segment_id)
        return tail;
    /* one further than head: stored from a settled line that could not be closed any more */
    if (p->next <= head + (ring_is_open(s, slot) ? 1 : 0) && p->next + SHM_RING_ROWS >= head)
        return p->next;
    if (p->next > head)
        log_warn(
            "the store's position of slot %u is %llu, its ring has rows up to %llu only: going on from %llu",
            slot, (unsigned long long)p->next, (unsigned long long)head, (unsigned long long)tail);
    return tail;
}

static void learn_staged(struct collector *c)
{
    const struct shm_staged *row;
    for (uint64_t n = 0; (row = stage_peek(c->segment, n)) != NULL; n++)
        if (row->slot < MAX_SLOTS && row->seq >= c->next[row->slot])
            c->next[row->slot] = row->seq + 1;
}

int collector_init(struct collector *c, const struct segment *segment, struct usage_store *store,
                   struct error *err)
{
    c->segment = segment;
    for (uint32_t slot = 0; slot < MAX_SLOTS; slot++) {
        struct usage_position p;
        if (usage_store_position(store, slot, &p, err) < 0)
            return -1;
        c->next[slot] = plausible(segment, slot, &p);
    }
    learn_staged(c);
    for (uint32_t slot = 0; slot < MAX_SLOTS; slot++)
        if (c->next[slot] > ring_tail(segment, slot) && c->next[slot] <= ring_head(segment, slot))
            ring_set_tail(segment, slot, c->next[slot]);
    return 0;
}

/* ---- a pass ---- */

static bool has_work(const struct collector *c, uint32_t slot)
{
    /* acquire: the line's state before its ring */
    return atomic_load_explicit(&segment_line(c->segment, slot)->state, memory_order_acquire) ==
               LINE_SETTLED ||
           ring_head(c->segment, slot) != c->next[slot];
}

/* False: there is no room. */
static bool stage_row(struct collector *c, struct pass *p, uint32_t slot, uint64_t seq,
                      const struct usage_row *row)
{
    struct shm_staged *to = stage_entry(c->segment, p->done.rows);
    if (to == NULL) {
        p->done.full = true;
        return false;
    }
    to->slot = slot;
    to->seq = seq;
    to->row = *row;
    p->done.rows++;
    return true;
}

/* The begun row of a line in state SETTLED. */
static void take_settled(struct collector *c, struct pass *p, struct taken *t)
{
    struct usage_row row;
    uint64_t seq;
    const struct shm_line *line = segment_line(c->segment, t->slot);
    if (atomic_load_explicit(&line->state, memory_order_acquire) != LINE_SETTLED)
        return;
    if (ring_open_row(c->segment, t->slot, &row, &seq) == 0) {
        t->settled = ring_head(c->segment, t->slot) == t->next;
        return;
    }
    if (seq > t->next) /* published and died since we looked at its ring: next time */
        return;
    if (seq == t->next) {
        if (!stage_row(c, p, t->slot, seq, &row))
            return;
        p->done.killed++;
        t->next = seq + 1;
    }
    t->settled = true;
}

static void take_slot(struct collector *c, struct pass *p, uint32_t slot)
{
    struct taken t = {.slot = slot, .next = c->next[slot]};
    const struct usage_row *row;
    while ((row = ring_peek(c->segment, slot, t.next)) != NULL && stage_row(c, p, slot, t.next, row))
        t.next++;
    if (t.next - c->next[slot] > p->done.most)
        p->done.most = t.next - c->next[slot];
    if (!p->done.full)
        take_settled(c, p, &t);
    if (t.settled || t.next != c->next[slot])
        p->taken[p->n++] = t;
}

/* The rows are in the stage: their places may be used again. */
static void release(struct collector *c, const struct pass *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct taken *t = &p->taken[i];
        c->next[t->slot] = t->next;
        if (t->settled)
            ring_close_open(c->segment, t->slot);
        ring_set_tail(c->segment, t->slot, t->next);
        if (t->settled)
            scoreboard_free(c->segment, t->slot);
    }
}

struct collected collector_pass(struct collector *c)
{
    struct pass p;
    p.n = 0;
    p.done = (struct collected){.rows = 0};
    uint32_t slots = segment_slots_used(c->segment);
    for (uint32_t slot = 0; slot < slots && !p.done.full; slot++)
        if (has_work(c, slot))
            take_slot(c, &p, slot);
    if (p.done.rows > 0)
        stage_publish(c->segment, p.done.rows);
    release(c, &p);
    return p.done;
}
