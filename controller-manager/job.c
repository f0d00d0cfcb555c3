// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/job.h"

#include <pthread.h>
#include <uthash.h>

#include "common/api/values.h"
#include "common/base/clock.h"
#include "controller-manager/controllers.h"

void
job_picture_done(struct job_picture *p)
{
    object_unref(p->job);
    object_list_done(&p->pods);
}

/* --- outcome --- */

static bool
past_deadline(const struct job_view *v)
{
    const struct job_spec *spec = &v->j->spec;

    return spec->active_deadline_seconds && v->j->status.start_time && !v->suspended &&
           v->now.sec - v->j->status.start_time->sec >= *spec->active_deadline_seconds;
}

/* With restartPolicy OnFailure the failures are restarts of containers. */
static bool
past_restarts(const struct job_view *v)
{
    int64_t restarts = 0, limit = i32_or(v->j->spec.backoff_limit, 6);

    if (!str_eq(v->j->spec.template.spec.restart_policy, "OnFailure"))
        return false;
    for (size_t i = 0; i < v->mine.len; i++) {
        const struct pod_status *s = &OBJECT_BODY(v->mine.items[i], pod)->status;
        if (!str_eq(s->phase, "Running") && !str_eq(s->phase, "Pending"))
            continue;
        for (uint32_t c = 0; c < s->init_container_statuses.len; c++)
            restarts += s->init_container_statuses.items[c].restart_count;
        for (uint32_t c = 0; c < s->container_statuses.len; c++)
            restarts += s->container_statuses.items[c].restart_count;
    }
    return limit == 0 ? restarts > 0 : restarts >= limit;
}

static bool
is_enough(const struct job_view *v)
{
    const int32_t *completions = v->j->spec.completions;

    if (!completions)
        return v->succeeded > 0 && v->active.len == 0;
    return v->succeeded >= *completions;
}

static void
find_outcome(struct job_view *v)
{
    const struct job_status *s = &v->j->status;

    v->target = job_condition_find(s, "FailureTarget");
    v->target = v->target ? v->target : job_condition_find(s, "SuccessCriteriaMet");
    if (v->target)
        return;
    if (v->failed > i32_or(v->j->spec.backoff_limit, 6) || past_restarts(v))
        job_condition_set(v, "FailureTarget", "True", "BackoffLimitExceeded", "Job has reached the specified backoff limit");
    else if (past_deadline(v))
        job_condition_set(v, "FailureTarget", "True", "DeadlineExceeded", "Job was active longer than specified deadline");
    else if (is_enough(v))
        job_condition_set(v, "SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods");
    v->target = job_condition_find(s, "FailureTarget");
    v->target = v->target ? v->target : job_condition_find(s, "SuccessCriteriaMet");
}

/* --- pods --- */

static void
delete_pods(struct job_view *v, size_t n, struct plan *plan, const char *reason)
{
    pods_rank_for_deletion(&v->active, NULL, v->now);
    for (size_t i = 0; i < n; i++) {
        struct action *a = plan_delete(plan, v->active.items[i], reason);
        a->batch = 2;
        a->flags |= ACTION_GO_ON;
        object_unref(v->active.items[i]);
        v->terminating++;
    }
    memmove(v->active.items, v->active.items + n, (v->active.len - n) * sizeof *v->active.items);
    v->active.len -= n;
}

static uint64_t
backoff_left_ms(const struct job_view *v)
{
    const struct job_backoff *b = &v->picture->backoff;
    uint64_t wait = JOB_BACKOFF_MS;

    if (b->failures == 0)
        return 0;
    for (uint32_t i = 1; i < b->failures && wait < JOB_BACKOFF_MAX_MS; i++)
        wait *= 2;
    wait = wait < JOB_BACKOFF_MAX_MS ? wait : JOB_BACKOFF_MAX_MS;
    uint64_t passed = seconds_between_ms(b->last_failure, v->now);
    return passed >= wait ? 0 : wait - passed;
}

