// SPDX-License-Identifier: Apache-2.0
#include "apiserver/rest/connect.h"

#include <event2/bufferevent.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "apiserver/rest/internal.h"
#include "apiserver/rest/kubelet_dialer.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/base/klog.h"
#include "common/net/tunnel.h"

/* Where a request goes on to. */
struct target {
    char *address;  /* "10.0.0.4:10250" */
    char *path;     /* with query */
    bool tls;
    struct http_client *client;
    struct tls_client *tls_client; /* NULL: plain */
};

static void
target_done(struct target *t)
{
    free(t->address);
    free(t->path);
}

/* --- which kubelet path, with which query --- */

static void
add_escaped(struct sbuf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.~", c))
            sbuf_addc(b, (char)c);
        else
            sbuf_addf(b, "%%%02X", c);
    }
}

static void
add_query(struct sbuf *b, const char *key, const char *value)
{
    sbuf_addc(b, strchr(sbuf_str(b), '?') ? '&' : '?');
    sbuf_adds(b, key);
    sbuf_addc(b, '=');
    add_escaped(b, value);
}

static void
query_log(const struct request_info *info, struct sbuf *b)
{
    static const char *const passed[] = { "follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes", "stream" };

    for (size_t i = 0; i < ARRAY_LEN(passed); i++)
        if (request_param(info, passed[i]))
            add_query(b, passed[i], request_param(info, passed[i]));
}

/* PodExecOptions to the kubelet's own parameter names. */
static void
query_streams(const struct request_info *info, struct sbuf *b)
{
    static const char *const names[][2] = { { "stdin", "input" }, { "stdout", "output" }, { "stderr", "error" }, { "tty", "tty" } };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (request_param_bool(info, names[i][0]))
            add_query(b, names[i][1], "1");
    for (unsigned i = 0; i < info->nparams; i++)
        if (strcmp(info->params[i].key, "command") == 0)
            add_query(b, "command", info->params[i].value);
}

static void
query_ports(const struct request_info *info, struct sbuf *b)
{
    for (unsigned i = 0; i < info->nparams; i++)
        if (strcmp(info->params[i].key, "ports") == 0)
            add_query(b, "port", info->params[i].value);
}

static const struct {
    const char *subresource, *kubelet_path;
    bool container, running_host;
    void (*query)(const struct request_info *info, struct sbuf *b);
} streams[] = {
    { "log", "containerLogs", true, false, query_log },
    { "exec", "exec", true, true, query_streams },
    { "attach", "attach", true, true, query_streams },
    { "portforward", "portForward", false, true, query_ports },
};

static bool
has_container(const struct pod *pod, const char *name)
{
    for (uint32_t i = 0; i < pod->spec.containers.len; i++)
        if (str_eq(pod->spec.containers.items[i].name, name))
            return true;
    for (uint32_t i = 0; i < pod->spec.init_containers.len; i++)
        if (str_eq(pod->spec.init_containers.items[i].name, name))
            return true;
    for (uint32_t i = 0; i < pod->spec.ephemeral_containers.len; i++)
        if (str_eq(pod->spec.ephemeral_containers.items[i].ephemeral_container_common.name, name))
            return true;
    return false;
}

static void
add_names(struct sbuf *b, const struct container_slice *l)
{
    for (uint32_t i = 0; i < l->len; i++)
        sbuf_addf(b, "%s%s", i ? " " : "", l->items[i].name);
}

static struct kerr *
choose_container(const struct pod *pod, const char *asked, const char **ret)
{
    const char *preferred = meta_annotation(&pod->metadata, "kubectl.kubernetes.io/default-container");

    if (!str_empty(asked)) {
        if (!has_container(pod, asked))
            return kerr_new(KERR_BAD_REQUEST, "container %s is not valid for pod %s", asked, pod->metadata.name);
        *ret = asked;
        return NULL;
    }
    if (preferred && has_container(pod, preferred)) {
        *ret = preferred;
    } else if (pod->spec.containers.len == 1) {
        *ret = pod->spec.containers.items[0].name;
    } else {
        AUTO_SBUF names = { 0 };
        AUTO_SBUF init = { 0 };
        add_names(&names, &pod->spec.containers);
        add_names(&init, &pod->spec.init_containers);
        return kerr_new(KERR_BAD_REQUEST, "a container name must be specified for pod %s, choose one of: [%s]%s%s%s", pod->metadata.name,
                        sbuf_str(&names), init.len ? " or one of the init containers: [" : "", sbuf_str(&init), init.len ? "]" : "");
    }
    return NULL;
}

