// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/garbage_collector.h"

#include <pthread.h>
#include <stdio.h>

#include "common/api/codec.h"
#include "common/base/klog.h"
#include "common/net/loop.h"
#include "controller-manager/controllers.h"
#include "controller-manager/resources.h"

#define F_FOREGROUND "foregroundDeletion"
#define F_ORPHAN "orphan"
#define DISCOVERY_MS 30000

void
gc_picture_done(struct gc_picture *p)
{
    object_unref(p->object);
    free(p->owners);
    object_list_done(&p->dependents);
}

/* --- decide --- */

/* A merge patch that holds for one version of the object only: built-in and custom resources both take it. */
static void
plan_meta_patch(struct plan *plan, const struct object *obj, const char *field, const char *value_json, const char *reason)
{
    AUTO_FREE char *patch = xasprintf("{\"metadata\":{\"uid\":\"%s\",\"resourceVersion\":\"%s\",\"%s\":%s}}", str_safe(object_meta(obj)->uid),
                                      str_safe(object_meta(obj)->resource_version), field, value_json);
    struct action *a = plan_patch(plan, object_kind(obj), object_namespace(obj), object_name(obj), REST_PATCH_MERGE, NULL, patch, reason);

    a->flags = ACTION_IGNORE_NOT_FOUND;
}

static void
plan_drop_finalizer(struct plan *plan, const struct object *obj, const char *name, const char *reason)
{
    const struct string_slice *f = &object_meta(obj)->finalizers;
    AUTO_SBUF json = { 0 };

    sbuf_addc(&json, '[');
    for (uint32_t i = 0; i < f->len; i++) {
        if (str_eq(f->items[i], name))
            continue;
        if (json.len > 1)
            sbuf_addc(&json, ',');
        json_add_string(&json, f->items[i]);
    }
    sbuf_addc(&json, ']');
    plan_meta_patch(plan, obj, "finalizers", sbuf_str(&json), reason);
}

/* keep(i): which ownerReferences stay. */
static void
plan_keep_owners(struct plan *plan, const struct object *obj, const bool *keep, const char *reason)
{
    const struct owner_reference_slice *refs = &object_meta(obj)->owner_references;
    AUTO_SBUF json = { 0 };
    bool any = false;

    sbuf_addc(&json, '[');
    for (uint32_t i = 0; i < refs->len; i++) {
        if (!keep[i])
            continue;
        if (any)
            sbuf_addc(&json, ',');
        json_encode(&api_type_owner_reference, &refs->items[i], &json);
        any = true;
    }
    sbuf_addc(&json, ']');
    plan_meta_patch(plan, obj, "ownerReferences", any ? sbuf_str(&json) : "null", reason);
}

static void
orphan_dependents(const struct gc_picture *p, struct plan *plan)
{
    for (size_t i = 0; i < p->dependents.len; i++) {
        const struct object *dep = p->dependents.items[i];
        const struct owner_reference_slice *refs = &object_meta(dep)->owner_references;
        bool *keep = xcalloc(refs->len + 1, sizeof *keep);
        for (uint32_t r = 0; r < refs->len; r++)
            keep[r] = !str_eq(refs->items[r].uid, object_meta(p->object)->uid);
        plan_keep_owners(plan, dep, keep, "orphan: its owner is deleted without it");
        free(keep);
    }
    plan_drop_finalizer(plan, p->object, F_ORPHAN, "all dependents are orphans now");
}

static bool
blocks(const struct object *dep, const struct object *owner)
{
    const struct owner_reference *ref = meta_owner(object_meta(dep), object_meta(owner)->uid);

    return ref && bool_or(ref->block_owner_deletion, false);
}

static void
delete_dependents_first(const struct gc_picture *p, struct plan *plan, struct object_list *ret_look_at)
{
    bool blocked = false;

    for (size_t i = 0; i < p->dependents.len; i++) {
        const struct object *dep = p->dependents.items[i];
        if (!blocks(dep, p->object))
            continue;
        blocked = true;
        if (ret_look_at && !meta_deleting(object_meta(dep)))
            object_list_ref(ret_look_at, dep);
    }
    if (!blocked)
        plan_drop_finalizer(plan, p->object, F_FOREGROUND, "no dependent blocks its deletion any more");
}

