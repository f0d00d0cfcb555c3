// SPDX-License-Identifier: Apache-2.0
/* proxier.c - decide and act: the worker thread that turns what changed into transactions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "kube-proxy/nft_backend.h"
#include "kube-proxy/proxier_private.h"

static const double seconds_buckets[] = { 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
                                          0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384 };
static const double programming_buckets[] = { 0.25, 0.5, 1,  2,  3,  4,  5,  6,  7,  8,   9,   10,  15, 20,
                                              25,   30,  35, 40, 45, 50, 55, 60, 90, 120, 180, 240, 300 };

static struct metric sync_seconds = METRIC_HISTOGRAM("kubeproxy_sync_proxy_rules_duration_seconds",
                                                     "SyncProxyRules latency in seconds", "ip_family", seconds_buckets);
static struct metric full_seconds =
    METRIC_HISTOGRAM("kubeproxy_sync_full_proxy_rules_duration_seconds",
                     "SyncProxyRules latency in seconds for full resyncs", "ip_family", seconds_buckets);
static struct metric partial_seconds =
    METRIC_HISTOGRAM("kubeproxy_sync_partial_proxy_rules_duration_seconds",
                     "SyncProxyRules latency in seconds for partial resyncs", "ip_family", seconds_buckets);
static struct metric programming_seconds =
    METRIC_HISTOGRAM("kubeproxy_network_programming_duration_seconds",
                     "In Cluster Network Programming Latency in seconds", "ip_family", programming_buckets);
static struct metric last_sync = METRIC_GAUGE("kubeproxy_sync_proxy_rules_last_timestamp_seconds",
                                              "The last time proxy rules were successfully synced", "ip_family");
static struct metric failures = METRIC_COUNTER("kubeproxy_sync_proxy_rules_nftables_sync_failures_total",
                                               "Cumulative proxy nftables sync failures", "ip_family");
static struct metric no_local =
    METRIC_GAUGE("kubeproxy_sync_proxy_rules_no_local_endpoints_total",
                 "Number of services with a Local traffic policy and no endpoints", "ip_family,traffic_policy");
static struct metric flows_deleted =
    METRIC_COUNTER("kubeproxy_conntrack_reconciler_deleted_entries_total",
                   "Cumulative conntrack flows deleted by conntrack reconciler", "ip_family");

static const struct backoff_policy retry = { .initial_ms = 500, .max_ms = 30000, .jitter_percent = 20 };

/* --- life --- */

struct proxier *
proxier_new(const struct proxier_options *opts)
{
    struct proxier *p = XNEW(struct proxier);
    pthread_condattr_t attr;

    p->opts = *opts;
    p->rng = rng_from_system();
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attr);
    pthread_condattr_destroy(&attr);
    p->families[0] = (struct family){ .family = IP_V4, .label = "IPv4", .wanted = true };
    p->families[1] = (struct family){ .family = IP_V6, .label = "IPv6" };
    p->options_dirty = true;
    proxier_watch(p);
    return p;
}

void
proxier_stop(struct proxier *p)
{
    if (!p->started)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    p->started = false;
}

static void
health_entry_drop(struct proxier *p, struct health_entry *e)
{
    HASH_DEL(p->health_entries, e);
    free(e->service);
    free(e);
}