static struct kerr *
pod_target(struct api_request *r, size_t row, struct target *ret)
{
    AUTO(object) *obj = internal_get(r->resource, r->info.ns, r->info.name);
    const char *container = NULL;
    AUTO_SBUF path = { 0 };
    struct kerr *err = NULL;

    if (!obj)
        return kerr_not_found("", "pods", r->info.name);
    const struct pod *pod = OBJECT_BODY(obj, pod);
    if (streams[row].container && (err = choose_container(pod, request_param(&r->info, "container"), &container)))
        return err;
    if (str_empty(pod->spec.node_name)) {
        if (!streams[row].running_host) { /* logs of a pod nobody runs yet are empty */
            struct sbuf empty = { 0 };
            request_reply(r, 200, "text/plain", &empty);
            return NULL;
        }
        return kerr_new(KERR_BAD_REQUEST, "pod %s does not have a host assigned", r->info.name);
    }
    if ((err = kubelet_dialer_find(r->srv->kubelets, pod->spec.node_name, &ret->address)))
        return err;
    sbuf_addf(&path, "/%s/%s/%s", streams[row].kubelet_path, r->info.ns, r->info.name);
    if (container)
        sbuf_addf(&path, "/%s", container);
    streams[row].query(&r->info, &path);
    ret->path = sbuf_steal(&path);
    ret->tls = true;
    ret->client = kubelet_dialer_client(r->srv->kubelets);
    ret->tls_client = http_client_tls(ret->client);
    return NULL;
}

/* --- proxy: "name", "name:port" or "scheme:name:port" --- */

struct proxy_name {
    char *scheme, *name, *port; /* scheme and port may be "" */
};

static void
proxy_name_done(struct proxy_name *n)
{
    free(n->scheme);
    free(n->name);
    free(n->port);
}

static struct kerr *
proxy_name_parse(const char *text, struct proxy_name *ret)
{
    AUTO_STRLIST parts = { 0 };

    strlist_split(&parts, text, ':');
    if (parts.len == 0 || parts.len > 3)
        return kerr_new(KERR_BAD_REQUEST, "invalid request \"%s\"", text);
    bool scheme = parts.len == 3;
    ret->scheme = xstrdup(scheme ? parts.items[0] : "");
    ret->name = xstrdup(parts.items[scheme]);
    ret->port = xstrdup(parts.len > 1 ? parts.items[scheme + 1] : "");
    return NULL;
}

static struct kerr *
proxy_node(struct api_request *r, const struct proxy_name *n, struct target *t)
{
    t->client = kubelet_dialer_client(r->srv->kubelets);
    t->tls = true;
    return kubelet_dialer_find(r->srv->kubelets, n->name, &t->address);
}

static struct kerr *
proxy_pod(struct api_request *r, const struct proxy_name *n, struct target *t)
{
    AUTO(object) *obj = internal_get(r->resource, r->info.ns, n->name);

    if (!obj)
        return kerr_not_found("", "pods", n->name);
    const struct pod *pod = OBJECT_BODY(obj, pod);
    const char *port = n->port;
    AUTO_FREE char *first = NULL;
    if (!*port && pod->spec.containers.len && pod->spec.containers.items[0].ports.len)
        port = first = xasprintf("%d", (int)pod->spec.containers.items[0].ports.items[0].container_port);
    if (str_empty(pod->status.pod_ip))
        return kerr_new(KERR_BAD_REQUEST, "address not allowed: pod %s has no IP yet", n->name);
    t->address = xasprintf(strchr(pod->status.pod_ip, ':') ? "[%s]:%s" : "%s:%s", pod->status.pod_ip, str_or(port, "80"));
    t->client = kubelet_dialer_plain(r->srv->kubelets);
    return NULL;
}

static const struct service_port *
service_port_of(const struct service *s, const char *port)
{
    for (uint32_t i = 0; i < s->spec.ports.len; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", (int)s->spec.ports.items[i].port);
        if (str_eq(s->spec.ports.items[i].name, port) || str_eq(number, port) || (!*port && s->spec.ports.len == 1))
            return &s->spec.ports.items[i];
    }
    return NULL;
}

/* A ready endpoint of that port, from the service's Endpoints object. */
static struct kerr *
proxy_service(struct api_request *r, const struct proxy_name *n, struct target *t)
{
    AUTO(object) *obj = internal_get(r->resource, r->info.ns, n->name);
    AUTO(object) *endpoints = internal_get(resource_named("v1", "Endpoints"), r->info.ns, n->name);

    if (!obj)
        return kerr_not_found("", "services", n->name);
    const struct service_port *port = service_port_of(OBJECT_BODY(obj, service), n->port);
    if (!port)
        return kerr_new(KERR_UNAVAILABLE, "no service port \"%s\" found for service \"%s\"", n->port, n->name);
    const struct endpoints *ep = endpoints ? OBJECT_BODY(endpoints, endpoints) : NULL;
    for (uint32_t i = 0; ep && i < ep->subsets.len; i++) {
        const struct endpoint_subset *s = &ep->subsets.items[i];
        for (uint32_t j = 0; j < s->ports.len; j++)
            if (s->addresses.len && str_eq(s->ports.items[j].name, port->name)) {
                t->address = xasprintf(strchr(s->addresses.items[0].ip, ':') ? "[%s]:%d" : "%s:%d", s->addresses.items[0].ip,
                                       (int)s->ports.items[j].port);
                t->client = kubelet_dialer_plain(r->srv->kubelets);
                return NULL;
            }
    }
    return kerr_new(KERR_UNAVAILABLE, "no endpoints available for service \"%s\"", n->name);
}

