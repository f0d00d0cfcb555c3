// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/options.h"

#include <stddef.h>

#include "common/daemon/daemon.h"
#include "controller-manager/controller.h"
#include "controller-manager/manager.h"

#define O(member) offsetof(struct kcm_options, member)

static const struct flag generic[] = {
    { "kubeconfig", FLAG_STRING, O(kubeconfig), NULL, "Path to kubeconfig file with authorization and master location information (the master location can be overridden by the master flag)." },
    { "master", FLAG_STRING, O(master), NULL, "The address of the Kubernetes API server (overrides any value in kubeconfig)." },
    { "kube-api-qps", FLAG_FLOAT, O(kube_api_qps), "0", "QPS to use while talking with kubernetes apiserver. 0: no limit of our own." },
    { "kube-api-burst", FLAG_I32, O(kube_api_burst), "0", "Burst to use while talking with kubernetes apiserver." },
    { "kube-api-content-type", FLAG_IGNORED, 0, NULL, "Content type of requests sent to apiserver. JSON is used." },
    { "controllers", FLAG_STRINGS, O(controllers), "*", "A list of controllers to enable. '*' enables all on-by-default controllers, 'foo' enables the controller named 'foo', '-foo' disables the controller named 'foo'." },
    { "use-service-account-credentials", FLAG_BOOL, O(use_service_account_credentials), "false", "If true, use individual service account credentials for each controller." },
    { "min-resync-period", FLAG_IGNORED, 0, NULL, "The resync period in reflectors. There is none: watches are complete." },
    { "controller-start-interval", FLAG_IGNORED, 0, NULL, "Interval between starting controller managers." },
    { "leader-elect", FLAG_BOOL, O(leader_elect), "true", "Start a leader election client and gain leadership before executing the main loop." },
    { "leader-elect-lease-duration", FLAG_DURATION, O(lease_duration_ms), "15s", "How long non-leader candidates wait before they try to take over an unrenewed lease." },
    { "leader-elect-renew-deadline", FLAG_DURATION, O(renew_deadline_ms), "10s", "How long the leader tries to renew before it stops leading." },
    { "leader-elect-retry-period", FLAG_DURATION, O(retry_period_ms), "2s", "How long to wait between tries of acquisition and renewal." },
    { "leader-elect-resource-lock", FLAG_STRING, O(resource_lock), "leases", "The type of resource object that is used for locking: 'leases'." },
    { "leader-elect-resource-name", FLAG_STRING, O(resource_name), "kube-controller-manager", "The name of the lock object." },
    { "leader-elect-resource-namespace", FLAG_STRING, O(resource_namespace), "kube-system", "The namespace of the lock object." },
    { "leader-migration-config", FLAG_IGNORED, 0, NULL, "Path to the config file for controller leader migration." },
    { "enable-leader-migration", FLAG_IGNORED_BOOL, 0, NULL, "Whether to enable controller leader migration." },
    { "cluster-name", FLAG_STRING, O(cluster_name), "kubernetes", "The instance prefix for the cluster." },
    { "external-cloud-volume-plugin", FLAG_IGNORED, 0, NULL, "The plugin to use when cloud provider is set to external." },
    { "cloud-provider", FLAG_IGNORED, 0, NULL, "The provider for cloud services. Empty string for no provider." },
    { "cloud-config", FLAG_IGNORED, 0, NULL, "The path to the cloud provider configuration file." },
    { "cloud-provider-gce-lb-src-cidrs", FLAG_IGNORED, 0, NULL, "CIDRs opened in GCE firewall." },
    { "route-reconciliation-period", FLAG_IGNORED, 0, NULL, "The period for reconciling routes created for nodes by the cloud provider." },
    { "configure-cloud-routes", FLAG_BOOL, O(configure_cloud_routes), "true", "Should CIDRs allocated by allocate-node-cidrs be configured on the cloud provider." },
};

