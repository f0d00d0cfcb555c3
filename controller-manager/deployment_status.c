// SPDX-License-Identifier: Apache-2.0
/* deployment_status.c - the status of a Deployment: counts over its ReplicaSets, Available, Progressing, ReplicaFailure. */
#include "common/api/values.h"
#include "controller-manager/deployment.h"

bool
deployment_has_deadline(const struct deployment *d)
{
    return d->spec.progress_deadline_seconds && *d->spec.progress_deadline_seconds != INT32_MAX;
}

bool
deployment_is_rolling(const struct deployment *d)
{
    return str_eq(d->spec.strategy.type, "RollingUpdate");
}

/* Surge rounds up, unavailable rounds down; both 0 would stand still, so one may be unavailable. */
static void
fenceposts(const struct deployment *d, int32_t *ret_surge, int32_t *ret_unavailable)
{
    const struct rolling_update_deployment *ru = d->spec.strategy.rolling_update;
    int32_t replicas = i32_or(d->spec.replicas, 1), surge = 0, unavailable = 0;
    struct int_or_string quarter = { "25%", 0 };

    if (int_or_string_scaled(ru && ru->max_surge ? *ru->max_surge : quarter, replicas, true, &surge))
        surge = 0;
    if (int_or_string_scaled(ru && ru->max_unavailable ? *ru->max_unavailable : quarter, replicas, false, &unavailable))
        unavailable = 0;
    if (surge == 0 && unavailable == 0)
        unavailable = 1;
    *ret_surge = surge;
    *ret_unavailable = unavailable;
}

int32_t
deployment_max_surge(const struct deployment *d)
{
    int32_t surge, unavailable;

    if (!deployment_is_rolling(d))
        return 0;
    fenceposts(d, &surge, &unavailable);
    return surge;
}

int32_t
deployment_max_unavailable(const struct deployment *d)
{
    int32_t surge, unavailable, replicas = i32_or(d->spec.replicas, 1);

    if (!deployment_is_rolling(d) || replicas == 0)
        return 0;
    fenceposts(d, &surge, &unavailable);
    return unavailable > replicas ? replicas : unavailable;
}

bool
deployment_complete(const struct deployment *d, const struct deployment_status *s)
{
    int32_t replicas = i32_or(d->spec.replicas, 1);

    return s->updated_replicas == replicas && s->replicas == replicas && s->available_replicas == replicas &&
           s->observed_generation >= d->metadata.generation;
}

const struct deployment_condition *
deployment_condition_find(const struct deployment_status *s, const char *type)
{
    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (str_eq(s->conditions.items[i].type, type))
            return &s->conditions.items[i];
    return NULL;
}

static void
remove_condition(struct rollout *r, const char *type)
{
    struct deployment_status *s = &r->d->status;
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (!str_eq(s->conditions.items[i].type, type))
            s->conditions.items[n++] = s->conditions.items[i];
    s->conditions.len = n;
}

static void
add_condition(struct rollout *r, const struct deployment_condition *c)
{
    struct deployment_condition_slice *l = &r->d->status.conditions;
    struct deployment_condition *items = arena_alloc(r->a, (l->len + 1) * sizeof *items);

    for (uint32_t i = 0; i < l->len; i++)
        items[i] = l->items[i];
    items[l->len] = *c;
    *l = (struct deployment_condition_slice){ items, l->len + 1, l->len + 1 };
}

void
deployment_condition_set(struct rollout *r, const char *type, const char *status, const char *reason, const char *message)
{
    const struct deployment_condition *had = deployment_condition_find(&r->d->status, type);
    struct api_time now = { r->now.sec, 0 };
    struct deployment_condition c = { type, status, now, now, reason, arena_strdup(r->a, message) };

    if (had && str_eq(had->status, status) && str_eq(had->reason, reason))
        return;
    if (had && str_eq(had->status, status))
        c.last_transition_time = had->last_transition_time;
    remove_condition(r, type);
    add_condition(r, &c);
}

/* --- counts --- */

static void
count(struct rollout *r)
{
    struct deployment_status *s = &r->d->status;
    int64_t wanted = 0;
    int32_t terminating = 0;
    bool all_known = true;

    s->observed_generation = r->d->metadata.generation;
    s->replicas = s->updated_replicas = s->ready_replicas = s->available_replicas = 0;
    for (size_t i = 0; i < r->nsets; i++) {
        const struct replica_set *rs = r->sets[i].rs;
        wanted += i32_or(rs->spec.replicas, 1);
        s->replicas += rs->status.replicas;
        s->ready_replicas += rs->status.ready_replicas;
        s->available_replicas += rs->status.available_replicas;
        terminating += i32_or(rs->status.terminating_replicas, 0);
        all_known = all_known && rs->status.terminating_replicas;
    }
    if (r->new_set)
        s->updated_replicas = r->new_set->rs->status.replicas;
    s->unavailable_replicas = wanted > s->available_replicas ? (int32_t)wanted - s->available_replicas : 0;
    s->terminating_replicas = all_known ? arena_i32(r->a, terminating) : NULL;
}

