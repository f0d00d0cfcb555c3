// SPDX-License-Identifier: Apache-2.0
/* job_status.c - counting the pods of a Job, its conditions, and its end. */
#include <inttypes.h>

#include "common/api/values.h"
#include "controller-manager/job.h"

/* --- conditions --- */

const struct job_condition *
job_condition_find(const struct job_status *s, const char *type)
{
    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (str_eq(s->conditions.items[i].type, type))
            return &s->conditions.items[i];
    return NULL;
}

static bool
is_true(const struct job_status *s, const char *type)
{
    const struct job_condition *c = job_condition_find(s, type);

    return c && str_eq(c->status, "True");
}

bool
job_finished(const struct job *j)
{
    return is_true(&j->status, "Complete") || is_true(&j->status, "Failed");
}

void
job_condition_set(struct job_view *v, const char *type, const char *status, const char *reason, const char *message)
{
    struct job_condition_slice *l = &v->j->status.conditions;
    struct api_time now = { v->now.sec, 0 };
    struct job_condition c = { type, status, now, now, reason, arena_strdup(v->a, message) };

    for (uint32_t i = 0; i < l->len; i++) {
        if (!str_eq(l->items[i].type, type))
            continue;
        if (!str_eq(l->items[i].status, status))
            l->items[i] = c;
        return;
    }
    struct job_condition *items = arena_alloc(v->a, (l->len + 1) * sizeof *items);
    for (uint32_t i = 0; i < l->len; i++)
        items[i] = l->items[i];
    items[l->len] = c;
    *l = (struct job_condition_slice){ items, l->len + 1, l->len + 1 };
}

/* --- counting --- */

bool
pod_has_job_finalizer(const struct pod *pod)
{
    return meta_has_finalizer(&pod->metadata, JOB_FINALIZER);
}

int64_t
job_pod_index(const struct object *pod)
{
    int64_t n;

    return parse_i64(str_safe(meta_annotation(object_meta(pod), JOB_INDEX)), &n) || n < 0 ? -1 : n;
}

static bool
is_failed(const struct job_view *v, const struct pod *pod)
{
    if (str_eq(pod->status.phase, "Failed"))
        return true;
    /* with podReplacementPolicy Failed, one that is being deleted fails only at its end */
    return !str_eq(v->j->spec.pod_replacement_policy, "Failed") && meta_deleting(&pod->metadata) && !str_eq(pod->status.phase, "Succeeded");
}

static bool
is_noted(const struct job_view *v, const char *uid)
{
    const struct uncounted_terminated_pods *u = v->was->status.uncounted_terminated_pods;

    return u && (string_slice_has(&u->succeeded, uid) || string_slice_has(&u->failed, uid));
}

static void
sort_pod(struct job_view *v, const struct object *obj)
{
    const struct pod *pod = OBJECT_BODY(obj, pod);
    bool open = pod_has_job_finalizer(pod) && !is_noted(v, pod->metadata.uid);

    if (pod_active(pod)) {
        object_list_ref(&v->active, obj);
        v->ready += pod_ready(pod);
    } else if (meta_deleting(&pod->metadata) && !pod_terminal(pod))
        v->terminating++;
    if (v->indexed && str_eq(pod->status.phase, "Succeeded") && job_pod_index(obj) < i32_or(v->j->spec.completions, 0) &&
        (pod_has_job_finalizer(pod) || is_noted(v, pod->metadata.uid)))
        index_set_add(&v->done, job_pod_index(obj));
    if (open && str_eq(pod->status.phase, "Succeeded"))
        object_list_ref(&v->new_succeeded, obj);
    else if (open && is_failed(v, pod))
        object_list_ref(&v->new_failed, obj);
}

void
job_view_count(struct job_view *v)
{
    const struct job_status *s = &v->was->status;
    const struct uncounted_terminated_pods *u = s->uncounted_terminated_pods;

    v->done = index_set_parse(s->completed_indexes, i32_or(v->j->spec.completions, 0), v->a);
    for (size_t i = 0; i < v->mine.len; i++)
        sort_pod(v, v->mine.items[i]);
    v->succeeded = s->succeeded + (int32_t)v->new_succeeded.len + (u ? (int32_t)u->succeeded.len : 0);
    v->failed = s->failed + (int32_t)v->new_failed.len + (u ? (int32_t)u->failed.len : 0);
    if (v->indexed)
        v->succeeded = (int32_t)index_set_count(&v->done);
}

/* --- status.uncountedTerminatedPods --- */

static struct uncounted_terminated_pods *
uncounted(struct job_view *v)
{
    if (!v->j->status.uncounted_terminated_pods)
        v->j->status.uncounted_terminated_pods = ARENA_NEW(v->a, struct uncounted_terminated_pods);
    return v->j->status.uncounted_terminated_pods;
}

