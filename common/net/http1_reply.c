// SPDX-License-Identifier: Apache-2.0
/* Replies to bytes: heads, lengths, chunks. */
#include "common/net/http1.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/str.h"

#define TLS_COPY_MAX (16u << 10)

/* The Date header, made once a second per thread. */
static const char *
date_now(void)
{
    static __thread char text[40];
    static __thread int64_t of;
    int64_t now = clock_wall_s();

    if (now != of) {
        time_t t = (time_t)now;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm); /* no locale is ever set */
        of = now;
    }
    return text;
}

static bool
ours_to_add(const char *name)
{
    return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0 ||
           strcasecmp(name, "Connection") == 0 || strcasecmp(name, "Date") == 0;
}

/* Values come from users of the server, who may pass on what a peer said: no line breaks get through. */
static void
add_line(struct sbuf *out, const char *name, const char *value)
{
    sbuf_adds(out, name);
    sbuf_add(out, ": ", 2);
    for (const char *p = value; *p; p++)
        sbuf_addc(out, *p == '\r' || *p == '\n' ? ' ' : *p);
    sbuf_add(out, "\r\n", 2);
}

static void
add_status_line(struct sbuf *out, int code)
{
    sbuf_addf(out, "HTTP/1.1 %d %s\r\n", code, http_status_text(code));
}

static bool
code_has_no_body(int code)
{
    return code == 204 || code == 304 || (code >= 100 && code < 200);
}

static int64_t
length_given(const struct http_header *headers, size_t n)
{
    const char *text = http_header_get(headers, n, "Content-Length");
    int64_t len;

    return text && parse_i64(text, &len) == 0 && len >= 0 ? len : -1;
}

/* How the end of the body will be told. */
static void
frame_body(struct http_conn *conn, struct http_stream *s, int code, int64_t body_len, const struct http_header *headers,
           size_t n, struct sbuf *out)
{
    bool head_only = str_eq(s->req.method, "HEAD");

    conn->promised = body_len >= 0 ? body_len : length_given(headers, n);
    conn->written = 0;
    conn->bodyless = head_only || code_has_no_body(code);
    conn->chunked = conn->promised < 0 && conn->parser.http_minor >= 1 && !conn->bodyless;
    if (code_has_no_body(code))
        return;
    if (conn->promised >= 0)
        sbuf_addf(out, "Content-Length: %lld\r\n", (long long)conn->promised);
    else if (conn->chunked)
        sbuf_adds(out, "Transfer-Encoding: chunked\r\n");
    else if (!head_only)
        conn->keep_alive = false; /* HTTP/1.0: the close is the end */
}

/* Bytes of the body that the client still has to send would be taken for the next request. */
static void
settle_keep_alive(struct http_conn *conn)
{
    bool no_more = conn->eof && evbuffer_get_length(bufferevent_get_input(conn->bev)) == 0;

    if (no_more || atomic_load(&conn->server->draining))
        conn->keep_alive = false;
    if (conn->keep_alive && !conn->body_done && !(conn->stream->on_data && conn->stream->reply_streams)) {
        if (http1_body_left_is_short(conn))
            conn->discard_body = true;
        else
            conn->keep_alive = false;
    }
}

/* Each chain of the output becomes a TLS record and a system call of its own: over TLS what is small is put in one chain
 * with the `framing` bytes around it.  Plain sockets gather by themselves, and bytes by reference stay so. */
static void
make_room(struct http_conn *conn, size_t framing, size_t len)
{
    if (conn->ssl && len <= TLS_COPY_MAX)
        evbuffer_expand(bufferevent_get_output(conn->bev), framing + len);
}

static void
put_buffer(struct http_conn *conn, struct evbuffer *data)
{
    char copy[TLS_COPY_MAX];
    size_t len = evbuffer_get_length(data);

    if (conn->ssl && len <= sizeof copy) {
        int n = evbuffer_remove(data, copy, len);
        if (n > 0)
            bufferevent_write(conn->bev, copy, (size_t)n);
    } else {
        bufferevent_write_buffer(conn->bev, data);
    }
}

