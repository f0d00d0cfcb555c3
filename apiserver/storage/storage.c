// SPDX-License-Identifier: Apache-2.0
/* storage.c - the table of stores, the sequence of revisions, and the threads that follow etcd. */
#include "apiserver/storage/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "apiserver/storage/store_internal.h"
#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/str.h"

#define PENDING_MAX 8192        /* own results that wait for an earlier revision; more are left to the watch */
#define WATCH_LATE_MS 3000      /* etcd is ahead and the watch brings nothing: connect anew */
#define REACH_TIMEOUT_MS 3000   /* as upstream's watch cache */
#define WAITERS_MAX 100000
#define LEASE_REUSE_S 60        /* as upstream's lease manager */
#define LEASE_OBJECTS_MAX 1000

struct waiter {
    struct waiter *next;
    int64_t revision; /* 0: etcd's revision is still to be asked for */
    uint64_t deadline_ms;
    bool real; /* etcd has that revision: the watch owes it */
    storage_fresh_fn fn;
    void *arg;
};

struct pending { /* a result of our own, ahead of its turn */
    int64_t revision;
    struct store_change change;
};

struct storage {
    struct storage_config config;
    char *prefix;

    pthread_rwlock_t table_lock; /* guards stores, nstores, unclaimed; first in the lock order */
    struct store **stores;       /* by prefix */
    size_t nstores;
    struct store *unclaimed;     /* keys of resources nobody has added (yet) */

    pthread_mutex_t sequence;    /* guards applying, pending, last_*; after table_lock */
    atomic_llong reached;
    struct pending *pending;     /* by revision */
    size_t npending;
    char *last_key;              /* the newest change we know: proves on reconnect that history is still ours */
    int64_t last_revision;
    bool last_deleted;
    char *page_key;              /* last key of the page being loaded */
    uint64_t cluster_id;

    struct store_change *group;  /* changes of one revision, being collected by the watch */
    size_t ngroup, group_cap;
    int64_t group_revision;

    pthread_mutex_t wait_lock;   /* guards what follows; leaf lock */
    pthread_cond_t wait_cond;    /* the revision thread has work; both on the monotonic clock */
    pthread_cond_t stop_cond;    /* stopping, or ready */
    struct waiter *fresh, *waiting;
    size_t nfresh;
    atomic_size_t nwaiting;
    bool started;
    atomic_bool stop;
    uint64_t late_since_ms;      /* waiters wait for the watch since then */
    char problem[400];           /* what keeps us from etcd; "" = nothing */
    uint64_t problem_since_ms;

    pthread_mutex_t lease_lock;
    int64_t lease_id, lease_ttl_s;
    uint64_t lease_until_ms, lease_objects;

    atomic_bool ready;
    atomic_ullong incarnation, events_applied, own_applied, revision_calls, reads_waited, resyncs, reconnects;
    atomic_llong db_size;
    pthread_t sync_thread, fresh_thread, compact_thread;
};

/* --- small things --- */

const struct storage_config *
storage_config(const struct storage *st)
{
    return &st->config;
}

int64_t
storage_revision(struct storage *st)
{
    return atomic_load(&st->reached);
}

uint64_t
storage_incarnation(struct storage *st)
{
    return atomic_load(&st->incarnation);
}

bool
storage_ready(struct storage *st)
{
    return atomic_load(&st->ready);
}

void
storage_lock_table(struct storage *st)
{
    pthread_rwlock_rdlock(&st->table_lock);
}

void
storage_unlock_table(struct storage *st)
{
    pthread_rwlock_unlock(&st->table_lock);
}

