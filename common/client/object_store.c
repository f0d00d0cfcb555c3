// SPDX-License-Identifier: Apache-2.0
#include "common/client/object_store.h"

#include <pthread.h>
#include <uthash.h>

#include "common/base/str.h"

#define NAMESPACE_INDEX 0u

struct entry {
    UT_hash_handle hh;
    struct object *obj;
    unsigned round; /* of the list that showed it last */
    char key[];
};

struct bucket { /* the entries of one index key */
    UT_hash_handle hh;
    struct entry **items;
    size_t len, cap;
    char key[];
};

struct index {
    char *name;
    informer_key_fn *fn;
    struct bucket *buckets;
};

struct object_store {
    pthread_rwlock_t lock; /* guards all below */
    struct entry *entries;
    struct index *indexes;
    unsigned nindexes;
};

static void
key_namespace(const struct object *obj, informer_emit_fn *emit, void *ctx)
{
    if (!str_empty(object_namespace(obj)))
        emit(object_namespace(obj), ctx);
}

struct object_store *
object_store_new(void)
{
    struct object_store *s = XNEW(struct object_store);

    pthread_rwlock_init(&s->lock, NULL);
    object_store_add_index(s, "namespace", key_namespace);
    return s;
}

static void
bucket_free(struct index *ix, struct bucket *b)
{
    HASH_DEL(ix->buckets, b);
    free(b->items);
    free(b);
}

void
object_store_free(struct object_store *s)
{
    struct entry *e, *next_entry;
    struct bucket *b, *next_bucket;

    if (!s)
        return;
    for (unsigned i = 0; i < s->nindexes; i++) {
        struct index *ix = &s->indexes[i];
        HASH_ITER(hh, ix->buckets, b, next_bucket) {
            bucket_free(ix, b);
        }
        free(ix->name);
    }
    HASH_ITER(hh, s->entries, e, next_entry) {
        HASH_DEL(s->entries, e);
        object_unref(e->obj);
        free(e);
    }
    free(s->indexes);
    pthread_rwlock_destroy(&s->lock);
    free(s);
}

unsigned
object_store_add_index(struct object_store *s, const char *name, informer_key_fn *fn)
{
    for (unsigned i = 0; i < s->nindexes; i++) {
        if (str_eq(s->indexes[i].name, name))
            return i;
    }
    s->indexes = xreallocarray(s->indexes, s->nindexes + 1, sizeof *s->indexes);
    s->indexes[s->nindexes] = (struct index){ xstrdup(name), fn, NULL };
    return s->nindexes++;
}

/* --- index upkeep, with the lock held for writing --- */

struct upkeep {
    struct index *index;
    struct entry *entry;
};

static void
index_add(const char *key, void *ctx)
{
    struct upkeep *u = ctx;
    struct bucket *b;

    HASH_FIND_STR(u->index->buckets, key, b);
    if (!b) {
        size_t len = strlen(key);
        b = xcalloc(1, sizeof *b + len + 1);
        memcpy(b->key, key, len);
        HASH_ADD_KEYPTR(hh, u->index->buckets, b->key, len, b);
    }
    if (b->len && b->items[b->len - 1] == u->entry)
        return; /* one key emitted twice */
    if (b->len == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 2;
        b->items = xreallocarray(b->items, b->cap, sizeof(struct entry *));
    }
    b->items[b->len++] = u->entry;
}

static void
index_del(const char *key, void *ctx)
{
    struct upkeep *u = ctx;
    struct bucket *b;

    HASH_FIND_STR(u->index->buckets, key, b);
    if (!b)
        return;
    for (size_t i = b->len; i-- > 0;) {
        if (b->items[i] == u->entry) {
            b->items[i] = b->items[--b->len];
            break;
        }
    }
    if (!b->len)
        bucket_free(u->index, b);
}

