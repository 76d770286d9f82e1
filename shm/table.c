/* The lock-free hash table (table.h). Workers find and claim, the master alone evicts, anyone peeks.
 *
 * Identities. Changes of a slot's id are 16-byte CASes: EMPTY → id and EVICTED → id by inserters, id →
 * EVICTED, EVICTED → id (taken back) and EVICTED → EMPTY by the master while no inserter is in flight. Loads
 * are two 8-byte loads, the low half first. That is exact where it has to be:
 *   - the low half holds the kind (1..5), is 0 only in EMPTY and 8 only in EVICTED, so it alone tells which
 * of the three a slot was at that instant;
 *   - while an inserter scans, no id is evicted, so once the low half shows an id the high half belongs to
 * it;
 *   - a finder may meet halves of two ids when an eviction passes. Then it misses, and a miss is never
 * believed: it goes on as an inserter, whose scan is exact.
 *
 * At most one slot holds an id. An inserter first sets its line's `inserting`, then looks at the gate; the
 * master sets the gate, then waits until no line is inserting. So slots become claimable only while no
 * inserter is in flight, and for those in flight claimable slots only disappear. An inserter scans its whole
 * chain, up to the first EMPTY slot or SHM_PROBES, finds the id or else CASes the first claimable slot that
 * it saw, and starts again when that fails. Suppose A claims position i for X, and B, also with X, claims j ≠
 * i later:
 *   - B read position i after A's claim: B found X there. No claim.
 *   - B read position i before it: i was claimable then, so B's first claimable position is j < i (j = i
 * fails, taken). A passed j before it chose i, and j was not claimable for A then; it can't have become so:
 * B's CAS on j fails. A kill between any two steps leaves an id claimed or not claimed; its line's
 * `inserting` is cleared when the master reaps it.
 *
 * Hazard references. A finder stores refs[ref] and then reads the id again; the master changes an idle slot's
 * id to EVICTED and then reads all refs. Sequential consistency: either the finder sees the change (and
 * starts again) or the master sees the reference (and takes the change back; the words are untouched until
 * then). A reference that came and went in between is seen by what it left in the words: the release of the
 * reference comes after them, so whoever reads the references reads the words of that use, too.
 *
 * table_used is raised after the claim, so a kill between makes it one too small: the master counts again
 * whenever it has the gate closed. Limit slots' used_ns is stored by whoever uses them (they know the time).
 */
#include "table.h"

#include "clock.h"
#include "hash.h"
#include "mem.h"

#include <sched.h>
#include <time.h>

enum { TRIES = 1000 };
#define PAUSE_NS (50 * NS_PER_MS)

struct halves {
    uint64_t low, high;
};

static struct halves split(unsigned __int128 id)
{
    return (struct halves){(uint64_t)id, (uint64_t)(id >> 64)};
}

/* seq_cst: the finder's second look must not be ordered before its reference (above); on x86 a plain load. */
static struct halves load_id(const struct shm_slot *slot)
{
    struct halves h = {.low = atomic_load(&slot->half[0])};
    h.high = atomic_load(&slot->half[1]);
    return h;
}

static bool same(struct halves a, struct halves b)
{
    return a.low == b.low && a.high == b.high;
}

static bool is_empty(struct halves h)
{
    return h.low == 0;
}

static bool is_evicted(struct halves h)
{
    return h.low == (uint64_t)SHM_ID_EVICTED;
}

/* A full barrier and one atomic change, or nothing. */
static bool change_id(struct shm_slot *slot, unsigned __int128 from, unsigned __int128 to)
{
    return __sync_bool_compare_and_swap(&slot->id, from, to);
}

unsigned __int128 table_id(const struct segment *s, enum table_kind kind, struct str name)
{
    uint64_t out[2];

    siphash128((const uint64_t[2]){s->header->secret[0] ^ kind, s->header->secret[1]}, name.p, name.n, out);
    out[0] = (out[0] & ~(uint64_t)TABLE_KIND_MASK) | kind;
    return (unsigned __int128)out[1] << 64 | out[0];
}

uint32_t table_index(const struct segment *s, const struct shm_slot *slot)
{
    return (uint32_t)(slot - segment_slots(s));
}

uint32_t table_home(const struct segment *s, unsigned __int128 id)
{
    return (uint32_t)(id >> 64) & (s->table_slots - 1);
}

/* Walks the chain of id: its slot, or NULL and in *claimable the first slot that could take it (NULL: none).
 */
static struct shm_slot *scan(const struct segment *s, unsigned __int128 id, struct shm_slot **claimable)
{
    struct shm_slot *slots = segment_slots(s);
    struct halves want = split(id);
    uint32_t at = table_home(s, id);

