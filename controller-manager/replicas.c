// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/replicas.h"

#include "common/api/values.h"

/* The two kinds, seen alike. */
struct view {
    int32_t replicas, min_ready_seconds;
    const struct pod_template_spec *template;
    struct label_query *selector;
    struct replica_set_status status; /* shares memory with the object */
    bool has_terminating;             /* the kind has status.terminatingReplicas */
};

static const struct pod_template_spec no_template;

static struct kerr *
view_of(const struct object *owner, struct arena *a, struct view *ret)
{
    const struct replica_set *rs = OBJECT_BODY(owner, replica_set);
    const struct replication_controller *rc = OBJECT_BODY(owner, replication_controller);

    if (rs) {
        *ret = (struct view){ i32_or(rs->spec.replicas, 1), rs->spec.min_ready_seconds, &rs->spec.template, NULL, rs->status, true };
        return label_query_from(rs->spec.selector, a, &ret->selector);
    }
    *ret = (struct view){ i32_or(rc->spec.replicas, 1), rc->spec.min_ready_seconds, rc->spec.template ? rc->spec.template : &no_template,
                          label_query_from_map(&rc->spec.selector, a) };
    const struct replication_controller_status *s = &rc->status;
    ret->status = (struct replica_set_status){ s->replicas, s->fully_labeled_replicas, s->ready_replicas, s->available_replicas, NULL,
                                               s->observed_generation };
    struct replica_set_condition *items = arena_alloc(a, (s->conditions.len + 1) * sizeof *items);
    for (uint32_t i = 0; i < s->conditions.len; i++) {
        const struct replication_controller_condition *c = &s->conditions.items[i];
        items[i] = (struct replica_set_condition){ c->type, c->status, c->last_transition_time, c->reason, c->message };
    }
    ret->status.conditions = (struct replica_set_condition_slice){ items, s->conditions.len, s->conditions.len };
    return NULL;
}

void
replicas_picture_done(struct replicas_picture *p)
{
    object_unref(p->owner);
    object_list_done(&p->pods);
    object_list_done(&p->related);
    object_list_done(&p->active);
    object_list_done(&p->terminating);
}

static void
sort_out(struct replicas_picture *p, const struct claim *claim, struct plan *plan)
{
    AUTO_OBJECT_LIST candidates = { 0 };

    for (size_t i = 0; i < p->pods.len; i++) {
        const struct pod *pod = OBJECT_BODY(p->pods.items[i], pod);
        if (pod_active(pod))
            object_list_ref(&candidates, p->pods.items[i]);
        else if (!pod_terminal(pod) && meta_controlled_by(&pod->metadata, object_meta(p->owner)->uid))
            object_list_ref(&p->terminating, p->pods.items[i]);
    }
    claim_objects(claim, &candidates, plan, &p->active);
}

static void
scale_up(const struct replicas_picture *p, const struct view *v, int64_t missing, struct plan *plan)
{
    int64_t n = missing < REPLICAS_BURST ? missing : REPLICAS_BURST;
    AUTO_FREE char *why = xasprintf("scale up: %zu of %d are active", p->active.len, v->replicas);

    for (int64_t i = 0; i < n; i++)
        plan_create(plan, pod_from_template(v->template, p->owner), why)->batch = 1;
}

static void
scale_down(struct replicas_picture *p, const struct view *v, int64_t surplus, struct api_time now, struct plan *plan)
{
    int64_t n = surplus < REPLICAS_BURST ? surplus : REPLICAS_BURST;
    AUTO_FREE char *why = xasprintf("scale down: %zu are active, %d wanted", p->active.len, v->replicas);

    pods_rank_for_deletion(&p->active, p->related.len ? &p->related : &p->active, now);
    for (int64_t i = 0; i < n; i++) {
        struct action *a = plan_delete(plan, p->active.items[i], why);
        a->batch = 2;
        a->flags |= ACTION_GO_ON;
    }
}

struct plan *
replicas_decide(struct replicas_picture *p, const char *key, struct api_time now)
{
    AUTO(arena) *a = arena_new(0);
    struct plan *plan = plan_new(key);
    struct view v;
    AUTO(kerr) *err = view_of(p->owner, a, &v);

    if (err)
        return plan; /* a selector that validation lets through cannot be bad; there is nothing to do for one that is */
    struct claim claim = { .owner = p->owner, .selector = v.selector, .can_adopt = p->can_adopt };
    sort_out(p, &claim, plan);
    if (!p->settled || meta_deleting(object_meta(p->owner)))
        return plan;
    int64_t missing = (int64_t)v.replicas - (int64_t)p->active.len;
    if (missing > 0)
        scale_up(p, &v, missing, plan);
    else if (missing < 0)
        scale_down(p, &v, -missing, now, plan);
    return plan;
}

/* --- status --- */

