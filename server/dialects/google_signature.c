/* How signatures travel that are not Google's: in base64, behind their maker's name. Run by workers. */
#include "google_request.h"

#include "base64.h"

#include <string.h>

static const struct {
    struct str prefix;
    enum chat_signer signer;
    bool redacted;
} packings[] = {
    {STR("anthropic:"), SIGNER_ANTHROPIC, false},
    {STR("openai:"), SIGNER_OPENAI, false},
    {STR("anthropic-redacted:"), SIGNER_ANTHROPIC, true},
    {STR("openai-redacted:"), SIGNER_OPENAI, true},
};

struct str google_pack_signature(struct str signature, enum chat_signer signer, bool redacted,
                                 struct arena *a)
{
    struct str prefix = STR_NULL;
    for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++)
        if (packings[i].signer == signer && packings[i].redacted == redacted)
            prefix = packings[i].prefix;
    if (signature.n == 0 || prefix.n == 0)
        return signature;
    size_t max = (prefix.n + signature.n + 2) / 3 * 4 + 4;
    struct buf b = arena_buf(a, max);
    char *plain = arena_alloc(a, prefix.n + signature.n);
    memcpy(plain, prefix.p, prefix.n);
    memcpy(plain + prefix.n, signature.p, signature.n);
    base64_put(&b, (struct str){plain, prefix.n + signature.n});
    return buf_str(&b);
}

enum chat_signer google_unpack_signature(struct str packed, struct str *signature, bool *redacted,
                                         struct arena *a)
{
    struct str plain;
    *signature = packed;
    *redacted = false;
    if (packed.n == 0)
        return SIGNER_NONE;
    bool ours = str_starts(packed, STR("YW50aHJvcGlj")) || str_starts(packed, STR("b3BlbmFp"));
    if (!ours || base64_decode(packed, a, &plain) != 0)
        return SIGNER_GOOGLE;
    for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++)
        if (str_starts(plain, packings[i].prefix)) {
            *signature = (struct str){plain.p + packings[i].prefix.n, plain.n - packings[i].prefix.n};
            *redacted = packings[i].redacted;
            return packings[i].signer;
        }
    return SIGNER_GOOGLE;
}
