/* The command line of aigw-admin. */
#ifndef ADMIN_OPTIONS_H
#define ADMIN_OPTIONS_H

#include "error.h"

#include <stdint.h>

struct options {
    const char *config_name;             /* the configuration's file name, for messages; or the file itself */
    int config_fd;                       /* its text; -1: read config_name */
    int control_fd, cache_fd, listen_fd; /* -1: none */
    const char *segment;                 /* path of the shared segment; NULL: the one in run_dir, if any */
    char listen_address[64];             /* started by hand: where to listen; empty: as configured */
    uint16_t listen_port;
    int help, version;
};

/* 0, or -1: err says what is wrong with the words; *o is then of no use. */
int options_read(int argc, char **argv, struct options *o, struct error *err);
extern const char options_usage[];

#endif
