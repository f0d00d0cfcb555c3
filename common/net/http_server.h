// SPDX-License-Identifier: Apache-2.0
/* http_server.h - serves HTTP on any number of loops.  The unit is the stream: one request and its reply.
 *
 *   head read --on_head--> whole body read --on_request--> http_reply*() --> gone (on_close)
 *                 |-- http_reply*() refuses early
 *                 |-- http_stream_stream_body(): body in pieces, no on_request
 *                 |-- http_upgrade_take(): raw bytes, in on_head or any time before a reply
 *
 * Which protocol carries the stream (HTTP/1.1 now, HTTP/2 later) is not seen here.
 * Threads: on_* callbacks run on the stream's loop.  Every http_reply*() works from any thread and is posted to that loop
 * when called elsewhere.  Whoever keeps a stream beyond its callback holds a reference; a reply to a stream whose client
 * has gone is dropped without harm.  Each stream must get exactly one reply (or be taken, or reset). */
#ifndef CKUBE_NET_HTTP_SERVER_H
#define CKUBE_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/mem.h"
#include "common/net/http_header.h"

struct bufferevent;
struct evbuffer;
struct http_server;
struct http_stream;
struct loop;
struct tls_identity;
struct tls_server;

/* What came, unchanging and valid as long as the stream. */
struct http_request {
    const char *method; /* "GET" */
    const char *target; /* as sent, "/api/v1/pods?limit=500" */
    const char *path;   /* before '?', still percent-encoded */
    const char *query;  /* after '?', still encoded; "" = none */
    const char *host;   /* Host header */
    const struct http_header *headers;
    size_t nheaders;
    int64_t content_length;              /* -1: chunked, length not known */
    const char *upgrade;                 /* protocol asked for by Connection: Upgrade; NULL = none */
    const char *peer;                    /* "10.0.0.7:53210", "unix" */
    const char *local;                   /* address the client reached */
    bool tls;
    const struct tls_identity *identity; /* NULL: no TLS, or no client certificate */
    uint64_t received_us;                /* clock_mono_us() when the head was complete */
    const char *protocol;                /* "HTTP/1.1" */
};

struct http_handler {
    void (*on_head)(struct http_stream *s, void *arg);    /* may be NULL */
    void (*on_request)(struct http_stream *s, void *arg); /* the whole body is there */
    /* How the server itself refuses (limits, bad syntax, timeouts): must reply, on the spot.  `s` may have an incomplete
     * request (method and path may be "").  NULL = plain text.  retry_after_s 0 = none. */
    void (*on_refuse)(struct http_stream *s, int code, const char *message, void *arg);
    /* After the last byte of a reply left, or the client went away: for access logs and metrics.  May be NULL. */
    void (*on_finished)(struct http_stream *s, void *arg);
};

struct http_limits { /* 0 = the default in brackets */
    size_t max_url;               /* [16 KiB] -> 414 */
    size_t max_head;              /* [1 MiB] request line and headers together -> 431 */
    size_t max_headers;           /* [256] -> 431 */
    size_t max_body;              /* [3 MiB] unless on_head asks for another -> 413 */
    uint32_t max_connections;     /* [20000] per server; more are closed at once */
    size_t output_high;           /* [1 MiB] queued reply bytes above which http_reply_full() says stop */
    size_t output_max;            /* [64 MiB] queued bytes of a streaming reply at which the client is cut off */
    uint64_t head_timeout_ms;     /* [32000] from the first byte (or accept) to a whole head; includes the TLS handshake */
    uint64_t body_stall_ms;       /* [60000] without a byte of an awaited body -> 408 */
    uint64_t idle_timeout_ms;     /* [180000] kept-alive connection without a request */
    uint64_t write_stall_ms;      /* [120000] a bounded reply of which the client takes nothing */
};

struct kerr *http_server_new(const struct http_handler *handler, void *arg, const struct http_limits *limits,
                             struct http_server **ret) MUST_CHECK;
/* One listener per loop (SO_REUSEPORT when there are several).  address: literal IP or unix path (its old socket file is
 * replaced); port 0 = any free one.  tls NULL = plain.  May be called again for more addresses.  Before the loops run, or
 * on a thread that is none of them while they run. */
struct kerr *http_server_listen(struct http_server *srv, struct loop *const *loops, size_t nloops, const char *address,
                                uint16_t port, struct tls_server *tls) MUST_CHECK;
