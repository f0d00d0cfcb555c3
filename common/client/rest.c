// SPDX-License-Identifier: Apache-2.0
#include "common/client/rest.h"

#include <pthread.h>
#include <stdio.h>

#include "common/api/json_scan.h"
#include "common/api/status.h"
#include "common/api/values.h"
#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/rng.h"
#include "common/base/version.h"
#include "common/client/rest_impl.h"
#include "common/net/http_client.h"
#include "common/net/loop.h"

#define MAX_RETRIES 10
#define MAX_RETRY_AFTER_S 30
#define DEFAULT_TIMEOUT_MS 60000

struct rest {
    atomic_uint refs;
    char *server, *host, *component;
    struct client_config config;
    unsigned max_idle;
    struct http_client *http;
    int64_t timeout_ms;
    char *impersonate;
    struct rest *base; /* rest_with_token(): whose connections are used; else NULL */
    char *bearer;      /* its "Bearer ..." */
    void (*refused)(void *arg);
    void *refused_arg;
    /* our own rate limit, when the user wants one */
    pthread_mutex_t lock; /* guards bearer, tokens and tokens_at_us */
    double qps, burst, tokens;
    uint64_t tokens_at_us;
};

static const double bounds[] = { 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60 };
static struct metric requests =
    METRIC_COUNTER("rest_client_requests_total", "Number of HTTP requests, partitioned by status code, method, and host.", "code,host,method");
static struct metric duration = METRIC_HISTOGRAM("rest_client_request_duration_seconds",
                                                 "Request latency in seconds. Broken down by verb, and host.", "host,verb", bounds);
static struct metric retries = METRIC_COUNTER("rest_client_request_retries_total",
                                              "Number of request retries, partitioned by status code, verb, and host.", "code,host,verb");

struct kerr *
rest_http_new(const struct rest *r, struct http_client **ret)
{
    const struct client_config *c = &r->config;
    AUTO_FREE char *agent = version_user_agent(r->component);
    AUTO_FREE char *hop = xasprintf("%s -> kube-apiserver", r->component);
    struct http_client_options options = {
        .hop = hop,
        .tls = { .ca_file = c->ca_file, .ca_pem = c->ca_pem, .cert_file = c->cert_file, .cert_pem = c->cert_pem,
                 .key_file = c->key_file, .key_pem = c->key_pem, .server_name = c->tls_server_name,
                 .insecure = c->insecure_skip_tls_verify },
        .bearer_token = c->token,
        .bearer_token_file = c->token_file,
        .username = c->username,
        .password = c->password,
        .user_agent = agent,
        .max_idle = r->max_idle,
    };

    return http_client_new(&options, ret);
}

struct kerr *
rest_new(const struct client_config *cfg, const struct rest_options *opts, struct rest **ret)
{
    struct rest *r = XNEW(struct rest);

    atomic_init(&r->refs, 1);
    pthread_mutex_init(&r->lock, NULL);
    client_config_copy(cfg, &r->config);
    r->server = xstrdup(str_safe(cfg->server));
    const char *host = strstr(r->server, "://");
    r->host = xstrndup(host ? host + 3 : "", host ? strcspn(host + 3, "/") : 0);
    r->component = xstrdup(str_or(opts->component, "ckube"));
    r->max_idle = opts->max_connections;
    r->timeout_ms = opts->timeout_ms ? opts->timeout_ms : DEFAULT_TIMEOUT_MS;
    r->impersonate = str_empty(opts->impersonate_user) ? NULL : xstrdup(opts->impersonate_user);
    r->qps = opts->qps > 0 ? opts->qps : 0;
    r->burst = opts->burst > 0 ? opts->burst : r->qps;
    r->tokens = r->burst < 1 ? 1 : r->burst;
    struct kerr *err = rest_http_new(r, &r->http);
    if (err) {
        rest_unref(r);
        return kerr_wrap(err, "%s", str_or(cfg->origin, "client configuration"));
    }
    *ret = r;
    return NULL;
}

struct rest *
rest_ref(struct rest *r)
{
    if (r)
        atomic_fetch_add(&r->refs, 1);
    return r;
}

void
rest_unref(struct rest *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    if (r->base)
        rest_unref(r->base);
    else
        http_client_free(r->http);
    pthread_mutex_destroy(&r->lock);
    free(r->bearer);
    free(r->server);
    free(r->host);
    free(r->component);
    free(r->impersonate);
    client_config_done(&r->config);
    free(r);
}

