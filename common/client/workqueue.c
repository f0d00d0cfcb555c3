// SPDX-License-Identifier: Apache-2.0
#include "common/client/workqueue.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/str.h"

struct worker {
    pthread_t id;
    uint64_t busy_since_ms; /* 0 = idle */
    struct workqueue *wq;
};

struct workqueue {
    pthread_mutex_t lock; /* guards all below but the metrics */
    pthread_cond_t wake;  /* a key is ready, or stopping */
    pthread_cond_t idle;  /* the last ready key is done */
    struct keyqueue *keys;
    struct workqueue_config cfg;
    char *name;
    struct worker *workers;
    unsigned nworkers, busy;
    bool started, stopping;
    uint64_t unavailable_logged_ms;
    struct metric_series *depth, *adds, *queue_s, *work_s, *retries;
};

static const double bounds[] = { 1e-8, 1e-7, 1e-6, 9.999999999999999e-6, 9.999999999999999e-5, 0.001, 0.01, 0.1, 1, 10, 1000 };
static struct metric depth = METRIC_GAUGE("workqueue_depth", "Current depth of workqueue", "name");
static struct metric adds = METRIC_COUNTER("workqueue_adds_total", "Total number of adds handled by workqueue", "name");
static struct metric queue_s =
    METRIC_HISTOGRAM("workqueue_queue_duration_seconds", "How long in seconds an item stays in workqueue before being requested.", "name", bounds);
static struct metric work_s =
    METRIC_HISTOGRAM("workqueue_work_duration_seconds", "How long in seconds processing an item from workqueue takes.", "name", bounds);
static struct metric retries = METRIC_COUNTER("workqueue_retries_total", "Total number of retries handled by workqueue", "name");
static struct metric unfinished =
    METRIC_GAUGE("workqueue_unfinished_work_seconds",
                 "How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large values indicate "
                 "stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.",
                 "name");
static struct metric longest = METRIC_GAUGE("workqueue_longest_running_processor_seconds",
                                            "How many seconds has the longest running processor for workqueue been running.", "name");

/* Runs while /metrics is written: the two gauges that only the moment knows.  Lock order: registry, then queue. */
static void
collect(struct sbuf *out, void *arg)
{
    struct workqueue *wq = arg;
    uint64_t now = clock_mono_ms(), sum = 0, max = 0;

    (void)out;
    pthread_mutex_lock(&wq->lock);
    for (unsigned i = 0; i < wq->nworkers; i++) {
        uint64_t since = wq->workers[i].busy_since_ms;
        uint64_t age = since && now > since ? now - since : 0;
        sum += age;
        max = age > max ? age : max;
    }
    pthread_mutex_unlock(&wq->lock);
    metric_set(&unfinished, (double)sum / 1000, wq->name);
    metric_set(&longest, (double)max / 1000, wq->name);
}

struct workqueue *
workqueue_new(const struct workqueue_config *cfg)
{
    struct workqueue *wq = XNEW(struct workqueue);
    pthread_condattr_t attr;

    wq->cfg = *cfg;
    wq->name = xstrdup(str_or(cfg->name, "queue"));
    wq->nworkers = cfg->workers ? cfg->workers : 1;
    wq->workers = xcalloc(wq->nworkers, sizeof *wq->workers);
    wq->keys = keyqueue_new(&cfg->limits);
    pthread_mutex_init(&wq->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&wq->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&wq->idle, NULL);
    wq->depth = metric_series_of(&depth, wq->name);
    wq->adds = metric_series_of(&adds, wq->name);
    wq->queue_s = metric_series_of(&queue_s, wq->name);
    wq->work_s = metric_series_of(&work_s, wq->name);
    wq->retries = metric_series_of(&retries, wq->name);
    /* Registered now: the collector below runs under the registry's lock and must not register. */
    metric_set(&unfinished, 0, wq->name);
    metric_set(&longest, 0, wq->name);
    metrics_add_collector(collect, wq);
    return wq;
}

