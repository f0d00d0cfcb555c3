// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_worker.h"

#include "common/api/codec.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/client/workqueue.h"
#include "common/daemon/daemon.h"
#include "kubelet/api_build.h"
#include "kubelet/pleg.h"
#include "kubelet/pod_act.h"
#include "kubelet/pod_observe.h"
#include "kubelet/prober.h"
#include "kubelet/status_manager.h"

#define SYNC_THREADS 8
#define MAX_ROUNDS 100      /* look-decide-act rounds in one go: a bound, never reached in practice */
#define BUCKETS 64
#define MORE_LOOKS 2
#define SECOND_LOOK_MS 40
#define THIRD_LOOK_MS 300

struct pod_workers {
    struct kubelet *k;
    struct workqueue *wq;
    pthread_mutex_t lock; /* guards the table; taken before a worker's own lock, never after */
    struct pod_worker *table[BUCKETS];
    size_t count;
};

static const double sync_buckets[] = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 };
static struct metric sync_seconds = METRIC_HISTOGRAM("kubelet_pod_worker_duration_seconds",
                                                     "Duration in seconds to sync a single pod.", NULL, sync_buckets);

static struct kerr *sync_pod(const char *uid, void *arg);
static struct kerr *round_of(struct pod_worker *w, bool *ret_again);

/* --- the table --- */

struct pod_workers *
pod_workers_new(struct kubelet *k)
{
    struct pod_workers *ws = XNEW(struct pod_workers);
    struct workqueue_config cfg = { .name = "pods", .workers = SYNC_THREADS, .sync = sync_pod, .arg = ws,
                                    .limits = { .base_ms = 200, .max_ms = 10000, .overall_qps = 100, .overall_burst = 500 } };

    ws->k = k;
    pthread_mutex_init(&ws->lock, NULL);
    ws->wq = workqueue_new(&cfg);
    metrics_register(&sync_seconds);
    return ws;
}

void
pod_workers_start(struct pod_workers *ws)
{
    workqueue_start(ws->wq);
}

void
pod_workers_stop(struct pod_workers *ws)
{
    workqueue_stop(ws->wq);
}

void
pod_workers_free(struct pod_workers *ws)
{
    if (!ws)
        return;
    workqueue_free(ws->wq);
    for (size_t i = 0; i < BUCKETS; i++)
        while (ws->table[i]) {
            struct pod_worker *w = ws->table[i];

            ws->table[i] = w->next;
            worker_unref(w);
        }
    pthread_mutex_destroy(&ws->lock);
    free(ws);
}

struct pod_worker *
worker_ref(struct pod_worker *w)
{
    __atomic_add_fetch(&w->refs, 1, __ATOMIC_RELAXED);
    return w;
}

void
worker_unref(struct pod_worker *w)
{
    if (!w || __atomic_sub_fetch(&w->refs, 1, __ATOMIC_ACQ_REL))
        return;
    object_unref(w->pod);
    object_unref(w->status);
    pod_record_done(&w->rec);
    pthread_mutex_destroy(&w->lock);
    free(w->uid);
    free(w);
}

void
worker_lock(struct pod_worker *w)
{
    pthread_mutex_lock(&w->lock);
}

void
worker_unlock(struct pod_worker *w)
{
    pthread_mutex_unlock(&w->lock);
}

void
worker_wake(struct pod_worker *w, uint64_t after_ms)
{
    pod_workers_wake(w->k->workers, w->uid, after_ms);
}

struct object *
worker_pod(struct pod_worker *w)
{
    struct object *pod;

    worker_lock(w);
    pod = object_ref(w->pod);
    worker_unlock(w);
    return pod;
}

static struct pod_worker **
slot_of(struct pod_workers *ws, const char *uid)
{
    struct pod_worker **at = &ws->table[hash64(uid, strlen(uid)) % BUCKETS];

    while (*at && strcmp((*at)->uid, uid) != 0)
        at = &(*at)->next;
    return at;
}

static struct pod_worker *
get(struct pod_workers *ws, const char *uid)
{
    struct pod_worker *w;

    pthread_mutex_lock(&ws->lock);
    w = *slot_of(ws, uid);
    if (w)
        worker_ref(w);
    pthread_mutex_unlock(&ws->lock);
    return w;
}

