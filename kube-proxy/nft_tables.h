// SPDX-License-Identifier: Apache-2.0
/* nft_tables.h - from service views to packet filter text: what is wanted, what is programmed, and the commands
 * between.
 *
 *   service views --nft_tables_put/_remove--> wanted frontends --nft_tables_full/_delta--> text for libnftables
 *
 * Shape of the table "kube-proxy" (family ip or ip6): maps and sets, never a chain per service, so that ten thousand
 * services load in half a second and a packet costs the same with ten services or fifty thousand.
 *
 *   prerouting, output --> services:  source ranges; vmap service-ips; vmap service-nodeports
 *                            |  verdict per frontend: goto <entry>, goto reject-it, drop
 *       entry chains         cluster-tcp-4   masquerade what is not a pod's, goto tcp-4      (one per protocol and
 * endpoint count) masq-tcp-4      masquerade, goto tcp-4 ext-tcp-4-1     externalTrafficPolicy Local: 4 in the cluster,
 * 1 here pick chains          tcp-4           dnat to map tcp-endpoints [random 0..3 . address . port] tcp-4-sticky the
 * same, after a look into map affinity postrouting              learn affinity, masquerade hairpins and what is marked
 *
 * Two services may claim the same address and port: the first by name has it, the other takes over when it goes.
 * Pure: no I/O.  One thread at a time. */
#ifndef CKUBE_KUBE_PROXY_NFT_TABLES_H
#define CKUBE_KUBE_PROXY_NFT_TABLES_H

#include "common/base/sbuf.h"
#include "kube-proxy/service_picture.h"

#define NFT_TABLE "kube-proxy"

/* How to tell a pod of the cluster from the outside. */
enum nft_local { NFT_LOCAL_UNKNOWN, NFT_LOCAL_NETS, NFT_LOCAL_BRIDGE, NFT_LOCAL_PREFIX };

struct nft_options {
    enum ip_family family;
    bool masquerade_all;
    uint32_t masquerade_mark; /* one bit of the packet mark */
    enum nft_local local;
    const struct ip_net *local_nets; /* NFT_LOCAL_NETS */
    size_t nlocal_nets;
    const char *local_interface;         /* NFT_LOCAL_BRIDGE: its name; NFT_LOCAL_PREFIX: begin of names.  At most 15 of
                                            [A-Za-z0-9_.-] */
    const struct ip_net *node_port_nets; /* node ports answer at addresses in these only; none = at all but loopback */
    size_t nnode_port_nets;
};

struct nft_tables;

struct nft_tables *nft_tables_new(const struct nft_options *opts) MUST_CHECK; /* copies */
void nft_tables_free(struct nft_tables *t);
DEFINE_AUTO(nft_tables)

void nft_tables_put(struct nft_tables *t,
                    struct service_view *view); /* takes a reference of its own; replaces the earlier of that name */
void nft_tables_remove(struct nft_tables *t, const char *name);

/* The whole table anew, in one transaction that traffic does not notice. */
void nft_tables_full(struct nft_tables *t, struct sbuf *out);
/* Only what changed since; false: nothing did.  Both count on the text being applied: when it was not, the next is
 * _full. */
bool nft_tables_delta(struct nft_tables *t, struct sbuf *out);

/* Session affinity outlives its endpoint unless somebody cleans up.  True when an endpoint of an affine service went
 * away since the last call of nft_tables_stale_affinity(). */
bool nft_tables_affinity_suspect(const struct nft_tables *t);
/* `listing` is nft's text of the map "affinity".  Appends the commands that drop elements whose endpoint is gone; their
 * number. */
size_t nft_tables_stale_affinity(struct nft_tables *t, const char *listing, struct sbuf *out);
/* After _full over an older table of ours: appends the elements of that listing that still hold; their number. */
size_t nft_tables_keep_affinity(struct nft_tables *t, const char *listing, struct sbuf *out);

/* Who serves this address?  NULL = no service of ours. */
const struct frontend *nft_tables_find(const struct nft_tables *t, const struct frontend_key *key);

struct nft_counts {
    size_t services, frontends, endpoints, chains;
    size_t no_local_internal, no_local_external; /* services dropped here for lack of local endpoints */
    size_t conflicts;                            /* frontends that more than one service claims */
};
struct nft_counts nft_tables_counts(const struct nft_tables *t);

#endif