static const struct flag nodes[] = {
    { "allocate-node-cidrs", FLAG_BOOL, O(allocate_node_cidrs), "false", "Should CIDRs for Pods be allocated and set on the nodes." },
    { "cluster-cidr", FLAG_STRING, O(cluster_cidr), NULL, "CIDR Range for Pods in cluster (one per address family, comma-separated)." },
    { "service-cluster-ip-range", FLAG_STRING, O(service_cluster_ip_range), NULL, "CIDR Range for Services in cluster." },
    { "cidr-allocator-type", FLAG_STRING, O(cidr_allocator_type), "RangeAllocator", "Type of CIDR allocator to use." },
    { "node-cidr-mask-size", FLAG_I32, O(node_cidr_mask_size), "0", "Mask size for node cidr in cluster. Default is 24 for IPv4 and 64 for IPv6." },
    { "node-cidr-mask-size-ipv4", FLAG_I32, O(node_cidr_mask_size_ipv4), "0", "Mask size for IPv4 node cidr in dual-stack cluster. Default is 24." },
    { "node-cidr-mask-size-ipv6", FLAG_I32, O(node_cidr_mask_size_ipv6), "0", "Mask size for IPv6 node cidr in dual-stack cluster. Default is 64." },
    { "node-monitor-period", FLAG_DURATION, O(node_monitor_period_ms), "5s", "The period for syncing NodeStatus." },
    { "node-monitor-grace-period", FLAG_DURATION, O(node_monitor_grace_period_ms), "50s", "Amount of time which we allow running Node to be unresponsive before marking it unhealthy." },
    { "node-startup-grace-period", FLAG_DURATION, O(node_startup_grace_period_ms), "1m0s", "Amount of time which we allow starting Node to be unresponsive before marking it unhealthy." },
    { "node-eviction-rate", FLAG_FLOAT, O(node_eviction_rate), "0.1", "Number of nodes per second on which pods are deleted in case of node failure when a zone is healthy." },
    { "secondary-node-eviction-rate", FLAG_FLOAT, O(secondary_node_eviction_rate), "0.01", "The same when a zone is unhealthy." },
    { "unhealthy-zone-threshold", FLAG_FLOAT, O(unhealthy_zone_threshold), "0.55", "Fraction of Nodes in a zone which needs to be not Ready (minimum 3) for zone to be treated as unhealthy." },
    { "large-cluster-size-threshold", FLAG_I32, O(large_cluster_size_threshold), "50", "Number of nodes from which the node lifecycle controller treats the cluster as large for the eviction logic purposes." },
    { "node-sync-period", FLAG_IGNORED, 0, NULL, "Deprecated." },
};

static const struct flag keys[] = {
    { "root-ca-file", FLAG_STRING, O(root_ca_file), NULL, "If set, this root certificate authority will be included in service account's token secret and in the kube-root-ca.crt ConfigMaps." },
    { "service-account-private-key-file", FLAG_STRING, O(service_account_private_key_file), NULL, "Filename containing a PEM-encoded private RSA or ECDSA key used to sign service account tokens." },
    { "cluster-signing-cert-file", FLAG_IGNORED, 0, NULL, "Filename containing a PEM-encoded X509 CA certificate used to issue cluster-scoped certificates." },
    { "cluster-signing-key-file", FLAG_IGNORED, 0, NULL, "Filename containing a PEM-encoded RSA or ECDSA private key used to sign cluster-scoped certificates." },
    { "cluster-signing-duration", FLAG_IGNORED, 0, NULL, "The max length of duration signed certificates will be given." },
    { "cluster-signing-kube-apiserver-client-cert-file", FLAG_IGNORED, 0, NULL, "As --cluster-signing-cert-file, for one signer." },
    { "cluster-signing-kube-apiserver-client-key-file", FLAG_IGNORED, 0, NULL, "As --cluster-signing-key-file, for one signer." },
    { "cluster-signing-kubelet-client-cert-file", FLAG_IGNORED, 0, NULL, "As --cluster-signing-cert-file, for one signer." },
    { "cluster-signing-kubelet-client-key-file", FLAG_IGNORED, 0, NULL, "As --cluster-signing-key-file, for one signer." },
    { "cluster-signing-kubelet-serving-cert-file", FLAG_IGNORED, 0, NULL, "As --cluster-signing-cert-file, for one signer." },
    { "cluster-signing-kubelet-serving-key-file", FLAG_IGNORED, 0, NULL, "As --cluster-signing-key-file, for one signer." },
    { "cluster-signing-legacy-unknown-cert-file", FLAG_IGNORED, 0, NULL, "As --cluster-signing-cert-file, for one signer." },
    { "cluster-signing-legacy-unknown-key-file", FLAG_IGNORED, 0, NULL, "As --cluster-signing-key-file, for one signer." },
    { "legacy-service-account-token-clean-up-period", FLAG_IGNORED, 0, NULL, "The period of time since the last usage of a legacy service account token before it can be deleted." },
};

