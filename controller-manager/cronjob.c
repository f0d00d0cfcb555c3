// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/cronjob.h"

#include "common/api/values.h"
#include "controller-manager/controllers.h"
#include "controller-manager/cron_schedule.h"
#include "controller-manager/job.h"

#define A_SCHEDULED "batch.kubernetes.io/cronjob-scheduled-timestamp"
#define MANY_MISSED 100

void
cronjob_picture_done(struct cronjob_picture *p)
{
    object_unref(p->cronjob);
    object_list_done(&p->jobs);
}

struct view {
    const struct cronjob_picture *p;
    const struct cron_job *was;
    struct object *obj; /* private copy */
    struct cron_job *cj;
    struct arena *a;
    struct plan *plan;
    struct api_time now;
    int64_t now_s; /* unix */
};

/* --- what runs --- */

static bool
remove_active(struct cron_job *cj, const char *uid)
{
    struct object_reference_slice *l = &cj->status.active;
    uint32_t n = 0, had = l->len;

    for (uint32_t i = 0; i < had; i++)
        if (!str_eq(l->items[i].uid, uid))
            l->items[n++] = l->items[i];
    l->len = n;
    return n != had;
}

static bool
is_listed(const struct cron_job *cj, const char *uid)
{
    for (uint32_t i = 0; i < cj->status.active.len; i++)
        if (str_eq(cj->status.active.items[i].uid, uid))
            return true;
    return false;
}

static void
add_active(struct view *v, const char *name, const char *uid)
{
    struct object_reference_slice *l = &v->cj->status.active;
    struct object_reference *items = arena_alloc(v->a, (l->len + 1) * sizeof *items);

    for (uint32_t i = 0; i < l->len; i++)
        items[i] = l->items[i];
    items[l->len] = (struct object_reference){ .api_version = "batch/v1", .kind = "Job", .namespace = arena_strdup(v->a, object_namespace(v->obj)),
                                               .name = arena_strdup(v->a, name), .uid = arena_strdup(v->a, uid) };
    *l = (struct object_reference_slice){ items, l->len + 1, l->len + 1 };
}

static const char *
end_type(const struct job *j)
{
    const struct job_condition *c = job_condition_find(&j->status, "Complete");

    return c && str_eq(c->status, "True") ? "Complete" : "Failed";
}

/* The list of active Jobs follows the Jobs themselves. */
static void
update_active(struct view *v)
{
    for (size_t i = 0; i < v->p->jobs.len; i++) {
        const struct job *j = OBJECT_BODY(v->p->jobs.items[i], job);
        bool listed = is_listed(v->cj, j->metadata.uid), done = job_finished(j);
        if (!listed && !done)
            add_active(v, j->metadata.name, j->metadata.uid); /* made by the sync before this one, or taken over */
        if (!done)
            continue;
        if (listed && remove_active(v->cj, j->metadata.uid))
            plan_event(v->plan, v->p->cronjob, EVENT_NORMAL, "SawCompletedJob", "Saw completed job: %s, condition: %s", j->metadata.name, end_type(j));
        struct api_time *last = v->cj->status.last_successful_time;
        if (str_eq(end_type(j), "Complete") && j->status.completion_time && (!last || api_time_cmp(*last, *j->status.completion_time) < 0))
            v->cj->status.last_successful_time = arena_time(v->a, *j->status.completion_time);
    }
    for (uint32_t i = v->cj->status.active.len; i-- > 0;) {
        const struct object_reference ref = v->cj->status.active.items[i];
        bool there = false;
        for (size_t k = 0; k < v->p->jobs.len; k++)
            there = there || str_eq(object_meta(v->p->jobs.items[k])->uid, ref.uid);
        if (there)
            continue;
        plan_event(v->plan, v->p->cronjob, EVENT_NORMAL, "MissingJob", "Active job went missing: %s", ref.name);
        remove_active(v->cj, ref.uid);
    }
}

/* --- history --- */

static int
oldest_first(const void *pa, const void *pb)
{
    return object_created_cmp(*(struct object *const *)pa, *(struct object *const *)pb);
}

