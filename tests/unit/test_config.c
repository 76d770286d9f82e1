/* The configuration: what it means, what is refused and in which words, and that the sample and the man page
 * say what the parser does. */
#include "config.h"
#include "secret.h"
#include "temp_folder.h"
#include "test_certificate.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[64];

/* Writes a file into the folder. */
static void put_file(const char *name, const char *text, mode_t mode)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* As if the text stood in FOLDER/aigw.conf. */
static struct config *only_parse(const char *text, bool with_secrets, struct error *err)
{
    char file[160];
    snprintf(file, sizeof(file), "%s/aigw.conf", folder);
    err->text[0] = '\0';
    return config_parse(str_of(text), file, with_secrets, err);
}

/* And as if it were put in force. */
static struct config *parse(const char *text, bool with_secrets, struct error *err)
{
    struct config *c = only_parse(text, with_secrets, err);
    if (c && with_secrets)
        secret_commit();
    return c;
}

static struct config *parse_ok(const char *text)
{
    struct error err;
    struct config *c = parse(text, true, &err);
    if (!c)
        fail_msg("%s\n%s", text, err.text);
    return c;
}

#define MOCK \
    "providers = ( { name = \"mock\"; type = \"openai\"; base_url = \"http://127.0.0.1:9/v1\"; } );\n"

static void defaults(void **state)
{
    (void)state;
    struct config *c = parse_ok("");
    assert_int_equal(c->n_listen, 1);
    assert_string_equal(c->listen[0].address, "127.0.0.1");
    assert_int_equal(c->listen[0].port, 8080);
    assert_false(c->listen[0].tls.on);
    assert_string_equal(c->admin.address, "127.0.0.1");
    assert_int_equal(c->admin.port, 8081);
    assert_string_equal(c->run_dir, "/run/aigw");
    assert_string_equal(c->admin.token_file, "/var/lib/aigw/admin.token");
    assert_null(c->user);
    assert_int_equal(c->workers.min, 8);
    assert_int_equal(c->workers.max, 256);
    assert_int_equal(c->workers.spare, 4);
    assert_int_equal(c->http.max_head, 32768);
    assert_int_equal(c->http.max_headers, 100);
    assert_int_equal(c->http.max_body, 32 << 20);
    assert_int_equal(c->http.head_timeout_ms, 10000);
    assert_int_equal(c->http.body_timeout_ms, 10000);
    assert_int_equal(c->http.min_rate, 1024);
    assert_int_equal(c->http.idle_timeout_ms, 25000);
    assert_int_equal(c->http.write_timeout_ms, 20000);
    assert_int_equal(c->http.max_connections, 16384);
    assert_int_equal(c->http.spool_bytes, 64 << 20);
    assert_int_equal(c->timeouts.first_byte, 60000);
    assert_int_equal(c->drain_timeout_ms, 30000);
    assert_true(c->cache.enabled);
    assert_int_equal(c->cache.scope, CACHE_SCOPE_TEAM);
    assert_int_equal(c->cache.max_bytes, UINT64_C(1) << 30);
    assert_int_equal(c->limits.output_reserve, 1024);
    assert_int_equal(c->limits.table_slots, 65536);
    assert_false(c->ledger.serve_when_full);
    assert_int_equal(c->ledger.max_bytes, UINT64_C(8) << 30);
    assert_int_equal(c->ledger.commit_ms, 20);
    assert_string_equal(c->log.level, "info");
    assert_string_equal(c->log.format, "text");
    assert_false(c->log.access);
    assert_int_equal(c->n_providers, 0);
    config_free(&c);
    assert_null(c);
}

