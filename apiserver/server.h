// SPDX-License-Identifier: Apache-2.0
/* server.h - the parts of a running kube-apiserver and who owns them; filled by apiserver_main.c, read by all handlers.
 *
 *   loops (I/O threads) -- pipeline --> reads: storage          all in memory, on the loop
 *                                  '--> writers (pool) --> rest/write --> storage --> etcd
 *
 * Set up before serving and constant from then on; what the members point to locks for itself. */
#ifndef CKUBE_APISERVER_SERVER_H
#define CKUBE_APISERVER_SERVER_H

#include "apiserver/authn/authn.h"
#include "apiserver/authz/authz.h"
#include "apiserver/storage/watch_hub.h"
#include "common/base/pool.h"
#include "common/base/str.h"

struct apiserver_options {
    char *advertise_address, *bind_address;
    int32_t secure_port;
    bool allow_privileged;
    struct strlist service_cluster_ip_range; /* CIDRs */
    char *service_node_port_range;           /* "30000-32767" */
    int64_t event_ttl_ms;
    int64_t min_request_timeout_s;
    int64_t request_timeout_ms;
    struct strlist enable_admission, disable_admission;
    char *kubelet_client_certificate, *kubelet_client_key, *kubelet_certificate_authority;
    struct strlist kubelet_preferred_address_types;
    int64_t kubelet_timeout_ms;
    char *client_ca_file, *requestheader_client_ca_file;
    struct strlist requestheader_allowed_names, requestheader_username_headers, requestheader_group_headers,
        requestheader_extra_headers_prefix;
    struct strlist service_account_issuer;
    char *endpoint_reconciler_type;
    int64_t default_not_ready_toleration_s, default_unreachable_toleration_s;
};

struct api_loop { /* one I/O thread */
    struct apiserver *srv;
    struct loop *loop;
    struct hub_port *port;
    struct loop_timer *tick;
    struct watch_cache *encodings; /* rest/watch_cache.h */
};

struct apiserver {
    const struct apiserver_options *options;
    struct daemon *daemon;
    struct storage *storage;
    struct api_loop *loops;
    size_t nloops;
    struct http_server *http;
    struct pool *writers;
    struct authn *authn;
    struct authz *authz;
    struct allocators *allocators; /* ClusterIPs and NodePorts */
    struct kubelet_dialer *kubelets;
};

struct api_loop *apiserver_loop_of(struct apiserver *srv, const struct loop *loop);

#endif
