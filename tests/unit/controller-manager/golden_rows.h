// SPDX-License-Identifier: Apache-2.0
/* golden_rows.h - one row per controller: objects of a case -> picture -> plan. */
#ifndef CKUBE_TESTS_CONTROLLER_GOLDEN_ROWS_H
#define CKUBE_TESTS_CONTROLLER_GOLDEN_ROWS_H

#include "controller-manager/clusterrole_aggregation.h"
#include "controller-manager/cronjob.h"
#include "controller-manager/daemonset.h"
#include "controller-manager/deployment.h"
#include "controller-manager/endpoints.h"
#include "controller-manager/endpointslice.h"
#include "controller-manager/garbage_collector.h"
#include "controller-manager/job.h"
#include "controller-manager/namespace.h"
#include "controller-manager/namespace_defaults.h"
#include "controller-manager/node_ipam.h"
#include "controller-manager/node_lifecycle.h"
#include "controller-manager/pod_gc.h"
#include "controller-manager/replicas.h"
#include "controller-manager/statefulset.h"
#include "controller-manager/taint_eviction.h"
#include "controller-manager/ttl_after_finished.h"

static void
golden_replicaset(struct golden *g)
{
    AUTO_FREE char *settled = golden_setting(g, "settled"), *failed = golden_setting(g, "scale_error");
    struct replicas_picture p = { .owner = golden_first(g, "ReplicaSet"), .can_adopt = true, .settled = !str_eq(settled, "false") };
    AUTO(kerr) *err = failed ? kerr_new(KERR_FORBIDDEN, "%s", failed) : NULL;

    if (!p.owner)
        p.owner = golden_first(g, "ReplicationController");
    golden_kind(g, "Pod", &p.pods);
    golden_print(g, replicas_decide(&p, "ns/set", g->now));
    golden_print(g, replicas_status_decide(&p, "ns/set", err, g->now));
    replicas_picture_done(&p);
}

static void
golden_deployment(struct golden *g)
{
    struct deployment_picture p = { .deployment = golden_first(g, "Deployment"), .can_adopt = true };

    golden_kind(g, "ReplicaSet", &p.replica_sets);
    golden_kind(g, "Pod", &p.pods);
    golden_print(g, deployment_decide(&p, "ns/web", g->now));
    deployment_picture_done(&p);
}

static int64_t
golden_number(const struct golden *g, const char *name, int64_t fallback)
{
    AUTO_FREE char *text = golden_setting(g, name);
    int64_t n;

    return !text || parse_i64(text, &n) ? fallback : n;
}

static struct api_time
golden_time(const struct golden *g, const char *name)
{
    AUTO_FREE char *text = golden_setting(g, name);
    struct api_time t = { 0 };

    if (text)
        assert_int_equal(api_time_parse(text, strlen(text), &t), 0);
    return t;
}

static struct service_picture
golden_service(struct golden *g, const char *kind)
{
    struct service_picture p = { .service = golden_first(g, "Service"), .max_per_slice = (int32_t)golden_number(g, "max", 100) };

    golden_kind(g, "Pod", &p.pods);
    golden_kind(g, "Node", &p.nodes);
    golden_kind(g, kind, &p.current);
    return p;
}

static void
golden_endpoints(struct golden *g)
{
    struct service_picture p = golden_service(g, "Endpoints");

    golden_print(g, endpoints_decide(&p, "ns/web", g->now));
    service_picture_done(&p);
}

static void
golden_endpointslice(struct golden *g)
{
    struct service_picture p = golden_service(g, "EndpointSlice");

    golden_print(g, endpointslice_decide(&p, "ns/web", g->now));
    service_picture_done(&p);
}

/* The first object; owners: setting "owners: solid absent waiting", dependents: all others. */
static void
golden_gc(struct golden *g)
{
    AUTO_FREE char *owners = golden_setting(g, "owners");
    struct gc_picture p = { .object = object_ref(g->objects.items[0]), .owners = xcalloc(8, sizeof *p.owners) };
    AUTO_OBJECT_LIST next = { 0 };
    const char *at;
    size_t len;

    for (unsigned i = 0; owners && i < 8 && str_field(owners, ' ', i, &at, &len); i++)
        p.owners[i] = *at == 'a' ? OWNER_ABSENT : *at == 'w' ? OWNER_WAITING : OWNER_SOLID;
    for (size_t i = 1; i < g->objects.len; i++)
        object_list_add_take(&p.dependents, object_ref(g->objects.items[i]));
    golden_print(g, gc_decide(&p, "0 ns x", &next));
    for (size_t i = 0; i < next.len; i++)
        sbuf_addf(&g->out, "look at %s %s\n", object_kind(next.items[i])->kind, object_name(next.items[i]));
    gc_picture_done(&p);
}

