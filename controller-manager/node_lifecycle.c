// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/node_lifecycle.h"

#include <pthread.h>
#include <uthash.h>

#include "common/api/codec.h"
#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "controller-manager/controllers.h"

#define T_NOT_READY "node.kubernetes.io/not-ready"
#define T_UNREACHABLE "node.kubernetes.io/unreachable"
#define T_UNSCHEDULABLE "node.kubernetes.io/unschedulable"

void
node_picture_done(struct node_picture *p)
{
    object_unref(p->node);
    object_list_done(&p->pods);
}

/* --- signs of life --- */

void
node_health_observe(struct node_health *h, const struct object *node, const struct object *lease, struct api_time now)
{
    const struct node *n = OBJECT_BODY(node, node);
    const struct node_condition *ready = node_condition_find(&n->status, "Ready");
    const struct api_time *renewed = lease ? OBJECT_BODY(lease, lease)->spec.renew_time : NULL;

    if (api_time_is_zero(h->sign_of_life))
        h->sign_of_life = ready ? now : n->metadata.creation_timestamp;
    if (ready && (!h->had_ready || api_time_cmp(h->heartbeat, ready->last_heartbeat_time) != 0)) {
        h->heartbeat = ready->last_heartbeat_time;
        h->sign_of_life = now;
    }
    h->had_ready = ready;
    if (renewed && api_time_cmp(h->renewed, *renewed) < 0) {
        h->renewed = *renewed;
        h->sign_of_life = now;
    }
}

static int64_t
ms_between(struct api_time from, struct api_time to)
{
    return (to.sec - from.sec) * 1000 + (to.nsec - from.nsec) / 1000000;
}

/* --- conditions --- */

static bool
mark_unknown(struct node *n, struct arena *a, const char *type, struct api_time now)
{
    struct node_condition_slice *l = &n->status.conditions;
    struct node_condition *items;

    for (uint32_t i = 0; i < l->len; i++) {
        struct node_condition *c = &l->items[i];
        if (!str_eq(c->type, type))
            continue;
        if (str_eq(c->status, "Unknown"))
            return false;
        c->status = "Unknown";
        c->reason = "NodeStatusUnknown";
        c->message = "Kubelet stopped posting node status.";
        c->last_transition_time = (struct api_time){ now.sec, 0 };
        return true;
    }
    items = arena_alloc(a, (l->len + 1) * sizeof *items);
    for (uint32_t i = 0; i < l->len; i++)
        items[i] = l->items[i];
    items[l->len] = (struct node_condition){ type, "Unknown", n->metadata.creation_timestamp, { now.sec, 0 }, "NodeStatusNeverUpdated",
                                             "Kubelet never posted node status." };
    *l = (struct node_condition_slice){ items, l->len + 1, l->len + 1 };
    return true;
}

/* False: nothing to write. */
static bool
plan_unknown(const struct node_picture *p, struct plan *plan, struct api_time now)
{
    static const char *const types[] = { "Ready", "MemoryPressure", "DiskPressure", "PIDPressure" };
    AUTO(object) *copy = object_copy(p->node);
    struct node *n = object_body(copy);
    bool was_ready = false, changed = false;
    const struct node_condition *ready = node_condition_find(&n->status, "Ready");

    was_ready = ready && str_eq(ready->status, "True");
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        changed = mark_unknown(n, object_arena(copy), types[i], now) || changed;
    if (!changed)
        return false;
    plan_update_status(plan, object_ref(copy), "no sign of life within the grace period");
    if (was_ready)
        plan_event(plan, p->node, EVENT_NORMAL, "NodeNotReady", "Node %s status is now: NodeNotReady", object_name(p->node));
    return true;
}

/* --- pods of a node that is not ready --- */

static void
plan_pods_not_ready(const struct node_picture *p, struct plan *plan, struct api_time now)
{
    for (size_t i = 0; i < p->pods.len; i++) {
        const struct object *obj = p->pods.items[i];
        if (!pod_ready(OBJECT_BODY(obj, pod)))
            continue;
        AUTO_SBUF patch = { 0 };
        sbuf_adds(&patch, "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\",\"lastTransitionTime\":\"");
        api_time_format((struct api_time){ now.sec, 0 }, &patch);
        sbuf_adds(&patch, "\"}]}}");
        struct action *a = plan_patch(plan, object_kind(obj), object_namespace(obj), object_name(obj), REST_PATCH_STRATEGIC, "status",
                                      sbuf_str(&patch), "its node is not ready");
        a->flags = ACTION_IGNORE_NOT_FOUND | ACTION_GO_ON;
        plan_event(plan, obj, EVENT_WARNING, "NodeNotReady", "Node is not ready");
    }
}

