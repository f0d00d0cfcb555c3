// SPDX-License-Identifier: Apache-2.0
#include "common/client/executor.h"

#include <pthread.h>

#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/pool.h"
#include "common/base/str.h"
#include "common/client/events.h"
#include "common/client/workqueue.h"

#define MAX_QUEUED 100000

/* --- plans --- */

struct plan *
plan_new(const char *key)
{
    struct plan *p = XNEW(struct plan);

    p->key = xstrdup(str_safe(key));
    return p;
}

static void
action_done(struct action *a)
{
    free(a->namespace);
    free(a->name);
    object_unref(a->object);
    free(a->subresource);
    free(a->patch);
    free(a->del.uid);
    free(a->del.resource_version);
    free(a->event_type);
    free(a->event_reason);
    free(a->event_message);
    free(a->reason);
    object_unref(a->result);
    kerr_free(a->error);
}

void
plan_free(struct plan *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->len; i++)
        action_done(&p->items[i]);
    free(p->items);
    free(p->key);
    free(p);
}

static struct action *
push(struct plan *p, enum action_verb verb, const struct api_kind *kind, const char *ns, const char *name, const char *reason)
{
    if (p->len == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 4;
        p->items = xreallocarray(p->items, p->cap, sizeof *p->items);
    }
    struct action *a = &p->items[p->len++];
    *a = (struct action){ .verb = verb, .kind = kind, .namespace = xstrdup(ns), .name = xstrdup(name), .reason = xstrdup(reason) };
    return a;
}

static struct action *
push_object(struct plan *p, enum action_verb verb, struct object *obj, const char *reason)
{
    struct action *a = push(p, verb, object_kind(obj), object_namespace(obj), object_name(obj), reason);

    a->object = obj;
    return a;
}

struct action *
plan_create(struct plan *p, struct object *obj, const char *reason)
{
    return push_object(p, ACTION_CREATE, obj, reason);
}

struct action *
plan_update(struct plan *p, struct object *obj, const char *reason)
{
    return push_object(p, ACTION_UPDATE, obj, reason);
}

struct action *
plan_update_status(struct plan *p, struct object *obj, const char *reason)
{
    return push_object(p, ACTION_UPDATE_STATUS, obj, reason);
}

struct action *
plan_patch(struct plan *p, const struct api_kind *kind, const char *ns, const char *name, enum rest_patch_type type,
           const char *subresource, const char *patch_json, const char *reason)
{
    struct action *a = push(p, ACTION_PATCH, kind, ns, name, reason);

    a->patch_type = type;
    a->subresource = xstrdup(subresource);
    a->patch = xstrdup(patch_json);
    return a;
}

struct action *
plan_delete(struct plan *p, const struct object *obj, const char *reason)
{
    struct action *a = push(p, ACTION_DELETE, object_kind(obj), object_namespace(obj), object_name(obj), reason);

    a->flags = ACTION_IGNORE_NOT_FOUND;
    a->del.uid = xstrdup(object_meta(obj)->uid);
    return a;
}

struct action *
plan_create_sub(struct plan *p, const struct api_kind *kind, const char *ns, const char *name, const char *sub, struct object *body,
                const char *reason)
{
    struct action *a = push(p, ACTION_CREATE_SUB, kind, ns, name, reason);

    a->subresource = xstrdup(sub);
    a->object = body;
    return a;
}

struct action *
plan_update_sub(struct plan *p, const struct api_kind *kind, const char *ns, const char *name, const char *sub, struct object *body,
                const char *reason)
{
    struct action *a = plan_create_sub(p, kind, ns, name, sub, body, reason);

    a->verb = ACTION_UPDATE_SUB;
    return a;
}

void
plan_event(struct plan *p, const struct object *about, const char *type, const char *reason, const char *fmt, ...)
{
    struct action *a = push(p, ACTION_EVENT, object_kind(about), object_namespace(about), object_name(about), NULL);
    va_list ap;

    a->object = object_ref(about);
    a->event_type = xstrdup(type);
    a->event_reason = xstrdup(reason);
    va_start(ap, fmt);
    a->event_message = xvasprintf(fmt, ap);
    va_end(ap);
}

void
plan_requeue(struct plan *p, uint64_t after_ms)
{
    if (after_ms && (!p->requeue_after_ms || after_ms < p->requeue_after_ms))
        p->requeue_after_ms = after_ms;
}

bool
plan_empty(const struct plan *p)
{
    return p->len == 0;
}

const char *
action_verb_name(enum action_verb verb)
{
    static const char *const names[] = { "create", "update", "update-status", "patch", "delete", "create", "update", "event" };

    return names[verb];
}

