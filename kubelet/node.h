// SPDX-License-Identifier: Apache-2.0
/* node.h - this node at the apiserver: registration, status, lease.  The lease has a loop of its own, so that no slow
 * pod or status ever makes the node look dead. */
#ifndef CKUBE_KUBELET_NODE_H
#define CKUBE_KUBELET_NODE_H

#include "kubelet/kubelet.h"

struct node_agent *node_new(struct kubelet *k) MUST_CHECK;
void node_start(struct node_agent *n); /* threads: status, lease */
void node_stop(struct node_agent *n);
void node_free(struct node_agent *n);
const char *node_uid_of(struct node_agent *n); /* "" until registered; stays valid */
/* The API's node object changed: podCIDR, uid. */
void node_seen(struct node_agent *n, const struct object *node);
void node_gone(struct node_agent *n); /* somebody deleted it: it is registered again */
/* Looks at the machine once: addresses, capacity; fills k->identity and the allocatable figures. */
struct kerr *node_inspect(struct kubelet *k) MUST_CHECK;

/* What the status is made of; tests fill it by hand. */
struct node_picture {
    const struct kubelet_config *cfg;
    int64_t cpus, memory, ephemeral; /* capacity */
    int64_t hugepages_2m, hugepages_1g;
    const char *machine_id, *system_uuid, *boot_id, *kernel, *os_image, *architecture, *runtime_version;
    const char *const *ips;
    size_t nips;
    const char *hostname;
    struct runtime_info runtime;
    char *runtime_error; /* the runtime cannot be asked: why */
    bool memory_pressure, disk_pressure, pid_pressure;
    const struct rt_image_list *images;
    const struct object *now; /* the API's node */
    int64_t now_s;
};
/* Pure: the status as it should be; everything in the arena. */
void node_status_make(const struct node_picture *p, struct arena *a, struct node_status *ret);
/* The object to register with. */
struct object *node_object_make(const struct node_picture *p) MUST_CHECK;

#endif
