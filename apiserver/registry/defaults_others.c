// SPDX-License-Identifier: Apache-2.0
/* networking, discovery, rbac, storage, autoscaling, scheduling, admissionregistration, apiextensions,
 * apiregistration, flowcontrol, authentication, resource. */
#include <ctype.h>
#include <string.h>

#include "apiserver/registry/defaults.h"
#include "apiserver/registry/defaults_parts.h"
#include "common/api/meta.h"
#include "common/api/values.h"

#define RBAC_GROUP "rbac.authorization.k8s.io"

static void
default_policy_ports(struct network_policy_port_slice *ports)
{
    for (uint32_t i = 0; i < ports->len; i++)
        default_ptr_str(&ports->items[i].protocol, "TCP");
}

void
defaults_network_policy(struct arena *a, void *body)
{
    struct network_policy *np = body;
    struct network_policy_spec *s = &np->spec;

    for (uint32_t i = 0; i < s->ingress.len; i++)
        default_policy_ports(&s->ingress.items[i].ports);
    for (uint32_t i = 0; i < s->egress.len; i++)
        default_policy_ports(&s->egress.items[i].ports);
    if (s->policy_types.len > 0)
        return;
    string_slice_add(&s->policy_types, a, "Ingress");
    if (s->egress.len > 0)
        string_slice_add(&s->policy_types, a, "Egress");
}

void
defaults_ingress_class(struct arena *a, void *body)
{
    struct ingress_class *ic = body;

    if (ic->spec.parameters)
        default_ptr_str(&ic->spec.parameters->scope, "Cluster");
}

void
defaults_endpoint_slice(struct arena *a, void *body)
{
    struct endpoint_slice *es = body;

    for (uint32_t i = 0; i < es->ports.len; i++) {
        default_ptr_str(&es->ports.items[i].name, "");
        default_ptr_str(&es->ports.items[i].protocol, "TCP");
    }
}

static void
default_subjects(struct subject_slice *subjects)
{
    for (uint32_t i = 0; i < subjects->len; i++) {
        struct subject *s = &subjects->items[i];
        if (str_eq(s->kind, "User") || str_eq(s->kind, "Group"))
            default_str(&s->api_group, RBAC_GROUP);
    }
}

void
defaults_role_binding(struct arena *a, void *body)
{
    struct role_binding *rb = body;

    default_str(&rb->role_ref.api_group, RBAC_GROUP);
    default_subjects(&rb->subjects);
}

void
defaults_cluster_role_binding(struct arena *a, void *body)
{
    struct cluster_role_binding *rb = body;

    default_str(&rb->role_ref.api_group, RBAC_GROUP);
    default_subjects(&rb->subjects);
}

void
defaults_storage_class(struct arena *a, void *body)
{
    struct storage_class *sc = body;

    default_ptr_str(&sc->reclaim_policy, "Delete");
    default_ptr_str(&sc->volume_binding_mode, "Immediate");
}

void
defaults_csi_driver(struct arena *a, void *body)
{
    struct csi_driver *d = body;

    default_bool(&d->spec.attach_required, a, true);
    default_bool(&d->spec.pod_info_on_mount, a, false);
    default_bool(&d->spec.storage_capacity, a, false);
    default_ptr_str(&d->spec.fs_group_policy, "ReadWriteOnceWithFSType");
    if (d->spec.volume_lifecycle_modes.len == 0)
        string_slice_add(&d->spec.volume_lifecycle_modes, a, "Persistent");
    default_bool(&d->spec.requires_republish, a, false);
    default_bool(&d->spec.se_linux_mount, a, false);
}

void
defaults_hpa_v1(struct arena *a, void *body)
{
    struct autoscaling_v1_horizontal_pod_autoscaler *h = body;

    default_i32(&h->spec.min_replicas, a, 1);
}

