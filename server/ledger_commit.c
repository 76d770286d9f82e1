/* The transaction that stores rows also holds, for each slot they come from, the position behind its last
 * one. A ledger that was killed after its commit and before it moved the stage's tail is followed by one that
 * meets the same rows again: below their slot's position, so not stored twice. Only the ledger writes
 * positions, so they are cached here. */
#include "ledger_commit.h"
#include "stage.h"

#include <stdlib.h>
#include <string.h>

struct batch {
    uint64_t next[MAX_SLOTS]; /* positions behind this batch, where touched */
    bool touched[MAX_SLOTS];
    uint64_t staged, rows;
};

static int learn_position(struct committer *c, uint32_t slot, struct error *err)
{
    struct usage_position p;
    if (c->known[slot])
        return 0;
    if (usage_store_position(c->store, slot, &p, err) < 0)
        return -1;
    c->next[slot] = p.segment == c->segment->header->segment_id ? p.next : 0;
    c->known[slot] = true;
    return 0;
}

static int add_staged(struct committer *c, struct batch *b, const struct shm_staged *s, struct error *err)
{
    if (s->slot >= MAX_SLOTS) /* nobody writes such a row */
        return 0;
    if (learn_position(c, s->slot, err) < 0)
        return -1;
    uint64_t next = b->touched[s->slot] ? b->next[s->slot] : c->next[s->slot];
    if (s->seq < next)
        return 0;
    b->touched[s->slot] = true;
    b->next[s->slot] = s->seq + 1;
    b->rows++;
    return usage_store_add(c->store, &s->row, err);
}

/* A step that fails has the commit fail: see usage_store.h. */
static int add_batch(struct committer *c, struct batch *b, struct error *err)
{
    const struct shm_staged *s;
    for (; (s = stage_peek(c->segment, b->staged)) != NULL; b->staged++)
        if (add_staged(c, b, s, err) < 0)
            return -1;
    for (uint32_t slot = 0; slot < MAX_SLOTS; slot++) {
        struct usage_position p = {.segment = c->segment->header->segment_id, .next = b->next[slot]};
        if (b->touched[slot] && usage_store_set_position(c->store, slot, p, err) < 0)
            return -1;
    }
    return 0;
}

enum commit_result committer_pass(struct committer *c, uint64_t *rows, struct error *err)
{
    struct batch b;
    memset(b.touched, 0, sizeof b.touched);
    b.staged = b.rows = 0;
    *rows = 0;
    if (stage_peek(c->segment, 0) == NULL)
        return COMMIT_NOTHING;
    if (usage_store_begin(c->store, err) < 0)
        return COMMIT_FAILED;
    bool full = false;
    add_batch(c, &b, err);
    if (usage_store_commit(c->store, &full, err) < 0) /* fails, too, where adding did */
        return full ? COMMIT_FULL : COMMIT_FAILED;
    for (uint32_t slot = 0; slot < MAX_SLOTS; slot++)
        if (b.touched[slot])
            c->next[slot] = b.next[slot];
    stage_consume(c->segment, b.staged);
    *rows = b.rows;
    return COMMIT_STORED;
}
