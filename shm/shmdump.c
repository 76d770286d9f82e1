/* aigw-shmdump [--json] [--watch[=SECONDS]] [--check] FILE
 *
 * The segment's inspector, for a living gateway and for what a dead one left. It reads a private copy of the
 * file and writes nothing into it. Exit: 0 fine, 1 an invariant is broken (--check), 2 no usable file or a
 * wrong argument. */
#include "dump.h"

#include "clock.h"

#include <getopt.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_BROKEN = 1, EXIT_UNUSABLE = 2 };

struct options {
    bool json, watch, check;
    double seconds;
    char path[PATH_MAX];
};

static int usage(FILE *to)
{
    fputs("usage: aigw-shmdump [--json] [--watch[=SECONDS]] [--check] FILE\n"
          "FILE: the segment (RUN_DIR/aigw.shm), or the run_dir itself\n",
          to);
    return EXIT_UNUSABLE;
}

static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'},    {"watch", optional_argument, NULL, 'w'},
        {"check", no_argument, NULL, 'c'},   {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0},
    };
    char *end;

    *o = (struct options){.seconds = 1};
    for (int c; (c = getopt_long(argc, argv, "jw::chv", longs, NULL)) != -1;) {
        switch (c) {
        case 'j':
            o->json = true;
            break;
        case 'c':
            o->check = true;
            break;
        case 'w':
            o->watch = true;
            o->seconds = optarg ? strtod(optarg, &end) : 1;
            if (optarg && (end == optarg || *end || !(o->seconds >= 0.05 && o->seconds <= 86400)))
                return usage(stderr);
            break;
        case 'v':
            puts("aigw-shmdump " AIGW_VERSION);
            exit(0);
        case 'h':
            usage(stdout);
            exit(0);
        default:
            return usage(stderr);
        }
    }
    if (optind + 1 != argc || (o->check && (o->json || o->watch)))
        return usage(stderr);
    struct stat st;
    bool folder = stat(argv[optind], &st) == 0 && S_ISDIR(st.st_mode);
    if (snprintf(o->path, sizeof o->path, "%s%s", argv[optind], folder ? "/aigw.shm" : "") >=
        (int)sizeof o->path)
        return usage(stderr);
    return 0;
}

static int unusable(const struct error *err)
{
    fprintf(stderr, "aigw-shmdump: %s\n", err->text);
    return EXIT_UNUSABLE;
}

static void pause_for(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds,
                         .tv_nsec = (long)((seconds - (double)(time_t)seconds) * (double)NS_PER_SEC)};
    nanosleep(&t, NULL);
}

static int print_once(const struct options *o)
{
    struct segment s;
    struct error err;

    if (segment_snapshot(&s, o->path, &err) < 0)
        return unusable(&err);
    if (o->watch && !o->json && isatty(STDOUT_FILENO))
        fputs("\033[H\033[2J", stdout);
    (o->json ? dump_json : dump_text)(stdout, &s, dump_now(&s));
    segment_detach(&s);
    return fflush(stdout) == 0 ? 0 : EXIT_UNUSABLE;
}

static int check_file(const struct options *o)
{
    struct segment first, second;
    struct error err;

    if (segment_snapshot(&first, o->path, &err) < 0)
        return unusable(&err);
    bool live = dump_is_live(&first);
    if (live && segment_snapshot(&second, o->path, &err) < 0) {
        segment_detach(&first);
        return unusable(&err);
    }
    unsigned found = dump_check(stdout, &first, live ? &second : &first);
    if (live)
        segment_detach(&second);
    segment_detach(&first);
    if (found == 0)
        puts("ok");
    else
        printf("%u violations\n", found);
    return found == 0 ? 0 : EXIT_BROKEN;
}

int main(int argc, char **argv)
{
    struct options o;

    if (read_options(argc, argv, &o) != 0)
        return EXIT_UNUSABLE;
    if (o.check)
        return check_file(&o);
    int rc = print_once(&o);
    while (o.watch && rc == 0) {
        pause_for(o.seconds);
        rc = print_once(&o);
    }
    return rc;
}
