/* AWS Bedrock: its Converse endpoints, the one form that all models there have in common. No caller speaks
 * it, so everything is translated, but for calls under /{provider}/…, which pass as they are. Run by workers.
 *
 * bedrock_request.c   a request as a whole          bedrock_answer.c      answers and streams
 * bedrock_message.c   the conversation              bedrock_error.c       errors
 * bedrock_tools.c     tools                         bedrock_embed.c       embeddings
 * bedrock_settings.c  thinking, settings, form      bedrock_credential.c  keys and signatures
 * bedrock_model.c     what differs by model */
#include "bedrock.h"

#include <string.h>

/* ---- what passes */

static bool passes(const struct request *r, const struct conf_provider *p, struct str model)
{
    (void)p;
    (void)model;
    return r->match.endpoint == EP_NATIVE;
}

/* Path, query and body as they came: so does OpenAI's dialect with a native call. */
static int build(struct request *r, const struct conf_provider *p, struct str model,
                 struct provider_call *call, struct failure *f)
{
    return provider_openai.build(r, p, model, call, f);
}

/* The first of them that is a count, and was told at all. */
static bool count_of(const struct json_value v[], const int at[], size_t n, uint64_t *out)
{
    int64_t count;
    for (size_t i = 0; i < n; i++)
        if (v[at[i]].type == JSON_NUMBER && json_int(v[at[i]], &count) == 0 && count >= 0 &&
            count <= INT32_MAX) {
            *out = (uint64_t)count;
            return true;
        }
    return false;
}

/* A model's own answer (invoke): its maker's form. What only headers tell can't be seen from here. */
static bool read_invoked(struct request *r, struct str answer)
{
    enum {
        INPUT,
        READ,
        WRITTEN,
        OUTPUT,
        PROMPT,
        COMPLETION,
        CACHED,
        LLAMA_IN,
        LLAMA_OUT,
        TITAN_IN,
        COUNTED,
        COUNT
    };
    static const char *const paths[COUNT] = {
        "usage.input_tokens",
        "usage.cache_read_input_tokens",
        "usage.cache_creation_input_tokens",
        "usage.output_tokens",
        "usage.prompt_tokens",
        "usage.completion_tokens",
        "usage.prompt_tokens_details.cached_tokens",
        "prompt_token_count",
        "generation_token_count",
        "inputTextTokenCount",
        "inputTokens",
    };
    struct json_value v[COUNT];
    struct usage_tokens u = {0};
    uint64_t more = 0;
    if (json_scan(answer, paths, COUNT, v, NULL) != 0)
        return false;
    bool told = count_of(v, (const int[]){INPUT, PROMPT, LLAMA_IN, TITAN_IN, COUNTED}, 5, &u.input);
    told |= count_of(v, (const int[]){OUTPUT, COMPLETION, LLAMA_OUT}, 3, &u.output);
    if (count_of(v, (const int[]){CACHED}, 1, &u.cached))
        u.cached = u.cached < u.input ? u.cached : u.input;
    if (v[INPUT].type == JSON_NUMBER) { /* Anthropic's, told without what was cached */
        if (count_of(v, (const int[]){READ}, 1, &more))
            u.cached = more, u.input += more;
        if (count_of(v, (const int[]){WRITTEN}, 1, &more))
            u.cache_write = more, u.input += more;
    }
    if (told) {
        r->tokens = u;
        r->tokens_known = true;
    }
    return told;
}

static int read_answer(struct request *r, struct str answer, struct failure *f)
{
    static const char *const paths[] = {"usage"};
    struct json_value usage;
    if (json_scan(answer, paths, 1, &usage, NULL) != 0) {
        *f = (struct failure){.status = 502,
                              .type = "server_error",
                              .code = "upstream_malformed",
                              .message = STR("The provider's answer is no valid JSON object.")};
        return -1;
    }
    if (bedrock_read_usage(usage, &r->tokens))
        r->tokens_known = true;
    else
        read_invoked(r, answer);
    return 0;
}

/* Server-sent events come from the OpenAI-compatible door only. */
static struct stream_event read_event(struct request *r, const struct sse_event *ev)
{
    return provider_openai.read_event(r, ev);
}

/* ---- counting */

static int read_count(struct chat_reader *rd, struct str body, uint64_t *tokens)
{
    static const char *const paths[] = {"inputTokens"};
    struct json_value v;
    int64_t n;
    if (json_scan(body, paths, 1, &v, NULL) != 0 || json_int(v, &n) != 0 || n < 0 || n > INT32_MAX) {
        *rd->f = (struct failure){.status = 502,
                                  .type = "server_error",
                                  .code = "upstream_malformed",
                                  .message = STR("The provider's answer holds no count.")};
        return -1;
    }
    *tokens = (uint64_t)n;
    return 0;
}

const struct provider provider_bedrock = {
    .type = "bedrock",
    .passes = passes,
    .build = build,
    .read_answer = read_answer,
    .read_event = read_event,
    .read_error = bedrock_read_error,
    .write_chat = bedrock_write_chat,
    .read_chat = bedrock_read_chat,
    .framing = FRAMES_EVENTSTREAM,
    .read_frame = bedrock_read_frame,
    .whole = bedrock_whole,
    .write_embed = bedrock_write_embed,
    .read_embed = bedrock_read_embed,
    .write_count = bedrock_write_count,
    .read_count = read_count,
    .prepare = bedrock_prepare,
    .authorize = bedrock_authorize,
};
