// SPDX-License-Identifier: Apache-2.0
#include "common/net/grpc_client.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "common/base/str.h"
#include "common/net/grpc_private.h"

#define DEFAULT_MAX_MESSAGE (16u << 20)
#define PREFIX_SIZE 5 /* compressed flag, 32 bit length */

static const struct {
    const char *name;
    enum kerr_reason reason;
} statuses[] = {
    [GRPC_OK] = { "OK", KERR_UNKNOWN },
    [GRPC_CANCELLED] = { "Canceled", KERR_INTERNAL },
    [GRPC_UNKNOWN] = { "Unknown", KERR_INTERNAL },
    [GRPC_INVALID_ARGUMENT] = { "InvalidArgument", KERR_INVALID },
    [GRPC_DEADLINE_EXCEEDED] = { "DeadlineExceeded", KERR_TIMEOUT },
    [GRPC_NOT_FOUND] = { "NotFound", KERR_NOT_FOUND },
    [GRPC_ALREADY_EXISTS] = { "AlreadyExists", KERR_ALREADY_EXISTS },
    [GRPC_PERMISSION_DENIED] = { "PermissionDenied", KERR_FORBIDDEN },
    [GRPC_RESOURCE_EXHAUSTED] = { "ResourceExhausted", KERR_TOO_MANY_REQUESTS },
    [GRPC_FAILED_PRECONDITION] = { "FailedPrecondition", KERR_CONFLICT },
    [GRPC_ABORTED] = { "Aborted", KERR_CONFLICT },
    [GRPC_OUT_OF_RANGE] = { "OutOfRange", KERR_INVALID },
    [GRPC_UNIMPLEMENTED] = { "Unimplemented", KERR_METHOD_NOT_ALLOWED },
    [GRPC_INTERNAL] = { "Internal", KERR_INTERNAL },
    [GRPC_UNAVAILABLE] = { "Unavailable", KERR_UNAVAILABLE },
    [GRPC_DATA_LOSS] = { "DataLoss", KERR_INTERNAL },
    [GRPC_UNAUTHENTICATED] = { "Unauthenticated", KERR_UNAUTHORIZED },
};

const char *
grpc_status_name(int status)
{
    return status >= 0 && (size_t)status < ARRAY_LEN(statuses) ? statuses[status].name : "Unknown";
}

static enum kerr_reason
status_reason(int status)
{
    return status > 0 && (size_t)status < ARRAY_LEN(statuses) ? statuses[status].reason : KERR_INTERNAL;
}

struct kerr *
grpc_stream_error(const struct grpc_stream *s, int status, const char *desc)
{
    return kerr_new(status_reason(status), "%s: %s: rpc error: code = %s desc = %s", s->client->hop, s->method,
                    grpc_status_name(status), desc);
}

/* ---- client ------------------------------------------------------------------------------------------ */

static struct kerr *
parse_target(const char *target, struct addr *ret)
{
    AUTO_FREE char *host = NULL;
    uint16_t port = 0;

    if (str_has_prefix(target, "unix:") || (target && target[0] == '/'))
        return addr_parse(target, 0, ret);
    struct kerr *err = addr_split(target, &host, &port);
    if (err)
        return err;
    return addr_parse(str_eq(host, "localhost") ? "127.0.0.1" : host, port, ret);
}

struct kerr *
grpc_client_new(const struct grpc_client_options *o, struct grpc_client **ret)
{
    struct grpc_client *c = XNEW(struct grpc_client);
    struct kerr *err;

    c->hop = xstrdup(str_or(o->hop, "grpc"));
    c->max_message = o->max_message ? o->max_message : DEFAULT_MAX_MESSAGE;
    c->connect_timeout_ms = o->connect_timeout_ms ? o->connect_timeout_ms : 5000;
    c->policy = (struct backoff_policy){ 50, o->backoff_max_ms ? o->backoff_max_ms : 3000, 20 };
    c->rng = rng_from_system();
    err = parse_target(o->target, &c->addr);
    if (!err) {
        c->address = addr_text(&c->addr);
        err = loop_new("grpc", &c->loop);
    }
    if (!err)
        err = loop_thread_start(c->loop);
    if (err) {
        err = kerr_wrap(err, "%s", c->hop);
        grpc_client_free(c);
        return err;
    }
    *ret = c;
    return NULL;
}

static void
shut_down(void *arg)
{
    struct grpc_client *c = arg;
    struct grpc_stream *s, *next;

    c->closing = true;
    loop_timer_free(c->retry);
    c->retry = NULL;
    DL_FOREACH_SAFE(c->waiting, s, next)
    {
        DL_DELETE(c->waiting, s);
        grpc_stream_finish(s, GRPC_CANCELLED, grpc_stream_error(s, GRPC_CANCELLED, "the client is shutting down"));
        grpc_stream_drop(s);
    }
    grpc_conn_free_all(c);
}