static void
mark_available(struct rollout *r)
{
    if (r->d->status.available_replicas >= i32_or(r->d->spec.replicas, 1) - deployment_max_unavailable(r->d))
        deployment_condition_set(r, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.");
    else
        deployment_condition_set(r, "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.");
}

/* --- progress --- */

static bool
progressed(const struct deployment_status *before, const struct deployment_status *s)
{
    return s->updated_replicas > before->updated_replicas || s->replicas - s->updated_replicas < before->replicas - before->updated_replicas ||
           s->ready_replicas > before->ready_replicas || s->available_replicas > before->available_replicas;
}

static bool
timed_out(const struct rollout *r)
{
    const struct deployment_condition *c = deployment_condition_find(&r->d->status, "Progressing");

    if (!c || str_eq(c->reason, "NewReplicaSetAvailable"))
        return false;
    if (str_eq(c->reason, "ProgressDeadlineExceeded"))
        return true;
    return c->last_update_time.sec + *r->d->spec.progress_deadline_seconds < r->now.sec;
}

static char *
progress_message(const struct rollout *r, const char *what)
{
    if (r->new_set)
        return arena_printf(r->a, "ReplicaSet \"%s\" %s", object_name(r->new_set->obj), what);
    return arena_printf(r->a, "Deployment \"%s\" %s", object_name(r->obj), what);
}

static void
mark_moving(struct rollout *r)
{
    const struct deployment_condition *had = deployment_condition_find(&r->d->status, "Progressing");
    struct api_time now = { r->now.sec, 0 };
    struct deployment_condition c = { "Progressing", "True", now, now, "ReplicaSetUpdated", progress_message(r, "is progressing.") };

    if (had && str_eq(had->status, "True"))
        c.last_transition_time = had->last_transition_time;
    remove_condition(r, "Progressing"); /* its lastUpdateTime moves with every step: the deadline counts from there */
    add_condition(r, &c);
}

static void
mark_progress(struct rollout *r, const struct deployment_status *before)
{
    const struct deployment_condition *had = deployment_condition_find(&r->d->status, "Progressing");
    struct deployment_status *s = &r->d->status;

    if (!deployment_has_deadline(r->d)) {
        remove_condition(r, "Progressing");
        return;
    }
    if (s->replicas == s->updated_replicas && had && str_eq(had->reason, "NewReplicaSetAvailable"))
        return;
    if (deployment_complete(r->d, s))
        deployment_condition_set(r, "Progressing", "True", "NewReplicaSetAvailable", progress_message(r, "has successfully progressed."));
    else if (progressed(before, s))
        mark_moving(r);
    else if (timed_out(r))
        deployment_condition_set(r, "Progressing", "False", "ProgressDeadlineExceeded", progress_message(r, "has timed out progressing."));
}

static const struct replica_set_condition *
failure_of(const struct replica_set *rs)
{
    for (uint32_t i = 0; i < rs->status.conditions.len; i++)
        if (str_eq(rs->status.conditions.items[i].type, "ReplicaFailure"))
            return &rs->status.conditions.items[i];
    return NULL;
}

/* The new ReplicaSet's failure, else the first of an old one. */
static void
mark_failure(struct rollout *r)
{
    const struct replica_set_condition *f = r->new_set ? failure_of(r->new_set->rs) : NULL;

    for (size_t i = 0; !f && i < r->nsets; i++)
        f = failure_of(r->sets[i].rs);
    if (!f) {
        remove_condition(r, "ReplicaFailure");
        return;
    }
    deployment_condition_set(r, "ReplicaFailure", arena_strdup(r->a, f->status), arena_strdup(r->a, f->reason), f->message);
}

void
deployment_status_update(struct rollout *r, bool progress)
{
    const struct deployment *was = OBJECT_BODY(r->picture->deployment, deployment);

    count(r);
    mark_available(r);
    if (!progress)
        return;
    mark_progress(r, &was->status);
    mark_failure(r);
}

static void
look_again_at_deadline(struct rollout *r)
{
    const struct deployment_condition *c = deployment_condition_find(&r->d->status, "Progressing");

    if (!c || !deployment_has_deadline(r->d) || deployment_complete(r->d, &r->d->status) || str_eq(c->reason, "ProgressDeadlineExceeded"))
        return;
    struct api_time due = { c->last_update_time.sec + *r->d->spec.progress_deadline_seconds, 0 };
    plan_requeue(r->plan, seconds_between_ms(r->now, due) + 1000);
}

void
deployment_status_plan(struct rollout *r, bool progress)
{
    const struct deployment *was = OBJECT_BODY(r->picture->deployment, deployment);
    const struct deployment_status *s = &r->d->status;

    if (api_equal(&api_type_deployment_status, &was->status, s) && api_equal(&api_type_object_meta, &was->metadata, &r->d->metadata)) {
        if (progress)
            look_again_at_deadline(r);
        return;
    }
    AUTO_FREE char *why = xasprintf("status: updated %d of %d, ready %d, available %d", s->updated_replicas, s->replicas, s->ready_replicas, s->available_replicas);
    plan_update_status(r->plan, object_ref(r->obj), why);
}
