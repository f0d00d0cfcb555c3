// SPDX-License-Identifier: Apache-2.0
#include "common/client/leader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/base/rng.h"
#include "common/base/str.h"
#include "common/client/events.h"

#define JITTER_PERCENT 120 /* of the retry period while waiting, as client-go's JitterFactor 1.2 */

struct leader {
    struct leader_config cfg; /* strings owned */
    pthread_t thread;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    bool stopping;
    atomic_bool leading;
    atomic_uint_fast64_t renewed_ms;

    /* the thread's own */
    struct object *lease; /* as seen last */
    struct leader_record seen;
    uint64_t observed_ms;
    struct rng rng;
    char *told; /* the leader reported last */
};

static struct metric m_status = METRIC_GAUGE("leader_election_master_status",
                                             "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates "
                                             "master. 'name' is the string used to identify the lease. Please make sure to group by name.",
                                             "name");

/* --- the Lease object --- */

static int64_t
time_us(const struct api_time *t)
{
    return t ? api_time_unix_us(*t) : 0;
}

static void
read_record(const struct object *obj, struct leader_record *ret)
{
    const struct lease_spec *spec = &((const struct lease *)object_body(obj))->spec;

    *ret = (struct leader_record){ .exists = true, .acquire_us = time_us(spec->acquire_time), .renew_us = time_us(spec->renew_time) };
    memcpy(ret->holder, str_safe(spec->holder_identity), strnlen(str_safe(spec->holder_identity), sizeof ret->holder - 1));
    ret->duration_s = spec->lease_duration_seconds ? *spec->lease_duration_seconds : 0;
    ret->transitions = spec->lease_transitions ? *spec->lease_transitions : 0;
}

static void
write_record(struct object *obj, const struct leader_record *r)
{
    struct arena *a = object_arena(obj);
    struct lease_spec *spec = &((struct lease *)object_body(obj))->spec;

    spec->holder_identity = arena_strdup(a, r->holder);
    spec->lease_duration_seconds = arena_memdup(a, &r->duration_s, sizeof r->duration_s);
    spec->lease_transitions = arena_memdup(a, &r->transitions, sizeof r->transitions);
    struct api_time acquire = api_time_from_unix_us(r->acquire_us), renew = api_time_from_unix_us(r->renew_us);
    spec->acquire_time = arena_memdup(a, &acquire, sizeof acquire);
    spec->renew_time = arena_memdup(a, &renew, sizeof renew);
}

static bool
same_record(const struct leader_record *a, const struct leader_record *b)
{
    return a->exists == b->exists && str_eq(a->holder, b->holder) && a->duration_s == b->duration_s && a->acquire_us == b->acquire_us &&
           a->renew_us == b->renew_us && a->transitions == b->transitions;
}

/* Takes obj: what the apiserver says now. */
static void
observe(struct leader *l, struct object *obj)
{
    struct leader_record now;

    read_record(obj, &now);
    if (!same_record(&now, &l->seen)) {
        l->seen = now;
        l->observed_ms = clock_mono_ms();
    }
    object_unref(l->lease);
    l->lease = obj;
    if (l->cfg.new_leader && now.holder[0] && !str_eq(now.holder, l->told)) {
        free(l->told);
        l->told = xstrdup(now.holder);
        l->cfg.new_leader(now.holder, l->cfg.arg);
    }
}

static struct kerr *
fetch_lease(struct leader *l)
{
    struct object *obj = NULL;
    struct kerr *err = rest_get(l->cfg.rest, api_kind_find("coordination.k8s.io/v1", "Lease"), l->cfg.namespace, l->cfg.name, &obj);

    if (err && err->reason == KERR_NOT_FOUND) {
        kerr_free(err);
        object_unref(l->lease);
        l->lease = NULL;
        l->seen = (struct leader_record){ 0 };
        return NULL;
    }
    if (!err)
        observe(l, obj);
    return err;
}