void
proxier_free(struct proxier *p)
{
    struct health_entry *e, *next;
    struct work w;

    if (!p)
        return;
    proxier_stop(p);
    proxier_take_work(p, &w);
    proxier_work_done(&w);
    HASH_ITER(hh, p->health_entries, e, next)
    health_entry_drop(p, e);
    for (size_t i = 0; i < ARRAY_LEN(p->families); i++)
        nft_tables_free(p->families[i].tables);
    strlist_done(&p->node_cidrs);
    strlist_done(&p->node_ips);
    free(p->zone);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* --- the worker: what to do --- */

static bool
needs_full(const struct proxier *p)
{
    for (size_t i = 0; i < ARRAY_LEN(p->families); i++)
        if (p->families[i].needs_full && p->families[i].wanted && !p->families[i].hopeless)
            return true;
    return false;
}

static struct timespec
mono_at(uint64_t ms)
{
    return (struct timespec){ (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
}

/* Until there is work or the time has come.  False: stop. */
static bool
wait_for_work(struct proxier *p, uint64_t until_ms, bool even_with_work)
{
    struct timespec until = mono_at(until_ms);
    bool go_on;

    pthread_mutex_lock(&p->lock);
    while (!atomic_load(&p->stop) && (even_with_work || !proxier_has_work(p)))
        if (pthread_cond_timedwait(&p->wake, &p->lock, &until) == ETIMEDOUT)
            break;
    go_on = !atomic_load(&p->stop);
    pthread_mutex_unlock(&p->lock);
    return go_on;
}

/* --- decide: views and tables --- */

static size_t
nets_of_family(const struct ip_net *nets, size_t n, enum ip_family family, struct ip_net ret[PROXY_NETS_MAX])
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (nets[i].addr.family == family)
            ret[kept++] = nets[i];
    return kept;
}

static size_t
nets_of_texts(const struct strlist *texts, bool single, enum ip_family family, struct ip_net ret[PROXY_NETS_MAX])
{
    struct ip_net net;
    size_t n = 0;

    for (size_t i = 0; i < texts->len && n < PROXY_NETS_MAX; i++) {
        memset(&net, 0, sizeof(net));
        if (single ? ip_parse(texts->items[i], &net.addr) < 0 : ip_net_parse(texts->items[i], &net) < 0)
            continue;
        if (single)
            net.bits = net.addr.family == IP_V4 ? 32 : 128;
        if (net.addr.family == family)
            ret[n++] = net;
    }
    return n;
}

static enum nft_local
local_mode(const struct proxy_config *cfg, size_t nnets)
{
    if (str_eq(cfg->detect_local_mode, "BridgeInterface"))
        return NFT_LOCAL_BRIDGE;
    if (str_eq(cfg->detect_local_mode, "InterfaceNamePrefix"))
        return NFT_LOCAL_PREFIX;
    return nnets ? NFT_LOCAL_NETS : NFT_LOCAL_UNKNOWN;
}

/* Fresh tables by the configuration and what the node says; they are filled from all services. */
static void
make_tables(struct proxier *p, struct family *f)
{
    const struct proxy_config *cfg = p->opts.config;
    struct ip_net pods[PROXY_NETS_MAX], ports[PROXY_NETS_MAX];
    struct nft_options o = { .family = f->family,
                             .masquerade_all = cfg->masquerade_all,
                             .masquerade_mark = 1u << cfg->masquerade_bit };

    pthread_mutex_lock(&p->lock);
    o.nlocal_nets = cfg->local_by_node_cidr ? nets_of_texts(&p->node_cidrs, false, f->family, pods)
                                            : nets_of_family(cfg->pod_nets, cfg->npod_nets, f->family, pods);
    o.nnode_port_nets = cfg->nodeport_primary
                            ? nets_of_texts(&p->node_ips, true, f->family, ports)
                            : nets_of_family(cfg->nodeport_nets, cfg->nnodeport_nets, f->family, ports);
    pthread_mutex_unlock(&p->lock);
    o.local_nets = pods;
    o.node_port_nets = ports;
    o.local = local_mode(cfg, o.nlocal_nets);
    o.local_interface = o.local == NFT_LOCAL_BRIDGE ? cfg->bridge_interface : cfg->interface_prefix;
    if (f->family == IP_V4 && o.local == NFT_LOCAL_UNKNOWN && !cfg->masquerade_all)
        log_warning("No pod network is known (clusterCIDR, or detectLocalMode): traffic from outside the cluster to "
                    "Service IPs is not masqueraded");
    nft_tables_free(f->tables);
    f->tables = nft_tables_new(&o);
    f->needs_full = true;
}

static void
note_health(struct proxier *p, const struct service_view *v, const char *name)
{
    struct health_entry *e;

    HASH_FIND_STR(p->health_entries, name, e);
    if (!v || !v->health_port) {
        if (e) {
            health_entry_drop(p, e);
            p->health_changed = true;
        }
        return;
    }
    if (!e) {
        e = XNEW(struct health_entry);
        e->service = xstrdup(name);
        HASH_ADD_KEYPTR(hh, p->health_entries, e->service, strlen(e->service), e);
    }
    if (e->port != v->health_port || e->local_ready != v->local_ready)
        p->health_changed = true;
    e->port = v->health_port;
    e->local_ready = v->local_ready;
}

static void
put_view(struct proxier *p, struct family *f, const struct service *svc, const struct object_list *slices,
         const char *zone)
{
    AUTO_FREE const struct endpoint_slice **of = xcalloc(slices->len + 1, sizeof(*of));
    const struct picture_node node = { .name = p->opts.node_name, .zone = zone };
    AUTO(service_view) *v = NULL;
    AUTO_SBUF warnings = { .max = 1024 };
    size_t n = 0;

    for (size_t i = 0; i < slices->len; i++)
        if ((of[n] = OBJECT_BODY(slices->items[i], endpoint_slice)))
            n++;
    v = service_view_build(svc, of, n, &node, f->family, &warnings);
    if (warnings.len)
        log_warning("Part of a Service cannot be served", "service", v->name, "why", sbuf_str(&warnings));
    if (v->nfrontends && !f->wanted) {
        f->wanted = true;
        f->needs_full = true;
    }
    f->udp_changed |= v->udp;
    if (f->family == IP_V4)
        note_health(p, v, v->name);
    nft_tables_put(f->tables, v);
}

static void
look_at(struct proxier *p, const char *key, const char *zone)
{
    AUTO(object) *obj = informer_get_key(p->services, key);
    const struct service *svc = obj ? OBJECT_BODY(obj, service) : NULL;
    AUTO_OBJECT_LIST slices = { 0 };

    if (svc)
        informer_by_index(p->slices, p->by_service, key, &slices);
    for (size_t i = 0; i < ARRAY_LEN(p->families); i++) {
        struct family *f = &p->families[i];

        if (svc) {
            put_view(p, f, svc, &slices, zone);
        } else {
            f->udp_changed = true; /* it may have been one */
            nft_tables_remove(f->tables, key);
        }
    }
    if (!svc)
        note_health(p, NULL, key);
}

static void
look_at_all(struct proxier *p, const char *zone)
{
    AUTO_OBJECT_LIST all = { 0 };

    informer_list(p->services, NULL, &all);
    for (size_t i = 0; i < all.len; i++) {
        AUTO_FREE char *key = object_key(all.items[i]);

        look_at(p, key, zone);
    }
}

/* --- act --- */

/* The table anew; clients keep the endpoints they are used to. */
static struct kerr *
write_full(struct proxier *p, struct family *f)
{
    AUTO_SBUF text = { 0 }, listing = { 0 };
    struct kerr *err = NULL;

    if (nft_backend_has_table(p->opts.nft, f->family)) {
        AUTO(kerr) *no_map = nft_backend_list(p->opts.nft,
                                              f->family == IP_V4 ? "list map ip " NFT_TABLE " affinity"
                                                                 : "list map ip6 " NFT_TABLE " affinity",
                                              &listing);

        if (no_map) /* upstream's table of that name, or a damaged one: it is replaced all the same */
            log_v(2, "No session affinity to take over", "why", no_map->message);
    }
    nft_tables_full(f->tables, &text);
    nft_tables_keep_affinity(f->tables, sbuf_str(&listing), &text);
    err = nft_backend_apply(p->opts.nft, sbuf_str(&text));
    sbuf_done(&text);
    nft_backend_trim(p->opts.nft);
    if (!err)
        f->needs_full = false;
    return err;
}

static struct kerr *
clean_affinity(struct proxier *p, struct family *f)
{
    AUTO_SBUF listing = { 0 }, text = { 0 };
    struct kerr *err;

    if (!nft_tables_affinity_suspect(f->tables))
        return NULL;
    err = nft_backend_list(
        p->opts.nft, f->family == IP_V4 ? "list map ip " NFT_TABLE " affinity" : "list map ip6 " NFT_TABLE " affinity",
        &listing);
    if (err)
        return err;
    return nft_tables_stale_affinity(f->tables, sbuf_str(&listing), &text)
               ? nft_backend_apply(p->opts.nft, sbuf_str(&text))
               : NULL;
}

static struct kerr *
write_delta(struct proxier *p, struct family *f)
{
    AUTO_SBUF text = { 0 };
    struct kerr *err;

    if (!nft_tables_delta(f->tables, &text))
        return NULL;
    err = nft_backend_apply(p->opts.nft, sbuf_str(&text));
    return err ? err : clean_affinity(p, f);
}

static void
flush_flows(struct proxier *p, struct family *f)
{
    AUTO(kerr) *err = NULL;
    size_t n;

    if (!f->udp_changed)
        return;
    f->udp_changed = false;
    err = conntrack_flush(f->tables, f->family, &n);
    if (err)
        log_warning("Cannot look for stale UDP flows; clients that keep their port may talk to pods that are gone",
                    "err", err->message);
    else if (n)
        log_v(2, "Deleted stale UDP flows", "count", kv_int((int64_t)n));
    if (!err)
        metric_add(&flows_deleted, (double)n, f->label);
}

static void
note_counts(struct family *f)
{
    struct nft_counts n = nft_tables_counts(f->tables);

    metric_set(&no_local, (double)n.no_local_internal, f->label, "internal");
    metric_set(&no_local, (double)n.no_local_external, f->label, "external");
    if (n.conflicts)
        log_v(2, "Some addresses are claimed by more than one Service; the first by name has them", "count",
              kv_int((int64_t)n.conflicts));
}

static struct kerr *
sync_family(struct proxier *p, struct family *f)
{
    uint64_t begin = clock_mono_us();
    bool full = f->needs_full;
    struct kerr *err;
    double took;

    if (!f->wanted || f->hopeless)
        return NULL;
    err = full ? write_full(p, f) : write_delta(p, f);
    if (err) {
        f->needs_full = true;
        metric_inc(&failures, f->label);
        if (f->family == IP_V6 && full) {
            f->hopeless = true;
            log_error("Services with IPv6 addresses are not served: this kernel refuses the rules", "err",
                      err->message);
            kerr_free(err);
            return NULL;
        }
        return err;
    }
    took = (double)(clock_mono_us() - begin) / 1e6;
    metric_observe(&sync_seconds, took, f->label);
    metric_observe(full ? &full_seconds : &partial_seconds, took, f->label);
    metric_set(&last_sync, (double)clock_wall_us() / 1e6, f->label);
    flush_flows(p, f);
    note_counts(f);
    if (full) {
        struct nft_counts n = nft_tables_counts(f->tables);

        log_info("Rules written", "family", f->label, "services", kv_int((int64_t)n.services), "frontends",
                 kv_int((int64_t)n.frontends), "endpoints", kv_int((int64_t)n.endpoints), "took_ms",
                 kv_int((int64_t)(took * 1000)));
    }
    return NULL;
}

static void
tell_health(struct proxier *p)
{
    AUTO_FREE struct proxy_health_port *ports = xcalloc(HASH_COUNT(p->health_entries) + 1, sizeof(*ports));
    struct health_entry *e, *next;
    size_t n = 0;

    if (!p->health_changed)
        return;
    p->health_changed = false;
    HASH_ITER(hh, p->health_entries, e, next)
    ports[n++] = (struct proxy_health_port){ e->port, e->service, e->local_ready };
    proxy_health_ports(p->opts.health, ports, n);
}

static void
decide(struct proxier *p, const struct work *w)
{
    struct dirty *d, *next;

    if (w->options)
        for (size_t i = 0; i < ARRAY_LEN(p->families); i++)
            make_tables(p, &p->families[i]);
    if (w->options || w->all)
        look_at_all(p, w->zone);
    HASH_ITER(hh, w->dirty, d, next)
    look_at(p, d->key, w->zone);
}

static void
observe_triggers(const struct work *w)
{
    int64_t now = clock_wall_us();

    for (size_t i = 0; i < w->ntriggers; i++)
        metric_observe(&programming_seconds, now > w->triggers_us[i] ? (double)(now - w->triggers_us[i]) / 1e6 : 0,
                       "IPv4");
}

/* One round.  False: it failed and has to be repeated soon. */
static bool
sync_once(struct proxier *p)
{
    struct kerr *err = NULL;
    struct work w;

    proxier_take_work(p, &w);
    decide(p, &w);
    for (size_t i = 0; i < ARRAY_LEN(p->families) && !err; i++)
        err = sync_family(p, &p->families[i]);
    tell_health(p);
    if (err)
        log_error("Failed to write the rules; the old ones stay until it works", "err", err->message, "retry",
                  "whole table");
    else if (!needs_full(p)) {
        proxy_health_synced(p->opts.health, clock_mono_ms());
        observe_triggers(&w);
        backoff_reset(&p->backoff);
    }
    proxier_work_done(&w);
    p->last_sync_ms = clock_mono_ms();
    if (err)
        kerr_free(err);
    return !err;
}

/* Somebody may have flushed the ruleset; then everything is written again. */
static void
check_tables(struct proxier *p)
{
    for (size_t i = 0; i < ARRAY_LEN(p->families); i++) {
        struct family *f = &p->families[i];

        if (!f->wanted || f->hopeless || f->needs_full || nft_backend_has_table(p->opts.nft, f->family))
            continue;
        log_warning("Our rules are gone from the kernel; writing them again", "family", f->label);
        f->needs_full = true;
    }
}

static void
work_until_stopped(struct proxier *p)
{
    const struct proxy_config *cfg = p->opts.config;
    uint64_t period = cfg->sync_period_ms > 1000 ? (uint64_t)cfg->sync_period_ms : 1000;

    while (!atomic_load(&p->stop)) {
        if (!sync_once(p) && !wait_for_work(p, clock_mono_ms() + backoff_next_ms(&p->backoff, &retry, &p->rng), true))
            return;
        if (!needs_full(p)) {
            uint64_t next_check = p->last_sync_ms + period;

            if (!wait_for_work(p, next_check, false))
                return;
            if (clock_mono_ms() >= next_check)
                check_tables(p);
        }
        if (cfg->min_sync_period_ms > 0 && !wait_for_work(p, p->last_sync_ms + (uint64_t)cfg->min_sync_period_ms, true))
            return;
    }
}

static void *
worker(void *arg)
{
    struct proxier *p = arg;

    /* Half a picture would take working rules away: nothing is written before all lists are there. */
    if (informers_wait_synced(p->opts.informers, &p->stop))
        work_until_stopped(p);
    return NULL;
}

struct kerr *
proxier_start(struct proxier *p)
{
    int rc = pthread_create(&p->thread, NULL, worker, p);

    if (rc)
        return kerr_errno(rc, "starting the proxier's thread");
    pthread_setname_np(p->thread, "proxier");
    p->started = true;
    return NULL;
}