static int64_t
next_index(const struct job_view *v, int64_t from, const struct index_set *running)
{
    while (index_set_has(&v->done, from) || index_set_has(running, from))
        from++;
    return from;
}

static void
set_index(struct object *obj, const struct job *j, int64_t index)
{
    struct arena *a = object_arena(obj);
    struct pod *pod = object_body(obj);
    const char *text = arena_printf(a, "%lld", (long long)index);

    pod->metadata.generate_name = arena_printf(a, "%s-%s-", j->metadata.name, text);
    string_map_set(&pod->metadata.annotations, a, JOB_INDEX, text);
    string_map_set(&pod->metadata.labels, a, JOB_INDEX, text);
    pod->spec.hostname = arena_printf(a, "%s-%s", j->metadata.name, text);
    for (int list = 0; list < 2; list++) {
        struct container_slice *cs = list ? &pod->spec.init_containers : &pod->spec.containers;
        for (uint32_t i = 0; i < cs->len; i++) {
            struct env_var_slice *env = &cs->items[i].env;
            struct env_var *items = arena_alloc(a, (env->len + 1) * sizeof *items);
            struct env_var_source *from = ARENA_NEW(a, struct env_var_source);
            from->field_ref = ARENA_NEW(a, struct object_field_selector);
            from->field_ref->field_path = "metadata.annotations['" JOB_INDEX "']";
            for (uint32_t e = 0; e < env->len; e++)
                items[e] = env->items[e];
            items[env->len] = (struct env_var){ .name = "JOB_COMPLETION_INDEX", .value_from = from };
            *env = (struct env_var_slice){ items, env->len + 1, env->len + 1 };
        }
    }
}

static void
create_pods(struct job_view *v, size_t n, struct plan *plan)
{
    struct index_set running = { .arena = v->a };
    AUTO_FREE char *why = xasprintf("%zu are active, %d succeeded", v->active.len, v->succeeded);
    int64_t index = 0;

    for (size_t i = 0; i < v->active.len && v->indexed; i++)
        index_set_add(&running, job_pod_index(v->active.items[i]));
    for (size_t i = 0; i < n; i++) {
        struct object *obj = pod_from_template(&v->j->spec.template, v->obj);
        meta_add_finalizer(object_meta(obj), object_arena(obj), JOB_FINALIZER);
        if (v->indexed) {
            index = next_index(v, index, &running);
            set_index(obj, v->j, index++);
        }
        plan_create(plan, obj, why)->batch = 1;
    }
}

static int64_t
wanted_active(const struct job_view *v)
{
    int64_t parallelism = i32_or(v->j->spec.parallelism, 1), active = (int64_t)v->active.len;

    if (!v->j->spec.completions)
        return v->succeeded > 0 ? active : parallelism;
    int64_t want = (int64_t)*v->j->spec.completions - v->succeeded;
    want = want < parallelism ? want : parallelism;
    return want > 0 ? want : 0;
}

/* Returns how many pods it creates. */
static size_t
manage(struct job_view *v, struct plan *plan)
{
    int64_t active = (int64_t)v->active.len, want = wanted_active(v);
    uint64_t wait_ms;

    if (v->suspended) {
        delete_pods(v, v->active.len, plan, "the Job is suspended");
        return 0;
    }
    if (active > want) {
        int64_t n = active - want;
        delete_pods(v, (size_t)(n < JOB_BURST ? n : JOB_BURST), plan, "more are active than wanted");
        return 0;
    }
    if (str_eq(v->j->spec.pod_replacement_policy, "Failed"))
        want -= v->terminating;
    if (want <= active)
        return 0;
    wait_ms = backoff_left_ms(v);
    if (wait_ms) {
        plan_requeue(plan, wait_ms);
        return 0;
    }
    int64_t n = want - active < JOB_BURST ? want - active : JOB_BURST;
    create_pods(v, (size_t)n, plan);
    return (size_t)n;
}

