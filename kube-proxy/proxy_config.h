// SPDX-License-Identifier: Apache-2.0
/* proxy_config.h - kube-proxy's flags and its KubeProxyConfiguration file, as one struct.  With --config the file
 * decides and all flags but --hostname-override, --cleanup, --cluster-routes and the logging ones are ignored, as
 * upstream does.  At start-up, one thread. */
#ifndef CKUBE_KUBE_PROXY_PROXY_CONFIG_H
#define CKUBE_KUBE_PROXY_PROXY_CONFIG_H

#include "common/daemon/flags.h"
#include "kube-proxy/conntrack.h"
#include "kube-proxy/ip_addr.h"

#define PROXY_NETS_MAX 32

struct proxy_config {
    /* as given on the command line or in the file; owned by the flags */
    char *config_file, *kubeconfig, *master, *hostname_override;
    bool cleanup, init_only, cluster_routes;
    char *bind_address, *healthz_bind_address, *metrics_bind_address;
    bool bind_address_hard_fail;
    char *mode;
    struct strlist cluster_cidr, nodeport_addresses;
    char *detect_local_mode, *bridge_interface, *interface_prefix;
    bool masquerade_all;
    int32_t masquerade_bit;
    int64_t sync_period_ms, min_sync_period_ms, config_sync_period_ms;
    int32_t oom_score_adj;
    double qps;
    int32_t burst;
    int32_t conntrack_max_per_core, conntrack_min;
    int64_t tcp_established_ms, tcp_close_wait_ms, udp_ms, udp_stream_ms;
    bool tcp_be_liberal;
    char *content_type;

    /* worked out by proxy_config_finish() */
    struct ip_net pod_nets[PROXY_NETS_MAX], nodeport_nets[PROXY_NETS_MAX];
    size_t npod_nets, nnodeport_nets;
    bool nodeport_primary; /* nodePortAddresses: [primary] */
    bool local_by_node_cidr;
    struct strlist notes; /* lines to log once logging is set up */
};

void proxy_config_flags(struct flags *fs, struct proxy_config *cfg);
/* Reads --config if given, checks everything.  The message names the file and key, or the flag. */
struct kerr *proxy_config_finish(struct proxy_config *cfg) MUST_CHECK;
/* The same from text, for tests. */
struct kerr *proxy_config_apply_file(struct proxy_config *cfg, const char *text, size_t len,
                                     const char *path) MUST_CHECK;
void proxy_config_done(struct proxy_config *cfg); /* what proxy_config_finish() made; the rest goes with the flags */
void proxy_config_json(const struct proxy_config *cfg, struct sbuf *out); /* for /configz */

#endif
