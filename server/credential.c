/* Expiring credentials, shared by all workers: one anonymous mapping, made by the master before it forks, in
 * which each provider's credential has an entry. Whoever needs one that is missing, or sees that the present
 * one ends soon, takes the entry's lease, fetches, and publishes; the others go on with the old one, or wait.
 *
 * No locks, and any process may be killed, or stopped for an hour, at any instruction. What holds then:
 *
 * 1. A text is believed only as a whole. An entry has two slots; each holds version, expiry, length and text
 *    under one 128-bit keyed sum that covers them and the entry's identity. A reader copies a slot and then
 *    checks the sum over its copy. So whatever a dead writer left, whatever two writers wrote into one
 *    another, and whatever another provider's credential left behind in an entry that changed hands, is seen
 *    as nothing at all, never as a credential. This alone is what correctness rests on; the order of the
 *    stores is for speed.
 * 2. `published` is the newest version; it lives in slot (version & 1). A writer fills the other slot and
 *    moves `published` on by one CAS, so the newest text stays readable while the next one is written, and
 *    where two writers met, one of them publishes.
 * 3. The lease is one word: until when (monotonic ms) and whose (process id). It is taken by one CAS from
 *    a word that is free: zero, out of time, or of a process that is no more. It is given back by a CAS from
 *    one's own word, so nobody gives back another's. A fetch ends before its lease does: at any time at most
 *    one process fetches, unless one was stopped longer than its lease.
 * 4. Progress: who waits for a lease looks again every few ms and takes it over once it is free. All waiting
 *    is bounded by the caller's patience. Whose client has left gives the lease back and notes nothing: one
 *    of those who still wait is the next to fetch.
 * 5. A failed fetch is noted (until when, and in what words) so that a dead token endpoint is asked by one
 *    process every few seconds and does not hold up each request. The note's words have a sum, too.
 *
 * An identity is a hash of the provider's name and of everything its credential is made from, so that after
 * a reload with another key the old generation and the new one have an entry each. When all entries are
 * taken, one whose credential is over gives way. All zero is a valid state. */
#include "credential.h"

#include "clock.h"
#include "hash.h"
#include "log.h"
#include "secret.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    ENTRIES = 2 * MAX_PROVIDERS,
    MAX_NOTE = 248,
    LEASE_MS = 15000,
    FETCH_MS = 12000,         /* within the lease */
    FETCH_AHEAD_MS = 5000,    /* the request that refreshes ahead has something to go on with */
    AHEAD_MS = 300000,        /* refresh when less than this is left, or a tenth of its life */
    NEARLY_OVER_MS = 2000,    /* not used any more: it has to arrive before its end */
    FAILED_MS = 3000,         /* no new attempt for so long where there is none … */
    FAILED_AHEAD_MS = 15000,  /* … and where the old one is still good */
    REFUSED_AGAIN_MS = 10000, /* a provider that refuses every one is not a reason to fetch at every call */
    WAIT_FIRST_US = 2000,
    WAIT_MOST_US = 25000,
};

#define MAX_UNIX_S   INT64_C(9999999999)
#define WORDS(bytes) (((bytes) + 7) / 8)

/* What the sums cover, as a process holds it. */
struct text {
    uint64_t version;
    int64_t expires_ms, obtained_ms; /* wall clock */
    uint64_t length;
    char bytes[MAX_CREDENTIAL];
};

struct note {
    uint64_t length;
    char bytes[MAX_NOTE];
};

struct slot {
    _Atomic uint64_t sum[2];
    _Atomic uint64_t words[WORDS(sizeof(struct text))];
};

struct entry {
    _Atomic uint64_t published; /* version; 0: none yet */
    _Atomic uint64_t lease;
    _Atomic uint64_t refused;                    /* version that the provider refused */
    _Atomic int64_t refused_ms, failed_until_ms; /* monotonic */
    _Atomic uint64_t note_sum[2];
    _Atomic uint64_t note[WORDS(sizeof(struct note))];
    struct slot slots[2];
};

struct region {
    uint64_t key[2];
    _Atomic uint64_t ids[ENTRIES]; /* whose entry it is; 0: nobody's */
    struct entry entries[ENTRIES];
};

