/* What the files share that read Google's GenerateContentRequest: google_request.c (the body, and tools),
 * google_contents.c (the conversation), google_config.c (generationConfig). For these only. */
#ifndef SERVER_DIALECTS_GOOGLE_READING_H
#define SERVER_DIALECTS_GOOGLE_READING_H

#include "google_request.h"

enum { GOOGLE_MAX_CALLS = 1024, GOOGLE_MAX_PLACE = 160 };

/* A call of the conversation, which a result may be of. */
struct google_call {
    struct str google_id, id, name; /* google_id: as the caller has it; may be empty */
    bool answered;
};

struct google_reading {
    struct request *r;
    struct arena *a;
    struct chat_request *out;
    struct failure *f;
    struct google_call calls[GOOGLE_MAX_CALLS]; /* the latest ones */
    size_t n_calls;                             /* all there were */
};

/* ---- where something is wrong */

/* "contents[3].parts[0]" */
struct google_place {
    char text[GOOGLE_MAX_PLACE];
};

/* A place within another ("": the body). */
struct google_place google_at(const char *within, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Always -1, with a 400 that begins with the place. */
int google_wrong(struct google_reading *g, const char *place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same: a feature that only Google has. */
int google_refuse(struct google_reading *g, const char *place, struct str name);

/* Members without a place in the neutral form, named (google_fields). */
struct google_extras {
    struct google_reading *g;
    const char *within; /* "": the body */
};
void google_note_extra(void *extras, struct str name, struct json_value value);

/* ---- members; 0, or -1 with *g->f */

int google_read_contents(struct google_reading *g, struct json_value contents);
int google_read_instruction(struct google_reading *g, struct json_value v);
int google_read_config(struct google_reading *g, struct json_value config);

#endif
