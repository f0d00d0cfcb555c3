// SPDX-License-Identifier: Apache-2.0
/* storage_upkeep.c - what is done now and then: compaction, leases, old snapshots and history. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>

#include "apiserver/storage/storage_internal.h"
#include "common/base/clock.h"
#include "common/base/klog.h"

#define LEASE_REUSE_S 60        /* as upstream's lease manager */
#define LEASE_OBJECTS_MAX 1000

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
    bool history = false;

    storage_lock_table(st);
    for (size_t i = 0; i < st->nstores; i++) {
        store_prune_snapshots(st->stores[i], clock_mono_ms());
        history |= store_prune_history(st->stores[i], clock_mono_ms());
    }
    storage_unlock_table(st);
    if (history)
        malloc_trim(0); /* a burst is over: its memory goes back */
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

void *
storage_upkeep_main(void *arg)
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
        if (storage_pause(st, wait))
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
