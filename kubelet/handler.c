// SPDX-License-Identifier: Apache-2.0
#include "kubelet/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/net/addr.h"
#include "common/net/grpc_client.h"
#include "common/net/http_client.h"

#define PROBE_AGENT "kube-probe/1.35"

/* Names of ports are the container's own. */
static int
port_of(const struct container *c, struct int_or_string p)
{
    int32_t n = p.num;

    if (!p.str)
        return n;
    for (uint32_t i = 0; i < c->ports.len; i++)
        if (str_eq(c->ports.items[i].name, p.str))
            return c->ports.items[i].container_port;
    return parse_i32(p.str, &n) ? 0 : n;
}

static int64_t
seconds(int64_t timeout_s)
{
    return timeout_s > 0 ? timeout_s : 1;
}

enum handler_result
handler_exec(struct kubelet *k, const struct handler_target *t, const struct exec_action *x, int64_t timeout_s, struct sbuf *why)
{
    const char **argv = xcalloc(x->command.len + 1, sizeof *argv);
    struct kerr *err;
    int code = 0;

    for (uint32_t i = 0; i < x->command.len; i++)
        argv[i] = x->command.items[i];
    err = runtime_exec(k->rt, t->id, argv, timeout_s, why, &code);
    free(argv);
    if (err) {
        bool late = err->reason == KERR_TIMEOUT || strstr(err->message, "DeadlineExceeded");

        sbuf_clear(why);
        sbuf_addf(why, "%s%s", late ? "command timed out: " : "", runtime_error_text(err));
        kerr_free(err);
        return late ? HANDLER_FAILED : HANDLER_ERROR;
    }
    return code == 0 ? HANDLER_OK : HANDLER_FAILED;
}

static pthread_once_t http_once = PTHREAD_ONCE_INIT;
static struct http_client *http;

static void
http_make(void)
{
    struct http_client_options o = { .hop = "kubelet -> container", .tls = { .insecure = true }, .max_idle = 1 };
    AUTO(kerr) *err = http_client_new(&o, &http);

    if (err)
        http = NULL;
}

enum handler_result
handler_http(struct kubelet *k, const struct handler_target *t, const struct http_get_action *x, int64_t timeout_s, const char *agent, struct sbuf *why)
{
    const char *host = str_or(x->host, t->pod_ip);
    bool https = x->scheme && !strcasecmp(x->scheme, "HTTPS");
    const char *path = str_safe(x->path);
    struct http_header headers[64] = { { "User-Agent", agent }, { "Accept", "*/*" }, { "Connection", "close" } };
    AUTO_FREE char *url = xasprintf(strchr(host, ':') ? "%s://[%s]:%d%s%s" : "%s://%s:%d%s%s", https ? "https" : "http", host,
                                    port_of(t->container, x->port), *path == '/' ? "" : "/", path);
    struct http_call call = { .url = url, .headers = headers, .nheaders = 3, .timeout_ms = (uint64_t)seconds(timeout_s) * 1000, .max_body = 1024 * 1024 };
    AUTO_HTTP_RESULT r = { 0 };
    struct kerr *err;

    pthread_once(&http_once, http_make);
    for (uint32_t i = 0; i < x->http_headers.len && call.nheaders < ARRAY_LEN(headers); i++) {
        size_t at = call.nheaders;

        for (size_t h = 0; h < call.nheaders; h++)
            if (!strcasecmp(headers[h].name, x->http_headers.items[i].name))
                at = h;
        headers[at] = (struct http_header){ x->http_headers.items[i].name, str_safe(x->http_headers.items[i].value) };
        if (at == call.nheaders)
            call.nheaders++;
    }
    if (!http) {
        sbuf_adds(why, "no HTTP client");
        return HANDLER_ERROR;
    }
    err = http_call_do(http, &call, &r);
    if (err) {
        sbuf_addf(why, "Get \"%s\": %s", url, err->message);
        kerr_free(err);
        return HANDLER_FAILED;
    }
    if (r.code >= 200 && r.code < 400)
        return HANDLER_OK;
    sbuf_addf(why, "HTTP probe failed with statuscode: %d", r.code);
    return HANDLER_FAILED;
}

