// SPDX-License-Identifier: Apache-2.0
/* informer.c - the set, the handlers and the reflector; the objects themselves are in store.c.
 *
 *        start        200, all pages         ended, cut
 *   IDLE -----> LIST ---------------> WATCH -----------> PAUSE --timer--> WATCH
 *                ^  \ error                 \ 410             \
 *                |   '-> PAUSE --timer--> LIST <--------------'
 */
#include "common/client/informer.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "common/api/status.h"
#include "common/base/backoff.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/rng.h"
#include "common/base/str.h"
#include "common/client/object_store.h"
#include "common/client/rest_impl.h"
#include "common/net/http_client.h"
#include "common/net/loop.h"

#define WATCH_MIN_S 300 /* as client-go: 5 to 10 minutes */
#define WATCH_STALL_MS 200000 /* bookmarks come every minute */
#define SHORT_WATCH_MS 1000
#define LIST_TIMEOUT_MS 120000

static const struct backoff_policy pause_policy = { 200, 10000, 50 };

enum phase { PHASE_IDLE, PHASE_LIST, PHASE_WATCH, PHASE_PAUSE };

struct informer {
    struct informers *set;
    struct informer_config cfg; /* strings owned */
    struct object_store *store;
    struct informer_handler *handlers;
    size_t nhandlers;
    atomic_bool synced;

    /* reflector: the loop's own */
    enum phase phase;
    bool relist; /* after the pause: list, else watch on */
    bool consistent; /* the next list must be fresh: after a 410 */
    char *version;   /* resourceVersion seen last; guarded by set->lock for informer_resource_version() */
    char *token;     /* continue */
    unsigned round;  /* of lists: what a list did not show is gone */
    struct http_fetch *fetch;
    struct loop_timer *timer;
    struct sbuf body; /* of a list, or of a refusal */
    struct watch_frames frames;
    int code;
    uint64_t began_us;
    bool got_event;
    struct backoff backoff;
    bool in_trouble;
    struct metric_series *objects;
};

struct informers {
    struct rest *rest;
    struct http_client *http; /* for this loop only */
    struct loop *loop;
    bool own_loop, loop_running;
    pthread_mutex_t lock; /* guards informers, started and versions; never held while handlers run */
    pthread_cond_t synced_wake;
    struct informer **informers;
    size_t len;
    size_t started; /* the first so many */
    struct rng rng;
    void (*trouble)(const char *what, const struct kerr *why, void *arg);
    void *trouble_arg;
    uint64_t trouble_logged_ms;
};

static struct metric m_objects = METRIC_GAUGE("ckube_informer_objects", "Objects held in the local copy.", "resource");
static struct metric m_events = METRIC_COUNTER("ckube_informer_events_total", "Watch events taken in.", "resource,type");
static struct metric m_lists = METRIC_COUNTER("ckube_informer_lists_total", "Lists begun.", "resource");
static struct metric m_failures = METRIC_COUNTER("ckube_informer_failures_total", "Lists and watches that failed.", "resource");

static void begin_list(struct informer *inf);
static void begin_watch(struct informer *inf);

/* --- the set --- */

struct informers *
informers_new(struct rest *r, struct loop *loop)
{
    struct informers *set = XNEW(struct informers);

    set->rest = rest_ref(r);
    set->rng = rng_from_system();
    pthread_mutex_init(&set->lock, NULL);
    pthread_cond_init(&set->synced_wake, NULL);
    set->loop = loop;
    set->own_loop = !loop;
    struct kerr *err = loop ? NULL : loop_new("informers", &set->loop);
    if (err) {
        log_error("Cannot make an informer set", "err", err->message);
        abort(); /* out of file descriptors at start-up */
    }
    return set;
}

static void
informer_free(struct informer *inf)
{
    http_fetch_cancel(inf->fetch);
    loop_timer_free(inf->timer);
    object_store_free(inf->store);
    watch_frames_done(&inf->frames);
    sbuf_done(&inf->body);
    free(inf->handlers);
    free(inf->version);
    free(inf->token);
    free((char *)inf->cfg.namespace);
    free((char *)inf->cfg.label_selector);
    free((char *)inf->cfg.field_selector);
    free(inf);
}

