// SPDX-License-Identifier: Apache-2.0
/* scheduler.h - the daemon around the pure parts: informers feed columns and queue, one thread runs cycles, a pool
 * carries out what was decided.
 *
 *   informers --nodes, pods, claims, namespaces--> [lock: columns, queue, known pods] <-- scheduling thread: pop, cycle
 *                                                                                            | assume
 *   pool threads: POST binding, PATCH status <-----------------------------------------------+
 *
 * A chosen node is assumed at once, so that the next cycle counts the pod there while its binding is still on the way. */
#ifndef CKUBE_SCHEDULER_SCHEDULER_H
#define CKUBE_SCHEDULER_SCHEDULER_H

#include "common/base/sbuf.h"
#include "scheduler/cycle.h"
#include "scheduler/queue.h"

struct rest;
struct informers;
struct scheduler;

struct scheduler_options {
    struct rest *rest;
    struct informers *informers; /* not started yet */
    struct resource_names *resources;
    const struct profile *profiles; /* must stay */
    size_t nprofiles;
    struct queue_limits limits;
    unsigned binders; /* threads that bind and patch; 0 = 24 */
};

struct scheduler *scheduler_new(const struct scheduler_options *opts) MUST_CHECK;
void scheduler_start(struct scheduler *s); /* starts deciding; after the informers synced and the lease is ours */
void scheduler_stop(struct scheduler *s);  /* no new cycles; waits for what is under way */
void scheduler_free(struct scheduler *s);  /* after the informers are gone */
DEFINE_AUTO(scheduler)

/* JSON about one pod: where it waits, and what its last attempt said per node.  False: not known.  Any thread. */
bool scheduler_explain(struct scheduler *s, const char *ns, const char *name, struct sbuf *out);

#endif
