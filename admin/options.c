/* Options of aigw-admin: the master gives descriptors, a person gives names. */
#include "options.h"

#include "str.h"

#include <fcntl.h>
#include <getopt.h>

const char options_usage[] =
    "usage: aigw-admin -c FILE [--listen ADDRESS:PORT] [--segment PATH]\n"
    "       aigw-admin --config-fd N --config-name FILE --control-fd N --cache-fd N --listen-fd N\n"
    "                  --segment PATH          (as the master starts it)\n"
    "\n"
    "The administration API of aigw. See aigw(8).\n";

enum {
    OPT_CONFIG_FD = 256,
    OPT_CONFIG_NAME,
    OPT_CONTROL_FD,
    OPT_CACHE_FD,
    OPT_LISTEN_FD,
    OPT_SEGMENT,
    OPT_LISTEN
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"config-fd", required_argument, NULL, OPT_CONFIG_FD},
    {"config-name", required_argument, NULL, OPT_CONFIG_NAME},
    {"control-fd", required_argument, NULL, OPT_CONTROL_FD},
    {"cache-fd", required_argument, NULL, OPT_CACHE_FD},
    {"listen-fd", required_argument, NULL, OPT_LISTEN_FD},
    {"segment", required_argument, NULL, OPT_SEGMENT},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* An open descriptor, which nobody we might start inherits. "-1" is the master's way to say: none. */
static int read_fd(const char *text, const char *what, int *out, struct error *err)
{
    uint64_t n;
    if (str_eq(str_of(text), STR("-1")))
        return 0;
    if (str_u64(str_of(text), &n) || n > 1u << 20 || fcntl((int)n, F_SETFD, FD_CLOEXEC))
        return error_set(err, "--%s %s: no open descriptor", what, text);
    *out = (int)n;
    return 0;
}

static int read_listen(const char *text, struct options *o, struct error *err)
{
    struct str s = str_of(text);
    size_t colon = s.n;
    uint64_t port;
    while (colon && s.p[colon - 1] != ':')
        colon--;
    struct str address = {s.p, colon ? colon - 1 : 0};
    if (address.n > 2 && address.p[0] == '[' && address.p[address.n - 1] == ']')
        address = (struct str){address.p + 1, address.n - 2};
    if (!colon || str_u64((struct str){s.p + colon, s.n - colon}, &port) || port > 65535 ||
        str_copy(o->listen_address, sizeof o->listen_address, address))
        return error_set(err, "--listen %s: ADDRESS:PORT is wanted", text);
    o->listen_port = (uint16_t)port;
    return 0;
}

static int take(int option, const char *value, struct options *o, struct error *err)
{
    switch (option) {
    case 'c':
    case OPT_CONFIG_NAME:
        o->config_name = value;
        return 0;
    case OPT_CONFIG_FD:
        return read_fd(value, "config-fd", &o->config_fd, err);
    case OPT_CONTROL_FD:
        return read_fd(value, "control-fd", &o->control_fd, err);
    case OPT_CACHE_FD:
        return read_fd(value, "cache-fd", &o->cache_fd, err);
    case OPT_LISTEN_FD:
        return read_fd(value, "listen-fd", &o->listen_fd, err);
    case OPT_SEGMENT:
        o->segment = value;
        return 0;
    case OPT_LISTEN:
        return read_listen(value, o, err);
    case 'h':
        o->help = 1;
        return 0;
    case 'V':
        o->version = 1;
        return 0;
    default:
        return error_set(err, "unknown option or missing value; see --help");
    }
}

int options_read(int argc, char **argv, struct options *o, struct error *err)
{
    *o = (struct options){.config_fd = -1, .control_fd = -1, .cache_fd = -1, .listen_fd = -1};
    optind = 1;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "c:hV", long_options, NULL)) != -1;)
        if (take(option, optarg, o, err))
            return -1;
    if (optind < argc)
        return error_set(err, "unexpected argument: %s", argv[optind]);
    if (!o->config_name && !o->help && !o->version)
        return error_set(err, "no configuration: -c FILE");
    return 0;
}
