// SPDX-License-Identifier: Apache-2.0
/* store_internal.h - what storage.c, store.c, store_write.c and watch_hub.c share.  Nobody else includes it.
 *
 *   storage*.c     the table of stores, the sequence of revisions, the threads that follow etcd: storage_internal.h
 *   store.c        one resource: applying changes, history ring, snapshots, reading
 *   store_write.c  guarded writes
 *   watch_hub.c    ports and watchers */
#ifndef CKUBE_APISERVER_STORE_INTERNAL_H
#define CKUBE_APISERVER_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "apiserver/storage/record_tree.h"
#include "apiserver/storage/store.h"

struct hub_port;

/* One change of one object, shared by the ring and by every port it is posted to. */
struct store_event {
    _Atomic uint32_t refs;
    int64_t revision;
    uint64_t at_ms;         /* when it was applied */
    struct store *store;    /* a reference */
    struct record *before;  /* NULL: created */
    struct record *now;     /* NULL: deleted */
    _Atomic(struct record *) gone; /* `before` at this revision: made when first asked for */
};
struct store_event *store_event_ref(struct store_event *ev);
void store_event_unref(struct store_event *ev);
struct record *store_event_gone(struct store_event *ev); /* borrowed */

struct store_view { /* one state of a store; reading it needs no lock */
    struct record_tree tree, index;
    int64_t changed;  /* the last revision that changed it */
    int64_t revision; /* it is the state at every revision from `changed` to here */
};
void store_view_done(struct store_view *v);

struct snapshot {
    struct store_view view;
    uint64_t made_ms;
};

struct store {
    _Atomic uint32_t refs;
    const struct store_resource *resource;
    struct storage *st;
    char *prefix; /* "/registry/pods/" */
    size_t prefix_len;
    atomic_bool gone;       /* removed: no changes, no watchers any more */
    pthread_mutex_t lock;   /* guards all below; before hub port locks */
    struct record_tree live, index;
    struct record_tree loading; /* being filled by the sync thread alone */
    int64_t changed;
    uint64_t bytes;
    struct store_event **ring; /* history: ring[(ring_at + i) % ring_cap], oldest first */
    uint32_t ring_at, ring_len, ring_cap;
    uint32_t ring_least, ring_most; /* events kept anyhow; and while they are young */
    uint64_t ring_bytes;
    int64_t ring_floor; /* history is complete for every revision > ring_floor */
    struct snapshot *snapshots;
    uint32_t nsnapshots;
    struct hub_port **ports; /* that have watchers here */
    uint32_t nports;
};
struct store *store_ref(struct store *s);
void store_unref(struct store *s);
struct store *store_new(struct storage *st, const struct store_resource *resource, char *prefix);

struct store_change {
    struct store *store; /* a reference */
    char *key;           /* below the store's prefix */
    struct record *rec;  /* NULL: deleted */
};
void store_change_done(struct store_change *ch);

/* Applies all changes of one revision to this store, at once for all readers.  Takes ch[].rec. */
void store_apply(struct store *s, int64_t revision, struct store_change *ch, size_t n);
/* `loading` becomes the state at `revision`.  First load: silently.  Else watchers get the difference, or, when history was
 * replaced, an end. */
void store_swap_in(struct store *s, int64_t revision, bool first, bool replaced);
bool store_filter_accepts(const struct store *s, const struct record_filter *f, const struct record *rec);
void store_prune_snapshots(struct store *s, uint64_t now_ms);
bool store_prune_history(struct store *s, uint64_t now_ms); /* what a burst left; true: something went */
void store_close(struct store *s); /* gone: all watchers end */
struct record *store_build(struct store *s, const char *key, const char *value, size_t len, int64_t revision) MUST_CHECK;
char *store_full_key(const struct store *s, const char *key) MUST_CHECK;
char *store_key(const struct store *s, const char *ns, const char *name) MUST_CHECK;
struct store_view store_current_view(struct store *s);

/* storage.c */
const struct storage_config *storage_config(const struct storage *st);
void storage_lock_table(struct storage *st); /* for reading */
void storage_unlock_table(struct storage *st);
/* The result of our own txn: applied now if nothing is missing before it, else when its turn comes. rec NULL: deleted. */
void storage_apply_own(struct storage *st, struct store *s, const char *key, int64_t revision, const struct record *rec);
struct kerr *storage_lease(struct storage *st, int64_t ttl_s, int64_t *ret) MUST_CHECK;
void storage_forget_lease(struct storage *st, int64_t id);

struct store *storage_store_at(struct storage *st, size_t i); /* with the table locked; NULL: no more */

/* store_metrics.c */
void storage_count_call(const struct store *s, const char *operation, uint64_t start_us, bool failed);
void storage_write_metrics(struct sbuf *out, void *arg); /* a collector; arg is the storage */

/* watch_hub.c */
void hub_post(struct hub_port *port, struct store_event *ev);   /* with the store's lock held */
void hub_post_reset(struct hub_port *port, struct store *s);    /* likewise: all its watchers of s end with 410 */

#endif
