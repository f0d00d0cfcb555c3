// SPDX-License-Identifier: Apache-2.0
/* conntrack.h - UDP flows the kernel still sends to endpoints that are gone.  A TCP client notices by itself; a UDP
 * client that keeps its port would talk into the void for as long as it talks.  Netlink, no other program.
 *
 *   kernel's flow table --conntrack_flush--> each UDP flow: stale? --> deleted, so that its next packet is translated
 * anew
 *
 * Also the kernel's conntrack limits.  Calls block for a dump of the flow table; one thread at a time. */
#ifndef CKUBE_KUBE_PROXY_CONNTRACK_H
#define CKUBE_KUBE_PROXY_CONNTRACK_H

#include "common/base/kerr.h"
#include "kube-proxy/nft_tables.h"

struct conntrack_flow {
    enum service_proto proto;
    struct endpoint_addr client, dest; /* as the client sent it: from, to */
    struct endpoint_addr served_by;    /* the source of the answers */
};

/* Goes to one of our services, but is served by none of its endpoints.  Pure. */
bool conntrack_is_stale(const struct nft_tables *t, const struct conntrack_flow *flow);

/* Deletes all UDP flows for which conntrack_is_stale(). */
struct kerr *conntrack_flush(const struct nft_tables *t, enum ip_family family, size_t *ret_deleted) MUST_CHECK;

/* One message of a dump: false when it holds no flow of interest.  ret_tuple/ret_len: the attribute that names it for
 * deletion. */
bool conntrack_parse(const void *message, size_t len, struct conntrack_flow *ret, const void **ret_tuple,
                     size_t *ret_len, uint16_t *ret_zone);

struct conntrack_limits { /* 0 = leave the kernel's value */
    int64_t max_per_core, min;
    int64_t tcp_established_s, tcp_close_wait_s, udp_s, udp_stream_s;
    bool tcp_be_liberal;
};
/* Sets the sysctls; what cannot be set is logged, and not fatal (a container's /proc/sys is read-only). */
void conntrack_set_limits(const struct conntrack_limits *limits);

#endif
