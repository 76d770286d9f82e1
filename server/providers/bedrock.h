/* What the files of the Bedrock dialect share. bedrock.c has the table. */
#ifndef SERVER_PROVIDERS_BEDROCK_H
#define SERVER_PROVIDERS_BEDROCK_H

#include "anthropic_chat.h" /* what is known of Claude's models holds here, too */
#include "json_write.h"
#include "provider.h"

/* ---- what is known of a model by its name (bedrock_model.c) */

enum bedrock_family {
    BEDROCK_OTHER,
    BEDROCK_ANTHROPIC,
    BEDROCK_NOVA,
    BEDROCK_TITAN,
    BEDROCK_COHERE,
    BEDROCK_MISTRAL,
    BEDROCK_GPT_OSS,
    BEDROCK_UNKNOWN, /* its name tells nothing: an inference profile's ARN */
};

struct bedrock_model {
    enum bedrock_family family;
    struct anthropic_model claude; /* BEDROCK_ANTHROPIC */
    bool nova_2;
    bool json_schema;   /* takes outputConfig.textFormat, and strict tools */
    bool cache_points;  /* takes cachePoint in system and messages … */
    bool cached_tools;  /* … and among the tools */
    bool result_status; /* takes toolResult.status */
};

struct bedrock_model bedrock_model(struct str name);

/* "/model/{name, encoded as one segment}/{what}" in the call's memory. */
struct str bedrock_path(struct chat_call *c, struct str name, const char *what);
/* Names and ids that Bedrock takes as they are ([a-zA-Z0-9_-], 1 to 64), else ones made of them, always the
 * same. Mistral wants ids of nine letters and digits. */
struct str bedrock_tool_name(struct str name, struct arena *a);
struct str bedrock_tool_id(struct str id, enum bedrock_family family, struct arena *a);

/* ---- requests (bedrock_request.c, bedrock_message.c, bedrock_tools.c, bedrock_settings.c) */

struct bedrock_body {
    struct chat_call *c;
    struct json_writer w;
    struct bedrock_model model;
    struct bedrock_plan {
        bool must_call;     /* one of the caller's tools has to be called */
        bool forced_json;   /* the answer is had as the arguments of a tool of ours */
        bool native_json;   /* … by outputConfig */
        bool asked_json;    /* … by asking for it */
        bool told_no_tools; /* "none" where the history has tools: by asking, too */
        bool tools;         /* the caller's are told */
        bool history_tools;
    } plan;

    /* the turn being written */
    bool open;
    enum chat_role role;
    bool text, document; /* it has such a block */
    bool cacheable;      /* its last block can be followed by a cachePoint */
    unsigned documents;  /* so far: their names are to differ */
};

/* provider.write_chat, provider.write_count. */
int bedrock_write_chat(struct chat_call *c);
int bedrock_write_count(struct chat_call *c);
/* "messages" and "system". */
int bedrock_write_messages(struct bedrock_body *b);
int bedrock_write_system(struct bedrock_body *b);
/* "toolConfig", of the caller's tools or of ours (bedrock_plan). */
void bedrock_write_tools(struct bedrock_body *b);
/* A schema as the model takes it: Claude's have their own idea of one. JSON, memory of the arena or schema.
 */
struct str bedrock_schema(struct bedrock_body *b, struct str schema);
/* inferenceConfig, additionalModelRequestFields, outputConfig, and what else is set beside the messages. */
void bedrock_write_settings(struct bedrock_body *b);
/* The cachePoint that a mark asks for. */
void bedrock_write_cache_point(struct bedrock_body *b, struct str cache_control);

/* Where a schema is to be kept and the model has no other way, the answer is had as the arguments of a tool
 * (anthropic_json_tool); a schema that is no object's stands in its member "value". */
#define BEDROCK_JSON_VALUE "value"
/* Whether a request to this model is made so. */
bool bedrock_forces_json(const struct chat_request *in, struct str model);

/* ---- answers (bedrock_answer.c) */

/* provider.read_chat, .read_frame and .whole. */
int bedrock_read_chat(struct chat_reader *rd, struct str body, struct chat_answer *out);
enum frame_result bedrock_read_frame(struct chat_reader *rd, const struct chat_frame *frame);
bool bedrock_whole(struct chat_reader *rd);
/* Converse's usage object. False: it tells no counts. */
bool bedrock_read_usage(struct json_value usage, struct usage_tokens *out);

/* ---- what passes (bedrock_pass.c): the table's functions */

int bedrock_read_answer(struct request *r, struct str answer, struct failure *f);
struct stream_event bedrock_read_message(struct request *r, const struct chat_frame *m, struct failure *f);
struct str bedrock_write_exception(struct request *r, const struct failure *f);
void bedrock_read_head(struct request *r, const struct http_head *head);

/* ---- errors (bedrock_error.c) */

/* provider.read_error. */
void bedrock_read_error(struct request *r, int status, const struct http_head *headers, struct str body,
                        struct failure *f);
/* An exception inside of a stream, by its name. */
void bedrock_read_exception(struct request *r, struct str name, struct str payload, struct failure *f);

/* ---- embeddings (bedrock_embed.c) */

/* provider.write_embed and .read_embed. */
int bedrock_write_embed(struct chat_call *c, const struct embed_request *in);
int bedrock_read_embed(struct chat_reader *rd, const struct embed_request *in, struct str body,
                       struct embed_answer *out);

/* ---- credentials (bedrock_credential.c) */

int bedrock_prepare(struct request *r, const struct conf_provider *p, const struct patience *patience,
                    struct error *err);
int bedrock_authorize(const struct conf_provider *p, const struct signing *s, struct buf *head,
                      struct error *err);

#endif
