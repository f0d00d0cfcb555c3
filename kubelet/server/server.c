// SPDX-License-Identifier: Apache-2.0
#include "kubelet/server/server.h"

#include <strings.h>

#include "common/base/klog.h"
#include "common/base/pool.h"
#include "common/daemon/daemon.h"
#include "common/daemon/delegated.h"
#include "common/net/addr.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"
#include "common/net/tls.h"
#include "kubelet/server/query.h"

#define THREADS 64 /* log followers hold one each */
#define QUEUED 512

struct server {
    struct kubelet *k;
    struct http_server *http;
    struct loop *loop;
    struct pool *pool;
    struct tls_server *tls;
    struct delegated *who;
    struct rest *review; /* borrowed: k->rest */
};

struct server_job {
    struct server *s;
    struct http_stream *stream;
};

typedef void handler_fn(const struct server_request *rq);

static const struct route {
    const char *first;    /* part of the path */
    const char *second;   /* or NULL: any */
    handler_fn *fn;
} routes[] = {
    { "containerLogs", NULL, server_logs },
    { "exec", NULL, server_streaming },
    { "attach", NULL, server_streaming },
    { "portForward", NULL, server_streaming },
    { "run", NULL, server_run },
    { "pods", NULL, server_pods },
    { "runningpods", NULL, server_running_pods },
    { "stats", "summary", server_stats },
    { "metrics", "resource", server_metrics_resource },
    { "metrics", "cadvisor", server_metrics_cadvisor },
};

/* --- replies --- */

void
server_text(struct http_stream *s, int code, const char *text)
{
    static const struct http_header plain[] = { { "Content-Type", "text/plain; charset=utf-8" } };

    http_reply(s, code, plain, 1, text, strlen(text));
}

void
server_error(struct http_stream *s, struct kerr *err)
{
    AUTO_FREE char *line = xasprintf("%s\n", err->message);

    server_text(s, err->http_code ? err->http_code : 500, line);
    kerr_free(err);
}

void
server_json(struct http_stream *s, const struct sbuf *json)
{
    static const struct http_header type[] = { { "Content-Type", "application/json" } };

    http_reply(s, 200, type, 1, sbuf_str(json), json->len);
}

/* --- access --- */

struct server_access
server_access_of(const char *method, const char *path)
{
    static const struct {
        const char *prefix, *subresource, *fine;
    } paths[] = {
        { "/stats", "stats", NULL },     { "/metrics", "metrics", NULL },     { "/logs", "log", NULL },
        { "/checkpoint", "checkpoint", NULL }, { "/healthz", "proxy", "healthz" }, { "/configz", "proxy", "configz" },
        { "/pods", "proxy", "pods" },    { "/runningpods", "proxy", "pods" },
    };
    static const char *const verbs[][2] = { { "POST", "create" }, { "PUT", "update" }, { "PATCH", "patch" }, { "DELETE", "delete" } };
    struct server_access a = { .verb = "get", .subresource = "proxy" };

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (!strcmp(method, verbs[i][0]))
            a.verb = verbs[i][1];
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        size_t n = strlen(paths[i].prefix);

        if (!strncmp(path, paths[i].prefix, n) && (path[n] == '/' || !path[n])) {
            a.subresource = paths[i].subresource;
            a.fine = paths[i].fine;
        }
    }
    return a;
}

static struct kerr *
check_access(struct server *s, struct http_stream *stream)
{
    const struct http_request *req = http_stream_request(stream);
    struct server_access a = server_access_of(req->method, req->path);
    struct delegated_access what = { .verb = a.verb, .resource = "nodes", .subresource = a.fine ? a.fine : a.subresource, .name = s->k->cfg.node_name };
    struct delegated_credential cred = { 0 };
    struct delegated_user user = { 0 };
    const char *header = http_stream_header(stream, "Authorization");
    struct kerr *err;

    if (header && !strncasecmp(header, "Bearer ", 7))
        cred.bearer_token = header + 7;
    if (req->identity && !req->identity->refused && (req->identity->trusted_by & (1u << TLS_CA_CLIENT))) {
        cred.cert_common_name = req->identity->common_name;
        cred.cert_organizations = &req->identity->organizations;
    }
    err = delegated_authenticate(s->who, &cred, &user);
    if (!err) {
        err = delegated_authorize(s->who, &user, &what);
        if (err && err->reason == KERR_FORBIDDEN && a.fine) {
            kerr_free(err);
            what.subresource = a.subresource;
            err = delegated_authorize(s->who, &user, &what);
        }
    }
    delegated_user_done(&user);
    return err;
}

/* --- one request --- */

/* /healthz, /metrics, /configz, ... : the daemon's own endpoints. */
static bool
daemon_endpoint(struct server *s, struct http_stream *stream)
{
    const struct http_request *req = http_stream_request(stream);
    AUTO_FREE char *path = query_decode(req->path, strlen(req->path), false);
    struct endpoint_request rq = { .method = req->method, .path = path, .query = req->query };
    struct endpoint_reply reply = { 0 };
    struct http_header type = { "Content-Type", NULL };

    rq.body = http_stream_body(stream, &rq.body_len);
    if (!daemon_answer(s->k->daemon, &rq, &reply))
        return false;
    type.value = str_or(reply.content_type, "text/plain; charset=utf-8");
    http_reply(stream, reply.code ? reply.code : 200, &type, 1, sbuf_str(&reply.body), reply.body.len);
    sbuf_done(&reply.body);
    return true;
}

