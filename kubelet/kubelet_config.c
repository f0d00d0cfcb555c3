// SPDX-License-Identifier: Apache-2.0
#include "kubelet/kubelet_config.h"

#include <ctype.h>
#include <jansson.h>
#include <stddef.h>
#include <sys/utsname.h>

#include "common/api/values.h"
#include "common/base/klog.h"
#include "common/daemon/config_file.h"
#include "common/daemon/daemon.h"

#define OFF(field) offsetof(struct kubelet_config, field)
#define IN_FILE "This parameter should be set via the config file specified by the kubelet's --config flag. See https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/ for more information."

/* Flags without a place in the file. */
static const struct flag own_flags[] = {
    { "config", FLAG_STRING, OFF(config), "", "The Kubelet will load its initial configuration from this file." },
    { "kubeconfig", FLAG_STRING, OFF(kubeconfig), "", "Path to a kubeconfig file, specifying how to connect to the API server. Omitting --kubeconfig enables standalone mode." },
    { "bootstrap-kubeconfig", FLAG_STRING, OFF(bootstrap_kubeconfig), "", "Path to a kubeconfig file that will be used to get client certificate for kubelet." },
    { "cert-dir", FLAG_STRING, OFF(cert_dir), "/var/lib/kubelet/pki", "The directory where the TLS certs are located." },
    { "root-dir", FLAG_STRING, OFF(root_dir), "/var/lib/kubelet", "Directory path for managing kubelet files (volume mounts,etc)." },
    { "hostname-override", FLAG_STRING, OFF(hostname_override), "", "If non-empty, will use this string as identification instead of the actual hostname." },
    { "node-ip", FLAG_IPS, OFF(node_ips), "", "IP address (or comma-separated dual-stack IP addresses) of the node." },
    { "node-labels", FLAG_MAP, OFF(node_labels), "", "Labels to add when registering the node in the cluster. Labels must be key=value pairs separated by ','." },
    { "image-service-endpoint", FLAG_STRING, OFF(image_service_endpoint), "", "The endpoint of remote image service. If not specified, it will be the same with --container-runtime-endpoint." },
    { "lock-file", FLAG_STRING, OFF(lock_file), "", "The path to file for kubelet to use as a lock file." },
    { "cni-config", FLAG_STRING, OFF(cni_mode), "auto", "ckube: write the CNI configuration for the node's podCIDR: auto (when there is no other), always, never." },
    { "cni-config-dir", FLAG_STRING, OFF(cni_conf_dir), "/etc/cni/net.d", "ckube: directory of the CNI configuration." },
    { "pod-log-link-dir", FLAG_STRING, OFF(container_log_dir), "/var/log/containers", "ckube: directory of the links to container logs." },
    { "cloud-provider", FLAG_IGNORED, 0, NULL, "The provider for cloud services. Set to empty string for running with no cloud provider." },
    { "exit-on-lock-contention", FLAG_IGNORED_BOOL, 0, NULL, "Whether kubelet should exit upon lock-file contention." },
    { "runonce", FLAG_IGNORED_BOOL, 0, NULL, "If true, exit after spawning pods from static pod files.", IN_FILE },
    { "pod-infra-container-image", FLAG_IGNORED, 0, NULL, "Specified image will not be pruned by the image garbage collector.", "will be removed in 1.35. Image garbage collector will get sandbox image information from CRI." },
};

