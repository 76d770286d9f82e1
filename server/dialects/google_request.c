/* A caller's GenerateContentRequest, member by member. Run by workers. */
#include "google_reading.h"

#include "google_json.h"

#include <stdarg.h>
#include <string.h>

/* ---- where something is wrong */

int google_wrong(struct google_reading *g, const char *place, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    *g->f = (struct failure){.status = 400,
                             .param = arena_copy(g->a, str_of(place)).p,
                             .message = arena_printf(g->a, "%s%s%s", place, *place ? ": " : "", text)};
    return -1;
}

int google_refuse(struct google_reading *g, const char *place, struct str name)
{
    return google_wrong(g, place, "'" STR_FMT "' can't be translated to the provider of this model.",
                        name.n > 100 ? 100 : STR_ARG(name));
}

struct google_place google_at(const char *within, const char *fmt, ...)
{
    struct google_place p;
    char more[GOOGLE_MAX_PLACE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(more, sizeof(more), fmt, args);
    va_end(args);
    snprintf(p.text, sizeof(p.text), "%.*s%s%.*s", GOOGLE_MAX_PLACE / 2, within, *within ? "." : "",
             GOOGLE_MAX_PLACE / 2 - 2, more);
    return p;
}

void google_note_extra(void *arg, struct str name, struct json_value value)
{
    struct google_extras *e = arg;
    (void)value;
    chat_add_extra(e->g->out, e->g->a,
                   *e->within
                       ? arena_printf(e->g->a, "%s." STR_FMT, e->within, name.n > 100 ? 100 : STR_ARG(name))
                       : name);
}

/* ---- tools */

static int read_declaration(struct google_reading *g, const char *place, struct json_value v)
{
    enum { NAME, DESCRIPTION, PARAMETERS, SCHEMA, FIELDS };
    static const char *const names[FIELDS] = {"name", "description", "parameters", "parametersJsonSchema"};
    struct json_value m[FIELDS];
    google_fields(v, names, FIELDS, m, NULL, NULL);
    struct chat_tool *t = chat_add_tool(g->out, g->a);
    t->name = json_text(m[NAME], g->a);
    t->description = json_text(m[DESCRIPTION], g->a);
    if (t->name.n == 0)
        return google_wrong(g, place, "the name of the function is missing.");
    if (m[DESCRIPTION].type != JSON_ABSENT && m[DESCRIPTION].type != JSON_STRING)
        return google_wrong(g, place, "'description' must be a text.");
    if ((m[PARAMETERS].type != JSON_ABSENT && m[PARAMETERS].type != JSON_OBJECT) ||
        (m[SCHEMA].type != JSON_ABSENT && m[SCHEMA].type != JSON_OBJECT))
        return google_wrong(g, place, "the parameters must be a schema.");
    if (m[SCHEMA].type == JSON_OBJECT)
        t->schema = m[SCHEMA].raw;
    else if (m[PARAMETERS].type == JSON_OBJECT)
        t->schema = google_schema(m[PARAMETERS], g->a);
    return 0;
}

static int read_tool(struct google_reading *g, size_t n, struct json_value tool)
{
    struct google_place here = google_at("", "tools[%zu]", n);
    struct str name;
    struct json_value v, declaration;
    if (tool.type != JSON_OBJECT)
        return google_wrong(g, here.text, "a tool must be an object.");
    for (size_t i = 0; json_next(tool.raw, &i, &name, &v) == 1;) {
        if (v.type == JSON_NULL)
            continue;
        if (!google_name_is(name, "functionDeclarations"))
            return google_refuse(g, here.text, name);
        if (v.type != JSON_ARRAY && v.type != JSON_OBJECT)
            return google_wrong(g, here.text, "'functionDeclarations' must be a list.");
        size_t k = 0;
        for (size_t in = 0; google_next(v, &in, &declaration) == 1; k++)
            if (read_declaration(g, google_at(here.text, "functionDeclarations[%zu]", k).text, declaration) !=
                0)
                return -1;
    }
    return 0;
}

static int read_tools(struct google_reading *g, struct json_value tools)
{
    struct json_value tool;
    size_t n = 0;
    if (tools.type != JSON_ABSENT && tools.type != JSON_ARRAY && tools.type != JSON_OBJECT)
        return google_wrong(g, "tools", "it must be a list.");
    for (size_t i = 0; google_next(tools, &i, &tool) == 1; n++)
        if (read_tool(g, n, tool) != 0)
            return -1;
    return 0;
}

static int read_mode(struct google_reading *g, const char *place, struct json_value mode)
{
    static const struct {
        struct str name;
        enum chat_choice_kind kind;
    } modes[] = {
        {STR("MODE_UNSPECIFIED"), TOOLS_DEFAULT},
        {STR("AUTO"), TOOLS_AUTO},
        {STR("VALIDATED"), TOOLS_AUTO},
        {STR("ANY"), TOOLS_REQUIRED},
        {STR("NONE"), TOOLS_NONE},
    };
    static const enum chat_choice_kind numbered[] = {TOOLS_DEFAULT, TOOLS_AUTO, TOOLS_REQUIRED, TOOLS_NONE,
                                                     TOOLS_AUTO};
    struct str name = json_text(mode, g->a);
    int64_t n;
    if (mode.type == JSON_ABSENT)
        return 0;
    if (json_int(mode, &n) == 0 && n >= 0 && n < (int64_t)(sizeof(numbered) / sizeof(numbered[0]))) {
        g->out->tool_choice = numbered[n];
        return 0;
    }
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (str_ieq(name, modes[i].name)) {
            g->out->tool_choice = modes[i].kind;
            return 0;
        }
    return google_wrong(g, place, "the mode must be AUTO, ANY, NONE or VALIDATED.");
}

static int read_tool_config(struct google_reading *g, struct json_value config)
{
    static const char place[] = "toolConfig.functionCallingConfig";
    struct json_value calling = google_field(config, "functionCallingConfig"),
                      names = google_field(calling, "allowedFunctionNames"), name;
    if ((config.type != JSON_ABSENT && config.type != JSON_OBJECT) ||
        (calling.type != JSON_ABSENT && calling.type != JSON_OBJECT))
        return google_wrong(g, place, "it must be an object.");
    if (read_mode(g, place, google_field(calling, "mode")) != 0)
        return -1;
    if (names.type != JSON_ABSENT && names.type != JSON_ARRAY)
        return google_wrong(g, place, "'allowedFunctionNames' must be a list of names.");
    for (size_t i = 0; json_next(names.raw, &i, NULL, &name) == 1;) {
        if (name.type != JSON_STRING)
            return google_wrong(g, place, "'allowedFunctionNames' must be a list of names.");
        chat_add_allowed(g->out, g->a, json_text(name, g->a));
    }
    if (g->out->tool_choice == TOOLS_REQUIRED && g->out->n_allowed == 1) {
        g->out->tool_choice = TOOLS_NAMED;
        g->out->tool_name = g->out->allowed[0];
        g->out->n_allowed = 0;
        g->out->allowed = NULL;
    }
    return 0;
}

/* ---- the request */

static int read_body(struct google_reading *g, struct json_value body)
{
    enum { MODEL, CONTENTS, INSTRUCTION, TOOLS, TOOL_CONFIG, CONFIG, SAFETY, CACHED, LABELS, FIELDS };
    static const char *const names[FIELDS] = {"model",          "contents",      "systemInstruction",
                                              "tools",          "toolConfig",    "generationConfig",
                                              "safetySettings", "cachedContent", "labels"};
    struct json_value v[FIELDS];
    struct google_extras extras = {g, ""};
    if (body.type != JSON_OBJECT)
        return google_wrong(g, "", "The body must be a JSON object.");
    google_fields(body, names, FIELDS, v, google_note_extra, &extras);
    if (v[CACHED].type != JSON_ABSENT)
        return google_wrong(g, "cachedContent",
                            "it is stored at Google, where the provider of this model can't read it.");
    chat_set_param(g->out, PARAM_SAFETY_SETTINGS, "safetySettings", v[SAFETY]);
    chat_set_param(g->out, PARAM_METADATA, "labels", v[LABELS]);
    if (google_read_instruction(g, v[INSTRUCTION]) != 0 || google_read_contents(g, v[CONTENTS]) != 0 ||
        read_tools(g, v[TOOLS]) != 0 || read_tool_config(g, v[TOOL_CONFIG]) != 0)
        return -1;
    return google_read_config(g, v[CONFIG]);
}

int google_read_request(struct request *r, struct chat_request *out, struct failure *f)
{
    struct google_reading *g = arena_alloc(r->arena, sizeof(*g));
    g->r = r;
    g->a = r->arena;
    g->out = out;
    g->f = f;
    g->n_calls = 0;
    struct json_value body = json_root(r->body);
    if (r->match.endpoint == EP_COUNT_CONTENT) {
        struct json_value inner = google_field(body, "generateContentRequest");
        if (inner.type == JSON_OBJECT)
            body = inner;
    }
    return read_body(g, body);
}