void
informers_free(struct informers *set)
{
    if (!set)
        return;
    if (set->own_loop && set->loop_running) {
        loop_stop(set->loop);
        loop_thread_join(set->loop);
    }
    for (size_t i = 0; i < set->len; i++)
        informer_free(set->informers[i]);
    http_client_free(set->http); /* before its loop */
    if (set->own_loop)
        loop_free(set->loop);
    free(set->informers);
    rest_unref(set->rest);
    pthread_cond_destroy(&set->synced_wake);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

struct loop *
informers_loop(struct informers *set)
{
    return set->loop;
}

static bool
same_config(const struct informer_config *a, const struct informer_config *b)
{
    return a->kind == b->kind && str_eq(a->namespace, b->namespace) && str_eq(a->label_selector, b->label_selector) &&
           str_eq(a->field_selector, b->field_selector) && a->keep_managed_fields == b->keep_managed_fields && a->transform == b->transform;
}

struct informer *
informers_get(struct informers *set, const struct informer_config *cfg)
{
    struct informer *inf = NULL;

    pthread_mutex_lock(&set->lock);
    for (size_t i = 0; i < set->len && !inf; i++) {
        if (same_config(&set->informers[i]->cfg, cfg))
            inf = set->informers[i];
    }
    if (!inf) {
        inf = XNEW(struct informer);
        inf->set = set;
        inf->cfg = *cfg;
        inf->cfg.namespace = xstrdup(cfg->namespace);
        inf->cfg.label_selector = xstrdup(cfg->label_selector);
        inf->cfg.field_selector = xstrdup(cfg->field_selector);
        inf->store = object_store_new();
        inf->body.max = REST_MAX_BODY;
        inf->objects = metric_series_of(&m_objects, cfg->kind->plural);
        set->informers = xreallocarray(set->informers, set->len + 1, sizeof(struct informer *));
        set->informers[set->len++] = inf;
    }
    pthread_mutex_unlock(&set->lock);
    return inf;
}

struct informer *
informers_kind(struct informers *set, const char *api_version, const char *kind)
{
    struct informer_config cfg = { .kind = api_kind_find(api_version, kind) };

    if (!cfg.kind)
        abort(); /* a misspelt built-in kind */
    return informers_get(set, &cfg);
}

static void
start_one(void *arg)
{
    begin_list(arg);
}

void
informers_start(struct informers *set)
{
    pthread_mutex_lock(&set->lock);
    while (set->started < set->len)
        loop_post(set->loop, start_one, set->informers[set->started++]);
    bool start_thread = set->own_loop && !set->loop_running;
    set->loop_running = set->loop_running || start_thread;
    pthread_mutex_unlock(&set->lock);
    if (!start_thread)
        return;
    struct kerr *err = loop_thread_start(set->loop);
    if (err) {
        log_error("Cannot start a thread", "err", err->message);
        abort();
    }
}

bool
informers_synced(const struct informers *set)
{
    struct informers *s = (struct informers *)set;
    bool synced = true;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->started && synced; i++)
        synced = atomic_load(&s->informers[i]->synced);
    pthread_mutex_unlock(&s->lock);
    return synced;
}

bool
informers_wait_synced(struct informers *set, const atomic_bool *stop)
{
    while (!informers_synced(set)) {
        struct timespec until;
        if (stop && atomic_load(stop))
            return false;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_mutex_lock(&set->lock);
        pthread_cond_timedwait(&set->synced_wake, &set->lock, &until);
        pthread_mutex_unlock(&set->lock);
    }
    return true;
}

void
informers_on_trouble(struct informers *set, void (*fn)(const char *what, const struct kerr *why, void *arg), void *arg)
{
    set->trouble = fn;
    set->trouble_arg = arg;
}

/* --- handlers --- */

static void
tell_add(struct informer *inf, const struct object *obj, bool initial)
{
    for (size_t i = 0; i < inf->nhandlers; i++) {
        if (inf->handlers[i].add)
            inf->handlers[i].add(obj, initial, inf->handlers[i].arg);
    }
}

static void
tell_update(struct informer *inf, const struct object *old, const struct object *now)
{
    for (size_t i = 0; i < inf->nhandlers; i++) {
        if (inf->handlers[i].update)
            inf->handlers[i].update(old, now, inf->handlers[i].arg);
    }
}

static void
tell_remove(struct informer *inf, const struct object *last)
{
    for (size_t i = 0; i < inf->nhandlers; i++) {
        if (inf->handlers[i].remove)
            inf->handlers[i].remove(last, inf->handlers[i].arg);
    }
}

struct late_handler {
    struct informer *inf;
    struct informer_handler handler;
};

