/* The admin token lives in a file that its owner alone can read; this process keeps its hash. It is made at
 * the first start, so that no installation ever has a token that somebody else knows. */
#include "token.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOKEN_BYTES = 32, TOKEN_TEXT = 43, TOKEN_FILE_MAX = 1024 };

static void base64url(const uint8_t *in, size_t n, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | in[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = alphabet[bits >> (held - 6) & 63];
    }
    if (held)
        *out++ = alphabet[bits << (6 - held) & 63];
    *out = '\0';
}

/* Writes a new token under a temporary name and links it into place, so that nobody ever reads half of one
 * and two starts at once agree. */
static int make(const char *path, struct error *err)
{
    uint8_t random[TOKEN_BYTES];
    char text[TOKEN_TEXT + 2], temporary[4096];
    if (RAND_bytes(random, sizeof random) != 1)
        return error_set(err, "%s: no random bytes for an admin token", path);
    base64url(random, sizeof random, text);
    text[TOKEN_TEXT] = '\n';
    if (snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid()) >= (int)sizeof temporary)
        return error_set(err, "%s: the path is too long", path);
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(err, "%s: the admin token can't be written", temporary);
    int bad = write(fd, text, TOKEN_TEXT + 1) != TOKEN_TEXT + 1 || fsync(fd);
    if (bad)
        error_errno(err, "%s: the admin token can't be written", temporary);
    close(fd);
    if (!bad && link(temporary, path) && errno != EEXIST) {
        bad = 1;
        error_errno(err, "%s: the admin token can't be put in place", path);
    }
    unlink(temporary);
    OPENSSL_cleanse(random, sizeof random);
    OPENSSL_cleanse(text, sizeof text);
    return bad ? -1 : 0;
}

static int check_owner_only(int fd, const char *path, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return error_errno(err, "%s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, "%s: the admin token must be a regular file", path);
    if (st.st_mode & 077)
        return error_set(err, "%s: others than its owner can read the admin token (mode %03o): chmod 600 it",
                         path, (unsigned)st.st_mode & 0777);
    if (st.st_uid != geteuid() && geteuid() != 0)
        return error_set(err, "%s: the admin token belongs to another user", path);
    return 0;
}

static int read_token(int fd, const char *path, struct token *out, struct error *err)
{
    char text[TOKEN_FILE_MAX + 1];
    ssize_t n = read(fd, text, sizeof text);
    if (n < 0)
        return error_errno(err, "%s", path);
    struct str rest = {text, (size_t)n}, line = STR_NULL;
    str_split(&rest, '\n', &line);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    line = str_trim(line);
    int r = 0;
    if (n > TOKEN_FILE_MAX)
        r = error_set(err, "%s: an admin token has at most %d characters", path, TOKEN_FILE_MAX);
    else if (line.n < 20)
        r = error_set(err, "%s: the first line must be an admin token of 20 characters or more", path);
    else
        SHA256((const uint8_t *)line.p, line.n, out->sha256);
    OPENSSL_cleanse(text, sizeof text);
    return r;
}

int token_load(const char *path, struct token *out, bool *made, struct error *err)
{
    *made = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        if (make(path, err))
            return -1;
        *made = true;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    }
    if (fd < 0)
        return error_errno(err, "%s: the admin token can't be read", path);
    int r = check_owner_only(fd, path, err);
    if (!r)
        r = read_token(fd, path, out, err);
    close(fd);
    return r;
}

bool token_matches(const struct token *t, struct str authorization)
{
    struct str scheme = {authorization.p, authorization.n < 7 ? authorization.n : 7};
    if (!str_ieq(scheme, STR("bearer ")))
        return false;
    struct str presented = str_trim((struct str){authorization.p + 7, authorization.n - 7});
    uint8_t sha256[32];
    SHA256((const uint8_t *)presented.p, presented.n, sha256);
    return CRYPTO_memcmp(sha256, t->sha256, sizeof sha256) == 0;
}
