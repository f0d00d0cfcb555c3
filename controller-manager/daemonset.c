// SPDX-License-Identifier: Apache-2.0
/* daemonset.c - the DaemonSet controller: observe and act around daemonset_decide.c. */
#include "controller-manager/daemonset.h"

#include <pthread.h>

#include "common/base/clock.h"
#include "controller-manager/controllers.h"

#define HOLD_MS 1000 /* the first wait before a failed pod is replaced on a node; doubles */
#define HOLD_MAX_MS (15 * 60 * 1000)

/* A node where pods of a set keep failing. */
struct hold {
    char *key, *node; /* of the DaemonSet; of the node */
    uint64_t wait_ms, until_ms;
    struct hold *next;
};
struct state {
    struct informer *sets, *pods, *nodes, *revisions;
    unsigned pods_by_owner, revisions_by_owner;
    pthread_mutex_t lock; /* guards holds */
    struct hold *holds;
};

/* --- failed pods --- */

/* The nodes that must wait; forgets those that did not fail for twice the longest wait. */
static uint64_t
held_nodes(struct state *s, const char *key, struct strlist *ret)
{
    uint64_t now = clock_mono_ms(), next = 0;

    pthread_mutex_lock(&s->lock);
    for (struct hold **at = &s->holds; *at;) {
        struct hold *h = *at;
        if (now > h->until_ms + 2 * HOLD_MAX_MS) {
            *at = h->next;
            free(h->key);
            free(h->node);
            free(h);
            continue;
        }
        if (str_eq(h->key, key) && h->until_ms > now) {
            strlist_add(ret, h->node);
            next = !next || h->until_ms - now < next ? h->until_ms - now : next;
        }
        at = &h->next;
    }
    pthread_mutex_unlock(&s->lock);
    return next;
}

static void
hold(struct state *s, const char *key, const char *node)
{
    struct hold *h;

    pthread_mutex_lock(&s->lock);
    for (h = s->holds; h && !(str_eq(h->key, key) && str_eq(h->node, node)); h = h->next)
        ;
    if (!h) {
        h = XNEW(struct hold);
        *h = (struct hold){ xstrdup(key), xstrdup(node), HOLD_MS / 2, 0, s->holds };
        s->holds = h;
    }
    h->wait_ms = h->wait_ms * 2 < HOLD_MAX_MS ? h->wait_ms * 2 : HOLD_MAX_MS;
    h->until_ms = clock_mono_ms() + h->wait_ms;
    pthread_mutex_unlock(&s->lock);
}

static void
hold_failed(struct state *s, const struct daemonset_picture *p, const struct plan *plan)
{
    for (size_t i = 0; i < plan->len; i++) {
        const struct action *a = &plan->items[i];
        for (size_t k = 0; a->verb == ACTION_DELETE && str_eq(a->kind->kind, "Pod") && k < p->pods.len; k++) {
            const struct pod *pod = OBJECT_BODY(p->pods.items[k], pod);
            const char *node = daemonset_pod_node(pod);
            if (str_eq(pod->metadata.uid, a->del.uid) && str_eq(pod->status.phase, "Failed") && node)
                hold(s, plan->key, node);
        }
    }
}

/* --- one DaemonSet --- */

static struct kerr *
check_adoption(struct controller *c, struct daemonset_picture *p)
{
    AUTO(arena) *a = arena_new(0);
    struct claim claim = { .owner = p->daemon_set };
    struct kerr *err = label_query_from(OBJECT_BODY(p->daemon_set, daemon_set)->spec.selector, a, (struct label_query **)&claim.selector);

    if (err || (!claim_needs_adoption(&claim, &p->pods) && !claim_needs_adoption(&claim, &p->revisions)))
        return err;
    return claim_check_live(c->rest, p->daemon_set, &p->can_adopt);
}

