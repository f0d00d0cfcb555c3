// SPDX-License-Identifier: Apache-2.0
/* kubelet.h - what the parts of the kubelet share: the configuration and one pointer to each neighbour.
 *
 *   static files, apiserver --pods--> pod_worker --decide--> pod_act --> cri/, volumes, cgroup, image, handler
 *                                        |   ^                             |
 *                          status_manager    +--- pleg (runtime events) ---+--- prober
 *   node: registration, status, lease                     server/: logs, exec, metrics
 *
 * Made by kubelet_main.c, read-only afterwards; every part guards its own state. */
#ifndef CKUBE_KUBELET_KUBELET_H
#define CKUBE_KUBELET_KUBELET_H

#include "common/client/events.h"
#include "common/client/rest.h"
#include "kubelet/cgroup.h"
#include "kubelet/cri/runtime.h"
#include "kubelet/kubelet_config.h"
#include "kubelet/object_source.h"
#include "kubelet/pod_net_files.h"
#include "kubelet/pod_status.h"

struct daemon;
struct images;
struct informer;
struct informers;
struct node_agent;
struct pleg;
struct pod_workers;
struct pool;
struct prober;
struct status_manager;

struct kubelet {
    struct kubelet_config cfg;
    struct daemon *daemon;
    struct runtime *rt;
    struct cgroups *cg;
    struct rest *rest;         /* NULL: standalone */
    struct events *events;     /* never NULL */
    struct informers *informers;
    struct informer *pods, *services, *nodes; /* NULL: standalone */
    struct pool *jobs;         /* what may take long: pulls, kills, hooks */
    struct pod_workers *workers;
    struct pleg *pleg;
    struct status_manager *status;
    struct prober *prober;
    struct images *images;
    struct node_agent *node;
    struct object_source src;
    struct resolver resolver;
    struct node_identity identity;
    int64_t memory_capacity, cpu_capacity_milli;
    int64_t allocatable_memory, allocatable_cpu_milli, allocatable_ephemeral;
    char runtime_name[64];
};

/* An event about a pod, or (container not NULL) one of its containers. */
void kubelet_event(struct kubelet *k, const struct pod *pod, const char *container, const char *type, const char *reason,
                   const char *fmt, ...) PRINTF_LIKE(6, 7);
void kubelet_facts(struct kubelet *k, const struct pod *pod, const struct rt_pod *rt, struct pod_facts *ret);

#endif
