/* The API's description says what the router does: the same paths, methods, parameters, and what is open. */
#include "assets.h"
#include "endpoint_name.h"
#include "router.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct json_object *document;

static int set_up(void **state)
{
    (void)state;
    struct str text = asset_openapi();
    struct json_tokener *t = json_tokener_new();
    document = json_tokener_parse_ex(t, text.p, (int)text.n);
    json_tokener_free(t);
    return document ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_object_put(document);
    return 0;
}

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, name, &v);
    return v;
}

static void lower(char *out, size_t size, const char *in)
{
    size_t n = 0;
    for (; in[n] && n + 1 < size; n++)
        out[n] = (char)(in[n] >= 'A' && in[n] <= 'Z' ? in[n] + 32 : in[n]);
    out[n] = '\0';
}

static struct json_object *operation_of(const struct route *r)
{
    char method[16];
    lower(method, sizeof method, r->method);
    return member(member(member(document, "paths"), r->path), method);
}

static void every_route_is_described(void **state)
{
    (void)state;
    for (size_t i = 0; i < admin_route_count; i++) {
        const struct route *r = &admin_routes[i];
        struct json_object *op = operation_of(r);
        if (!op)
            fail_msg("%s %s is not described", r->method, r->path);
        assert_non_null(member(op, "summary"));
        assert_non_null(member(op, "responses"));
        struct json_object *security = member(op, "security");
        bool open = security && json_object_array_length(security) == 0;
        if (open != r->open)
            fail_msg("%s %s: described as %s", r->method, r->path, open ? "open" : "not open");
    }
}

static void nothing_else_is(void **state)
{
    (void)state;
    size_t described = 0;
    json_object_object_foreach(member(document, "paths"), path, item)
    {
        (void)path;
        json_object_object_foreach(item, method, op)
        {
            (void)op;
            described += strcmp(method, "parameters") != 0;
        }
    }
    assert_int_equal(described, admin_route_count);
}

static void parameters_are_those_of_the_router(void **state)
{
    (void)state;
    for (size_t i = 0; i < admin_route_count; i++) {
        const struct route *r = &admin_routes[i];
        struct json_object *parameters = member(operation_of(r), "parameters");
        char list[256] = "";
        size_t used = 0;
        for (size_t k = 0; parameters && k < json_object_array_length(parameters); k++) {
            struct json_object *p = json_object_array_get_idx(parameters, k);
            assert_string_equal(json_object_get_string(member(p, "in")), "query");
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", k ? "," : "",
                                     json_object_get_string(member(p, "name")));
        }
        assert_string_equal(list, r->query);
    }
}

/* Every {"$ref": "#/components/schemas/X"} names a schema that is there. */
static void check_references(struct json_object *o, struct json_object *schemas)
{
    if (json_object_is_type(o, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(o); i++)
            check_references(json_object_array_get_idx(o, i), schemas);
    } else if (json_object_is_type(o, json_type_object)) {
        json_object_object_foreach(o, name, value)
        {
            if (strcmp(name, "$ref")) {
                check_references(value, schemas);
                continue;
            }
            const char *text = json_object_get_string(value), *slash = strrchr(text, '/');
            assert_non_null(slash);
            if (!member(schemas, slash + 1))
                fail_msg("%s leads nowhere", text);
        }
    }
}

static void references_lead_somewhere(void **state)
{
    (void)state;
    struct json_object *schemas = member(member(document, "components"), "schemas");
    assert_non_null(schemas);
    check_references(document, schemas);
}

/* A usage row's endpoint: all that lead to a provider. */
static void endpoints_are_listed(void **state)
{
    (void)state;
    static const char *const ours[] = {"none", "models", "model", "healthz", "readyz"};
    struct json_object *row = member(member(member(document, "components"), "schemas"), "UsageRow");
    struct json_object *list = member(member(member(row, "properties"), "endpoint"), "enum");
    size_t known = 0;
    assert_non_null(list);
    for (int e = 0; e <= UINT8_MAX; e++) {
        const char *name = endpoint_name((enum endpoint)e);
        bool wanted = true, found = false;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            wanted &= strcmp(name, ours[i]) != 0;
        for (size_t i = 0; i < json_object_array_length(list); i++)
            found |= strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name) == 0;
        if (wanted != found)
            fail_msg("%s is %s", name, found ? "described" : "not described");
        known += wanted && strcmp(name, "unknown") != 0;
    }
    assert_int_equal(known + 1, json_object_array_length(list));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(nothing_else_is),
        cmocka_unit_test(parameters_are_those_of_the_router),
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(endpoints_are_listed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
