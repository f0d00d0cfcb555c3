// SPDX-License-Identifier: Apache-2.0
/* kubelet_config.h - flags and KubeletConfiguration as one struct: the file gives values, flags override them. */
#ifndef CKUBE_KUBELET_KUBELET_CONFIG_H
#define CKUBE_KUBELET_KUBELET_CONFIG_H

#include "common/base/kerr.h"
#include "common/base/str.h"
#include "common/daemon/flags.h"

struct daemon;

struct kubelet_config {
    /* flags only */
    char *config, *kubeconfig, *bootstrap_kubeconfig, *cert_dir, *root_dir, *hostname_override, *lock_file;
    struct strlist node_ips;
    struct flag_map node_labels;
    struct strlist register_with_taints;
    /* flags or file */
    char *container_runtime_endpoint, *image_service_endpoint;
    char *address, *static_pod_path, *resolv_conf, *cluster_domain, *cgroup_driver, *cgroup_root, *healthz_bind_address;
    char *tls_cert_file, *tls_private_key_file, *client_ca_file, *authorization_mode, *pod_cidr, *node_name, *hostname;
    char *seccomp_root, *log_dir, *container_log_dir;
    struct strlist cluster_dns;
    int32_t port, healthz_port, max_pods, read_only_port;
    int64_t pod_pids_limit, registry_qps;
    bool register_node, register_schedulable, anonymous_auth, webhook_auth, fail_swap_on, cpu_cfs_quota, seccomp_default, serialize_pulls;
    bool cgroups_per_qos, enable_server, rotate_certificates, server_tls_bootstrap;
    int64_t cpu_cfs_period_us;
    int64_t sync_frequency_ms, file_check_ms, status_update_ms, status_report_ms, runtime_timeout_ms;
    int64_t authn_ttl_ms, authz_allowed_ttl_ms, authz_denied_ttl_ms, stream_idle_ms;
    int32_t lease_duration_s, container_log_max_files, status_max_images;
    int64_t container_log_max_bytes, crash_backoff_max_ms;
    struct flag_map kube_reserved, system_reserved, eviction_hard;
    char *cni_conf_dir;    /* where 10-ckube.conflist goes */
    char *cni_mode;        /* ckube flag --cni-config: auto, always, never */
    char *configz;         /* JSON for /configz */
    struct strlist allowed_unsafe_sysctls;
};

void kubelet_config_flags(struct daemon *d, struct kubelet_config *cfg); /* before daemon_start() */
/* After daemon_start(): reads --config, applies flags over it, checks values, fills in what follows from them. */
struct kerr *kubelet_config_load(struct daemon *d, struct kubelet_config *cfg) MUST_CHECK;
void kubelet_config_done(struct kubelet_config *cfg); /* what flags_free() does not own */

#endif
