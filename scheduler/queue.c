// SPDX-License-Identifier: Apache-2.0
#include "scheduler/queue.h"

#define DEFAULT_INITIAL_MS 1000
#define DEFAULT_MAX_MS 10000
#define DEFAULT_UNSCHEDULABLE_MS 300000

struct place { /* a heap; for unschedulable and gated pods ordered by the time they came */
    struct queued **items;
    size_t len, cap;
    bool (*before)(const struct queued *a, const struct queued *b);
};

struct pod_queue {
    struct queue_limits limits;
    struct place places[QUEUE_PLACES];
    struct queued **in_cycle;
    size_t nin_cycle, in_cycle_cap;
    uint64_t order;
};

const char *
queue_place_name(enum queue_place place)
{
    static const char *const names[] = { "active", "backoff", "backoff", "unschedulable", "gated", "in cycle" };

    return names[place];
}

/* --- heaps --- */

static bool
more_urgent(const struct queued *a, const struct queued *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->changed_ms != b->changed_ms)
        return a->changed_ms < b->changed_ms;
    return a->order < b->order;
}

static bool
sooner(const struct queued *a, const struct queued *b)
{
    if (a->backoff_until_ms != b->backoff_until_ms)
        return a->backoff_until_ms < b->backoff_until_ms;
    return more_urgent(a, b);
}

static bool
older(const struct queued *a, const struct queued *b)
{
    return a->changed_ms < b->changed_ms;
}

static void
put(struct place *p, size_t at, struct queued *e)
{
    p->items[at] = e;
    e->at = at;
}

