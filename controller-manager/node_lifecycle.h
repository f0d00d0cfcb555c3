// SPDX-License-Identifier: Apache-2.0
/* node_lifecycle.h - nodes that stop reporting become Unknown, conditions become taints.
 *
 *   Lease renewals, status heartbeats --observe--> health (when was the last sign of life?)
 *   older than the grace period  -> conditions Unknown; its pods are marked not ready
 *   conditions                   -> NoSchedule taints at once; NoExecute taints at the zone's eviction rate
 */
#ifndef CKUBE_CONTROLLER_MANAGER_NODE_LIFECYCLE_H
#define CKUBE_CONTROLLER_MANAGER_NODE_LIFECYCLE_H

#include "controller-manager/controller.h"

struct node_health { /* what was seen last; all zero = never */
    struct api_time renewed;   /* of the Lease */
    struct api_time heartbeat; /* of the Ready condition */
    bool had_ready;
    struct api_time sign_of_life; /* our own clock when one of them last changed */
};
struct node_times {
    int64_t grace_ms, startup_grace_ms;
};
void node_health_observe(struct node_health *h, const struct object *node, const struct object *lease, struct api_time now);

enum evict_when { EVICT_NOW, EVICT_LATER, EVICT_NEVER /* no zone is healthy: it is we who cannot see */ };
struct node_picture {
    const struct object *node;
    struct node_health health;
    struct node_times times;
    struct object_list pods; /* on the node */
    enum evict_when eviction;
};
void node_picture_done(struct node_picture *p);

struct plan *node_lifecycle_decide(const struct node_picture *p, const char *key, struct api_time now) MUST_CHECK;
/* Has the node to get a NoExecute taint that it does not have? (Then eviction must be asked for.) */
bool node_wants_eviction(const struct object *node);

/* --- zones --- */
enum zone_state { ZONE_NORMAL, ZONE_PARTIAL, ZONE_FULL };
enum zone_state zone_state_of(unsigned ready, unsigned not_ready, double unhealthy_threshold);

#endif
