// SPDX-License-Identifier: Apache-2.0
#include "common/client/events.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <utlist.h>

#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/str.h"

#define MAX_QUEUED 1000
#define MAX_TRIES 12
#define RETRY_MS 10000
#define FREE_WITHIN_MS 1000
#define MAX_MESSAGE 1024 /* bytes; the API's limit for events */

struct item {
    struct item *prev, *next;
    struct events *from;
    struct event_target about; /* strings owned */
    char *type, *reason, *message;
    int64_t now_us;
};

struct events { /* a source; the first one has the machinery */
    struct events *root;
    char *component, *host;
    struct events *next; /* of the sources made by events_for() */

    /* root only */
    struct rest *rest;
    pthread_t thread;
    pthread_mutex_t lock; /* guards queue, queued, stopping and the list of sources */
    pthread_cond_t wake;
    struct item *queue;
    size_t queued;
    bool stopping;
    uint64_t stop_by_ms;
    struct event_correlator *correlator;
};

static struct metric m_dropped = METRIC_COUNTER("ckube_events_dropped_total", "Events that were not sent.", "why");
static struct metric m_sent = METRIC_COUNTER("ckube_events_sent_total", "Events created or counted up.", NULL);

static void
item_free(struct item *it)
{
    const char *const owned[] = { it->about.api_version, it->about.kind, it->about.namespace, it->about.name,
                                  it->about.uid, it->about.resource_version, it->about.field_path };

    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        free((char *)owned[i]);
    free(it->type);
    free(it->reason);
    free(it->message);
    free(it);
}

/* --- sending, on the thread --- */

static const char *
event_namespace(const struct item *it)
{
    return str_or(it->about.namespace, "default");
}

static struct object *
event_object(const struct item *it, const struct event_decision *d)
{
    struct object *obj = object_new_of("v1", "Event");
    struct core_event *e = object_body(obj);
    struct arena *a = object_arena(obj);
    const struct event_target *t = &it->about;

    e->metadata.name = arena_strdup(a, d->name);
    e->metadata.namespace = arena_strdup(a, event_namespace(it));
    e->involved_object = (struct object_reference){
        .kind = arena_strdup(a, t->kind),
        .namespace = arena_strdup(a, t->namespace),
        .name = arena_strdup(a, t->name),
        .uid = arena_strdup(a, t->uid),
        .api_version = arena_strdup(a, t->api_version),
        .resource_version = arena_strdup(a, t->resource_version),
        .field_path = arena_strdup(a, t->field_path),
    };
    e->type = arena_strdup(a, it->type);
    e->reason = arena_strdup(a, it->reason);
    e->message = arena_strdup(a, d->message);
    e->count = d->count;
    e->first_timestamp = api_time_from_unix(d->first_us / 1000000);
    e->last_timestamp = api_time_from_unix(it->now_us / 1000000);
    e->source.component = arena_strdup(a, it->from->component);
    e->source.host = arena_strdup(a, it->from->host);
    e->reporting_component = arena_strdup(a, it->from->component);
    e->reporting_instance = arena_strdup(a, it->from->host);
    return obj;
}

static struct kerr *
patch_event(struct rest *r, const struct item *it, const struct event_decision *d)
{
    AUTO_SBUF patch = { 0 };

    sbuf_addf(&patch, "{\"count\":%d,\"lastTimestamp\":\"", d->count);
    api_time_format(api_time_from_unix(it->now_us / 1000000), &patch);
    sbuf_adds(&patch, "\",\"message\":");
    json_add_string(&patch, d->message);
    sbuf_addc(&patch, '}');
    return rest_patch(r, api_kind_find("v1", "Event"), event_namespace(it), d->name, REST_PATCH_STRATEGIC, patch.s, patch.len, NULL, NULL);
}

static struct kerr *
try_send(struct rest *r, const struct item *it, const struct event_decision *d)
{
    struct kerr *err = NULL;

    if (d->step == EVENT_PATCH) {
        err = patch_event(r, it, d);
        if (!err || err->reason != KERR_NOT_FOUND)
            return err;
        kerr_free(err); /* its time was over: make it again */
    }
    AUTO(object) *obj = event_object(it, d);
    err = rest_create(r, obj, NULL);
    if (err && err->reason == KERR_ALREADY_EXISTS) {
        kerr_free(err);
        err = NULL;
    }
    return err;
}

/* True when it is time to end. */
static bool
wait_ms(struct events *root, uint64_t ms)
{
    uint64_t until = clock_mono_ms() + ms;
    bool stopping;

    do {
        pthread_mutex_lock(&root->lock);
        stopping = root->stopping;
        pthread_mutex_unlock(&root->lock);
        if (!stopping)
            clock_sleep_ms(50);
    } while (!stopping && clock_mono_ms() < until);
    return stopping;
}

