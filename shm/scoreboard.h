/* Claiming, showing and settling scoreboard lines. */
#ifndef SHM_SCOREBOARD_H
#define SHM_SCOREBOARD_H

#include "segment.h"

enum request_phase {
    PHASE_NONE,
    PHASE_READ,
    PHASE_ADMIT,
    PHASE_CACHE,
    PHASE_CONNECT,
    PHASE_SEND,
    PHASE_WAIT,
    PHASE_STREAM,
    PHASE_RECORD,
    PHASE_LINGER
};

/* The master's, before a fork: the first FREE line of the workers' range becomes STARTING; -1: none is free.
 */
int scoreboard_claim_worker(const struct segment *s);
/* The child's (or a role's): fills its line. */
void scoreboard_enter(const struct segment *s, uint32_t slot, const char *role, uint32_t generation,
                      int64_t now_ns);
void scoreboard_state(struct shm_line *l, enum line_state state, int64_t now_ns);
/* The master's, after waitpid: DEAD, places given back, references dropped; then SETTLED when the line has an
 * open row, which the ledger is woken for, else FREE. */
void scoreboard_reaped(const struct segment *s, uint32_t slot);
/* The second half of that: a DEAD line that holds no places any more. */
void scoreboard_settle(const struct segment *s, uint32_t slot);
/* The ledger's, when a SETTLED line's open row is stored and closed: the line may be used again. */
void scoreboard_free(const struct segment *s, uint32_t slot);
const char *line_state_name(uint32_t state);
const char *request_phase_name(uint32_t phase);

#endif
