// SPDX-License-Identifier: Apache-2.0
#include "apiserver/storage/watch_hub.h"

#include <inttypes.h>
#include <uthash.h>
#include <utlist.h>

#include "apiserver/storage/store_internal.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/rng.h"
#include "common/base/str.h"

#define MAIL_MAX_EVENTS 65536           /* a loop that lags further behind loses its watchers: they resume */
#define MAIL_MAX_BYTES (128ull << 20)
#define BOOKMARK_MS 60000
#define FUTURE_MS 3000                  /* how long a resume point may be ahead of us */

struct queued {
    enum watch_type type;
    int64_t revision;
    struct store_event *ev; /* NULL: bookmark */
    uint64_t at_ms;
};

struct watcher {
    struct hub_port *port;
    struct channel *channel;
    struct bucket *bucket;
    struct watcher *prev, *next;             /* in the bucket */
    struct watcher *all_prev, *all_next;     /* in the port */
    struct watcher *ready_prev, *ready_next; /* in the port's ready list */
    bool is_ready;
    struct watch_opts opts;
    char *ns, *name, *index_value;
    int64_t after; /* events up to here are not for us */
    struct store_view view; /* the initial state, while it is being walked */
    struct tree_walk walk;
    bool walking, walk_indexed, mark_end;
    struct queued *queue; /* a ring */
    uint32_t at, len, cap;
    uint64_t bytes;
    uint64_t made_ms, next_bookmark_ms;
    struct kerr *error;
    bool ended;
};

/* Watchers with the same narrowest condition: a namespace, an object, a value of the index field, or none. */
enum bucket_kind { BUCKET_ALL, BUCKET_NAMESPACE, BUCKET_INDEX, BUCKET_OBJECT, BUCKET_KINDS };
struct bucket {
    UT_hash_handle hh;
    enum bucket_kind kind;
    struct watcher *watchers;
    char key[];
};

struct channel { /* one store on one port */
    UT_hash_handle hh;
    struct store *store; /* a reference */
    struct bucket *buckets[BUCKET_KINDS];
    size_t nwatchers;
};

struct hub_port {
    struct storage *st;
    void (*wake)(void *arg);
    void *arg;
    /* the loop's own */
    struct channel *channels;
    struct watcher *all, *ready;
    struct rng rng;
    pthread_mutex_t lock; /* guards the mailbox; leaf lock */
    struct store_event **mail;
    size_t nmail, mail_cap;
    uint64_t mail_bytes;
    struct store **resets; /* references: histories that broke; watchers there end */
    size_t nresets;
    bool overrun, woken;
};

