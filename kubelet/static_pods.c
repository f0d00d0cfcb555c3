// SPDX-License-Identifier: Apache-2.0
#include "kubelet/static_pods.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "kubelet/api_build.h"
#include "kubelet/image.h"
#include "kubelet/node.h"
#include "kubelet/pleg.h"
#include "kubelet/pod_worker.h"
#include "kubelet/status_manager.h"

#define MAX_FILE (1024 * 1024)
#define MAX_PODS 1000
#define MIRROR_RETRY_MS 1000

struct static_pods {
    struct kubelet *k;
    pthread_t thread;
    bool running;
    int wake_fd;
    atomic_bool stopping;
    pthread_mutex_t lock;      /* guards the two lists */
    struct object_list pods;   /* as the files have them */
    struct object_list mirrors;
};

/* --- one file --- */

static void
default_probe(struct probe *p)
{
    if (!p)
        return;
    p->timeout_seconds = p->timeout_seconds ? p->timeout_seconds : 1;
    p->period_seconds = p->period_seconds ? p->period_seconds : 10;
    p->success_threshold = p->success_threshold ? p->success_threshold : 1;
    p->failure_threshold = p->failure_threshold ? p->failure_threshold : 3;
}

static void
default_containers(struct container_slice *l)
{
    for (uint32_t i = 0; i < l->len; i++) {
        struct container *c = &l->items[i];

        c->termination_message_path = str_or(c->termination_message_path, "/dev/termination-log");
        c->termination_message_policy = str_or(c->termination_message_policy, "File");
        c->image_pull_policy = image_policy(c);
        default_probe(c->liveness_probe);
        default_probe(c->readiness_probe);
        default_probe(c->startup_probe);
        for (uint32_t k = 0; k < c->ports.len; k++)
            c->ports.items[k].protocol = str_or(c->ports.items[k].protocol, "TCP");
    }
}

/* What the apiserver would have filled in. */
static void
default_pod(struct pod *p, struct arena *a)
{
    p->metadata.namespace = str_or(p->metadata.namespace, "default");
    p->spec.restart_policy = str_or(p->spec.restart_policy, "Always");
    p->spec.dns_policy = str_or(p->spec.dns_policy, "ClusterFirst");
    p->spec.scheduler_name = str_or(p->spec.scheduler_name, "default-scheduler");
    if (!p->spec.termination_grace_period_seconds)
        p->spec.termination_grace_period_seconds = ARENA_PTR(a, int64_t, 30);
    if (!p->spec.security_context)
        p->spec.security_context = ARENA_NEW(a, struct pod_security_context);
    default_containers(&p->spec.containers);
    default_containers(&p->spec.init_containers);
}

struct kerr *
static_pod_parse(const char *path, const char *text, size_t len, const char *node_name, struct object **ret)
{
    AUTO_SBUF json = { 0 };
    AUTO(object) *obj = NULL;
    struct pod *p;
    struct arena *a;
    uint32_t h[4] = { FNV32_INIT, FNV32_INIT ^ 1, FNV32_INIT ^ 2, FNV32_INIT ^ 3 };
    struct toleration *t;
    const char *uid;
    struct kerr *err = yaml_to_json(text, len, NULL, &json);

    if (!err)
        err = object_decode_json(sbuf_str(&json), json.len, NULL, NULL, &obj);
    if (err)
        return kerr_wrap(err, "static pod file '%s'", path);
    p = OBJECT_BODY(obj, pod);
    if (!p || str_empty(p->metadata.name) || !p->spec.containers.len)
        return kerr_new(KERR_INVALID, "static pod file '%s' holds no v1 Pod with a name and containers", path);
    a = object_arena(obj);
    for (int i = 0; i < 4; i++) {
        h[i] = fnv32a(h[i], node_name, strlen(node_name));
        h[i] = fnv32a(h[i], path, strlen(path));
        h[i] = fnv32a(h[i], sbuf_str(&json), json.len);
    }
    uid = arena_printf(a, "%08x%08x%08x%08x", h[0], h[1], h[2], h[3]);
    p->metadata.name = arena_printf(a, "%s-%s", p->metadata.name, node_name);
    p->metadata.uid = uid;
    p->spec.node_name = arena_strdup(a, node_name);
    default_pod(p, a);
    string_map_set(&p->metadata.annotations, a, A_STATIC_HASH, uid);
    string_map_set(&p->metadata.annotations, a, A_STATIC_SOURCE, "file");
    t = SLICE_ADD(a, &p->spec.tolerations);
    t->operator = "Exists";
    t->effect = "NoExecute";
    p->status = (struct pod_status){ .phase = "Pending" };
    *ret = steal_ptr(obj);
    return NULL;
}

/* --- mirrors --- */

