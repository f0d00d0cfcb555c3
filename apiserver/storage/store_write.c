// SPDX-License-Identifier: Apache-2.0
/* store_write.c - guarded writes: one etcd txn each, answered from the txn's reply. */
#include <inttypes.h>

#include "apiserver/storage/store.h"
#include "apiserver/storage/store_internal.h"
#include "common/base/clock.h"
#include "common/base/str.h"

#define RACE_TIMEOUT_MS 30000 /* how long one update may lose races */

/* One object being written. */
struct write {
    struct store *s;
    const char *ns, *name;
    char *key;      /* below the prefix */
    char *full_key;
    struct record *current; /* NULL: absent */
    bool live;      /* current came from etcd just now, not from memory */
};

static void
write_done(struct write *w)
{
    record_unref(w->current);
    free(w->key);
    free(w->full_key);
}

static struct write
write_begin(struct store *s, const char *ns, const char *name)
{
    struct write w = { .s = s, .ns = ns, .name = name };

    w.key = store_key(s, ns, name);
    w.full_key = store_full_key(s, w.key);
    return w;
}

static void
set_current(struct write *w, struct record *rec)
{
    record_unref(w->current);
    w->current = rec;
    w->live = true;
}

static struct etcd *
etcd_of(const struct store *s)
{
    return storage_config(s->st)->etcd;
}

static struct kerr *
on_live_kv(const struct etcd_kv *kv, void *arg)
{
    struct write *w = arg;

    set_current(w, store_build(w->s, w->key, kv->value, kv->value_len, kv->mod_revision));
    return NULL;
}

/* What etcd has now: for after a lost race, or before an answer that rests on what may be an old copy. */
static struct kerr *
read_live(struct write *w)
{
    struct etcd_range range = { .key = w->full_key, .key_len = strlen(w->full_key) };
    struct etcd_range_info info;
    uint64_t start = clock_mono_us();
    struct kerr *err;

    set_current(w, NULL);
    err = etcd_get_range(etcd_of(w->s), &range, on_live_kv, w, &info);
    storage_count_call(w->s, "get", start, err != NULL);
    return err;
}

static struct kerr *
not_found(const struct write *w)
{
    return kerr_not_found(w->s->resource->group, w->s->resource->resource, w->name);
}

static struct kerr *
check_preconditions(const struct write *w, const struct store_preconditions *pre)
{
    AUTO_FREE char *revision = NULL, *why = NULL;

    if (!pre || !w->current)
        return NULL;
    revision = xasprintf("%" PRId64, w->current->revision);
    if (!str_empty(pre->uid) && !str_eq(pre->uid, w->current->uid))
        why = xasprintf("Precondition failed: UID in precondition: %s, UID in object meta: %s", pre->uid, w->current->uid);
    else if (!str_empty(pre->resource_version) && !str_eq(pre->resource_version, revision))
        why = xasprintf("Precondition failed: ResourceVersion in precondition: %s, ResourceVersion in object meta: %s",
                        pre->resource_version, revision);
    if (!why)
        return NULL;
    AUTO_FREE char *text = xasprintf("StorageError: invalid object, Code: 4, Key: %s, ResourceVersion: 0, AdditionalErrorMsg: %s",
                                     w->full_key, why);

    return kerr_conflict(w->s->resource->group, w->s->resource->resource, w->name, text);
}

/* --- the txn --- */

/* The guard failed, or did it?  A txn that was sent twice may have met its own first half. */
static bool
was_ours(const struct etcd_txn *txn, const struct etcd_txn_reply *reply)
{
    if (!reply->repeated)
        return false;
    if (txn->remove)
        return !reply->found;
    return reply->found && reply->kv.mod_revision != txn->expect && reply->kv.value_len == txn->value_len &&
           memcmp(reply->kv.value, txn->value, txn->value_len) == 0;
}

