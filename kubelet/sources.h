// SPDX-License-Identifier: Apache-2.0
/* sources.h - where pods and what they refer to come from: the apiserver's informers feed the pod workers, and
 * ConfigMaps, Secrets, claims and tokens are asked for when a pod needs them. */
#ifndef CKUBE_KUBELET_SOURCES_H
#define CKUBE_KUBELET_SOURCES_H

#include "kubelet/kubelet.h"

struct static_pods;

/* Fills k->src and, with an apiserver, makes k->informers and hangs the workers, static pods and the node on them. */
struct kerr *sources_init(struct kubelet *k, struct static_pods *sp) MUST_CHECK;
void sources_start(struct kubelet *k);

#endif