/* All three steps, as if every action worked. */
static void
golden_job(struct golden *g)
{
    AUTO_FREE char *settled = golden_setting(g, "settled"), *failures = golden_setting(g, "failures"), *last = golden_setting(g, "last_failure");
    AUTO_FREE char *removing = golden_setting(g, "removing");
    struct job_picture p = { .job = golden_first(g, "Job"), .can_adopt = true, .settled = !str_eq(settled, "false") };

    if (failures)
        assert_int_equal(parse_i32(failures, &p.backoff.failures) || api_time_parse(last, strlen(last), &p.backoff.last_failure), 0);
    if (removing)
        strlist_split(&p.removing, removing, ',');
    golden_kind(g, "Pod", &p.pods);
    struct plan *managed = job_decide(&p, "ns/job", g->now), *tracked = job_track_decide(&p, managed, "ns/job", g->now);
    golden_print(g, managed);
    sbuf_adds(&g->out, "-- then\n");
    struct action *kept = tracked->items;
    AUTO(plan) *copy = plan_new("ns/job"); /* golden_print() takes the plan; the last step wants to see the patches of it */
    for (size_t i = 0; i < tracked->len; i++)
        if (kept[i].verb == ACTION_PATCH)
            plan_patch(copy, kept[i].kind, kept[i].namespace, kept[i].name, kept[i].patch_type, NULL, kept[i].patch, kept[i].reason);
    golden_print(g, tracked);
    sbuf_adds(&g->out, "-- then\n");
    golden_print(g, job_finish_decide(&p, copy, "ns/job", g->now));
    if (p.backoff.failures)
        sbuf_addf(&g->out, "failures in a row: %d\n", p.backoff.failures);
    job_picture_done(&p);
}

/* One census of all objects but the namespace, by kind. */
static void
golden_namespace(struct golden *g)
{
    AUTO_FREE char *failed = golden_setting(g, "failed"), *discovery = golden_setting(g, "discovery_failed");
    struct namespace_picture p = { .ns = golden_first(g, "Namespace"), .discovery_failed = discovery };

    p.items = xcalloc(g->objects.len + 1, sizeof *p.items);
    for (size_t i = 0; i < g->objects.len; i++) {
        const struct api_kind *kind = object_kind(g->objects.items[i]);
        size_t at = 0;
        if (str_eq(kind->kind, "Namespace"))
            continue;
        while (at < p.len && p.items[at].kind != kind)
            at++;
        p.len = at == p.len ? at + 1 : p.len;
        p.items[at].kind = kind;
        object_list_add_take(&p.items[at].left, object_ref(g->objects.items[i]));
    }
    if (failed && p.len)
        p.items[0].failed = kerr_new(KERR_INTERNAL, "%s", failed);
    golden_print(g, namespace_decide(&p, "ns", g->now));
    namespace_picture_done(&p);
}

static void
golden_namespace_defaults(struct golden *g)
{
    AUTO(object) *ns = golden_first(g, "Namespace");
    AUTO(object) *sa = golden_first(g, "ServiceAccount");
    AUTO(object) *cm = golden_first(g, "ConfigMap");
    struct namespace_default account = { ns, sa, NULL }, ca = { ns, cm, "PEM" };

    golden_print(g, serviceaccount_decide(&account, "ns"));
    golden_print(g, root_ca_decide(&ca, "ns"));
}

/* Every node in turn, with the ranges of all. */
static void
golden_node_ipam(struct golden *g)
{
    AUTO_FREE char *cluster = golden_setting(g, "cluster_cidr"), *service = golden_setting(g, "service_cidr");
    struct kcm_options o = { .cluster_cidr = cluster, .service_cluster_ip_range = service, .node_cidr_mask_size = (int32_t)golden_number(g, "mask", 0) };
    struct node_ipam ipam;
    struct kerr *err = node_ipam_init(&ipam, &o);

    if (err) {
        sbuf_addf(&g->out, "error: %s\n", err->message);
        kerr_free(err);
        node_ipam_done(&ipam);
        return;
    }
    for (size_t i = 0; i < g->objects.len; i++)
        node_ipam_occupy(&ipam, g->objects.items[i]);
    for (size_t i = 0; i < g->objects.len; i++)
        golden_print(g, node_ipam_decide(&ipam, g->objects.items[i], object_name(g->objects.items[i])));
    node_ipam_done(&ipam);
}

static void
golden_node_lifecycle(struct golden *g)
{
    AUTO_FREE char *evict = golden_setting(g, "evict");
    struct node_picture p = { .node = golden_first(g, "Node"), .times = { 50000, 60000 } };
    AUTO(object) *lease = golden_first(g, "Lease");

    p.eviction = str_eq(evict, "never") ? EVICT_NEVER : str_eq(evict, "later") ? EVICT_LATER : EVICT_NOW;
    golden_kind(g, "Pod", &p.pods);
    struct api_time seen = golden_time(g, "seen");
    if (seen.sec)
        node_health_observe(&p.health, p.node, NULL, seen);
    node_health_observe(&p.health, p.node, lease, g->now);
    golden_print(g, node_lifecycle_decide(&p, "n1", g->now));
    node_picture_done(&p);
}

