/* The annotated sample file and the man page's section, both from the table of settings: what they say is
 * what the parser does. conf/aigw.conf and conf/aigw.conf.5 are written by these, and a unit test compares.
 */
#include "config_settings.h"

/* ---- the sample */

/* Which settings the sample gives, and what; every other one stands there as a comment with its default. It
 * has to start on a fresh machine: with the virtual provider, which needs no vendor and no credential. */
static const struct {
    enum section section;
    const char *name, *value;
} sample_values[] = {
    {LISTEN, "address", "\"127.0.0.1\""},
    {LISTEN, "port", "8080"},
    {ADMIN, "address", "\"127.0.0.1\""},
    {ADMIN, "port", "8081"},
    {ROOT, "run_dir", "\"/run/aigw\""},
    {ROOT, "state_dir", "\"/var/lib/aigw\""},
    {WORKERS, "min", "8"},
    {WORKERS, "max", "256"},
    {WORKERS, "spare", "4"},
    {CACHE, "enabled", "true"},
    {PROVIDER, "name", "\"virtual\""},
    {PROVIDER, "type", "\"virtual\""},
    {MODEL, "name", "\"demo\""},
    {TARGET, "provider", "\"virtual\""},
    {TARGET, "model", "\"demo\""},
};

static const char *sample_value(const struct setting *s)
{
    for (size_t i = 0; i < sizeof(sample_values) / sizeof(sample_values[0]); i++)
        if (sample_values[i].section == s->section && strcmp(sample_values[i].name, s->name) == 0)
            return sample_values[i].value;
    return NULL;
}

/* Whether the sample gives anything in this section (so that its braces are no comment). */
static bool section_given(enum section section)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct setting *s = &config_settings[i];
        if (s->section != section)
            continue;
        bool below = s->kind == SETTING_GROUP || s->kind == SETTING_LIST;
        if (below ? section_given(s->child) : sample_value(s) != NULL)
            return true;
    }
    return false;
}

/* The default as it is written in the file, quotes and all. */
static void print_default(const struct setting *s)
{
    bool quoted = s->kind == SETTING_TEXT || s->kind == SETTING_CHOICE || s->kind == SETTING_INDEX;
    if (s->def && s->def != config_must)
        printf(quoted ? "\"%s\"" : "%s", s->def);
    else
        fputs(s->example ? s->example : "\"…\"", stdout);
}

static void print_choices(const char *choices)
{
    struct str rest = str_of(choices), one;
    for (const char *between = ""; str_split(&rest, '|', &one); between = ", ")
        printf("%s\"" STR_FMT "\"", between, STR_ARG(one));
}

/* "# help (8 to 100 lines)", broken at 110 columns. */
static void print_comment(const struct setting *s, int indent)
{
    char text[600];
    int n = snprintf(text, sizeof(text), "%s", s->help);
    if (s->kind == SETTING_NUM && n >= 0 && (size_t)n < sizeof(text))
        snprintf(text + n, sizeof(text) - (size_t)n, "%s(%llu to %llu%s%s)", n ? " " : "",
                 (unsigned long long)s->min, (unsigned long long)s->max, *s->unit ? " " : "", s->unit);
    struct str rest = str_of(text), word;
    size_t column = 0;
    while (str_split(&rest, ' ', &word)) {
        if (column == 0 || column + 1 + word.n > 108)
            column = (size_t)printf("%s%*s#", column ? "\n" : "", indent, "") - (column ? 1 : 0);
        printf(" " STR_FMT, STR_ARG(word));
        column += 1 + word.n;
    }
    if (s->choices) {
        fputs(column ? " One of " : "# One of ", stdout);
        print_choices(s->choices);
        putchar('.');
    }
    putchar('\n');
}

static void print_section(enum section section, int indent, bool given);