static void everything(void **state)
{
    (void)state;
    put_file("prices", "gpt-x\topenai\t0.15\t\t\t0.6\n", 0644);
    struct config *c = parse_ok(
        "listen = ( { address = \"0.0.0.0\"; port = 80; }, { address = \"::1\"; port = 81;\n"
        "  proxy_protocol_from = [ \"10.0.0.0/8\", \"::1\" ]; } );\n"
        "admin = { address = \"unix:/run/aigw/admin\"; token_file = \"token\"; };\n"
        "state_dir = \"state\"; ledger = { max_bytes = 17179869184; };\n"
        "cache = { scope = \"global\"; max_bytes = 4294967296L; };\n"
        "prices = \"prices\";\n"
        "timeouts = { connect_ms = 1; first_byte_ms = 2; idle_ms = 3; total_ms = 0x4; };\n"
        "models = ( { name = \"gpt-*\"; targets = ( { provider = \"two\"; } ); },\n"
        "           { name = \"gpt-x\"; targets = ( { provider = \"mock\"; model = \"y\"; }, { provider = "
        "\"two\"; model = \"*\"; } );\n"
        "             price = { input = 0.15; output = 1; cached_input = \"0.0375\"; }; },\n"
        "           { name = \"*\"; targets = ( { provider = \"mock\"; } ); context_window = 5; },\n"
        "           { name = \"gpt-x-*\"; targets = ( { provider = \"mock\"; } ); } );\n"
        "providers = ( { name = \"mock\"; type = \"openai\"; base_url = \"https://[::1]:8443/a/v1/\"; "
        "timeouts = { idle_ms = 30; };\n"
        "                headers = { OpenAI-Organization = \"org\"; x-b = \"c\"; }; max_in_flight = 7; },\n"
        "              { name = \"two\"; type = \"virtual\"; virtual = { latency_ms = 9; error_status = 429; "
        "}; } );\n");
    assert_int_equal(c->n_listen, 2);
    assert_int_equal(c->listen[1].n_proxy_from, 2);
    assert_int_equal(c->listen[1].proxy_from[0].bits, 8);
    char path[160];
    snprintf(path, sizeof(path), "%s/token", folder);
    assert_string_equal(c->admin.token_file, path);
    assert_int_equal(c->ledger.max_bytes, UINT64_C(17179869184));
    assert_int_equal(c->cache.max_bytes, UINT64_C(4294967296));
    assert_int_equal(c->cache.scope, CACHE_SCOPE_GLOBAL);
    assert_true(price_find(c->prices, STR("openai"), STR("gpt-x")).known);
    const struct conf_provider *mock = config_provider(c, STR("mock"));
    assert_string_equal(mock->base_url, "https://[::1]:8443/a/v1");
    assert_int_equal(mock->timeouts.idle, 30);
    assert_int_equal(mock->timeouts.total, 4);
    assert_int_equal(mock->n_headers, 2);
    assert_string_equal(mock->headers[0].name, "OpenAI-Organization");
    assert_int_equal(config_provider(c, STR("two"))->virt.error_status, 429);
    assert_int_equal(config_provider(c, STR("two"))->virt.chunks, 8);
    assert_null(config_provider(c, STR("mock2")));
    const struct conf_model *m = config_model(c, STR("gpt-x"));
    assert_int_equal(m->n_targets, 2);
    assert_int_equal(m->targets[1].provider, 1);
    assert_true(m->price.known);
    assert_int_equal(m->price.input, 150000);
    assert_int_equal(m->price.cached, 37500);
    assert_int_equal(m->price.cache_write, 150000);
    assert_int_equal(m->price.output, 1000000);
    static const struct {
        const char *asked, *served_by;
    } models[] = {{"gpt-x", "gpt-x"}, {"gpt-x-1", "gpt-x-*"}, {"gpt-", "gpt-*"},
                  {"gpt", "*"},       {"gpt-x-", "gpt-x-*"},  {"", "*"},
                  {"*", "*"}};
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        assert_string_equal(config_model(c, str_of(models[i].asked))->name, models[i].served_by);
    config_free(&c);
}

static void no_model_is_no_model(void **state)
{
    (void)state;
    struct config *c =
        parse_ok(MOCK "models = ( { name = \"a*\"; targets = ( { provider = \"mock\"; } ); } );");
    assert_null(config_model(c, STR("b")));
    assert_non_null(config_model(c, STR("a")));
    config_free(&c);
}