static struct kerr *
act(struct controller *c, struct daemonset_picture *p, const char *key)
{
    struct daemonset_plans plans = daemonset_decide(p, key, controller_now());
    AUTO(plan) *pods = plans.pods;
    struct kerr *pods_err = controller_run(c, p->daemon_set, pods), *status_err;

    hold_failed(c->state, p, pods);
    status_err = controller_act(c, NULL, plans.status);
    if (!pods_err)
        return status_err;
    kerr_free(status_err);
    return pods_err;
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;
    struct daemonset_picture p = { .daemon_set = informer_get_key(s->sets, key) };
    struct kerr *err;

    if (!p.daemon_set) {
        expectations_forget(c->expectations, key);
        return NULL;
    }
    p.settled = expectations_satisfied(c->expectations, key, clock_mono_ms()); /* before the pods are looked at */
    uint64_t next = held_nodes(s, key, &p.held);
    if (next)
        workqueue_add_after(c->queue, key, next);
    informer_list(s->nodes, NULL, &p.nodes);
    controller_owned(s->pods, s->pods_by_owner, object_meta(p.daemon_set)->uid, object_namespace(p.daemon_set), &p.pods);
    controller_owned(s->revisions, s->revisions_by_owner, object_meta(p.daemon_set)->uid, object_namespace(p.daemon_set), &p.revisions);
    err = check_adoption(c, &p);
    if (!err)
        err = act(c, &p, key);
    daemonset_picture_done(&p);
    return err;
}

/* --- changes --- */

static void
set_changed(struct controller *c, const struct object *old, const struct object *now)
{
    if (!now) {
        AUTO_FREE char *key = object_key(old);
        expectations_forget(c->expectations, key);
    }
    controller_enqueue(c, now ? now : old);
}

/* An orphan may be somebody's. */
static void
enqueue_matching(struct controller *c, const struct object *obj)
{
    const struct state *s = c->state;
    AUTO_OBJECT_LIST sets = { 0 };
    AUTO(arena) *a = arena_new(0);

    informer_list(s->sets, object_namespace(obj), &sets);
    for (size_t i = 0; i < sets.len; i++) {
        struct label_query *q = NULL;
        kerr_free(label_query_from(OBJECT_BODY(sets.items[i], daemon_set)->spec.selector, a, &q));
        if (q && !label_query_empty(q) && label_query_matches(q, &object_meta(obj)->labels))
            controller_enqueue(c, sets.items[i]);
    }
}

static bool
is_new_orphan(const struct object *old, const struct object *now)
{
    return now && !meta_controller(object_meta(now)) && !meta_deleting(object_meta(now)) &&
           (!old || meta_controller(object_meta(old)) || !api_equal(&api_type_object_meta, object_meta(old), object_meta(now)));
}

static void
pod_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;

    controller_pod_changed(c, informer_kind(s->sets), old, now);
    if (is_new_orphan(old, now))
        enqueue_matching(c, now);
}

static void
revision_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;

    controller_enqueue_owner(c, now ? now : old, informer_kind(s->sets));
    if (is_new_orphan(old, now))
        enqueue_matching(c, now);
}

static bool
same_labels(const struct object *a, const struct object *b)
{
    const struct string_map *x = &object_meta(a)->labels, *y = &object_meta(b)->labels;

    return x->len == y->len && label_map_contains(x, y);
}

/* Heartbeats change nothing for us: only what decides about pods is looked at. */
static void
node_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;
    AUTO_OBJECT_LIST sets = { 0 };

    if (old && now && api_equal(&api_type_node_spec, &OBJECT_BODY(old, node)->spec, &OBJECT_BODY(now, node)->spec) &&
        same_labels(old, now))
        return;
    informer_list(s->sets, NULL, &sets);
    for (size_t i = 0; i < sets.len; i++)
        controller_enqueue(c, sets.items[i]);
}

struct kerr *
daemonset_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    c->expectations = expectations_new();
    c->expected = api_kind_find("v1", "Pod");
    pthread_mutex_init(&s->lock, NULL);
    s->sets = controller_informer(c, "apps/v1", "DaemonSet");
    s->pods = controller_informer(c, "v1", "Pod");
    s->nodes = controller_informer(c, "v1", "Node");
    s->revisions = controller_informer(c, "apps/v1", "ControllerRevision");
    s->pods_by_owner = controller_owner_index(s->pods);
    s->revisions_by_owner = controller_owner_index(s->revisions);
    controller_queue(c, (unsigned)c->options->syncs_daemonset, sync_key);
    controller_watch(c, "apps/v1", "DaemonSet", set_changed);
    controller_watch(c, "v1", "Pod", pod_changed);
    controller_watch(c, "v1", "Node", node_changed);
    controller_watch(c, "apps/v1", "ControllerRevision", revision_changed);
    return NULL;
}

void
daemonset_stop(struct controller *c)
{
    struct state *s = c->state;

    if (!s)
        return;
    for (struct hold *h = s->holds, *next; h; h = next) {
        next = h->next;
        free(h->key);
        free(h->node);
        free(h);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}
