// SPDX-License-Identifier: Apache-2.0
/* server.h - the node's HTTPS server (10250): who asks (certificate, token), may they (SubjectAccessReview), and then
 * pods, logs, exec, attach, port-forward, metrics.
 *
 *   loop thread: bytes --> pool thread: authenticate, authorize, answer --> loop thread: bytes
 *
 * exec, attach and port-forward are byte tunnels to the runtime's streaming server: no SPDY or WebSocket in here. */
#ifndef CKUBE_KUBELET_SERVER_H
#define CKUBE_KUBELET_SERVER_H

#include "kubelet/kubelet.h"

struct server;
struct http_stream;

struct kerr *server_new(struct kubelet *k, struct server **ret) MUST_CHECK; /* binds and serves */
void server_stop(struct server *s); /* also frees; NULL is fine */

/* --- between the files of this folder --- */
struct server_request { /* on a pool thread; strings live with the stream */
    struct kubelet *k;
    struct http_stream *stream;
    const char *method, *query;
    const struct strlist *parts; /* of the path */
};
void server_text(struct http_stream *s, int code, const char *text);
void server_error(struct http_stream *s, struct kerr *err); /* takes err */
void server_json(struct http_stream *s, const struct sbuf *json);

void server_logs(const struct server_request *rq);      /* server_logs.c */
void server_streaming(const struct server_request *rq); /* server_streams.c: exec, attach, portForward */
void server_run(const struct server_request *rq);
void server_pods(const struct server_request *rq);      /* server_pods.c */
void server_running_pods(const struct server_request *rq);
void server_stats(const struct server_request *rq);     /* server_stats.c */
void server_metrics_resource(const struct server_request *rq);
void server_metrics_cadvisor(const struct server_request *rq);

/* What a request asks for in the words of authorization: nodes/<subresource>, verb.  Pure. */
struct server_access {
    const char *verb, *subresource;   /* "proxy" is what everything may be asked as, too */
    const char *fine;                 /* the narrower one, asked first; or NULL */
};
struct server_access server_access_of(const char *method, const char *path);

#endif
