/* What the dialects' parts of stream_tell have in common. For stream_tell*.c only. */
#ifndef SERVER_STREAM_TELLER_H
#define SERVER_STREAM_TELLER_H

#include "json_scan.h"
#include "json_write.h"
#include "stream_tell.h"

struct teller {
    const struct stream_tell *how;
    struct str answer; /* valid, and without line ends */
    struct arena *arena;
    struct buf *out;
    int events;
};

/* The next piece of a text, about what a vendor sends at a time, cut between characters. */
struct str tell_piece(struct str *text);
/* "event: NAME" and the beginning of its data: {"type":"NAME" */
struct json_writer tell_begin(struct teller *t, const char *name);
/* The object's end, and the event's. */
void tell_end(struct teller *t, struct json_writer *w);
/* Each member of the object as it is, but those named. NULL ends the list. */
void tell_members(struct json_writer *w, struct json_value object, const char *const but[]);
bool tell_named(struct str name, const char *const names[]);
bool tell_is(struct json_value v, const char *text);

/* -1: not such an answer. */
int tell_messages(struct teller *t);
int tell_responses(struct teller *t);

#endif