static void
reply(struct http_stream *s, int code, const struct http_header *headers, size_t n, int64_t body_len,
      struct evbuffer *body)
{
    struct http_conn *conn = s->conn;
    AUTO_SBUF head = { 0 };

    if (conn->eof && body_len < 0) { /* nobody waits for a long reply any more */
        http1_doom(conn);
        return;
    }
    sbuf_reserve(&head, 512);
    add_status_line(&head, code);
    settle_keep_alive(conn);
    for (size_t i = 0; i < n; i++)
        if (!ours_to_add(headers[i].name))
            add_line(&head, headers[i].name, headers[i].value);
    add_line(&head, "Date", date_now());
    frame_body(conn, s, code, body_len, headers, n, &head);
    if (!conn->keep_alive)
        sbuf_adds(&head, "Connection: close\r\n");
    else if (conn->parser.http_minor == 0)
        sbuf_adds(&head, "Connection: keep-alive\r\n");
    sbuf_add(&head, "\r\n", 2);
    make_room(conn, head.len, body && !conn->bodyless ? evbuffer_get_length(body) : 0);
    bufferevent_write(conn->bev, head.s, head.len);
    if (body && !conn->bodyless)
        put_buffer(conn, body);
    if (body_len >= 0)
        http1_reply_over(conn);
}

static void
cut_off(struct http_conn *conn, const char *why)
{
    log_info("http: closing a connection in the middle of a reply", "peer", conn->peer->remote, "path",
             conn->stream->req.path, "why", why);
    http1_doom(conn);
}

static void
write_piece(struct http_stream *s, struct evbuffer *data)
{
    struct http_conn *conn = s->conn;
    size_t len = evbuffer_get_length(data);
    char size_line[24];

    if (conn->bodyless)
        return;
    conn->written += (int64_t)len;
    if (conn->promised >= 0 && conn->written > conn->promised) {
        cut_off(conn, "more bytes than its Content-Length");
        return;
    }
    make_room(conn, sizeof size_line + 2, len);
    if (conn->chunked) {
        snprintf(size_line, sizeof size_line, "%zx\r\n", len);
        bufferevent_write(conn->bev, size_line, strlen(size_line));
    }
    put_buffer(conn, data);
    if (conn->chunked)
        bufferevent_write(conn->bev, "\r\n", 2);
    if (evbuffer_get_length(bufferevent_get_output(conn->bev)) > conn->server->limits.output_max)
        cut_off(conn, "the client takes too few of the queued bytes");
}

static void
end(struct http_stream *s)
{
    struct http_conn *conn = s->conn;

    if (!conn->bodyless && conn->promised >= 0 && conn->written < conn->promised) {
        cut_off(conn, "fewer bytes than its Content-Length");
        return;
    }
    if (conn->chunked)
        bufferevent_write(conn->bev, "0\r\n\r\n", 5);
    http1_reply_over(conn);
}

static void
reset(struct http_stream *s)
{
    http1_doom(s->conn);
}

static void
pause_body(struct http_stream *s, bool pause)
{
    struct http_conn *conn = s->conn;

    conn->body_paused = pause;
    if (!pause)
        bufferevent_trigger(conn->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* The byte channel leaves; the connection's shell dies. */
static struct bufferevent *
take(struct http_stream *s, int code, const struct http_header *headers, size_t n)
{
    struct http_conn *conn = s->conn;
    struct bufferevent *bev = conn->bev;

    if (code) {
        AUTO_SBUF head = { 0 };
        add_status_line(&head, code);
        for (size_t i = 0; i < n; i++)
            add_line(&head, headers[i].name, headers[i].value);
        sbuf_add(&head, "\r\n", 2);
        bufferevent_write(bev, head.s, head.len);
    }
    bufferevent_disable(bev, EV_READ);
    bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
    bufferevent_setwatermark(bev, EV_READ, 0, 0);
    bufferevent_setwatermark(bev, EV_WRITE, 0, 0);
    http1_forget_channel(conn);
    conn->bev = NULL;
    http1_doom(conn);
    return bev;
}

const struct http_codec http1_codec = { reply, write_piece, end, reset, pause_body, take };
