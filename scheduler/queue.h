// SPDX-License-Identifier: Apache-2.0
/* queue.h - pods that wait for a node.  Pure: the time is an argument, no thread, no lock.
 *
 *   add --> active --pop--> (a cycle) --> done
 *             ^  ^               |failed, refused by plugins P
 *             |  +--- back-off <-+----------------> unschedulable
 *             |       1 s .. 10 s  <--event that may help P--+   (or after 5 minutes)
 *
 * Active pods come out by priority, then by the time they were first seen.  With nothing active, the pod whose back-off
 * ends first comes out early, unless an error (not a refusal) sent it there. */
#ifndef CKUBE_SCHEDULER_QUEUE_H
#define CKUBE_SCHEDULER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"

#define POD_QUEUE_NEVER UINT64_MAX

enum queue_place { QUEUE_ACTIVE, QUEUE_BACKOFF, QUEUE_ERROR_BACKOFF, QUEUE_UNSCHEDULABLE, QUEUE_GATED, QUEUE_PLACES, QUEUE_IN_CYCLE = QUEUE_PLACES };

struct queued { /* read only for others */
    void *item; /* the caller's */
    int32_t priority;
    uint64_t added_ms;   /* first seen */
    uint64_t changed_ms; /* entered this place */
    uint64_t backoff_until_ms;
    unsigned attempts, refusals, errors;
    uint32_t refused_by; /* plugin set of the last attempt */
    enum queue_place place;
    size_t at;      /* in its place */
    uint64_t order; /* equal times: first come, first served */
};

struct pod_queue;

struct queue_limits { /* 0 = upstream's default */
    uint64_t initial_backoff_ms; /* 1,000 */
    uint64_t max_backoff_ms;     /* 10,000 */
    uint64_t max_unschedulable_ms; /* 300,000 */
};

struct pod_queue *pod_queue_new(const struct queue_limits *limits) MUST_CHECK;
void pod_queue_free(struct pod_queue *q); /* with all entries; their items are the caller's */
DEFINE_AUTO(pod_queue)

struct queued *pod_queue_add(struct pod_queue *q, void *item, int32_t priority, bool gated, uint64_t now_ms);
void pod_queue_remove(struct pod_queue *q, struct queued *e); /* frees e; also one that is in a cycle */
/* The pod was changed by its owner: worth another try (or gated, or no longer). */
void pod_queue_update(struct pod_queue *q, struct queued *e, int32_t priority, bool gated, uint64_t now_ms);
struct queued *pod_queue_pop(struct pod_queue *q, uint64_t now_ms); /* NULL = nothing to do yet */
void pod_queue_refused(struct pod_queue *q, struct queued *e, uint32_t refused_by, uint64_t now_ms);
void pod_queue_error(struct pod_queue *q, struct queued *e, uint64_t now_ms); /* not the pod's fault: back-off */
/* Something happened that may help pods which these plugins refused.  Returns how many moved. */
unsigned pod_queue_event(struct pod_queue *q, uint32_t plugins, uint64_t now_ms);
uint64_t pod_queue_next_ms(const struct pod_queue *q); /* when pop may give one without an event; POD_QUEUE_NEVER */
size_t pod_queue_len(const struct pod_queue *q, enum queue_place place);
const char *queue_place_name(enum queue_place place); /* as the metric scheduler_pending_pods names it */

#endif