struct rest *
rest_with_token(struct rest *base, const char *component)
{
    struct rest *r = XNEW(struct rest);

    atomic_init(&r->refs, 1);
    pthread_mutex_init(&r->lock, NULL);
    r->base = rest_ref(base);
    r->http = base->http;
    r->server = xstrdup(base->server);
    r->host = xstrdup(base->host);
    r->component = xstrdup(component);
    r->timeout_ms = base->timeout_ms;
    r->qps = base->qps;
    r->burst = base->burst;
    r->tokens = r->burst < 1 ? 1 : r->burst;
    return r;
}

void
rest_set_token(struct rest *r, const char *token)
{
    char *bearer = xasprintf("Bearer %s", token);

    pthread_mutex_lock(&r->lock);
    char *old = r->bearer;
    r->bearer = bearer;
    pthread_mutex_unlock(&r->lock);
    free(old);
}

void
rest_on_refused(struct rest *r, void (*fn)(void *arg), void *arg)
{
    r->refused = fn;
    r->refused_arg = arg;
}

const char *
rest_server(const struct rest *r)
{
    return r->server;
}

const char *
rest_component(const struct rest *r)
{
    return r->component;
}

/* --- paths and queries --- */

static void
add_escaped(struct sbuf *out, const char *s)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";

    for (; *s; s++) {
        if (strchr(plain, *s))
            sbuf_addc(out, *s);
        else
            sbuf_addf(out, "%%%02X", (unsigned char)*s);
    }
}

static void
add_query(struct sbuf *out, char *sep, const char *name, const char *value)
{
    if (str_empty(value))
        return;
    sbuf_addf(out, "%c%s=", *sep, name);
    add_escaped(out, value);
    *sep = '&';
}

char *
rest_path(const struct api_kind *kind, const char *ns, const char *name, const char *sub)
{
    struct sbuf out = { 0 };

    sbuf_addf(&out, str_empty(kind->group) ? "/api%s%s" : "/apis/%s/%s", str_safe(kind->group)[0] ? kind->group : "/", kind->version);
    if (kind->namespaced && !str_empty(ns)) {
        sbuf_adds(&out, "/namespaces/");
        add_escaped(&out, ns);
    }
    sbuf_addf(&out, "/%s", kind->plural);
    if (!str_empty(name)) {
        sbuf_addc(&out, '/');
        add_escaped(&out, name);
    }
    if (!str_empty(sub))
        sbuf_addf(&out, "/%s", sub);
    return sbuf_steal(&out);
}

char *
rest_collection_url(const struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *opts,
                    int64_t watch_timeout_s)
{
    static const struct rest_list_options none;
    AUTO_FREE char *path = rest_path(kind, ns, NULL, NULL);
    struct sbuf url = { 0 };
    char sep = '?', number[24];

    opts = opts ? opts : &none;
    sbuf_addf(&url, "%s%s", r->server, path);
    add_query(&url, &sep, "labelSelector", opts->label_selector);
    add_query(&url, &sep, "fieldSelector", opts->field_selector);
    add_query(&url, &sep, "resourceVersion", opts->resource_version);
    if (watch_timeout_s < 0) {
        add_query(&url, &sep, "resourceVersionMatch", opts->resource_version_match);
        add_query(&url, &sep, "continue", opts->continue_token);
        if (opts->limit > 0)
            add_query(&url, &sep, "limit", klog_format_int(number, opts->limit));
    } else {
        add_query(&url, &sep, "watch", "true");
        add_query(&url, &sep, "allowWatchBookmarks", "true");
        if (watch_timeout_s > 0)
            add_query(&url, &sep, "timeoutSeconds", klog_format_int(number, watch_timeout_s));
    }
    return sbuf_steal(&url);
}

const struct http_header *
rest_accept(bool metadata_only)
{
    static const struct http_header full = { "Accept", "application/json" };
    static const struct http_header partial = {
        "Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
    };

    return metadata_only ? &partial : &full;
}

/* --- one call --- */

struct request {
    const char *method, *url; /* url absolute */
    const char *content_type; /* of the body; or NULL */
    const void *body;
    size_t body_len;
    bool metadata_only;
};

void
rest_count(const struct rest *r, const char *method, int code, uint64_t started_us)
{
    char text[16];

    snprintf(text, sizeof text, "%d", code);
    metric_inc(&requests, code ? text : "<error>", r->host, method);
    metric_observe(&duration, (double)(clock_mono_us() - started_us) / 1e6, r->host, method);
}

