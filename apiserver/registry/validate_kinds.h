// SPDX-License-Identifier: Apache-2.0
/* validate_kinds.h - one row per kind (validate.c) and the functions behind the rows.
 * create: the object beyond its metadata; also part of every update when `update` is NULL or says so.
 * update, status: what may change.  Metadata is checked by validate.c before. */
#ifndef CKUBE_REGISTRY_VALIDATE_KINDS_H
#define CKUBE_REGISTRY_VALIDATE_KINDS_H

#include "apiserver/registry/validate_parts.h"

typedef void validate_fn(struct findings *f, const void *body);
typedef void validate_change_fn(struct findings *f, const void *body, const void *old);

/* validate_pod.c */
validate_fn pod_create, pod_template_create, binding_create;
validate_change_fn pod_update, pod_status, pod_ephemeral_containers, pod_resize;
/* validate_service.c */
validate_fn service_create, endpoints_create, endpoint_slice_create;
validate_change_fn service_update, service_status, endpoint_slice_update;
/* validate_core.c */
validate_fn namespace_create, node_create, config_map_create, secret_create, replication_controller_create,
    limit_range_create, resource_quota_create, event_create;
validate_change_fn namespace_update, namespace_status, namespace_finalize, node_update, config_map_update, secret_update,
    replication_controller_status, resource_quota_update;
/* validate_workloads.c */
validate_fn deployment_create, replica_set_create, stateful_set_create, daemon_set_create, controller_revision_create;
validate_change_fn deployment_update, deployment_status, replica_set_update, replica_set_status, stateful_set_update,
    stateful_set_status, daemon_set_update, daemon_set_status, controller_revision_update;
/* validate_batch.c */
validate_fn job_create, cron_job_create;
validate_change_fn job_update, job_status, cron_job_update;
/* validate_rbac.c */
validate_fn role_create, cluster_role_create, role_binding_create, cluster_role_binding_create;
validate_change_fn role_binding_update, cluster_role_binding_update;
/* validate_storage.c */
validate_fn persistent_volume_create, persistent_volume_claim_create, storage_class_create, csi_driver_create,
    csi_node_create, volume_attachment_create, csi_storage_capacity_create;
validate_change_fn persistent_volume_update, persistent_volume_claim_update, persistent_volume_claim_status,
    storage_class_update, csi_driver_update, volume_attachment_update;
/* validate_network.c */
validate_fn ingress_create, ingress_class_create, network_policy_create;
validate_change_fn ingress_status, ingress_class_update;
/* validate_others.c */
validate_fn pod_disruption_budget_create, events_event_create, hpa_create, hpa_v1_create, priority_class_create, lease_create, csr_create,
    runtime_class_create, validating_webhooks_create, mutating_webhooks_create, flow_schema_create,
    priority_level_create, token_request_create, access_review_create, self_access_review_create,
    local_access_review_create;
validate_change_fn pod_disruption_budget_status, priority_class_update, csr_update, csr_status, runtime_class_update;

/* Defaults of the shared template checks: RC, ReplicaSet, Deployment, StatefulSet, DaemonSet. */
void check_workload_template(struct findings *f, const struct path *p, const struct pod_template_spec *t,
                             const struct label_selector *selector, const char *what);

#endif
