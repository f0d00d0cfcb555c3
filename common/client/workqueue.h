// SPDX-License-Identifier: Apache-2.0
/* workqueue.h - a keyqueue with worker threads: each key goes to sync(), errors come back with back-off.
 *
 *   informer handler --workqueue_add--> [ns/name ...] --> worker threads: sync(key) = picture, decide, executor_run
 *
 * Add from any thread.  sync() may block and may call workqueue_add_after() for its own key.
 * Metrics: workqueue_depth, _adds_total, _queue_duration_seconds, _work_duration_seconds, _retries_total,
 * _unfinished_work_seconds, _longest_running_processor_seconds, by name. */
#ifndef CKUBE_CLIENT_WORKQUEUE_H
#define CKUBE_CLIENT_WORKQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/client/keyqueue.h"

struct workqueue;

struct workqueue_config {
    const char *name;   /* metric label, thread name */
    unsigned workers;   /* 0 = 1 */
    /* NULL: done, failures forgotten.  An error: logged and tried again with back-off.  Conflicts are logged at v=2 only. */
    struct kerr *(*sync)(const char *key, void *arg);
    void *arg;
    unsigned max_retries; /* 0 = for ever; then the key is dropped with an error line */
    struct keyqueue_limits limits;
};

struct workqueue *workqueue_new(const struct workqueue_config *cfg) MUST_CHECK;
void workqueue_start(struct workqueue *wq); /* keys may be added before */
void workqueue_stop(struct workqueue *wq);  /* no new work; waits for the running syncs.  Not from a sync */
void workqueue_free(struct workqueue *wq);  /* stops first; NULL is fine */
DEFINE_AUTO(workqueue)

void workqueue_add(struct workqueue *wq, const char *key);
void workqueue_add_after(struct workqueue *wq, const char *key, uint64_t delay_ms);
void workqueue_add_rate_limited(struct workqueue *wq, const char *key);
size_t workqueue_len(const struct workqueue *wq);
/* Blocks until nothing is ready or in work (delayed keys do not count); tests. */
void workqueue_drain(struct workqueue *wq);

#endif
