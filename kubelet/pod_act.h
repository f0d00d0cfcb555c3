// SPDX-License-Identifier: Apache-2.0
/* pod_act.h - carries out one action of a pod's plan.  On the worker's thread; what takes long goes to the jobs pool. */
#ifndef CKUBE_KUBELET_POD_ACT_H
#define CKUBE_KUBELET_POD_ACT_H

#include "kubelet/pod_decide.h"
#include "kubelet/pod_worker.h"

/* *ret_again: something changed at once, look again.  Failures end up in the record and in events; an error is only
 * what the whole pod has to wait for (the runtime or the apiserver cannot be reached). */
struct kerr *pod_act(struct pod_worker *w, struct object *pod, const struct rt_pod *rt, const struct pod_action *x, bool *ret_again) MUST_CHECK;
/* Volumes again, for a running pod: tokens, changed ConfigMaps. */
void pod_act_refresh_volumes(struct pod_worker *w, struct object *pod, const struct rt_pod *rt);
char *pod_log_dir(const struct kubelet_config *cfg, const struct pod *pod) MUST_CHECK;

#endif
