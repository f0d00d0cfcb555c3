// SPDX-License-Identifier: Apache-2.0
/* fake_grpc.h - a small gRPC server for tests, on nghttp2, on a loop thread of its own.
 * The handler runs there with each whole request and answers with fake_grpc_message() and fake_grpc_finish(), now or later
 * (on that thread).  Include it in one test program; all is static. */
#ifndef CKUBE_TESTS_FAKE_GRPC_H
#define CKUBE_TESTS_FAKE_GRPC_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <nghttp2/nghttp2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "common/base/sbuf.h"
#include "common/base/str.h"
#include "common/net/addr.h"
#include "common/net/loop.h"

struct fake_grpc_call;
struct fake_grpc {
    struct loop *loop;
    struct evconnlistener *listener;
    void (*handle)(struct fake_grpc_call *call, const char *method, const char *request, size_t len, void *arg);
    void *arg;
    struct fake_grpc_conn *conns;
    atomic_uint accepted, ended; /* connections; streams that were closed */
    bool goaway_next;            /* answer the next request by GOAWAY, then refuse it */
};
struct fake_grpc_conn {
    struct fake_grpc_conn *next;
    struct fake_grpc *server;
    struct bufferevent *bev;
    nghttp2_session *session;
};
struct fake_grpc_call {
    struct fake_grpc_conn *conn; /* NULL: the peer is gone */
    int32_t id;
    char method[256];
    struct sbuf in, out;
    size_t sent;
    bool finished, deferred, headers_sent;
    int status;
    char message[256];
    void *user;
    bool held; /* the handler keeps it and frees it with fake_grpc_release() */
};

static inline void
fake_grpc_flush_(struct fake_grpc_conn *conn)
{
    const uint8_t *p;
    ssize_t n;

    while ((n = nghttp2_session_mem_send(conn->session, &p)) > 0)
        bufferevent_write(conn->bev, p, (size_t)n);
}

static inline ssize_t
fake_grpc_read_(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size, uint32_t *flags,
                nghttp2_data_source *source, void *arg)
{
    struct fake_grpc_call *call = source->ptr;
    size_t left = call->out.len - call->sent, n = left < size ? left : size;

    if (n == 0 && !call->finished) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n)
        memcpy(buf, call->out.s + call->sent, n);
    call->sent += n;
    if (call->sent == call->out.len && call->finished) {
        char status[12];
        snprintf(status, sizeof status, "%d", call->status);
        nghttp2_nv rows[2] = {
            { (uint8_t *)"grpc-status", (uint8_t *)status, 11, strlen(status), 0 },
            { (uint8_t *)"grpc-message", (uint8_t *)call->message, 12, strlen(call->message), 0 },
        };
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, rows, call->message[0] ? 2 : 1);
    }
    return (ssize_t)n;
}

static inline void
fake_grpc_send_(struct fake_grpc_call *call)
{
    if (!call->conn)
        return;
    if (!call->headers_sent) {
        nghttp2_nv rows[2] = {
            { (uint8_t *)":status", (uint8_t *)"200", 7, 3, 0 },
            { (uint8_t *)"content-type", (uint8_t *)"application/grpc", 12, 16, 0 },
        };
        nghttp2_data_provider body = { .source.ptr = call, .read_callback = fake_grpc_read_ };
        call->headers_sent = true;
        nghttp2_submit_response(call->conn->session, call->id, rows, 2, &body);
    } else if (call->deferred) {
        call->deferred = false;
        nghttp2_session_resume_data(call->conn->session, call->id);
    }
    fake_grpc_flush_(call->conn);
}

static inline void
fake_grpc_message(struct fake_grpc_call *call, const void *data, size_t len)
{
    const uint8_t prefix[5] = { 0, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };

    sbuf_add(&call->out, prefix, 5);
    sbuf_add(&call->out, data, len);
    fake_grpc_send_(call);
}

static inline void
fake_grpc_raw(struct fake_grpc_call *call, const void *data, size_t len) /* DATA bytes as they are */
{
    sbuf_add(&call->out, data, len);
    fake_grpc_send_(call);
}

static inline void
fake_grpc_finish(struct fake_grpc_call *call, int status, const char *message) /* message: percent-encoded */
{
    call->finished = true;
    call->status = status;
    snprintf(call->message, sizeof call->message, "%s", message ? message : "");
    if (call->conn && !call->headers_sent && call->out.len == 0) { /* trailers only, as servers answer errors */
        char text[12];
        snprintf(text, sizeof text, "%d", status);
        nghttp2_nv rows[4] = {
            { (uint8_t *)":status", (uint8_t *)"200", 7, 3, 0 },
            { (uint8_t *)"content-type", (uint8_t *)"application/grpc", 12, 16, 0 },
            { (uint8_t *)"grpc-status", (uint8_t *)text, 11, strlen(text), 0 },
            { (uint8_t *)"grpc-message", (uint8_t *)call->message, 12, strlen(call->message), 0 },
        };
        call->headers_sent = true;
        nghttp2_submit_response(call->conn->session, call->id, rows, call->message[0] ? 4 : 3, NULL);
        fake_grpc_flush_(call->conn);
        return;
    }
    fake_grpc_send_(call);
}

static inline void
fake_grpc_release(struct fake_grpc_call *call)
{
    call->held = false;
    if (call->conn)
        return; /* freed when its stream closes */
    sbuf_done(&call->in);
    sbuf_done(&call->out);
    free(call);
}

