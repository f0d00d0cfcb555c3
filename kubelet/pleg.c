// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pleg.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/client/workqueue.h"
#include "kubelet/cri/runtime_events.h"
#include "kubelet/pod_worker.h"
#include "kubelet/volumes.h"

#define IDS 512                     /* buckets */
#define MAX_IDS 20000               /* then the table is emptied; relists fill it again */
#define RELIST_SLOW_MS 60000        /* with events */
#define RELIST_FAST_MS 1000         /* without */

struct known {
    struct known *next;
    char *id, *uid;
};

struct pleg {
    struct kubelet *k;
    struct runtime_events *events;
    pthread_t thread;
    pthread_mutex_t lock; /* guards ids, look_now, stopping */
    pthread_cond_t cond;
    struct known *ids[IDS];
    size_t nids;
    bool look_now, stopping, running;
    atomic_bool sources_ready;
    uint64_t last_clean_ms;
};

static const double relist_buckets[] = { 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 };
static struct metric relist_seconds = METRIC_HISTOGRAM("kubelet_pleg_relist_duration_seconds", "Duration in seconds for relisting pods in PLEG.",
                                                       NULL, relist_buckets);
static struct metric running_pods = METRIC_GAUGE("kubelet_running_pods", "Number of pods that have a running pod sandbox", NULL);
static struct metric running_containers = METRIC_GAUGE("kubelet_running_containers", "Number of currently running containers", "container_state");

static void on_event(const char *id, void *arg);
static void *thread_main(void *arg);

struct pleg *
pleg_new(struct kubelet *k)
{
    struct pleg *p = XNEW(struct pleg);

    p->k = k;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->cond, NULL);
    metrics_register(&running_pods);
    return p;
}

void
pleg_start(struct pleg *p)
{
    p->events = runtime_events_start(p->k->rt, on_event, p);
    if (pthread_create(&p->thread, NULL, thread_main, p))
        abort();
    p->running = true;
}

void
pleg_stop(struct pleg *p)
{
    runtime_events_stop(p->events);
    p->events = NULL;
    if (!p->running)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    p->running = false;
}

static void
clear_ids(struct pleg *p) /* lock held */
{
    for (size_t i = 0; i < IDS; i++)
        while (p->ids[i]) {
            struct known *n = p->ids[i];

            p->ids[i] = n->next;
            free(n->id);
            free(n->uid);
            free(n);
        }
    p->nids = 0;
}

void
pleg_free(struct pleg *p)
{
    if (!p)
        return;
    clear_ids(p);
    pthread_cond_destroy(&p->cond);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void
look_now(struct pleg *p)
{
    pthread_mutex_lock(&p->lock);
    p->look_now = true;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->lock);
}

void
pleg_sources_ready(struct pleg *p)
{
    atomic_store(&p->sources_ready, true);
    look_now(p);
}

bool
pleg_are_sources_ready(const struct pleg *p)
{
    return atomic_load(&p->sources_ready);
}

/* --- who is who --- */