static struct kerr *
put_lease(struct leader *l, const struct leader_record *next)
{
    struct object *obj = l->lease ? object_copy(l->lease) : object_new_of("coordination.k8s.io/v1", "Lease");
    struct object *answer = NULL;
    struct kerr *err;

    object_meta(obj)->name = arena_strdup(object_arena(obj), l->cfg.name);
    object_meta(obj)->namespace = arena_strdup(object_arena(obj), l->cfg.namespace);
    write_record(obj, next);
    err = l->lease ? rest_update(l->cfg.rest, obj, &answer) : rest_create(l->cfg.rest, obj, &answer);
    object_unref(obj);
    if (!err)
        observe(l, answer);
    return err;
}

/* One try; *ret_ours tells whether we hold the lease now. */
static struct kerr *
try_once(struct leader *l, bool *ret_ours)
{
    struct leader_record next;
    struct kerr *err = NULL;
    bool fast = atomic_load(&l->leading) && l->lease; /* renew from what we wrote last, without a read */

    *ret_ours = false;
    if (!fast)
        err = fetch_lease(l);
    if (err)
        return err;
    enum leader_step step = leader_decide(&l->seen, l->observed_ms, l->cfg.identity, l->cfg.lease_duration_ms, clock_mono_ms(), clock_wall_us(), &next);
    if (step == LEADER_WAIT)
        return NULL;
    err = put_lease(l, &next);
    if (err && fast) { /* somebody wrote: look, decide again */
        kerr_free(err);
        err = fetch_lease(l);
        if (!err)
            step = leader_decide(&l->seen, l->observed_ms, l->cfg.identity, l->cfg.lease_duration_ms, clock_mono_ms(), clock_wall_us(), &next);
        if (!err && step != LEADER_WAIT)
            err = put_lease(l, &next);
    }
    *ret_ours = !err && step != LEADER_WAIT;
    return err;
}

/* --- the thread --- */

/* True when it is time to go. */
static bool
sleep_ms(struct leader *l, uint64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&l->lock);
    while (!l->stopping && pthread_cond_timedwait(&l->wake, &l->lock, &until) != ETIMEDOUT)
        ;
    bool stop = l->stopping;
    pthread_mutex_unlock(&l->lock);
    return stop;
}

static void
announce(struct leader *l)
{
    struct event_target about = { .api_version = "coordination.k8s.io/v1", .kind = "Lease", .namespace = l->cfg.namespace, .name = l->cfg.name,
                                  .uid = l->lease ? object_meta(l->lease)->uid : NULL,
                                  .resource_version = l->lease ? object_meta(l->lease)->resource_version : NULL };

    log_info("Successfully acquired lease", "lock", l->cfg.name, "namespace", l->cfg.namespace, "identity", l->cfg.identity);
    if (l->cfg.events)
        events_send_to(l->cfg.events, &about, EVENT_NORMAL, "LeaderElection", "%s became leader", l->cfg.identity);
}

/* False when it is time to go. */
static bool
acquire(struct leader *l)
{
    bool ours = false;

    log_info("Attempting to acquire leader lease", "lock", l->cfg.name, "namespace", l->cfg.namespace);
    while (!ours) {
        AUTO(kerr) *err = try_once(l, &ours);
        if (err)
            log_v(err->reason == KERR_CONFLICT ? 2 : 0, "Cannot get the leader lease, trying again", "lock", l->cfg.name, "err", err->message);
        uint64_t spread = (uint64_t)l->cfg.retry_period_ms * JITTER_PERCENT / 100;
        if (!ours && sleep_ms(l, (uint64_t)l->cfg.retry_period_ms + rng_below(&l->rng, spread + 1)))
            return false;
    }
    return true;
}

