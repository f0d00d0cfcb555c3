// SPDX-License-Identifier: Apache-2.0
/* The HTTP/2 connection of a gRPC client: made when a call waits, lost and made again; frames by libnghttp2. */
#include "common/net/grpc_private.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "common/base/klog.h"
#include "common/base/str.h"

#define STREAM_WINDOW (1 << 20)
#define CONN_WINDOW (16 << 20)
#define OUTPUT_HIGH (256u << 10) /* frames beyond this wait in nghttp2 */

struct grpc_conn {
    struct grpc_conn *prev, *next;
    struct grpc_client *client;
    struct bufferevent *bev;
    nghttp2_session *session; /* NULL while connecting */
    struct loop_timer *connect_timer;
    struct grpc_stream *calls;
    bool proven; /* the peer sent its SETTINGS: it speaks HTTP/2 */
    bool dead;   /* to be freed when the stack is clear of nghttp2 */
};

static void ensure_conn(struct grpc_client *c);

/* ---- life and death ---------------------------------------------------------------------------------- */

static void
fail_calls(struct grpc_stream **list, const char *desc)
{
    struct grpc_stream *calls = *list, *s, *next;

    *list = NULL; /* on_end callbacks see a clean client */
    DL_FOREACH_SAFE(calls, s, next)
    {
        s->conn = NULL;
        if (s->refusal)
            grpc_stream_finish(s, s->refusal_status, steal_ptr(s->refusal));
        else if (!s->done)
            grpc_stream_finish(s, GRPC_UNAVAILABLE, grpc_stream_error(s, GRPC_UNAVAILABLE, desc));
        grpc_stream_drop(s);
    }
}

static void
conn_free(struct grpc_conn *conn, const char *why)
{
    struct grpc_client *c = conn->client;

    if (c->conn == conn)
        c->conn = NULL;
    DL_DELETE(c->conns, conn);
    loop_timer_free(conn->connect_timer);
    nghttp2_session_del(conn->session);
    fail_calls(&conn->calls, why);
    bufferevent_free(conn->bev);
    free(conn);
}

void
grpc_conn_free_all(struct grpc_client *c)
{
    while (c->conns)
        conn_free(c->conns, "the client is shutting down");
}

static void
on_retry(void *arg)
{
    struct grpc_client *c = arg;

    if (c->waiting)
        ensure_conn(c);
}

/* A try failed: those who wait learn why; the next try comes after a pause. */
static void
connect_failed(struct grpc_client *c, const char *why)
{
    free(c->last_failure);
    c->last_failure = xstrdup(why);
    if (!c->retry)
        c->retry = loop_timer_new(c->loop, on_retry, c);
    loop_timer_once(c->retry, backoff_next_ms(&c->backoff, &c->policy, &c->rng));
    fail_calls(&c->waiting, why);
}

static void
conn_lost(struct grpc_conn *conn, const char *why)
{
    struct grpc_client *c = conn->client;
    AUTO_FREE char *text = xstrdup(why);
    bool proven = conn->proven;

    conn_free(conn, text);
    if (!proven)
        connect_failed(c, text);
    else if (c->waiting)
        ensure_conn(c);
}

/* ---- HTTP/2 out -------------------------------------------------------------------------------------- */

