// SPDX-License-Identifier: Apache-2.0
/* job.h - Jobs: run pods of a template until enough of them have succeeded, or too many have failed.
 *
 *   pods (owned, orphans) -> claim -> counts -> has it ended? --+--> yes: delete what is active
 *                                                               '--> no: create or delete pods           job_decide()
 *   finished pods -> status.uncountedTerminatedPods, conditions; then their finalizer is removed         job_track_decide()
 *   pods without finalizer move from "uncounted" to the counters; Complete or Failed at the very end     job_finish_decide()
 *
 * The finalizer batch.kubernetes.io/job-tracking keeps a pod until it is in the status, so none is lost or counted twice.
 * The three steps share the picture; each takes the plan of the step before with what became of its actions. */
#ifndef CKUBE_CONTROLLER_MANAGER_JOB_H
#define CKUBE_CONTROLLER_MANAGER_JOB_H

#include "controller-manager/controller.h"
#include "controller-manager/job_indexes.h"

#define JOB_FINALIZER "batch.kubernetes.io/job-tracking"
#define JOB_INDEX "batch.kubernetes.io/job-completion-index"
#define JOB_BURST 500        /* most creations or deletions of one sync */
#define JOB_UNCOUNTED_MAX 500 /* most pods in status.uncountedTerminatedPods */
#define JOB_BACKOFF_S 10
#define JOB_BACKOFF_MAX_S 600

/* Failures since the last success, in a row: new pods wait 10 s, 20 s, ... after the last one. */
struct job_backoff {
    int32_t failures;
    struct api_time last_failure;
};

struct job_counts {
    int32_t active, ready, terminating, succeeded, failed;
};

struct job_picture {
    const struct object *job;
    struct object_list pods; /* owned, and orphans of the namespace */
    bool can_adopt;
    bool settled;           /* expectations are met: creations and deletions are allowed */
    struct strlist removing; /* uids of pods whose finalizer was taken away; the copy may not show it yet */
    struct job_backoff backoff; /* by job_decide(): to be remembered when job_track_decide()'s status is written */
    /* --- by the steps --- */
    struct object *next; /* copy of the job with the new status; its arena has what is below */
    struct job *j;
    struct object_list mine, active;
    struct object_list unfinalize; /* finished pods that lose the finalizer in step 2 */
    struct job_counts n;
    struct index_set was_succeeded, succeeded, failed;
    struct object **delayed; /* backoffLimitPerIndex: by index, the failed pod that waits for its replacement */
    const struct job_condition *finished; /* what the job has come to, or NULL */
    bool suspend_changed, status_due, over_limit;
};
void job_picture_done(struct job_picture *p);

bool job_finished(const struct job *j); /* Complete or Failed */
bool job_managed_elsewhere(const struct job *j);
struct api_time job_finish_time(const struct job *j); /* zero when not finished */
const struct job_condition *job_condition_find(const struct job_status *s, const char *type);

struct plan *job_decide(struct job_picture *p, const char *key, struct api_time now) MUST_CHECK;
struct plan *job_track_decide(struct job_picture *p, const struct plan *managed, const char *key, struct api_time now) MUST_CHECK;
struct plan *job_finish_decide(struct job_picture *p, const struct plan *tracked, const char *key, struct api_time now) MUST_CHECK;

/* --- job_policy.c: what the failure of a pod means --- */
enum job_failure { JOB_COUNT, JOB_IGNORE, JOB_FAIL, JOB_FAIL_INDEX };
/* message may be NULL; else it is set for JOB_FAIL, from the arena. */
enum job_failure job_pod_failure(const struct job *j, const struct pod *pod, struct arena *a, char **ret_message);
bool job_replaces_failed_only(const struct job *j); /* podReplacementPolicy: Failed */
bool job_pod_failed(const struct job *j, const struct pod *pod);
struct api_time job_pod_finish_time(const struct pod *pod);
int32_t job_pod_index(const struct pod *pod); /* -1 = none */
uint64_t job_backoff_left_ms(struct job_backoff b, struct api_time now);
bool job_success_policy_met(const struct job *j, struct index_set succeeded, struct arena *a, char **ret_message);
void job_patch_finalizer(struct plan *plan, const struct object *pod, unsigned batch);

/* --- job_pods.c: which pods to delete, and the new ones --- */
void job_pods_to_remove(struct job_picture *p, size_t at_least, struct api_time now, struct object_list *ret);
struct object *job_new_pod(const struct job_picture *p, int32_t index);
void job_sort_by_index(struct object_list *pods);

#endif