static struct pod_worker *
get_or_make(struct pod_workers *ws, const char *uid)
{
    struct pod_worker **at, *w;

    pthread_mutex_lock(&ws->lock);
    at = slot_of(ws, uid);
    if (!*at) {
        *at = w = XNEW(struct pod_worker);
        w->k = ws->k;
        w->uid = xstrdup(uid);
        w->refs = 1;
        w->rec.first_seen_ms = clock_wall_us() / 1000;
        pthread_mutex_init(&w->lock, NULL);
        ws->count++;
    }
    w = worker_ref(*at);
    pthread_mutex_unlock(&ws->lock);
    return w;
}

static void
forget(struct pod_workers *ws, const char *uid)
{
    struct pod_worker **at, *w;

    pthread_mutex_lock(&ws->lock);
    at = slot_of(ws, uid);
    w = *at;
    if (w) {
        *at = w->next;
        ws->count--;
    }
    pthread_mutex_unlock(&ws->lock);
    prober_forget(ws->k->prober, uid);
    status_manager_forget(ws->k->status, uid);
    worker_unref(w);
}

/* --- news from the sources --- */

static bool
kept_condition(const char *type)
{
    return !str_eq(type, "PodReadyToStartContainers") && !str_eq(type, "Initialized") && !str_eq(type, "Ready") &&
           !str_eq(type, "ContainersReady") && !str_eq(type, "PodScheduled");
}

/* The source's pod with our newest status in it: what we decide on.  Conditions of others come from the source. */
static struct object *
with_status(const struct object *pod, const struct object *status)
{
    struct object *copy = object_copy(pod);
    struct pod *p = OBJECT_BODY(copy, pod);
    const struct pod *from = status ? OBJECT_BODY(status, pod) : NULL;
    struct pod_condition_slice others = p->status.conditions, merged = { 0 };

    if (!from)
        return copy;
    api_copy(&api_type_pod_status, object_arena(copy), &from->status, &p->status);
    for (uint32_t i = 0; i < others.len; i++)
        if (kept_condition(others.items[i].type))
            *SLICE_ADD(object_arena(copy), &merged) = others.items[i];
    for (uint32_t i = 0; i < p->status.conditions.len; i++)
        if (!kept_condition(p->status.conditions.items[i].type))
            *SLICE_ADD(object_arena(copy), &merged) = p->status.conditions.items[i];
    p->status.conditions = merged;
    return copy;
}

static bool
same_map(const struct string_map *x, const struct string_map *y)
{
    bool same = x->len == y->len;

    for (uint32_t i = 0; same && i < x->len; i++)
        same = !strcmp(x->items[i].key, y->items[i].key) && str_eq(x->items[i].value, y->items[i].value);
    return same;
}

static bool
same_labels(const struct object_meta *x, const struct object_meta *y)
{
    return same_map(&x->labels, &y->labels) && same_map(&x->annotations, &y->annotations);
}

void
pod_workers_update(struct pod_workers *ws, const struct object *pod)
{
    const struct pod *p = OBJECT_BODY(pod, pod);
    struct pod_worker *w = get_or_make(ws, p->metadata.uid);

    worker_lock(w);
    if (w->pod && !same_labels(&OBJECT_BODY(w->pod, pod)->metadata, &p->metadata))
        w->volumes_due_s = 1; /* files of the downward API */
    object_unref(w->pod);
    w->pod = with_status(pod, w->status);
    w->is_static = pod_is_static(p);
    worker_unlock(w);
    worker_wake(w, 0);
    worker_unref(w);
}

void
pod_workers_gone(struct pod_workers *ws, const char *uid, int64_t grace_s)
{
    struct pod_worker *w = get(ws, uid);

    if (!w)
        return;
    worker_lock(w);
    if (!w->rec.gone || grace_s < w->rec.gone_grace_s)
        w->rec.gone_grace_s = grace_s;
    w->rec.gone = true;
    worker_unlock(w);
    worker_wake(w, 0);
    worker_unref(w);
}

void
pod_workers_orphan(struct pod_workers *ws, const char *uid, const char *name, const char *namespace)
{
    AUTO(object) *obj = object_new_of("v1", "Pod");
    struct pod *p = OBJECT_BODY(obj, pod);
    struct arena *a = object_arena(obj);

    p->metadata.uid = arena_strdup(a, uid);
    p->metadata.name = arena_strdup(a, str_safe(name));
    p->metadata.namespace = arena_strdup(a, str_safe(namespace));
    log_info("A pod of the runtime that nobody wants is stopped", "pod", str_safe(name), "namespace", str_safe(namespace), "uid", uid);
    pod_workers_update(ws, obj);
    pod_workers_gone(ws, uid, 30);
}

