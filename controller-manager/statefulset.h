// SPDX-License-Identifier: Apache-2.0
/* statefulset.h - StatefulSets: pods <set>-0, <set>-1, ... each with its own claims, made and ended in order.
 *
 *   pods by ordinal --+--> 0 .. replicas-1 ascending: make, wait until available (OrderedReady), or all at once (Parallel)
 *                     +--> the others descending: delete
 *                     '--> rolling update from the highest ordinal down to the partition: delete, the next sync makes anew
 */
#ifndef CKUBE_CONTROLLER_MANAGER_STATEFULSET_H
#define CKUBE_CONTROLLER_MANAGER_STATEFULSET_H

#include "controller-manager/controller.h"

struct statefulset_picture {
    const struct object *set;
    struct object_list pods, revisions; /* owned, and orphans of the namespace */
    struct object_list claims;          /* PersistentVolumeClaims of the namespace */
    bool can_adopt;
};
void statefulset_picture_done(struct statefulset_picture *p);

struct statefulset_plans {
    struct plan *pods;   /* revisions, claims, pods */
    struct plan *status; /* afterwards, also when the first one failed */
};
struct statefulset_plans statefulset_decide(const struct statefulset_picture *p, const char *key, struct api_time now) MUST_CHECK;
/* The ordinal of a pod that is named after the set; -1: it is not. */
int64_t statefulset_ordinal(const struct object *set, const struct object *pod);

#endif
