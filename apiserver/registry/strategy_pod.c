// SPDX-License-Identifier: Apache-2.0
/* Pods: status is born Pending with its QoS class, deletion has a grace period. */
#include "apiserver/registry/strategies.h"
#include "common/api/meta.h"
#include "common/base/str.h"

static void
prepare_create(const struct write_context *c, struct arena *a, void *body)
{
    struct pod *pod = body;

    pod->status = (struct pod_status){ .phase = "Pending", .qos_class = pod_qos(&pod->spec) };
    if (pod->spec.scheduling_gates.len)
        pod_condition_set(&pod->status, a, "PodScheduled", "False", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates",
                          (struct api_time){ 0 });
}

static void
prepare_update(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    struct pod *pod = body;

    pod->status = ((const struct pod *)old)->status;
}

static void
prepare_status(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    const struct pod *was = old;
    struct pod *pod = body;

    pod->spec = was->spec;
    pod->metadata.deletion_timestamp = was->metadata.deletion_timestamp;
    pod->metadata.owner_references = was->metadata.owner_references;
    if (str_empty(pod->status.qos_class))
        pod->status.qos_class = was->status.qos_class;
    if (!pod->status.host_ips.len && !str_empty(pod->status.host_ip)) {
        pod->status.host_ips.items = ARENA_NEW(a, struct host_ip);
        pod->status.host_ips.items[0].ip = pod->status.host_ip;
        pod->status.host_ips.len = pod->status.host_ips.cap = 1;
    }
    if (!pod->status.pod_ips.len && !str_empty(pod->status.pod_ip)) {
        pod->status.pod_ips.items = ARENA_NEW(a, struct pod_ip);
        pod->status.pod_ips.items[0].ip = pod->status.pod_ip;
        pod->status.pod_ips.len = pod->status.pod_ips.cap = 1;
    }
}

/* Nobody runs a pod without a node, and nothing runs any more in one that is over: those go at once. */
static int64_t
grace_seconds(const void *body, const int64_t *asked)
{
    const struct pod *pod = body;
    int64_t grace = asked ? *asked : pod->spec.termination_grace_period_seconds ? *pod->spec.termination_grace_period_seconds : 30;

    if (str_empty(pod->spec.node_name) || str_eq(pod->status.phase, "Succeeded") || str_eq(pod->status.phase, "Failed"))
        return 0;
    return grace < 0 ? 1 : grace;
}

const struct strategy strategy_pod = {
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .prepare_status = prepare_status,
    .grace_seconds = grace_seconds,
    .returns_deleted = true,
};