void
pod_workers_wake(struct pod_workers *ws, const char *uid, uint64_t after_ms)
{
    if (after_ms)
        workqueue_add_after(ws->wq, uid, after_ms);
    else
        workqueue_add(ws->wq, uid);
}

void
pod_workers_event(struct pod_workers *ws, const char *uid)
{
    struct pod_worker *w = get(ws, uid);

    if (!w)
        return;
    worker_lock(w);
    w->more_looks = MORE_LOOKS;
    worker_unlock(w);
    worker_wake(w, 0);
    worker_unref(w);
}

bool
pod_workers_has(struct pod_workers *ws, const char *uid)
{
    struct pod_worker *w = get(ws, uid);

    worker_unref(w);
    return w != NULL;
}

size_t
pod_workers_count(struct pod_workers *ws)
{
    size_t n;

    pthread_mutex_lock(&ws->lock);
    n = ws->count;
    pthread_mutex_unlock(&ws->lock);
    return n;
}

void
pod_workers_pods(struct pod_workers *ws, struct object_list *ret)
{
    pthread_mutex_lock(&ws->lock);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct pod_worker *w = ws->table[i]; w; w = w->next) {
            struct object *pod = worker_pod(w);

            if (pod)
                object_list_add_take(ret, pod);
        }
    pthread_mutex_unlock(&ws->lock);
}

struct object *
pod_workers_find(struct pod_workers *ws, const char *namespace, const char *name, const char *uid)
{
    AUTO_OBJECT_LIST all = { 0 };
    struct object *found = NULL;

    pod_workers_pods(ws, &all);
    for (size_t i = 0; i < all.len && !found; i++) {
        const struct object_meta *m = object_meta(all.items[i]);

        if (str_eq(m->namespace, namespace) && str_eq(m->name, name) && (str_empty(uid) || str_eq(m->uid, uid)))
            found = object_ref(all.items[i]);
    }
    return found;
}

void
pod_workers_probe(struct pod_workers *ws, const char *uid, const char *container, const char *id, enum probe_kind kind, bool ok, int64_t grace_s)
{
    struct pod_worker *w = get(ws, uid);
    struct container_record *r;
    bool changed = false;

    if (!w)
        return;
    worker_lock(w);
    r = pod_record_get(&w->rec, container);
    if (str_eq(r->probed_id, id)) {
        if (kind == PROBE_READINESS) {
            changed = r->ready != ok;
            r->ready = ok;
        } else if (kind == PROBE_STARTUP && ok) {
            changed = !r->started;
            r->started = true;
        } else if (!ok && !str_eq(r->doomed_id, id)) {
            char *message = xasprintf("Container %s failed %s probe, will be restarted", container,
                                      kind == PROBE_STARTUP ? "startup" : "liveness");

            changed = true;
            record_set(&r->doomed_id, id);
            record_set(&r->doomed_message, message);
            r->doomed_grace_s = grace_s;
            free(message);
        }
    }
    worker_unlock(w);
    if (changed)
        worker_wake(w, 0);
    worker_unref(w);
}

void
pod_workers_fail(struct pod_workers *ws, const char *uid, const char *reason, const char *message)
{
    struct pod_worker *w = get(ws, uid);

    if (!w)
        return;
    worker_lock(w);
    record_set(&w->rec.rejected_reason, reason);
    record_set(&w->rec.rejected_message, message);
    worker_unlock(w);
    worker_wake(w, 0);
    worker_unref(w);
}

/* --- the sync --- */

static bool
is_finished(struct pod_worker *w)
{
    bool finished;

    worker_lock(w);
    finished = w->finished;
    worker_unlock(w);
    return finished;
}

static bool
is_gone(struct pod_worker *w)
{
    bool gone;

    worker_lock(w);
    gone = w->rec.gone;
    worker_unlock(w);
    return gone;
}

/* Stopped, removed, and its source has let go of it too. */
static bool
is_over(struct pod_worker *w)
{
    return is_finished(w) && is_gone(w);
}

static struct kerr *
sync_pod(const char *uid, void *arg)
{
    struct pod_workers *ws = arg;
    struct pod_worker *w = get(ws, uid);
    uint64_t begin = clock_mono_us();
    struct kerr *err = NULL;
    bool again = true;

    if (!w)
        return NULL;
    for (int i = 0; again && !err && i < MAX_ROUNDS; i++)
        err = round_of(w, &again);
    metric_observe(&sync_seconds, (double)(clock_mono_us() - begin) / 1e6);
    if (!again && is_over(w))
        forget(ws, uid);
    worker_unref(w);
    return err;
}

