/* What lies between a provider's reader and a dialect's writer while a translated stream runs. */
#ifndef SERVER_CHAT_STREAM_H
#define SERVER_CHAT_STREAM_H

#include "chat_dialect.h"
#include "provider.h"

enum { MAX_CHAT_CHOICES = 128 };

/* Keeps the order that the contract of chat_delta promises: START first, one FINISH a choice, nothing behind
 * it; counts what metering needs, and hands everything on to the writer. */
struct chat_sink {
    struct chat_reader *reader;
    struct chat_writer *writer;
    struct buf *out; /* where the writer writes */
    bool started;
    bool content; /* something generated has come */
    uint64_t text_bytes;
    uint32_t n_choices; /* highest seen, + 1 */
    bool finished[MAX_CHAT_CHOICES];
    bool improper;                /* one of them did not finish as it should (chat_finish_is_proper) */
    bool tools[MAX_CHAT_CHOICES]; /* a tool call was seen: a FINISH_STOP then means FINISH_TOOL_CALLS */
    struct custom_call *customs;  /* under way, of tools that are functions to the provider */
};

void chat_sink_take(struct chat_sink *s, const struct chat_delta *d);
/* All choices seen, at least one, have had their FINISH. */
bool chat_sink_finished(const struct chat_sink *s);

#endif