struct counts {
    int32_t labeled, ready, available;
    uint64_t next_available_ms; /* until the next ready pod has been so for minReadySeconds; 0 = none waits */
};

static struct counts
count(const struct replicas_picture *p, const struct view *v, struct arena *a, struct api_time now)
{
    struct counts n = { 0 };
    struct label_query *labels = label_query_from_map(&v->template->metadata.labels, a);

    for (size_t i = 0; i < p->active.len; i++) {
        const struct pod *pod = OBJECT_BODY(p->active.items[i], pod);
        n.labeled += label_query_matches(labels, &pod->metadata.labels);
        if (!pod_ready(pod))
            continue;
        n.ready++;
        if (pod_available(pod, v->min_ready_seconds, now)) {
            n.available++;
            continue;
        }
        struct api_time at = pod_ready_since(pod);
        at.sec += v->min_ready_seconds;
        uint64_t wait = seconds_between_ms(now, at) + 1000;
        if (!n.next_available_ms || wait < n.next_available_ms)
            n.next_available_ms = wait;
    }
    return n;
}

static const struct replica_set_condition *
find_condition(const struct replica_set_status *s, const char *type)
{
    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (str_eq(s->conditions.items[i].type, type))
            return &s->conditions.items[i];
    return NULL;
}

/* ReplicaFailure: set at the first failure, gone once scaling works. */
static void
mark_failure(struct replica_set_status *s, struct arena *a, const struct kerr *scale_err, bool scaling_up, struct api_time now)
{
    const struct replica_set_condition *had = find_condition(s, "ReplicaFailure");

    if (!!had == !!scale_err)
        return;
    struct replica_set_condition *items = arena_alloc(a, (s->conditions.len + 1) * sizeof *items);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (&s->conditions.items[i] != had)
            items[n++] = s->conditions.items[i];
    if (scale_err)
        items[n++] = (struct replica_set_condition){ "ReplicaFailure", "True", { now.sec, 0 }, scaling_up ? "FailedCreate" : "FailedDelete",
                                                     arena_strdup(a, action_error_text(scale_err)) };
    s->conditions = (struct replica_set_condition_slice){ items, n, n };
}

static void
write_rc_status(struct replication_controller *rc, struct arena *a, const struct replica_set_status *s)
{
    struct replication_controller_condition *items = arena_alloc(a, (s->conditions.len + 1) * sizeof *items);

    for (uint32_t i = 0; i < s->conditions.len; i++) {
        const struct replica_set_condition *c = &s->conditions.items[i];
        items[i] = (struct replication_controller_condition){ c->type, c->status, c->last_transition_time, arena_strdup(a, c->reason),
                                                              arena_strdup(a, c->message) };
        items[i].type = arena_strdup(a, c->type);
        items[i].status = arena_strdup(a, c->status);
    }
    rc->status = (struct replication_controller_status){ s->replicas, s->fully_labeled_replicas, s->ready_replicas, s->available_replicas,
                                                         s->observed_generation, { items, s->conditions.len, s->conditions.len } };
}

static struct object *
with_status(const struct object *owner, const struct replica_set_status *s)
{
    struct object *copy = object_copy(owner);
    struct replica_set *rs = OBJECT_BODY(copy, replica_set);

    if (rs)
        api_copy(&api_type_replica_set_status, object_arena(copy), s, &rs->status);
    else
        write_rc_status(OBJECT_BODY(copy, replication_controller), object_arena(copy), s);
    return copy;
}

struct plan *
replicas_status_decide(const struct replicas_picture *p, const char *key, const struct kerr *scale_err, struct api_time now)
{
    AUTO(arena) *a = arena_new(0);
    struct plan *plan = plan_new(key);
    struct view v;
    AUTO(kerr) *err = view_of(p->owner, a, &v);

    if (err)
        return plan;
    struct counts n = count(p, &v, a, now);
    struct replica_set_status s = v.status;
    int32_t active = (int32_t)p->active.len;
    s.replicas = active;
    s.fully_labeled_replicas = n.labeled;
    s.ready_replicas = n.ready;
    s.available_replicas = n.available;
    if (v.has_terminating)
        s.terminating_replicas = arena_i32(a, (int32_t)p->terminating.len);
    s.observed_generation = object_meta(p->owner)->generation;
    mark_failure(&s, a, scale_err, active < v.replicas, now);
    if (!api_equal(&api_type_replica_set_status, &s, &v.status)) {
        AUTO_FREE char *why = xasprintf("status: replicas %d->%d ready %d->%d available %d->%d", v.status.replicas, s.replicas,
                                        v.status.ready_replicas, s.ready_replicas, v.status.available_replicas, s.available_replicas);
        plan_update_status(plan, with_status(p->owner, &s), why);
    }
    if (!scale_err)
        plan_requeue(plan, n.next_available_ms);
    return plan;
}