/* --- the whole --- */

static void
mark_suspended(struct job_view *v, struct plan *status)
{
    const struct job_condition *c = job_condition_find(&v->j->status, "Suspended");
    bool was = c && str_eq(c->status, "True");

    if (v->suspended && !was) {
        job_condition_set(v, "Suspended", "True", "JobSuspended", "Job suspended");
        plan_event(status, v->picture->job, EVENT_NORMAL, "Suspended", "Job suspended");
    } else if (!v->suspended && was) {
        job_condition_set(v, "Suspended", "False", "JobResumed", "Job resumed");
        v->j->status.start_time = arena_time(v->a, (struct api_time){ v->now.sec, 0 });
        plan_event(status, v->picture->job, EVENT_NORMAL, "Resumed", "Job resumed");
    }
}

static void
put_last_first(struct plan *p)
{
    struct action last = p->items[p->len - 1];

    memmove(&p->items[1], &p->items[0], (p->len - 1) * sizeof last);
    p->items[0] = last;
}

static void
plan_status(struct job_view *v, size_t created, struct plan *status)
{
    struct job_status *s = &v->j->status;

    s->active = (int32_t)(v->active.len + created);
    s->ready = arena_i32(v->a, v->ready < s->active ? v->ready : s->active);
    s->terminating = arena_i32(v->a, v->terminating);
    job_settle_uncounted(v);
    job_note_uncounted(v);
    job_end(v, status);
    if (!api_equal(&api_type_job_status, &v->was->status, s)) {
        AUTO_FREE char *why = xasprintf("status: active %d, succeeded %d, failed %d", s->active, v->succeeded, v->failed);
        plan_update_status(status, object_ref(v->obj), why);
        put_last_first(status); /* an event about the end only when the end is written */
    }
    job_plan_finalizers(v, status);
}

static void
decide(struct job_view *v, struct job_plans *out)
{
    const struct job_spec *spec = &v->j->spec;
    size_t created = 0;

    job_view_count(v);
    if (!v->j->status.start_time && !v->suspended)
        v->j->status.start_time = arena_time(v->a, (struct api_time){ v->now.sec, 0 });
    find_outcome(v);
    if (v->target)
        delete_pods(v, v->active.len, out->pods, "the outcome of the Job is clear");
    else {
        if (v->picture->settled && !meta_deleting(&v->j->metadata))
            created = manage(v, out->pods);
        mark_suspended(v, out->status);
    }
    if (spec->active_deadline_seconds && v->j->status.start_time && !v->target && !v->suspended) {
        struct api_time due = { v->j->status.start_time->sec + *spec->active_deadline_seconds, 0 };
        plan_requeue(out->status, seconds_between_ms(v->now, due) + 1);
    }
    plan_status(v, created, out->status);
}

static void
view_done(struct job_view *v)
{
    object_unref(v->obj);
    object_list_done(&v->mine);
    object_list_done(&v->active);
    object_list_done(&v->new_succeeded);
    object_list_done(&v->new_failed);
}

struct job_plans
job_decide(struct job_picture *p, const char *key, struct api_time now)
{
    struct job_plans out = { plan_new(key), plan_new(key) };
    struct job_view v = { .picture = p, .was = OBJECT_BODY(p->job, job), .obj = object_copy(p->job), .now = now };
    AUTO(arena) *a = arena_new(0);
    struct label_query *selector = NULL;

    v.j = object_body(v.obj);
    v.a = object_arena(v.obj);
    v.indexed = str_eq(v.j->spec.completion_mode, "Indexed");
    v.suspended = bool_or(v.j->spec.suspend, false);
    AUTO(kerr) *err = label_query_from(v.j->spec.selector, a, &selector);
    bool ours = str_empty(v.j->spec.managed_by) || str_eq(v.j->spec.managed_by, "kubernetes.io/job-controller");
    if (!err && ours) {
        struct claim claim = { p->job, selector, p->can_adopt, JOB_FINALIZER };
        claim_objects(&claim, &p->pods, out.pods, &v.mine);
        if (job_finished(v.was))
            job_plan_finalizers(&v, out.status);
        else
            decide(&v, &out);
    }
    view_done(&v);
    return out;
}

