// SPDX-License-Identifier: Apache-2.0
/* nft_text.c - how the table is written: names, chain bodies, elements, the order of it all. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kube-proxy/nft_private.h"

#define PICK_NAME_MAX 48
#define AFFINITY_MAX 65536 /* clients remembered; beyond, new ones get no affinity */

/* %F: ip or ip6, %T: the address type, %P: the protocol.
 * The endpoint maps are per protocol because nft 1.0.6 cannot load a rule over a map whose typeof holds `th dport`
 * twice. */
static const struct {
    enum table_set first;
    bool per_proto;
    const char *name, *body;
} sets[] = {
    { SET_SERVICE_IPS, false, "map service-ips", "type %T . inet_proto . inet_service : verdict" },
    { SET_NODEPORTS, false, "map service-nodeports", "type inet_proto . inet_service : verdict" },
    { SET_ENDPOINTS, true, "map %P-endpoints",
      "typeof numgen random mod 2 . %F daddr . %P dport : %F daddr . %P dport" },
    { SET_LOCAL_ENDPOINTS, true, "map %P-local-endpoints",
      "typeof numgen random mod 2 . %F daddr . %P dport : %F daddr . %P dport" },
    { SET_NP_ENDPOINTS, true, "map %P-np-endpoints", "typeof numgen random mod 2 . %P dport : %F daddr . %P dport" },
    { SET_NP_LOCAL_ENDPOINTS, true, "map %P-np-local-endpoints",
      "typeof numgen random mod 2 . %P dport : %F daddr . %P dport" },
    { SET_HAIRPIN, false, "set hairpin", "type %T . %T" },
    { SET_CLUSTER_IPS, false, "set cluster-ips", "type %T" },
    { SET_RESTRICTED, false, "set restricted", "type %T . inet_proto . inet_service" },
    { SET_ALLOWED, false, "set allowed", "type %T . inet_proto . inet_service . %T; flags interval" },
};

/* --- names --- */

static void
pick_name(const struct chain_spec *c, char name[PICK_NAME_MAX])
{
    snprintf(name, PICK_NAME_MAX, "%s%s%s-%" PRIu32 "%s", service_proto_name(c->proto), c->node_port ? "-np" : "",
             c->local ? "-local" : "", c->n, c->sticky ? "-sticky" : "");
}

void
nft_chain_name(const struct chain_spec *c, char name[NFT_NAME_MAX])
{
    static const char *const prefix[] = { "", "masq-", "cluster-", "ext-" };
    char pick[PICK_NAME_MAX];

    if (c->kind == CHAIN_EXT) {
        snprintf(name, NFT_NAME_MAX, "ext-%s%s-%" PRIu32 "-%" PRIu32 "%s", service_proto_name(c->proto),
                 c->node_port ? "-np" : "", c->n, c->n_local, c->sticky ? "-sticky" : "");
        return;
    }
    pick_name(c, pick);
    snprintf(name, NFT_NAME_MAX, "%s%s", prefix[c->kind], pick);
}

/* "10.96.0.10 . tcp . 80" or "tcp . 30080" */
void
nft_add_frontend_key(struct sbuf *out, const struct frontend_key *k)
{
    char ip[IP_TEXT_MAX];

    if (k->kind == FRONTEND_ADDRESS)
        sbuf_addf(out, "%s . ", ip_text(&k->ip, ip));
    sbuf_addf(out, "%s . %u", service_proto_name(k->proto), k->port);
}

/* "3 . 10.96.0.10 . 80" or "3 . 30080" */
void
nft_add_endpoint_key(struct sbuf *out, const struct frontend_key *k, uint32_t index)
{
    char ip[IP_TEXT_MAX];

    sbuf_addf(out, "%" PRIu32 " . ", index);
    if (k->kind == FRONTEND_ADDRESS)
        sbuf_addf(out, "%s . ", ip_text(&k->ip, ip));
    sbuf_addf(out, "%u", k->port);
}

/* --- chain bodies --- */

static void
add_nets(struct sbuf *out, const struct ip_net *nets, size_t n)
{
    char text[IP_TEXT_MAX];

    sbuf_adds(out, "{ ");
    for (size_t i = 0; i < n; i++)
        sbuf_addf(out, "%s%s", i ? ", " : "", ip_net_text(&nets[i], text));
    sbuf_adds(out, " }");
}