static void
push_handler(struct informer *inf, const struct informer_handler *h)
{
    inf->handlers = xreallocarray(inf->handlers, inf->nhandlers + 1, sizeof *inf->handlers);
    inf->handlers[inf->nhandlers++] = *h;
}

static void
add_late(void *arg)
{
    struct late_handler *late = arg;
    AUTO_OBJECT_LIST all = { 0 };

    object_store_list(late->inf->store, NULL, &all);
    for (size_t i = 0; late->handler.add && i < all.len; i++)
        late->handler.add(all.items[i], true, late->handler.arg);
    if (atomic_load(&late->inf->synced) && late->handler.synced)
        late->handler.synced(late->handler.arg);
    push_handler(late->inf, &late->handler);
    free(late);
}

static bool
is_started(struct informer *inf)
{
    struct informers *set = inf->set;
    bool started = false;

    pthread_mutex_lock(&set->lock);
    for (size_t i = 0; i < set->started; i++)
        started |= set->informers[i] == inf;
    pthread_mutex_unlock(&set->lock);
    return started;
}

void
informer_add_handler(struct informer *inf, const struct informer_handler *handler)
{
    if (!is_started(inf)) {
        push_handler(inf, handler);
        return;
    }
    struct late_handler *late = XNEW(struct late_handler);
    *late = (struct late_handler){ inf, *handler };
    loop_post(inf->set->loop, add_late, late);
}

/* --- changes --- */

/* What was dropped leaves the memory only with a copy of the rest.  Takes obj. */
static struct object *
slim(const struct informer *inf, struct object *obj)
{
    struct object_meta *meta = object_meta(obj);
    bool dropped = !inf->cfg.keep_managed_fields && meta->managed_fields.len > 0;
    struct object *copy;

    if (dropped)
        meta->managed_fields = (struct managed_fields_entry_slice){ 0 };
    if (inf->cfg.transform)
        inf->cfg.transform(obj);
    if (!dropped && !inf->cfg.transform)
        return obj;
    copy = object_copy_compact(obj);
    object_unref(obj);
    return copy;
}

static bool
usable(const struct informer *inf, const struct object *obj)
{
    const struct object_meta *meta = object_meta(obj);

    if (meta && !str_empty(meta->name))
        return true;
    log_warning("An object without a name came, leaving it out", "resource", inf->cfg.kind->plural);
    return false;
}

/* Takes obj. */
static void
put_object(struct informer *inf, struct object *obj)
{
    if (!usable(inf, obj)) {
        object_unref(obj);
        return;
    }
    obj = slim(inf, obj);
    AUTO_FREE char *key = object_key(obj);
    AUTO(object) *old = object_store_get(inf->store, key);
    bool same = old && str_eq(object_meta(old)->resource_version, object_meta(obj)->resource_version) &&
                str_eq(object_meta(old)->uid, object_meta(obj)->uid);
    AUTO(object) *now = object_ref(obj);

    if (same) {
        object_store_touch(inf->store, key, inf->round);
        object_unref(obj);
        return;
    }
    object_store_put(inf->store, key, obj, inf->round);
    if (old && str_eq(object_meta(old)->uid, object_meta(now)->uid)) {
        tell_update(inf, old, now);
    } else {
        if (old) /* deleted and made again while we looked away */
            tell_remove(inf, old);
        tell_add(inf, now, !atomic_load(&inf->synced));
    }
}

/* Takes obj, the final state. */
static void
remove_object(struct informer *inf, struct object *obj)
{
    AUTO(object) *last = obj;

    if (!usable(inf, obj))
        return;
    AUTO_FREE char *key = object_key(obj);
    AUTO(object) *old = object_store_remove(inf->store, key);
    if (old)
        tell_remove(inf, last);
}

static void
set_version(struct informer *inf, const char *version)
{
    if (str_empty(version) || str_eq(version, inf->version))
        return;
    pthread_mutex_lock(&inf->set->lock);
    free(inf->version);
    inf->version = xstrdup(version);
    pthread_mutex_unlock(&inf->set->lock);
}

/* --- trouble and pauses --- */

static void
tell_trouble(struct informer *inf, const char *doing, const struct kerr *err)
{
    AUTO_FREE char *what = xasprintf("%s %s", doing, inf->cfg.kind->plural);

    inf->in_trouble = true;
    metric_inc(&m_failures, inf->cfg.kind->plural);
    if (inf->set->trouble)
        inf->set->trouble(inf->cfg.kind->plural, err, inf->set->trouble_arg);
    else if (klog_every(&inf->set->trouble_logged_ms, clock_mono_ms(), 10000))
        log_warning("Cannot follow the apiserver, trying again", "what", what, "err", err->message);
    log_v(1, "Informer has trouble", "what", what, "err", err->message);
}

