// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/controller.h"

#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/net/loop.h"

/* --- observe --- */

struct watch_arg {
    struct controller *controller;
    void (*changed)(struct controller *c, const struct object *old, const struct object *now);
    struct watch_arg *next;
};

struct informer *
controller_informer(struct controller *c, const char *api_version, const char *kind)
{
    return informers_kind(c->informers, api_version, kind);
}

static void
on_add(const struct object *obj, bool initial, void *arg)
{
    struct watch_arg *w = arg;

    w->changed(w->controller, NULL, obj);
}

static void
on_update(const struct object *old, const struct object *now, void *arg)
{
    struct watch_arg *w = arg;

    w->changed(w->controller, old, now);
}

static void
on_remove(const struct object *last, void *arg)
{
    struct watch_arg *w = arg;

    w->changed(w->controller, last, NULL);
}

void
controller_watch(struct controller *c, const char *api_version, const char *kind,
                 void (*changed)(struct controller *c, const struct object *old, const struct object *now))
{
    struct watch_arg *w = XNEW(struct watch_arg);
    struct informer_handler handler = { .add = on_add, .update = on_update, .remove = on_remove, .arg = w };

    *w = (struct watch_arg){ c, changed, c->watches };
    c->watches = w;
    informer_add_handler(controller_informer(c, api_version, kind), &handler);
}

