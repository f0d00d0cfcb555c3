// SPDX-License-Identifier: Apache-2.0
#include "common/client/keyqueue.h"

#include <uthash.h>
#include <utlist.h>

/*            add               get                 done
 *   (none) -------> READY ----------> WORKING ----------> (none), or READY when `again`
 *      \-- add_after --> delayed (in the heap), which may hold beside any of the states
 */
struct entry {
    UT_hash_handle hh;
    struct entry *prev, *next; /* in the ready list */
    bool ready, working;
    bool again;          /* added while in work */
    unsigned failures;
    uint64_t ready_at_ms;
    uint64_t due_ms;     /* delayed until; meaningful with heap_at */
    size_t heap_at;      /* 1-based place in the heap; 0 = not delayed */
    char key[];
};

struct keyqueue {
    struct keyqueue_limits limits;
    struct entry *entries; /* by key */
    struct entry *ready;   /* first in, first out */
    size_t nready;
    struct entry **heap; /* by due_ms, earliest first */
    size_t nheap, heap_cap;
    /* overall retry bucket, in tokens that may be borrowed from the future, as golang.org/x/time/rate reserves */
    double tokens;
    uint64_t tokens_at_ms;
};

struct keyqueue *
keyqueue_new(const struct keyqueue_limits *limits)
{
    struct keyqueue *q = XNEW(struct keyqueue);

    if (limits)
        q->limits = *limits;
    if (!q->limits.base_ms)
        q->limits.base_ms = 5;
    if (!q->limits.max_ms)
        q->limits.max_ms = 1000000;
    if (q->limits.overall_qps <= 0)
        q->limits.overall_qps = 10;
    if (!q->limits.overall_burst)
        q->limits.overall_burst = 100;
    q->tokens = q->limits.overall_burst;
    return q;
}

void
keyqueue_free(struct keyqueue *q)
{
    struct entry *e, *next;

    if (!q)
        return;
    HASH_ITER(hh, q->entries, e, next) {
        HASH_DEL(q->entries, e);
        free(e);
    }
    free(q->heap);
    free(q);
}

/* --- the heap --- */

static void
heap_put(struct keyqueue *q, size_t at, struct entry *e)
{
    q->heap[at - 1] = e;
    e->heap_at = at;
}

static void
heap_up(struct keyqueue *q, size_t at)
{
    struct entry *e = q->heap[at - 1];

    while (at > 1 && q->heap[at / 2 - 1]->due_ms > e->due_ms) {
        heap_put(q, at, q->heap[at / 2 - 1]);
        at /= 2;
    }
    heap_put(q, at, e);
}

static void
heap_down(struct keyqueue *q, size_t at)
{
    struct entry *e = q->heap[at - 1];

    for (;;) {
        size_t child = at * 2;
        if (child > q->nheap)
            break;
        if (child < q->nheap && q->heap[child]->due_ms < q->heap[child - 1]->due_ms)
            child++;
        if (q->heap[child - 1]->due_ms >= e->due_ms)
            break;
        heap_put(q, at, q->heap[child - 1]);
        at = child;
    }
    heap_put(q, at, e);
}

static void
heap_remove(struct keyqueue *q, struct entry *e)
{
    size_t at = e->heap_at;
    struct entry *last = q->heap[--q->nheap];

    e->heap_at = 0;
    if (last == e)
        return;
    heap_put(q, at, last);
    heap_up(q, at);
    heap_down(q, last->heap_at);
}

static void
heap_add(struct keyqueue *q, struct entry *e)
{
    if (q->nheap == q->heap_cap) {
        q->heap_cap = q->heap_cap ? q->heap_cap * 2 : 16;
        q->heap = xreallocarray(q->heap, q->heap_cap, sizeof(struct entry *));
    }
    q->nheap++;
    heap_put(q, q->nheap, e);
    heap_up(q, q->nheap);
}

/* --- entries --- */

static struct entry *
find(const struct keyqueue *q, const char *key)
{
    struct entry *e;

    HASH_FIND_STR(q->entries, key, e);
    return e;
}

static struct entry *
find_or_make(struct keyqueue *q, const char *key)
{
    struct entry *e = find(q, key);

    if (e)
        return e;
    size_t len = strlen(key);
    e = xcalloc(1, sizeof *e + len + 1);
    memcpy(e->key, key, len);
    HASH_ADD_KEYPTR(hh, q->entries, e->key, len, e);
    return e;
}