static void
plan_collect(const struct gc_picture *p, struct plan *plan, enum rest_propagation how, const char *reason)
{
    struct action *a = plan_delete(plan, p->object, reason);

    a->del.propagation = how;
    a->del.resource_version = xstrdup(object_meta(p->object)->resource_version);
}

static enum rest_propagation
wanted_propagation(const struct object_meta *meta)
{
    return meta_has_finalizer(meta, F_ORPHAN)       ? REST_PROPAGATION_ORPHAN
           : meta_has_finalizer(meta, F_FOREGROUND) ? REST_PROPAGATION_FOREGROUND
                                                    : REST_PROPAGATION_BACKGROUND;
}

static void
judge(const struct gc_picture *p, struct plan *plan)
{
    const struct object_meta *meta = object_meta(p->object);
    uint32_t n[3] = { 0 };
    bool *keep = xcalloc(meta->owner_references.len + 1, sizeof *keep);

    for (uint32_t i = 0; i < meta->owner_references.len; i++) {
        n[p->owners[i]]++;
        keep[i] = p->owners[i] == OWNER_SOLID;
    }
    if (n[OWNER_SOLID] == 0 && n[OWNER_WAITING] > 0 && p->dependents.len > 0)
        plan_collect(p, plan, REST_PROPAGATION_FOREGROUND, "its owner is deleted in the foreground, and it has dependents of its own");
    else if (n[OWNER_SOLID] == 0 && n[OWNER_WAITING] > 0)
        plan_collect(p, plan, wanted_propagation(meta), "its owner is deleted in the foreground");
    else if (n[OWNER_SOLID] == 0)
        plan_collect(p, plan, wanted_propagation(meta), "none of its owners is there");
    else if (n[OWNER_ABSENT] + n[OWNER_WAITING] > 0)
        plan_keep_owners(plan, p->object, keep, "some of its owners are gone");
    free(keep);
}

struct plan *
gc_decide(const struct gc_picture *p, const char *key, struct object_list *ret_look_at)
{
    struct plan *plan = plan_new(key);
    const struct object_meta *meta = object_meta(p->object);

    if (meta_deleting(meta) && meta_has_finalizer(meta, F_ORPHAN))
        orphan_dependents(p, plan);
    else if (meta_deleting(meta) && meta_has_finalizer(meta, F_FOREGROUND))
        delete_dependents_first(p, plan, ret_look_at);
    else if (!meta_deleting(meta) && meta->owner_references.len > 0)
        judge(p, plan);
    return plan;
}

/* --- observe: one informer per resource --- */

struct monitor {
    struct controller *c;
    const struct api_kind *kind; /* as served; group and kind name what owner references say */
    struct informer *informer;
    unsigned by_owner;
    unsigned number;
};

struct state {
    pthread_rwlock_t lock; /* guards monitors (the list; entries stay) */
    struct monitor **monitors;
    size_t len;
    pthread_t thread;
    bool running;
    pthread_mutex_t stop_lock; /* guards stop */
    pthread_cond_t stop_wake;
    bool stop;
};

static char *
key_of(const struct monitor *m, const char *ns, const char *name)
{
    return xasprintf("%u %s %s", m->number, str_safe(ns), name);
}

static void
enqueue(const struct monitor *m, const struct object *obj)
{
    AUTO_FREE char *key = key_of(m, object_namespace(obj), object_name(obj));

    workqueue_add(m->c->queue, key);
}

static struct monitor *
monitor_at(struct state *s, size_t i)
{
    struct monitor *m = NULL;

    pthread_rwlock_rdlock(&s->lock);
    if (i < s->len)
        m = s->monitors[i];
    pthread_rwlock_unlock(&s->lock);
    return m;
}

/* By the group and kind of an owner reference; its version does not matter. */
static struct monitor *
monitor_for(struct state *s, const struct owner_reference *ref)
{
    const char *slash = ref->api_version ? strchr(ref->api_version, '/') : NULL;
    size_t len = slash ? (size_t)(slash - ref->api_version) : 0;
    struct monitor *m;

    for (size_t i = 0; (m = monitor_at(s, i)); i++)
        if (str_eq(m->kind->kind, ref->kind) && strlen(m->kind->group) == len && strncmp(m->kind->group, str_safe(ref->api_version), len) == 0)
            return m;
    return NULL;
}