/* Guarded by w->current.  *ret_revision 0: the race was lost, and w->current is what won. */
static struct kerr *
do_guarded(struct write *w, struct etcd_txn *txn, int64_t *ret_revision)
{
    uint64_t start = clock_mono_us();
    struct etcd_txn_reply reply;
    struct kerr *err;

    txn->key = w->full_key;
    txn->guard = ETCD_GUARD_MOD_REVISION;
    txn->expect = w->current ? w->current->revision : 0;
    err = etcd_do_txn(etcd_of(w->s), txn, &reply);
    storage_count_call(w->s, txn->remove ? "delete" : w->current ? "update" : "create", start, err != NULL);
    if (err)
        return err;
    *ret_revision = 0;
    if (reply.succeeded)
        *ret_revision = reply.revision;
    else if (was_ours(txn, &reply))
        *ret_revision = txn->remove ? reply.revision : reply.kv.mod_revision;
    else
        set_current(w, reply.found ? store_build(w->s, w->key, reply.kv.value, reply.kv.value_len, reply.kv.mod_revision) : NULL);
    etcd_txn_reply_done(&reply);
    return NULL;
}

static bool
lease_is_gone(const struct kerr *err)
{
    return strstr(err->message, "requested lease not found") != NULL;
}

/* The bytes of one put: as JSON, and as etcd holds them. */
struct stored {
    char *json;
    size_t len;
    char *converted;
    size_t converted_len;
};

static void
stored_done(struct stored *b)
{
    free(b->json);
    free(b->converted);
}

static struct kerr *
stored_from(const struct write *w, const char *json, size_t len, struct stored *ret)
{
    const struct store_resource *r = w->s->resource;
    struct kerr *err;

    memset(ret, 0, sizeof(*ret));
    err = record_stored_form(json, len, &ret->json, &ret->len);
    if (!err && r->to_stored)
        err = r->to_stored(r, w->key, ret->json, ret->len, &ret->converted, &ret->converted_len);
    return err;
}

/* Puts; with the resource's lease, if it has one. */
static struct kerr *
put_guarded(struct write *w, const struct stored *b, int64_t *ret_revision)
{
    struct etcd_txn txn = { .value = b->converted ? b->converted : b->json,
                            .value_len = b->converted ? b->converted_len : b->len };
    int64_t ttl_s = w->s->resource->ttl_s;
    struct kerr *err;

    for (int tries = 0;; tries++) {
        if (ttl_s > 0 && (err = storage_lease(w->s->st, ttl_s, &txn.lease)))
            return err;
        err = do_guarded(w, &txn, ret_revision);
        if (!err || ttl_s <= 0 || tries || !lease_is_gone(err))
            return err;
        kerr_free(err);
        storage_forget_lease(w->s->st, txn.lease);
    }
}

/* The written object, applied to the store as soon as nothing is missing before it. */
static struct kerr *
finish_put(struct write *w, const struct stored *b, int64_t revision, struct record **ret)
{
    struct kerr *err = record_new(&w->s->resource->shape, w->key, b->json, b->len, revision, ret);

    if (!err)
        storage_apply_own(w->s->st, w->s, w->key, revision, *ret);
    return err;
}

/* --- create --- */

struct kerr *
store_create(struct store *s, const char *ns, const char *name, const char *json, size_t len, struct record **ret)
{
    struct write w = write_begin(s, ns, name);
    int64_t revision = 0;
    struct stored b;
    struct kerr *err;

    err = stored_from(&w, json, len, &b);
    if (!err)
        err = put_guarded(&w, &b, &revision);
    if (!err && !revision)
        err = kerr_already_exists(s->resource->group, s->resource->resource, name);
    if (!err)
        err = finish_put(&w, &b, revision, ret);
    stored_done(&b);
    write_done(&w);
    return err;
}

/* --- delete --- */

static struct kerr *
remove_current(struct write *w, struct record **ret)
{
    struct etcd_txn txn = { .remove = true };
    int64_t revision;
    struct kerr *err = do_guarded(w, &txn, &revision);

    if (err || !revision)
        return err;
    *ret = record_at_revision(w->current, &w->s->resource->shape, revision);
    storage_apply_own(w->s->st, w->s, w->key, revision, NULL);
    return NULL;
}