void
grpc_client_free(struct grpc_client *c)
{
    if (!c)
        return;
    if (c->loop) {
        loop_call(c->loop, shut_down, c);
        loop_stop(c->loop);
        loop_thread_join(c->loop);
        loop_free(c->loop); /* late cancels run here */
    }
    free(c->address);
    free(c->hop);
    free(c->last_failure);
    free(c);
}

/* ---- one call ---------------------------------------------------------------------------------------- */

static struct grpc_stream *
call_new(struct grpc_client *c, const char *method, const void *request, size_t len)
{
    struct grpc_stream *s = XNEW(struct grpc_stream);

    atomic_init(&s->refs, 1);
    s->client = c;
    s->method = xstrdup(method);
    s->peer_status = -1;
    s->in.max = c->max_message + PREFIX_SIZE;
    s->peer_message.max = 64 << 10;
    s->request = xmalloc(len + PREFIX_SIZE);
    s->request_len = len + PREFIX_SIZE;
    s->request[0] = 0;
    for (int i = 0; i < 4; i++)
        s->request[1 + i] = (char)(len >> (24 - 8 * i));
    if (len)
        memcpy(s->request + PREFIX_SIZE, request, len);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->over, NULL);
    return s;
}

static struct grpc_stream *
take_ref(struct grpc_stream *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void
grpc_stream_drop(struct grpc_stream *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_cond_destroy(&s->over);
    pthread_mutex_destroy(&s->lock);
    sbuf_done(&s->in);
    sbuf_done(&s->peer_message);
    kerr_free(s->refusal);
    kerr_free(s->err);
    free(s->reply);
    free(s->request);
    free(s->method);
    free(s);
}

void
grpc_stream_finish(struct grpc_stream *s, int status, struct kerr *err)
{
    if (s->done) {
        kerr_free(err);
        return;
    }
    loop_timer_free(s->deadline);
    s->deadline = NULL;
    if (s->handler.on_end) {
        s->done = true;
        s->handler.on_end(s->arg, status, err);
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->status = status;
    s->err = err;
    s->done = true;
    pthread_cond_signal(&s->over);
    pthread_mutex_unlock(&s->lock);
}

static void
end_early(struct grpc_stream *s, int status, const char *desc)
{
    if (s->done)
        return;
    grpc_stream_finish(s, status, grpc_stream_error(s, status, desc));
    if (s->conn) {
        grpc_conn_abandon(s);
    } else {
        DL_DELETE(s->client->waiting, s);
        grpc_stream_drop(s);
    }
}

static void
on_deadline(void *arg)
{
    struct grpc_stream *s = arg;
    struct grpc_client *c = s->client;

    if (s->conn || !c->last_failure) {
        AUTO_FREE char *desc = xasprintf("no reply within %llu ms", (unsigned long long)s->timeout_ms);
        end_early(s, GRPC_DEADLINE_EXCEEDED, desc);
    } else {
        AUTO_FREE char *desc = xasprintf("no connection within %llu ms: %s", (unsigned long long)s->timeout_ms,
                                         c->last_failure);
        end_early(s, GRPC_DEADLINE_EXCEEDED, desc);
    }
}

static void
start_on_loop(void *arg)
{
    struct grpc_stream *s = arg; /* with the list's reference */

    if (s->client->closing) {
        grpc_stream_finish(s, GRPC_CANCELLED, grpc_stream_error(s, GRPC_CANCELLED, "the client is shutting down"));
        grpc_stream_drop(s);
        return;
    }
    if (s->timeout_ms) {
        s->deadline = loop_timer_new(s->client->loop, on_deadline, s);
        loop_timer_once(s->deadline, s->timeout_ms);
    }
    grpc_conn_submit(s);
}

struct kerr *
grpc_call(struct grpc_client *c, const char *method, const void *request, size_t request_len, uint64_t timeout_ms,
          void **ret_reply, size_t *ret_len, int *ret_status)
{
    struct grpc_stream *s = call_new(c, method, request, request_len);

    s->timeout_ms = timeout_ms;
    loop_post(c->loop, start_on_loop, take_ref(s));
    pthread_mutex_lock(&s->lock);
    while (!s->done)
        pthread_cond_wait(&s->over, &s->lock);
    pthread_mutex_unlock(&s->lock);

    struct kerr *err = steal_ptr(s->err);
    if (ret_status)
        *ret_status = s->status;
    if (!err) {
        *ret_reply = steal_ptr(s->reply);
        *ret_len = s->reply_len;
    }
    grpc_stream_drop(s);
    return err;
}

struct grpc_stream *
grpc_stream_start(struct grpc_client *c, const char *method, const void *request, size_t request_len,
                  const struct grpc_stream_handler *handler, void *arg)
{
    struct grpc_stream *s = call_new(c, method, request, request_len);

    s->handler = *handler;
    s->arg = arg;
    loop_post(c->loop, start_on_loop, take_ref(s));
    return s;
}

static void
cancel_on_loop(void *arg)
{
    struct grpc_stream *s = arg;

    end_early(s, GRPC_CANCELLED, "cancelled by the caller");
    grpc_stream_drop(s);
}

void
grpc_stream_cancel(struct grpc_stream *s)
{
    loop_post(s->client->loop, cancel_on_loop, take_ref(s));
}

void
grpc_stream_free(struct grpc_stream *s)
{
    if (!s)
        return;
    loop_post(s->client->loop, cancel_on_loop, s); /* hands our reference over */
}

/* ---- receiving --------------------------------------------------------------------------------------- */

static void
refuse(struct grpc_stream *s, int status, const char *desc)
{
    if (s->refusal || s->done)
        return;
    s->refusal = grpc_stream_error(s, status, desc);
    s->refusal_status = status;
}

static void
take_message(struct grpc_stream *s, const char *message, size_t len)
{
    if (s->handler.on_end) {
        if (s->handler.on_message)
            s->handler.on_message(s->arg, message, len);
    } else if (s->has_reply) {
        refuse(s, GRPC_INTERNAL, "the peer sent two replies to a unary call");
    } else {
        s->has_reply = true;
        s->reply = xmalloc(len + 1);
        memcpy(s->reply, message, len);
        s->reply[len] = '\0';
        s->reply_len = len;
    }
}

/* Eats whole messages from the front; what is left is the head of the next one. */
static size_t
take_messages(struct grpc_stream *s, const char *p, size_t len)
{
    size_t used = 0;

    while (len - used >= PREFIX_SIZE && !s->refusal && !s->done) {
        const uint8_t *at = (const uint8_t *)p + used;
        size_t size = (size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4];
        if (at[0]) {
            refuse(s, GRPC_INTERNAL, "the peer sent a compressed message, which was not offered");
        } else if (size > s->client->max_message) {
            AUTO_FREE char *desc = xasprintf("the peer sent a message of %zu bytes, more than %zu", size,
                                             s->client->max_message);
            refuse(s, GRPC_RESOURCE_EXHAUSTED, desc);
        } else if (len - used - PREFIX_SIZE < size) {
            break;
        } else {
            take_message(s, p + used + PREFIX_SIZE, size);
            used += PREFIX_SIZE + size;
        }
    }
    return used;
}

void
grpc_stream_receive(struct grpc_stream *s, const uint8_t *data, size_t len)
{
    if (s->done || s->refusal)
        return;
    if (s->in.len == 0) { /* the usual case: no copy of what is whole */
        size_t used = take_messages(s, (const char *)data, len);
        sbuf_add(&s->in, data + used, len - used);
    } else {
        size_t used;
        sbuf_add(&s->in, data, len);
        used = take_messages(s, s->in.s, s->in.len);
        memmove(s->in.s, s->in.s + used, s->in.len - used);
        s->in.len -= used;
    }
}

/* Statuses for answers that are no gRPC at all, as the gRPC documents map them. */
static int
status_of_http(int code)
{
    static const struct {
        int http, status;
    } rows[] = { { 400, GRPC_INTERNAL },      { 401, GRPC_UNAUTHENTICATED }, { 403, GRPC_PERMISSION_DENIED },
                 { 404, GRPC_UNIMPLEMENTED }, { 429, GRPC_UNAVAILABLE },     { 502, GRPC_UNAVAILABLE },
                 { 503, GRPC_UNAVAILABLE },   { 504, GRPC_UNAVAILABLE } };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].http == code)
            return rows[i].status;
    return GRPC_UNKNOWN;
}

