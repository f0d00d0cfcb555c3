// SPDX-License-Identifier: Apache-2.0
/* Request heads.  llhttp does the syntax; here are the limits and what it lets pass that could make two readers of one
 * connection disagree (request smuggling): RFC 9112 sections 3.2, 5.1, 6.3. */
#include "common/net/http1.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/str.h"

#define HEAD_KEEP (16u << 10)

void
http1_note_refusal(struct http_conn *conn, int code, const char *message)
{
    if (conn->refuse_code)
        return;
    conn->refuse_code = code;
    conn->refuse_message = message;
}

void
http1_head_reset(struct http_conn *conn)
{
    llhttp_init(&conn->parser, HTTP_REQUEST, &http1_settings);
    conn->parser.data = conn;
    if (conn->head.cap > HEAD_KEEP) /* an idle connection holds little */
        sbuf_done(&conn->head);
    sbuf_clear(&conn->head);
    conn->nrows = 0;
    conn->head_bytes = 0;
    conn->trailer_bytes = 0;
    conn->refuse_code = 0;
    conn->refuse_message = NULL;
    conn->value_open = false;
    conn->body_done = conn->discard_body = conn->expects_continue = conn->body_paused = false;
}

/* ---- llhttp callbacks -------------------------------------------------------------------------------- */

static int
on_url(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *conn = p->data;

    if (conn->head.len + len > conn->server->limits.max_url) {
        http1_note_refusal(conn, 414, "the request target is too long");
        return HPE_USER;
    }
    sbuf_add(&conn->head, at, len);
    return 0;
}

static int
end_url(llhttp_t *p)
{
    struct http_conn *conn = p->data;

    sbuf_addc(&conn->head, '\0');
    return 0;
}

/* An empty value may come without any callback. */
static void
end_value(struct http_conn *conn)
{
    if (conn->value_open)
        sbuf_addc(&conn->head, '\0');
    conn->value_open = false;
}

static bool
head_has_room(struct http_conn *conn, size_t more)
{
    if (conn->head.len + more <= conn->server->limits.max_head)
        return true;
    http1_note_refusal(conn, 431, "the request's headers are too large");
    return false;
}

/* Trailers of a chunked body are dropped, but not without bound. */
static int
count_trailer(struct http_conn *conn, size_t len)
{
    conn->trailer_bytes += len;
    if (conn->trailer_bytes <= 16 << 10)
        return 0;
    http1_note_refusal(conn, 431, "the request's trailers are too large");
    return HPE_USER;
}

static int
on_field(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *conn = p->data;

    if (conn->state != H1_HEAD)
        return count_trailer(conn, len);
    if (!head_has_room(conn, len))
        return HPE_USER;
    bool begins = conn->nrows == 0 || conn->rows[conn->nrows - 1].value;
    if (begins) {
        end_value(conn);
        if (conn->nrows == conn->server->limits.max_headers) {
            http1_note_refusal(conn, 431, "the request has too many headers");
            return HPE_USER;
        }
        if (conn->nrows == conn->rows_cap) {
            conn->rows_cap = conn->rows_cap ? conn->rows_cap * 2 : 16;
            conn->rows = xreallocarray(conn->rows, conn->rows_cap, sizeof *conn->rows);
        }
        conn->rows[conn->nrows++] = (struct http1_row){ .name = (uint32_t)conn->head.len };
    }
    sbuf_add(&conn->head, at, len);
    return 0;
}

static int
on_field_complete(llhttp_t *p)
{
    struct http_conn *conn = p->data;

    if (conn->state != H1_HEAD)
        return 0;
    sbuf_addc(&conn->head, '\0');
    if (conn->nrows)
        conn->rows[conn->nrows - 1].value = (uint32_t)conn->head.len;
    conn->value_open = true;
    return 0;
}

static int
on_value(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *conn = p->data;

    if (conn->state != H1_HEAD)
        return count_trailer(conn, len);
    if (!head_has_room(conn, len))
        return HPE_USER;
    sbuf_add(&conn->head, at, len);
    return 0;
}

static int
pause_here(llhttp_t *p)
{
    return HPE_PAUSED; /* our work is done outside of llhttp, where a connection may die */
}

static int
on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http_conn *conn = p->data;
    struct http_stream *s = conn->stream;

    conn->body_moved = true;
    if (!s || conn->discard_body)
        return 0;
    if (s->on_data) {
        s->on_data(s, at, len, s->on_data_arg);
        return 0;
    }
    if (len > s->max_body - s->body.len) {
        http1_note_refusal(conn, 413, "the request's body is too large");
        return HPE_USER;
    }
    sbuf_add(&s->body, at, len);
    return 0;
}

static int
on_message_complete(llhttp_t *p)
{
    struct http_conn *conn = p->data;

    conn->body_done = true;
    return HPE_PAUSED;
}

const llhttp_settings_t http1_settings = {
    .on_url = on_url,
    .on_url_complete = end_url,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_headers_complete = pause_here,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- the whole head ---------------------------------------------------------------------------------- */

static bool
is_token(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++) {
        bool alnum = (*s >= '0' && *s <= '9') || ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z');
        if (!alnum && !strchr("!#$%&'*+-.^_`|~", *s))
            return false;
    }
    return true;
}