static_assert(sizeof(struct text) % 8 == 0 && sizeof(struct note) % 8 == 0, "copied in words");
static_assert(offsetof(struct text, bytes) % 8 == 0, "copied in words");

static struct region *region; /* NULL: before credential_init, or forgotten */

/* ---- the mapping */

int credential_init(struct error *err)
{
    uint64_t key[2];
    if (region)
        return 0;
    if (random_bytes(key, sizeof(key)) != 0)
        return error_errno(err, "memory for credentials");
    void *p = mmap(NULL, sizeof(*region), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return error_errno(err, "memory for credentials");
    if (madvise(p, sizeof(*region), MADV_DONTDUMP) != 0 && errno != EINVAL) {
        error_errno(err, "memory for credentials");
        munmap(p, sizeof(*region));
        return -1;
    }
    region = p;
    region->key[0] = key[0];
    region->key[1] = key[1];
    return 0;
}

/* The others still use what is there: only the way to it goes. */
void credential_forget(void)
{
    if (region)
        munmap(region, sizeof(*region));
    region = NULL;
}

/* ---- words in and out */

static void sum_of(uint64_t id, const void *p, size_t n, uint64_t sum[2])
{
    const uint64_t key[2] = {region->key[0] ^ id, region->key[1]};
    siphash128(key, p, n, sum);
}

/* Single words are atomic, the whole is not; the sum says whether it belongs together (invariant 1). Relaxed
 * therefore: no order of these loads and stores is relied upon. */
static void copy_out(void *to, _Atomic uint64_t *from, size_t bytes)
{
    for (size_t i = 0; i < WORDS(bytes); i++) {
        uint64_t word = atomic_load_explicit(&from[i], memory_order_relaxed);
        memcpy((char *)to + 8 * i, &word, sizeof(word));
    }
}

static void copy_in(_Atomic uint64_t *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < WORDS(bytes); i++) {
        uint64_t word;
        memcpy(&word, (const char *)from + 8 * i, sizeof(word));
        atomic_store_explicit(&to[i], word, memory_order_relaxed);
    }
}

static bool sum_fits(_Atomic uint64_t told[2], const uint64_t sum[2])
{
    return atomic_load_explicit(&told[0], memory_order_relaxed) == sum[0] &&
           atomic_load_explicit(&told[1], memory_order_relaxed) == sum[1];
}

static bool slot_read(struct slot *s, uint64_t id, struct text *out)
{
    const size_t fixed = offsetof(struct text, bytes);
    uint64_t sum[2];
    copy_out(out, s->words, fixed);
    if (out->version == 0 || out->length > MAX_CREDENTIAL)
        return false;
    copy_out(out->bytes, s->words + fixed / 8, out->length);
    sum_of(id, out, fixed + out->length, sum);
    return sum_fits(s->sum, sum);
}

/* All words are written, so that nothing of a longer text before it stays. */
static void slot_write(struct slot *s, uint64_t id, const struct text *t)
{
    uint64_t sum[2];
    sum_of(id, t, offsetof(struct text, bytes) + t->length, sum);
    copy_in(s->words, t, sizeof(*t));
    atomic_store_explicit(&s->sum[0], sum[0], memory_order_relaxed);
    atomic_store_explicit(&s->sum[1], sum[1], memory_order_relaxed);
}

/* The newest whole text. Where the newest version's slot is torn (two writers met), the one before it. */
static bool entry_read(struct entry *e, uint64_t id, struct text *out)
{
    /* acquire: with the publisher's release, the words are there when the version is */
    uint64_t version = atomic_load_explicit(&e->published, memory_order_acquire);
    return version != 0 &&
           (slot_read(&e->slots[version & 1], id, out) || slot_read(&e->slots[~version & 1], id, out));
}

