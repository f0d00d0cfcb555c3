// SPDX-License-Identifier: Apache-2.0
#include "common/api/codec.h"
#include "common/api/values.h"
#include "controller-manager/job.h"

void
job_picture_done(struct job_picture *p)
{
    object_unref(p->job);
    object_unref(p->next);
    object_list_done(&p->pods);
    object_list_done(&p->mine);
    object_list_done(&p->active);
    object_list_done(&p->unfinalize);
    strlist_done(&p->removing);
    free(p->delayed);
}

/* --- conditions --- */

const struct job_condition *
job_condition_find(const struct job_status *s, const char *type)
{
    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (str_eq(s->conditions.items[i].type, type))
            return &s->conditions.items[i];
    return NULL;
}

static const struct job_condition *
condition_true(const struct job *j, const char *type)
{
    const struct job_condition *c = job_condition_find(&j->status, type);

    return c && str_eq(c->status, "True") ? c : NULL;
}

bool
job_finished(const struct job *j)
{
    return condition_true(j, "Complete") || condition_true(j, "Failed");
}

struct api_time
job_finish_time(const struct job *j)
{
    const struct job_condition *c = condition_true(j, "Complete");

    c = c ? c : condition_true(j, "Failed");
    return c ? c->last_transition_time : (struct api_time){ 0 };
}

bool
job_managed_elsewhere(const struct job *j)
{
    return !str_empty(j->spec.managed_by) && !str_eq(j->spec.managed_by, "kubernetes.io/job-controller");
}

static struct arena *
arena_of(const struct job_picture *p)
{
    return object_arena(p->next);
}

static struct job_condition *
new_condition(const struct job_picture *p, const char *type, const char *reason, const char *message, struct api_time now)
{
    struct job_condition *c = ARENA_NEW(arena_of(p), struct job_condition);

    *c = (struct job_condition){ type, "True", { now.sec, 0 }, { now.sec, 0 }, arena_strdup(arena_of(p), reason), arena_strdup(arena_of(p), message) };
    return c;
}

/* --- small readers --- */

static bool
is_indexed(const struct job *j)
{
    return str_eq(j->spec.completion_mode, "Indexed");
}

static bool
is_suspended(const struct job *j)
{
    return bool_or(j->spec.suspend, false);
}

static bool
valid_index(const struct job *j, int32_t index)
{
    return index >= 0 && index < i32_or(j->spec.completions, 0);
}

/* Those adopted in this very sync have the finalizer although the copy does not show it. */
static bool
has_finalizer(const struct job_picture *p, const struct object *obj)
{
    const struct object_meta *meta = object_meta(obj);

    if (strlist_has(&p->removing, meta->uid))
        return false;
    return meta_has_finalizer(meta, JOB_FINALIZER) || !meta_controller(meta);
}

/* --- counting --- */

static void
sort_out_pods(struct job_picture *p)
{
    for (size_t i = 0; i < p->mine.len; i++) {
        const struct pod *pod = OBJECT_BODY(p->mine.items[i], pod);
        if (pod_active(pod)) {
            object_list_ref(&p->active, p->mine.items[i]);
            p->n.ready += pod_ready(pod);
        } else if (!pod_terminal(pod)) {
            p->n.terminating++;
        }
    }
    p->n.active = (int32_t)p->active.len;
}

/* Ended pods that the status does not know of yet. */
static bool
newly_ended(const struct job_picture *p, const struct object *obj, bool succeeded)
{
    const struct uncounted_terminated_pods *known = p->j->status.uncounted_terminated_pods;
    const struct pod *pod = OBJECT_BODY(obj, pod);

    if (succeeded ? !str_eq(pod->status.phase, "Succeeded") : !job_pod_failed(p->j, pod))
        return false;
    if (!has_finalizer(p, obj) || string_slice_has(succeeded ? &known->succeeded : &known->failed, pod->metadata.uid))
        return false;
    return !is_indexed(p->j) || valid_index(p->j, job_pod_index(pod));
}

