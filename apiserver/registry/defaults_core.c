// SPDX-License-Identifier: Apache-2.0
/* The core group but pods. */
#include <string.h>

#include "apiserver/registry/defaults.h"
#include "apiserver/registry/defaults_parts.h"
#include "common/api/meta.h"
#include "common/api/values.h"

void
defaults_replication_controller(struct arena *a, void *body)
{
    struct replication_controller *rc = body;
    struct pod_template_spec *t = rc->spec.template;

    default_i32(&rc->spec.replicas, a, 1);
    if (!t)
        return;
    if (rc->spec.selector.len == 0)
        rc->spec.selector = t->metadata.labels;
    if (rc->metadata.labels.len == 0)
        rc->metadata.labels = t->metadata.labels;
    defaults_pod_template(t, a);
}

static bool
externally_accessible(const struct service_spec *s)
{
    return str_eq(s->type, "LoadBalancer") || str_eq(s->type, "NodePort") ||
           (str_eq(s->type, "ClusterIP") && s->external_ips.len > 0);
}

static void
default_affinity(struct service_spec *s, struct arena *a)
{
    default_str(&s->session_affinity, "None");
    if (str_eq(s->session_affinity, "None"))
        s->session_affinity_config = NULL;
    else if (str_eq(s->session_affinity, "ClientIP")) {
        DEFAULT_STRUCT(s->session_affinity_config, a);
        DEFAULT_STRUCT(s->session_affinity_config->client_ip, a);
        default_i32(&s->session_affinity_config->client_ip->timeout_seconds, a, 10800);
    }
}

void
defaults_service(struct arena *a, void *body)
{
    struct service *svc = body;
    struct service_spec *s = &svc->spec;

    default_affinity(s, a);
    default_str(&s->type, "ClusterIP");
    for (uint32_t i = 0; i < s->ports.len; i++) {
        struct service_port *p = &s->ports.items[i];
        default_str(&p->protocol, "TCP");
        if (p->target_port.str ? !*p->target_port.str : p->target_port.num == 0)
            p->target_port = int_or_string_num(p->port);
    }
    if (externally_accessible(s))
        default_str(&s->external_traffic_policy, "Cluster");
    if (str_eq(s->type, "ClusterIP") || str_eq(s->type, "NodePort") || str_eq(s->type, "LoadBalancer"))
        default_ptr_str(&s->internal_traffic_policy, "Cluster");
    if (str_eq(s->type, "LoadBalancer")) {
        default_bool(&s->allocate_load_balancer_node_ports, a, true);
        for (uint32_t i = 0; i < svc->status.load_balancer.ingress.len; i++) {
            struct load_balancer_ingress *in = &svc->status.load_balancer.ingress.items[i];
            if (!str_empty(in->ip))
                default_ptr_str(&in->ip_mode, "VIP");
        }
    }
}

void
defaults_node(struct arena *a, void *body)
{
    struct node *node = body;
    struct node_status *s = &node->status;

    default_resource_list(&s->capacity, a);
    default_resource_list(&s->allocatable, a);
    if (!s->allocatable.items)
        s->allocatable = s->capacity;
}

void
defaults_namespace(struct arena *a, void *body)
{
    struct namespace *ns = body;

    if (!str_empty(ns->metadata.name))
        string_map_set(&ns->metadata.labels, a, "kubernetes.io/metadata.name", ns->metadata.name);
    default_str(&ns->status.phase, "Active");
}

static void
bytes_map_set(struct bytes_map *m, struct arena *a, const char *key, struct api_bytes value)
{
    uint32_t at = 0;

    while (at < m->len && strcmp(m->items[at].key, key) < 0)
        at++;
    bool present = at < m->len && strcmp(m->items[at].key, key) == 0;
    uint32_t len = m->len + !present;
    struct bytes_map_entry *items = arena_alloc(a, len * sizeof *items);
    if (at > 0)
        memcpy(items, m->items, at * sizeof *items);
    items[at] = (struct bytes_map_entry){ key, value };
    if (len > at + 1)
        memcpy(items + at + 1, m->items + at + present, (len - at - 1) * sizeof *items);
    *m = (struct bytes_map){ items, len, len };
}

