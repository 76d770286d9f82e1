/* The layout of the shared segment, described here and nowhere else.
 *
 * One file on tmpfs, mapped by every process:  header | scoreboard | metric slabs | rings | stage | table
 * Offsets, never pointers. All-zero is a valid state of everything behind the header. No locks, no multi-word
 * updates: each logical update is one atomic operation, or has a single writer and is published with a
 * release store, or can be recomputed from the scoreboard after a death.
 *
 * Any process may be killed at any instruction. What it held stands in its line; the master settles that
 * (scoreboard.h), the ledger writes the row of its unfinished request (ring.h). */
#ifndef SHM_LAYOUT_H
#define SHM_LAYOUT_H

#include "limits.h"
#include "usage.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SHM_MAGIC   UINT64_C(0x31304d4853574741) /* "AGWSHM01" read as bytes */
#define SHM_VERSION 1

enum {
    SHM_RING_ROWS = 8,
    SHM_STAGE_ROWS = 16384,
    SHM_PROBES = 64,
    SHM_LINE_BYTES = 256,
    SHM_SLOT_BYTES = 64
};

/* Bounds of the table's size (a line names a slot in 20 bits) and of the file's. */
#define SHM_MAX_TABLE (UINT32_C(1) << 20)
#define SHM_MAX_BYTES (UINT64_C(256) << 20)

/* Slots 0..15 belong to roles, the others to workers. */
enum shm_role_slot {
    SLOT_MASTER,
    SLOT_ACCEPTOR,
    SLOT_CACHE,
    SLOT_LEDGER,
    SLOT_ADMIN,
    SLOT_TLS0 = 8,
    SLOT_WORKER0 = 16
};

enum shm_state { SHM_EMPTY, SHM_READY }; /* header.state: release-stored last, acquire-loaded first */

struct shm_header {
    uint64_t magic;
    uint32_t version;
    uint32_t layout_hash; /* of the sizes and the counters' names: another build's segment is not ours */
    uint64_t size;        /* of the whole file */
    uint64_t segment_id;  /* random, never 0: a new segment has new positions and no old ones (ledger) */
    uint64_t secret[2];   /* SipHash key of the table's identities */
    char boot_id[40];
    int64_t created_wall_us;
    uint32_t slots;                                            /* MAX_SLOTS */
    uint32_t table_slots;                                      /* power of two */
    uint64_t lines_at, slabs_at, rings_at, stage_at, table_at; /* byte offsets */
    _Atomic uint32_t state;
    _Atomic uint32_t master_pid;
    _Atomic uint32_t generation;    /* of the configuration; workers of an older one drain */
    _Atomic uint32_t workers_max;   /* of the present configuration */
    _Atomic uint32_t free_workers;  /* published by the acceptor for workers and admin */
    _Atomic uint32_t waiting;       /* ready connections without a worker */
    _Atomic uint32_t table_used;    /* claimed slots, so that load stays <= 50 % */
    _Atomic uint32_t insert_gate;   /* 1: the master is evicting; inserters wait or fail (table.c) */
    _Atomic uint32_t ledger_asleep; /* futex word: 1 while the ledger waits (ring.h) */
    _Atomic uint32_t store_full;    /* the usage store takes no rows: refuse by policy */
    _Atomic uint32_t reloads, reloads_refused;
    _Atomic uint32_t connections; /* held by the acceptor */
    _Atomic uint32_t spooled_kb;
    _Atomic uint32_t
        slots_used; /* lines below this have been used since the segment was made: where scans end */
};

/* A line of the scoreboard: what one process is, does and holds. Written by its owner; by the master only
 * while there is no owner (state DEAD and FREE). */
enum line_state { LINE_FREE, LINE_STARTING, LINE_IDLE, LINE_BUSY, LINE_DRAINING, LINE_DEAD, LINE_SETTLED };
/* LINE_DEAD: the master has reaped it. LINE_SETTLED: places are given back; the ledger takes over the open
 * row and makes it FREE. */

enum { LINE_PLACES = 4 }; /* key, team, provider, spare */
enum { LINE_REFS = 4 };   /* hazard references to table slots while they are used */