static ssize_t
read_request(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
             nghttp2_data_source *source, void *arg)
{
    struct grpc_stream *s = source->ptr;
    size_t left = s->request_len - s->request_sent;
    size_t n = left < size ? left : size;

    memcpy(buf, s->request + s->request_sent, n);
    s->request_sent += n;
    if (s->request_sent == s->request_len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static void
flush(struct grpc_conn *conn)
{
    struct evbuffer *out = bufferevent_get_output(conn->bev);

    while (!conn->dead && evbuffer_get_length(out) < OUTPUT_HIGH) {
        const uint8_t *frame;
        ssize_t n = nghttp2_session_mem_send(conn->session, &frame);
        if (n == 0)
            break;
        if (n < 0 || bufferevent_write(conn->bev, frame, (size_t)n) < 0) {
            conn->dead = true;
            break;
        }
    }
    if (!nghttp2_session_want_read(conn->session) && !nghttp2_session_want_write(conn->session))
        conn->dead = true;
}

static void
reap(struct grpc_conn *conn)
{
    AUTO_FREE char *why = NULL;

    if (!conn->dead)
        return;
    why = xasprintf("connection to %s closed", conn->client->address);
    conn_lost(conn, why);
}

static nghttp2_nv
nv(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                         NGHTTP2_NV_FLAG_NO_COPY_NAME };
}

/* The wire allows 8 digits and a unit. */
static void
format_timeout(char *buf, size_t size, uint64_t ms)
{
    if (ms <= 99999999)
        snprintf(buf, size, "%llum", (unsigned long long)ms);
    else
        snprintf(buf, size, "%lluS", (unsigned long long)(ms / 1000 > 99999999 ? 99999999 : ms / 1000));
}

static bool
submit_on(struct grpc_conn *conn, struct grpc_stream *s)
{
    char timeout[24];
    bool is_unix = conn->client->addr.ss.ss_family == AF_UNIX;
    nghttp2_nv rows[9] = {
        nv(":method", "POST"),
        nv(":scheme", "http"),
        nv(":path", s->method),
        nv(":authority", is_unix ? "localhost" : conn->client->address),
        nv("content-type", "application/grpc"),
        nv("user-agent", "ckube/" CKUBE_VERSION),
        nv("te", "trailers"),
    };
    size_t n = 7;
    nghttp2_data_provider body = { .source.ptr = s, .read_callback = read_request };

    if (s->timeout_ms) {
        format_timeout(timeout, sizeof timeout, s->timeout_ms);
        rows[n++] = nv("grpc-timeout", timeout);
    }
    s->stream_id = nghttp2_submit_request(conn->session, NULL, rows, n, &body, s);
    if (s->stream_id < 0)
        return false;
    s->conn = conn;
    DL_APPEND(conn->calls, s);
    return true;
}

void
grpc_conn_submit(struct grpc_stream *s)
{
    struct grpc_client *c = s->client;
    struct grpc_conn *conn = c->conn;

    if (conn && conn->session && !conn->dead) {
        if (nghttp2_session_check_request_allowed(conn->session) && submit_on(conn, s)) {
            flush(conn);
            reap(conn);
            return;
        }
        c->conn = NULL; /* going away or out of stream ids: it finishes what it has */
        nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
        flush(conn);
        reap(conn);
    }
    DL_APPEND(c->waiting, s);
    ensure_conn(c);
}

void
grpc_conn_abandon(struct grpc_stream *s)
{
    struct grpc_conn *conn = s->conn;

    nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, s->stream_id, NGHTTP2_CANCEL);
    flush(conn);
    reap(conn);
}

static void
submit_waiting(struct grpc_conn *conn)
{
    struct grpc_client *c = conn->client;
    struct grpc_stream *s, *next;

    DL_FOREACH_SAFE(c->waiting, s, next)
    {
        DL_DELETE(c->waiting, s);
        if (!submit_on(conn, s)) {
            grpc_stream_finish(s, GRPC_INTERNAL, grpc_stream_error(s, GRPC_INTERNAL, "cannot submit the request"));
            grpc_stream_drop(s);
        }
    }
}

static void
pump_waiting(struct grpc_client *c)
{
    struct grpc_conn *conn = c->conn;

    if (!c->waiting || c->closing)
        return;
    if (!conn) {
        ensure_conn(c);
    } else if (conn->session && !conn->dead) {
        submit_waiting(conn);
        flush(conn);
        reap(conn);
    }
}

/* ---- HTTP/2 in --------------------------------------------------------------------------------------- */

static int
hex(uint8_t ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static void
percent_decode(struct sbuf *out, const uint8_t *p, size_t len)
{
    sbuf_clear(out);
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '%' && len - i > 2 && hex(p[i + 1]) >= 0 && hex(p[i + 2]) >= 0) {
            sbuf_addc(out, (char)(hex(p[i + 1]) << 4 | hex(p[i + 2])));
            i += 2;
        } else {
            sbuf_addc(out, (char)p[i]);
        }
    }
}

static int
small_number(const uint8_t *p, size_t len)
{
    AUTO_FREE char *text = xstrndup((const char *)p, len);
    int32_t n;

    return parse_i32(text, &n) == 0 && n >= 0 ? n : GRPC_UNKNOWN;
}

static bool
name_is(const uint8_t *name, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(name, want, len) == 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
          const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct grpc_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (!s || s->done)
        return 0;
    if (name_is(name, name_len, ":status"))
        s->http_status = small_number(value, value_len);
    else if (name_is(name, name_len, "grpc-status"))
        s->peer_status = small_number(value, value_len);
    else if (name_is(name, name_len, "grpc-message"))
        percent_decode(&s->peer_message, value, value_len);
    return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct grpc_stream *s = nghttp2_session_get_stream_user_data(session, id);

    if (!s || s->done || s->refusal)
        return 0;
    grpc_stream_receive(s, data, len);
    if (s->refusal)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct grpc_conn *conn = arg;
    struct grpc_client *c = conn->client;

    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        conn->proven = true;
        backoff_reset(&c->backoff);
    } else if (frame->hd.type == NGHTTP2_GOAWAY && c->conn == conn) {
        c->conn = NULL;
    }
    return 0;
}