static void print_setting(const struct setting *s, int indent, bool given)
{
    bool below = s->kind == SETTING_GROUP || s->kind == SETTING_LIST;
    bool active = given && (below ? section_given(s->child) : sample_value(s) != NULL);
    const char *mark = active ? "" : "#";
    print_comment(s, indent);
    if (!below) {
        printf("%*s%s%s = ", indent, "", mark, s->name);
        if (sample_value(s) && active)
            fputs(sample_value(s), stdout);
        else
            print_default(s);
        fputs(";\n", stdout);
        return;
    }
    bool list = s->kind == SETTING_LIST;
    printf("%*s%s%s = %s{\n", indent, "", mark, s->name, list ? "( " : "");
    print_section(s->child, indent + 4, active);
    printf("%*s%s}%s;\n", indent, "", mark, list ? " )" : "");
}

static void print_section(enum section section, int indent, bool given)
{
    for (size_t i = 0; i < config_n_settings; i++)
        if (config_settings[i].section == section) {
            if (section == ROOT)
                putchar('\n');
            print_setting(&config_settings[i], indent, given);
        }
}

static const char sample_head[] =
    "# aigw.conf: all settings of the gateway. A line that begins with '#' and a name, without a\n"
    "# space, shows a default or an example; to change it, remove that '#' and those of the group\n"
    "# around it.\n"
    "#\n"
    "# As it stands, this file starts a gateway on the built-in virtual provider, so that everything\n"
    "# can be tried before a vendor is involved. For a vendor, change `providers` and `models` to:\n"
    "#\n"
    "#   providers = ( { name = \"openai\"; type = \"openai\";\n"
    "#                   base_url = \"https://api.openai.com/v1\";\n"
    "#                   api_key_file = \"/etc/aigw/openai.key\"; } );\n"
    "#   models = ( { name = \"gpt-4o-mini\"; targets = ( { provider = \"openai\"; } ); } );\n"
    "#\n"
    "# Check a change with `aigw -t -c FILE`; let it take effect with `systemctl reload aigw`\n"
    "# (SIGHUP). No credential stands in this file. Durations are in ms and sizes in bytes, unless\n"
    "# a name says otherwise. Relative paths start at this file's folder. Man page: aigw.conf(5).\n";

void config_print_sample(void)
{
    fputs(sample_head, stdout);
    print_section(ROOT, 0, true);
}

/* ---- the man page */

static void print_roff(const char *text)
{
    static const char dots[] = "…";
    if (*text == '.' || *text == '\'' || strncmp(text, dots, sizeof(dots) - 1) == 0)
        fputs("\\&", stdout);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else if (strncmp(text, dots, sizeof(dots) - 1) == 0) {
            fputs("...", stdout);
            text += sizeof(dots) - 2;
        } else
            putchar(*text);
    }
}

static void print_man_default(const struct setting *s)
{
    if (s->def == config_must)
        fputs("\nMust be given.", stdout);
    else if (s->def) {
        fputs("\nDefault: ", stdout);
        print_roff(*s->def ? s->def : "empty");
        putchar('.');
    }
}

static void print_man_setting(const struct setting *s, const char *path)
{
    fputs(".TP\n.B ", stdout);
    print_roff(path);
    putchar('\n');
    print_roff(s->help[0] ? s->help : "As above.");
    if (s->kind == SETTING_NUM)
        printf("\n%llu to %llu%s%s.", (unsigned long long)s->min, (unsigned long long)s->max,
               *s->unit ? " " : "", s->unit);
    if (s->choices) {
        fputs("\nOne of ", stdout);
        print_choices(s->choices);
        putchar('.');
    }
    print_man_default(s);
    if ((!s->def || s->def == config_must) && s->example) {
        fputs("\nExample: ", stdout);
        print_roff(s->example);
    }
    putchar('\n');
}

static void print_man_section(enum section section, const char *prefix)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct setting *s = &config_settings[i];
        if (s->section != section)
            continue;
        char path[128];
        bool list = s->kind == SETTING_LIST;
        snprintf(path, sizeof(path), "%s%s%s", prefix, s->name, list ? "[]" : "");
        print_man_setting(s, path);
        if (s->kind == SETTING_GROUP || list) {
            char below[sizeof(path) + 1];
            snprintf(below, sizeof(below), "%s.", path);
            print_man_section(s->child, below);
        }
    }
}

void config_print_man(void)
{
    print_man_section(ROOT, "");
}