static void
trim(struct view *v, const char *end, const int32_t *limit)
{
    AUTO_OBJECT_LIST done = { 0 };

    if (!limit)
        return;
    for (size_t i = 0; i < v->p->jobs.len; i++) {
        const struct job *j = OBJECT_BODY(v->p->jobs.items[i], job);
        if (job_finished(j) && str_eq(end_type(j), end) && !meta_deleting(&j->metadata))
            object_list_ref(&done, v->p->jobs.items[i]);
    }
    if (done.len <= (size_t)*limit)
        return;
    qsort(done.items, done.len, sizeof *done.items, oldest_first);
    for (size_t i = 0; i < done.len - (size_t)*limit; i++) {
        plan_delete(v->plan, done.items[i], "over the history limit")->del.propagation = REST_PROPAGATION_BACKGROUND;
        plan_event(v->plan, v->p->cronjob, EVENT_NORMAL, "SuccessfulDelete", "Deleted job %s", object_name(done.items[i]));
    }
}

/* --- when --- */

/* The last scheduled time that has passed and was not served; 0 = none. */
static int64_t
missed_time(struct view *v, const struct cron_schedule *s, const struct cron_zone *z)
{
    const struct cron_job_spec *spec = &v->cj->spec;
    const struct api_time *last = v->cj->status.last_schedule_time;
    int64_t from = api_time_unix(last ? *last : v->cj->metadata.creation_timestamp), missed = 0, n = 0;

    if (spec->starting_deadline_seconds && from < v->now_s - *spec->starting_deadline_seconds)
        from = v->now_s - *spec->starting_deadline_seconds;
    if (s->every_s && from < v->now_s) { /* no need to walk */
        n = (v->now_s - from) / s->every_s;
        missed = n ? from + n * s->every_s : 0;
    }
    for (int64_t t = s->every_s ? 0 : cron_next(s, z, from); t && t <= v->now_s; t = cron_next(s, z, t)) {
        missed = t;
        if (++n > 100000)
            break;
    }
    if (n > MANY_MISSED)
        plan_event(v->plan, v->p->cronjob, EVENT_WARNING, "TooManyMissedTimes",
                   "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew");
    return missed;
}

static void
look_again(struct view *v, const struct cron_schedule *s, const struct cron_zone *z)
{
    int64_t next = cron_next(s, z, v->now_s);

    if (next)
        plan_requeue(v->plan, (uint64_t)(next - v->now_s) * 1000 + 100);
}

static struct object *
build_job(struct view *v, const char *name, int64_t at, const struct cron_zone *z)
{
    struct object *obj = object_new_of("batch/v1", "Job");
    struct arena *a = object_arena(obj);
    struct job *j = object_body(obj);
    struct job_template_spec t;
    struct owner_reference ref = owner_ref_to(object_kind(v->obj), &v->cj->metadata, a);
    int64_t offset = cron_zone_offset(z, at);
    AUTO_SBUF stamp = { 0 };

    api_copy(&api_type_job_template_spec, a, &v->cj->spec.job_template, &t);
    j->metadata.name = arena_strdup(a, name);
    j->metadata.namespace = arena_strdup(a, object_namespace(v->obj));
    j->metadata.labels = t.metadata.labels;
    j->metadata.annotations = t.metadata.annotations;
    api_time_format(api_time_from_unix(at + offset), &stamp);
    if (offset && stamp.len) {
        int64_t o = offset < 0 ? -offset : offset;
        stamp.len--; /* the Z */
        sbuf_addf(&stamp, "%c%02d:%02d", offset < 0 ? '-' : '+', (int)(o / 3600), (int)(o / 60 % 60));
    }
    string_map_set(&j->metadata.annotations, a, A_SCHEDULED, sbuf_str(&stamp));
    meta_add_owner(&j->metadata, a, &ref);
    j->spec = t.spec;
    return obj;
}

/* True: a Job is to be made for that time. */
static bool
may_start(struct view *v, int64_t at)
{
    const struct cron_job_spec *spec = &v->cj->spec;
    const struct api_time *last = v->cj->status.last_schedule_time;

    if (spec->starting_deadline_seconds && at + *spec->starting_deadline_seconds < v->now_s) {
        AUTO_SBUF text = { 0 };
        api_time_format(api_time_from_unix(at), &text);
        plan_event(v->plan, v->p->cronjob, EVENT_WARNING, "MissSchedule", "Missed scheduled time to start a job: %s", sbuf_str(&text));
        return false;
    }
    if (last && api_time_unix(*last) >= at)
        return false;
    if (str_eq(spec->concurrency_policy, "Forbid") && v->cj->status.active.len > 0) {
        plan_event(v->plan, v->p->cronjob, EVENT_NORMAL, "JobAlreadyActive",
                   "Not starting job because prior execution is running and concurrency policy is Forbid");
        return false;
    }
    return true;
}

