// SPDX-License-Identifier: Apache-2.0
#include "kubelet/container_start.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/base/pool.h"
#include "common/base/rng.h"
#include "kubelet/env.h"
#include "kubelet/handler.h"
#include "kubelet/image.h"
#include "kubelet/pleg.h"
#include "kubelet/pod_act.h"
#include "kubelet/volumes.h"

#define IMAGE_BACKOFF_INITIAL_MS 10000
#define IMAGE_BACKOFF_MAX_MS 300000
#define START_RETRY_MAX_MS 10000

struct starting { /* one container on its way */
    struct pod_worker *w;
    struct object *pod_obj;
    const struct pod *pod;
    const struct rt_pod *rt;
    const struct pod_action *x;
    struct pod_container pc;
    struct rt_image *image;
    char *image_ref;
    struct strlist keep;
    struct arena *a;
};

static struct kerr *find_image(struct starting *s, bool *ret_wait);
static struct kerr *make_request(struct starting *s, struct sandbox_request *sandbox, struct container_request *rq);
static struct kerr *create_and_start(struct starting *s, const struct container_request *rq);

static int64_t
now_ms(void)
{
    return clock_wall_us() / 1000;
}

static void
set_waiting(struct starting *s, const char *reason, const char *message)
{
    struct container_record *r;

    worker_lock(s->w);
    r = pod_record_get(&s->w->rec, s->pc.c->name);
    record_set(&r->wait_reason, reason);
    record_set(&r->wait_message, message);
    worker_unlock(s->w);
}

/* The start failed for `reason`; tried again after a while.  Takes err. */
static void
failed(struct starting *s, const char *reason, struct kerr *err)
{
    struct container_record *r;

    set_waiting(s, reason, runtime_error_text(err));
    worker_lock(s->w);
    r = pod_record_get(&s->w->rec, s->pc.c->name);
    r->start_failures++;
    r->start_retry_ms = now_ms() + record_backoff(r->start_failures, 1000, START_RETRY_MAX_MS);
    worker_unlock(s->w);
    kubelet_event(s->w->k, s->pod, s->pc.c->name, EVENT_WARNING, "Failed", "Error: %s", runtime_error_text(err));
    kerr_free(err);
}

/* A container that ended is started again: the next wait doubles, unless it ran well for long. */
static void
grow_backoff(struct starting *s)
{
    struct container_record *r;
    int64_t now = now_ms(), max = s->w->k->cfg.crash_backoff_max_ms;

    worker_lock(s->w);
    r = pod_record_get(&s->w->rec, s->pc.c->name);
    if (!r->backoff_ms || now - r->backoff_at_ms > 2 * max)
        r->backoff_ms = CRASH_BACKOFF_INITIAL_MS < max ? CRASH_BACKOFF_INITIAL_MS : max;
    else
        r->backoff_ms = r->backoff_ms * 2 < max ? r->backoff_ms * 2 : max;
    r->backoff_at_ms = now;
    worker_unlock(s->w);
}

struct kerr *
container_start(struct pod_worker *w, struct object *pod_obj, const struct rt_pod *rt, const struct pod_action *x, bool *ret_again)
{
    AUTO(arena) *a = arena_new(0);
    struct starting s = { .w = w, .pod_obj = pod_obj, .pod = OBJECT_BODY(pod_obj, pod), .rt = rt, .x = x, .a = a };
    struct sandbox_request sandbox = { 0 };
    struct container_request rq = { 0 };
    bool wait = false;
    struct kerr *err;

    if (!pod_container_find(s.pod, x->container, &s.pc))
        return NULL;
    err = find_image(&s, &wait);
    if (!err && wait) {
        *ret_again = true;
        goto out;
    }
    if (!err)
        err = make_request(&s, &sandbox, &rq);
    if (err) {
        if (err->reason != KERR_UNAVAILABLE || !strstr(err->message, "services have not"))
            failed(&s, "CreateContainerConfigError", err);
        else { /* the first list is under way: no fault of the pod's */
            kerr_free(err);
            err = NULL;
            worker_wake(w, 200);
            goto out;
        }
        err = NULL;
    } else {
        if (x->attempt)
            grow_backoff(&s);
        err = create_and_start(&s, &rq);
    }
    *ret_again = true;
out:
    container_request_done(&rq);
    sandbox_request_done(&sandbox);
    strlist_done(&s.keep);
    free(s.image_ref);
    return err;
}

