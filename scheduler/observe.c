// SPDX-License-Identifier: Apache-2.0
/* Informer events to columns and queue.  Handlers run on the informers' loop. */
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/str.h"
#include "scheduler/scheduler_impl.h"
#include "scheduler/transform.h"

/* --- known pods --- */

struct known_pod *
known_pod_find(struct scheduler *s, const char *key)
{
    struct known_pod *k;

    HASH_FIND_STR(s->pods, key, k);
    return k;
}

void
known_pod_nominate(struct scheduler *s, struct known_pod *k, const char *node)
{
    struct known_pod **at;

    if (!k->nominated_node && !node)
        return;
    if (k->nominated_node) {
        for (at = &s->nominated; *at != k; at = &(*at)->next_nominated)
            ;
        *at = k->next_nominated;
        free(k->nominated_node);
        k->nominated_node = NULL;
    }
    if (node) {
        k->nominated_node = xstrdup(node);
        k->next_nominated = s->nominated;
        s->nominated = k;
    }
}

void
known_pod_forget(struct scheduler *s, struct known_pod *k)
{
    HASH_DEL(s->pods, k);
    if (k->queued)
        pod_queue_remove(s->queue, k->queued);
    if (k->info->row != ROW_NONE)
        nodes_del_pod(s->nodes, k->info);
    attempt_drop(s, k);
    known_pod_nominate(s, k, NULL);
    pod_info_unref(k->info);
    free(k->key);
    free(k);
}

static const struct profile *
profile_of(const struct scheduler *s, const struct pod *pod)
{
    const char *name = str_or(pod->spec.scheduler_name, "default-scheduler");

    for (size_t i = 0; i < s->opts.nprofiles; i++)
        if (str_eq(s->opts.profiles[i].name, name))
            return &s->opts.profiles[i];
    return NULL;
}

static uint32_t
plugins_with(bool pod_gone, bool pod_came, unsigned node_changes)
{
    uint32_t set = 0;

    for (unsigned i = 0; i < PLUGIN_COUNT; i++)
        if ((pod_gone && plugins[i].pod_gone) || (pod_came && plugins[i].pod_came) || (node_changes & plugins[i].node_changes))
            set |= 1u << i;
    return set;
}

static void
event(struct scheduler *s, uint32_t set, const char *what)
{
    unsigned moved = pod_queue_event(s->queue, set, clock_mono_ms());

    if (moved > 0) {
        log_v(4, "Waiting pods get another try", "event", what, "pods", kv_int(moved));
        metrics_incoming(what, "backoff");
        pthread_cond_signal(&s->wake);
    }
}

static struct known_pod *
known_pod_new(struct scheduler *s, const struct object *obj, struct pod_info *info)
{
    struct known_pod *k = XNEW(struct known_pod);

    k->key = object_key(obj);
    k->info = info;
    k->first_seen_ms = clock_mono_ms();
    HASH_ADD_KEYPTR(hh, s->pods, k->key, strlen(k->key), k);
    return k;
}

static struct pod_info *
parse(struct scheduler *s, const struct object *obj, const struct profile *profile)
{
    struct pod_info_options opts = { .resources = s->opts.resources, .default_spread = !profile || profile->default_spread };

    return pod_info_new(obj, &opts);
}

/* The pod is on a node: counted there; a waiting entry of ours ends. */
static void
set_bound(struct scheduler *s, struct known_pod *k, const struct object *obj)
{
    const struct pod *pod = OBJECT_BODY(obj, pod);
    struct pod_info *info = parse(s, obj, NULL);
    bool was_bound = k && k->stage == POD_BOUND, relabeled = true, less = false;

    if (!k) {
        k = known_pod_new(s, obj, pod_info_ref(info));
    } else {
        const struct object_meta *old = &k->info->pod->metadata, *now = &pod->metadata;

        relabeled = !was_bound || !api_equal(&api_type_object_meta, &(struct object_meta){ .labels = old->labels },
                                             &(struct object_meta){ .labels = now->labels });
        less = was_bound && (meta_deleting(now) != meta_deleting(old) || info->cpu < k->info->cpu || info->memory < k->info->memory);
        if (k->info->row != ROW_NONE)
            nodes_del_pod(s->nodes, k->info);
        pod_info_unref(k->info);
        k->info = pod_info_ref(info);
    }
    if (k->queued)
        pod_queue_remove(s->queue, k->queued);
    k->queued = NULL;
    attempt_drop(s, k);
    known_pod_nominate(s, k, NULL);
    k->stage = POD_BOUND;
    nodes_add_pod(s->nodes, info, pod->spec.node_name);
    pod_info_unref(info);
    if (relabeled || less)
        event(s, plugins_with(less, relabeled, 0), was_bound ? "AssignedPodUpdate" : "AssignedPodAdd");
}

