// SPDX-License-Identifier: Apache-2.0
/* pod_decide.h - what to do next for one pod on this node.  Pure: picture in, plan out; golden-tested.
 *
 *   pod (API or file) + what the runtime has + what we remember + the time  -->  actions, and when to look again
 *
 * The worker carries the plan out, looks again and decides again, until the plan is empty.  Long actions (pull, kill,
 * hooks) run beside; the record says that they run, and the plan leaves them alone. */
#ifndef CKUBE_KUBELET_POD_DECIDE_H
#define CKUBE_KUBELET_POD_DECIDE_H

#include "common/base/sbuf.h"
#include "kubelet/cri/runtime.h"
#include "kubelet/pod_record.h"
#include "kubelet/pod_util.h"

enum pod_act {
    POD_PREPARE,          /* directories, cgroup, volumes */
    POD_CREATE_SANDBOX,   /* attempt */
    POD_START,            /* container, attempt; pulls first when the image is not there */
    POD_KILL,             /* id, container, grace_s, message */
    POD_STOP_SANDBOX,     /* id */
    POD_REMOVE_CONTAINER, /* id */
    POD_REMOVE_SANDBOX,   /* id */
    POD_TEAR_DOWN,        /* volumes, cgroup, directories that a finished pod no longer needs */
    POD_BACK_OFF,         /* container: note CrashLoopBackOff; message */
    POD_FAIL,             /* reason, message: the pod has Failed */
    POD_FINISH,           /* everything is gone: delete the API object, forget the pod */
};

struct pod_action {
    enum pod_act act;
    const char *container, *id, *reason, *message;
    uint32_t attempt;
    int64_t grace_s;
};

struct pod_plan {
    struct pod_action *items;
    uint32_t len, cap;
    int64_t wake_ms; /* look again then; 0 = only when something happens */
    bool stopping;   /* the pod is on its way out */
};

struct pod_view {
    const struct pod *pod;
    const struct rt_pod *rt;
    const struct pod_record *rec;
    int64_t now_ms; /* since 1970: it is compared with the runtime's times */
};

#define CRASH_BACKOFF_INITIAL_MS 10000
#define CRASH_BACKOFF_MAX_MS 300000

void pod_decide(const struct pod_view *v, struct arena *a, struct pod_plan *ret);
void pod_plan_print(const struct pod_plan *plan, struct sbuf *out); /* a line per action: golden files, logs */

/* Newest container of that name, of any sandbox; NULL = none.  `sandbox` not NULL: only of that one. */
const struct rt_container *pod_newest(const struct rt_pod *rt, const char *name, const char *sandbox);
/* The sandbox that counts: the newest, when it is ready and fits the spec; else NULL. */
const struct rt_sandbox *pod_sandbox(const struct pod *pod, const struct rt_pod *rt);
/* Is the pod to be stopped: deleted, gone, Failed, Succeeded, past its deadline? */
bool pod_must_stop(const struct pod_view *v);
bool pod_initialized(const struct pod_view *v, const char *sandbox); /* all init containers did their part */
/* Has every container ended for good, so that the pod is Succeeded or Failed? */
bool pod_all_ended(const struct pod_view *v);
uint32_t pod_restart_count(const struct pod *pod, const struct rt_pod *rt, const char *name, bool *ret_known);

#endif