static bool
is_value(const char *s)
{
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if ((ch < 0x20 && ch != '\t') || ch == 0x7f)
            return false;
    }
    return true;
}

static bool
refuse(struct http_conn *conn, int code, const char *message)
{
    http1_note_refusal(conn, code, message);
    return false;
}

/* "/path?query", "http://host/path?query", or "*" with OPTIONS. */
static bool
split_target(struct http_conn *conn, struct http_stream *s, char *target)
{
    const char *path = target;

    for (const char *p = target; *p; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f || *p == '#')
            return refuse(conn, 400, "malformed request target");
    if (strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0) {
        path = strstr(path, "://") + 3;
        path += strcspn(path, "/?");
    }
    const char *question = strchr(path, '?');
    size_t path_len = question ? (size_t)(question - path) : strlen(path);
    s->req.target = target;
    s->req.path = path_len ? arena_strndup(s->arena, path, path_len) : "/";
    s->req.query = question ? question + 1 : "";
    if (s->req.path[0] != '/' && !(str_eq(s->req.path, "*") && str_eq(s->req.method, "OPTIONS")))
        return refuse(conn, 400, "malformed request target");
    return true;
}

static void
set_headers(struct http_conn *conn, struct http_stream *s)
{
    end_value(conn);
    char *text = arena_memdup(s->arena, conn->head.s, conn->head.len + 1);
    struct http_header *rows = arena_alloc_raw(s->arena, (conn->nrows + 1) * sizeof *rows);

    for (size_t i = 0; i < conn->nrows; i++)
        rows[i] = (struct http_header){ text + conn->rows[i].name, text + conn->rows[i].value };
    s->req.headers = rows;
    s->req.nheaders = conn->nrows;
    s->req.target = text;
}

static bool
check_headers(struct http_conn *conn, struct http_stream *s)
{
    unsigned hosts = 0, lengths = 0, codings = 0;
    const struct http_request *r = &s->req;

    for (size_t i = 0; i < r->nheaders; i++) {
        const struct http_header *h = &r->headers[i];
        if (!is_token(h->name))
            return refuse(conn, 400, "malformed header name");
        if (!is_value(h->value))
            return refuse(conn, 400, "malformed header value");
        hosts += strcasecmp(h->name, "Host") == 0;
        lengths += strcasecmp(h->name, "Content-Length") == 0;
        if (strcasecmp(h->name, "Transfer-Encoding") == 0) {
            codings++;
            if (strcasecmp(h->value, "chunked"))
                return refuse(conn, 501, "unsupported transfer encoding");
        }
    }
    bool is_11 = conn->parser.http_minor >= 1;
    if (hosts > 1 || (hosts == 0 && is_11))
        return refuse(conn, 400, hosts ? "too many Host headers" : "missing required Host header");
    if (lengths > 1 || codings > 1 || (lengths && codings) || (codings && !is_11))
        return refuse(conn, 400, "ambiguous length of the request's body");
    return true;
}

/* What the headers mean for us. */
static bool
read_headers(struct http_conn *conn, struct http_stream *s)
{
    struct http_request *r = &s->req;
    const char *expect = http_header_get(r->headers, r->nheaders, "Expect");
    const char *length = http_header_get(r->headers, r->nheaders, "Content-Length");
    bool chunked = http_header_get(r->headers, r->nheaders, "Transfer-Encoding") != NULL;
    int64_t n = 0;

    r->host = str_safe(http_header_get(r->headers, r->nheaders, "Host"));
    if (length && (parse_i64(length, &n) || n < 0))
        return refuse(conn, 400, "malformed Content-Length");
    r->content_length = chunked ? -1 : n;
    conn->keep_alive = llhttp_should_keep_alive(&conn->parser) && !atomic_load(&conn->server->draining);
    if (expect && strcasecmp(expect, "100-continue"))
        return refuse(conn, 417, "unknown expectation");
    conn->expects_continue = expect && (chunked || n > 0) && conn->parser.http_minor >= 1;
    if (http_header_has_token(r->headers, r->nheaders, "Connection", "upgrade"))
        r->upgrade = http_header_get(r->headers, r->nheaders, "Upgrade");
    return true;
}

bool
http1_head_finish(struct http_conn *conn)
{
    if (conn->tls && !conn->identity_known) {
        conn->identity_known = true;
        conn->peer->identity = tls_identity_of(conn->tls, conn->ssl);
    }
    struct http_stream *s = http_stream_new(conn->server, conn->shard->loop, &http1_codec, conn, conn->peer);
    conn->stream = s;
    s->req.tls = conn->tls != NULL;
    s->req.received_us = clock_mono_us();
    s->req.method = llhttp_method_name(conn->parser.method);
    s->req.protocol = conn->parser.http_minor ? "HTTP/1.1" : "HTTP/1.0";
    conn->keep_alive = false;
    if (conn->refuse_code) /* a head that broke off */
        return false;
    if (conn->parser.http_major != 1 || conn->parser.http_minor > 1)
        return refuse(conn, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    if (conn->parser.method == HTTP_CONNECT)
        return refuse(conn, 405, "CONNECT is not supported");
    set_headers(conn, s);
    conn->parser.upgrade = 0; /* tunnels are taken from outside, before the reply */
    return check_headers(conn, s) && split_target(conn, s, (char *)s->req.target) && read_headers(conn, s);
}