/* Flags that stand over a field of the file: name, offset, path in the file. */
enum both_kind { BOTH_STRING, BOTH_BOOL, BOTH_I32, BOTH_I64, BOTH_DURATION, BOTH_STRINGS, BOTH_MAP };
static const struct both {
    const char *flag; /* NULL: only in the file */
    const char *path;
    enum both_kind kind;
    size_t offset;
    const char *def;
} boths[] = {
    { "container-runtime-endpoint", "containerRuntimeEndpoint", BOTH_STRING, OFF(container_runtime_endpoint), "unix:///run/containerd/containerd.sock" },
    { NULL, "imageServiceEndpoint", BOTH_STRING, OFF(image_service_endpoint), "" },
    { "address", "address", BOTH_STRING, OFF(address), "0.0.0.0" },
    { "port", "port", BOTH_I32, OFF(port), "10250" },
    { "read-only-port", "readOnlyPort", BOTH_I32, OFF(read_only_port), "0" },
    { "healthz-port", "healthzPort", BOTH_I32, OFF(healthz_port), "10248" },
    { "healthz-bind-address", "healthzBindAddress", BOTH_STRING, OFF(healthz_bind_address), "127.0.0.1" },
    { "pod-manifest-path", "staticPodPath", BOTH_STRING, OFF(static_pod_path), "" },
    { "resolv-conf", "resolvConf", BOTH_STRING, OFF(resolv_conf), "/etc/resolv.conf" },
    { "cluster-dns", "clusterDNS", BOTH_STRINGS, OFF(cluster_dns), "" },
    { "cluster-domain", "clusterDomain", BOTH_STRING, OFF(cluster_domain), "" },
    { "cgroup-driver", "cgroupDriver", BOTH_STRING, OFF(cgroup_driver), "cgroupfs" },
    { "cgroup-root", "cgroupRoot", BOTH_STRING, OFF(cgroup_root), "" },
    { "cgroups-per-qos", "cgroupsPerQOS", BOTH_BOOL, OFF(cgroups_per_qos), "true" },
    { "tls-cert-file", "tlsCertFile", BOTH_STRING, OFF(tls_cert_file), "" },
    { "tls-private-key-file", "tlsPrivateKeyFile", BOTH_STRING, OFF(tls_private_key_file), "" },
    { "client-ca-file", "authentication.x509.clientCAFile", BOTH_STRING, OFF(client_ca_file), "" },
    { "anonymous-auth", "authentication.anonymous.enabled", BOTH_BOOL, OFF(anonymous_auth), "false" },
    { "authentication-token-webhook", "authentication.webhook.enabled", BOTH_BOOL, OFF(webhook_auth), "true" },
    { "authentication-token-webhook-cache-ttl", "authentication.webhook.cacheTTL", BOTH_DURATION, OFF(authn_ttl_ms), "2m" },
    { "authorization-mode", "authorization.mode", BOTH_STRING, OFF(authorization_mode), "Webhook" },
    { "authorization-webhook-cache-authorized-ttl", "authorization.webhook.cacheAuthorizedTTL", BOTH_DURATION, OFF(authz_allowed_ttl_ms), "5m" },
    { "authorization-webhook-cache-unauthorized-ttl", "authorization.webhook.cacheUnauthorizedTTL", BOTH_DURATION, OFF(authz_denied_ttl_ms), "30s" },
    { "pod-cidr", "podCIDR", BOTH_STRING, OFF(pod_cidr), "" },
    { "max-pods", "maxPods", BOTH_I32, OFF(max_pods), "110" },
    { "pod-max-pids", "podPidsLimit", BOTH_I64, OFF(pod_pids_limit), "-1" },
    { "register-node", "registerNode", BOTH_BOOL, OFF(register_node), "true" },
    { "register-schedulable", NULL, BOTH_BOOL, OFF(register_schedulable), "true" },
    { "register-with-taints", NULL, BOTH_STRINGS, OFF(register_with_taints), "" },
    { "fail-swap-on", "failSwapOn", BOTH_BOOL, OFF(fail_swap_on), "true" },
    { "cpu-cfs-quota", "cpuCFSQuota", BOTH_BOOL, OFF(cpu_cfs_quota), "true" },
    { NULL, "seccompDefault", BOTH_BOOL, OFF(seccomp_default), "false" },
    { "serialize-image-pulls", "serializeImagePulls", BOTH_BOOL, OFF(serialize_pulls), "true" },
    { "rotate-certificates", "rotateCertificates", BOTH_BOOL, OFF(rotate_certificates), "false" },
    { NULL, "serverTLSBootstrap", BOTH_BOOL, OFF(server_tls_bootstrap), "false" },
    { "enable-server", "enableServer", BOTH_BOOL, OFF(enable_server), "true" },
    { "sync-frequency", "syncFrequency", BOTH_DURATION, OFF(sync_frequency_ms), "1m" },
    { "file-check-frequency", "fileCheckFrequency", BOTH_DURATION, OFF(file_check_ms), "20s" },
    { "node-status-update-frequency", "nodeStatusUpdateFrequency", BOTH_DURATION, OFF(status_update_ms), "10s" },
    { NULL, "nodeStatusReportFrequency", BOTH_DURATION, OFF(status_report_ms), "5m" },
    { NULL, "nodeLeaseDurationSeconds", BOTH_I32, OFF(lease_duration_s), "40" },
    { "node-status-max-images", "nodeStatusMaxImages", BOTH_I32, OFF(status_max_images), "50" },
    { "runtime-request-timeout", "runtimeRequestTimeout", BOTH_DURATION, OFF(runtime_timeout_ms), "2m" },
    { "streaming-connection-idle-timeout", "streamingConnectionIdleTimeout", BOTH_DURATION, OFF(stream_idle_ms), "4h" },
    { "container-log-max-files", "containerLogMaxFiles", BOTH_I32, OFF(container_log_max_files), "5" },
    { "kube-reserved", "kubeReserved", BOTH_MAP, OFF(kube_reserved), "" },
    { "system-reserved", "systemReserved", BOTH_MAP, OFF(system_reserved), "" },
    { "eviction-hard", "evictionHard", BOTH_MAP, OFF(eviction_hard), "" },
    { "allowed-unsafe-sysctls", "allowedUnsafeSysctls", BOTH_STRINGS, OFF(allowed_unsafe_sysctls), "" },
    { NULL, "podLogsDir", BOTH_STRING, OFF(log_dir), "/var/log/pods" },
};

