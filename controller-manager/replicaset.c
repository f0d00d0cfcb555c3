// SPDX-License-Identifier: Apache-2.0
/* replicaset.c - the ReplicaSet and the ReplicationController controller: observe and act around replicas.c. */
#include "common/base/clock.h"
#include "controller-manager/controllers.h"
#include "controller-manager/replicas.h"

struct state {
    const struct api_kind *kind;
    struct informer *owners, *pods;
    unsigned owners_by_owner, pods_by_owner;
};

/* Pods of all ReplicaSets that the same Deployment owns: those on one node are thinned out first. */
static void
add_related(const struct state *s, struct replicas_picture *p)
{
    const struct owner_reference *ref = meta_controller(object_meta(p->owner));
    AUTO_OBJECT_LIST siblings = { 0 };

    if (!ref)
        return;
    controller_owned(s->owners, s->owners_by_owner, ref->uid, NULL, &siblings);
    for (size_t i = 0; siblings.len > 1 && i < siblings.len; i++)
        controller_owned(s->pods, s->pods_by_owner, object_meta(siblings.items[i])->uid, NULL, &p->related);
}

static struct kerr *
check_adoption(struct controller *c, struct replicas_picture *p)
{
    AUTO(arena) *a = arena_new(0);
    const struct replica_set *rs = OBJECT_BODY(p->owner, replica_set);
    struct claim claim = { .owner = p->owner };
    struct kerr *err = NULL;

    if (rs)
        err = label_query_from(rs->spec.selector, a, (struct label_query **)&claim.selector);
    else
        claim.selector = label_query_from_map(&OBJECT_BODY(p->owner, replication_controller)->spec.selector, a);
    if (err || !claim_needs_adoption(&claim, &p->pods))
        return err;
    return claim_check_live(c->rest, p->owner, &p->can_adopt);
}

static struct kerr *
act(struct controller *c, struct replicas_picture *p, const char *key)
{
    struct kerr *scale_err = controller_act(c, p->owner, replicas_decide(p, key, controller_now()));
    struct kerr *status_err = controller_act(c, NULL, replicas_status_decide(p, key, scale_err, controller_now()));

    if (!scale_err)
        return status_err;
    kerr_free(status_err);
    return scale_err;
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    const struct state *s = c->state;
    struct replicas_picture p = { .owner = informer_get_key(s->owners, key) };
    struct kerr *err;

    if (!p.owner) {
        expectations_forget(c->expectations, key);
        return NULL;
    }
    p.settled = expectations_satisfied(c->expectations, key, clock_mono_ms()); /* before the pods are looked at */
    controller_owned(s->pods, s->pods_by_owner, object_meta(p.owner)->uid, object_namespace(p.owner), &p.pods);
    add_related(s, &p);
    err = check_adoption(c, &p);
    if (!err)
        err = act(c, &p, key);
    replicas_picture_done(&p);
    return err;
}

static void
owner_changed(struct controller *c, const struct object *old, const struct object *now)
{
    if (!now) {
        AUTO_FREE char *key = object_key(old);
        expectations_forget(c->expectations, key);
    }
    controller_enqueue(c, now ? now : old);
}

/* An orphan may be somebody's: all sets of its namespace that match look again. */
static void
enqueue_matching(struct controller *c, const struct object *pod)
{
    const struct state *s = c->state;
    AUTO_OBJECT_LIST owners = { 0 };
    AUTO(arena) *a = arena_new(0);

    informer_list(s->owners, object_namespace(pod), &owners);
    for (size_t i = 0; i < owners.len; i++) {
        const struct replica_set *rs = OBJECT_BODY(owners.items[i], replica_set);
        const struct replication_controller *rc = OBJECT_BODY(owners.items[i], replication_controller);
        struct label_query *q = NULL;
        if (rs)
            kerr_free(label_query_from(rs->spec.selector, a, &q));
        else
            q = label_query_from_map(&rc->spec.selector, a);
        if (q && !label_query_empty(q) && label_query_matches(q, &object_meta(pod)->labels))
            controller_enqueue(c, owners.items[i]);
    }
}

static void
pod_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;

    controller_pod_changed(c, s->kind, old, now);
    if (now && !meta_controller(object_meta(now)) && !meta_deleting(object_meta(now)) &&
        (!old || meta_controller(object_meta(old)) || !api_equal(&api_type_object_meta, object_meta(old), object_meta(now))))
        enqueue_matching(c, now);
}

static struct kerr *
start(struct controller *c, const char *api_version, const char *kind, unsigned workers)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    c->expectations = expectations_new();
    c->expected = api_kind_find("v1", "Pod");
    s->kind = api_kind_find(api_version, kind);
    s->owners = controller_informer(c, api_version, kind);
    s->pods = controller_informer(c, "v1", "Pod");
    s->owners_by_owner = controller_owner_index(s->owners);
    s->pods_by_owner = controller_owner_index(s->pods);
    controller_queue(c, workers, sync_key);
    controller_watch(c, api_version, kind, owner_changed);
    controller_watch(c, "v1", "Pod", pod_changed);
    return NULL;
}

struct kerr *
replicaset_start(struct controller *c)
{
    return start(c, "apps/v1", "ReplicaSet", (unsigned)c->options->syncs_replicaset);
}

struct kerr *
replicationcontroller_start(struct controller *c)
{
    return start(c, "v1", "ReplicationController", (unsigned)c->options->syncs_rc);
}
