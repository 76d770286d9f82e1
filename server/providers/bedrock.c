/* AWS Bedrock: its Converse endpoints, the one form that all models there have in common. No caller speaks
 * it, so everything is translated, but for calls under /{provider}/…, which pass as they are. Run by workers.
 *
 * bedrock_request.c   a request as a whole          bedrock_answer.c      answers and streams
 * bedrock_message.c   the conversation              bedrock_error.c       errors
 * bedrock_tools.c     tools                         bedrock_embed.c       embeddings
 * bedrock_settings.c  thinking, settings, form      bedrock_credential.c  keys and signatures
 * bedrock_model.c     what differs by model         bedrock_pass.c        metering what passes */
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
    .read_answer = bedrock_read_answer,
    .read_event = read_event,
    .read_message = bedrock_read_message,
    .write_exception = bedrock_write_exception,
    .read_head = bedrock_read_head,
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
