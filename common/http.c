/* The alphabets of HTTP (RFC 9110 5.6) and what both sides of the gateway ask about a head. */
#include "http.h"
#include "http_lines.h"

#include <string.h>

#define T HTTP_CLASS_TOKEN
#define V HTTP_CLASS_VALUE
#define U HTTP_CLASS_TARGET
#define H HTTP_CLASS_HOST
#define D HTTP_CLASS_DIGIT
#define X HTTP_CLASS_HEX

/* No fragment, no quote and no angle brackets in a target: no client has reason to send them unescaped, and
 * programs behind read them differently. */
const uint8_t http_class[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | V | U,
    ['"'] = V,
    ['#'] = T | V,
    ['$' ... '\''] = T | V | U,
    ['(' ... ')'] = V | U,
    ['*' ... '+'] = T | V | U,
    [','] = V | U,
    ['-' ... '.'] = T | V | U | H,
    ['/'] = V | U,
    ['0' ... '9'] = T | V | U | H | D | X,
    [':' ... ';'] = V | U,
    ['<'] = V,
    ['='] = V | U,
    ['>'] = V,
    ['?' ... '@'] = V | U,
    ['A' ... 'F'] = T | V | U | H | X,
    ['G' ... 'Z'] = T | V | U | H,
    ['[' ... ']'] = V | U,
    ['^'] = T | V | U,
    ['_'] = T | V | U | H,
    ['`'] = T | V | U,
    ['a' ... 'f'] = T | V | U | H | X,
    ['g' ... 'z'] = T | V | U | H,
    ['{'] = V | U,
    ['|'] = T | V | U,
    ['}'] = V | U,
    ['~'] = T | V | U | H,
    [0x80 ... 0xff] = V,
};

bool http_value_ok(struct str s)
{
    return http_all(s, HTTP_CLASS_VALUE);
}

bool http_token_ok(struct str s)
{
    return s.n > 0 && http_all(s, HTTP_CLASS_TOKEN);
}

bool http_find(const struct http_head *head, const char *name, struct str *value)
{
    struct str wanted = str_of(name);
    for (size_t i = 0; i < head->n; i++)
        if (str_ieq(head->headers[i].name, wanted)) {
            *value = head->headers[i].value;
            return true;
        }
    return false;
}

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
    {529, "Site Overloaded"},
};

bool http_is_json(struct str content_type)
{
    struct str type;
    if (!str_split(&content_type, ';', &type))
        return false;
    type = str_trim(type);
    return str_ieq(type, STR("application/json")) ||
           (type.n > 5 && str_ieq((struct str){type.p + type.n - 5, 5}, STR("+json")));
}

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}
