// SPDX-License-Identifier: Apache-2.0
/* replicas.h - ReplicaSet and ReplicationController: keep N pods of a template.  Both kinds are seen through one picture.
 *
 *   pods (owned, orphans) -> claim -> active pods --+--> too few: create a batch;  too many: delete by rank
 *                                                   '--> status (after the scaling, with its error)
 */
#ifndef CKUBE_CONTROLLER_MANAGER_REPLICAS_H
#define CKUBE_CONTROLLER_MANAGER_REPLICAS_H

#include "controller-manager/controller.h"

#define REPLICAS_BURST 500 /* most creations or deletions of one sync */

struct replicas_picture {
    const struct object *owner; /* ReplicaSet or ReplicationController */
    struct object_list pods;    /* owned, and orphans of the namespace */
    struct object_list related; /* pods of all ReplicaSets of the same Deployment: for the deletion rank */
    bool can_adopt;
    bool settled; /* expectations are met: scaling is allowed */
    /* by replicas_decide(): */
    struct object_list active; /* claimed and active */
    struct object_list terminating;
};
void replicas_picture_done(struct replicas_picture *p);

/* Adoptions, releases and the scaling. */
struct plan *replicas_decide(struct replicas_picture *p, const char *key, struct api_time now) MUST_CHECK;
/* The status after it; scale_err: what went wrong, or NULL. */
struct plan *replicas_status_decide(const struct replicas_picture *p, const char *key, const struct kerr *scale_err, struct api_time now) MUST_CHECK;

#endif
