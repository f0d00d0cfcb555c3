// SPDX-License-Identifier: Apache-2.0
/* loop.h - one event_base and the thread that turns it.
 * A loop owns its connections, timers and caches; other threads send it work with loop_post() and touch nothing else.
 * Order of use: new -> (thread_start | run) -> post... -> stop -> (thread_join) -> free.
 * All calls but loop_post(), loop_stop(), loop_is_current() belong to the loop's own thread (or to the time before it runs).
 * No callback may block: blocking work goes to a pool (common/base/pool.h). */
#ifndef CKUBE_NET_LOOP_H
#define CKUBE_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/mem.h"

struct event_base;
struct loop;
struct loop_timer;

struct kerr *loop_new(const char *name, struct loop **ret) MUST_CHECK; /* name of the thread: <= 15 chars */
/* After the loop stopped (or never ran).  Posts that still wait run here, so that what they carry is freed. */
void loop_free(struct loop *l);
DEFINE_AUTO(loop)

void loop_run(struct loop *l);                                     /* on the calling thread, until loop_stop() */
struct kerr *loop_thread_start(struct loop *l) MUST_CHECK;         /* loop_run() on a thread of its own, signals blocked */
void loop_stop(struct loop *l);                                    /* any thread; what was posted before still runs */
void loop_thread_join(struct loop *l);                             /* after loop_stop(); not from the loop itself */
bool loop_is_current(const struct loop *l);                        /* is this the thread that runs it? */
struct event_base *loop_base(struct loop *l);

/* From any thread, also from the loop itself: fn(arg) runs on the loop later, first in first out.
 * One wake-up carries many posts.  A post never blocks, and is not bounded here: callers bound what they have under way. */
void loop_post(struct loop *l, void (*fn)(void *arg), void *arg);
/* Posts and waits until it ran.  Runs at once when called on the loop itself, or when the loop is not running. */
void loop_call(struct loop *l, void (*fn)(void *arg), void *arg);

/* Timers.  fn may start, stop or free its own timer. */
struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg) MUST_CHECK;
void loop_timer_free(struct loop_timer *t); /* NULL is fine */
void loop_timer_once(struct loop_timer *t, uint64_t after_ms);    /* (re)starts */
void loop_timer_every(struct loop_timer *t, uint64_t interval_ms); /* (re)starts */
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_pending(const struct loop_timer *t);
DEFINE_AUTO(loop_timer)

/* Batches of posts that took longer than 100 ms, for /metrics.  Any thread. */
uint64_t loop_slow_turns(const struct loop *l);

#endif