/* Each text is refused with a message that holds the place and the words. */
static const struct {
    const char *text, *where, *what;
} refused[] = {
    {"listen = (", "aigw.conf:1: ", "syntax error"},
    {"workers = { min = 1;\nmin = 2; };", "aigw.conf:2: ", "duplicate"},
    {"\n\nworker = { min = 1; };", ":3: worker: ", "\"workers\""},
    {"http = {\n max_hed = 1; };", ":2: http.max_hed: ", "\"max_head\""},
    {"listen = ( { addres = \"::1\"; } );", ":1: listen[0].addres: ", "\"address\""},
    {"\nmax_body = 5000;", ":2: max_body: ", "belongs into \"http\""},
    {"level = \"info\";", ":1: level: ", "belongs into \"log\""},
    {"http = { port = 80; };", ":1: http.port: ", "belongs into \"listen\""},
    {"frobnicate = 1;", ":1: frobnicate: ", "--print-sample"},
    {"providers = ( { name = \"a\"; type = \"virtual\"; api_key = \"sk-1\"; } );",
     "providers[0].api_key: ", "\"api_key_env\""},
    {"admin = { token_file = \"nowhere/token\"; };", "admin.token_file: ", "create it"},
    {"admin = { address = \"unix:/nowhere-at-all/s\"; };",
     "admin.address: there is no folder /nowhere-at-all", ""},
    {MOCK "\nmodels = ( { name = \"a\"; targets = ( {\n provider = \"mock\"; modle = \"x\"; } ); } );",
     ":4: models[0].targets[0].modle: ", "\"model\""},
    {"providers = ( { name = \"a\"; type = \"virtual\"; virtual = { latency = 1; }; } );",
     "providers[0].virtual.latency: ", "\"latency_ms\""},
    {"@include \"/etc/passwd\"", ":1: ", "@include"},
    {"\n  @include \"x\"", ":2: ", "@include"},
    {"workers = 5;", ":1: workers: ", "group"},
    {"workers = ( );", ":1: workers: ", "group"},
    {"listen = { };", ":1: listen: ", "list of groups"},
    {"listen = ( 1 );", ":1: listen[0]: ", "group"},
    {"workers = { min = \"5\"; };", "workers.min: ", "whole number, not a text"},
    {"workers = { min = 5.0; };", "workers.min: ", "fraction"},
    {"workers = { min = true; };", "workers.min: ", "whole number"},
    {"workers = { min = -1; };", "workers.min: -1 is out of range", "1 to 1536"},
    {"workers = { min = 0; };", "workers.min: 0 is out of range", "1 to"},
    {"workers = { max = 1537; };", "workers.max: ", "out of range"},
    {"workers = { max = 4294967304; };", "workers.max: 4294967304 is out of range", ""},
    {"workers = { max = 0x100000008; };", "workers.max: 4294967304 is out of range", ""},
    {"x = 1;\ny = 99999999999999999999;", ":2: 99999999999999999999 is too large", "smaller"},
    {"listen = ( { port = 65536; } );", "listen[0].port: ", "out of range"},
    {"cache = { enabled = 1; };", "cache.enabled: ", "true or false"},
    {"cache = { scope = \"all\"; };", "cache.scope: \"all\"", "key|team|global"},
    {"log = { level = \"trace\"; };", "log.level: ", "debug|info|warn|error"},
    {"log = { level = 3; };", "log.level: ", "double quotes"},
    {"run_dir = 5;", ":1: run_dir: ", "double quotes"},
    {"run_dir = \"\";", ":1: run_dir: ", "empty"},
    {"run_dir = \"a\\x01\";", ":1: run_dir: ", "control"},
    {"workers = { min = 9; max = 8; spare = 1; };", "workers.min: 9 is more than workers.max, 8",
     "raise max"},
    {"workers = { min = 1;\n max = 8;\n spare = 9; };", ":3: workers.spare: ", "more than"},
    {"limits = { table_slots = 65535; };", "limits.table_slots: ", "power of two"},
    {"cache = { max_bytes = 1048576; };", ":1: cache.max_entry: ", "quarter"},
    {"listen = ( { address = \"localhost\"; } );", "listen[0].address: ", "127.0.0.1"},
    {"listen = ( { address = \"10.0.0.300\"; } );", "listen[0].address: ", "IP address"},
    {"listen = ( { port = 80; },\n { port = 80; } );", ":2: listen[1]: ", "listen[0]"},
    {"admin = { port = 8080; };", "admin.port: ", "clients'"},
    {"listen = ( { address = \"0.0.0.0\"; port = 80; },\n { address = \"127.0.0.2\"; port = 80; } );",
     ":2: listen[1]: ", "listen[0]"},
    {"listen = ( { address = \"::\"; port = 80; },\n { address = \"::1\"; port = 80; } );",
     ":2: listen[1]: ", "listen[0]"},
    {"listen = ( { address = \"0.0.0.0\"; port = 8081; } );", "admin.port: ", "listen[0]"},
    {"admin = { address = \"0.0.0.0\"; };", "admin.address: ", "tls"},
    {"admin = { address = \"::\"; };", "admin.address: ", "loopback"},
    {"admin = { address = \"unix:relative\"; };", "admin.address: ", "absolute"},
    {"listen = ( { proxy_protocol_from = [ \"10.0.0.0/8\", \"x\" ]; } );", "proxy_protocol_from: x ",
     "10.0.0.0/8"},
    {"listen = ( { proxy_protocol_from = \"10.0.0.0/8\"; } );", "proxy_protocol_from: ", "list"},
    {"user = \"no-such-user-here\";", ":1: user: ", "create it"},
    {"prices = \"no-such-file\";", ":1: prices: ", "no-such-file"},
    {"providers = ( { type = \"virtual\"; } );", ":1: providers[0].name: ", "missing"},
    {"providers = ( { name = \"a\"; } );", "providers[0].type: ", "missing"},
    {"providers = ( { name = \"a\"; type = \"opnai\"; } );", "providers[0].type: \"opnai\"", "openai|azure"},
    {"providers = ( { name = \"a\"; type = \"opnai\"; } );", "providers[0].type: \"opnai\"",
     "\"openai\" meant"},
    {"providers = ( { name = \"a\"; type = \"OpenRouter\"; } );",
     "providers[0].type: ", "\"openrouter\" meant"},
    {"providers = ( { name = \"a\"; type = \"mistral\"; } );", "providers[0]: has no credential",
     "MISTRAL_API_KEY"},
    {"providers = ( { name = \"a\"; type = \"vertex\"; } );", "providers[0]: has no credential",
     "credentials_file"},
    {"providers = ( { name = \"a\"; type = \"cohere\"; base_url = \"http://h\"; responses = \"true\"; } );",
     "providers[0].responses: ", "take it out"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h/v1/chat/completions\"; } );",
     "providers[0].base_url: ", "names an endpoint"},
    {"providers = ( { name = \"a\"; type = \"anthropic\"; base_url = \"http://h/v1/messages/\"; } );",
     "providers[0].base_url: ", "names an endpoint"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h/%4\"; } );",
     "providers[0].base_url: ", "hexadecimal"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; headers = { X-a = \"1\"; x-A "
     "= "
     "\"2\"; }; } );",
     "headers: \"x-A\"", "twice"},
    {"providers = ( { name = \"a\"; type = \"bedrock\"; } );", "providers[0]: ", "region is missing"},
    {"providers = ( { name = \"a\"; type = \"azure\"; } );", "providers[0]: ", "base_url is missing"},
    {"providers = ( { name = \"a\"; type = \"cohere\"; region = \"x\"; } );",
     "providers[0].region: ", "no such setting"},
    {"providers = ( { name = \"a\"; type = \"bedrock\"; region = \"x\"; access_key_env = \"A\"; } );",
     "providers[0]: ", "go together"},
    {"providers = ( { name = \"a\"; type = \"vertex\"; project = \"a b\"; } );",
     "providers[0].project: ", "does not do"},
    {"providers = ( { name = \"A\"; type = \"virtual\"; } );", "providers[0].name: ", "a-z"},
    {"providers = ( { name = \"v1\"; type = \"virtual\"; } );", "providers[0].name: ", "another name"},
    {"providers = ( { name = \"models\"; type = \"virtual\"; } );", "providers[0].name: ", "another name"},
    {"providers = ( { name = \"metrics\"; type = \"virtual\"; } );", "providers[0].name: ", "another name"},
    {"providers = ( { name = \"..\"; type = \"virtual\"; } );", "providers[0].name: ", "a-z"},
    {"providers = ( { name = \"a/b\"; type = \"virtual\"; } );", "providers[0].name: ", "a-z"},
    {"providers = ( { name = \"a\"; type = \"virtual\"; },\n { name = \"a\"; type = \"virtual\"; } );",
     ":2: providers[1]: ", "providers[0]'s already"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; virtual = { }; } );",
     "providers[0].virtual: ", "take it out"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; api_key_env = \"A\"; "
     "api_key_file = \"b\"; } );",
     "providers[0]: ", "keep one"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; api_key_env = \"sk-123\"; } "
     ");",
     "api_key_env: ", "environment variable"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\";\n api_key_env = "
     "\"AIGW_TEST_UNSET\"; } );",
     ":2: providers[0].api_key_env: ", "not set"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\";\n api_key_file = "
     "\"missing.key\"; } );",
     ":2: providers[0].api_key_file: ", "missing.key"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; ca_file = \"missing.pem\"; } "
     ");",
     "providers[0].ca_file: ", "missing.pem"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; headers = { Authorization = "
     "\"x\"; }; } );",
     "headers: ", "take it out"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; headers = { Content-Length = "
     "\"x\"; }; } );",
     "headers: ", "take it out"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; headers = { x = \"a\\r\\nb: "
     "c\"; }; } );",
     "headers: ", "control"},
    {"providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; headers = { x = 1; }; } );",
     "headers: ", "text"},
    {"providers = ( { name = \"a\"; type = \"virtual\"; virtual = { replay = \"nowhere\"; }; } );",
     "virtual.replay: ", "not a folder"},
    {"providers = ( { name = \"a\"; type = \"virtual\"; virtual = { error_permille = 1001; }; } );",
     "error_permille: ", "out of range"},
    {"models = ( { name = \"a\"; targets = ( { provider = \"b\"; } ); } );",
     "models[0].targets[0].provider: there is no provider \"b\"", "add it"},
    {MOCK "models = ( { name = \"a\"; } );", ":2: models[0]: ", "no target"},
    {MOCK "models = ( { name = \"a\"; targets = ( ); } );", "models[0]: ", "no target"},
    {MOCK "models = ( { name = \"a\"; targets = ( { model = \"b\"; } ); } );",
     "targets[0].provider: ", "missing"},
    {MOCK "models = ( { name = \"a*b\"; targets = ( { provider = \"mock\"; } ); } );",
     "models[0].name: ", "last character"},
    {MOCK "models = ( { name = \"a b\"; targets = ( { provider = \"mock\"; } ); } );",
     "models[0].name: ", "ASCII"},
    {MOCK "models = ( { name = \"\"; targets = ( { provider = \"mock\"; } ); } );",
     "models[0].name: ", "bytes"},
    {MOCK "models = ( { name = \"a\"; targets = ( { provider = \"mock\"; model = \"b*\"; } ); } );",
     "targets[0].model: ", "'*'"},
    {MOCK "models = ( { name = \"a\"; targets = ( { provider = \"mock\"; } ); },\n { name = \"a\"; targets = "
          "( { provider = \"mock\"; } ); } );",
     ":3: models[1]: ", "models[0]'s"},
    {MOCK "models = ( { name = \"a\"; targets = ( { provider = \"mock\"; } ); price = { input = 1; }; } );",
     "models[0].price.output: ", "missing"},
    {MOCK "models = ( { name = \"a\"; targets = ( { provider = \"mock\"; } ); price = { input = -1; output = "
          "1; }; } );",
     "models[0].price.input: ", "USD"},
    {MOCK "models = ( { name = \"a\"; targets = ( { provider = \"mock\"; } ); price = { input = \"x\"; "
          "output = 1; }; } );",
     "models[0].price.input: ", "USD"},
};

static void refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct error err;
        struct config *c = parse(refused[i].text, true, &err);
        if (c || !strstr(err.text, refused[i].where) || !strstr(err.text, refused[i].what))
            fail_msg("%s\n%s", refused[i].text, c ? "was taken" : err.text);
        if (strncmp(err.text, folder, strlen(folder)) != 0)
            fail_msg("no file name: %s", err.text);
    }
}

