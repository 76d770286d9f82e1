/* The audit log: who changed what, when. Never a secret. */
#ifndef ADMIN_AUDIT_H
#define ADMIN_AUDIT_H

#include "call.h"

/* Notes that `action` was done to `object`. fields: the JSON object of the call's body, whose members are
 * noted with their new values, but "key" without (STR_NULL: none). A store that takes no line is logged with
 * the line, so that it is kept there. */
void audit_note(const struct call *c, const char *action, const char *object, struct str fields);

#endif