static void
golden_taint_eviction(struct golden *g)
{
    AUTO(object) *pod = golden_first(g, "Pod");
    AUTO(object) *node = golden_first(g, "Node");
    struct taint_picture p = { pod, node, golden_time(g, "since") };

    golden_print(g, taint_eviction_decide(&p, "ns/p", g->now));
}

static void
golden_pod_gc(struct golden *g)
{
    AUTO_FREE char *missing = golden_setting(g, "missing");
    struct pod_gc_picture p = { .threshold = (int32_t)golden_number(g, "threshold", 12500) };

    if (missing)
        strlist_split(&p.missing, missing, ',');
    golden_kind(g, "Pod", &p.pods);
    golden_kind(g, "Node", &p.nodes);
    golden_print(g, pod_gc_decide(&p, "sweep", g->now));
    pod_gc_picture_done(&p);
}

static void
golden_ttl_after_finished(struct golden *g)
{
    AUTO(object) *job = golden_first(g, "Job");

    golden_print(g, ttl_after_finished_decide(job, "ns/j", g->now));
}

static void
golden_clusterrole_aggregation(struct golden *g)
{
    AUTO(object) *role = golden_first(g, "ClusterRole");
    struct aggregation_picture p = { .role = role };

    golden_kind(g, "ClusterRole", &p.all);
    golden_print(g, clusterrole_aggregation_decide(&p, "admin"));
    object_list_done(&p.all);
}

static void
golden_daemonset(struct golden *g)
{
    AUTO_FREE char *settled = golden_setting(g, "settled"), *held = golden_setting(g, "held");
    struct daemonset_picture p = { .daemon_set = golden_first(g, "DaemonSet"), .can_adopt = true, .settled = !str_eq(settled, "false") };

    if (held)
        strlist_split(&p.held, held, ',');
    golden_kind(g, "Node", &p.nodes);
    golden_kind(g, "Pod", &p.pods);
    golden_kind(g, "ControllerRevision", &p.revisions);
    struct daemonset_plans plans = daemonset_decide(&p, "ns/agent", g->now);
    golden_print(g, plans.pods);
    sbuf_adds(&g->out, "-- then\n");
    golden_print(g, plans.status);
    daemonset_picture_done(&p);
}

static void
golden_statefulset(struct golden *g)
{
    struct statefulset_picture p = { .set = golden_first(g, "StatefulSet"), .can_adopt = true };

    golden_kind(g, "Pod", &p.pods);
    golden_kind(g, "ControllerRevision", &p.revisions);
    golden_kind(g, "PersistentVolumeClaim", &p.claims);
    struct statefulset_plans plans = statefulset_decide(&p, "ns/web", g->now);
    golden_print(g, plans.pods);
    sbuf_adds(&g->out, "-- then\n");
    golden_print(g, plans.status);
    statefulset_picture_done(&p);
}

static void
golden_cronjob(struct golden *g)
{
    struct cronjob_picture p = { .cron_job = golden_first(g, "CronJob") };
    AUTO(plan) *made = plan_new("ns/cj");

    golden_kind(g, "Job", &p.jobs);
    struct plan *jobs = cronjob_decide(&p, "ns/cj", g->now);
    for (size_t i = 0; i < jobs->len; i++) /* golden_print() takes the plan; the status wants to see what was made */
        if (jobs->items[i].verb == ACTION_CREATE)
            plan_create(made, object_ref(jobs->items[i].object), "");
    golden_print(g, jobs);
    sbuf_adds(&g->out, "-- then\n");
    golden_print(g, cronjob_status_decide(&p, made, "ns/cj"));
    cronjob_picture_done(&p);
}

static const struct golden_row golden_rows[] = {
    { "cronjob", golden_cronjob },
    { "daemonset", golden_daemonset },
    { "statefulset", golden_statefulset },
    { "clusterrole-aggregation", golden_clusterrole_aggregation },
    { "endpoints", golden_endpoints },
    { "endpointslice", golden_endpointslice },
    { "garbage-collector", golden_gc },
    { "job", golden_job },
    { "namespace", golden_namespace },
    { "namespace-defaults", golden_namespace_defaults },
    { "node-ipam", golden_node_ipam },
    { "node-lifecycle", golden_node_lifecycle },
    { "pod-gc", golden_pod_gc },
    { "taint-eviction", golden_taint_eviction },
    { "ttl-after-finished", golden_ttl_after_finished },
    { "deployment", golden_deployment },
    { "replicaset", golden_replicaset },
};
static const size_t golden_rows_len = ARRAY_LEN(golden_rows);

#endif
