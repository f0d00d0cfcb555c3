// SPDX-License-Identifier: Apache-2.0
#include "common/api/codec.h"
#include "common/api/values.h"
#include "controller-manager/cron_schedule.h"
#include "controller-manager/cronjob.h"
#include "controller-manager/job.h"
#include "controller-manager/time_zone.h"

#define A_SCHEDULED "batch.kubernetes.io/cronjob-scheduled-timestamp"
#define MANY_MISSED 100
#define SPARE_MS 100 /* the next look is a little late rather than early */

void
cronjob_picture_done(struct cronjob_picture *p)
{
    object_unref(p->cron_job);
    object_unref(p->next);
    object_list_done(&p->jobs);
}

static struct cron_job *
body(const struct cronjob_picture *p)
{
    return OBJECT_BODY(p->next, cron_job);
}

/* --- status.active --- */

static const struct object_reference *
find_active(const struct cron_job *c, const char *uid)
{
    for (uint32_t i = 0; i < c->status.active.len; i++)
        if (str_eq(c->status.active.items[i].uid, uid))
            return &c->status.active.items[i];
    return NULL;
}

static void
drop_active(struct cronjob_picture *p, const char *uid)
{
    struct object_reference_slice *l = &body(p)->status.active;
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->len; i++)
        if (!str_eq(l->items[i].uid, uid))
            l->items[n++] = l->items[i];
    p->changed = p->changed || n != l->len;
    l->len = n;
}

static void
note_success(struct cronjob_picture *p, const struct job *j)
{
    const struct job_condition *c = job_condition_find(&j->status, "Complete");
    struct cron_job_status *s = &body(p)->status;

    if (!c || !str_eq(c->status, "True") || !j->status.completion_time)
        return;
    if (s->last_successful_time && api_time_cmp(*s->last_successful_time, *j->status.completion_time) >= 0)
        return;
    s->last_successful_time = arena_time(object_arena(p->next), *j->status.completion_time);
    p->changed = true;
}

static void
look_at_jobs(struct cronjob_picture *p, struct plan *plan)
{
    for (size_t i = 0; i < p->jobs.len; i++) {
        const struct job *j = OBJECT_BODY(p->jobs.items[i], job);
        bool active = find_active(body(p), j->metadata.uid), finished = job_finished(j);
        if (!active && !finished) {
            plan_event(plan, p->cron_job, EVENT_WARNING, "UnexpectedJob", "Saw a job that the controller did not create or forgot: %s", j->metadata.name);
        } else if (active && finished) {
            const struct job_condition *c = job_condition_find(&j->status, "Complete");
            plan_event(plan, p->cron_job, EVENT_NORMAL, "SawCompletedJob", "Saw completed job: %s, condition: %s", j->metadata.name,
                       c && str_eq(c->status, "True") ? "Complete" : "Failed");
            drop_active(p, j->metadata.uid);
        }
        if (finished)
            note_success(p, j);
    }
}

static bool
is_owned(const struct cronjob_picture *p, const char *uid)
{
    for (size_t i = 0; i < p->jobs.len; i++)
        if (str_eq(object_meta(p->jobs.items[i])->uid, uid))
            return true;
    return false;
}

static void
drop_missing(struct cronjob_picture *p, struct plan *plan)
{
    const struct object_reference_slice *l = &body(p)->status.active;

    for (uint32_t i = l->len; i-- > 0;) {
        const char *uid = l->items[i].uid;
        if (is_owned(p, uid))
            continue;
        plan_event(plan, p->cron_job, EVENT_NORMAL, "MissingJob", "Active job went missing: %s", l->items[i].name);
        drop_active(p, uid);
    }
}

/* --- history --- */

static int
older(const void *pa, const void *pb)
{
    const struct object *a = *(struct object *const *)pa, *b = *(struct object *const *)pb;
    const struct api_time *ta = OBJECT_BODY(a, job)->status.start_time, *tb = OBJECT_BODY(b, job)->status.start_time;

    if (!ta != !tb)
        return ta ? -1 : 1;
    int c = ta ? api_time_cmp(*ta, *tb) : 0;
    return c ? c : str_cmp(object_name(a), object_name(b));
}

