// SPDX-License-Identifier: Apache-2.0
/* service_picture.h - one Service and its EndpointSlices seen from one node: who may be reached where.
 *
 *   struct service + struct endpoint_slice[] + this node  --service_view_build()-->  struct service_view
 *                                                          frontends (addresses people connect to), each with
 *                                                          its endpoint lists and verdict
 *   service_view --nft_tables--> packet filter text;  --conntrack--> stale UDP flows;  --proxy_health--> health ports
 *
 * The knowledge of upstream's proxier lives here: traffic policies, terminating fallback, topology hints, session
 * affinity, source ranges, labels that say "not for you".  Pure: no I/O, no clock.  Views are immutable and counted. */
#ifndef CKUBE_KUBE_PROXY_SERVICE_PICTURE_H
#define CKUBE_KUBE_PROXY_SERVICE_PICTURE_H

#include <stddef.h>

#include "common/api/object.h"
#include "kube-proxy/ip_addr.h"

struct service;
struct endpoint_slice;

/* This node, as far as it matters. */
struct picture_node {
    const char *name;
    const char *zone; /* label topology.kubernetes.io/zone; may be NULL */
};

enum service_proto { PROTO_TCP, PROTO_UDP, PROTO_SCTP, PROTO_COUNT };
const char *service_proto_name(enum service_proto proto); /* "tcp" */

/* Ordered by address and port, no duplicates. */
struct endpoint_list {
    struct endpoint_addr {
        struct ip_addr ip;
        uint16_t port;
    } * items;
    uint32_t len, cap;
};

enum frontend_kind {
    FRONTEND_ADDRESS,   /* ip, proto, port: cluster IP, external IP, load balancer IP */
    FRONTEND_NODE_PORT, /* proto, port at the node's own addresses */
};

struct frontend_key { /* compared as bytes */
    uint8_t kind;     /* enum frontend_kind */
    uint8_t proto;    /* enum service_proto */
    uint16_t port;
    struct ip_addr ip; /* none for node ports */
    uint8_t zero;      /* no byte of a key is left to the compiler */
};

enum frontend_traffic {
    TRAFFIC_CLUSTER_IP,     /* masquerade what comes from outside the cluster */
    TRAFFIC_EXTERNAL,       /* masquerade always: the answer must come back this way */
    TRAFFIC_EXTERNAL_LOCAL, /* externalTrafficPolicy Local: to `local` unmasqueraded; what this node or its pods send:
                               to `endpoints` */
};

enum frontend_verdict {
    FRONTEND_FORWARD,
    FRONTEND_REJECT, /* nobody serves it: "connection refused" */
    FRONTEND_DROP,   /* served, but not on this node: silence lets a load balancer try elsewhere */
};

struct frontend {
    struct frontend_key key;
    enum frontend_traffic traffic;
    enum frontend_verdict verdict; /* FORWARD: endpoints (or, for EXTERNAL_LOCAL, one of both lists) is not empty */
    const struct endpoint_list *endpoints; /* never NULL; owned by the view */
    const struct endpoint_list *local;     /* never NULL; TRAFFIC_EXTERNAL_LOCAL only, else empty */
    uint32_t affinity_s;                   /* session affinity ClientIP; 0 = none */
    const struct ip_net *sources;          /* only these may connect; none = all; none lies within another */
    uint32_t nsources;
};

struct service_view {
    char *name; /* "namespace/name" */
    struct frontend *frontends;
    size_t nfrontends;
    struct ip_addr *cluster_ips; /* of the family */
    size_t ncluster_ips;
    struct ip_addr *local_ips; /* endpoints on this node, for hairpin masquerade; sorted, no duplicates */
    size_t nlocal_ips;
    uint16_t health_port; /* healthCheckNodePort; 0 = none */
    uint32_t local_ready; /* endpoints on this node that count for it */
    bool udp;             /* some frontend is UDP */
};

/* Slices of other address types or services are passed over.  A service this proxy has nothing to do with (headless,
 * ExternalName, other proxy's label) gives a view without frontends.  *warnings may get lines about bad content. */
struct service_view *service_view_build(const struct service *svc, const struct endpoint_slice *const *slices,
                                        size_t nslices, const struct picture_node *node, enum ip_family family,
                                        struct sbuf *warnings) MUST_CHECK;
struct service_view *service_view_ref(struct service_view *v);
void service_view_unref(struct service_view *v); /* NULL is fine */
DEFINE_AUTO_UNREF(service_view)

int endpoint_addr_cmp(const void *a, const void *b); /* for qsort: struct endpoint_addr */
bool endpoint_list_has(const struct endpoint_list *l, const struct endpoint_addr *e);
static inline int
frontend_key_cmp(const struct frontend_key *a, const struct frontend_key *b)
{
    return memcmp(a, b, sizeof(*a));
}

/* Of a slice: its service's name; NULL for slices this proxy leaves alone. */
const char *slice_service_name(const struct endpoint_slice *slice);

#endif