/* Sleeps as long as the user's --kube-api-qps asks for. */
static void
throttle(struct rest *r)
{
    double wait_s = 0;

    if (r->qps <= 0)
        return;
    pthread_mutex_lock(&r->lock);
    uint64_t now = clock_mono_us();
    if (r->tokens_at_us)
        r->tokens += (double)(now - r->tokens_at_us) / 1e6 * r->qps;
    r->tokens_at_us = now;
    if (r->tokens > r->burst)
        r->tokens = r->burst;
    r->tokens -= 1;
    if (r->tokens < 0)
        wait_s = -r->tokens / r->qps;
    pthread_mutex_unlock(&r->lock);
    if (wait_s > 0)
        clock_sleep_ms((uint64_t)(wait_s * 1000) + 1);
}

struct kerr *
rest_transport_error(struct kerr *err)
{
    if (!err)
        return NULL;
    if (err->reason == KERR_UNKNOWN || err->reason == KERR_INTERNAL || err->reason == KERR_NOT_FOUND) {
        err->reason = KERR_UNAVAILABLE;
        err->http_code = 503;
    }
    return err; /* it names hop, method and URL */
}

static bool
may_retry(const struct request *req, int code, int32_t retry_after_s)
{
    if (code == 429)
        return true;
    if (code < 500 || retry_after_s <= 0)
        return false;
    return strcmp(req->method, "POST") != 0 || code == 503;
}

static struct kerr *
call_once(struct rest *r, const struct request *req, struct http_result *ret)
{
    struct http_header headers[4];
    size_t n = 0;
    uint64_t started_us = clock_mono_us();

    headers[n++] = *rest_accept(req->metadata_only);
    if (req->content_type)
        headers[n++] = (struct http_header){ "Content-Type", req->content_type };
    if (r->impersonate)
        headers[n++] = (struct http_header){ "Impersonate-User", r->impersonate };
    pthread_mutex_lock(&r->lock);
    AUTO_FREE char *bearer = xstrdup(r->bearer);
    pthread_mutex_unlock(&r->lock);
    if (bearer)
        headers[n++] = (struct http_header){ "Authorization", bearer };
    struct http_call call = {
        .method = req->method,
        .url = req->url,
        .headers = headers,
        .nheaders = n,
        .body = req->body,
        .body_len = req->body_len,
        .timeout_ms = (uint64_t)r->timeout_ms,
        .max_body = REST_MAX_BODY,
    };
    throttle(r);
    struct kerr *err = http_call_do(r->http, &call, ret);
    rest_count(r, req->method, err ? 0 : ret->code, started_us);
    if (!err && ret->code == 401 && r->refused)
        r->refused(r->refused_arg);
    return rest_transport_error(err);
}

/* Codes from 400 on are errors. */
static struct kerr *
do_request(struct rest *r, const struct request *req, struct http_result *ret)
{
    for (unsigned tries = 0;; tries++) {
        AUTO_HTTP_RESULT result = { 0 };
        struct kerr *err = call_once(r, req, &result);
        if (err)
            return err;
        int32_t wait_s = http_result_retry_after_s(&result);
        if (tries < MAX_RETRIES && may_retry(req, result.code, wait_s)) {
            char code[16];
            snprintf(code, sizeof code, "%d", result.code);
            metric_inc(&retries, code, r->host, req->method);
            wait_s = wait_s < 1 ? 1 : wait_s > MAX_RETRY_AFTER_S ? MAX_RETRY_AFTER_S : wait_s;
            log_v(2, "The apiserver asked to come back later", "url", req->url, "code", code, "after_s", kv_int(wait_s));
            clock_sleep_ms((uint64_t)wait_s * 1000);
            continue;
        }
        if (result.code >= 400) {
            err = kerr_from_body(result.body, result.body_len, result.code);
            if (!err->retry_after_s)
                err->retry_after_s = wait_s;
            return err;
        }
        *ret = result;
        result = (struct http_result){ 0 };
        return NULL;
    }
}

/* --- bodies --- */

static bool
is_partial(const struct api_kind *kind)
{
    return kind && kind->type == &api_type_partial_object_metadata;
}

static struct kerr *
decode_object(const char *json, size_t len, const struct api_kind *kind, struct object **ret)
{
    if (!is_partial(kind))
        return object_decode_json(json, len, kind, NULL, ret);
    struct object *obj = object_new(kind);
    struct partial_object_metadata *body = object_body(obj);
    struct type_meta own = body->type_meta;
    struct kerr *err = json_decode(kind->type, object_arena(obj), json, len, NULL, body);
    body->type_meta = own; /* the document says PartialObjectMetadata */
    if (err) {
        object_unref(obj);
        return err;
    }
    *ret = obj;
    return NULL;
}