/* The match for packets of pods, or its opposite. */
static void
add_pod_match(const struct nft_tables *t, bool is_pod, struct sbuf *out)
{
    const struct nft_options *o = &t->opts;
    const char *not = is_pod ? "" : "!= ";

    switch (o->local) {
    case NFT_LOCAL_NETS:
        sbuf_addf(out, "%s saddr %s", nft_family(t), not );
        add_nets(out, o->local_nets, o->nlocal_nets);
        break;
    case NFT_LOCAL_BRIDGE:
        sbuf_addf(out, "iifname %s\"%s\"", not, o->local_interface);
        break;
    case NFT_LOCAL_PREFIX:
        sbuf_addf(out, "iifname %s\"%s*\"", not, o->local_interface);
        break;
    case NFT_LOCAL_UNKNOWN:
        break;
    }
}

static void
add_mark(const struct nft_tables *t, struct sbuf *out)
{
    sbuf_addf(out, "meta mark set meta mark or 0x%08" PRIx32, t->opts.masquerade_mark);
}

static void
rule(const struct nft_tables *t, const char *chain, struct sbuf *out)
{
    sbuf_addf(out, "add rule %s " NFT_TABLE " %s ", nft_family(t), chain);
}

static void
pick_rules(const struct nft_tables *t, const struct chain *c, struct sbuf *out)
{
    const char *proto = service_proto_name(c->spec.proto);
    char key[64];

    if (c->spec.sticky) {
        rule(t, c->name, out);
        sbuf_addf(
            out,
            "meta l4proto { tcp, udp, sctp } dnat %s to %s saddr . %s daddr . meta l4proto . th dport map @affinity\n",
            nft_family(t), nft_family(t), nft_family(t));
    }
    if (c->spec.node_port)
        snprintf(key, sizeof(key), "%s dport", proto);
    else
        snprintf(key, sizeof(key), "%s daddr . %s dport", nft_family(t), proto);
    /* The second rule serves the packet that came between a shrinking list and this chain's going out of use. */
    for (uint32_t mod = c->spec.n;; mod = 1) {
        rule(t, c->name, out);
        sbuf_addf(out, "dnat %s to numgen random mod %" PRIu32 " . %s map @%s%s%s-endpoints\n", nft_family(t), mod, key,
                  proto, c->spec.node_port ? "-np" : "", c->spec.local ? "-local" : "");
        if (mod == 1)
            return;
    }
}

static void
go_to(const struct nft_tables *t, const struct chain *c, struct chain_spec to, enum chain_kind kind, struct sbuf *out)
{
    char name[NFT_NAME_MAX];

    to.kind = kind;
    to.n_local = 0;
    nft_chain_name(&to, name);
    sbuf_addf(out, "goto %s\n", name);
}

static void
ext_rules(const struct nft_tables *t, const struct chain *c, struct sbuf *out)
{
    struct chain_spec local = c->spec;

    if (c->spec.n && t->opts.local != NFT_LOCAL_UNKNOWN) {
        rule(t, c->name, out);
        add_pod_match(t, true, out);
        sbuf_addc(out, ' ');
        go_to(t, c, c->spec, t->opts.masquerade_all ? CHAIN_MASQ : CHAIN_PICK, out);
    }
    if (c->spec.n) {
        rule(t, c->name, out);
        sbuf_adds(out, "fib saddr type local ");
        go_to(t, c, c->spec, CHAIN_MASQ, out);
    }
    rule(t, c->name, out);
    local.local = true;
    local.n = c->spec.n_local;
    if (local.n)
        go_to(t, c, local, CHAIN_PICK, out);
    else
        sbuf_adds(out, "drop\n");
}

static void
chain_rules(const struct nft_tables *t, const struct chain *c, struct sbuf *out)
{
    switch (c->spec.kind) {
    case CHAIN_PICK:
        pick_rules(t, c, out);
        return;
    case CHAIN_EXT:
        ext_rules(t, c, out);
        return;
    case CHAIN_CLUSTER:
    case CHAIN_MASQ:
        break;
    }
    rule(t, c->name, out);
    if (c->spec.kind == CHAIN_CLUSTER) {
        add_pod_match(t, false, out);
        sbuf_addc(out, ' ');
    }
    add_mark(t, out);
    sbuf_addc(out, '\n');
    rule(t, c->name, out);
    go_to(t, c, c->spec, CHAIN_PICK, out);
}

/* --- text --- */

static void
add_template(const struct nft_tables *t, const char *text, enum service_proto proto, struct sbuf *out)
{
    for (; *text; text++) {
        if (*text != '%') {
            sbuf_addc(out, *text);
            continue;
        }
        switch (*++text) {
        case 'F':
            sbuf_adds(out, nft_family(t));
            break;
        case 'T':
            sbuf_adds(out, t->opts.family == IP_V4 ? "ipv4_addr" : "ipv6_addr");
            break;
        case 'P':
            sbuf_adds(out, service_proto_name(proto));
            break;
        }
    }
}

