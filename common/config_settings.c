/* The table of settings, made from settings.def. Offsets and sizes are the compiler's, so that a setting
 * can't be written to a field of another width. */
#include "config_settings.h"

typedef struct config section_ROOT;
typedef struct conf_listen section_LISTEN;
typedef struct conf_tls section_TLS;
typedef __typeof__(((struct config *)0)->admin) section_ADMIN;
typedef __typeof__(((struct config *)0)->workers) section_WORKERS;
typedef __typeof__(((struct config *)0)->http) section_HTTP;
typedef struct conf_timeouts section_TIMEOUTS;
typedef __typeof__(((struct config *)0)->media) section_MEDIA;
typedef __typeof__(((struct config *)0)->cache) section_CACHE;
typedef __typeof__(((struct config *)0)->limits) section_LIMITS;
typedef __typeof__(((struct config *)0)->ledger) section_LEDGER;
typedef __typeof__(((struct config *)0)->log) section_LOG;
typedef struct conf_provider section_PROVIDER;
typedef struct conf_timeouts section_PROVIDER_TIMEOUTS;
typedef struct conf_virtual section_VIRTUAL;
typedef struct conf_model section_MODEL;
typedef struct conf_target section_TARGET;
typedef struct price section_PRICE;

const char config_must[] = "";

#define MUST config_must
#define NONE NULL

#define COMMON(s, m, n, k, h)                                               \
    .section = s, .kind = k, .name = n, .offset = offsetof(section_##s, m), \
    .size = sizeof(((section_##s *)0)->m), .help = h, .on_offset = -1

/* Number: default, smallest, largest, unit. */
#define NUM(s, m, n, d, lo, hi, u, h) \
    {COMMON(s, m, n, SETTING_NUM, h), .def = (d), .min = (lo), .max = (hi), .unit = (u)},
#define FLAG(s, m, n, d, h) {COMMON(s, m, n, SETTING_FLAG, h), .def = (d)},
/* Text: default, what it has to look like, an example. */
#define TEXT(s, m, n, d, c, e, h) \
    {COMMON(s, m, n, SETTING_TEXT, h), .def = (d), .check = (c), .example = (e)},
#define PATH(s, m, n, d, e, h) TEXT(s, m, n, d, TEXT_PATH, e, h)
/* One of the words a|b: kept as text, or as its place in the list. */
#define CHOICE(s, m, n, c, d, h) {COMMON(s, m, n, SETTING_CHOICE, h), .def = (d), .choices = (c)},
#define INDEX(s, m, n, c, d, h)  {COMMON(s, m, n, SETTING_INDEX, h), .def = (d), .choices = (c)},
/* A group of another section's settings; with ON, a flag beside them tells that it was given. */
#define GROUP(s, m, n, c, h) {COMMON(s, m, n, SETTING_GROUP, h), .child = c},
#define GROUP_ON(s, m, n, c, o, h)       \
    {.section = s,                       \
     .kind = SETTING_GROUP,              \
     .name = n,                          \
     .offset = offsetof(section_##s, m), \
     .size = sizeof(section_##c),        \
     .help = h,                          \
     .child = c,                         \
     .on_offset = offsetof(section_##c, o)},
/* A list of such groups: count, section, most of them. Kept in the struct, or allocated where it is a
 * pointer. */
#define LIST(s, m, c, n, e, hi, h)             \
    {COMMON(s, m, n, SETTING_LIST, h),         \
     .child = e,                               \
     .max = (hi),                              \
     .count_offset = offsetof(section_##s, c), \
     .stride = sizeof(section_##e),            \
     .allocated = __builtin_types_compatible_p(__typeof__(((section_##s *)0)->m), section_##e *)},
/* Something with a reader of its own: MUST or NONE, the reader, an example. */
#define SPECIAL(s, m, n, d, f, e, h) \
    {COMMON(s, m, n, SETTING_SPECIAL, h), .def = (d), .special = (f), .example = (e)},

const struct setting config_settings[] = {
#include "settings.def"
};
const size_t config_n_settings = sizeof(config_settings) / sizeof(config_settings[0]);
