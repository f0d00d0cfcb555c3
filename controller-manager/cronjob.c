// SPDX-License-Identifier: Apache-2.0
/* cronjob.c - the CronJob controller: observe and act around cronjob_decide.c. */
#include "controller-manager/cronjob.h"

#include "controller-manager/controllers.h"
#include "controller-manager/job_memory.h"

struct state {
    struct informer *cron_jobs, *jobs;
    unsigned jobs_by_owner;
    struct job_memory *memory; /* the version of each CronJob that was written last: an older copy is not looked at */
};

static void
report_failure(struct controller *c, const struct object *cron_job, const struct plan *plan)
{
    for (size_t i = 0; i < plan->len; i++) {
        const struct action *a = &plan->items[i];
        if (a->state == ACTION_FAILED && (a->verb == ACTION_CREATE || a->verb == ACTION_DELETE))
            events_send(c->events, cron_job, EVENT_WARNING, a->verb == ACTION_CREATE ? "FailedCreate" : "FailedDelete", "Error %s job: %s",
                        a->verb == ACTION_CREATE ? "creating" : "deleting", a->error->message);
    }
}

static struct kerr *
act(struct controller *c, struct cronjob_picture *p, const char *key)
{
    const struct state *s = c->state;
    AUTO(plan) *jobs = cronjob_decide(p, key, controller_now());
    struct kerr *err = controller_run(c, NULL, jobs), *status_err;

    report_failure(c, p->cron_job, jobs);
    AUTO(plan) *status = cronjob_status_decide(p, jobs, key);
    for (size_t i = 0; i < status->len; i++)
        status->items[i].keep_result = status->items[i].verb == ACTION_UPDATE_STATUS;
    status_err = controller_run(c, NULL, status);
    for (size_t i = 0; i < status->len; i++)
        if (status->items[i].result)
            job_memory_set_written(s->memory, key, object_meta(status->items[i].result)->resource_version);
    if (!err)
        return status_err;
    kerr_free(status_err);
    return err;
}

/* Active jobs that the copy does not show: it may lag, so the apiserver is asked. */
static struct kerr *
find_missing(struct controller *c, struct cronjob_picture *p)
{
    const struct object_reference_slice *l = &OBJECT_BODY(p->cron_job, cron_job)->status.active;
    const struct state *s = c->state;

    for (uint32_t i = 0; i < l->len; i++) {
        struct object *job = NULL;
        bool known = false;
        for (size_t k = 0; k < p->jobs.len; k++)
            known = known || str_eq(object_meta(p->jobs.items[k])->uid, l->items[i].uid);
        if (known)
            continue;
        struct kerr *err = rest_get(c->rest, informer_kind(s->jobs), object_namespace(p->cron_job), l->items[i].name, &job);
        if (err && err->reason != KERR_NOT_FOUND)
            return err;
        kerr_free(err);
        if (job && str_eq(object_meta(job)->uid, l->items[i].uid))
            object_list_add_take(&p->jobs, job);
        else
            object_unref(job);
    }
    return NULL;
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    const struct state *s = c->state;
    struct cronjob_picture p = { .cron_job = informer_get_key(s->cron_jobs, key) };
    struct kerr *err = NULL;

    if (!p.cron_job) {
        job_memory_forget(s->memory, key);
        return NULL;
    }
    if (!job_memory_is_stale(s->memory, key, object_meta(p.cron_job)->resource_version)) {
        controller_owned(s->jobs, s->jobs_by_owner, object_meta(p.cron_job)->uid, NULL, &p.jobs);
        err = find_missing(c, &p);
        if (!err)
            err = act(c, &p, key);
    }
    cronjob_picture_done(&p);
    return err;
}

static void
cron_job_changed(struct controller *c, const struct object *old, const struct object *now)
{
    controller_enqueue(c, now ? now : old);
}

static void
job_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;

    controller_enqueue_owner(c, now ? now : old, informer_kind(s->cron_jobs));
}

struct kerr *
cronjob_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    s->memory = job_memory_new();
    s->cron_jobs = controller_informer(c, "batch/v1", "CronJob");
    s->jobs = controller_informer(c, "batch/v1", "Job");
    s->jobs_by_owner = controller_owner_index(s->jobs);
    controller_queue(c, (unsigned)c->options->syncs_cronjob, sync_key);
    controller_watch(c, "batch/v1", "CronJob", cron_job_changed);
    controller_watch(c, "batch/v1", "Job", job_changed);
    return NULL;
}

void
cronjob_stop(struct controller *c)
{
    struct state *s = c->state;

    if (s)
        job_memory_free(s->memory);
    free(s);
}