/* --- taints --- */

static const struct {
    const char *condition, *status, *taint;
} condition_taints[] = {
    { "Ready", "False", T_NOT_READY },
    { "Ready", "Unknown", T_UNREACHABLE },
    { "MemoryPressure", "True", "node.kubernetes.io/memory-pressure" },
    { "DiskPressure", "True", "node.kubernetes.io/disk-pressure" },
    { "NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable" },
    { "PIDPressure", "True", "node.kubernetes.io/pid-pressure" },
};

static bool
condition_is(const struct node *n, const char *type, const char *status)
{
    const struct node_condition *c = node_condition_find(&n->status, type);

    return c && str_eq(c->status, status);
}

static const struct taint *
find_taint(const struct node *n, const char *key, const char *effect)
{
    for (uint32_t i = 0; i < n->spec.taints.len; i++)
        if (str_eq(n->spec.taints.items[i].key, key) && str_eq(n->spec.taints.items[i].effect, effect))
            return &n->spec.taints.items[i];
    return NULL;
}

static bool
is_ours(const struct taint *t, const char *effect)
{
    if (!str_eq(t->effect, effect))
        return false;
    if (str_eq(effect, "NoExecute"))
        return str_eq(t->key, T_NOT_READY) || str_eq(t->key, T_UNREACHABLE);
    if (str_eq(t->key, T_UNSCHEDULABLE))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(condition_taints); i++)
        if (str_eq(t->key, condition_taints[i].taint))
            return true;
    return false;
}

struct wanted_taints {
    struct {
        const char *key, *effect;
    } items[ARRAY_LEN(condition_taints) + 2];
    size_t len;
};

static void
want(struct wanted_taints *w, const char *key, const char *effect)
{
    w->items[w->len].key = key;
    w->items[w->len++].effect = effect;
}

static const char *
execute_key(const struct node *n)
{
    return condition_is(n, "Ready", "False") ? T_NOT_READY : condition_is(n, "Ready", "Unknown") ? T_UNREACHABLE : NULL;
}

bool
node_wants_eviction(const struct object *node)
{
    const struct node *n = OBJECT_BODY(node, node);
    const char *key = execute_key(n);

    return key && !find_taint(n, key, "NoExecute");
}

static struct wanted_taints
wanted(const struct node_picture *p, const struct node *n)
{
    struct wanted_taints w = { 0 };
    const char *execute = execute_key(n);

    for (size_t i = 0; i < ARRAY_LEN(condition_taints); i++)
        if (condition_is(n, condition_taints[i].condition, condition_taints[i].status))
            want(&w, condition_taints[i].taint, "NoSchedule");
    if (n->spec.unschedulable)
        want(&w, T_UNSCHEDULABLE, "NoSchedule");
    if (!execute || p->eviction == EVICT_NEVER)
        return w;
    /* a node that has one of the two taints changes to the other at once: its eviction has begun already */
    if (p->eviction == EVICT_NOW || find_taint(n, T_NOT_READY, "NoExecute") || find_taint(n, T_UNREACHABLE, "NoExecute"))
        want(&w, execute, "NoExecute");
    return w;
}

static bool
is_wanted(const struct wanted_taints *w, const struct taint *t)
{
    for (size_t i = 0; i < w->len; i++)
        if (str_eq(w->items[i].key, t->key) && str_eq(w->items[i].effect, t->effect))
            return true;
    return false;
}

