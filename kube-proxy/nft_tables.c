// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/nft_tables.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "common/base/str.h"

#define NAME_MAX_LEN 64
#define PICK_MAX_LEN 48
#define AFFINITY_MAX 65536 /* clients remembered; beyond, new ones get no affinity */

/* --- the maps and sets --- */

enum table_set {
    SET_SERVICE_IPS,
    SET_NODEPORTS,
    SET_ENDPOINTS,                                /* + protocol */
    SET_LOCAL_ENDPOINTS = SET_ENDPOINTS + PROTO_COUNT,
    SET_NP_ENDPOINTS = SET_LOCAL_ENDPOINTS + PROTO_COUNT,
    SET_NP_LOCAL_ENDPOINTS = SET_NP_ENDPOINTS + PROTO_COUNT,
    SET_HAIRPIN = SET_NP_LOCAL_ENDPOINTS + PROTO_COUNT,
    SET_CLUSTER_IPS,
    SET_RESTRICTED,
    SET_ALLOWED,
    SET_COUNT,
};

/* %F: ip or ip6, %T: the address type, %P: the protocol.
 * The endpoint maps are per protocol because nft 1.0.6 cannot load a rule over a map whose typeof holds `th dport` twice. */
static const struct {
    enum table_set first;
    bool per_proto;
    const char *name, *body;
} sets[] = {
    { SET_SERVICE_IPS, false, "map service-ips", "type %T . inet_proto . inet_service : verdict" },
    { SET_NODEPORTS, false, "map service-nodeports", "type inet_proto . inet_service : verdict" },
    { SET_ENDPOINTS, true, "map %P-endpoints", "typeof numgen random mod 2 . %F daddr . %P dport : %F daddr . %P dport" },
    { SET_LOCAL_ENDPOINTS, true, "map %P-local-endpoints", "typeof numgen random mod 2 . %F daddr . %P dport : %F daddr . %P dport" },
    { SET_NP_ENDPOINTS, true, "map %P-np-endpoints", "typeof numgen random mod 2 . %P dport : %F daddr . %P dport" },
    { SET_NP_LOCAL_ENDPOINTS, true, "map %P-np-local-endpoints", "typeof numgen random mod 2 . %P dport : %F daddr . %P dport" },
    { SET_HAIRPIN, false, "set hairpin", "type %T . %T" },
    { SET_CLUSTER_IPS, false, "set cluster-ips", "type %T" },
    { SET_RESTRICTED, false, "set restricted", "type %T . inet_proto . inet_service" },
    { SET_ALLOWED, false, "set allowed", "type %T . inet_proto . inet_service . %T; flags interval" },
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
    char name[NAME_MAX_LEN];
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
    struct sbuf adds[SET_COUNT], dels[SET_COUNT];   /* elements of the transaction being written */
    struct sbuf sticky_adds, sticky_dels;           /* whole commands */
};

static const char *
fam(const struct nft_tables *t)
{
    return t->opts.family == IP_V4 ? "ip" : "ip6";
}

static void slot_mark(struct nft_tables *t, struct slot *s);
static void ip_count_change(struct nft_tables *t, enum table_set set, const struct ip_addr *ip, int by);
static void emit_skeleton(struct nft_tables *t, struct sbuf *out);
static bool emit_changes(struct nft_tables *t, struct sbuf *out);

/* --- life --- */

struct nft_tables *
nft_tables_new(const struct nft_options *opts)
{
    struct nft_tables *t = XNEW(struct nft_tables);

    t->opts = *opts;
    t->local_nets = opts->nlocal_nets ? xmemdup(opts->local_nets, opts->nlocal_nets * sizeof(*t->local_nets)) : NULL;
    t->node_port_nets =
        opts->nnode_port_nets ? xmemdup(opts->node_port_nets, opts->nnode_port_nets * sizeof(*t->node_port_nets)) : NULL;
    t->local_interface = xstrdup(opts->local_interface);
    t->opts.local_nets = t->local_nets;
    t->opts.node_port_nets = t->node_port_nets;
    t->opts.local_interface = t->local_interface;
    return t;
}

static void
slot_free(struct nft_tables *t, struct slot *s)
{
    HASH_DEL(t->slots, s);
    for (size_t i = 0; i < s->nclaims; i++)
        service_view_unref(s->claims[i].view);
    service_view_unref(s->programmed.view);
    free(s->claims);
    free(s);
}

