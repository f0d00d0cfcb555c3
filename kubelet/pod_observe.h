// SPDX-License-Identifier: Apache-2.0
/* pod_observe.h - what a worker notes in the pod's record when it sees a container for the first time running, or for
 * the first time ended: probe state, termination message.  On the worker's thread. */
#ifndef CKUBE_KUBELET_POD_OBSERVE_H
#define CKUBE_KUBELET_POD_OBSERVE_H

#include "kubelet/pod_decide.h"
#include "kubelet/pod_worker.h"

void pod_note_ends(struct pod_worker *w, const struct rt_pod *rt);   /* reads the termination message, ends the probes */
void pod_note_starts(struct pod_worker *w, const struct pod *pod, const struct rt_pod *rt); /* begins the probes */

#endif
