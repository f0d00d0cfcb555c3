// SPDX-License-Identifier: Apache-2.0
/* What was decided, carried out on pool threads: bindings and status patches. */
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/pool.h"
#include "common/base/str.h"
#include "common/client/events.h"
#include "scheduler/scheduler_impl.h"

struct sched_job {
    struct scheduler *s;
    const struct profile *profile;
    const struct object *pod;
    char *key, *node;
    char *reason, *message, *nominated; /* status jobs */
    const struct object **victims;
    uint32_t nvictims;
    bool event;
    uint64_t started_us, first_seen_ms;
    unsigned attempts;
};

static struct sched_job *
job_new(struct scheduler *s, struct known_pod *k)
{
    struct sched_job *j = XNEW(struct sched_job);

    j->s = s;
    j->profile = k->profile;
    j->pod = object_ref(k->info->object);
    j->key = xstrdup(k->key);
    j->started_us = clock_mono_us();
    j->first_seen_ms = k->first_seen_ms;
    j->attempts = k->queued ? k->queued->attempts : 0;
    return j;
}

static void
job_free(struct sched_job *j)
{
    object_unref(j->pod);
    free(j->key);
    free(j->node);
    free(j->reason);
    free(j->message);
    free(j->nominated);
    for (uint32_t i = 0; i < j->nvictims; i++)
        object_unref(j->victims[i]);
    free(j->victims);
    free(j);
}

/* Jobs that have not begun when the daemon stops are left to the next leader. */
static bool
too_late(struct sched_job *j)
{
    bool stopping;

    pthread_mutex_lock(&j->s->lock);
    stopping = j->s->stopping;
    pthread_mutex_unlock(&j->s->lock);
    if (stopping)
        job_free(j);
    return stopping;
}

/* --- status --- */

static void
condition_patch(const struct sched_job *j, struct sbuf *out)
{
    sbuf_adds(out, "{\"metadata\":{\"uid\":");
    json_add_string(out, object_meta(j->pod)->uid);
    sbuf_adds(out, "},\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\",\"lastProbeTime\":null,\"lastTransitionTime\":\"");
    const struct pod_condition *now = pod_condition_find(&OBJECT_BODY(j->pod, pod)->status, "PodScheduled");
    bool was_false = now && str_eq(now->status, "False");

    api_time_format(was_false ? now->last_transition_time : api_time_from_unix(clock_wall_s()), out);
    sbuf_adds(out, "\",\"reason\":");
    json_add_string(out, j->reason);
    sbuf_adds(out, ",\"message\":");
    json_add_string(out, j->message);
    if (object_meta(j->pod)->generation > 0)
        sbuf_addf(out, ",\"observedGeneration\":%lld", (long long)object_meta(j->pod)->generation);
    sbuf_adds(out, "}]");
    if (j->nominated) {
        sbuf_adds(out, ",\"nominatedNodeName\":");
        json_add_string(out, j->nominated);
    }
    sbuf_adds(out, "}}");
}

static void
report_job(void *arg)
{
    struct sched_job *j = arg;
    struct rest_patch_options opts = { .subresource = "status" };
    AUTO_SBUF patch = { 0 };
    struct kerr *err;

    if (too_late(j))
        return;
    condition_patch(j, &patch);
    err = rest_patch(j->s->opts.rest, object_kind(j->pod), object_namespace(j->pod), object_name(j->pod), REST_PATCH_STRATEGIC, sbuf_str(&patch),
                     patch.len, &opts, NULL);
    if (err && err->reason != KERR_NOT_FOUND)
        log_warning("Cannot tell the pod why it waits; the next attempt tells it", "pod", j->key, "err", err->message);
    kerr_free(err);
    pthread_mutex_lock(&j->s->lock);
    j->s->reporting--;
    pthread_mutex_unlock(&j->s->lock);
    job_free(j);
}

static bool
already_told(const struct pod *pod, const char *reason, const char *message, const char *nominated)
{
    const struct pod_condition *now = pod_condition_find(&pod->status, "PodScheduled");

    return now && str_eq(now->status, "False") && str_eq(now->reason, reason) && str_eq(now->message, message) &&
           str_eq(pod->status.nominated_node_name, nominated);
}

void
act_report(struct scheduler *s, struct known_pod *k, const char *reason, const char *message, bool event)
{
    struct sched_job *j;

    if (event)
        events_send(events_of(s, k->profile), k->info->object, EVENT_WARNING, "FailedScheduling", "%s", message);
    if (already_told(k->info->pod, reason, message, k->nominated_node) || s->reporting >= MAX_REPORTING || !s->pool)
        return;
    j = job_new(s, k);
    j->reason = xstrdup(reason);
    j->message = xstrdup(message);
    if (!str_eq(k->info->pod->status.nominated_node_name, k->nominated_node))
        j->nominated = xstrdup(str_safe(k->nominated_node));
    s->reporting++;
    if (pool_submit(s->pool, report_job, j) < 0) {
        s->reporting--;
        job_free(j);
    }
}

/* --- preemption --- */