static bool
same_needs(const struct pod *a, const struct pod *b)
{
    return api_equal(&api_type_pod_spec, &a->spec, &b->spec) &&
           api_equal(&api_type_object_meta, &(struct object_meta){ .labels = a->metadata.labels, .owner_references = a->metadata.owner_references },
                     &(struct object_meta){ .labels = b->metadata.labels, .owner_references = b->metadata.owner_references });
}

static void
report_gates(struct scheduler *s, struct known_pod *k)
{
    const struct pod_scheduling_gate_slice *gates = &k->info->pod->spec.scheduling_gates;
    AUTO_SBUF names = { 0 };
    AUTO_FREE char *message = NULL;

    for (uint32_t i = 0; i < gates->len; i++)
        sbuf_addf(&names, "%s%s", i ? " " : "", str_safe(gates->items[i].name));
    message = xasprintf("waiting for scheduling gates: [%s]", sbuf_str(&names));
    act_report(s, k, "SchedulingGated", message, false);
}

static void
pod_gone(struct scheduler *s, struct known_pod *k)
{
    bool was_on_node = k->info->row != ROW_NONE;

    known_pod_forget(s, k);
    if (was_on_node)
        event(s, plugins_with(true, true, 0), "AssignedPodDelete");
}

static void
set_waiting(struct scheduler *s, struct known_pod *k, const struct object *obj, const struct profile *profile)
{
    const struct pod *pod = OBJECT_BODY(obj, pod);
    bool gated = pod->spec.scheduling_gates.len > 0 && (profile->enabled & (1u << PLUGIN_SCHEDULING_GATES)), same;
    uint64_t now = clock_mono_ms();

    if (k && k->stage == POD_ASSUMED)
        return; /* its binding is on the way */
    if (k && k->stage == POD_BOUND) { /* cannot be, but for a restored etcd */
        pod_gone(s, k);
        k = NULL;
    }
    if (!k) {
        k = known_pod_new(s, obj, parse(s, obj, profile));
        k->stage = POD_WAITS;
        k->profile = profile;
        k->queued = pod_queue_add(s->queue, k, k->info->priority, gated, now);
        if (!str_empty(pod->status.nominated_node_name)) /* as the scheduler before us left it */
            known_pod_nominate(s, k, pod->status.nominated_node_name);
        metrics_incoming("UnscheduledPodAdd", gated ? "gated" : "active");
    } else {
        same = same_needs(k->info->pod, pod);
        pod_info_unref(k->info);
        k->info = parse(s, obj, profile);
        k->profile = profile;
        if (same)
            return;
        pod_queue_update(s->queue, k->queued, k->info->priority, gated, now);
        metrics_incoming("UnscheduledPodUpdate", gated ? "gated" : "active");
    }
    if (gated)
        report_gates(s, k);
    pthread_cond_signal(&s->wake);
}

static void
pod_set(struct scheduler *s, const struct object *obj)
{
    const struct pod *pod = OBJECT_BODY(obj, pod);
    AUTO_FREE char *key = object_key(obj);
    const struct profile *profile = profile_of(s, pod);
    struct known_pod *k;

    pthread_mutex_lock(&s->lock);
    k = known_pod_find(s, key);
    if (k && !str_eq(k->info->uid, pod->metadata.uid)) {
        pod_gone(s, k); /* made anew under its name */
        k = NULL;
    }
    if (pod_terminal(pod)) {
        if (k)
            pod_gone(s, k);
    } else if (!str_empty(pod->spec.node_name)) {
        set_bound(s, k, obj);
    } else if (profile && !meta_deleting(&pod->metadata)) {
        set_waiting(s, k, obj, profile);
    } else if (k && k->stage == POD_WAITS) {
        pod_gone(s, k);
    }
    pthread_mutex_unlock(&s->lock);
}

static void
pod_add(const struct object *obj, bool initial, void *arg)
{
    pod_set(arg, obj);
}

static void
pod_update(const struct object *old, const struct object *now, void *arg)
{
    pod_set(arg, now);
}

static void
pod_remove(const struct object *last, void *arg)
{
    struct scheduler *s = arg;
    AUTO_FREE char *key = object_key(last);
    struct known_pod *k;

    pthread_mutex_lock(&s->lock);
    k = known_pod_find(s, key);
    if (k)
        pod_gone(s, k);
    pthread_mutex_unlock(&s->lock);
}

/* --- nodes, namespaces, claims --- */

static void
node_set(struct scheduler *s, const struct object *obj)
{
    unsigned changes;

    pthread_mutex_lock(&s->lock);
    changes = nodes_set_node(s->nodes, obj);
    if (changes)
        event(s, plugins_with(false, false, changes), changes & NODE_ADDED ? "NodeAdd" : "NodeUpdate");
    pthread_mutex_unlock(&s->lock);
}