static const enum flag_type flag_types[] = {
    [BOTH_STRING] = FLAG_STRING, [BOTH_BOOL] = FLAG_BOOL,       [BOTH_I32] = FLAG_I32, [BOTH_I64] = FLAG_I64,
    [BOTH_DURATION] = FLAG_DURATION, [BOTH_STRINGS] = FLAG_STRINGS, [BOTH_MAP] = FLAG_MAP,
};
static const enum config_type config_types[] = {
    [BOTH_STRING] = CONFIG_STRING, [BOTH_BOOL] = CONFIG_BOOL,       [BOTH_I32] = CONFIG_INT, [BOTH_I64] = CONFIG_INT,
    [BOTH_DURATION] = CONFIG_DURATION, [BOTH_STRINGS] = CONFIG_STRINGS, [BOTH_MAP] = CONFIG_MAP,
};

/* Known to upstream and read by us without effect, or read elsewhere. */
static const struct config_key quiet_keys[] = {
    { "cpuCFSQuotaPeriod", CONFIG_DURATION }, { "containerLogMaxSize", CONFIG_STRING }, { "logging", CONFIG_ANY },
    { "featureGates", CONFIG_MAP }, { "evictionSoft", CONFIG_MAP }, { "evictionSoftGracePeriod", CONFIG_MAP },
    { "evictionMinimumReclaim", CONFIG_MAP }, { "evictionPressureTransitionPeriod", CONFIG_DURATION }, { "evictionMaxPodGracePeriod", CONFIG_INT },
    { "mergeDefaultEvictionSettings", CONFIG_BOOL }, { "imageMinimumGCAge", CONFIG_DURATION }, { "imageMaximumGCAge", CONFIG_DURATION },
    { "imageGCHighThresholdPercent", CONFIG_INT }, { "imageGCLowThresholdPercent", CONFIG_INT }, { "volumeStatsAggPeriod", CONFIG_DURATION },
    { "kubeletCgroups", CONFIG_STRING }, { "systemCgroups", CONFIG_STRING }, { "kubeReservedCgroup", CONFIG_STRING },
    { "systemReservedCgroup", CONFIG_STRING }, { "enforceNodeAllocatable", CONFIG_STRINGS }, { "reservedSystemCPUs", CONFIG_STRING },
    { "cpuManagerPolicy", CONFIG_STRING }, { "cpuManagerPolicyOptions", CONFIG_MAP }, { "cpuManagerReconcilePeriod", CONFIG_DURATION },
    { "memoryManagerPolicy", CONFIG_STRING }, { "topologyManagerPolicy", CONFIG_STRING }, { "topologyManagerScope", CONFIG_STRING },
    { "topologyManagerPolicyOptions", CONFIG_MAP }, { "reservedMemory", CONFIG_ANY }, { "hairpinMode", CONFIG_STRING },
    { "maxOpenFiles", CONFIG_INT }, { "contentType", CONFIG_STRING }, { "kubeAPIQPS", CONFIG_INT }, { "kubeAPIBurst", CONFIG_INT },
    { "maxParallelImagePulls", CONFIG_INT }, { "registryPullQPS", CONFIG_INT }, { "registryBurst", CONFIG_INT },
    { "eventRecordQPS", CONFIG_INT }, { "eventBurst", CONFIG_INT }, { "enableDebuggingHandlers", CONFIG_BOOL },
    { "enableContentionProfiling", CONFIG_BOOL }, { "enableProfilingHandler", CONFIG_BOOL }, { "enableDebugFlagsHandler", CONFIG_BOOL },
    { "enableSystemLogHandler", CONFIG_BOOL }, { "enableSystemLogQuery", CONFIG_BOOL }, { "enableControllerAttachDetach", CONFIG_BOOL },
    { "oomScoreAdj", CONFIG_INT }, { "podsPerCore", CONFIG_INT }, { "protectKernelDefaults", CONFIG_BOOL },
    { "makeIPTablesUtilChains", CONFIG_BOOL }, { "iptablesMasqueradeBit", CONFIG_INT }, { "iptablesDropBit", CONFIG_INT },
    { "memorySwap", CONFIG_ANY }, { "containerLogMaxWorkers", CONFIG_INT }, { "containerLogMonitorInterval", CONFIG_DURATION },
    { "configMapAndSecretChangeDetectionStrategy", CONFIG_STRING }, { "volumePluginDir", CONFIG_STRING }, { "providerID", CONFIG_STRING },
    { "localStorageCapacityIsolation", CONFIG_BOOL }, { "memoryThrottlingFactor", CONFIG_FLOAT }, { "registerWithTaints", CONFIG_ANY },
    { "registerNodeTaints", CONFIG_ANY }, { "shutdownGracePeriod", CONFIG_DURATION }, { "shutdownGracePeriodCriticalPods", CONFIG_DURATION },
    { "shutdownGracePeriodByPodPriority", CONFIG_ANY }, { "tracing", CONFIG_ANY }, { "failCgroupV1", CONFIG_BOOL }, { "userNamespaces", CONFIG_ANY },
    { "crashLoopBackOff", CONFIG_ANY }, { "httpCheckFrequency", CONFIG_DURATION }, { "staticPodURL", CONFIG_STRING },
    { "staticPodURLHeader", CONFIG_ANY }, { "tlsCipherSuites", CONFIG_STRINGS }, { "tlsMinVersion", CONFIG_STRING },
    { "nodeStatusMaxImages", CONFIG_INT }, { "qosReserved", CONFIG_MAP }, { "runOnce", CONFIG_BOOL }, { "showHiddenMetricsForVersion", CONFIG_STRING },
    { "singleProcessOOMKill", CONFIG_BOOL }, { "imagePullCredentialsVerificationPolicy", CONFIG_STRING },
    { "preloadedImagesVerificationAllowlist", CONFIG_STRINGS }, { "enableServer", CONFIG_BOOL },
};

