// SPDX-License-Identifier: Apache-2.0
/* ttl_after_finished.h - Jobs with ttlSecondsAfterFinished are deleted that long after their end. */
#ifndef CKUBE_CONTROLLER_MANAGER_TTL_AFTER_FINISHED_H
#define CKUBE_CONTROLLER_MANAGER_TTL_AFTER_FINISHED_H

#include "controller-manager/controller.h"

struct plan *ttl_after_finished_decide(const struct object *job, const char *key, struct api_time now) MUST_CHECK;

#endif
