// SPDX-License-Identifier: Apache-2.0
#include "kubelet/sources.h"

#include "common/base/klog.h"
#include "common/client/informer.h"
#include "common/daemon/daemon.h"
#include "kubelet/node.h"
#include "kubelet/pleg.h"
#include "kubelet/pod_admit.h"
#include "kubelet/pod_worker.h"
#include "kubelet/static_pods.h"
#include "kubelet/status_manager.h"

static const struct {
    const char *kind, *api_version;
} known[] = {
    { "ConfigMap", "v1" },
    { "Secret", "v1" },
    { "PersistentVolumeClaim", "v1" },
    { "PersistentVolume", "v1" },
    { "RuntimeClass", "node.k8s.io/v1" },
};

static struct kerr *
get(void *arg, const char *kind, const char *ns, const char *name, struct object **ret)
{
    struct kubelet *k = arg;

    if (!k->rest)
        return kerr_new(KERR_UNAVAILABLE, "%s \"%s\" cannot be read: this kubelet runs without an apiserver", kind, name);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (!strcmp(known[i].kind, kind))
            return rest_get(k->rest, api_kind_find(known[i].api_version, kind), ns, name, ret);
    return kerr_new(KERR_INTERNAL, "objects of kind %s are not asked for here", kind);
}

static bool
services(void *arg, const char *ns, struct object_list *ret)
{
    struct kubelet *k = arg;

    if (!k->services)
        return true;
    if (!informer_synced(k->services))
        return false;
    informer_list(k->services, ns, ret);
    return true;
}

static struct kerr *
token(void *arg, const struct pod *pod, const char *audience, int64_t expiration_s, char **ret, int64_t *ret_expires)
{
    struct kubelet *k = arg;
    AUTO_STRLIST audiences = { 0 };
    struct rest_token_request rq = { .service_account = str_or(pod->spec.service_account_name, "default"), .expiration_s = expiration_s,
                                     .pod_name = pod->metadata.name, .pod_uid = pod->metadata.uid };

    if (!k->rest)
        return kerr_new(KERR_UNAVAILABLE, "no service account token: this kubelet runs without an apiserver");
    if (!str_empty(audience)) {
        strlist_add(&audiences, audience);
        rq.audiences = &audiences;
    }
    return kerr_wrap(rest_create_token(k->rest, pod->metadata.namespace, &rq, ret, ret_expires), "failed to fetch token");
}

/* --- pods of the apiserver --- */

struct feed {
    struct kubelet *k;
    struct static_pods *sp;
};

static void
pod_changed(struct feed *f, const struct object *obj)
{
    const struct pod *pod = OBJECT_BODY(obj, pod);
    char *reason = NULL, *message = NULL;

    if (pod_is_mirror(pod)) {
        static_pods_mirror(f->sp, obj, false);
        return;
    }
    bool fresh = !pod_workers_has(f->k->workers, pod->metadata.uid);

    if (fresh && pod->metadata.deletion_timestamp == NULL && !pod_phase_terminal(pod->status.phase) && !pod->status.start_time &&
        !pod_admit(f->k, pod, &reason, &message)) {
        pod_workers_update(f->k->workers, obj);
        pod_workers_fail(f->k->workers, pod->metadata.uid, reason, message);
        kubelet_event(f->k, pod, NULL, EVENT_WARNING, reason, "%s", message);
        free(reason);
        free(message);
        return;
    }
    status_manager_check(f->k->status, obj);
    pod_workers_update(f->k->workers, obj);
}

static void
pod_added(const struct object *obj, bool initial, void *arg)
{
    pod_changed(arg, obj);
}

static void
pod_updated(const struct object *old, const struct object *now, void *arg)
{
    struct feed *f = arg;

    if (!str_eq(object_meta(old)->uid, object_meta(now)->uid)) /* deleted and made anew between two looks */
        pod_workers_gone(f->k->workers, object_meta(old)->uid, 1);
    pod_changed(f, now);
}

static void
pod_removed(const struct object *last, void *arg)
{
    struct feed *f = arg;
    const struct pod *pod = OBJECT_BODY(last, pod);

    if (pod_is_mirror(pod))
        static_pods_mirror(f->sp, last, true);
    else
        pod_workers_gone(f->k->workers, pod->metadata.uid, pod_grace_s(pod));
}

static void
pods_synced(void *arg)
{
    struct feed *f = arg;

    pleg_sources_ready(f->k->pleg);
}

static void
node_added(const struct object *obj, bool initial, void *arg)
{
    node_seen(((struct feed *)arg)->k->node, obj);
}

static void
node_updated(const struct object *old, const struct object *now, void *arg)
{
    node_seen(((struct feed *)arg)->k->node, now);
}

static void
node_removed(const struct object *last, void *arg)
{
    node_gone(((struct feed *)arg)->k->node);
}

static void
on_trouble(const char *what, const struct kerr *why, void *arg)
{
    struct kubelet *k = arg;

    if (why)
        daemon_waiting(k->daemon, "kube-apiserver", why);
}

struct kerr *
sources_init(struct kubelet *k, struct static_pods *sp)
{
    struct feed *f;
    AUTO_FREE char *mine = NULL, *me = NULL;

    k->src = (struct object_source){ get, services, token, k };
    if (!k->rest)
        return NULL;
    f = XNEW(struct feed); /* lives as long as the process */
    *f = (struct feed){ k, sp };
    k->informers = informers_new(k->rest, NULL);
    mine = xasprintf("spec.nodeName=%s", k->cfg.node_name);
    me = xasprintf("metadata.name=%s", k->cfg.node_name);
    k->pods = informers_get(k->informers, &(struct informer_config){ .kind = api_kind_find("v1", "Pod"), .field_selector = mine });
    k->nodes = informers_get(k->informers, &(struct informer_config){ .kind = api_kind_find("v1", "Node"), .field_selector = me });
    k->services = informers_kind(k->informers, "v1", "Service");
    informer_add_handler(k->pods, &(struct informer_handler){ pod_added, pod_updated, pod_removed, pods_synced, f });
    informer_add_handler(k->nodes, &(struct informer_handler){ node_added, node_updated, node_removed, NULL, f });
    informers_on_trouble(k->informers, on_trouble, k);
    return NULL;
}

void
sources_start(struct kubelet *k)
{
    if (k->informers)
        informers_start(k->informers);
    else
        pleg_sources_ready(k->pleg); /* the static pods have been read */
}