void
kubelet_config_flags(struct daemon *d, struct kubelet_config *cfg)
{
    static struct flag table[ARRAY_LEN(boths)];
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(boths); i++)
        if (boths[i].flag)
            table[n++] = (struct flag){ .name = boths[i].flag, .type = flag_types[boths[i].kind], .offset = boths[i].offset,
                                        .def = boths[i].def, .help = boths[i].path ? "Also in the config file." : "When registering the node.",
                                        .deprecated = NULL };
    flags_add(daemon_flags(d), "Kubelet", own_flags, ARRAY_LEN(own_flags), cfg);
    flags_add(daemon_flags(d), "Kubelet configuration", table, n, cfg);
    flags_add_known_removed(daemon_flags(d));
}

static bool
is_listed(const struct config_key *keys, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(keys[i].path, path))
            return true;
    return false;
}

static const struct config_schema *
schema(void)
{
    static struct config_key keys[ARRAY_LEN(boths) + ARRAY_LEN(quiet_keys)];
    static struct config_schema s = { "kubelet.config.k8s.io", "v1beta1", "KubeletConfiguration", keys, 0, .lenient = true };

    if (s.nkeys)
        return &s;
    for (size_t i = 0; i < ARRAY_LEN(boths); i++)
        if (boths[i].path)
            keys[s.nkeys++] = (struct config_key){ boths[i].path, config_types[boths[i].kind] };
    for (size_t i = 0; i < ARRAY_LEN(quiet_keys); i++)
        if (!is_listed(keys, s.nkeys, quiet_keys[i].path))
            keys[s.nkeys++] = quiet_keys[i];
    return &s;
}

