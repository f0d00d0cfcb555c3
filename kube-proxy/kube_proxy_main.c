// SPDX-License-Identifier: Apache-2.0
/* kube_proxy_main.c - flags, order of start, run. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/client/informer.h"
#include "common/client/kubeconfig.h"
#include "common/client/rest.h"
#include "common/daemon/daemon.h"
#include "common/net/addr.h"
#include "kube-proxy/nft_backend.h"
#include "kube-proxy/node_routes.h"
#include "kube-proxy/proxier.h"
#include "kube-proxy/render.h"

static const char about[] = "The Kubernetes network proxy runs on each node. This reflects services as defined in the "
                            "Kubernetes API on each node and forwards TCP, UDP "
                            "and SCTP to a set of backends, by nftables rules in the table \"kube-proxy\".";

struct proxy { /* what main() sets up and takes down */
    struct daemon *daemon;
    struct proxy_config config;
    char *node_name;
    struct rest *rest;
    struct nft_backend *nft;
    struct proxy_health *health;
    struct informers *informers;
    struct proxier *proxier;
    struct node_routes *routes; /* NULL without --cluster-routes */
};

/* --hostname-override, else this machine's name in lower case. */
static struct kerr *
find_node_name(struct proxy *p)
{
    char host[256] = "";

    if (str_empty(p->config.hostname_override) && gethostname(host, sizeof(host) - 1) < 0)
        return kerr_new(KERR_INTERNAL, "this machine has no host name; use --hostname-override");
    p->node_name = str_lower(str_or(p->config.hostname_override, host));
    for (size_t n = strlen(p->node_name); n > 0 && isspace((unsigned char)p->node_name[n - 1]); n--)
        p->node_name[n - 1] = '\0';
    return NULL;
}

static void
set_oom_score(int32_t score)
{
    AUTO_FREE char *text = xasprintf("%d", score);
    FILE *f = fopen("/proc/self/oom_score_adj", "we");
    bool ok = f && fputs(text, f) >= 0;

    if (f && fclose(f) != 0) /* the kernel's answer comes with the flush */
        ok = false;
    if (!ok)
        log_v(2, "Cannot set the OOM score (it takes CAP_SYS_RESOURCE); going on", "score", text);
}

static void
answer_mode(const struct endpoint_request *req, struct endpoint_reply *reply, void *arg)
{
    sbuf_adds(&reply->body, "nftables");
}

static struct kerr *
listen_metrics(struct proxy *p)
{
    struct serving_options *s = daemon_serving(p->daemon);
    uint16_t port;
    struct kerr *err;

    s->insecure = true;
    s->port = 0;
    if (str_empty(p->config.metrics_bind_address))
        return NULL;
    free(s->bind_address);
    s->bind_address = NULL;
    err = addr_split(p->config.metrics_bind_address, &s->bind_address, &port);
    if (err)
        return kerr_wrap(err, "metricsBindAddress (--metrics-bind-address)");
    s->port = port;
    daemon_add_endpoint(p->daemon, "/proxyMode", answer_mode, NULL);
    return kerr_wrap(daemon_serve(p->daemon), "metrics server at %s", p->config.metrics_bind_address);
}

static struct kerr *
listen_healthz(struct proxy *p)
{
    AUTO_FREE char *host = NULL;
    uint16_t port;
    struct kerr *err;

    p->health = proxy_health_new(daemon_loop(p->daemon));
    if (str_empty(p->config.healthz_bind_address))
        return NULL;
    err = addr_split(p->config.healthz_bind_address, &host, &port);
    if (err)
        return kerr_wrap(err, "healthzBindAddress (--healthz-bind-address)");
    return proxy_health_listen(p->health, host, port);
}

/* A taken port is an error line, or the end when bindAddressHardFail says so. */
static struct kerr *
listen_all(struct proxy *p)
{
    struct kerr *(*const listeners[])(struct proxy *) = { listen_healthz, listen_metrics };

    for (size_t i = 0; i < ARRAY_LEN(listeners); i++) {
        struct kerr *err = listeners[i](p);

        if (!err)
            continue;
        if (p->config.bind_address_hard_fail)
            return err;
        log_error("Not listening; going on without (bindAddressHardFail is false)", "err", err->message);
        kerr_free(err);
    }
    return NULL;
}