static void
tell_well(struct informer *inf)
{
    if (inf->in_trouble && inf->set->trouble)
        inf->set->trouble(inf->cfg.kind->plural, NULL, inf->set->trouble_arg);
    inf->in_trouble = false;
}

static void
pause_over(void *arg)
{
    struct informer *inf = arg;

    if (inf->relist)
        begin_list(inf);
    else
        begin_watch(inf);
}

static void
pause_for(struct informer *inf, uint64_t ms, bool relist)
{
    inf->phase = PHASE_PAUSE;
    inf->relist = relist;
    if (!inf->timer)
        inf->timer = loop_timer_new(inf->set->loop, pause_over, inf);
    loop_timer_once(inf->timer, ms);
}

/* Takes err. */
static void
failed(struct informer *inf, const char *doing, struct kerr *err)
{
    bool expired = err->http_code == 410 || err->reason == KERR_EXPIRED || err->reason == KERR_GONE;
    bool relist = expired || inf->phase == PHASE_LIST || !inf->version;
    uint64_t wait_ms = backoff_next_ms(&inf->backoff, &pause_policy, &inf->set->rng);

    if (expired) {
        inf->consistent = true;
        if (inf->backoff.failures == 1)
            wait_ms = 0;
        log_v(1, "Resource version is too old, listing again", "resource", inf->cfg.kind->plural, "version", inf->version);
    } else {
        tell_trouble(inf, doing, err);
    }
    if (err->retry_after_s > 0 && wait_ms < (uint64_t)err->retry_after_s * 1000)
        wait_ms = (uint64_t)err->retry_after_s * 1000;
    kerr_free(err);
    free(inf->token);
    inf->token = NULL;
    pause_for(inf, wait_ms, relist);
}

/* --- list --- */

static void
on_headers(struct http_fetch *f, int code, const struct http_header *headers, size_t n, void *arg)
{
    struct informer *inf = arg;

    (void)f;
    (void)headers;
    (void)n;
    inf->code = code;
    rest_count(inf->set->rest, inf->phase == PHASE_LIST ? "LIST" : "WATCH", code, inf->began_us);
    if (code < 400)
        tell_well(inf);
}

static void
list_data(struct http_fetch *f, const char *data, size_t len, void *arg)
{
    struct informer *inf = arg;

    sbuf_add(&inf->body, data, len);
    if (!inf->body.truncated)
        return;
    http_fetch_cancel(f);
    inf->fetch = NULL;
    sbuf_done(&inf->body);
    failed(inf, "list", kerr_new(KERR_TOO_LARGE, "a list page is larger than %u bytes", REST_MAX_BODY));
}

static void
list_item(struct object *obj, void *arg)
{
    put_object(arg, obj);
}

static void
finish_list(struct informer *inf)
{
    AUTO_OBJECT_LIST gone = { 0 };

    object_store_sweep(inf->store, inf->round, &gone);
    for (size_t i = 0; i < gone.len; i++)
        tell_remove(inf, gone.items[i]);
    metric_series_set(inf->objects, (double)object_store_len(inf->store));
    if (atomic_exchange(&inf->synced, true))
        return;
    log_v(1, "Informer has its first list", "resource", inf->cfg.kind->plural, "objects", kv_int((int64_t)object_store_len(inf->store)));
    for (size_t i = 0; i < inf->nhandlers; i++) {
        if (inf->handlers[i].synced)
            inf->handlers[i].synced(inf->handlers[i].arg);
    }
    pthread_mutex_lock(&inf->set->lock);
    pthread_cond_broadcast(&inf->set->synced_wake);
    pthread_mutex_unlock(&inf->set->lock);
}

static void request_page(struct informer *inf);

/* False: it failed (a certificate that cannot be read just now), and the next try is planned. */
static bool
have_http(struct informer *inf, const char *doing)
{
    struct kerr *err = inf->set->http ? NULL : rest_http_new(inf->set->rest, &inf->set->http);

    if (err)
        failed(inf, doing, err);
    return !err;
}