/* Failures in a row after the last success, and when the latest was. */
static void
note_failures(struct job_picture *p, const struct object_list *succeeded, const struct object_list *failed)
{
    struct api_time last_success = { 0 };

    for (size_t i = 0; i < succeeded->len; i++) {
        struct api_time t = job_pod_finish_time(OBJECT_BODY(succeeded->items[i], pod));
        if (api_time_cmp(last_success, t) < 0)
            last_success = t;
    }
    if (succeeded->len)
        p->backoff = (struct job_backoff){ 0 };
    for (size_t i = 0; i < failed->len; i++) {
        struct api_time t = job_pod_finish_time(OBJECT_BODY(failed->items[i], pod));
        if (succeeded->len && api_time_cmp(t, last_success) <= 0)
            continue;
        p->backoff.failures++;
        if (api_time_cmp(p->backoff.last_failure, t) < 0)
            p->backoff.last_failure = t;
    }
}

static void
count_ended(struct job_picture *p)
{
    const struct uncounted_terminated_pods *known = p->j->status.uncounted_terminated_pods;
    AUTO_OBJECT_LIST succeeded = { 0 };
    AUTO_OBJECT_LIST failed = { 0 };

    p->n.succeeded = p->j->status.succeeded + (int32_t)known->succeeded.len;
    p->n.failed = p->j->status.failed + (int32_t)known->failed.len;
    for (size_t i = 0; i < p->mine.len; i++) {
        const struct object *obj = p->mine.items[i];
        if (newly_ended(p, obj, true)) {
            object_list_ref(&succeeded, obj);
        } else if (newly_ended(p, obj, false)) {
            object_list_ref(&failed, obj);
            p->n.failed += job_pod_failure(p->j, OBJECT_BODY(obj, pod), arena_of(p), NULL) != JOB_IGNORE;
        }
    }
    p->n.succeeded += (int32_t)succeeded.len;
    note_failures(p, &succeeded, &failed);
}

/* --- indexes --- */

static int32_t
index_failures(const struct pod *pod, bool ignored_too)
{
    int32_t n = 0, ignored = 0;

    if (parse_i32(str_safe(meta_annotation(&pod->metadata, "batch.kubernetes.io/job-index-failure-count")), &n))
        n = 0;
    if (ignored_too && parse_i32(str_safe(meta_annotation(&pod->metadata, "batch.kubernetes.io/job-index-ignored-failure-count")), &ignored))
        ignored = 0;
    return n + ignored;
}

static bool
index_has_failed(const struct job_picture *p, const struct pod *pod)
{
    if (!job_pod_failed(p->j, pod))
        return false;
    enum job_failure means = job_pod_failure(p->j, pod, arena_of(p), NULL);
    return means == JOB_FAIL_INDEX || (means != JOB_IGNORE && index_failures(pod, false) >= *p->j->spec.backoff_limit_per_index);
}

/* p->mine is sorted by index. */
static struct index_set
indexes_where(const struct job_picture *p, const char *known, bool (*test)(const struct job_picture *p, const struct pod *pod))
{
    int32_t *fresh = xcalloc(p->mine.len + 1, sizeof *fresh);
    struct index_set s = index_set_parse(known, i32_or(p->j->spec.completions, 0), arena_of(p));
    size_t n = 0;

    for (size_t i = 0; i < p->mine.len; i++) {
        const struct pod *pod = OBJECT_BODY(p->mine.items[i], pod);
        int32_t index = job_pod_index(pod);
        if (valid_index(p->j, index) && has_finalizer(p, p->mine.items[i]) && test(p, pod) && (n == 0 || fresh[n - 1] != index))
            fresh[n++] = index;
    }
    s = index_set_with(s, fresh, n, arena_of(p));
    free(fresh);
    return s;
}

static bool
has_succeeded(const struct job_picture *p, const struct pod *pod)
{
    return str_eq(pod->status.phase, "Succeeded");
}

