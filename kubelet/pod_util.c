// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_util.h"

#include <stddef.h>

#include "common/api/values.h"
#include "kubelet/api_build.h"

/* An ephemeral container is read as a container. */
_Static_assert(sizeof(struct ephemeral_container_common) == sizeof(struct container), "layouts differ");
_Static_assert(offsetof(struct ephemeral_container_common, tty) == offsetof(struct container, tty), "layouts differ");
_Static_assert(offsetof(struct ephemeral_container_common, volume_mounts) == offsetof(struct container, volume_mounts), "layouts differ");
_Static_assert(offsetof(struct ephemeral_container_common, security_context) == offsetof(struct container, security_context), "layouts differ");

size_t
pod_containers(const struct pod *pod, struct arena *a, struct pod_container **ret)
{
    const struct pod_spec *s = &pod->spec;
    size_t n = 0;
    struct pod_container *all = arena_alloc(a, (s->init_containers.len + s->containers.len + s->ephemeral_containers.len + 1) * sizeof *all);

    for (uint32_t i = 0; i < s->init_containers.len; i++, n++)
        all[n] = (struct pod_container){ &s->init_containers.items[i], CONTAINER_INIT,
                                         str_eq(s->init_containers.items[i].restart_policy, "Always"), NULL };
    for (uint32_t i = 0; i < s->containers.len; i++, n++)
        all[n] = (struct pod_container){ &s->containers.items[i], CONTAINER_MAIN, false, NULL };
    for (uint32_t i = 0; i < s->ephemeral_containers.len; i++, n++)
        all[n] = (struct pod_container){ (const struct container *)&s->ephemeral_containers.items[i].ephemeral_container_common,
                                         CONTAINER_EPHEMERAL, false, s->ephemeral_containers.items[i].target_container_name };
    *ret = all;
    return n;
}

bool
pod_container_find(const struct pod *pod, const char *name, struct pod_container *ret)
{
    AUTO(arena) *a = arena_new(0);
    struct pod_container *all;
    size_t n = pod_containers(pod, a, &all);

    for (size_t i = 0; i < n; i++)
        if (str_eq(all[i].c->name, name)) {
            *ret = all[i];
            return true;
        }
    return false;
}

static int64_t
milli_of(const struct quantity_map *m, const char *what)
{
    const struct quantity *q = quantity_map_value(m, what);

    return q ? quantity_milli(*q) : 0;
}

static int64_t
value_of(const struct quantity_map *m, const char *what)
{
    const struct quantity *q = quantity_map_value(m, what);

    return q ? quantity_value(*q) : 0;
}

struct pod_resources
container_resources_of(const struct container *c)
{
    struct pod_resources r = {
        .cpu_request = milli_of(&c->resources.requests, "cpu"),
        .cpu_limit = milli_of(&c->resources.limits, "cpu"),
        .memory_request = value_of(&c->resources.requests, "memory"),
        .memory_limit = value_of(&c->resources.limits, "memory"),
    };

    r.cpu_limited = r.cpu_limit > 0;
    r.memory_limited = r.memory_limit > 0;
    if (!quantity_map_value(&c->resources.requests, "cpu"))
        r.cpu_request = r.cpu_limit;
    if (!quantity_map_value(&c->resources.requests, "memory"))
        r.memory_request = r.memory_limit;
    return r;
}

static int64_t
max64(int64_t x, int64_t y)
{
    return x > y ? x : y;
}

/* Sum of the main containers and sidecars, or the largest moment of the init phase, whichever is more. */
struct pod_resources
pod_resources_of(const struct pod *pod)
{
    struct pod_resources sum = { .cpu_limited = true, .memory_limited = true }, side = { 0 }, peak = { 0 };
    const struct pod_spec *s = &pod->spec;

    for (uint32_t i = 0; i < s->containers.len; i++) {
        struct pod_resources r = container_resources_of(&s->containers.items[i]);

        sum.cpu_request += r.cpu_request;
        sum.cpu_limit += r.cpu_limit;
        sum.memory_request += r.memory_request;
        sum.memory_limit += r.memory_limit;
        sum.cpu_limited &= r.cpu_limited;
        sum.memory_limited &= r.memory_limited;
    }
    for (uint32_t i = 0; i < s->init_containers.len; i++) {
        const struct container *c = &s->init_containers.items[i];
        struct pod_resources r = container_resources_of(c);
        bool sidecar = str_eq(c->restart_policy, "Always");

        if (sidecar) {
            side.cpu_request += r.cpu_request;
            side.cpu_limit += r.cpu_limit;
            side.memory_request += r.memory_request;
            side.memory_limit += r.memory_limit;
        }
        sum.cpu_limited &= r.cpu_limited;
        sum.memory_limited &= r.memory_limited;
        peak.cpu_request = max64(peak.cpu_request, side.cpu_request + (sidecar ? 0 : r.cpu_request));
        peak.cpu_limit = max64(peak.cpu_limit, side.cpu_limit + (sidecar ? 0 : r.cpu_limit));
        peak.memory_request = max64(peak.memory_request, side.memory_request + (sidecar ? 0 : r.memory_request));
        peak.memory_limit = max64(peak.memory_limit, side.memory_limit + (sidecar ? 0 : r.memory_limit));
    }
    sum.cpu_request = max64(sum.cpu_request + side.cpu_request, peak.cpu_request) + milli_of(&s->overhead, "cpu");
    sum.memory_request = max64(sum.memory_request + side.memory_request, peak.memory_request) + value_of(&s->overhead, "memory");
    sum.cpu_limit = max64(sum.cpu_limit + side.cpu_limit, peak.cpu_limit);
    sum.memory_limit = max64(sum.memory_limit + side.memory_limit, peak.memory_limit);
    if (sum.cpu_limited)
        sum.cpu_limit += milli_of(&s->overhead, "cpu");
    if (sum.memory_limited)
        sum.memory_limit += value_of(&s->overhead, "memory");
    if (s->resources) { /* pod-level resources win */
        if (quantity_map_value(&s->resources->requests, "cpu"))
            sum.cpu_request = milli_of(&s->resources->requests, "cpu");
        if (quantity_map_value(&s->resources->requests, "memory"))
            sum.memory_request = value_of(&s->resources->requests, "memory");
        if (quantity_map_value(&s->resources->limits, "cpu")) {
            sum.cpu_limit = milli_of(&s->resources->limits, "cpu");
            sum.cpu_limited = true;
        }
        if (quantity_map_value(&s->resources->limits, "memory")) {
            sum.memory_limit = value_of(&s->resources->limits, "memory");
            sum.memory_limited = true;
        }
    }
    return sum;
}

