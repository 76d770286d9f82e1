/* The segment's invariants, checked. aigw-shmdump --check and the tests run this.
 *
 * On a living segment two snapshots are compared, and only what no change in between could explain is a
 * violation. A snapshot is read from front to back, lines before table. So for a table word that is equal in
 * both, nothing happened to it while the second snapshot's lines were read (a places word carries a sequence
 * number, so it never returns to an old value), and its count must be that of the lines that hold it, unless
 * an operation on it is announced in one of them. For the file of a dead segment both are the same one. */
#include "dump.h"

#include "mem.h"
#include "places.h"
#include "table.h"

#include <inttypes.h>
#include <stdarg.h>

struct check {
    FILE *out;
    const struct segment *first, *second;
    unsigned found;
};

static void report(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void report(struct check *c, const char *fmt, ...)
{
    enum { ENOUGH = 100 };
    va_list ap;

    if (c->found++ > ENOUGH)
        return;
    va_start(ap, fmt);
    vfprintf(c->out, fmt, ap);
    va_end(ap);
    fputc('\n', c->out);
}

/* ---- lines and rings ---- */

static const char *line_fault(const struct segment *s, uint32_t slot)
{
    const struct shm_line *l = segment_line(s, slot);
    uint32_t state = atomic_load(&l->state), most = s->table_slots, held = 0, refs = 0;
    uint64_t intent = atomic_load(&l->place_intent);

    for (unsigned k = 0; k < LINE_PLACES; k++) {
        if (atomic_load(&l->held[k]) > most)
            return "holds a place of a slot that is not in the table";
        held |= atomic_load(&l->held[k]);
    }
    for (unsigned k = 0; k < LINE_REFS; k++) {
        if (atomic_load(&l->refs[k]) > most)
            return "refers to a slot that is not in the table";
        refs |= atomic_load(&l->refs[k]);
    }
    if (state > LINE_SETTLED)
        return "has an invalid state";
    if (state != LINE_FREE && slot >= segment_slots_used(s))
        return "is in use beyond the last used line";
    if (state == LINE_FREE && (held || refs || intent || atomic_load(&l->inserting)))
        return "is free and yet holds something";
    if (state == LINE_SETTLED && held)
        return "is settled and yet holds places";
    if (intent && ((intent >> 40 & 3) == 0 || (intent >> 40 & 3) == 3 || intent >> 44 >= most))
        return "has an invalid place operation under way";
    if (atomic_load(&l->place_done) > l->place_seq)
        return "has place operations done that it never began";
    return NULL;
}

static const char *ring_fault(const struct segment *s, uint32_t slot)
{
    const struct shm_ring *r = segment_ring(s, slot);
    uint64_t head = atomic_load(&r->head), tail = atomic_load(&r->tail);

    if (head < tail)
        return "has more rows taken over than published";
    if (head - tail > SHM_RING_ROWS)
        return "has more rows than it holds";
    if (atomic_load(&segment_line(s, slot)->open_row) > head + 1)
        return "has an open row far beyond its head";
    return NULL;
}

/* The same fault in both, or none. */
static void both(struct check *c, const char *what, uint32_t slot,
                 const char *(*fault)(const struct segment *, uint32_t))
{
    const char *a = fault(c->first, slot), *b = fault(c->second, slot);
    if (a && b && strcmp(a, b) == 0)
        report(c, "%s %u %s", what, slot, a);
}

static const char *stage_fault(const struct segment *s, uint32_t unused)
{
    const struct shm_stage *st = segment_stage(s);
    uint64_t head = atomic_load(&st->head), tail = atomic_load(&st->tail);

    (void)unused;
    if (head < tail)
        return "has more rows stored than staged";
    if (head - tail > SHM_STAGE_ROWS)
        return "has more rows than it holds";
    return NULL;
}

static void check_lines(struct check *c)
{
    both(c, "stage", 0, stage_fault);
    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        both(c, "line", i, line_fault);
        both(c, "ring", i, ring_fault);
    }
}

/* ---- the table ---- */

static uint64_t low_of(const struct segment *s, uint32_t i)
{
    return atomic_load(&segment_slots(s)[i].half[0]);
}

/* Slot i stands for the same in both snapshots. */
static bool stable(const struct check *c, uint32_t i)
{
    return segment_slots(c->first)[i].id == segment_slots(c->second)[i].id;
}

static bool claimed(const struct segment *s, uint32_t i)
{
    return (low_of(s, i) & TABLE_KIND_MASK) != 0;
}

static bool surely_empty(const struct check *c, uint32_t i)
{
    return low_of(c->first, i) == 0 && low_of(c->second, i) == 0;
}

