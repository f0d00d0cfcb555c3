// SPDX-License-Identifier: Apache-2.0
/* storage.c - the table of stores, the sequence of revisions, and their life. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "apiserver/storage/storage_internal.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "common/base/str.h"

#define PENDING_MAX 8192        /* own results that wait for an earlier revision; more are left to the watch */

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

struct timespec
storage_deadline_in(uint64_t ms)
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
bool
storage_pause(struct storage *st, uint64_t ms)
{
    struct timespec until = storage_deadline_in(ms);
    bool stop;

    pthread_mutex_lock(&st->wait_lock);
    while (!st->stop && pthread_cond_timedwait(&st->stop_cond, &st->wait_lock, &until) != ETIMEDOUT)
        ;
    stop = st->stop;
    pthread_mutex_unlock(&st->wait_lock);
    return stop;
}

void
storage_set_problem(struct storage *st, const char *why)
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
struct store *
storage_home(struct storage *st, const char *full_key)
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

/* --- the sequence: every revision once, in order --- */

void
sequence_remember(struct storage *st, const struct store_change *ch, int64_t revision)
{
    free(st->last_key);
    st->last_key = store_full_key(ch->store, ch->key);
    st->last_deleted = !ch->rec;
    st->last_revision = revision;
}

void
sequence_set_reached(struct storage *st, int64_t revision)
{
    atomic_store(&st->reached, revision);
}

void
sequence_drop_pending(struct storage *st, int64_t upto)
{
    size_t n = 0;

    while (n < st->npending && st->pending[n].revision <= upto)
        store_change_done(&st->pending[n++].change);
    st->npending -= n;
    memmove(st->pending, st->pending + n, st->npending * sizeof(*st->pending));
}

/* Own results whose turn has come. */
void
sequence_drain_pending(struct storage *st)
{
    size_t n = 0;

    while (n < st->npending && st->pending[n].revision == storage_revision(st) + 1) {
        struct pending *p = &st->pending[n++];

        sequence_remember(st, &p->change, p->revision);
        store_apply(p->change.store, p->revision, &p->change, 1);
        sequence_set_reached(st, p->revision);
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
        sequence_drain_pending(st);
    }
    pthread_mutex_unlock(&st->sequence);
    storage_unlock_table(st);
    storage_wake_waiters(st);
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
    st->config.ring_events = config->ring_events ? config->ring_events : 100; /* upstream's lower bound too */
    if (!config->ring_events_max && !config->ring_events)
        st->config.ring_events_max = 100000;
    st->config.ring_bytes = config->ring_bytes ? config->ring_bytes : 32u << 20;
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
    storage_set_problem(st, "etcd has not been read yet");
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
    st->sync_thread = start_thread(storage_sync_main, st);
    st->fresh_thread = start_thread(storage_fresh_main, st);
    st->compact_thread = start_thread(storage_upkeep_main, st);
}

void
storage_stop(struct storage *st)
{
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
    storage_end_waits(st);
}

void
storage_free(struct storage *st)
{
    if (!st)
        return;
    storage_stop(st);
    sequence_drop_pending(st, INT64_MAX);
    for (size_t i = 0; i < st->nstores; i++) {
        store_close(st->stores[i]);
        store_unref(st->stores[i]);
    }
    store_close(st->unclaimed);
    store_unref(st->unclaimed);
    sync_clear_group(st);
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