static unsigned told;
static char all_told[4096];

static void note(void *to, const char *mistake)
{
    size_t n = strlen(all_told);
    assert_ptr_equal(to, &told);
    told++;
    snprintf(all_told + n, sizeof(all_told) - n, "%s\n", mistake);
}

/* What can be found without another mistake's being mended is told at once. */
static void every_mistake(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned mistakes;
        const char *holds[4];
    } cases[] = {
        {"wokers = { };\nhttp = { max_hed = 1; min_rate = \"x\"; };\nproviders = ( { name = \"A\"; },\n7 );",
         6,
         {":1: wokers: ", ":2: http.max_hed: ", ":3: providers[0].type: ", ":4: providers[1]: "}},
        {"workers = { min = 9; max = 8; };\nadmin = { address = \"0.0.0.0\"; };\nproviders = ( { name = "
         "\"a\"; "
         "type = \"groq\"; region = \"x\"; } );\nmodels = ( { name = \"m\"; } );",
         5,
         {":1: workers.min: ", ":2: admin.address: ", "region: ", ":4: models[0]: "}},
        {"providers = ( { name = \"a\"; type = \"groq\"; api_key_env = \"AIGW_TEST_NOT_SET\"; },\n{ name = "
         "\"b\"; "
         "type = \"groq\"; api_key_file = \"none.key\"; } );",
         2,
         {":1: providers[0].api_key_env: ", ":2: providers[1].api_key_file: "}},
        {"listen = (", 1, {":1: syntax error"}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err;
        told = 0;
        all_told[0] = '\0';
        assert_null(config_parse_all(str_of(cases[i].text), "x.conf", true, note, &told, &err));
        for (size_t k = 0; k < 4 && cases[i].holds[k]; k++)
            if (!strstr(all_told, cases[i].holds[k]))
                fail_msg("%s is not in\n%s", cases[i].holds[k], all_told);
        if (told != cases[i].mistakes)
            fail_msg("%u mistakes:\n%s", told, all_told);
        assert_int_equal(strncmp(all_told, err.text, strlen(err.text)), 0);
        assert_null(config_parse(str_of(cases[i].text), "x.conf", true, &err));
        assert_int_equal(strstr(err.text, "more, see aigw -t") != NULL, cases[i].mistakes > 1);
    }
}

