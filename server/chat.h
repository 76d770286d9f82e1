/* The neutral form of a conversation, its answer and its stream: what every dialect of a caller is read into
 * and what every provider's request is made from, and back again.
 *
 *   caller's body → (chat_dialect.read) → chat_request → (provider.write_chat) → provider's body
 *   provider's answer → (provider.read_chat) → chat_answer → (chat_dialect.write) → caller's answer
 *   provider's stream → (provider.read_frame) → chat_delta … → (chat_dialect.delta) → caller's stream
 *
 * It is typed, not a JSON tree, so that what a translation forgets does not compile or is found by name, and
 * what only passes by (schemas, arguments, base64) stays the slice of the body that it was. Where the caller
 * speaks the provider's own dialect none of this happens: bytes pass.
 *
 * All memory is the request's arena's, or a slice of the body. Slices named "JSON" hold a valid JSON text,
 * everything else decoded text. An empty slice means: not given. Run by workers only. */
#ifndef SERVER_CHAT_H
#define SERVER_CHAT_H

#include "arena.h"
#include "buf.h"
#include "json_scan.h"
#include "str.h"
#include "usage.h"

/* ---- the conversation */

enum chat_role { CHAT_SYSTEM /* developer, too */, CHAT_USER, CHAT_ASSISTANT };

enum chat_part_kind {
    PART_TEXT,
    PART_IMAGE,
    PART_FILE, /* a document: PDF, text */
    PART_AUDIO,
    PART_TOOL_CALL,   /* assistant */
    PART_TOOL_RESULT, /* user: stands at the front of its turn */
    PART_THINKING,    /* assistant */
    PART_REDACTED,    /* assistant: thinking that only its provider can read */
    PART_REFUSAL,     /* assistant */
};

/* Who made a signature (or redacted data), hence who can read it. A dialect that isn't its maker's carries it
 * all the same, so that it survives the way to the client and back; a provider gets only its own.
 *   OpenAI chat:  thinking → message.thinking_blocks [{type:"thinking",thinking,signature} |
 *                 {type:"redacted_thinking",data}] beside reasoning_content; of a text or tool call →
 *                 extra_content.google.thought_signature (Google's own way)
 *   Responses:    reasoning item with encrypted_content; function_call.extra_content
 *   Anthropic:    its own as they are; Google's of a text or tool call → extra_content of the block;
 *                 foreign ones of thinking (and redacted data) behind "google:" or "openai:"
 *   Google:       thoughtSignature; a foreign one is base64 of "anthropic:" or "openai:" and the signature */
enum chat_signer { SIGNER_NONE, SIGNER_ANTHROPIC, SIGNER_GOOGLE, SIGNER_OPENAI };

struct chat_part {
    enum chat_part_kind kind;
    struct str text;      /* TEXT, THINKING, REFUSAL; FILE of plain text */
    struct str signature; /* THINKING; TEXT and TOOL_CALL of Google's */
    enum chat_signer signer;

    /* IMAGE, FILE, AUDIO: one of data, url, file_id. REDACTED: data */
    struct str data; /* base64 as it was given, without "data:…;base64," */
    struct str mime; /* "image/png"; where not given, sniffed by chat_media_type */
    struct str url;
    struct str file_id; /* at its provider */
    struct str name;    /* a file's; a tool call's; a tool result's (filled by chat_settle from its call) */
    struct str detail;  /* IMAGE: "auto" | "low" | "high" */

    struct str id;        /* TOOL_CALL, TOOL_RESULT: the call's */
    struct str arguments; /* TOOL_CALL: JSON text as the model wrote it; may be empty ({} is meant), and not
                             valid (chat_arguments gives a valid object) */
    bool custom;   /* TOOL_CALL: of a custom tool, whose input is `text`. In a request, arguments hold the
                      same for the function that stands for it (custom_tool.h) */
    bool is_error; /* TOOL_RESULT */
    struct chat_part *parts; /* TOOL_RESULT: its content (TEXT, IMAGE, FILE) */
    size_t n_parts;
    const struct chat_message
        *called_in; /* TOOL_RESULT: its call's turn, filled by chat_settle; NULL: none */

