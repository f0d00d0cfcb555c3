// SPDX-License-Identifier: Apache-2.0
/* pod_util.h - what several parts ask of a pod: its containers in order, QoS, resources, restart rules.  Pure. */
#ifndef CKUBE_KUBELET_POD_UTIL_H
#define CKUBE_KUBELET_POD_UTIL_H

#include <stdbool.h>
#include <stdint.h>

#include "api_types.h"
#include "common/api/meta.h"
#include "common/base/arena.h"
#include "kubelet/cgroup.h"

enum container_kind { CONTAINER_INIT, CONTAINER_MAIN, CONTAINER_EPHEMERAL };

struct pod_container {
    const struct container *c; /* ephemeral ones too: they share the layout */
    enum container_kind kind;
    bool sidecar;       /* init container with restartPolicy Always */
    const char *target; /* ephemeral: targetContainerName */
};
/* Init, main, ephemeral, each in the order of the spec.  The array lives in the arena. */
size_t pod_containers(const struct pod *pod, struct arena *a, struct pod_container **ret);
bool pod_container_find(const struct pod *pod, const char *name, struct pod_container *ret);

enum pod_qos pod_qos_class(const struct pod *pod);
const char *pod_qos_name(enum pod_qos qos);
const char *pod_full_name(const struct pod *pod, struct arena *a); /* "web_default(uid)" as in upstream's messages */
bool pod_is_static(const struct pod *pod);        /* from a file or URL on this node */
const char *pod_static_hash(const struct pod *pod); /* annotation kubernetes.io/config.hash or .mirror; "" */
uint64_t pod_container_hash(const struct container *c); /* of what makes a running container outdated */
int64_t pod_grace_s(const struct pod *pod);       /* deletionGracePeriodSeconds, else terminationGracePeriodSeconds, else 30 */
bool pod_phase_terminal(const char *phase);

/* Does a container that ended so start again, while the pod lives? */
bool pod_should_restart(const struct pod *pod, const struct pod_container *pc, int32_t exit_code);

/* Requests and limits in milli-CPU and bytes; limit 0 = none.  What the scheduler counts for the pod. */
struct pod_resources {
    int64_t cpu_request, cpu_limit, memory_request, memory_limit;
    bool cpu_limited, memory_limited; /* every container has the limit */
};
struct pod_resources pod_resources_of(const struct pod *pod);
struct pod_resources container_resources_of(const struct container *c);
int64_t pod_oom_score_adj(const struct pod *pod, const struct container *c, int64_t memory_capacity);

#define A_STATIC_SOURCE "kubernetes.io/config.source"
#define A_STATIC_HASH "kubernetes.io/config.hash"
#define A_STATIC_SEEN "kubernetes.io/config.seen"
#define A_MIRROR "kubernetes.io/config.mirror"

#endif
