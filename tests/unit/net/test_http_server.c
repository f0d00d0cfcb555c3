// SPDX-License-Identifier: Apache-2.0
#include "common/net/http_server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/pool.h"
#include "common/net/loop.h"
#include "tests/unit/net/http_peer.h"

/* ---- the server under test: paths say what to do ------------------------------------------------------ */

static struct loop *loops[2];
static struct http_server *server;
static struct pool *pool;
static atomic_uint closed_early, finished, drained;
static atomic_size_t most_queued;
static _Atomic(struct http_stream *) kept;

static const struct http_header text[] = { { "Content-Type", "text/plain" } };

static void
reply_text(struct http_stream *s, int code, const char *body)
{
    http_reply(s, code, text, 1, body, strlen(body));
}

static void
on_gone(struct http_stream *s, void *arg)
{
    atomic_fetch_add(&closed_early, 1);
}

static void
reply_late(void *arg)
{
    struct http_stream *s = arg;

    reply_text(s, 200, "from a pool thread");
    http_stream_unref(s);
}

static void
stream_late(void *arg)
{
    struct http_stream *s = arg;

    http_reply_start(s, 200, text, 1);
    for (char c = '0'; c <= '9'; c++)
        http_reply_write(s, &c, 1);
    http_reply_end(s);
    http_stream_unref(s);
}

/* /flood: 64 MiB, as fast as the client takes it. */
#define FLOOD (64u << 20)
static void
flood(struct http_stream *s, void *arg)
{
    static char block[64 << 10];
    size_t *left = http_stream_user(s);

    if (arg)
        atomic_fetch_add(&drained, 1);
    while (*left && !http_reply_full(s)) {
        size_t queued = http_reply_write(s, block, sizeof block);
        *left -= sizeof block;
        if (queued > atomic_load(&most_queued))
            atomic_store(&most_queued, queued);
    }
    if (*left == 0)
        http_reply_end(s);
}

static void
start_flood(struct http_stream *s)
{
    size_t *left = XNEW(size_t);

    *left = FLOOD;
    http_stream_set_user(s, left, free);
    http_stream_on_close(s, on_gone, NULL);
    http_reply_on_drained(s, flood, &drained);
    http_reply_start(s, 200, text, 1);
    flood(s, NULL);
}

