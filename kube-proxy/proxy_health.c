// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/proxy_health.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"

static struct metric healthz_total =
    METRIC_COUNTER("kubeproxy_proxy_healthz_total", "Cumulative proxy healthz HTTP status", "code");
static struct metric livez_total =
    METRIC_COUNTER("kubeproxy_proxy_livez_total", "Cumulative proxy livez HTTP status", "code");

struct service_port { /* one health port with its server; the lists belong to proxy_health_ports()'s thread */
    struct proxy_health *health;
    uint16_t port;
    char *service;
    uint32_t local_ready; /* under the lock */
    struct http_server *server;
    bool wanted;
    struct service_port *next;
};

struct proxy_health {
    struct loop *loop;
    struct http_server *server;
    pthread_mutex_t lock;      /* guards what follows */
    uint64_t oldest_queued_ms; /* 0 = nothing waits */
    uint64_t last_synced_ms;
    int64_t last_synced_wall_s;
    bool eligible;
    struct service_port *ports;   /* those that are served */
    struct service_port *retired; /* drained servers, freed at the end: a request may still be on its way out */
};

struct proxy_health *
proxy_health_new(struct loop *loop)
{
    struct proxy_health *h = XNEW(struct proxy_health);

    h->loop = loop;
    h->eligible = true;
    h->last_synced_wall_s = clock_wall_s();
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

static void
ports_free(struct service_port *p)
{
    while (p) {
        struct service_port *next = p->next;

        http_server_free(p->server);
        free(p->service);
        free(p);
        p = next;
    }
}

void
proxy_health_free(struct proxy_health *h)
{
    if (!h)
        return;
    http_server_free(h->server);
    ports_free(h->ports);
    ports_free(h->retired);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* --- state --- */

void
proxy_health_queued(struct proxy_health *h, uint64_t now_ms)
{
    pthread_mutex_lock(&h->lock);
    if (!h->oldest_queued_ms)
        h->oldest_queued_ms = now_ms;
    pthread_mutex_unlock(&h->lock);
}

void
proxy_health_synced(struct proxy_health *h, uint64_t now_ms)
{
    pthread_mutex_lock(&h->lock);
    h->oldest_queued_ms = 0;
    h->last_synced_ms = now_ms;
    h->last_synced_wall_s = clock_wall_s();
    pthread_mutex_unlock(&h->lock);
}

void
proxy_health_eligible(struct proxy_health *h, bool eligible)
{
    pthread_mutex_lock(&h->lock);
    h->eligible = eligible;
    pthread_mutex_unlock(&h->lock);
}

static bool
is_well(const struct proxy_health *h, uint64_t now_ms)
{
    return !h->oldest_queued_ms || now_ms < h->oldest_queued_ms + PROXY_HEALTH_TIMEOUT_MS;
}

bool
proxy_health_is_well(struct proxy_health *h, uint64_t now_ms)
{
    bool well;

    pthread_mutex_lock(&h->lock);
    well = is_well(h, now_ms);
    pthread_mutex_unlock(&h->lock);
    return well;
}

/* --- answers --- */

static void
add_time(struct sbuf *out, int64_t wall_s)
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    char text[32];

    gmtime_r(&t, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    sbuf_adds(out, text);
}

static void
reply_json(struct http_stream *s, int code, const struct sbuf *body, const char *weight)
{
    const struct http_header headers[] = {
        { "Content-Type", "application/json" },
        { "X-Content-Type-Options", "nosniff" },
        { "X-Load-Balancing-Endpoint-Weight", weight },
    };

    http_reply(s, code, headers, weight ? 3 : 2, sbuf_str(body), body->len);
}

static void
answer_self(struct http_stream *s, void *arg)
{
    static const struct http_header plain[] = { { "Content-Type", "text/plain; charset=utf-8" } };
    const char *path = http_stream_request(s)->path;
    bool healthz = strcmp(path, "/healthz") == 0, well, eligible;
    struct proxy_health *h = arg;
    AUTO_SBUF body = { 0 };
    int64_t synced_wall_s;
    int code;

    if (!healthz && strcmp(path, "/livez") != 0) {
        http_reply(s, 404, plain, 1, "404 page not found\n", 19);
        return;
    }
    pthread_mutex_lock(&h->lock);
    well = is_well(h, clock_mono_ms());
    eligible = h->eligible;
    synced_wall_s =
        h->oldest_queued_ms ? h->last_synced_wall_s : clock_wall_s(); /* nothing waits: as good as just now */
    pthread_mutex_unlock(&h->lock);
    code = well && (eligible || !healthz) ? 200 : 503;
    sbuf_adds(&body, "{\"lastUpdated\": \"");
    add_time(&body, synced_wall_s);
    sbuf_adds(&body, "\",\"currentTime\": \"");
    add_time(&body, clock_wall_s());
    sbuf_addf(&body, "\", \"nodeEligible\": %s}", eligible ? "true" : "false");
    if (healthz)
        metric_inc(&healthz_total, code == 200 ? "200" : "503");
    else
        metric_inc(&livez_total, code == 200 ? "200" : "503");
    reply_json(s, code, &body, NULL);
}

static void
answer_service(struct http_stream *s, void *arg)
{
    struct service_port *p = arg;
    struct proxy_health *h = p->health;
    AUTO_SBUF body = { 0 };
    char weight[16];
    const char *slash;
    bool well;

    pthread_mutex_lock(&h->lock);
    well = is_well(h, clock_mono_ms()) && h->eligible;
    snprintf(weight, sizeof(weight), "%u", p->local_ready);
    slash = strchr(p->service, '/');
    sbuf_addf(&body,
              "{\n\t\"service\": {\n\t\t\"namespace\": \"%.*s\",\n\t\t\"name\": \"%s\"\n\t},\n\t\"localEndpoints\": "
              "%u,\n\t\"serviceProxyHealthy\": %s\n}",
              (int)(slash - p->service), p->service, slash + 1, p->local_ready, well ? "true" : "false");
    well = well && p->local_ready > 0;
    pthread_mutex_unlock(&h->lock);
    reply_json(s, well ? 200 : 503, &body, weight);
}

struct kerr *
proxy_health_listen(struct proxy_health *h, const char *address, uint16_t port)
{
    static const struct http_handler handler = { .on_request = answer_self };
    static const struct http_limits limits = { .max_body = 4096, .max_head = 16384, .max_connections = 200 };
    struct kerr *err = http_server_new(&handler, h, &limits, &h->server);

    if (!err)
        err = http_server_listen(h->server, &h->loop, 1, address, port, NULL);
    return kerr_wrap(err, "healthz server at %s:%u", address, port);
}

/* --- health ports of services --- */

static void
port_open(struct proxy_health *h, const struct proxy_health_port *want)
{
    static const struct http_handler handler = { .on_request = answer_service };
    static const struct http_limits limits = { .max_body = 4096, .max_head = 16384, .max_connections = 200 };
    struct service_port *p = XNEW(struct service_port);
    struct kerr *err;

    p->health = h;
    p->port = want->port;
    p->service = xstrdup(want->service);
    p->local_ready = want->local_ready;
    p->wanted = true;
    err = http_server_new(&handler, p, &limits, &p->server);
    if (!err)
        err = http_server_listen(p->server, &h->loop, 1, "0.0.0.0", p->port, NULL);
    if (err) {
        log_error("Cannot serve a Service's health port; its load balancer will not find this node", "service",
                  p->service, "port", kv_int(p->port), "err", kv_err(err));
        kerr_free(err);
        http_server_free(p->server);
        free(p->service);
        free(p);
        return;
    }
    log_info("Opened healthcheck", "service", p->service, "port", kv_int(p->port));
    p->next = h->ports;
    h->ports = p;
}

static struct service_port *
port_find(struct proxy_health *h, const struct proxy_health_port *want)
{
    for (struct service_port *p = h->ports; p; p = p->next)
        if (p->port == want->port && strcmp(p->service, want->service) == 0)
            return p;
    return NULL;
}

static void
nothing(void *arg)
{
    (void)arg;
}

static void
close_unwanted(struct proxy_health *h)
{
    bool any = false;

    for (struct service_port **at = &h->ports; *at;) {
        struct service_port *p = *at;

        if (p->wanted) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        log_info("Closing healthcheck", "service", p->service, "port", kv_int(p->port));
        http_server_drain(p->server);
        p->next = h->retired;
        h->retired = p;
        any = true;
    }
    if (any) /* the loop has closed the listeners when it comes to this */
        loop_call(h->loop, nothing, NULL);
}

void
proxy_health_ports(struct proxy_health *h, const struct proxy_health_port *ports, size_t n)
{
    struct service_port *p;

    for (p = h->ports; p; p = p->next)
        p->wanted = false;
    for (size_t i = 0; i < n; i++) {
        p = port_find(h, &ports[i]);
        if (!p)
            continue;
        pthread_mutex_lock(&h->lock);
        p->local_ready = ports[i].local_ready;
        pthread_mutex_unlock(&h->lock);
        p->wanted = true;
    }
    close_unwanted(h); /* first, so that a port can change hands */
    for (size_t i = 0; i < n; i++)
        if (!port_find(h, &ports[i]))
            port_open(h, &ports[i]);
}
