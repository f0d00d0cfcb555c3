// SPDX-License-Identifier: Apache-2.0
#include "apiserver/storage/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "apiserver/storage/continue_token.h"
#include "apiserver/storage/store_internal.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/str.h"

#define RING_MIN 16       /* events kept however large they are */
#define RING_YOUNG_MS 75000 /* as upstream's watch cache: history of that age is worth more than ring_events */
#define LIST_OLD_PAGE 500

/* --- life --- */

struct store *
store_new(struct storage *st, const struct store_resource *resource, char *prefix)
{
    struct store *s = XNEW(struct store);
    const struct storage_config *config = storage_config(st);

    atomic_init(&s->refs, 1);
    s->st = st;
    s->resource = resource;
    s->prefix = prefix;
    s->prefix_len = strlen(prefix);
    s->live.by_field = s->loading.by_field = -1;
    s->index.by_field = resource->index_field;
    s->ring_least = resource->ring_events ? resource->ring_events : config->ring_events;
    s->ring_most = config->ring_events_max > s->ring_least ? config->ring_events_max : s->ring_least;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

struct store *
store_ref(struct store *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void
store_unref(struct store *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < s->nsnapshots; i++)
        store_view_done(&s->snapshots[i].view);
    record_tree_done(&s->live);
    record_tree_done(&s->index);
    record_tree_done(&s->loading);
    pthread_mutex_destroy(&s->lock);
    free(s->snapshots);
    free(s->ring);
    free(s->ports);
    free(s->prefix);
    free(s);
}

const struct store_resource *
store_resource(const struct store *s)
{
    return s->resource;
}

void
store_change_done(struct store_change *ch)
{
    record_unref(ch->rec);
    free(ch->key);
    store_unref(ch->store);
    *ch = (struct store_change){ 0 };
}

/* --- keys and values --- */

char *
store_full_key(const struct store *s, const char *key)
{
    return xasprintf("%s%s", s->prefix, key);
}

char *
store_key(const struct store *s, const char *ns, const char *name)
{
    return s->resource->shape.namespaced ? xasprintf("%s/%s", str_safe(ns), name) : xstrdup(name);
}

struct record *
store_build(struct store *s, const char *key, const char *value, size_t len, int64_t revision)
{
    const struct store_resource *r = s->resource;
    AUTO_FREE char *converted = NULL;
    struct record *rec = NULL;
    struct kerr *err = NULL;

    if (r->from_stored) {
        size_t new_len = 0;

        err = r->from_stored(r, key, value, len, &converted, &new_len);
        if (!err) {
            value = converted;
            len = new_len;
        }
    }
    if (!err)
        err = record_new(&r->shape, key, value, len, revision, &rec);
    if (!err)
        return rec;
    log_error("A stored value cannot be read; its object can only be deleted", "prefix", s->prefix, "key", key, "err", kv_err(err));
    kerr_free(err);
    return record_new_broken(&r->shape, key, value, len, revision);
}

/* --- events --- */

struct store_event *
store_event_ref(struct store_event *ev)
{
    atomic_fetch_add_explicit(&ev->refs, 1, memory_order_relaxed);
    return ev;
}

void
store_event_unref(struct store_event *ev)
{
    if (!ev || atomic_fetch_sub_explicit(&ev->refs, 1, memory_order_acq_rel) != 1)
        return;
    record_unref(ev->before);
    record_unref(ev->now);
    record_unref(atomic_load(&ev->gone));
    store_unref(ev->store);
    free(ev);
}

struct record *
store_event_gone(struct store_event *ev)
{
    struct record *gone = atomic_load_explicit(&ev->gone, memory_order_acquire), *expected = NULL;

    if (gone)
        return gone;
    gone = record_at_revision(ev->before, &ev->store->resource->shape, ev->revision);
    if (atomic_compare_exchange_strong(&ev->gone, &expected, gone))
        return gone;
    record_unref(gone);
    return expected;
}

/* Takes before and now. */
static struct store_event *
event_new(struct store *s, int64_t revision, struct record *before, struct record *now)
{
    struct store_event *ev = XNEW(struct store_event);

    atomic_init(&ev->refs, 1);
    ev->revision = revision;
    ev->at_ms = clock_mono_ms();
    ev->store = store_ref(s);
    ev->before = before;
    ev->now = now;
    return ev;
}

/* --- the ring: what a watch may resume from --- */

static uint64_t
event_size(const struct store_event *ev)
{
    return sizeof(*ev) + (ev->before ? ev->before->size : 0); /* `now` is in the store, or the next event's `before` */
}

static void
ring_drop_oldest(struct store *s)
{
    struct store_event *ev = s->ring[s->ring_at];

    s->ring_at = (s->ring_at + 1) % s->ring_cap;
    s->ring_len--;
    s->ring_bytes -= event_size(ev);
    s->ring_floor = ev->revision;
    store_event_unref(ev);
}

static void
ring_clear(struct store *s)
{
    while (s->ring_len)
        ring_drop_oldest(s);
}

static void
ring_grow(struct store *s)
{
    uint32_t cap = s->ring_cap ? s->ring_cap * 2 : 16;
    struct store_event **ring;

    if (s->ring_cap < s->ring_least && cap > s->ring_least)
        cap = s->ring_least;
    if (cap > s->ring_most)
        cap = s->ring_most;
    ring = xcalloc(cap, sizeof(*ring));
    for (uint32_t i = 0; i < s->ring_len; i++)
        ring[i] = s->ring[(s->ring_at + i) % s->ring_cap];
    free(s->ring);
    s->ring = ring;
    s->ring_cap = cap;
    s->ring_at = 0;
}

/* May the ring, holding as much as it must, hold one more? */
static bool
oldest_is_young(const struct store *s, uint64_t now_ms)
{
    return s->ring_len && now_ms - s->ring[s->ring_at]->at_ms < RING_YOUNG_MS;
}

static void
ring_add(struct store *s, struct store_event *ev)
{
    if (s->ring_len == s->ring_cap && (s->ring_cap < s->ring_least || (s->ring_cap < s->ring_most && oldest_is_young(s, ev->at_ms))))
        ring_grow(s);
    if (s->ring_len == s->ring_cap)
        ring_drop_oldest(s);
    s->ring[(s->ring_at + s->ring_len++) % s->ring_cap] = store_event_ref(ev);
    s->ring_bytes += event_size(ev);
    while (s->ring_len > RING_MIN && s->ring_bytes > storage_config(s->st)->ring_bytes)
        ring_drop_oldest(s);
    for (int i = 0; i < 2 && s->ring_len > s->ring_least && !oldest_is_young(s, ev->at_ms); i++)
        ring_drop_oldest(s); /* a burst is over */
}

bool
store_prune_history(struct store *s, uint64_t now_ms)
{
    bool any = false;

    pthread_mutex_lock(&s->lock);
    while (s->ring_len > s->ring_least && !oldest_is_young(s, now_ms)) {
        ring_drop_oldest(s);
        any = true;
    }
    pthread_mutex_unlock(&s->lock);
    return any;
}

/* --- applying --- */

static struct tree_pos
index_pos(const struct store *s, const struct record *rec)
{
    return (struct tree_pos){ rec->fields[s->index.by_field], rec->key };
}

/* Takes now (NULL: remove).  Returns what was there: the caller's. */
static struct record *
replace(struct store *s, const char *key, struct record *now)
{
    struct record *before = now ? record_tree_put(&s->live, now) : record_tree_remove(&s->live, (struct tree_pos){ "", key });

    s->bytes += (now ? now->size : 0) - (before ? before->size : 0);
    if (s->index.by_field < 0)
        return before;
    if (before)
        record_unref(record_tree_remove(&s->index, index_pos(s, before)));
    if (now)
        record_unref(record_tree_put(&s->index, record_ref(now)));
    return before;
}

static void
publish_event(struct store *s, struct store_event *ev)
{
    for (uint32_t i = 0; i < s->nports; i++)
        hub_post(s->ports[i], ev);
}

void
store_apply(struct store *s, int64_t revision, struct store_change *ch, size_t n)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++) {
        struct record *now = steal_ptr(ch[i].rec), *before;
        struct store_event *ev;

        if (now)
            record_ref(now); /* one for the tree, one for the event */
        before = replace(s, ch[i].key, now);
        if (!before && !now)
            continue;
        ev = event_new(s, revision, before, now);
        ring_add(s, ev);
        publish_event(s, ev);
        store_event_unref(ev);
    }
    s->changed = revision;
    pthread_mutex_unlock(&s->lock);
}