static void
answer(struct server *s, struct http_stream *stream)
{
    const struct http_request *req = http_stream_request(stream);
    AUTO_STRLIST parts = { 0 };
    struct server_request rq = { .k = s->k, .stream = stream, .method = req->method, .query = req->query, .parts = &parts };
    struct kerr *err = check_access(s, stream);

    if (err) {
        if (err->reason == KERR_UNAUTHORIZED) {
            kerr_free(err);
            server_text(stream, 401, "Unauthorized");
            return;
        }
        if (err->reason == KERR_FORBIDDEN) {
            server_text(stream, 403, err->message);
            kerr_free(err);
            return;
        }
        log_warning("A request could not be checked", "path", req->path, "err", kv_err(err));
        server_error(stream, err);
        return;
    }
    path_parts(req->path, &parts);
    for (size_t i = 0; i < ARRAY_LEN(routes) && parts.len; i++)
        if (!strcmp(parts.items[0], routes[i].first) &&
            (!routes[i].second || (parts.len > 1 && !strcmp(parts.items[1], routes[i].second)))) {
            routes[i].fn(&rq);
            return;
        }
    if (!daemon_endpoint(s, stream))
        server_text(stream, 404, "404 page not found\n");
}

static void
job_main(void *arg)
{
    struct server_job *j = arg;

    answer(j->s, j->stream);
    http_stream_unref(j->stream);
    free(j);
}

static void
on_request(struct http_stream *stream, void *arg)
{
    struct server_job *j = XNEW(struct server_job);

    *j = (struct server_job){ arg, http_stream_ref(stream) };
    if (pool_submit(j->s->pool, job_main, j)) {
        server_text(stream, 503, "too many requests under way\n");
        http_stream_unref(stream);
        free(j);
    }
}

/* --- life --- */

static struct kerr *
make_tls(struct server *s)
{
    struct kubelet_config *c = &s->k->cfg;
    struct tls_server_options o = { .cert_file = c->tls_cert_file, .key_file = c->tls_private_key_file,
                                    .ca_files = { str_empty(c->client_ca_file) ? NULL : c->client_ca_file } };
    AUTO_FREE char *cert = NULL, *key = NULL;
    AUTO_STRLIST names = { 0 };
    struct kerr *err;

    if (str_empty(c->tls_cert_file) || str_empty(c->tls_private_key_file)) {
        for (size_t i = 0; i < s->k->identity.nhost_ips; i++)
            strlist_add(&names, s->k->identity.host_ips[i]);
        strlist_add(&names, "localhost");
        strlist_add(&names, "127.0.0.1");
        err = tls_self_signed(c->cert_dir, "kubelet", c->hostname, &names, &cert, &key);
        if (err)
            return err;
        o.cert_file = cert;
        o.key_file = key;
    }
    return tls_server_new(&o, &s->tls);
}

static struct delegated *
make_delegated(struct server *s)
{
    const struct kubelet_config *c = &s->k->cfg;
    struct delegated_config d = { .authn = c->webhook_auth ? s->k->rest : NULL, .authz = s->k->rest, .anonymous = c->anonymous_auth,
                                  .always_allow = !strcmp(c->authorization_mode, "AlwaysAllow"), .token_ttl_ms = c->authn_ttl_ms,
                                  .allowed_ttl_ms = c->authz_allowed_ttl_ms, .denied_ttl_ms = c->authz_denied_ttl_ms };

    return delegated_new(&d);
}

struct kerr *
server_new(struct kubelet *k, struct server **ret)
{
    static const struct http_handler handler = { .on_request = on_request };
    struct server *s = XNEW(struct server);
    struct http_limits limits = { .idle_timeout_ms = 180000 };
    struct kerr *err;

    s->k = k;
    s->pool = pool_new("server", THREADS, QUEUED);
    s->who = make_delegated(s);
    err = loop_new("server", &s->loop);
    if (!err)
        err = make_tls(s);
    if (!err)
        err = http_server_new(&handler, s, &limits, &s->http);
    if (!err)
        err = http_server_listen(s->http, &s->loop, 1, k->cfg.address, (uint16_t)k->cfg.port, s->tls);
    if (!err)
        err = loop_thread_start(s->loop);
    if (err) {
        server_stop(s);
        return kerr_wrap(err, "node server on %s:%d", k->cfg.address, k->cfg.port);
    }
    log_info("Serving", "address", k->cfg.address, "port", kv_int(k->cfg.port), "scheme", "https");
    *ret = s;
    return NULL;
}

void
server_stop(struct server *s)
{
    if (!s)
        return;
    if (s->loop) {
        loop_stop(s->loop);
        loop_thread_join(s->loop);
    }
    pool_free(s->pool);
    http_server_free(s->http);
    loop_free(s->loop);
    tls_server_free(s->tls);
    delegated_free(s->who);
    free(s);
}
