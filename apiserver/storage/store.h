// SPDX-License-Identifier: Apache-2.0
/* store.h - the cluster's objects in memory, exactly as they are in etcd, and the way to change them.
 *
 *   etcd ==one watch over all keys==> storage ==by key prefix==> store (one per resource)  --> readers: records, lists
 *                                        |                          '--> watch_hub: events to watchers
 *   writers: store_create/update/delete --'  (one guarded etcd txn each; its result is applied here at once)
 *
 * Exactness: every etcd revision reaches storage, from the watch or from our own txn replies, and is applied in order
 * without gaps.  So every store is at all times the precise state at storage_revision(), a consistent read needs
 * only to know etcd's revision (one shared call for all readers who wait) and a list can be paged in memory.
 *
 * Threads: a watch thread, a revision thread and a compaction thread belong to storage.  Applying is serialised by
 * one lock (`sequence`); each store has a lock around its tree root, ring and snapshots, held for moments;
 * readers take references and work without locks.  Lock order: table -> sequence -> store -> hub port.
 * Functions marked (blocks) talk to etcd: writer threads only, never an I/O loop. */
#ifndef CKUBE_APISERVER_STORE_H
#define CKUBE_APISERVER_STORE_H

#include "apiserver/storage/etcd_client.h"
#include "apiserver/storage/record.h"
#include "common/base/sbuf.h"

struct storage;
struct store;

/* One resource: constant, or owned by whoever added it and valid until storage_remove(). */
struct store_resource {
    const char *group;    /* "" for core */
    const char *resource; /* "pods" */
    const char *path;     /* below the etcd prefix, without slashes at the ends; NULL: store_default_path() */
    struct record_shape shape;
    int index_field;      /* row of shape.fields by which lists and watches are indexed; -1: none */
    int64_t ttl_s;        /* > 0: objects live that long from each write (events) */
    uint32_t ring_events; /* watch history kept; 0: storage's default */
    /* Values as etcd holds them <-> JSON; NULL: they are JSON.  `ret` is malloc'd. (protobuf, encryption at rest) */
    struct kerr *(*from_stored)(const struct store_resource *r, const char *key, const char *value, size_t len, char **ret, size_t *ret_len);
    struct kerr *(*to_stored)(const struct store_resource *r, const char *key, const char *json, size_t len, char **ret, size_t *ret_len);
    void *arg; /* for the two above */
};
/* Upstream's layout: nodes -> "minions", services -> "services/specs", CRs -> "<group>/<plural>", ...  Caller frees. */
char *store_default_path(const char *group, const char *resource, bool custom) MUST_CHECK;

struct storage_config {
    struct etcd *etcd;
    const char *prefix;            /* --etcd-prefix; NULL: "/registry" */
    int64_t compaction_interval_ms; /* --etcd-compaction-interval; 0: never */
    uint32_t page;                 /* keys per range while loading; 0: 500 */
    uint32_t ring_events;          /* history kept per resource; 0: 100 */
    uint32_t ring_events_max;      /* and while it is younger than 75 s; 0: 100,000, or ring_events if that was given */
    uint32_t ring_bytes;           /* 0: 32 MiB: history of one resource pins at most that */
    uint32_t snapshots;            /* paged lists kept in memory per resource; 0: 64 */
    int64_t snapshot_ms;           /* and how long; 0: 90 s.  Older ones are answered by etcd */
    int64_t fresh_timeout_ms;      /* a consistent read waits at most; 0: 10 s */
};
struct storage *storage_new(const struct storage_config *config) MUST_CHECK; /* copies config; etcd stays the caller's */
void storage_start(struct storage *st); /* starts the threads; loads as soon as etcd answers */
/* Ends the threads and all waiting reads (their fn gets KERR_UNAVAILABLE), running calls to etcd too.  Memory stays
 * readable.  Call it before freeing the loops that storage posts to. */
void storage_stop(struct storage *st);
void storage_free(struct storage *st); /* stops first; no call may be running */
DEFINE_AUTO(storage)

/* Adding and removing is possible at any time (CRDs): the objects are there at once, nothing is loaded again. */
struct store *storage_add(struct storage *st, const struct store_resource *resource);
void storage_remove(struct storage *st, struct store *store); /* its watchers end; records go back to the unclaimed */
const struct store_resource *store_resource(const struct store *s);

