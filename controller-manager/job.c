// SPDX-License-Identifier: Apache-2.0
/* job.c - the Job controller: observe and act around the three steps of job.h.
 * Keys of the queue: "ns/job"; "pod/ns/name" for a pod with our finalizer and no job that would take it away. */
#include "controller-manager/job.h"

#include "common/base/clock.h"
#include "controller-manager/controllers.h"
#include "controller-manager/job_memory.h"

#define BATCH_MS 100 /* changes of pods are gathered before the next look */
#define POD_KEY "pod/"

struct state {
    const struct api_kind *kind;
    struct informer *jobs, *pods;
    unsigned pods_by_owner;
    struct job_memory *memory;
};

/* --- one job --- */

static struct kerr *
check_adoption(struct controller *c, struct job_picture *p)
{
    AUTO(arena) *a = arena_new(0);
    struct claim claim = { .owner = p->job };
    struct kerr *err = label_query_from(OBJECT_BODY(p->job, job)->spec.selector, a, (struct label_query **)&claim.selector);

    if (err || !claim_needs_adoption(&claim, &p->pods))
        return err;
    return claim_check_live(c->rest, p->job, &p->can_adopt);
}

static bool
adoption_failed(const struct plan *plan)
{
    for (size_t i = 0; i < plan->len && plan->items[i].verb == ACTION_PATCH && plan->items[i].batch == 0; i++)
        if (plan->items[i].state != ACTION_DONE)
            return true;
    return false;
}

static void
expect_removals(const struct state *s, const struct job_picture *p, const char *key, const struct plan *tracked)
{
    for (size_t i = 0; i < p->unfinalize.len; i++) {
        const struct object_meta *meta = object_meta(p->unfinalize.items[i]);
        if (!tracked)
            job_memory_add_removing(s->memory, key, meta->uid);
        for (size_t k = 0; tracked && k < tracked->len; k++) {
            const struct action *a = &tracked->items[k];
            if (a->verb == ACTION_PATCH && a->state != ACTION_DONE && str_eq(a->name, meta->name))
                job_memory_removed(s->memory, key, meta->uid);
        }
    }
}

static void
note_written(const struct state *s, const char *key, const struct plan *plan)
{
    for (size_t i = 0; i < plan->len; i++)
        if (plan->items[i].verb == ACTION_UPDATE_STATUS && plan->items[i].result)
            job_memory_set_written(s->memory, key, object_meta(plan->items[i].result)->resource_version);
}

static struct kerr *
track_and_finish(struct controller *c, struct job_picture *p, const char *key, const struct plan *managed)
{
    const struct state *s = c->state;
    AUTO(plan) *tracked = job_track_decide(p, managed, key, controller_now());
    struct kerr *track_err, *err;

    expect_removals(s, p, key, NULL);
    track_err = controller_run(c, NULL, tracked);
    expect_removals(s, p, key, tracked);
    note_written(s, key, tracked);
    if (!track_err)
        job_memory_set_backoff(s->memory, key, p->backoff);
    AUTO(plan) *finish = job_finish_decide(p, tracked, key, controller_now());
    err = controller_run(c, NULL, finish);
    note_written(s, key, finish);
    if (!track_err)
        return err;
    kerr_free(err);
    return track_err;
}

static struct kerr *
act(struct controller *c, struct job_picture *p, const char *key)
{
    AUTO(plan) *managed = job_decide(p, key, controller_now());
    struct kerr *manage_err = controller_run(c, p->job, managed), *err;

    if (manage_err && managed->requeue_after_ms) /* the deadline is not forgotten over it */
        workqueue_add_after(c->queue, key, managed->requeue_after_ms);
    if (manage_err && adoption_failed(managed))
        return manage_err;
    err = track_and_finish(c, p, key, managed);
    if (!manage_err)
        return err;
    kerr_free(err);
    return manage_err;
}

static struct kerr *
sync_job(struct controller *c, const char *key)
{
    const struct state *s = c->state;
    struct job_picture p = { .job = informer_get_key(s->jobs, key) };
    struct kerr *err = NULL;

    if (!p.job) {
        expectations_forget(c->expectations, key);
        job_memory_forget(s->memory, key);
        return NULL;
    }
    const struct job *j = OBJECT_BODY(p.job, job);
    if (!job_managed_elsewhere(j) && !job_finished(j) && !job_memory_is_stale(s->memory, key, j->metadata.resource_version)) {
        p.settled = expectations_satisfied(c->expectations, key, clock_mono_ms()); /* before the pods are looked at */
        p.backoff = job_memory_get(s->memory, key, j->metadata.uid, &p.removing);
        controller_owned(s->pods, s->pods_by_owner, j->metadata.uid, j->metadata.namespace, &p.pods);
        err = check_adoption(c, &p);
        if (!err)
            err = act(c, &p, key);
    }
    job_picture_done(&p);
    return err;
}

/* --- pods that nobody waits for any more --- */

static struct object *
job_of(const struct state *s, const struct object *pod)
{
    const struct owner_reference *ref = meta_controller(object_meta(pod));
    struct object *job = owner_ref_is(ref, s->kind) ? informer_get(s->jobs, object_namespace(pod), ref->name) : NULL;

    if (job && str_eq(object_meta(job)->uid, ref->uid))
        return job;
    object_unref(job);
    return NULL;
}

