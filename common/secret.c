/* The secrets region: an array of entries of one page each, in a private anonymous mapping of its own. Pages
 * of entries in use are locked as far as RLIMIT_MEMLOCK lets them; the whole is left out of dumps. The master
 * fills it and forks; workers read their inherited copy (the pages stay shared, nobody writes them); every
 * other child calls secret_forget first.
 *
 * An environment variable is read once, in the master's life: its bytes are overwritten where the kernel
 * shows them (/proc/PID/environ), and its value stays here, under the variable's name, for later reloads.
 *
 * Between secret_begin and secret_commit, what is taken waits beside what is in use, so that a configuration
 * that turns out to be wrong has changed nothing. */
#include "secret.h"
#include "limits.h"
#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, ENTRIES = 4 * MAX_PROVIDERS };

enum kind { UNUSED, VARIABLE, IN_USE, WAITING };

struct entry {
    uint32_t kind;
    uint32_t length;
    char name[120];
    char value[PAGE - 128];
};
static_assert(sizeof(struct entry) == PAGE, "an entry is a page, so that it is locked alone");

static struct entry *entries; /* NULL: before the first use, or forgotten */
static bool forgotten, staging;

int secret_init(struct error *err)
{
    if (entries)
        return 0;
    if (forgotten)
        return error_set(err, "this process has given its secrets away");
    size_t size = ENTRIES * sizeof(struct entry);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return error_errno(err, "memory for secrets");
    if (madvise(p, size, MADV_DONTDUMP) != 0 && errno != EINVAL) {
        error_errno(err, "memory for secrets");
        munmap(p, size);
        return -1;
    }
    entries = p;
    return 0;
}

static void wipe(struct entry *e)
{
    OPENSSL_cleanse(e, sizeof(*e));
    munlock(e, sizeof(*e));
}

static struct entry *find(enum kind kind, struct str name)
{
    for (size_t i = 0; entries && i < ENTRIES; i++)
        if (entries[i].kind == kind && str_eq(str_of(entries[i].name), name))
            return &entries[i];
    return NULL;
}

static int put(enum kind kind, const char *name, struct str value, struct error *err)
{
    struct entry *e = find(kind, str_of(name));
    for (size_t i = 0; !e && i < ENTRIES; i++)
        if (entries[i].kind == UNUSED)
            e = &entries[i];
    if (!e)
        return error_set(err, "too many secrets; at most %d are possible", ENTRIES);
    if (value.n >= sizeof(e->value))
        return error_set(err, "a secret of %zu bytes is too long; at most %zu are possible", value.n,
                         sizeof(e->value) - 1);
    if (str_copy(e->name, sizeof(e->name), str_of(name)) != 0)
        return error_set(err, "the name %.40s… is too long", name);
    mlock(e, sizeof(*e)); /* best effort: a small RLIMIT_MEMLOCK must not keep the gateway from starting */
    OPENSSL_cleanse(e->value, sizeof(e->value));
    memcpy(e->value, value.p, value.n);
    e->length = (uint32_t)value.n;
    e->kind = kind;
    return 0;
}

/* A credential goes into a header line as it is, so what can't stand there is refused here. */
static int check_value(struct str value, const char *from, struct error *err)
{
    if (value.n == 0)
        return error_set(err, "%s is empty; put the credential into it", from);
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] <= 0x20 || (unsigned char)value.p[i] >= 0x7f)
            return error_set(err,
                             "%s holds a space, a control character or a byte that is not ASCII; "
                             "credentials have none",
                             from);
    return 0;
}

static int take(const char *name, struct str value, const char *from, struct error *err)
{
    if (check_value(value, from, err) != 0)
        return -1;
    return put(staging ? WAITING : IN_USE, name, value, err);
}

int secret_from_env(const char *name, const char *variable, struct error *err)
{
    if (secret_init(err) != 0)
        return -1;
    char *value = getenv(variable);
    if (value && *value) {
        /* kept whatever comes of it: after this it stands nowhere else */
        size_t n = strlen(value);
        int kept = put(VARIABLE, variable, (struct str){value, n}, err);
        OPENSSL_cleanse(value, n);
        unsetenv(variable);
        if (kept != 0)
            return -1;
    }
    const struct entry *e = find(VARIABLE, str_of(variable));
    if (!e)
        return error_set(err, "the environment variable %s is %s; set it", variable,
                         value ? "empty" : "not set");
    return take(name, (struct str){e->value, e->length}, variable, err);
}

