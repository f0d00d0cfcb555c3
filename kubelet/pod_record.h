// SPDX-License-Identifier: Apache-2.0
/* pod_record.h - what this node remembers about a pod and neither the API nor the runtime holds: back-off, pulls and
 * kills under way, why a container could not start, probe results.  Lost with the kubelet, by design: everything needed to
 * adopt pods again is in the runtime.  Plain data; the pod's worker owns it. */
#ifndef CKUBE_KUBELET_POD_RECORD_H
#define CKUBE_KUBELET_POD_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

enum image_state { IMAGE_NOT_ASKED, IMAGE_PULLING, IMAGE_READY, IMAGE_FAILED };

struct container_record {
    char *name;
    /* image */
    enum image_state image;
    char *image_ref;         /* IMAGE_READY: what to run */
    uint32_t image_failures;
    int64_t image_retry_ms;  /* IMAGE_FAILED: not before */
    int64_t image_failed_ms; /* IMAGE_FAILED: since */
    /* why it waits, as status.state.waiting; NULL = nothing special */
    char *wait_reason, *wait_message;
    /* CrashLoopBackOff */
    int64_t backoff_ms;      /* 0 = none yet */
    int64_t backoff_at_ms;   /* when it last grew */
    int64_t start_retry_ms;  /* a start that failed: not before; 0 = at once */
    uint32_t start_failures;
    /* the running one */
    char *kill_id;           /* container id being killed; NULL = none */
    int64_t kill_grace_s;
    char *doomed_id;         /* to be killed: a probe failed or postStart did */
    char *doomed_message;
    int64_t doomed_grace_s;  /* -1 = the pod's */
    char *hook_id;           /* postStart runs in this one */
    char *probed_id;         /* the container that the two below are about */
    bool started;            /* startup probe passed, or there is none */
    bool ready;              /* readiness probe passed, or there is none and it started */
    /* termination message of the container with this id, read once */
    char *ended_id, *ended_message;
};

struct pod_record {
    struct container_record *containers;
    size_t ncontainers;
    int64_t first_seen_ms;
    bool prepared;           /* directories, cgroup, volumes */
    int64_t prepare_retry_ms;
    uint32_t prepare_failures;
    bool torn_down;          /* volumes and cgroups are gone again */
    int64_t sandbox_retry_ms;
    uint32_t sandbox_failures;
    bool gone;               /* the API object is no more (or the static file): stop without writing */
    int64_t gone_grace_s;
    char *rejected_reason, *rejected_message; /* not admitted, evicted, deadline: Failed */
    bool node_shutdown;
    bool terminal;           /* phase Succeeded or Failed was decided: never start anything again */
    bool status_final;       /* the terminal status is with the API server */
};

void pod_record_done(struct pod_record *r);
struct container_record *pod_record_get(struct pod_record *r, const char *name); /* made when missing; moves on growth */
const struct container_record *pod_record_find(const struct pod_record *r, const char *name); /* NULL = none */
void record_set(char **field, const char *text); /* frees the old, copies the new; NULL clears */

/* Exponential wait: initial, doubling per failure, at most max. */
static inline int64_t
record_backoff(uint32_t failures, int64_t initial_ms, int64_t max_ms)
{
    int64_t ms = initial_ms;

    for (uint32_t i = 1; i < failures && ms < max_ms; i++)
        ms *= 2;
    return ms < max_ms ? ms : max_ms;
}

#endif