static const char *
shown_name(const struct action *a)
{
    const struct object_meta *meta = a->object ? object_meta(a->object) : NULL;

    if (!str_empty(a->name))
        return a->name;
    return meta ? str_safe(meta->generate_name) : "";
}

static void
print_action(const struct action *a, bool with_objects, struct sbuf *out)
{
    const char *ns = str_safe(a->namespace);

    if (a->verb == ACTION_EVENT) {
        sbuf_addf(out, "event %s %s %s %s%s%s: %s\n", a->event_type, a->event_reason, a->kind->kind, ns, *ns ? "/" : "", shown_name(a),
                  a->event_message);
        return;
    }
    sbuf_addf(out, "%s %s%s%s %s%s%s: %s\n", action_verb_name(a->verb), a->kind->kind, str_empty(a->subresource) ? "" : "/",
              str_safe(a->subresource), ns, *ns ? "/" : "", shown_name(a), str_safe(a->reason));
    if (!with_objects)
        return;
    if (a->object) {
        sbuf_adds(out, "  ");
        object_encode_json(a->object, out);
        sbuf_addc(out, '\n');
    }
    if (a->patch)
        sbuf_addf(out, "  %s\n", a->patch);
}

void
plan_print(const struct plan *p, bool with_objects, struct sbuf *out)
{
    for (size_t i = 0; i < p->len; i++)
        print_action(&p->items[i], with_objects, out);
    if (p->requeue_after_ms)
        sbuf_addf(out, "requeue after %llums\n", (unsigned long long)p->requeue_after_ms);
}

/* --- carrying out --- */

struct executor {
    struct executor_config cfg;
    struct pool *pool;
    pthread_mutex_t lock; /* guards the counters of running batches */
    pthread_cond_t batch_done;
};

static struct metric m_actions = METRIC_COUNTER("ckube_executor_actions_total", "API calls made for plans.", "verb,resource,result");

struct executor *
executor_new(const struct executor_config *cfg)
{
    struct executor *ex = XNEW(struct executor);

    ex->cfg = *cfg;
    rest_ref(ex->cfg.rest);
    ex->pool = pool_new("executor", cfg->threads ? cfg->threads : 16, MAX_QUEUED);
    pthread_mutex_init(&ex->lock, NULL);
    pthread_cond_init(&ex->batch_done, NULL);
    return ex;
}

void
executor_free(struct executor *ex)
{
    if (!ex)
        return;
    pool_free(ex->pool);
    rest_unref(ex->cfg.rest);
    pthread_cond_destroy(&ex->batch_done);
    pthread_mutex_destroy(&ex->lock);
    free(ex);
}

static struct kerr *
call(struct executor *ex, const struct action *a, struct object **ret)
{
    struct rest *r = ex->cfg.rest;
    struct rest_patch_options patch = { .subresource = a->subresource };
    struct rest_delete_options del = {
        .has_grace_period = a->del.has_grace_period,
        .grace_period_s = a->del.grace_period_s,
        .uid = a->del.uid,
        .resource_version = a->del.resource_version,
        .propagation = a->del.propagation,
    };

    switch (a->verb) {
    case ACTION_CREATE:
        return rest_create(r, a->object, ret);
    case ACTION_UPDATE:
        return rest_update(r, a->object, ret);
    case ACTION_UPDATE_STATUS:
        return rest_update_status(r, a->object, ret);
    case ACTION_PATCH:
        return rest_patch(r, a->kind, a->namespace, a->name, a->patch_type, a->patch, strlen(a->patch), &patch, ret);
    case ACTION_DELETE:
        return rest_delete(r, a->kind, a->namespace, a->name, &del);
    case ACTION_CREATE_SUB:
        return rest_create_sub(r, a->kind, a->namespace, a->name, a->subresource, a->object, ret);
    case ACTION_UPDATE_SUB:
        return rest_update_sub(r, a->kind, a->namespace, a->name, a->subresource, a->object, ret);
    case ACTION_EVENT:
        if (ex->cfg.events)
            events_send(ex->cfg.events, a->object, a->event_type, a->event_reason, "%s", a->event_message);
        return NULL;
    }
    return NULL;
}

static bool
forgiven(const struct action *a, const struct kerr *err)
{
    return (err->reason == KERR_NOT_FOUND && (a->flags & ACTION_IGNORE_NOT_FOUND)) ||
           (err->reason == KERR_ALREADY_EXISTS && (a->flags & ACTION_IGNORE_EXISTS)) ||
           (err->reason == KERR_CONFLICT && (a->flags & ACTION_IGNORE_CONFLICT));
}

