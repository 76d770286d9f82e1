/* The table of settings (settings.def) as data, and the reader that goes by it. Only the config_*.c files see
 * this; everybody else sees config.h.
 *
 * A section is a group of settings that fills one struct. A setting's place is an offset in its section's
 * struct; a group's is the base of the section below it. */
#ifndef COMMON_CONFIG_SETTINGS_H
#define COMMON_CONFIG_SETTINGS_H

#include "config.h"

#include <libconfig.h>

enum section {
    ROOT,
    LISTEN,
    TLS,
    ADMIN,
    WORKERS,
    HTTP,
    TIMEOUTS,
    MEDIA,
    CACHE,
    LIMITS,
    LEDGER,
    LOG,
    PROVIDER,
    PROVIDER_TIMEOUTS,
    VIRTUAL,
    MODEL,
    TARGET,
    PRICE,
};

enum setting_kind {
    SETTING_NUM,     /* unsigned, of 2, 4 or 8 bytes, in min..max */
    SETTING_FLAG,    /* bool */
    SETTING_TEXT,    /* const char *, checked by its text_check */
    SETTING_CHOICE,  /* const char *, one of choices */
    SETTING_INDEX,   /* the same, kept as its index in choices (bool or enum) */
    SETTING_GROUP,   /* { … } of another section, inside the same struct */
    SETTING_LIST,    /* ( { … }, … ): an array in the struct, or allocated */
    SETTING_SPECIAL, /* has its own function */
};

enum text_check {
    TEXT_PATH,     /* made relative to the configuration file's folder */
    TEXT_FILE,     /* the same, or the name of a systemd credential */
    TEXT_IP,       /* IPv4 or IPv6 literal */
    TEXT_ADMIN,    /* TEXT_IP or unix:/path */
    TEXT_USER,     /* user name */
    TEXT_VARIABLE, /* environment variable */
    TEXT_URL,      /* http(s)://host[:port][/path] */
    TEXT_PROVIDER, /* a provider's name */
    TEXT_MODEL,    /* a provider's model, or "*" */
    TEXT_WORD,     /* letters, digits, '.', '_', ':' and '-' */
    TEXT_PATTERN,  /* a model's name, may end in '*' */
};

struct reader;

struct setting {
    enum section section;
    enum setting_kind kind;
    const char *name;
    size_t offset, size;
    const char *def; /* as written in the file; NULL: none; config_must: has to be given */
    uint64_t min, max;
    const char *unit;
    const char *choices; /* "a|b|c" */
    enum text_check check;
    const char *example; /* as written in the file */
    const char *help;
    enum section child;
    ptrdiff_t on_offset;         /* GROUP: a bool set when the group is given; -1: none */
    size_t count_offset, stride; /* LIST; `size` is that of the member */
    bool allocated;              /* LIST: the member is a pointer */
    int (*special)(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                   const char *path);
};

extern const char config_must[];
extern const struct setting config_settings[];
extern const size_t config_n_settings;

struct reader {
    struct config *config;
    config_t lib;
    struct error *err; /* the first mistake */
    unsigned mistakes;
    config_tell *tell; /* hears of each; NULL: nobody does */
    void *tell_to;
};

/* Fills err, when this is the first mistake, with "FILE:LINE: path: …" (the line is that of the longest part
 * of path which the file has) and returns -1. Others are told only. Paths look like "providers[0].name". */
int config_complain(struct reader *r, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets the defaults of a section (and of the groups in it) in its struct at base. */
void config_defaults(struct reader *r, enum section section, char *base);
/* Reads the group `from` (NULL: not given) into the struct at base. */
int config_read_section(struct reader *r, enum section section, const config_setting_t *from, char *base,
                        const char *path);

/* Readers of what has a form of its own. */
int config_read_cidrs(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                      const char *path);
int config_read_headers(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                        const char *path);
int config_read_reference(struct reader *r, const struct setting *s, const config_setting_t *value,
                          char *base, const char *path);
int config_read_price(struct reader *r, const struct setting *s, const config_setting_t *value, char *base,
                      const char *path);
/* A text's form; *text may be replaced by its normal form (memory of the config's arena). */
int config_check_text(struct reader *r, enum text_check check, const char **text, const char *path);

/* What a setting alone can't tell: references, uniqueness, sizes that depend on each other. `full`: also the
 * files and the user that are named, which other processes than the master may not be able to see. */
int config_check(struct reader *r, bool full);
/* Puts the providers' credentials into the secrets region: all of them, or none. */
int config_load_secrets(struct reader *r);

/* A copy of text for libconfig 1.5, which would cut integers of more than 32 bits silently, open files named
 * by
 * @include, and trip over a byte order mark and over a comment that ends the file: the first get the suffix
 * L, the second is refused, the others mended. free() it. NULL and err. */
char *config_prepare_text(struct str text, const char *file, struct error *err);

#endif