    struct str cache_control; /* JSON, Anthropic's form: {"type":"ephemeral"}. On the part it stands on */
};

struct chat_message {
    enum chat_role role;
    struct str name; /* OpenAI's participant name */
    struct chat_part *parts;
    size_t n_parts;
    bool google_signed; /* a call of it has a signature of Google's (filled by chat_settle) */
};

enum chat_tool_kind {
    TOOL_FUNCTION,
    TOOL_CUSTOM, /* OpenAI's: takes one text, no JSON */
    TOOL_SEARCH, /* OpenAI's: the caller looks for more tools */
};

/* Whatever its kind, it is a function to who has no other: name, description and schema are that one's. */
struct chat_tool {
    enum chat_tool_kind kind;
    struct str name, description;
    struct str schema; /* JSON of its parameters; empty: takes none */
    int strict;        /* -1: not said */
    struct str cache_control;
    struct str space, own_name; /* its namespace and its name in there (Responses); empty: it is in none */
    struct str own_description, syntax, definition; /* TOOL_CUSTOM: without the grammar; the grammar */
};

enum chat_choice_kind {
    TOOLS_DEFAULT /* auto where there are tools */,
    TOOLS_AUTO,
    TOOLS_NONE,
    TOOLS_REQUIRED,
    TOOLS_NAMED
};
enum chat_format { FORMAT_TEXT, FORMAT_JSON, FORMAT_SCHEMA };
enum chat_thinking {
    THINKING_DEFAULT,
    THINKING_OFF,
    THINKING_ON /* as the model sees fit */,
    THINKING_BUDGET,
    THINKING_EFFORT
};

/* Parameters: whatever may be dropped where a target has no such thing. A provider takes with chat_take what
 * it honours; what nobody took is named in x-aigw-dropped-params, or refused where the model is strict. */
enum chat_param {
    PARAM_MAX_TOKENS,
    PARAM_TEMPERATURE,
    PARAM_TOP_P,
    PARAM_TOP_K,
    PARAM_STOP, /* values in chat_request.stop */
    PARAM_SEED,
    PARAM_N,
    PARAM_PRESENCE_PENALTY,
    PARAM_FREQUENCY_PENALTY,
    PARAM_LOGPROBS,     /* true/false */
    PARAM_TOP_LOGPROBS, /* number */
    PARAM_LOGIT_BIAS,
    PARAM_USER,     /* end user's id (user, safety_identifier, metadata.user_id) */
    PARAM_METADATA, /* OpenAI's map */
    PARAM_SERVICE_TIER,
    PARAM_VERBOSITY,
    PARAM_PARALLEL_TOOLS, /* value in chat_request.parallel_tools */
    PARAM_THINKING,       /* values in chat_request.thinking */
    PARAM_CACHE_CONTROL,  /* there are cache_control marks */
    PARAM_CACHE_KEY,      /* prompt_cache_key */
    PARAM_MODALITIES,     /* asks for other than text */
    PARAM_PREDICTION,
    PARAM_SAFETY_SETTINGS, /* Google's */
    PARAM_TOOL_FORMAT,     /* grammars of custom tools: told to the model, but not enforced */
    CHAT_PARAMS
};

struct chat_param_value {
    const char *name; /* as the caller's dialect calls it ("generationConfig.topK"); NULL: not given */
    struct str value; /* JSON */
};

struct chat_extra { /* a member that the neutral form has no place for: never honoured, always named */
    struct str name;
};

struct chat_request {
    struct str model; /* the caller's */
    bool stream;
    struct chat_message *messages; /* system ones are usually first, but may stand anywhere */
    size_t n_messages;