static void
on_trouble(const char *what, const struct kerr *why, void *arg)
{
    struct proxy *p = arg;

    if (why)
        daemon_waiting(p->daemon, what, why);
}

static struct kerr *
connect_api(struct proxy *p)
{
    AUTO_CLIENT_CONFIG cfg = { 0 };
    struct rest_options opts = { .component = "kube-proxy", .qps = p->config.qps, .burst = p->config.burst };
    struct kerr *err = client_config_load(p->config.kubeconfig, p->config.master, &cfg);

    if (err)
        return kerr_wrap(err, "clientConnection.kubeconfig (--kubeconfig)");
    err = rest_new(&cfg, &opts, &p->rest);
    if (err)
        return err;
    p->informers = informers_new(p->rest, NULL);
    informers_on_trouble(p->informers, on_trouble, p);
    return NULL;
}

static void
set_kernel_limits(const struct proxy_config *c)
{
    const struct conntrack_limits limits = {
        .max_per_core = c->conntrack_max_per_core,
        .min = c->conntrack_min,
        .tcp_established_s = c->tcp_established_ms / 1000,
        .tcp_close_wait_s = c->tcp_close_wait_ms / 1000,
        .udp_s = c->udp_ms / 1000,
        .udp_stream_s = c->udp_stream_ms / 1000,
        .tcp_be_liberal = c->tcp_be_liberal,
    };

    conntrack_set_limits(&limits);
    set_oom_score(c->oom_score_adj);
}

static struct kerr *
start(struct proxy *p)
{
    struct proxier_options opts = { .config = &p->config, .nft = p->nft };
    AUTO_SBUF configz = { 0 };
    struct kerr *err;

    if ((err = find_node_name(p)) || (err = connect_api(p)))
        return err;
    proxy_config_json(&p->config, &configz);
    daemon_set_configz(p->daemon, "kubeproxy.config.k8s.io", sbuf_str(&configz));
    if ((err = listen_all(p)))
        return err;
    opts.node_name = p->node_name;
    opts.informers = p->informers;
    opts.health = p->health;
    p->proxier = proxier_new(&opts);
    if (p->config.cluster_routes)
        p->routes = node_routes_new(p->informers, p->node_name);
    informers_start(p->informers);
    if (p->routes)
        node_routes_start(p->routes);
    log_info("Using nftables Proxier", "node", p->node_name, "server", rest_server(p->rest));
    return proxier_start(p->proxier);
}

static void
stop(struct proxy *p)
{
    if (p->proxier)
        proxier_stop(p->proxier);
    if (p->routes)
        node_routes_stop(p->routes);
    informers_free(p->informers);
    node_routes_free(p->routes);
    proxier_free(p->proxier);
    proxy_health_free(p->health); /* the loop has ended, and is still there */
    rest_unref(p->rest);
    nft_backend_free(p->nft);
    free(p->node_name);
    proxy_config_done(&p->config);
}

/* --cleanup: rules and routes. */
static struct kerr *
clean_up(struct proxy *p)
{
    const struct node_route_list none = { 0 };
    struct kerr *err = nft_backend_cleanup(p->nft);
    size_t n;

    return err ? err : node_routes_apply(&none, &n);
}

static int
run(struct proxy *p)
{
    struct kerr *err = proxy_config_finish(&p->config);

    for (size_t i = 0; i < p->config.notes.len; i++)
        log_warning(p->config.notes.items[i]);
    if (!err)
        err = nft_backend_new(&p->nft);
    if (!err && p->config.cleanup) {
        err = clean_up(p);
        return err ? daemon_fail(p->daemon, err) : 0;
    }
    if (!err) {
        set_kernel_limits(&p->config);
        if (p->config.init_only)
            return 0;
        err = start(p);
    }
    if (err)
        return daemon_fail(p->daemon, err);
    daemon_ready(p->daemon);
    return daemon_run(p->daemon);
}

int
main(int argc, char **argv)
{
    struct proxy p = { 0 };
    int rc;

    if (argc > 1 && strcmp(argv[1], "render") == 0)
        return render_main(argc - 1, argv + 1);
    p.daemon = daemon_new("kube-proxy", about);
    proxy_config_flags(daemon_flags(p.daemon), &p.config);
    if (daemon_start(p.daemon, argc, argv, &rc))
        rc = run(&p);
    stop(&p);
    daemon_free(p.daemon);
    return rc;
}
