// SPDX-License-Identifier: Apache-2.0
/* controller_table.c - all controllers of upstream's kube-controller-manager, with their canonical and old names. */
#include "controller-manager/controllers.h"

void
controller_free_state(struct controller *c)
{
    free(c->state);
}

#define NOT_HERE NULL, NULL, NULL

const struct controller_row controller_rows[] = {
    { "serviceaccount-controller", "serviceaccount", "service-account-controller", false, serviceaccount_start, NULL, namespace_defaults_stop },
    { "root-ca-certificate-publisher-controller", "root-ca-cert-publisher", "root-ca-cert-publisher", false, root_ca_start, NULL, namespace_defaults_stop },
    { "namespace-controller", "namespace", "namespace-controller", false, namespace_start },
    { "deployment-controller", "deployment", "deployment-controller", false, deployment_start, NULL, controller_free_state },
    { "replicaset-controller", "replicaset", "replicaset-controller", false, replicaset_start, NULL, controller_free_state },
    { "replicationcontroller-controller", "replicationcontroller", "replication-controller", false, replicationcontroller_start, NULL, controller_free_state },
    { "endpoints-controller", "endpoint", "endpoint-controller", false, endpoints_start },
    { "endpointslice-controller", "endpointslice", "endpointslice-controller", false, endpointslice_start, NULL, controller_free_state },
    { "node-ipam-controller", "nodeipam", "node-controller", false, node_ipam_start, NULL, node_ipam_stop },

    { "job-controller", "job", "job-controller", false, job_start, NULL, job_stop },
    { "garbage-collector-controller", "garbagecollector", "generic-garbage-collector", false, garbage_collector_start, garbage_collector_run,
      garbage_collector_stop, garbage_collector_halt },
    { "node-lifecycle-controller", "nodelifecycle", "node-controller", false, node_lifecycle_start, NULL, node_lifecycle_stop },
    { "taint-eviction-controller", NULL, "node-controller", false, taint_eviction_start, NULL, taint_eviction_stop },
    { "pod-garbage-collector-controller", "podgc", "pod-garbage-collector", false, pod_gc_start, NULL, pod_gc_stop },
    { "clusterrole-aggregation-controller", "clusterrole-aggregation", "clusterrole-aggregation-controller", false,
      clusterrole_aggregation_start },
    { "ttl-after-finished-controller", "ttl-after-finished", "ttl-after-finished-controller", false, ttl_after_finished_start },
    { "statefulset-controller", "statefulset", "statefulset-controller", false, statefulset_start, NULL, controller_free_state },
    { "daemonset-controller", "daemonset", "daemon-set-controller", false, daemonset_start, NULL, daemonset_stop },
    { "cronjob-controller", "cronjob", "cronjob-controller", false, cronjob_start, NULL, cronjob_stop },

    /* known names; not part of this build */
    { "endpointslice-mirroring-controller", "endpointslicemirroring", "endpointslicemirroring-controller", false, NOT_HERE },
    { "resourcequota-controller", "resourcequota", "resourcequota-controller", false, NOT_HERE },
    { "horizontal-pod-autoscaler-controller", "horizontalpodautoscaling", "horizontal-pod-autoscaler", false, NOT_HERE },
    { "disruption-controller", "disruption", "disruption-controller", false, NOT_HERE },
    { "certificatesigningrequest-signing-controller", "csrsigning", "certificate-controller", false, NOT_HERE },
    { "certificatesigningrequest-approving-controller", "csrapproving", "certificate-controller", false, NOT_HERE },
    { "certificatesigningrequest-cleaner-controller", "csrcleaner", "certificate-controller", false, NOT_HERE },
    { "podcertificaterequest-cleaner-controller", NULL, "podcertificaterequestcleaner", false, NOT_HERE },
    { "kube-apiserver-serving-clustertrustbundle-publisher-controller", NULL, "kube-apiserver-serving-clustertrustbundle-publisher", false, NOT_HERE },
    { "ttl-controller", "ttl", "ttl-controller", false, NOT_HERE },
    { "bootstrap-signer-controller", "bootstrapsigner", "bootstrap-signer", true, NOT_HERE },
    { "token-cleaner-controller", "tokencleaner", "token-cleaner", true, NOT_HERE },
    { "service-lb-controller", "service", "service-controller", false, NOT_HERE },
    { "node-route-controller", "route", "route-controller", false, NOT_HERE },
    { "cloud-node-lifecycle-controller", "cloud-node-lifecycle", "cloud-node-lifecycle-controller", false, NOT_HERE },
    { "persistentvolume-binder-controller", "persistentvolume-binder", "persistent-volume-binder", false, NOT_HERE },
    { "persistentvolume-attach-detach-controller", "attachdetach", "attachdetach-controller", false, NOT_HERE },
    { "persistentvolume-expander-controller", "persistentvolume-expander", "expand-controller", false, NOT_HERE },
    { "persistentvolumeclaim-protection-controller", "pvc-protection", "pvc-protection-controller", false, NOT_HERE },
    { "persistentvolume-protection-controller", "pv-protection", "pv-protection-controller", false, NOT_HERE },
    { "volumeattributesclass-protection-controller", NULL, "volumeattributesclass-protection-controller", false, NOT_HERE },
    { "ephemeral-volume-controller", "ephemeral-volume", "ephemeral-volume-controller", false, NOT_HERE },
    { "serviceaccount-token-controller", "serviceaccount-token", "tokens-controller", false, NOT_HERE },
    { "legacy-serviceaccount-token-cleaner-controller", "legacy-service-account-token-cleaner", "legacy-service-account-token-cleaner", false, NOT_HERE },
    { "resourceclaim-controller", NULL, "resource-claim-controller", false, NOT_HERE },
    { "device-taint-eviction-controller", NULL, "device-taint-eviction-controller", false, NOT_HERE },
    { "storageversion-garbage-collector-controller", NULL, "storage-version-garbage-collector", false, NOT_HERE },
    { "storage-version-migrator-controller", NULL, "storage-version-migrator-controller", true, NOT_HERE },
    { "validatingadmissionpolicy-status-controller", NULL, "validatingadmissionpolicy-status-controller", false, NOT_HERE },
    { "service-cidr-controller", NULL, "service-cidrs-controller", false, NOT_HERE },
    { "selinux-warning-controller", NULL, "selinux-warning-controller", true, NOT_HERE },
};
const size_t controller_rows_len = ARRAY_LEN(controller_rows);