static struct kerr *
answer_object(const struct http_result *result, const struct api_kind *kind, const char *url, struct object **ret)
{
    if (!ret)
        return NULL;
    struct kerr *err = decode_object(result->body, result->body_len, kind, ret);
    if (err)
        err->reason = KERR_INTERNAL;
    return kerr_wrap(err, "answer to \"%s\"", url);
}

/* Sends `body` (may be NULL) and decodes the answer as `kind` (NULL = what it says it is). */
static struct kerr *
send_object(struct rest *r, const char *method, const char *path_query, const struct object *body, const struct api_kind *kind,
            struct object **ret)
{
    AUTO_SBUF json = { 0 };
    AUTO_HTTP_RESULT result = { 0 };
    AUTO_FREE char *url = xasprintf("%s%s", r->server, path_query);
    struct request req = { .method = method, .url = url, .metadata_only = is_partial(kind) };

    if (body) {
        object_encode_json(body, &json);
        req.content_type = "application/json";
        req.body = sbuf_str(&json);
        req.body_len = json.len;
    }
    struct kerr *err = do_request(r, &req, &result);
    return err ? err : answer_object(&result, kind, url, ret);
}

struct kerr *
rest_get(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, struct object **ret)
{
    AUTO_FREE char *path = rest_path(kind, ns, name, NULL);

    return send_object(r, "GET", path, NULL, kind, ret);
}

struct kerr *
rest_create(struct rest *r, const struct object *obj, struct object **ret)
{
    AUTO_FREE char *path = rest_path(object_kind(obj), object_namespace(obj), NULL, NULL);

    return send_object(r, "POST", path, obj, object_kind(obj), ret);
}

struct kerr *
rest_update(struct rest *r, const struct object *obj, struct object **ret)
{
    AUTO_FREE char *path = rest_path(object_kind(obj), object_namespace(obj), object_name(obj), NULL);

    return send_object(r, "PUT", path, obj, object_kind(obj), ret);
}

struct kerr *
rest_update_status(struct rest *r, const struct object *obj, struct object **ret)
{
    AUTO_FREE char *path = rest_path(object_kind(obj), object_namespace(obj), object_name(obj), "status");

    return send_object(r, "PUT", path, obj, object_kind(obj), ret);
}

