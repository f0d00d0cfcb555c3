// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/proxy_config.h"

#include <ctype.h>
#include <unistd.h>

#include "common/api/codec.h"
#include "common/base/file.h"
#include "common/daemon/config_file.h"

#define O(member) offsetof(struct proxy_config, member)
#define CONFIG_MAX ((size_t)1 << 20)

static struct kerr *
check_mode(const char *value)
{
    static const char *const modes[] = { "", "iptables", "ipvs", "nftables" };

    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (str_eq(value, modes[i]))
            return NULL;
    return kerr_new(KERR_INVALID, "must be iptables, ipvs or nftables (blank: the default)");
}

static const struct flag config_flags[] = {
    { "config", FLAG_STRING, O(config_file), NULL,
      "The path to the configuration file. All other flags but --hostname-override are ignored then." },
    { "cleanup", FLAG_BOOL, O(cleanup), "false", "If true, clean up the rules of kube-proxy and exit." },
    { "init-only", FLAG_BOOL, O(init_only), "false",
      "If true, perform any initialization steps that must be done with full root privileges, and then exit." },
    { "hostname-override", FLAG_STRING, O(hostname_override), NULL,
      "If non-empty, will be used as the name of the Node that kube-proxy is running on." },
    { "kubeconfig", FLAG_STRING, O(kubeconfig), NULL, "Path to kubeconfig file with authorization information." },
    { "master", FLAG_STRING, O(master), NULL,
      "The address of the Kubernetes API server (overrides any value in kubeconfig)." },
    { "kube-api-qps", FLAG_FLOAT, O(qps), "5", "QPS to use while talking with kubernetes apiserver." },
    { "kube-api-burst", FLAG_I32, O(burst), "10", "Burst to use while talking with kubernetes apiserver." },
    { "kube-api-content-type", FLAG_STRING, O(content_type), "application/vnd.kubernetes.protobuf",
      "Content type of requests sent to apiserver." },
    { "config-sync-period", FLAG_DURATION, O(config_sync_period_ms), "15m",
      "How often configuration from the apiserver is refreshed." },
    { "write-config-to", FLAG_IGNORED, 0, NULL, NULL },
};

static const struct flag serving_flags[] = {
    { "bind-address", FLAG_IP, O(bind_address), "0.0.0.0",
      "Overrides kube-proxy's idea of what its node's primary IP is." },
    { "bind-address-hard-fail", FLAG_BOOL, O(bind_address_hard_fail), "false",
      "If true kube-proxy will treat failure to bind to a port as fatal and exit." },
    { "healthz-bind-address", FLAG_STRING, O(healthz_bind_address), "0.0.0.0:10256",
      "The IP address and port for the health check server to serve on. Empty disables it." },
    { "metrics-bind-address", FLAG_STRING, O(metrics_bind_address), "127.0.0.1:10249",
      "The IP address and port for the metrics server to serve on. Empty disables it." },
    { "healthz-port", FLAG_IGNORED, 0, NULL, NULL, "use --healthz-bind-address" },
    { "metrics-port", FLAG_IGNORED, 0, NULL, NULL, "use --metrics-bind-address" },
};

