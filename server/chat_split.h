/* The inverse of chat_assemble: tells a complete JSON answer as the events of a streamed one, so that a
 * cached answer can serve a streaming request. Deterministic; putting the deltas together again gives the
 * same answer. */
#ifndef SERVER_CHAT_SPLIT_H
#define SERVER_CHAT_SPLIT_H

#include "str.h"

/* Calls emit() with the data of each event (no "data: ", no line end), "[DONE]" last. with_usage: the usage
 * chunk is among them. 0; -1 without any call of emit when `answer` is no chat or text completion; -1 as soon
 * as emit returns non-zero. */
int chat_split(struct str answer, bool with_usage, int (*emit)(struct str data, void *arg), void *arg);

#endif
