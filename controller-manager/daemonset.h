// SPDX-License-Identifier: Apache-2.0
/* daemonset.h - DaemonSets: one pod on every node that fits.
 *
 *   nodes x template -> should it run there, may it stay? --+--> create, delete    (manage)
 *   pods by node, by revision ------------------------------+--> replace old pods  (rolling update, when manage had nothing to do)
 *                                                           '--> status, old revisions
 */
#ifndef CKUBE_CONTROLLER_MANAGER_DAEMONSET_H
#define CKUBE_CONTROLLER_MANAGER_DAEMONSET_H

#include "controller-manager/controller.h"

#define DAEMONSET_BURST 250

struct daemonset_picture {
    const struct object *daemon_set;
    struct object_list nodes, pods, revisions; /* pods and revisions: owned, and orphans of the namespace */
    bool can_adopt;
    bool settled;
    struct strlist held; /* nodes where a failed pod is not replaced yet */
};
void daemonset_picture_done(struct daemonset_picture *p);

struct daemonset_plans {
    struct plan *pods;   /* revisions, adoptions, creations, deletions */
    struct plan *status; /* afterwards, also when the first one failed */
};
struct daemonset_plans daemonset_decide(const struct daemonset_picture *p, const char *key, struct api_time now) MUST_CHECK;
/* Should a pod of it run on the node, may one that is there stay? */
void daemonset_judge_node(const struct object *daemon_set, const struct object *node, bool *ret_run, bool *ret_stay);
const char *daemonset_pod_node(const struct pod *pod); /* where it is or will be; or NULL */

#endif