static void
run_action(struct executor *ex, const struct plan *plan, struct action *a)
{
    log_v(a->verb == ACTION_EVENT ? 5 : 3, "Action", "key", plan->key, "verb", action_verb_name(a->verb), "kind", a->kind->kind, "namespace",
          str_safe(a->namespace), "name", shown_name(a), "reason", str_safe(a->reason));
    struct kerr *err = ex->cfg.dry_run ? NULL : call(ex, a, a->keep_result ? &a->result : NULL);
    if (a->verb != ACTION_EVENT)
        metric_inc(&m_actions, action_verb_name(a->verb), a->kind->plural, err ? str_or(kerr_reason_name(err->reason), "error") : "ok");
    if (err && forgiven(a, err)) {
        kerr_free(err);
        err = NULL;
    }
    a->state = err ? ACTION_FAILED : ACTION_DONE;
    if (err) {
        const char *ns = str_safe(a->namespace);
        a->error = kerr_wrap(err, "%s %s %s%s%s", action_verb_name(a->verb), a->kind->kind, ns, *ns ? "/" : "", shown_name(a));
    }
    if (ex->cfg.on_action)
        ex->cfg.on_action(plan, a, ex->cfg.arg);
}

struct batch {
    struct executor *ex;
    const struct plan *plan;
    size_t running; /* guarded by ex->lock */
};

struct member {
    struct batch *batch;
    struct action *action;
};

static void
run_member(void *arg)
{
    struct member *m = arg;
    struct executor *ex = m->batch->ex;

    run_action(ex, m->batch->plan, m->action);
    pthread_mutex_lock(&ex->lock);
    if (--m->batch->running == 0)
        pthread_cond_broadcast(&ex->batch_done);
    pthread_mutex_unlock(&ex->lock);
    free(m);
}

/* `n` neighbours at once; the last one on this thread.  False when one failed. */
static bool
run_together(struct executor *ex, struct plan *plan, size_t first, size_t n)
{
    struct batch batch = { ex, plan, n - 1 };
    bool well = true;

    for (size_t i = 0; i + 1 < n; i++) {
        struct member *m = XNEW(struct member);
        *m = (struct member){ &batch, &plan->items[first + i] };
        if (pool_submit(ex->pool, run_member, m))
            run_member(m);
    }
    run_action(ex, plan, &plan->items[first + n - 1]);
    pthread_mutex_lock(&ex->lock);
    while (batch.running)
        pthread_cond_wait(&ex->batch_done, &ex->lock);
    pthread_mutex_unlock(&ex->lock);
    for (size_t i = 0; i < n; i++)
        well = well && (plan->items[first + i].state == ACTION_DONE || (plan->items[first + i].flags & ACTION_GO_ON));
    return well;
}

static size_t
group_len(const struct plan *p, size_t first)
{
    size_t n = 1;

    if (!p->items[first].batch)
        return 1;
    while (first + n < p->len && p->items[first + n].batch == p->items[first].batch)
        n++;
    return n;
}

/* Slow start: if the first create is refused (quota, webhook), the other 499 are not tried. */
static bool
run_group(struct executor *ex, struct plan *plan, size_t first, size_t len)
{
    for (size_t at = 0, n = 1; at < len; n *= 2) {
        size_t now = n < len - at ? n : len - at;
        if (!run_together(ex, plan, first + at, now))
            return false;
        at += now;
    }
    return true;
}

struct kerr *
executor_run(struct executor *ex, struct plan *plan)
{
    bool well = true;
    const struct action *failed = NULL;

    for (size_t at = 0; at < plan->len && well;) {
        size_t n = group_len(plan, at);
        well = run_group(ex, plan, at, n);
        at += n;
    }
    for (size_t i = 0; i < plan->len; i++) {
        if (plan->items[i].state == ACTION_PENDING)
            plan->items[i].state = ACTION_SKIPPED;
        if (plan->items[i].state == ACTION_FAILED && !failed)
            failed = &plan->items[i];
    }
    if (!failed)
        return NULL;
    struct kerr *err = kerr_new(failed->error->reason, "%s", failed->error->message);
    err->http_code = failed->error->http_code;
    err->retry_after_s = failed->error->retry_after_s;
    return err;
}

struct kerr *
executor_sync(struct executor *ex, struct workqueue *wq, struct plan *plan)
{
    AUTO(plan) *p = plan;

    if (!p)
        return NULL;
    struct kerr *err = executor_run(ex, p);
    if (!err && p->requeue_after_ms && wq)
        workqueue_add_after(wq, p->key, p->requeue_after_ms);
    return err;
}
