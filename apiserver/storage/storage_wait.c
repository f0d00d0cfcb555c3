// SPDX-License-Identifier: Apache-2.0
/* storage_wait.c - who waits for a revision, and the one call to etcd that answers all consistent reads. */
#include <errno.h>
#include <inttypes.h>

#include "apiserver/storage/storage_internal.h"
#include "common/base/clock.h"

#define WATCH_LATE_MS 3000      /* etcd is ahead and the watch brings nothing: connect anew */
#define REACH_TIMEOUT_MS 3000   /* as upstream's watch cache */
#define WAITERS_MAX 100000

/* --- who waits for a revision --- */

static void
finish_waiters(struct waiter *list, struct kerr *(*make_err)(void *arg), void *arg)
{
    while (list) {
        struct waiter *next = list->next;

        list->fn(list->arg, make_err ? make_err(arg) : NULL);
        free(list);
        list = next;
    }
}

static struct kerr *
stopping_err(void *arg)
{
    return kerr_retry_after(kerr_new(KERR_UNAVAILABLE, "the apiserver is shutting down"), 1);
}

/* After `reached` moved; without locks held. */
void
storage_wake_waiters(struct storage *st)
{
    int64_t reached = storage_revision(st);
    struct waiter *done = NULL, **at;

    if (!atomic_load(&st->nwaiting))
        return;
    pthread_mutex_lock(&st->wait_lock);
    st->late_since_ms = 0;
    for (at = &st->waiting; *at;) {
        struct waiter *w = *at;

        if (w->revision > reached) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = done;
        done = w;
        atomic_fetch_sub(&st->nwaiting, 1);
    }
    pthread_mutex_unlock(&st->wait_lock);
    finish_waiters(done, NULL, NULL);
}

/* Takes w; completes it at once when there is nothing to wait for. */
static void
wait_for(struct storage *st, struct waiter *w)
{
    int64_t revision = w->revision; /* w may be finished, and freed, as soon as the lock is open */
    bool stopped;

    pthread_mutex_lock(&st->wait_lock);
    stopped = st->stop;
    w->next = stopped ? NULL : st->waiting;
    if (!stopped) {
        st->waiting = w;
        atomic_fetch_add(&st->nwaiting, 1);
        pthread_cond_signal(&st->wait_cond); /* the revision thread watches the deadline */
    }
    pthread_mutex_unlock(&st->wait_lock);
    if (stopped)
        finish_waiters(w, stopping_err, NULL);
    else if (storage_revision(st) >= revision)
        storage_wake_waiters(st);
}

static struct waiter *
waiter_new(int64_t revision, uint64_t timeout_ms, storage_fresh_fn fn, void *arg)
{
    struct waiter *w = XNEW(struct waiter);

    *w = (struct waiter){ NULL, revision, clock_mono_ms() + timeout_ms, false, fn, arg };
    return w;
}

void
storage_when_reached(struct storage *st, int64_t revision, storage_fresh_fn fn, void *arg)
{
    if (storage_revision(st) >= revision)
        fn(arg, NULL);
    else
        wait_for(st, waiter_new(revision, REACH_TIMEOUT_MS, fn, arg));
}

void
storage_when_fresh(struct storage *st, storage_fresh_fn fn, void *arg)
{
    bool full, stopped;

    pthread_mutex_lock(&st->wait_lock);
    stopped = st->stop;
    full = st->nfresh >= WAITERS_MAX;
    if (!stopped && !full) {
        struct waiter *w = waiter_new(0, (uint64_t)st->config.fresh_timeout_ms, fn, arg);

        w->next = st->fresh;
        st->fresh = w;
        if (!st->nfresh++)
            pthread_cond_signal(&st->wait_cond);
    }
    pthread_mutex_unlock(&st->wait_lock);
    atomic_fetch_add(&st->reads_waited, 1);
    if (stopped)
        fn(arg, stopping_err(NULL));
    else if (full)
        fn(arg, kerr_new(KERR_TOO_MANY_REQUESTS, "too many reads wait for etcd"));
}

struct sync_wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    struct kerr *err;
};

static void
on_sync_wait(void *arg, struct kerr *err)
{
    struct sync_wait *sw = arg;

    pthread_mutex_lock(&sw->lock);
    sw->done = true;
    sw->err = err;
    pthread_cond_signal(&sw->cond);
    pthread_mutex_unlock(&sw->lock);
}

struct kerr *
storage_wait_fresh(struct storage *st)
{
    struct sync_wait sw = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, NULL };

    storage_when_fresh(st, on_sync_wait, &sw);
    pthread_mutex_lock(&sw.lock);
    while (!sw.done)
        pthread_cond_wait(&sw.cond, &sw.lock);
    pthread_mutex_unlock(&sw.lock);
    pthread_cond_destroy(&sw.cond);
    pthread_mutex_destroy(&sw.lock);
    return sw.err;
}

