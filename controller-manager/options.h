// SPDX-License-Identifier: Apache-2.0
/* options.h - the command line of kube-controller-manager, as upstream's. */
#ifndef CKUBE_CONTROLLER_MANAGER_OPTIONS_H
#define CKUBE_CONTROLLER_MANAGER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/str.h"
#include "common/daemon/flags.h"

struct kcm_options {
    char *kubeconfig, *master;
    double kube_api_qps;
    int32_t kube_api_burst;
    struct strlist controllers;
    bool use_service_account_credentials;
    char *root_ca_file, *service_account_private_key_file, *cluster_name, *node_name;
    /* leader election */
    bool leader_elect;
    int64_t lease_duration_ms, renew_deadline_ms, retry_period_ms;
    char *resource_lock, *resource_name, *resource_namespace;
    /* node IPAM */
    bool allocate_node_cidrs, configure_cloud_routes;
    char *cluster_cidr, *service_cluster_ip_range, *cidr_allocator_type;
    int32_t node_cidr_mask_size, node_cidr_mask_size_ipv4, node_cidr_mask_size_ipv6;
    /* node lifecycle */
    int64_t node_monitor_period_ms, node_monitor_grace_period_ms, node_startup_grace_period_ms;
    double node_eviction_rate, secondary_node_eviction_rate, unhealthy_zone_threshold;
    int32_t large_cluster_size_threshold;
    /* the rest */
    int32_t terminated_pod_gc_threshold;
    bool enable_garbage_collector;
    int32_t syncs_deployment, syncs_replicaset, syncs_rc, syncs_endpoint, syncs_service_endpoint, syncs_namespace, syncs_serviceaccount_token,
        syncs_gc, syncs_job, syncs_cronjob, syncs_statefulset, syncs_daemonset, syncs_ttl;
    int32_t max_endpoints_per_slice;
    int64_t endpoint_updates_batch_ms, endpointslice_updates_batch_ms;
};

struct daemon;
void kcm_options_flags(struct daemon *d, struct kcm_options *o); /* before daemon_start() */
struct kerr *kcm_options_check(struct kcm_options *o) MUST_CHECK;

#endif
