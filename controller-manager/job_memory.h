// SPDX-License-Identifier: Apache-2.0
/* job_memory.h - what the Job controller remembers of a job between two syncs, by its key: the back-off, the version it
 * wrote last, and the pods whose finalizer it took away while the watch has not shown it.  Any thread. */
#ifndef CKUBE_CONTROLLER_MANAGER_JOB_MEMORY_H
#define CKUBE_CONTROLLER_MANAGER_JOB_MEMORY_H

#include "controller-manager/job.h"

struct job_memory;

struct job_memory *job_memory_new(void) MUST_CHECK;
void job_memory_free(struct job_memory *m);
DEFINE_AUTO(job_memory)

/* What is known of the job with that uid; another uid under the key is forgotten. */
struct job_backoff job_memory_get(struct job_memory *m, const char *key, const char *uid, struct strlist *ret_removing);
void job_memory_set_backoff(struct job_memory *m, const char *key, struct job_backoff backoff);
void job_memory_set_written(struct job_memory *m, const char *key, const char *resource_version);
/* Is this copy older than what was written? */
bool job_memory_is_stale(struct job_memory *m, const char *key, const char *resource_version);
void job_memory_add_removing(struct job_memory *m, const char *key, const char *pod_uid); /* before the patch */
void job_memory_removed(struct job_memory *m, const char *key, const char *pod_uid); /* seen, or it failed */
void job_memory_forget(struct job_memory *m, const char *key);

#endif