    *claimable = NULL;
    for (unsigned i = 0; i < SHM_PROBES; i++, at = (at + 1) & (s->table_slots - 1)) {
        struct halves seen = load_id(&slots[at]);
        if (same(seen, want))
            return &slots[at];
        if ((is_empty(seen) || is_evicted(seen)) && !*claimable)
            *claimable = &slots[at];
        if (is_empty(seen))
            break;
    }
    return NULL;
}

const struct shm_slot *table_peek(const struct segment *s, unsigned __int128 id)
{
    struct shm_slot *claimable;
    return scan(s, id, &claimable);
}

static void refer(const struct segment *s, struct shm_line *self, unsigned ref, const struct shm_slot *slot)
{
    atomic_store(&self->refs[ref], table_index(s, slot) + 1);
}

void table_release(struct shm_line *self, unsigned ref)
{
    if (ref < LINE_REFS)
        atomic_store_explicit(&self->refs[ref], 0, memory_order_release); /* after the last use of the slot */
}

/* The way of nearly every call: the id is there. */
static struct shm_slot *find(const struct segment *s, struct shm_line *self, unsigned ref,
                             unsigned __int128 id)
{
    struct shm_slot *claimable, *slot = scan(s, id, &claimable);

    if (!slot)
        return NULL;
    refer(s, self, ref, slot);
    if (same(load_id(slot), split(id)))
        return slot;
    table_release(self, ref);
    return NULL;
}

static void nap(void)
{
    const struct timespec t = {.tv_nsec = 100 * NS_PER_US};
    nanosleep(&t, NULL);
}

/* True: we are inserting and the gate is open, so that no slot becomes claimable until `inserting` is 0. */
static bool enter_gate(const struct segment *s, struct shm_line *self)
{
    int64_t deadline = 0;

    for (;;) {
        atomic_store(&self->inserting, 1);
        if (atomic_load(&s->header->insert_gate) == 0)
            return true;
        atomic_store(&self->inserting, 0);
        int64_t now = clock_mono_ns();
        if (deadline == 0)
            deadline = now + PAUSE_NS;
        if (now >= deadline)
            return false;
        nap();
    }
}

static bool half_full(const struct segment *s)
{
    return atomic_load_explicit(&s->header->table_used, memory_order_relaxed) >= s->table_slots / 2;
}

static struct shm_slot *find_or_claim(const struct segment *s, unsigned __int128 id)
{
    for (int i = 0; i < TRIES; i++) {
        struct shm_slot *claimable, *slot = scan(s, id, &claimable);
        if (slot)
            return slot;
        if (!claimable || half_full(s))
            return NULL;
        unsigned __int128 from = is_evicted(load_id(claimable)) ? SHM_ID_EVICTED : SHM_ID_EMPTY;
        if (change_id(claimable, from, id)) {
            atomic_fetch_add_explicit(&s->header->table_used, 1, memory_order_relaxed);
            return claimable;
        }
    }
    return NULL;
}

struct shm_slot *table_get(const struct segment *s, struct shm_line *self, unsigned ref, unsigned __int128 id)
{
    if (ref >= LINE_REFS || ((uint64_t)id & TABLE_KIND_MASK) == 0)
        return NULL;
    struct shm_slot *slot = find(s, self, ref, id);
    if (slot || !enter_gate(s, self))
        return slot;
    slot = find_or_claim(s, id);
    if (slot)
        refer(s, self, ref, slot);
    atomic_store(&self->inserting, 0); /* after the reference: until here nothing could be evicted */
    return slot;
}

/* ---- the master's part ---- */

/* Closes the gate; true: no inserter is in flight. */
static bool close_gate(const struct segment *s)
{
    int64_t deadline = clock_mono_ns() + PAUSE_NS;
    uint32_t slots = segment_slots_used(s);

    atomic_store(&s->header->insert_gate, 1);
    for (uint32_t i = 0; i < slots;) {
        if (atomic_load(&segment_line(s, i)->inserting) == 0) {
            i++;
        } else if (clock_mono_ns() < deadline) {
            nap();
        } else {
            atomic_store(&s->header->insert_gate, 0);
            return false;
        }
    }
    return true;
}

static void open_gate(const struct segment *s)
{
    atomic_store(&s->header->insert_gate, 0);
}

static bool is_limiter(uint64_t low)
{
    unsigned kind = low & TABLE_KIND_MASK;
    return kind == TABLE_KEY || kind == TABLE_TEAM || kind == TABLE_MODEL;
}

static bool is_idle(const struct shm_slot *slot, uint64_t now, uint64_t idle)
{
    return atomic_load(&slot->limit.rpm_tat) <= now && atomic_load(&slot->limit.tpm_tat) <= now &&
           atomic_load(&slot->limit.rpd_tat) <= now && (atomic_load(&slot->limit.places) & 0xfff) == 0 &&
           atomic_load(&slot->limit.used_ns) + idle <= now;
}

struct candidate {
    uint32_t index;
    bool referred;
    unsigned __int128 id;
};

