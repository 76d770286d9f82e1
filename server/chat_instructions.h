/* Conversations for models that know instructions only as their first message. */
#ifndef SERVER_CHAT_INSTRUCTIONS_H
#define SERVER_CHAT_INSTRUCTIONS_H

#include "chat.h"

/* The same conversation with one system message at most, in front. More of them in front become one; a later
 * one becomes what the user says at that place, between <system> and </system>, as part of a turn of the
 * user's beside it. Where nobody else says anything, the last one is the user's, as it is. In the arena; in
 * itself where nothing has to change. */
const struct chat_request *chat_instructions_first(const struct chat_request *in, struct arena *a);

#endif
