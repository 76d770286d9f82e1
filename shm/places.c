/* Owned concurrency places (places.h): workers run it, the master recovers.
 *
 * A word is {sequence:40, owner:12, count:12}; owner is a line's number + 1. An operation of line P:
 *   1. place_seq = n                      the number, used once
 *   2. place_intent = {slot, op, k, n}    what is under way
 *   3. help: if the word names (Q, m), raise Q's place_done to m;
 *      CAS word → {n, P, count ± 1}       the one step that does it; on failure help and try again
 *   4. held[k] = slot + 1, or 0
 *   5. place_intent = 0
 * Helping before every change makes this true at all times: an operation that has happened is named by its
 * word, or its owner's place_done is at least its number. So after a death at any step:
 *   intent 0                      held[] is right
 *   take, happened                one place to give back, whether or not held[k] was stored yet
 *   take, not happened            held[k] is 0 (a take needs an empty k), nothing
 *   give, happened                held[k] may still be stored: only forgotten
 *   give, not happened            held[k] is still stored: given back
 * "Happened" is read as: the word first, then place_done. Had the word lost the name between the two, its
 * changer raised place_done before. tests/model/places.pml checks all interleavings with a kill at any step.
 *
 * Memory order: sequentially consistent throughout. The argument spans three locations (word, place_done,
 * intent) written by different processes; an operation is two locked instructions either way.
 *
 * Sequence numbers go on over a line's owners and have 40 bits: 35 years at 1,000 operations a second on one
 * line, and the segment ends with the boot. Rejected: ++/-- (leaks at each kill), counting the lines
 * (over-admits: two count before either shows), one word of a bit per owner (2,048 owners). */
#include "places.h"

#include "table.h"

enum { COUNT_MAX = 4095, OP_TAKE = 1, OP_GIVE = 2, TRIES = 10000 };
#define SEQ_MASK ((UINT64_C(1) << 40) - 1)

static uint64_t word_of(uint64_t seq, uint32_t owner_slot, uint32_t count)
{
    return (seq & SEQ_MASK) << 24 | (uint64_t)(owner_slot + 1) << 12 | count;
}

static uint32_t count_of(uint64_t word)
{
    return (uint32_t)(word & COUNT_MAX);
}

static uint32_t owner_of(uint64_t word)
{
    return (uint32_t)(word >> 12 & 0xfff);
}

static uint64_t intent_of(uint32_t index, unsigned op, unsigned k, uint64_t seq)
{
    return (uint64_t)index << 44 | (uint64_t)k << 42 | (uint64_t)op << 40 | (seq & SEQ_MASK);
}

uint32_t places_count(const _Atomic uint64_t *word)
{
    return count_of(atomic_load_explicit(word, memory_order_relaxed));
}

/* Notes the operation that the word names as done, so that changing the word loses no knowledge. */
static void help(const struct segment *s, uint64_t word)
{
    uint32_t owner = owner_of(word);
    if (owner == 0 || owner > MAX_SLOTS)
        return;
    _Atomic uint64_t *done = &segment_line(s, owner - 1)->place_done;
    uint64_t seq = word >> 24, seen = atomic_load(done);
    while (seen < seq && !atomic_compare_exchange_weak(done, &seen, seq))
        ;
}

/* Adds a place unless `limit` are taken (0: no limit). */
static int add(const struct segment *s, uint32_t self_slot, uint64_t seq, _Atomic uint64_t *word,
               uint32_t limit)
{
    uint32_t most = limit == 0 || limit > COUNT_MAX ? COUNT_MAX : limit;
    uint64_t seen = atomic_load(word);

    for (int i = 0; i < TRIES; i++) {
        if (count_of(seen) >= most)
            return 0;
        help(s, seen);
        if (atomic_compare_exchange_weak(word, &seen, word_of(seq, self_slot, count_of(seen) + 1)))
            return 1;
    }
    return 0;
}