static void
default_scaling_rules(struct hpa_scaling_rules **at, struct arena *a, bool up)
{
    static const struct hpa_scaling_policy up_policies[] = {
        { .type = "Pods", .value = 4, .period_seconds = 15 },
        { .type = "Percent", .value = 100, .period_seconds = 15 },
    };
    const struct hpa_scaling_policy *policies = up ? up_policies : up_policies + 1;
    uint32_t n = up ? 2 : 1;

    DEFAULT_STRUCT(*at, a);
    if (up)
        default_i32(&(*at)->stabilization_window_seconds, a, 0);
    default_ptr_str(&(*at)->select_policy, "Max");
    if (!(*at)->policies.items) {
        (*at)->policies.items = arena_memdup(a, policies, n * sizeof *policies);
        (*at)->policies.len = (*at)->policies.cap = n;
    }
}

void
defaults_hpa(struct arena *a, void *body)
{
    struct horizontal_pod_autoscaler *h = body;

    default_i32(&h->spec.min_replicas, a, 1);
    if (h->spec.metrics.len == 0) {
        struct metric_spec *m = arena_alloc(a, sizeof *m);
        m->type = "Resource";
        m->resource = arena_alloc(a, sizeof *m->resource);
        m->resource->name = "cpu";
        m->resource->target.type = "Utilization";
        default_i32(&m->resource->target.average_utilization, a, 80);
        h->spec.metrics.items = m;
        h->spec.metrics.len = h->spec.metrics.cap = 1;
    }
    if (h->spec.behavior) {
        default_scaling_rules(&h->spec.behavior->scale_up, a, true);
        default_scaling_rules(&h->spec.behavior->scale_down, a, false);
    }
}

void
defaults_priority_class(struct arena *a, void *body)
{
    struct priority_class *pc = body;

    default_ptr_str(&pc->preemption_policy, "PreemptLowerPriority");
}

static void
default_rules(struct rule_with_operations_slice *rules)
{
    for (uint32_t i = 0; i < rules->len; i++)
        default_ptr_str(&rules->items[i].rule.scope, "*");
}

void
defaults_validating_webhooks(struct arena *a, void *body)
{
    struct validating_webhook_configuration *c = body;

    for (uint32_t i = 0; i < c->webhooks.len; i++) {
        struct validating_webhook *w = &c->webhooks.items[i];
        default_ptr_str(&w->failure_policy, "Fail");
        default_ptr_str(&w->match_policy, "Equivalent");
        DEFAULT_STRUCT(w->namespace_selector, a);
        DEFAULT_STRUCT(w->object_selector, a);
        default_i32(&w->timeout_seconds, a, 10);
        default_rules(&w->rules);
        if (w->client_config.service)
            default_i32(&w->client_config.service->port, a, 443);
    }
}

void
defaults_mutating_webhooks(struct arena *a, void *body)
{
    struct mutating_webhook_configuration *c = body;

    for (uint32_t i = 0; i < c->webhooks.len; i++) {
        struct mutating_webhook *w = &c->webhooks.items[i];
        default_ptr_str(&w->failure_policy, "Fail");
        default_ptr_str(&w->match_policy, "Equivalent");
        DEFAULT_STRUCT(w->namespace_selector, a);
        DEFAULT_STRUCT(w->object_selector, a);
        default_i32(&w->timeout_seconds, a, 10);
        default_ptr_str(&w->reinvocation_policy, "Never");
        default_rules(&w->rules);
        if (w->client_config.service)
            default_i32(&w->client_config.service->port, a, 443);
    }
}

static void
default_match_resources(struct match_resources *m, struct arena *a)
{
    if (!m)
        return;
    DEFAULT_STRUCT(m->namespace_selector, a);
    DEFAULT_STRUCT(m->object_selector, a);
    default_ptr_str(&m->match_policy, "Equivalent");
    for (uint32_t i = 0; i < m->resource_rules.len; i++)
        default_ptr_str(&m->resource_rules.items[i].rule_with_operations.rule.scope, "*");
    for (uint32_t i = 0; i < m->exclude_resource_rules.len; i++)
        default_ptr_str(&m->exclude_resource_rules.items[i].rule_with_operations.rule.scope, "*");
}

