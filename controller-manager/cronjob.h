// SPDX-License-Identifier: Apache-2.0
/* cronjob.h - Jobs by schedule: the last time that was missed gets its Job, old Jobs are cleared away. */
#ifndef CKUBE_CONTROLLER_MANAGER_CRONJOB_H
#define CKUBE_CONTROLLER_MANAGER_CRONJOB_H

#include "controller-manager/controller.h"

struct cronjob_picture {
    const struct object *cronjob;
    struct object_list jobs; /* owned */
};
void cronjob_picture_done(struct cronjob_picture *p);

struct plan *cronjob_decide(const struct cronjob_picture *p, const char *key, struct api_time now) MUST_CHECK;

#endif