static const struct flag workers[] = {
    { "concurrent-deployment-syncs", FLAG_I32, O(syncs_deployment), "2", "The number of deployment objects that are allowed to sync concurrently." },
    { "concurrent-replicaset-syncs", FLAG_I32, O(syncs_replicaset), "4", "The number of replica sets that are allowed to sync concurrently." },
    { "concurrent-rc-syncs", FLAG_I32, O(syncs_rc), "1", "The number of replication controllers that are allowed to sync concurrently." },
    { "concurrent-endpoint-syncs", FLAG_I32, O(syncs_endpoint), "2", "The number of endpoint syncing operations that will be done concurrently." },
    { "concurrent-service-endpoint-syncs", FLAG_I32, O(syncs_service_endpoint), "2", "The number of service endpoint syncing operations that will be done concurrently." },
    { "mirroring-concurrent-service-endpoint-syncs", FLAG_IGNORED, 0, NULL, "The number of service endpoint syncing operations of the mirroring controller." },
    { "concurrent-namespace-syncs", FLAG_I32, O(syncs_namespace), "2", "The number of namespace objects that are allowed to sync concurrently." },
    { "concurrent-serviceaccount-token-syncs", FLAG_I32, O(syncs_serviceaccount_token), "1", "The number of service account token objects that are allowed to sync concurrently." },
    { "concurrent-gc-syncs", FLAG_I32, O(syncs_gc), "4", "The number of garbage collector workers that are allowed to sync concurrently." },
    { "concurrent-job-syncs", FLAG_I32, O(syncs_job), "3", "The number of job objects that are allowed to sync concurrently." },
    { "concurrent-cron-job-syncs", FLAG_I32, O(syncs_cronjob), "1", "The number of cron job objects that are allowed to sync concurrently." },
    { "concurrent-statefulset-syncs", FLAG_I32, O(syncs_statefulset), "2", "The number of statefulset objects that are allowed to sync concurrently." },
    { "concurrent-daemonset-syncs", FLAG_I32, O(syncs_daemonset), "2", "The number of daemonset objects that are allowed to sync concurrently." },
    { "concurrent-ttl-after-finished-syncs", FLAG_I32, O(syncs_ttl), "1", "The number of ttl-after-finished-controller workers." },
    { "concurrent-resource-quota-syncs", FLAG_IGNORED, 0, NULL, "The number of resource quotas that are allowed to sync concurrently." },
    { "concurrent-service-syncs", FLAG_IGNORED, 0, NULL, "The number of services that are allowed to sync concurrently." },
    { "concurrent-ephemeralvolume-syncs", FLAG_IGNORED, 0, NULL, "The number of ephemeral volume syncing operations." },
    { "concurrent-horizontal-pod-autoscaler-syncs", FLAG_IGNORED, 0, NULL, "The number of horizontal pod autoscaler objects that are allowed to sync concurrently." },
    { "concurrent-validating-admission-policy-status-syncs", FLAG_IGNORED, 0, NULL, "The number of ValidatingAdmissionPolicyStatusController workers." },
    { "max-endpoints-per-slice", FLAG_I32, O(max_endpoints_per_slice), "100", "The maximum number of endpoints that will be added to an EndpointSlice." },
    { "mirroring-max-endpoints-per-subset", FLAG_IGNORED, 0, NULL, "The maximum number of endpoints mirrored per subset." },
    { "endpoint-updates-batch-period", FLAG_DURATION, O(endpoint_updates_batch_ms), "0s", "The length of endpoint updates batching period." },
    { "endpointslice-updates-batch-period", FLAG_DURATION, O(endpointslice_updates_batch_ms), "0s", "The length of endpoint slice updates batching period." },
    { "mirroring-endpointslice-updates-batch-period", FLAG_IGNORED, 0, NULL, "The same of the mirroring controller." },
    { "enable-garbage-collector", FLAG_BOOL, O(enable_garbage_collector), "true", "Enables the generic garbage collector. MUST be synced with the corresponding flag of the kube-apiserver." },
    { "terminated-pod-gc-threshold", FLAG_I32, O(terminated_pod_gc_threshold), "12500", "Number of terminated pods that can exist before the terminated pod garbage collector starts deleting terminated pods. If <= 0, it is off." },
    { "namespace-sync-period", FLAG_IGNORED, 0, NULL, "The period for syncing namespace life-cycle updates. They come by watch." },
    { "resource-quota-sync-period", FLAG_IGNORED, 0, NULL, "The period for syncing quota usage status in the system." },
    { "pvclaimbinder-sync-period", FLAG_IGNORED, 0, NULL, "The period for syncing persistent volumes and persistent volume claims." },
    { "attach-detach-reconcile-sync-period", FLAG_IGNORED, 0, NULL, "The reconciler sync wait time between volume attach detach." },
    { "disable-attach-detach-reconcile-sync", FLAG_IGNORED_BOOL, 0, NULL, "Disable volume attach detach reconciler sync." },
    { "disable-force-detach-on-timeout", FLAG_IGNORED_BOOL, 0, NULL, "Prevent force detaching volumes based on maximum unmount time and node status." },
    { "enable-dynamic-provisioning", FLAG_IGNORED_BOOL, 0, NULL, "Enable dynamic provisioning for environments that support it." },
    { "enable-hostpath-provisioner", FLAG_IGNORED_BOOL, 0, NULL, "Enable HostPath PV provisioning when running without a cloud provider." },
    { "flex-volume-plugin-dir", FLAG_IGNORED, 0, NULL, "Full path of the directory in which the flex volume plugin should search." },
    { "pv-recycler-pod-template-filepath-nfs", FLAG_IGNORED, 0, NULL, "Template of an NFS recycler pod." },
    { "pv-recycler-pod-template-filepath-hostpath", FLAG_IGNORED, 0, NULL, "Template of a HostPath recycler pod." },
    { "pv-recycler-minimum-timeout-nfs", FLAG_IGNORED, 0, NULL, "Minimum ActiveDeadlineSeconds of an NFS recycler pod." },
    { "pv-recycler-increment-timeout-nfs", FLAG_IGNORED, 0, NULL, "Increment of it per Gi." },
    { "pv-recycler-minimum-timeout-hostpath", FLAG_IGNORED, 0, NULL, "The same of a HostPath recycler pod." },
    { "pv-recycler-timeout-increment-hostpath", FLAG_IGNORED, 0, NULL, "Increment of it per Gi." },
    { "horizontal-pod-autoscaler-sync-period", FLAG_IGNORED, 0, NULL, "The period for syncing the number of pods in horizontal pod autoscaler." },
    { "horizontal-pod-autoscaler-downscale-stabilization", FLAG_IGNORED, 0, NULL, "The period for which autoscaler will look backwards and not scale down." },
    { "horizontal-pod-autoscaler-tolerance", FLAG_IGNORED, 0, NULL, "The minimum change in the desired-to-actual metrics ratio." },
    { "horizontal-pod-autoscaler-cpu-initialization-period", FLAG_IGNORED, 0, NULL, "The period after pod start when CPU samples might be skipped." },
    { "horizontal-pod-autoscaler-initial-readiness-delay", FLAG_IGNORED, 0, NULL, "The period after pod start during which readiness changes are treated as initial readiness." },
};

void
kcm_options_flags(struct daemon *d, struct kcm_options *o)
{
    struct flags *fs = daemon_flags(d);

    flags_add(fs, "Generic", generic, ARRAY_LEN(generic), o);
    flags_add(fs, "Nodes", nodes, ARRAY_LEN(nodes), o);
    flags_add(fs, "Keys", keys, ARRAY_LEN(keys), o);
    flags_add(fs, "Controllers", workers, ARRAY_LEN(workers), o);
    flags_add_known_removed(fs);
}

struct kerr *
kcm_options_check(struct kcm_options *o)
{
    if (!str_eq(o->resource_lock, "leases"))
        return kerr_new(KERR_INVALID, "--leader-elect-resource-lock=%s: only 'leases' exists since 1.27", o->resource_lock);
    if (o->allocate_node_cidrs && str_empty(o->cluster_cidr))
        return kerr_new(KERR_INVALID, "--allocate-node-cidrs=true needs --cluster-cidr");
    if (o->max_endpoints_per_slice < 1 || o->max_endpoints_per_slice > 1000)
        return kerr_new(KERR_INVALID, "--max-endpoints-per-slice=%d: must be between 1 and 1000", o->max_endpoints_per_slice);
    return controllers_check(&o->controllers);
}
