// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_act.h"


#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/base/pool.h"
#include "kubelet/container_start.h"
#include "kubelet/handler.h"
#include "kubelet/image.h"
#include "kubelet/pleg.h"
#include "kubelet/prober.h"
#include "kubelet/status_manager.h"
#include "kubelet/volumes.h"

#define RETRY_MAX_MS 10000

static int64_t
now_ms(void)
{
    return clock_wall_us() / 1000;
}

char *
pod_log_dir(const struct kubelet_config *cfg, const struct pod *pod)
{
    return xasprintf("%s/%s_%s_%s", cfg->log_dir, pod->metadata.namespace, pod->metadata.name, pod->metadata.uid);
}

/* --- prepare: directories, cgroup, volumes --- */

static void
limits_of(const struct kubelet_config *cfg, const struct pod *pod, struct cgroup_limits *ret)
{
    struct pod_resources r = pod_resources_of(pod);

    *ret = (struct cgroup_limits){ .cpu_shares = cgroup_milli_to_shares(r.cpu_request), .pids_max = cfg->pod_pids_limit > 0 ? cfg->pod_pids_limit : 0 };
    if (r.cpu_limited && r.cpu_limit && cfg->cpu_cfs_quota) {
        ret->cpu_period_us = cfg->cpu_cfs_period_us;
        ret->cpu_quota_us = r.cpu_limit * cfg->cpu_cfs_period_us / 1000;
        if (ret->cpu_quota_us < 1000)
            ret->cpu_quota_us = 1000;
    }
    if (r.memory_limited)
        ret->memory_max = r.memory_limit;
}

static struct kerr *
make_dirs(struct kubelet *k, const struct pod *pod)
{
    AUTO_FREE char *dir = xasprintf("%s/pods/%s/containers", k->cfg.root_dir, pod->metadata.uid);
    AUTO_FREE char *volumes = xasprintf("%s/pods/%s/volumes", k->cfg.root_dir, pod->metadata.uid);
    AUTO_FREE char *logs = pod_log_dir(&k->cfg, pod);
    struct kerr *err = file_mkdirs(dir, 0750);

    if (!err)
        err = file_mkdirs(volumes, 0750);
    if (!err)
        err = file_mkdirs(logs, 0755);
    return err;
}

static void
set_volumes_due(struct pod_worker *w, int64_t at_s)
{
    worker_lock(w);
    w->volumes_due_s = at_s;
    worker_unlock(w);
}

static struct kerr *
prepare_volumes(struct pod_worker *w, const struct pod *pod, const struct rt_pod *rt)
{
    struct kubelet *k = w->k;
    struct pod_facts f;
    int64_t due_s = 0, now_s = clock_wall_s();
    struct kerr *err;

    kubelet_facts(k, pod, rt, &f);
    err = volumes_prepare(k->cfg.root_dir, &f, &k->src, now_s, &due_s);
    if (!err)
        set_volumes_due(w, due_s && due_s < now_s + k->cfg.sync_frequency_ms / 1000 ? due_s : now_s + k->cfg.sync_frequency_ms / 1000);
    return err;
}

static void
act_prepare(struct pod_worker *w, const struct pod *pod, const struct rt_pod *rt, bool *again)
{
    struct kubelet *k = w->k;
    struct cgroup_limits limits;
    struct kerr *err = make_dirs(k, pod);
    const char *why = "FailedMount";

    if (!err && k->cg && k->cfg.cgroups_per_qos) {
        limits_of(&k->cfg, pod, &limits);
        err = cgroups_pod_make(k->cg, pod_qos_class(pod), pod->metadata.uid, &limits);
        why = "FailedCreatePodContainer";
    }
    if (!err) {
        err = prepare_volumes(w, pod, rt);
        why = "FailedMount";
    }
    worker_lock(w);
    if (err) {
        w->rec.prepare_failures++;
        w->rec.prepare_retry_ms = now_ms() + record_backoff(w->rec.prepare_failures, 500, RETRY_MAX_MS);
    } else {
        w->rec.prepared = true;
        w->rec.torn_down = false;
        w->rec.prepare_failures = 0;
    }
    worker_unlock(w);
    if (err) {
        kubelet_event(k, pod, NULL, EVENT_WARNING, why, "%s", err->message);
        log_warning("A pod cannot be prepared; trying again soon", "pod", pod->metadata.name, "namespace", pod->metadata.namespace, "err", kv_err(err));
        kerr_free(err);
    }
    *again = true; /* the decision sets the alarm for the retry */
}

