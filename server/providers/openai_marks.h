/* The quick look at an event of a stream that every one of them gets. For openai*.c. */
#ifndef SERVER_PROVIDERS_OPENAI_MARKS_H
#define SERVER_PROVIDERS_OPENAI_MARKS_H

#include "str.h"

/* The members of an event (or answer) that decide whether it is looked at closely, found in one pass without
 * parsing: a name inside of a string has its quotes escaped, so what is found is a member (or a string that
 * equals its name, and then no colon follows). */
enum openai_mark {
    MARK_CONTENT,
    MARK_TEXT,
    MARK_ARGUMENTS,
    MARK_REASONING, /* "reasoning_content" */
    MARK_REASONING_SHORT,
    MARK_THINKING,
    MARK_DELTA,
    MARK_USAGE,
    MARK_ERROR,
    MARK_INDEX,
    MARK_TOOL_CALLS,
    MARK_FINISH,
    MARK_NAME,
    MARK_ANNOTATIONS,
    MARK_IMAGES,
    MARK_ROLE,
    MARK_ID,
    OPENAI_MARKS
};

struct openai_marks {
    const char *value[OPENAI_MARKS]; /* where the first one's value begins; NULL: there is none */
    const char *usage;               /* where the quote of the last "usage" is */
    uint16_t count[OPENAI_MARKS];
};

void openai_find_marks(struct str data, struct openai_marks *out);

#endif
