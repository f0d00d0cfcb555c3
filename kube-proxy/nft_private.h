// SPDX-License-Identifier: Apache-2.0
/* nft_private.h - inside of nft_tables: what nft_tables.c keeps, nft_text.c writes and nft_affinity.c looks up. */
#ifndef CKUBE_KUBE_PROXY_NFT_PRIVATE_H
#define CKUBE_KUBE_PROXY_NFT_PRIVATE_H

#include <uthash.h>

#include "kube-proxy/nft_tables.h"

#define NFT_NAME_MAX 64

/* --- the maps and sets of the table; nft_text.c knows their names and types --- */

enum table_set {
    SET_SERVICE_IPS,
    SET_NODEPORTS,
    SET_ENDPOINTS, /* + protocol */
    SET_LOCAL_ENDPOINTS = SET_ENDPOINTS + PROTO_COUNT,
    SET_NP_ENDPOINTS = SET_LOCAL_ENDPOINTS + PROTO_COUNT,
    SET_NP_LOCAL_ENDPOINTS = SET_NP_ENDPOINTS + PROTO_COUNT,
    SET_HAIRPIN = SET_NP_LOCAL_ENDPOINTS + PROTO_COUNT,
    SET_CLUSTER_IPS,
    SET_RESTRICTED,
    SET_ALLOWED,
    SET_COUNT,
};

/* --- chains that exist because some frontend needs them --- */

enum chain_kind { CHAIN_PICK, CHAIN_MASQ, CHAIN_CLUSTER, CHAIN_EXT };
struct chain_spec {
    enum chain_kind kind;
    enum service_proto proto;
    bool node_port, sticky, local; /* local: pick from the endpoints of this node */
    uint32_t n;                    /* endpoints to pick from */
    uint32_t n_local;              /* CHAIN_EXT */
};
struct chain {
    char name[NFT_NAME_MAX];
    struct chain_spec spec;
    unsigned uses;
    bool programmed;
    UT_hash_handle hh;
};

/* --- who claims an address, and what is programmed for it --- */

struct claim {
    struct service_view *view; /* counted */
    const struct frontend *frontend;
};
struct slot {
    struct frontend_key key;
    struct claim *claims; /* by service name */
    size_t nclaims;
    struct claim programmed; /* view NULL = nothing */
    bool dirty;
    struct slot *next_dirty;
    UT_hash_handle hh;
};

struct ip_count_key {
    uint8_t set; /* enum table_set */
    struct ip_addr ip;
};
struct ip_count {
    struct ip_count_key key;
    unsigned count;
    bool programmed, dirty;
    struct ip_count *next_dirty;
    UT_hash_handle hh;
};

struct sticky { /* services with this affinity timeout */
    uint32_t timeout_s;
    unsigned uses;
    bool programmed;
    UT_hash_handle hh;
};

struct service_entry {
    struct service_view *view;
    UT_hash_handle hh;
};

struct nft_tables {
    struct nft_options opts;
    struct ip_net *local_nets, *node_port_nets;
    char *local_interface;
    struct service_entry *services;
    struct slot *slots, *dirty_slots;
    struct ip_count *ip_counts, *dirty_ips;
    struct chain *chains;
    struct sticky *stickies;
    bool learn_changed, affinity_suspect;
    struct sbuf adds[SET_COUNT], dels[SET_COUNT]; /* elements of the transaction being written */
    struct sbuf sticky_adds, sticky_dels;         /* whole commands */
};

static inline const char *
nft_family(const struct nft_tables *t)
{
    return t->opts.family == IP_V4 ? "ip" : "ip6";
}

/* --- nft_text.c --- */

void nft_chain_name(const struct chain_spec *c, char name[NFT_NAME_MAX]);
/* "10.96.0.10 . tcp . 80" or "tcp . 30080": the key of the verdict maps */
void nft_add_frontend_key(struct sbuf *out, const struct frontend_key *k);
/* "3 . 10.96.0.10 . 80" or "3 . 30080": of the endpoint maps */
void nft_add_endpoint_key(struct sbuf *out, const struct frontend_key *k, uint32_t index);
void nft_emit_skeleton(const struct nft_tables *t,
                       struct sbuf *out); /* the table with its sets and base chains, empty */
/* All that t holds as changed, in the order the kernel needs; clears the lists of elements. */
void nft_emit_changes(struct nft_tables *t, struct sbuf *out);

#endif
