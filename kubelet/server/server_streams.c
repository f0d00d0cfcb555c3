// SPDX-License-Identifier: Apache-2.0
/* exec, attach, port-forward: a URL from the runtime, then bytes both ways.  Also POST /run. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include <strings.h>
#include "common/net/http_client.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"
#include "common/net/tunnel.h"
#include "kubelet/pod_worker.h"
#include "kubelet/server/query.h"
#include "kubelet/server/server.h"

struct stream_dial { /* lives from the pool thread's find to the tunnel's start, on the loop */
    struct http_stream *stream;
    char *address, *target;
    uint64_t idle_ms;
};

static void
dial_free(struct stream_dial *d)
{
    http_stream_unref(d->stream);
    free(d->address);
    free(d->target);
    free(d);
}

/* "http://127.0.0.1:4242/exec/token" -> "127.0.0.1:4242" and "/exec/token" */
static struct kerr *
split_url(const char *url, char **ret_address, char **ret_target)
{
    const char *at = strstr(url, "://"), *slash;

    if (!at || strncmp(url, "http://", 7) != 0)
        return kerr_new(KERR_INTERNAL, "the container runtime's streaming URL '%s' is no http:// URL", url);
    at += 3;
    slash = strchr(at, '/');
    *ret_address = slash ? xstrndup(at, (size_t)(slash - at)) : xstrdup(at);
    *ret_target = xstrdup(slash ? slash : "/");
    return NULL;
}

/* The runtime's own answer, whatever it is, goes to the client as it came. */
static void
on_dialled(void *arg, struct kerr *err, const struct http_dial_reply *reply)
{
    struct stream_dial *d = arg;
    struct bufferevent *client;

    if (err) {
        server_error(d->stream, kerr_wrap(err, "streaming server of the container runtime"));
        dial_free(d);
        return;
    }
    if (!reply->bev) {
        struct http_header type = { "Content-Type", "text/plain" };

        http_reply(d->stream, reply->code, &type, 1, reply->body, reply->body_len);
        dial_free(d);
        return;
    }
    client = http_upgrade_take(d->stream, 0, NULL, 0);
    if (!client) {
        bufferevent_free(reply->bev);
        dial_free(d);
        return;
    }
    bufferevent_write(client, reply->raw_head, reply->raw_head_len);
    tunnel_start(http_stream_loop(d->stream), client, reply->bev, &(struct tunnel_options){ .idle_ms = d->idle_ms });
    dial_free(d);
}

static void
dial(void *arg)
{
    struct stream_dial *d = arg;
    const struct http_request *req = http_stream_request(d->stream);
    struct http_dial_options o = { .hop = "kubelet -> container runtime", .address = d->address, .method = req->method, .target = d->target,
                                   .headers = req->headers, .nheaders = req->nheaders, .any_code = true };
    struct http_header *headers = xcalloc(req->nheaders + 1, sizeof *headers);

    o.nheaders = 0;
    for (size_t i = 0; i < req->nheaders; i++) /* ours to set, or ours to keep */
        if (strcasecmp(req->headers[i].name, "Host") != 0 && strcasecmp(req->headers[i].name, "Authorization") != 0)
            headers[o.nheaders++] = req->headers[i];
    o.headers = headers;
    http_dial_start(http_stream_loop(d->stream), &o, on_dialled, d);
    free(headers);
}

static struct kerr *
running_container(struct kubelet *k, const struct pod *pod, const char *name, char **ret_id)
{
    AUTO(arena) *a = arena_new(0);
    struct rt_pod rt = { 0 };
    struct kerr *err = runtime_pod(k->rt, pod->metadata.uid, a, &rt);
    const struct rt_container *c;

    if (err)
        return err;
    c = pod_newest(&rt, name, NULL);
    if (!c || c->state != RT_RUNNING)
        return kerr_new(KERR_NOT_FOUND, "container not found (\"%s\")", name);
    *ret_id = xstrdup(c->id);
    return NULL;
}