struct kerr *
rest_patch(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, enum rest_patch_type type,
           const char *patch, size_t len, const struct rest_patch_options *opts, struct object **ret)
{
    static const char *const types[] = {
        [REST_PATCH_MERGE] = "application/merge-patch+json",
        [REST_PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
        [REST_PATCH_JSON] = "application/json-patch+json",
        [REST_PATCH_APPLY] = "application/apply-patch+yaml",
    };
    static const struct rest_patch_options none;
    AUTO_HTTP_RESULT result = { 0 };
    AUTO_SBUF url = { 0 };
    char sep = '?';

    opts = opts ? opts : &none;
    AUTO_FREE char *path = rest_path(kind, ns, name, opts->subresource);
    sbuf_addf(&url, "%s%s", r->server, path);
    add_query(&url, &sep, "fieldManager", type == REST_PATCH_APPLY ? str_or(opts->field_manager, r->component) : opts->field_manager);
    add_query(&url, &sep, "force", opts->force ? "true" : NULL);
    struct request req = { "PATCH", sbuf_str(&url), types[type], patch, len, is_partial(kind) };
    struct kerr *err = do_request(r, &req, &result);
    return err ? err : answer_object(&result, str_empty(opts->subresource) || str_eq(opts->subresource, "status") ? kind : NULL, req.url, ret);
}

/* DeleteOptions as JSON. */
static void
add_delete_options(struct sbuf *out, const struct rest_delete_options *o)
{
    static const char *const policies[] = { "", "Background", "Foreground", "Orphan" };

    sbuf_adds(out, "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\"");
    if (o && o->has_grace_period)
        sbuf_addf(out, ",\"gracePeriodSeconds\":%lld", (long long)o->grace_period_s);
    if (o && (!str_empty(o->uid) || !str_empty(o->resource_version))) {
        sbuf_adds(out, ",\"preconditions\":{");
        if (!str_empty(o->uid)) {
            sbuf_adds(out, "\"uid\":");
            json_add_string(out, o->uid);
        }
        if (!str_empty(o->resource_version)) {
            sbuf_adds(out, str_empty(o->uid) ? "\"resourceVersion\":" : ",\"resourceVersion\":");
            json_add_string(out, o->resource_version);
        }
        sbuf_addc(out, '}');
    }
    if (o && o->propagation != REST_PROPAGATION_DEFAULT)
        sbuf_addf(out, ",\"propagationPolicy\":\"%s\"", policies[o->propagation]);
    sbuf_addc(out, '}');
}

struct kerr *
rest_delete(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, const struct rest_delete_options *opts)
{
    AUTO_FREE char *path = rest_path(kind, ns, name, NULL);
    AUTO_FREE char *url = xasprintf("%s%s", r->server, path);
    AUTO_HTTP_RESULT result = { 0 };
    AUTO_SBUF body = { 0 };

    add_delete_options(&body, opts);
    struct request req = { "DELETE", url, "application/json", sbuf_str(&body), body.len };
    return do_request(r, &req, &result);
}

/* --- subresources --- */

struct kerr *
rest_create_sub(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, const char *sub,
                const struct object *body, struct object **ret)
{
    AUTO_FREE char *path = rest_path(kind, ns, name, sub);

    return send_object(r, "POST", path, body, NULL, ret);
}

struct kerr *
rest_update_sub(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, const char *sub,
                const struct object *body, struct object **ret)
{
    AUTO_FREE char *path = rest_path(kind, ns, name, sub);

    return send_object(r, "PUT", path, body, NULL, ret);
}

struct kerr *
rest_get_sub(struct rest *r, const struct api_kind *kind, const char *ns, const char *name, const char *sub,
             const struct api_kind *ret_kind, struct object **ret)
{
    AUTO_FREE char *path = rest_path(kind, ns, name, sub);

    return send_object(r, "GET", path, NULL, ret_kind, ret);
}

struct kerr *
rest_bind_pod(struct rest *r, const char *ns, const char *pod, const char *uid, const char *node)
{
    AUTO_FREE char *path = rest_path(api_kind_find("v1", "Pod"), ns, pod, "binding");
    AUTO_FREE char *url = xasprintf("%s%s", r->server, path);
    AUTO_HTTP_RESULT result = { 0 };
    AUTO_SBUF body = { 0 };

    sbuf_adds(&body, "{\"kind\":\"Binding\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":");
    json_add_string(&body, pod);
    sbuf_adds(&body, ",\"namespace\":");
    json_add_string(&body, ns);
    if (!str_empty(uid)) {
        sbuf_adds(&body, ",\"uid\":");
        json_add_string(&body, uid);
    }
    sbuf_adds(&body, "},\"target\":{\"kind\":\"Node\",\"name\":");
    json_add_string(&body, node);
    sbuf_adds(&body, "}}");
    struct request req = { "POST", url, "application/json", sbuf_str(&body), body.len };
    return do_request(r, &req, &result);
}

struct kerr *
rest_evict_pod(struct rest *r, const char *ns, const char *pod, const struct rest_delete_options *opts)
{
    AUTO_FREE char *path = rest_path(api_kind_find("v1", "Pod"), ns, pod, "eviction");
    AUTO_FREE char *url = xasprintf("%s%s", r->server, path);
    AUTO_HTTP_RESULT result = { 0 };
    AUTO_SBUF body = { 0 };

    sbuf_adds(&body, "{\"kind\":\"Eviction\",\"apiVersion\":\"policy/v1\",\"metadata\":{\"name\":");
    json_add_string(&body, pod);
    sbuf_adds(&body, ",\"namespace\":");
    json_add_string(&body, ns);
    sbuf_adds(&body, "}");
    if (opts) {
        sbuf_adds(&body, ",\"deleteOptions\":");
        add_delete_options(&body, opts);
    }
    sbuf_addc(&body, '}');
    struct request req = { "POST", url, "application/json", sbuf_str(&body), body.len };
    return call_once(r, &req, &result) /* 429 means a disruption budget says no: for the caller to see */
               ?: (result.code >= 400 ? kerr_from_body(result.body, result.body_len, result.code) : NULL);
}

static struct object *
token_request_object(const struct rest_token_request *t)
{
    struct object *obj = object_new_of("authentication.k8s.io/v1", "TokenRequest");
    struct arena *a = object_arena(obj);
    struct token_request_spec *spec = &((struct token_request *)object_body(obj))->spec;

    if (t->expiration_s > 0) {
        spec->expiration_seconds = ARENA_NEW(a, int64_t);
        *spec->expiration_seconds = t->expiration_s;
    }
    if (t->audiences && t->audiences->len) {
        spec->audiences.items = arena_alloc(a, t->audiences->len * sizeof(char *));
        for (size_t i = 0; i < t->audiences->len; i++)
            spec->audiences.items[spec->audiences.len++] = arena_strdup(a, t->audiences->items[i]);
    }
    if (!str_empty(t->pod_name) || !str_empty(t->node_name)) {
        bool pod = !str_empty(t->pod_name);
        spec->bound_object_ref = ARENA_NEW(a, struct bound_object_reference);
        *spec->bound_object_ref = (struct bound_object_reference){
            .kind = pod ? "Pod" : "Node",
            .api_version = "v1",
            .name = arena_strdup(a, pod ? t->pod_name : t->node_name),
            .uid = arena_strdup(a, pod ? t->pod_uid : t->node_uid),
        };
    }
    return obj;
}

struct kerr *
rest_create_token(struct rest *r, const char *ns, const struct rest_token_request *req, char **ret_token, int64_t *ret_expires_unix)
{
    AUTO(object) *body = token_request_object(req);
    AUTO(object) *answer = NULL;
    struct kerr *err = rest_create_sub(r, api_kind_find("v1", "ServiceAccount"), ns, req->service_account, "token", body, &answer);

    if (err)
        return err;
    const struct token_request *t = OBJECT_BODY(answer, token_request);
    if (!t || str_empty(t->status.token))
        return kerr_new(KERR_INTERNAL, "the apiserver answered without a token for service account %s/%s", ns, req->service_account);
    *ret_token = xstrdup(t->status.token);
    if (ret_expires_unix)
        *ret_expires_unix = api_time_unix(t->status.expiration_timestamp);
    return NULL;
}

/* --- lists --- */

struct kerr *
rest_list(struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *opts,
          void (*item_fn)(struct object *obj, void *arg), void *arg, struct list_head_info *ret)
{
    AUTO_FREE char *url = rest_collection_url(r, kind, ns, opts, -1);
    AUTO_HTTP_RESULT result = { 0 };
    struct request req = { .method = "GET", .url = url, .metadata_only = is_partial(kind) };
    struct kerr *err = do_request(r, &req, &result);

    return err ? err : list_decode_json(result.body, result.body_len, kind, item_fn, arg, ret);
}

void
object_list_add_take(struct object_list *l, struct object *obj)
{
    if (l->len == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->items = xreallocarray(l->items, l->cap, sizeof(struct object *));
    }
    l->items[l->len++] = obj;
}

void
object_list_done(struct object_list *l)
{
    for (size_t i = 0; i < l->len; i++)
        object_unref(l->items[i]);
    free(l->items);
    *l = (struct object_list){ 0 };
}

static void
add_item(struct object *obj, void *arg)
{
    object_list_add_take(arg, obj);
}

struct kerr *
rest_list_all(struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *opts, struct object_list *ret,
              char **ret_resource_version)
{
    AUTO_OBJECT_LIST all = { 0 };
    AUTO_FREE char *token = NULL;
    struct rest_list_options page = opts ? *opts : (struct rest_list_options){ 0 };

    page.limit = page.limit ? page.limit : REST_LIST_PAGE;
    for (;;) {
        struct list_head_info head = { 0 };
        struct kerr *err = rest_list(r, kind, ns, &page, add_item, &all, &head);
        if (err)
            return err;
        free(token);
        token = steal_ptr(head.continue_token);
        if (str_empty(token)) {
            if (ret_resource_version)
                *ret_resource_version = steal_ptr(head.resource_version);
            list_head_info_done(&head);
            break;
        }
        list_head_info_done(&head);
        page.continue_token = token;
        page.resource_version = NULL; /* the token carries it */
        page.resource_version_match = NULL;
    }
    for (size_t i = 0; i < all.len; i++)
        object_list_add_take(ret, all.items[i]);
    all.len = 0;
    return NULL;
}

struct kerr *
rest_delete_collection(struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *which,
                       const struct rest_delete_options *opts)
{
    AUTO_FREE char *url = rest_collection_url(r, kind, ns, which, -1);
    AUTO_HTTP_RESULT result = { 0 };
    AUTO_SBUF body = { 0 };

    add_delete_options(&body, opts);
    struct request req = { "DELETE", url, "application/json", sbuf_str(&body), body.len };
    return do_request(r, &req, &result);
}

/* --- watch --- */

void
watch_frames_done(struct watch_frames *w)
{
    sbuf_done(&w->partial);
}

/* {"type":"ADDED","object":{...}}: the two parts as they stand. */
static struct kerr *
split_frame(const char *json, size_t len, struct json_text *ret_type, struct json_text *ret_object)
{
    struct json_scan s = json_scan_init(json, len);
    struct json_text key;

    if (json_peek(&s) != '{')
        return kerr_new(KERR_INTERNAL, "watch: a frame is no JSON object: %.*s", (int)(len < 60 ? len : 60), json);
    if (json_enter(&s, '}'))
        do {
            if (!json_scan_key(&s, &key))
                break;
            json_peek(&s);
            if (json_text_eq(&key, "type")) {
                json_scan_string(&s, ret_type);
            } else {
                const char *start = s.p;
                if (json_skip_value(&s) && json_text_eq(&key, "object"))
                    *ret_object = (struct json_text){ .s = start, .len = (size_t)(s.p - start) };
            }
        } while (!s.problem && json_next(&s, '}'));
    if (s.problem)
        return kerr_wrap(json_scan_error(&s), "watch");
    if (!ret_type->s || !ret_object->s)
        return kerr_new(KERR_INTERNAL, "watch: a frame has no type or no object");
    return NULL;
}

static struct kerr *
take_frame(const char *json, size_t len, const struct api_kind *kind, rest_watch_fn *fn, void *arg, bool *ret_stopped)
{
    static const char *const types[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK" };
    struct json_text type = { 0 }, body = { 0 };
    struct object *obj = NULL;
    struct kerr *err = split_frame(json, len, &type, &body);

    if (err)
        return err;
    if (json_text_eq(&type, "ERROR"))
        return kerr_from_body(body.s, body.len, 0);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!json_text_eq(&type, types[i]))
            continue;
        err = decode_object(body.s, body.len, kind, &obj);
        if (err)
            return kerr_wrap(err, "watch: %s", types[i]);
        *ret_stopped = !fn((enum rest_watch_type)i, obj, arg);
        return NULL;
    }
    return kerr_new(KERR_INTERNAL, "watch: unknown event type \"%.*s\"", (int)(type.len < 40 ? type.len : 40), type.s);
}

struct kerr *
watch_frames_feed(struct watch_frames *w, const char *data, size_t len, const struct api_kind *kind, rest_watch_fn *fn, void *arg,
                  bool *ret_stopped)
{
    const char *end = data + len;

    *ret_stopped = false;
    while (data < end && !*ret_stopped) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        size_t part = (size_t)((newline ? newline : end) - data);
        struct kerr *err = NULL;
        if (!newline || w->partial.len) {
            if (w->partial.len + part > REST_MAX_FRAME)
                return kerr_new(KERR_TOO_LARGE, "watch: an event is larger than %u bytes", REST_MAX_FRAME);
            sbuf_add(&w->partial, data, part);
        }
        if (newline && w->partial.len) {
            err = take_frame(w->partial.s, w->partial.len, kind, fn, arg, ret_stopped);
            if (w->partial.cap > (1u << 20))
                sbuf_done(&w->partial);
            sbuf_clear(&w->partial);
        } else if (newline && part) {
            err = take_frame(data, part, kind, fn, arg, ret_stopped);
        }
        if (err)
            return err;
        data += part + (newline != NULL);
    }
    return NULL;
}