static void
plan_end(struct cronjob_picture *p, struct plan *plan, const struct object *job, const char *why)
{
    plan_delete(plan, job, why)->del.propagation = REST_PROPAGATION_BACKGROUND;
    plan_event(plan, p->cron_job, EVENT_NORMAL, "SuccessfulDelete", "Deleted job %s", object_name(job));
    drop_active(p, object_meta(job)->uid);
}

static void
trim(struct cronjob_picture *p, struct plan *plan, bool succeeded, const int32_t *limit)
{
    AUTO_OBJECT_LIST ended = { 0 };

    if (!limit)
        return;
    for (size_t i = 0; i < p->jobs.len; i++) {
        const struct job *j = OBJECT_BODY(p->jobs.items[i], job);
        const struct job_condition *c = job_condition_find(&j->status, "Complete");
        if (job_finished(j) && !meta_deleting(&j->metadata) && (c && str_eq(c->status, "True")) == succeeded)
            object_list_ref(&ended, p->jobs.items[i]);
    }
    if (ended.len)
        qsort(ended.items, ended.len, sizeof *ended.items, older);
    for (size_t i = 0; i < ended.len && ended.len - i > (size_t)(*limit < 0 ? 0 : *limit); i++)
        plan_end(p, plan, ended.items[i], succeeded ? "more than successfulJobsHistoryLimit" : "more than failedJobsHistoryLimit");
}

/* --- the schedule --- */

struct clock_work {
    struct cron_schedule schedule;
    struct time_zone *zone;
    int64_t now;
};

/* The latest time that is due and has not been served; 0: none. */
static int64_t
latest_due(const struct cronjob_picture *p, const struct clock_work *w, unsigned *ret_missed)
{
    const struct cron_job *c = body(p);
    struct api_time from = c->status.last_schedule_time ? *c->status.last_schedule_time : c->metadata.creation_timestamp;
    int64_t at = api_time_unix(from), due = 0;

    if (c->spec.starting_deadline_seconds && w->now - *c->spec.starting_deadline_seconds > at)
        at = w->now - *c->spec.starting_deadline_seconds;
    *ret_missed = 0;
    if (w->schedule.every_s && w->now > at) {
        int64_t n = (w->now - at) / w->schedule.every_s;
        *ret_missed = n > 1000000 ? 1000000 : (unsigned)n;
        return n ? at + n * w->schedule.every_s : 0;
    }
    for (int64_t t = cron_schedule_next(&w->schedule, w->zone, at); t && t <= w->now; t = cron_schedule_next(&w->schedule, w->zone, t)) {
        due = t;
        if (++*ret_missed > MANY_MISSED && w->now - t > 2 * 86400) {
            /* long ago: go on from close to now, so that a clock years ahead costs nothing */
            int64_t near = cron_schedule_next(&w->schedule, w->zone, w->now - 2 * 86400);
            t = near && near <= w->now ? near - 60 : t;
        }
    }
    return due;
}

static void
look_again(const struct cronjob_picture *p, struct plan *plan, const struct clock_work *w, struct api_time now)
{
    const struct cron_job *c = body(p);
    int64_t next = cron_schedule_next(&w->schedule, w->zone, w->now);

    if (w->schedule.every_s) { /* counted from the last start */
        int64_t from = api_time_unix(c->status.last_schedule_time ? *c->status.last_schedule_time : c->metadata.creation_timestamp);
        next = from + ((w->now > from ? w->now - from : 0) / w->schedule.every_s + 1) * w->schedule.every_s;
    }
    if (next)
        plan_requeue(plan, (uint64_t)(next - w->now) * 1000 - (uint64_t)now.nsec / 1000000 + SPARE_MS);
}

