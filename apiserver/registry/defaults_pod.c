// SPDX-License-Identifier: Apache-2.0
/* Pods and pod templates. */
#include <string.h>

#include "apiserver/registry/defaults.h"
#include "apiserver/registry/defaults_parts.h"
#include "common/api/meta.h"

#define FILE_MODE 0644

/* The container structs differ only by name: ephemeral ones are handled as ordinary ones. */
_Static_assert(sizeof(struct container) == sizeof(struct ephemeral_container_common), "one layout");
_Static_assert(offsetof(struct container, tty) == offsetof(struct ephemeral_container_common, tty), "one layout");

/* ":latest" and no tag at all are pulled always; a digest or another tag only when absent. */
static const char *
pull_policy(const char *image)
{
    const char *at = strchr(str_safe(image), '@'), *slash, *colon;

    if (str_empty(image))
        return "IfNotPresent";
    size_t len = at ? (size_t)(at - image) : strlen(image);
    slash = memrchr(image, '/', len);
    const char *name = slash ? slash + 1 : image;
    colon = memchr(name, ':', len - (size_t)(name - image));
    if (!colon)
        return at ? "IfNotPresent" : "Always";
    return len - (size_t)(colon + 1 - image) == 6 && memcmp(colon + 1, "latest", 6) == 0 ? "Always" : "IfNotPresent";
}

static void
default_http_get(struct http_get_action *h)
{
    if (!h)
        return;
    default_str(&h->path, "/");
    default_str(&h->scheme, "HTTP");
}

static void
default_probe(struct probe *p)
{
    if (!p)
        return;
    if (p->timeout_seconds == 0)
        p->timeout_seconds = 1;
    if (p->period_seconds == 0)
        p->period_seconds = 10;
    if (p->success_threshold == 0)
        p->success_threshold = 1;
    if (p->failure_threshold == 0)
        p->failure_threshold = 3;
    default_http_get(p->probe_handler.http_get);
    if (p->probe_handler.grpc)
        default_ptr_str(&p->probe_handler.grpc->service, "");
}

static void
default_env(struct env_var *e)
{
    if (e->value_from && e->value_from->field_ref)
        default_str(&e->value_from->field_ref->api_version, "v1");
}

static void
default_container(struct container *c, struct arena *a)
{
    for (uint32_t i = 0; i < c->ports.len; i++)
        default_str(&c->ports.items[i].protocol, "TCP");
    for (uint32_t i = 0; i < c->env.len; i++)
        default_env(&c->env.items[i]);
    default_resource_list(&c->resources.limits, a);
    default_resource_list(&c->resources.requests, a);
    default_probe(c->liveness_probe);
    default_probe(c->readiness_probe);
    default_probe(c->startup_probe);
    if (c->lifecycle && c->lifecycle->post_start)
        default_http_get(c->lifecycle->post_start->http_get);
    if (c->lifecycle && c->lifecycle->pre_stop)
        default_http_get(c->lifecycle->pre_stop->http_get);
    default_str(&c->termination_message_path, "/dev/termination-log");
    default_str(&c->termination_message_policy, "File");
    if (str_empty(c->image_pull_policy))
        c->image_pull_policy = pull_policy(c->image);
}

static void
default_downward_files(struct downward_api_volume_file_slice *files)
{
    for (uint32_t i = 0; i < files->len; i++)
        if (files->items[i].field_ref)
            default_str(&files->items[i].field_ref->api_version, "v1");
}

static void
default_projected(struct projected_volume_source *p, struct arena *a)
{
    default_i32(&p->default_mode, a, FILE_MODE);
    for (uint32_t i = 0; i < p->sources.len; i++) {
        struct volume_projection *s = &p->sources.items[i];
        if (s->downward_api)
            default_downward_files(&s->downward_api->items);
        if (s->service_account_token)
            default_i64(&s->service_account_token->expiration_seconds, a, 3600);
    }
}