struct watch_call { /* a blocking watch: a loop on the caller's thread */
    struct rest *rest;
    struct loop *loop;
    struct http_fetch *fetch;
    struct loop_timer *tick;
    struct watch_frames frames;
    const struct api_kind *kind;
    const char *url;
    rest_watch_fn *fn;
    void *arg;
    const atomic_bool *stop;
    int code;
    struct sbuf refusal; /* body of an error answer */
    struct kerr *err;
    uint64_t started_us;
};

static void
watch_end(struct watch_call *c, struct kerr *err)
{
    if (c->fetch)
        http_fetch_cancel(c->fetch);
    c->fetch = NULL;
    c->err = err;
    loop_stop(c->loop);
}

static void
watch_headers(struct http_fetch *f, int code, const struct http_header *headers, size_t n, void *arg)
{
    struct watch_call *c = arg;

    (void)f;
    (void)headers;
    (void)n;
    c->code = code;
    rest_count(c->rest, "WATCH", code, c->started_us);
}

static void
watch_data(struct http_fetch *f, const char *data, size_t len, void *arg)
{
    struct watch_call *c = arg;
    bool stopped = false;

    (void)f;
    if (c->code >= 400) {
        sbuf_add(&c->refusal, data, len);
        return;
    }
    struct kerr *err = watch_frames_feed(&c->frames, data, len, c->kind, c->fn, c->arg, &stopped);
    if (err || stopped)
        watch_end(c, err);
}

