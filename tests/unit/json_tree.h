/* json-c, where a tree is needed, beside our own scanner: both have an enum json_type, so json-c's goes by
 * another name here (its enumerators, json_type_string …, keep theirs). */
#ifndef SERVER_JSON_TREE_H
#define SERVER_JSON_TREE_H

#define json_type json_tree_type
#include <json-c/json.h>
#undef json_type

#include "json_scan.h"

typedef struct json_object json;

#endif
