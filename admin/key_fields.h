/* A key as the API shows and takes it. */
#ifndef ADMIN_KEY_FIELDS_H
#define ADMIN_KEY_FIELDS_H

#include "fields.h"
#include "keystore.h"

/* What a body may say of a key. */
struct key_request {
    struct key_record record;
    char given[MAX_KEY]; /* a key taken over; empty: none */
};

/* Reads the body into q, which holds the present record (or a zeroed one): 0, or -1, answered.
 * creating: "key" is allowed. */
int key_fields_read(struct str body, bool creating, struct key_request *q, struct arena *a, struct reply *r);
/* All members of the key's object, without its braces. */
void key_fields_write(struct json_writer *w, const struct key_record *k);

#endif