void
defaults_validating_policy(struct arena *a, void *body)
{
    struct validating_admission_policy *p = body;

    default_ptr_str(&p->spec.failure_policy, "Fail");
    default_match_resources(p->spec.match_constraints, a);
}

void
defaults_validating_policy_binding(struct arena *a, void *body)
{
    struct validating_admission_policy_binding *b = body;

    default_match_resources(b->spec.match_resources, a);
}

void
defaults_crd(struct arena *a, void *body)
{
    struct custom_resource_definition *crd = body;
    struct custom_resource_definition_names *n = &crd->spec.names;

    if (str_empty(n->singular) && !str_empty(n->kind)) {
        char *lower = arena_strdup(a, n->kind);
        for (char *p = lower; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        n->singular = lower;
    }
    if (str_empty(n->list_kind) && !str_empty(n->kind))
        n->list_kind = arena_printf(a, "%sList", n->kind);
    DEFAULT_STRUCT(crd->spec.conversion, a);
    default_str(&crd->spec.conversion->strategy, "None");
    struct webhook_conversion *w = crd->spec.conversion->webhook;
    if (w && w->client_config && w->client_config->service)
        default_i32(&w->client_config->service->port, a, 443);
}

void
defaults_api_service(struct arena *a, void *body)
{
    struct api_service *s = body;

    if (s->spec.service)
        default_i32(&s->spec.service->port, a, 443);
}

void
defaults_flow_schema(struct arena *a, void *body)
{
    struct flow_schema *fs = body;

    if (fs->spec.matching_precedence == 0)
        fs->spec.matching_precedence = 1000;
}

void
defaults_priority_level(struct arena *a, void *body)
{
    struct priority_level_configuration *pl = body;

    if (str_eq(pl->spec.type, "Exempt")) {
        DEFAULT_STRUCT(pl->spec.exempt, a);
        default_i32(&pl->spec.exempt->nominal_concurrency_shares, a, 0);
        default_i32(&pl->spec.exempt->lendable_percent, a, 0);
    }
    struct limited_priority_level_configuration *l = pl->spec.limited;
    if (!l)
        return;
    default_i32(&l->nominal_concurrency_shares, a, 30);
    default_i32(&l->lendable_percent, a, 0);
    struct queuing_configuration *q = l->limit_response.queuing;
    if (!q)
        return;
    if (q->queues == 0)
        q->queues = 64;
    if (q->hand_size == 0)
        q->hand_size = 8;
    if (q->queue_length_limit == 0)
        q->queue_length_limit = 50;
}

void
defaults_token_request(struct arena *a, void *body)
{
    struct token_request *tr = body;

    default_i64(&tr->spec.expiration_seconds, a, 3600);
}

static void
default_allocation(const char **mode, int64_t *count, struct device_toleration_slice *tolerations)
{
    default_str(mode, "ExactCount");
    if (str_eq(*mode, "ExactCount") && *count == 0)
        *count = 1;
    for (uint32_t i = 0; i < tolerations->len; i++)
        default_str(&tolerations->items[i].operator, "Equal");
}

static void
default_claim_spec(struct resource_claim_spec *spec)
{
    for (uint32_t i = 0; i < spec->devices.requests.len; i++) {
        struct device_request *r = &spec->devices.requests.items[i];
        if (r->exactly)
            default_allocation(&r->exactly->allocation_mode, &r->exactly->count, &r->exactly->tolerations);
        for (uint32_t s = 0; s < r->first_available.len; s++) {
            struct device_sub_request *sub = &r->first_available.items[s];
            default_allocation(&sub->allocation_mode, &sub->count, &sub->tolerations);
        }
    }
}

void
defaults_resource_claim(struct arena *a, void *body)
{
    struct dra_resource_claim *rc = body;

    default_claim_spec(&rc->spec);
}

void
defaults_resource_claim_template(struct arena *a, void *body)
{
    struct resource_claim_template *t = body;

    default_claim_spec(&t->spec.spec);
}