static bool
is_left_behind(const struct state *s, const struct object *pod)
{
    const struct owner_reference *ref = meta_controller(object_meta(pod));
    AUTO(object) *job = job_of(s, pod);

    if (!meta_has_finalizer(object_meta(pod), JOB_FINALIZER) || (ref && !owner_ref_is(ref, s->kind)))
        return false;
    return !job || (!job_managed_elsewhere(OBJECT_BODY(job, job)) && job_finished(OBJECT_BODY(job, job)));
}

static struct kerr *
sync_pod(struct controller *c, const char *key)
{
    const struct state *s = c->state;
    AUTO(object) *pod = informer_get_key(s->pods, key + strlen(POD_KEY));
    struct plan *plan;

    if (!pod || !is_left_behind(s, pod))
        return NULL;
    plan = plan_new(key);
    job_patch_finalizer(plan, pod, 0);
    return controller_act(c, NULL, plan);
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    /* namespace "pod" has keys of one slash less */
    return str_has_prefix(key, POD_KEY) && strchr(key + strlen(POD_KEY), '/') ? sync_pod(arg, key) : sync_job(arg, key);
}

static void
enqueue_pod(struct controller *c, const struct object *pod)
{
    AUTO_FREE char *key = xasprintf(POD_KEY "%s/%s", object_namespace(pod), object_name(pod));

    workqueue_add(c->queue, key);
}

/* --- changes --- */

static void
enqueue_leftovers(struct controller *c, const struct object *job)
{
    const struct state *s = c->state;
    AUTO_OBJECT_LIST pods = { 0 };

    controller_owned(s->pods, s->pods_by_owner, object_meta(job)->uid, NULL, &pods);
    for (size_t i = 0; i < pods.len; i++)
        if (meta_has_finalizer(object_meta(pods.items[i]), JOB_FINALIZER))
            enqueue_pod(c, pods.items[i]);
}

static void
job_changed(struct controller *c, const struct object *old, const struct object *now)
{
    AUTO_FREE char *key = object_key(now ? now : old);
    const struct state *s = c->state;

    if (!now) {
        expectations_forget(c->expectations, key);
        job_memory_forget(s->memory, key);
    }
    if (!now || job_finished(OBJECT_BODY(now, job)))
        enqueue_leftovers(c, now ? now : old);
    if (old && now && object_meta(old)->generation == object_meta(now)->generation && !job_finished(OBJECT_BODY(now, job)))
        workqueue_add_after(c->queue, key, BATCH_MS);
    else
        workqueue_add(c->queue, key);
}

static void
enqueue_batched(struct controller *c, const struct object *job)
{
    AUTO_FREE char *key = object_key(job);

    workqueue_add_after(c->queue, key, BATCH_MS);
}

/* An orphan may be somebody's. */
static void
enqueue_matching(struct controller *c, const struct object *pod)
{
    const struct state *s = c->state;
    AUTO_OBJECT_LIST jobs = { 0 };
    AUTO(arena) *a = arena_new(0);

    informer_list(s->jobs, object_namespace(pod), &jobs);
    for (size_t i = 0; i < jobs.len; i++) {
        struct label_query *q = NULL;
        kerr_free(label_query_from(OBJECT_BODY(jobs.items[i], job)->spec.selector, a, &q));
        if (q && label_query_matches(q, &object_meta(pod)->labels))
            enqueue_batched(c, jobs.items[i]);
    }
}

/* What the sync waits for: the pod is there, it is being deleted, it has no finalizer. */
static void
note_seen(struct controller *c, const struct object *job, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;
    const struct object_meta *meta = object_meta(now ? now : old);
    AUTO_FREE char *key = object_key(job);

    if (!old && !meta_deleting(meta))
        expectations_creation_seen(c->expectations, key);
    if (!now || meta_deleting(meta))
        expectations_deletion_seen(c->expectations, key, meta->uid);
    if (!now || !meta_has_finalizer(meta, JOB_FINALIZER))
        job_memory_removed(s->memory, key, meta->uid);
}

static void
pod_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;
    const struct object *pod = now ? now : old;
    AUTO(object) *job = job_of(s, pod);
    AUTO(object) *old_job = old && now ? job_of(s, old) : NULL;

    if (old_job && (!job || !str_eq(object_meta(job)->uid, object_meta(old_job)->uid))) {
        note_seen(c, old_job, old, meta_has_finalizer(object_meta(now), JOB_FINALIZER) ? now : NULL);
        enqueue_batched(c, old_job);
    }
    if (job) {
        note_seen(c, job, old, now);
        enqueue_batched(c, job);
    }
    if (now && is_left_behind(s, now) && (!meta_controller(object_meta(now)) || meta_deleting(object_meta(now))))
        enqueue_pod(c, now);
    if (now && !meta_controller(object_meta(now)) && !meta_deleting(object_meta(now)) &&
        (!old || meta_controller(object_meta(old)) || !api_equal(&api_type_object_meta, object_meta(old), object_meta(now))))
        enqueue_matching(c, now);
}

struct kerr *
job_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    c->expectations = expectations_new();
    c->expected = api_kind_find("v1", "Pod");
    s->memory = job_memory_new();
    s->kind = api_kind_find("batch/v1", "Job");
    s->jobs = controller_informer(c, "batch/v1", "Job");
    s->pods = controller_informer(c, "v1", "Pod");
    s->pods_by_owner = controller_owner_index(s->pods);
    controller_queue(c, (unsigned)c->options->syncs_job, sync_key);
    controller_watch(c, "batch/v1", "Job", job_changed);
    controller_watch(c, "v1", "Pod", pod_changed);
    return NULL;
}

void
job_stop(struct controller *c)
{
    struct state *s = c->state;

    if (s)
        job_memory_free(s->memory);
    free(s);
}
