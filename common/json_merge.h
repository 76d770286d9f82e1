/* A JSON value that grows: others are merged into it piece by piece, as the events of a stream bring them.
 * Members that nobody has told us of are merged like all others; numbers and texts stay written as they came.
 *
 * A piece is kept as the text that it is, and taken apart only when something is merged into it. All pieces
 * must be validated (json_scan) before they come here; they are copied. */
#ifndef COMMON_JSON_MERGE_H
#define COMMON_JSON_MERGE_H

#include "arena.h"
#include "json_scan.h"
#include "json_write.h"

struct json_node {
    enum json_type type; /* JSON_ABSENT: nothing has come yet, or it was taken out; it is not written */
    bool open;           /* an object or array whose content is in `first` … */
    struct buf raw;      /* … else its text is here */
    struct str name;     /* a member's, as it is written between its quotes */
    int64_t index;       /* of an element that json_node_at made; else the caller's own */
    struct buf held;     /* the caller's own (json_merge_hold); not written */
    uint32_t turn;       /* of the last merged object that had this member */
    uint32_t n_children;
    struct json_node *first, *last, *next;
};

struct json_merge {
    struct arena arena;
    size_t max;     /* of the arena */
    uint32_t turns; /* objects that were merged so far */
    bool failed; /* it would have become more than that, or pieces did not fit together: nothing is done from
                    then on */
};

enum merge_mode {
    MERGE_JOIN,    /* texts and arrays are joined; ids, types, roles and signatures, told again, are not */
    MERGE_REPLACE, /* the last text and the last array count */
    MERGE_COLLECT, /* the last text counts; arrays are joined, unless one repeats what there is already */
};

void json_merge_init(struct json_merge *m, size_t max);
void json_merge_fini(struct json_merge *m);
/* Adds to a text that grows; its memory is the arena's. */
void json_merge_hold(struct json_merge *m, struct buf *b, struct str text);

struct json_node *json_node_new(struct json_merge *m);
/* v in the place of what was there. */
void json_node_set(struct json_merge *m, struct json_node *n, struct json_value v);
/* A null changes nothing; numbers and truth values replace each other. What is of another kind than what is
 * there replaces it, or, with MERGE_JOIN, does not fit. */
void json_node_merge(struct json_merge *m, struct json_node *n, struct json_value v, enum merge_mode mode);
/* Each member of the object v but those named (NULL ends the list). n becomes an object if it was nothing. */
void json_node_merge_members(struct json_merge *m, struct json_node *n, struct json_value v,
                             enum merge_mode mode, const char *const but[]);

/* The member of that (raw) name, made where it is missing; n becomes an object if it was nothing. */
struct json_node *json_node_member(struct json_merge *m, struct json_node *n, struct str name);
/* NULL: there is none. */
struct json_node *json_node_find(struct json_merge *m, struct json_node *n, const char *name);
/* The element with that index, made where it is missing: elements stand in the order of their indices. n
 * becomes an array if it was nothing. */
struct json_node *json_node_at(struct json_merge *m, struct json_node *n, int64_t index);
/* One more element. */
struct json_node *json_node_push(struct json_merge *m, struct json_node *n);
/* Takes an object or array apart, so that n->first can be walked. */
void json_node_open(struct json_merge *m, struct json_node *n);

void json_node_write(const struct json_node *n, struct json_writer *w);

#endif