static void
replace_active(struct view *v)
{
    for (size_t i = 0; i < v->p->jobs.len; i++) {
        const struct object *job = v->p->jobs.items[i];
        if (!is_listed(v->cj, object_meta(job)->uid))
            continue;
        plan_delete(v->plan, job, "concurrencyPolicy Replace")->del.propagation = REST_PROPAGATION_BACKGROUND;
        plan_event(v->plan, v->p->cronjob, EVENT_NORMAL, "SuccessfulDelete", "Deleted job %s", object_name(job));
        remove_active(v->cj, object_meta(job)->uid);
    }
}

static void
start_job(struct view *v, int64_t at, const struct cron_zone *z)
{
    AUTO_FREE char *name = xasprintf("%s-%lld", object_name(v->obj), (long long)(at / 60));

    if (str_eq(v->cj->spec.concurrency_policy, "Replace"))
        replace_active(v);
    plan_create(v->plan, build_job(v, name, at, z), "it is time")->flags = ACTION_IGNORE_EXISTS;
    plan_event(v->plan, v->p->cronjob, EVENT_NORMAL, "SuccessfulCreate", "Created job %s", name);
    v->cj->status.last_schedule_time = arena_time(v->a, api_time_from_unix(at));
}

static void
run_schedule(struct view *v)
{
    AUTO(cron_zone) *z = NULL;
    struct cron_schedule s;
    AUTO(kerr) *bad_zone = cron_zone_load(v->cj->spec.time_zone, &z);

    if (bad_zone) {
        plan_event(v->plan, v->p->cronjob, EVENT_WARNING, "UnknownTimeZone", "invalid timeZone: \"%s\": %s", str_safe(v->cj->spec.time_zone), bad_zone->message);
        return;
    }
    AUTO(kerr) *bad = cron_parse(v->cj->spec.schedule, &s);
    if (bad) {
        plan_event(v->plan, v->p->cronjob, EVENT_WARNING, "UnparseableSchedule", "unparseable schedule: \"%s\" : %s", v->cj->spec.schedule, bad->message);
        return;
    }
    int64_t at = missed_time(v, &s, z);
    if (at && may_start(v, at))
        start_job(v, at, z);
    look_again(v, &s, z);
}

struct plan *
cronjob_decide(const struct cronjob_picture *p, const char *key, struct api_time now)
{
    struct view v = { .p = p, .was = OBJECT_BODY(p->cronjob, cron_job), .obj = object_copy(p->cronjob), .plan = plan_new(key), .now = now,
                      .now_s = api_time_unix(now) };

    v.cj = object_body(v.obj);
    v.a = object_arena(v.obj);
    update_active(&v);
    if (!meta_deleting(&v.cj->metadata)) {
        trim(&v, "Complete", v.cj->spec.successful_jobs_history_limit);
        trim(&v, "Failed", v.cj->spec.failed_jobs_history_limit);
        if (!bool_or(v.cj->spec.suspend, false))
            run_schedule(&v);
    }
    if (!api_equal(&api_type_cron_job_status, &v.was->status, &v.cj->status))
        plan_update_status(v.plan, object_ref(v.obj), "active Jobs, last times");
    object_unref(v.obj);
    return v.plan;
}

/* --- observe and act --- */

struct state {
    struct informer *cronjobs, *jobs;
    unsigned jobs_by_owner;
};

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    const struct state *s = c->state;
    struct cronjob_picture p = { .cronjob = informer_get_key(s->cronjobs, key) };

    if (!p.cronjob)
        return NULL;
    controller_owned(s->jobs, s->jobs_by_owner, object_meta(p.cronjob)->uid, NULL, &p.jobs);
    struct kerr *err = controller_act(c, NULL, cronjob_decide(&p, key, controller_now()));
    cronjob_picture_done(&p);
    return err;
}

static void
cronjob_changed(struct controller *c, const struct object *old, const struct object *now)
{
    controller_enqueue(c, now ? now : old);
}

static void
job_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;

    controller_enqueue_owner(c, now ? now : old, informer_kind(s->cronjobs));
}

struct kerr *
cronjob_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    s->cronjobs = controller_informer(c, "batch/v1", "CronJob");
    s->jobs = controller_informer(c, "batch/v1", "Job");
    s->jobs_by_owner = controller_owner_index(s->jobs);
    controller_queue(c, (unsigned)c->options->syncs_cronjob, sync_key);
    controller_watch(c, "batch/v1", "CronJob", cronjob_changed);
    controller_watch(c, "batch/v1", "Job", job_changed);
    return NULL;
}
