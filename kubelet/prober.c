// SPDX-License-Identifier: Apache-2.0
#include "kubelet/prober.h"

#include <pthread.h>
#include <time.h>

#include "common/api/codec.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/pool.h"
#include "common/base/rng.h"
#include "kubelet/handler.h"

#define MAX_PROBES 4096
#define PROBE_THREADS 32

struct prober_item { /* one probe of one running container */
    struct object *pod;
    char *uid, *container, *id, *pod_ip;
    enum probe_kind kind;
    struct probe_state state;
    uint64_t next_ms;
    bool busy;    /* a thread of the pool has it */
    bool dropped; /* free it when the thread is done */
};

struct prober {
    struct kubelet *k;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t cond;
    struct prober_item **items;
    size_t len;
    struct pool *pool;
    bool stopping;
    struct rng rng;
};

static struct metric probes_total = METRIC_COUNTER("prober_probe_total", "Cumulative number of a liveness, readiness or startup probe for a container by result.",
                                                   "container,namespace,pod,pod_uid,probe_type,result");
static const char *const kind_names[] = { "Startup", "Liveness", "Readiness" };

bool
probe_count(struct probe_state *s, const struct probe *p, bool ok, bool *ret_verdict)
{
    int wanted = ok ? p->success_threshold : p->failure_threshold;

    if (s->run && s->last == ok)
        s->run++;
    else
        s->run = 1;
    s->last = ok;
    if (wanted < 1)
        wanted = ok ? 1 : 3;
    if (s->run < wanted)
        return false;
    *ret_verdict = ok;
    if (s->has_told && s->told == ok)
        return false;
    s->has_told = true;
    s->told = ok;
    return true;
}

static const struct probe *
probe_of(const struct container *c, enum probe_kind kind)
{
    return kind == PROBE_STARTUP ? c->startup_probe : kind == PROBE_LIVENESS ? c->liveness_probe : c->readiness_probe;
}

static void
item_free(struct prober_item *it)
{
    object_unref(it->pod);
    free(it->uid);
    free(it->container);
    free(it->id);
    free(it->pod_ip);
    free(it);
}

/* --- one probe, on a pool thread --- */

struct probe_job {
    struct prober *p;
    struct prober_item *it;
};

static enum handler_result
attempt(struct prober *p, struct prober_item *it, const struct pod_container *pc, const struct probe *probe)
{
    const struct pod *pod = OBJECT_BODY(it->pod, pod);
    struct handler_target t = { pod, pc->c, it->id, it->pod_ip };
    AUTO_SBUF why = { .max = 10240 };
    static const char *const results[] = { [HANDLER_OK] = "successful", [HANDLER_FAILED] = "failed", [HANDLER_ERROR] = "unknown" };
    enum handler_result result = handler_probe(p->k, &t, probe, &why);
    bool dropped;

    metric_inc(&probes_total, it->container, pod->metadata.namespace, pod->metadata.name, it->uid, kind_names[it->kind], results[result]);
    pthread_mutex_lock(&p->lock);
    dropped = it->dropped;
    pthread_mutex_unlock(&p->lock);
    if (result != HANDLER_OK && !dropped)
        kubelet_event(p->k, pod, it->container, EVENT_WARNING, "Unhealthy",
                      result == HANDLER_FAILED ? "%s probe failed: %s" : "%s probe errored and resulted in unknown state: %s",
                      kind_names[it->kind], sbuf_str(&why));
    return result;
}

static void
probe_main(void *arg)
{
    struct probe_job *j = arg;
    struct prober *p = j->p;
    struct prober_item *it = j->it;
    const struct probe *probe;
    struct pod_container pc;
    enum handler_result result;
    bool verdict = false, tell, dropped;

    free(j);
    if (!pod_container_find(OBJECT_BODY(it->pod, pod), it->container, &pc) || !(probe = probe_of(pc.c, it->kind)))
        return;
    result = attempt(p, it, &pc, probe);
    pthread_mutex_lock(&p->lock);
    tell = result != HANDLER_ERROR && probe_count(&it->state, probe, result == HANDLER_OK, &verdict) && !it->dropped;
    pthread_mutex_unlock(&p->lock);
    if (tell)
        pod_workers_probe(p->k->workers, it->uid, it->container, it->id, it->kind, verdict,
                          probe->termination_grace_period_seconds ? *probe->termination_grace_period_seconds : -1);
    pthread_mutex_lock(&p->lock);
    it->busy = false;
    dropped = it->dropped;
    /* Startup has done its part; liveness is over once it failed. */
    if (tell && ((it->kind == PROBE_STARTUP) || (it->kind == PROBE_LIVENESS && !verdict)))
        it->next_ms = UINT64_MAX;
    else
        it->next_ms = clock_mono_ms() + (uint64_t)(probe->period_seconds > 0 ? probe->period_seconds : 10) * 1000;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
    if (dropped)
        item_free(it);
    else if (tell && it->kind == PROBE_STARTUP && verdict) /* the other two may begin: told by the next sync */
        pod_workers_wake(p->k->workers, it->uid, 0);
}

/* --- the clock --- */