static void
dependents_of(struct state *s, const char *uid, struct object_list *ret)
{
    struct monitor *m;

    for (size_t i = 0; (m = monitor_at(s, i)); i++)
        informer_by_index(m->informer, m->by_owner, uid, ret);
}

static void
enqueue_dependents(struct controller *c, const char *uid)
{
    struct state *s = c->state;
    struct monitor *m;

    for (size_t i = 0; (m = monitor_at(s, i)); i++) {
        AUTO_OBJECT_LIST deps = { 0 };
        informer_by_index(m->informer, m->by_owner, uid, &deps);
        for (size_t d = 0; d < deps.len; d++)
            enqueue(m, deps.items[d]);
    }
}

static struct object *
cached_owner(const struct monitor *m, const struct owner_reference *ref, const char *ns)
{
    struct object *owner = informer_get(m->informer, m->kind->namespaced ? ns : NULL, ref->name);

    if (owner && !str_eq(object_meta(owner)->uid, ref->uid)) {
        object_unref(owner);
        return NULL;
    }
    return owner;
}

static bool
is_waiting(const struct object *owner)
{
    return meta_deleting(object_meta(owner)) && meta_has_finalizer(object_meta(owner), F_FOREGROUND);
}

/* An owner that waits for this dependent looks again. */
static void
wake_waiting_owners(struct state *s, const struct object *dep)
{
    const struct owner_reference_slice *refs = &object_meta(dep)->owner_references;

    for (uint32_t i = 0; i < refs->len; i++) {
        struct monitor *m = monitor_for(s, &refs->items[i]);
        AUTO(object) *owner = m ? cached_owner(m, &refs->items[i], object_namespace(dep)) : NULL;
        if (owner && is_waiting(owner))
            enqueue(m, owner);
    }
}

/* Is there reason to look at this object? */
static bool
needs_a_look(struct state *s, const struct object *obj)
{
    const struct object_meta *meta = object_meta(obj);

    if (meta_deleting(meta))
        return meta_has_finalizer(meta, F_FOREGROUND) || meta_has_finalizer(meta, F_ORPHAN);
    for (uint32_t i = 0; i < meta->owner_references.len; i++) {
        struct monitor *m = monitor_for(s, &meta->owner_references.items[i]);
        AUTO(object) *owner = m ? cached_owner(m, &meta->owner_references.items[i], object_namespace(obj)) : NULL;
        if (!owner || is_waiting(owner))
            return true;
    }
    return false;
}

static void
on_add(const struct object *obj, bool initial, void *arg)
{
    struct monitor *m = arg;

    if (needs_a_look(m->c->state, obj))
        enqueue(m, obj);
}

static void
on_update(const struct object *old, const struct object *now, void *arg)
{
    struct monitor *m = arg;
    struct state *s = m->c->state;
    const struct object_meta *a = object_meta(old), *b = object_meta(now);
    bool owners_changed = a->owner_references.len != b->owner_references.len;

    for (uint32_t i = 0; !owners_changed && i < a->owner_references.len; i++)
        owners_changed = !api_equal(&api_type_owner_reference, &a->owner_references.items[i], &b->owner_references.items[i]);
    if (owners_changed)
        wake_waiting_owners(s, old);
    if ((owners_changed || meta_deleting(a) != meta_deleting(b) || a->finalizers.len != b->finalizers.len) && needs_a_look(s, now))
        enqueue(m, now);
    if (!meta_deleting(a) && is_waiting(now))
        enqueue_dependents(m->c, b->uid);
}

static void
on_remove(const struct object *last, void *arg)
{
    struct monitor *m = arg;

    enqueue_dependents(m->c, object_meta(last)->uid);
    wake_waiting_owners(m->c->state, last);
}

/* Kinds that other controllers keep in full anyway: no second copy. */
static bool
kept_in_full(const char *group, const char *kind)
{
    static const char *const kinds[][2] = {
        { "", "Pod" }, { "", "Service" }, { "", "Endpoints" }, { "", "Node" }, { "", "Namespace" }, { "", "ReplicationController" },
        { "apps", "ReplicaSet" }, { "apps", "Deployment" }, { "discovery.k8s.io", "EndpointSlice" }, { "batch", "Job" },
        { "coordination.k8s.io", "Lease" }, { "rbac.authorization.k8s.io", "ClusterRole" }, { "apps", "StatefulSet" },
        { "apps", "DaemonSet" }, { "apps", "ControllerRevision" }, { "batch", "CronJob" },
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i][0], group) && str_eq(kinds[i][1], kind))
            return true;
    return false;
}