static void
default_volume(struct volume_source *v, struct arena *a)
{
    static const struct volume_source none;

    if (memcmp(v, &none, sizeof none) == 0)
        DEFAULT_STRUCT(v->empty_dir, a);
    if (v->secret)
        default_i32(&v->secret->default_mode, a, FILE_MODE);
    if (v->config_map)
        default_i32(&v->config_map->default_mode, a, FILE_MODE);
    if (v->downward_api) {
        default_i32(&v->downward_api->default_mode, a, FILE_MODE);
        default_downward_files(&v->downward_api->items);
    }
    if (v->projected)
        default_projected(v->projected, a);
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
    if (v->image && str_empty(v->image->pull_policy))
        v->image->pull_policy = pull_policy(v->image->reference);
    if (v->ephemeral && v->ephemeral->volume_claim_template) {
        default_pvc_spec(&v->ephemeral->volume_claim_template->spec);
        default_resource_list(&v->ephemeral->volume_claim_template->spec.resources.limits, a);
        default_resource_list(&v->ephemeral->volume_claim_template->spec.resources.requests, a);
    }
}

static void
default_pod_spec(struct pod_spec *spec, struct arena *a)
{
    for (uint32_t i = 0; i < spec->volumes.len; i++)
        default_volume(&spec->volumes.items[i].volume_source, a);
    for (uint32_t i = 0; i < spec->init_containers.len; i++)
        default_container(&spec->init_containers.items[i], a);
    for (uint32_t i = 0; i < spec->containers.len; i++)
        default_container(&spec->containers.items[i], a);
    for (uint32_t i = 0; i < spec->ephemeral_containers.len; i++)
        default_container((struct container *)&spec->ephemeral_containers.items[i].ephemeral_container_common, a);
    default_resource_list(&spec->overhead, a);
    if (spec->resources) {
        default_resource_list(&spec->resources->limits, a);
        default_resource_list(&spec->resources->requests, a);
    }
    default_str(&spec->restart_policy, "Always");
    default_str(&spec->dns_policy, "ClusterFirst");
    default_str(&spec->scheduler_name, "default-scheduler");
    default_i64(&spec->termination_grace_period_seconds, a, 30);
    DEFAULT_STRUCT(spec->security_context, a);
    /* The old name of the field is kept equal to the new one. */
    default_str(&spec->service_account_name, spec->service_account);
    spec->service_account = spec->service_account_name;
}

void
defaults_pod_template(struct pod_template_spec *t, struct arena *a)
{
    default_pod_spec(&t->spec, a);
}

/* Requests that are not given equal the limits. */
static void
requests_from_limits(struct resource_requirements *r, struct arena *a)
{
    for (uint32_t i = 0; i < r->limits.len; i++)
        if (!quantity_map_has(&r->requests, r->limits.items[i].key))
            quantity_map_set(&r->requests, a, r->limits.items[i].key, r->limits.items[i].value);
}

/* spec.resources: requests from what the containers ask for, else from the pod's limits. */
static void
pod_level_requests(struct pod_spec *spec, struct arena *a)
{
    struct resource_requirements *r = spec->resources;

    if (!r || r->limits.len == 0)
        return;
    struct pod_spec containers_only = *spec;
    containers_only.resources = NULL;
    containers_only.overhead = (struct quantity_map){ 0 };
    struct quantity_map sum = pod_requests(&containers_only, a);
    for (uint32_t i = 0; i < sum.len; i++) {
        const char *name = sum.items[i].key;
        bool pod_level = strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0;
        if (pod_level && !quantity_map_has(&r->requests, name))
            quantity_map_set(&r->requests, a, name, sum.items[i].value);
    }
    requests_from_limits(r, a);
}

static void
host_network_ports(struct container_slice *containers)
{
    for (uint32_t c = 0; c < containers->len; c++) {
        struct container_port_slice *ports = &containers->items[c].ports;
        for (uint32_t i = 0; i < ports->len; i++)
            if (ports->items[i].host_port == 0)
                ports->items[i].host_port = ports->items[i].container_port;
    }
}

void
defaults_pod(struct arena *a, void *body)
{
    struct pod *pod = body;
    struct pod_spec *spec = &pod->spec;

    default_pod_spec(spec, a);
    for (uint32_t i = 0; i < spec->containers.len; i++)
        requests_from_limits(&spec->containers.items[i].resources, a);
    for (uint32_t i = 0; i < spec->init_containers.len; i++)
        requests_from_limits(&spec->init_containers.items[i].resources, a);
    pod_level_requests(spec, a);
    default_bool(&spec->enable_service_links, a, true);
    if (spec->host_network) {
        host_network_ports(&spec->containers);
        host_network_ports(&spec->init_containers);
    }
    default_str(&pod->status.phase, "Pending");
}

void
defaults_pod_template_object(struct arena *a, void *body)
{
    struct pod_template *t = body;

    defaults_pod_template(&t->template, a);
}