static void ends_and_beginnings(void **state)
{
    (void)state;
    static const char *const texts[] = {"# only words",
                                        "workers = { min = 1; };\n// the end",
                                        "workers = { min = 1; }; # the end",
                                        "\xef\xbb\xbfworkers = { min = 1; };",
                                        "workers = { min = 1; };\r\n# x\r\n",
                                        "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config *c = parse_ok(texts[i]);
        config_free(&c);
    }
}

#define ACCOUNT "providers = ( { name = \"a\"; type = \"vertex\"; credentials_file = \"account.json\"; } );"

/* One that could get tokens, without a project. */
static void put_account(void)
{
    char pem[4096] = "",
         json[8192] = "{\"client_email\":\"a@b\",\"token_uri\":\"https://t\",\"private_key\":\"";
    EVP_PKEY *key = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    assert_true(BIO_read(bio, pem, sizeof(pem) - 1) > 0);
    size_t n = strlen(json);
    for (const char *p = pem; *p; p++)
        n += (size_t)snprintf(json + n, sizeof(json) - n, "%.*s", *p == '\n' ? 2 : 1, *p == '\n' ? "\\n" : p);
    snprintf(json + n, sizeof(json) - n, "\"}");
    put_file("account.json", json, 0600);
    BIO_free(bio);
    EVP_PKEY_free(key);
}