/* --- one round --- */

static void
keep_status(struct pod_worker *w, const struct object *pod, const struct pod_status *st)
{
    struct object *obj = object_copy(pod);

    api_copy(&api_type_pod_status, object_arena(obj), st, &OBJECT_BODY(obj, pod)->status);
    object_unref(w->status);
    w->status = obj;
    object_unref(w->pod);
    w->pod = object_ref(obj);
}

static bool
status_changed(struct pod_worker *w, const struct pod_status *st)
{
    return !w->status || !api_equal(&api_type_pod_status, &OBJECT_BODY(w->status, pod)->status, st);
}

/* Look and decide.  The plan is in the arena. */
static struct kerr *
look(struct pod_worker *w, struct object *pod_obj, struct arena *a, struct rt_pod *rt, struct pod_plan *plan)
{
    const struct pod *pod = OBJECT_BODY(pod_obj, pod);
    struct pod_view v = { .pod = pod, .rt = rt, .rec = &w->rec };
    AUTO(object) *changed = NULL;
    struct kerr *err = runtime_pod(w->k->rt, w->uid, a, rt);

    if (err)
        return kerr_wrap(err, "pod %s/%s", pod->metadata.namespace, pod->metadata.name);
    pleg_learn(w->k->pleg, w->uid, rt);
    pod_note_ends(w, rt);
    pod_note_starts(w, pod, rt);
    v.now_ms = clock_wall_us() / 1000;
    worker_lock(w);
    pod_decide(&v, a, plan);
    if (!(plan->stopping && w->observed && !rt->nsandboxes && !rt->ncontainers)) { /* what is removed stays reported as it ended */
        struct pod_status *st = pod_status_make(&v, &w->k->identity, a);

        if (pod_phase_terminal(st->phase))
            w->rec.terminal = true;
        if (status_changed(w, st) && w->pod == pod_obj) {
            keep_status(w, pod_obj, st);
            changed = object_ref(w->status);
        }
        w->observed = w->observed || rt->nsandboxes;
    }
    worker_unlock(w);
    if (changed && !is_gone(w))
        status_manager_set(w->k->status, changed);
    return NULL;
}

static void
log_plan(const struct pod *pod, const struct pod_plan *plan)
{
    AUTO_SBUF text = { 0 };

    if (!plan->len || !klog_v_on(3, __FILE__))
        return;
    pod_plan_print(plan, &text);
    log_info("Pod plan", "pod", pod->metadata.name, "namespace", pod->metadata.namespace, "uid", pod->metadata.uid, "plan", sbuf_str(&text));
}

static struct kerr *
round_of(struct pod_worker *w, bool *ret_again)
{
    AUTO(arena) *a = arena_new(16384);
    AUTO(object) *pod = worker_pod(w);
    struct rt_pod rt = { 0 };
    struct pod_plan plan;
    struct kerr *err;
    uint64_t look_ms;
    int64_t now_s;
    bool refresh;

    *ret_again = false;
    if (is_finished(w) || !pod)
        return NULL;
    err = look(w, pod, a, &rt, &plan);
    if (err)
        return err;
    log_plan(OBJECT_BODY(pod, pod), &plan);
    for (uint32_t i = 0; !err && i < plan.len; i++)
        err = pod_act(w, pod, &rt, &plan.items[i], ret_again);
    if (err || *ret_again)
        return err;
    now_s = clock_wall_s();
    worker_lock(w);
    refresh = !plan.stopping && w->rec.prepared && w->volumes_due_s && now_s >= w->volumes_due_s;
    worker_unlock(w);
    if (refresh)
        pod_act_refresh_volumes(w, pod, &rt);
    worker_lock(w);
    look_ms = w->more_looks > 0 ? w->more_looks-- == MORE_LOOKS ? SECOND_LOOK_MS : THIRD_LOOK_MS : 0;
    worker_unlock(w);
    if (look_ms) {
        worker_wake(w, look_ms);
    } else if (plan.wake_ms) {
        int64_t wait = plan.wake_ms - clock_wall_us() / 1000;

        worker_wake(w, wait > 1 ? (uint64_t)wait : 1);
    } else if (!plan.stopping) {
        worker_wake(w, (uint64_t)w->k->cfg.sync_frequency_ms);
    }
    return NULL;
}
