/* Records as they lie in LMDB and travel in the cache's mailbox, whatever their bytes are: read without
 * leaving them, and what is read can be written and read again. The first byte chooses the kind. */
#include "cache_record.h"
#include "fuzz.h"
#include "key_record.h"
#include "usage_record.h"

#include <string.h>

static void check_key(struct str in)
{
    static struct key_record key, again;
    uint8_t bytes[KEY_RECORD_MAX];
    memset(&key, 0, sizeof key); /* of its lists only what counts is written */
    memset(&again, 0, sizeof again);
    if (key_record_decode(in, &key) < 0)
        return;
    CHECK(key.n_models <= KEY_MAX_MODELS && key.n_cidrs <= KEY_MAX_CIDRS && key.n_tags <= KEY_MAX_TAGS);
    size_t n = key_record_encode(&key, bytes);
    CHECK(key_record_decode((struct str){(char *)bytes, n}, &again) == 0);
    CHECK(memcmp(&key, &again, sizeof key) == 0);
}

static void check_team(struct str in)
{
    struct team_record team, again;
    uint8_t bytes[KEY_RECORD_MAX];
    if (team_record_decode(in, &team) < 0)
        return;
    size_t n = team_record_encode(&team, bytes);
    CHECK(team_record_decode((struct str){(char *)bytes, n}, &again) == 0);
    CHECK(memcmp(&team, &again, sizeof team) == 0);
}

static void check_usage(struct str in)
{
    struct usage_row row, again;
    struct usage_sum sum, sum_again;
    uint8_t bytes[USAGE_RECORD_MAX];
    if (usage_row_decode(in, &row) == 0) {
        size_t n = usage_row_encode(&row, bytes);
        CHECK(usage_row_decode((struct str){(char *)bytes, n}, &again) == 0);
        CHECK(memcmp(&row, &again, sizeof row) == 0);
    }
    if (usage_sum_decode(in, &sum) == 0) {
        size_t n = usage_sum_encode(&sum, bytes);
        CHECK(usage_sum_decode((struct str){(char *)bytes, n}, &sum_again) == 0);
        CHECK(memcmp(&sum, &sum_again, sizeof sum) == 0);
    }
}

static void check_cache(struct str in)
{
    struct cache_entry e;
    struct str scope;
    if (cache_record_read(in, &e, &scope) < 0)
        return;
    CHECK(fuzz_within(e.body, in) && fuzz_within(e.provider, in) && fuzz_within(e.model, in));
    CHECK(fuzz_within(scope, in) && scope.n < CACHE_SCOPE_MAX && e.expires_s >= 0);
    cache_record_is_whole(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct str) = {check_key, check_team, check_usage, check_cache};
    if (size > 0)
        checks[data[0] % 4](fuzz_str(data + 1, size - 1));
    return 0;
}