static void
index_all(struct object_store *s, struct entry *e, informer_emit_fn *each)
{
    for (unsigned i = 0; i < s->nindexes; i++) {
        struct upkeep u = { &s->indexes[i], e };
        s->indexes[i].fn(e->obj, each, &u);
    }
}

void
object_store_put(struct object_store *s, const char *key, struct object *obj, unsigned round)
{
    struct entry *e;
    struct object *old = NULL;

    pthread_rwlock_wrlock(&s->lock);
    HASH_FIND_STR(s->entries, key, e);
    if (e) {
        index_all(s, e, index_del);
        old = e->obj;
    } else {
        size_t len = strlen(key);
        e = xcalloc(1, sizeof *e + len + 1);
        memcpy(e->key, key, len);
        HASH_ADD_KEYPTR(hh, s->entries, e->key, len, e);
    }
    e->obj = obj;
    e->round = round;
    index_all(s, e, index_add);
    pthread_rwlock_unlock(&s->lock);
    object_unref(old);
}

void
object_store_touch(struct object_store *s, const char *key, unsigned round)
{
    struct entry *e;

    pthread_rwlock_wrlock(&s->lock);
    HASH_FIND_STR(s->entries, key, e);
    if (e)
        e->round = round;
    pthread_rwlock_unlock(&s->lock);
}

static struct object *
take_out(struct object_store *s, struct entry *e)
{
    struct object *obj = e->obj;

    index_all(s, e, index_del);
    HASH_DEL(s->entries, e);
    free(e);
    return obj;
}

struct object *
object_store_remove(struct object_store *s, const char *key)
{
    struct object *obj = NULL;
    struct entry *e;

    pthread_rwlock_wrlock(&s->lock);
    HASH_FIND_STR(s->entries, key, e);
    if (e)
        obj = take_out(s, e);
    pthread_rwlock_unlock(&s->lock);
    return obj;
}

void
object_store_sweep(struct object_store *s, unsigned round, struct object_list *ret)
{
    struct entry *e, *next;

    pthread_rwlock_wrlock(&s->lock);
    HASH_ITER(hh, s->entries, e, next) {
        if (e->round != round)
            object_list_add_take(ret, take_out(s, e));
    }
    pthread_rwlock_unlock(&s->lock);
}

struct object *
object_store_get(const struct object_store *s, const char *key)
{
    struct object_store *w = (struct object_store *)s;
    struct entry *e;

    pthread_rwlock_rdlock(&w->lock);
    HASH_FIND_STR(w->entries, key, e);
    struct object *obj = e ? object_ref(e->obj) : NULL;
    pthread_rwlock_unlock(&w->lock);
    return obj;
}

void
object_store_list(const struct object_store *s, const char *ns, struct object_list *ret)
{
    struct object_store *w = (struct object_store *)s;

    if (!str_empty(ns)) {
        object_store_by_index(s, NAMESPACE_INDEX, ns, ret);
        return;
    }
    pthread_rwlock_rdlock(&w->lock);
    for (struct entry *e = w->entries; e; e = e->hh.next)
        object_list_add_take(ret, object_ref(e->obj));
    pthread_rwlock_unlock(&w->lock);
}

void
object_store_by_index(const struct object_store *s, unsigned index, const char *key, struct object_list *ret)
{
    struct object_store *w = (struct object_store *)s;
    struct bucket *b = NULL;

    pthread_rwlock_rdlock(&w->lock);
    if (index < w->nindexes)
        HASH_FIND_STR(w->indexes[index].buckets, str_safe(key), b);
    for (size_t i = 0; b && i < b->len; i++)
        object_list_add_take(ret, object_ref(b->items[i]->obj));
    pthread_rwlock_unlock(&w->lock);
}

size_t
object_store_len(const struct object_store *s)
{
    struct object_store *w = (struct object_store *)s;

    pthread_rwlock_rdlock(&w->lock);
    size_t n = HASH_COUNT(w->entries);
    pthread_rwlock_unlock(&w->lock);
    return n;
}
