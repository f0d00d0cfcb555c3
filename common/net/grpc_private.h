// SPDX-License-Identifier: Apache-2.0
/* grpc_private.h - what the halves of the gRPC client share: calls (grpc_client.c) and the connection (grpc_conn.c).
 * Everything here happens on the client's I/O thread, but for the parts of a call that its lock guards. */
#ifndef CKUBE_NET_GRPC_PRIVATE_H
#define CKUBE_NET_GRPC_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/backoff.h"
#include "common/base/sbuf.h"
#include "common/net/addr.h"
#include "common/net/grpc_client.h"
#include "common/net/loop.h"

struct grpc_conn;

/* One call, unary or streaming.  References: its caller, the client's list while not done, its HTTP/2 stream. */
struct grpc_stream {
    atomic_uint refs;
    struct grpc_client *client;
    char *method;
    uint64_t timeout_ms;
    char *request; /* with its 5 byte prefix */
    size_t request_len, request_sent;

    struct grpc_stream_handler handler; /* on_end set: streaming; else unary */
    void *arg;

    /* I/O thread only */
    struct grpc_stream *prev, *next; /* client->waiting or conn->calls */
    struct grpc_conn *conn;          /* NULL while waiting */
    int32_t stream_id;
    struct sbuf in; /* bytes of the message under way */
    int http_status;
    int peer_status; /* grpc-status, -1 = not seen */
    struct sbuf peer_message;
    struct kerr *refusal; /* why we broke it off */
    int refusal_status;
    bool resubmitted;
    struct loop_timer *deadline;

    /* the result of a unary call */
    pthread_mutex_t lock; /* guards done */
    pthread_cond_t over;
    bool done;
    int status;
    struct kerr *err;
    bool has_reply;
    char *reply;
    size_t reply_len;
};

struct grpc_client {
    struct loop *loop;
    struct addr addr;
    char *address; /* text */
    char *hop;
    size_t max_message;
    uint64_t connect_timeout_ms;
    struct backoff_policy policy;

    /* I/O thread only */
    struct grpc_conn *conn;      /* the one new calls go to; NULL = none */
    struct grpc_conn *conns;     /* all, with those that only finish their calls */
    struct grpc_stream *waiting; /* for a connection */
    struct loop_timer *retry;
    struct backoff backoff;
    struct rng rng;
    char *last_failure;
    bool closing;
};

void grpc_stream_drop(struct grpc_stream *s); /* gives one reference back */
/* Ends a call once; takes err.  The call leaves no list by this. */
void grpc_stream_finish(struct grpc_stream *s, int status, struct kerr *err);
/* Adds received DATA bytes, hands on whole messages. */
void grpc_stream_receive(struct grpc_stream *s, const uint8_t *data, size_t len);
/* The HTTP/2 stream is over: finish by trailers or by its error code. */
void grpc_stream_closed(struct grpc_stream *s, uint32_t h2_error);
struct kerr *grpc_stream_error(const struct grpc_stream *s, int status, const char *desc) MUST_CHECK;

void grpc_conn_submit(struct grpc_stream *s);                  /* onto the connection, or waits for one */
void grpc_conn_abandon(struct grpc_stream *s);                 /* done early: reset its HTTP/2 stream */
void grpc_conn_free_all(struct grpc_client *c);

#endif
