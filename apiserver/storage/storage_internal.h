// SPDX-License-Identifier: Apache-2.0
/* storage_internal.h - the body of struct storage and what its four files share.
 *
 *   storage.c         the table of stores, the sequence of revisions, life
 *   storage_wait.c    who waits for a revision; consistent reads (thread etcd-revision)
 *   storage_sync.c    following etcd's watch, loading, staying in step (thread etcd-watch)
 *   storage_upkeep.c  compaction, leases, old snapshots (thread etcd-compact) */
#ifndef CKUBE_APISERVER_STORAGE_INTERNAL_H
#define CKUBE_APISERVER_STORAGE_INTERNAL_H

#include <time.h>

#include "apiserver/storage/store_internal.h"

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

/* storage.c */
struct timespec storage_deadline_in(uint64_t ms);
bool storage_pause(struct storage *st, uint64_t ms); /* true: stopping */
void storage_set_problem(struct storage *st, const char *why); /* "" = none */
/* Whose key is that; with table_lock held.  NULL: none of ours. */
struct store *storage_home(struct storage *st, const char *full_key);
/* These with `sequence` held. */
void sequence_remember(struct storage *st, const struct store_change *ch, int64_t revision);
void sequence_set_reached(struct storage *st, int64_t revision);
void sequence_drop_pending(struct storage *st, int64_t upto);
void sequence_drain_pending(struct storage *st);

/* storage_wait.c */
void storage_wake_waiters(struct storage *st); /* after `reached` moved; without locks held */
void storage_end_waits(struct storage *st);    /* stopping: nobody waits on */
void *storage_fresh_main(void *arg);

/* storage_sync.c */
void sync_clear_group(struct storage *st);
void *storage_sync_main(void *arg);

/* storage_upkeep.c */
void *storage_upkeep_main(void *arg);

#endif
