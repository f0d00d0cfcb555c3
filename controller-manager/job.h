// SPDX-License-Identifier: Apache-2.0
/* job.h - Jobs: run pods until enough of them succeeded.
 *
 * Every pod of a Job holds the finalizer batch.kubernetes.io/job-tracking until it is counted, so that none is lost:
 *
 *   pod finished --> uid into status.uncountedTerminatedPods --> finalizer off the pod --> into succeeded / failed
 *
 * A Job ends in two steps: SuccessCriteriaMet or FailureTarget when the outcome is clear, Complete or Failed once no pod
 * of it is active, terminating or uncounted.
 */
#ifndef CKUBE_CONTROLLER_MANAGER_JOB_H
#define CKUBE_CONTROLLER_MANAGER_JOB_H

#include "controller-manager/controller.h"
#include "controller-manager/index_set.h"

#define JOB_FINALIZER "batch.kubernetes.io/job-tracking"
#define JOB_INDEX "batch.kubernetes.io/job-completion-index"
#define JOB_BURST 500
#define JOB_BACKOFF_MS 10000
#define JOB_BACKOFF_MAX_MS 600000

struct job_backoff { /* kept by the controller between syncs */
    uint32_t failures; /* in a row */
    struct api_time last_failure;
};
struct job_picture {
    const struct object *job;
    struct object_list pods; /* owned, and orphans of the namespace */
    bool can_adopt;
    bool settled; /* expectations are met */
    struct job_backoff backoff;
};
void job_picture_done(struct job_picture *p);

struct job_plans {
    struct plan *pods;   /* adoptions, creations, deletions */
    struct plan *status; /* run also when the first one failed: the status, then the finalizers */
};
struct job_plans job_decide(struct job_picture *p, const char *key, struct api_time now) MUST_CHECK;
bool job_finished(const struct job *j);
bool pod_has_job_finalizer(const struct pod *pod);

/* The other half of the file pair: job_status.c. */
struct job_view {
    struct job_picture *picture;
    const struct job *was;
    struct object *obj; /* private copy */
    struct job *j;
    struct arena *a;
    struct api_time now;
    struct object_list mine;       /* claimed pods */
    struct object_list active;
    struct object_list new_succeeded, new_failed; /* finished, not counted or noted yet */
    int32_t succeeded, failed, terminating, ready;
    bool indexed, suspended;
    struct index_set done; /* completed indexes, the new ones included */
    const struct job_condition *target; /* SuccessCriteriaMet or FailureTarget, old or new */
};
void job_view_count(struct job_view *v);
void job_condition_set(struct job_view *v, const char *type, const char *status, const char *reason, const char *message);
const struct job_condition *job_condition_find(const struct job_status *s, const char *type);
void job_note_uncounted(struct job_view *v);
void job_settle_uncounted(struct job_view *v);
void job_end(struct job_view *v, struct plan *status);
void job_plan_finalizers(struct job_view *v, struct plan *status);
int64_t job_pod_index(const struct object *pod); /* -1 = none */

#endif