static struct kerr *
wind_up(const struct cronjob_picture *p, struct plan *plan, struct api_time now, struct clock_work *ret)
{
    const struct cron_job_spec *spec = &body(p)->spec;
    const char *text = spec->schedule, *in_text = NULL;
    struct kerr *err;

    *ret = (struct clock_work){ .now = api_time_unix(now) };
    if (str_has_prefix(text, "TZ=") || str_has_prefix(text, "CRON_TZ="))
        in_text = strchr(text, '=') + 1;
    AUTO_FREE char *zone = in_text ? xstrndup(in_text, strcspn(in_text, " ")) : xstrdup(str_safe(spec->time_zone));
    err = time_zone_load(zone, &ret->zone);
    if (err) {
        plan_event(plan, p->cron_job, EVENT_WARNING, "UnknownTimeZone", "invalid timeZone: \"%s\": %s", zone, err->message);
        return err;
    }
    if (in_text)
        text = in_text + strcspn(in_text, " ") + (in_text[strcspn(in_text, " ")] != '\0');
    err = cron_schedule_parse(text, &ret->schedule);
    if (err)
        plan_event(plan, p->cron_job, EVENT_WARNING, "UnparseableCronJobSchedule", "unparseable schedule: \"%s\" : %s", spec->schedule, err->message);
    return err;
}

/* --- a new job --- */

static char *
scheduled_text(const struct clock_work *w, int64_t at, struct arena *a)
{
    int64_t offset = time_zone_offset_s(w->zone, at);
    struct civil c = civil_from(at + offset);
    int64_t minutes = (offset < 0 ? -offset : offset) / 60;

    if (offset == 0)
        return arena_printf(a, "%04lld-%02d-%02dT%02d:%02d:%02dZ", (long long)c.year, c.month, c.day, c.hour, c.minute, c.second);
    return arena_printf(a, "%04lld-%02d-%02dT%02d:%02d:%02d%c%02lld:%02lld", (long long)c.year, c.month, c.day, c.hour, c.minute, c.second,
                        offset < 0 ? '-' : '+', (long long)minutes / 60, (long long)minutes % 60);
}

static struct object *
new_job(const struct cronjob_picture *p, const struct clock_work *w, int64_t at)
{
    struct object *obj = object_new_of("batch/v1", "Job");
    struct arena *a = object_arena(obj);
    struct job *j = object_body(obj);
    struct owner_reference ref = owner_ref_to(object_kind(p->cron_job), object_meta(p->cron_job), a);
    struct job_template_spec copy;

    api_copy(&api_type_job_template_spec, a, &body(p)->spec.job_template, &copy);
    j->metadata.name = arena_printf(a, "%s-%lld", object_name(p->cron_job), (long long)at / 60);
    j->metadata.namespace = arena_strdup(a, object_namespace(p->cron_job));
    j->metadata.labels = copy.metadata.labels;
    j->metadata.annotations = copy.metadata.annotations;
    string_map_set(&j->metadata.annotations, a, A_SCHEDULED, scheduled_text(w, at, a));
    meta_add_owner(&j->metadata, a, &ref);
    j->spec = copy.spec;
    return obj;
}

static void
replace_active(struct cronjob_picture *p, struct plan *plan)
{
    for (size_t i = 0; i < p->jobs.len; i++)
        if (find_active(body(p), object_meta(p->jobs.items[i])->uid))
            plan_end(p, plan, p->jobs.items[i], "concurrencyPolicy: Replace");
}

static bool
was_started(const struct cronjob_picture *p, int64_t at)
{
    const struct cron_job_status *s = &body(p)->status;
    AUTO_FREE char *name = xasprintf("%s-%lld", object_name(p->cron_job), (long long)at / 60);

    if (s->last_schedule_time && api_time_unix(*s->last_schedule_time) == at)
        return true;
    for (uint32_t i = 0; i < s->active.len; i++)
        if (str_eq(s->active.items[i].name, name))
            return true;
    return false;
}