static struct known **
find_id(struct pleg *p, const char *id)
{
    struct known **at = &p->ids[hash64(id, strlen(id)) % IDS];

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

void
pleg_learn_id(struct pleg *p, const char *uid, const char *id)
{
    struct known **at;

    pthread_mutex_lock(&p->lock);
    if (p->nids >= MAX_IDS)
        clear_ids(p);
    at = find_id(p, id);
    if (!*at) {
        *at = XNEW(struct known);
        (*at)->id = xstrdup(id);
        (*at)->uid = xstrdup(uid);
        p->nids++;
    }
    pthread_mutex_unlock(&p->lock);
}

void
pleg_learn(struct pleg *p, const char *uid, const struct rt_pod *rt)
{
    for (size_t i = 0; i < rt->nsandboxes; i++)
        pleg_learn_id(p, uid, rt->sandboxes[i].id);
    for (size_t i = 0; i < rt->ncontainers; i++)
        pleg_learn_id(p, uid, rt->containers[i].id);
}

/* On the gRPC client's thread. */
static void
on_event(const char *id, void *arg)
{
    struct pleg *p = arg;
    AUTO_FREE char *uid = NULL;

    if (id) {
        struct known *n;

        pthread_mutex_lock(&p->lock);
        n = *find_id(p, id);
        uid = n ? xstrdup(n->uid) : NULL;
        pthread_mutex_unlock(&p->lock);
    }
    if (!uid) {
        look_now(p);
        return;
    }
    pod_workers_event(p->k->workers, uid);
}

/* --- the relist --- */

static bool
in_runtime(const struct rt_pod_list *l, const char *uid)
{
    for (size_t i = 0; i < l->len; i++)
        if (!strcmp(l->items[i].uid, uid))
            return true;
    return false;
}

/* Pod directories and cgroups that belong to nobody any more. */
static void
clean_leftovers(struct pleg *p, const struct rt_pod_list *l)
{
    struct kubelet *k = p->k;
    AUTO_FREE char *dir = xasprintf("%s/pods", k->cfg.root_dir);
    AUTO_STRLIST uids = { 0 };
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d)))
        if (e->d_name[0] != '.')
            strlist_add(&uids, e->d_name);
    if (d)
        closedir(d);
    if (k->cg && k->cfg.cgroups_per_qos)
        cgroups_pod_uids(k->cg, &uids);
    for (size_t i = 0; i < uids.len; i++) {
        const char *uid = uids.items[i];
        struct kerr *err;

        if (in_runtime(l, uid) || pod_workers_has(k->workers, uid))
            continue;
        err = volumes_remove(k->cfg.root_dir, uid);
        if (!err && k->cg && k->cfg.cgroups_per_qos)
            err = cgroups_pod_remove(k->cg, uid);
        if (err)
            log_warning("Leftovers of a pod cannot be removed; trying again later", "uid", uid, "err", kv_err(err));
        kerr_free(err);
    }
}

static void
relist(struct pleg *p)
{
    AUTO(arena) *a = arena_new(0);
    struct rt_pod_list l = { 0 };
    uint64_t begin = clock_mono_us();
    AUTO(kerr) *err = runtime_pods(p->k->rt, a, &l);
    size_t pods = 0, running = 0, exited = 0;
    bool ready = atomic_load(&p->sources_ready);

    if (err) {
        log_v(2, "The container runtime cannot be asked for its pods; trying again", "err", kv_err(err));
        return;
    }
    for (size_t i = 0; i < l.len; i++) {
        struct rt_pod *rp = &l.items[i];
        bool up = false;

        pleg_learn(p, rp->uid, rp);
        for (size_t s = 0; s < rp->nsandboxes; s++)
            up |= rp->sandboxes[s].ready;
        for (size_t c = 0; c < rp->ncontainers; c++) {
            running += rp->containers[c].state == RT_RUNNING;
            exited += rp->containers[c].state == RT_EXITED;
        }
        pods += up;
        if (pod_workers_has(p->k->workers, rp->uid))
            pod_workers_wake(p->k->workers, rp->uid, 0);
        else if (ready)
            pod_workers_orphan(p->k->workers, rp->uid, rp->name, rp->namespace);
    }
    metric_set(&running_pods, (double)pods);
    metric_set(&running_containers, (double)running, "running");
    metric_set(&running_containers, (double)exited, "exited");
    metric_observe(&relist_seconds, (double)(clock_mono_us() - begin) / 1e6);
    if (ready && clock_mono_ms() - p->last_clean_ms > RELIST_SLOW_MS / 2) {
        p->last_clean_ms = clock_mono_ms();
        clean_leftovers(p, &l);
    }
}

static void *
thread_main(void *arg)
{
    struct pleg *p = arg;

    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        uint64_t ms = p->events && runtime_events_live(p->events) ? RELIST_SLOW_MS : RELIST_FAST_MS;
        struct timespec until;

        p->look_now = false;
        pthread_mutex_unlock(&p->lock);
        relist(p);
        pthread_mutex_lock(&p->lock);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (time_t)(ms / 1000);
        while (!p->stopping && !p->look_now && pthread_cond_timedwait(&p->cond, &p->lock, &until) == 0)
            ;
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}