/* The last failed pod of an index without a running one stays until its replacement knows how often the index failed. */
static void
find_delayed(struct job_picture *p)
{
    p->delayed = xcalloc((size_t)*p->j->spec.completions + 1, sizeof(struct object *));
    for (size_t i = 0; i < p->mine.len; i++) {
        const struct pod *pod = OBJECT_BODY(p->mine.items[i], pod);
        int32_t index = job_pod_index(pod);
        if (!valid_index(p->j, index) || !has_finalizer(p, p->mine.items[i]) || !job_pod_failed(p->j, pod) ||
            index_set_has(p->succeeded, index) || index_set_has(p->failed, index))
            continue;
        const struct object *other = p->delayed[index];
        const struct pod *o = other ? OBJECT_BODY(other, pod) : NULL;
        if (!o || (index_failures(o, true) <= index_failures(pod, true) && api_time_cmp(job_pod_finish_time(pod), job_pod_finish_time(o)) >= 0))
            p->delayed[index] = p->mine.items[i];
    }
    for (size_t i = 0; i < p->active.len; i++) {
        int32_t index = job_pod_index(OBJECT_BODY(p->active.items[i], pod));
        if (valid_index(p->j, index))
            p->delayed[index] = NULL;
    }
}

static void
judge_failed_indexes(struct job_picture *p, struct api_time now)
{
    int64_t failed, completions = *p->j->spec.completions;

    p->failed = indexes_where(p, p->j->status.failed_indexes, index_has_failed);
    failed = index_set_total(p->failed);
    find_delayed(p);
    if (p->finished)
        return;
    if (p->j->spec.max_failed_indexes && failed > *p->j->spec.max_failed_indexes)
        p->finished = new_condition(p, "FailureTarget", "MaxFailedIndexesExceeded",
                                    "Job has exceeded the specified maximal number of failed indexes", now);
    else if (failed > 0 && failed + index_set_total(p->succeeded) >= completions)
        p->finished = new_condition(p, "FailureTarget", "FailedIndexes", "Job has failed indexes", now);
}

static void
judge_indexes(struct job_picture *p, struct api_time now)
{
    char *message;

    p->was_succeeded = index_set_parse(p->j->status.completed_indexes, *p->j->spec.completions, arena_of(p));
    p->succeeded = indexes_where(p, p->j->status.completed_indexes, has_succeeded);
    p->n.succeeded = (int32_t)index_set_total(p->succeeded);
    if (p->j->spec.backoff_limit_per_index)
        judge_failed_indexes(p, now);
    if (!p->finished && job_success_policy_met(p->j, p->succeeded, arena_of(p), &message))
        p->finished = new_condition(p, "SuccessCriteriaMet", "SuccessPolicy", message, now);
}

/* --- has it ended? --- */

/* restartPolicy OnFailure: the restarts within the pods count as well. */
static bool
too_many_restarts(const struct job_picture *p)
{
    int64_t restarts = 0, limit = i32_or(p->j->spec.backoff_limit, 6);

    if (!str_eq(p->j->spec.template.spec.restart_policy, "OnFailure"))
        return false;
    for (size_t i = 0; i < p->mine.len; i++) {
        const struct pod *pod = OBJECT_BODY(p->mine.items[i], pod);
        if (!str_eq(pod->status.phase, "Running") && !str_eq(pod->status.phase, "Pending"))
            continue;
        for (uint32_t k = 0; k < pod->status.init_container_statuses.len; k++)
            restarts += pod->status.init_container_statuses.items[k].restart_count;
        for (uint32_t k = 0; k < pod->status.container_statuses.len; k++)
            restarts += pod->status.container_statuses.items[k].restart_count;
    }
    return limit == 0 ? restarts > 0 : restarts >= limit;
}

static const struct job_condition *
policy_failure(const struct job_picture *p, struct api_time now)
{
    for (size_t i = 0; p->j->spec.pod_failure_policy && i < p->mine.len; i++) {
        const struct pod *pod = OBJECT_BODY(p->mine.items[i], pod);
        char *message;
        if (job_pod_failed(p->j, pod) && job_pod_failure(p->j, pod, arena_of(p), &message) == JOB_FAIL)
            return new_condition(p, "FailureTarget", "PodFailurePolicy", message, now);
    }
    return NULL;
}

