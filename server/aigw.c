/* The program: reads its options, then is the master (master.c) until it is told to stop. */
#include "config.h"
#include "master.h"
#include "mem.h"
#include "process.h"
#include "secret.h"

#include <fcntl.h>
#include <getopt.h>
#include <linux/limits.h>
#include <unistd.h>

enum { OPT_SAMPLE = 256, OPT_MAN };

static const char usage[] =
    "usage: aigw -c FILE         run the gateway\n"
    "       aigw -c FILE -t      check the configuration, then end\n"
    "       aigw --print-sample  print a configuration with every setting\n"
    "       aigw --version | --help\n"
    "\n"
    "SIGHUP reloads the configuration, SIGTERM drains and stops. See aigw(8), aigw.conf(5).\n";

static void say(void *unused, const char *mistake)
{
    (void)unused;
    fprintf(stderr, "aigw: %s\n", mistake);
}

static int check(const char *file)
{
    struct error err;
    size_t n;
    char *text = config_file_text(file, &n, &err);
    if (!text || secret_init(&err) != 0) {
        say(NULL, err.text);
        free(text);
        return 1;
    }
    struct config *c = config_parse_all((struct str){text, n}, file, true, say, NULL, &err);
    free(text);
    if (!c)
        return 1;
    printf("aigw: %s is valid (providers: %zu, models: %zu)\n", file, c->n_providers, c->n_models);
    config_free(&c);
    return 0;
}

/* Links stay as they are: a reload reads what they lead to then. */
static char *absolute(const char *file)
{
    char folder[PATH_MAX], name[2 * PATH_MAX];
    if (file[0] == '/' || !getcwd(folder, sizeof folder))
        return mem_strdup(str_of(file));
    snprintf(name, sizeof name, "%s/%s", folder, file);
    return mem_strdup(str_of(name));
}

/* 0, 1 and 2 are ours whatever we were started with: a socket there would be written to as the log. */
static void open_standard(void)
{
    while (fcntl(0, F_GETFD) < 0 || fcntl(1, F_GETFD) < 0 || fcntl(2, F_GETFD) < 0)
        if (open("/dev/null", O_RDWR) < 0) /* takes the lowest free number */
            _exit(1);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"test", no_argument, NULL, 't'},
        {"print-sample", no_argument, NULL, OPT_SAMPLE},
        {"print-man", no_argument, NULL, OPT_MAN},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *file = NULL;
    bool only_check = false;
    open_standard();
    for (int o; (o = getopt_long(argc, argv, "c:thV", options, NULL)) != -1;) {
        switch (o) {
        case 'c':
            file = optarg;
            break;
        case 't':
            only_check = true;
            break;
        case OPT_SAMPLE:
            config_print_sample();
            return 0;
        case OPT_MAN:
            config_print_man();
            return 0;
        case 'V':
            printf("aigw %s\n", AIGW_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (!file || optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (only_check)
        return check(file);
    char *name = absolute(file); /* argv becomes the title */
    process_init(argc, argv);
    int status = master_run(name);
    free(name);
    return status;
}
