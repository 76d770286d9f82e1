/* Reads a JSON array of objects element by element, however its bytes are cut. Only how deep brackets are
 * nested is followed, and what stands in strings: what an element holds is for others to judge. */
#ifndef COMMON_JSON_ARRAY_H
#define COMMON_JSON_ARRAY_H

#include "buf.h"
#include "str.h"

struct json_array_reader {
    struct buf in;  /* bytes fed */
    size_t seen;    /* bytes at the front of `in` that returned elements cover, dropped by the next feed */
    size_t scanned; /* … and that were looked at */
    size_t value;   /* where the element that is open begins */
    unsigned depth; /* of brackets open in it; 0: none is */
    bool in_string, escaped;
    uint8_t place; /* between elements: what may come */
    bool broken;   /* it is no array of objects, or an element is too large; stays so */
};

struct json_array_element {
    struct str raw; /* all bytes since the one before, brackets, commas and white space included: those of all
                       elements together are the array */
    struct str value; /* the object; empty: the array's end */
};

void json_array_init(struct json_array_reader *r);
void json_array_free(struct json_array_reader *r);
/* Takes over a copy of the bytes, at most MAX_STREAM_READ at a time, once json_array_next has returned 0. -1:
 * it is broken, or holds more than MAX_ARRAY_ELEMENT. */
int json_array_feed(struct json_array_reader *r, struct str bytes);
/* 1: *e is the next element, or the end, valid until the next feed. 0: more bytes are needed. -1: broken.
 * Behind the end white space alone may come. */
int json_array_next(struct json_array_reader *r, struct json_array_element *e);
/* Bytes fed that no element has covered, but for white space behind the end. */
size_t json_array_pending(const struct json_array_reader *r);

#endif