/* The name of the set alone, without "map" or "set". */
static void
set_name(const struct nft_tables *t, enum table_set set, struct sbuf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        unsigned n = sets[i].per_proto ? PROTO_COUNT : 1;

        if (set >= sets[i].first && set < sets[i].first + n)
            add_template(t, strchr(sets[i].name, ' ') + 1, set - sets[i].first, out);
    }
}

static void
emit_elements(const struct nft_tables *t, const char *verb, struct sbuf lists[SET_COUNT], struct sbuf *out)
{
    for (int i = 0; i < SET_COUNT; i++) {
        if (!lists[i].len)
            continue;
        sbuf_addf(out, "%s element %s " NFT_TABLE " ", verb, nft_family(t));
        set_name(t, i, out);
        sbuf_addf(out, " { %s }\n", sbuf_str(&lists[i]));
        sbuf_done(&lists[i]); /* may have been megabytes */
    }
}

static int
chain_order(const struct chain *a, const struct chain *b)
{
    if (a->spec.kind != b->spec.kind)
        return (int)a->spec.kind - (int)b->spec.kind;
    return strcmp(a->name, b->name);
}

static void
emit_new_chains(struct nft_tables *t, struct sbuf *out)
{
    struct chain *c, *next;

    HASH_SORT(t->chains, chain_order); /* what a goto names comes first: pick, masq, cluster, ext */
    HASH_ITER(hh, t->chains, c, next)
    if (c->uses && !c->programmed)
        sbuf_addf(out, "add chain %s " NFT_TABLE " %s\n", nft_family(t), c->name);
    HASH_ITER(hh, t->chains, c, next)
    if (c->uses && !c->programmed) {
        chain_rules(t, c, out);
        c->programmed = true;
    }
}

/* Callers before called ones: a chain that is still jumped to cannot be deleted. */
static void
emit_old_chains(struct nft_tables *t, struct sbuf *out)
{
    struct chain *c, *next;

    for (int kind = CHAIN_EXT; kind >= CHAIN_PICK; kind--)
        HASH_ITER(hh, t->chains, c, next)
        {
            if (c->uses || (int)c->spec.kind != kind)
                continue;
            if (c->programmed)
                sbuf_addf(out, "flush chain %s " NFT_TABLE " %s\ndelete chain %s " NFT_TABLE " %s\n", nft_family(t),
                          c->name, nft_family(t), c->name);
            HASH_DEL(t->chains, c);
            free(c);
        }
}

static int
sticky_order(const struct sticky *a, const struct sticky *b)
{
    return a->timeout_s < b->timeout_s ? -1 : a->timeout_s > b->timeout_s;
}

static void
emit_sticky_sets(struct nft_tables *t, struct sbuf *out)
{
    const char *type = t->opts.family == IP_V4 ? "ipv4_addr" : "ipv6_addr";
    struct sticky *s, *next;

    HASH_SORT(t->stickies, sticky_order);
    HASH_ITER(hh, t->stickies, s, next)
    {
        if (!s->uses != s->programmed) /* in use and there, or neither */
            continue;
        t->learn_changed = true;
        if (!s->uses)
            continue;
        sbuf_addf(out, "add set %s " NFT_TABLE " sticky-%" PRIu32 " { type %s . inet_proto . inet_service; }\n",
                  nft_family(t), s->timeout_s, type);
        sbuf_addf(out, "add set %s " NFT_TABLE " sticky-np-%" PRIu32 " { type inet_proto . inet_service; }\n",
                  nft_family(t), s->timeout_s);
        s->programmed = true;
    }
}

static void
learn_rule(const struct nft_tables *t, const struct sticky *s, const char *proto, const char *np, struct sbuf *out)
{
    const char *f = nft_family(t);

    rule(t, "learn", out);
    sbuf_addf(out, "meta l4proto %s ", proto);
    if (!*np)
        sbuf_addf(out, "ct original %s daddr . ", f);
    sbuf_addf(out, "meta l4proto . ct original proto-dst @sticky-%s%" PRIu32, np, s->timeout_s);
    sbuf_addf(
        out,
        " update @affinity { %s saddr . ct original %s daddr . meta l4proto . ct original proto-dst timeout %" PRIu32
        "s : %s daddr . %s dport }\n",
        f, f, s->timeout_s, f, proto);
}

/* The chain that remembers, behind the translation, which endpoint a client got.  nft 1.0.6 has not enough registers
 * to say it for IPv6 (it aborts): there affinity is not kept. */
