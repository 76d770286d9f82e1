/* Slow large bodies: a worker began to read one, was kept waiting, and handed back what has come so far in a
 * memfd. The rest is read into it here, so that a slow upload costs memory (bounded by http.spool_bytes over
 * all of them) and no worker. When the request is whole the memfd goes to a worker beside the connection.
 *
 * What the request needs is found out from its own head here, not taken from the worker's word. */
#include "acceptor.h"
#include "clock.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 64 * 1024, PIECES_A_ROUND = 16 };

void spool_account(struct acceptor *a, struct held *h, int64_t bytes)
{
    a->spooled += (uint64_t)bytes;
    h->spooled += (uint64_t)bytes;
    atomic_store_explicit(&a->shared->spooled_kb, (uint32_t)(a->spooled / 1024), memory_order_relaxed);
}

void spool_free(struct acceptor *a, struct held *h)
{
    if (h->spool_fd >= 0) {
        close(h->spool_fd);
        spool_account(a, h, -(int64_t)h->spooled);
    }
    h->spool_fd = -1;
    free(h->chunked);
    h->chunked = NULL;
}

/* Feeds body bytes to the decoder: true at the body's end, and where it is malformed (the worker says so). */
static bool decode(struct http_chunked *state, struct str in)
{
    while (in.n > 0 && !state->done) {
        struct str data;
        ssize_t n = http_chunked_read(state, in, &data);
        if (n <= 0)
            return true;
        in = (struct str){in.p + n, in.n - (size_t)n};
    }
    return state->done;
}

static bool decode_spooled(struct acceptor *a, struct held *h, size_t from)
{
    ssize_t n;
    for (off_t at = (off_t)from; (n = pread(h->spool_fd, a->scratch, PIECE, at)) > 0; at += n)
        if (decode(h->chunked, (struct str){a->scratch, (size_t)n}))
            return true;
    return false;
}

/* A head that came slowly and asks to be told to go on: nobody else has told it yet. */
static void send_continue(struct held *h, const struct http_head *head)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!head->expect_continue || h->expect_sent)
        return;
    h->expect_sent = true;
    if (send(h->fd, go_on, sizeof go_on - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return; /* whoever reads nothing is waited for in vain, and no longer than others */
}

/* With what is in the spool: what does the request need? READY_YES: it is whole, or to be refused. */
static enum readiness learn(struct acceptor *a, struct held *h)
{
    static struct http_head head;
    struct http_refusal why;
    ssize_t n = pread(h->spool_fd, a->scratch, MAX_HEAD, 0);
    if (n < 0)
        return READY_YES;
    int rc = http_parse_request((struct str){a->scratch, (size_t)n}, a->config->http.max_head, &head, &why);
    if (rc == 0)
        return READY_NOT;
    if (rc < 0 || (head.body != HTTP_BODY_LENGTH && head.body != HTTP_BODY_CHUNKED))
        return READY_YES;
    h->awaits_body = true;
    if (head.body == HTTP_BODY_LENGTH) {
        h->want = head.length + head.content_length;
        if (h->have >= h->want || head.content_length > a->config->http.max_body)
            return READY_YES;
    } else {
        h->chunked = mem_alloc(sizeof *h->chunked);
        h->want = (uint64_t)a->config->http.max_head + a->config->http.max_body + MAX_CHUNK_OVERHEAD;
        if (decode_spooled(a, h, head.length))
            return READY_YES;
    }
    send_continue(h, &head);
    return READY_NOT;
}

/* Takes one piece in; READY_NOT with *more false: nothing is here now. */
static enum readiness read_piece(struct acceptor *a, struct held *h, bool *more)
{
    size_t room = PIECE;
    if (h->awaits_body && h->want - h->have < room)
        room = (size_t)(h->want - h->have);
    ssize_t n = recv(h->fd, a->scratch, room, MSG_DONTWAIT);
    *more = n > 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return READY_NOT;
    if (n <= 0)
        return READY_CLOSED;
    if (a->spooled + (uint64_t)n > a->config->http.spool_bytes) {
        held_refuse(a, h, 503, "Too many slow uploads at once.");
        return READY_UNSEEN;
    }
    if (pwrite(h->spool_fd, a->scratch, (size_t)n, (off_t)h->have) != n) {
        held_refuse(a, h, 503, "The request could not be held.");
        return READY_UNSEEN;
    }
    h->have += (uint64_t)n;
    spool_account(a, h, n);
    if (!h->awaits_body)
        return learn(a, h);
    if (h->have >= h->want)
        return READY_YES;
    return h->chunked && decode(h->chunked, (struct str){a->scratch, (size_t)n}) ? READY_YES : READY_NOT;
}

enum readiness spool_read(struct acceptor *a, struct held *h)
{
    bool more = true;
    enum readiness r = READY_NOT;
    for (int i = 0; i < PIECES_A_ROUND && r == READY_NOT && more; i++)
        r = read_piece(a, h, &more);
    if (r == READY_CLOSED)
        held_close(a, h);
    if (r == READY_CLOSED || r == READY_UNSEEN)
        return READY_CLOSED;
    return r;
}

void spool_begin(struct acceptor *a, struct held *h)
{
    struct stat st;
    held_state(a, h, HELD_SPOOL);
    METRIC_INC(a->metrics, spooled_total);
    if (fstat(h->spool_fd, &st) || st.st_size < 0) {
        close(h->spool_fd);
        h->spool_fd = -1;
        held_close(a, h);
        return;
    }
    h->have = (uint64_t)st.st_size;
    spool_account(a, h, st.st_size);
    if (h->request_ns == 0)
        h->request_ns = a->now;
    if (learn(a, h) == READY_YES) {
        pool_dispatch(a, h);
        return;
    }
    deadline_set(&a->deadlines, &h->due, ready_deadline(a, h));
    held_poll(a, h, EPOLLIN | EPOLLRDHUP);
}
