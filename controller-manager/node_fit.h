// SPDX-License-Identifier: Apache-2.0
/* node_fit.h - may a pod be on a node: node selector, required node affinity, taints.  Pure. */
#ifndef CKUBE_CONTROLLER_MANAGER_NODE_FIT_H
#define CKUBE_CONTROLLER_MANAGER_NODE_FIT_H

#include "controller-manager/controller.h"

bool node_fits_affinity(const struct pod_spec *pod, const struct node *node); /* nodeSelector and required node affinity */
/* All taints with that effect ("NoSchedule", "NoExecute") are tolerated. */
bool node_taints_tolerated(const struct pod_spec *pod, const struct node *node, const char *effect);

#endif