static void *
thread_main(void *arg)
{
    struct prober *p = arg;

    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        uint64_t now = clock_mono_ms(), next = now + 3600000;
        struct timespec until;

        for (size_t i = 0; i < p->len; i++) {
            struct prober_item *it = p->items[i];

            if (it->busy)
                continue;
            if (it->next_ms <= now) {
                struct probe_job *j = XNEW(struct probe_job);

                *j = (struct probe_job){ p, it };
                it->busy = true;
                if (pool_submit(p->pool, probe_main, j)) { /* overload: this round is skipped */
                    free(j);
                    it->busy = false;
                    it->next_ms = now + 1000;
                }
            } else if (it->next_ms < next) {
                next = it->next_ms;
            }
        }
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (time_t)((next - now) / 1000);
        until.tv_nsec += (long)((next - now) % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&p->cond, &p->lock, &until);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct prober *
prober_new(struct kubelet *k)
{
    struct prober *p = XNEW(struct prober);

    p->k = k;
    p->rng = rng_from_system();
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->cond, NULL);
    p->pool = pool_new("probes", PROBE_THREADS, MAX_PROBES);
    if (pthread_create(&p->thread, NULL, thread_main, p))
        abort();
    return p;
}

void
prober_stop(struct prober *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pool_free(p->pool);
    p->pool = NULL;
}

void
prober_free(struct prober *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->len; i++)
        item_free(p->items[i]);
    free(p->items);
    pthread_cond_destroy(&p->cond);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* --- what is probed --- */

static void
drop(struct prober *p, size_t i) /* lock held */
{
    struct prober_item *it = p->items[i];

    p->items[i] = p->items[--p->len];
    if (it->busy)
        it->dropped = true;
    else
        item_free(it);
}

static void
add(struct prober *p, const struct pod *pod, const struct container *c, const struct rt_container *rc, enum probe_kind kind, const char *pod_ip)
{
    const struct probe *probe = probe_of(c, kind);
    struct prober_item *it;
    int64_t due;

    for (size_t i = 0; i < p->len; i++)
        if (p->items[i]->kind == kind && !strcmp(p->items[i]->uid, pod->metadata.uid) && !strcmp(p->items[i]->container, c->name)) {
            if (!strcmp(p->items[i]->id, rc->id))
                return;
            drop(p, i); /* of the container before */
            break;
        }
    if (p->len >= MAX_PROBES)
        return;
    it = XNEW(struct prober_item);
    it->pod = object_new_of("v1", "Pod");
    api_copy(&api_type_pod, object_arena(it->pod), pod, object_body(it->pod));
    it->uid = xstrdup(pod->metadata.uid);
    it->container = xstrdup(c->name);
    it->id = xstrdup(rc->id);
    it->pod_ip = xstrdup(pod_ip);
    it->kind = kind;
    due = rc->started_ns / 1000000 + (int64_t)probe->initial_delay_seconds * 1000 - clock_wall_us() / 1000;
    it->next_ms = clock_mono_ms() + (due > 0 ? (uint64_t)due : 0);
    p->items = xreallocarray(p->items, p->len + 1, sizeof *p->items);
    p->items[p->len++] = it;
}

static bool
startup_passed(struct prober *p, const struct pod *pod, const struct container *c, const struct rt_container *rc)
{
    const struct container_status_slice *lists[] = { &pod->status.container_statuses, &pod->status.init_container_statuses };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (uint32_t i = 0; i < lists[l]->len; i++) {
            const struct container_status *st = &lists[l]->items[i];

            if (str_eq(st->name, c->name) && str_has_suffix(st->container_id, rc->id) && st->started && *st->started)
                return true;
        }
    for (size_t i = 0; i < p->len; i++)
        if (p->items[i]->kind == PROBE_STARTUP && !strcmp(p->items[i]->id, rc->id))
            return p->items[i]->state.has_told && p->items[i]->state.told;
    return false;
}

void
prober_container(struct prober *p, const struct pod *pod, const struct pod_container *pc, const struct rt_container *c, const char *pod_ip)
{
    const struct container *s = pc->c;
    bool up;

    if (pc->kind == CONTAINER_EPHEMERAL || (pc->kind == CONTAINER_INIT && !pc->sidecar) ||
        (!s->startup_probe && !s->liveness_probe && !s->readiness_probe))
        return;
    if (pod->metadata.deletion_timestamp) /* its probes go on as they are; none is added */
        return;
    pthread_mutex_lock(&p->lock);
    up = !s->startup_probe || startup_passed(p, pod, s, c);
    if (s->startup_probe && !up)
        add(p, pod, s, c, PROBE_STARTUP, pod_ip);
    if (s->liveness_probe && up)
        add(p, pod, s, c, PROBE_LIVENESS, pod_ip);
    if (s->readiness_probe && up)
        add(p, pod, s, c, PROBE_READINESS, pod_ip);
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
}

void
prober_forget(struct prober *p, const char *uid)
{
    pthread_mutex_lock(&p->lock);
    for (size_t i = p->len; i-- > 0;)
        if (!strcmp(p->items[i]->uid, uid))
            drop(p, i);
    pthread_mutex_unlock(&p->lock);
}

static void
drop_all(struct prober *p, const char *uid, const char *container, bool keep_readiness)
{
    pthread_mutex_lock(&p->lock);
    for (size_t i = p->len; i-- > 0;)
        if (!strcmp(p->items[i]->uid, uid) && !strcmp(p->items[i]->container, container) &&
            !(keep_readiness && p->items[i]->kind == PROBE_READINESS))
            drop(p, i);
    pthread_mutex_unlock(&p->lock);
}

void
prober_end_container(struct prober *p, const char *uid, const char *container)
{
    drop_all(p, uid, container, false);
}

/* Readiness goes on while it ends, so that it turns unready; the other two stop. */
void
prober_stop_container(struct prober *p, const char *uid, const char *container)
{
    drop_all(p, uid, container, true);
}
