// SPDX-License-Identifier: Apache-2.0
/* kube-controller-manager: flags, clients, leader election; then the manager runs the controllers (manager.h). */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>

#include "common/base/klog.h"
#include "common/client/events.h"
#include "common/client/leader.h"
#include "common/daemon/daemon.h"
#include "controller-manager/controller.h"
#include "controller-manager/manager.h"

static struct {
    struct daemon *daemon;
    struct kcm_options options;
    struct client_config client_config;
    struct rest_options rest_options;
    struct rest *rest;
    struct events *events;
    struct manager *manager;
    struct leader *leader;
    pthread_t starter;
    bool starting;
} kcm;

static void
on_waiting(const char *server, const struct kerr *why, void *arg)
{
    daemon_waiting(kcm.daemon, "kube-apiserver", why);
}

static void
on_leading(void *arg)
{
    manager_start(kcm.manager);
}

static void
on_lost(void *arg)
{
    log_error("Leader election lost");
    daemon_stop(kcm.daemon, 1);
}

/* Waits for the apiserver, then leads or stands by. */
static void *
start(void *arg)
{
    struct kcm_options *o = &kcm.options;

    pthread_setname_np(pthread_self(), "starter");
    if (!rest_wait(kcm.rest, daemon_stop_flag(kcm.daemon), on_waiting, NULL))
        return NULL;
    daemon_waiting(kcm.daemon, "kube-apiserver", NULL);
    if (!o->leader_elect) {
        manager_start(kcm.manager);
        return NULL;
    }
    struct leader_config cfg = {
        .rest = kcm.rest,
        .events = kcm.events,
        .namespace = o->resource_namespace,
        .name = o->resource_name,
        .lease_duration_ms = o->lease_duration_ms,
        .renew_deadline_ms = o->renew_deadline_ms,
        .retry_period_ms = o->retry_period_ms,
        .started = on_leading,
        .lost = on_lost,
    };
    kcm.leader = leader_new(&cfg);
    health_add(daemon_health(kcm.daemon), HEALTH_ALL, "leaderElection", leader_health, kcm.leader);
    return NULL;
}

static struct kerr *
make_clients(void)
{
    struct kcm_options *o = &kcm.options;
    struct kerr *err = client_config_load(o->kubeconfig, o->master, &kcm.client_config);

    if (err)
        return err;
    kcm.rest_options = (struct rest_options){ .component = "kube-controller-manager", .qps = o->kube_api_qps, .burst = o->kube_api_burst };
    err = rest_new(&kcm.client_config, &kcm.rest_options, &kcm.rest);
    if (err)
        return err;
    kcm.events = events_new(kcm.rest, "kube-controller-manager", NULL);
    kcm.manager = manager_new(kcm.daemon, o, &kcm.client_config, &kcm.rest_options, kcm.rest, kcm.events);
    return NULL;
}

static struct kerr *
go(void)
{
    struct kerr *err = kcm_options_check(&kcm.options);

    if (!err)
        err = make_clients();
    if (!err)
        err = daemon_serve(kcm.daemon);
    if (err)
        return err;
    int rc = pthread_create(&kcm.starter, NULL, start, NULL);
    if (rc)
        return kerr_errno(rc, "start a thread");
    kcm.starting = true;
    return NULL;
}

int
main(int argc, char **argv)
{
    struct kerr *err;
    int rc;

    /* Some thirty threads that mostly wait: few malloc arenas keep the memory small. */
    mallopt(M_ARENA_MAX, 2);
    kcm.daemon = daemon_new("kube-controller-manager",
                            "The Kubernetes controller manager is a daemon that embeds the core control loops shipped with Kubernetes: it watches the "
                            "shared state of the cluster through the apiserver and makes changes attempting to move the current state towards the desired state.");
    daemon_add_serving_flags(kcm.daemon, 10257);
    kcm_options_flags(kcm.daemon, &kcm.options);
    if (!daemon_start(kcm.daemon, argc, argv, &rc))
        return rc;
    err = go();
    if (err)
        return daemon_fail(kcm.daemon, err);
    daemon_ready(kcm.daemon);
    rc = daemon_run(kcm.daemon);
    if (kcm.starting)
        pthread_join(kcm.starter, NULL);
    leader_free(kcm.leader); /* first: the next one may start at once */
    manager_free(kcm.manager);
    events_free(kcm.events);
    rest_unref(kcm.rest);
    client_config_done(&kcm.client_config);
    daemon_free(kcm.daemon);
    return rc;
}