static void
evict(struct sched_job *j, const struct object *victim)
{
    struct rest_patch_options opts = { .subresource = "status" };
    struct rest_delete_options del = { .uid = object_meta(victim)->uid };
    AUTO_FREE char *key = object_key(victim);
    AUTO_SBUF patch = { 0 }, time = { 0 };
    struct kerr *err;

    api_time_format(api_time_from_unix(clock_wall_s()), &time);
    sbuf_adds(&patch, "{\"status\":{\"conditions\":[{\"type\":\"DisruptionTarget\",\"status\":\"True\",\"reason\":\"PreemptionByScheduler\",");
    sbuf_addf(&patch, "\"lastTransitionTime\":\"%s\",\"message\":\"%s: preempting to accommodate a higher priority pod\"}]}}", sbuf_str(&time), j->profile->name);
    err = rest_patch(j->s->opts.rest, object_kind(victim), object_namespace(victim), object_name(victim), REST_PATCH_STRATEGIC, sbuf_str(&patch),
                     patch.len, &opts, NULL);
    if (err && err->reason != KERR_NOT_FOUND)
        log_warning("Cannot mark a pod as preempted; deleting it all the same", "pod", key, "err", err->message);
    kerr_free(err);
    err = rest_delete(j->s->opts.rest, object_kind(victim), object_namespace(victim), object_name(victim), &del);
    if (err && err->reason != KERR_NOT_FOUND)
        log_warning("Cannot preempt; the next attempt tries again", "pod", key, "for", j->key, "err", err->message);
    else if (!err)
        events_send(events_of(j->s, j->profile), victim, EVENT_NORMAL, "Preempted", "Preempted by pod %s on node %s", object_meta(j->pod)->uid, j->node);
    kerr_free(err);
    log_v(2, "Preempted", "pod", key, "for", j->key, "node", j->node);
}

static void
preempt_job(void *arg)
{
    struct sched_job *j = arg;

    if (too_late(j))
        return;
    for (uint32_t i = 0; i < j->nvictims; i++)
        evict(j, j->victims[i]);
    pthread_mutex_lock(&j->s->lock);
    j->s->reporting--;
    pthread_mutex_unlock(&j->s->lock);
    job_free(j);
}

void
act_preempt(struct scheduler *s, struct known_pod *k, const struct preemption *p)
{
    struct sched_job *j;

    if (s->reporting >= MAX_REPORTING)
        return;
    j = job_new(s, k);
    j->node = xstrdup(s->nodes->name[p->row]);
    j->victims = xcalloc(p->nvictims + 1, sizeof(*j->victims));
    for (uint32_t i = 0; i < p->nvictims; i++)
        j->victims[j->nvictims++] = object_ref(p->victims[i]->object);
    s->reporting++;
    if (pool_submit(s->pool, preempt_job, j) < 0) {
        s->reporting--;
        job_free(j);
        return;
    }
    metrics_preemption(p->nvictims);
}

/* --- bindings --- */

/* The node did not get the pod: it is free again, and the pod waits.  With the lock. */
static void
unassume(struct sched_job *j, const char *message)
{
    struct scheduler *s = j->s;
    struct known_pod *k = known_pod_find(s, j->key);

    if (!k || k->stage != POD_ASSUMED || !str_eq(k->info->uid, object_meta(j->pod)->uid))
        return; /* gone, or the informer knows better by now */
    nodes_del_pod(s->nodes, k->info);
    k->stage = POD_WAITS;
    pod_queue_error(s->queue, k->queued, clock_mono_ms());
    act_report(s, k, "SchedulerError", message, true);
    pod_queue_event(s->queue, (1u << PLUGIN_NODE_RESOURCES_FIT) | (1u << PLUGIN_NODE_PORTS) | (1u << PLUGIN_INTER_POD_AFFINITY), clock_mono_ms());
}

static void
bind_job(void *arg)
{
    struct sched_job *j = arg;
    struct scheduler *s = j->s;
    const struct object_meta *meta = object_meta(j->pod);
    struct kerr *err;

    if (too_late(j))
        return;
    err = rest_bind_pod(s->opts.rest, meta->namespace, meta->name, meta->uid, j->node);

    if (err) {
        AUTO_FREE char *message = xasprintf("binding rejected: %s", err->message);

        log_warning("Binding failed; the pod is tried again after a back-off", "pod", j->key, "node", j->node, "err", err->message);
        metrics_attempt(j->profile, RESULT_ERROR, clock_mono_us() - j->started_us);
        pthread_mutex_lock(&s->lock);
        unassume(j, message);
        pthread_mutex_unlock(&s->lock);
        kerr_free(err);
    } else {
        log_v(2, "Successfully bound pod to node", "pod", j->key, "node", j->node);
        events_send(events_of(s, j->profile), j->pod, EVENT_NORMAL, "Scheduled", "Successfully assigned %s to %s", j->key, j->node);
        metrics_attempt(j->profile, RESULT_SCHEDULED, clock_mono_us() - j->started_us);
        metrics_bound(j->attempts, clock_mono_ms() - j->first_seen_ms);
    }
    pthread_mutex_lock(&s->lock);
    s->binding--;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    job_free(j);
}

void
act_bind(struct scheduler *s, struct known_pod *k, const char *node)
{
    struct sched_job *j = job_new(s, k);

    j->node = xstrdup(node);
    s->binding++;
    if (pool_submit(s->pool, bind_job, j) < 0) { /* cannot be: both kinds of jobs are bounded below the pool's queue */
        s->binding--;
        unassume(j, "binding rejected: too many bindings under way");
        job_free(j);
    }
}
