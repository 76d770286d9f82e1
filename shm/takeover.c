/* How a new master starts on the segment of a dead one. Only the master runs this, alone.
 *
 * Children end when their master does, but not in the same instant; one that is late would give back places
 * that now count for others, or publish into a ring that has a new producer. So the new master waits for the
 * processes that the lines name, and kills those that stay. A line's process is told from another with the
 * same number by its start: a process that started after the line says it did is somebody else.
 *
 * Then no process holds anything: places are set to 0 as a whole, and what is left to settle are the open
 * rows, which stay with their lines (SETTLED) for the ledger. */
#include "segment_create.h"

#include "clock.h"
#include "scoreboard.h"
#include "table.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS (3 * NS_PER_SEC)

/* When pid started, monotonic ns (rounded down to clock ticks); -1: there is no such process. */
static int64_t started_ns(uint32_t pid)
{
    char path[40], text[1024];
    unsigned long long ticks = 0;

    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *p = strrchr(text, ')'); /* the name before it may hold anything */
    char state = 0;
    if (!p ||
        sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, &ticks) != 2)
        return -1;
    if (state == 'Z' || state == 'X')
        return -1; /* dead already */
    struct timespec boot, mono;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    int64_t asleep = (boot.tv_sec - mono.tv_sec) * NS_PER_SEC + (boot.tv_nsec - mono.tv_nsec);
    return (int64_t)(ticks * (uint64_t)(NS_PER_SEC / sysconf(_SC_CLK_TCK))) - asleep;
}

/* A descriptor of the process that line l names, when it still lives; -1. */
static int former_process(const struct shm_line *l)
{
    uint32_t pid = atomic_load(&l->pid);
    if (pid == 0 || pid > INT32_MAX || pid == (uint32_t)getpid() || atomic_load(&l->state) == LINE_FREE)
        return -1;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return -1;
    int64_t started = started_ns(pid);
    if (started >= 0 && started <= atomic_load(&l->started_ns))
        return fd;
    close(fd);
    return -1;
}

static unsigned count_former(const struct segment *s, int sig)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < MAX_SLOTS; i++) {
        int fd = former_process(segment_line(s, i));
        if (fd < 0)
            continue;
        n++;
        if (sig)
            syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
        close(fd);
    }
    return n;
}

void segment_end_former(const struct segment *s)
{
    int64_t deadline = clock_mono_ns() + PATIENCE_NS;
    const struct timespec nap = {.tv_nsec = 5 * NS_PER_MS};

    while (count_former(s, clock_mono_ns() < deadline ? 0 : SIGKILL) > 0)
        if (clock_mono_ns() > deadline + PATIENCE_NS)
            break; /* unkillable: in the kernel, and so not in our memory */
        else
            nanosleep(&nap, NULL);
}

static void end_line(const struct segment *s, uint32_t slot)
{
    struct shm_line *l = segment_line(s, slot);

    if (atomic_load(&l->state) == LINE_FREE)
        return;
    atomic_store(&l->state, LINE_DEAD);
    atomic_store(&l->place_intent, 0);
    atomic_store(&l->inserting, 0); /* the table is counted as a whole */
    for (unsigned k = 0; k < LINE_PLACES; k++)
        atomic_store(&l->held[k], 0);
    scoreboard_settle(s, slot);
}

void segment_take_over(const struct segment *s)
{
    struct shm_header *h = s->header;

    for (uint32_t i = 0; i < MAX_SLOTS; i++)
        end_line(s, i);
    table_take_over(s);
    atomic_store(&h->insert_gate, 0);
    atomic_store(&h->ledger_asleep, 0);
    atomic_store(&h->free_workers, 0);
    atomic_store(&h->waiting, 0);
    atomic_store(&h->connections, 0);
    atomic_store(&h->spooled_kb, 0);
}