static void
list_done(struct http_fetch *f, struct kerr *err, void *arg)
{
    struct informer *inf = arg;
    struct list_head_info head = { 0 };

    (void)f;
    inf->fetch = NULL;
    if (err)
        err = rest_transport_error(err);
    else if (inf->code >= 400)
        err = kerr_from_body(sbuf_str(&inf->body), inf->body.len, inf->code);
    else
        err = list_decode_json(sbuf_str(&inf->body), inf->body.len, inf->cfg.kind, list_item, inf, &head);
    sbuf_done(&inf->body);
    if (err) {
        failed(inf, "list", err);
        return;
    }
    free(inf->token);
    inf->token = steal_ptr(head.continue_token);
    if (!str_empty(inf->token)) {
        list_head_info_done(&head);
        request_page(inf);
        return;
    }
    set_version(inf, head.resource_version);
    list_head_info_done(&head);
    inf->consistent = false;
    backoff_reset(&inf->backoff);
    finish_list(inf);
    begin_watch(inf);
}

static void
request_page(struct informer *inf)
{
    static const struct http_fetch_handler handler = { on_headers, list_data, list_done };
    struct rest_list_options opts = {
        .label_selector = inf->cfg.label_selector,
        .field_selector = inf->cfg.field_selector,
        .limit = REST_LIST_PAGE,
        .continue_token = inf->token,
        /* the first: any recent state will do; after a 410 the newest, else the loop could turn in a stale cache */
        .resource_version = inf->consistent || !str_empty(inf->token) ? NULL : "0",
    };
    AUTO_FREE char *url = rest_collection_url(inf->set->rest, inf->cfg.kind, inf->cfg.namespace, &opts, -1);
    struct http_call call = { .url = url, .headers = rest_accept(inf->cfg.metadata_only), .nheaders = 1, .timeout_ms = LIST_TIMEOUT_MS };

    if (!have_http(inf, "list"))
        return;
    inf->code = 0;
    inf->began_us = clock_mono_us();
    sbuf_clear(&inf->body);
    inf->fetch = http_fetch_start(inf->set->http, inf->set->loop, &call, &handler, inf);
}

static void
begin_list(struct informer *inf)
{
    inf->phase = PHASE_LIST;
    inf->round++;
    metric_inc(&m_lists, inf->cfg.kind->plural);
    request_page(inf);
}

/* --- watch --- */