void
pod_act_refresh_volumes(struct pod_worker *w, struct object *pod, const struct rt_pod *rt)
{
    const struct pod *p = OBJECT_BODY(pod, pod);
    struct kerr *err = prepare_volumes(w, p, rt);

    if (!err)
        return;
    set_volumes_due(w, clock_wall_s() + 30);
    kubelet_event(w->k, p, NULL, EVENT_WARNING, "FailedMount", "%s", err->message);
    log_warning("Volumes of a running pod cannot be refreshed; trying again in 30s", "pod", p->metadata.name, "namespace",
                p->metadata.namespace, "err", kv_err(err));
    kerr_free(err);
}

/* --- sandbox --- */

struct kerr *
pod_sandbox_request(struct kubelet *k, const struct pod *pod, uint32_t attempt, struct sandbox_request *rq, struct strlist *keep)
{
    char *host = NULL, *domain = NULL;
    struct pod_resources r = pod_resources_of(pod);
    struct cgroup_limits limits;
    struct kerr *err = pod_hostname(pod, k->cfg.hostname, k->cfg.cluster_domain, &host, &domain);

    if (err)
        return err;
    free(domain);
    strlist_add_take(keep, host);
    strlist_add_take(keep, pod_log_dir(&k->cfg, pod));
    strlist_add_take(keep, k->cg && k->cfg.cgroups_per_qos ? cgroups_pod_parent(k->cg, pod_qos_class(pod), pod->metadata.uid) : xstrdup(""));
    *rq = (struct sandbox_request){ .pod = pod, .attempt = attempt, .hostname = keep->items[keep->len - 3],
                                    .log_dir = keep->items[keep->len - 2], .cgroup_parent = keep->items[keep->len - 1],
                                    .seccomp_default = k->cfg.seccomp_default };
    limits_of(&k->cfg, pod, &limits);
    rq->cpu_shares = limits.cpu_shares;
    rq->cpu_quota = limits.cpu_quota_us;
    rq->cpu_period = limits.cpu_period_us;
    rq->memory_limit = r.memory_limited ? r.memory_limit : 0;
    if (!str_empty(pod->spec.runtime_class_name)) { /* the handler's name is in the class */
        AUTO(object) *rc = NULL;

        err = k->src.get(k->src.arg, "RuntimeClass", NULL, pod->spec.runtime_class_name, &rc);
        if (err)
            return kerr_wrap(err, "failed to get sandbox runtime");
        strlist_add(keep, OBJECT_BODY(rc, runtime_class)->handler);
        rq->runtime_handler = keep->items[keep->len - 1];
    }
    pod_resolver(pod, &k->resolver, &k->cfg.cluster_dns, k->cfg.cluster_domain, rq);
    return NULL;
}