/* --- swapping in a whole state --- */

struct diff {
    struct store_event **events;
    size_t len, cap;
};

static void
diff_add(struct diff *d, struct store *s, int64_t revision, const struct record *before, const struct record *now)
{
    if (d->len == d->cap) {
        d->cap = d->cap ? d->cap * 2 : 64;
        d->events = xreallocarray(d->events, d->cap, sizeof(struct store_event *));
    }
    d->events[d->len++] = event_new(s, revision, record_ref(before), record_ref(now));
}

static int
diff_cmp(const void *a, const void *b)
{
    const struct store_event *x = *(struct store_event *const *)a, *y = *(struct store_event *const *)b;

    return x->revision < y->revision ? -1 : x->revision > y->revision;
}

/* Both states in key order, side by side. */
static void
diff_states(struct store *s, int64_t revision, struct diff *d)
{
    struct tree_walk old_walk, new_walk;
    const struct record *o, *n;

    tree_walk_from(&old_walk, &s->live, (struct tree_pos){ "", "" });
    tree_walk_from(&new_walk, &s->loading, (struct tree_pos){ "", "" });
    o = tree_walk_next(&old_walk);
    n = tree_walk_next(&new_walk);
    while (o || n) {
        int cmp = !o ? 1 : !n ? -1 : strcmp(o->key, n->key);

        if (cmp < 0)
            diff_add(d, s, revision, o, NULL);
        else if (cmp > 0)
            diff_add(d, s, n->revision, NULL, n);
        else if (o->revision != n->revision)
            diff_add(d, s, n->revision, o, n);
        o = cmp <= 0 ? tree_walk_next(&old_walk) : o;
        n = cmp >= 0 ? tree_walk_next(&new_walk) : n;
    }
    if (d->len)
        qsort(d->events, d->len, sizeof(struct store_event *), diff_cmp);
}

