/* OpenAI's custom (freeform) tools, which take one text instead of JSON, for everybody who has none: towards
 * a provider such a tool is a function with one string, `input`; what the model answers comes back to the
 * caller as that string, whole or piece by piece as it is streamed. Run by workers only.
 *
 * A grammar for the text is told to the model in the tool's description; nobody but OpenAI enforces it. */
#ifndef SERVER_CUSTOM_TOOL_H
#define SERVER_CUSTOM_TOOL_H

#include "chat.h"

/* Makes t a custom tool: its kind, its schema, and its description, which says the grammar. Before:
 * own_description, syntax ("lark", "regex") and definition are set; empty: none. */
void custom_tool_settle(struct chat_tool *t, struct arena *a);
/* The arguments of a call of the function that stands for it: {"input":"…"}. */
struct str custom_tool_arguments(struct str input, struct arena *a);

/* The arguments of such a call on their way back, cut anywhere. An object with the string `input` becomes
 * that string (what follows it is left out, an escape that is none stays as it is), one without members no
 * text, and anything else is the text itself. Zeroed at first. */
struct custom_input {
    enum { INPUT_BEGINS, INPUT_TEXT, INPUT_ENDED, INPUT_OTHER } state;
    size_t begun;    /* INPUT_BEGINS: characters of {"input":" so far */
    struct buf held; /* INPUT_BEGINS, INPUT_OTHER: all that has come; memory of the arena */
    char escape[6];  /* INPUT_TEXT: one that has not come whole */
    size_t n_escape;
    uint32_t high; /* the first half of a pair of surrogates; 0: none */
};

/* Adds to *out what of the input is certain now. *out: memory of `scratch`, as chat_hold makes it grow. */
void custom_input_take(struct custom_input *c, struct str arguments, struct arena *a, struct buf *out,
                       struct arena *scratch);
/* … and, where no more comes, the rest. */
void custom_input_end(struct custom_input *c, struct buf *out, struct arena *scratch);

/* The input in whole arguments. */
struct str custom_tool_input(struct str arguments, struct arena *a);
/* Makes custom calls of an answer's calls of the functions that stand for the request's custom tools. */
void custom_tool_answer(const struct chat_request *in, struct chat_answer *answer, struct arena *a);

#endif