static const struct flag rule_flags[] = {
    { "proxy-mode", FLAG_STRING, O(mode), NULL,
      "Which proxy mode to use: iptables, ipvs or nftables. All are programmed as nftables here.",
      .check = check_mode },
    { "cluster-cidr", FLAG_CIDRS, O(cluster_cidr), NULL,
      "The CIDR range of the pods in the cluster (may be a dual-stack pair). Traffic to Service IPs from outside of it "
      "is masqueraded." },
    { "detect-local-mode", FLAG_STRING, O(detect_local_mode), NULL,
      "Mode to use to detect local traffic: ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix." },
    { "pod-bridge-interface", FLAG_STRING, O(bridge_interface), NULL,
      "A bridge interface name; traffic from it is considered local (mode BridgeInterface)." },
    { "pod-interface-name-prefix", FLAG_STRING, O(interface_prefix), NULL,
      "An interface name prefix; traffic from such is considered local (mode InterfaceNamePrefix)." },
    { "masquerade-all", FLAG_BOOL, O(masquerade_all), "false",
      "SNAT all traffic sent via Service cluster IPs (may be required with some CNI plugins)." },
    { "iptables-masquerade-bit", FLAG_I32, O(masquerade_bit), "14",
      "The bit of the fwmark space to mark packets requiring SNAT with. Must be within the range [0, 31]." },
    { "nodeport-addresses", FLAG_STRINGS, O(nodeport_addresses), NULL,
      "A list of CIDR ranges that contain valid node IPs, or alternatively the single string 'primary'. Node ports "
      "answer there only." },
    { "iptables-sync-period", FLAG_DURATION, O(sync_period_ms), "30s",
      "How often the rules are checked for being there." },
    { "iptables-min-sync-period", FLAG_DURATION, O(min_sync_period_ms), "0s",
      "The minimum time between two changes of the rules." },
    { "iptables-localhost-nodeports", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "ipvs-sync-period", FLAG_IGNORED, 0, NULL, NULL },
    { "ipvs-min-sync-period", FLAG_IGNORED, 0, NULL, NULL },
    { "ipvs-scheduler", FLAG_IGNORED, 0, NULL, NULL },
    { "ipvs-exclude-cidrs", FLAG_IGNORED, 0, NULL, NULL },
    { "ipvs-strict-arp", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "ipvs-tcp-timeout", FLAG_IGNORED, 0, NULL, NULL },
    { "ipvs-tcpfin-timeout", FLAG_IGNORED, 0, NULL, NULL },
    { "ipvs-udp-timeout", FLAG_IGNORED, 0, NULL, NULL },
    { "proxy-port-range", FLAG_IGNORED, 0, NULL, NULL, "it had an effect in the userspace mode only" },
    { "cleanup-ipvs", FLAG_IGNORED_BOOL, 0, NULL, NULL, "there are no ipvs rules" },
};

static const struct flag system_flags[] = {
    { "cluster-routes", FLAG_BOOL, O(cluster_routes), "false",
      "ckube: keep a route to every other node's podCIDR by its InternalIP, for nodes that share a network. Counts "
      "beside --config too." },
    { "oom-score-adj", FLAG_I32, O(oom_score_adj), "-999",
      "The oom-score-adj value for the kube-proxy process. Values must be within the range [-1000, 1000]." },
    { "conntrack-max-per-core", FLAG_I32, O(conntrack_max_per_core), "32768",
      "Maximum number of NAT connections to track per CPU core (0 to leave the limit as-is)." },
    { "conntrack-min", FLAG_I32, O(conntrack_min), "131072",
      "Minimum number of conntrack entries to allocate, regardless of conntrack-max-per-core." },
    { "conntrack-tcp-timeout-established", FLAG_DURATION, O(tcp_established_ms), "24h",
      "Idle timeout for established TCP connections (0 to leave as-is)." },
    { "conntrack-tcp-timeout-close-wait", FLAG_DURATION, O(tcp_close_wait_ms), "1h",
      "NAT timeout for TCP connections in the CLOSE_WAIT state." },
    { "conntrack-tcp-be-liberal", FLAG_BOOL, O(tcp_be_liberal), "false", "Accept out-of-window TCP packets." },
    { "conntrack-udp-timeout", FLAG_DURATION, O(udp_ms), "0s",
      "Idle timeout for UNREPLIED UDP connections (0 to leave as-is)." },
    { "conntrack-udp-timeout-stream", FLAG_DURATION, O(udp_stream_ms), "0s",
      "Idle timeout for ASSURED UDP connections (0 to leave as-is)." },
};

