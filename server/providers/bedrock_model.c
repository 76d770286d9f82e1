/* What differs between the models behind Bedrock's one door, told by their names: "anthropic.claude-…" and
 * the like, with "us.", "eu." … in front for an inference profile, or within an ARN. A profile of one's own
 * is an ARN that tells nothing: it gets what Anthropic's and Amazon's models have in common. Run by workers.
 */
#include "bedrock.h"

#include "hash.h"
#include "upstream_url.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum bedrock_family family_of(struct str name)
{
    static const struct {
        const char *part;
        enum bedrock_family family;
    } list[] = {
        {"claude", BEDROCK_ANTHROPIC}, {"anthropic.", BEDROCK_ANTHROPIC}, {"amazon.nova", BEDROCK_NOVA},
        {"titan", BEDROCK_TITAN},      {"cohere.", BEDROCK_COHERE},       {"mistral", BEDROCK_MISTRAL},
        {"gpt-oss", BEDROCK_GPT_OSS},
    };
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (str_has(name, list[i].part))
            return list[i].family;
    return str_starts(name, STR("arn:")) && !str_has(name, "foundation-model/") ? BEDROCK_UNKNOWN
                                                                                : BEDROCK_OTHER;
}

/* Those that have structured output, as of 2026-08. What is not known is taken for new. */
static bool has_json_schema(enum bedrock_family family, struct str name)
{
    static const char *const without[] = {"meta.llama", "ai21.", "writer.", "deepseek.r1", "stability."};
    switch (family) {
    case BEDROCK_ANTHROPIC:
    case BEDROCK_NOVA:
    case BEDROCK_TITAN:
    case BEDROCK_COHERE:
    case BEDROCK_UNKNOWN:
        return false;
    case BEDROCK_MISTRAL:
        return str_has(name, "ministral") || str_has(name, "magistral") || str_has(name, "voxtral") ||
               str_has(name, "mistral-large-3");
    case BEDROCK_GPT_OSS:
    case BEDROCK_OTHER:
        break;
    }
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
        if (str_has(name, without[i]))
            return false;
    return true;
}

/* The first ones had names of another kind. */
static struct anthropic_model claude(struct str name)
{
    static const struct anthropic_model first = {.version = 200, .sampling = true};
    return str_has(name, "claude-v") || str_has(name, "claude-instant") ? first : anthropic_model(name);
}

struct bedrock_model bedrock_model(struct str name)
{
    struct bedrock_model m = {.family = family_of(name), .nova_2 = str_has(name, "amazon.nova-2")};
    m.json_schema = has_json_schema(m.family, name);
    if (m.family == BEDROCK_ANTHROPIC) {
        m.claude = claude(name);
        m.json_schema = m.claude.schema;
    }
    m.cached_tools = m.family == BEDROCK_ANTHROPIC;
    m.cache_points = m.cached_tools || m.family == BEDROCK_NOVA;
    m.result_status = m.cache_points || m.family == BEDROCK_UNKNOWN;
    return m;
}

/* ---- names in paths and bodies */

struct str bedrock_path(struct chat_call *c, struct str name, const char *what)
{
    static const char hex[] = "0123456789ABCDEF";
    struct upstream_url url = {0};
    upstream_url_parse(str_of(c->conf->base_url), &url, NULL);
    size_t max = url.path.n + 3 * name.n + strlen(what) + 16;
    struct buf b = arena_buf(c->arena, max);
    buf_add(&b, url.path);
    buf_add(&b, STR("/model/"));
    for (size_t i = 0; i < name.n; i++) {
        unsigned char byte = (unsigned char)name.p[i];
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || is_digit((char)byte) ||
                     byte == '-' || byte == '_' || byte == '.' || byte == '~';
        char escape[3] = {'%', hex[byte >> 4], hex[byte & 15]};
        buf_add(&b, plain ? (struct str){name.p + i, 1} : (struct str){escape, 3});
    }
    buf_add_byte(&b, '/');
    buf_add(&b, str_of(what));
    return buf_str(&b);
}

static bool is_word(char c, bool marks)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (marks && (c == '_' || c == '-'));
}

static bool is_name(struct str s, size_t max, bool marks)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_word(s.p[i], marks))
            return false;
    return s.n > 0 && s.n <= max;
}

struct str bedrock_tool_name(struct str name, struct arena *a)
{
    enum { MAX = 64, KEPT = 55 };
    uint8_t hash[32];
    char kept[KEPT];
    size_t n = name.n < KEPT ? name.n : KEPT;
    if (is_name(name, MAX, true))
        return name;
    sha256(name.p, name.n, hash);
    for (size_t i = 0; i < n; i++)
        kept[i] = is_word(name.p[i], true) ? name.p[i] : '_';
    return arena_printf(a, "%.*s_%02x%02x%02x%02x", (int)n, kept, hash[0], hash[1], hash[2], hash[3]);
}

struct str bedrock_tool_id(struct str id, enum bedrock_family family, struct arena *a)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    enum { MAX = 64, MISTRALS = 9, MADE = 24 };
    uint8_t hash[32];
    char made[MADE];
    bool mistral = family == BEDROCK_MISTRAL;
    if (mistral ? id.n == MISTRALS && is_name(id, MISTRALS, false) : is_name(id, MAX, true))
        return id;
    sha256(id.p, id.n, hash);
    for (int i = 0; i < MADE; i++)
        made[i] = digits[hash[i] % (sizeof(digits) - 1)];
    return arena_copy(a, (struct str){made, mistral ? MISTRALS : MADE});
}
