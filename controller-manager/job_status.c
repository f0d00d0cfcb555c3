// SPDX-License-Identifier: Apache-2.0
/* job_status.c - the second and third step of a Job's sync: what ended goes into the status, then its finalizer goes. */
#include "common/api/codec.h"
#include "common/api/values.h"
#include "controller-manager/job.h"

static bool
went_wrong(const struct action *a)
{
    return a->state == ACTION_FAILED || a->state == ACTION_SKIPPED;
}

static bool
is_indexed(const struct job *j)
{
    return str_eq(j->spec.completion_mode, "Indexed");
}

static bool
is_type(const struct job_condition *c, const char *type)
{
    return c && str_eq(c->type, type);
}

/* --- what the first step did --- */

static bool
pod_is_ready(const struct job_picture *p, const char *name)
{
    for (size_t i = 0; i < p->active.len; i++)
        if (str_eq(object_name(p->active.items[i]), name))
            return pod_ready(OBJECT_BODY(p->active.items[i], pod));
    return false;
}

static void
add_outcome(struct job_picture *p, const struct plan *managed)
{
    for (size_t i = 0; i < managed->len; i++) {
        const struct action *a = &managed->items[i];
        if (went_wrong(a))
            continue;
        if (a->verb == ACTION_CREATE)
            p->n.active++;
        if (a->verb != ACTION_DELETE)
            continue;
        p->n.active--;
        p->n.terminating++;
        p->n.ready -= pod_is_ready(p, a->name);
    }
}

static struct job_condition *
condition(const struct job_picture *p, const char *type, const char *status, const char *reason, const char *message, struct api_time now)
{
    struct job_condition *c = ARENA_NEW(object_arena(p->next), struct job_condition);

    *c = (struct job_condition){ type, status, { now.sec, 0 }, { now.sec, 0 }, arena_strdup(object_arena(p->next), reason),
                                 arena_strdup(object_arena(p->next), message) };
    return c;
}

static bool
set_condition(struct job_picture *p, const struct job_condition *c)
{
    struct job_condition_slice *l = &p->j->status.conditions;
    const struct job_condition *had = job_condition_find(&p->j->status, c->type);
    uint32_t n = 0;

    if (had ? str_eq(had->status, c->status) && str_eq(had->reason, c->reason) && str_eq(had->message, c->message) : str_eq(c->status, "False"))
        return false; /* a "False" that was never there is not added */
    struct job_condition *items = arena_alloc(object_arena(p->next), (l->len + 1) * sizeof *items);
    for (uint32_t i = 0; i < l->len; i++)
        items[n++] = &l->items[i] == had ? *c : l->items[i];
    if (!had)
        items[n++] = *c;
    *l = (struct job_condition_slice){ items, n, n };
    return true;
}

static void
judge_suspension(struct job_picture *p, struct plan *plan, struct api_time now)
{
    bool suspend = bool_or(p->j->spec.suspend, false);
    const struct job_condition *c = suspend ? condition(p, "Suspended", "True", "JobSuspended", "Job suspended", now)
                                            : condition(p, "Suspended", "False", "JobResumed", "Job resumed", now);

    if (!set_condition(p, c))
        return;
    p->suspend_changed = true;
    plan_event(plan, p->job, EVENT_NORMAL, suspend ? "Suspended" : "Resumed", "%s", c->message);
    if (!suspend) /* activeDeadlineSeconds counts anew */
        p->j->status.start_time = arena_time(object_arena(p->next), (struct api_time){ now.sec, 0 });
}

static void
judge_completion(struct job_picture *p, struct plan *plan, struct api_time now)
{
    const struct job_spec *spec = &p->j->spec;
    bool enough = spec->completions ? p->n.succeeded >= *spec->completions : p->n.succeeded > 0;

    if (enough && p->n.active == 0)
        p->finished = condition(p, "SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods", now);
    else if (p->settled && !meta_deleting(object_meta(p->job)))
        judge_suspension(p, plan, now);
}

/* --- the pods that ended --- */

static bool
has_finalizer(const struct job_picture *p, const struct object *obj)
{
    const struct object_meta *meta = object_meta(obj);

    return (meta_has_finalizer(meta, JOB_FINALIZER) || !meta_controller(meta)) && !strlist_has(&p->removing, meta->uid);
}

static bool
may_go(const struct job_picture *p, const struct pod *pod, bool failed)
{
    int32_t index = job_pod_index(pod);

    if (meta_deleting(object_meta(p->job)) || p->finished || str_eq(pod->status.phase, "Succeeded"))
        return true;
    if (!failed || !p->delayed || index < 0 || index >= *p->j->spec.completions || !p->delayed[index])
        return failed;
    return !str_eq(object_meta(p->delayed[index])->uid, pod->metadata.uid);
}