    struct chat_tool *tools;
    size_t n_tools;
    bool too_many; /* tools, or allowed ones: chat_read refuses it */
    enum chat_choice_kind tool_choice;
    struct str tool_name; /* TOOLS_NAMED */
    struct str *allowed;  /* only these of the tools may be called (OpenAI's allowed_tools, Google's
                             allowedFunctionNames); NULL: all. A provider without such a thing leaves the
                             others out (but see chat_request.tools in a history) */
    size_t n_allowed;
    int parallel_tools; /* -1: not said */

    enum chat_format format;
    struct str format_name, format_description, format_schema /* JSON */;
    int format_strict; /* -1: not said */

    enum chat_thinking thinking;
    uint32_t thinking_budget;   /* THINKING_BUDGET: tokens */
    struct str thinking_effort; /* THINKING_EFFORT: minimal, low, medium, high, xhigh, max */
    int thinking_shown;         /* includeThoughts, reasoning.summary; -1: not said */

    struct str *stop;
    size_t n_stop;

    struct chat_param_value params[CHAT_PARAMS];
    struct chat_extra *extras;
    size_t n_extras;
};

/* ---- the answer */

enum chat_finish {
    FINISH_NONE, /* not told (yet) */
    FINISH_STOP,
    FINISH_STOP_SEQUENCE,
    FINISH_LENGTH,
    FINISH_TOOL_CALLS,
    FINISH_CONTENT_FILTER, /* the provider's filter */
    FINISH_REFUSAL,        /* the model's own, told as the reason; a refusal part explains it */
    FINISH_DECLINED, /* the model's own, told as the answer: its refusal parts are what it said (OpenAI) */
    FINISH_PAUSE,    /* Anthropic's pause_turn: send it back to go on */
    FINISH_ERROR,    /* broke off at the provider: nothing usable may be there (malformed tool call …) */
};

struct chat_choice {
    struct chat_part *parts; /* THINKING, REDACTED, TEXT, IMAGE, REFUSAL, TOOL_CALL in the order they came */
    size_t n_parts;
    enum chat_finish finish;
    struct str stop_sequence; /* FINISH_STOP_SEQUENCE, where told */
    struct str logprobs;      /* JSON, OpenAI's form: {"content":[…],"refusal":null} */
    struct str annotations;   /* JSON array, OpenAI's form: [{"type":"url_citation",…}] */
};

struct chat_answer {
    struct str id, model; /* as the provider tells them; may be empty */
    int64_t created;      /* Unix time; 0: not told */
    struct chat_choice *choices;
    size_t n_choices;
    struct usage_tokens usage; /* input includes cached and written, output includes reasoning */
    bool usage_known;
};

/* ---- the stream */

enum chat_delta_kind {
    DELTA_START,     /* id, model: once, before all others (chat_reader's emit sees to it where a provider has
                        none) */
    DELTA_TEXT,      /* text; signature: Google's, of this text so far */
    DELTA_THINKING,  /* text; a signature ends the block: the next THINKING begins another */
    DELTA_REDACTED,  /* data, signer */
    DELTA_REFUSAL,   /* text; finish: FINISH_REFUSAL where it only explains why there is no (more) answer */
    DELTA_TOOL,      /* a tool call begins: tool, id, name (neither empty), signature, custom */
    DELTA_ARGUMENTS, /* text: more of call `tool`'s arguments, or of its input (custom). Calls may interleave
                      */
    DELTA_IMAGE,     /* data, mime or url */
    DELTA_LOGPROBS,  /* json: OpenAI's form, of the text since the last one */
    DELTA_ANNOTATIONS, /* json: array */
    DELTA_FINISH,      /* finish, stop_sequence: once a choice, its last; later ones are ignored by emit */
    DELTA_USAGE,       /* usage: all of it so far; the last one counts */
};