enum handler_result
handler_tcp(struct kubelet *k, const struct handler_target *t, const struct tcp_socket_action *x, int64_t timeout_s, struct sbuf *why)
{
    const char *host = str_or(x->host, t->pod_ip);
    int port = port_of(t->container, x->port), error = 0;
    socklen_t len = sizeof error;
    struct addr to;
    AUTO_FD int fd = -1;
    AUTO(kerr) *err = addr_parse(host, (uint16_t)port, &to);
    struct pollfd p;

    if (err) {
        sbuf_adds(why, err->message);
        return HANDLER_FAILED;
    }
    fd = socket(to.ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, (struct sockaddr *)&to.ss, to.len) && errno != EINPROGRESS))
        error = errno;
    p = (struct pollfd){ fd, POLLOUT, 0 };
    if (!error && poll(&p, 1, (int)seconds(timeout_s) * 1000) <= 0) {
        sbuf_addf(why, "dial tcp %s:%d: i/o timeout", host, port);
        return HANDLER_FAILED;
    }
    if (!error)
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error)
        sbuf_addf(why, "dial tcp %s:%d: connect: %s", host, port, error == ECONNREFUSED ? "connection refused" : strerror(error));
    return error ? HANDLER_FAILED : HANDLER_OK;
}

/* grpc.health.v1: request {1: service}, reply {1: status}, 1 = SERVING. */
enum handler_result
handler_grpc(struct kubelet *k, const struct handler_target *t, const struct grpc_action *x, int64_t timeout_s, struct sbuf *why)
{
    AUTO_FREE char *target = xasprintf(strchr(t->pod_ip, ':') ? "[%s]:%d" : "%s:%d", t->pod_ip, x->port);
    struct grpc_client_options o = { .target = target, .hop = "kubelet -> container", .connect_timeout_ms = (uint64_t)seconds(timeout_s) * 1000 };
    AUTO(grpc_client) *c = NULL;
    AUTO_FREE void *reply = NULL;
    AUTO_SBUF request = { 0 };
    size_t len = 0, n = strlen(str_safe(x->service));
    int status = 0;
    AUTO(kerr) *err = grpc_client_new(&o, &c);

    if (n && n < 128)
        sbuf_addf(&request, "\x0a%c%s", (char)n, x->service);
    if (!err)
        err = grpc_call(c, "/grpc.health.v1.Health/Check", sbuf_str(&request), request.len, (uint64_t)seconds(timeout_s) * 1000, &reply, &len, &status);
    if (err) {
        if (status == GRPC_UNIMPLEMENTED)
            sbuf_adds(why, "this server does not implement the grpc health protocol (grpc.health.v1.Health): ");
        sbuf_adds(why, err->message);
        return HANDLER_FAILED;
    }
    if (len >= 2 && ((uint8_t *)reply)[0] == 8 && ((uint8_t *)reply)[1] == 1)
        return HANDLER_OK;
    sbuf_addf(why, "service unhealthy (responded with \"%s\")", len >= 2 && ((uint8_t *)reply)[1] == 2 ? "NOT_SERVING" : "UNKNOWN");
    return HANDLER_FAILED;
}

enum handler_result
handler_probe(struct kubelet *k, const struct handler_target *t, const struct probe *p, struct sbuf *why)
{
    const struct probe_handler *h = &p->probe_handler;

    if (h->exec)
        return handler_exec(k, t, h->exec, seconds(p->timeout_seconds), why);
    if (h->http_get)
        return handler_http(k, t, h->http_get, p->timeout_seconds, PROBE_AGENT, why);
    if (h->tcp_socket)
        return handler_tcp(k, t, h->tcp_socket, p->timeout_seconds, why);
    if (h->grpc)
        return handler_grpc(k, t, h->grpc, p->timeout_seconds, why);
    return HANDLER_OK;
}

bool
handler_hook(struct kubelet *k, const struct handler_target *t, const struct lifecycle_handler *h, int64_t timeout_s, struct sbuf *why)
{
    if (h->exec)
        return handler_exec(k, t, h->exec, timeout_s, why) == HANDLER_OK;
    if (h->http_get)
        return handler_http(k, t, h->http_get, timeout_s > 0 ? timeout_s : 60, "kube-lifecycle/1.35", why) == HANDLER_OK;
    if (h->sleep) {
        int64_t s = h->sleep->seconds;

        clock_sleep_ms((uint64_t)(timeout_s > 0 && s > timeout_s ? timeout_s : s) * 1000);
    }
    return true;
}
