/* Is the whole request here? Looked at with MSG_PEEK: the bytes stay in the socket, so a hand-over is one
 * descriptor.
 *
 * A request is ready when its head is whole and its body too, or when the body is so large (or so slow to be
 * asked for: Expect) that a worker authenticates on the head first. What is malformed is ready at once: the
 * worker words the refusal. An incomplete head is looked at again when more comes, but each look copies it
 * from the start, so after a few looks the client is looked at only now and then (next_look): a byte a packet
 * costs us no more than a byte a quarter of a second. */
#include "acceptor.h"
#include "clock.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { FIRST_LOOK = 8 * 1024, FREE_LOOKS = 4, LAST_LOOKS = 10 };

int64_t ready_deadline(const struct acceptor *a, const struct held *h)
{
    if (!h->awaits_body)
        return h->request_ns + (int64_t)a->config->http.head_timeout_ms * NS_PER_MS;
    int64_t allowed = (int64_t)a->config->http.body_timeout_ms * NS_PER_MS;
    if (a->config->http.min_rate > 0)
        allowed += (int64_t)((double)h->have * 1e9 / a->config->http.min_rate);
    return h->request_ns + allowed;
}

static void set_low_water(struct held *h, uint64_t bytes)
{
    int n = bytes < 1 ? 1 : (int)bytes; /* at most head + MAX_READY_BODY */
    setsockopt(h->fd, SOL_SOCKET, SO_RCVLOWAT, &n, sizeof n);
    h->low_water = n > 1;
}

/* What came is not enough: when to look again, or give up. */
static enum readiness wait_on(struct acceptor *a, struct held *h)
{
    if (h->half_closed)
        return READY_CLOSED;
    int64_t deadline = ready_deadline(a, h);
    if (h->awaits_body && h->want > 0) {
        set_low_water(h, h->want);
        held_poll(a, h, EPOLLIN | EPOLLRDHUP | EPOLLET);
    } else if (h->looks < FREE_LOOKS) {
        h->looks++;
        held_poll(a, h, EPOLLIN | EPOLLRDHUP | EPOLLET);
    } else {
        int64_t next_look = a->now + ((int64_t)8 << (h->looks - FREE_LOOKS)) * NS_PER_MS / 2;
        if (h->looks < LAST_LOOKS)
            h->looks++;
        held_unpoll(a, h);
        if (next_look < deadline)
            deadline = next_look;
    }
    deadline_set(&a->deadlines, &h->due, deadline);
    return READY_NOT;
}

static enum readiness length_ready(struct acceptor *a, struct held *h, const struct http_head *head)
{
    int here = 0;
    if (head->expect_continue || head->content_length > MAX_READY_BODY)
        return READY_YES;
    ioctl(h->fd, FIONREAD, &here);
    h->have = (uint64_t)here;
    h->want = head->length + head->content_length;
    if (h->have >= h->want)
        return READY_YES;
    h->awaits_body = true;
    return wait_on(a, h);
}

/* `in`: everything that is in the socket, or as much as we look at. */
static enum readiness chunked_ready(struct acceptor *a, struct held *h, const struct http_head *head,
                                    struct str in)
{
    struct http_chunked state = {0};
    size_t at = head->length;
    if (head->expect_continue || in.n - at > MAX_READY_BODY)
        return READY_YES;
    while (at < in.n && !state.done) {
        struct str data;
        ssize_t n = http_chunked_read(&state, (struct str){in.p + at, in.n - at}, &data);
        if (n < 0)
            return READY_YES;
        if (n == 0)
            break;
        at += (size_t)n;
    }
    if (state.done)
        return READY_YES;
    h->awaits_body = true;
    h->have = in.n;
    h->want = 0;
    return wait_on(a, h);
}

static enum readiness judge(struct acceptor *a, struct held *h, struct str in, bool is_all)
{
    static struct http_head head; /* 4 KB; the acceptor has one thread */
    struct http_refusal why;
    int rc = http_parse_request(in, a->config->http.max_head, &head, &why);
    if (rc < 0)
        return READY_YES;
    if (rc == 0)
        return is_all ? wait_on(a, h) : READY_UNSEEN;
    if (head.body == HTTP_BODY_LENGTH)
        return length_ready(a, h, &head);
    if (head.body == HTTP_BODY_CHUNKED)
        return is_all ? chunked_ready(a, h, &head, in) : READY_UNSEEN;
    return READY_YES;
}

static ssize_t peek(struct acceptor *a, struct held *h, size_t most)
{
    ssize_t n;
    do
        n = recv(h->fd, a->scratch, most, MSG_PEEK | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}

static void first_byte(struct acceptor *a, struct held *h)
{
    if (h->request_ns == 0) {
        h->request_ns = a->now;
        held_remove(&a->idle, h);
    }
}

enum readiness ready_in_socket(struct acceptor *a, struct held *h)
{
    ssize_t n = peek(a, h, FIRST_LOOK);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        if (h->half_closed)
            return READY_CLOSED;
        held_poll(a, h, EPOLLIN | EPOLLRDHUP | EPOLLET);
        return READY_NOT;
    }
    if (n <= 0)
        return READY_CLOSED;
    first_byte(a, h);
    bool is_all = n < FIRST_LOOK;
    enum readiness r = judge(a, h, (struct str){a->scratch, (size_t)n}, is_all);
    if (r != READY_UNSEEN)
        return r;
    n = peek(a, h, SCRATCH); /* a long head, or chunks behind it */
    return n <= 0 ? READY_CLOSED : judge(a, h, (struct str){a->scratch, (size_t)n}, true);
}
