// SPDX-License-Identifier: Apache-2.0
/* proxier_watch.c - observe: what changed, noted for the worker.  All handlers run on the informers' loop. */
#include <stdlib.h>

#include "common/api/values.h"
#include "common/base/clock.h"
#include "common/base/metrics.h"
#include "kube-proxy/proxier_private.h"

#define TRIGGER_ANNOTATION "endpoints.kubernetes.io/last-change-trigger-time"
#define ZONE_LABEL "topology.kubernetes.io/zone"
#define DELETION_TAINT "ToBeDeletedByClusterAutoscaler"
#define OUR_OBJECTS "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name"

static struct metric last_queued = METRIC_GAUGE("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
                                                "The last time a sync of proxy rules was queued", "ip_family");
static struct metric endpoint_changes =
    METRIC_COUNTER("kubeproxy_sync_proxy_rules_endpoint_changes_total", "Cumulative proxy rules Endpoint changes", "");
static struct metric service_changes =
    METRIC_COUNTER("kubeproxy_sync_proxy_rules_service_changes_total", "Cumulative proxy rules Service changes", "");
static struct metric pending_changes =
    METRIC_GAUGE("kubeproxy_sync_proxy_rules_service_changes_pending", "Pending proxy rules Service changes", "");

/* --- Services and EndpointSlices --- */

static void
queue(struct proxier *p, const char *ns, const char *name)
{
    AUTO_FREE char *key = xasprintf("%s/%s", str_safe(ns), str_safe(name));
    struct dirty *d;

    pthread_mutex_lock(&p->lock);
    HASH_FIND_STR(p->dirty, key, d);
    if (!d) {
        d = XNEW(struct dirty);
        d->key = steal_ptr(key);
        HASH_ADD_KEYPTR(hh, p->dirty, d->key, strlen(d->key), d);
    }
    metric_set(&pending_changes, HASH_COUNT(p->dirty));
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    proxy_health_queued(p->opts.health, clock_mono_ms());
    metric_set(&last_queued, (double)clock_wall_us() / 1e6, "IPv4");
}

static void
service_event(const struct object *obj, struct proxier *p)
{
    metric_inc(&service_changes);
    queue(p, object_namespace(obj), object_name(obj));
}

static void
service_added(const struct object *obj, bool initial, void *arg)
{
    service_event(obj, arg);
}
static void
service_updated(const struct object *old, const struct object *now, void *arg)
{
    service_event(now, arg);
}
static void
service_removed(const struct object *last, void *arg)
{
    service_event(last, arg);
}

static const char *
trigger_text(const struct object *obj)
{
    const struct string_map *a = &object_meta(obj)->annotations;

    for (uint32_t i = 0; i < a->len; i++)
        if (strcmp(a->items[i].key, TRIGGER_ANNOTATION) == 0)
            return str_safe(a->items[i].value);
    return "";
}

static void
note_trigger(struct proxier *p, const struct object *old, const struct object *now)
{
    const char *text = trigger_text(now);
    struct api_time t;

    if (str_empty(text) || (old && str_eq(text, trigger_text(old))) || api_time_parse(text, strlen(text), &t) < 0)
        return;
    pthread_mutex_lock(&p->lock);
    if (p->ntriggers < TRIGGERS_MAX)
        p->triggers_us[p->ntriggers++] = api_time_unix_us(t);
    pthread_mutex_unlock(&p->lock);
}

static void
slice_event(const struct object *obj, struct proxier *p)
{
    const struct endpoint_slice *slice = OBJECT_BODY(obj, endpoint_slice);
    const char *name = slice ? slice_service_name(slice) : NULL;

    if (!name)
        return;
    metric_inc(&endpoint_changes);
    queue(p, object_namespace(obj), name);
}

static void
slice_added(const struct object *obj, bool initial, void *arg)
{
    if (!initial)
        note_trigger(arg, NULL, obj);
    slice_event(obj, arg);
}
static void
slice_updated(const struct object *old, const struct object *now, void *arg)
{
    note_trigger(arg, old, now);
    slice_event(old, arg); /* it may have changed its service */
    slice_event(now, arg);
}
static void
slice_removed(const struct object *last, void *arg)
{
    slice_event(last, arg);
}

static void
slice_key(const struct object *obj, informer_emit_fn *emit, void *ctx)
{
    const struct endpoint_slice *slice = OBJECT_BODY(obj, endpoint_slice);
    const char *name = slice ? slice_service_name(slice) : NULL;
    AUTO_FREE char *key = name ? xasprintf("%s/%s", str_safe(object_namespace(obj)), name) : NULL;

    if (key)
        emit(key, ctx);
}

/* --- this node --- */

static bool
same_list(const struct strlist *a, const struct strlist *b)
{
    if (a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++)
        if (!str_eq(a->items[i], b->items[i]))
            return false;
    return true;
}

static bool
replace_list(struct strlist *at, struct strlist *fresh)
{
    bool changed = !same_list(at, fresh);

    strlist_done(at);
    *at = *fresh;
    return changed;
}

