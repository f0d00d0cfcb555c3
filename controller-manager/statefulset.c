// SPDX-License-Identifier: Apache-2.0
/* statefulset.c - the StatefulSet controller: observe and act around statefulset_decide.c.
 * Pods have fixed names, so what was made twice is seen as such: no expectations are needed. */
#include "controller-manager/statefulset.h"

#include "controller-manager/controllers.h"

struct state {
    struct informer *sets, *pods, *revisions, *claims;
    unsigned pods_by_owner, revisions_by_owner;
};

static struct kerr *
check_adoption(struct controller *c, struct statefulset_picture *p)
{
    AUTO(arena) *a = arena_new(0);
    struct claim claim = { .owner = p->set };
    struct kerr *err = label_query_from(OBJECT_BODY(p->set, stateful_set)->spec.selector, a, (struct label_query **)&claim.selector);

    if (err || (!claim_needs_adoption(&claim, &p->pods) && !claim_needs_adoption(&claim, &p->revisions)))
        return err;
    return claim_check_live(c->rest, p->set, &p->can_adopt);
}

static void
tell(struct controller *c, const struct object *set, const struct action *a)
{
    bool pod = str_eq(a->kind->kind, "Pod"), claim = str_eq(a->kind->kind, "PersistentVolumeClaim"), create = a->verb == ACTION_CREATE;
    const char *set_name = object_name(set);

    if ((!pod && !claim) || (!create && a->verb != ACTION_DELETE) || (a->state != ACTION_DONE && a->state != ACTION_FAILED))
        return;
    if (a->state == ACTION_DONE && create && !a->result)
        return; /* it was there */
    const char *reason = create ? (a->state == ACTION_DONE ? "SuccessfulCreate" : "FailedCreate")
                                : (a->state == ACTION_DONE ? "SuccessfulDelete" : "FailedDelete"), *verb = create ? "create" : "delete";
    if (a->state == ACTION_DONE && claim)
        events_send(c->events, set, EVENT_NORMAL, reason, "%s Claim %s in StatefulSet %s success", verb, a->name, set_name);
    else if (a->state == ACTION_DONE)
        events_send(c->events, set, EVENT_NORMAL, reason, "%s Pod %s in StatefulSet %s successful", verb, a->name, set_name);
    else
        events_send(c->events, set, EVENT_WARNING, reason, "%s %s %s in StatefulSet %s failed error: %s", verb, claim ? "Claim" : "Pod", a->name,
                    set_name, a->error->message);
}

static struct kerr *
act(struct controller *c, struct statefulset_picture *p, const char *key)
{
    struct statefulset_plans plans = statefulset_decide(p, key, controller_now());
    AUTO(plan) *pods = plans.pods;
    struct kerr *pods_err = controller_run(c, NULL, pods), *status_err;

    for (size_t i = 0; i < pods->len; i++) {
        const struct action *a = &pods->items[i];
        tell(c, p->set, a);
        if (a->verb == ACTION_CREATE && str_eq(a->kind->kind, "Pod") && a->state == ACTION_DONE && !a->result)
            workqueue_add_after(c->queue, key, 1000); /* our copy lags, or somebody else has the name */
    }
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
    const struct state *s = c->state;
    struct statefulset_picture p = { .set = informer_get_key(s->sets, key) };
    struct kerr *err;

    if (!p.set)
        return NULL;
    controller_owned(s->pods, s->pods_by_owner, object_meta(p.set)->uid, object_namespace(p.set), &p.pods);
    controller_owned(s->revisions, s->revisions_by_owner, object_meta(p.set)->uid, object_namespace(p.set), &p.revisions);
    if (OBJECT_BODY(p.set, stateful_set)->spec.volume_claim_templates.len)
        informer_list(s->claims, object_namespace(p.set), &p.claims);
    err = check_adoption(c, &p);
    if (!err)
        err = act(c, &p, key);
    statefulset_picture_done(&p);
    return err;
}

/* --- changes --- */

static void
set_changed(struct controller *c, const struct object *old, const struct object *now)
{
    controller_enqueue(c, now ? now : old);
}

static void
enqueue_matching(struct controller *c, const struct object *obj)
{
    const struct state *s = c->state;
    AUTO_OBJECT_LIST sets = { 0 };
    AUTO(arena) *a = arena_new(0);

    informer_list(s->sets, object_namespace(obj), &sets);
    for (size_t i = 0; i < sets.len; i++) {
        struct label_query *q = NULL;
        kerr_free(label_query_from(OBJECT_BODY(sets.items[i], stateful_set)->spec.selector, a, &q));
        if (q && !label_query_empty(q) && label_query_matches(q, &object_meta(obj)->labels))
            controller_enqueue(c, sets.items[i]);
    }
}

static void
owned_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;

    if (old)
        controller_enqueue_owner(c, old, informer_kind(s->sets));
    if (now)
        controller_enqueue_owner(c, now, informer_kind(s->sets));
    if (now && !meta_controller(object_meta(now)) && !meta_deleting(object_meta(now)) &&
        (!old || meta_controller(object_meta(old)) || !api_equal(&api_type_object_meta, object_meta(old), object_meta(now))))
        enqueue_matching(c, now);
}

struct kerr *
statefulset_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    s->sets = controller_informer(c, "apps/v1", "StatefulSet");
    s->pods = controller_informer(c, "v1", "Pod");
    s->revisions = controller_informer(c, "apps/v1", "ControllerRevision");
    s->claims = controller_informer(c, "v1", "PersistentVolumeClaim");
    s->pods_by_owner = controller_owner_index(s->pods);
    s->revisions_by_owner = controller_owner_index(s->revisions);
    controller_queue(c, (unsigned)c->options->syncs_statefulset, sync_key);
    controller_watch(c, "apps/v1", "StatefulSet", set_changed);
    controller_watch(c, "v1", "Pod", owned_changed);
    controller_watch(c, "apps/v1", "ControllerRevision", owned_changed);
    return NULL;
}