/* --- observe and act --- */

struct memory { /* of one Job's failures */
    char *key;
    struct job_backoff backoff;
    int32_t failed, succeeded; /* as counted last */
    UT_hash_handle hh;
};
struct state {
    struct informer *jobs, *pods;
    unsigned pods_by_owner;
    pthread_mutex_t lock; /* guards memory */
    struct memory *memory;
};

static int32_t
uncounted_len(const struct job_status *s, bool failed)
{
    const struct uncounted_terminated_pods *u = s->uncounted_terminated_pods;

    return !u ? 0 : (int32_t)(failed ? u->failed.len : u->succeeded.len);
}

/* Failures since the last success, from the counts that the Job's status shows. */
static struct job_backoff
remember(struct state *s, const char *key, const struct job *j)
{
    struct memory *m;
    int32_t failed = j->status.failed + uncounted_len(&j->status, true);
    int32_t succeeded = j->status.succeeded + uncounted_len(&j->status, false);

    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->memory, key, m);
    if (!m) {
        m = XNEW(struct memory);
        m->key = xstrdup(key);
        m->failed = failed; /* what failed before we came does not hold the Job up */
        m->succeeded = succeeded;
        HASH_ADD_KEYPTR(hh, s->memory, m->key, strlen(m->key), m);
    }
    if (succeeded > m->succeeded)
        m->backoff.failures = 0;
    if (failed > m->failed) {
        m->backoff.failures += (uint32_t)(failed - m->failed);
        m->backoff.last_failure = controller_now();
    }
    m->failed = failed;
    m->succeeded = succeeded;
    struct job_backoff b = m->backoff;
    pthread_mutex_unlock(&s->lock);
    return b;
}

static void
forget(struct controller *c, const char *key)
{
    struct state *s = c->state;
    struct memory *m;

    expectations_forget(c->expectations, key);
    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->memory, key, m);
    if (m) {
        HASH_DEL(s->memory, m);
        free(m->key);
        free(m);
    }
    pthread_mutex_unlock(&s->lock);
}

static struct kerr *
check_adoption(struct controller *c, struct job_picture *p)
{
    AUTO(arena) *a = arena_new(0);
    struct label_query *q;
    struct kerr *err = label_query_from(OBJECT_BODY(p->job, job)->spec.selector, a, &q);
    struct claim claim = { .owner = p->job, .selector = err ? NULL : q };

    if (err || !claim_needs_adoption(&claim, &p->pods))
        return err;
    return claim_check_live(c->rest, p->job, &p->can_adopt);
}

static struct kerr *
act(struct controller *c, struct job_picture *p, const char *key)
{
    struct job_plans plans = job_decide(p, key, controller_now());
    struct kerr *pods_err = controller_act(c, p->job, plans.pods);

    if (pods_err && plans.status->len > 0 && plans.status->items[0].verb == ACTION_UPDATE_STATUS) {
        /* what was not created is not active */
        struct job *j = OBJECT_BODY(plans.status->items[0].object, job);
        j->status.active = OBJECT_BODY(p->job, job)->status.active;
    }
    struct kerr *status_err = controller_act(c, NULL, plans.status);
    if (!pods_err)
        return status_err;
    kerr_free(status_err);
    return pods_err;
}