static void entry_publish(struct entry *e, uint64_t id, struct text *t)
{
    struct text other;
    uint64_t version = atomic_load_explicit(&e->published, memory_order_acquire);
    struct slot *now = &e->slots[version & 1], *next = &e->slots[~version & 1];
    if (!slot_read(now, id, &other)) { /* what an earlier owner of this entry left is not kept */
        memset(&other, 0, sizeof(other));
        copy_in(now->words, &other, sizeof(other));
    }
    t->version = version + 1;
    slot_write(next, id, t);
    /* release: the words before the version. Failed: another has published, as fresh as ours */
    atomic_compare_exchange_strong_explicit(&e->published, &version, version + 1, memory_order_release,
                                            memory_order_relaxed);
    OPENSSL_cleanse(&other, sizeof(other));
}

/* ---- notes of failures */

static void note_write(struct entry *e, uint64_t id, const char *words)
{
    struct note n = {0};
    uint64_t sum[2];
    str_copy_cut(n.bytes, sizeof(n.bytes), str_of(words));
    n.length = strlen(n.bytes);
    sum_of(id, &n, sizeof(n), sum);
    copy_in(e->note, &n, sizeof(n));
    atomic_store_explicit(&e->note_sum[0], sum[0], memory_order_relaxed);
    atomic_store_explicit(&e->note_sum[1], sum[1], memory_order_relaxed);
}

static int note_read(struct entry *e, uint64_t id, struct error *err)
{
    struct note n;
    uint64_t sum[2];
    copy_out(&n, e->note, sizeof(n));
    sum_of(id, &n, sizeof(n), sum);
    if (!sum_fits(e->note_sum, sum) || n.length >= sizeof(n.bytes))
        return error_set(err, "the credential could not be fetched a moment ago");
    return error_set(err, STR_FMT, (int)n.length, n.bytes);
}

/* ---- whose entry */

static uint64_t identity(const struct conf_provider *p)
{
    static const char *const parts[] = {"file", "access", "secret", "session"};
    uint64_t sum[2] = {0}, key[2] = {0x61696777, 0x6b657973};
    char name[160];
#define ADD(s)                                \
    do {                                      \
        struct str add_ = (s);                \
        siphash128(key, add_.p, add_.n, sum); \
        key[0] = sum[0], key[1] = sum[1];     \
    } while (0)
    ADD(str_of(p->name));
    ADD(str_of(p->type));
    ADD(str_of(p->role_url));
    ADD(str_of(p->region));
    ADD(secret_get(p->name));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        secret_name(name, sizeof(name), p->name, parts[i]);
        ADD(secret_get(name));
    }
#undef ADD
    return sum[0] ? sum[0] : 1;
}

/* What a process knows of a provider: its entry, found once (a process has one configuration for its life),
 * and the version that it was given last, which is the one that the provider may refuse. */
struct known {
    const struct conf_provider *p;
    uint64_t id, used;
    unsigned index;
};
static _Thread_local struct known known[MAX_PROVIDERS];
static _Thread_local unsigned n_known;

static bool has_ended(struct entry *e, uint64_t id)
{
    struct text t;
    bool good = entry_read(e, id, &t) && t.expires_ms > clock_wall_us() / 1000;
    OPENSSL_cleanse(&t, sizeof(t));
    return !good;
}

/* A free entry becomes ours by one CAS; two processes that look at once go the same way over the entries, so
 * they end at the same one. */
static unsigned claim(uint64_t id)
{
    unsigned first = (unsigned)(id % ENTRIES);
    for (unsigned i = 0; i < ENTRIES; i++) {
        unsigned at = (first + i) % ENTRIES;
        uint64_t owner = atomic_load_explicit(&region->ids[at], memory_order_relaxed);
        if (owner == 0 && atomic_compare_exchange_strong_explicit(&region->ids[at], &owner, id,
                                                                  memory_order_relaxed, memory_order_relaxed))
            return at;
        if (owner == id)
            return at;
    }
    /* full: the next one whose credential is over, or the first of all, gives way. Its texts are none to us
     */
    unsigned at = first;
    for (unsigned i = ENTRIES; i-- > 0;) {
        unsigned candidate = (first + i) % ENTRIES;
        if (has_ended(&region->entries[candidate],
                      atomic_load_explicit(&region->ids[candidate], memory_order_relaxed)))
            at = candidate;
    }
    atomic_store_explicit(&region->ids[at], id, memory_order_relaxed);
    return at;
}