static struct kerr *
proxy_target(struct api_request *r, struct target *ret)
{
    const char *plural = r->resource->kind->plural, *query = http_stream_request(r->stream)->query;
    struct proxy_name n = { 0 };
    struct kerr *err = proxy_name_parse(r->info.name, &n);

    if (!err)
        err = strcmp(plural, "nodes") == 0 ? proxy_node(r, &n, ret) : strcmp(plural, "pods") == 0 ? proxy_pod(r, &n, ret) : proxy_service(r, &n, ret);
    if (!err) {
        if (strcmp(n.scheme, "https") == 0)
            ret->tls = true;
        ret->tls_client = ret->tls ? http_client_tls(ret->client) : NULL;
        ret->path = xasprintf("%s%s%s", *r->info.rest ? r->info.rest : "/", *query ? "?" : "", query);
    }
    proxy_name_done(&n);
    return err;
}

/* --- upgrades: a byte tunnel --- */

struct upgrade {
    struct api_request *r;
    struct http_header *headers;
    char *address;
};

static size_t
end_to_end(const struct http_header *from, size_t n, struct http_header *to, bool upgrade)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        bool wanted = http_header_end_to_end(from[i].name) || (upgrade && (strcasecmp(from[i].name, "Upgrade") == 0 || strcasecmp(from[i].name, "Connection") == 0));
        bool ours = strcasecmp(from[i].name, "Authorization") == 0 || strcasecmp(from[i].name, "Host") == 0 ||
                    strcasecmp(from[i].name, "Content-Length") == 0 || strcasecmp(from[i].name, "Date") == 0;
        if (wanted && !ours)
            to[count++] = from[i];
    }
    return count;
}

static void
upgraded(void *arg, struct kerr *err, const struct http_dial_reply *reply)
{
    struct upgrade *u = arg;
    struct api_request *r = u->r;
    struct loop *loop = http_stream_loop(r->stream);

    if (err) {
        request_fail(r, kerr_wrap(err, "error dialing backend"));
    } else if (!reply->bev) {
        struct sbuf body = { 0 };
        const char *type = http_header_get(reply->headers, reply->nheaders, "Content-Type");
        sbuf_add(&body, reply->body, reply->body_len);
        request_reply(r, reply->code, type ? arena_strdup(r->arena, type) : "text/plain", &body);
    } else {
        struct http_header *headers = arena_alloc(r->arena, (reply->nheaders + 1) * sizeof *headers);
        size_t n = end_to_end(reply->headers, reply->nheaders, headers, true);
        struct bufferevent *client = http_upgrade_take(r->stream, reply->code, headers, n);
        const struct tunnel_options options = { .idle_ms = 4 * 3600 * 1000ull };
        r->code = reply->code;
        if (client)
            tunnel_start(loop, client, reply->bev, &options);
        else
            bufferevent_free(reply->bev);
        request_done(r);
    }
    free(u->headers);
    free(u->address);
    free(u);
}

static void
start_upgrade(struct api_request *r, const struct target *t)
{
    const struct http_request *req = http_stream_request(r->stream);
    struct upgrade *u = XNEW(struct upgrade);

    u->r = r;
    u->headers = xcalloc(req->nheaders + 1, sizeof *u->headers);
    u->address = xstrdup(t->address);
    const struct http_dial_options options = {
        .hop = "kube-apiserver -> kubelet",
        .address = u->address,
        .tls = t->tls_client,
        .method = req->method,
        .target = t->path,
        .headers = u->headers,
        .nheaders = end_to_end(req->headers, req->nheaders, u->headers, true),
    };
    if (!http_dial_start(http_stream_loop(r->stream), &options, upgraded, u))
        log_v(2, "Dial did not start", "address", t->address);
}

/* --- plain requests: answered piece by piece --- */

struct relay {
    struct api_request *r;
    struct http_fetch *fetch;
    char *url;
    struct http_header *headers;
    bool started, paused;
    int refused;        /* a log request the kubelet answered with this code: its words become a Status */
    struct sbuf reason;
};

enum { REASON_MAX = 64 * 1024 };