bool storage_ready(struct storage *st);                            /* loaded, ever */
bool storage_wait_ready(struct storage *st, int64_t timeout_ms);   /* (blocks) */
/* For /readyz: NULL when etcd is reachable and the watch runs; else what is wrong, since when. */
struct kerr *storage_health(struct storage *st) MUST_CHECK;
int64_t storage_revision(struct storage *st);     /* applied so far */
uint64_t storage_incarnation(struct storage *st); /* changes when etcd's history was replaced under us */
struct storage_stats {
    uint64_t records, record_bytes, events_applied, own_applied, revision_calls, reads_waited, resyncs, reconnects;
    int64_t db_size; /* of etcd, looked at now and then; 0: not known */
};
void storage_get_stats(struct storage *st, struct storage_stats *ret);

/* Calls fn once, from a storage thread or at once from this one, when storage is at least at what etcd's revision was
 * at the time of this call, or err says why not (fn takes err).  All who wait share one etcd call. */
typedef void (*storage_fresh_fn)(void *arg, struct kerr *err);
void storage_when_fresh(struct storage *st, storage_fresh_fn fn, void *arg);
/* Likewise when storage reaches `revision`.  KERR_TIMEOUT "Too large resource version: ..." when it does not in 3 s. */
void storage_when_reached(struct storage *st, int64_t revision, storage_fresh_fn fn, void *arg);
struct kerr *storage_wait_fresh(struct storage *st) MUST_CHECK; /* (blocks) */

/* --- reading: memory only, any thread --- */
struct record *store_get(struct store *s, const char *ns, const char *name) MUST_CHECK; /* a reference, or NULL */
uint64_t store_count(struct store *s);

struct record_filter { /* which records; zero: all */
    const char *ns;          /* "" or NULL: all namespaces */
    const char *name;        /* metadata.name=... */
    const char *index_value; /* value of the resource's index field */
    bool (*match)(const struct record *rec, const void *ctx); /* remaining selectors; NULL: all */
    const void *ctx;
};
enum store_rv_match { STORE_RV_UNSET, STORE_RV_NOT_OLDER, STORE_RV_EXACT };
struct store_list_opts {
    struct record_filter filter;
    int64_t limit;               /* 0: all */
    const char *continue_token;  /* "" or NULL: from the start */
    int64_t resource_version;    /* 0: unset or "0" */
    enum store_rv_match match;
};
struct store_list {
    struct record **items; /* references */
    size_t len;
    int64_t revision;      /* the list's resourceVersion */
    char *continue_token;  /* NULL: complete */
    int64_t remaining;     /* -1: not told */
};
void store_list_done(struct store_list *l);
/* From memory, at storage_revision() or at the token's or exact revision.  When memory does not hold that revision any
 * more, *ret_from_etcd is set and nothing else: call store_list_old() on a thread that may block. */
struct kerr *store_get_list(struct store *s, const struct store_list_opts *opts, struct store_list *ret,
                            bool *ret_from_etcd) MUST_CHECK;
/* (blocks) Asks etcd for that revision.  Gone: KERR_EXPIRED, with a fresh token in list_continue for paged lists. */
struct kerr *store_list_old(struct store *s, const struct store_list_opts *opts, struct store_list *ret) MUST_CHECK;

/* --- writing (blocks): one etcd txn each --- */
struct store_preconditions {
    const char *uid;              /* "" or NULL: any */
    const char *resource_version; /* likewise */
};
/* KERR_ALREADY_EXISTS when there is one.  ret: the object as stored, with its resourceVersion. */
struct kerr *store_create(struct store *s, const char *ns, const char *name, const char *json, size_t len,
                          struct record **ret) MUST_CHECK;
/* Makes the new JSON from the current object (NULL: absent; only with allow_create).  Called again after a lost race.
 * Leaving ret_json empty means "delete it". */
typedef struct kerr *(*store_update_fn)(const struct record *current, struct sbuf *ret_json, void *arg);
struct store_update {
    const char *ns, *name;
    struct store_preconditions preconditions;
    bool allow_create;
    store_update_fn fn;
    void *arg;
};
enum store_outcome { STORE_UPDATED, STORE_CREATED, STORE_UNCHANGED, STORE_DELETED };
/* Read, fn, guarded write, again until it holds.  Equal bytes are not written: the old record comes back. */
struct kerr *store_update(struct store *s, const struct store_update *u, struct record **ret,
                          enum store_outcome *ret_outcome) MUST_CHECK;
/* check may refuse (NULL: none); it sees the object that will go.  ret: that object at the deletion's revision. */
struct kerr *store_delete(struct store *s, const char *ns, const char *name, const struct store_preconditions *pre,
                          struct kerr *(*check)(const struct record *current, void *arg), void *arg,
                          struct record **ret) MUST_CHECK;

#endif
