// SPDX-License-Identifier: Apache-2.0
/* status_manager.h - writes pod statuses to the apiserver: the newest wins, only real changes are sent, each as a
 * strategic merge patch of the difference.  Any thread. */
#ifndef CKUBE_KUBELET_STATUS_MANAGER_H
#define CKUBE_KUBELET_STATUS_MANAGER_H

#include "common/base/sbuf.h"
#include "kubelet/kubelet.h"

struct status_manager *status_manager_new(struct kubelet *k) MUST_CHECK;
void status_manager_start(struct status_manager *sm);
void status_manager_stop(struct status_manager *sm);
void status_manager_free(struct status_manager *sm);

void status_manager_set(struct status_manager *sm, const struct object *pod); /* a pod with its new status; keeps a reference */
void status_manager_check(struct status_manager *sm, const struct object *api_pod); /* the API's view changed: is it still ours? */
void status_manager_forget(struct status_manager *sm, const char *uid);
/* Writes what is pending for the pod now, on this thread. */
struct kerr *status_manager_flush(struct status_manager *sm, const char *uid) MUST_CHECK;
/* Whose status a static pod's goes to: its mirror pod.  "" clears. */
void status_manager_mirror(struct status_manager *sm, const char *static_uid, const struct object *mirror);

/* The patch document from one status to another, with the uid as a guard; false: they are equal.  Pure. */
bool pod_status_patch(const char *uid, const struct pod_status *from, const struct pod_status *to, struct sbuf *ret);

#endif