/* Into the lists of the status; its uid says later on that it is not to be counted again. */
static void
add_uncounted(struct job_picture *p, const struct pod *pod, bool failed)
{
    struct uncounted_terminated_pods *list = p->j->status.uncounted_terminated_pods;
    struct arena *a = object_arena(p->next);
    int32_t index = job_pod_index(pod);
    bool valid = !is_indexed(p->j) || (index >= 0 && index < *p->j->spec.completions);

    if (string_slice_has(&list->failed, pod->metadata.uid))
        return;
    if (str_eq(pod->status.phase, "Succeeded")) {
        if (is_indexed(p->j)) { /* the index itself is the record */
            p->status_due = p->status_due || (valid && !index_set_has(p->was_succeeded, index));
        } else if (!string_slice_has(&list->succeeded, pod->metadata.uid)) {
            string_slice_add(&list->succeeded, a, pod->metadata.uid);
            p->status_due = true;
        }
        return;
    }
    if (!failed && (!p->finished || is_type(p->finished, "SuccessCriteriaMet")))
        return;
    if (!valid || job_pod_failure(p->j, pod, a, NULL) == JOB_IGNORE)
        return;
    string_slice_add(&list->failed, a, pod->metadata.uid);
    p->status_due = true;
}

static void
take_ended(struct job_picture *p)
{
    const struct uncounted_terminated_pods *list = p->j->status.uncounted_terminated_pods;

    for (size_t i = 0; i < p->mine.len; i++) {
        const struct pod *pod = OBJECT_BODY(p->mine.items[i], pod);
        bool failed = job_pod_failed(p->j, pod);
        if (!has_finalizer(p, p->mine.items[i]) || !may_go(p, pod, failed))
            continue;
        object_list_ref(&p->unfinalize, p->mine.items[i]);
        add_uncounted(p, pod, failed);
        if (list->succeeded.len + list->failed.len >= JOB_UNCOUNTED_MAX || p->unfinalize.len >= 2 * JOB_UNCOUNTED_MAX) {
            p->over_limit = true; /* the rest with the next sync: the status must not grow without bound */
            return;
        }
    }
}

/* --- uncounted pods whose finalizer is gone become numbers --- */

static bool
is_in(const struct object_list *l, const char *uid)
{
    for (size_t i = 0; i < l->len; i++)
        if (str_eq(object_meta(l->items[i])->uid, uid))
            return true;
    return false;
}

static int32_t
keep_those(struct string_slice *uids, const struct object_list *with_finalizer)
{
    uint32_t n = 0, was = uids->len;

    for (uint32_t i = 0; i < was; i++)
        if (is_in(with_finalizer, uids->items[i]))
            uids->items[n++] = uids->items[i];
    uids->len = n;
    return (int32_t)(was - n);
}

static bool
count_gone(struct job_picture *p, const struct object_list *with_finalizer)
{
    struct uncounted_terminated_pods *list = p->j->status.uncounted_terminated_pods;
    int32_t succeeded = keep_those(&list->succeeded, with_finalizer), failed = keep_those(&list->failed, with_finalizer);

    if (!is_indexed(p->j))
        p->j->status.succeeded += succeeded;
    p->j->status.failed += failed;
    return succeeded || failed;
}

static void
with_finalizer(const struct job_picture *p, struct object_list *ret)
{
    for (size_t i = 0; i < p->mine.len; i++)
        if (has_finalizer(p, p->mine.items[i]))
            object_list_ref(ret, p->mine.items[i]);
}

/* --- the second step --- */

static void
write_counts(struct job_picture *p)
{
    struct job_status *s = &p->j->status;
    struct arena *a = object_arena(p->next);

    p->status_due = p->status_due || p->suspend_changed || s->active != p->n.active || !s->ready || *s->ready != p->n.ready || !s->terminating ||
                    *s->terminating != p->n.terminating;
    s->active = p->n.active;
    s->ready = arena_i32(a, p->n.ready);
    s->terminating = arena_i32(a, p->n.terminating);
}

static void
write_indexes(struct job_picture *p)
{
    struct job_status *s = &p->j->status;
    struct arena *a = object_arena(p->next);
    const char *text = index_set_text(p->succeeded, a), *failed = p->j->spec.backoff_limit_per_index ? index_set_text(p->failed, a) : NULL;

    p->status_due = p->status_due || !str_eq(text, s->completed_indexes) || !str_eq(failed, s->failed_indexes);
    s->completed_indexes = text;
    s->failed_indexes = failed;
    s->succeeded = (int32_t)index_set_total(p->succeeded);
}