static void
take_loaded(struct store *s)
{
    struct tree_walk walk;
    const struct record *rec;

    record_tree_done(&s->live);
    record_tree_done(&s->index);
    s->live = s->loading;
    s->loading = (struct record_tree){ NULL, -1 };
    s->bytes = 0;
    tree_walk_from(&walk, &s->live, (struct tree_pos){ "", "" });
    while ((rec = tree_walk_next(&walk))) {
        s->bytes += rec->size;
        if (s->index.by_field >= 0)
            record_tree_put(&s->index, record_ref(rec));
    }
}

void
store_swap_in(struct store *s, int64_t revision, bool first, bool replaced)
{
    struct diff d = { 0 };

    pthread_mutex_lock(&s->lock);
    if (!first && !replaced)
        diff_states(s, revision, &d);
    take_loaded(s);
    ring_clear(s);
    s->ring_floor = s->changed = revision;
    for (size_t i = 0; i < d.len; i++) {
        publish_event(s, d.events[i]);
        store_event_unref(d.events[i]);
    }
    if (replaced) {
        for (uint32_t i = 0; i < s->nports; i++)
            hub_post_reset(s->ports[i], s);
        for (uint32_t i = 0; i < s->nsnapshots; i++)
            store_view_done(&s->snapshots[i].view);
        s->nsnapshots = 0;
    }
    pthread_mutex_unlock(&s->lock);
    free(d.events);
}