static void
watch_done(struct http_fetch *f, struct kerr *err, void *arg)
{
    struct watch_call *c = arg;

    (void)f;
    c->fetch = NULL;
    if (!err && c->code >= 400)
        err = kerr_from_body(sbuf_str(&c->refusal), c->refusal.len, c->code);
    else
        err = rest_transport_error(err);
    watch_end(c, err);
}

static void
watch_tick(void *arg)
{
    struct watch_call *c = arg;

    if (c->stop && atomic_load(c->stop))
        watch_end(c, NULL);
}

struct kerr *
rest_watch(struct rest *r, const struct api_kind *kind, const char *ns, const struct rest_list_options *opts, int64_t timeout_s,
           rest_watch_fn *event_fn, void *arg, const atomic_bool *stop)
{
    static const struct http_fetch_handler handler = { watch_headers, watch_data, watch_done };
    AUTO_FREE char *url = rest_collection_url(r, kind, ns, opts, timeout_s > 0 ? timeout_s : 0);
    struct watch_call c = { .rest = r, .kind = kind, .url = url, .fn = event_fn, .arg = arg, .stop = stop, .refusal = { .max = 65536 } };
    struct http_call call = { .url = url, .headers = rest_accept(is_partial(kind)), .nheaders = 1 };
    AUTO(http_client) *http = NULL;
    struct kerr *err = rest_http_new(r, &http);

    if (!err)
        err = loop_new("watch", &c.loop);
    if (err)
        return err;
    c.started_us = clock_mono_us();
    c.tick = loop_timer_new(c.loop, watch_tick, &c);
    loop_timer_every(c.tick, 100);
    c.fetch = http_fetch_start(http, c.loop, &call, &handler, &c);
    loop_run(c.loop);
    loop_timer_free(c.tick);
    http_client_free(steal_ptr(http)); /* before its loop */
    loop_free(c.loop);
    watch_frames_done(&c.frames);
    sbuf_done(&c.refusal);
    return c.err;
}