/* The interim condition is written before any finalizer goes; Failed and Complete come last. */
static void
write_interim(struct job_picture *p, struct api_time now)
{
    const struct job_condition *c = p->finished;

    if (!c)
        return;
    bool good = is_type(c, "SuccessCriteriaMet");
    if ((good || is_type(c, "FailureTarget")) && set_condition(p, c))
        p->status_due = true;
    if (good || is_type(c, "FailureTarget"))
        p->finished = condition(p, good ? "Complete" : "Failed", "True", c->reason, c->message, now);
}

static char *
status_text(const struct job_picture *p)
{
    return xasprintf("status: active %d, ready %d, succeeded %d, failed %d, terminating %d", p->n.active, p->n.ready, p->n.succeeded, p->n.failed,
                     p->n.terminating);
}

struct plan *
job_track_decide(struct job_picture *p, const struct plan *managed, const char *key, struct api_time now)
{
    struct plan *plan = plan_new(key);
    bool had_end = p->finished;
    AUTO_OBJECT_LIST holding = { 0 };

    if (!p->j)
        return plan;
    add_outcome(p, managed);
    if (had_end && (p->n.active > 0 || !p->settled))
        p->finished = NULL; /* pods are left, or may be that the copy does not show yet */
    else if (!had_end)
        judge_completion(p, plan, now);
    write_counts(p);
    with_finalizer(p, &holding);
    if (count_gone(p, &holding))
        p->status_due = true;
    take_ended(p);
    if (is_indexed(p->j))
        write_indexes(p);
    write_interim(p, now);
    if (p->status_due) {
        AUTO_FREE char *why = status_text(p);
        plan_update_status(plan, object_ref(p->next), why)->keep_result = true;
    }
    for (size_t i = 0; i < p->unfinalize.len; i++)
        job_patch_finalizer(plan, p->unfinalize.items[i], 1);
    return plan;
}

/* --- the third step --- */

/* The version that the second step wrote; the uids of pods whose finalizer is gone by now. */
static bool
note_outcome(struct job_picture *p, const struct plan *tracked)
{
    bool all = true;

    for (size_t i = 0; i < tracked->len; i++) {
        const struct action *a = &tracked->items[i];
        if (a->verb == ACTION_UPDATE_STATUS && a->result)
            p->j->metadata.resource_version = arena_strdup(object_arena(p->next), object_meta(a->result)->resource_version);
        if (a->verb == ACTION_UPDATE_STATUS && went_wrong(a))
            return false;
        if (a->verb != ACTION_PATCH)
            continue;
        all = all && !went_wrong(a);
        for (size_t k = 0; !went_wrong(a) && k < p->unfinalize.len; k++)
            if (str_eq(object_name(p->unfinalize.items[k]), a->name))
                strlist_add(&p->removing, object_meta(p->unfinalize.items[k])->uid);
    }
    p->over_limit = p->over_limit || !all;
    return true;
}

static bool
end_job(struct job_picture *p, struct plan *plan, struct api_time now)
{
    const struct uncounted_terminated_pods *list = p->j->status.uncounted_terminated_pods;
    const struct job_condition *c = p->finished;

    if (!c || p->over_limit || list->succeeded.len + list->failed.len > 0 || p->n.terminating > 0)
        return false;
    set_condition(p, c);
    if (!is_type(c, "Complete")) {
        plan_event(plan, p->job, EVENT_WARNING, c->reason, "%s", c->message);
        return true;
    }
    p->j->status.completion_time = arena_time(object_arena(p->next), (struct api_time){ now.sec, 0 });
    if (p->j->spec.completions && p->j->status.succeeded > *p->j->spec.completions)
        plan_event(plan, p->job, EVENT_WARNING, "TooManySucceededPods", "Too many succeeded pods running after completion count reached");
    plan_event(plan, p->job, EVENT_NORMAL, "Completed", "Job completed");
    return true;
}

struct plan *
job_finish_decide(struct job_picture *p, const struct plan *tracked, const char *key, struct api_time now)
{
    AUTO(plan) *events = plan_new(key);
    struct plan *plan = plan_new(key);
    AUTO_OBJECT_LIST holding = { 0 };

    if (!p->j || !note_outcome(p, tracked))
        return plan;
    with_finalizer(p, &holding);
    bool due = count_gone(p, &holding), ended = end_job(p, events, now);
    if (due || ended) {
        AUTO_FREE char *why = ended ? xasprintf("the job has ended: %s", p->finished->type) : status_text(p);
        plan_update_status(plan, object_ref(p->next), why)->keep_result = true;
    }
    for (size_t i = 0; i < events->len; i++) /* told once the status is written */
        plan_event(plan, p->job, events->items[i].event_type, events->items[i].event_reason, "%s", events->items[i].event_message);
    return plan;
}
