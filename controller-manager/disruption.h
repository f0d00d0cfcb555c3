// SPDX-License-Identifier: Apache-2.0
/* disruption.h - the condition DisruptionTarget, which says on a pod why it was deleted. */
#ifndef CKUBE_CONTROLLER_MANAGER_DISRUPTION_H
#define CKUBE_CONTROLLER_MANAGER_DISRUPTION_H

#include "controller-manager/controller.h"

/* A status patch with the condition, and the phase Failed when `fail` and the pod is not terminal; nothing when it is so already. */
void plan_disruption_target(struct plan *plan, const struct object *pod, const char *reason, const char *message, bool fail, struct api_time now);

#endif
