// SPDX-License-Identifier: Apache-2.0
/* The life of an HTTP/1.1 connection: bytes in, one stream at a time, timers, the end. */
#include "common/net/http1.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/str.h"

#define INPUT_HIGH (128u << 10)     /* bytes that may wait while a request is at work */
#define SHORT_BODY (256 << 10)      /* an unwanted rest that is read away to keep the connection */
#define LINGER_MS 1000

static void feed(struct http_conn *conn);

/* ---- state and timer --------------------------------------------------------------------------------- */

static void
set_state(struct http_conn *conn, enum http1_state state)
{
    conn->state = state;
    conn->since_ms = clock_mono_ms();
}

static uint64_t
state_limit_ms(const struct http_conn *conn)
{
    const struct http_limits *limits = &conn->server->limits;

    switch (conn->state) {
    case H1_IDLE:
        return conn->served ? limits->idle_timeout_ms : limits->head_timeout_ms;
    case H1_HEAD:
        return limits->head_timeout_ms;
    case H1_BODY:
        return limits->body_stall_ms;
    case H1_WAIT:
    case H1_FLUSH:
        return limits->write_stall_ms;
    case H1_LINGER:
        return LINGER_MS;
    }
    return LINGER_MS;
}

/* One timer; it is only moved when something falls due earlier, and looks again when it fires too early. */
static void
settle_timer(struct http_conn *conn)
{
    uint64_t due = conn->since_ms + state_limit_ms(conn), now = clock_mono_ms();

    if (conn->timer_due_ms && conn->timer_due_ms <= due)
        return;
    conn->timer_due_ms = due;
    loop_timer_once(conn->timer, due > now ? due - now : 0);
}

static void
enter(struct http_conn *conn)
{
    conn->busy++;
}

static void
leave(struct http_conn *conn)
{
    conn->busy--;
    if (conn->busy)
        return;
    if (conn->dead)
        http1_conn_free(conn);
    else
        settle_timer(conn);
}

void
http1_doom(struct http_conn *conn)
{
    if (conn->dead)
        return;
    conn->dead = true;
    if (conn->stream)
        atomic_store(&conn->stream->gone, true);
    if (conn->busy)
        return; /* leave() frees */
    if (conn->bev) /* not now: a user of the stream may be on the stack */
        bufferevent_trigger_event(conn->bev, BEV_EVENT_ERROR, BEV_TRIG_DEFER_CALLBACKS);
    else
        http1_conn_free(conn);
}

/* ---- requests ---------------------------------------------------------------------------------------- */

bool
http1_body_left_is_short(const struct http_conn *conn)
{
    int64_t length = conn->stream->req.content_length;

    return !conn->expects_continue && length >= 0 && length <= SHORT_BODY && !conn->body_paused;
}

/* Answers by itself, then closes: what follows on the wire cannot be trusted. */
static void
refuse(struct http_conn *conn, const char *fallback)
{
    if (!conn->stream) {
        http1_note_refusal(conn, 400, fallback);
        (void)http1_head_finish(conn);
    }
    conn->keep_alive = false;
    set_state(conn, H1_FLUSH);
    if (conn->stream->reply_begun) { /* too late for words */
        http1_doom(conn);
        return;
    }
    http_stream_refuse(conn->stream, conn->refuse_code ? conn->refuse_code : 400,
                       conn->refuse_message ? conn->refuse_message : fallback);
}

static void
body_complete(struct http_conn *conn)
{
    struct http_stream *s = conn->stream;

    if (!s) { /* answered before, the rest was only read away */
        set_state(conn, H1_IDLE);
        conn->served = true;
        return;
    }
    set_state(conn, H1_WAIT);
    conn->served = true;
    if (conn->discard_body)
        return;
    if (s->on_data)
        s->on_data(s, NULL, 0, s->on_data_arg);
    else if (!s->reply_begun)
        conn->server->handler.on_request(s, conn->server->arg);
}