void
store_close(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->gone, true);
    for (uint32_t i = 0; i < s->nports; i++)
        hub_post_reset(s->ports[i], s);
    ring_clear(s); /* events hold references to the store */
    pthread_mutex_unlock(&s->lock);
}

/* --- views and snapshots --- */

void
store_view_done(struct store_view *v)
{
    record_tree_done(&v->tree);
    record_tree_done(&v->index);
}

/* With the lock held. */
static struct store_view
view_now(struct store *s)
{
    int64_t reached = storage_revision(s->st);

    return (struct store_view){ record_tree_snapshot(&s->live), record_tree_snapshot(&s->index), s->changed,
                                reached > s->changed ? reached : s->changed };
}

struct store_view
store_current_view(struct store *s)
{
    struct store_view v;

    pthread_mutex_lock(&s->lock);
    v = view_now(s);
    pthread_mutex_unlock(&s->lock);
    return v;
}

/* The state at exactly that revision, if memory has it. */
static bool
view_at(struct store *s, int64_t revision, struct store_view *ret)
{
    bool found = true;

    pthread_mutex_lock(&s->lock);
    if (revision >= s->changed && revision <= storage_revision(s->st)) {
        *ret = view_now(s);
        ret->revision = revision;
    } else {
        found = false;
        for (uint32_t i = 0; i < s->nsnapshots && !found; i++) {
            const struct store_view *v = &s->snapshots[i].view;

            if (revision >= v->changed && revision <= v->revision) {
                *ret = (struct store_view){ record_tree_snapshot(&v->tree), record_tree_snapshot(&v->index), v->changed, revision };
                found = true;
            }
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

static void
drop_snapshot(struct store *s, uint32_t i)
{
    store_view_done(&s->snapshots[i].view);
    s->nsnapshots--;
    memmove(&s->snapshots[i], &s->snapshots[i + 1], (s->nsnapshots - i) * sizeof(s->snapshots[0]));
}

static void
prune_locked(struct store *s, uint64_t now_ms)
{
    while (s->nsnapshots && now_ms - s->snapshots[0].made_ms > (uint64_t)storage_config(s->st)->snapshot_ms)
        drop_snapshot(s, 0);
}

void
store_prune_snapshots(struct store *s, uint64_t now_ms)
{
    pthread_mutex_lock(&s->lock);
    prune_locked(s, now_ms);
    pthread_mutex_unlock(&s->lock);
}

/* Keeps the view for the next pages. */
static void
keep_snapshot(struct store *s, const struct store_view *v)
{
    uint64_t now = clock_mono_ms();

    pthread_mutex_lock(&s->lock);
    prune_locked(s, now);
    for (uint32_t i = 0; i < s->nsnapshots; i++) {
        struct store_view *old = &s->snapshots[i].view;

        if (old->changed == v->changed) { /* the same state: it now reaches further */
            if (old->revision < v->revision)
                old->revision = v->revision;
            pthread_mutex_unlock(&s->lock);
            return;
        }
    }
    if (!s->snapshots)
        s->snapshots = xcalloc(storage_config(s->st)->snapshots, sizeof(*s->snapshots));
    if (s->nsnapshots == storage_config(s->st)->snapshots)
        drop_snapshot(s, 0);
    s->snapshots[s->nsnapshots++] = (struct snapshot){
        { record_tree_snapshot(&v->tree), record_tree_snapshot(&v->index), v->changed, v->revision }, now
    };
    pthread_mutex_unlock(&s->lock);
}

/* --- reading --- */

struct record *
store_get(struct store *s, const char *ns, const char *name)
{
    char buf[600];
    AUTO_FREE char *long_key = NULL;
    const char *key = name;
    struct record *rec;

    if (s->resource->shape.namespaced) {
        key = buf;
        if ((size_t)snprintf(buf, sizeof(buf), "%s/%s", str_safe(ns), name) >= sizeof(buf))
            key = long_key = store_key(s, ns, name);
    }
    pthread_mutex_lock(&s->lock);
    rec = record_ref(record_tree_get(&s->live, (struct tree_pos){ "", key }));
    pthread_mutex_unlock(&s->lock);
    return rec;
}

uint64_t
store_count(struct store *s)
{
    uint64_t n;

    pthread_mutex_lock(&s->lock);
    n = record_tree_count(&s->live);
    pthread_mutex_unlock(&s->lock);
    return n;
}

void
store_list_done(struct store_list *l)
{
    for (size_t i = 0; i < l->len; i++)
        record_unref(l->items[i]);
    free(l->items);
    free(l->continue_token);
    *l = (struct store_list){ 0 };
}

bool
store_filter_accepts(const struct store *s, const struct record_filter *f, const struct record *rec)
{
    if (!str_empty(f->ns) && !str_eq(f->ns, rec->ns))
        return false;
    if (!str_empty(f->name) && !str_eq(f->name, rec->name))
        return false;
    if (f->index_value && s->index.by_field >= 0 && !str_eq(f->index_value, rec->fields[s->index.by_field]))
        return false;
    return !f->match || f->match(rec, f->ctx);
}

/* What the caller asked for, worked out. */
struct list_plan {
    char *prefix;     /* of the keys, below the resource: "" or "ns/" */
    char *start;      /* first key; with prefix */
    bool after;       /* the one behind it */
    int64_t revision; /* 0: now */
    bool paged;       /* by a token */
};

static void
list_plan_done(struct list_plan *p)
{
    free(p->prefix);
    free(p->start);
}

static struct kerr *
plan_list(const struct store *s, const struct store_list_opts *o, struct list_plan *ret)
{
    bool one_ns = s->resource->shape.namespaced && !str_empty(o->filter.ns);
    AUTO_FREE char *start = NULL;
    struct kerr *err;

    memset(ret, 0, sizeof(*ret));
    ret->prefix = one_ns ? xasprintf("%s/", o->filter.ns) : xstrdup("");
    if (str_empty(o->continue_token)) {
        ret->start = xstrdup(ret->prefix);
        ret->revision = o->match == STORE_RV_EXACT ? o->resource_version : 0;
        return NULL;
    }
    if (o->resource_version)
        return kerr_new(KERR_BAD_REQUEST, "specifying resource version is not allowed when using continue");
    err = continue_token_read(o->continue_token, &ret->revision, &start, &ret->after);
    if (err)
        return kerr_wrap(err, "invalid continue token");
    ret->paged = true;
    ret->start = xasprintf("%s%s", ret->prefix, start);
    if (ret->revision < 0) /* the token of a 410: go on with what is there now */
        ret->revision = 0;
    return NULL;
}

static struct kerr *
broken_error(const struct store *s, const struct record *rec)
{
    return kerr_new(KERR_INTERNAL, "unable to decode the stored value of key \"%s%s\": it is no object; delete it to repair the list",
                    s->prefix, rec->key);
}

static void
list_add(struct store_list *l, size_t *cap, const struct record *rec)
{
    if (l->len == *cap) {
        *cap = *cap ? *cap * 2 : 64;
        l->items = xreallocarray(l->items, *cap, sizeof(struct record *));
    }
    l->items[l->len++] = record_ref(rec);
}

/* Is the record still in the walked span? */
static bool
in_span(const struct store *s, const struct list_plan *p, const struct record_filter *f, bool indexed, const struct record *rec)
{
    if (indexed && strcmp(rec->fields[s->index.by_field], f->index_value) != 0)
        return false;
    return str_has_prefix(rec->key, p->prefix);
}

static int64_t
count_remaining(const struct store_view *v, const struct list_plan *p, const char *last_key)
{
    AUTO_FREE char *end = xstrdup(p->prefix);
    uint64_t upto = record_tree_count(&v->tree);

    if (*end) {
        end[strlen(end) - 1] = '/' + 1;
        upto = record_tree_count_before(&v->tree, (struct tree_pos){ "", end });
    }
    return (int64_t)(upto - record_tree_count_before(&v->tree, (struct tree_pos){ "", last_key }) - 1);
}

/* Walks the view; what it needs no lock for. */
static struct kerr *
walk_list(struct store *s, const struct store_list_opts *o, const struct list_plan *p, const struct store_view *v,
          struct store_list *l)
{
    const struct record_filter *f = &o->filter;
    bool indexed = f->index_value && s->index.by_field >= 0;
    bool plain = !f->match && str_empty(f->name) && !indexed;
    struct tree_walk walk;
    const struct record *rec;
    size_t cap = 0;

    tree_walk_from(&walk, indexed ? &v->index : &v->tree, (struct tree_pos){ indexed ? f->index_value : "", p->start });
    while ((rec = tree_walk_next(&walk)) && in_span(s, p, f, indexed, rec)) {
        if (p->after && l->len == 0 && strcmp(rec->key, p->start) == 0)
            continue;
        if (!store_filter_accepts(s, f, rec))
            continue;
        if (rec->broken)
            return broken_error(s, rec);
        if (o->limit > 0 && l->len == (size_t)o->limit) { /* there is one more */
            const char *last = l->items[l->len - 1]->key;

            l->continue_token = continue_token_make(v->revision, last + strlen(p->prefix));
            l->remaining = plain ? count_remaining(v, p, last) : -1;
            return NULL;
        }
        list_add(l, &cap, rec);
    }
    return NULL;
}

static struct kerr *
too_large_revision(int64_t wanted, int64_t current)
{
    struct kerr *err = kerr_new(KERR_TIMEOUT, "Too large resource version: %" PRId64 ", current: %" PRId64, wanted, current);

    kerr_add_cause(err, "ResourceVersionTooLarge", NULL, "Too large resource version");
    return kerr_retry_after(err, 1);
}

/* A view of the wanted revision.  false: memory has it no more. */
static struct kerr *
find_view(struct store *s, const struct store_list_opts *o, const struct list_plan *p, struct store_view *ret, bool *ret_old)
{
    int64_t now = storage_revision(s->st);

    *ret_old = false;
    if (p->revision > now || (o->match == STORE_RV_NOT_OLDER && o->resource_version > now))
        return too_large_revision(p->revision > now ? p->revision : o->resource_version, now);
    if (!p->revision)
        *ret = store_current_view(s);
    else if (!view_at(s, p->revision, ret))
        *ret_old = true;
    return NULL;
}

struct kerr *
store_get_list(struct store *s, const struct store_list_opts *o, struct store_list *ret, bool *ret_from_etcd)
{
    struct store_list l = { .remaining = -1 };
    struct store_view view;
    struct list_plan plan;
    struct kerr *err;
    bool old = false;

    err = plan_list(s, o, &plan);
    if (!err)
        err = find_view(s, o, &plan, &view, &old);
    if (!err && !old) {
        l.revision = view.revision;
        err = walk_list(s, o, &plan, &view, &l);
        if (!err && l.continue_token)
            keep_snapshot(s, &view);
        store_view_done(&view);
    }
    list_plan_done(&plan);
    if (err) {
        store_list_done(&l);
        return err;
    }
    *ret_from_etcd = old;
    if (!old)
        *ret = l;
    return NULL;
}

/* --- lists that only etcd remembers --- */

struct old_list {
    struct store *s;
    const struct store_list_opts *o;
    struct store_list l;
    size_t cap, seen;
    char *last; /* key of the last one seen, below the resource */
    bool full;
};

static struct kerr *
old_list_kv(const struct etcd_kv *kv, void *arg)
{
    struct old_list *ol = arg;
    const char *key = kv->key + ol->s->prefix_len;
    AUTO(record) *rec = NULL;

    ol->seen++;
    if (ol->full || kv->key_len < ol->s->prefix_len)
        return NULL;
    if (ol->o->limit > 0 && ol->l.len == (size_t)ol->o->limit) {
        ol->full = true;
        return NULL;
    }
    free(ol->last);
    ol->last = xstrdup(key);
    rec = store_build(ol->s, key, kv->value, kv->value_len, kv->mod_revision);
    if (!store_filter_accepts(ol->s, &ol->o->filter, rec))
        return NULL;
    if (rec->broken)
        return broken_error(ol->s, rec);
    list_add(&ol->l, &ol->cap, rec);
    return NULL;
}

#define EXPIRED_LIST "The resourceVersion for the provided list is too old."
#define EXPIRED_PAGE                                                                                \
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "      \
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with "  \
    "the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the " \
    "first chunk was returned and now may show up in the list."

/* etcd's "compacted" in upstream's words, with a token that goes on without consistency. */
static struct kerr *
old_list_error(struct kerr *err, const struct store *s, const struct list_plan *p)
{
    if (err->reason == KERR_EXPIRED) {
        kerr_free(err);
        if (!p->paged)
            return kerr_new(KERR_EXPIRED, EXPIRED_LIST);
        err = kerr_new(KERR_EXPIRED, EXPIRED_PAGE);
        err->list_continue = continue_token_make(-1, p->start + strlen(p->prefix));
        return err;
    }
    if (err->reason == KERR_BAD_REQUEST) {
        kerr_free(err);
        return too_large_revision(p->revision, storage_revision(s->st));
    }
    return err;
}

/* Pages through etcd until the limit is met, or the end. */
static struct kerr *
fetch_old(struct old_list *ol, const struct list_plan *p)
{
    struct store *s = ol->s;
    AUTO_FREE char *from = xasprintf("%s%s%s", s->prefix, p->start, p->after ? "\x01" : "");
    AUTO_FREE char *end = xasprintf("%s%s", s->prefix, p->prefix);
    size_t from_len = strlen(from);

    if (p->after)
        from[from_len - 1] = 0; /* the key right behind */
    end[strlen(end) - 1] = '/' + 1;
    for (;;) {
        int64_t page = ol->o->limit > 0 && ol->o->limit < LIST_OLD_PAGE && !ol->o->filter.match ? ol->o->limit + 1 : LIST_OLD_PAGE;
        struct etcd_range range = { .key = from, .key_len = from_len, .range_end = end, .range_end_len = strlen(end),
                                    .revision = p->revision, .limit = page };
        struct etcd_range_info info;
        uint64_t start = clock_mono_us();
        struct kerr *err = etcd_get_range(storage_config(s->st)->etcd, &range, old_list_kv, ol, &info);

        storage_count_call(s, "list", start, err != NULL);
        if (err)
            return err;
        if (!info.more || ol->full || !ol->last)
            return NULL;
        free(from);
        from = xasprintf("%s%s\x01", s->prefix, ol->last);
        from_len = strlen(from);
        from[from_len - 1] = 0;
    }
}

struct kerr *
store_list_old(struct store *s, const struct store_list_opts *o, struct store_list *ret)
{
    struct old_list ol = { .s = s, .o = o, .l = { .remaining = -1 } };
    struct list_plan plan;
    struct kerr *err;

    err = plan_list(s, o, &plan);
    if (!err) {
        err = fetch_old(&ol, &plan);
        if (err)
            err = old_list_error(err, s, &plan);
    }
    if (!err) {
        ol.l.revision = plan.revision;
        if (ol.full)
            ol.l.continue_token = continue_token_make(plan.revision, ol.l.items[ol.l.len - 1]->key + strlen(plan.prefix));
        *ret = ol.l;
    } else {
        store_list_done(&ol.l);
    }
    free(ol.last);
    list_plan_done(&plan);
    return err;
}