static bool
plan_taints(const struct node_picture *p, struct plan *plan, struct api_time now)
{
    const struct node *n = OBJECT_BODY(p->node, node);
    struct wanted_taints w = wanted(p, n);
    AUTO_SBUF patch = { 0 };
    bool changed = false, any = false;

    sbuf_addf(&patch, "{\"metadata\":{\"resourceVersion\":\"%s\"},\"spec\":{\"taints\":[", str_safe(n->metadata.resource_version));
    for (uint32_t i = 0; i < n->spec.taints.len; i++) {
        const struct taint *t = &n->spec.taints.items[i];
        if ((is_ours(t, "NoSchedule") || is_ours(t, "NoExecute")) && !is_wanted(&w, t)) {
            changed = true;
            continue;
        }
        if (any)
            sbuf_addc(&patch, ',');
        json_encode(&api_type_taint, t, &patch);
        any = true;
    }
    for (size_t i = 0; i < w.len; i++) {
        if (find_taint(n, w.items[i].key, w.items[i].effect))
            continue;
        struct api_time at = { now.sec, 0 };
        struct taint t = { w.items[i].key, NULL, w.items[i].effect, &at };
        if (any)
            sbuf_addc(&patch, ',');
        json_encode(&api_type_taint, &t, &patch);
        any = changed = true;
    }
    sbuf_adds(&patch, "]}}");
    if (changed)
        plan_patch(plan, object_kind(p->node), NULL, object_name(p->node), REST_PATCH_MERGE, NULL, sbuf_str(&patch), "taints follow the conditions");
    return changed;
}

/* --- the whole --- */

struct plan *
node_lifecycle_decide(const struct node_picture *p, const char *key, struct api_time now)
{
    struct plan *plan = plan_new(key);
    const struct node *n = OBJECT_BODY(p->node, node);
    const struct node_condition *ready = node_condition_find(&n->status, "Ready");
    int64_t grace = ready ? p->times.grace_ms : p->times.startup_grace_ms;

    if (meta_deleting(&n->metadata))
        return plan;
    if (ms_between(p->health.sign_of_life, now) > grace && plan_unknown(p, plan, now))
        return plan; /* the change comes back on the watch; the taints are decided on that */
    plan_taints(p, plan, now);
    if (ready && !str_eq(ready->status, "True"))
        plan_pods_not_ready(p, plan, now);
    return plan;
}

enum zone_state
zone_state_of(unsigned ready, unsigned not_ready, double unhealthy_threshold)
{
    if (ready == 0 && not_ready > 0)
        return ZONE_FULL;
    if (not_ready > 2 && (double)not_ready / (double)(not_ready + ready) >= unhealthy_threshold)
        return ZONE_PARTIAL;
    return ZONE_NORMAL;
}

/* --- observe and act --- */

struct seen {
    char *name;
    struct node_health health;
    UT_hash_handle hh;
};
struct zone {
    char *name;
    unsigned ready, not_ready;
    double rate;          /* nodes per second */
    uint64_t last_ms;     /* when a node was last let go; 0 = never */
    UT_hash_handle hh;
};
struct state {
    struct informer *nodes, *leases, *pods;
    unsigned pods_by_node;
    pthread_mutex_t lock; /* guards what follows */
    struct seen *seen;
    struct zone *zones;
    bool all_dark;
};

static char *
zone_name(const struct object *node)
{
    return xasprintf("%s/%s", str_safe(meta_label(object_meta(node), "topology.kubernetes.io/region")),
                     str_safe(meta_label(object_meta(node), "topology.kubernetes.io/zone")));
}

static struct zone *
zone_for(struct state *s, const struct object *node)
{
    AUTO_FREE char *name = zone_name(node);
    struct zone *z;

    HASH_FIND_STR(s->zones, name, z);
    if (!z) {
        z = XNEW(struct zone);
        z->name = steal_ptr(name);
        HASH_ADD_KEYPTR(hh, s->zones, z->name, strlen(z->name), z);
    }
    return z;
}

/* How fast a zone may lose nodes depends on how much of it is lost. */
static void
judge_zones(struct controller *c, const struct object_list *nodes)
{
    struct state *s = c->state;
    const struct kcm_options *o = c->options;
    bool any_light = false, any = false;

    for (struct zone *z = s->zones; z; z = z->hh.next)
        z->ready = z->not_ready = 0;
    for (size_t i = 0; i < nodes->len; i++) {
        struct zone *z = zone_for(s, nodes->items[i]);
        if (condition_is(OBJECT_BODY(nodes->items[i], node), "Ready", "True"))
            z->ready++;
        else
            z->not_ready++;
    }
    for (struct zone *z = s->zones; z; z = z->hh.next) {
        enum zone_state state = zone_state_of(z->ready, z->not_ready, o->unhealthy_zone_threshold);
        any = any || z->ready + z->not_ready > 0;
        any_light = any_light || (state != ZONE_FULL && z->ready + z->not_ready > 0);
        z->rate = o->node_eviction_rate;
        if (state == ZONE_PARTIAL)
            z->rate = (int64_t)(z->ready + z->not_ready) > o->large_cluster_size_threshold ? o->secondary_node_eviction_rate : 0;
    }
    bool dark = any && !any_light;
    if (dark != s->all_dark)
        log_info(dark ? "All nodes are not ready: no pod is evicted until one is" : "Some nodes are ready again: evictions go on");
    s->all_dark = dark;
}