static const struct config_key keys[] = {
    { "featureGates", CONFIG_ANY },
    { "clientConnection.kubeconfig", CONFIG_STRING },
    { "clientConnection.acceptContentTypes", CONFIG_STRING },
    { "clientConnection.contentType", CONFIG_STRING },
    { "clientConnection.qps", CONFIG_FLOAT },
    { "clientConnection.burst", CONFIG_INT },
    { "logging", CONFIG_ANY },
    { "hostnameOverride", CONFIG_STRING },
    { "bindAddress", CONFIG_STRING },
    { "healthzBindAddress", CONFIG_STRING },
    { "metricsBindAddress", CONFIG_STRING },
    { "bindAddressHardFail", CONFIG_BOOL },
    { "enableProfiling", CONFIG_BOOL },
    { "showHiddenMetricsForVersion", CONFIG_STRING },
    { "mode", CONFIG_STRING },
    { "iptables.masqueradeBit", CONFIG_INT },
    { "iptables.masqueradeAll", CONFIG_BOOL },
    { "iptables.localhostNodePorts", CONFIG_BOOL },
    { "iptables.syncPeriod", CONFIG_DURATION },
    { "iptables.minSyncPeriod", CONFIG_DURATION },
    { "ipvs", CONFIG_ANY },
    { "nftables.masqueradeBit", CONFIG_INT },
    { "nftables.masqueradeAll", CONFIG_BOOL },
    { "nftables.syncPeriod", CONFIG_DURATION },
    { "nftables.minSyncPeriod", CONFIG_DURATION },
    { "winkernel", CONFIG_ANY },
    { "detectLocalMode", CONFIG_STRING },
    { "detectLocal.bridgeInterface", CONFIG_STRING },
    { "detectLocal.interfaceNamePrefix", CONFIG_STRING },
    { "clusterCIDR", CONFIG_STRING },
    { "nodePortAddresses", CONFIG_STRINGS },
    { "oomScoreAdj", CONFIG_INT },
    { "conntrack.maxPerCore", CONFIG_INT },
    { "conntrack.min", CONFIG_INT },
    { "conntrack.tcpEstablishedTimeout", CONFIG_DURATION },
    { "conntrack.tcpCloseWaitTimeout", CONFIG_DURATION },
    { "conntrack.tcpBeLiberal", CONFIG_BOOL },
    { "conntrack.udpTimeout", CONFIG_DURATION },
    { "conntrack.udpStreamTimeout", CONFIG_DURATION },
    { "configSyncPeriod", CONFIG_DURATION },
    { "portRange", CONFIG_STRING },
    { "windowsRunAsService", CONFIG_BOOL },
};

static const struct config_schema schema = { .group = "kubeproxy.config.k8s.io",
                                             .version = "v1alpha1",
                                             .kind = "KubeProxyConfiguration",
                                             .keys = keys,
                                             .nkeys = ARRAY_LEN(keys),
                                             .lenient = true };

void
proxy_config_flags(struct flags *fs, struct proxy_config *cfg)
{
    flags_add(fs, "Configuration", config_flags, ARRAY_LEN(config_flags), cfg);
    flags_add(fs, "Serving", serving_flags, ARRAY_LEN(serving_flags), cfg);
    flags_add(fs, "Rules", rule_flags, ARRAY_LEN(rule_flags), cfg);
    flags_add(fs, "System", system_flags, ARRAY_LEN(system_flags), cfg);
}

/* --- the file --- */

/* The flags own the strings, wherever they came from. */
static void
take_string(const struct config_file *f, const char *path, const char *def, char **at)
{
    free(*at);
    *at = xstrdup(config_string(f, path, def));
}

/* The section of the mode asked for decides; nftables' own when both are there. */
static void
take_rules(struct proxy_config *cfg, const struct config_file *f)
{
    const char *section = str_eq(cfg->mode, "nftables") ? "nftables" : "iptables";
    char path[64];

#define IN_SECTION(key) (snprintf(path, sizeof(path), "%s." key, section), path)
    cfg->masquerade_bit = (int32_t)config_i64(f, IN_SECTION("masqueradeBit"), 14);
    cfg->masquerade_all = config_bool(f, IN_SECTION("masqueradeAll"), false);
    cfg->sync_period_ms = config_duration_ms(f, IN_SECTION("syncPeriod"), 30000);
    cfg->min_sync_period_ms = config_duration_ms(f, IN_SECTION("minSyncPeriod"), 0);
#undef IN_SECTION
}

