/* What systemd wants to know and gives, without its library: readiness, and sockets it has opened. All do
 * nothing where there is no systemd. */
#ifndef COMMON_SD_NOTIFY_H
#define COMMON_SD_NOTIFY_H

#include <stddef.h>

/* Reads NOTIFY_SOCKET, LISTEN_PID and LISTEN_FDS and removes them from the environment, so that no child
 * takes them for its own. Called once by the master. Returns how many sockets were passed (descriptors 3…,
 * made close-on-exec and non-blocking). */
int sd_take_environment(void);
/* Sends a state: "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=…", "STATUS=…". */
void sd_notify_state(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