void
nft_tables_free(struct nft_tables *t)
{
    struct service_entry *e, *next_e;
    struct slot *s, *next_s;
    struct ip_count *c, *next_c;
    struct chain *ch, *next_ch;
    struct sticky *st, *next_st;

    if (!t)
        return;
    HASH_ITER(hh, t->services, e, next_e) {
        HASH_DEL(t->services, e);
        service_view_unref(e->view);
        free(e);
    }
    HASH_ITER(hh, t->slots, s, next_s)
        slot_free(t, s);
    HASH_ITER(hh, t->ip_counts, c, next_c) {
        HASH_DEL(t->ip_counts, c);
        free(c);
    }
    HASH_ITER(hh, t->chains, ch, next_ch) {
        HASH_DEL(t->chains, ch);
        free(ch);
    }
    HASH_ITER(hh, t->stickies, st, next_st) {
        HASH_DEL(t->stickies, st);
        free(st);
    }
    for (int i = 0; i < SET_COUNT; i++) {
        sbuf_done(&t->adds[i]);
        sbuf_done(&t->dels[i]);
    }
    sbuf_done(&t->sticky_adds);
    sbuf_done(&t->sticky_dels);
    free(t->local_nets);
    free(t->node_port_nets);
    free(t->local_interface);
    free(t);
}

/* --- what is wanted --- */

static struct slot *
slot_of(struct nft_tables *t, const struct frontend_key *key)
{
    struct slot *s;

    HASH_FIND(hh, t->slots, key, sizeof(*key), s);
    if (!s) {
        s = XNEW(struct slot);
        memcpy(&s->key, key, sizeof(*key));
        HASH_ADD(hh, t->slots, key, sizeof(s->key), s);
    }
    return s;
}

static void
slot_mark(struct nft_tables *t, struct slot *s)
{
    if (s->dirty)
        return;
    s->dirty = true;
    s->next_dirty = t->dirty_slots;
    t->dirty_slots = s;
}

static void
claim_add(struct nft_tables *t, struct service_view *v, const struct frontend *f)
{
    struct slot *s = slot_of(t, &f->key);
    size_t at = 0;

    while (at < s->nclaims && strcmp(s->claims[at].view->name, v->name) <= 0)
        at++;
    s->claims = xreallocarray(s->claims, s->nclaims + 1, sizeof(*s->claims));
    memmove(&s->claims[at + 1], &s->claims[at], (s->nclaims - at) * sizeof(*s->claims));
    s->claims[at] = (struct claim){ service_view_ref(v), f };
    s->nclaims++;
    slot_mark(t, s);
}

static void
claim_drop(struct nft_tables *t, const struct service_view *v, const struct frontend *f)
{
    struct slot *s = slot_of(t, &f->key);

    for (size_t i = 0; i < s->nclaims; i++) {
        if (s->claims[i].frontend != f)
            continue;
        service_view_unref(s->claims[i].view);
        s->nclaims--;
        memmove(&s->claims[i], &s->claims[i + 1], (s->nclaims - i) * sizeof(*s->claims));
        break;
    }
    slot_mark(t, s);
}

static void
count_ips(struct nft_tables *t, const struct service_view *v, int by)
{
    for (size_t i = 0; i < v->ncluster_ips; i++)
        ip_count_change(t, SET_CLUSTER_IPS, &v->cluster_ips[i], by);
    for (size_t i = 0; i < v->nlocal_ips; i++)
        ip_count_change(t, SET_HAIRPIN, &v->local_ips[i], by);
}

static void
service_drop(struct nft_tables *t, struct service_entry *e)
{
    struct service_view *v = e->view;

    HASH_DEL(t->services, e);
    free(e);
    for (size_t i = 0; i < v->nfrontends; i++)
        claim_drop(t, v, &v->frontends[i]);
    count_ips(t, v, -1);
    service_view_unref(v);
}

void
nft_tables_remove(struct nft_tables *t, const char *name)
{
    struct service_entry *e;

    HASH_FIND_STR(t->services, name, e);
    if (e)
        service_drop(t, e);
}

void
nft_tables_put(struct nft_tables *t, struct service_view *view)
{
    struct service_entry *e = XNEW(struct service_entry);

    e->view = service_view_ref(view);
    for (size_t i = 0; i < view->nfrontends; i++)
        claim_add(t, view, &view->frontends[i]);
    count_ips(t, view, 1);
    nft_tables_remove(t, view->name);
    HASH_ADD_KEYPTR(hh, t->services, view->name, strlen(view->name), e);
}

const struct frontend *
nft_tables_find(const struct nft_tables *t, const struct frontend_key *key)
{
    struct slot *s;

    HASH_FIND(hh, t->slots, key, sizeof(*key), s);
    return s && s->nclaims ? s->claims[0].frontend : NULL;
}