/* --- image --- */

struct pull_job {
    struct pod_worker *w;
    struct object *pod;
    char *container;
};

static void
pull_main(void *arg)
{
    struct pull_job *j = arg;
    struct pod_container pc;
    char *ref = NULL;
    struct kerr *err = NULL;
    struct container_record *r;

    if (pod_container_find(OBJECT_BODY(j->pod, pod), j->container, &pc))
        err = image_pull(j->w->k, OBJECT_BODY(j->pod, pod), pc.c, &ref);
    worker_lock(j->w);
    r = pod_record_get(&j->w->rec, j->container);
    if (err) {
        r->image = IMAGE_FAILED;
        r->image_failures++;
        r->image_failed_ms = now_ms();
        r->image_retry_ms = r->image_failed_ms + record_backoff(r->image_failures, IMAGE_BACKOFF_INITIAL_MS, IMAGE_BACKOFF_MAX_MS);
        record_set(&r->wait_reason, "ErrImagePull");
        record_set(&r->wait_message, runtime_error_text(err));
    } else {
        r->image = IMAGE_READY;
        r->image_failures = 0;
        record_set(&r->image_ref, ref);
    }
    worker_unlock(j->w);
    if (err) {
        kubelet_event(j->w->k, OBJECT_BODY(j->pod, pod), j->container, EVENT_WARNING, "Failed", "Error: ErrImagePull");
        log_warning("An image cannot be pulled; trying again after a back-off", "container", j->container, "err", kv_err(err));
    }
    worker_wake(j->w, 0);
    kerr_free(err);
    free(ref);
    worker_unref(j->w);
    object_unref(j->pod);
    free(j->container);
    free(j);
}

static void
start_pull(struct starting *s)
{
    struct pull_job *j = XNEW(struct pull_job);

    j->w = worker_ref(s->w);
    j->pod = object_ref(s->pod_obj);
    j->container = xstrdup(s->pc.c->name);
    worker_lock(s->w);
    pod_record_get(&s->w->rec, s->pc.c->name)->image = IMAGE_PULLING;
    worker_unlock(s->w);
    if (pool_submit(s->w->k->jobs, pull_main, j))
        pull_main(j);
}

/* Not there and not to be had: shown, and looked for again after a while (somebody may load it). */
static void
image_refused(struct starting *s, const char *reason, char *message)
{
    struct container_record *r;

    set_waiting(s, reason, message);
    worker_lock(s->w);
    r = pod_record_get(&s->w->rec, s->pc.c->name);
    r->image = IMAGE_FAILED;
    r->image_failures++;
    r->image_retry_ms = now_ms() + record_backoff(r->image_failures, 2000, START_RETRY_MAX_MS);
    worker_unlock(s->w);
    kubelet_event(s->w->k, s->pod, s->pc.c->name, EVENT_WARNING, str_eq(reason, "ErrImageNeverPull") ? "ErrImageNeverPull" : "InspectFailed", "%s", message);
    kubelet_event(s->w->k, s->pod, s->pc.c->name, EVENT_WARNING, "Failed", "Error: %s", reason);
    free(message);
}

