// SPDX-License-Identifier: Apache-2.0
/* The stream as users see it: references, and replies that find their way to the stream's loop from any thread. */
#include "common/net/http_private.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <string.h>

#include "common/base/klog.h"
#include "common/base/str.h"

struct http_stream *
http_stream_new(struct http_server *srv, struct loop *loop, const struct http_codec *codec, struct http_conn *conn,
                struct http_peer *peer)
{
    struct http_stream *s = XNEW(struct http_stream);

    atomic_init(&s->refs, 1);
    s->server = srv;
    s->loop = loop;
    s->codec = codec;
    s->conn = conn;
    s->arena = arena_new(0);
    s->max_body = srv->limits.max_body;
    s->output_high = srv->limits.output_high;
    s->peer = peer;
    atomic_fetch_add_explicit(&peer->refs, 1, memory_order_relaxed);
    s->req.method = s->req.target = s->req.path = s->req.query = s->req.host = s->req.protocol = "";
    s->req.peer = peer->remote;
    s->req.local = peer->local;
    s->req.identity = peer->identity;
    return s;
}

struct http_stream *
http_stream_ref(struct http_stream *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void
http_peer_unref(struct http_peer *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    tls_identity_free(p->identity);
    free(p->remote);
    free(p->local);
    free(p);
}

void
http_stream_unref(struct http_stream *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (s->user_free)
        s->user_free(s->user);
    sbuf_done(&s->body);
    arena_free(s->arena);
    http_peer_unref(s->peer);
    free(s);
}

void
http_stream_detach(struct http_stream *s, bool whole)
{
    struct http_server *srv = s->server;

    s->conn = NULL;
    atomic_store(&s->gone, true);
    atomic_store(&s->output, 0);
    if (!whole && s->on_close) {
        void (*fn)(struct http_stream *, void *) = s->on_close;
        s->on_close = NULL;
        fn(s, s->on_close_arg);
    }
    if (srv->handler.on_finished)
        srv->handler.on_finished(s, srv->arg);
    s->server = NULL;
    http_stream_unref(s);
}

void
http_stream_refuse(struct http_stream *s, int code, const char *message)
{
    struct http_server *srv = s->server;

    log_v(3, "Refusing a request", "peer", s->req.peer, "code", kv_int(code), "why", message);
    if (srv->handler.on_refuse) {
        srv->handler.on_refuse(s, code, message, srv->arg);
        return;
    }
    static const struct http_header rows[] = { { "Content-Type", "text/plain; charset=utf-8" },
                                               { "X-Content-Type-Options", "nosniff" } };
    AUTO_FREE char *text = xasprintf("%d %s: %s\n", code, http_status_text(code), message);
    http_reply(s, code, rows, ARRAY_LEN(rows), text, strlen(text));
}

/* ---- what users look at ------------------------------------------------------------------------------ */

const struct http_request *
http_stream_request(const struct http_stream *s)
{
    return &s->req;
}

struct loop *
http_stream_loop(const struct http_stream *s)
{
    return s->loop;
}

bool
http_stream_gone(const struct http_stream *s)
{
    return atomic_load(&((struct http_stream *)s)->gone);
}

const char *
http_stream_header(const struct http_stream *s, const char *name)
{
    return http_header_get(s->req.headers, s->req.nheaders, name);
}

int
http_stream_code(const struct http_stream *s)
{
    return s->code;
}

uint64_t
http_stream_bytes_sent(const struct http_stream *s)
{
    return atomic_load(&((struct http_stream *)s)->bytes_sent);
}

void
http_stream_set_user(struct http_stream *s, void *user, void (*free_fn)(void *user))
{
    s->user = user;
    s->user_free = free_fn;
}

void *
http_stream_user(const struct http_stream *s)
{
    return s->user;
}

void
http_stream_max_body(struct http_stream *s, size_t max)
{
    s->max_body = max;
}

const char *
http_stream_body(const struct http_stream *s, size_t *ret_len)
{
    if (ret_len)
        *ret_len = s->body.len;
    return sbuf_str(&s->body);
}

void
http_stream_stream_body(struct http_stream *s,
                        void (*on_data)(struct http_stream *s, const char *data, size_t len, void *arg), void *arg)
{
    s->on_data = on_data;
    s->on_data_arg = arg;
}

void
http_stream_pause_body(struct http_stream *s, bool pause)
{
    if (s->conn && !atomic_load(&s->gone))
        s->codec->pause_body(s, pause);
}

void
http_stream_on_close(struct http_stream *s, void (*fn)(struct http_stream *s, void *arg), void *arg)
{
    s->on_close = fn;
    s->on_close_arg = arg;
}

/* ---- replies ----------------------------------------------------------------------------------------- */

/* One step of a reply on its way to the stream's loop. */
struct reply_op {
    struct http_stream *stream;
    enum { OP_REPLY, OP_START, OP_WRITE, OP_END, OP_RESET } kind;
    int code;
    struct http_header *headers; /* one block with its strings behind the rows */
    size_t nheaders;
    struct evbuffer *data;
    size_t len;
};

static struct http_header *
copy_headers(const struct http_header *headers, size_t n)
{
    size_t size = n * sizeof *headers;

    for (size_t i = 0; i < n; i++)
        size += strlen(headers[i].name) + strlen(headers[i].value) + 2;
    struct http_header *copy = xmalloc(size ? size : 1);
    char *text = (char *)(copy + n);
    for (size_t i = 0; i < n; i++) {
        copy[i].name = text;
        text = stpcpy(text, headers[i].name) + 1;
        copy[i].value = text;
        text = stpcpy(text, headers[i].value) + 1;
    }
    return copy;
}

static void
apply(struct reply_op *op)
{
    struct http_stream *s = op->stream;

    if (!s->conn || atomic_load(&s->gone))
        return;
    switch (op->kind) {
    case OP_REPLY:
    case OP_START:
        if (s->reply_begun) {
            log_error("http: a second reply to one request was dropped", "path", s->req.path, "first", kv_int(s->code),
                      "second", kv_int(op->code));
            return;
        }
        s->reply_begun = true;
        s->reply_streams = op->kind == OP_START;
        s->reply_ended = op->kind == OP_REPLY;
        s->code = op->code;
        if (op->kind == OP_REPLY)
            atomic_fetch_add(&s->bytes_sent, op->len);
        s->codec->reply(s, op->code, op->headers, op->nheaders, op->kind == OP_REPLY ? (int64_t)op->len : -1, op->data);
        return;
    case OP_WRITE:
        if (s->reply_streams && !s->reply_ended && op->len) {
            atomic_fetch_add(&s->bytes_sent, op->len);
            s->codec->write(s, op->data);
        }
        return;
    case OP_END:
        if (s->reply_streams && !s->reply_ended) {
            s->reply_ended = true;
            s->codec->end(s);
        }
        return;
    case OP_RESET:
        s->codec->reset(s);
        return;
    }
}

static void
run_op(void *arg)
{
    struct reply_op *op = arg;

    atomic_fetch_sub(&op->stream->posted, op->len);
    apply(op);
    if (op->data)
        evbuffer_free(op->data);
    free(op->headers);
    http_stream_unref(op->stream);
    free(op);
}

/* Applies now when on the loop, else later; op.data is drained in the first case and moved in the second. */
static void
send_op(struct http_stream *s, struct reply_op op)
{
    op.stream = s;
    op.len = op.data ? evbuffer_get_length(op.data) : 0;
    if (loop_is_current(s->loop)) {
        apply(&op);
        return;
    }
    struct reply_op *posted = xmemdup(&op, sizeof op);
    http_stream_ref(s);
    posted->headers = op.nheaders ? copy_headers(op.headers, op.nheaders) : NULL;
    if (op.data) {
        posted->data = evbuffer_new();
        if (!posted->data)
            abort(); /* out of memory */
        evbuffer_add_buffer(posted->data, op.data);
    }
    atomic_fetch_add(&s->posted, op.len);
    loop_post(s->loop, run_op, posted);
}

static struct evbuffer *
buffer_of(const void *data, size_t len)
{
    struct evbuffer *b = evbuffer_new();

    if (!b || evbuffer_add(b, data, len))
        abort(); /* out of memory */
    return b;
}

void
http_reply(struct http_stream *s, int code, const struct http_header *headers, size_t nheaders, const void *body,
           size_t len)
{
    http_reply_buffer(s, code, headers, nheaders, len ? buffer_of(body, len) : NULL);
}

void
http_reply_buffer(struct http_stream *s, int code, const struct http_header *headers, size_t nheaders,
                  struct evbuffer *body)
{
    send_op(s, (struct reply_op){ .kind = OP_REPLY, .code = code, .headers = (struct http_header *)headers,
                                  .nheaders = nheaders, .data = body });
    if (body)
        evbuffer_free(body);
}

void
http_reply_start(struct http_stream *s, int code, const struct http_header *headers, size_t nheaders)
{
    send_op(s, (struct reply_op){ .kind = OP_START, .code = code, .headers = (struct http_header *)headers,
                                  .nheaders = nheaders });
}

size_t
http_reply_write_buffer(struct http_stream *s, struct evbuffer *data)
{
    send_op(s, (struct reply_op){ .kind = OP_WRITE, .data = data });
    evbuffer_drain(data, evbuffer_get_length(data)); /* of a dead stream */
    (void)http_reply_full(s);                         /* notes the wish for on_drained */
    return http_reply_queued(s);
}

size_t
http_reply_write(struct http_stream *s, const void *data, size_t len)
{
    if (len == 0)
        return http_reply_queued(s);
    struct evbuffer *b = buffer_of(data, len);
    size_t queued = http_reply_write_buffer(s, b);
    evbuffer_free(b);
    return queued;
}

void
http_reply_end(struct http_stream *s)
{
    send_op(s, (struct reply_op){ .kind = OP_END });
}

void
http_stream_reset(struct http_stream *s)
{
    send_op(s, (struct reply_op){ .kind = OP_RESET });
}

size_t
http_reply_queued(const struct http_stream *s)
{
    struct http_stream *stream = (struct http_stream *)s; /* atomics are not const-correct */

    return atomic_load(&stream->posted) + atomic_load(&stream->output);
}

/* The wish is noted before the look: whatever drains after the look sees it. */
bool
http_reply_full(const struct http_stream *s)
{
    struct http_stream *stream = (struct http_stream *)s;

    atomic_store(&stream->wants_drained, true);
    if (http_reply_queued(s) > s->output_high)
        return true;
    atomic_store(&stream->wants_drained, false);
    return false;
}

void
http_reply_on_drained(struct http_stream *s, void (*fn)(struct http_stream *s, void *arg), void *arg)
{
    s->on_drained = fn;
    s->on_drained_arg = arg;
}

void
http_stream_drained(struct http_stream *s)
{
    if (http_reply_queued(s) > s->output_high / 4 || !atomic_exchange(&s->wants_drained, false))
        return;
    if (s->on_drained && !s->reply_ended)
        s->on_drained(s, s->on_drained_arg);
}

struct bufferevent *
http_upgrade_take(struct http_stream *s, int code, const struct http_header *headers, size_t nheaders)
{
    if (!s->conn || atomic_load(&s->gone) || s->reply_begun || !s->codec->take)
        return NULL;
    s->reply_begun = s->reply_ended = true;
    s->code = code ? code : 101;
    return s->codec->take(s, code, headers, nheaders);
}