static void
act_create_sandbox(struct pod_worker *w, const struct pod *pod, const struct pod_action *x, bool *again)
{
    struct kubelet *k = w->k;
    AUTO_STRLIST keep = { 0 };
    struct sandbox_request rq = { 0 };
    AUTO_FREE char *id = NULL;
    struct kerr *err = pod_sandbox_request(k, pod, x->attempt, &rq, &keep);

    if (x->attempt)
        kubelet_event(k, pod, NULL, EVENT_NORMAL, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
    if (!err)
        err = runtime_sandbox_run(k->rt, &rq, &id);
    sandbox_request_done(&rq);
    worker_lock(w);
    if (err) {
        w->rec.sandbox_failures++;
        w->rec.sandbox_retry_ms = now_ms() + record_backoff(w->rec.sandbox_failures, 500, RETRY_MAX_MS);
    } else {
        w->rec.sandbox_failures = 0;
    }
    worker_unlock(w);
    if (id)
        pleg_learn_id(k->pleg, w->uid, id);
    if (err) {
        kubelet_event(k, pod, NULL, EVENT_WARNING, "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", runtime_error_text(err));
        log_warning("A pod sandbox cannot be made; trying again soon", "pod", pod->metadata.name, "namespace", pod->metadata.namespace, "err", kv_err(err));
        kerr_free(err);
    }
    *again = true;
}

/* --- kill --- */

struct kill_job {
    struct pod_worker *w;
    struct object *pod;
    char *id, *container, *pod_ip;
    int64_t grace_s;
};

static void
run_pre_stop(struct kill_job *j, const struct container *c, int64_t *grace_s)
{
    const struct pod *pod = OBJECT_BODY(j->pod, pod);
    struct handler_target t = { pod, c, j->id, j->pod_ip };
    uint64_t begin = clock_mono_ms();
    AUTO_SBUF why = { .max = 10240 };

    if (!handler_hook(j->w->k, &t, c->lifecycle->pre_stop, *grace_s, &why))
        kubelet_event(j->w->k, pod, c->name, EVENT_WARNING, "FailedPreStopHook", "PreStopHook failed");
    *grace_s -= (int64_t)(clock_mono_ms() - begin + 500) / 1000;
}

static void
kill_main(void *arg)
{
    struct kill_job *j = arg;
    struct kubelet *k = j->w->k;
    struct pod_container pc;
    int64_t grace_s = j->grace_s;
    struct container_record *r;
    struct kerr *err;

    if (pod_container_find(OBJECT_BODY(j->pod, pod), j->container, &pc) && pc.c->lifecycle && pc.c->lifecycle->pre_stop && grace_s > 0) {
        run_pre_stop(j, pc.c, &grace_s);
        if (grace_s < 2)
            grace_s = 2; /* upstream's minimum after a hook */
    }
    err = runtime_container_stop(k->rt, j->id, grace_s);
    if (err && err->reason != KERR_NOT_FOUND)
        log_warning("A container cannot be stopped; trying again", "container", j->container, "id", j->id, "err", kv_err(err));
    worker_lock(j->w);
    r = pod_record_get(&j->w->rec, j->container);
    if (str_eq(r->kill_id, j->id) && r->kill_grace_s >= j->grace_s)
        record_set(&r->kill_id, NULL);
    worker_unlock(j->w);
    worker_wake(j->w, err && err->reason != KERR_NOT_FOUND ? 1000 : 0);
    kerr_free(err);
    worker_unref(j->w);
    object_unref(j->pod);
    free(j->id);
    free(j->container);
    free(j->pod_ip);
    free(j);
}

static void
act_kill(struct pod_worker *w, struct object *pod, const struct rt_pod *rt, const struct pod_action *x)
{
    const struct pod *p = OBJECT_BODY(pod, pod);
    struct kill_job *j = XNEW(struct kill_job);
    struct container_record *r;
    bool first;

    j->w = worker_ref(w);
    j->pod = object_ref(pod);
    j->id = xstrdup(x->id);
    j->container = xstrdup(x->container);
    j->pod_ip = xstrdup(rt->nsandboxes && rt->sandboxes[0].nips ? rt->sandboxes[0].ips[0] : "");
    j->grace_s = x->grace_s;
    worker_lock(w);
    r = pod_record_get(&w->rec, x->container);
    first = !str_eq(r->kill_id, x->id);
    record_set(&r->kill_id, x->id);
    r->kill_grace_s = x->grace_s;
    worker_unlock(w);
    prober_stop_container(w->k->prober, w->uid, x->container);
    if (first)
        kubelet_event(w->k, p, x->container, EVENT_NORMAL, "Killing", "%s", x->message);
    if (pool_submit(w->k->jobs, kill_main, j)) { /* full: this thread does it */
        log_warning("All job threads are busy; the pod's worker stops the container itself", "container", x->container);
        kill_main(j);
    }
}

/* --- the end of a pod --- */

/* Links in /var/log/containers whose pod is gone. */
static void
remove_log_links(struct kubelet *k, const struct pod *pod, const struct rt_pod *rt)
{
    for (size_t i = 0; i < rt->ncontainers; i++) {
        AUTO_FREE char *link = container_log_link(&k->cfg, pod, rt->containers[i].name, rt->containers[i].id);

        (void)unlink(link);
    }
}

static void
act_tear_down(struct pod_worker *w, const struct pod *pod, bool *again)
{
    struct kubelet *k = w->k;
    struct kerr *err = volumes_remove(k->cfg.root_dir, w->uid);

    if (!err && k->cg && k->cfg.cgroups_per_qos)
        err = cgroups_pod_remove(k->cg, w->uid);
    if (err) {
        log_warning("A pod cannot be cleaned up; trying again", "pod", pod->metadata.name, "namespace", pod->metadata.namespace, "err", kv_err(err));
        worker_wake(w, 2000);
        kerr_free(err);
        return;
    }
    worker_lock(w);
    w->rec.torn_down = true;
    w->rec.prepared = false;
    worker_unlock(w);
    *again = true;
}

static struct kerr *
act_finish(struct pod_worker *w, const struct pod *pod)
{
    struct kubelet *k = w->k;
    AUTO_FREE char *logs = pod_log_dir(&k->cfg, pod);
    struct rest_delete_options o = { .has_grace_period = true, .uid = pod->metadata.uid };
    struct kerr *err;
    bool gone;

    worker_lock(w);
    gone = w->rec.gone;
    worker_unlock(w);
    if (!gone && k->rest) {
        err = status_manager_flush(k->status, w->uid);
        if (err && err->reason != KERR_NOT_FOUND && err->reason != KERR_CONFLICT)
            return err;
        kerr_free(err);
        err = rest_delete(k->rest, api_kind_find("v1", "Pod"), pod->metadata.namespace, pod->metadata.name, &o);
        if (err && err->reason != KERR_NOT_FOUND && err->reason != KERR_CONFLICT)
            return err;
        kerr_free(err);
    }
    err = str_empty(pod->metadata.name) ? NULL : file_remove_tree(logs);
    if (err)
        log_warning("Logs of a removed pod stay behind", "path", logs, "err", kv_err(err));
    kerr_free(err);
    log_v(2, "Pod removed", "pod", pod->metadata.name, "namespace", pod->metadata.namespace, "uid", w->uid);
    worker_lock(w);
    w->finished = true;
    worker_unlock(w);
    return NULL;
}

/* The runtime's answer to "remove" or "stop" of what is gone is success. */
static struct kerr *
gone_is_fine(struct kerr *err)
{
    if (err && err->reason == KERR_NOT_FOUND) {
        kerr_free(err);
        return NULL;
    }
    return err;
}

static void
remove_log_file(const struct pod_action *x, const struct rt_pod *rt)
{
    for (size_t i = 0; i < rt->ncontainers; i++)
        if (str_eq(rt->containers[i].id, x->id) && !str_empty(rt->containers[i].log_path))
            (void)unlink(rt->containers[i].log_path);
}

static void
act_back_off(struct pod_worker *w, const struct pod *pod, const struct pod_action *x, bool *again)
{
    AUTO(arena) *a = arena_new(0);
    struct pod_container pc;

    worker_lock(w);
    record_set(&pod_record_get(&w->rec, x->container)->wait_reason, x->reason);
    record_set(&pod_record_get(&w->rec, x->container)->wait_message, x->message);
    worker_unlock(w);
    if (!strcmp(x->reason, "ImagePullBackOff") && pod_container_find(pod, x->container, &pc))
        kubelet_event(w->k, pod, x->container, EVENT_NORMAL, "BackOff", "Back-off pulling image \"%s\"", pc.c->image);
    else
        kubelet_event(w->k, pod, x->container, EVENT_WARNING, "BackOff", "Back-off restarting failed container %s in pod %s", x->container,
                  pod_full_name(pod, a));
    *again = true; /* so that the status shows it */
}

struct kerr *
pod_act(struct pod_worker *w, struct object *pod_obj, const struct rt_pod *rt, const struct pod_action *x, bool *ret_again)
{
    const struct pod *pod = OBJECT_BODY(pod_obj, pod);
    struct kubelet *k = w->k;

    switch (x->act) {
    case POD_PREPARE:
        act_prepare(w, pod, rt, ret_again);
        return NULL;
    case POD_CREATE_SANDBOX:
        act_create_sandbox(w, pod, x, ret_again);
        return NULL;
    case POD_START:
        return container_start(w, pod_obj, rt, x, ret_again);
    case POD_KILL:
        act_kill(w, pod_obj, rt, x);
        return NULL;
    case POD_STOP_SANDBOX:
        *ret_again = true;
        return gone_is_fine(runtime_sandbox_stop(k->rt, x->id));
    case POD_REMOVE_CONTAINER:
        *ret_again = true;
        remove_log_file(x, rt);
        return gone_is_fine(runtime_container_remove(k->rt, x->id));
    case POD_REMOVE_SANDBOX:
        *ret_again = true;
        remove_log_links(k, pod, rt);
        return gone_is_fine(runtime_sandbox_remove(k->rt, x->id));
    case POD_TEAR_DOWN:
        act_tear_down(w, pod, ret_again);
        return NULL;
    case POD_BACK_OFF:
        act_back_off(w, pod, x, ret_again);
        return NULL;
    case POD_FAIL:
        worker_lock(w);
        record_set(&w->rec.rejected_reason, x->reason);
        record_set(&w->rec.rejected_message, x->message);
        worker_unlock(w);
        kubelet_event(k, pod, NULL, EVENT_NORMAL, x->reason, "%s", x->message);
        *ret_again = true;
        return NULL;
    case POD_FINISH:
        return act_finish(w, pod);
    }
    return NULL;
}