uint16_t http_server_port(const struct http_server *srv); /* of the first listener */
uint32_t http_server_connections(const struct http_server *srv);
/* No new connections and requests; idle ones close, busy ones close after their reply.  Any thread; returns at once. */
void http_server_drain(struct http_server *srv);
/* Closes all.  After its loops have stopped, before loop_free().  NULL is fine. */
void http_server_free(struct http_server *srv);
DEFINE_AUTO(http_server)

/* ---- the stream: on its loop unless said otherwise --------------------------------------------------- */

struct http_stream *http_stream_ref(struct http_stream *s); /* any thread */
void http_stream_unref(struct http_stream *s);              /* any thread; NULL is fine */
DEFINE_AUTO_UNREF(http_stream)

const struct http_request *http_stream_request(const struct http_stream *s); /* any thread */
struct loop *http_stream_loop(const struct http_stream *s);                  /* any thread */
bool http_stream_gone(const struct http_stream *s);                          /* any thread: client left or reply complete */
const char *http_stream_header(const struct http_stream *s, const char *name); /* any thread; NULL when absent */

/* One pointer for the user; free_fn (may be NULL) runs with the last reference, on whatever thread drops it. */
void http_stream_set_user(struct http_stream *s, void *user, void (*free_fn)(void *user));
void *http_stream_user(const struct http_stream *s); /* any thread */
/* For on_finished: code 0 = no reply was given; bytes of the reply's body. */
int http_stream_code(const struct http_stream *s);
uint64_t http_stream_bytes_sent(const struct http_stream *s);

/* In on_head: another bound for this body. */
void http_stream_max_body(struct http_stream *s, size_t max);
/* From on_request on, valid as long as the stream and safe to read on any thread; NUL-terminated. */
const char *http_stream_body(const struct http_stream *s, size_t *ret_len);

/* In on_head: the body in pieces instead of on_request; no bound but time.  data NULL, len 0 = the end. */
void http_stream_stream_body(struct http_stream *s, void (*on_data)(struct http_stream *s, const char *data, size_t len, void *arg),
                             void *arg);
void http_stream_pause_body(struct http_stream *s, bool pause);

/* Called once if the client goes away before the reply is complete. */
void http_stream_on_close(struct http_stream *s, void (*fn)(struct http_stream *s, void *arg), void *arg);

/* ---- replies: any thread ------------------------------------------------------------------------------ */

/* Content-Length, Date, Connection and Transfer-Encoding are the server's to add; give all others (Content-Type!).
 * Header rows are copied.  Bodies of HEAD, 204 and 304 are left out (with their length told). */
void http_reply(struct http_stream *s, int code, const struct http_header *headers, size_t nheaders, const void *body,
                size_t len);                                                        /* copies body */
void http_reply_buffer(struct http_stream *s, int code, const struct http_header *headers, size_t nheaders,
                       struct evbuffer *body); /* takes the evbuffer, bytes by reference; NULL = empty */

/* A reply in pieces: start, write..., end.  HTTP/1.1 chunks it, HTTP/1.0 closes at the end. */
void http_reply_start(struct http_stream *s, int code, const struct http_header *headers, size_t nheaders);
/* Both return the bytes now queued for this stream and not yet with the kernel.  Empty pieces are ignored. */
size_t http_reply_write(struct http_stream *s, const void *data, size_t len);   /* copies */
size_t http_reply_write_buffer(struct http_stream *s, struct evbuffer *data);   /* drains `data`, keeps it the caller's */
void http_reply_end(struct http_stream *s);
size_t http_reply_queued(const struct http_stream *s);
bool http_reply_full(const struct http_stream *s); /* queued > output_high: pause the source until on_drained */
/* On the stream's loop: fn runs there each time the queue falls to a quarter of output_high after it was full. */
void http_reply_on_drained(struct http_stream *s, void (*fn)(struct http_stream *s, void *arg), void *arg);
/* Drops the client at once, so that it sees an error and no clean end. */
void http_stream_reset(struct http_stream *s);

/* ---- tunnels: on the stream's loop ---------------------------------------------------------------------- */

/* Takes the byte channel: with code != 0 writes that reply head first (101 with Connection and Upgrade rows as given).
 * Bytes the client sent early are in the bufferevent's input.  Reading is disabled, no callbacks are set; the caller owns it
 * (bufferevent_free closes it).  The stream is then gone.  NULL when the client has left or the protocol has no tunnels. */
struct bufferevent *http_upgrade_take(struct http_stream *s, int code, const struct http_header *headers,
                                      size_t nheaders) MUST_CHECK;

#endif
