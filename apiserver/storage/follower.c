// SPDX-License-Identifier: Apache-2.0
#include "apiserver/storage/follower.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/klog.h"

struct follower {
    struct storage *st;
    struct hub_port *port;
    struct watcher *watchers[FOLLOWER_STORES_MAX];
    struct store *stores[FOLLOWER_STORES_MAX];
    unsigned n;
    struct follower_handler handler;
    pthread_t thread;
    pthread_mutex_t lock; /* guards woken, stop, told */
    pthread_cond_t wake;  /* for the thread */
    pthread_cond_t done;  /* for follower_wait() */
    bool woken, stop, told;
};

static void
on_wake(void *arg)
{
    struct follower *f = arg;

    pthread_mutex_lock(&f->lock);
    f->woken = true;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
}

static void
on_ready(struct watcher *w, void *arg)
{
    (void)w; /* the thread pulls from all of them after each hub_port_run() */
    (void)arg;
}

static void
drop_watchers(struct follower *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        watcher_free(f->watchers[i]);
        f->watchers[i] = NULL;
    }
}

/* resource_version 0: the state as ADDED events, then changes. */
static bool
start_watchers(struct follower *f)
{
    f->handler.reset(f->handler.arg);
    for (unsigned i = 0; i < f->n; i++) {
        const struct watch_opts opts = { .max_events = UINT32_MAX, .max_bytes = UINT64_MAX, .max_age_ms = UINT64_MAX, .ready = on_ready, .arg = f };
        AUTO(kerr) *err = watcher_new(f->port, f->stores[i], &opts, clock_mono_ms(), &f->watchers[i]);
        if (err) {
            log_warning("Following a store failed, trying again", "resource", store_resource(f->stores[i])->resource, "err", kv_err(err));
            drop_watchers(f);
            return false;
        }
    }
    return true;
}

/* False: a watch has ended, start over. */
static bool
pull(struct follower *f)
{
    bool some = false;

    for (unsigned i = 0; i < f->n; i++) {
        struct watch_item item;
        while (watcher_next(f->watchers[i], &item)) {
            if (item.type <= WATCH_DELETED) {
                f->handler.changed(i, item.type, item.record, f->handler.arg);
                some = true;
            }
            watch_item_done(&item);
        }
        if (watcher_ended(f->watchers[i]))
            return false;
    }
    if (some || !f->told)
        f->handler.settled(f->handler.arg);
    if (!f->told) {
        pthread_mutex_lock(&f->lock);
        f->told = true;
        pthread_cond_broadcast(&f->done);
        pthread_mutex_unlock(&f->lock);
    }
    return true;
}

bool
follower_wait(struct follower *f, int64_t timeout_ms)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    on_wake(f); /* it may be asleep, waiting for the storage to be ready */
    pthread_mutex_lock(&f->lock);
    while (!f->told && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&f->done, &f->lock, &until);
    bool told = f->told;
    pthread_mutex_unlock(&f->lock);
    return told;
}

static bool
wait_woken(struct follower *f)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    pthread_mutex_lock(&f->lock);
    while (!f->woken && !f->stop && pthread_cond_timedwait(&f->wake, &f->lock, &until) != ETIMEDOUT)
        ;
    f->woken = false;
    bool go_on = !f->stop;
    pthread_mutex_unlock(&f->lock);
    return go_on;
}

static void *
run(void *arg)
{
    struct follower *f = arg;
    bool watching = false;

    while (wait_woken(f)) {
        hub_port_run(f->port);
        hub_port_tick(f->port, clock_mono_ms());
        if (!storage_ready(f->st))
            continue;
        if (!watching)
            watching = start_watchers(f);
        if (watching && !pull(f)) {
            drop_watchers(f);
            watching = false;
            on_wake(f);
        }
    }
    drop_watchers(f);
    return NULL;
}

struct follower *
follower_new(struct storage *st, struct store *const *stores, unsigned n, const struct follower_handler *handler)
{
    struct follower *f = XNEW(struct follower);

    f->st = st;
    f->n = n;
    f->handler = *handler;
    for (unsigned i = 0; i < n; i++)
        f->stores[i] = stores[i];
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->wake, NULL);
    pthread_cond_init(&f->done, NULL);
    f->port = hub_port_new(st, on_wake, f);
    f->woken = true;
    if (pthread_create(&f->thread, NULL, run, f)) {
        log_error("Cannot start a thread that follows stores");
        abort();
    }
    return f;
}

void
follower_free(struct follower *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    hub_port_free(f->port);
    pthread_cond_destroy(&f->wake);
    pthread_cond_destroy(&f->done);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