void
controller_watches_free(struct controller *c)
{
    for (struct watch_arg *w = c->watches, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    c->watches = NULL;
}

static void
key_owner_or_orphan(const struct object *obj, informer_emit_fn *emit, void *ctx)
{
    const struct object_meta *meta = object_meta(obj);
    const struct owner_reference *ref = meta_controller(meta);

    if (ref) {
        emit(str_safe(ref->uid), ctx);
        return;
    }
    AUTO_FREE char *key = xasprintf("orphan/%s", str_safe(meta->namespace));
    emit(key, ctx);
}

unsigned
controller_owner_index(struct informer *inf)
{
    return informer_add_index(inf, "controllerOrOrphan", key_owner_or_orphan);
}

unsigned
controller_node_index(struct informer *pods)
{
    return informer_add_index(pods, "spec.nodeName", informer_key_node_name);
}

void
controller_owned(const struct informer *inf, unsigned index, const char *uid, const char *ns, struct object_list *ret)
{
    informer_by_index(inf, index, uid, ret);
    if (!ns)
        return;
    AUTO_FREE char *key = xasprintf("orphan/%s", ns);
    informer_by_index(inf, index, key, ret);
}

/* --- queue --- */

void
controller_queue(struct controller *c, unsigned workers, struct kerr *(*sync)(const char *key, void *controller))
{
    struct workqueue_config cfg = { .name = c->row->name, .workers = workers, .sync = sync, .arg = c };

    c->queue = workqueue_new(&cfg);
}

void
controller_enqueue(struct controller *c, const struct object *obj)
{
    AUTO_FREE char *key = object_key(obj);

    workqueue_add(c->queue, key);
}

void
controller_enqueue_name(struct controller *c, const char *ns, const char *name)
{
    AUTO_FREE char *key = str_empty(ns) ? xstrdup(name) : xasprintf("%s/%s", ns, name);

    workqueue_add(c->queue, key);
}

static char *
owner_key(const struct object *obj, const struct api_kind *owner_kind)
{
    const struct owner_reference *ref = meta_controller(object_meta(obj));

    if (!owner_ref_is(ref, owner_kind))
        return NULL;
    return xasprintf("%s/%s", str_safe(object_namespace(obj)), str_safe(ref->name));
}

bool
controller_enqueue_owner(struct controller *c, const struct object *obj, const struct api_kind *owner_kind)
{
    AUTO_FREE char *key = owner_key(obj, owner_kind);

    if (key)
        workqueue_add(c->queue, key);
    return key;
}

void
controller_pod_changed(struct controller *c, const struct api_kind *owner_kind, const struct object *old, const struct object *now)
{
    AUTO_FREE char *old_key = old ? owner_key(old, owner_kind) : NULL;
    AUTO_FREE char *key = now ? owner_key(now, owner_kind) : NULL;
    const char *uid = object_meta(now ? now : old)->uid;

    if (c->expectations && key && !old && !meta_deleting(object_meta(now)))
        expectations_creation_seen(c->expectations, key);
    if (c->expectations && key && now && meta_deleting(object_meta(now)))
        expectations_deletion_seen(c->expectations, key, uid);
    if (c->expectations && old_key && !now)
        expectations_deletion_seen(c->expectations, old_key, uid);
    if (old_key && !str_eq(old_key, key))
        workqueue_add(c->queue, old_key);
    if (key)
        workqueue_add(c->queue, key);
}

static void
on_tick(void *arg)
{
    struct controller *c = arg;

    c->tick(c);
}

void
controller_timer_start(void *arg)
{
    struct controller *c = arg;

    if (!c->tick)
        return;
    c->timer = loop_timer_new(informers_loop(c->informers), on_tick, c);
    loop_timer_every(c->timer, c->tick_ms);
    c->tick(c);
}

void
controller_timer_free(void *arg)
{
    struct controller *c = arg;

    loop_timer_free(c->timer);
    c->timer = NULL;
}

void
controller_every(struct controller *c, uint64_t ms, void (*tick)(struct controller *c))
{
    c->tick = tick;
    c->tick_ms = ms;
}

/* --- act --- */

struct api_time
controller_now(void)
{
    return api_time_from_unix_us(clock_wall_us());
}

static void
expect(struct controller *c, const struct plan *plan)
{
    uint64_t now = clock_mono_ms();
    unsigned creations = 0;

    for (size_t i = 0; i < plan->len; i++) {
        const struct action *a = &plan->items[i];
        if (a->kind != c->expected)
            continue;
        if (a->verb == ACTION_CREATE)
            creations++;
        if (a->verb == ACTION_DELETE)
            expectations_expect_deletion(c->expectations, plan->key, a->del.uid, now);
    }
    expectations_expect_creations(c->expectations, plan->key, creations, now);
}

/* What was not done will not be seen either. */
static void
lower(struct controller *c, const struct plan *plan)
{
    for (size_t i = 0; i < plan->len; i++) {
        const struct action *a = &plan->items[i];
        /* a forgiven 404 is done as well: the pod is gone and the watch has told so or will */
        if (a->kind != c->expected || a->state == ACTION_DONE)
            continue;
        if (a->verb == ACTION_CREATE)
            expectations_creation_seen(c->expectations, plan->key);
        if (a->verb == ACTION_DELETE)
            expectations_deletion_seen(c->expectations, plan->key, a->del.uid);
    }
}

const char *
action_error_text(const struct kerr *err)
{
    const char *at = strstr(err->message, ": ");
    bool ours = str_has_prefix(err->message, "create ") || str_has_prefix(err->message, "delete ");

    return at && ours ? at + 2 : err->message;
}

/* Nothing can be made in a namespace that ends; it takes the owner with it. */
static bool
namespace_ends(const struct action *a)
{
    return a->verb == ACTION_CREATE && a->state == ACTION_FAILED && a->error->reason == KERR_FORBIDDEN &&
           strstr(a->error->message, "because it is being terminated");
}

static void
report_pod(struct controller *c, const struct object *owner, const struct action *a)
{
    bool create = a->verb == ACTION_CREATE, done = a->state == ACTION_DONE;

    if ((!create && a->verb != ACTION_DELETE) || !str_eq(a->kind->kind, "Pod") || (a->state != ACTION_DONE && a->state != ACTION_FAILED))
        return;
    if (namespace_ends(a))
        return;
    if (done && create)
        events_send(c->events, owner, EVENT_NORMAL, "SuccessfulCreate", "Created pod: %s", a->result ? object_name(a->result) : str_safe(a->name));
    else if (create)
        events_send(c->events, owner, EVENT_WARNING, "FailedCreate", "Error creating: %s", action_error_text(a->error));
    else if (done)
        events_send(c->events, owner, EVENT_NORMAL, "SuccessfulDelete", "Deleted pod: %s", str_safe(a->name));
    else
        events_send(c->events, owner, EVENT_WARNING, "FailedDelete", "Error deleting: %s", action_error_text(a->error));
}

struct kerr *
controller_run(struct controller *c, const struct object *owner, struct plan *plan)
{
    struct kerr *err;

    for (size_t i = 0; i < plan->len; i++)
        if (plan->items[i].verb == ACTION_CREATE)
            plan->items[i].keep_result = true;
    if (c->expectations && c->expected)
        expect(c, plan);
    err = executor_run(c->executor, plan);
    if (c->expectations && c->expected)
        lower(c, plan);
    for (size_t i = 0; i < plan->len; i++) {
        if (owner)
            report_pod(c, owner, &plan->items[i]);
        if (err && namespace_ends(&plan->items[i])) {
            kerr_free(err);
            err = NULL;
        }
    }
    if (!err && plan->requeue_after_ms)
        workqueue_add_after(c->queue, plan->key, plan->requeue_after_ms);
    return err;
}

struct kerr *
controller_act(struct controller *c, const struct object *owner, struct plan *plan)
{
    AUTO(plan) *p = plan;

    return p ? controller_run(c, owner, p) : NULL;
}

/* --- small things --- */

int32_t *
arena_i32(struct arena *a, int32_t n)
{
    return arena_memdup(a, &n, sizeof n);
}

bool *
arena_bool(struct arena *a, bool b)
{
    return arena_memdup(a, &b, sizeof b);
}

struct api_time *
arena_time(struct arena *a, struct api_time t)
{
    return arena_memdup(a, &t, sizeof t);
}

int
object_created_cmp(const struct object *a, const struct object *b)
{
    int c = api_time_cmp(object_meta(a)->creation_timestamp, object_meta(b)->creation_timestamp);

    return c ? c : str_cmp(object_name(a), object_name(b));
}

void
object_list_ref(struct object_list *l, const struct object *obj)
{
    object_list_add_take(l, object_ref(obj));
}