/* A refused stream was not looked at by the peer (RFC 9113 8.7): it may be sent again, once. */
static bool
may_resubmit(const struct grpc_stream *s, uint32_t error)
{
    return error == NGHTTP2_REFUSED_STREAM && !s->done && !s->refusal && !s->resubmitted && !s->client->closing;
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct grpc_conn *conn = arg;
    struct grpc_stream *s = nghttp2_session_get_stream_user_data(session, id);

    if (!s)
        return 0;
    DL_DELETE(conn->calls, s);
    s->conn = NULL;
    if (may_resubmit(s, error)) {
        s->resubmitted = true;
        s->request_sent = 0;
        DL_APPEND(s->client->waiting, s); /* submitted when nghttp2 is off the stack */
        return 0;
    }
    if (!s->done)
        grpc_stream_closed(s, error);
    grpc_stream_drop(s);
    return 0;
}

static bool
start_session(struct grpc_conn *conn)
{
    static const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 64 << 10 },
    };
    nghttp2_session_callbacks *cb;

    if (nghttp2_session_callbacks_new(&cb))
        return false;
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    int rc = nghttp2_session_client_new(&conn->session, cb, conn);
    nghttp2_session_callbacks_del(cb);
    return rc == 0 && nghttp2_submit_settings(conn->session, 0, settings, ARRAY_LEN(settings)) == 0 &&
           nghttp2_session_set_local_window_size(conn->session, 0, 0, CONN_WINDOW) == 0;
}

/* ---- the socket -------------------------------------------------------------------------------------- */

static void
on_readable(struct bufferevent *bev, void *arg)
{
    struct grpc_conn *conn = arg;
    struct grpc_client *c = conn->client;
    struct evbuffer *in = bufferevent_get_input(bev);

    while (!conn->dead && evbuffer_get_length(in)) {
        struct evbuffer_iovec piece;
        if (evbuffer_peek(in, -1, NULL, &piece, 1) < 1)
            break;
        ssize_t n = nghttp2_session_mem_recv(conn->session, piece.iov_base, piece.iov_len);
        if (n < 0) {
            log_v(2, "gRPC peer broke HTTP/2", "peer", conn->client->address, "err", nghttp2_strerror((int)n));
            conn->dead = true;
            break;
        }
        evbuffer_drain(in, (size_t)n);
    }
    flush(conn);
    reap(conn);
    pump_waiting(c);
}

static void
on_writable(struct bufferevent *bev, void *arg)
{
    struct grpc_conn *conn = arg;

    if (!conn->session)
        return;
    flush(conn);
    reap(conn);
}

static void
on_connected(struct grpc_conn *conn)
{
    loop_timer_stop(conn->connect_timer);
    if (!start_session(conn)) {
        conn_lost(conn, "cannot start HTTP/2");
        return;
    }
    submit_waiting(conn);
    bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
    flush(conn);
    reap(conn);
}

static void
on_socket_event(struct bufferevent *bev, short what, void *arg)
{
    struct grpc_conn *conn = arg;
    int why = EVUTIL_SOCKET_ERROR();
    AUTO_FREE char *text = NULL;

    if (what & BEV_EVENT_CONNECTED) {
        on_connected(conn);
        return;
    }
    const char *reason = what & BEV_EVENT_EOF ? "closed by the peer" : evutil_socket_error_to_string(why);
    text = conn->session ? xasprintf("connection to %s: %s", conn->client->address, reason)
                         : xasprintf("dial %s: %s", conn->client->address, reason);
    conn_lost(conn, text);
}

static void
on_connect_timeout(void *arg)
{
    struct grpc_conn *conn = arg;
    AUTO_FREE char *text = xasprintf("dial %s: no connection within %llu ms", conn->client->address,
                                     (unsigned long long)conn->client->connect_timeout_ms);

    conn_lost(conn, text);
}

/* Connects when something waits, nothing is under way and no pause is due. */
static void
ensure_conn(struct grpc_client *c)
{
    int fd;

    if (c->conn || c->closing || (c->retry && loop_timer_pending(c->retry)))
        return;
    struct kerr *err = addr_connect(&c->addr, &fd);
    if (err) {
        connect_failed(c, err->message);
        kerr_free(err);
        return;
    }
    struct grpc_conn *conn = XNEW(struct grpc_conn);
    conn->client = c;
    conn->bev = bufferevent_socket_new(loop_base(c->loop), fd, BEV_OPT_CLOSE_ON_FREE);
    if (!conn->bev)
        abort(); /* out of memory */
    DL_APPEND(c->conns, conn);
    c->conn = conn;
    bufferevent_setcb(conn->bev, on_readable, on_writable, on_socket_event, conn);
    conn->connect_timer = loop_timer_new(c->loop, on_connect_timeout, conn);
    loop_timer_once(conn->connect_timer, c->connect_timeout_ms);
    bufferevent_socket_connect(conn->bev, NULL, 0);
}