/* Under the lock.  A turn is taken only when the node wants one. */
static enum evict_when
ask_eviction(struct state *s, const struct object *node, uint64_t now_ms)
{
    struct zone *z = zone_for(s, node);

    if (s->all_dark)
        return EVICT_NEVER;
    if (!node_wants_eviction(node) || z->rate <= 0)
        return EVICT_LATER;
    if (z->last_ms && now_ms - z->last_ms < (uint64_t)(1000 / z->rate))
        return EVICT_LATER;
    z->last_ms = now_ms;
    return EVICT_NOW;
}

static struct node_health
observe(struct state *s, const struct object *node)
{
    AUTO(object) *lease = informer_get(s->leases, "kube-node-lease", object_name(node));
    struct seen *x;

    HASH_FIND_STR(s->seen, object_name(node), x);
    if (!x) {
        x = XNEW(struct seen);
        x->name = xstrdup(object_name(node));
        HASH_ADD_KEYPTR(hh, s->seen, x->name, strlen(x->name), x);
    }
    node_health_observe(&x->health, node, lease, controller_now());
    return x->health;
}

static void
forget(struct state *s, const char *name)
{
    struct seen *x;

    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->seen, name, x);
    if (x) {
        HASH_DEL(s->seen, x);
        free(x->name);
        free(x);
    }
    pthread_mutex_unlock(&s->lock);
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;
    struct node_picture p = { .node = informer_get(s->nodes, NULL, key),
                              .times = { c->options->node_monitor_grace_period_ms, c->options->node_startup_grace_period_ms } };

    if (!p.node) {
        forget(s, key);
        return NULL;
    }
    pthread_mutex_lock(&s->lock);
    p.health = observe(s, p.node);
    p.eviction = ask_eviction(s, p.node, clock_mono_ms());
    pthread_mutex_unlock(&s->lock);
    if (!condition_is(OBJECT_BODY(p.node, node), "Ready", "True"))
        informer_by_index(s->pods, s->pods_by_node, key, &p.pods);
    struct kerr *err = controller_act(c, NULL, node_lifecycle_decide(&p, key, controller_now()));
    node_picture_done(&p);
    return err;
}

static void
tick(struct controller *c)
{
    struct state *s = c->state;
    AUTO_OBJECT_LIST nodes = { 0 };

    informer_list(s->nodes, NULL, &nodes);
    pthread_mutex_lock(&s->lock);
    judge_zones(c, &nodes);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < nodes.len; i++)
        controller_enqueue(c, nodes.items[i]);
}

static void
node_changed(struct controller *c, const struct object *old, const struct object *now)
{
    controller_enqueue(c, now ? now : old);
}

struct kerr *
node_lifecycle_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    pthread_mutex_init(&s->lock, NULL);
    s->nodes = controller_informer(c, "v1", "Node");
    s->leases = controller_informer(c, "coordination.k8s.io/v1", "Lease");
    s->pods = controller_informer(c, "v1", "Pod");
    s->pods_by_node = controller_node_index(s->pods);
    controller_queue(c, 2, sync_key);
    controller_watch(c, "v1", "Node", node_changed);
    controller_every(c, (uint64_t)c->options->node_monitor_period_ms, tick);
    return NULL;
}

void
node_lifecycle_stop(struct controller *c)
{
    struct state *s = c->state;
    struct seen *x, *xn;
    struct zone *z, *zn;

    if (!s)
        return;
    HASH_ITER (hh, s->seen, x, xn) {
        HASH_DEL(s->seen, x);
        free(x->name);
        free(x);
    }
    HASH_ITER (hh, s->zones, z, zn) {
        HASH_DEL(s->zones, z);
        free(z->name);
        free(z);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}
