/* Makes an OpenAI-shaped chat request of the neutral form, for OpenAI and for everybody who speaks its
 * dialect. Run by workers.
 *
 * Who takes what is one line a vendor (profiles). A parameter that a vendor is known to refuse or to ignore
 * is not sent, and so named to the caller; what has another name or value there is translated; what would
 * change the meaning of the request (a document for somebody who reads none) is refused. */
#include "openai_request.h"

#include "chat_instructions.h"

/* ---- who takes what */

enum {
    BASIC = BIT(MAX_TOKENS) | BIT(TEMPERATURE) | BIT(TOP_P) | BIT(STOP) | BIT(PARALLEL_TOOLS) | BIT(THINKING),
    PENALTIES = BIT(PRESENCE_PENALTY) | BIT(FREQUENCY_PENALTY),
    LOGPROBS = BIT(LOGPROBS) | BIT(TOP_LOGPROBS),
    COMMON = BASIC | PENALTIES | LOGPROBS | BIT(SEED) | BIT(N) | BIT(LOGIT_BIAS) | BIT(USER),
    OPENAI = COMMON | BIT(METADATA) | BIT(SERVICE_TIER) | BIT(VERBOSITY) | BIT(CACHE_KEY) | BIT(PREDICTION),
};

static const struct profile profiles[] = {
    {"openai", OPENAI, THINK_EFFORT, FILES, OFFICIAL | PARTS | ANYWHERE | CUSTOM},
    {"azure", OPENAI, THINK_EFFORT, FILES, OFFICIAL | PARTS | ANYWHERE | CUSTOM},
    {"virtual", OPENAI, THINK_EFFORT, FILES, OFFICIAL | PARTS | ANYWHERE},
    {"mistral", BASIC | PENALTIES | BIT(SEED) | BIT(N) | BIT(PREDICTION) | BIT(CACHE_KEY), THINK_HIGH,
     DOCUMENT_URL, PARTS},
    {"ollama", BASIC | PENALTIES | LOGPROBS | BIT(SEED), THINK_EFFORT, NO_FILES, NO_URLS},
    {"deepseek", BASIC | PENALTIES | LOGPROBS, THINK_TYPE, NO_FILES, ANYWHERE},
    {"xai", COMMON & ~BIT(LOGIT_BIAS), THINK_EFFORT, NO_FILES, ANYWHERE},
    {"groq", BASIC | PENALTIES | BIT(SEED) | BIT(USER) | BIT(SERVICE_TIER), THINK_EFFORT, NO_FILES, 0},
    {"openrouter", COMMON | BIT(VERBOSITY), THINK_OBJECT, FILES, PARTS | MARKS | DETAILS | PICTURES},
    {"perplexity", (BASIC & ~BIT(PARALLEL_TOOLS)) | PENALTIES, THINK_EFFORT, FILE_URL, 0},
    {"cerebras", BASIC | LOGPROBS | BIT(SEED) | BIT(USER), THINK_EFFORT, NO_FILES, 0},
    {"moonshot", BASIC | PENALTIES | BIT(N) | BIT(CACHE_KEY), THINK_TYPE, NO_FILES, 0},
    {"alibaba", COMMON & ~BIT(LOGIT_BIAS), THINK_ENABLE, NO_FILES, PARTS | MARKS},
    {"github", COMMON, THINK_EFFORT, NO_FILES, PARTS},
    {NULL, COMMON, THINK_EFFORT, NO_FILES, 0}, /* everybody else */
};

static const struct profile *profile_of(const char *type)
{
    const struct profile *p = profiles;
    while (p->type && strcmp(p->type, type) != 0)
        p++;
    return p;
}

/* ---- all of it */

static void put_stream(struct writing *w)
{
    if (!w->in->stream)
        return;
    json_member_bool(&w->j, "stream", true);
    if (!(w->deviations & PROVIDER_NO_STREAM_OPTIONS))
        json_member_raw(&w->j, "stream_options", STR("{\"include_usage\":true}"));
}

int openai_write_body(struct chat_call *c, unsigned deviations)
{
    struct writing w = {.c = c,
                        .in = c->in,
                        .p = profile_of(c->conf->type),
                        .deviations = deviations,
                        .google = str_has(str_of(c->conf->base_url), "googleapis.com"),
                        .j = json_writer(&c->call->room)};
    w.reasons = (w.p->flags & OFFICIAL) && openai_is_reasoning_model(c->model);
    if (!(w.p->flags & ANYWHERE))
        w.in = chat_instructions_first(c->in, c->arena);
    w.custom = (w.p->flags & CUSTOM) && openai_has_custom_tools(c->model);
    w.preamble = openai_preamble_of(&w);
    json_open(&w.j, '{');
    json_member_str(&w.j, "model", c->model);
    if (openai_put_messages(&w) != 0)
        return -1;
    openai_put_tools(&w);
    openai_put_format(&w);
    if (openai_put_params(&w) != 0)
        return -1;
    put_stream(&w);
    json_close(&w.j, '}');
    c->call->body = buf_str(&c->call->room);
    c->call->headers = STR("content-type: application/json\r\n");
    return 0;
}

int openai_write_chat(struct chat_call *c)
{
    if (openai_path(c->arena, c->conf, STR("/chat/completions"), &c->call->path) != 0)
        return chat_refuse(c, NULL, "The provider's base URL makes no path.");
    return openai_write_body(c, openai_deviations(c->conf));
}