static void
head_complete(struct http_conn *conn)
{
    if (!http1_head_finish(conn)) {
        refuse(conn, "malformed request");
        return;
    }
    struct http_stream *s = conn->stream;
    set_state(conn, H1_BODY);
    conn->body_moved = true;
    if (conn->server->handler.on_head)
        conn->server->handler.on_head(s, conn->server->arg);
    if (conn->dead || conn->state != H1_BODY)
        return;
    if (!s->reply_begun && !s->on_data && s->req.content_length > 0 && (uint64_t)s->req.content_length > s->max_body) {
        http1_note_refusal(conn, 413, "the request's body is too large");
        refuse(conn, "");
        return;
    }
    if (!s->reply_begun && conn->expects_continue) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        conn->expects_continue = false;
        bufferevent_write(conn->bev, go_on, sizeof go_on - 1);
    }
    llhttp_resume(&conn->parser);
    if (llhttp_execute(&conn->parser, "", 0) == HPE_PAUSED) /* no body: complete without another byte */
        body_complete(conn);
}

static void
parse_piece(struct http_conn *conn, struct evbuffer *in, const struct evbuffer_iovec *piece)
{
    if (conn->state == H1_IDLE) {
        http1_head_reset(conn);
        set_state(conn, H1_HEAD);
    }
    llhttp_errno_t rc = llhttp_execute(&conn->parser, piece->iov_base, piece->iov_len);
    size_t used = piece->iov_len;
    if (rc != HPE_OK)
        used = (size_t)(llhttp_get_error_pos(&conn->parser) - (const char *)piece->iov_base);
    evbuffer_drain(in, used);
    if (conn->dead || conn->state == H1_FLUSH) /* by a body callback */
        return;
    if (conn->state == H1_HEAD && (conn->head_bytes += used) > conn->server->limits.max_head && rc == HPE_OK) {
        http1_note_refusal(conn, 431, "the request's headers are too large");
        rc = HPE_USER;
    }
    if (rc == HPE_PAUSED && conn->state == H1_HEAD)
        head_complete(conn);
    else if (rc == HPE_PAUSED)
        body_complete(conn);
    else if (rc != HPE_OK && conn->discard_body && !conn->stream)
        http1_doom(conn); /* a broken rest of an answered request */
    else if (rc != HPE_OK)
        refuse(conn, str_or(llhttp_get_error_reason(&conn->parser), "malformed request"));
}

static bool
wants_bytes(const struct http_conn *conn)
{
    if (conn->dead)
        return false;
    return conn->state == H1_IDLE || conn->state == H1_HEAD || (conn->state == H1_BODY && !conn->body_paused);
}

static void
feed(struct http_conn *conn)
{
    struct evbuffer *in = bufferevent_get_input(conn->bev);
    struct evbuffer_iovec piece;

    while (wants_bytes(conn) && evbuffer_get_length(in) && evbuffer_peek(in, -1, NULL, &piece, 1) >= 1)
        parse_piece(conn, in, &piece);
    if (conn->dead)
        return;
    if (conn->state == H1_FLUSH || conn->state == H1_LINGER)
        evbuffer_drain(in, evbuffer_get_length(in));
    if (conn->eof && (conn->state == H1_IDLE || conn->state == H1_HEAD || conn->state == H1_BODY))
        http1_doom(conn); /* no more bytes will come */
    else if (wants_bytes(conn))
        tls_read_on(conn->bev);
}

/* ---- after the reply --------------------------------------------------------------------------------- */

