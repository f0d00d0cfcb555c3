// SPDX-License-Identifier: Apache-2.0
/* cronjob.h - CronJobs: a Job at each time of a schedule. */
#ifndef CKUBE_CONTROLLER_MANAGER_CRONJOB_H
#define CKUBE_CONTROLLER_MANAGER_CRONJOB_H

#include "controller-manager/controller.h"

struct cronjob_picture {
    const struct object *cron_job;
    struct object_list jobs; /* owned */
    /* by cronjob_decide() */
    struct object *next; /* copy of it with the new status */
    bool changed;
    int64_t scheduled_unix_s; /* of the job in the plan */
};
void cronjob_picture_done(struct cronjob_picture *p);

/* Jobs to delete and to create; and when to look again. */
struct plan *cronjob_decide(struct cronjob_picture *p, const char *key, struct api_time now) MUST_CHECK;
/* The status after that plan, with the job it made. */
struct plan *cronjob_status_decide(struct cronjob_picture *p, const struct plan *done, const char *key) MUST_CHECK;

#endif
