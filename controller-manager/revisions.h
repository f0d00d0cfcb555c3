// SPDX-License-Identifier: Apache-2.0
/* revisions.h - ControllerRevisions: the pod templates a DaemonSet or StatefulSet had, so that it can tell old pods from
 * new ones and kubectl can roll back.  data is the strategic merge patch {"spec":{"template":{...,"$patch":"replace"}}}. */
#ifndef CKUBE_CONTROLLER_MANAGER_REVISIONS_H
#define CKUBE_CONTROLLER_MANAGER_REVISIONS_H

#include "controller-manager/controller.h"

#define L_REVISION_HASH "controller-revision-hash" /* on pods: hash (DaemonSet) or revision name (StatefulSet) */

void revisions_sort(struct object_list *l); /* the oldest first */
struct kerr *revision_template(const struct object *revision, struct arena *a, struct pod_template_spec *ret) MUST_CHECK;
bool revision_is_of(const struct object *revision, const struct pod_template_spec *t);
/* Named "<owner>-<hash>", with the labels of the template and hash_label = hash. */
struct object *revision_new(const struct object *owner, const struct pod_template_spec *t, const char *hash, const char *hash_label, int64_t number);
/* The revision that has the template: the newest of them, moved to the end of the history, or a new one; into the plan and
 * to the end of `history`, which is sorted.  *collisions goes up when another template has the name.  The caller's reference. */
struct object *revision_for(struct object_list *history, const struct object *owner, const struct pod_template_spec *t, const char *hash_label,
                            int32_t *collisions, struct plan *plan);
/* Deletes the oldest that are not live until at most `limit` of those are left. */
void revisions_trim(const struct object_list *history, int32_t limit, bool (*live)(const struct object *revision, void *arg), void *arg, struct plan *plan);

#endif