struct nft_counts
nft_tables_counts(const struct nft_tables *t)
{
    struct nft_counts n = { .services = HASH_COUNT(t->services), .chains = HASH_COUNT(t->chains) };
    struct slot *s, *next;

    HASH_ITER(hh, t->slots, s, next) {
        const struct frontend *f = s->nclaims ? s->claims[0].frontend : NULL;

        if (!f)
            continue;
        n.frontends++;
        n.endpoints += f->endpoints->len + f->local->len;
        n.conflicts += s->nclaims > 1;
        n.no_local_internal += f->verdict == FRONTEND_DROP;
        n.no_local_external += f->traffic == TRAFFIC_EXTERNAL_LOCAL && f->endpoints->len && !f->local->len;
    }
    return n;
}

/* --- addresses counted over all services: hairpin, cluster-ips --- */

static void
ip_count_change(struct nft_tables *t, enum table_set set, const struct ip_addr *ip, int by)
{
    struct ip_count_key key;
    struct ip_count *c;

    memset(&key, 0, sizeof(key));
    key.set = (uint8_t)set;
    key.ip = *ip;
    HASH_FIND(hh, t->ip_counts, &key, sizeof(key), c);
    if (!c) {
        c = XNEW(struct ip_count);
        memcpy(&c->key, &key, sizeof(key));
        HASH_ADD(hh, t->ip_counts, key, sizeof(c->key), c);
    }
    c->count = (unsigned)((int)c->count + by);
    if (!c->dirty) {
        c->dirty = true;
        c->next_dirty = t->dirty_ips;
        t->dirty_ips = c;
    }
}

/* --- names --- */

static void
pick_name(const struct chain_spec *c, char name[PICK_MAX_LEN])
{
    snprintf(name, PICK_MAX_LEN, "%s%s%s-%" PRIu32 "%s", service_proto_name(c->proto), c->node_port ? "-np" : "", c->local ? "-local" : "", c->n,
             c->sticky ? "-sticky" : "");
}

static void
chain_name(const struct chain_spec *c, char name[NAME_MAX_LEN])
{
    static const char *const prefix[] = { "", "masq-", "cluster-", "ext-" };
    char pick[PICK_MAX_LEN];

    if (c->kind == CHAIN_EXT) {
        snprintf(name, NAME_MAX_LEN, "ext-%s%s-%" PRIu32 "-%" PRIu32 "%s", service_proto_name(c->proto), c->node_port ? "-np" : "", c->n, c->n_local,
                 c->sticky ? "-sticky" : "");
        return;
    }
    pick_name(c, pick);
    snprintf(name, NAME_MAX_LEN, "%s%s", prefix[c->kind], pick);
}

/* "10.96.0.10 . tcp . 80" or "tcp . 30080" */
static void
add_frontend_key(struct sbuf *out, const struct frontend_key *k)
{
    char ip[IP_TEXT_MAX];

    if (k->kind == FRONTEND_ADDRESS)
        sbuf_addf(out, "%s . ", ip_text(&k->ip, ip));
    sbuf_addf(out, "%s . %u", service_proto_name(k->proto), k->port);
}

/* "3 . 10.96.0.10 . 80" or "3 . 30080" */
static void
add_endpoint_key(struct sbuf *out, const struct frontend_key *k, uint32_t index)
{
    char ip[IP_TEXT_MAX];

    sbuf_addf(out, "%" PRIu32 " . ", index);
    if (k->kind == FRONTEND_ADDRESS)
        sbuf_addf(out, "%s . ", ip_text(&k->ip, ip));
    sbuf_addf(out, "%u", k->port);
}

static struct sbuf *
element(struct sbuf *of_set)
{
    if (of_set->len)
        sbuf_adds(of_set, ", ");
    return of_set;
}

/* --- which chains a frontend uses --- */

static struct chain_spec
base_spec(const struct frontend *f)
{
    return (struct chain_spec){ .proto = f->key.proto, .node_port = f->key.kind == FRONTEND_NODE_PORT, .sticky = f->affinity_s != 0 };
}

static enum chain_kind
cluster_ip_kind(const struct nft_options *o)
{
    return o->masquerade_all ? CHAIN_MASQ : o->local != NFT_LOCAL_UNKNOWN ? CHAIN_CLUSTER : CHAIN_PICK;
}

