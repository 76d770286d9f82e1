/* The built-in provider: answers as an OpenAI-compatible one would, from nothing but the request and its
 * settings, so that a newcomer, a test or a rehearsal needs no vendor. No I/O but the reading of recorded
 * answers and no clock: a script says which bytes come when, upstream_virtual.c plays it.
 *
 * Deterministic: equal requests get equal bytes, and the same ones of 1,000 fail. */
#ifndef SERVER_VIRTUAL_H
#define SERVER_VIRTUAL_H

#include "arena.h"
#include "buf.h"
#include "config.h"
#include "json_scan.h"

struct virtual_call {
    struct str method, path; /* path behind the base URL's, without the query: "/chat/completions" */
    struct str content_type;
    struct str body;
};

enum virtual_end {
    VIRTUAL_KEEP,
    VIRTUAL_CUT /* the connection closes */,
    VIRTUAL_HANG /* nothing more ever */
};

struct virtual_piece {
    size_t end;     /* bytes of text up to here … */
    uint64_t at_ms; /* … come this long after the request */
};

struct virtual_script {
    struct buf text;   /* the answer as it goes over the wire, head and framing included */
    struct buf pieces; /* struct virtual_piece, in order */
    enum virtual_end end;
};

/* Empty; given back with virtual_script_free. */
void virtual_script_init(struct virtual_script *s);
void virtual_script_free(struct virtual_script *s);
/* How many pieces; *out: the script's own. */
size_t virtual_pieces(const struct virtual_script *s, const struct virtual_piece **out);

/* Fills an empty script: the same call gets the same answer, and the same fault, each time. */
void virtual_answer(const struct conf_virtual *v, const struct virtual_call *call,
                    struct virtual_script *out);

/* ---- between the virtual_*.c files: one answer being made */

struct virtual_making {
    const struct conf_virtual *v;
    const struct virtual_call *call;
    struct virtual_script *script;
    struct arena arena;
    uint64_t hash;    /* of method, path and body */
    uint64_t at_ms;   /* when the next piece comes */
    struct str model; /* "virtual" when the request names none */
    bool stream;
};

/* A whole JSON answer; an OpenAI error object. */
void virtual_json(struct virtual_making *m, int status, struct str body);
void virtual_error(struct virtual_making *m, int status, const char *type, const char *code,
                   const char *message);
/* A streamed answer: head, events ("data: " is added; `name` NULL: no event line), end. */
void virtual_stream_begin(struct virtual_making *m);
void virtual_stream_event(struct virtual_making *m, const char *name, struct str data);
void virtual_stream_end(struct virtual_making *m);
/* The raw answer text (recorded): whole, or event by event. */
void virtual_stream_raw(struct virtual_making *m, struct str events);

/* The next of a series that its state alone determines. */
uint64_t virtual_random(uint64_t *state);
/* How many tokens so much text is counted as. */
uint64_t virtual_tokens(size_t bytes);
/* The generated answer: the prompt's beginning, then words, as long as the settings say and at most
 * max_tokens (0: no limit); *cut: it was stopped by that. */
struct str virtual_text(struct virtual_making *m, struct str prompt, uint64_t max_tokens, bool *cut);
/* How many bytes of text the next chunk takes (whole UTF-8 sequences). */
size_t virtual_chunk(const struct virtual_making *m, struct str text);
/* Adds some JSON value that fits the JSON schema. */
void virtual_instance(struct buf *b, struct str schema, struct arena *a, unsigned depth);

void virtual_chat(struct virtual_making *m);        /* virtual_chat.c */
void virtual_completions(struct virtual_making *m); /* virtual_chat.c */
void virtual_responses(struct virtual_making *m);   /* virtual_responses.c */
void virtual_embeddings(struct virtual_making *m);  /* virtual_embeddings.c */
void virtual_moderations(struct virtual_making *m); /* virtual_embeddings.c */
void virtual_models(struct virtual_making *m);      /* virtual_files.c */
void virtual_files(struct virtual_making *m);       /* virtual_files.c */

#endif