static const char *
node_zone(const struct node *node)
{
    for (uint32_t i = 0; i < node->metadata.labels.len; i++)
        if (str_eq(node->metadata.labels.items[i].key, ZONE_LABEL))
            return node->metadata.labels.items[i].value;
    return NULL;
}

static bool
node_eligible(const struct node *node)
{
    for (uint32_t i = 0; i < node->spec.taints.len; i++)
        if (str_eq(node->spec.taints.items[i].key, DELETION_TAINT))
            return false;
    return !node->metadata.deletion_timestamp;
}

static void
node_seen(struct proxier *p, const struct object *obj)
{
    const struct node *node = OBJECT_BODY(obj, node);
    struct strlist cidrs = { 0 }, ips = { 0 };

    if (!node || !str_eq(node->metadata.name, p->opts.node_name))
        return;
    for (uint32_t i = 0; i < node->spec.pod_cidrs.len; i++)
        strlist_add(&cidrs, node->spec.pod_cidrs.items[i]);
    if (!cidrs.len && !str_empty(node->spec.pod_cidr))
        strlist_add(&cidrs, node->spec.pod_cidr);
    for (uint32_t i = 0; i < node->status.addresses.len; i++)
        if (str_eq(node->status.addresses.items[i].type, "InternalIP"))
            strlist_add(&ips, node->status.addresses.items[i].address);
    proxy_health_eligible(p->opts.health, node_eligible(node));
    pthread_mutex_lock(&p->lock);
    if (!str_eq(p->zone, node_zone(node))) {
        free(p->zone);
        p->zone = xstrdup(node_zone(node));
        p->all_dirty = true;
    }
    if (replace_list(&p->node_cidrs, &cidrs) && p->opts.config->local_by_node_cidr)
        p->options_dirty = true;
    if (replace_list(&p->node_ips, &ips) && p->opts.config->nodeport_primary)
        p->options_dirty = true;
    if (p->all_dirty || p->options_dirty)
        pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void
node_added(const struct object *obj, bool initial, void *arg)
{
    node_seen(arg, obj);
}
static void
node_updated(const struct object *old, const struct object *now, void *arg)
{
    node_seen(arg, now);
}
static void
node_removed(const struct object *last, void *arg)
{
    struct proxier *p = arg;

    if (str_eq(object_name(last), p->opts.node_name))
        proxy_health_eligible(p->opts.health, false);
}

/* --- the worker's side --- */

void
proxier_watch(struct proxier *p)
{
    AUTO_FREE char *this_node = xasprintf("metadata.name=%s", p->opts.node_name);
    const struct informer_config services = { .kind = api_kind_find("v1", "Service"), .label_selector = OUR_OBJECTS };
    const struct informer_config slices = { .kind = api_kind_find("discovery.k8s.io/v1", "EndpointSlice"),
                                            .label_selector = OUR_OBJECTS };
    const struct informer_config nodes = { .kind = api_kind_find("v1", "Node"), .field_selector = this_node };
    const struct informer_handler of_services = {
        .add = service_added, .update = service_updated, .remove = service_removed, .arg = p
    };
    const struct informer_handler of_slices = {
        .add = slice_added, .update = slice_updated, .remove = slice_removed, .arg = p
    };
    const struct informer_handler of_nodes = {
        .add = node_added, .update = node_updated, .remove = node_removed, .arg = p
    };

    metrics_register(&pending_changes);
    metrics_register(&endpoint_changes);
    metrics_register(&service_changes);
    p->services = informers_get(p->opts.informers, &services);
    p->slices = informers_get(p->opts.informers, &slices);
    p->nodes = informers_get(p->opts.informers, &nodes);
    p->by_service = informer_add_index(p->slices, "service", slice_key);
    informer_add_handler(p->services, &of_services);
    informer_add_handler(p->slices, &of_slices);
    informer_add_handler(p->nodes, &of_nodes);
}

bool
proxier_has_work(const struct proxier *p)
{
    return p->dirty || p->all_dirty || p->options_dirty;
}

void
proxier_take_work(struct proxier *p, struct work *w)
{
    memset(w, 0, sizeof(*w));
    pthread_mutex_lock(&p->lock);
    w->dirty = p->dirty;
    p->dirty = NULL;
    w->all = p->all_dirty;
    w->options = p->options_dirty;
    p->all_dirty = p->options_dirty = false;
    memcpy(w->triggers_us, p->triggers_us, p->ntriggers * sizeof(p->triggers_us[0]));
    w->ntriggers = p->ntriggers;
    p->ntriggers = 0;
    w->zone = xstrdup(p->zone);
    pthread_mutex_unlock(&p->lock);
    metric_set(&pending_changes, 0);
}

void
proxier_work_done(struct work *w)
{
    struct dirty *d, *next;

    HASH_ITER(hh, w->dirty, d, next)
    {
        HASH_DEL(w->dirty, d);
        free(d->key);
        free(d);
    }
    free(w->zone);
    w->zone = NULL;
}
