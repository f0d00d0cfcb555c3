// SPDX-License-Identifier: Apache-2.0
/* pod_worker.h - one worker per pod: look, decide, act, look again; no pod ever waits for another.
 * Work queue keyed by uid; what takes long (pulls, kills, hooks) runs on the jobs pool and reports back with wake.
 * All calls from any thread. */
#ifndef CKUBE_KUBELET_POD_WORKER_H
#define CKUBE_KUBELET_POD_WORKER_H

#include <pthread.h>

#include "common/api/object.h"
#include "kubelet/kubelet.h"
#include "kubelet/pod_record.h"

struct pod_workers;

struct pod_worker { /* pod_act.c and pod_worker.c only */
    struct kubelet *k;
    char *uid;
    pthread_mutex_t lock;    /* see worker_lock() */
    struct object *pod;      /* newest from the API or file; status replaced by ours */
    struct pod_record rec;   /* guarded by the lock */
    struct object *status;   /* a Pod with the last status that we made */
    bool finished, observed, is_static;
    int64_t volumes_due_s;   /* refresh volumes then */
    int more_looks;          /* guarded by the lock: after an event the runtime's books may be a moment behind */
    unsigned refs;
    struct pod_worker *next;
};

struct pod_workers *pod_workers_new(struct kubelet *k) MUST_CHECK;
void pod_workers_start(struct pod_workers *ws);
void pod_workers_stop(struct pod_workers *ws);
void pod_workers_free(struct pod_workers *ws);

/* A pod as the API or a file has it now; new or changed. */
void pod_workers_update(struct pod_workers *ws, const struct object *pod);
void pod_workers_gone(struct pod_workers *ws, const char *uid, int64_t grace_s); /* no longer wanted by its source */
/* The runtime has a pod that nobody wants: stop it. */
void pod_workers_orphan(struct pod_workers *ws, const char *uid, const char *name, const char *namespace);
void pod_workers_wake(struct pod_workers *ws, const char *uid, uint64_t after_ms);
void pod_workers_event(struct pod_workers *ws, const char *uid); /* the runtime says that something happened */
bool pod_workers_has(struct pod_workers *ws, const char *uid);
size_t pod_workers_count(struct pod_workers *ws);
/* References to all pods, with our own newest status in them. */
void pod_workers_pods(struct pod_workers *ws, struct object_list *ret);
struct object *pod_workers_find(struct pod_workers *ws, const char *namespace, const char *name, const char *uid) MUST_CHECK; /* empty uid: any */

enum probe_kind { PROBE_STARTUP, PROBE_LIVENESS, PROBE_READINESS };
/* What a probe found out about the container with that id. */
void pod_workers_probe(struct pod_workers *ws, const char *uid, const char *container, const char *id, enum probe_kind kind, bool ok,
                       int64_t grace_s);
/* Ends the pod with phase Failed. */
void pod_workers_fail(struct pod_workers *ws, const char *uid, const char *reason, const char *message);

/* --- between pod_worker.c and pod_act.c --- */
void worker_lock(struct pod_worker *w);
void worker_unlock(struct pod_worker *w);
struct pod_worker *worker_ref(struct pod_worker *w);
void worker_unref(struct pod_worker *w);
void worker_wake(struct pod_worker *w, uint64_t after_ms);
struct object *worker_pod(struct pod_worker *w) MUST_CHECK; /* a reference */

#endif
