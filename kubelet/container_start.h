// SPDX-License-Identifier: Apache-2.0
/* container_start.h - from "start this container" to a running one: image, environment, mounts, create, start, postStart.
 * On the worker's thread; pulls and postStart hooks go to the jobs pool. */
#ifndef CKUBE_KUBELET_CONTAINER_START_H
#define CKUBE_KUBELET_CONTAINER_START_H

#include "kubelet/pod_decide.h"
#include "kubelet/pod_worker.h"

/* What goes wrong ends up in the record (reason and message of the waiting state) and in events. */
struct kerr *container_start(struct pod_worker *w, struct object *pod, const struct rt_pod *rt, const struct pod_action *x,
                             bool *ret_again) MUST_CHECK;
char *container_log_link(const struct kubelet_config *cfg, const struct pod *pod, const char *container, const char *id) MUST_CHECK;
/* In pod_act.c.  `keep` owns strings that rq points to. */
struct kerr *pod_sandbox_request(struct kubelet *k, const struct pod *pod, uint32_t attempt, struct sandbox_request *rq,
                                 struct strlist *keep) MUST_CHECK;

#endif
