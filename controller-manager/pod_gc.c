// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/pod_gc.h"

#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "controller-manager/controllers.h"
#include "controller-manager/disruption.h"

#define PERIOD_MS 20000
#define QUARANTINE_MS 40000 /* a node that is gone may only be missing from our copy, or be registered again */
#define OUT_OF_SERVICE "node.kubernetes.io/out-of-service"

void
pod_gc_picture_done(struct pod_gc_picture *p)
{
    object_list_done(&p->pods);
    object_list_done(&p->nodes);
    strlist_done(&p->missing);
}

/* --- decide --- */

static void
plan_force_delete(struct plan *plan, const struct object *pod, const char *reason)
{
    struct action *a = plan_delete(plan, pod, reason);

    a->del.has_grace_period = true;
    a->del.grace_period_s = 0;
    a->flags |= ACTION_GO_ON;
}

static void
remove_pod(struct plan *plan, const struct object *pod, const char *message, const char *reason, struct api_time now)
{
    if (message && !pod_terminal(OBJECT_BODY(pod, pod)))
        plan_disruption_target(plan, pod, "DeletionByPodGC", message, true, now);
    plan_force_delete(plan, pod, reason);
}

static int
oldest_first(const void *pa, const void *pb)
{
    const struct object *a = *(struct object *const *)pa, *b = *(struct object *const *)pb;
    bool evicted_a = str_eq(OBJECT_BODY(a, pod)->status.reason, "Evicted"), evicted_b = str_eq(OBJECT_BODY(b, pod)->status.reason, "Evicted");

    if (evicted_a != evicted_b)
        return evicted_a ? -1 : 1;
    return object_created_cmp(a, b);
}

static void
drop_finished(const struct pod_gc_picture *p, struct plan *plan)
{
    AUTO_OBJECT_LIST done = { 0 };

    if (p->threshold <= 0)
        return;
    for (size_t i = 0; i < p->pods.len; i++)
        if (pod_terminal(OBJECT_BODY(p->pods.items[i], pod)))
            object_list_ref(&done, p->pods.items[i]);
    if (done.len <= (size_t)p->threshold)
        return;
    qsort(done.items, done.len, sizeof *done.items, oldest_first);
    for (size_t i = 0; i < done.len - (size_t)p->threshold; i++)
        plan_force_delete(plan, done.items[i], "more finished pods than --terminated-pod-gc-threshold");
}

static const struct object *
find_node(const struct pod_gc_picture *p, const char *name)
{
    for (size_t i = 0; i < p->nodes.len; i++)
        if (str_eq(object_name(p->nodes.items[i]), name))
            return p->nodes.items[i];
    return NULL;
}

static bool
is_out_of_service(const struct object *node)
{
    const struct node *n = node ? OBJECT_BODY(node, node) : NULL;
    const struct node_condition *ready = n ? node_condition_find(&n->status, "Ready") : NULL;

    if (!n || (ready && str_eq(ready->status, "True")))
        return false;
    for (uint32_t i = 0; i < n->spec.taints.len; i++)
        if (str_eq(n->spec.taints.items[i].key, OUT_OF_SERVICE))
            return true;
    return false;
}

static void
judge(const struct pod_gc_picture *p, const struct object *obj, struct plan *plan, struct api_time now)
{
    const struct pod *pod = OBJECT_BODY(obj, pod);
    const char *node = pod->spec.node_name;

    if (str_empty(node)) {
        if (meta_deleting(&pod->metadata))
            remove_pod(plan, obj, NULL, "deleted before it had a node", now);
        return;
    }
    if (strlist_has(&p->missing, node))
        remove_pod(plan, obj, "PodGC: node no longer exists", "its node no longer exists", now);
    else if (meta_deleting(&pod->metadata) && is_out_of_service(find_node(p, node)))
        remove_pod(plan, obj, "PodGC: node is out-of-service", "its node is out of service", now);
}

struct plan *
pod_gc_decide(const struct pod_gc_picture *p, const char *key, struct api_time now)
{
    struct plan *plan = plan_new(key);

    drop_finished(p, plan);
    for (size_t i = 0; i < p->pods.len; i++)
        judge(p, p->pods.items[i], plan, now);
    return plan;
}

/* --- observe and act --- */

struct gone {
    char *name;
    uint64_t since_ms;
    UT_hash_handle hh;
};
struct state {
    struct informer *pods, *nodes;
    struct gone *gone; /* nodes in quarantine; the one worker's own */
};

static void
gone_free(struct state *s, struct gone *g)
{
    HASH_DEL(s->gone, g);
    free(g->name);
    free(g);
}

/* True when the node has been missing long enough. */
static bool
quarantined(struct state *s, const char *name, uint64_t now_ms)
{
    struct gone *g;

    HASH_FIND_STR(s->gone, name, g);
    if (!g) {
        g = XNEW(struct gone);
        g->name = xstrdup(name);
        g->since_ms = now_ms;
        HASH_ADD_KEYPTR(hh, s->gone, g->name, strlen(g->name), g);
    }
    return now_ms - g->since_ms >= QUARANTINE_MS;
}

static struct kerr *
check_live(struct controller *c, const char *name, bool *ret_missing)
{
    struct kerr *err = rest_get(c->rest, api_kind_find("v1", "Node"), NULL, name, NULL);

    *ret_missing = err && err->reason == KERR_NOT_FOUND;
    if (*ret_missing) {
        kerr_free(err);
        return NULL;
    }
    return err;
}

static struct kerr *
find_missing(struct controller *c, struct pod_gc_picture *p)
{
    struct state *s = c->state;
    struct gone *g, *next;

    for (size_t i = 0; i < p->pods.len; i++) {
        const char *name = OBJECT_BODY(p->pods.items[i], pod)->spec.node_name;
        bool missing = false;
        if (str_empty(name) || find_node(p, name) || strlist_has(&p->missing, name) || !quarantined(s, name, clock_mono_ms()))
            continue;
        struct kerr *err = check_live(c, name, &missing);
        if (err)
            return err;
        if (missing)
            strlist_add(&p->missing, name);
    }
    HASH_ITER (hh, s->gone, g, next)
        if (find_node(p, g->name))
            gone_free(s, g);
    return NULL;
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;
    struct pod_gc_picture p = { .threshold = c->options->terminated_pod_gc_threshold };

    informer_list(s->pods, NULL, &p.pods);
    informer_list(s->nodes, NULL, &p.nodes);
    struct kerr *err = find_missing(c, &p);
    if (!err)
        err = controller_act(c, NULL, pod_gc_decide(&p, key, controller_now()));
    pod_gc_picture_done(&p);
    return err;
}

static void
tick(struct controller *c)
{
    workqueue_add(c->queue, "sweep");
}

struct kerr *
pod_gc_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    s->pods = controller_informer(c, "v1", "Pod");
    s->nodes = controller_informer(c, "v1", "Node");
    controller_queue(c, 1, sync_key);
    controller_every(c, PERIOD_MS, tick);
    return NULL;
}

void
pod_gc_stop(struct controller *c)
{
    struct state *s = c->state;
    struct gone *g, *next;

    if (!s)
        return;
    HASH_ITER (hh, s->gone, g, next)
        gone_free(s, g);
    free(s);
}