static void
start_due(struct cronjob_picture *p, struct plan *plan, const struct clock_work *w)
{
    const struct cron_job_spec *spec = &body(p)->spec;
    unsigned missed;
    int64_t at = latest_due(p, w, &missed);

    if (missed > MANY_MISSED)
        plan_event(plan, p->cron_job, EVENT_WARNING, "TooManyMissedTimes",
                   "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew");
    if (!at || was_started(p, at))
        return;
    if (spec->starting_deadline_seconds && at + *spec->starting_deadline_seconds < w->now) {
        AUTO(arena) *a = arena_new(0);
        plan_event(plan, p->cron_job, EVENT_WARNING, "MissSchedule", "Missed scheduled time to start a job: %s", scheduled_text(w, at, a));
        return;
    }
    if (str_eq(spec->concurrency_policy, "Forbid") && body(p)->status.active.len > 0) {
        plan_event(plan, p->cron_job, EVENT_NORMAL, "JobAlreadyActive",
                   "Not starting job because prior execution is running and concurrency policy is Forbid");
        return;
    }
    if (str_eq(spec->concurrency_policy, "Replace"))
        replace_active(p, plan);
    p->scheduled_unix_s = at;
    plan_create(plan, new_job(p, w, at), "its time has come")->flags = ACTION_IGNORE_EXISTS;
}

struct plan *
cronjob_decide(struct cronjob_picture *p, const char *key, struct api_time now)
{
    struct plan *plan = plan_new(key);
    struct clock_work w = { 0 };

    p->next = object_copy(p->cron_job);
    look_at_jobs(p, plan);
    drop_missing(p, plan);
    if (!meta_deleting(object_meta(p->cron_job))) {
        AUTO(kerr) *err = wind_up(p, plan, now, &w);
        if (!err && !bool_or(body(p)->spec.suspend, false)) {
            start_due(p, plan, &w);
            look_again(p, plan, &w, now);
        }
        time_zone_free(w.zone);
    }
    trim(p, plan, false, body(p)->spec.failed_jobs_history_limit);
    trim(p, plan, true, body(p)->spec.successful_jobs_history_limit);
    return plan;
}

/* --- the status after it --- */

static void
add_active(struct cronjob_picture *p, const struct action *a)
{
    struct arena *arena = object_arena(p->next);
    struct object_reference_slice *l = &body(p)->status.active;
    struct object_reference *items = arena_alloc(arena, (l->len + 1) * sizeof *items);
    const struct object_meta *meta = object_meta(a->result ? a->result : a->object);

    for (uint32_t i = 0; i < l->len; i++)
        items[i] = l->items[i];
    items[l->len] = (struct object_reference){ .kind = "Job", .namespace = arena_strdup(arena, meta->namespace), .name = arena_strdup(arena, meta->name),
                                               .uid = arena_strdup(arena, meta->uid), .api_version = "batch/v1",
                                               .resource_version = arena_strdup(arena, meta->resource_version) };
    *l = (struct object_reference_slice){ items, l->len + 1, l->len + 1 };
}

struct plan *
cronjob_status_decide(struct cronjob_picture *p, const struct plan *done, const char *key)
{
    struct plan *plan = plan_new(key);

    for (size_t i = 0; i < done->len; i++) {
        const struct action *a = &done->items[i];
        if (a->verb != ACTION_CREATE || a->state == ACTION_FAILED || a->state == ACTION_SKIPPED)
            continue;
        if (a->state == ACTION_PENDING || a->result) {
            add_active(p, a);
            plan_event(plan, p->cron_job, EVENT_NORMAL, "SuccessfulCreate", "Created job %s", object_name(a->result ? a->result : a->object));
        }
        body(p)->status.last_schedule_time = arena_time(object_arena(p->next), api_time_from_unix(p->scheduled_unix_s));
        p->changed = true;
    }
    if (p->changed)
        plan_update_status(plan, object_ref(p->next), "jobs began or ended");
    return plan;
}