/* --- anything else --- */

void
rest_reply_done(struct rest_reply *reply)
{
    sbuf_done(&reply->body);
    free(reply->content_type);
    *reply = (struct rest_reply){ 0 };
}

struct kerr *
rest_raw(struct rest *r, const char *method, const char *path_query, const char *content_type, const void *body, size_t len,
         struct rest_reply *ret)
{
    AUTO_FREE char *url = xasprintf("%s%s", r->server, path_query);
    AUTO_HTTP_RESULT result = { 0 };
    struct request req = { method, url, content_type, body, len };
    struct kerr *err = do_request(r, &req, &result);

    if (err)
        return err;
    ret->code = result.code;
    ret->content_type = xstrdup(http_result_header(&result, "Content-Type"));
    sbuf_add(&ret->body, result.body, result.body_len);
    return NULL;
}

bool
rest_is_transient(const struct kerr *err)
{
    static const int codes[] = { 429, 500, 502, 503, 504 };

    for (size_t i = 0; err && i < ARRAY_LEN(codes); i++) {
        if (err->http_code == codes[i])
            return true;
    }
    return err && (err->reason == KERR_UNAVAILABLE || err->reason == KERR_SERVER_TIMEOUT || err->reason == KERR_TIMEOUT);
}

bool
rest_wait(struct rest *r, const atomic_bool *stop, void (*waiting_fn)(const char *server, const struct kerr *why, void *arg), void *arg)
{
    static const struct backoff_policy policy = { 100, 2000, 20 };
    struct backoff b = { 0 };
    struct rng rng = rng_from_system();

    for (;;) {
        struct rest_reply reply = { 0 };
        AUTO(kerr) *err = rest_raw(r, "GET", "/version", NULL, NULL, 0, &reply);
        rest_reply_done(&reply);
        if (!err)
            return true;
        if (waiting_fn)
            waiting_fn(r->server, err, arg);
        for (uint64_t left = backoff_next_ms(&b, &policy, &rng); left; left -= left < 50 ? left : 50) {
            if (stop && atomic_load(stop))
                return false;
            clock_sleep_ms(left < 50 ? left : 50);
        }
    }
}