bool
storage_wait_ready(struct storage *st, int64_t timeout_ms)
{
    struct timespec until = storage_deadline_in((uint64_t)timeout_ms);

    pthread_mutex_lock(&st->wait_lock);
    while (!st->stop && !storage_ready(st))
        if (pthread_cond_timedwait(&st->stop_cond, &st->wait_lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&st->wait_lock);
    return storage_ready(st);
}

/* --- consistent reads: etcd's revision, once for all who wait --- */

static struct kerr *
copy_err(void *arg)
{
    const struct kerr *err = arg;

    return kerr_retry_after(kerr_new(err->reason, "%s", err->message), 1);
}

static void
answer_fresh(struct storage *st, struct waiter *list)
{
    int64_t revision = 0;
    struct kerr *err = storage_ready(st) ? etcd_revision(st->config.etcd, &revision)
                                         : kerr_new(KERR_UNAVAILABLE, "storage is (re)initializing: etcd has not been read yet");

    atomic_fetch_add(&st->revision_calls, 1);
    if (err) {
        finish_waiters(list, copy_err, err);
        kerr_free(err);
        return;
    }
    if (storage_revision(st) >= revision) {
        finish_waiters(list, NULL, NULL);
        return;
    }
    while (list) {
        struct waiter *next = list->next;

        list->revision = revision;
        list->real = true;
        wait_for(st, list);
        list = next;
    }
}

struct too_large {
    int64_t wanted, current;
};

static struct kerr *
too_large_err(void *arg)
{
    const struct too_large *t = arg;
    struct kerr *err = kerr_new(KERR_TIMEOUT, "Too large resource version: %" PRId64 ", current: %" PRId64, t->wanted, t->current);

    kerr_add_cause(err, "ResourceVersionTooLarge", NULL, "Too large resource version");
    return kerr_retry_after(err, 1);
}

/* Ends those whose time is up; with wait_lock held, which is let go meanwhile.  Cuts a watch that brings nothing. */
static void
check_deadlines(struct storage *st, uint64_t now)
{
    struct waiter *late = NULL, **at;
    bool cut, owed = false;

    for (at = &st->waiting; *at;) {
        struct waiter *w = *at;

        owed |= w->real;
        if (w->deadline_ms > now) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = late;
        late = w;
        atomic_fetch_sub(&st->nwaiting, 1);
    }
    if (owed)
        st->late_since_ms = st->late_since_ms ? st->late_since_ms : now;
    else
        st->late_since_ms = 0;
    cut = st->late_since_ms && now - st->late_since_ms > WATCH_LATE_MS && storage_ready(st);
    if (cut)
        st->late_since_ms = 0;
    pthread_mutex_unlock(&st->wait_lock);
    while (late) {
        struct too_large t = { late->revision, storage_revision(st) };
        struct waiter *next = late->next;

        late->next = NULL;
        finish_waiters(late, too_large_err, &t);
        late = next;
    }
    if (cut)
        etcd_watch_cut(st->config.etcd);
    pthread_mutex_lock(&st->wait_lock);
}

void *
storage_fresh_main(void *arg)
{
    struct storage *st = arg;

    pthread_setname_np(pthread_self(), "etcd-revision");
    pthread_mutex_lock(&st->wait_lock);
    while (!st->stop) {
        struct waiter *batch = st->fresh;

        st->fresh = NULL;
        st->nfresh = 0;
        if (batch) {
            pthread_mutex_unlock(&st->wait_lock);
            answer_fresh(st, batch);
            pthread_mutex_lock(&st->wait_lock);
        } else if (st->waiting) {
            struct timespec until = storage_deadline_in(100);

            pthread_cond_timedwait(&st->wait_cond, &st->wait_lock, &until);
        } else {
            pthread_cond_wait(&st->wait_cond, &st->wait_lock);
        }
        if (st->waiting)
            check_deadlines(st, clock_mono_ms());
    }
    pthread_mutex_unlock(&st->wait_lock);
    return NULL;
}

/* --- the end --- */

void
storage_end_waits(struct storage *st)
{
    struct waiter *fresh, *waiting;

    pthread_mutex_lock(&st->wait_lock);
    fresh = steal_ptr(st->fresh);
    waiting = steal_ptr(st->waiting);
    atomic_store(&st->nwaiting, 0);
    pthread_mutex_unlock(&st->wait_lock);
    finish_waiters(fresh, stopping_err, NULL);
    finish_waiters(waiting, stopping_err, NULL);
}
