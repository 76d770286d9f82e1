/* The main of a fuzz target without an engine: runs it on each file named, and on each file of each folder
 * named. An input's last byte lies in front of unreadable memory. A finding ends the process, as it does
 * under the engine. */
#include "fuzz.h"
#include "unit/guard.h"

#include <dirent.h>
#include <sys/stat.h>

enum { LARGEST_INPUT = 64 * 1024 * 1024 };

static bool replay_file(const char *path, off_t size)
{
    if (size > LARGEST_INPUT) {
        fprintf(stderr, "%s: larger than any input should be\n", path);
        return false;
    }
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return false;
    }
    struct guard g = guard_new((size_t)size + 1);
    char *at = g.end - size;
    bool whole = fread(at, 1, (size_t)size, f) == (size_t)size;
    fclose(f);
    if (whole)
        LLVMFuzzerTestOneInput((const uint8_t *)at, (size_t)size);
    else
        fprintf(stderr, "%s: can't be read\n", path);
    guard_free(&g);
    return whole;
}

static bool replay(const char *path, unsigned *count);

static bool replay_folder(const char *path, unsigned *count)
{
    DIR *folder = opendir(path);
    if (!folder) {
        perror(path);
        return false;
    }
    bool good = true;
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
        good = replay(inner, count) && good;
    }
    closedir(folder);
    return good;
}

static bool replay(const char *path, unsigned *count)
{
    struct stat st;
    if (stat(path, &st)) {
        perror(path);
        return false;
    }
    if (S_ISDIR(st.st_mode))
        return replay_folder(path, count);
    ++*count;
    return replay_file(path, st.st_size);
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    unsigned count = 0;
    bool good = true;
    for (int i = 1; i < argc; i++)
        good = replay(argv[i], &count) && good;
    printf("%s: %u inputs replayed\n", name ? name + 1 : argv[0], count);
    return good && count > 0 ? 0 : 1;
}