static void
read_map(const struct config_file *f, const char *path, struct flag_map *m)
{
    json_t *o = config_at(f, path), *value;
    const char *key;

    json_object_foreach(o, key, value)
    {
        m->items = xreallocarray(m->items, m->len + 1, sizeof *m->items);
        m->cap = m->len + 1;
        m->items[m->len++] = (struct flag_pair){ xstrdup(key), json_is_string(value) ? xstrdup(json_string_value(value))
                                                                                     : json_dumps(value, JSON_ENCODE_ANY) };
    }
}

/* What the file says, for fields whose flag was not given. */
static void
read_file(struct daemon *d, const struct config_file *f, struct kubelet_config *cfg)
{
    for (size_t i = 0; i < ARRAY_LEN(boths); i++) {
        const struct both *b = &boths[i];
        char *at = (char *)cfg + b->offset;

        if (!b->path || (b->flag && flags_changed(daemon_flags(d), b->flag)) || !config_has(f, b->path))
            continue;
        switch (b->kind) {
        case BOTH_STRING:
            free(*(char **)at);
            *(char **)at = xstrdup(config_string(f, b->path, ""));
            break;
        case BOTH_BOOL:
            *(bool *)at = config_bool(f, b->path, false);
            break;
        case BOTH_I32:
            *(int32_t *)at = (int32_t)config_i64(f, b->path, 0);
            break;
        case BOTH_I64:
            *(int64_t *)at = config_i64(f, b->path, 0);
            break;
        case BOTH_DURATION:
            *(int64_t *)at = config_duration_ms(f, b->path, 0);
            break;
        case BOTH_STRINGS:
            strlist_done((struct strlist *)at);
            *(struct strlist *)at = (struct strlist){ 0 };
            config_strings(f, b->path, (struct strlist *)at);
            break;
        case BOTH_MAP:
            read_map(f, b->path, (struct flag_map *)at);
            break;
        }
    }
}