/* The graph needs names, uids, owners, finalizers and versions. */
static void
keep_graph_only(struct object *obj)
{
    struct object_meta *meta = object_meta(obj);

    meta->labels = (struct string_map){ 0 };
    meta->annotations = (struct string_map){ 0 };
    meta->self_link = meta->generate_name = NULL;
}

static struct informer *
informer_for(struct controller *c, const struct api_kind *kind)
{
    const struct api_kind *full = kept_in_full(kind->group, kind->kind) ? api_kind_by_resource(kind->group, kind->version, kind->plural) : NULL;
    struct informer_config cfg = { .kind = full ? full : kind, .metadata_only = !full, .transform = full ? NULL : keep_graph_only };

    return informers_get(c->informers, &cfg);
}

static bool
is_watched(struct state *s, const struct served *what)
{
    struct monitor *m;

    for (size_t i = 0; (m = monitor_at(s, i)); i++)
        if (str_eq(m->kind->group, what->kind->group) && str_eq(m->kind->plural, what->kind->plural))
            return true;
    return false;
}

static void
add_monitor(struct controller *c, const struct served *what)
{
    struct state *s = c->state;
    struct monitor *m = XNEW(struct monitor);
    struct informer_handler handler = { .add = on_add, .update = on_update, .remove = on_remove, .arg = m };

    m->c = c;
    m->kind = what->kind;
    m->number = (unsigned)s->len;
    m->informer = informer_for(c, what->kind);
    m->by_owner = informer_add_index(m->informer, "ownerUID", informer_key_owner_uid);
    pthread_rwlock_wrlock(&s->lock);
    s->monitors = xreallocarray(s->monitors, s->len + 1, sizeof(void *));
    s->monitors[s->len++] = m;
    pthread_rwlock_unlock(&s->lock);
    informer_add_handler(m->informer, &handler);
}

/* As upstream's default: events are never collected by owner. */
static bool
is_ignored(const struct served *what)
{
    return str_eq(what->kind->plural, "events") && (str_empty(what->kind->group) || str_eq(what->kind->group, "events.k8s.io"));
}

static void
add_monitors(struct controller *c, const struct resources *all)
{
    struct state *s = c->state;

    for (size_t i = 0; i < all->len; i++)
        if (all->items[i].can_watch && !is_ignored(&all->items[i]) && !is_watched(s, &all->items[i]))
            add_monitor(c, &all->items[i]);
}

/* --- act --- */

static struct kerr *
owner_state(struct controller *c, const struct object *obj, const struct owner_reference *ref, enum owner_state *ret)
{
    struct monitor *m = monitor_for(c->state, ref);
    AUTO(object) *owner = m ? cached_owner(m, ref, object_namespace(obj)) : NULL;
    AUTO(object) *live = NULL;

    *ret = OWNER_SOLID;
    if (!m || (m->kind->namespaced && str_empty(object_namespace(obj))))
        return NULL; /* an owner of a kind that is not served, or out of reach: nothing is deleted on a guess */
    if (owner) {
        *ret = is_waiting(owner) ? OWNER_WAITING : OWNER_SOLID;
        return NULL;
    }
    struct kerr *err = rest_get(c->rest, m->kind, m->kind->namespaced ? object_namespace(obj) : NULL, ref->name, &live);
    if (err && err->reason == KERR_NOT_FOUND) {
        kerr_free(err);
        *ret = OWNER_ABSENT;
        return NULL;
    }
    if (err)
        return err;
    *ret = !str_eq(object_meta(live)->uid, ref->uid) ? OWNER_ABSENT : is_waiting(live) ? OWNER_WAITING : OWNER_SOLID;
    return NULL;
}

static struct kerr *
look(struct controller *c, struct gc_picture *p)
{
    const struct object_meta *meta = object_meta(p->object);
    struct kerr *err = NULL;

    p->owners = xcalloc(meta->owner_references.len + 1, sizeof *p->owners);
    for (uint32_t i = 0; i < meta->owner_references.len && !err && !meta_deleting(meta); i++)
        err = owner_state(c, p->object, &meta->owner_references.items[i], &p->owners[i]);
    dependents_of(c->state, meta->uid, &p->dependents);
    return err;
}

