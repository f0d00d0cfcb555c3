// SPDX-License-Identifier: Apache-2.0
/* The scheduling thread: take the most urgent pod, decide, assume, hand over. */
#include "scheduler/scheduler_impl.h"

#include <time.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/pool.h"
#include "common/base/str.h"
#include "common/client/events.h"

#define DEFAULT_BINDERS 24
#define MAX_SLEEP_MS 1000

/* row ROW_NONE: no longer. */
static void
nominate(struct scheduler *s, struct known_pod *k, uint32_t row)
{
    known_pod_nominate(s, k, row == ROW_NONE ? NULL : s->nodes->name[row]);
}

static void
refused(struct scheduler *s, struct known_pod *k, struct cycle *c)
{
    struct preemption p;
    AUTO_OBJECT_LIST budgets = { 0 };
    AUTO_SBUF message = { 0 };
    uint64_t now = clock_mono_ms();

    if (s->nodes->nlive == 0) {
        sbuf_adds(&message, "no nodes available to schedule pods");
        pod_queue_refused(s->queue, k->queued, UINT32_MAX, now);
        attempt_keep(s, k, c, sbuf_str(&message), clock_wall_us());
        act_report(s, k, "Unschedulable", sbuf_str(&message), true);
        return;
    }
    informer_list(s->budgets, NULL, &budgets);
    preempt(c, &(struct budgets){ (const struct object *const *)budgets.items, budgets.len }, &p);
    cycle_message(c, &message);
    sbuf_adds(&message, sbuf_str(&p.message));
    pod_queue_refused(s->queue, k->queued, c->rejecting, now);
    attempt_keep(s, k, c, sbuf_str(&message), clock_wall_us());
    log_v(2, "Unable to schedule pod; no fit; waiting", "pod", k->key, "err", sbuf_str(&message));
    if (!p.keep_nomination)
        nominate(s, k, p.row);
    act_report(s, k, "Unschedulable", sbuf_str(&message), true);
    if (p.row != ROW_NONE)
        act_preempt(s, k, &p);
    preemption_done(&p);
}

/* Room that is being made for other pods counts as taken for pods that are not more important. */
static void
hold_nominated(struct scheduler *s, const struct known_pod *k, bool hold)
{
    struct known_pod *o;

    for (o = s->nominated; o; o = o->next_nominated) {
        if (o == k || o->stage != POD_WAITS || o->info->priority < k->info->priority)
            continue;
        if (hold)
            nodes_add_pod(s->nodes, o->info, o->nominated_node);
        else
            nodes_del_pod(s->nodes, o->info);
    }
}

static void
schedule_one(struct scheduler *s, struct known_pod *k)
{
    uint64_t start = clock_mono_us();
    struct cycle c = { .nodes = s->nodes, .pod = k->info, .profile = k->profile, .claim = observe_claim, .claim_arg = s, .rng = &s->rng };

    hold_nominated(s, k, true);
    cycle_run(&c);
    metrics_algorithm(clock_mono_us() - start);
    if (c.chosen == ROW_NONE) {
        refused(s, k, &c);
        metrics_attempt(k->profile, RESULT_UNSCHEDULABLE, clock_mono_us() - start);
    } else {
        const char *node = s->nodes->name[c.chosen];

        nominate(s, k, ROW_NONE);
        nodes_add_pod(s->nodes, k->info, node);
        k->stage = POD_ASSUMED;
        act_bind(s, k, node);
    }
    hold_nominated(s, k, false);
    cycle_done(&c);
}

/* With the lock: until something may be done, or a second has gone. */
static void
sleep_until(struct scheduler *s, uint64_t due_ms)
{
    uint64_t now = clock_mono_ms(), wait = due_ms <= now ? 1 : due_ms - now;
    struct timespec at;

    if (wait > MAX_SLEEP_MS)
        wait = MAX_SLEEP_MS;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(wait / 1000);
    at.tv_nsec += (long)(wait % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&s->wake, &s->lock, &at);
}

static void *
scheduling_thread(void *arg)
{
    struct scheduler *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        struct queued *e = s->binding < MAX_BINDING ? pod_queue_pop(s->queue, clock_mono_ms()) : NULL;

        if (!e) {
            sleep_until(s, s->binding < MAX_BINDING ? pod_queue_next_ms(s->queue) : POD_QUEUE_NEVER);
            continue;
        }
        schedule_one(s, e->item);
        /* Informers get their turn. */
        pthread_mutex_unlock(&s->lock);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* --- life --- */

struct events *
events_of(struct scheduler *s, const struct profile *p)
{
    return s->profile_events[p - s->opts.profiles];
}

struct scheduler *
scheduler_new(const struct scheduler_options *opts)
{
    struct scheduler *s = XNEW(struct scheduler);
    pthread_condattr_t attr;

    s->opts = *opts;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &attr);
    pthread_condattr_destroy(&attr);
    s->nodes = nodes_new(opts->resources);
    s->queue = pod_queue_new(&opts->limits);
    s->rng = rng_from_system();
    s->pool = pool_new("bind", opts->binders ? opts->binders : DEFAULT_BINDERS, MAX_BINDING + MAX_REPORTING);
    s->profile_events = xcalloc(opts->nprofiles, sizeof(*s->profile_events));
    s->events = events_new(opts->rest, opts->profiles[0].name, NULL);
    s->profile_events[0] = s->events;
    for (size_t i = 1; i < opts->nprofiles; i++)
        s->profile_events[i] = events_for(s->events, opts->profiles[i].name, NULL);
    metrics_start(s);
    observe(s);
    return s;
}

void
scheduler_start(struct scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    if (!s->stopping) { /* the lease may come while the daemon stops */
        if (pthread_create(&s->thread, NULL, scheduling_thread, s) != 0)
            abort(); /* no thread to be had: as bad as no memory */
        s->running = true;
    }
    pthread_mutex_unlock(&s->lock);
}

void
scheduler_stop(struct scheduler *s)
{
    bool running;

    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    running = s->running;
    s->running = false;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (running)
        pthread_join(s->thread, NULL);
    pool_free(s->pool);
    s->pool = NULL;
}

void
scheduler_free(struct scheduler *s)
{
    struct known_pod *k, *next;

    if (!s)
        return;
    if (s->pool)
        scheduler_stop(s);
    metrics_stop(s);
    HASH_ITER(hh, s->pods, k, next)
    known_pod_forget(s, k);
    nodes_free(s->nodes);
    pod_queue_free(s->queue);
    events_free(s->events);
    free(s->profile_events);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
