/* One admin connection.
 *
 * Each state has a total deadline that no trickle of bytes extends, so a slow client costs a descriptor for
 * some seconds and nothing else. A request is handled in one go once it is complete. Unread bodies of refused
 * requests are dropped for a moment before the close, so that the client gets to read the answer. */
#include "connection.h"

#include "clock.h"
#include "mem.h"

#include <sys/epoll.h>

enum {
    READ_SIZE = 16 * 1024,
    MAX_IN = MAX_HEAD + ADMIN_MAX_BODY + READ_SIZE,
    MAX_OUT = MAX_ANSWER + 64 * 1024,
    KEEP_IN = 64 * 1024,
    IDLE_S = 30,
    REQUEST_S = 10, /* TLS handshake; head and body from the first byte on; a parked answer */
    WRITE_S = 30,
    LINGER_S = 2,
};

static void enter(struct connection *c, enum connection_state state, int64_t now_ns, int seconds)
{
    c->state = state;
    c->since_ns = now_ns;
    c->deadline_ns = now_ns + seconds * NS_PER_SEC;
}

struct connection *connection_new(uint64_t id, int take_fd, SSL_CTX *tls, const char *peer, int64_t now_ns)
{
    struct transport io;
    if (transport_init(&io, take_fd, tls))
        return NULL;
    struct connection *c = mem_alloc(sizeof *c);
    c->id = id;
    c->io = io;
    str_copy_cut(c->peer, sizeof c->peer, str_of(peer));
    buf_init(&c->in, MAX_IN);
    buf_init(&c->body, ADMIN_MAX_BODY);
    buf_init(&c->out, MAX_OUT);
    arena_init(&c->arena);
    reply_init(&c->reply);
    enter(c, CONN_HANDSHAKE, now_ns, REQUEST_S);
    return c;
}

void connection_free(struct connection **cp)
{
    struct connection *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    transport_fini(&c->io);
    buf_free(&c->in);
    buf_free(&c->body);
    buf_free(&c->out);
    arena_fini(&c->arena);
    reply_fini(&c->reply);
    free(c);
}

static void close_now(struct connection *c)
{
    c->state = CONN_CLOSED;
}

static struct exchange exchange_of(struct connection *c)
{
    struct str body = buf_str(&c->body);
    if (c->head.body == HTTP_BODY_LENGTH)
        body = (struct str){c->in.p, c->head.content_length};
    return (struct exchange){.head = &c->head,
                             .body = body,
                             .peer = c->peer,
                             .connection = c->id,
                             .arena = &c->arena,
                             .reply = &c->reply};
}

/* The reply is filled. whole: the request has been read to its end. */
static void begin_write(struct connection *c, bool whole, int64_t now_ns)
{
    c->keep_alive = whole && c->head.keep_alive && !c->draining;
    bool with_body = !str_eq(c->head.method, STR("HEAD"));
    int64_t wall_s = clock_wall_us() / 1000000;
    if (c->reply.body.full) {
        reply_error(&c->reply, 500, "answer_too_large", NULL,
                    "the answer is too large: narrow the question, or use limit");
    }
    reply_serialize(&c->reply, with_body, c->keep_alive, wall_s, &c->out);
    c->written = 0;
    enter(c, CONN_WRITE, now_ns, WRITE_S);
}

/* Answers what can't be answered by a handler: the message itself is not in order. */
static void refuse(struct connection *c, int status, const char *code, const char *reason, int64_t now_ns)
{
    reply_reset(&c->reply);
    reply_error(&c->reply, status, code, NULL, "%s", reason);
    begin_write(c, false, now_ns);
}

/* Reads some bytes: 1, or 0 when nothing more can be done now (it waits, or is closed). */
static int fill(struct connection *c)
{
    size_t room = buf_reserve(&c->in, READ_SIZE);
    if (!room) {
        close_now(c);
        return 0;
    }
    ssize_t n = transport_read(&c->io, c->in.p + c->in.n, room);
    if (n > 0) {
        c->in.n += (size_t)n;
        return 1;
    }
    if (n != TRANSPORT_WAIT)
        close_now(c);
    return 0;
}