static struct known *find(const struct conf_provider *p)
{
    struct known *k = NULL;
    for (unsigned i = 0; i < n_known && !k; i++)
        if (known[i].p == p)
            k = &known[i];
    if (!k) {
        k = &known[n_known < MAX_PROVIDERS ? n_known++ : 0];
        *k = (struct known){.p = p, .id = identity(p), .index = ENTRIES};
    }
    if (k->index == ENTRIES || atomic_load_explicit(&region->ids[k->index], memory_order_relaxed) != k->id) {
        k->index = claim(k->id);
        k->used = 0;
        /* best effort: a lock is a process's own, and lasts while one of those who use it lives */
        mlock(&region->entries[k->index], sizeof(struct entry));
    }
    return k;
}

/* ---- the lease */

static uint64_t lease_word(int64_t until_ms)
{
    return (uint64_t)until_ms << 22 | ((uint64_t)getpid() & 0x3fffff);
}

static bool lease_free(uint64_t lease, int64_t now_ms)
{
    if (lease == 0 || (int64_t)(lease >> 22) <= now_ms)
        return true;
    return kill((pid_t)(lease & 0x3fffff), 0) != 0 && errno == ESRCH;
}

/* *mine: to be given back. acq_rel: what the last holder published or noted before giving it back is seen. */
static bool lease_take(struct entry *e, int64_t now_ms, uint64_t *mine)
{
    uint64_t lease = atomic_load_explicit(&e->lease, memory_order_relaxed);
    *mine = lease_word(now_ms + LEASE_MS);
    return lease_free(lease, now_ms) &&
           atomic_compare_exchange_strong_explicit(&e->lease, &lease, *mine, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

static void lease_give_back(struct entry *e, uint64_t mine)
{
    atomic_compare_exchange_strong_explicit(&e->lease, &mine, 0, memory_order_release, memory_order_relaxed);
}

/* ---- what to do with what is there */

enum state { NONE, ENDING /* good, but to be fetched anew */, GOOD };

static enum state look(struct entry *e, uint64_t id, struct text *t)
{
    if (!entry_read(e, id, t) || t->version == atomic_load_explicit(&e->refused, memory_order_relaxed))
        return NONE;
    int64_t life = t->expires_ms - t->obtained_ms, left = t->expires_ms - clock_wall_us() / 1000;
    if (left <= (life / 20 < NEARLY_OVER_MS ? life / 20 : NEARLY_OVER_MS))
        return NONE;
    return left <= (life / 10 < AHEAD_MS ? life / 10 : AHEAD_MS) ? ENDING : GOOD;
}

/* By the holder of the lease. 0: *t is a new one, published; -1: *err, noted. */
static int renew(struct known *k, credential_fetch *fetch, bool ahead, struct patience patience,
                 struct text *t, struct error *err)
{
    struct entry *e = &region->entries[k->index];
    struct buf b;
    int64_t expires_s = 0;
    int64_t own = clock_mono_ns() + (ahead ? FETCH_AHEAD_MS : FETCH_MS) * NS_PER_MS;
    if (own < patience.deadline_ns)
        patience.deadline_ns = own;
    buf_init(&b, MAX_CREDENTIAL);
    int rc = fetch(k->p, &patience, &b, &expires_s, err);
    if (rc == 0 && (b.full || b.n == 0))
        rc = error_set(err, "the credential is %s", b.full ? "too long" : "empty");
    if (rc == 0) {
        memset(t, 0, sizeof(*t));
        t->obtained_ms = clock_wall_us() / 1000;
        t->expires_ms = (expires_s < MAX_UNIX_S ? expires_s : MAX_UNIX_S) * 1000;
        t->length = b.n;
        memcpy(t->bytes, b.p, b.n);
        entry_publish(e, k->id, t);
        atomic_store_explicit(&e->failed_until_ms, 0, memory_order_relaxed);
        log_info("provider %s: a fresh credential, good for %lld s", k->p->name,
                 (long long)(expires_s - t->obtained_ms / 1000));
    } else if (!patience_gone(&patience)) {
        note_write(e, k->id, err->text);
        atomic_store_explicit(&e->failed_until_ms,
                              clock_mono_ns() / NS_PER_MS + (ahead ? FAILED_AHEAD_MS : FAILED_MS),
                              memory_order_relaxed);
        log_warn("provider %s: no fresh credential%s: %s", k->p->name, ahead ? ", the old one goes on" : "",
                 err->text);
    }
    if (b.p)
        OPENSSL_cleanse(b.p, b.cap);
    buf_free(&b);
    return rc;
}

/* The lease is ours: but its last holder may have been done just before we took it. */
static enum state renew_once(struct known *k, credential_fetch *fetch, const struct patience *patience,
                             struct text *t, struct error *err)
{
    struct entry *e = &region->entries[k->index];
    enum state s = look(e, k->id, t);
    if (s == GOOD ||
        atomic_load_explicit(&e->failed_until_ms, memory_order_relaxed) > clock_mono_ns() / NS_PER_MS)
        return s;
    struct text fresh;
    if (renew(k, fetch, s == ENDING, *patience, &fresh, err) == 0) {
        *t = fresh;
        s = GOOD;
    }
    OPENSSL_cleanse(&fresh, sizeof(fresh));
    return s;
}

static void nap(unsigned *us, int64_t deadline_ns)
{
    int64_t left = deadline_ns - clock_mono_ns(), ns = *us * NS_PER_US;
    if (left > 0 && left < ns)
        ns = left;
    nanosleep(&(struct timespec){.tv_sec = 0, .tv_nsec = (long)ns}, NULL);
    *us = *us * 2 < WAIT_MOST_US ? *us * 2 : WAIT_MOST_US;
}

static enum state obtain(struct known *k, credential_fetch *fetch, const struct patience *patience,
                         struct text *t, struct error *err)
{
    struct entry *e = &region->entries[k->index];
    unsigned us = WAIT_FIRST_US;
    for (;;) {
        uint64_t lease;
        enum state s = look(e, k->id, t);
        int64_t now_ms = clock_mono_ns() / NS_PER_MS;
        bool failed = atomic_load_explicit(&e->failed_until_ms, memory_order_relaxed) > now_ms;
        if (s == GOOD || (failed && s == ENDING))
            return s;
        if (failed) {
            note_read(e, k->id, err);
            return NONE;
        }
        if (lease_take(e, now_ms, &lease)) {
            s = renew_once(k, fetch, patience, t, err);
            lease_give_back(e, lease);
            if (s != NONE || err->text[0])
                return s;
        } else if (s == ENDING) {
            return s;
        }
        if (clock_mono_ns() >= patience->deadline_ns || patience_gone(patience)) {
            error_set(err, "another process is still fetching the credential");
            return NONE;
        }
        nap(&us, patience->deadline_ns);
    }
}

int credential_get(const struct conf_provider *p, credential_fetch *fetch, const struct patience *patience,
                   struct arena *a, struct str *out, struct error *err)
{
    struct text t;
    err->text[0] = '\0';
    if (!region)
        return error_set(err, "this process has no place for credentials");
    struct known *k = find(p);
    enum state s = obtain(k, fetch, patience, &t, err);
    if (s != NONE) {
        k->used = t.version;
        *out = arena_copy(a, (struct str){t.bytes, t.length});
    }
    OPENSSL_cleanse(&t, sizeof(t));
    return s != NONE ? 0 : -1;
}

/* Only the version that this process was given last: another one may have come since. Whoever moves
 * refused_ms on marks it, so that of many refusals within some seconds one counts. */
void credential_refused(const struct conf_provider *p)
{
    if (!region)
        return;
    struct known *k = find(p);
    struct entry *e = &region->entries[k->index];
    int64_t now = clock_mono_ns() / NS_PER_MS;
    int64_t last = atomic_load_explicit(&e->refused_ms, memory_order_relaxed);
    if (k->used == 0 || (last && now - last < REFUSED_AGAIN_MS))
        return;
    if (atomic_compare_exchange_strong_explicit(&e->refused_ms, &last, now, memory_order_relaxed,
                                                memory_order_relaxed))
        atomic_store_explicit(&e->refused, k->used, memory_order_relaxed);
}
