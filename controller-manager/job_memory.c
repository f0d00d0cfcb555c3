// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/job_memory.h"

#include <pthread.h>

#define BUCKETS 1024

struct entry {
    char *key, *uid;
    struct job_backoff backoff;
    uint64_t written; /* resourceVersion */
    struct strlist removing;
    struct entry *next;
};

struct job_memory {
    pthread_mutex_t lock; /* guards all */
    struct entry *buckets[BUCKETS];
};

struct job_memory *
job_memory_new(void)
{
    struct job_memory *m = XNEW(struct job_memory);

    pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void
entry_free(struct entry *e)
{
    strlist_done(&e->removing);
    free(e->key);
    free(e->uid);
    free(e);
}

void
job_memory_free(struct job_memory *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *e = m->buckets[i], *next; e; e = next) {
            next = e->next;
            entry_free(e);
        }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static struct entry **
place_of(struct job_memory *m, const char *key)
{
    struct entry **at = &m->buckets[hash64(key, strlen(key)) % BUCKETS];

    while (*at && !str_eq((*at)->key, key))
        at = &(*at)->next;
    return at;
}

static struct entry *
entry_of(struct job_memory *m, const char *key)
{
    struct entry **at = place_of(m, key);

    if (!*at) {
        *at = XNEW(struct entry);
        (*at)->key = xstrdup(key);
    }
    return *at;
}

static void
drop(struct entry **at)
{
    struct entry *e = *at;

    if (!e)
        return;
    *at = e->next;
    entry_free(e);
}

struct job_backoff
job_memory_get(struct job_memory *m, const char *key, const char *uid, struct strlist *ret_removing)
{
    struct job_backoff b;

    pthread_mutex_lock(&m->lock);
    struct entry *e = entry_of(m, key);
    if (!str_eq(e->uid, uid)) {
        free(e->uid);
        e->uid = xstrdup(uid);
        e->backoff = (struct job_backoff){ 0 };
        e->written = 0;
        strlist_done(&e->removing);
    }
    for (size_t i = 0; i < e->removing.len; i++)
        strlist_add(ret_removing, e->removing.items[i]);
    b = e->backoff;
    pthread_mutex_unlock(&m->lock);
    return b;
}

void
job_memory_set_backoff(struct job_memory *m, const char *key, struct job_backoff backoff)
{
    pthread_mutex_lock(&m->lock);
    entry_of(m, key)->backoff = backoff;
    pthread_mutex_unlock(&m->lock);
}

void
job_memory_set_written(struct job_memory *m, const char *key, const char *resource_version)
{
    uint64_t n;

    if (parse_u64(str_safe(resource_version), &n))
        return;
    pthread_mutex_lock(&m->lock);
    struct entry *e = entry_of(m, key);
    if (n > e->written)
        e->written = n;
    pthread_mutex_unlock(&m->lock);
}

bool
job_memory_is_stale(struct job_memory *m, const char *key, const char *resource_version)
{
    uint64_t n;
    bool stale;

    if (parse_u64(str_safe(resource_version), &n))
        return false;
    pthread_mutex_lock(&m->lock);
    struct entry **at = place_of(m, key);
    stale = *at && n < (*at)->written;
    pthread_mutex_unlock(&m->lock);
    return stale;
}

void
job_memory_add_removing(struct job_memory *m, const char *key, const char *pod_uid)
{
    pthread_mutex_lock(&m->lock);
    struct entry *e = entry_of(m, key);
    if (!strlist_has(&e->removing, pod_uid))
        strlist_add(&e->removing, pod_uid);
    pthread_mutex_unlock(&m->lock);
}

void
job_memory_removed(struct job_memory *m, const char *key, const char *pod_uid)
{
    pthread_mutex_lock(&m->lock);
    struct entry *e = *place_of(m, key);
    for (size_t i = 0; e && i < e->removing.len; i++) {
        if (!str_eq(e->removing.items[i], pod_uid))
            continue;
        free(e->removing.items[i]);
        e->removing.items[i] = e->removing.items[--e->removing.len];
        break;
    }
    pthread_mutex_unlock(&m->lock);
}

void
job_memory_forget(struct job_memory *m, const char *key)
{
    pthread_mutex_lock(&m->lock);
    drop(place_of(m, key));
    pthread_mutex_unlock(&m->lock);
}