/* Marks every idle limiter EVICTED, remembering what it was. */
static uint32_t condemn(const struct segment *s, struct candidate *list, uint64_t now, uint64_t idle)
{
    struct shm_slot *slots = segment_slots(s);
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->table_slots; i++) {
        struct halves h = load_id(&slots[i]);
        unsigned __int128 id = (unsigned __int128)h.high << 64 | h.low;
        if (is_limiter(h.low) && is_idle(&slots[i], now, idle) && change_id(&slots[i], id, SHM_ID_EVICTED))
            list[n++] = (struct candidate){.index = i, .id = id};
    }
    return n;
}

static int by_index(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

/* A line refers to a slot by a hazard reference, by a place it holds or by one it is taking. */
static void mark_referred(struct candidate *list, uint32_t n, uint32_t index_plus_one)
{
    if (index_plus_one == 0)
        return;
    struct candidate key = {.index = index_plus_one - 1};
    struct candidate *c = bsearch(&key, list, n, sizeof *list, by_index);
    if (c)
        c->referred = true;
}

static void mark_all_referred(const struct segment *s, struct candidate *list, uint32_t n)
{
    uint32_t slots = segment_slots_used(s);

    for (uint32_t i = 0; i < slots; i++) {
        const struct shm_line *l = segment_line(s, i);
        uint64_t intent = atomic_load(&l->place_intent);
        for (unsigned k = 0; k < LINE_REFS; k++)
            mark_referred(list, n, atomic_load(&l->refs[k]));
        for (unsigned k = 0; k < LINE_PLACES; k++)
            mark_referred(list, n, atomic_load(&l->held[k]));
        if (intent != 0)
            mark_referred(list, n, (uint32_t)(intent >> 44) + 1);
    }
}

static void zero_words(struct shm_slot *slot)
{
    for (unsigned w = 0; w < 6; w++)
        atomic_store_explicit(&slot->word[w], 0, memory_order_relaxed);
}

/* Takes back what is referred to, and what was used since it was condemned: whoever had found it before may
 * have taken something from it and let it go again by the time the references were read. Clears the rest.
 * Returns how many are freed. */
static uint32_t settle_candidates(const struct segment *s, const struct candidate *list, uint32_t n,
                                  uint64_t now, uint64_t idle)
{
    struct shm_slot *slots = segment_slots(s);
    uint32_t freed = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct shm_slot *slot = &slots[list[i].index];
        if (list[i].referred || !is_idle(slot, now, idle)) {
            change_id(slot, SHM_ID_EVICTED, list[i].id);
        } else {
            zero_words(slot); /* before the gate opens, with which it becomes claimable */
            freed++;
        }
    }
    return freed;
}

/* EVICTED in front of EMPTY becomes EMPTY: no chain goes on behind it. Keeps probes short. */
static void shorten_chains(const struct segment *s)
{
    struct shm_slot *slots = segment_slots(s);
    bool end = is_empty(load_id(&slots[0]));

    for (uint32_t i = s->table_slots; i-- > 0;) {
        struct halves h = load_id(&slots[i]);
        if (end && is_evicted(h))
            change_id(&slots[i], SHM_ID_EVICTED, SHM_ID_EMPTY);
        else
            end = is_empty(h);
    }
}

static void count_used(const struct segment *s)
{
    struct shm_slot *slots = segment_slots(s);
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->table_slots; i++)
        n += ((uint32_t)atomic_load_explicit(&slots[i].half[0], memory_order_relaxed) & TABLE_KIND_MASK) != 0;
    atomic_store(&s->header->table_used, n);
}

uint32_t table_evict_idle(const struct segment *s, int64_t now_ns, int64_t idle_ns)
{
    if (!close_gate(s))
        return 0;
    struct candidate *list = mem_alloc(s->table_slots * sizeof *list);
    uint32_t n = condemn(s, list, (uint64_t)now_ns, (uint64_t)idle_ns);
    mark_all_referred(s, list, n);
    uint32_t freed = settle_candidates(s, list, n, (uint64_t)now_ns, (uint64_t)idle_ns);
    free(list);
    shorten_chains(s);
    count_used(s);
    open_gate(s);
    return freed;
}

void table_recount(const struct segment *s)
{
    if (close_gate(s))
        count_used(s);
    open_gate(s);
}

static bool has_places(uint64_t low)
{
    return is_limiter(low) || (low & TABLE_KIND_MASK) == TABLE_PROVIDER;
}

void table_take_over(const struct segment *s)
{
    struct shm_slot *slots = segment_slots(s);

    for (uint32_t i = 0; i < s->table_slots; i++) {
        uint64_t low = load_id(&slots[i]).low;
        if (has_places(low))
            atomic_store(&slots[i].limit.places, 0);
        else if (low == (uint64_t)SHM_ID_EVICTED)
            zero_words(&slots[i]); /* the former master may have died between marking and clearing */
    }
    shorten_chains(s);
    count_used(s);
}