/* systemd's own folder is shown to us alone; where it grants that by an ACL, the mode bits look like a
 * group's. */
static bool is_credential(const char *path)
{
    struct str folder = str_of(getenv("CREDENTIALS_DIRECTORY"));
    return folder.n > 0 && str_starts(str_of(path), folder) && path[folder.n] == '/' &&
           !strchr(path + folder.n + 1, '/');
}

static int read_whole(int fd, const char *path, char *text, size_t size, struct str *out, struct error *err)
{
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, text + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(err, "%s", path);
        if (got == 0)
            break;
        n += (size_t)got;
        if (n == size)
            return error_set(err, "%s is too large for a credential (at most %zu bytes)", path, size - 1);
    }
    *out = (struct str){text, n};
    return n > 0 ? 0 : error_set(err, "%s is empty; put the credential into it", path);
}

static int read_first_line(int fd, const char *path, char *line, size_t size, struct str *out,
                           struct error *err)
{
    size_t n = 0;
    while (n < size && !memchr(line, '\n', n)) {
        ssize_t got = read(fd, line + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(err, "%s", path);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    const char *end = n > 0 ? memchr(line, '\n', n) : NULL;
    if (!end && n == size)
        return error_set(err, "%s: its first line is too long for a credential", path);
    *out = (struct str){line, end ? (size_t)(end - line) : n};
    if (out->n > 0 && line[out->n - 1] == '\r')
        out->n--;
    *out = str_trim(*out);
    return 0;
}

static int from_open_file(const char *name, const char *path, int fd, bool whole, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, "%s is not a regular file", path);
    if ((st.st_mode & 077) != 0 && !is_credential(path))
        return error_set(err, "%s can be read by others than its owner (mode %04o); chmod 600 it", path,
                         (unsigned)(st.st_mode & 07777));
    char line[PAGE] = {0};
    struct str value;
    int result = whole ? read_whole(fd, path, line, sizeof(line), &value, err)
                       : read_first_line(fd, path, line, sizeof(line), &value, err);
    if (result == 0)
        result = whole ? put(staging ? WAITING : IN_USE, name, value, err) : take(name, value, path, err);
    OPENSSL_cleanse(line, sizeof(line));
    return result;
}

static int from_file(const char *name, const char *path, bool whole, struct error *err)
{
    if (secret_init(err) != 0)
        return -1;
    /* not blocking, so that a FIFO put there does not stop the master */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_set(err, "%s can't be read: %s; correct the path, or let this user read it", path,
                         strerror(errno));
    int result = from_open_file(name, path, fd, whole, err);
    close(fd);
    return result;
}

int secret_from_file(const char *name, const char *path, struct error *err)
{
    return from_file(name, path, false, err);
}

int secret_from_whole_file(const char *name, const char *path, struct error *err)
{
    return from_file(name, path, true, err);
}

/* No provider's name has a '#'. */
void secret_name(char *name, size_t size, const char *provider, const char *part)
{
    snprintf(name, size, "%s#%s", provider, part);
}

struct str secret_waiting(const char *name)
{
    const struct entry *e = find(WAITING, str_of(name));
    return e ? (struct str){e->value, e->length} : STR_NULL;
}

struct str secret_get(const char *name)
{
    const struct entry *e = find(IN_USE, str_of(name));
    return e ? (struct str){e->value, e->length} : STR_NULL;
}

static void turn(enum kind from, enum kind to)
{
    for (size_t i = 0; entries && i < ENTRIES; i++)
        if (entries[i].kind == (uint32_t)from) {
            if (to == UNUSED)
                wipe(&entries[i]);
            else
                entries[i].kind = to;
        }
}

void secret_begin(void)
{
    turn(WAITING, UNUSED);
    staging = true;
}

void secret_commit(void)
{
    if (!staging)
        return;
    turn(IN_USE, UNUSED);
    turn(WAITING, IN_USE);
    staging = false;
}

void secret_abort(void)
{
    turn(WAITING, UNUSED);
    staging = false;
}

void secret_forget(void)
{
    forgotten = true;
    if (!entries)
        return;
    /* after a fork these are our own copies only once written, so wiping costs a page each and no more */
    for (size_t i = 0; i < ENTRIES; i++)
        if (entries[i].kind != UNUSED)
            wipe(&entries[i]);
    munmap(entries, ENTRIES * sizeof(struct entry));
    entries = NULL;
}