enum pod_qos
pod_qos_class(const struct pod *pod)
{
    const struct container_slice *lists[] = { &pod->spec.init_containers, &pod->spec.containers };
    bool any = false, guaranteed = true;

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (uint32_t i = 0; i < lists[l]->len; i++) {
            struct pod_resources r = container_resources_of(&lists[l]->items[i]);

            any |= r.cpu_request || r.cpu_limit || r.memory_request || r.memory_limit;
            guaranteed &= r.cpu_limited && r.memory_limited && r.cpu_request == r.cpu_limit && r.memory_request == r.memory_limit;
        }
    return !any ? QOS_BEST_EFFORT : guaranteed ? QOS_GUARANTEED : QOS_BURSTABLE;
}

const char *
pod_qos_name(enum pod_qos qos)
{
    return qos == QOS_GUARANTEED ? "Guaranteed" : qos == QOS_BURSTABLE ? "Burstable" : "BestEffort";
}

const char *
pod_full_name(const struct pod *pod, struct arena *a)
{
    return arena_printf(a, "%s_%s(%s)", str_safe(pod->metadata.name), str_safe(pod->metadata.namespace), str_safe(pod->metadata.uid));
}

bool
pod_is_static(const struct pod *pod)
{
    const char *source = string_map_get(&pod->metadata.annotations, A_STATIC_SOURCE);

    return source && strcmp(source, "api") != 0 && !pod_is_mirror(pod);
}

const char *
pod_static_hash(const struct pod *pod)
{
    const char *mirror = string_map_get(&pod->metadata.annotations, A_MIRROR);

    return mirror ? mirror : str_safe(string_map_get(&pod->metadata.annotations, A_STATIC_HASH));
}

/* Name and image: what may change under a running pod and asks for a new container. */
uint64_t
pod_container_hash(const struct container *c)
{
    uint32_t h = fnv32a(FNV32_INIT, str_safe(c->name), strlen(str_safe(c->name)));

    h = fnv32a(h, "\0", 1);
    return fnv32a(h, str_safe(c->image), strlen(str_safe(c->image)));
}

int64_t
pod_grace_s(const struct pod *pod)
{
    int64_t grace = 30;

    if (pod->spec.termination_grace_period_seconds)
        grace = *pod->spec.termination_grace_period_seconds;
    if (pod->metadata.deletion_timestamp && pod->metadata.deletion_grace_period_seconds)
        grace = *pod->metadata.deletion_grace_period_seconds;
    return grace < 0 ? 1 : grace;
}

bool
pod_phase_terminal(const char *phase)
{
    return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

static bool
rule_matches(const struct container_restart_rule *r, int32_t exit_code)
{
    bool in = false;

    if (!r->exit_codes)
        return false;
    for (uint32_t i = 0; i < r->exit_codes->values.len; i++)
        in |= r->exit_codes->values.items[i] == exit_code;
    return str_eq(r->exit_codes->operator, "NotIn") ? !in : in;
}

bool
pod_should_restart(const struct pod *pod, const struct pod_container *pc, int32_t exit_code)
{
    const char *policy = str_or(pc->c->restart_policy, str_or(pod->spec.restart_policy, "Always"));

    if (pc->kind == CONTAINER_EPHEMERAL)
        return false;
    if (pc->sidecar)
        return true;
    for (uint32_t i = 0; i < pc->c->restart_policy_rules.len; i++)
        if (rule_matches(&pc->c->restart_policy_rules.items[i], exit_code))
            return true; /* the only action there is */
    if (pc->kind == CONTAINER_INIT && exit_code == 0)
        return false;
    if (str_eq(policy, "Never"))
        return false;
    return pc->kind == CONTAINER_INIT || str_eq(policy, "Always") || exit_code != 0;
}

int64_t
pod_oom_score_adj(const struct pod *pod, const struct container *c, int64_t memory_capacity)
{
    enum pod_qos qos = pod_qos_class(pod);
    int64_t request = container_resources_of(c).memory_request, adj;

    if (str_eq(pod->spec.priority_class_name, "system-node-critical") || qos == QOS_GUARANTEED)
        return -997;
    if (qos == QOS_BEST_EFFORT || memory_capacity <= 0)
        return 1000;
    adj = 1000 - (int64_t)((double)request * 1000.0 / (double)memory_capacity);
    if (adj < 3)
        return 3; /* above the Guaranteed ones */
    return adj == 1000 ? 999 : adj;
}