static void
send_item(struct events *root, const struct item *it)
{
    struct event_decision d;
    AUTO_FREE char *source = xasprintf("%s\x1f%s", it->from->component, str_safe(it->from->host));

    if (event_correlate(root->correlator, source, &it->about, it->type, it->reason, it->message, it->now_us, &d) == EVENT_DROP) {
        metric_inc(&m_dropped, "spam");
        event_decision_done(&d);
        return;
    }
    for (unsigned tries = 1;; tries++) {
        AUTO(kerr) *err = try_send(root->rest, it, &d);
        if (!err) {
            metric_inc(&m_sent);
            break;
        }
        if (!rest_is_transient(err) || tries >= MAX_TRIES || wait_ms(root, RETRY_MS)) {
            log_v(1, "Event not sent", "reason", it->reason, "object", it->about.name, "err", err->message);
            metric_inc(&m_dropped, "error");
            break;
        }
    }
    event_decision_done(&d);
}

static struct item *
next_item(struct events *root)
{
    struct item *it = NULL;

    pthread_mutex_lock(&root->lock);
    while (!root->queue && !root->stopping)
        pthread_cond_wait(&root->wake, &root->lock);
    if (root->queue && !(root->stopping && clock_mono_ms() >= root->stop_by_ms)) {
        it = root->queue;
        DL_DELETE(root->queue, it);
        root->queued--;
    }
    pthread_mutex_unlock(&root->lock);
    return it;
}

static void *
thread_main(void *arg)
{
    struct events *root = arg;
    struct item *it;

    pthread_setname_np(pthread_self(), "events");
    while ((it = next_item(root))) {
        send_item(root, it);
        item_free(it);
    }
    return NULL;
}

/* --- taking in --- */

struct events *
events_new(struct rest *r, const char *component, const char *host)
{
    struct events *e = XNEW(struct events);
    sigset_t all, before;

    e->root = e;
    e->component = xstrdup(component);
    e->host = xstrdup(host);
    e->rest = rest_ref(r);
    e->correlator = event_correlator_new();
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->wake, NULL);
    if (!r)
        return e;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&e->thread, NULL, thread_main, e))
        abort(); /* no thread at start-up */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e;
}

struct events *
events_for(struct events *e, const char *component, const char *host)
{
    struct events *source = XNEW(struct events);
    struct events *root = e->root;

    source->root = root;
    source->component = xstrdup(component);
    source->host = xstrdup(host);
    pthread_mutex_lock(&root->lock);
    source->next = root->next;
    root->next = source;
    pthread_mutex_unlock(&root->lock);
    return source;
}

static void
source_free(struct events *e)
{
    free(e->component);
    free(e->host);
    free(e);
}

void
events_free(struct events *e)
{
    if (!e || e->root != e)
        return;
    if (e->rest) {
        pthread_mutex_lock(&e->lock);
        e->stopping = true;
        e->stop_by_ms = clock_mono_ms() + FREE_WITHIN_MS;
        pthread_cond_signal(&e->wake);
        pthread_mutex_unlock(&e->lock);
        pthread_join(e->thread, NULL);
    }
    while (e->queue) {
        struct item *it = e->queue;
        DL_DELETE(e->queue, it);
        item_free(it);
    }
    while (e->next) {
        struct events *source = e->next;
        e->next = source->next;
        source_free(source);
    }
    event_correlator_free(e->correlator);
    rest_unref(e->rest);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->lock);
    source_free(e);
}

/* Takes message. */
static void
enqueue(struct events *e, const struct event_target *t, const char *type, const char *reason, char *message)
{
    struct events *root = e->root;

    log_v(3, "Event occurred", "object", str_safe(t->name), "namespace", str_safe(t->namespace), "kind", str_safe(t->kind), "type", type,
          "reason", reason, "message", message);
    if (!root->rest) {
        free(message);
        return;
    }
    if (strlen(message) > MAX_MESSAGE)
        message[MAX_MESSAGE] = '\0';
    struct item *it = XNEW(struct item);
    *it = (struct item){ .from = e, .type = xstrdup(type), .reason = xstrdup(reason), .message = message, .now_us = clock_wall_us() };
    it->about = (struct event_target){ xstrdup(t->api_version), xstrdup(t->kind), xstrdup(t->namespace), xstrdup(t->name),
                                       xstrdup(t->uid), xstrdup(t->resource_version), xstrdup(t->field_path) };
    pthread_mutex_lock(&root->lock);
    bool full = root->queued >= MAX_QUEUED || root->stopping;
    if (!full) {
        DL_APPEND(root->queue, it);
        root->queued++;
        pthread_cond_signal(&root->wake);
    }
    pthread_mutex_unlock(&root->lock);
    if (full) {
        metric_inc(&m_dropped, "queue full");
        item_free(it);
    }
}

void
events_send(struct events *e, const struct object *about, const char *type, const char *reason, const char *fmt, ...)
{
    const struct api_kind *kind = object_kind(about);
    const struct object_meta *meta = object_meta(about);
    struct event_target t = { .api_version = api_kind_api_version(kind), .kind = kind->kind, .namespace = meta->namespace, .name = meta->name,
                              .uid = meta->uid, .resource_version = meta->resource_version };
    va_list ap;

    if (!e)
        return;
    va_start(ap, fmt);
    char *message = xvasprintf(fmt, ap);
    va_end(ap);
    enqueue(e, &t, type, reason, message);
}

void
events_send_to(struct events *e, const struct event_target *about, const char *type, const char *reason, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return;
    va_start(ap, fmt);
    char *message = xvasprintf(fmt, ap);
    va_end(ap);
    enqueue(e, about, type, reason, message);
}