/* Fields without a flag start from their default. */
static void
file_defaults(struct kubelet_config *cfg)
{
    for (size_t i = 0; i < ARRAY_LEN(boths); i++) {
        char *at = (char *)cfg + boths[i].offset;

        if (boths[i].flag)
            continue;
        switch (boths[i].kind) {
        case BOTH_STRING:
            if (!*(char **)at)
                *(char **)at = xstrdup(boths[i].def);
            break;
        case BOTH_BOOL:
            (void)parse_bool(boths[i].def, (bool *)at);
            break;
        case BOTH_I32:
            (void)parse_i32(boths[i].def, (int32_t *)at);
            break;
        case BOTH_DURATION:
            (void)parse_duration_ms(boths[i].def, (int64_t *)at);
            break;
        default:
            break;
        }
    }
}

static struct kerr *
check(const struct kubelet_config *cfg)
{
    if (strcmp(cfg->cgroup_driver, "cgroupfs") != 0 && strcmp(cfg->cgroup_driver, "systemd") != 0)
        return kerr_new(KERR_INVALID, "cgroupDriver '%s' is unknown: use cgroupfs or systemd", cfg->cgroup_driver);
    if (strcmp(cfg->authorization_mode, "Webhook") != 0 && strcmp(cfg->authorization_mode, "AlwaysAllow") != 0)
        return kerr_new(KERR_INVALID, "authorization.mode '%s' is unknown: use Webhook or AlwaysAllow", cfg->authorization_mode);
    if (cfg->max_pods < 1 || cfg->max_pods > 10000)
        return kerr_new(KERR_INVALID, "maxPods %d is out of range", cfg->max_pods);
    if (strcmp(cfg->cni_mode, "auto") != 0 && strcmp(cfg->cni_mode, "always") != 0 && strcmp(cfg->cni_mode, "never") != 0)
        return kerr_new(KERR_INVALID, "--cni-config=%s: use auto, always or never", cfg->cni_mode);
    if (cfg->root_dir[0] != '/')
        return kerr_new(KERR_INVALID, "--root-dir=%s must be an absolute path", cfg->root_dir);
    if (cfg->sync_frequency_ms < 1000)
        return kerr_new(KERR_INVALID, "syncFrequency must be at least 1s");
    return NULL;
}

struct kerr *
kubelet_config_load(struct daemon *d, struct kubelet_config *cfg)
{
    AUTO(config_file) *f = NULL;
    struct utsname un;
    struct kerr *err = NULL;

    file_defaults(cfg);
    cfg->cpu_cfs_period_us = 100000;
    cfg->container_log_max_bytes = 10 * 1024 * 1024;
    cfg->crash_backoff_max_ms = 300000;
    if (!str_empty(cfg->config)) {
        AUTO(arena) *a = arena_new(0);
        struct quantity q;
        const char *max;

        err = config_file_load(cfg->config, schema(), &f);
        if (err)
            return kerr_wrap(err, "failed to load kubelet config file");
        for (size_t i = 0; i < config_warnings(f)->len; i++)
            log_warning("Kubelet config file", "path", cfg->config, "warning", config_warnings(f)->items[i]);
        read_file(d, f, cfg);
        cfg->cpu_cfs_period_us = config_duration_ms(f, "cpuCFSQuotaPeriod", 100) * 1000;
        max = config_string(f, "containerLogMaxSize", "10Mi");
        err = quantity_parse(max, strlen(max), a, &q);
        if (err)
            return kerr_wrap(err, "%s: containerLogMaxSize", cfg->config);
        cfg->container_log_max_bytes = quantity_value(q);
        cfg->configz = json_dumps(config_tree(f), JSON_COMPACT);
    }
    uname(&un);
    cfg->hostname = str_lower(str_or(cfg->hostname_override, un.nodename));
    cfg->node_name = xstrdup(cfg->hostname);
    cfg->seccomp_root = xasprintf("%s/seccomp", cfg->root_dir);
    return check(cfg);
}

void
kubelet_config_done(struct kubelet_config *cfg)
{
    free(cfg->hostname);
    free(cfg->node_name);
    free(cfg->seccomp_root);
    free(cfg->configz);
    free(cfg->log_dir);
}