/* After a refusal that may rest on an old copy: reads etcd.  True: the object is another now, try again; takes err then. */
static bool
worth_another_look(struct write *w, struct kerr **err)
{
    int64_t seen = w->current ? w->current->revision : 0;
    struct kerr *read_err;

    if (w->live)
        return false;
    read_err = read_live(w);
    if (read_err) {
        kerr_free(*err);
        *err = read_err;
        return false;
    }
    if ((w->current ? w->current->revision : 0) == seen)
        return false;
    kerr_free(*err);
    *err = NULL;
    return true;
}

static struct kerr *
lost_too_often(const struct write *w)
{
    return kerr_conflict(w->s->resource->group, w->s->resource->resource, w->name,
                         "other writers were faster each time for too long; please try again");
}

struct kerr *
store_delete(struct store *s, const char *ns, const char *name, const struct store_preconditions *pre,
             struct kerr *(*check)(const struct record *current, void *arg), void *arg, struct record **ret)
{
    struct write w = write_begin(s, ns, name);
    uint64_t give_up = clock_mono_ms() + RACE_TIMEOUT_MS;
    struct record *gone = NULL;
    struct kerr *err = NULL;

    w.current = store_get(s, ns, name);
    while (!err && !gone) {
        if (!w.current)
            err = not_found(&w);
        if (!err)
            err = check_preconditions(&w, pre);
        if (!err && check)
            err = check(w.current, arg);
        if (err && worth_another_look(&w, &err))
            continue;
        if (!err)
            err = remove_current(&w, &gone);
        if (!err && !gone && clock_mono_ms() > give_up)
            err = lost_too_often(&w);
    }
    if (!err)
        *ret = gone;
    write_done(&w);
    return err;
}

/* --- update --- */

/* One round: fn, then the write.  *ret_again: another round with the w->current that is there now. */
static struct kerr *
update_round(struct write *w, const struct store_update *u, struct record **ret, enum store_outcome *ret_outcome, bool *ret_again)
{
    AUTO_SBUF json = { 0 };
    struct stored b = { 0 };
    int64_t revision = 0;
    bool existed = w->current != NULL;
    struct kerr *err = NULL;

    *ret_again = false;
    if (!w->current && !u->allow_create)
        err = not_found(w);
    if (!err)
        err = check_preconditions(w, &u->preconditions);
    if (!err)
        err = u->fn(w->current, &json, u->arg);
    if (err) {
        *ret_again = worth_another_look(w, &err);
        return err;
    }
    if (!json.len) {
        if (!existed)
            return not_found(w);
        *ret_outcome = STORE_DELETED;
        err = remove_current(w, ret);
        *ret_again = !err && !*ret;
        return err;
    }
    err = stored_from(w, json.s, json.len, &b);
    if (!err && existed && record_same_stored(w->current, b.json, b.len)) {
        *ret_again = worth_another_look(w, &err); /* is that still what etcd has? */
        if (!err && !*ret_again) {
            *ret = record_ref(w->current);
            *ret_outcome = STORE_UNCHANGED;
        }
    } else if (!err) {
        err = put_guarded(w, &b, &revision);
        if (!err && revision)
            err = finish_put(w, &b, revision, ret);
        *ret_outcome = existed ? STORE_UPDATED : STORE_CREATED;
        *ret_again = !err && !revision;
    }
    stored_done(&b);
    return err;
}

struct kerr *
store_update(struct store *s, const struct store_update *u, struct record **ret, enum store_outcome *ret_outcome)
{
    struct write w = write_begin(s, u->ns, u->name);
    uint64_t give_up = clock_mono_ms() + RACE_TIMEOUT_MS;
    enum store_outcome outcome = STORE_UPDATED;
    struct record *rec = NULL;
    struct kerr *err;
    bool again;

    w.current = store_get(s, u->ns, u->name);
    do {
        err = update_round(&w, u, &rec, &outcome, &again);
        if (!err && again && clock_mono_ms() > give_up) {
            err = lost_too_often(&w);
            break;
        }
    } while (!err && again);
    if (!err) {
        *ret = rec;
        if (ret_outcome)
            *ret_outcome = outcome;
    }
    write_done(&w);
    return err;
}
