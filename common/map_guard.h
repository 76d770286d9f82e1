/* Reading a mapped file that somebody else writes, or a disk that fails: what is not there (SIGBUS), or leads
 * out of the map (SIGSEGV), ends the reading, not the process. For reading only, which can be left anywhere:
 * nothing that holds a lock or changes the process's own memory beyond an arena's may be guarded. */
#ifndef COMMON_MAP_GUARD_H
#define COMMON_MAP_GUARD_H

enum { MAP_GUARD_FAULT = -1000 };

/* Once per process, before map_guard_run. A fault outside of it does what it did before. */
void map_guard_install(void);
/* What read(arg) returns; MAP_GUARD_FAULT when it met such memory. Not nested. */
int map_guard_run(int (*read)(void *arg), void *arg);

#endif