static struct object *
mirror_of(struct static_pods *sp, const struct object *pod) /* lock held */
{
    for (size_t i = 0; i < sp->mirrors.len; i++)
        if (str_eq(object_name(sp->mirrors.items[i]), object_name(pod)) &&
            str_eq(object_namespace(sp->mirrors.items[i]), object_namespace(pod)))
            return sp->mirrors.items[i];
    return NULL;
}

static struct object *
pod_named(struct static_pods *sp, const char *ns, const char *name) /* lock held */
{
    for (size_t i = 0; i < sp->pods.len; i++)
        if (str_eq(object_name(sp->pods.items[i]), name) && str_eq(object_namespace(sp->pods.items[i]), ns))
            return sp->pods.items[i];
    return NULL;
}

static void
create_mirror(struct static_pods *sp, const struct object *pod)
{
    struct kubelet *k = sp->k;
    AUTO(object) *copy = object_copy(pod);
    AUTO(object) *made = NULL;
    struct pod *p = OBJECT_BODY(copy, pod);
    struct arena *a = object_arena(copy);
    const char *node_uid = node_uid_of(k->node);
    struct owner_reference *o;
    AUTO(kerr) *err = NULL;

    if (str_empty(node_uid))
        return; /* the node is not registered yet: tried again */
    string_map_set(&p->metadata.annotations, a, A_MIRROR, p->metadata.uid);
    p->metadata.uid = NULL;
    o = SLICE_ADD(a, &p->metadata.owner_references);
    o->api_version = "v1";
    o->kind = "Node";
    o->name = k->cfg.node_name;
    o->uid = node_uid;
    o->controller = ARENA_PTR(a, bool, true);
    err = rest_create(k->rest, copy, &made);
    if (err && err->reason != KERR_ALREADY_EXISTS)
        log_warning("A mirror pod cannot be made; trying again", "pod", object_name(pod), "namespace", object_namespace(pod), "err", kv_err(err));
}

static void
delete_mirror(struct static_pods *sp, const struct object *mirror)
{
    struct rest_delete_options o = { .has_grace_period = true, .uid = object_meta(mirror)->uid };
    AUTO(kerr) *err = rest_delete(sp->k->rest, object_kind(mirror), object_namespace(mirror), object_name(mirror), &o);

    if (err && err->reason != KERR_NOT_FOUND)
        log_warning("A mirror pod cannot be removed; trying again", "pod", object_name(mirror), "err", kv_err(err));
}

/* Every static pod has the right mirror, and there are no others.  True: something is still to do. */
static bool
sync_mirrors(struct static_pods *sp)
{
    AUTO_OBJECT_LIST create = { 0 };
    AUTO_OBJECT_LIST delete = { 0 };

    if (!sp->k->rest)
        return false;
    if (!pleg_are_sources_ready(sp->k->pleg))
        return true;
    pthread_mutex_lock(&sp->lock);
    for (size_t i = 0; i < sp->pods.len; i++) {
        struct object *m = mirror_of(sp, sp->pods.items[i]);

        if (!m)
            object_list_add_take(&create, object_ref(sp->pods.items[i]));
    }
    for (size_t i = 0; i < sp->mirrors.len; i++) {
        struct object *m = sp->mirrors.items[i];
        struct object *pod = pod_named(sp, object_namespace(m), object_name(m));

        if (!pod || object_meta(m)->deletion_timestamp || !str_eq(pod_static_hash(OBJECT_BODY(m, pod)), object_meta(pod)->uid))
            object_list_add_take(&delete, object_ref(m));
    }
    pthread_mutex_unlock(&sp->lock);
    for (size_t i = 0; i < delete.len; i++)
        delete_mirror(sp, delete.items[i]);
    for (size_t i = 0; i < create.len; i++)
        create_mirror(sp, create.items[i]);
    return create.len || delete.len;
}

static void
wake(struct static_pods *sp)
{
    uint64_t one = 1;

    if (write(sp->wake_fd, &one, sizeof one) < 0)
        log_v(4, "Static pods: wake-up lost");
}

void
static_pods_mirror(struct static_pods *sp, const struct object *mirror, bool gone)
{
    struct object *pod;

    pthread_mutex_lock(&sp->lock);
    for (size_t i = 0; i < sp->mirrors.len; i++)
        if (str_eq(object_name(sp->mirrors.items[i]), object_name(mirror)) &&
            str_eq(object_namespace(sp->mirrors.items[i]), object_namespace(mirror))) {
            object_unref(sp->mirrors.items[i]);
            sp->mirrors.items[i] = sp->mirrors.items[--sp->mirrors.len];
            break;
        }
    if (!gone)
        object_list_add_take(&sp->mirrors, object_ref(mirror));
    pod = pod_named(sp, object_namespace(mirror), object_name(mirror));
    if (pod && str_eq(pod_static_hash(OBJECT_BODY(mirror, pod)), object_meta(pod)->uid))
        status_manager_mirror(sp->k->status, object_meta(pod)->uid, gone ? NULL : mirror);
    pthread_mutex_unlock(&sp->lock);
    wake(sp);
}