/* stringData is a convenience for writers: it goes into data and is never stored. */
void
defaults_secret(struct arena *a, void *body)
{
    struct secret *s = body;

    default_str(&s->type, "Opaque");
    for (uint32_t i = 0; i < s->string_data.len; i++) {
        const char *value = str_safe(s->string_data.items[i].value);
        bytes_map_set(&s->data, a, s->string_data.items[i].key,
                      (struct api_bytes){ (const uint8_t *)value, (uint32_t)strlen(value) });
    }
    s->string_data = (struct string_map){ 0 };
}

void
defaults_endpoints(struct arena *a, void *body)
{
    struct endpoints *e = body;

    for (uint32_t i = 0; i < e->subsets.len; i++)
        for (uint32_t p = 0; p < e->subsets.items[i].ports.len; p++)
            default_str(&e->subsets.items[i].ports.items[p].protocol, "TCP");
}

static void
fill_missing(struct quantity_map *to, const struct quantity_map *from, struct arena *a)
{
    for (uint32_t i = 0; i < from->len; i++)
        if (!quantity_map_has(to, from->items[i].key))
            quantity_map_set(to, a, from->items[i].key, from->items[i].value);
}

void
defaults_limit_range(struct arena *a, void *body)
{
    struct limit_range *lr = body;

    for (uint32_t i = 0; i < lr->spec.limits.len; i++) {
        struct limit_range_item *item = &lr->spec.limits.items[i];
        struct quantity_map *lists[] = { &item->max, &item->min, &item->default_, &item->default_request,
                                         &item->max_limit_request_ratio };
        for (size_t k = 0; k < ARRAY_LEN(lists); k++)
            default_resource_list(lists[k], a);
        if (!str_eq(item->type, "Container"))
            continue;
        fill_missing(&item->default_, &item->max, a);
        fill_missing(&item->default_request, &item->default_, a);
        fill_missing(&item->default_request, &item->min, a);
    }
}

void
defaults_resource_quota(struct arena *a, void *body)
{
    struct resource_quota *q = body;

    default_resource_list(&q->spec.hard, a);
    default_resource_list(&q->status.hard, a);
    default_resource_list(&q->status.used, a);
}

void
defaults_persistent_volume(struct arena *a, void *body)
{
    struct persistent_volume *pv = body;
    struct persistent_volume_source *v = &pv->spec.persistent_volume_source;

    default_resource_list(&pv->spec.capacity, a);
    default_str(&pv->status.phase, "Pending");
    default_str(&pv->spec.persistent_volume_reclaim_policy, "Retain");
    default_ptr_str(&pv->spec.volume_mode, "Filesystem");
    if (v->host_path)
        default_ptr_str(&v->host_path->type, "");
    if (v->iscsi)
        default_str(&v->iscsi->iscsi_interface, "default");
    if (v->rbd) {
        default_str(&v->rbd->pool, "rbd");
        default_str(&v->rbd->user, "admin");
        default_str(&v->rbd->keyring, "/etc/ceph/keyring");
    }
    if (v->azure_disk) {
        default_ptr_str(&v->azure_disk->caching_mode, "ReadWrite");
        default_ptr_str(&v->azure_disk->kind, "Shared");
        default_ptr_str(&v->azure_disk->fs_type, "ext4");
        default_bool(&v->azure_disk->read_only, a, false);
    }
    if (v->scale_io) {
        default_str(&v->scale_io->storage_mode, "ThinProvisioned");
        default_str(&v->scale_io->fs_type, "xfs");
    }
}

void
default_pvc_spec(struct persistent_volume_claim_spec *spec)
{
    default_ptr_str(&spec->volume_mode, "Filesystem");
}

void
default_pvc(struct persistent_volume_claim *pvc, struct arena *a)
{
    default_pvc_spec(&pvc->spec);
    default_resource_list(&pvc->spec.resources.limits, a);
    default_resource_list(&pvc->spec.resources.requests, a);
    default_resource_list(&pvc->status.capacity, a);
    default_resource_list(&pvc->status.allocated_resources, a);
    default_str(&pvc->status.phase, "Pending");
}

void
defaults_persistent_volume_claim(struct arena *a, void *body)
{
    default_pvc(body, a);
}
