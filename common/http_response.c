/* A provider's answer is as hostile as a request: its head is bounded, and where it is not certain how long
 * its body is, the exchange is given up rather than guessed. Runs in workers. */
#include "http.h"
#include "http_lines.h"

#include <string.h>

/* HTTP/1.1 SP 200 SP reason; the space and the reason behind the status may be missing, as many servers do
 * it. */
static int parse_status_line(struct str line, struct http_head *head, struct http_refusal *why)
{
    if (line.n < 12 || line.p[8] != ' ')
        return http_refuse(why, 502, "the status line is malformed");
    if (http_version_parse((struct str){line.p, 8}, &head->minor, why))
        return -1;
    uint64_t status = 0;
    if (str_u64((struct str){line.p + 9, 3}, &status) || status < 100 || status > 599)
        return http_refuse(why, 502, "the status is malformed");
    if (line.n > 12 && (line.p[12] != ' ' || !http_value_ok((struct str){line.p + 13, line.n - 13})))
        return http_refuse(why, 502, "the status line is malformed");
    if (status == 101)
        return http_refuse(why, 502, "a switch of protocols that nobody asked for");
    head->status = (int)status;
    return 0;
}

static void settle(bool request_was_head, const struct http_framing *f, struct http_head *head)
{
    if (request_was_head || head->status < 200 || head->status == 204 || head->status == 304)
        head->body = HTTP_BODY_NONE;
    else if (f->chunked)
        head->body = HTTP_BODY_CHUNKED;
    else
        head->body = f->has_length ? HTTP_BODY_LENGTH : HTTP_BODY_UNTIL_CLOSE;
    head->content_length = f->length;
    head->keep_alive =
        !f->close && (head->minor == 1 || f->keep_alive) && head->body != HTTP_BODY_UNTIL_CLOSE;
    head->expect_continue = false;
    head->method = head->target = head->path = head->query = STR_NULL;
}

int http_parse_response(struct str in, bool request_was_head, struct http_head *head,
                        struct http_refusal *why)
{
    struct http_lines lines = {0};
    int found = http_lines_find(in, MAX_HEAD, 0, &lines, why);
    if (found <= 0)
        return found;
    struct http_framing framing;
    head->length = lines.length;
    if (parse_status_line(lines.first, head, why) ||
        http_fields_parse(lines.fields, false, head, &framing, why))
        return -1;
    settle(request_was_head, &framing, head);
    return 1;
}