static void
node_add(const struct object *obj, bool initial, void *arg)
{
    node_set(arg, obj);
}

static void
node_update(const struct object *old, const struct object *now, void *arg)
{
    node_set(arg, now);
}

static void
node_remove(const struct object *last, void *arg)
{
    struct scheduler *s = arg;

    pthread_mutex_lock(&s->lock);
    nodes_del_node(s->nodes, object_name(last));
    event(s, plugins_with(false, false, NODE_GONE), "NodeDelete");
    pthread_mutex_unlock(&s->lock);
}

static void
namespace_add(const struct object *obj, bool initial, void *arg)
{
    struct scheduler *s = arg;

    pthread_mutex_lock(&s->lock);
    nodes_set_namespace(s->nodes, object_name(obj), &object_meta(obj)->labels);
    event(s, 1u << PLUGIN_INTER_POD_AFFINITY, "NamespaceUpdate");
    pthread_mutex_unlock(&s->lock);
}

static void
namespace_update(const struct object *old, const struct object *now, void *arg)
{
    if (!api_equal(&api_type_object_meta, &(struct object_meta){ .labels = object_meta(old)->labels },
                   &(struct object_meta){ .labels = object_meta(now)->labels }))
        namespace_add(now, false, arg);
}

static void
namespace_remove(const struct object *last, void *arg)
{
    struct scheduler *s = arg;

    pthread_mutex_lock(&s->lock);
    nodes_set_namespace(s->nodes, object_name(last), NULL);
    pthread_mutex_unlock(&s->lock);
}

static void
volumes_changed(struct scheduler *s, const char *what)
{
    pthread_mutex_lock(&s->lock);
    event(s, 1u << PLUGIN_VOLUME_BINDING, what);
    pthread_mutex_unlock(&s->lock);
}

static void
claim_add(const struct object *obj, bool initial, void *arg)
{
    volumes_changed(arg, "PersistentVolumeClaimAdd");
}

static void
claim_update(const struct object *old, const struct object *now, void *arg)
{
    volumes_changed(arg, "PersistentVolumeClaimUpdate");
}

enum claim_state
observe_claim(const char *ns, const char *name, void *arg)
{
    struct scheduler *s = arg;
    struct object *obj __attribute__((cleanup(auto_object_))) = informer_get(s->claims, ns, name), *class_obj __attribute__((cleanup(auto_object_))) = NULL;
    const struct persistent_volume_claim *claim = obj ? OBJECT_BODY(obj, persistent_volume_claim) : NULL;
    const struct storage_class *sc;

    if (!claim)
        return CLAIM_MISSING;
    if (meta_deleting(&claim->metadata))
        return CLAIM_DELETING;
    if (str_eq(claim->status.phase, "Lost"))
        return CLAIM_LOST;
    if (!str_empty(claim->spec.volume_name) && string_map_get(&claim->metadata.annotations, "pv.kubernetes.io/bind-completed"))
        return CLAIM_BOUND;
    if (str_empty(claim->spec.storage_class_name))
        return CLAIM_UNBOUND;
    class_obj = informer_get(s->classes, NULL, claim->spec.storage_class_name);
    sc = class_obj ? OBJECT_BODY(class_obj, storage_class) : NULL;
    return sc && str_eq(sc->volume_binding_mode, "WaitForFirstConsumer") ? CLAIM_WAITS_FOR_POD : CLAIM_UNBOUND;
}

void
observe(struct scheduler *s)
{
    struct informers *set = s->opts.informers;
    struct informer_config pods = { .kind = api_kind_find("v1", "Pod"), .field_selector = "status.phase!=Succeeded,status.phase!=Failed",
                                    .transform = transform_pod };
    struct informer_config node = { .kind = api_kind_find("v1", "Node"), .transform = transform_node };
    struct informer_config other = { .transform = transform_other };
    struct informer *nodes = informers_get(set, &node), *namespaces;

    other.kind = api_kind_find("v1", "Namespace");
    namespaces = informers_get(set, &other);
    other.kind = api_kind_find("v1", "PersistentVolumeClaim");
    s->claims = informers_get(set, &other);
    other.kind = api_kind_find("policy/v1", "PodDisruptionBudget");
    s->budgets = informers_get(set, &other);
    other.kind = api_kind_find("storage.k8s.io/v1", "StorageClass");
    s->classes = informers_get(set, &other);
    informer_add_handler(nodes, &(struct informer_handler){ node_add, node_update, node_remove, NULL, s });
    informer_add_handler(namespaces, &(struct informer_handler){ namespace_add, namespace_update, namespace_remove, NULL, s });
    informer_add_handler(s->claims, &(struct informer_handler){ claim_add, claim_update, NULL, NULL, s });
    informer_add_handler(informers_get(set, &pods), &(struct informer_handler){ pod_add, pod_update, pod_remove, NULL, s });
}