static struct kerr *
exec_url(const struct server_request *rq, const struct pod *pod, char **ret)
{
    AUTO_STRLIST argv = { 0 };
    struct stream_options o = { query_flag(rq->query, "tty"), query_flag(rq->query, "input"), query_flag(rq->query, "output"),
                                query_flag(rq->query, "error") };
    AUTO_FREE char *id = NULL;
    struct kerr *err = running_container(rq->k, pod, rq->parts->items[rq->parts->len - 1], &id);

    if (err)
        return err;
    o.in |= query_flag(rq->query, "stdin");
    o.out |= query_flag(rq->query, "stdout");
    o.err |= query_flag(rq->query, "stderr");
    if (!o.in && !o.out && !o.err)
        return kerr_new(KERR_BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr");
    if (!strcmp(rq->parts->items[0], "attach"))
        return runtime_attach_url(rq->k->rt, id, &o, ret);
    query_values(rq->query, "command", &argv);
    return runtime_exec_url(rq->k->rt, id, &argv, &o, ret);
}

static struct kerr *
forward_url(const struct server_request *rq, const struct pod *pod, char **ret)
{
    AUTO(arena) *a = arena_new(0);
    AUTO_STRLIST texts = { 0 };
    struct rt_pod rt = { 0 };
    int32_t ports[64];
    size_t n = 0;
    struct kerr *err = runtime_pod(rq->k->rt, pod->metadata.uid, a, &rt);

    if (err)
        return err;
    if (!pod_sandbox(pod, &rt))
        return kerr_new(KERR_NOT_FOUND, "pod \"%s\" has no running sandbox", pod->metadata.name);
    query_values(rq->query, "port", &texts);
    query_values(rq->query, "ports", &texts);
    for (size_t i = 0; i < texts.len && n < ARRAY_LEN(ports); i++) {
        AUTO_STRLIST split = { 0 };

        strlist_split(&split, texts.items[i], ',');
        for (size_t k = 0; k < split.len && n < ARRAY_LEN(ports); k++)
            if (!parse_i32(split.items[k], &ports[n]))
                n++;
    }
    return runtime_port_forward_url(rq->k->rt, rt.sandboxes[0].id, ports, n, ret);
}

/* /exec/ns/pod/container, /exec/ns/pod/uid/container, /portForward/ns/pod[/uid] */
void
server_streaming(const struct server_request *rq)
{
    bool forward = !strcmp(rq->parts->items[0], "portForward");
    size_t least = forward ? 3 : 4;
    AUTO(object) *pod = NULL;
    AUTO_FREE char *url = NULL;
    struct stream_dial *d;
    struct kerr *err = NULL;

    if (rq->parts->len < least || rq->parts->len > least + 1) {
        server_text(rq->stream, 404, "404 page not found\n");
        return;
    }
    pod = pod_workers_find(rq->k->workers, rq->parts->items[1], rq->parts->items[2], rq->parts->len > least ? rq->parts->items[3] : NULL);
    if (!pod)
        err = kerr_new(KERR_NOT_FOUND, "pod does not exist");
    else if (!http_stream_request(rq->stream)->upgrade)
        err = kerr_new(KERR_BAD_REQUEST, "Upgrade request required");
    if (!err)
        err = forward ? forward_url(rq, OBJECT_BODY(pod, pod), &url) : exec_url(rq, OBJECT_BODY(pod, pod), &url);
    if (err) {
        server_error(rq->stream, err);
        return;
    }
    d = XNEW(struct stream_dial);
    d->idle_ms = (uint64_t)rq->k->cfg.stream_idle_ms;
    err = split_url(url, &d->address, &d->target);
    if (err) {
        server_error(rq->stream, err);
        free(d);
        return;
    }
    d->stream = http_stream_ref(rq->stream);
    loop_post(http_stream_loop(rq->stream), dial, d);
}

/* POST /run/ns/pod[/uid]/container?cmd=...: the output in one go. */
void
server_run(const struct server_request *rq)
{
    AUTO_FREE char *cmd = query_value(rq->query, "cmd"), *id = NULL;
    AUTO_STRLIST words = { 0 };
    AUTO(object) *pod = NULL;
    AUTO_SBUF out = { .max = 1024 * 1024 };
    const char **argv;
    struct kerr *err = NULL;
    int code = 0;

    if (rq->parts->len < 4 || rq->parts->len > 5) {
        server_text(rq->stream, 404, "404 page not found\n");
        return;
    }
    pod = pod_workers_find(rq->k->workers, rq->parts->items[1], rq->parts->items[2], rq->parts->len > 4 ? rq->parts->items[3] : NULL);
    if (!pod)
        err = kerr_new(KERR_NOT_FOUND, "pod does not exist");
    else
        err = running_container(rq->k, OBJECT_BODY(pod, pod), rq->parts->items[rq->parts->len - 1], &id);
    if (err) {
        server_error(rq->stream, err);
        return;
    }
    strlist_split(&words, str_safe(cmd), ' ');
    argv = xcalloc(words.len + 1, sizeof *argv);
    for (size_t i = 0; i < words.len; i++)
        argv[i] = words.items[i];
    err = runtime_exec(rq->k->rt, id, argv, 60, &out, &code);
    free(argv);
    if (err)
        server_error(rq->stream, err);
    else
        server_text(rq->stream, code ? 500 : 200, sbuf_str(&out));
}