static int
status_of_h2(uint32_t error)
{
    switch (error) {
    case 7: /* REFUSED_STREAM */
        return GRPC_UNAVAILABLE;
    case 8: /* CANCEL */
        return GRPC_CANCELLED;
    case 11: /* ENHANCE_YOUR_CALM */
        return GRPC_RESOURCE_EXHAUSTED;
    case 12: /* INADEQUATE_SECURITY */
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_INTERNAL;
    }
}

void
grpc_stream_closed(struct grpc_stream *s, uint32_t h2_error)
{
    AUTO_FREE char *desc = NULL;
    int status;

    if (s->refusal) {
        grpc_stream_finish(s, s->refusal_status, steal_ptr(s->refusal));
        return;
    }
    if (s->peer_status >= 0) {
        status = s->peer_status;
        desc = xstrdup(sbuf_str(&s->peer_message));
        if (status == GRPC_OK && !s->handler.on_end && !s->has_reply) {
            status = GRPC_INTERNAL;
            free(desc);
            desc = xstrdup("the peer ended the call without a reply");
        }
    } else if (h2_error) {
        status = status_of_h2(h2_error);
        desc = xasprintf("the peer reset the stream with HTTP/2 error %u", h2_error);
    } else if (s->http_status != 200) {
        status = status_of_http(s->http_status);
        desc = xasprintf("unexpected HTTP status %d from %s; is it a gRPC server?", s->http_status, s->client->address);
    } else {
        status = GRPC_INTERNAL;
        desc = xstrdup("the peer ended the call without a grpc-status");
    }
    grpc_stream_finish(s, status, status == GRPC_OK ? NULL : grpc_stream_error(s, status, desc));
}