static void
relay_done(struct relay *relay)
{
    free(relay->url);
    free(relay->headers);
    sbuf_done(&relay->reason);
    free(relay);
}

static void
relay_drained(struct http_stream *s, void *arg)
{
    struct relay *relay = arg;

    if (relay->paused) {
        relay->paused = false;
        http_fetch_pause(relay->fetch, false);
    }
}

static void
relay_headers(struct http_fetch *f, int code, const struct http_header *headers, size_t n, void *arg)
{
    struct relay *relay = arg;
    struct http_header *out = arena_alloc(relay->r->arena, (n + 1) * sizeof *out);
    size_t count = end_to_end(headers, n, out, false);

    if (code >= 300 && strcmp(relay->r->info.subresource, "log") == 0) {
        relay->refused = code;
        relay->reason.max = REASON_MAX;
        return;
    }
    relay->started = true;
    relay->r->code = code;
    http_reply_start(relay->r->stream, code, out, count);
}

static void
relay_data(struct http_fetch *f, const char *data, size_t len, void *arg)
{
    struct relay *relay = arg;

    if (relay->refused) {
        sbuf_add(&relay->reason, data, len);
        return;
    }
    http_reply_write(relay->r->stream, data, len);
    if (http_reply_full(relay->r->stream)) {
        relay->paused = true;
        http_fetch_pause(f, true);
    }
}

static void
relay_end(struct http_fetch *f, struct kerr *err, void *arg)
{
    struct relay *relay = arg;
    struct api_request *r = relay->r;

    http_stream_on_close(r->stream, NULL, NULL);
    if (relay->refused) {
        kerr_free(err);
        err = kerr_new(kerr_reason_from(NULL, relay->refused), "%s", sbuf_str(&relay->reason));
        err->http_code = relay->refused;
        request_fail(r, err);
    } else if (!relay->started) {
        request_fail(r, err ? kerr_wrap(err, "error trying to reach the backend") : kerr_new(KERR_UNAVAILABLE, "the backend gave no answer"));
    } else {
        if (err) {
            log_v(2, "Relayed answer broke off", "url", relay->url, "err", kv_err(err));
            http_stream_reset(r->stream);
        } else {
            http_reply_end(r->stream);
        }
        kerr_free(err);
        request_done(r);
    }
    relay_done(relay);
}

static void
relay_client_gone(struct http_stream *s, void *arg)
{
    struct relay *relay = arg;

    http_fetch_cancel(relay->fetch);
    request_done(relay->r);
    relay_done(relay);
}

static void
start_relay(struct api_request *r, const struct target *t)
{
    static const struct http_fetch_handler handler = { relay_headers, relay_data, relay_end };
    const struct http_request *req = http_stream_request(r->stream);
    struct relay *relay = XNEW(struct relay);
    size_t len;
    const char *body = http_stream_body(r->stream, &len);

    relay->r = r;
    relay->url = xasprintf("%s://%s%s", t->tls ? "https" : "http", t->address, t->path);
    relay->headers = xcalloc(req->nheaders + 1, sizeof *relay->headers);
    const struct http_call call = {
        .method = req->method,
        .url = relay->url,
        .headers = relay->headers,
        .nheaders = end_to_end(req->headers, req->nheaders, relay->headers, false),
        .body = len ? body : NULL,
        .body_len = len,
    };
    http_stream_on_close(r->stream, relay_client_gone, relay);
    http_reply_on_drained(r->stream, relay_drained, relay);
    relay->fetch = http_fetch_start(t->client, http_stream_loop(r->stream), &call, &handler, relay);
}

/* --- entry --- */

static int
stream_row(const char *subresource)
{
    for (size_t i = 0; i < ARRAY_LEN(streams); i++)
        if (strcmp(streams[i].subresource, subresource) == 0)
            return (int)i;
    return -1;
}

bool
rest_connect_is(const struct api_request *r)
{
    return strcmp(r->subresource->name, "proxy") == 0 || (strcmp(r->resource->kind->plural, "pods") == 0 && stream_row(r->subresource->name) >= 0);
}

void
rest_connect(struct api_request *r)
{
    struct target t = { 0 };
    bool proxy = strcmp(r->subresource->name, "proxy") == 0, log = strcmp(r->subresource->name, "log") == 0;
    struct kerr *err = proxy ? proxy_target(r, &t) : pod_target(r, (size_t)stream_row(r->subresource->name), &t);

    if (err)
        request_fail(r, err);
    else if (!t.path)
        ; /* answered already */
    else if (http_stream_request(r->stream)->upgrade && !log)
        start_upgrade(r, &t);
    else if (!proxy && !log)
        request_fail(r, kerr_new(KERR_BAD_REQUEST, "Upgrade request required"));
    else
        start_relay(r, &t);
    target_done(&t);
}
