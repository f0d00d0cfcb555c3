// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/expectations.h"

#include <pthread.h>
#include <uthash.h>

#include "common/base/str.h"

struct entry {
    char *key;
    unsigned creations;
    struct strlist deletions; /* uids */
    uint64_t set_ms;
    UT_hash_handle hh;
};

struct expectations {
    pthread_mutex_t lock; /* guards entries */
    struct entry *entries;
};

struct expectations *
expectations_new(void)
{
    struct expectations *e = XNEW(struct expectations);

    pthread_mutex_init(&e->lock, NULL);
    return e;
}

static void
entry_free(struct expectations *e, struct entry *x)
{
    HASH_DEL(e->entries, x);
    strlist_done(&x->deletions);
    free(x->key);
    free(x);
}

void
expectations_free(struct expectations *e)
{
    struct entry *x, *next;

    if (!e)
        return;
    HASH_ITER (hh, e->entries, x, next)
        entry_free(e, x);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static struct entry *
find(struct expectations *e, const char *key)
{
    struct entry *x;

    HASH_FIND_STR(e->entries, key, x);
    return x;
}

static struct entry *
find_or_add(struct expectations *e, const char *key, uint64_t now_ms)
{
    struct entry *x = find(e, key);

    if (!x) {
        x = XNEW(struct entry);
        x->key = xstrdup(key);
        HASH_ADD_KEYPTR(hh, e->entries, x->key, strlen(x->key), x);
    }
    x->set_ms = now_ms;
    return x;
}

/* Nothing is expected any more: no memory is kept. */
static void
drop_if_met(struct expectations *e, struct entry *x)
{
    if (x->creations == 0 && x->deletions.len == 0)
        entry_free(e, x);
}

bool
expectations_satisfied(struct expectations *e, const char *key, uint64_t now_ms)
{
    pthread_mutex_lock(&e->lock);
    struct entry *x = find(e, key);
    if (x && now_ms - x->set_ms > EXPECTATIONS_TIMEOUT_MS) {
        entry_free(e, x);
        x = NULL;
    }
    pthread_mutex_unlock(&e->lock);
    return !x;
}

void
expectations_expect_creations(struct expectations *e, const char *key, unsigned n, uint64_t now_ms)
{
    if (n == 0)
        return;
    pthread_mutex_lock(&e->lock);
    find_or_add(e, key, now_ms)->creations += n;
    pthread_mutex_unlock(&e->lock);
}

void
expectations_expect_deletion(struct expectations *e, const char *key, const char *uid, uint64_t now_ms)
{
    pthread_mutex_lock(&e->lock);
    struct entry *x = find_or_add(e, key, now_ms);
    if (!strlist_has(&x->deletions, uid))
        strlist_add(&x->deletions, uid);
    pthread_mutex_unlock(&e->lock);
}

void
expectations_creation_seen(struct expectations *e, const char *key)
{
    pthread_mutex_lock(&e->lock);
    struct entry *x = find(e, key);
    if (x && x->creations > 0) {
        x->creations--;
        drop_if_met(e, x);
    }
    pthread_mutex_unlock(&e->lock);
}

void
expectations_deletion_seen(struct expectations *e, const char *key, const char *uid)
{
    pthread_mutex_lock(&e->lock);
    struct entry *x = find(e, key);
    for (size_t i = 0; x && i < x->deletions.len; i++) {
        if (!str_eq(x->deletions.items[i], uid))
            continue;
        free(x->deletions.items[i]);
        x->deletions.items[i] = x->deletions.items[--x->deletions.len];
        drop_if_met(e, x);
        break;
    }
    pthread_mutex_unlock(&e->lock);
}

void
expectations_forget(struct expectations *e, const char *key)
{
    pthread_mutex_lock(&e->lock);
    struct entry *x = find(e, key);
    if (x)
        entry_free(e, x);
    pthread_mutex_unlock(&e->lock);
}
