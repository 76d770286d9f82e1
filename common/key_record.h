/* How keys and teams are written in the key store. */
#ifndef COMMON_KEY_RECORD_H
#define COMMON_KEY_RECORD_H

#include "keystore.h"

/* No encoded record is longer than this. */
enum { KEY_RECORD_MAX = sizeof(struct key_record) + 1024 };

/* Bytes written to out. */
size_t key_record_encode(const struct key_record *key, uint8_t out[KEY_RECORD_MAX]);
size_t team_record_encode(const struct team_record *team, uint8_t out[KEY_RECORD_MAX]);
/* 0; -1: cut short, of another version, or with a value that no writer of ours makes. *key is then not
 * usable. */
int key_record_decode(struct str bytes, struct key_record *key);
int team_record_decode(struct str bytes, struct team_record *team);

#endif