const char *
watch_type_name(enum watch_type type)
{
    static const char *const names[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR" };

    return names[type];
}

void
watch_item_done(struct watch_item *item)
{
    record_unref(item->record);
    kerr_free(item->error);
    *item = (struct watch_item){ 0 };
}

/* --- mailbox: called by storage --- */

static uint64_t
mail_size(const struct store_event *ev)
{
    return (ev->before ? ev->before->size : 0) + (ev->now ? ev->now->size : 0);
}

static bool
must_wake(struct hub_port *port)
{
    bool wake = !port->woken;

    port->woken = true;
    return wake;
}

static void
drop_mail(struct hub_port *port)
{
    for (size_t i = 0; i < port->nmail; i++)
        store_event_unref(port->mail[i]);
    port->nmail = 0;
    port->mail_bytes = 0;
}

void
hub_post(struct hub_port *port, struct store_event *ev)
{
    bool wake;

    pthread_mutex_lock(&port->lock);
    if (port->nmail >= MAIL_MAX_EVENTS || port->mail_bytes > MAIL_MAX_BYTES) {
        port->overrun = true;
        drop_mail(port);
    }
    if (!port->overrun) {
        if (port->nmail == port->mail_cap) {
            port->mail_cap = port->mail_cap ? port->mail_cap * 2 : 64;
            port->mail = xreallocarray(port->mail, port->mail_cap, sizeof(struct store_event *));
        }
        port->mail[port->nmail++] = store_event_ref(ev);
        port->mail_bytes += mail_size(ev);
    }
    wake = must_wake(port);
    pthread_mutex_unlock(&port->lock);
    if (wake)
        port->wake(port->arg);
}

void
hub_post_reset(struct hub_port *port, struct store *s)
{
    bool wake;

    pthread_mutex_lock(&port->lock);
    port->resets = xreallocarray(port->resets, port->nresets + 1, sizeof(struct store *));
    port->resets[port->nresets++] = store_ref(s);
    wake = must_wake(port);
    pthread_mutex_unlock(&port->lock);
    if (wake)
        port->wake(port->arg);
}

/* --- channels and buckets --- */

static struct channel *
channel_find(struct hub_port *port, struct store *s)
{
    struct channel *c;

    HASH_FIND_PTR(port->channels, &s, c);
    return c;
}

static void
store_drop_port(struct store *s, struct hub_port *port)
{
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->nports; i++) {
        if (s->ports[i] == port) {
            s->ports[i] = s->ports[--s->nports];
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static struct channel *
channel_new(struct hub_port *port, struct store *s)
{
    struct channel *c = XNEW(struct channel);

    c->store = store_ref(s);
    HASH_ADD_PTR(port->channels, store, c);
    return c;
}

static void
channel_drop(struct hub_port *port, struct channel *c)
{
    store_drop_port(c->store, port);
    HASH_DEL(port->channels, c);
    store_unref(c->store);
    free(c);
}

static struct bucket *
bucket_find(struct channel *c, enum bucket_kind kind, const char *key)
{
    struct bucket *b = NULL;

    if (c->buckets[kind])
        HASH_FIND_STR(c->buckets[kind], key, b);
    return b;
}

static void
bucket_join(struct watcher *w, enum bucket_kind kind, const char *key)
{
    struct bucket *b = bucket_find(w->channel, kind, key);

    if (!b) {
        b = xcalloc(1, sizeof(*b) + strlen(key) + 1);
        b->kind = kind;
        memcpy(b->key, key, strlen(key) + 1);
        HASH_ADD_STR(w->channel->buckets[kind], key, b);
    }
    DL_APPEND(b->watchers, w);
    w->bucket = b;
}

static void
bucket_leave(struct watcher *w)
{
    struct bucket *b = w->bucket;

    DL_DELETE(b->watchers, w);
    if (b->watchers)
        return;
    HASH_DEL(w->channel->buckets[b->kind], b);
    free(b);
}

static void
join_narrowest(struct watcher *w)
{
    const struct store *s = w->channel->store;
    const struct record_filter *f = &w->opts.filter;
    bool namespaced = s->resource->shape.namespaced;

    if (!str_empty(f->name) && (!namespaced || !str_empty(f->ns))) {
        AUTO_FREE char *key = store_key(s, f->ns, f->name);

        bucket_join(w, BUCKET_OBJECT, key);
    } else if (f->index_value && s->index.by_field >= 0) {
        bucket_join(w, BUCKET_INDEX, f->index_value);
    } else if (namespaced && !str_empty(f->ns)) {
        bucket_join(w, BUCKET_NAMESPACE, f->ns);
    } else {
        bucket_join(w, BUCKET_ALL, "");
    }
}

/* --- the watcher's queue --- */

static void
mark_ready(struct watcher *w)
{
    if (w->is_ready)
        return;
    w->is_ready = true;
    DL_APPEND2(w->port->ready, w, ready_prev, ready_next);
}

static void
drop_queue(struct watcher *w)
{
    for (; w->len; w->len--, w->at = (w->at + 1) % w->cap)
        store_event_unref(w->queue[w->at].ev);
    w->bytes = 0;
    if (w->walking) {
        store_view_done(&w->view);
        w->walking = false;
    }
}

/* The end: what waits is dropped, the client resumes from what it has seen.  Takes err (NULL: a plain end). */
static void
end_watch(struct watcher *w, struct kerr *err)
{
    if (w->ended) {
        kerr_free(err);
        return;
    }
    drop_queue(w);
    w->ended = true;
    w->error = err;
    mark_ready(w);
}

static uint64_t
queued_size(const struct store_event *ev)
{
    return ev ? sizeof(*ev) + (ev->now ? ev->now->size : ev->before->size) : 0;
}

static void
push(struct watcher *w, struct queued item)
{
    if (w->len >= w->opts.max_events || w->bytes > w->opts.max_bytes) {
        log_v(2, "A watcher is too slow and is cut off", "prefix", w->channel->store->prefix, "queued", kv_int(w->len));
        store_event_unref(item.ev);
        end_watch(w, NULL);
        return;
    }
    if (w->len == w->cap) {
        uint32_t cap = w->cap ? w->cap * 2 : 8;
        struct queued *queue = xcalloc(cap, sizeof(*queue));

        for (uint32_t i = 0; i < w->len; i++)
            queue[i] = w->queue[(w->at + i) % w->cap];
        free(w->queue);
        w->queue = queue;
        w->cap = cap;
        w->at = 0;
    }
    w->queue[(w->at + w->len++) % w->cap] = item;
    w->bytes += queued_size(item.ev);
    mark_ready(w);
}

static bool
accepts(const struct watcher *w, const struct record *rec)
{
    return rec && store_filter_accepts(w->channel->store, &w->opts.filter, rec);
}

static void
offer(struct watcher *w, struct store_event *ev, uint64_t now_ms)
{
    struct queued item = { .revision = ev->revision, .at_ms = now_ms };
    bool was, is;

    if (w->ended || ev->revision <= w->after)
        return;
    was = accepts(w, ev->before);
    is = accepts(w, ev->now);
    if (!was && !is)
        return;
    item.type = !was ? WATCH_ADDED : is ? WATCH_MODIFIED : WATCH_DELETED;
    item.ev = store_event_ref(ev);
    push(w, item);
}

static void
offer_bucket(struct channel *c, enum bucket_kind kind, const char *key, struct store_event *ev, uint64_t now_ms)
{
    struct bucket *b = bucket_find(c, kind, key);
    struct watcher *w;

    if (b)
        DL_FOREACH (b->watchers, w)
            offer(w, ev, now_ms);
}

static void
dispatch(struct hub_port *port, struct store_event *ev, uint64_t now_ms)
{
    struct channel *c = channel_find(port, ev->store);
    const struct record *any = ev->now ? ev->now : ev->before;
    int field;

    if (!c)
        return;
    offer_bucket(c, BUCKET_ALL, "", ev, now_ms);
    offer_bucket(c, BUCKET_NAMESPACE, any->ns, ev, now_ms);
    offer_bucket(c, BUCKET_OBJECT, any->key, ev, now_ms);
    field = c->store->index.by_field;
    if (field < 0 || !c->buckets[BUCKET_INDEX])
        return;
    offer_bucket(c, BUCKET_INDEX, any->fields[field], ev, now_ms);
    if (ev->before && ev->now && strcmp(ev->before->fields[field], ev->now->fields[field]) != 0)
        offer_bucket(c, BUCKET_INDEX, ev->before->fields[field], ev, now_ms);
}

/* --- turning the port --- */

static struct kerr *
too_old(int64_t asked, int64_t floor)
{
    return kerr_new(KERR_EXPIRED, "too old resource version: %" PRId64 " (%" PRId64 ")", asked, floor);
}

static void
reset_channel(struct hub_port *port, struct store *s)
{
    struct watcher *w;

    DL_FOREACH2(port->all, w, all_next)
    {
        if (w->channel->store == s)
            end_watch(w, atomic_load(&s->gone) ? NULL : too_old(w->after, storage_revision(port->st)));
    }
}

static void
call_ready(struct hub_port *port)
{
    struct watcher *w;

    while ((w = port->ready)) {
        DL_DELETE2(port->ready, w, ready_prev, ready_next);
        w->is_ready = false;
        if (w->opts.ready)
            w->opts.ready(w, w->opts.arg); /* may free it, or others */
    }
}

static void
end_all(struct hub_port *port)
{
    struct watcher *w;

    log_warning("An I/O loop fell too far behind; its watches are cut off and will resume");
    DL_FOREACH2(port->all, w, all_next)
    {
        end_watch(w, NULL);
    }
}

void
hub_port_run(struct hub_port *port)
{
    uint64_t now = clock_mono_ms();
    struct store_event **mail;
    struct store **resets;
    size_t nmail, nresets;
    bool overrun;

    pthread_mutex_lock(&port->lock);
    mail = steal_ptr(port->mail);
    nmail = port->nmail;
    resets = steal_ptr(port->resets);
    nresets = port->nresets;
    overrun = port->overrun;
    port->nmail = port->mail_cap = port->nresets = 0;
    port->mail_bytes = 0;
    port->overrun = port->woken = false;
    pthread_mutex_unlock(&port->lock);
    for (size_t i = 0; i < nmail; i++) {
        dispatch(port, mail[i], now);
        store_event_unref(mail[i]);
    }
    for (size_t i = 0; i < nresets; i++) {
        reset_channel(port, resets[i]);
        store_unref(resets[i]);
    }
    free(mail);
    free(resets);
    if (overrun)
        end_all(port);
    call_ready(port);
}

static void
add_bookmark(struct watcher *w, int64_t revision, uint64_t now_ms)
{
    w->next_bookmark_ms = now_ms + BOOKMARK_MS - 5000 + rng_below(&w->port->rng, 5000);
    if (w->opts.allow_bookmarks && !w->ended && !w->walking)
        push(w, (struct queued){ WATCH_BOOKMARK, revision > w->after ? revision : w->after, NULL, now_ms });
}

void
hub_port_tick(struct hub_port *port, uint64_t now_ms)
{
    int64_t reached = storage_revision(port->st); /* before the mailbox: everything up to here is in it or behind us */
    struct watcher *w;

    hub_port_run(port);
    DL_FOREACH2(port->all, w, all_next)
    {
        if (w->ended)
            continue;
        if (w->after > reached && now_ms - w->made_ms > FUTURE_MS && storage_ready(port->st))
            end_watch(w, too_old(w->after, reached)); /* a revision that never was: etcd was restored */
        else if (!w->walking && w->len && w->queue[w->at].at_ms < now_ms && now_ms - w->queue[w->at].at_ms > w->opts.max_age_ms)
            end_watch(w, NULL);
        else if (w->opts.allow_bookmarks && now_ms >= w->next_bookmark_ms)
            add_bookmark(w, reached, now_ms);
    }
    call_ready(port);
}

void
watcher_bookmark(struct watcher *w)
{
    struct hub_port *port = w->port;
    int64_t reached = storage_revision(port->st);

    hub_port_run(port);
    add_bookmark(w, reached, clock_mono_ms());
    call_ready(port);
}

/* --- life of watchers --- */

static void
start_walk(struct watcher *w, struct store *s)
{
    const struct record_filter *f = &w->opts.filter;
    AUTO_FREE char *from = s->resource->shape.namespaced && !str_empty(f->ns) ? xasprintf("%s/", f->ns) : xstrdup("");

    w->walk_indexed = f->index_value && s->index.by_field >= 0;
    w->walking = true;
    w->mark_end = w->opts.send_initial_events && w->opts.allow_bookmarks;
    tree_walk_from(&w->walk, w->walk_indexed ? &w->view.index : &w->view.tree,
                   (struct tree_pos){ w->walk_indexed ? f->index_value : "", from });
}

struct events {
    struct store_event **items;
    size_t len;
};

/* What the ring holds after that revision: it is in order. */
static void
missed_since(const struct store *s, int64_t after, struct events *ret)
{
    uint32_t lo = 0, hi = s->ring_len;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (s->ring[(s->ring_at + mid) % s->ring_cap]->revision <= after)
            lo = mid + 1;
        else
            hi = mid;
    }
    ret->items = xcalloc(s->ring_len - lo + 1, sizeof(struct store_event *));
    for (; lo < s->ring_len; lo++)
        ret->items[ret->len++] = store_event_ref(s->ring[(s->ring_at + lo) % s->ring_cap]);
}

/* With the store's lock: from here on changes reach the port, and what is older is in `ret_missed` or in the view. */
static struct kerr *
attach(struct watcher *w, struct store *s, bool new_channel, struct events *ret_missed)
{
    int64_t after = w->opts.resource_version;
    bool replay = after > 0 && !w->opts.send_initial_events && !w->opts.now_on;

    if (atomic_load(&s->gone))
        return kerr_new(KERR_EXPIRED, "the resource \"%s\" is no longer served", s->resource->resource);
    if (replay && after < s->ring_floor)
        return too_old(after, s->ring_floor);
    if (new_channel) {
        s->ports = xreallocarray(s->ports, s->nports + 1, sizeof(struct hub_port *));
        s->ports[s->nports++] = w->port;
    }
    w->view = (struct store_view){ record_tree_snapshot(&s->live), record_tree_snapshot(&s->index), s->changed, storage_revision(s->st) };
    if (w->view.revision < s->changed)
        w->view.revision = s->changed;
    w->after = w->view.revision;
    if (!replay)
        return NULL;
    w->after = after > w->view.revision ? after : w->view.revision;
    missed_since(s, after, ret_missed);
    return NULL;
}

static void
copy_opts(struct watcher *w, const struct watch_opts *opts)
{
    w->opts = *opts;
    w->ns = str_empty(opts->filter.ns) ? NULL : xstrdup(opts->filter.ns);
    w->name = str_empty(opts->filter.name) ? NULL : xstrdup(opts->filter.name);
    w->index_value = opts->filter.index_value ? xstrdup(opts->filter.index_value) : NULL;
    w->opts.filter.ns = w->ns;
    w->opts.filter.name = w->name;
    w->opts.filter.index_value = w->index_value;
    w->opts.max_events = opts->max_events ? opts->max_events : 10000;
    w->opts.max_bytes = opts->max_bytes ? opts->max_bytes : 64ull << 20;
    w->opts.max_age_ms = opts->max_age_ms ? opts->max_age_ms : 30000;
}

static void
watcher_release(struct watcher *w)
{
    drop_queue(w);
    kerr_free(w->error);
    free(w->queue);
    free(w->ns);
    free(w->name);
    free(w->index_value);
    free(w);
}

/* What happened between the resume point and now. */
static void
replay_missed(struct watcher *w, struct events *missed, uint64_t now_ms)
{
    int64_t after = w->after;

    w->after = w->opts.resource_version;
    /* The ring bounds what is replayed.  Cutting the watcher for it would bring its client back to the same point, for ever. */
    w->opts.max_events += missed->len < UINT32_MAX - w->opts.max_events ? (uint32_t)missed->len : 0;
    for (size_t i = 0; i < missed->len && w->opts.max_bytes < UINT64_MAX / 2; i++)
        w->opts.max_bytes += queued_size(missed->items[i]);
    for (size_t i = 0; i < missed->len; i++) {
        offer(w, missed->items[i], now_ms);
        store_event_unref(missed->items[i]);
    }
    w->after = after;
    free(missed->items);
}

struct kerr *
watcher_new(struct hub_port *port, struct store *s, const struct watch_opts *opts, uint64_t now_ms, struct watcher **ret)
{
    struct watcher *w = XNEW(struct watcher);
    struct channel *c = channel_find(port, s);
    bool new_channel = !c;
    struct events missed = { 0 };
    struct kerr *err;

    copy_opts(w, opts);
    w->port = port;
    w->made_ms = now_ms;
    w->next_bookmark_ms = now_ms + BOOKMARK_MS - rng_below(&port->rng, 5000);
    pthread_mutex_lock(&s->lock);
    err = attach(w, s, new_channel, &missed);
    pthread_mutex_unlock(&s->lock);
    if (err) {
        watcher_release(w);
        return err;
    }
    w->channel = new_channel ? channel_new(port, s) : c;
    w->channel->nwatchers++;
    join_narrowest(w);
    DL_APPEND2(port->all, w, all_prev, all_next);
    if (missed.items)
        replay_missed(w, &missed, now_ms);
    if (missed.items || opts->now_on)
        store_view_done(&w->view);
    else
        start_walk(w, s);
    if (w->walking)
        mark_ready(w);
    if (port->ready) { /* ready is called later, not from in here */
        pthread_mutex_lock(&port->lock);
        bool wake = must_wake(port);
        pthread_mutex_unlock(&port->lock);
        if (wake)
            port->wake(port->arg);
    }
    *ret = w;
    return NULL;
}

void
watcher_free(struct watcher *w)
{
    struct hub_port *port;
    struct channel *c;

    if (!w)
        return;
    port = w->port;
    c = w->channel;
    if (w->is_ready)
        DL_DELETE2(port->ready, w, ready_prev, ready_next);
    DL_DELETE2(port->all, w, all_prev, all_next);
    bucket_leave(w);
    watcher_release(w);
    if (--c->nwatchers == 0)
        channel_drop(port, c);
}

/* --- pulling --- */

static bool
in_walk(const struct watcher *w, const struct record *rec)
{
    const struct record_filter *f = &w->opts.filter;

    if (w->walk_indexed)
        return str_eq(rec->fields[w->channel->store->index.by_field], f->index_value);
    return !w->channel->store->resource->shape.namespaced || str_empty(f->ns) || strcmp(rec->ns, f->ns) == 0;
}

/* The next object of the initial state, then its end mark. */
static bool
next_of_walk(struct watcher *w, struct watch_item *ret)
{
    const struct record *rec;

    while ((rec = tree_walk_next(&w->walk)) && in_walk(w, rec)) {
        if (rec->broken || !accepts(w, rec))
            continue;
        *ret = (struct watch_item){ .type = WATCH_ADDED, .record = record_ref(rec), .revision = rec->revision };
        return true;
    }
    w->walking = false;
    store_view_done(&w->view);
    if (!w->mark_end)
        return false;
    *ret = (struct watch_item){ .type = WATCH_BOOKMARK, .revision = w->after, .initial_end = true };
    return true;
}

static void
pop(struct watcher *w, struct watch_item *ret)
{
    struct queued item = w->queue[w->at];

    w->at = (w->at + 1) % w->cap;
    w->len--;
    w->bytes -= queued_size(item.ev);
    *ret = (struct watch_item){ .type = item.type, .revision = item.revision };
    if (item.ev)
        ret->record = record_ref(item.type == WATCH_DELETED ? store_event_gone(item.ev) : item.ev->now);
    store_event_unref(item.ev);
    if (!w->len && w->cap > 64) { /* a burst is over */
        free(steal_ptr(w->queue));
        w->cap = w->at = 0;
    }
}

bool
watcher_next(struct watcher *w, struct watch_item *ret)
{
    if (w->walking && next_of_walk(w, ret))
        return true;
    if (w->len) {
        pop(w, ret);
        return true;
    }
    if (!w->error)
        return false;
    *ret = (struct watch_item){ .type = WATCH_ERROR, .error = steal_ptr(w->error) };
    return true;
}

bool
watcher_ended(const struct watcher *w)
{
    return w->ended && !w->error;
}

/* --- ports --- */

struct hub_port *
hub_port_new(struct storage *st, void (*wake)(void *arg), void *arg)
{
    struct hub_port *port = XNEW(struct hub_port);

    port->st = st;
    port->wake = wake;
    port->arg = arg;
    port->rng = rng_from_system();
    pthread_mutex_init(&port->lock, NULL);
    return port;
}

void
hub_port_free(struct hub_port *port)
{
    if (!port)
        return;
    drop_mail(port);
    for (size_t i = 0; i < port->nresets; i++)
        store_unref(port->resets[i]);
    pthread_mutex_destroy(&port->lock);
    free(port->mail);
    free(port->resets);
    free(port);
}