struct chat_delta {
    enum chat_delta_kind kind;
    uint32_t choice; /* index */
    uint32_t
        tool; /* TOOL, ARGUMENTS: index of the call within its choice: 0, 1, 2 … in the order they begin */
    bool custom; /* TOOL, ARGUMENTS: a call of a custom tool */
    bool whole;  /* ARGUMENTS: nothing follows that counts */
    struct str text, id, name, model, data, mime, url, json;
    struct str signature;
    enum chat_signer signer;
    enum chat_finish finish;
    struct str stop_sequence;
    struct usage_tokens usage;
    int64_t created; /* START: 0: not told */
};

/* ---- helpers (chat.c) */

/* Adds text to a buf whose memory is the arena's and grows by doubling; what it may hold is the caller's to
 * bound.
 */
void chat_hold(struct buf *b, struct str text, struct arena *a);

/* Notes a parameter as given. value: its JSON. A null counts as not given. */
void chat_set_param(struct chat_request *c, enum chat_param p, const char *name, struct json_value value);
/* Notes a member that has no place here. */
void chat_add_extra(struct chat_request *c, struct arena *a, struct str name);

/* Growing arrays in the arena: each returns a new zeroed element. *p and *n are the array. */
struct chat_message *chat_add_message(struct chat_request *c, struct arena *a, enum chat_role role);
struct chat_part *chat_add_part(struct chat_part **p, size_t *n, struct arena *a, enum chat_part_kind kind);
struct chat_tool *chat_add_tool(struct chat_request *c, struct arena *a);
struct chat_choice *chat_add_choice(struct chat_answer *answer, struct arena *a);
void chat_add_stop(struct chat_request *c, struct arena *a, struct str text);
void chat_add_allowed(struct chat_request *c, struct arena *a, struct str name);

/* After a dialect has read a request: drops empty texts, merges neighbours of the same role, puts the tool
 * results of a turn first and in the order of their calls, names them after their calls, and sets
 * PARAM_CACHE_CONTROL where there are marks. Called by chat_read, not by dialects. */
void chat_settle(struct chat_request *c, struct arena *a);

/* The arguments of a call as a valid JSON object: "{}" for none; what is no JSON object is wrapped as
 * {"_raw":"…"}. */
struct str chat_arguments(struct str arguments, struct arena *a);
/* "data:image/png;base64,AAAA" → mime and data. False: it is no base64 data URL. */
bool chat_data_url(struct str url, struct str *mime, struct str *data);
/* Base64 as every provider takes it: of the standard alphabet, padded, nothing between. Both alphabets, line
 * breaks and missing padding are mended. False: it is something else, or empty. */
bool chat_base64(struct str *data, struct arena *a);
/* By the first bytes of base64 data: "image/png", "application/pdf" …; empty: not known. */
struct str chat_media_type(struct str data);
/* A made-up id: "call_" and 24 characters that nobody else has. */
struct str chat_make_id(struct arena *a, const char *prefix);
/* A JSON text with spaces for the line ends between its tokens: it may stand in an event's line of data. */
struct str chat_one_line(struct str json, struct arena *a);
/* All TEXT of parts in one piece, `between` them. */
struct str chat_text(const struct chat_part *parts, size_t n, struct str between, struct arena *a);
bool chat_has(const struct chat_part *parts, size_t n, enum chat_part_kind kind);
/* Some message has a part of that kind. */
bool chat_request_has(const struct chat_request *c, enum chat_part_kind kind);
/* The tool of that name; NULL: none. */
const struct chat_tool *chat_tool(const struct chat_request *c, struct str name);
bool chat_tool_allowed(const struct chat_request *c, struct str name);
/* It came to an end of its own, or to the most that it may have: not filtered, refused, paused or broken off.
 */
bool chat_finish_is_proper(enum chat_finish f);
/* OpenAI's word: "stop", "length", "tool_calls", "content_filter"; NULL for FINISH_NONE. */
const char *chat_finish_name(enum chat_finish f);
/* A whole answer, told as a stream. */
void chat_answer_deltas(const struct chat_answer *answer, void (*emit)(void *arg, const struct chat_delta *d),
                        void *arg);

#endif
