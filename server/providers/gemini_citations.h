/* Google's grounding and citations as annotations in OpenAI's form. For gemini_answer.c only. */
#ifndef SERVER_PROVIDERS_GEMINI_CITATIONS_H
#define SERVER_PROVIDERS_GEMINI_CITATIONS_H

#include "chat.h"

enum {
    GEMINI_MAX_SAID =
        2 * 1024 * 1024,        /* bytes of a stream's text that are kept, for the places of citations */
    GEMINI_MAX_CITATIONS = 256, /* of a candidate */
    GEMINI_STRIDE = 4096,
};

/* What a candidate has said and cited so far. */
struct gemini_said {
    struct buf text;                      /* the arena's (chat_hold) */
    uint64_t cited[GEMINI_MAX_CITATIONS]; /* hashes of the citations that were told */
    size_t n_cited;
    uint32_t before[GEMINI_MAX_SAID / GEMINI_STRIDE + 1]; /* characters before each stride of text … */
    size_t n_before;                                      /* … as far as that was counted */
};

/* The citations that were not told before: a JSON array of annotations, memory of a; empty where there are
 * none. grounding, citations: a candidate's groundingMetadata and citationMetadata. */
struct str gemini_new_citations(struct gemini_said *s, struct json_value grounding,
                                struct json_value citations, struct arena *a);

#endif
