// SPDX-License-Identifier: Apache-2.0
/* nft_tables.c - who claims which address, and the difference between that and what is programmed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/str.h"
#include "kube-proxy/nft_private.h"

static void slot_mark(struct nft_tables *t, struct slot *s);
static void ip_count_change(struct nft_tables *t, enum table_set set, const struct ip_addr *ip, int by);
static bool settle_and_emit(struct nft_tables *t, struct sbuf *out);

/* --- life --- */

struct nft_tables *
nft_tables_new(const struct nft_options *opts)
{
    struct nft_tables *t = XNEW(struct nft_tables);

    t->opts = *opts;
    t->local_nets = opts->nlocal_nets ? xmemdup(opts->local_nets, opts->nlocal_nets * sizeof(*t->local_nets)) : NULL;
    t->node_port_nets = opts->nnode_port_nets
                            ? xmemdup(opts->node_port_nets, opts->nnode_port_nets * sizeof(*t->node_port_nets))
                            : NULL;
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
    HASH_ITER(hh, t->services, e, next_e)
    {
        HASH_DEL(t->services, e);
        service_view_unref(e->view);
        free(e);
    }
    HASH_ITER(hh, t->slots, s, next_s)
    slot_free(t, s);
    HASH_ITER(hh, t->ip_counts, c, next_c)
    {
        HASH_DEL(t->ip_counts, c);
        free(c);
    }
    HASH_ITER(hh, t->chains, ch, next_ch)
    {
        HASH_DEL(t->chains, ch);
        free(ch);
    }
    HASH_ITER(hh, t->stickies, st, next_st)
    {
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

    HASH_ITER(hh, t->slots, s, next)
    {
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
    return (struct chain_spec){ .proto = f->key.proto,
                                .node_port = f->key.kind == FRONTEND_NODE_PORT,
                                .sticky = f->affinity_s != 0 };
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
    char name[NFT_NAME_MAX];
    struct chain *c;

    for (size_t i = 0; i < n; i++) {
        nft_chain_name(&specs[i], name);
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

/* --- the difference of one frontend --- */

static enum table_set
endpoint_set(const struct frontend *f, bool local)
{
    bool np = f->key.kind == FRONTEND_NODE_PORT;

    return (np      ? local ? SET_NP_LOCAL_ENDPOINTS : SET_NP_ENDPOINTS
            : local ? SET_LOCAL_ENDPOINTS
                    : SET_ENDPOINTS) +
           f->key.proto;
}

static void
diff_endpoints(struct nft_tables *t, const struct frontend *of, enum table_set set, const struct endpoint_list *old,
               const struct endpoint_list *now)
{
    uint32_t max = old->len > now->len ? old->len : now->len;
    char ip[IP_TEXT_MAX];

    for (uint32_t i = 0; i < max; i++) {
        const struct endpoint_addr *was = i < old->len ? &old->items[i] : NULL,
                                   *is = i < now->len ? &now->items[i] : NULL;

        if (was && is && endpoint_addr_cmp(was, is) == 0)
            continue;
        if (was)
            nft_add_endpoint_key(element(&t->dels[set]), &of->key, i);
        if (is) {
            nft_add_endpoint_key(element(&t->adds[set]), &of->key, i);
            sbuf_addf(&t->adds[set], " : %s . %u", ip_text(&is->ip, ip), is->port);
        }
    }
}

static void
verdict_text(const struct nft_tables *t, const struct frontend *f, char out[NFT_NAME_MAX + 8])
{
    struct chain_spec specs[4];
    char name[NFT_NAME_MAX];

    if (f->verdict == FRONTEND_FORWARD && chains_of(&t->opts, f, specs)) {
        nft_chain_name(&specs[0], name);
        snprintf(out, NFT_NAME_MAX + 8, "goto %s", name);
    } else {
        snprintf(out, NFT_NAME_MAX + 8, "%s", f->verdict == FRONTEND_DROP ? "drop" : "goto reject-it");
    }
}

static void
diff_verdict(struct nft_tables *t, const struct frontend *old, const struct frontend *now)
{
    const struct frontend *any = now ? now : old;
    enum table_set set = any->key.kind == FRONTEND_NODE_PORT ? SET_NODEPORTS : SET_SERVICE_IPS;
    char was[NFT_NAME_MAX + 8] = "", is[NFT_NAME_MAX + 8] = "";

    if (old)
        verdict_text(t, old, was);
    if (now)
        verdict_text(t, now, is);
    if (strcmp(was, is) == 0)
        return;
    if (old)
        nft_add_frontend_key(element(&t->dels[set]), &any->key);
    if (now) {
        nft_add_frontend_key(element(&t->adds[set]), &any->key);
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
        nft_add_frontend_key(element(&lists[SET_ALLOWED]), &in->key);
        sbuf_addf(&lists[SET_ALLOWED], " . %s", ip_net_text(&in->sources[i], text));
    }
    if (in && in->nsources && !(not_in && not_in->nsources))
        nft_add_frontend_key(element(&lists[SET_RESTRICTED]), &in->key);
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
        sbuf_addf(&t->sticky_dels, "delete element %s " NFT_TABLE " sticky-%s%" PRIu32 " { ", nft_family(t), np, was);
        nft_add_frontend_key(&t->sticky_dels, &any->key);
        sbuf_adds(&t->sticky_dels, " }\n");
    }
    if (is) {
        sbuf_addf(&t->sticky_adds, "add element %s " NFT_TABLE " sticky-%s%" PRIu32 " { ", nft_family(t), np, is);
        nft_add_frontend_key(&t->sticky_adds, &any->key);
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

/* --- all of it --- */

static bool
settle_and_emit(struct nft_tables *t, struct sbuf *out)
{
    size_t before = out->len;

    settle_slots(t);
    settle_ips(t);
    nft_emit_changes(t, out);
    return out->len > before;
}

bool
nft_tables_delta(struct nft_tables *t, struct sbuf *out)
{
    return settle_and_emit(t, out);
}

/* Forgets what is programmed, so that everything wanted is a change. */
static void
forget(struct nft_tables *t)
{
    struct slot *s, *next_s;
    struct ip_count *c, *next_c;
    struct chain *ch, *next_ch;
    struct sticky *st, *next_st;

    HASH_ITER(hh, t->slots, s, next_s)
    {
        service_view_unref(s->programmed.view);
        s->programmed = (struct claim){ 0 };
        slot_mark(t, s);
    }
    HASH_ITER(hh, t->ip_counts, c, next_c)
    {
        c->programmed = false;
        if (!c->dirty) {
            c->dirty = true;
            c->next_dirty = t->dirty_ips;
            t->dirty_ips = c;
        }
    }
    HASH_ITER(hh, t->chains, ch, next_ch)
    {
        HASH_DEL(t->chains, ch);
        free(ch);
    }
    HASH_ITER(hh, t->stickies, st, next_st)
    {
        HASH_DEL(t->stickies, st);
        free(st);
    }
    t->affinity_suspect = false;
}

void
nft_tables_full(struct nft_tables *t, struct sbuf *out)
{
    forget(t);
    nft_emit_skeleton(t, out);
    settle_and_emit(t, out);
}