/* --- the folder --- */

static struct object *
by_uid(const struct object_list *l, const char *uid)
{
    for (size_t i = 0; i < l->len; i++)
        if (str_eq(object_meta(l->items[i])->uid, uid))
            return l->items[i];
    return NULL;
}

static void
read_file(struct static_pods *sp, const char *path, struct object_list *ret)
{
    AUTO_FREE char *text = NULL;
    struct object *pod = NULL;
    size_t len = 0;
    AUTO(kerr) *err = file_read(path, MAX_FILE, &text, &len);

    if (!err && len)
        err = static_pod_parse(path, text, len, sp->k->cfg.node_name, &pod);
    if (err)
        log_error("A static pod file is left out", "err", kv_err(err));
    if (pod)
        object_list_add_take(ret, pod);
}

static bool
read_folder(struct static_pods *sp, struct object_list *ret)
{
    DIR *d = opendir(sp->k->cfg.static_pod_path);
    struct dirent *e;

    if (!d && errno != ENOTDIR) {
        log_v(2, "The static pod folder cannot be read", "path", sp->k->cfg.static_pod_path, "err", strerror(errno));
        return errno == ENOENT; /* no folder: no pods; other trouble: keep what we have */
    }
    if (!d) {
        read_file(sp, sp->k->cfg.static_pod_path, ret);
        return true;
    }
    while ((e = readdir(d)) && ret->len < MAX_PODS) {
        AUTO_FREE char *path = path_join(sp->k->cfg.static_pod_path, e->d_name);

        if (e->d_name[0] != '.' && (e->d_type == DT_REG || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN))
            read_file(sp, path, ret);
    }
    closedir(d);
    return true;
}

static void
look(struct static_pods *sp)
{
    struct object_list now = { 0 }, before;

    if (!read_folder(sp, &now)) {
        object_list_done(&now);
        return;
    }
    pthread_mutex_lock(&sp->lock);
    before = sp->pods;
    sp->pods = now;
    pthread_mutex_unlock(&sp->lock);
    for (size_t i = 0; i < before.len; i++)
        if (!by_uid(&now, object_meta(before.items[i])->uid)) {
            log_info("Static pod removed", "pod", object_name(before.items[i]), "uid", object_meta(before.items[i])->uid);
            pod_workers_gone(sp->k->workers, object_meta(before.items[i])->uid, pod_grace_s(OBJECT_BODY(before.items[i], pod)));
        }
    for (size_t i = 0; i < now.len; i++)
        if (!by_uid(&before, object_meta(now.items[i])->uid)) {
            log_info("Static pod added", "pod", object_name(now.items[i]), "uid", object_meta(now.items[i])->uid);
            pod_workers_update(sp->k->workers, now.items[i]);
        }
    object_list_done(&before);
}

static void *
thread_main(void *arg)
{
    struct static_pods *sp = arg;
    int in = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    bool more = true;

    (void)inotify_add_watch(in, sp->k->cfg.static_pod_path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE);
    while (!atomic_load(&sp->stopping)) {
        struct pollfd p[] = { { sp->wake_fd, POLLIN, 0 }, { in, POLLIN, 0 } };
        char buf[4096];

        (void)poll(p, 2, more ? MIRROR_RETRY_MS : (int)sp->k->cfg.file_check_ms);
        if (atomic_load(&sp->stopping))
            break;
        if (p[1].revents) {
            clock_sleep_ms(50); /* writers that write twice */
            while (read(in, buf, sizeof buf) > 0)
                ;
        }
        if (p[0].revents && read(sp->wake_fd, buf, sizeof buf) < 0)
            log_v(4, "Static pods: nothing to read");
        look(sp);
        more = sync_mirrors(sp);
    }
    close(in);
    return NULL;
}

struct static_pods *
static_pods_new(struct kubelet *k)
{
    struct static_pods *sp = XNEW(struct static_pods);

    sp->k = k;
    sp->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&sp->lock, NULL);
    return sp;
}

void
static_pods_start(struct static_pods *sp)
{
    if (str_empty(sp->k->cfg.static_pod_path))
        return;
    look(sp);
    if (pthread_create(&sp->thread, NULL, thread_main, sp))
        abort();
    sp->running = true;
}

void
static_pods_stop(struct static_pods *sp)
{
    if (!sp->running)
        return;
    atomic_store(&sp->stopping, true);
    wake(sp);
    pthread_join(sp->thread, NULL);
    sp->running = false;
}

void
static_pods_free(struct static_pods *sp)
{
    if (!sp)
        return;
    object_list_done(&sp->pods);
    object_list_done(&sp->mirrors);
    close(sp->wake_fd);
    pthread_mutex_destroy(&sp->lock);
    free(sp);
}