struct shm_line {
    _Atomic uint32_t state; /* enum line_state; release-stored last */
    _Atomic uint32_t pid;
    _Atomic uint64_t open_row;          /* ring sequence + 1 of a begun, unpublished row; 0: none (ring.h) */
    _Atomic uint64_t place_intent;      /* the place operation under way (places.h); 0: none */
    _Atomic uint64_t place_done;        /* highest own operation known to have happened; helpers raise it */
    uint64_t place_seq;                 /* last operation number used; goes on over the slot's owners */
    _Atomic uint32_t held[LINE_PLACES]; /* table slot + 1 of each held place */
    _Atomic uint32_t refs[LINE_REFS];   /* table slot + 1: not to be evicted */
    _Atomic uint32_t inserting;         /* 1 while this process may claim a table slot */
    uint32_t generation;
    char role[16];                          /* "worker", "acceptor", … */
    _Atomic int64_t started_ns;             /* monotonic: the process's start */
    _Atomic int64_t since_ns;               /* … of the present state */
    _Atomic uint64_t requests;              /* served by this process */
    _Atomic uint64_t run_input, run_output; /* running usage of the open row, tokens */
    _Atomic uint32_t phase;                 /* enum request_phase, for people */
    _Atomic uint32_t provider;              /* index + 1 of the provider being called */
    char model[48];                         /* of the present request, for people */
};
static_assert(sizeof(struct shm_line) <= SHM_LINE_BYTES, "a line is 256 bytes");

/* What a table slot stands for: the low three bits of its identity. Names: a key's id; a team's, a model's, a
 * provider's name; a series': "PROVIDER\nMODEL", the model as the configuration names it (so a pattern is one
 * series, and there are as many as there are targets). */
enum table_kind { TABLE_KEY = 1, TABLE_TEAM, TABLE_MODEL, TABLE_PROVIDER, TABLE_SERIES };
enum { TABLE_KIND_MASK = 7 };

/* Identities that stand for nothing; both have kind 0, so that no thing's identity equals them. */
#define SHM_ID_EMPTY   ((unsigned __int128)0)
#define SHM_ID_EVICTED ((unsigned __int128)8) /* claimable, but a probe goes on behind it */

/* A slot of the table. Words are meaningful by the kind of thing the slot stands for. */
struct shm_slot {
    union {
        unsigned __int128 id;     /* claimed by one 16-byte CAS, else changed by the master's eviction only */
        _Atomic uint64_t half[2]; /* low (with the kind) and high half of it, for loads (table.c) */
    };
    union {
        _Atomic uint64_t word[6];
        struct {                                        /* a limited principal: key, team, model */
            _Atomic uint64_t rpm_tat, tpm_tat, rpd_tat; /* GCRA theoretical arrival times, monotonic ns */
            _Atomic uint64_t places;                    /* places.h */
            _Atomic uint64_t used_ns;                   /* last use, about; for eviction; stored by users */
            _Atomic uint64_t refused;
        } limit;
        struct { /* a metric series of (provider, model) */
            _Atomic uint64_t requests, errors, input, output, cost_pico, latency_us;
        } series;
        struct { /* a provider */
            _Atomic uint64_t failures, last_ok_ns, last_fail_ns;
            _Atomic uint64_t places; /* places.h */
            _Atomic uint64_t latency_ewma_us, used_ns;
        } health;
    };
};
static_assert(sizeof(struct shm_slot) == SHM_SLOT_BYTES, "a table slot is one cache line");
static_assert(offsetof(struct shm_slot, limit.places) == offsetof(struct shm_slot, health.places),
              "places stand at one offset, so that a line names a slot only");

/* A worker's ring of usage rows: one producer (the slot's owner), one consumer (the ledger). */
struct shm_ring {
    _Atomic uint64_t
        head; /* rows published; release-stored by the producer; goes on over the slot's owners */
    _Atomic uint64_t tail;           /* rows taken over, a hint: the position in the store outranks it */
    _Atomic uint32_t producer_waits; /* futex word: 1 while the producer waits for room */
    uint32_t reserved0;
    uint64_t reserved[5];
    struct usage_row rows[SHM_RING_ROWS];
};

/* Rows that the ledger has taken from the rings and not yet committed (stage.h). Only the ledger touches it:
 * one thread of it adds, another takes. */
struct shm_staged {
    uint64_t seq;  /* the row's number in its slot's ring */
    uint32_t slot; /* the ring it comes from */
    uint32_t reserved;
    struct usage_row row;
};

struct shm_stage {
    _Atomic uint64_t head; /* rows added; release-stored when they are whole */
    uint64_t reserved0[7];
    _Atomic uint64_t tail; /* rows known to be in the store; a hint: the positions in the store outrank it */
    uint64_t reserved1[7];
    struct shm_staged rows[SHM_STAGE_ROWS];
};

#endif