/* The frontend's entry chain first, then those it leads to; at most 4. */
static size_t
chains_of(const struct nft_options *o, const struct frontend *f, struct chain_spec ret[4])
{
    struct chain_spec entry = base_spec(f), pick = entry;
    size_t n = 0;

    if (f->verdict != FRONTEND_FORWARD)
        return 0;
    entry.n = pick.n = f->endpoints->len;
    switch (f->traffic) {
    case TRAFFIC_CLUSTER_IP:
        entry.kind = cluster_ip_kind(o);
        break;
    case TRAFFIC_EXTERNAL:
        entry.kind = CHAIN_MASQ;
        break;
    case TRAFFIC_EXTERNAL_LOCAL:
        entry.kind = CHAIN_EXT;
        entry.n_local = f->local->len;
        break;
    }
    ret[n++] = entry;
    if (entry.kind != CHAIN_PICK && pick.n)
        ret[n++] = pick;
    if (entry.kind == CHAIN_EXT && pick.n) {
        ret[n] = pick;
        ret[n++].kind = CHAIN_MASQ;
    }
    if (entry.kind == CHAIN_EXT && entry.n_local) {
        ret[n] = pick;
        ret[n].local = true;
        ret[n++].n = entry.n_local;
    }
    return n;
}

static void
chains_use(struct nft_tables *t, const struct frontend *f, int by)
{
    struct chain_spec specs[4];
    size_t n = chains_of(&t->opts, f, specs);
    char name[NAME_MAX_LEN];
    struct chain *c;

    for (size_t i = 0; i < n; i++) {
        chain_name(&specs[i], name);
        HASH_FIND_STR(t->chains, name, c);
        if (!c) {
            c = XNEW(struct chain);
            memcpy(c->name, name, sizeof(name));
            c->spec = specs[i];
            HASH_ADD_STR(t->chains, name, c);
        }
        c->uses = (unsigned)((int)c->uses + by);
    }
}

static void
sticky_use(struct nft_tables *t, const struct frontend *f, int by)
{
    struct sticky *s;

    if (!f->affinity_s)
        return;
    HASH_FIND(hh, t->stickies, &f->affinity_s, sizeof(f->affinity_s), s);
    if (!s) {
        s = XNEW(struct sticky);
        s->timeout_s = f->affinity_s;
        HASH_ADD(hh, t->stickies, timeout_s, sizeof(s->timeout_s), s);
    }
    s->uses = (unsigned)((int)s->uses + by);
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
        sbuf_addf(out, "%s saddr %s", fam(t), not);
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
    sbuf_addf(out, "add rule %s " NFT_TABLE " %s ", fam(t), chain);
}

static void
pick_rules(const struct nft_tables *t, const struct chain *c, struct sbuf *out)
{
    const char *proto = service_proto_name(c->spec.proto);
    char key[64];

    if (c->spec.sticky) {
        rule(t, c->name, out);
        sbuf_addf(out, "meta l4proto { tcp, udp, sctp } dnat %s to %s saddr . %s daddr . meta l4proto . th dport map @affinity\n", fam(t), fam(t), fam(t));
    }
    if (c->spec.node_port)
        snprintf(key, sizeof(key), "%s dport", proto);
    else
        snprintf(key, sizeof(key), "%s daddr . %s dport", fam(t), proto);
    /* The second rule serves the packet that came between a shrinking list and this chain's going out of use. */
    for (uint32_t mod = c->spec.n;; mod = 1) {
        rule(t, c->name, out);
        sbuf_addf(out, "dnat %s to numgen random mod %" PRIu32 " . %s map @%s%s%s-endpoints\n", fam(t), mod, key, proto,
                  c->spec.node_port ? "-np" : "", c->spec.local ? "-local" : "");
        if (mod == 1)
            return;
    }
}