static void
echo_tunnel(struct bufferevent *bev, void *arg)
{
    bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void
end_tunnel(struct bufferevent *bev, short what, void *arg)
{
    bufferevent_free(bev);
}

static void
upgrade(struct http_stream *s)
{
    static const struct http_header rows[] = { { "Connection", "Upgrade" }, { "Upgrade", "echo" } };
    struct bufferevent *bev = http_upgrade_take(s, 101, rows, 2);

    bufferevent_setcb(bev, echo_tunnel, NULL, end_tunnel, NULL);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    bufferevent_trigger(bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS); /* the early bytes */
}

static void
echo_piece(struct http_stream *s, const char *data, size_t len, void *arg)
{
    if (!data)
        http_reply_end(s);
    else
        http_reply_write(s, data, len);
}

static void
count_piece(struct http_stream *s, const char *data, size_t len, void *arg)
{
    size_t *total = http_stream_user(s);

    *total += len;
    if (!data) {
        AUTO_FREE char *answer = xasprintf("%zu", *total);
        reply_text(s, 200, answer);
    }
}

static void
on_head(struct http_stream *s, void *arg)
{
    const struct http_request *r = http_stream_request(s);

    if (str_eq(r->path, "/forbidden")) {
        reply_text(s, 403, "no");
    } else if (str_eq(r->path, "/large")) {
        http_stream_max_body(s, 32 << 20);
    } else if (str_eq(r->path, "/count")) {
        http_stream_set_user(s, XNEW(size_t), free);
        http_stream_stream_body(s, count_piece, NULL);
    } else if (str_eq(r->path, "/duplex")) {
        http_stream_stream_body(s, echo_piece, NULL);
        http_reply_start(s, 200, text, 1);
    } else if (str_eq(r->path, "/upgrade") && r->upgrade) {
        upgrade(s);
    }
}

static void
on_request(struct http_stream *s, void *arg)
{
    const struct http_request *r = http_stream_request(s);
    size_t len;
    const char *body = http_stream_body(s, &len);

    if (str_eq(r->path, "/echo") || str_eq(r->path, "/large")) {
        http_reply(s, 200, text, 1, body, len);
    } else if (str_eq(r->path, "/late")) {
        assert_int_equal(pool_submit(pool, reply_late, http_stream_ref(s)), 0);
    } else if (str_eq(r->path, "/late-stream")) {
        assert_int_equal(pool_submit(pool, stream_late, http_stream_ref(s)), 0);
    } else if (str_eq(r->path, "/flood")) {
        start_flood(s);
    } else if (str_eq(r->path, "/hang")) { /* a watch without events */
        http_stream_on_close(s, on_gone, NULL);
        atomic_store(&kept, http_stream_ref(s));
        http_reply_start(s, 200, text, 1);
        http_reply_write(s, "first\n", 6);
    } else if (str_eq(r->path, "/firehose")) { /* a source that does not listen */
        static char block[256 << 10];
        http_stream_on_close(s, on_gone, NULL);
        http_reply_start(s, 200, text, 1);
        for (int i = 0; i < 64; i++)
            http_reply_write(s, block, sizeof block);
        http_reply_end(s);
    } else if (str_eq(r->path, "/sized")) {
        static const struct http_header sized[] = { { "content-length", "5" } };
        http_reply_start(s, 200, sized, 1);
        http_reply_write(s, "12345", 5);
        http_reply_end(s);
    } else if (str_eq(r->path, "/short")) {
        static const struct http_header sized[] = { { "Content-Length", "50" } };
        http_reply_start(s, 200, sized, 1);
        http_reply_write(s, "12345", 5);
        http_reply_end(s);
    } else if (str_eq(r->path, "/nothing")) {
        http_reply(s, 204, NULL, 0, NULL, 0);
    } else if (str_eq(r->path, "/split")) {
        static const struct http_header evil[] = { { "X-A", "b\r\nX-Evil: 1" } };
        http_reply(s, 200, evil, 1, NULL, 0);
    } else if (str_eq(r->path, "/reset")) {
        http_stream_reset(s);
    } else if (str_eq(r->path, "/twice")) {
        reply_text(s, 200, "one");
        reply_text(s, 200, "two");
    } else if (str_eq(r->path, "/who")) {
        AUTO_FREE char *who = xasprintf("%s %s q=%s host=%s peer=%s x=%s", r->method, r->target, r->query, r->host,
                                        str_has_prefix(r->peer, "127.0.0.1:") ? "ok" : r->peer,
                                        str_safe(http_stream_header(s, "x-test")));
        reply_text(s, 200, who);
    } else {
        reply_text(s, 404, "not found");
    }
}

static void
on_finished(struct http_stream *s, void *arg)
{
    atomic_fetch_add(&finished, 1);
}

static void
on_refuse(struct http_stream *s, int code, const char *message, void *arg)
{
    AUTO_FREE char *body = xasprintf("{\"code\":%d,\"message\":\"%s\"}", code, message);
    static const struct http_header json[] = { { "Content-Type", "application/json" } };

    http_reply(s, code, json, 1, body, strlen(body));
}

static const struct http_handler handler = { on_head, on_request, on_refuse, on_finished };
static const struct http_limits limits = {
    .max_url = 4096,
    .max_head = 32 << 10,
    .max_headers = 64,
    .max_body = 1 << 20,
    .max_connections = 100,
    .output_high = 256 << 10,
    .output_max = 4 << 20,
    .head_timeout_ms = 300,
    .body_stall_ms = 300,
    .idle_timeout_ms = 60000,
};

static int
set_up(void **state)
{
    pool = pool_new("late", 2, 100);
    for (int i = 0; i < 2; i++)
        assert_null(loop_new("http", &loops[i]));
    assert_null(http_server_new(&handler, NULL, &limits, &server));
    assert_null(http_server_listen(server, loops, 2, "127.0.0.1", 0, NULL));
    for (int i = 0; i < 2; i++)
        assert_null(loop_thread_start(loops[i]));
    return 0;
}

static int
tear_down(void **state)
{
    pool_free(pool);
    for (int i = 0; i < 2; i++) {
        loop_stop(loops[i]);
        loop_thread_join(loops[i]);
    }
    http_server_free(server);
    for (int i = 0; i < 2; i++)
        loop_free(loops[i]);
    return 0;
}

static struct http_peer_conn
dial(void)
{
    struct http_peer_conn c = peer_connect(http_server_port(server));

    assert_true(c.fd >= 0);
    return c;
}

static void
expect(struct http_peer_conn *c, int code, const char *body)
{
    struct http_peer_reply r;

    if (!peer_reply(c, false, &r))
        fail_msg("no reply, wanted %d", code);
    if (r.code != code || (body && !strstr(sbuf_str(&r.body), body)))
        fail_msg("wanted %d with '%s', got %d with '%.200s'", code, body ? body : "", r.code, sbuf_str(&r.body));
    peer_reply_done(&r);
}

static void
expect_closed(struct http_peer_conn *c)
{
    AUTO_FREE char *rest = peer_rest(c);

    assert_string_equal(rest, "");
    peer_close(c);
}

static void
wait_for(atomic_uint *counter, unsigned want)
{
    while (atomic_load(counter) < want)
        clock_sleep_ms(1);
}

/* ---- tests -------------------------------------------------------------------------------------------- */

static void
requests_are_read_and_kept_alive(void **state)
{
    struct http_peer_conn c = dial();

    peer_sends(&c, "GET /who?a=1&b=%20 HTTP/1.1\r\nHost: h\r\nX-Empty:\r\nx-TEST:  some value \r\n\r\n");
    expect(&c, 200, "GET /who?a=1&b=%20 q=a=1&b=%20 host=h peer=ok x=some value");
    peer_sends(&c, "GET http://other/who HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, 200, "GET http://other/who q= host=h");
    peer_sends(&c, "GET /who HTTP/1.1\r\nHost: h\r\nX-Test: folded\r\n value\r\n\r\n");
    expect(&c, 200, "x=folded value"); /* RFC 9112 5.2: a fold is a space */
    for (int i = 0; i < 20; i++) {
        peer_sends(&c, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
        expect(&c, 200, "hello");
    }
    peer_sends(&c, "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    expect(&c, 404, "not found");
    expect_closed(&c);
}

static void
pipelined_requests_are_answered_in_order(void **state)
{
    struct http_peer_conn c = dial();
    AUTO_SBUF all = { 0 };

    for (int i = 0; i < 50; i++)
        sbuf_addf(&all, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n%03d", i % 5 ? "/echo" : "/late", i);
    peer_send(&c, all.s, all.len);
    for (int i = 0; i < 50; i++) {
        char want[16];
        snprintf(want, sizeof want, "%03d", i);
        expect(&c, 200, i % 5 ? want : "from a pool thread");
    }
    peer_close(&c);
}

static void
bytes_may_come_one_by_one(void **state)
{
    struct http_peer_conn c = dial();
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: h\r\nA:\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n"
                                  "GET /who HTTP/1.1\r\nHost: h\r\n\r\n";

    for (size_t i = 0; i < sizeof request - 1; i++) {
        peer_send(&c, request + i, 1);
        if (i % 16 == 0)
            sched_yield();
    }
    expect(&c, 200, "abcdefg");
    expect(&c, 200, "GET /who");
    peer_close(&c);
}

static void
replies_in_pieces_are_chunked(void **state)
{
    struct http_peer_conn c = dial();
    struct http_peer_reply r;

    peer_sends(&c, "GET /late-stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(peer_reply(&c, false, &r));
    AUTO_FREE char *coding = peer_header(&r, "Transfer-Encoding");
    assert_string_equal(coding, "chunked");
    assert_string_equal(sbuf_str(&r.body), "0123456789");
    peer_reply_done(&r);

    peer_sends(&c, "GET /sized HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(peer_reply(&c, false, &r));
    assert_null(peer_header(&r, "Transfer-Encoding"));
    assert_string_equal(sbuf_str(&r.body), "12345");
    peer_reply_done(&r);

    /* HTTP/1.0 knows no chunks: the close is the end */
    peer_sends(&c, "GET /late-stream HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    assert_true(peer_reply(&c, false, &r));
    assert_null(peer_header(&r, "Transfer-Encoding"));
    assert_string_equal(sbuf_str(&r.body), "0123456789");
    peer_reply_done(&r);
    expect_closed(&c);

    c = dial(); /* a length that is not kept must not look like a clean end */
    peer_sends(&c, "GET /short HTTP/1.1\r\nHost: h\r\n\r\n");
    AUTO_FREE char *all = peer_rest(&c);
    assert_null(strstr(all, "\r\n\r\n123456"));
    peer_close(&c);
}

static void
head_and_no_content_have_no_body(void **state)
{
    struct http_peer_conn c = dial();
    struct http_peer_reply r;

    peer_sends(&c, "HEAD /who HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(peer_reply(&c, true, &r));
    assert_int_equal(r.code, 200);
    AUTO_FREE char *length = peer_header(&r, "Content-Length");
    assert_non_null(length);
    assert_string_not_equal(length, "0");
    peer_reply_done(&r);
    peer_sends(&c, "HEAD /late-stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(peer_reply(&c, true, &r));
    peer_reply_done(&r);
    peer_sends(&c, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, 204, NULL);
    peer_sends(&c, "GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, 200, "GET /who");
    peer_close(&c);
}

static void
bodies_have_a_bound(void **state)
{
    struct http_peer_conn c = dial();
    size_t size = 8u << 20;
    AUTO_FREE char *big = xmalloc(size);
    struct http_peer_reply r;

    memset(big, 'x', size);
    peer_sends(&c, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n");
    expect(&c, 413, "too large");
    peer_close(&c);

    c = dial(); /* chunked: found out on the way */
    peer_sends(&c, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++)
        if (!peer_sends(&c, "10000\r\n") || !peer_send(&c, big, 0x10000) || !peer_sends(&c, "\r\n"))
            break;
    expect(&c, 413, "too large");
    peer_close(&c);

    c = dial(); /* on_head may allow more */
    peer_sends(&c, "POST /large HTTP/1.1\r\nHost: h\r\nContent-Length: 8388608\r\n\r\n");
    peer_send(&c, big, size);
    assert_true(peer_reply(&c, false, &r));
    assert_int_equal(r.body.len, size);
    peer_reply_done(&r);
    peer_sends(&c, "POST /count HTTP/1.1\r\nHost: h\r\nContent-Length: 8388608\r\n\r\n");
    peer_send(&c, big, size);
    expect(&c, 200, "8388608");
    peer_close(&c);
}

static void
bodies_can_be_streamed_both_ways_at_once(void **state)
{
    struct http_peer_conn c = dial();

    peer_sends(&c, "POST /duplex HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    AUTO_FREE char *one = peer_until(&c, "hello\r\n");
    assert_non_null(one);
    peer_sends(&c, "5\r\nworld\r\n");
    AUTO_FREE char *two = peer_until(&c, "world\r\n");
    assert_non_null(two);
    peer_sends(&c, "0\r\n\r\n");
    AUTO_FREE char *end = peer_until(&c, "0\r\n\r\n");
    assert_non_null(end);
    peer_sends(&c, "GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, 200, "GET /who");
    peer_close(&c);
}

static void
continue_is_told_when_the_body_is_wanted(void **state)
{
    struct http_peer_conn c = dial();

    peer_sends(&c, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    expect(&c, 100, NULL);
    peer_sends(&c, "ok");
    expect(&c, 200, "ok");
    peer_sends(&c, "POST /forbidden HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    expect(&c, 403, "no");
    expect_closed(&c); /* whether the body follows is unknown */
}

static void
an_early_refusal_keeps_the_connection_when_the_body_is_short(void **state)
{
    struct http_peer_conn c = dial();

    peer_sends(&c, "POST /forbidden HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
    expect(&c, 403, "no");
    peer_sends(&c, "defGET /who HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, 200, "GET /who");
    peer_close(&c);
}

static void
what_could_be_smuggled_is_refused(void **state)
{
    static const struct {
        const char *request;
        int code;
    } rows[] = {
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\nabc", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 0 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400 },
        { "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n", 400 },
        { "POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
        { "GET /who HTTP/1.1\nHost: h\n\n", 400 },
        { "GET /who HTTP/1.1\r\n\r\n", 400 },
        { "GET /who HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400 },
        { "GET /who HTTP/1.1\r\nHost: h\r\nX A: 1\r\n\r\n", 400 },
        { "GET /who HTTP/1.1\r\nHost: h\r\n: 1\r\n\r\n", 400 },
        { "GET /who HTTP/1.1\r\nHost: h\r\nX: a\001b\r\n\r\n", 400 },
        { "GET who HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
        { "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
        { "GET /who HTTP/2.0\r\nHost: h\r\n\r\n", 0 },
        { "GET /who HTTP/1.2\r\nHost: h\r\n\r\n", 0 },
        { "CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405 },
        { "NOSUCH / HTTP/1.1\r\nHost: h\r\n\r\n", 400 },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0 },
        { "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400 },
        { "GET /who HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n", 417 },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_peer_conn c = dial();
        struct http_peer_reply r;
        AUTO_FREE char *tail = xasprintf("%sGET /who?smuggled HTTP/1.1\r\nHost: h\r\n\r\n", rows[i].request);
        peer_sends(&c, tail);
        if (!peer_reply(&c, false, &r))
            fail_msg("row %zu: no reply", i);
        if (rows[i].code ? r.code != rows[i].code : r.code < 400)
            fail_msg("row %zu: got %d %s", i, r.code, sbuf_str(&r.body));
        peer_reply_done(&r);
        AUTO_FREE char *rest = peer_rest(&c); /* nothing after it is taken for a request */
        if (rest[0])
            fail_msg("row %zu: more came: %s", i, rest);
        peer_close(&c);
    }
}

static void
heads_have_bounds(void **state)
{
    AUTO_SBUF head = { 0 };
    struct http_peer_conn c = dial();

    sbuf_adds(&head, "GET /");
    for (int i = 0; i < 5000; i++)
        sbuf_addc(&head, 'u');
    sbuf_adds(&head, " HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_send(&c, head.s, head.len);
    expect(&c, 414, "too long");
    peer_close(&c);

    c = dial();
    sbuf_clear(&head);
    sbuf_adds(&head, "GET /who HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < 64; i++)
        sbuf_addf(&head, "X-%d: 1\r\n", i);
    sbuf_adds(&head, "\r\n");
    peer_send(&c, head.s, head.len);
    expect(&c, 431, "too many headers");
    peer_close(&c);

    c = dial();
    sbuf_clear(&head);
    sbuf_adds(&head, "GET /who HTTP/1.1\r\nHost: h\r\nX: ");
    for (int i = 0; i < 40000; i++)
        sbuf_addc(&head, 'v');
    sbuf_adds(&head, "\r\n\r\n");
    peer_send(&c, head.s, head.len);
    expect(&c, 431, "too large");
    peer_close(&c);
}

static void
slow_clients_are_dropped(void **state)
{
    struct http_peer_conn silent = dial(), drip = dial(), half = dial();

    peer_sends(&drip, "GET /who HTTP/1.1\r\n");
    peer_sends(&half, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe");
    expect(&drip, 408, "head did not come in time");
    expect(&half, 408, "body did not come in time");
    expect_closed(&silent);
    peer_close(&drip);
    peer_close(&half);
}

static void
back_pressure_bounds_the_queue(void **state)
{
    struct http_peer_conn c = dial();
    struct http_peer_reply r;

    atomic_store(&most_queued, 0);
    peer_sends(&c, "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(peer_read(&c) > 0); /* then stall until the server is full */
    while (atomic_load(&most_queued) < 256u << 10)
        clock_sleep_ms(1);
    assert_true(peer_reply(&c, false, &r));
    assert_int_equal(r.body.len, FLOOD);
    assert_true(atomic_load(&most_queued) < 512u << 10);
    assert_true(atomic_load(&drained) > 0);
    peer_reply_done(&r);
    peer_sends(&c, "GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, 200, "GET /who");
    peer_close(&c);
}

static void
a_source_that_does_not_listen_is_cut_off(void **state)
{
    unsigned before = atomic_load(&closed_early);
    struct http_peer_conn c = dial();

    peer_sends(&c, "GET /firehose HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for(&closed_early, before + 1);
    AUTO_FREE char *all = peer_rest(&c);
    peer_close(&c);
}

static void
a_client_that_leaves_is_noticed(void **state)
{
    unsigned before = atomic_load(&closed_early);
    struct http_peer_conn c = dial();

    peer_sends(&c, "GET /hang HTTP/1.1\r\nHost: h\r\n\r\n");
    AUTO_FREE char *first = peer_until(&c, "first\n");
    assert_non_null(first);
    peer_close(&c);
    wait_for(&closed_early, before + 1);
    struct http_stream *s = atomic_exchange(&kept, NULL);
    assert_true(http_stream_gone(s));
    http_reply_write(s, "late", 4); /* harmless */
    http_reply_end(s);
    reply_text(s, 200, "late");
    http_stream_unref(s);

    c = dial(); /* in the middle of a flood */
    peer_sends(&c, "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
    free(peer_take(&c, 1000));
    peer_close(&c);
    wait_for(&closed_early, before + 2);
}

static void
a_half_close_still_gets_its_reply(void **state)
{
    struct http_peer_conn c = dial();

    peer_sends(&c, "GET /late HTTP/1.1\r\nHost: h\r\n\r\nGET /who HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(c.fd, SHUT_WR);
    expect(&c, 200, "from a pool thread");
    expect(&c, 200, "GET /who");
    expect_closed(&c);
}

static void
a_reset_is_no_clean_end(void **state)
{
    struct http_peer_conn c = dial();
    struct http_peer_reply r;

    peer_sends(&c, "GET /reset HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_false(peer_reply(&c, false, &r));
    peer_reply_done(&r);
    peer_close(&c);
}

static void
mistakes_of_users_do_no_harm(void **state)
{
    struct http_peer_conn c = dial();
    struct http_peer_reply r;

    peer_sends(&c, "GET /twice HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&c, 200, "one");
    peer_sends(&c, "GET /split HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(peer_reply(&c, false, &r));
    assert_null(peer_header(&r, "X-Evil"));
    peer_reply_done(&r);
    peer_close(&c);
}

static void
upgrades_hand_over_the_channel_with_early_bytes(void **state)
{
    struct http_peer_conn c = dial();
    unsigned before = atomic_load(&finished);
    struct http_peer_reply r;

    peer_sends(&c, "POST /upgrade HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\nearly");
    assert_true(peer_reply(&c, true, &r));
    assert_int_equal(r.code, 101);
    AUTO_FREE char *protocol = peer_header(&r, "Upgrade");
    assert_string_equal(protocol, "echo");
    peer_reply_done(&r);
    AUTO_FREE char *early = peer_take(&c, 5);
    assert_string_equal(early, "early");
    peer_sends(&c, "more");
    AUTO_FREE char *more = peer_take(&c, 4);
    assert_string_equal(more, "more");
    peer_close(&c);
    wait_for(&finished, before + 1);

    c = dial(); /* an upgrade nobody wants is a plain request */
    peer_sends(&c, "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi");
    expect(&c, 200, "hi");
    peer_sends(&c, "GET /who HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    expect(&c, 200, "GET /who");
    peer_close(&c);
}

static void
connections_have_a_bound(void **state)
{
    struct http_peer_conn all[110];
    unsigned alive = 0;

    while (http_server_connections(server)) /* earlier tests' */
        clock_sleep_ms(1);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = dial();
        peer_sends(&all[i], "GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
        struct http_peer_reply r;
        if (peer_reply(&all[i], false, &r))
            alive++;
        peer_reply_done(&r);
    }
    assert_int_equal(alive, 100);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        peer_close(&all[i]);
}

static void
a_port_in_use_is_named(void **state)
{
    AUTO(http_server) *second = NULL;

    assert_null(http_server_new(&handler, NULL, NULL, &second));
    struct kerr *err = http_server_listen(second, loops, 2, "127.0.0.1", http_server_port(server), NULL);
    AUTO_FREE char *want = xasprintf("listen on 127.0.0.1:%u: Address already in use", http_server_port(server));
    assert_non_null(err);
    assert_string_equal(err->message, want);
    kerr_free(err);
}

static void
draining_closes_idle_connections(void **state)
{
    struct http_peer_conn idle = dial(), busy = dial();

    peer_sends(&idle, "GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
    expect(&idle, 200, NULL);
    peer_sends(&busy, "GET /hang HTTP/1.1\r\nHost: h\r\n\r\n");
    AUTO_FREE char *first = peer_until(&busy, "first\n");
    assert_non_null(first);
    struct http_stream *s = atomic_exchange(&kept, NULL);
    http_server_drain(server);
    expect_closed(&idle);
    http_reply_write(s, "last\n", 5);
    http_reply_end(s);
    http_stream_unref(s);
    AUTO_FREE char *rest = peer_until(&busy, "0\r\n\r\n");
    assert_non_null(rest);
    expect_closed(&busy);
    /* Listeners close on the loop that has them; a connection may still slip in before. */
    for (struct http_peer_conn c; (c = peer_connect(http_server_port(server))).fd >= 0;)
        peer_close(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read_and_kept_alive),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(replies_in_pieces_are_chunked),
        cmocka_unit_test(head_and_no_content_have_no_body),
        cmocka_unit_test(bodies_have_a_bound),
        cmocka_unit_test(bodies_can_be_streamed_both_ways_at_once),
        cmocka_unit_test(continue_is_told_when_the_body_is_wanted),
        cmocka_unit_test(an_early_refusal_keeps_the_connection_when_the_body_is_short),
        cmocka_unit_test(what_could_be_smuggled_is_refused),
        cmocka_unit_test(heads_have_bounds),
        cmocka_unit_test(slow_clients_are_dropped),
        cmocka_unit_test(back_pressure_bounds_the_queue),
        cmocka_unit_test(a_source_that_does_not_listen_is_cut_off),
        cmocka_unit_test(a_client_that_leaves_is_noticed),
        cmocka_unit_test(a_half_close_still_gets_its_reply),
        cmocka_unit_test(a_reset_is_no_clean_end),
        cmocka_unit_test(mistakes_of_users_do_no_harm),
        cmocka_unit_test(upgrades_hand_over_the_channel_with_early_bytes),
        cmocka_unit_test(connections_have_a_bound),
        cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(draining_closes_idle_connections),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