/* Not bounded: a place must come back, and each failed CAS is another process's progress. */
static void subtract(const struct segment *s, uint32_t self_slot, uint64_t seq, _Atomic uint64_t *word)
{
    uint64_t seen = atomic_load(word);

    while (count_of(seen) > 0) {
        help(s, seen);
        if (atomic_compare_exchange_weak(word, &seen, word_of(seq, self_slot, count_of(seen) - 1)))
            return;
    }
}

/* Steps 1 and 2. */
static uint64_t announce(struct shm_line *l, uint32_t index, unsigned op, unsigned k)
{
    uint64_t seq = ++l->place_seq & SEQ_MASK;
    atomic_store(&l->place_intent, intent_of(index, op, k, seq));
    return seq;
}

int places_take(const struct segment *s, uint32_t self_slot, unsigned k, struct shm_slot *slot,
                uint32_t limit)
{
    struct shm_line *l = segment_line(s, self_slot);
    uint32_t index = table_index(s, slot);

    if (!l || k >= LINE_PLACES || index >= s->table_slots || atomic_load(&l->held[k]) != 0)
        return 0;
    uint64_t seq = announce(l, index, OP_TAKE, k);
    int taken = add(s, self_slot, seq, &slot->limit.places, limit);
    if (taken)
        atomic_store(&l->held[k], index + 1);
    atomic_store(&l->place_intent, 0);
    return taken;
}

/* As line self_slot; held[k] is whose: the line's own when it gives back, a dead one's when the master does.
 */
static void give(const struct segment *s, uint32_t self_slot, unsigned k, uint32_t index)
{
    struct shm_line *l = segment_line(s, self_slot);
    uint64_t seq = announce(l, index, OP_GIVE, k);

    subtract(s, self_slot, seq, &segment_slots(s)[index].limit.places);
}

void places_give(const struct segment *s, uint32_t self_slot, unsigned k)
{
    struct shm_line *l = segment_line(s, self_slot);
    if (!l || k >= LINE_PLACES)
        return;
    uint32_t held = atomic_load(&l->held[k]);
    if (held == 0 || held > s->table_slots)
        return;
    give(s, self_slot, k, held - 1);
    atomic_store(&l->held[k], 0);
    atomic_store(&l->place_intent, 0);
}

static bool happened(const struct segment *s, uint32_t slot, uint64_t seq, uint32_t index)
{
    uint64_t word = atomic_load(&segment_slots(s)[index].limit.places);

    if (owner_of(word) == slot + 1 && word >> 24 == seq)
        return true;
    return atomic_load(&segment_line(s, slot)->place_done) >= seq;
}

/* Makes held[] tell the truth about the line and ends its operation under way. */
static void finish_intent(const struct segment *s, uint32_t slot)
{
    struct shm_line *l = segment_line(s, slot);
    uint64_t intent = atomic_load(&l->place_intent);
    unsigned op = intent >> 40 & 3, k = intent >> 42 & 3;
    uint32_t index = (uint32_t)(intent >> 44);

    if (intent == 0)
        return;
    if (index < s->table_slots && happened(s, slot, intent & SEQ_MASK, index))
        atomic_store(&l->held[k], op == OP_TAKE ? index + 1 : 0);
    atomic_store(&l->place_intent, 0);
}

unsigned places_recover(const struct segment *s, uint32_t dead_slot)
{
    struct shm_line *l = segment_line(s, dead_slot);
    unsigned given = 0;

    if (!l)
        return 0;
    finish_intent(s, dead_slot);
    for (unsigned k = 0; k < LINE_PLACES; k++) {
        uint32_t held = atomic_load(&l->held[k]);
        if (held != 0 && held <= s->table_slots) {
            give(s, SLOT_MASTER, k, held - 1);
            given++;
        }
        atomic_store(&l->held[k], 0);
    }
    atomic_store(&segment_line(s, SLOT_MASTER)->place_intent, 0);
    return given;
}