static void
go_to(const struct nft_tables *t, const struct chain *c, struct chain_spec to, enum chain_kind kind, struct sbuf *out)
{
    char name[NAME_MAX_LEN];

    to.kind = kind;
    to.n_local = 0;
    chain_name(&to, name);
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

/* --- the difference of one frontend --- */

static enum table_set
endpoint_set(const struct frontend *f, bool local)
{
    bool np = f->key.kind == FRONTEND_NODE_PORT;

    return (np ? local ? SET_NP_LOCAL_ENDPOINTS : SET_NP_ENDPOINTS : local ? SET_LOCAL_ENDPOINTS : SET_ENDPOINTS) + f->key.proto;
}

static void
diff_endpoints(struct nft_tables *t, const struct frontend *of, enum table_set set, const struct endpoint_list *old, const struct endpoint_list *now)
{
    uint32_t max = old->len > now->len ? old->len : now->len;
    char ip[IP_TEXT_MAX];

    for (uint32_t i = 0; i < max; i++) {
        const struct endpoint_addr *was = i < old->len ? &old->items[i] : NULL, *is = i < now->len ? &now->items[i] : NULL;

        if (was && is && endpoint_addr_cmp(was, is) == 0)
            continue;
        if (was)
            add_endpoint_key(element(&t->dels[set]), &of->key, i);
        if (is) {
            add_endpoint_key(element(&t->adds[set]), &of->key, i);
            sbuf_addf(&t->adds[set], " : %s . %u", ip_text(&is->ip, ip), is->port);
        }
    }
}

static void
verdict_text(const struct nft_tables *t, const struct frontend *f, char out[NAME_MAX_LEN + 8])
{
    struct chain_spec specs[4];
    char name[NAME_MAX_LEN];

    if (f->verdict == FRONTEND_FORWARD && chains_of(&t->opts, f, specs)) {
        chain_name(&specs[0], name);
        snprintf(out, NAME_MAX_LEN + 8, "goto %s", name);
    } else {
        snprintf(out, NAME_MAX_LEN + 8, "%s", f->verdict == FRONTEND_DROP ? "drop" : "goto reject-it");
    }
}

static void
diff_verdict(struct nft_tables *t, const struct frontend *old, const struct frontend *now)
{
    const struct frontend *any = now ? now : old;
    enum table_set set = any->key.kind == FRONTEND_NODE_PORT ? SET_NODEPORTS : SET_SERVICE_IPS;
    char was[NAME_MAX_LEN + 8] = "", is[NAME_MAX_LEN + 8] = "";

    if (old)
        verdict_text(t, old, was);
    if (now)
        verdict_text(t, now, is);
    if (strcmp(was, is) == 0)
        return;
    if (old)
        add_frontend_key(element(&t->dels[set]), &any->key);
    if (now) {
        add_frontend_key(element(&t->adds[set]), &any->key);
        sbuf_addf(&t->adds[set], " : %s", is);
    }
}

static bool
has_net(const struct frontend *f, const struct ip_net *net)
{
    for (uint32_t i = 0; f && i < f->nsources; i++)
        if (ip_net_cmp(&f->sources[i], net) == 0)
            return true;
    return false;
}

static void
missing_nets(struct nft_tables *t, const struct frontend *in, const struct frontend *not_in, struct sbuf *lists)
{
    char text[IP_TEXT_MAX];

    for (uint32_t i = 0; in && i < in->nsources; i++) {
        if (has_net(not_in, &in->sources[i]))
            continue;
        add_frontend_key(element(&lists[SET_ALLOWED]), &in->key);
        sbuf_addf(&lists[SET_ALLOWED], " . %s", ip_net_text(&in->sources[i], text));
    }
    if (in && in->nsources && !(not_in && not_in->nsources))
        add_frontend_key(element(&lists[SET_RESTRICTED]), &in->key);
}

static void
diff_sticky(struct nft_tables *t, const struct frontend *old, const struct frontend *now)
{
    uint32_t was = old ? old->affinity_s : 0, is = now ? now->affinity_s : 0;
    const struct frontend *any = now ? now : old;
    const char *np = any->key.kind == FRONTEND_NODE_PORT ? "np-" : "";

    if (was == is)
        return;
    if (was) {
        sbuf_addf(&t->sticky_dels, "delete element %s " NFT_TABLE " sticky-%s%" PRIu32 " { ", fam(t), np, was);
        add_frontend_key(&t->sticky_dels, &any->key);
        sbuf_adds(&t->sticky_dels, " }\n");
    }
    if (is) {
        sbuf_addf(&t->sticky_adds, "add element %s " NFT_TABLE " sticky-%s%" PRIu32 " { ", fam(t), np, is);
        add_frontend_key(&t->sticky_adds, &any->key);
        sbuf_adds(&t->sticky_adds, " }\n");
    }
}

static bool
lost_endpoint(const struct endpoint_list *old, const struct endpoint_list *now)
{
    for (uint32_t i = 0; i < old->len; i++)
        if (!endpoint_list_has(now, &old->items[i]))
            return true;
    return false;
}

/* One frontend from what is programmed to what is wanted.  Either may be NULL. */
static void
diff_frontend(struct nft_tables *t, const struct frontend *old, const struct frontend *now)
{
    static const struct endpoint_list none;
    const struct frontend *any = now ? now : old;

    if (now) {
        chains_use(t, now, 1);
        sticky_use(t, now, 1);
    }
    if (old) {
        chains_use(t, old, -1);
        sticky_use(t, old, -1);
    }
    diff_endpoints(t, any, endpoint_set(any, false), old ? old->endpoints : &none, now ? now->endpoints : &none);
    diff_endpoints(t, any, endpoint_set(any, true), old ? old->local : &none, now ? now->local : &none);
    diff_verdict(t, old, now);
    missing_nets(t, old, now, t->dels);
    missing_nets(t, now, old, t->adds);
    diff_sticky(t, old, now);
    if (old && old->affinity_s &&
        (!now || lost_endpoint(old->endpoints, now->endpoints) || lost_endpoint(old->local, now->local)))
        t->affinity_suspect = true;
}

static void
settle_slots(struct nft_tables *t)
{
    struct slot *s, *next;

    for (s = t->dirty_slots; s; s = next) {
        struct claim now = s->nclaims ? s->claims[0] : (struct claim){ 0 };

        next = s->next_dirty;
        s->dirty = false;
        s->next_dirty = NULL;
        diff_frontend(t, s->programmed.frontend, now.frontend);
        service_view_ref(now.view);
        service_view_unref(s->programmed.view);
        s->programmed = now;
        if (!now.view)
            slot_free(t, s);
    }
    t->dirty_slots = NULL;
}

static void
settle_ips(struct nft_tables *t)
{
    struct ip_count *c, *next;
    char ip[IP_TEXT_MAX];

    for (c = t->dirty_ips; c; c = next) {
        struct sbuf *list = c->count ? &t->adds[c->key.set] : &t->dels[c->key.set];

        next = c->next_dirty;
        c->dirty = false;
        if ((c->count != 0) != c->programmed) {
            ip_text(&c->key.ip, ip);
            sbuf_adds(element(list), ip);
            if (c->key.set == SET_HAIRPIN)
                sbuf_addf(list, " . %s", ip);
            c->programmed = c->count != 0;
        }
        if (!c->count) {
            HASH_DEL(t->ip_counts, c);
            free(c);
        }
    }
    t->dirty_ips = NULL;
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
            sbuf_adds(out, fam(t));
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
        sbuf_addf(out, "%s element %s " NFT_TABLE " ", verb, fam(t));
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
            sbuf_addf(out, "add chain %s " NFT_TABLE " %s\n", fam(t), c->name);
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
        HASH_ITER(hh, t->chains, c, next) {
            if (c->uses || (int)c->spec.kind != kind)
                continue;
            if (c->programmed)
                sbuf_addf(out, "flush chain %s " NFT_TABLE " %s\ndelete chain %s " NFT_TABLE " %s\n", fam(t), c->name, fam(t), c->name);
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
    HASH_ITER(hh, t->stickies, s, next) {
        if (!s->uses != s->programmed) /* in use and there, or neither */
            continue;
        t->learn_changed = true;
        if (!s->uses)
            continue;
        sbuf_addf(out, "add set %s " NFT_TABLE " sticky-%" PRIu32 " { type %s . inet_proto . inet_service; }\n", fam(t), s->timeout_s, type);
        sbuf_addf(out, "add set %s " NFT_TABLE " sticky-np-%" PRIu32 " { type inet_proto . inet_service; }\n", fam(t), s->timeout_s);
        s->programmed = true;
    }
}

static void
learn_rule(const struct nft_tables *t, const struct sticky *s, const char *proto, const char *np, struct sbuf *out)
{
    const char *f = fam(t);

    rule(t, "learn", out);
    sbuf_addf(out, "meta l4proto %s ", proto);
    if (!*np)
        sbuf_addf(out, "ct original %s daddr . ", f);
    sbuf_addf(out, "meta l4proto . ct original proto-dst @sticky-%s%" PRIu32, np, s->timeout_s);
    sbuf_addf(out, " update @affinity { %s saddr . ct original %s daddr . meta l4proto . ct original proto-dst timeout %" PRIu32 "s : %s daddr . %s dport }\n",
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
    sbuf_addf(out, "flush chain %s " NFT_TABLE " learn\n", fam(t));
    HASH_ITER(hh, t->stickies, s, next) {
        for (int p = 0; p < PROTO_COUNT && s->uses && t->opts.family == IP_V4; p++) {
            learn_rule(t, s, service_proto_name(p), "", out);
            learn_rule(t, s, service_proto_name(p), "np-", out);
        }
    }
    HASH_ITER(hh, t->stickies, s, next) {
        if (s->uses)
            continue;
        if (s->programmed)
            sbuf_addf(out, "delete set %s " NFT_TABLE " sticky-%" PRIu32 "\ndelete set %s " NFT_TABLE " sticky-np-%" PRIu32 "\n", fam(t), s->timeout_s,
                      fam(t), s->timeout_s);
        HASH_DEL(t->stickies, s);
        free(s);
    }
}

static bool
emit_changes(struct nft_tables *t, struct sbuf *out)
{
    size_t before = out->len;

    settle_slots(t);
    settle_ips(t);
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
    return out->len > before;
}

bool
nft_tables_delta(struct nft_tables *t, struct sbuf *out)
{
    return emit_changes(t, out);
}

static void
emit_base_chains(const struct nft_tables *t, struct sbuf *out)
{
    const char *f = fam(t), *type = t->opts.family == IP_V4 ? "ipv4_addr" : "ipv6_addr";

    sbuf_addf(out, " map affinity { type %s . %s . inet_proto . inet_service : %s . inet_service; flags dynamic,timeout; size %d; }\n", type, type, type,
              AFFINITY_MAX);
    sbuf_adds(out, " chain reject-it { reject; }\n chain learn { }\n");
    sbuf_addf(out, " chain services {\n  %s daddr . meta l4proto . th dport @restricted %s daddr . meta l4proto . th dport . %s saddr != @allowed drop\n", f, f, f);
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
    sbuf_adds(out, " chain postrouting { type nat hook postrouting priority srcnat; policy accept;\n  ct status dnat jump learn\n");
    sbuf_addf(out, "  ct status dnat %s saddr . %s daddr @hairpin masquerade fully-random\n", f, f);
    sbuf_addf(out, "  meta mark & 0x%08" PRIx32 " == 0 return\n  meta mark set meta mark xor 0x%08" PRIx32 "\n  masquerade fully-random\n }\n",
              t->opts.masquerade_mark, t->opts.masquerade_mark);
}

static void
emit_skeleton(struct nft_tables *t, struct sbuf *out)
{
    /* "add" first, so that "delete" finds it; all in one transaction. */
    sbuf_addf(out, "add table %s " NFT_TABLE "\ndelete table %s " NFT_TABLE "\n", fam(t), fam(t));
    sbuf_addf(out, "table %s " NFT_TABLE " {\n comment \"rules of kube-proxy (ckube)\";\n", fam(t));
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

/* Forgets what is programmed, so that everything wanted is a change. */
static void
forget(struct nft_tables *t)
{
    struct slot *s, *next_s;
    struct ip_count *c, *next_c;
    struct chain *ch, *next_ch;
    struct sticky *st, *next_st;

    HASH_ITER(hh, t->slots, s, next_s) {
        service_view_unref(s->programmed.view);
        s->programmed = (struct claim){ 0 };
        slot_mark(t, s);
    }
    HASH_ITER(hh, t->ip_counts, c, next_c) {
        c->programmed = false;
        if (!c->dirty) {
            c->dirty = true;
            c->next_dirty = t->dirty_ips;
            t->dirty_ips = c;
        }
    }
    HASH_ITER(hh, t->chains, ch, next_ch) {
        HASH_DEL(t->chains, ch);
        free(ch);
    }
    HASH_ITER(hh, t->stickies, st, next_st) {
        HASH_DEL(t->stickies, st);
        free(st);
    }
    t->affinity_suspect = false;
}

void
nft_tables_full(struct nft_tables *t, struct sbuf *out)
{
    forget(t);
    emit_skeleton(t, out);
    emit_changes(t, out);
}

/* --- session affinity that outlived its endpoint --- */

struct affinity_entry {
    struct ip_addr client, service;
    enum service_proto proto;
    int64_t port;
    struct endpoint_addr endpoint;
    char times[64]; /* "timeout 3h expires 2h59m" */
};

static bool
next_token(const char **at, char *buf, size_t size)
{
    size_t n = 0;

    while (**at && (isspace((unsigned char)**at) || **at == ','))
        (*at)++;
    while (**at && !isspace((unsigned char)**at) && **at != ',' && n + 1 < size)
        buf[n++] = *(*at)++;
    buf[n] = '\0';
    return n > 0;
}

static bool
want_token(const char **at, const char *text)
{
    char buf[64];

    return next_token(at, buf, sizeof(buf)) && strcmp(buf, text) == 0;
}

static bool
read_proto(const char *s, enum service_proto *ret)
{
    for (int p = 0; p < PROTO_COUNT; p++)
        if (strcmp(s, service_proto_name(p)) == 0) {
            *ret = p;
            return true;
        }
    return false;
}

static bool
is_duration(const char *s)
{
    for (; *s; s++)
        if (!isalnum((unsigned char)*s))
            return false;
    return true;
}

/* "1.2.3.4 . 10.96.0.1 . tcp . 80 timeout 3h expires 2h59m58s : 10.244.0.7 . 8080" */
static bool
affinity_parse(const char **at, struct affinity_entry *e)
{
    char a[64], timeout[24], expires[24];
    int64_t port;

    memset(e, 0, sizeof(*e));
    if (!next_token(at, a, sizeof(a)) || ip_parse(a, &e->client) < 0 || !want_token(at, "."))
        return false;
    if (!next_token(at, a, sizeof(a)) || ip_parse(a, &e->service) < 0 || !want_token(at, "."))
        return false;
    if (!next_token(at, a, sizeof(a)) || !read_proto(a, &e->proto) || !want_token(at, "."))
        return false;
    if (!next_token(at, a, sizeof(a)) || parse_i64(a, &e->port) < 0 || e->port < 0 || e->port > 65535)
        return false;
    if (!want_token(at, "timeout") || !next_token(at, timeout, sizeof(timeout)) || !want_token(at, "expires") ||
        !next_token(at, expires, sizeof(expires)) || !want_token(at, ":") || !is_duration(timeout) || !is_duration(expires))
        return false;
    if (!next_token(at, a, sizeof(a)) || ip_parse(a, &e->endpoint.ip) < 0 || !want_token(at, "."))
        return false;
    if (!next_token(at, a, sizeof(a)) || parse_i64(a, &port) < 0 || port < 0 || port > 65535)
        return false;
    e->endpoint.port = (uint16_t)port;
    snprintf(e->times, sizeof(e->times), "timeout %s expires %s", timeout, expires);
    return true;
}

static bool
affinity_holds(const struct nft_tables *t, const struct affinity_entry *e)
{
    struct frontend_key key;
    const struct frontend *f;

    memset(&key, 0, sizeof(key));
    key.kind = FRONTEND_ADDRESS;
    key.proto = (uint8_t)e->proto;
    key.port = (uint16_t)e->port;
    key.ip = e->service;
    f = nft_tables_find(t, &key);
    if (!f) {
        key.kind = FRONTEND_NODE_PORT;
        memset(&key.ip, 0, sizeof(key.ip));
        f = nft_tables_find(t, &key);
    }
    return f && f->affinity_s && (endpoint_list_has(f->endpoints, &e->endpoint) || endpoint_list_has(f->local, &e->endpoint));
}

static void
affinity_element(const struct nft_tables *t, const struct affinity_entry *e, const char *verb, struct sbuf *out)
{
    char client[IP_TEXT_MAX], service[IP_TEXT_MAX], endpoint[IP_TEXT_MAX];

    sbuf_addf(out, "%s element %s " NFT_TABLE " affinity { %s . %s . %s . %d %s : %s . %u }\n", verb, fam(t), ip_text(&e->client, client),
              ip_text(&e->service, service), service_proto_name(e->proto), (int)e->port, e->times, ip_text(&e->endpoint.ip, endpoint), e->endpoint.port);
}

static size_t
each_affinity(struct nft_tables *t, const char *listing, bool holding, struct sbuf *out)
{
    const char *at = listing ? strstr(listing, "elements = {") : NULL;
    struct affinity_entry e;
    size_t n = 0;

    if (!at)
        return 0;
    for (at += strlen("elements = {"); affinity_parse(&at, &e);) {
        if (affinity_holds(t, &e) != holding)
            continue;
        n++;
        if (holding) {
            affinity_element(t, &e, "add", out);
        } else { /* it may run out meanwhile, and deleting nothing is an error: first make sure that it is there */
            snprintf(e.times, sizeof(e.times), "timeout 1m");
            affinity_element(t, &e, "add", out);
            e.times[0] = '\0';
            affinity_element(t, &e, "delete", out);
        }
    }
    return n;
}

bool
nft_tables_affinity_suspect(const struct nft_tables *t)
{
    return t->affinity_suspect;
}

size_t
nft_tables_stale_affinity(struct nft_tables *t, const char *listing, struct sbuf *out)
{
    t->affinity_suspect = false;
    return each_affinity(t, listing, false, out);
}

size_t
nft_tables_keep_affinity(struct nft_tables *t, const char *listing, struct sbuf *out)
{
    return each_affinity(t, listing, true, out);
}
