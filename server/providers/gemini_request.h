/* What the files share that write Google's GenerateContent request: gemini_request.c (the body, and tools),
 * gemini_contents.c (the conversation), gemini_settings.c (generationConfig). For these only. */
#ifndef SERVER_PROVIDERS_GEMINI_REQUEST_H
#define SERVER_PROVIDERS_GEMINI_REQUEST_H

#include "gemini_chat.h"
#include "json_write.h"

/* The request that is being written, and what is known of its model. */
struct gemini_writer {
    struct chat_call *c;
    struct json_writer w;
    bool vertex;
    unsigned generation;
    const char *role; /* of the content that is open; NULL: none */
    bool json_tool;   /* the schema is a tool's (GEMINI_JSON_TOOL) */
    bool no_format;   /* … or nobody's: another tool has to be called */
    bool json_told;   /* … or a JSON object is asked for in words */
    bool ids;         /* the model tells calls apart by ids */
};

/* "systemInstruction" and "contents". -1: *g->c->f. */
int gemini_put_contents(struct gemini_writer *g);
/* "generationConfig". -1: *g->c->f. */
int gemini_put_config(struct gemini_writer *g);

#endif