static struct kerr *
find_image(struct starting *s, bool *ret_wait)
{
    struct container_record *r;
    enum image_answer answer;
    struct kerr *err;

    worker_lock(s->w);
    r = pod_record_get(&s->w->rec, s->pc.c->name);
    if (r->image == IMAGE_READY) { /* just pulled: good for one start */
        s->image_ref = steal_ptr(r->image_ref);
        r->image = IMAGE_NOT_ASKED;
    }
    worker_unlock(s->w);
    err = image_check(s->w->k, s->pc.c, s->a, &answer, &s->image);
    if (err)
        return kerr_wrap(err, "look for image \"%s\"", s->pc.c->image);
    if (s->image_ref && s->image) {
        free(s->image_ref);
        s->image_ref = xstrdup(s->image->id);
        return NULL;
    }
    *ret_wait = true;
    switch (answer) {
    case IMAGE_HERE:
        *ret_wait = false;
        s->image_ref = xstrdup(s->image->id);
        kubelet_event(s->w->k, s->pod, s->pc.c->name, EVENT_NORMAL, "Pulled",
                      "Container image \"%s\" already present on machine and can be accessed by the pod", s->pc.c->image);
        break;
    case IMAGE_PULL:
        start_pull(s);
        break;
    case IMAGE_NEVER:
        image_refused(s, "ErrImageNeverPull", xasprintf("Container image \"%s\" is not present with pull policy of Never", s->pc.c->image));
        break;
    case IMAGE_INVALID:
        image_refused(s, "InvalidImageName", xasprintf("Failed to apply default image tag \"%s\": couldn't parse image name \"%s\": invalid reference format",
                                                       str_safe(s->pc.c->image), str_safe(s->pc.c->image)));
        break;
    }
    return NULL;
}

/* --- request --- */

static bool
is_true(const bool *p)
{
    return p && *p;
}

static struct kerr *
check_non_root(struct starting *s, struct container_request *rq)
{
    const struct security_context *sc = s->pc.c->security_context;
    const struct pod_security_context *psc = s->pod->spec.security_context;
    const bool *non_root = sc && sc->run_as_non_root ? sc->run_as_non_root : psc ? psc->run_as_non_root : NULL;
    const int64_t *user = sc && sc->run_as_user ? sc->run_as_user : psc ? psc->run_as_user : NULL;
    const char *name = pod_full_name(s->pod, s->a);

    if (!user && s->image) {
        rq->has_user = s->image->has_uid;
        rq->uid = s->image->uid;
        rq->user_name = s->image->user;
    }
    if (!is_true(non_root))
        return NULL;
    if (user)
        return *user ? NULL
                     : kerr_new(KERR_INVALID, "container's runAsUser breaks non-root policy (pod: \"%s\", container: %s)", name, s->pc.c->name);
    if (s->image && !s->image->has_uid && !str_empty(s->image->user))
        return kerr_new(KERR_INVALID, "container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root (pod: \"%s\", container: %s)",
                        s->image->user, name, s->pc.c->name);
    if (!s->image || !s->image->has_uid || s->image->uid == 0)
        return kerr_new(KERR_INVALID, "container has runAsNonRoot and image will run as root (pod: \"%s\", container: %s)", name, s->pc.c->name);
    return NULL;
}

static bool
mounts_at(const struct container *c, const char *path)
{
    for (uint32_t i = 0; i < c->volume_mounts.len; i++)
        if (str_eq(c->volume_mounts.items[i].mount_path, path))
            return true;
    return false;
}

static struct kerr *
add_hosts(struct starting *s, struct container_request *rq)
{
    struct kubelet *k = s->w->k;
    const struct rt_sandbox *sb = &s->rt->sandboxes[0];
    AUTO_FREE char *path = xasprintf("%s/pods/%s/etc-hosts", k->cfg.root_dir, s->pod->metadata.uid);
    AUTO_FREE char *host = NULL, *domain = NULL, *node = NULL;
    AUTO_SBUF text = { 0 };
    struct kerr *err;

    if (mounts_at(s->pc.c, "/etc/hosts"))
        return NULL;
    err = pod_hostname(s->pod, k->cfg.hostname, k->cfg.cluster_domain, &host, &domain);
    if (!err && s->pod->spec.host_network)
        kerr_free(file_read("/etc/hosts", 1024 * 1024, &node, NULL));
    if (err)
        return err;
    pod_hosts_text(s->pod, sb->ips, sb->nips, host, domain, node, &text);
    err = file_write_atomic(path, sbuf_str(&text), text.len, 0644);
    if (err)
        return err;
    request_add_mount(rq, path, "/etc/hosts", false);
    return NULL;
}