/* A pod whose Job is gone keeps nobody waiting. */
static struct kerr *
release_orphan(struct controller *c, const char *key)
{
    const struct state *s = c->state;
    AUTO(object) *pod = informer_get_key(s->pods, key);
    const struct owner_reference *ref = pod ? meta_controller(object_meta(pod)) : NULL;

    if (!pod || !pod_has_job_finalizer(OBJECT_BODY(pod, pod)))
        return NULL;
    AUTO(object) *job = owner_ref_is(ref, informer_kind(s->jobs)) ? informer_get(s->jobs, object_namespace(pod), ref->name) : NULL;
    if (job && str_eq(object_meta(job)->uid, ref->uid))
        return NULL;
    AUTO_FREE char *patch = xasprintf("{\"metadata\":{\"uid\":\"%s\",\"$deleteFromPrimitiveList/finalizers\":[\"" JOB_FINALIZER "\"]}}", object_meta(pod)->uid);
    struct plan *plan = plan_new(key);
    plan_patch(plan, object_kind(pod), object_namespace(pod), object_name(pod), REST_PATCH_STRATEGIC, NULL, patch, "its Job is gone")->flags =
        ACTION_IGNORE_NOT_FOUND;
    return controller_act(c, NULL, plan);
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;

    if (str_has_prefix(key, "orphan:"))
        return release_orphan(c, key + strlen("orphan:"));
    struct job_picture p = { .job = informer_get_key(s->jobs, key) };
    if (!p.job) {
        forget(c, key);
        return NULL;
    }
    p.settled = expectations_satisfied(c->expectations, key, clock_mono_ms());
    p.backoff = remember(s, key, OBJECT_BODY(p.job, job));
    controller_owned(s->pods, s->pods_by_owner, object_meta(p.job)->uid, object_namespace(p.job), &p.pods);
    struct kerr *err = check_adoption(c, &p);
    if (!err)
        err = act(c, &p, key);
    job_picture_done(&p);
    return err;
}

static void
enqueue_orphan(struct controller *c, const struct object *pod)
{
    AUTO_FREE char *key = xasprintf("orphan:%s/%s", object_namespace(pod), object_name(pod));

    workqueue_add(c->queue, key);
}

static void
job_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;
    AUTO_OBJECT_LIST pods = { 0 };

    controller_enqueue(c, now ? now : old);
    if (now)
        return;
    controller_owned(s->pods, s->pods_by_owner, object_meta(old)->uid, NULL, &pods);
    for (size_t i = 0; i < pods.len; i++)
        enqueue_orphan(c, pods.items[i]);
}

static void
enqueue_matching(struct controller *c, const struct object *pod)
{
    const struct state *s = c->state;
    AUTO_OBJECT_LIST jobs = { 0 };
    AUTO(arena) *a = arena_new(0);

    informer_list(s->jobs, object_namespace(pod), &jobs);
    for (size_t i = 0; i < jobs.len; i++) {
        struct label_query *q;
        AUTO(kerr) *err = label_query_from(OBJECT_BODY(jobs.items[i], job)->spec.selector, a, &q);
        if (!err && !label_query_empty(q) && label_query_matches(q, &object_meta(pod)->labels))
            controller_enqueue(c, jobs.items[i]);
    }
}

static void
pod_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;
    const struct owner_reference *ref = now ? meta_controller(object_meta(now)) : NULL;

    controller_pod_changed(c, informer_kind(s->jobs), old, now);
    if (!now)
        return;
    if (!ref && !old)
        enqueue_matching(c, now);
    if (!pod_has_job_finalizer(OBJECT_BODY(now, pod)))
        return;
    AUTO(object) *job = owner_ref_is(ref, informer_kind(s->jobs)) ? informer_get(s->jobs, object_namespace(now), ref->name) : NULL;
    if (!job || !str_eq(object_meta(job)->uid, ref->uid))
        enqueue_orphan(c, now);
}

struct kerr *
job_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    c->expectations = expectations_new();
    c->expected = api_kind_find("v1", "Pod");
    pthread_mutex_init(&s->lock, NULL);
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
    struct memory *m, *next;

    if (!s)
        return;
    HASH_ITER (hh, s->memory, m, next) {
        HASH_DEL(s->memory, m);
        free(m->key);
        free(m);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}
