// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/ttl_after_finished.h"

#include "controller-manager/controllers.h"
#include "controller-manager/job.h"

static const struct job_condition *
end_of(const struct job *j)
{
    for (uint32_t i = 0; i < j->status.conditions.len; i++) {
        const struct job_condition *c = &j->status.conditions.items[i];
        if ((str_eq(c->type, "Complete") || str_eq(c->type, "Failed")) && str_eq(c->status, "True"))
            return c;
    }
    return NULL;
}

struct plan *
ttl_after_finished_decide(const struct object *job, const char *key, struct api_time now)
{
    struct plan *plan = plan_new(key);
    const struct job *j = OBJECT_BODY(job, job);
    const struct job_condition *end = end_of(j);

    if (!end || !j->spec.ttl_seconds_after_finished || meta_deleting(&j->metadata))
        return plan;
    struct api_time due = { end->last_transition_time.sec + *j->spec.ttl_seconds_after_finished, 0 };
    if (due.sec > now.sec) {
        plan_requeue(plan, seconds_between_ms(now, due));
        return plan;
    }
    struct action *a = plan_delete(plan, job, "finished longer ago than ttlSecondsAfterFinished");
    a->del.propagation = REST_PROPAGATION_FOREGROUND;
    a->del.resource_version = xstrdup(j->metadata.resource_version); /* the TTL may have been raised since */
    return plan;
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    AUTO(object) *job = informer_get_key(controller_informer(c, "batch/v1", "Job"), key);

    return job ? controller_act(c, NULL, ttl_after_finished_decide(job, key, controller_now())) : NULL;
}

static void
job_changed(struct controller *c, const struct object *old, const struct object *now)
{
    if (now && OBJECT_BODY(now, job)->spec.ttl_seconds_after_finished && job_finished(OBJECT_BODY(now, job)))
        controller_enqueue(c, now);
}

struct kerr *
ttl_after_finished_start(struct controller *c)
{
    controller_queue(c, (unsigned)c->options->syncs_ttl, sync_key);
    controller_watch(c, "batch/v1", "Job", job_changed);
    return NULL;
}