static void
drop_if_idle(struct keyqueue *q, struct entry *e)
{
    if (e->ready || e->working || e->heap_at || e->failures)
        return;
    HASH_DEL(q->entries, e);
    free(e);
}

static void
make_ready(struct keyqueue *q, struct entry *e, uint64_t now_ms)
{
    if (e->working) {
        e->again = true;
        return;
    }
    if (e->ready)
        return;
    e->ready = true;
    e->ready_at_ms = now_ms;
    DL_APPEND(q->ready, e);
    q->nready++;
}

void
keyqueue_add(struct keyqueue *q, const char *key, uint64_t now_ms)
{
    make_ready(q, find_or_make(q, key), now_ms);
}

void
keyqueue_add_after(struct keyqueue *q, const char *key, uint64_t delay_ms, uint64_t now_ms)
{
    struct entry *e = find_or_make(q, key);
    uint64_t due = delay_ms > KEYQUEUE_NEVER - 1 - now_ms ? KEYQUEUE_NEVER - 1 : now_ms + delay_ms;

    if (delay_ms == 0) {
        make_ready(q, e, now_ms);
    } else if (!e->heap_at) {
        e->due_ms = due;
        heap_add(q, e);
    } else if (due < e->due_ms) {
        e->due_ms = due;
        heap_up(q, e->heap_at);
    }
}

/* How long the overall bucket makes this retry wait. */
static uint64_t
bucket_wait_ms(struct keyqueue *q, uint64_t now_ms)
{
    double burst = q->limits.overall_burst;

    if (q->tokens_at_ms && now_ms > q->tokens_at_ms)
        q->tokens += (double)(now_ms - q->tokens_at_ms) * q->limits.overall_qps / 1000;
    q->tokens_at_ms = now_ms;
    if (q->tokens > burst)
        q->tokens = burst;
    q->tokens -= 1;
    return q->tokens >= 0 ? 0 : (uint64_t)(-q->tokens * 1000 / q->limits.overall_qps + 0.999);
}

uint64_t
keyqueue_retry(struct keyqueue *q, const char *key, uint64_t now_ms)
{
    struct entry *e = find_or_make(q, key);
    uint64_t wait = q->limits.base_ms;

    for (unsigned i = 0; i < e->failures && wait < q->limits.max_ms; i++)
        wait *= 2;
    if (wait > q->limits.max_ms)
        wait = q->limits.max_ms;
    e->failures++;
    uint64_t bucket = bucket_wait_ms(q, now_ms);
    if (bucket > wait)
        wait = bucket;
    keyqueue_add_after(q, key, wait, now_ms);
    return wait;
}

void
keyqueue_forget(struct keyqueue *q, const char *key)
{
    struct entry *e = find(q, key);

    if (!e)
        return;
    e->failures = 0;
    drop_if_idle(q, e);
}

unsigned
keyqueue_failures(const struct keyqueue *q, const char *key)
{
    const struct entry *e = find(q, key);

    return e ? e->failures : 0;
}

const char *
keyqueue_get(struct keyqueue *q, uint64_t now_ms, uint64_t *ret_waited_ms)
{
    while (q->nheap && q->heap[0]->due_ms <= now_ms) {
        struct entry *due = q->heap[0];
        heap_remove(q, due);
        make_ready(q, due, now_ms);
    }
    struct entry *e = q->ready;
    if (!e)
        return NULL;
    DL_DELETE(q->ready, e);
    q->nready--;
    e->ready = false;
    e->working = true;
    if (ret_waited_ms)
        *ret_waited_ms = now_ms > e->ready_at_ms ? now_ms - e->ready_at_ms : 0;
    return e->key;
}

void
keyqueue_done(struct keyqueue *q, const char *key, uint64_t now_ms)
{
    struct entry *e = find(q, key);

    if (!e || !e->working)
        return;
    e->working = false;
    if (e->again) {
        e->again = false;
        make_ready(q, e, now_ms);
    }
    drop_if_idle(q, e);
}

uint64_t
keyqueue_next_ms(const struct keyqueue *q)
{
    return q->nheap ? q->heap[0]->due_ms : KEYQUEUE_NEVER;
}

size_t
keyqueue_ready_len(const struct keyqueue *q)
{
    return q->nready;
}

size_t
keyqueue_len(const struct keyqueue *q)
{
    size_t n = 0;

    for (const struct entry *e = q->entries; e; e = e->hh.next)
        n += e->ready || e->working || e->heap_at;
    return n;
}