static void
take_file(struct proxy_config *cfg, const struct config_file *f)
{
    take_string(f, "clientConnection.kubeconfig", "", &cfg->kubeconfig);
    cfg->qps = config_float(f, "clientConnection.qps", 5);
    cfg->burst = (int32_t)config_i64(f, "clientConnection.burst", 10);
    if (str_empty(cfg->hostname_override))
        take_string(f, "hostnameOverride", "", &cfg->hostname_override);
    take_string(f, "bindAddress", "0.0.0.0", &cfg->bind_address);
    take_string(f, "healthzBindAddress", "0.0.0.0:10256", &cfg->healthz_bind_address);
    take_string(f, "metricsBindAddress", "127.0.0.1:10249", &cfg->metrics_bind_address);
    cfg->bind_address_hard_fail = config_bool(f, "bindAddressHardFail", false);
    take_string(f, "mode", "", &cfg->mode);
    take_rules(cfg, f);
    take_string(f, "detectLocalMode", "", &cfg->detect_local_mode);
    take_string(f, "detectLocal.bridgeInterface", "", &cfg->bridge_interface);
    take_string(f, "detectLocal.interfaceNamePrefix", "", &cfg->interface_prefix);
    strlist_done(&cfg->cluster_cidr);
    strlist_split(&cfg->cluster_cidr, config_string(f, "clusterCIDR", ""), ',');
    strlist_done(&cfg->nodeport_addresses);
    config_strings(f, "nodePortAddresses", &cfg->nodeport_addresses);
    cfg->oom_score_adj = (int32_t)config_i64(f, "oomScoreAdj", -999);
    cfg->conntrack_max_per_core = (int32_t)config_i64(f, "conntrack.maxPerCore", 32768);
    cfg->conntrack_min = (int32_t)config_i64(f, "conntrack.min", 131072);
    cfg->tcp_established_ms = config_duration_ms(f, "conntrack.tcpEstablishedTimeout", 24 * 3600000);
    cfg->tcp_close_wait_ms = config_duration_ms(f, "conntrack.tcpCloseWaitTimeout", 3600000);
    cfg->tcp_be_liberal = config_bool(f, "conntrack.tcpBeLiberal", false);
    cfg->udp_ms = config_duration_ms(f, "conntrack.udpTimeout", 0);
    cfg->udp_stream_ms = config_duration_ms(f, "conntrack.udpStreamTimeout", 0);
    cfg->config_sync_period_ms = config_duration_ms(f, "configSyncPeriod", 900000);
    if (config_bool(f, "iptables.localhostNodePorts", false))
        strlist_add(&cfg->notes, "iptables.localhostNodePorts has no effect: node ports do not answer at 127.0.0.1, "
                                 "use the node's own address");
    if (config_has(f, "portRange"))
        strlist_add(&cfg->notes, "portRange has no effect: it belonged to the userspace mode");
}

/* --- checks --- */

static struct kerr *
read_nets(const char *what, const struct strlist *list, struct ip_net nets[PROXY_NETS_MAX], size_t *n)
{
    for (size_t i = 0; i < list->len; i++) {
        const char *text = list->items[i] + strspn(list->items[i], " ");

        if (str_empty(text))
            continue;
        if (*n == PROXY_NETS_MAX)
            return kerr_new(KERR_INVALID, "%s: at most %d networks", what, PROXY_NETS_MAX);
        if (ip_net_parse(text, &nets[(*n)++]) < 0)
            return kerr_new(KERR_INVALID, "%s: \"%s\" is no network like 10.244.0.0/16", what, text);
    }
    return NULL;
}

/* A name that goes into the rules. */
static bool
interface_ok(const char *name)
{
    if (str_empty(name) || strlen(name) > 15)
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("_.-", *name))
            return false;
    return true;
}

static struct kerr *
check_local_mode(struct proxy_config *cfg)
{
    const char *mode = cfg->detect_local_mode;

    if (str_empty(mode) || str_eq(mode, "ClusterCIDR"))
        return NULL;
    if (str_eq(mode, "NodeCIDR")) {
        cfg->local_by_node_cidr = true;
        return NULL;
    }
    if (str_eq(mode, "BridgeInterface"))
        return interface_ok(cfg->bridge_interface)
                   ? NULL
                   : kerr_new(KERR_INVALID, "detectLocalMode BridgeInterface needs the name of an interface in "
                                            "detectLocal.bridgeInterface (--pod-bridge-interface)");
    if (str_eq(mode, "InterfaceNamePrefix"))
        return interface_ok(cfg->interface_prefix)
                   ? NULL
                   : kerr_new(KERR_INVALID, "detectLocalMode InterfaceNamePrefix needs the begin of an interface name "
                                            "in detectLocal.interfaceNamePrefix (--pod-interface-name-prefix)");
    return kerr_new(KERR_INVALID,
                    "detectLocalMode \"%s\": must be ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
                    mode);
}