static struct timespec
deadline_in(uint64_t ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Sleeps, but not beyond the end.  true: stopping. */
static bool
pause_unless_stopped(struct storage *st, uint64_t ms)
{
    struct timespec until = deadline_in(ms);
    bool stop;

    pthread_mutex_lock(&st->wait_lock);
    while (!st->stop && pthread_cond_timedwait(&st->stop_cond, &st->wait_lock, &until) != ETIMEDOUT)
        ;
    stop = st->stop;
    pthread_mutex_unlock(&st->wait_lock);
    return stop;
}

static void
set_problem(struct storage *st, const char *why)
{
    pthread_mutex_lock(&st->wait_lock);
    if (!*why)
        st->problem_since_ms = 0;
    else if (!st->problem_since_ms)
        st->problem_since_ms = clock_mono_ms();
    snprintf(st->problem, sizeof(st->problem), "%s", why);
    pthread_mutex_unlock(&st->wait_lock);
}

struct kerr *
storage_health(struct storage *st)
{
    struct kerr *err = NULL;

    pthread_mutex_lock(&st->wait_lock);
    if (st->problem[0])
        err = kerr_new(KERR_UNAVAILABLE, "etcd is not followed since %" PRIu64 " s: %s",
                       (clock_mono_ms() - st->problem_since_ms) / 1000, st->problem);
    pthread_mutex_unlock(&st->wait_lock);
    return err;
}

/* --- the table --- */

struct special_path {
    const char *group, *resource, *path;
};
static const struct special_path special_paths[] = {
    { "", "replicationcontrollers", "controllers" },
    { "", "endpoints", "services/endpoints" },
    { "", "nodes", "minions" },
    { "", "services", "services/specs" },
    { "networking.k8s.io", "ingresses", "ingress" },
    { "extensions", "ingresses", "ingress" },
    { "policy", "podsecuritypolicies", "podsecuritypolicy" },
};

char *
store_default_path(const char *group, const char *resource, bool custom)
{
    for (size_t i = 0; i < ARRAY_LEN(special_paths); i++)
        if (str_eq(special_paths[i].group, group) && str_eq(special_paths[i].resource, resource))
            return xstrdup(special_paths[i].path);
    if (custom || str_eq(group, "apiextensions.k8s.io") || str_eq(group, "apiregistration.k8s.io"))
        return xasprintf("%s/%s", group, resource);
    return xstrdup(resource);
}

/* Index of the first store whose prefix is > key. */
static size_t
table_upper(const struct storage *st, const char *key)
{
    size_t lo = 0, hi = st->nstores;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (strcmp(st->stores[mid]->prefix, key) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Whose key is that; with table_lock held.  NULL: none of ours. */
static struct store *
find_home(struct storage *st, const char *full_key)
{
    size_t i = table_upper(st, full_key);

    if (i && str_has_prefix(full_key, st->stores[i - 1]->prefix) && full_key[st->stores[i - 1]->prefix_len])
        return st->stores[i - 1];
    return str_has_prefix(full_key, st->unclaimed->prefix) ? st->unclaimed : NULL;
}

/* Moves records between two homes; with table_lock held for writing, so nothing is applied meanwhile. */
static void
move_records(struct store *from, struct store *to)
{
    const char *below = to->prefix_len > from->prefix_len ? to->prefix + from->prefix_len : "";
    AUTO_FREE char *start = xstrdup(below);
    struct record_tree old = record_tree_snapshot(&from->live);
    struct tree_walk walk;
    const struct record *rec;

    tree_walk_from(&walk, &old, (struct tree_pos){ "", start });
    while ((rec = tree_walk_next(&walk)) && str_has_prefix(rec->key, below)) {
        AUTO_FREE char *full = store_full_key(from, rec->key);
        AUTO_FREE char *value = rec->broken ? xmemdup(rec->json, rec->json_len + 1u) : NULL;
        size_t len = rec->json_len;
        struct store_change ch = { .key = full + to->prefix_len };
        struct kerr *err = value ? NULL : record_stored_form(rec->json, rec->json_len, &value, &len);

        kerr_free(err);
        if (value && full[to->prefix_len]) {
            ch.rec = to == to->st->unclaimed ? record_new_broken(&to->resource->shape, ch.key, value, len, rec->revision)
                                             : store_build(to, ch.key, value, len, rec->revision);
            store_apply(to, storage_revision(to->st), &ch, 1);
        }
        if (from == from->st->unclaimed) {
            ch = (struct store_change){ .key = (char *)rec->key };
            store_apply(from, storage_revision(from->st), &ch, 1);
        }
    }
    record_tree_done(&old);
}

struct store *
storage_add(struct storage *st, const struct store_resource *resource)
{
    AUTO_FREE char *path = resource->path ? xstrdup(resource->path) : store_default_path(resource->group, resource->resource, false);
    struct store *s = store_new(st, resource, xasprintf("%s/%s/", st->prefix, path));
    size_t at;

    pthread_rwlock_wrlock(&st->table_lock);
    at = table_upper(st, s->prefix);
    st->stores = xreallocarray(st->stores, st->nstores + 1, sizeof(struct store *));
    memmove(&st->stores[at + 1], &st->stores[at], (st->nstores - at) * sizeof(struct store *));
    st->stores[at] = s;
    st->nstores++;
    move_records(st->unclaimed, s);
    pthread_mutex_lock(&s->lock);
    while (s->ring_len) { /* what was there before is no history */
        store_event_unref(s->ring[s->ring_at]);
        s->ring_at = (s->ring_at + 1) % s->ring_cap;
        s->ring_len--;
    }
    s->ring_bytes = 0;
    s->ring_floor = s->changed = storage_revision(st);
    pthread_mutex_unlock(&s->lock);
    pthread_rwlock_unlock(&st->table_lock);
    return s;
}

void
storage_remove(struct storage *st, struct store *s)
{
    pthread_rwlock_wrlock(&st->table_lock);
    for (size_t i = 0; i < st->nstores; i++) {
        if (st->stores[i] != s)
            continue;
        st->nstores--;
        memmove(&st->stores[i], &st->stores[i + 1], (st->nstores - i) * sizeof(struct store *));
        move_records(s, st->unclaimed);
        store_close(s);
        break;
    }
    pthread_rwlock_unlock(&st->table_lock);
    store_unref(s);
}

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
static void
wake_waiters(struct storage *st)
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
        wake_waiters(st);
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
    struct timespec until = deadline_in((uint64_t)timeout_ms);

    pthread_mutex_lock(&st->wait_lock);
    while (!st->stop && !storage_ready(st))
        if (pthread_cond_timedwait(&st->stop_cond, &st->wait_lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&st->wait_lock);
    return storage_ready(st);
}

/* --- the sequence: every revision once, in order --- */

static void
remember_last(struct storage *st, const struct store_change *ch, int64_t revision)
{
    free(st->last_key);
    st->last_key = store_full_key(ch->store, ch->key);
    st->last_deleted = !ch->rec;
    st->last_revision = revision;
}

static void
set_reached(struct storage *st, int64_t revision)
{
    atomic_store(&st->reached, revision);
}

static void
drop_pending(struct storage *st, int64_t upto)
{
    size_t n = 0;

    while (n < st->npending && st->pending[n].revision <= upto)
        store_change_done(&st->pending[n++].change);
    st->npending -= n;
    memmove(st->pending, st->pending + n, st->npending * sizeof(*st->pending));
}

/* Own results whose turn has come. */
static void
drain_pending(struct storage *st)
{
    size_t n = 0;

    while (n < st->npending && st->pending[n].revision == storage_revision(st) + 1) {
        struct pending *p = &st->pending[n++];

        remember_last(st, &p->change, p->revision);
        store_apply(p->change.store, p->revision, &p->change, 1);
        set_reached(st, p->revision);
        store_change_done(&p->change);
        atomic_fetch_add(&st->own_applied, 1);
    }
    st->npending -= n;
    memmove(st->pending, st->pending + n, st->npending * sizeof(*st->pending));
}

static void
add_pending(struct storage *st, struct store *s, const char *key, int64_t revision, const struct record *rec)
{
    size_t at = st->npending;

    if (st->npending == PENDING_MAX)
        return; /* the watch will bring it */
    while (at && st->pending[at - 1].revision > revision)
        at--;
    memmove(st->pending + at + 1, st->pending + at, (st->npending - at) * sizeof(*st->pending));
    st->pending[at] = (struct pending){ revision, { store_ref(s), xstrdup(key), record_ref(rec) } };
    st->npending++;
}

void
storage_apply_own(struct storage *st, struct store *s, const char *key, int64_t revision, const struct record *rec)
{
    storage_lock_table(st);
    pthread_mutex_lock(&st->sequence);
    if (!atomic_load(&s->gone) && storage_ready(st) && revision > storage_revision(st)) {
        add_pending(st, s, key, revision, rec);
        drain_pending(st);
    }
    pthread_mutex_unlock(&st->sequence);
    storage_unlock_table(st);
    wake_waiters(st);
}

/* --- following the watch --- */

static void
clear_group(struct storage *st)
{
    for (size_t i = 0; i < st->ngroup; i++)
        store_change_done(&st->group[i]);
    st->ngroup = 0;
}

/* The table may have changed since the record was made: make it anew for where it belongs now. */
static void
rehome(struct storage *st, struct store_change *ch)
{
    AUTO_FREE char *full = store_full_key(ch->store, ch->key);
    AUTO_FREE char *value = NULL;
    struct store *home = find_home(st, full);
    struct record *rec = NULL;
    size_t len;

    if (home == ch->store || !home)
        return;
    if (ch->rec) {
        struct kerr *err = record_stored_form(ch->rec->json, ch->rec->json_len, &value, &len);

        if (err) {
            kerr_free(err);
            value = xmemdup(ch->rec->json, ch->rec->json_len + 1u);
            len = ch->rec->json_len;
        }
        rec = home == st->unclaimed ? record_new_broken(&home->resource->shape, full + home->prefix_len, value, len, ch->rec->revision)
                                    : store_build(home, full + home->prefix_len, value, len, ch->rec->revision);
    }
    struct store_change moved = { store_ref(home), xstrdup(full + home->prefix_len), rec };

    store_change_done(ch);
    *ch = moved;
}

static int
change_cmp(const void *a, const void *b)
{
    const struct store_change *x = a, *y = b;

    return x->store < y->store ? -1 : x->store > y->store;
}

/* Applies the collected revision, store by store, unless our own result was faster. */
static void
flush_group(struct storage *st)
{
    storage_lock_table(st);
    for (size_t i = 0; i < st->ngroup; i++)
        rehome(st, &st->group[i]);
    if (st->ngroup > 1)
        qsort(st->group, st->ngroup, sizeof(*st->group), change_cmp);
    pthread_mutex_lock(&st->sequence);
    if (st->group_revision > storage_revision(st)) {
        if (st->ngroup)
            remember_last(st, &st->group[st->ngroup - 1], st->group_revision);
        for (size_t i = 0, n; i < st->ngroup; i += n) {
            for (n = 1; i + n < st->ngroup && st->group[i + n].store == st->group[i].store;)
                n++;
            store_apply(st->group[i].store, st->group_revision, &st->group[i], n);
        }
        atomic_fetch_add(&st->events_applied, st->ngroup);
        set_reached(st, st->group_revision);
        drop_pending(st, st->group_revision);
        drain_pending(st);
    }
    pthread_mutex_unlock(&st->sequence);
    storage_unlock_table(st);
    clear_group(st);
    st->group_revision = 0;
    wake_waiters(st);
}

static void
group_add(struct storage *st, struct store *home, const char *key, struct record *rec)
{
    if (st->ngroup == st->group_cap) {
        st->group_cap = st->group_cap ? st->group_cap * 2 : 16;
        st->group = xreallocarray(st->group, st->group_cap, sizeof(*st->group));
    }
    st->group[st->ngroup++] = (struct store_change){ store_ref(home), xstrdup(key), rec };
}

static struct record *
event_record(struct store *home, const char *key, const struct etcd_watch_event *ev)
{
    AUTO_FREE char *value = xmalloc(etcd_watch_value_max(ev) + 1);
    size_t len = 0;

    if (etcd_watch_value(ev, value, &len) != 0)
        return record_new_broken(&home->resource->shape, key, "", 0, ev->revision);
    if (home == home->st->unclaimed)
        return record_new_broken(&home->resource->shape, key, value, len, ev->revision);
    return store_build(home, key, value, len, ev->revision);
}

static struct kerr *
on_event(const struct etcd_watch_event *ev, void *arg)
{
    struct storage *st = arg;
    struct store *home;

    if (st->group_revision && ev->revision != st->group_revision)
        flush_group(st);
    if (ev->revision <= storage_revision(st)) /* our own, applied already: not even decoded */
        return NULL;
    st->group_revision = ev->revision;
    storage_lock_table(st);
    home = find_home(st, ev->kv.key);
    if (home) {
        const char *key = ev->kv.key + home->prefix_len;

        group_add(st, home, key, ev->deleted ? NULL : event_record(home, key, ev));
    }
    storage_unlock_table(st);
    return NULL;
}

static struct kerr *
on_frame_end(void *arg)
{
    struct storage *st = arg;

    if (st->group_revision)
        flush_group(st);
    return NULL;
}

static struct kerr *
on_started(void *arg)
{
    struct storage *st = arg;

    log_info("Following etcd", "revision", kv_int(storage_revision(st)));
    set_problem(st, "");
    return NULL;
}

/* --- loading --- */

static struct kerr *
on_load_kv(const struct etcd_kv *kv, void *arg)
{
    struct storage *st = arg;
    struct store *home = find_home(st, kv->key);
    const struct record *old;
    struct record *rec;
    const char *key;

    free(st->page_key);
    st->page_key = xstrdup(kv->key);
    if (!home)
        return NULL;
    if (kv->mod_revision > st->last_revision) {
        free(st->last_key);
        st->last_key = xstrdup(kv->key);
        st->last_revision = kv->mod_revision;
        st->last_deleted = false;
    }
    key = kv->key + home->prefix_len;
    old = record_tree_get(&home->live, (struct tree_pos){ "", key }); /* this thread and `sequence` change it: see load() */
    if (old && old->revision == kv->mod_revision)
        rec = record_ref(old);
    else if (home == st->unclaimed)
        rec = record_new_broken(&home->resource->shape, key, kv->value, kv->value_len, kv->mod_revision);
    else
        rec = store_build(home, key, kv->value, kv->value_len, kv->mod_revision);
    record_unref(record_tree_put(&home->loading, rec));
    return NULL;
}

static struct kerr *
load_pages(struct storage *st, int64_t *ret_revision, uint64_t *ret_cluster)
{
    AUTO_FREE char *end = xasprintf("%s0", st->prefix); /* '/' + 1 */
    AUTO_FREE char *from = xasprintf("%s/", st->prefix);
    size_t from_len = strlen(from);
    int64_t revision = 0;

    for (;;) {
        struct etcd_range range = { .key = from, .key_len = from_len, .range_end = end, .range_end_len = strlen(end),
                                    .revision = revision, .limit = st->config.page };
        struct etcd_range_info info;
        struct kerr *err = etcd_get_range(st->config.etcd, &range, on_load_kv, st, &info);

        if (err)
            return err;
        if (!revision)
            revision = info.revision;
        *ret_cluster = info.cluster_id;
        if (!info.more || !st->page_key)
            break;
        free(from);
        from = xasprintf("%s\x01", st->page_key);
        from_len = strlen(from);
        from[from_len - 1] = 0; /* the key right behind the last one */
    }
    *ret_revision = revision;
    return NULL;
}

static void
drop_loading(struct storage *st)
{
    for (size_t i = 0; i < st->nstores; i++)
        record_tree_done(&st->stores[i]->loading);
    record_tree_done(&st->unclaimed->loading);
}

/* Everything anew at one revision.  The table stays locked for reading (no store comes or goes), and `sequence` keeps our
 * own results out, so `live` stands still while the new state is built beside it. */
static struct kerr *
load(struct storage *st, bool first, bool replaced)
{
    uint64_t cluster = 0;
    int64_t revision = 0;
    struct kerr *err;

    storage_lock_table(st);
    pthread_mutex_lock(&st->sequence);
    free(steal_ptr(st->last_key));
    free(steal_ptr(st->page_key));
    st->last_revision = 0;
    err = load_pages(st, &revision, &cluster);
    if (err) {
        drop_loading(st);
    } else {
        replaced |= !first && (revision < storage_revision(st) || cluster != st->cluster_id);
        drop_pending(st, replaced ? INT64_MAX : revision);
        if (replaced) /* readers must not take the old, higher revision for the new state */
            set_reached(st, revision);
        for (size_t i = 0; i < st->nstores; i++)
            store_swap_in(st->stores[i], revision, first, replaced);
        store_swap_in(st->unclaimed, revision, true, false);
        st->cluster_id = cluster;
        set_reached(st, revision);
        drain_pending(st);
        if (!first)
            atomic_fetch_add(&st->incarnation, 1);
    }
    pthread_mutex_unlock(&st->sequence);
    storage_unlock_table(st);
    if (!err && replaced)
        log_warning("etcd's history was replaced (a snapshot was restored?): all watches start anew", "revision", kv_int(revision));
    return err;
}

/* --- staying in step --- */

struct probe {
    bool found;
    int64_t mod_revision;
};

static struct kerr *
on_probe(const struct etcd_kv *kv, void *arg)
{
    struct probe *p = arg;

    p->found = true;
    p->mod_revision = kv->mod_revision;
    return NULL;
}

/* Before following again: is what etcd has now the continuation of what we have?  *ret_replaced: it is not. */
static struct kerr *
check_history(struct storage *st, bool *ret_replaced)
{
    AUTO_FREE char *key = NULL;
    struct etcd_range_info info;
    struct probe probe = { 0 };
    struct kerr *err;
    int64_t reached, last;
    bool deleted;

    pthread_mutex_lock(&st->sequence);
    reached = storage_revision(st);
    last = st->last_key ? st->last_revision : 0;
    key = xstrdup(last ? st->last_key : "compact_rev_key");
    deleted = st->last_deleted;
    pthread_mutex_unlock(&st->sequence);
    struct etcd_range range = { .key = key, .key_len = strlen(key), .keys_only = true, .revision = reached };

    err = etcd_get_range(st->config.etcd, &range, on_probe, &probe, &info);
    if (err && err->reason == KERR_BAD_REQUEST) { /* our revision lies in its future */
        kerr_free(err);
        *ret_replaced = true;
        return NULL;
    }
    if (err && err->reason == KERR_EXPIRED) { /* compacted: the watch will say so, if it matters */
        kerr_free(err);
        return NULL;
    }
    if (err)
        return err;
    *ret_replaced = info.cluster_id != st->cluster_id || info.revision < reached;
    if (last)
        *ret_replaced |= deleted ? probe.found : !probe.found || probe.mod_revision != last;
    return NULL;
}

static const struct backoff_policy retry_policy = { .initial_ms = 100, .max_ms = 2000, .jitter_percent = 20 };

struct follow {
    struct backoff backoff;
    struct rng rng;
    uint64_t last_log_ms;
    bool loaded, need_load, replaced;
};

/* Says what it waits for, then waits.  Takes err. */
static void
wait_and_say(struct storage *st, struct follow *f, struct kerr *err)
{
    uint64_t wait_ms = backoff_next_ms(&f->backoff, &retry_policy, &f->rng);

    set_problem(st, err->message);
    if (!atomic_load(&st->stop) && klog_every(&f->last_log_ms, clock_mono_ms(), 10000))
        log_warning("Waiting for etcd", "endpoints", etcd_endpoints(st->config.etcd), "err", kv_err(err), "retry_ms", kv_int((int64_t)wait_ms));
    kerr_free(err);
    pause_unless_stopped(st, wait_ms);
}

static struct kerr *
load_if_needed(struct storage *st, struct follow *f)
{
    uint64_t start = clock_mono_ms();
    struct kerr *err;

    if (f->loaded && !f->need_load) {
        err = check_history(st, &f->replaced);
        if (err)
            return err;
        atomic_fetch_add(&st->reconnects, 1);
        f->need_load = f->replaced;
    }
    if (f->loaded && !f->need_load)
        return NULL;
    err = load(st, !f->loaded, f->replaced);
    if (err)
        return err;
    if (f->loaded)
        atomic_fetch_add(&st->resyncs, 1);
    log_info(f->loaded ? "Read all objects from etcd again" : "Read all objects from etcd", "revision", kv_int(storage_revision(st)),
             "took_ms", kv_int((int64_t)(clock_mono_ms() - start)));
    f->loaded = true;
    f->need_load = f->replaced = false;
    pthread_mutex_lock(&st->wait_lock);
    atomic_store(&st->ready, true);
    pthread_cond_broadcast(&st->stop_cond);
    pthread_mutex_unlock(&st->wait_lock);
    wake_waiters(st);
    return NULL;
}

static void *
sync_main(void *arg)
{
    struct storage *st = arg;
    struct etcd_watcher watcher = { on_started, on_event, on_frame_end, st };
    struct follow f = { .rng = rng_from_system() };

    pthread_setname_np(pthread_self(), "etcd-watch");
    while (!st->stop) {
        struct kerr *err = load_if_needed(st, &f);
        uint64_t since = clock_mono_ms();

        if (err) {
            wait_and_say(st, &f, err);
            continue;
        }
        err = etcd_watch_run(st->config.etcd, storage_revision(st) + 1, &watcher);
        clear_group(st); /* half a revision: it comes again */
        st->group_revision = 0;
        if (clock_mono_ms() - since > 5000)
            backoff_reset(&f.backoff);
        if (err->reason == KERR_EXPIRED) {
            log_warning("etcd was compacted beyond our place, reading everything again", "err", kv_err(err));
            f.need_load = true;
            kerr_free(err);
            continue;
        }
        wait_and_say(st, &f, err);
    }
    return NULL;
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

static void *
fresh_main(void *arg)
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
            struct timespec until = deadline_in(100);

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

/* --- compaction: upstream's race for compact_rev_key, so that one apiserver of several does it --- */

static struct kerr *
compact_once(struct storage *st, int64_t *version, int64_t *revision)
{
    char value[24];
    struct etcd_txn txn = { .key = "compact_rev_key", .guard = ETCD_GUARD_VERSION, .expect = *version, .value = value };
    struct etcd_txn_reply reply;
    int64_t old = *revision;
    struct kerr *err;

    txn.value_len = (size_t)snprintf(value, sizeof(value), "%" PRId64, old);
    err = etcd_do_txn(st->config.etcd, &txn, &reply);
    if (err)
        return err;
    *revision = reply.revision;
    *version = reply.succeeded ? *version + 1 : reply.found ? reply.kv.version : 0;
    if (reply.succeeded && old > 0) {
        err = etcd_compact(st->config.etcd, old);
        if (!err)
            log_v(2, "Compacted etcd", "revision", kv_int(old));
    }
    etcd_txn_reply_done(&reply);
    return err;
}

static void
prune_all(struct storage *st)
{
    storage_lock_table(st);
    for (size_t i = 0; i < st->nstores; i++)
        store_prune_snapshots(st->stores[i], clock_mono_ms());
    storage_unlock_table(st);
}

static void
note_size(struct storage *st)
{
    struct etcd_status status;
    struct kerr *err = storage_ready(st) ? etcd_get_status(st->config.etcd, &status) : kerr_new(KERR_UNAVAILABLE, "not yet");

    if (!err)
        atomic_store(&st->db_size, status.db_size);
    kerr_free(err);
}

static void *
compact_main(void *arg)
{
    struct storage *st = arg;
    uint64_t next_ms = clock_mono_ms() + (uint64_t)st->config.compaction_interval_ms;
    int64_t version = 0, revision = 0;

    pthread_setname_np(pthread_self(), "etcd-compact");
    for (;;) {
        uint64_t now = clock_mono_ms(), wait = 30000;
        struct kerr *err;

        if (st->config.compaction_interval_ms && next_ms < now + wait)
            wait = next_ms > now ? next_ms - now : 0;
        if (pause_unless_stopped(st, wait))
            return NULL;
        prune_all(st);
        note_size(st);
        if (!st->config.compaction_interval_ms || clock_mono_ms() < next_ms || !storage_ready(st))
            continue;
        next_ms = clock_mono_ms() + (uint64_t)st->config.compaction_interval_ms;
        err = compact_once(st, &version, &revision);
        if (err)
            log_warning("etcd was not compacted, trying again at the next interval", "err", kv_err(err));
        kerr_free(err);
    }
}

/* --- leases: one for all objects of the same life time within a minute --- */

struct kerr *
storage_lease(struct storage *st, int64_t ttl_s, int64_t *ret)
{
    int64_t reuse_s = ttl_s / 20 < LEASE_REUSE_S ? ttl_s / 20 : LEASE_REUSE_S;
    struct kerr *err = NULL;
    uint64_t now;

    pthread_mutex_lock(&st->lease_lock);
    now = clock_mono_ms();
    if (!st->lease_id || st->lease_ttl_s != ttl_s || now >= st->lease_until_ms || st->lease_objects >= LEASE_OBJECTS_MAX) {
        st->lease_id = 0;
        err = etcd_lease_grant(st->config.etcd, ttl_s + reuse_s, &st->lease_id);
        st->lease_ttl_s = ttl_s;
        st->lease_until_ms = now + (uint64_t)reuse_s * 1000;
        st->lease_objects = 0;
    }
    st->lease_objects++;
    *ret = st->lease_id;
    pthread_mutex_unlock(&st->lease_lock);
    return err;
}

void
storage_forget_lease(struct storage *st, int64_t id)
{
    pthread_mutex_lock(&st->lease_lock);
    if (st->lease_id == id)
        st->lease_id = 0;
    pthread_mutex_unlock(&st->lease_lock);
}

/* --- life --- */

static const struct store_resource unclaimed_resource = { .group = "", .resource = "*", .path = "", .index_field = -1 };

struct storage *
storage_new(const struct storage_config *config)
{
    struct storage *st = XNEW(struct storage);
    pthread_condattr_t attr;

    st->config = *config;
    st->prefix = xasprintf("%s%s", *str_or(config->prefix, "/registry") == '/' ? "" : "/", str_or(config->prefix, "/registry"));
    while (str_has_suffix(st->prefix, "/"))
        st->prefix[strlen(st->prefix) - 1] = 0;
    st->config.prefix = st->prefix;
    st->config.page = config->page ? config->page : 500;
    st->config.ring_events = config->ring_events ? config->ring_events : 1000;
    st->config.ring_bytes = config->ring_bytes ? config->ring_bytes : 16u << 20;
    st->config.snapshots = config->snapshots ? config->snapshots : 64;
    st->config.snapshot_ms = config->snapshot_ms ? config->snapshot_ms : 90000;
    st->config.fresh_timeout_ms = config->fresh_timeout_ms ? config->fresh_timeout_ms : 10000;
    pthread_rwlock_init(&st->table_lock, NULL);
    pthread_mutex_init(&st->sequence, NULL);
    pthread_mutex_init(&st->wait_lock, NULL);
    pthread_mutex_init(&st->lease_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&st->wait_cond, &attr);
    pthread_cond_init(&st->stop_cond, &attr);
    pthread_condattr_destroy(&attr);
    st->pending = xcalloc(PENDING_MAX + 1, sizeof(*st->pending));
    st->unclaimed = store_new(st, &unclaimed_resource, xasprintf("%s/", st->prefix));
    set_problem(st, "etcd has not been read yet");
    return st;
}

static pthread_t
start_thread(void *(*fn)(void *arg), void *arg)
{
    pthread_t t;

    if (pthread_create(&t, NULL, fn, arg) != 0)
        abort();
    return t;
}

void
storage_start(struct storage *st)
{
    st->started = true;
    metrics_add_collector(storage_write_metrics, st);
    st->sync_thread = start_thread(sync_main, st);
    st->fresh_thread = start_thread(fresh_main, st);
    st->compact_thread = start_thread(compact_main, st);
}

void
storage_stop(struct storage *st)
{
    struct waiter *fresh, *waiting;

    if (atomic_exchange(&st->stop, true))
        return;
    pthread_mutex_lock(&st->wait_lock);
    pthread_cond_broadcast(&st->wait_cond);
    pthread_cond_broadcast(&st->stop_cond);
    pthread_mutex_unlock(&st->wait_lock);
    if (st->started) {
        metrics_remove_collector(storage_write_metrics, st);
        etcd_interrupt(st->config.etcd);
        pthread_join(st->sync_thread, NULL);
        pthread_join(st->fresh_thread, NULL);
        pthread_join(st->compact_thread, NULL);
    }
    pthread_mutex_lock(&st->wait_lock);
    fresh = steal_ptr(st->fresh);
    waiting = steal_ptr(st->waiting);
    atomic_store(&st->nwaiting, 0);
    pthread_mutex_unlock(&st->wait_lock);
    finish_waiters(fresh, stopping_err, NULL);
    finish_waiters(waiting, stopping_err, NULL);
}

void
storage_free(struct storage *st)
{
    if (!st)
        return;
    storage_stop(st);
    drop_pending(st, INT64_MAX);
    for (size_t i = 0; i < st->nstores; i++) {
        store_close(st->stores[i]);
        store_unref(st->stores[i]);
    }
    store_close(st->unclaimed);
    store_unref(st->unclaimed);
    clear_group(st);
    pthread_rwlock_destroy(&st->table_lock);
    pthread_mutex_destroy(&st->sequence);
    pthread_mutex_destroy(&st->wait_lock);
    pthread_mutex_destroy(&st->lease_lock);
    pthread_cond_destroy(&st->wait_cond);
    pthread_cond_destroy(&st->stop_cond);
    free(st->stores);
    free(st->group);
    free(st->pending);
    free(st->last_key);
    free(st->page_key);
    free(st->prefix);
    free(st);
}

void
storage_get_stats(struct storage *st, struct storage_stats *ret)
{
    *ret = (struct storage_stats){ .db_size = atomic_load(&st->db_size),
                                   .events_applied = atomic_load(&st->events_applied),
                                   .own_applied = atomic_load(&st->own_applied),
                                   .revision_calls = atomic_load(&st->revision_calls),
                                   .reads_waited = atomic_load(&st->reads_waited),
                                   .resyncs = atomic_load(&st->resyncs),
                                   .reconnects = atomic_load(&st->reconnects) };
    storage_lock_table(st);
    for (size_t i = 0; i < st->nstores; i++) {
        pthread_mutex_lock(&st->stores[i]->lock);
        ret->records += record_tree_count(&st->stores[i]->live);
        ret->record_bytes += st->stores[i]->bytes;
        pthread_mutex_unlock(&st->stores[i]->lock);
    }
    storage_unlock_table(st);
}

struct store *
storage_store_at(struct storage *st, size_t i)
{
    return i < st->nstores ? st->stores[i] : NULL;
}
