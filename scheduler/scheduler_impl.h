// SPDX-License-Identifier: Apache-2.0
/* scheduler_impl.h - what scheduler.c (cycles), observe.c (informers) and act.c (bindings, status) share.
 * Everything in struct scheduler below `lock` is guarded by it. */
#ifndef CKUBE_SCHEDULER_SCHEDULER_IMPL_H
#define CKUBE_SCHEDULER_SCHEDULER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#include "common/client/informer.h"
#include "scheduler/plugins.h"
#include "scheduler/preempt.h"
#include "scheduler/scheduler.h"

struct events;
struct pool;

enum pod_stage { POD_WAITS, POD_ASSUMED, POD_BOUND };

struct known_pod {
    char *key; /* "namespace/name" */
    enum pod_stage stage;
    struct pod_info *info;
    struct queued *queued; /* POD_WAITS and POD_ASSUMED */
    const struct profile *profile;
    uint64_t first_seen_ms;
    struct attempt *attempt; /* the last one that failed, or NULL */
    char *nominated_node; /* room is being made there; then on the list of these */
    struct known_pod *next_nominated;
    UT_hash_handle hh;
};

struct attempt { /* of a waiting pod, for people; the details of the newest MAX_DETAILS only */
    int64_t when_us;
    char *message;
    uint8_t *group_of_row; /* 0 = row was not refused; or NULL */
    uint32_t nrows;
    struct { char *reasons; uint8_t plugin; } *groups;
    uint32_t ngroups;
    struct attempt *older, *newer; /* those with details */
};
#define MAX_DETAILS 256

struct scheduler {
    struct scheduler_options opts;
    struct events *events; /* of the first profile */
    struct events **profile_events;
    struct pool *pool;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping, running;
    pthread_t thread; /* when running */
    struct nodes *nodes;
    struct pod_queue *queue;
    struct known_pod *pods, *nominated;
    struct rng rng;
    unsigned binding, reporting; /* jobs of the pool */
    struct attempt *newest, *oldest;
    unsigned ndetails;
    struct informer *claims, *classes, *budgets; /* set once */
};

#define MAX_BINDING 512    /* bindings under way; then the scheduling thread waits */
#define MAX_REPORTING 2048 /* status patches under way; further ones are dropped, the next attempt tells */

/* observe.c */
void observe(struct scheduler *s);
struct known_pod *known_pod_find(struct scheduler *s, const char *key);
void known_pod_forget(struct scheduler *s, struct known_pod *k);
void known_pod_nominate(struct scheduler *s, struct known_pod *k, const char *node); /* NULL: no longer */
enum claim_state observe_claim(const char *ns, const char *name, void *scheduler);

/* act.c: called with the lock held */
void act_bind(struct scheduler *s, struct known_pod *k, const char *node);
void act_report(struct scheduler *s, struct known_pod *k, const char *reason, const char *message, bool event);
void act_preempt(struct scheduler *s, struct known_pod *k, const struct preemption *p);
struct events *events_of(struct scheduler *s, const struct profile *p);

/* explain.c */
void attempt_keep(struct scheduler *s, struct known_pod *k, const struct cycle *c, const char *message, int64_t now_us);
void attempt_drop(struct scheduler *s, struct known_pod *k);

/* metrics.c */
enum attempt_result { RESULT_SCHEDULED, RESULT_UNSCHEDULABLE, RESULT_ERROR };
void metrics_start(struct scheduler *s);
void metrics_stop(struct scheduler *s);
void metrics_attempt(const struct profile *p, enum attempt_result result, uint64_t took_us);
void metrics_algorithm(uint64_t took_us);
void metrics_bound(unsigned attempts, uint64_t waited_ms);
void metrics_preemption(unsigned victims);
void metrics_incoming(const char *event, const char *queue);

#endif