static struct kerr *
check(struct proxy_config *cfg)
{
    struct kerr *err = check_mode(cfg->mode);

    if (err)
        return kerr_wrap(err, "mode \"%s\"", cfg->mode);
    if (str_eq(cfg->mode, "iptables") || str_eq(cfg->mode, "ipvs"))
        strlist_add_take(&cfg->notes, xasprintf("mode %s is programmed as nftables here: the same Services work the "
                                                "same way, see 'nft list table ip kube-proxy'",
                                                cfg->mode));
    if (cfg->masquerade_bit < 0 || cfg->masquerade_bit > 31)
        return kerr_new(KERR_INVALID, "masqueradeBit %d: must be within the range [0, 31]", cfg->masquerade_bit);
    if (cfg->oom_score_adj < -1000 || cfg->oom_score_adj > 1000)
        return kerr_new(KERR_INVALID, "oomScoreAdj %d: must be within the range [-1000, 1000]", cfg->oom_score_adj);
    err = read_nets("clusterCIDR", &cfg->cluster_cidr, cfg->pod_nets, &cfg->npod_nets);
    if (err)
        return err;
    cfg->nodeport_primary = cfg->nodeport_addresses.len == 1 && str_eq(cfg->nodeport_addresses.items[0], "primary");
    if (!cfg->nodeport_primary)
        err = read_nets("nodePortAddresses", &cfg->nodeport_addresses, cfg->nodeport_nets, &cfg->nnodeport_nets);
    return err ? err : check_local_mode(cfg);
}

static void
warn_about(struct proxy_config *cfg, const struct config_file *f)
{
    const struct strlist *warnings = config_warnings(f);

    for (size_t i = 0; i < warnings->len; i++)
        strlist_add(&cfg->notes, warnings->items[i]);
}

struct kerr *
proxy_config_apply_file(struct proxy_config *cfg, const char *text, size_t len, const char *path)
{
    AUTO(config_file) *f = NULL;
    struct kerr *err = config_file_parse(text, len, path, &schema, &f);

    if (err)
        return err;
    take_file(cfg, f);
    warn_about(cfg, f);
    return kerr_wrap(check(cfg), "%s", path);
}

struct kerr *
proxy_config_finish(struct proxy_config *cfg)
{
    AUTO_FREE char *text = NULL;
    struct kerr *err;
    size_t len;

    if (str_empty(cfg->config_file))
        return check(cfg);
    err = file_read(cfg->config_file, CONFIG_MAX, &text, &len);
    return err ? kerr_wrap(err, "--config") : proxy_config_apply_file(cfg, text, len, cfg->config_file);
}

void
proxy_config_done(struct proxy_config *cfg)
{
    strlist_done(&cfg->notes);
}

static void
add_pair(struct sbuf *out, const char *key, const char *value)
{
    sbuf_addf(out, ",\"%s\":", key);
    json_add_string(out, str_safe(value));
}

void
proxy_config_json(const struct proxy_config *cfg, struct sbuf *out)
{
    sbuf_adds(out, "{\"kind\":\"KubeProxyConfiguration\",\"apiVersion\":\"kubeproxy.config.k8s.io/v1alpha1\"");
    add_pair(out, "mode", str_or(cfg->mode, "nftables"));
    add_pair(out, "bindAddress", cfg->bind_address);
    add_pair(out, "healthzBindAddress", cfg->healthz_bind_address);
    add_pair(out, "metricsBindAddress", cfg->metrics_bind_address);
    add_pair(out, "hostnameOverride", cfg->hostname_override);
    add_pair(out, "detectLocalMode", str_or(cfg->detect_local_mode, "ClusterCIDR"));
    add_pair(out, "clusterCIDR", cfg->cluster_cidr.len ? cfg->cluster_cidr.items[0] : "");
    sbuf_addf(out, ",\"nftables\":{\"masqueradeBit\":%d,\"masqueradeAll\":%s}}", cfg->masquerade_bit,
              cfg->masquerade_all ? "true" : "false");
}