static struct kerr *
add_termination_log(struct starting *s, struct container_request *rq)
{
    struct kubelet *k = s->w->k;
    struct rng rng = rng_from_system();
    const char *inside = str_or(s->pc.c->termination_message_path, "/dev/termination-log");
    AUTO_FREE char *dir = xasprintf("%s/pods/%s/containers/%s", k->cfg.root_dir, s->pod->metadata.uid, s->pc.c->name);
    AUTO_FREE char *path = xasprintf("%s/%08x", dir, (unsigned)rng_next(&rng));
    struct kerr *err = file_mkdirs(dir, 0750);
    AUTO_FD int fd = -1;

    if (err)
        return err;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || fchmod(fd, 0666))
        return kerr_errno(errno, "make the termination log '%s'", path);
    request_add_mount(rq, path, inside, false);
    return NULL;
}

static void
add_resources(struct starting *s, struct container_request *rq)
{
    struct kubelet *k = s->w->k;
    struct pod_resources r = container_resources_of(s->pc.c);

    rq->cpu_shares = cgroup_milli_to_shares(r.cpu_request);
    if (r.cpu_limit && k->cfg.cpu_cfs_quota) {
        rq->cpu_period = k->cfg.cpu_cfs_period_us;
        rq->cpu_quota = r.cpu_limit * k->cfg.cpu_cfs_period_us / 1000;
        if (rq->cpu_quota < 1000)
            rq->cpu_quota = 1000;
    }
    rq->memory_limit = r.memory_limit;
    rq->oom_score_adj = pod_oom_score_adj(s->pod, s->pc.c, k->memory_capacity);
}

static const char *
target_of(struct starting *s)
{
    const struct rt_container *t = str_empty(s->pc.target) ? NULL : pod_newest(s->rt, s->pc.target, NULL);

    return t && t->state == RT_RUNNING ? t->id : NULL;
}

static struct kerr *
make_request(struct starting *s, struct sandbox_request *sandbox, struct container_request *rq)
{
    struct kubelet *k = s->w->k;
    struct pod_facts f;
    AUTO_FREE char *logs = pod_log_dir(&k->cfg, s->pod);
    AUTO_FREE char *dir = xasprintf("%s/%s", logs, s->pc.c->name);
    struct kerr *err = pod_sandbox_request(k, s->pod, s->rt->sandboxes[0].attempt, sandbox, &s->keep);

    if (err)
        return err;
    *rq = (struct container_request){ .pod = s->pod, .container = s->pc.c, .sandbox = sandbox, .sandbox_id = s->rt->sandboxes[0].id,
                                      .attempt = s->x->attempt, .hash = pod_container_hash(s->pc.c), .image_ref = s->image_ref,
                                      .seccomp_default = k->cfg.seccomp_default, .seccomp_root = k->cfg.seccomp_root,
                                      .target_id = target_of(s) };
    strlist_add_take(&s->keep, xasprintf("%s/%u.log", s->pc.c->name, s->x->attempt));
    rq->log_path = s->keep.items[s->keep.len - 1];
    kubelet_facts(k, s->pod, s->rt, &f);
    err = check_non_root(s, rq);
    if (!err)
        err = file_mkdirs(dir, 0755);
    if (!err)
        err = env_make(&f, s->pc.c, &k->src, rq);
    if (!err)
        err = volumes_mounts(k->cfg.root_dir, s->pod, s->pc.c, &k->src, rq);
    if (!err)
        err = add_hosts(s, rq);
    if (!err)
        err = add_termination_log(s, rq);
    add_resources(s, rq);
    return err;
}

/* --- create, start, postStart --- */

char *
container_log_link(const struct kubelet_config *cfg, const struct pod *pod, const char *container, const char *id)
{
    return xasprintf("%s/%s_%s_%s-%s.log", cfg->container_log_dir, pod->metadata.name, pod->metadata.namespace, container, id);
}