/* Sleeps until there is something to get or to stop; with the lock held. */
static const char *
wait_for_key(struct workqueue *wq, uint64_t *ret_waited_ms)
{
    while (!wq->stopping) {
        uint64_t now = clock_mono_ms();
        const char *key = keyqueue_get(wq->keys, now, ret_waited_ms);
        if (key)
            return key;
        uint64_t due = keyqueue_next_ms(wq->keys);
        if (due == KEYQUEUE_NEVER) {
            pthread_cond_wait(&wq->wake, &wq->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t ms = due > now ? due - now : 1;
        until.tv_sec += (time_t)(ms / 1000);
        until.tv_nsec += (long)(ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&wq->wake, &wq->lock, &until);
    }
    return NULL;
}

/* An apiserver that is away fails every key: one line in 5 s is enough. */
static bool
unavailable_is_news(struct workqueue *wq)
{
    pthread_mutex_lock(&wq->lock);
    bool news = klog_every(&wq->unavailable_logged_ms, clock_mono_ms(), 5000);
    pthread_mutex_unlock(&wq->lock);
    return news;
}

static void
report(struct workqueue *wq, const char *key, const struct kerr *err, unsigned failures, uint64_t wait_ms, bool dropped)
{
    if (dropped) {
        log_error("Giving up on a key after too many tries", "queue", wq->name, "key", key, "tries", kv_int(failures), "err", err->message);
    } else if (err->reason == KERR_CONFLICT || err->reason == KERR_ALREADY_EXISTS) {
        log_v(2, "Sync met a newer object, trying again", "queue", wq->name, "key", key, "retry_ms", kv_int((int64_t)wait_ms), "err",
              err->message);
    } else if (err->reason != KERR_UNAVAILABLE || klog_v_on(2, __FILE__) || unavailable_is_news(wq)) {
        log_warning("Sync failed, trying again", "queue", wq->name, "key", key, "retry_ms", kv_int((int64_t)wait_ms), "err",
                    err->message);
    }
}

/* With the lock held; it is given up for the call. */
static void
work_on(struct worker *w, const char *key, uint64_t waited_ms)
{
    struct workqueue *wq = w->wq;
    uint64_t start_us = clock_mono_us(), wait_ms = 0;
    bool dropped = false;
    unsigned failures = 0;

    w->busy_since_ms = start_us / 1000;
    wq->busy++;
    metric_series_set(wq->depth, (double)keyqueue_ready_len(wq->keys));
    pthread_mutex_unlock(&wq->lock);
    metric_series_observe(wq->queue_s, (double)waited_ms / 1000);
    AUTO(kerr) *err = wq->cfg.sync(key, wq->cfg.arg);
    uint64_t end_us = clock_mono_us();
    metric_series_observe(wq->work_s, (double)(end_us - start_us) / 1e6);
    pthread_mutex_lock(&wq->lock);
    if (err) {
        failures = keyqueue_failures(wq->keys, key) + 1;
        dropped = wq->cfg.max_retries && failures > wq->cfg.max_retries;
    }
    if (err && !dropped) {
        wait_ms = keyqueue_retry(wq->keys, key, end_us / 1000);
        metric_series_inc(wq->retries);
    } else {
        keyqueue_forget(wq->keys, key);
    }
    if (err) {
        pthread_mutex_unlock(&wq->lock);
        report(wq, key, err, failures, wait_ms, dropped);
        pthread_mutex_lock(&wq->lock);
    }
    keyqueue_done(wq->keys, key, clock_mono_ms());
    w->busy_since_ms = 0;
    wq->busy--;
    if (!wq->busy && !keyqueue_ready_len(wq->keys))
        pthread_cond_broadcast(&wq->idle);
    else
        pthread_cond_signal(&wq->wake);
}

static void *
worker_main(void *arg)
{
    struct worker *w = arg;
    struct workqueue *wq = w->wq;
    char name[16] = { 0 };
    uint64_t waited_ms = 0;
    const char *key;

    memcpy(name, wq->name, strnlen(wq->name, sizeof name - 1));
    pthread_setname_np(pthread_self(), name);
    pthread_mutex_lock(&wq->lock);
    while ((key = wait_for_key(wq, &waited_ms)))
        work_on(w, key, waited_ms);
    pthread_mutex_unlock(&wq->lock);
    return NULL;
}

void
workqueue_start(struct workqueue *wq)
{
    sigset_t all, before;

    if (wq->started)
        return;
    wq->started = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < wq->nworkers; i++) {
        wq->workers[i].wq = wq;
        if (pthread_create(&wq->workers[i].id, NULL, worker_main, &wq->workers[i])) {
            log_error("Cannot start a worker thread", "queue", wq->name);
            wq->nworkers = i;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void
workqueue_stop(struct workqueue *wq)
{
    pthread_mutex_lock(&wq->lock);
    wq->stopping = true;
    pthread_cond_broadcast(&wq->wake);
    pthread_cond_broadcast(&wq->idle);
    pthread_mutex_unlock(&wq->lock);
    for (unsigned i = 0; wq->started && i < wq->nworkers; i++)
        pthread_join(wq->workers[i].id, NULL);
    wq->started = false;
}

void
workqueue_free(struct workqueue *wq)
{
    if (!wq)
        return;
    workqueue_stop(wq);
    metrics_remove_collector(collect, wq);
    metric_remove_series(&depth, wq->name);
    keyqueue_free(wq->keys);
    pthread_cond_destroy(&wq->wake);
    pthread_cond_destroy(&wq->idle);
    pthread_mutex_destroy(&wq->lock);
    free(wq->workers);
    free(wq->name);
    free(wq);
}

void
workqueue_add(struct workqueue *wq, const char *key)
{
    pthread_mutex_lock(&wq->lock);
    keyqueue_add(wq->keys, key, clock_mono_ms());
    metric_series_set(wq->depth, (double)keyqueue_ready_len(wq->keys));
    pthread_cond_signal(&wq->wake);
    pthread_mutex_unlock(&wq->lock);
    metric_series_inc(wq->adds);
}

void
workqueue_add_after(struct workqueue *wq, const char *key, uint64_t delay_ms)
{
    pthread_mutex_lock(&wq->lock);
    keyqueue_add_after(wq->keys, key, delay_ms, clock_mono_ms());
    pthread_cond_signal(&wq->wake);
    pthread_mutex_unlock(&wq->lock);
}

void
workqueue_add_rate_limited(struct workqueue *wq, const char *key)
{
    pthread_mutex_lock(&wq->lock);
    keyqueue_retry(wq->keys, key, clock_mono_ms());
    pthread_cond_signal(&wq->wake);
    pthread_mutex_unlock(&wq->lock);
    metric_series_inc(wq->retries);
}

size_t
workqueue_len(const struct workqueue *wq)
{
    struct workqueue *w = (struct workqueue *)wq;

    pthread_mutex_lock(&w->lock);
    size_t n = keyqueue_len(w->keys);
    pthread_mutex_unlock(&w->lock);
    return n;
}

void
workqueue_drain(struct workqueue *wq)
{
    pthread_mutex_lock(&wq->lock);
    while (!wq->stopping && (wq->busy || keyqueue_ready_len(wq->keys)))
        pthread_cond_wait(&wq->idle, &wq->lock);
    pthread_mutex_unlock(&wq->lock);
}
