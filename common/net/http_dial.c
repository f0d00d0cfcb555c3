// SPDX-License-Identifier: Apache-2.0
/* A raw channel through an HTTP request: resolve, connect, TLS, send the head, read the reply's head, hand over. */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <llhttp.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/base/pool.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"
#include "common/net/addr.h"
#include "common/net/http_client.h"
#include "common/net/loop.h"

#define MAX_HEAD (256u << 10)
#define MAX_BODY (64u << 10)

struct row {
    size_t name, value;
};

struct http_dial {
    struct loop *loop;
    char *hop, *address, *host_name; /* host_name: without the port, for TLS */
    struct tls_client *tls;
    struct sbuf request;
    bool any_code;
    uint64_t timeout_ms;
    void (*done)(void *, struct kerr *, const struct http_dial_reply *);
    void *arg;

    struct addr addr;
    int fd;
    struct event *connected;
    struct bufferevent *bev;
    SSL *ssl; /* the bufferevent's */
    struct loop_timer *timer;
    bool cancelled;
    bool resolving; /* a pool thread holds us */
    struct kerr *resolve_error;

    llhttp_t parser;
    bool head_over, whole;
    struct sbuf raw, text, body;
    struct row *rows;
    size_t nrows, rows_cap;
    bool in_value;
};

static void
dial_free(struct http_dial *d)
{
    loop_timer_free(d->timer);
    if (d->connected)
        event_free(d->connected);
    if (d->bev)
        bufferevent_free(d->bev);
    else if (d->fd >= 0)
        close(d->fd);
    kerr_free(d->resolve_error);
    sbuf_done(&d->request);
    sbuf_done(&d->raw);
    sbuf_done(&d->text);
    sbuf_done(&d->body);
    free(d->rows);
    free(d->hop);
    free(d->address);
    free(d->host_name);
    free(d);
}

static void
fail(struct http_dial *d, struct kerr *err)
{
    d->done(d->arg, kerr_wrap(err, "%s: %s", d->hop, d->address), NULL);
    dial_free(d);
}

/* ---- the reply --------------------------------------------------------------------------------------- */

static void
end_value(struct http_dial *d)
{
    if (d->in_value)
        sbuf_addc(&d->text, '\0');
    d->in_value = false;
}

static int
on_field(llhttp_t *p, const char *at, size_t len)
{
    struct http_dial *d = p->data;

    if (d->head_over)
        return 0;
    if (d->in_value || d->nrows == 0) {
        end_value(d);
        if (d->nrows == d->rows_cap) {
            d->rows_cap = d->rows_cap ? d->rows_cap * 2 : 16;
            d->rows = xreallocarray(d->rows, d->rows_cap, sizeof *d->rows);
        }
        d->rows[d->nrows++].name = d->text.len;
    }
    sbuf_add(&d->text, at, len);
    return 0;
}

static int
on_field_complete(llhttp_t *p)
{
    struct http_dial *d = p->data;

    if (d->head_over)
        return 0;
    sbuf_addc(&d->text, '\0');
    d->rows[d->nrows - 1].value = d->text.len;
    d->in_value = true;
    return 0;
}

static int
on_value(llhttp_t *p, const char *at, size_t len)
{
    struct http_dial *d = p->data;

    if (!d->head_over)
        sbuf_add(&d->text, at, len);
    return 0;
}

static int
on_headers_complete(llhttp_t *p)
{
    return HPE_PAUSED;
}

static int
on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http_dial *d = p->data;
    size_t room = MAX_BODY - d->body.len;

    sbuf_add(&d->body, at, len < room ? len : room);
    return 0;
}