/* Returns when the lease is lost (true) or at the end (false). */
static bool
hold(struct leader *l)
{
    atomic_store(&l->renewed_ms, clock_mono_ms());
    while (!sleep_ms(l, (uint64_t)l->cfg.retry_period_ms)) {
        bool ours = false;
        AUTO(kerr) *err = try_once(l, &ours);
        uint64_t now = clock_mono_ms();
        if (ours) {
            atomic_store(&l->renewed_ms, now);
            continue;
        }
        bool other = !err && !str_eq(l->seen.holder, l->cfg.identity);
        log_warning("Cannot renew the leader lease", "lock", l->cfg.name, "err", err ? err->message : "another one holds it", "holder", l->seen.holder);
        if (other || now - atomic_load(&l->renewed_ms) >= (uint64_t)l->cfg.renew_deadline_ms)
            return true;
    }
    return false;
}

static void
release(struct leader *l)
{
    struct leader_record next = l->seen;

    if (!l->lease)
        return;
    next.holder[0] = '\0';
    next.duration_s = 1;
    next.acquire_us = next.renew_us = clock_wall_us();
    AUTO(kerr) *err = put_lease(l, &next);
    if (err)
        log_warning("Cannot release the leader lease", "lock", l->cfg.name, "err", err->message);
}

static void *
thread_main(void *arg)
{
    struct leader *l = arg;

    pthread_setname_np(pthread_self(), "leader");
    if (!acquire(l))
        return NULL;
    atomic_store(&l->leading, true);
    metric_set(&m_status, 1, l->cfg.name);
    announce(l);
    if (l->cfg.started)
        l->cfg.started(l->cfg.arg);
    bool lost = hold(l);
    atomic_store(&l->leading, false);
    metric_set(&m_status, 0, l->cfg.name);
    if (lost) {
        log_error("Leader election lost", "lock", l->cfg.name);
        if (l->cfg.lost)
            l->cfg.lost(l->cfg.arg);
    } else {
        release(l);
    }
    return NULL;
}

static char *
make_identity(void)
{
    char host[256] = "", uuid[37];

    gethostname(host, sizeof host - 1);
    random_uuid(uuid);
    return xasprintf("%s_%s", host, uuid);
}

struct leader *
leader_new(const struct leader_config *cfg)
{
    struct leader *l = XNEW(struct leader);
    pthread_condattr_t attr;
    sigset_t all, before;

    l->cfg = *cfg;
    l->cfg.rest = rest_ref(cfg->rest);
    l->cfg.namespace = xstrdup(cfg->namespace);
    l->cfg.name = xstrdup(cfg->name);
    l->cfg.identity = str_empty(cfg->identity) ? make_identity() : xstrdup(cfg->identity);
    if (!l->cfg.lease_duration_ms)
        l->cfg.lease_duration_ms = 15000;
    if (!l->cfg.renew_deadline_ms)
        l->cfg.renew_deadline_ms = 10000;
    if (!l->cfg.retry_period_ms)
        l->cfg.retry_period_ms = 2000;
    l->rng = rng_from_system();
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    metric_set(&m_status, 0, l->cfg.name);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&l->thread, NULL, thread_main, l))
        abort(); /* no thread at start-up */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return l;
}

void
leader_free(struct leader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stopping = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    object_unref(l->lease);
    rest_unref(l->cfg.rest);
    free((char *)l->cfg.namespace);
    free((char *)l->cfg.name);
    free((char *)l->cfg.identity);
    free(l->told);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

bool
leader_is(const struct leader *l)
{
    return atomic_load(&l->leading);
}

struct kerr *
leader_health(void *leader)
{
    struct leader *l = leader;
    uint64_t age_ms = clock_mono_ms() - atomic_load(&l->renewed_ms);

    /* as upstream: unwell when we lead and have not renewed for 20 s beyond the lease's time */
    if (!atomic_load(&l->leading) || age_ms < (uint64_t)l->cfg.lease_duration_ms + 20000)
        return NULL;
    return kerr_new(KERR_UNAVAILABLE, "failed election to renew leadership on lease %s", l->cfg.name);
}