static void service_accounts(void **state)
{
    (void)state;
    static const struct {
        const char *file, *what;
    } cases[] = {
        {"sk-some-key\n", "no JSON object"},
        {"{\"type\":\"authorized_user\",\"client_id\":\"c\",\"refresh_token\":\"r\"}", "\"authorized_user\""},
        {"{\"type\":\"service_account\"}", "client_email"},
        {"{\"client_email\":\"a@b\",\"token_uri\":\"https://t\"}", "private_key"},
        {"{\"client_email\":\"a@b\",\"private_key\":\"x\"}", "token_uri"},
        {"{\"client_email\":\"a@b\",\"private_key\":\"x\",\"token_uri\":\"https://t\"}", "no RSA key"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err;
        put_file("account.json", cases[i].file, 0600);
        struct config *c = parse(ACCOUNT, true, &err);
        if (c || !strstr(err.text, "providers[0].credentials_file: ") || !strstr(err.text, cases[i].what))
            fail_msg("%s: %s", cases[i].file, c ? "was taken" : err.text);
        assert_null(strstr(err.text, "sk-some"));
        c = parse(ACCOUNT, false, &err); /* whoever gets no secrets looks at no file */
        assert_non_null(c);
        config_free(&c);
    }
    put_account();
    struct error err;
    assert_null(parse(ACCOUNT, true, &err));
    assert_non_null(strstr(err.text, "add project"));
    struct config *c =
        parse_ok("providers = ( { name = \"a\"; type = \"vertex\"; project = \"p\"; credentials_file = "
                 "\"account.json\"; } );");
    config_free(&c);
}

static void vendors_urls(void **state)
{
    (void)state;
    static const struct {
        const char *provider, *url;
    } cases[] = {
        {"type = \"mistral\"; api_key_env = \"AIGW_TEST_SOME_KEY\"", "https://api.mistral.ai/v1"},
        {"type = \"ollama\"; base_url = \"http://10.0.0.5:11434\"", "http://10.0.0.5:11434/v1"},
        {"type = \"groq\"; base_url = \"http://10.0.0.5/\"", "http://10.0.0.5/openai/v1"},
        {"type = \"vllm\"; base_url = \"http://10.0.0.5/inner\"", "http://10.0.0.5/inner"},
        {"type = \"openai\"; base_url = \"http://10.0.0.5\"", "http://10.0.0.5"},
        {"type = \"openai\"; base_url = \"https://api.openai.com/\"", "https://api.openai.com/v1"},
        {"type = \"deepseek\"; base_url = \"http://10.0.0.5\"", "http://10.0.0.5"},
        {"type = \"bedrock\"; region = \"eu-west-1\"", "https://bedrock-runtime.eu-west-1.amazonaws.com"},
        {"type = \"vertex\"; api_key_env = \"AIGW_TEST_SOME_KEY\"", "https://aiplatform.googleapis.com"},
        {"type = \"vertex\"; api_key_env = \"AIGW_TEST_SOME_KEY\"; location = \"europe-west4\"",
         "https://europe-west4-aiplatform.googleapis.com"},
    };
    setenv("AIGW_TEST_SOME_KEY", "sk-some", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        struct error err;
        snprintf(text, sizeof(text), "providers = ( { name = \"a\"; %s; } );", cases[i].provider);
        struct config *c = parse(text, true, &err);
        if (!c)
            fail_msg("%s: %s", text, err.text);
        assert_string_equal(c->providers[0].base_url, cases[i].url);
        config_free(&c);
    }
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool good;
    } cases[] = {
        {"https://api.openai.com/v1", true},
        {"http://localhost:11434/v1", true},
        {"http://10.0.0.1", true},
        {"https://my_host.internal:65535/a-b/~c/%20d", true},
        {"https://[fd00::1]/v1", true},
        {"https://[fd00::1]:8443", true},
        {"api.openai.com/v1", false},
        {"ftp://host/", false},
        {"https://", false},
        {"https:///v1", false},
        {"https://u:p@host/v1", false},
        {"https://host/v1?x=1", false},
        {"https://host?x=1", false},
        {"https://host/v1#f", false},
        {"https://host:0/", false},
        {"https://host:65536/", false},
        {"https://host:/v1", false},
        {"https://host:8x/", false},
        {"https://ho st/", false},
        {"https://host/a b", false},
        {"https://host/a\\r\\nx: y", false},
        {"https://host/a/../b", false},
        {"https://host//b", false},
        {"https://[::1/v1", false},
        {"https://[::1]x/v1", false},
        {"https://[zz]/v1", false},
        {"https://[]/v1", false},
        {"https://host/\\\"", false},
        {"HTTPS://host/", false},
        {"https://h\xc3\xa9/", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        struct error err;
        snprintf(text, sizeof(text),
                 "providers = ( { name = \"a\"; type = \"openai\"; base_url = \"%s\"; } );", cases[i].url);
        struct config *c = parse(text, true, &err);
        if ((c != NULL) != cases[i].good)
            fail_msg("%s: %s", cases[i].url, c ? "was taken" : err.text);
        if (!c && !strstr(err.text, "providers[0].base_url: "))
            fail_msg("%s: %s", cases[i].url, err.text);
        config_free(&c);
    }
}

/* Numbers that libconfig would cut are whole, and nothing else of the text is touched. */
static void large_numbers(void **state)
{
    (void)state;
    struct config *c =
        parse_ok("# 99999999999999999999\n/* 99999999999999999999\n */ // 99999999999999999999 \"\n"
                 "run_dir = \"/99999999999999999999/\\\"9999999999\";\n"
                 "ledger = { max_bytes = 8589934592; }; cache = { max_bytes = 0x80000000; };\n");
    assert_string_equal(c->run_dir, "/99999999999999999999/\"9999999999");
    assert_int_equal(c->ledger.max_bytes, UINT64_C(8589934592));
    assert_int_equal(c->cache.max_bytes, UINT64_C(0x80000000));
    config_free(&c);
    struct error err;
    assert_null(config_parse((struct str){"a = 1;\n\0b", 9}, "x", false, &err));
    assert_non_null(strstr(err.text, "x:2: a NUL byte"));
}

static void certificates(void **state)
{
    (void)state;
    test_certificate(folder, "one");
    test_certificate(folder, "two");
    put_file("empty.pem", "", 0644);
    static const struct {
        const char *tls, *what; /* NULL: fine */
    } cases[] = {
        {"certificate = \"one.crt\"; key = \"one.key\";", NULL},
        {"certificate = \"one.crt\"; key = \"one.key\"; client_ca = \"two.crt\"; client_cert = \"optional\"; "
         "min_version = \"1.3\";",
         NULL},
        {"certificate = \"one.crt\"; key = \"two.key\";", "tls.key: "},
        {"certificate = \"one.crt\"; key = \"one.crt\";", "not a private key"},
        {"certificate = \"one.key\"; key = \"one.key\";", "not a certificate"},
        {"certificate = \"nowhere.crt\"; key = \"one.key\";", "nowhere.crt can't be read"},
        {"certificate = \"one.crt\"; key = \"nowhere.key\";", "nowhere.key can't be read"},
        {"certificate = \"one.crt\"; key = \"one.key\"; client_ca = \"empty.pem\";", "tls.client_ca: "},
        {"certificate = \"one.crt\"; key = \"one.key\"; min_version = \"1.1\";", "1.2|1.3"},
        {"key = \"one.key\";", "tls.certificate: is missing"},
        {"certificate = \"one.crt\";", "tls.key: is missing"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[300];
        struct error err;
        snprintf(text, sizeof(text), "listen = ( { tls = { %s }; } );", cases[i].tls);
        struct config *c = parse(text, true, &err);
        if ((c != NULL) != !cases[i].what || (!c && !strstr(err.text, cases[i].what)))
            fail_msg("%s: %s", cases[i].tls, c ? "was taken" : err.text);
        if (c)
            assert_true(c->listen[0].tls.on);
        config_free(&c);
    }
    struct config *c = parse_ok(
        "admin = { address = \"0.0.0.0\"; tls = { certificate = \"one.crt\"; key = \"one.key\"; }; };");
    assert_true(c->admin.tls.on);
    assert_true(c->admin.tls.client_required);
    config_free(&c);
}

#define KEYED(more) "providers = ( { name = \"a\"; type = \"openai\"; base_url = \"http://h\"; " more " } );"

static void credentials(void **state)
{
    (void)state;
    struct error err;
    put_file("a.key", "sk-file\n", 0600);
    struct config *c = parse_ok(KEYED("api_key_file = \"a.key\";"));
    assert_true(c->providers[0].has_key);
    assert_true(str_eq(secret_get("a"), STR("sk-file")));
    config_free(&c);

    put_file("open.key", "sk-open\n", 0644);
    assert_null(parse(KEYED("api_key_file = \"open.key\";"), true, &err));
    assert_non_null(strstr(err.text, "chmod 600"));
    assert_null(strstr(err.text, "sk-open"));
    assert_true(str_eq(secret_get("a"), STR("sk-file"))); /* the good one goes on */

    put_file("next.key", "sk-next\n", 0600);
    c = only_parse(KEYED("api_key_file = \"next.key\";"), true, &err);
    assert_non_null(c);
    assert_true(str_eq(secret_get("a"), STR("sk-file"))); /* until it is put in force */
    secret_abort();
    secret_commit();
    assert_true(str_eq(secret_get("a"), STR("sk-file")));
    config_free(&c);

    /* without secrets neither file nor variable is looked at */
    assert_int_equal(setenv("AIGW_TEST_KEY", "sk-env", 1), 0);
    c = parse(KEYED("api_key_file = \"no-such-file\";"), false, &err);
    assert_true(c && c->providers[0].has_key);
    config_free(&c);
    c = parse(KEYED("api_key_env = \"AIGW_TEST_KEY\";"), false, &err);
    assert_true(c && c->providers[0].has_key);
    config_free(&c);
    assert_string_equal(getenv("AIGW_TEST_KEY"), "sk-env");

    c = parse_ok(KEYED("api_key_env = \"AIGW_TEST_KEY\";"));
    config_free(&c);
    assert_null(getenv("AIGW_TEST_KEY"));
    c = parse_ok(KEYED("api_key_env = \"AIGW_TEST_KEY\";")); /* a reload */
    assert_true(str_eq(secret_get("a"), STR("sk-env")));
    config_free(&c);

    c = parse_ok(KEYED(""));
    assert_false(c->providers[0].has_key);
    assert_int_equal(secret_get("a").n, 0);
    config_free(&c);
    /* a rehearsal: the same provider, but virtual */
    c = parse_ok("providers = ( { name = \"a\"; type = \"virtual\"; base_url = \"http://h\"; api_key_file = "
                 "\"no-such-file\"; } );");
    assert_false(c->providers[0].has_key);
    config_free(&c);
}

static void systemd_credential(void **state)
{
    (void)state;
    char sub[128];
    snprintf(sub, sizeof(sub), "%s/credentials", folder);
    assert_int_equal(mkdir(sub, 0700), 0);
    put_file("credentials/openai.key", "sk-systemd\n", 0440);
    setenv("CREDENTIALS_DIRECTORY", sub, 1);
    struct config *c = parse_ok(KEYED("api_key_file = \"openai.key\";"));
    assert_true(str_eq(secret_get("a"), STR("sk-systemd")));
    unsetenv("CREDENTIALS_DIRECTORY");
    config_free(&c);
}

/* ---- what is written for people */

static char *printed(void (*print)(void), size_t *n)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/printed", folder);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(saved >= 0 && fd >= 0);
    dup2(fd, STDOUT_FILENO);
    print();
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(fd);
    struct error err;
    char *text = config_file_text(path, n, &err);
    assert_non_null(text);
    return text;
}

static void same_as(const char *file, const char *begin, const char *end, void (*print)(void))
{
    size_t n, nf;
    struct error err;
    char *text = printed(print, &n);
    char *held = config_file_text(file, &nf, &err);
    if (!held)
        fail_msg("%s", err.text);
    const char *from = *begin ? memmem(held, nf, begin, strlen(begin)) : held;
    assert_non_null(from);
    from += strlen(begin);
    const char *to = *end ? memmem(from, (size_t)(held + nf - from), end, strlen(end)) : held + nf;
    assert_non_null(to);
    if (!str_eq((struct str){from, (size_t)(to - from)}, (struct str){text, n}))
        fail_msg("%s is not what the table of settings says; conf/update-docs writes it anew", file);
    free(text);
    free(held);
}

static void sample_and_man_page(void **state)
{
    (void)state;
    same_as("conf/aigw.conf", "", "", config_print_sample);
    same_as("conf/aigw.conf.5", ".\\\" settings: begin\n", ".\\\" settings: end\n", config_print_man);
}

static void sample_is_valid(void **state)
{
    (void)state;
    struct error err;
    size_t n;
    char *text = printed(config_print_sample, &n);
    struct config *c = config_parse((struct str){text, n}, "sample", true, &err);
    if (!c)
        fail_msg("%s", err.text);
    assert_non_null(config_model(c, STR("demo")));
    config_free(&c);
    free(text);
}

static void files_too_large_or_absent(void **state)
{
    (void)state;
    struct error err;
    size_t n;
    assert_null(config_file_text("/nonexistent/aigw.conf", &n, &err));
    assert_non_null(strstr(err.text, "/nonexistent/aigw.conf"));
    assert_null(config_file_text(folder, &n, &err));
    assert_null(config_file_text("/dev/zero", &n, &err));
    assert_non_null(strstr(err.text, "larger"));
    put_file("empty.conf", "", 0600);
    char path[128];
    snprintf(path, sizeof(path), "%s/empty.conf", folder);
    char *text = config_file_text(path, &n, &err);
    assert_non_null(text);
    assert_int_equal(n, 0);
    free(text);
}

static int setup(void **state)
{
    (void)state;
    return temp_folder_new(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything),
        cmocka_unit_test(no_model_is_no_model),
        cmocka_unit_test(refusals),
        cmocka_unit_test(every_mistake),
        cmocka_unit_test(ends_and_beginnings),
        cmocka_unit_test(service_accounts),
        cmocka_unit_test(vendors_urls),
        cmocka_unit_test(urls),
        cmocka_unit_test(large_numbers),
        cmocka_unit_test(certificates),
        cmocka_unit_test(credentials),
        cmocka_unit_test(systemd_credential),
        cmocka_unit_test(sample_and_man_page),
        cmocka_unit_test(sample_is_valid),
        cmocka_unit_test(files_too_large_or_absent),
    };
    return cmocka_run_group_tests_name("config", tests, setup, teardown);
}