static const struct job_condition *
deadline_failure(const struct job_picture *p, struct plan *plan, struct api_time now)
{
    const struct job *j = p->j;

    if (!j->spec.active_deadline_seconds || !j->status.start_time || is_suspended(j))
        return NULL;
    struct api_time due = { j->status.start_time->sec + *j->spec.active_deadline_seconds, j->status.start_time->nsec };
    if (api_time_cmp(now, due) >= 0)
        return new_condition(p, "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline", now);
    plan_requeue(plan, (uint64_t)(api_time_unix_us(due) - api_time_unix_us(now)) / 1000 + 1);
    return NULL;
}

static void
judge(struct job_picture *p, struct plan *plan, struct api_time now)
{
    const struct job_condition *target = condition_true(p->j, "FailureTarget");

    p->finished = condition_true(p->j, "SuccessCriteriaMet");
    if (!p->finished && target)
        p->finished = new_condition(p, "Failed", target->reason, target->message, now);
    if (!p->finished)
        p->finished = policy_failure(p, now);
    if (!p->finished && (p->n.failed > i32_or(p->j->spec.backoff_limit, 6) || too_many_restarts(p)))
        p->finished = new_condition(p, "FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit", now);
    if (!p->finished)
        p->finished = deadline_failure(p, plan, now);
    if (is_indexed(p->j))
        judge_indexes(p, now);
}

/* --- creating and deleting pods --- */

static void
delete_pods(struct job_picture *p, struct plan *plan, const struct object_list *pods, bool keep_finalizer, const char *why)
{
    for (size_t i = 0; !keep_finalizer && i < pods->len; i++)
        if (has_finalizer(p, pods->items[i]))
            job_patch_finalizer(plan, pods->items[i], 3);
    for (size_t i = 0; i < pods->len; i++) {
        struct action *a = plan_delete(plan, pods->items[i], why);
        a->batch = 4;
        a->flags |= ACTION_GO_ON;
    }
}

static int32_t
wanted_active(const struct job_picture *p)
{
    const struct job_spec *spec = &p->j->spec;
    int32_t parallelism = i32_or(spec->parallelism, 1);

    if (is_suspended(p->j))
        return 0;
    if (!spec->completions)
        return p->n.succeeded > 0 ? p->n.active : parallelism; /* one success: those that run may finish, no new ones */
    int32_t left = *spec->completions - p->n.succeeded;
    return left < 0 ? 0 : left < parallelism ? left : parallelism;
}

/* Those of the free indexes whose own back-off is over. */
static size_t
indexes_due(const struct job_picture *p, struct plan *plan, int32_t *indexes, size_t n, struct api_time now)
{
    size_t due = 0;

    for (size_t i = 0; i < n; i++) {
        const struct object *before = p->delayed ? p->delayed[indexes[i]] : NULL;
        uint64_t left = 0;
        if (before) {
            const struct pod *pod = OBJECT_BODY(before, pod);
            left = job_backoff_left_ms((struct job_backoff){ index_failures(pod, true) + 1, job_pod_finish_time(pod) }, now);
        }
        if (left)
            plan_requeue(plan, left);
        else
            indexes[due++] = indexes[i];
    }
    return due;
}

/* Indexes that neither succeeded nor failed nor have a pod. */
static size_t
free_indexes(const struct job_picture *p, int32_t *ret, size_t max)
{
    int32_t *busy = xcalloc(p->mine.len + 1, sizeof *busy);
    struct index_set taken = p->succeeded;
    size_t n = 0;
    bool failed_only = job_replaces_failed_only(p->j);

    for (size_t i = 0; i < p->mine.len; i++) { /* sorted by index */
        const struct pod *pod = OBJECT_BODY(p->mine.items[i], pod);
        int32_t index = job_pod_index(pod);
        bool counts = pod_active(pod) || (failed_only && !pod_terminal(pod));
        if (counts && index >= 0 && (n == 0 || busy[n - 1] != index))
            busy[n++] = index;
    }
    taken = index_set_with(taken, busy, n, arena_of(p));
    for (size_t i = 0; i < p->failed.len; i++)
        for (int32_t k = p->failed.items[i].first; k <= p->failed.items[i].last; k++)
            taken = index_set_has(taken, k) ? taken : index_set_with(taken, &k, 1, arena_of(p));
    free(busy);
    return index_set_missing(taken, *p->j->spec.completions, ret, max);
}