static void send_continue(struct connection *c)
{
    /* a full socket this early is a client that does not read: it simply gets no invitation */
    if (c->head.expect_continue && !c->in.n)
        transport_write(&c->io, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void begin_request(struct connection *c, const struct handler *h, int64_t now_ns)
{
    struct exchange x = exchange_of(c);
    x.body = STR_NULL;
    bool no_body =
        c->head.body == HTTP_BODY_NONE || (c->head.body == HTTP_BODY_LENGTH && c->head.content_length == 0);
    if (!h->admit(&x, h->arg)) {
        begin_write(c, no_body, now_ns);
        return;
    }
    if (c->head.body == HTTP_BODY_LENGTH && c->head.content_length > ADMIN_MAX_BODY) {
        refuse(c, 413, "body_too_large", "the body is larger than 1 MB", now_ns);
        return;
    }
    c->state = CONN_BODY; /* under the head's deadline */
    send_continue(c);
}

/* Looks for a whole head in what has been read. True: something was done. */
static bool try_head(struct connection *c, const struct handler *h, int64_t now_ns)
{
    struct http_refusal why;
    struct http_head *head = &c->head;
    int r = c->in.n ? http_parse_request(buf_str(&c->in), ADMIN_MAX_HEAD, head, &why) : 0;
    if (r < 0) {
        head->method = STR_NULL;
        refuse(c, why.status, "malformed_request", why.reason, now_ns);
        return true;
    }
    if (!r)
        return false;
    /* what follows may move c->in: the head's slices shall point into a copy that stays */
    struct str copy = arena_copy(&c->arena, (struct str){c->in.p, head->length});
    size_t length = head->length;
    if (http_parse_request(copy, ADMIN_MAX_HEAD, head, &why) != 1) {
        close_now(c);
        return true;
    }
    buf_consume(&c->in, length);
    c->chunked = (struct http_chunked){0};
    begin_request(c, h, now_ns);
    return true;
}

/* Decodes the chunks that are here: 1 complete, 0 more to come, -1 refused. */
static int take_chunks(struct connection *c, int64_t now_ns)
{
    size_t at = 0;
    while (!c->chunked.done) {
        struct str data = STR_NULL;
        ssize_t n = http_chunked_read(&c->chunked, (struct str){c->in.p + at, c->in.n - at}, &data);
        if (n < 0) {
            refuse(c, 400, "malformed_request", "the chunked body is malformed", now_ns);
            return -1;
        }
        if (buf_add(&c->body, data)) {
            refuse(c, 413, "body_too_large", "the body is larger than 1 MB", now_ns);
            return -1;
        }
        at += (size_t)n;
        if (n == 0)
            break;
    }
    buf_consume(&c->in, at);
    return c->chunked.done;
}

/* 1: the whole body is here. */
static int body_here(struct connection *c, int64_t now_ns)
{
    if (c->head.body == HTTP_BODY_CHUNKED)
        return take_chunks(c, now_ns);
    return c->head.body != HTTP_BODY_LENGTH || c->in.n >= c->head.content_length;
}

static bool try_body(struct connection *c, const struct handler *h, int64_t now_ns)
{
    int here = body_here(c, now_ns);
    if (here <= 0)
        return here < 0;
    struct exchange x = exchange_of(c);
    if (h->serve(&x, h->arg))
        begin_write(c, true, now_ns);
    else
        enter(c, CONN_PARKED, now_ns, REQUEST_S);
    return true;
}

/* The answer is written: the next request, or the end. */
static void finish(struct connection *c, int64_t now_ns)
{
    bool whole = c->keep_alive || c->head.body == HTTP_BODY_NONE;
    if (c->head.body == HTTP_BODY_LENGTH && c->keep_alive)
        buf_consume(&c->in, c->head.content_length);
    buf_free(&c->out);
    buf_free(&c->body);
    if (c->in.cap > KEEP_IN && !c->in.n)
        buf_free(&c->in);
    reply_reset(&c->reply);
    arena_reset(&c->arena);
    if (!c->keep_alive) {
        transport_shutdown(&c->io);
        if (whole && !c->in.n)
            close_now(c);
        else
            enter(c, CONN_LINGER, now_ns, LINGER_S);
        return;
    }
    enter(c, CONN_HEAD, now_ns, c->in.n ? REQUEST_S : IDLE_S);
    c->again = c->in.n > 0 || c->io.ssl;
}

/* True: written to the end. */
static bool flush(struct connection *c)
{
    while (c->written < c->out.n) {
        ssize_t n = transport_write(&c->io, (struct str){c->out.p + c->written, c->out.n - c->written});
        if (n == TRANSPORT_WAIT)
            return false;
        if (n < 0) {
            close_now(c);
            return false;
        }
        c->written += (size_t)n;
    }
    return true;
}

static void handshake(struct connection *c, int64_t now_ns)
{
    int r = transport_handshake(&c->io);
    if (r == TRANSPORT_FAILED)
        close_now(c);
    if (r == 0)
        enter(c, CONN_HEAD, now_ns, REQUEST_S);
}

static void drop_input(struct connection *c)
{
    char waste[READ_SIZE];
    ssize_t n;
    while ((n = transport_read(&c->io, waste, sizeof waste)) > 0)
        ;
    if (n != TRANSPORT_WAIT)
        close_now(c);
}

/* Head and body share the deadline that the head's first byte set. */
static bool read_more(struct connection *c, int64_t now_ns)
{
    bool first = c->state == CONN_HEAD && !c->in.n;
    if (!fill(c))
        return false;
    if (first)
        enter(c, CONN_HEAD, now_ns, REQUEST_S);
    return true;
}

void connection_run(struct connection *c, const struct handler *h, int64_t now_ns)
{
    c->again = false;
    if (c->state == CONN_HANDSHAKE)
        handshake(c, now_ns);
    while (c->state == CONN_HEAD || c->state == CONN_BODY) {
        bool done = c->state == CONN_HEAD ? try_head(c, h, now_ns) : try_body(c, h, now_ns);
        if (!done && !read_more(c, now_ns))
            return;
    }
    if (c->state == CONN_WRITE && flush(c))
        finish(c, now_ns);
    if (c->state == CONN_LINGER)
        drop_input(c);
}

void connection_timeout(struct connection *c, const struct handler *h, int64_t now_ns)
{
    if (c->state == CONN_PARKED) {
        struct exchange x = exchange_of(c);
        h->late(&x, h->arg);
        connection_answered(c, h, now_ns);
    } else if (c->state == CONN_BODY || (c->state == CONN_HEAD && c->in.n)) {
        if (c->state == CONN_HEAD)
            c->head = (struct http_head){0};
        refuse(c, 408, "request_timeout", "the request did not arrive in time", now_ns);
        connection_run(c, h, now_ns);
    } else {
        close_now(c);
    }
}

void connection_answered(struct connection *c, const struct handler *h, int64_t now_ns)
{
    begin_write(c, true, now_ns);
    connection_run(c, h, now_ns);
}

void connection_drain(struct connection *c)
{
    c->draining = true;
    if (connection_idle(c) || c->state == CONN_LINGER)
        close_now(c);
}

bool connection_idle(const struct connection *c)
{
    return c->state == CONN_HANDSHAKE || (c->state == CONN_HEAD && !c->in.n);
}

uint32_t connection_events(const struct connection *c)
{
    switch (c->state) {
    case CONN_PARKED:
    case CONN_CLOSED:
        return 0;
    case CONN_LINGER:
        return EPOLLIN;
    default:
        return c->io.waiting;
    }
}
