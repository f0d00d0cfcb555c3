// SPDX-License-Identifier: Apache-2.0
#include "apiserver/admission/plugins.h"

const struct admission_plugin *const admission_plugins[] = {
    &plugin_namespace_lifecycle, &plugin_service_account, &plugin_taint_nodes_by_condition, &plugin_priority,
    &plugin_default_toleration_seconds, &plugin_node_restriction, &plugin_rbac_escalation,
};
const size_t admission_plugins_len = ARRAY_LEN(admission_plugins);

const char *const admission_names_not_served[] = {
    "AlwaysAdmit", "AlwaysDeny", "AlwaysPullImages", "CertificateApproval", "CertificateSigning", "CertificateSubjectRestriction",
    "ClusterTrustBundleAttest", "DefaultIngressClass", "DefaultStorageClass", "DenyServiceExternalIPs", "EventRateLimit",
    "ExtendedResourceToleration", "ImagePolicyWebhook", "LimitPodHardAntiAffinityTopology", "LimitRanger", "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook", "NamespaceAutoProvision", "NamespaceExists", "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize", "PodNodeSelector", "PodSecurity", "PodTolerationRestriction", "PodTopologyLabels", "ResourceQuota",
    "RuntimeClass", "StorageObjectInUseProtection", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook", NULL,
};