static void
create_pods(struct job_picture *p, struct plan *plan, int32_t missing, struct api_time now)
{
    size_t n = missing < JOB_BURST ? (size_t)missing : JOB_BURST;
    bool indexed = is_indexed(p->j);
    int32_t *indexes = NULL;
    AUTO_FREE char *why = xasprintf("%d active, %d succeeded, %d failed", p->n.active, p->n.succeeded, p->n.failed);

    if (!p->j->spec.backoff_limit_per_index) {
        uint64_t left = job_backoff_left_ms(p->backoff, now);
        plan_requeue(plan, left);
        if (left)
            return;
    }
    if (indexed) {
        indexes = xcalloc(n, sizeof *indexes);
        n = indexes_due(p, plan, indexes, free_indexes(p, indexes, n), now);
    }
    for (size_t i = 0; i < n; i++)
        plan_create(plan, job_new_pod(p, indexed ? indexes[i] : -1), why)->batch = 5;
    free(indexes);
}

static void
manage(struct job_picture *p, struct plan *plan, struct api_time now)
{
    int32_t want = wanted_active(p), surplus = p->n.active > want ? p->n.active - want : 0;
    bool failed_only = job_replaces_failed_only(p->j);
    AUTO_OBJECT_LIST remove = { 0 };

    job_pods_to_remove(p, (size_t)surplus, now, &remove);
    while (remove.len > JOB_BURST && !is_suspended(p->j))
        object_unref(remove.items[--remove.len]);
    if (remove.len) {
        delete_pods(p, plan, &remove, false, is_suspended(p->j) ? "the job is suspended" : "more pods than are wanted");
        return; /* deletions first; creations with the next sync */
    }
    int32_t missing = want - p->n.active - (failed_only ? p->n.terminating : 0);
    if (missing > 0 && !is_suspended(p->j))
        create_pods(p, plan, missing, now);
}

/* --- the first step --- */

static struct kerr *
start(struct job_picture *p, struct plan *plan, struct api_time now)
{
    struct job *j;
    struct claim claim = { .owner = p->job, .can_adopt = p->can_adopt, .finalizer = JOB_FINALIZER };
    struct kerr *err;

    p->next = object_copy(p->job);
    p->j = j = object_body(p->next);
    err = label_query_from(j->spec.selector, arena_of(p), (struct label_query **)&claim.selector);
    if (err)
        return err; /* the later steps find no pods then */
    claim_objects(&claim, &p->pods, plan, &p->mine);
    if (is_indexed(j))
        job_sort_by_index(&p->mine);
    if (!j->status.uncounted_terminated_pods)
        j->status.uncounted_terminated_pods = ARENA_NEW(arena_of(p), struct uncounted_terminated_pods);
    if (!j->status.start_time && !is_suspended(j))
        j->status.start_time = arena_time(arena_of(p), (struct api_time){ now.sec, 0 });
    return NULL;
}

struct plan *
job_decide(struct job_picture *p, const char *key, struct api_time now)
{
    struct plan *plan = plan_new(key);

    if (job_finished(OBJECT_BODY(p->job, job)))
        return plan;
    AUTO(kerr) *err = start(p, plan, now);
    if (err)
        return plan; /* validation lets no bad selector through */
    sort_out_pods(p);
    count_ended(p);
    judge(p, plan, now);
    if (p->finished)
        delete_pods(p, plan, &p->active, true, "the job has ended");
    else if (p->settled && !meta_deleting(object_meta(p->job)))
        manage(p, plan, now);
    return plan;
}