static inline int
fake_grpc_begin_(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct fake_grpc_call *call;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    call = XNEW(struct fake_grpc_call);
    call->conn = arg;
    call->id = frame->hd.stream_id;
    return nghttp2_session_set_stream_user_data(session, call->id, call);
}

static inline int
fake_grpc_header_(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                  const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct fake_grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (call && name_len == 5 && memcmp(name, ":path", 5) == 0)
        snprintf(call->method, sizeof call->method, "%.*s", (int)value_len, (const char *)value);
    return 0;
}

static inline int
fake_grpc_data_(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct fake_grpc_call *call = nghttp2_session_get_stream_user_data(session, id);

    if (call)
        sbuf_add(&call->in, data, len);
    return 0;
}

static inline int
fake_grpc_frame_(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct fake_grpc_conn *conn = arg;
    struct fake_grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

    if (!call || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) ||
        (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS))
        return 0;
    if (conn->server->goaway_next) {
        conn->server->goaway_next = false;
        nghttp2_submit_goaway(session, 0, call->id - 2 > 0 ? call->id - 2 : 0, NGHTTP2_NO_ERROR, NULL, 0);
        return 0;
    }
    conn->server->handle(call, call->method, call->in.len >= 5 ? call->in.s + 5 : "",
                         call->in.len >= 5 ? call->in.len - 5 : 0, conn->server->arg);
    return 0;
}

static inline int
fake_grpc_close_(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct fake_grpc_conn *conn = arg;
    struct fake_grpc_call *call = nghttp2_session_get_stream_user_data(session, id);

    if (!call)
        return 0;
    atomic_fetch_add(&conn->server->ended, 1);
    call->conn = NULL;
    if (!call->held)
        fake_grpc_release(call);
    return 0;
}

static inline void
fake_grpc_drop_(struct fake_grpc_conn *conn)
{
    struct fake_grpc_conn **at = &conn->server->conns;

    while (*at != conn)
        at = &(*at)->next;
    *at = conn->next;
    nghttp2_session_terminate_session(conn->session, 0);
    for (int32_t id = 1; id <= 2 * 4096; id += 2) { /* what is still open: del does not tell */
        struct fake_grpc_call *call = nghttp2_session_get_stream_user_data(conn->session, id);
        if (call)
            fake_grpc_close_(conn->session, id, 0, conn);
    }
    nghttp2_session_del(conn->session);
    bufferevent_free(conn->bev);
    free(conn);
}

static inline void
fake_grpc_readable_(struct bufferevent *bev, void *arg)
{
    struct fake_grpc_conn *conn = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    size_t len = evbuffer_get_length(in);
    ssize_t n = nghttp2_session_mem_recv(conn->session, evbuffer_pullup(in, -1), len);

    if (n < 0) {
        fake_grpc_drop_(conn);
        return;
    }
    evbuffer_drain(in, (size_t)n);
    fake_grpc_flush_(conn);
}

static inline void
fake_grpc_event_(struct bufferevent *bev, short what, void *arg)
{
    fake_grpc_drop_(arg);
}

static inline void
fake_grpc_accept_(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
    struct fake_grpc *g = arg;
    struct fake_grpc_conn *conn = XNEW(struct fake_grpc_conn);
    nghttp2_session_callbacks *cb;

    atomic_fetch_add(&g->accepted, 1);
    conn->server = g;
    conn->next = g->conns;
    g->conns = conn;
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, fake_grpc_begin_);
    nghttp2_session_callbacks_set_on_header_callback(cb, fake_grpc_header_);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, fake_grpc_data_);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, fake_grpc_frame_);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, fake_grpc_close_);
    nghttp2_session_server_new(&conn->session, cb, conn);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(conn->session, 0, NULL, 0);
    conn->bev = bufferevent_socket_new(loop_base(g->loop), fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(conn->bev, fake_grpc_readable_, NULL, fake_grpc_event_, conn);
    bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
    fake_grpc_flush_(conn);
}

/* On a unix socket; an old socket file is replaced.  0 or -1. */
static inline int
fake_grpc_start(struct fake_grpc *g, const char *path)
{
    struct addr a;
    struct kerr *err = addr_parse(path, 0, &a);

    if (!err)
        err = loop_new("fake-grpc", &g->loop);
    unlink(path);
    if (!err) {
        g->listener = evconnlistener_new_bind(loop_base(g->loop), fake_grpc_accept_, g,
                                              LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
                                              (struct sockaddr *)&a.ss, (int)a.len);
        err = g->listener ? loop_thread_start(g->loop) : kerr_new(KERR_INTERNAL, "cannot listen on %s", path);
    }
    if (err)
        fprintf(stderr, "fake_grpc: %s\n", err->message);
    int rc = err ? -1 : 0;
    kerr_free(err);
    return rc;
}

static inline void
fake_grpc_drop_all_(void *arg)
{
    struct fake_grpc *g = arg;

    while (g->conns)
        fake_grpc_drop_(g->conns);
}
static inline void
fake_grpc_cut(struct fake_grpc *g) /* closes all connections, goes on listening */
{
    loop_call(g->loop, fake_grpc_drop_all_, g);
}

static inline void
fake_grpc_stop(struct fake_grpc *g)
{
    loop_stop(g->loop);
    loop_thread_join(g->loop);
    fake_grpc_drop_all_(g);
    evconnlistener_free(g->listener);
    loop_free(g->loop);
    g->loop = NULL;
}

#endif