static void check_reachable(struct check *c, uint32_t i)
{
    uint32_t mask = c->second->table_slots - 1;
    uint32_t home = table_home(c->second, segment_slots(c->second)[i].id), steps = (i - home) & mask;

    if (steps >= SHM_PROBES) {
        report(c, "table slot %u is %u probes from its home", i, steps);
        return;
    }
    for (uint32_t k = 0; k < steps; k++)
        if (surely_empty(c, (home + k) & mask)) {
            report(c, "table slot %u can't be reached: slot %u before it is empty", i, (home + k) & mask);
            return;
        }
    for (uint32_t k = 0; k < steps; k++) {
        uint32_t at = (home + k) & mask;
        if (stable(c, at) && segment_slots(c->second)[at].id == segment_slots(c->second)[i].id)
            report(c, "table slots %u and %u have one identity", at, i);
    }
}

static bool words_are_zero(const struct segment *s, uint32_t i)
{
    uint64_t any = 0;
    for (unsigned w = 0; w < 6; w++)
        any |= atomic_load(&segment_slots(s)[i].word[w]);
    return any == 0;
}

static void check_identities(struct check *c)
{
    for (uint32_t i = 0; i < c->second->table_slots; i++) {
        if (!stable(c, i))
            continue;
        uint64_t low = low_of(c->second, i);
        if (claimed(c->second, i) && (low & TABLE_KIND_MASK) <= TABLE_SERIES)
            check_reachable(c, i);
        else if (low != 0 && segment_slots(c->second)[i].id != SHM_ID_EVICTED)
            report(c, "table slot %u has an invalid identity", i);
        else if (low == 0 && segment_slots(c->second)[i].id != SHM_ID_EMPTY)
            report(c, "table slot %u has half an identity", i);
        else if (low == 0 && !words_are_zero(c->first, i) && !words_are_zero(c->second, i))
            report(c, "table slot %u is empty and yet has values", i);
    }
}

static uint32_t count_claimed(const struct segment *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->table_slots; i++)
        n += claimed(s, i);
    return n;
}

static uint32_t count_inserting(const struct segment *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < MAX_SLOTS; i++)
        n += atomic_load(&segment_line(s, i)->inserting) != 0;
    return n;
}

/* Processes that are inserting, or were killed doing it, may have claimed what they have not counted yet. */
static void check_used(struct check *c)
{
    uint32_t used = atomic_load(&c->second->header->table_used), real = count_claimed(c->second);
    uint32_t late = count_inserting(c->second);

    if (used != atomic_load(&c->first->header->table_used) || real != count_claimed(c->first) ||
        late != count_inserting(c->first) || atomic_load(&c->second->header->insert_gate) ||
        atomic_load(&c->first->header->insert_gate))
        return;
    if (used > real || real - used > late)
        report(c, "the header counts %u table slots in use, there are %u", used, real);
    if (used > c->second->table_slots / 2 + MAX_SLOTS)
        report(c, "the table is more than half full: %u of %u", used, c->second->table_slots);
}

/* ---- places ---- */

struct holders {
    uint16_t held; /* by lines */
    bool moving;   /* an operation is announced */
};

static struct holders *count_holders(const struct segment *s)
{
    struct holders *h = mem_alloc(s->table_slots * sizeof *h);

    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        const struct shm_line *l = segment_line(s, i);
        uint64_t intent = atomic_load(&l->place_intent);
        for (unsigned k = 0; k < LINE_PLACES; k++) {
            uint32_t held = atomic_load(&l->held[k]);
            if (held != 0 && held <= s->table_slots)
                h[held - 1].held++;
        }
        if (intent != 0 && intent >> 44 < s->table_slots)
            h[intent >> 44].moving = true;
    }
    return h;
}

static bool has_places(const struct segment *s, uint32_t i)
{
    unsigned kind = low_of(s, i) & TABLE_KIND_MASK;
    return kind >= TABLE_KEY && kind <= TABLE_PROVIDER;
}

static void check_places(struct check *c)
{
    struct holders *h = count_holders(c->second);

    for (uint32_t i = 0; i < c->second->table_slots; i++) {
        const _Atomic uint64_t *word = &segment_slots(c->second)[i].limit.places;
        if (!stable(c, i) || h[i].moving ||
            atomic_load(&segment_slots(c->first)[i].limit.places) != atomic_load(word))
            continue;
        if (has_places(c->second, i) && places_count(word) != h[i].held)
            report(c, "table slot %u counts %u places, lines hold %u", i, places_count(word), h[i].held);
        else if (!has_places(c->second, i) && h[i].held != 0)
            report(c, "table slot %u has no places and yet %u are held", i, h[i].held);
    }
    free(h);
}

unsigned dump_check(FILE *out, const struct segment *first, const struct segment *second)
{
    struct check c = {.out = out, .first = first, .second = second};

    if (first->table_slots != second->table_slots || first->header->segment_id != second->header->segment_id)
        return 0; /* replaced between the two: there is nothing to compare */
    check_lines(&c);
    check_identities(&c);
    check_used(&c);
    check_places(&c);
    return c.found;
}
