// SPDX-License-Identifier: Apache-2.0
/* http_private.h - what the HTTP server's parts share:
 *
 *   http_server.c   listeners, accepting, one shard of connections per loop
 *        | http1_conn_new()
 *   http1_conn.c    HTTP/1.1 connection: bytes -> streams, timers, life       } the codec; another one (HTTP/2) would
 *   http1_head.c    request heads: llhttp callbacks, checks                   } stand beside these three and give
 *   http1_reply.c   replies -> bytes                                          } its streams its own struct http_codec
 *        | struct http_codec
 *   http_stream.c   the stream as users see it; replies from other threads
 */
#ifndef CKUBE_NET_HTTP_PRIVATE_H
#define CKUBE_NET_HTTP_PRIVATE_H

#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/sbuf.h"
#include "common/net/addr.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"
#include "common/net/tls.h"

struct http_conn; /* the codec's */

/* How a stream reaches its connection.  All on the loop, only while stream->conn is set. */
struct http_codec {
    /* body_len -1: pieces follow.  `body` may be NULL; it is drained, not freed. */
    void (*reply)(struct http_stream *s, int code, const struct http_header *headers, size_t n, int64_t body_len,
                  struct evbuffer *body);
    void (*write)(struct http_stream *s, struct evbuffer *data); /* drains data */
    void (*end)(struct http_stream *s);
    void (*reset)(struct http_stream *s);
    void (*pause_body)(struct http_stream *s, bool pause);
    struct bufferevent *(*take)(struct http_stream *s, int code, const struct http_header *headers, size_t n);
};

/* What the streams of one connection know of their peer; shared, unchanging once the first stream has it. */
struct http_peer {
    atomic_uint refs;
    char *remote, *local;
    struct tls_identity *identity;
};
void http_peer_unref(struct http_peer *p);

struct http_stream {
    atomic_uint refs;
    struct http_server *server; /* loop only, while conn is set */
    struct loop *loop;
    const struct http_codec *codec;
    struct http_conn *conn; /* NULL once gone; loop only */
    atomic_bool gone;
    struct arena *arena; /* the request's strings */
    struct http_request req;
    struct http_peer *peer;

    struct sbuf body;
    size_t max_body;
    void (*on_data)(struct http_stream *, const char *, size_t, void *);
    void *on_data_arg;

    void *user;
    void (*user_free)(void *);
    void (*on_close)(struct http_stream *, void *);
    void *on_close_arg;
    void (*on_drained)(struct http_stream *, void *);
    void *on_drained_arg;

    atomic_size_t posted; /* reply bytes on their way from another thread */
    atomic_size_t output; /* reply bytes in the connection's output; kept by the codec */
    size_t output_high;
    bool reply_begun, reply_streams, reply_ended;
    atomic_bool wants_drained; /* http_reply_full() said yes since the last on_drained */
    int code;
    atomic_uint_fast64_t bytes_sent; /* of the reply's body, given to the connection */
};

/* A stream with one reference, its strings yet to be set. */
struct http_stream *http_stream_new(struct http_server *srv, struct loop *loop, const struct http_codec *codec,
                                    struct http_conn *conn, struct http_peer *peer);
/* From the codec: the connection is done with the stream (whole = the reply left complete).  Gives back its reference. */
void http_stream_detach(struct http_stream *s, bool whole);
void http_stream_drained(struct http_stream *s); /* from the codec, when the kernel took bytes; may run on_drained */
/* The server's own refusal by the handler's on_refuse, or as plain text. */
void http_stream_refuse(struct http_stream *s, int code, const char *message);

struct http_shard; /* the connections of one server on one loop */

struct http_server {
    struct http_handler handler;
    void *arg;
    struct http_limits limits; /* defaults filled in */
    atomic_uint connections;
    atomic_bool draining;
    struct http_shard **shards;
    size_t nshards;
    struct http_listener *listeners;
    uint16_t port;
};

struct http_shard {
    atomic_uint refs;
    struct http_server *server; /* NULL once it was freed */
    struct loop *loop;
    struct http_conn *conns; /* DL list; loop only */
};

/* Takes fd and peer. */
void http1_conn_new(struct http_shard *shard, int fd, struct tls_server *tls, struct http_peer *peer);
void http1_conn_drain(struct http_conn *conn); /* close when idle; may free it */
void http1_conn_free(struct http_conn *conn);  /* now; its stream is gone */
struct http_conn *http1_conn_next(struct http_conn *conn);

#endif