static bool
take_event(enum rest_watch_type type, struct object *obj, void *arg)
{
    static const char *const names[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK" };
    struct informer *inf = arg;
    const struct object_meta *meta = object_meta(obj);

    metric_inc(&m_events, inf->cfg.kind->plural, names[type]);
    inf->got_event = true;
    if (meta)
        set_version(inf, meta->resource_version);
    if (type == REST_WATCH_BOOKMARK)
        object_unref(obj);
    else if (type == REST_WATCH_DELETED)
        remove_object(inf, slim(inf, obj));
    else
        put_object(inf, obj);
    return true;
}

static void
watch_data(struct http_fetch *f, const char *data, size_t len, void *arg)
{
    struct informer *inf = arg;
    bool stopped;

    if (inf->code >= 400) {
        if (inf->body.len < 65536)
            sbuf_add(&inf->body, data, len);
        return;
    }
    struct kerr *err = watch_frames_feed(&inf->frames, data, len, inf->cfg.kind, take_event, inf, &stopped);
    metric_series_set(inf->objects, (double)object_store_len(inf->store));
    if (!err)
        return;
    http_fetch_cancel(f);
    inf->fetch = NULL;
    failed(inf, "watch", err);
}

static void
watch_done(struct http_fetch *f, struct kerr *err, void *arg)
{
    struct informer *inf = arg;
    uint64_t lasted_ms = (clock_mono_us() - inf->began_us) / 1000;

    (void)f;
    inf->fetch = NULL;
    if (!err && inf->code >= 400)
        err = kerr_from_body(sbuf_str(&inf->body), inf->body.len, inf->code);
    else
        err = rest_transport_error(err);
    sbuf_done(&inf->body);
    if (lasted_ms >= SHORT_WATCH_MS || inf->got_event)
        backoff_reset(&inf->backoff);
    if (err)
        failed(inf, "watch", err);
    else if (lasted_ms < SHORT_WATCH_MS && !inf->got_event)
        pause_for(inf, backoff_next_ms(&inf->backoff, &pause_policy, &inf->set->rng), false);
    else
        begin_watch(inf); /* its time was over */
}

static void
begin_watch(struct informer *inf)
{
    static const struct http_fetch_handler handler = { on_headers, watch_data, watch_done };
    struct rest_list_options opts = {
        .label_selector = inf->cfg.label_selector,
        .field_selector = inf->cfg.field_selector,
        .resource_version = inf->version,
    };
    int64_t timeout_s = WATCH_MIN_S + (int64_t)rng_below(&inf->set->rng, WATCH_MIN_S);
    AUTO_FREE char *url = rest_collection_url(inf->set->rest, inf->cfg.kind, inf->cfg.namespace, &opts, timeout_s);
    struct http_call call = { .url = url, .headers = rest_accept(inf->cfg.metadata_only), .nheaders = 1, .stall_ms = WATCH_STALL_MS };

    inf->phase = PHASE_WATCH;
    if (!have_http(inf, "watch"))
        return;
    inf->code = 0;
    inf->got_event = false;
    inf->began_us = clock_mono_us();
    sbuf_clear(&inf->frames.partial);
    sbuf_clear(&inf->body);
    inf->fetch = http_fetch_start(inf->set->http, inf->set->loop, &call, &handler, inf);
}

/* --- reading --- */

unsigned
informer_add_index(struct informer *inf, const char *name, informer_key_fn *key_fn)
{
    return object_store_add_index(inf->store, name, key_fn);
}

bool
informer_synced(const struct informer *inf)
{
    return atomic_load(&inf->synced);
}

size_t
informer_count(const struct informer *inf)
{
    return object_store_len(inf->store);
}

struct object *
informer_get_key(const struct informer *inf, const char *key)
{
    return object_store_get(inf->store, key);
}

struct object *
informer_get(const struct informer *inf, const char *ns, const char *name)
{
    if (str_empty(ns))
        return object_store_get(inf->store, str_safe(name));
    AUTO_FREE char *key = xasprintf("%s/%s", ns, str_safe(name));
    return object_store_get(inf->store, key);
}

void
informer_list(const struct informer *inf, const char *ns, struct object_list *ret)
{
    object_store_list(inf->store, ns, ret);
}

void
informer_by_index(const struct informer *inf, unsigned index, const char *key, struct object_list *ret)
{
    object_store_by_index(inf->store, index, key, ret);
}

const struct api_kind *
informer_kind(const struct informer *inf)
{
    return inf->cfg.kind;
}

const char *
informer_resource_version(const struct informer *inf, char *buf, size_t size)
{
    pthread_mutex_lock(&inf->set->lock);
    size_t len = strnlen(str_safe(inf->version), size - 1);
    memcpy(buf, str_safe(inf->version), len);
    pthread_mutex_unlock(&inf->set->lock);
    buf[len] = '\0';
    return buf;
}

void
informer_key_node_name(const struct object *obj, informer_emit_fn *emit, void *ctx)
{
    const struct pod *pod = OBJECT_BODY(obj, pod);

    if (pod && !str_empty(pod->spec.node_name))
        emit(pod->spec.node_name, ctx);
}

void
informer_key_owner_uid(const struct object *obj, informer_emit_fn *emit, void *ctx)
{
    const struct owner_reference_slice *refs = &object_meta(obj)->owner_references;

    for (uint32_t i = 0; i < refs->len; i++)
        emit(str_safe(refs->items[i].uid), ctx);
}

void
informer_key_controller_uid(const struct object *obj, informer_emit_fn *emit, void *ctx)
{
    const struct owner_reference_slice *refs = &object_meta(obj)->owner_references;

    for (uint32_t i = 0; i < refs->len; i++) {
        if (refs->items[i].controller && *refs->items[i].controller) {
            emit(str_safe(refs->items[i].uid), ctx);
            return;
        }
    }
}

void
informer_key_uid(const struct object *obj, informer_emit_fn *emit, void *ctx)
{
    emit(str_safe(object_meta(obj)->uid), ctx);
}

char *
object_key(const struct object *obj)
{
    const struct object_meta *meta = object_meta(obj);

    return str_empty(meta->namespace) ? xstrdup(str_safe(meta->name)) : xasprintf("%s/%s", meta->namespace, str_safe(meta->name));
}

void
object_key_split(const char *key, char **ret_ns, char **ret_name)
{
    const char *slash = strchr(key, '/');

    *ret_ns = slash ? xstrndup(key, (size_t)(slash - key)) : xstrdup("");
    *ret_name = xstrdup(slash ? slash + 1 : key);
}