void
http1_reply_over(struct http_conn *conn)
{
    if (!conn->body_done && !conn->discard_body) /* nobody reads the rest: it cannot be kept */
        conn->keep_alive = false;
    if (!conn->keep_alive && !conn->body_done)
        set_state(conn, H1_FLUSH);
    if (evbuffer_get_length(bufferevent_get_output(conn->bev)) == 0)
        bufferevent_trigger(conn->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* A close with unread bytes makes the kernel send a reset, which may overtake our last words: read on for a moment. */
static void
close_politely(struct http_conn *conn)
{
    struct evbuffer *in = bufferevent_get_input(conn->bev);

    if (conn->eof || (conn->body_done && evbuffer_get_length(in) == 0)) {
        http1_doom(conn);
        return;
    }
    set_state(conn, H1_LINGER);
    evbuffer_drain(in, evbuffer_get_length(in));
    if (conn->ssl)
        SSL_shutdown(conn->ssl);
    shutdown(bufferevent_getfd(conn->bev), SHUT_WR);
}

static void
reply_left(struct http_conn *conn)
{
    struct http_stream *s = conn->stream;

    conn->stream = NULL;
    http_stream_detach(s, true);
    if (conn->dead)
        return;
    if (!conn->keep_alive) {
        close_politely(conn);
        return;
    }
    if (conn->body_done)
        set_state(conn, H1_IDLE);
    feed(conn);
}

/* ---- bufferevent callbacks --------------------------------------------------------------------------- */

static void
on_readable(struct bufferevent *bev, void *arg)
{
    struct http_conn *conn = arg;

    enter(conn);
    feed(conn);
    leave(conn);
}

static void
on_written(struct bufferevent *bev, void *arg)
{
    struct http_conn *conn = arg;
    struct http_stream *s = conn->stream;

    enter(conn);
    if (s && !conn->dead) {
        if (s->reply_ended && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
            reply_left(conn);
        else
            http_stream_drained(s);
    }
    leave(conn);
}

static void
on_output_changed(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg)
{
    struct http_conn *conn = arg;

    if (info->n_deleted)
        conn->progress = true;
    if (conn->stream)
        atomic_store_explicit(&conn->stream->output, info->orig_size + info->n_added - info->n_deleted,
                              memory_order_relaxed);
}

static void
on_half_close(struct http_conn *conn)
{
    conn->eof = true;
    switch (conn->state) {
    case H1_WAIT: /* perhaps it only closed its sending side: a short reply still goes out */
        if (conn->stream->reply_streams)
            http1_doom(conn);
        break;
    case H1_FLUSH:
        break;
    default:
        http1_doom(conn);
    }
}

static void
tell_plain_client(struct http_conn *conn)
{
    static const char text[] = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

    if (send(bufferevent_getfd(conn->bev), text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_v(4, "Could not tell a client that this port speaks TLS", "peer", conn->peer->remote);
}

static void
on_error(struct http_conn *conn)
{
    if (conn->ssl && !SSL_is_init_finished(conn->ssl)) {
        static _Atomic uint64_t last_ms;
        unsigned long code = bufferevent_get_openssl_error(conn->bev);
        uint64_t last = last_ms;
        if (code && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
            tell_plain_client(conn);
        if (klog_every(&last, clock_mono_ms(), 200)) {
            last_ms = last;
            log_info("http: TLS handshake error", "peer", conn->peer->remote, "local", conn->peer->local, "err",
                     code ? str_safe(ERR_reason_error_string(code)) : "connection closed");
        }
    }
    http1_doom(conn);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_conn *conn = arg;

    if (conn->dead && !conn->busy) {
        http1_conn_free(conn);
        return;
    }
    if (what & BEV_EVENT_CONNECTED)
        return; /* the TLS handshake is done */
    enter(conn);
    if (what & BEV_EVENT_EOF)
        on_half_close(conn);
    else if (what & BEV_EVENT_ERROR)
        on_error(conn);
    leave(conn);
}

/* ---- timeouts ---------------------------------------------------------------------------------------- */

static void
head_too_slow(struct http_conn *conn)
{
    if (conn->state == H1_IDLE) {
        http1_doom(conn);
        return;
    }
    http1_note_refusal(conn, 408, "the request's head did not come in time");
    refuse(conn, "");
}

static void
look_at_body(struct http_conn *conn)
{
    if (conn->body_moved || conn->body_paused) {
        conn->body_moved = false;
        conn->since_ms = clock_mono_ms();
    } else if (!conn->stream || conn->stream->reply_begun) {
        http1_doom(conn);
    } else {
        http1_note_refusal(conn, 408, "the request's body did not come in time");
        refuse(conn, "");
    }
}

/* Replies in pieces may pause as long as they like (a pager on `logs -f`); output_max bounds what that costs. */
static void
look_at_output(struct http_conn *conn)
{
    bool waits = evbuffer_get_length(bufferevent_get_output(conn->bev)) > 0;
    bool must_move = conn->stream && conn->stream->reply_ended;

    if (waits && must_move && !conn->progress) {
        log_v(2, "http: closing a connection that takes no bytes", "peer", conn->peer->remote);
        http1_doom(conn);
        return;
    }
    conn->progress = false;
    conn->since_ms = clock_mono_ms();
}

static void
on_timer(void *arg)
{
    struct http_conn *conn = arg;

    enter(conn);
    conn->timer_due_ms = 0;
    if (!conn->dead && clock_mono_ms() >= conn->since_ms + state_limit_ms(conn)) {
        switch (conn->state) {
        case H1_IDLE:
        case H1_HEAD:
            head_too_slow(conn);
            break;
        case H1_BODY:
            look_at_body(conn);
            break;
        case H1_WAIT:
        case H1_FLUSH:
            look_at_output(conn);
            break;
        case H1_LINGER:
            http1_doom(conn);
            break;
        }
    }
    leave(conn);
}

/* ---- birth and death --------------------------------------------------------------------------------- */

void
http1_conn_new(struct http_shard *shard, int fd, struct tls_server *tls, struct http_peer *peer)
{
    struct http_conn *conn = XNEW(struct http_conn);
    struct event_base *base = loop_base(shard->loop);

    conn->shard = shard;
    conn->server = shard->server;
    conn->peer = peer;
    conn->tls = tls;
    if (tls) {
        conn->ssl = tls_server_accept(tls);
        conn->bev = bufferevent_openssl_socket_new(base, fd, conn->ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
        if (conn->bev)
            bufferevent_openssl_set_allow_dirty_shutdown(conn->bev, 1);
    } else {
        conn->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    }
    if (!conn->bev)
        abort(); /* out of memory */
    DL_APPEND(shard->conns, conn);
    http1_head_reset(conn);
    conn->timer = loop_timer_new(shard->loop, on_timer, conn);
    set_state(conn, H1_IDLE);
    bufferevent_setcb(conn->bev, on_readable, on_written, on_event, conn);
    bufferevent_setwatermark(conn->bev, EV_READ, 0, INPUT_HIGH);
    bufferevent_setwatermark(conn->bev, EV_WRITE, shard->server->limits.output_high / 4, 0);
    evbuffer_add_cb(bufferevent_get_output(conn->bev), on_output_changed, conn);
    bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
    settle_timer(conn);
}

void
http1_forget_channel(struct http_conn *conn)
{
    evbuffer_remove_cb(bufferevent_get_output(conn->bev), on_output_changed, conn);
}

void
http1_conn_free(struct http_conn *conn)
{
    struct http_stream *s = conn->stream;
    bool taken = !conn->bev;

    conn->dead = true;
    conn->busy++; /* callbacks below find a dead connection and leave it alone */
    conn->stream = NULL;
    DL_DELETE(conn->shard->conns, conn);
    loop_timer_free(conn->timer);
    if (conn->bev) {
        http1_forget_channel(conn);
        bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
        if (conn->ssl && SSL_is_init_finished(conn->ssl))
            SSL_shutdown(conn->ssl);
        bufferevent_free(conn->bev);
    }
    if (s)
        http_stream_detach(s, taken);
    ERR_clear_error();
    atomic_fetch_sub(&conn->server->connections, 1);
    http_peer_unref(conn->peer);
    sbuf_done(&conn->head);
    free(conn->rows);
    free(conn);
}

void
http1_conn_drain(struct http_conn *conn)
{
    conn->keep_alive = false;
    if (conn->state == H1_IDLE)
        http1_doom(conn);
}

struct http_conn *
http1_conn_next(struct http_conn *conn)
{
    return conn->next;
}