void
job_note_uncounted(struct job_view *v)
{
    struct uncounted_terminated_pods *u = uncounted(v);

    /* completed indexes are the count of an Indexed Job: its succeeded pods need no note */
    for (size_t i = 0; i < v->new_succeeded.len && !v->indexed; i++)
        string_slice_add(&u->succeeded, v->a, object_meta(v->new_succeeded.items[i])->uid);
    for (size_t i = 0; i < v->new_failed.len; i++)
        string_slice_add(&u->failed, v->a, object_meta(v->new_failed.items[i])->uid);
    if (v->indexed) {
        v->j->status.completed_indexes = index_set_text(&v->done, v->a);
        v->j->status.succeeded = v->succeeded;
    }
}

static bool
holds_finalizer(const struct job_view *v, const char *uid)
{
    for (size_t i = 0; i < v->mine.len; i++)
        if (str_eq(object_meta(v->mine.items[i])->uid, uid))
            return pod_has_job_finalizer(OBJECT_BODY(v->mine.items[i], pod));
    return false;
}

static int32_t
settle(struct job_view *v, struct string_slice *l)
{
    struct string_slice kept = { 0 };
    int32_t settled = 0;

    for (uint32_t i = 0; i < l->len; i++) {
        if (holds_finalizer(v, l->items[i]))
            string_slice_add(&kept, v->a, l->items[i]);
        else
            settled++;
    }
    *l = kept;
    return settled;
}

/* Those whose finalizer is off, as we saw, count for good. */
void
job_settle_uncounted(struct job_view *v)
{
    struct uncounted_terminated_pods *u = uncounted(v);
    int32_t succeeded = settle(v, &u->succeeded);

    if (!v->indexed)
        v->j->status.succeeded += succeeded;
    v->j->status.failed += settle(v, &u->failed);
}

static bool
has_uncounted(const struct job_view *v)
{
    const struct uncounted_terminated_pods *u = v->j->status.uncounted_terminated_pods;

    return (u && u->succeeded.len + u->failed.len > 0) || v->new_succeeded.len + v->new_failed.len > 0;
}

/* --- the end --- */

void
job_end(struct job_view *v, struct plan *status)
{
    const struct job_condition *t = v->target;

    if (!t || has_uncounted(v) || v->active.len > 0 || v->terminating > 0)
        return;
    if (str_eq(t->type, "SuccessCriteriaMet")) {
        job_condition_set(v, "Complete", "True", t->reason, t->message);
        v->j->status.completion_time = arena_time(v->a, (struct api_time){ v->now.sec, 0 });
        plan_event(status, v->picture->job, EVENT_NORMAL, "Completed", "Job completed");
    } else {
        job_condition_set(v, "Failed", "True", t->reason, t->message);
        plan_event(status, v->picture->job, EVENT_WARNING, t->reason, "%s", t->message);
    }
    v->j->status.ready = arena_i32(v->a, 0);
}

static void
plan_finalizer_off(struct plan *plan, const struct object *pod, const char *reason)
{
    AUTO_FREE char *patch = xasprintf("{\"metadata\":{\"uid\":\"%s\",\"$deleteFromPrimitiveList/finalizers\":[\"" JOB_FINALIZER "\"]}}", object_meta(pod)->uid);
    struct action *a = plan_patch(plan, object_kind(pod), object_namespace(pod), object_name(pod), REST_PATCH_STRATEGIC, NULL, patch, reason);

    a->flags = ACTION_IGNORE_NOT_FOUND | ACTION_GO_ON;
    a->batch = 3;
}

/* After the status that knows them was written: pods that are noted, and all of a Job that is over or goes. */
void
job_plan_finalizers(struct job_view *v, struct plan *status)
{
    bool over = job_finished(v->j) || meta_deleting(&v->j->metadata);
    const struct uncounted_terminated_pods *u = v->j->status.uncounted_terminated_pods;

    for (size_t i = 0; i < v->mine.len; i++) {
        const struct object *obj = v->mine.items[i];
        const struct pod *pod = OBJECT_BODY(obj, pod);
        bool noted = u && (string_slice_has(&u->succeeded, pod->metadata.uid) || string_slice_has(&u->failed, pod->metadata.uid));
        bool counted = v->indexed && str_eq(pod->status.phase, "Succeeded"); /* by its index, or a double of one */
        if (pod_has_job_finalizer(pod) && (noted || counted || over))
            plan_finalizer_off(status, obj, over && !noted ? "the Job is over" : "it is counted");
    }
}
