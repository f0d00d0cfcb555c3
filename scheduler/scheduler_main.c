// SPDX-License-Identifier: Apache-2.0
/* scheduler_main.c - flags, order of start, run. */
#include <malloc.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/base/str.h"
#include "common/client/events.h"
#include "common/client/informer.h"
#include "common/client/kubeconfig.h"
#include "common/client/leader.h"
#include "common/daemon/daemon.h"
#include "scheduler/config.h"
#include "scheduler/scheduler.h"

static const char about[] =
    "The Kubernetes scheduler is a control plane process which assigns pods to nodes. It determines which nodes are valid placements for each pod "
    "in the scheduling queue according to constraints and available resources, ranks them, and binds the pod to the best one.";

struct program {
    struct daemon *daemon;
    struct scheduler_config config;
    struct resource_names *resources;
    struct rest *rest;
    struct rest *lease_rest; /* never behind the bindings */
    struct events *lease_events;
    struct informers *informers;
    struct scheduler *scheduler;
    struct leader *leader;
    struct health_state *informers_state;
};

static void
explain(const struct endpoint_request *req, struct endpoint_reply *reply, void *arg)
{
    struct program *p = arg;
    const char *at = req->path + strlen("/debug/scheduling/"), *slash = strchr(at, '/');
    AUTO_FREE char *ns = slash ? xstrndup(at, (size_t)(slash - at)) : NULL;

    if (slash && scheduler_explain(p->scheduler, ns, slash + 1, &reply->body)) {
        reply->content_type = "application/json";
        return;
    }
    reply->code = 404;
    sbuf_adds(&reply->body, slash ? "the scheduler does not know this pod\n" : "use /debug/scheduling/<namespace>/<pod>\n");
}

static struct kerr *
connect_api(struct program *p, const struct rest_options *opts, struct rest **ret)
{
    AUTO_CLIENT_CONFIG cfg = { 0 };
    struct kerr *err = client_config_load(p->config.kubeconfig, p->config.master, &cfg);

    return err ? kerr_wrap(err, "clientConnection.kubeconfig (--kubeconfig)") : rest_new(&cfg, opts, ret);
}

static void
leading(void *arg)
{
    struct program *p = arg;

    if (daemon_stopping(p->daemon))
        return;
    log_info("Leading; scheduling starts");
    scheduler_start(p->scheduler);
}

static void
lost(void *arg)
{
    struct program *p = arg;

    log_error("Leaderelection lost");
    daemon_stop(p->daemon, 1);
}

static void
new_leader(const char *identity, void *arg)
{
    log_info("New leader elected", "identity", identity);
}

static struct kerr *
start_leading(struct program *p)
{
    struct rest_options opts = { .component = "kube-scheduler", .timeout_ms = p->config.renew_deadline_ms / 2, .max_connections = 2 };
    struct leader_config cfg = {
        .namespace = p->config.resource_namespace, .name = p->config.resource_name,
        .lease_duration_ms = p->config.lease_duration_ms, .renew_deadline_ms = p->config.renew_deadline_ms, .retry_period_ms = p->config.retry_period_ms,
        .started = leading, .lost = lost, .new_leader = new_leader, .arg = p,
    };
    struct kerr *err;

    if (!p->config.leader_elect) {
        leading(p);
        return NULL;
    }
    if (!str_eq(p->config.resource_lock, "leases"))
        return kerr_new(KERR_INVALID, "--leader-elect-resource-lock must be \"leases\", not \"%s\"", str_safe(p->config.resource_lock));
    err = connect_api(p, &opts, &p->lease_rest);
    if (err)
        return err;
    cfg.rest = p->lease_rest;
    cfg.events = p->lease_events = events_new(p->lease_rest, "default-scheduler", NULL);
    p->leader = leader_new(&cfg);
    health_add(daemon_health(p->daemon), HEALTH_HEALTHZ | HEALTH_LIVEZ, "leaderElection", leader_health, p->leader);
    return NULL;
}

static struct kerr *
start(struct program *p)
{
    struct rest_options opts = { .component = "kube-scheduler", .qps = p->config.qps, .burst = p->config.burst, .max_connections = 32 };
    struct scheduler_options so = { .resources = p->resources, .profiles = p->config.profiles, .nprofiles = p->config.nprofiles, .limits = p->config.limits };
    AUTO_SBUF configz = { 0 };
    struct kerr *err = connect_api(p, &opts, &p->rest);

    if (err)
        return err;
    scheduler_config_json(&p->config, &configz);
    daemon_set_configz(p->daemon, "componentconfig", sbuf_str(&configz));
    p->informers = informers_new(p->rest, NULL);
    informers_on_trouble(p->informers, daemon_waiting_fn, p->daemon);
    so.rest = p->rest;
    so.informers = p->informers;
    p->scheduler = scheduler_new(&so);
    p->informers_state = health_add_state(daemon_health(p->daemon), HEALTH_READYZ, "informer-sync", "informers have not synced yet");
    daemon_add_endpoint(p->daemon, "/debug/scheduling/", explain, p);
    err = daemon_serve(p->daemon);
    if (err)
        return err;
    informers_start(p->informers);
    if (!informers_wait_synced(p->informers, daemon_stop_flag(p->daemon)))
        return NULL;
    health_state_set(p->informers_state, NULL);
    log_info("Caches are filled", "server", rest_server(p->rest));
    return start_leading(p);
}

static void
stop(struct program *p)
{
    if (p->scheduler)
        scheduler_stop(p->scheduler);
    leader_free(p->leader); /* gives the lease back, now that nothing is under way */
    informers_free(p->informers);
    events_free(p->lease_events);
}

static int
run(struct program *p)
{
    struct kerr *err = scheduler_config_load(&p->config, daemon_flags(p->daemon), p->resources);
    AUTO_SBUF text = { 0 };

    for (size_t i = 0; i < p->config.warnings.len; i++)
        log_warning(p->config.warnings.items[i]);
    if (!err && !str_empty(p->config.write_config_to)) {
        scheduler_config_json(&p->config, &text);
        err = file_write_atomic(p->config.write_config_to, sbuf_str(&text), text.len, 0644);
        return err ? daemon_fail(p->daemon, err) : 0;
    }
    if (!err)
        err = start(p);
    if (err)
        return daemon_fail(p->daemon, err);
    daemon_ready(p->daemon);
    return daemon_run(p->daemon);
}

int
main(int argc, char **argv)
{
    struct program p = { 0 };
    int rc;

    /* Dozens of threads that mostly wait for answers to binds: few malloc arenas keep the memory small. */
    mallopt(M_ARENA_MAX, (int)sysconf(_SC_NPROCESSORS_ONLN) + 1);
    p.daemon = daemon_new("kube-scheduler", about);
    p.resources = resource_names_new();
    scheduler_config_flags(daemon_flags(p.daemon), &p.config);
    daemon_add_serving_flags(p.daemon, 10259);
    if (daemon_start(p.daemon, argc, argv, &rc))
        rc = run(&p);
    stop(&p);
    daemon_free(p.daemon); /* its endpoints ask the scheduler until here */
    scheduler_free(p.scheduler);
    rest_unref(p.rest);
    rest_unref(p.lease_rest);
    resource_names_free(p.resources);
    scheduler_config_done(&p.config);
    return rc;
}
