// SPDX-License-Identifier: Apache-2.0
/* storage_sync.c - following etcd: its watch, loading everything, and finding out that history is another. */
#include <stdio.h>

#include "apiserver/storage/storage_internal.h"
#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/str.h"

/* --- following the watch --- */

void
sync_clear_group(struct storage *st)
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
    struct store *home = storage_home(st, full);
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
            sequence_remember(st, &st->group[st->ngroup - 1], st->group_revision);
        for (size_t i = 0, n; i < st->ngroup; i += n) {
            for (n = 1; i + n < st->ngroup && st->group[i + n].store == st->group[i].store;)
                n++;
            store_apply(st->group[i].store, st->group_revision, &st->group[i], n);
        }
        atomic_fetch_add(&st->events_applied, st->ngroup);
        sequence_set_reached(st, st->group_revision);
        sequence_drop_pending(st, st->group_revision);
        sequence_drain_pending(st);
    }
    pthread_mutex_unlock(&st->sequence);
    storage_unlock_table(st);
    sync_clear_group(st);
    st->group_revision = 0;
    storage_wake_waiters(st);
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
    home = storage_home(st, ev->kv.key);
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
    storage_set_problem(st, "");
    return NULL;
}

/* --- loading --- */

static struct kerr *
on_load_kv(const struct etcd_kv *kv, void *arg)
{
    struct storage *st = arg;
    struct store *home = storage_home(st, kv->key);
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
        sequence_drop_pending(st, replaced ? INT64_MAX : revision);
        if (replaced) /* readers must not take the old, higher revision for the new state */
            sequence_set_reached(st, revision);
        for (size_t i = 0; i < st->nstores; i++)
            store_swap_in(st->stores[i], revision, first, replaced);
        store_swap_in(st->unclaimed, revision, true, false);
        st->cluster_id = cluster;
        sequence_set_reached(st, revision);
        sequence_drain_pending(st);
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

    storage_set_problem(st, err->message);
    if (!atomic_load(&st->stop) && klog_every(&f->last_log_ms, clock_mono_ms(), 10000))
        log_warning("Waiting for etcd", "endpoints", etcd_endpoints(st->config.etcd), "err", kv_err(err), "retry_ms", kv_int((int64_t)wait_ms));
    kerr_free(err);
    storage_pause(st, wait_ms);
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
    storage_wake_waiters(st);
    return NULL;
}

void *
storage_sync_main(void *arg)
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
        sync_clear_group(st); /* half a revision: it comes again */
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
