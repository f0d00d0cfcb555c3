// SPDX-License-Identifier: Apache-2.0
/* etcd_client.h - etcd v3 through its gRPC gateway: JSON over HTTP/1.1, as a learner would call it with curl.
 *
 *     storage ---> etcd_txn / etcd_range / ...  ---> POST /v3/kv/txn ...      one pooled connection per call in flight
 *             ---> etcd_watch_run (its own thread) ---> POST /v3/watch         one long stream over the whole key space
 *
 * Several endpoints: calls go to the one that works, and move on when it fails; a failed one rests with back-off.
 * Every call blocks its thread; any number of threads.  Errors name the endpoint and the cause.
 * A call that got no answer may still have been carried out: etcd_txn_reply.repeated says that it was sent twice. */
#ifndef CKUBE_APISERVER_ETCD_CLIENT_H
#define CKUBE_APISERVER_ETCD_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/str.h"

struct etcd;

struct etcd_config {
    struct strlist endpoints; /* "https://10.0.0.1:2379"; a comma list is split by etcd_new() */
    const char *ca_file, *cert_file, *key_file; /* NULL: not used */
    int64_t dial_timeout_ms;  /* 0: 3000 */
    int64_t call_timeout_ms;  /* 0: 10000 */
    int64_t patience_ms;      /* how long a call tries endpoints that refuse; 0: 1500 */
};

struct kerr *etcd_new(const struct etcd_config *config, struct etcd **ret) MUST_CHECK; /* copies config; connects nowhere */
void etcd_free(struct etcd *e);
DEFINE_AUTO(etcd)

/* Makes every running call of the client end soon, also etcd_watch_run(); for shutdown. */
void etcd_interrupt(struct etcd *e);

struct etcd_kv { /* borrowed: valid during the callback or until the reply is done */
    const char *key;
    size_t key_len;
    const char *value;
    size_t value_len;
    int64_t create_revision, mod_revision, version, lease;
};

/* --- ranges --- */
struct etcd_range {
    const char *key;
    size_t key_len;
    const char *range_end; /* NULL: one key */
    size_t range_end_len;
    int64_t revision; /* 0: now */
    int64_t limit;    /* 0: all */
    bool keys_only, count_only, serializable;
};
struct etcd_range_info {
    int64_t revision, count;
    bool more;
    uint64_t cluster_id;
};
/* fn is called once per key, while the answer streams in: memory stays at one key. Its error ends the call. */
typedef struct kerr *(*etcd_kv_fn)(const struct etcd_kv *kv, void *arg);
/* A revision that is gone gives KERR_EXPIRED, one that has not happened yet KERR_BAD_REQUEST. */
struct kerr *etcd_get_range(struct etcd *e, const struct etcd_range *range, etcd_kv_fn fn, void *arg,
                            struct etcd_range_info *ret) MUST_CHECK;
/* The cluster's revision now, linearizable: the cheapest call there is. */
struct kerr *etcd_revision(struct etcd *e, int64_t *ret) MUST_CHECK;

/* --- one guarded write --- */
enum etcd_guard { ETCD_GUARD_MOD_REVISION, ETCD_GUARD_VERSION };
struct etcd_txn {
    const char *key;
    enum etcd_guard guard;
    int64_t expect; /* 0: the key must not exist */
    bool remove;    /* else put */
    const char *value;
    size_t value_len;
    int64_t lease; /* 0: none */
};
struct etcd_txn_reply {
    bool succeeded;
    bool repeated;    /* sent more than once: a failed guard may be our own first try */
    int64_t revision; /* of the write, or of the cluster when the guard failed */
    bool found;       /* guard failed: the key exists, as `kv` */
    struct etcd_kv kv;
    char *memory_; /* what kv points into */
};
struct kerr *etcd_do_txn(struct etcd *e, const struct etcd_txn *txn, struct etcd_txn_reply *ret) MUST_CHECK;
void etcd_txn_reply_done(struct etcd_txn_reply *reply);

/* --- the rest --- */
struct kerr *etcd_lease_grant(struct etcd *e, int64_t ttl_s, int64_t *ret_id) MUST_CHECK;
struct kerr *etcd_lease_revoke(struct etcd *e, int64_t id) MUST_CHECK;
struct kerr *etcd_compact(struct etcd *e, int64_t revision) MUST_CHECK; /* one that is gone already is fine */
struct etcd_status {
    char version[32];
    int64_t db_size, revision;
    bool has_leader;
};
struct kerr *etcd_get_status(struct etcd *e, struct etcd_status *ret) MUST_CHECK;

/* --- the watch over all keys --- */
struct etcd_watch_event {
    bool deleted;
    int64_t revision; /* kv.mod_revision: of the put or the deletion */
    struct etcd_kv kv; /* value undecoded: see etcd_watch_value() */
    const char *value64;
    size_t value64_len;
};
struct etcd_watcher {
    /* Each returned error ends the watch with it.  All run on the thread of etcd_watch_run(). */
    struct kerr *(*started)(void *arg);
    struct kerr *(*event)(const struct etcd_watch_event *ev, void *arg);
    struct kerr *(*frame_end)(void *arg); /* all events so far have whole revisions */
    void *arg;
};
/* Blocks until the stream ends; always returns an error: KERR_EXPIRED when start_revision is compacted. */
struct kerr *etcd_watch_run(struct etcd *e, int64_t start_revision, const struct etcd_watcher *w) MUST_CHECK;
/* Ends the running watch, from any thread, so that its owner connects anew. */
void etcd_watch_cut(struct etcd *e);
/* Bytes of the event's value into `to`, which holds at least etcd_watch_value_max(). -EINVAL: no base64. */
size_t etcd_watch_value_max(const struct etcd_watch_event *ev);
int etcd_watch_value(const struct etcd_watch_event *ev, char *to, size_t *ret_len);

/* "https://a:2379,https://b:2379" for messages; valid as long as e. */
const char *etcd_endpoints(const struct etcd *e);

#endif