static void
sift_up(struct place *p, size_t at)
{
    struct queued *e = p->items[at];

    while (at > 0 && p->before(e, p->items[(at - 1) / 2])) {
        put(p, at, p->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(p, at, e);
}

static void
sift_down(struct place *p, size_t at)
{
    struct queued *e = p->items[at];

    for (size_t child; (child = 2 * at + 1) < p->len; at = child) {
        if (child + 1 < p->len && p->before(p->items[child + 1], p->items[child]))
            child++;
        if (!p->before(p->items[child], e))
            break;
        put(p, at, p->items[child]);
    }
    put(p, at, e);
}

static void
enter(struct pod_queue *q, struct queued *e, enum queue_place where, uint64_t now_ms)
{
    struct place *p = &q->places[where];

    if (p->len == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 64;
        p->items = xreallocarray(p->items, p->cap, sizeof(*p->items));
    }
    e->place = where;
    e->changed_ms = now_ms;
    put(p, p->len++, e);
    sift_up(p, e->at);
}

static void
leave(struct pod_queue *q, struct queued *e)
{
    struct place *p;
    struct queued *last;
    size_t at = e->at;

    if (e->place == QUEUE_IN_CYCLE) {
        last = q->in_cycle[--q->nin_cycle];
        q->in_cycle[at] = last;
        last->at = at;
        return;
    }
    p = &q->places[e->place];
    last = p->items[--p->len];
    if (last == e)
        return;
    put(p, at, last);
    sift_down(p, at);
    sift_up(p, last->at);
}

/* --- rules --- */

static uint64_t
backoff_ms(const struct pod_queue *q, unsigned failures)
{
    uint64_t ms = q->limits.initial_backoff_ms;

    for (unsigned i = 1; i < failures && ms < q->limits.max_backoff_ms; i++)
        ms *= 2;
    return failures == 0 ? 0 : ms < q->limits.max_backoff_ms ? ms : q->limits.max_backoff_ms;
}

/* Out of unschedulable: to back-off while that lasts, else straight to active. */
static void
move_on(struct pod_queue *q, struct queued *e, uint64_t now_ms)
{
    leave(q, e);
    enter(q, e, e->backoff_until_ms > now_ms ? QUEUE_BACKOFF : QUEUE_ACTIVE, now_ms);
}

static void
tick(struct pod_queue *q, uint64_t now_ms)
{
    static const enum queue_place backoffs[] = { QUEUE_BACKOFF, QUEUE_ERROR_BACKOFF };
    struct place *p;

    for (size_t i = 0; i < ARRAY_LEN(backoffs); i++)
        for (p = &q->places[backoffs[i]]; p->len > 0 && p->items[0]->backoff_until_ms <= now_ms;) {
            struct queued *e = p->items[0];

            leave(q, e);
            enter(q, e, QUEUE_ACTIVE, now_ms);
        }
    p = &q->places[QUEUE_UNSCHEDULABLE];
    while (p->len > 0 && now_ms - p->items[0]->changed_ms >= q->limits.max_unschedulable_ms)
        move_on(q, p->items[0], now_ms);
}

struct queued *
pod_queue_add(struct pod_queue *q, void *item, int32_t priority, bool gated, uint64_t now_ms)
{
    struct queued *e = XNEW(struct queued);

    e->item = item;
    e->priority = priority;
    e->added_ms = now_ms;
    e->order = q->order++;
    enter(q, e, gated ? QUEUE_GATED : QUEUE_ACTIVE, now_ms);
    return e;
}

void
pod_queue_remove(struct pod_queue *q, struct queued *e)
{
    leave(q, e);
    free(e);
}

void
pod_queue_update(struct pod_queue *q, struct queued *e, int32_t priority, bool gated, uint64_t now_ms)
{
    if (e->place == QUEUE_IN_CYCLE) {
        e->priority = priority;
        return;
    }
    leave(q, e);
    e->priority = priority;
    if (gated)
        enter(q, e, QUEUE_GATED, now_ms);
    else
        enter(q, e, e->backoff_until_ms > now_ms ? QUEUE_BACKOFF : QUEUE_ACTIVE, now_ms);
}

struct queued *
pod_queue_pop(struct pod_queue *q, uint64_t now_ms)
{
    struct queued *e = NULL;

    tick(q, now_ms);
    if (q->places[QUEUE_ACTIVE].len > 0)
        e = q->places[QUEUE_ACTIVE].items[0];
    else if (q->places[QUEUE_BACKOFF].len > 0)
        e = q->places[QUEUE_BACKOFF].items[0];
    if (!e)
        return NULL;
    leave(q, e);
    if (q->nin_cycle == q->in_cycle_cap) {
        q->in_cycle_cap = q->in_cycle_cap ? q->in_cycle_cap * 2 : 64;
        q->in_cycle = xreallocarray(q->in_cycle, q->in_cycle_cap, sizeof(*q->in_cycle));
    }
    e->at = q->nin_cycle;
    q->in_cycle[q->nin_cycle++] = e;
    e->place = QUEUE_IN_CYCLE;
    e->attempts++;
    return e;
}

void
pod_queue_refused(struct pod_queue *q, struct queued *e, uint32_t refused_by, uint64_t now_ms)
{
    leave(q, e);
    e->refused_by = refused_by;
    e->errors = 0;
    e->backoff_until_ms = now_ms + backoff_ms(q, ++e->refusals);
    enter(q, e, QUEUE_UNSCHEDULABLE, now_ms);
}

void
pod_queue_error(struct pod_queue *q, struct queued *e, uint64_t now_ms)
{
    leave(q, e);
    e->refused_by = 0;
    e->backoff_until_ms = now_ms + backoff_ms(q, ++e->errors);
    enter(q, e, QUEUE_ERROR_BACKOFF, now_ms);
}

unsigned
pod_queue_event(struct pod_queue *q, uint32_t plugins, uint64_t now_ms)
{
    struct place *p = &q->places[QUEUE_UNSCHEDULABLE];
    struct queued **helped;
    unsigned n = 0;

    if (p->len == 0 || !plugins)
        return 0;
    helped = xreallocarray(NULL, p->len, sizeof(*helped));
    for (size_t i = 0; i < p->len; i++)
        if (p->items[i]->refused_by & plugins)
            helped[n++] = p->items[i];
    for (unsigned i = 0; i < n; i++)
        move_on(q, helped[i], now_ms);
    free(helped);
    return n;
}

uint64_t
pod_queue_next_ms(const struct pod_queue *q)
{
    const struct place *errors = &q->places[QUEUE_ERROR_BACKOFF], *un = &q->places[QUEUE_UNSCHEDULABLE];
    uint64_t next = POD_QUEUE_NEVER;

    if (q->places[QUEUE_ACTIVE].len > 0 || q->places[QUEUE_BACKOFF].len > 0)
        return 0;
    if (errors->len > 0)
        next = errors->items[0]->backoff_until_ms;
    if (un->len > 0 && un->items[0]->changed_ms + q->limits.max_unschedulable_ms < next)
        next = un->items[0]->changed_ms + q->limits.max_unschedulable_ms;
    return next;
}

size_t
pod_queue_len(const struct pod_queue *q, enum queue_place place)
{
    return place == QUEUE_IN_CYCLE ? q->nin_cycle : q->places[place].len;
}

/* --- life --- */

struct pod_queue *
pod_queue_new(const struct queue_limits *limits)
{
    static bool (*const orders[QUEUE_PLACES])(const struct queued *, const struct queued *) = {
        [QUEUE_ACTIVE] = more_urgent, [QUEUE_BACKOFF] = sooner, [QUEUE_ERROR_BACKOFF] = sooner,
        [QUEUE_UNSCHEDULABLE] = older, [QUEUE_GATED] = older,
    };
    struct pod_queue *q = XNEW(struct pod_queue);

    if (limits)
        q->limits = *limits;
    if (!q->limits.initial_backoff_ms)
        q->limits.initial_backoff_ms = DEFAULT_INITIAL_MS;
    if (!q->limits.max_backoff_ms)
        q->limits.max_backoff_ms = DEFAULT_MAX_MS;
    if (!q->limits.max_unschedulable_ms)
        q->limits.max_unschedulable_ms = DEFAULT_UNSCHEDULABLE_MS;
    for (size_t i = 0; i < QUEUE_PLACES; i++)
        q->places[i].before = orders[i];
    return q;
}

void
pod_queue_free(struct pod_queue *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < QUEUE_PLACES; i++) {
        for (size_t k = 0; k < q->places[i].len; k++)
            free(q->places[i].items[k]);
        free(q->places[i].items);
    }
    for (size_t k = 0; k < q->nin_cycle; k++)
        free(q->in_cycle[k]);
    free(q->in_cycle);
    free(q);
}
