// SPDX-License-Identifier: Apache-2.0
/* grpc_client.h - gRPC calls (h2c on libnghttp2) to one peer over a unix socket or TCP.
 * One connection, all calls multiplexed on it, one I/O thread that belongs to the client.  Messages are opaque bytes:
 * the caller encodes and decodes protobuf.  The connection is made when a call needs it and again when it is lost,
 * with back-off; calls that wait for it fail with the reason as soon as a try fails, at the latest at their deadline.
 * Calls come from any thread but the client's own I/O thread (so never from a stream callback). */
#ifndef CKUBE_NET_GRPC_CLIENT_H
#define CKUBE_NET_GRPC_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/mem.h"

struct grpc_client;
struct grpc_stream;

enum grpc_status { /* the wire's numbers */
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};
const char *grpc_status_name(int status); /* "NotFound"; "Code(99)" is "Unknown" */

struct grpc_client_options {
    const char *target;          /* "unix:///run/containerd/containerd.sock", an absolute path, or "127.0.0.1:50051" */
    const char *hop;             /* for errors: "kubelet -> containerd"; NULL = "grpc" */
    size_t max_message;          /* bytes of one received message; 0 = 16 MiB */
    uint64_t connect_timeout_ms; /* 0 = 5000 */
    uint64_t backoff_max_ms;     /* between connects that failed, starts at 50 ms; 0 = 3000 */
};

struct kerr *grpc_client_new(const struct grpc_client_options *options, struct grpc_client **ret) MUST_CHECK;
/* Fails what is under way with Cancelled, ends the thread.  No other thread may still be in a call.  NULL is fine. */
void grpc_client_free(struct grpc_client *c);
DEFINE_AUTO(grpc_client)

/* One request, one reply, blocking.  method = "/runtime.v1.RuntimeService/Version".  timeout_ms 0 = no deadline.
 * ret_reply is the caller's to free() (NUL-terminated beyond ret_len for ease of debugging).
 * ret_status (may be NULL) is always set: GRPC_OK, what the peer sent, or what stopped us (Unavailable, DeadlineExceeded).
 * The error reads "<hop>: <method>: rpc error: code = NotFound desc = <peer's text>"; its reason is the nearest kerr_reason. */
struct kerr *grpc_call(struct grpc_client *c, const char *method, const void *request, size_t request_len,
                       uint64_t timeout_ms, void **ret_reply, size_t *ret_len, int *ret_status) MUST_CHECK;

/* Server streaming.  Callbacks run on the client's I/O thread and must not block or call grpc_call() (post to your own
 * loop instead).  on_end comes exactly once, also after a cancel, and is the last: err is the callback's to free, NULL
 * when the peer ended the stream with OK; it may come before grpc_stream_start() has returned. */
struct grpc_stream_handler {
    void (*on_message)(void *arg, const void *message, size_t len);
    void (*on_end)(void *arg, int status, struct kerr *err);
};
/* The result is valid until grpc_stream_free(). */
struct grpc_stream *grpc_stream_start(struct grpc_client *c, const char *method, const void *request, size_t request_len,
                                      const struct grpc_stream_handler *handler, void *arg) MUST_CHECK;
void grpc_stream_cancel(struct grpc_stream *s); /* any thread */
/* Gives the handle back; a stream that still runs is cancelled and its on_end still comes.  Any thread, before
 * grpc_client_free().  NULL is fine. */
void grpc_stream_free(struct grpc_stream *s);
DEFINE_AUTO(grpc_stream)

#endif