static void
link_log(struct starting *s, const char *id, const char *log_path)
{
    struct kubelet *k = s->w->k;
    AUTO_FREE char *logs = pod_log_dir(&k->cfg, s->pod);
    AUTO_FREE char *target = xasprintf("%s/%s", logs, log_path);
    AUTO_FREE char *link = container_log_link(&k->cfg, s->pod, s->pc.c->name, id);

    if (symlink(target, link) && errno != EEXIST)
        log_v(2, "No link to a container's log", "link", link, "err", strerror(errno));
}

struct hook_job {
    struct pod_worker *w;
    struct object *pod;
    char *container, *id, *pod_ip;
};

static void
hook_main(void *arg)
{
    struct hook_job *j = arg;
    const struct pod *pod = OBJECT_BODY(j->pod, pod);
    struct pod_container pc = { 0 };
    AUTO_SBUF why = { .max = 10240 };
    struct container_record *r;
    bool ok = true;

    if (pod_container_find(pod, j->container, &pc)) {
        struct handler_target t = { pod, pc.c, j->id, j->pod_ip };

        ok = handler_hook(j->w->k, &t, pc.c->lifecycle->post_start, 0, &why);
    }
    if (!ok)
        kubelet_event(j->w->k, pod, j->container, EVENT_WARNING, "FailedPostStartHook", "PostStartHook failed");
    worker_lock(j->w);
    r = pod_record_get(&j->w->rec, j->container);
    if (str_eq(r->hook_id, j->id))
        record_set(&r->hook_id, NULL);
    if (!ok) {
        record_set(&r->doomed_id, j->id);
        record_set(&r->doomed_message, "FailedPostStartHook");
        r->doomed_grace_s = -1;
    }
    worker_unlock(j->w);
    worker_wake(j->w, 0);
    worker_unref(j->w);
    object_unref(j->pod);
    free(j->container);
    free(j->id);
    free(j->pod_ip);
    free(j);
}

static void
start_hook(struct starting *s, const char *id)
{
    struct hook_job *j = XNEW(struct hook_job);

    j->w = worker_ref(s->w);
    j->pod = object_ref(s->pod_obj);
    j->container = xstrdup(s->pc.c->name);
    j->id = xstrdup(id);
    j->pod_ip = xstrdup(s->rt->sandboxes[0].nips ? s->rt->sandboxes[0].ips[0] : "");
    worker_lock(s->w);
    record_set(&pod_record_get(&s->w->rec, s->pc.c->name)->hook_id, id);
    worker_unlock(s->w);
    if (pool_submit(s->w->k->jobs, hook_main, j))
        hook_main(j);
}

static void
started(struct starting *s)
{
    struct container_record *r;

    worker_lock(s->w);
    r = pod_record_get(&s->w->rec, s->pc.c->name);
    record_set(&r->wait_reason, NULL);
    record_set(&r->wait_message, NULL);
    r->start_failures = 0;
    r->start_retry_ms = 0;
    worker_unlock(s->w);
}

static struct kerr *
create_and_start(struct starting *s, const struct container_request *rq)
{
    struct kubelet *k = s->w->k;
    AUTO_FREE char *id = NULL;
    struct kerr *err = runtime_container_create(k->rt, rq, &id);

    if (err) {
        failed(s, "CreateContainerError", err);
        return NULL;
    }
    pleg_learn_id(k->pleg, s->w->uid, id);
    kubelet_event(k, s->pod, s->pc.c->name, EVENT_NORMAL, "Created", "Container created");
    link_log(s, id, rq->log_path);
    err = runtime_container_start(k->rt, id);
    if (err) {
        failed(s, "RunContainerError", err);
        if (!s->x->attempt) /* the runtime keeps it as ended: its next start is a restart */
            grow_backoff(s);
        return NULL;
    }
    started(s);
    kubelet_event(k, s->pod, s->pc.c->name, EVENT_NORMAL, "Started", "Container started");
    if (s->pc.c->lifecycle && s->pc.c->lifecycle->post_start)
        start_hook(s, id);
    return NULL;
}