static int
on_message_complete(llhttp_t *p)
{
    struct http_dial *d = p->data;

    d->whole = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void
start_parsing(struct http_dial *d)
{
    llhttp_init(&d->parser, HTTP_RESPONSE, &settings);
    d->parser.data = d;
    sbuf_clear(&d->raw);
    sbuf_clear(&d->text);
    d->nrows = 0;
    d->in_value = d->head_over = d->whole = false;
}

static void
hand_over(struct http_dial *d, bool with_channel)
{
    struct http_header *rows = xcalloc(d->nrows + 1, sizeof *rows);
    struct http_dial_reply reply = { .code = d->parser.status_code, .headers = rows, .nheaders = d->nrows };

    for (size_t i = 0; i < d->nrows; i++)
        rows[i] = (struct http_header){ d->text.s + d->rows[i].name, d->text.s + d->rows[i].value };
    reply.raw_head = sbuf_str(&d->raw);
    reply.raw_head_len = d->raw.len;
    reply.body = sbuf_str(&d->body);
    reply.body_len = d->body.len;
    if (with_channel) {
        reply.bev = d->bev;
        d->bev = NULL;
        d->fd = -1;
        bufferevent_disable(reply.bev, EV_READ);
        bufferevent_setcb(reply.bev, NULL, NULL, NULL, NULL);
        bufferevent_setwatermark(reply.bev, EV_READ, 0, 0);
    }
    loop_timer_stop(d->timer);
    d->done(d->arg, NULL, &reply);
    free(rows);
    dial_free(d);
}

/* True: `d` is gone. */
static bool
head_complete(struct http_dial *d)
{
    int code = d->parser.status_code;

    end_value(d);
    if (code >= 100 && code < 200 && code != 101) { /* an interim reply: the real one follows */
        start_parsing(d);
        return false;
    }
    d->head_over = true;
    if (code == 101 || d->any_code) {
        hand_over(d, true);
        return true;
    }
    llhttp_resume(&d->parser);
    (void)llhttp_execute(&d->parser, "", 0);
    return false;
}

static void
on_readable(struct bufferevent *bev, void *arg)
{
    struct http_dial *d = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    struct evbuffer_iovec piece;

    while (!d->whole && d->body.len < MAX_BODY && evbuffer_get_length(in) && evbuffer_peek(in, -1, NULL, &piece, 1) >= 1) {
        llhttp_errno_t rc = llhttp_execute(&d->parser, piece.iov_base, piece.iov_len);
        size_t used = piece.iov_len;
        if (rc != HPE_OK)
            used = (size_t)(llhttp_get_error_pos(&d->parser) - (const char *)piece.iov_base);
        if (!d->head_over)
            sbuf_add(&d->raw, piece.iov_base, used);
        evbuffer_drain(in, used);
        if (rc == HPE_PAUSED && !d->head_over) {
            if (head_complete(d))
                return;
        } else if (rc != HPE_OK && rc != HPE_PAUSED) {
            fail(d, kerr_new(KERR_UNAVAILABLE, "malformed HTTP reply: %s", str_safe(llhttp_get_error_reason(&d->parser))));
            return;
        } else if (!d->head_over && d->raw.len > MAX_HEAD) {
            fail(d, kerr_new(KERR_UNAVAILABLE, "the reply's head is larger than %u bytes", MAX_HEAD));
            return;
        }
    }
    if (d->whole || d->body.len >= MAX_BODY)
        hand_over(d, false);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_dial *d = arg;
    int why = EVUTIL_SOCKET_ERROR();

    if (what & BEV_EVENT_CONNECTED)
        return;
    if (d->ssl && !SSL_is_init_finished(d->ssl)) {
        AUTO_FREE char *text = tls_client_explain(d->tls, d->ssl);
        fail(d, kerr_new(KERR_UNAVAILABLE, "TLS: %s", text));
    } else if (d->head_over) { /* a body that ends with the connection */
        hand_over(d, false);
    } else if (what & BEV_EVENT_EOF) {
        fail(d, kerr_new(KERR_UNAVAILABLE, "the peer closed the connection before a reply"));
    } else {
        fail(d, kerr_new(KERR_UNAVAILABLE, "%s", evutil_socket_error_to_string(why)));
    }
}

/* ---- connecting -------------------------------------------------------------------------------------- */

static void
open_channel(struct http_dial *d)
{
    struct event_base *base = loop_base(d->loop);

    if (d->tls) {
        d->ssl = tls_client_connect(d->tls, d->host_name);
        d->bev = bufferevent_openssl_socket_new(base, d->fd, d->ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
        if (d->bev)
            bufferevent_openssl_set_allow_dirty_shutdown(d->bev, 1);
    } else {
        d->bev = bufferevent_socket_new(base, d->fd, BEV_OPT_CLOSE_ON_FREE);
    }
    if (!d->bev)
        abort(); /* out of memory */
    start_parsing(d);
    bufferevent_setcb(d->bev, on_readable, NULL, on_event, d);
    bufferevent_setwatermark(d->bev, EV_READ, 0, MAX_HEAD);
    bufferevent_enable(d->bev, EV_READ | EV_WRITE);
    bufferevent_write(d->bev, d->request.s, d->request.len);
}

static void
on_connected(evutil_socket_t fd, short what, void *arg)
{
    struct http_dial *d = arg;
    int why = 0;
    socklen_t len = sizeof why;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
        why = errno;
    if (why)
        fail(d, kerr_new(KERR_UNAVAILABLE, "connect: %s", evutil_socket_error_to_string(why)));
    else
        open_channel(d);
}

static void
start_connect(struct http_dial *d)
{
    struct kerr *err = addr_connect(&d->addr, &d->fd);

    if (err) {
        fail(d, err);
        return;
    }
    d->connected = event_new(loop_base(d->loop), d->fd, EV_WRITE, on_connected, d);
    if (!d->connected || event_add(d->connected, NULL))
        abort(); /* out of memory */
}

static struct pool *resolvers;
static pthread_once_t resolvers_once = PTHREAD_ONCE_INIT;

static void
make_resolvers(void)
{
    resolvers = pool_new("resolve", 4, 256); /* for as long as the process */
}

static void
on_resolved(void *arg)
{
    struct http_dial *d = arg;

    d->resolving = false;
    if (d->cancelled)
        dial_free(d);
    else if (d->resolve_error)
        fail(d, steal_ptr(d->resolve_error));
    else
        start_connect(d);
}

static void
resolve(void *arg)
{
    struct http_dial *d = arg;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *found = NULL;
    const char *port = strrchr(d->address, ':') + 1;
    int rc = getaddrinfo(d->host_name, port, &hints, &found);

    if (rc) {
        d->resolve_error = kerr_new(KERR_UNAVAILABLE, "resolve '%s': %s", d->host_name, gai_strerror(rc));
    } else {
        memcpy(&d->addr.ss, found->ai_addr, found->ai_addrlen);
        d->addr.len = found->ai_addrlen;
        freeaddrinfo(found);
    }
    loop_post(d->loop, on_resolved, d);
}

/* First step, on a turn of its own so that the callback never comes before http_dial_start() returned. */
static void
begin(void *arg)
{
    struct http_dial *d = arg;
    uint16_t port = 0;
    struct kerr *err = NULL;
    bool is_unix = d->address[0] == '/' || str_has_prefix(d->address, "unix:");

    d->resolving = false;
    if (d->cancelled) {
        dial_free(d);
        return;
    }
    if (!is_unix)
        err = addr_split(d->address, &d->host_name, &port);
    if (!err && (is_unix || addr_is_ip(d->host_name)))
        err = addr_parse(is_unix ? d->address : d->host_name, port, &d->addr);
    if (err) {
        fail(d, err);
    } else if (d->addr.len) {
        start_connect(d);
    } else {
        pthread_once(&resolvers_once, make_resolvers);
        d->resolving = true;
        if (pool_submit(resolvers, resolve, d)) {
            d->resolving = false;
            fail(d, kerr_new(KERR_UNAVAILABLE, "too many names are being resolved"));
        }
    }
}

static void
on_timeout(void *arg)
{
    struct http_dial *d = arg;
    const char *step = d->head_over ? "whole reply" : d->bev ? "reply" : "connection";
    struct kerr *err = kerr_new(KERR_TIMEOUT, "%s: %s: no %s within %llu ms", d->hop, d->address, step,
                                (unsigned long long)d->timeout_ms);

    d->done(d->arg, err, NULL);
    d->cancelled = true;
    if (!d->resolving)
        dial_free(d);
}

static struct kerr *
add_line(struct http_dial *d, const char *name, const char *value)
{
    if (strpbrk(name, "\r\n:") || strpbrk(value, "\r\n"))
        return kerr_new(KERR_INTERNAL, "header '%s' has a line break in it", name);
    sbuf_addf(&d->request, "%s: %s\r\n", name, value);
    return NULL;
}

static struct kerr *
write_request(struct http_dial *d, const struct http_dial_options *o)
{
    const char *host = str_or(o->host, o->address[0] == '/' || str_has_prefix(o->address, "unix:") ? "localhost" : o->address);
    const char *target = str_or(o->target, "/");
    struct kerr *err = NULL;

    for (const char *p = target; *p; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return kerr_new(KERR_INTERNAL, "malformed request target");
    sbuf_addf(&d->request, "%s %s HTTP/1.1\r\n", str_or(o->method, "GET"), target);
    err = add_line(d, "Host", host);
    for (size_t i = 0; i < o->nheaders && !err; i++)
        err = add_line(d, o->headers[i].name, o->headers[i].value);
    sbuf_adds(&d->request, "\r\n");
    return err;
}

static void
fail_later(void *arg)
{
    struct http_dial *d = arg;

    d->resolving = false;
    if (d->cancelled)
        dial_free(d);
    else
        fail(d, steal_ptr(d->resolve_error));
}

struct http_dial *
http_dial_start(struct loop *loop, const struct http_dial_options *o,
                void (*done)(void *arg, struct kerr *err, const struct http_dial_reply *reply), void *arg)
{
    struct http_dial *d = XNEW(struct http_dial);

    d->loop = loop;
    d->hop = xstrdup(str_or(o->hop, "http"));
    d->address = xstrdup(o->address);
    d->tls = o->tls;
    d->any_code = o->any_code;
    d->timeout_ms = o->timeout_ms ? o->timeout_ms : 30000;
    d->done = done;
    d->arg = arg;
    d->fd = -1;
    d->timer = loop_timer_new(loop, on_timeout, d);
    loop_timer_once(d->timer, d->timeout_ms);
    d->resolving = true; /* the post below holds us */
    d->resolve_error = write_request(d, o);
    loop_post(loop, d->resolve_error ? fail_later : begin, d);
    return d;
}

void
http_dial_cancel(struct http_dial *d)
{
    d->cancelled = true;
    loop_timer_stop(d->timer);
    if (!d->resolving)
        dial_free(d);
}
