// SPDX-License-Identifier: Apache-2.0
#include "apiserver/registry/defaults.h"

#include "apiserver/registry/defaults_parts.h"
#include "common/api/meta.h"
#include "common/api/values.h"

static const struct {
    const struct api_type *type;
    void (*fn)(struct arena *a, void *body);
} table[] = {
    { &api_type_pod, defaults_pod },
    { &api_type_pod_template, defaults_pod_template_object },
    { &api_type_replication_controller, defaults_replication_controller },
    { &api_type_service, defaults_service },
    { &api_type_node, defaults_node },
    { &api_type_namespace, defaults_namespace },
    { &api_type_secret, defaults_secret },
    { &api_type_endpoints, defaults_endpoints },
    { &api_type_limit_range, defaults_limit_range },
    { &api_type_resource_quota, defaults_resource_quota },
    { &api_type_persistent_volume, defaults_persistent_volume },
    { &api_type_persistent_volume_claim, defaults_persistent_volume_claim },
    { &api_type_deployment, defaults_deployment },
    { &api_type_replica_set, defaults_replica_set },
    { &api_type_stateful_set, defaults_stateful_set },
    { &api_type_daemon_set, defaults_daemon_set },
    { &api_type_job, defaults_job },
    { &api_type_cron_job, defaults_cron_job },
    { &api_type_network_policy, defaults_network_policy },
    { &api_type_ingress_class, defaults_ingress_class },
    { &api_type_endpoint_slice, defaults_endpoint_slice },
    { &api_type_role_binding, defaults_role_binding },
    { &api_type_cluster_role_binding, defaults_cluster_role_binding },
    { &api_type_storage_class, defaults_storage_class },
    { &api_type_csi_driver, defaults_csi_driver },
    { &api_type_autoscaling_v1_horizontal_pod_autoscaler, defaults_hpa_v1 },
    { &api_type_horizontal_pod_autoscaler, defaults_hpa },
    { &api_type_priority_class, defaults_priority_class },
    { &api_type_validating_webhook_configuration, defaults_validating_webhooks },
    { &api_type_mutating_webhook_configuration, defaults_mutating_webhooks },
    { &api_type_validating_admission_policy, defaults_validating_policy },
    { &api_type_validating_admission_policy_binding, defaults_validating_policy_binding },
    { &api_type_custom_resource_definition, defaults_crd },
    { &api_type_api_service, defaults_api_service },
    { &api_type_flow_schema, defaults_flow_schema },
    { &api_type_priority_level_configuration, defaults_priority_level },
    { &api_type_token_request, defaults_token_request },
    { &api_type_dra_resource_claim, defaults_resource_claim },
    { &api_type_resource_claim_template, defaults_resource_claim_template },
};

void
defaults_apply(const struct api_kind *kind, struct arena *a, void *body)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].type == kind->type) {
            table[i].fn(a, body);
            return;
        }
}

void
default_int_or_string(struct int_or_string **at, struct arena *a, struct int_or_string value)
{
    if (!*at) {
        *at = arena_alloc(a, sizeof **at);
        **at = value;
    }
}

/* Milli is the finest step that every version of the API kept.  Plain texts need no arithmetic. */
static bool
is_plain_quantity(const char *s)
{
    if (s[0] == '0' && s[1])
        return false;
    for (; *s; s++)
        if (*s == '.' || *s == '+' || *s == 'n' || *s == 'u' || *s == 'e' || (*s == 'E' && s[1]))
            return false;
    return true;
}

void
default_resource_list(struct quantity_map *m, struct arena *a)
{
    for (uint32_t i = 0; i < m->len; i++)
        if (m->items[i].value.text && !is_plain_quantity(m->items[i].value.text))
            m->items[i].value = quantity_round_up(m->items[i].value, -3, a);
}
