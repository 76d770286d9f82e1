/* What reading Claude's answers, whole (anthropic_answer.c) and as streams (anthropic_stream.c), has in
 * common.
 */
#ifndef SERVER_PROVIDERS_ANTHROPIC_ANSWER_H
#define SERVER_PROVIDERS_ANTHROPIC_ANSWER_H

#include "anthropic_chat.h"

/* Token counts as told; what a text does not tell stays. */
struct anthropic_told {
    uint64_t input, cache_write, cache_read, output, thinking;
    bool any;
};

/* False: no count that a model could have used. */
bool anthropic_take_count(struct json_value v, uint64_t *out);
void anthropic_take_usage(struct anthropic_told *t, struct json_value usage);
struct usage_tokens anthropic_tokens(const struct anthropic_told *t);

/* v is the string `word`, written without escapes. */
bool anthropic_word_is(struct json_value v, const char *word);
enum chat_finish anthropic_finish(struct json_value stop_reason);
/* -1, and *f says that the answer is none. */
int anthropic_malformed(struct failure *f, const char *what);

/* The tool by which the answer's form was forced. */
bool anthropic_is_json_tool(const struct chat_reader *rd, struct str name);
/* What it was given is the answer: its input, or of a wrapped one the member "value". */
struct str anthropic_json_answer(const struct chat_reader *rd, struct str input);

/* Members of a content block. */
enum anthropic_block_member {
    B_TYPE,
    B_TEXT,
    B_THINKING,
    B_SIGNATURE,
    B_DATA,
    B_ID,
    B_NAME,
    B_INPUT,
    B_CITATIONS,
    ANTHROPIC_BLOCK_MEMBERS
};
/* -1: it is no object. */
int anthropic_read_block(struct json_value block, struct json_value v[ANTHROPIC_BLOCK_MEMBERS]);

enum { ANTHROPIC_CITATION_ROOM = 192 }; /* of an annotation, beside six times what the citation takes */

/* Code points, which is what places in a text are counted in. */
uint64_t anthropic_count_chars(struct str s);
/* A citation as OpenAI's annotation of the characters [from, to), where it names a page on the web. */
void anthropic_put_citation(struct json_writer *w, struct json_value citation, uint64_t from, uint64_t to,
                            struct arena *a);

#endif