static struct monitor *
parse_key(struct state *s, const char *key, char **ret_ns, char **ret_name)
{
    unsigned long number = strtoul(key, NULL, 10);
    const char *ns = strchr(key, ' ') + 1, *name = strchr(ns, ' ') + 1;

    *ret_ns = xstrndup(ns, (size_t)(name - 1 - ns));
    *ret_name = xstrdup(name);
    return monitor_at(s, number);
}

static void
enqueue_list(struct controller *c, const struct object_list *objects)
{
    struct monitor *m;

    for (size_t d = 0; d < objects->len; d++) {
        const struct api_kind *kind = object_kind(objects->items[d]);
        for (size_t i = 0; (m = monitor_at(c->state, i)); i++)
            if (str_eq(m->kind->group, kind->group) && str_eq(m->kind->plural, kind->plural))
                enqueue(m, objects->items[d]);
    }
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    AUTO_FREE char *ns = NULL, *name = NULL;
    struct monitor *m = parse_key(c->state, key, &ns, &name);
    struct gc_picture p = { .object = m ? informer_get(m->informer, m->kind->namespaced ? ns : NULL, name) : NULL };
    AUTO_OBJECT_LIST next = { 0 };

    if (!p.object)
        return NULL;
    struct kerr *err = look(c, &p);
    if (!err) {
        err = controller_act(c, NULL, gc_decide(&p, key, &next));
        enqueue_list(c, &next);
    }
    gc_picture_done(&p);
    return err;
}

/* --- new resources (CRDs) --- */

static bool
wait_or_stop(struct state *s)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += s->len ? DISCOVERY_MS / 1000 : 1; /* nothing known yet: soon */
    pthread_mutex_lock(&s->stop_lock);
    while (!s->stop && pthread_cond_timedwait(&s->stop_wake, &s->stop_lock, &t) == 0)
        ;
    bool stop = s->stop;
    pthread_mutex_unlock(&s->stop_lock);
    return stop;
}

static void *
discover(void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;

    pthread_setname_np(pthread_self(), "gc-discovery");
    while (!wait_or_stop(s)) {
        struct resources all = { 0 };
        size_t before = s->len;
        AUTO(kerr) *err = resources_discover(c->rest, &all, NULL);
        if (err) {
            log_v(2, "No discovery this time", "err", kv_err(err));
            continue;
        }
        add_monitors(c, &all);
        if (s->len != before)
            informers_start(c->informers);
        resources_done(&all);
    }
    return NULL;
}

struct kerr *
garbage_collector_start(struct controller *c)
{
    struct state *s;
    struct resources all = { 0 };
    pthread_condattr_t attr;

    if (!c->options->enable_garbage_collector)
        return NULL;
    AUTO(kerr) *err = resources_discover(c->rest, &all, NULL);
    if (err) /* the apiserver is in trouble: the discovery thread goes on asking */
        log_warning("The garbage collector does not know the resources yet", "err", kv_err(err));
    s = XNEW(struct state);
    c->state = s;
    pthread_rwlock_init(&s->lock, NULL);
    pthread_mutex_init(&s->stop_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->stop_wake, &attr);
    pthread_condattr_destroy(&attr);
    controller_queue(c, (unsigned)c->options->syncs_gc, sync_key);
    add_monitors(c, &all);
    resources_done(&all);
    return NULL;
}

void
garbage_collector_run(struct controller *c)
{
    struct state *s = c->state;

    if (s)
        s->running = pthread_create(&s->thread, NULL, discover, c) == 0;
}

void
garbage_collector_halt(struct controller *c)
{
    struct state *s = c->state;

    if (!s)
        return;
    pthread_mutex_lock(&s->stop_lock);
    s->stop = true;
    pthread_cond_signal(&s->stop_wake);
    pthread_mutex_unlock(&s->stop_lock);
    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
}

void
garbage_collector_stop(struct controller *c)
{
    struct state *s = c->state;

    if (!s)
        return;
    for (size_t i = 0; i < s->len; i++)
        free(s->monitors[i]);
    free(s->monitors);
    pthread_rwlock_destroy(&s->lock);
    pthread_mutex_destroy(&s->stop_lock);
    pthread_cond_destroy(&s->stop_wake);
    free(s);
}