static void
emit_learning(struct nft_tables *t, struct sbuf *out)
{
    struct sticky *s, *next;

    if (!t->learn_changed)
        return;
    t->learn_changed = false;
    sbuf_addf(out, "flush chain %s " NFT_TABLE " learn\n", nft_family(t));
    HASH_ITER(hh, t->stickies, s, next)
    {
        for (int p = 0; p < PROTO_COUNT && s->uses && t->opts.family == IP_V4; p++) {
            learn_rule(t, s, service_proto_name(p), "", out);
            learn_rule(t, s, service_proto_name(p), "np-", out);
        }
    }
    HASH_ITER(hh, t->stickies, s, next)
    {
        if (s->uses)
            continue;
        if (s->programmed)
            sbuf_addf(out,
                      "delete set %s " NFT_TABLE " sticky-%" PRIu32 "\ndelete set %s " NFT_TABLE " sticky-np-%" PRIu32
                      "\n",
                      nft_family(t), s->timeout_s, nft_family(t), s->timeout_s);
        HASH_DEL(t->stickies, s);
        free(s);
    }
}

void
nft_emit_changes(struct nft_tables *t, struct sbuf *out)
{
    emit_new_chains(t, out);
    emit_sticky_sets(t, out);
    emit_elements(t, "delete", t->dels, out);
    emit_elements(t, "add", t->adds, out);
    sbuf_add(out, sbuf_str(&t->sticky_dels), t->sticky_dels.len);
    sbuf_add(out, sbuf_str(&t->sticky_adds), t->sticky_adds.len);
    sbuf_clear(&t->sticky_dels);
    sbuf_clear(&t->sticky_adds);
    emit_learning(t, out);
    emit_old_chains(t, out);
}

static void
emit_base_chains(const struct nft_tables *t, struct sbuf *out)
{
    const char *f = nft_family(t), *type = t->opts.family == IP_V4 ? "ipv4_addr" : "ipv6_addr";

    sbuf_addf(out,
              " map affinity { type %s . %s . inet_proto . inet_service : %s . inet_service; flags dynamic,timeout; "
              "size %d; }\n",
              type, type, type, AFFINITY_MAX);
    sbuf_adds(out, " chain reject-it { reject; }\n chain learn { }\n");
    sbuf_addf(out,
              " chain services {\n  %s daddr . meta l4proto . th dport @restricted %s daddr . meta l4proto . th dport "
              ". %s saddr != @allowed drop\n",
              f, f, f);
    sbuf_addf(out, "  %s daddr . meta l4proto . th dport vmap @service-ips\n", f);
    sbuf_addf(out, "  %s daddr @cluster-ips goto reject-it\n", f);
    if (t->opts.nnode_port_nets) {
        sbuf_addf(out, "  %s daddr ", f);
        add_nets(out, t->opts.node_port_nets, t->opts.nnode_port_nets);
        sbuf_adds(out, " fib daddr type local");
    } else {
        sbuf_addf(out, "  fib daddr type local %s daddr != %s", f, t->opts.family == IP_V4 ? "127.0.0.0/8" : "::1");
    }
    sbuf_adds(out, " meta l4proto . th dport vmap @service-nodeports\n }\n");
    sbuf_adds(out, " chain prerouting { type nat hook prerouting priority dstnat; policy accept; jump services; }\n");
    sbuf_adds(out, " chain output { type nat hook output priority -100; policy accept; jump services; }\n");
    sbuf_adds(out, " chain postrouting { type nat hook postrouting priority srcnat; policy accept;\n  ct status dnat "
                   "jump learn\n");
    sbuf_addf(out, "  ct status dnat %s saddr . %s daddr @hairpin masquerade fully-random\n", f, f);
    sbuf_addf(out,
              "  meta mark & 0x%08" PRIx32 " == 0 return\n  meta mark set meta mark xor 0x%08" PRIx32
              "\n  masquerade fully-random\n }\n",
              t->opts.masquerade_mark, t->opts.masquerade_mark);
}

void
nft_emit_skeleton(const struct nft_tables *t, struct sbuf *out)
{
    /* "add" first, so that "delete" finds it; all in one transaction. */
    sbuf_addf(out, "add table %s " NFT_TABLE "\ndelete table %s " NFT_TABLE "\n", nft_family(t), nft_family(t));
    sbuf_addf(out, "table %s " NFT_TABLE " {\n comment \"rules of kube-proxy (ckube)\";\n", nft_family(t));
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        for (unsigned p = 0; p < (sets[i].per_proto ? PROTO_COUNT : 1); p++) {
            sbuf_addc(out, ' ');
            add_template(t, sets[i].name, p, out);
            sbuf_adds(out, " { ");
            add_template(t, sets[i].body, p, out);
            sbuf_adds(out, "; }\n");
        }
    emit_base_chains(t, out);
    sbuf_adds(out, "}\n");
}
