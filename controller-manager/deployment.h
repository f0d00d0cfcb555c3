// SPDX-License-Identifier: Apache-2.0
/* deployment.h - Deployments: one ReplicaSet per pod template, moved from old to new by the strategy.
 *
 *   deployment --template--> new ReplicaSet (hash in its name)   replicas up,   at most replicas + maxSurge in all
 *                            old ReplicaSets                     replicas down, at least replicas - maxUnavailable available
 *   then the status: counts, Available, Progressing.
 */
#ifndef CKUBE_CONTROLLER_MANAGER_DEPLOYMENT_H
#define CKUBE_CONTROLLER_MANAGER_DEPLOYMENT_H

#include "controller-manager/controller.h"

struct deployment_picture {
    const struct object *deployment;
    struct object_list replica_sets; /* owned, and orphans of the namespace */
    struct object_list pods;         /* of the owned ReplicaSets; only looked at by Recreate */
    bool can_adopt;
};
void deployment_picture_done(struct deployment_picture *p);

struct plan *deployment_decide(const struct deployment_picture *p, const char *key, struct api_time now) MUST_CHECK;
/* The new ReplicaSet could not be created.  `taken`: the one that has its name, when that was the reason. */
struct plan *deployment_create_failed_decide(const struct deployment_picture *p, const char *key, const struct object *wanted,
                                             const struct object *taken, const struct kerr *why, struct api_time now) MUST_CHECK;

/* deployment_status.c: shared by the two above.  `sets` are the claimed ReplicaSets, new_set is one of them or NULL. */
struct rset {
    struct object *obj; /* a copy once `changed` */
    struct replica_set *rs;
    bool changed;
};
struct rollout {
    const struct deployment_picture *picture;
    struct plan *plan;
    struct object *obj; /* private copy of the deployment */
    struct deployment *d;
    struct arena *a; /* its arena */
    struct api_time now;
    struct rset *sets; /* by creation time; the new one last when it is being created */
    size_t nsets;
    struct rset *new_set;
};
bool deployment_has_deadline(const struct deployment *d);
bool deployment_is_rolling(const struct deployment *d);
int32_t deployment_max_surge(const struct deployment *d);
int32_t deployment_max_unavailable(const struct deployment *d);
bool deployment_complete(const struct deployment *d, const struct deployment_status *s);
const struct deployment_condition *deployment_condition_find(const struct deployment_status *s, const char *type);
void deployment_condition_set(struct rollout *r, const char *type, const char *status, const char *reason, const char *message);
/* Counts, and with `progress` the Progressing and ReplicaFailure conditions, into r->d->status. */
void deployment_status_update(struct rollout *r, bool progress);
/* The write, when anything changed against the picture; else a look again when the deadline is due. */
void deployment_status_plan(struct rollout *r, bool progress);

#endif
