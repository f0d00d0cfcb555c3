// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/service_picture.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/str.h"

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define LABEL_PROXY_NAME "service.kubernetes.io/service-proxy-name"
#define LABEL_HEADLESS "service.kubernetes.io/headless"
#define DEFAULT_AFFINITY_S 10800

/* The view's memory: what all its pointers point into. */
struct view_box {
    struct service_view view;
    atomic_uint refs;
    struct arena *arena;
};

/* One address and port of a slice with what its conditions say. */
struct candidate {
    struct endpoint_addr at;
    bool ready, serving, terminating, local;
    bool zone_hinted, for_our_zone, node_hinted, for_our_node;
};
struct candidates {
    struct candidate *items;
    uint32_t len, cap;
};

struct builder {
    const struct service *svc;
    const struct endpoint_slice *const *slices;
    size_t nslices;
    const struct picture_node *node;
    enum ip_family family;
    struct sbuf *warnings;
    struct view_box *box;
    size_t cap_frontends, cap_locals;
    const struct ip_net *sources;
    uint32_t nsources;
    uint32_t affinity_s;
    bool internal_local, external_local;
};

static const struct endpoint_list empty_list;

const char *
service_proto_name(enum service_proto proto)
{
    static const char *const names[] = { "tcp", "udp", "sctp" };

    return names[proto];
}

/* --- the view --- */

static struct view_box *
box_of(struct service_view *v)
{
    return CONTAINER_OF(v, struct view_box, view);
}

struct service_view *
service_view_ref(struct service_view *v)
{
    if (v)
        atomic_fetch_add(&box_of(v)->refs, 1);
    return v;
}

void
service_view_unref(struct service_view *v)
{
    struct view_box *box;

    if (!v)
        return;
    box = box_of(v);
    if (atomic_fetch_sub(&box->refs, 1) > 1)
        return;
    arena_free(box->arena);
    free(box);
}

static void *
grow(struct builder *b, void *items, size_t *cap, size_t len, size_t size)
{
    size_t more = *cap ? *cap * 2 : 4;

    if (len < *cap)
        return items;
    items = arena_grow(b->box->arena, items, *cap * size, more * size);
    *cap = more;
    return items;
}

/* --- small readings of the API --- */

static const char *
label(const struct string_map *labels, const char *key)
{
    for (uint32_t i = 0; i < labels->len; i++)
        if (strcmp(labels->items[i].key, key) == 0)
            return str_safe(labels->items[i].value);
    return NULL;
}

static bool
proto_parse(const char *s, enum service_proto *ret)
{
    static const struct {
        const char *name;
        enum service_proto proto;
    } protos[] = { { "", PROTO_TCP }, { "TCP", PROTO_TCP }, { "UDP", PROTO_UDP }, { "SCTP", PROTO_SCTP } };

    for (size_t i = 0; i < ARRAY_LEN(protos); i++)
        if (str_eq(s, protos[i].name)) {
            *ret = protos[i].proto;
            return true;
        }
    return false;
}

static bool
port_ok(int64_t port)
{
    return port > 0 && port <= 65535;
}

const char *
slice_service_name(const struct endpoint_slice *slice)
{
    const struct string_map *labels = &slice->metadata.labels;

    if (label(labels, LABEL_PROXY_NAME) || label(labels, LABEL_HEADLESS))
        return NULL;
    return label(labels, LABEL_SERVICE_NAME);
}

static bool
is_ours(const struct service *svc)
{
    return !label(&svc->metadata.labels, LABEL_PROXY_NAME) && !str_eq(svc->spec.type, "ExternalName") &&
           !str_eq(svc->spec.cluster_ip, "None") && !str_empty(svc->spec.cluster_ip);
}

/* --- endpoints: from slices to candidates to lists --- */

static bool
zone_hint_names(const struct endpoint_hints *hints, const char *zone)
{
    for (uint32_t i = 0; i < hints->for_zones.len; i++)
        if (!str_empty(zone) && str_eq(hints->for_zones.items[i].name, zone))
            return true;
    return false;
}

static bool
node_hint_names(const struct endpoint_hints *hints, const char *name)
{
    for (uint32_t i = 0; i < hints->for_nodes.len; i++)
        if (!str_empty(name) && str_eq(hints->for_nodes.items[i].name, name))
            return true;
    return false;
}

static void
candidates_add(struct builder *b, struct candidates *cs, const struct candidate *c)
{
    size_t cap = cs->cap;

    cs->items = grow(b, cs->items, &cap, cs->len, sizeof(*c));
    cs->cap = (uint32_t)cap;
    cs->items[cs->len++] = *c;
}

static int
candidate_cmp(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int order = endpoint_addr_cmp(&x->at, &y->at);

    return order ? order : (int)y->ready - (int)x->ready;
}

/* The same address may be in two slices while it moves between them: the better state counts. */
static void
candidates_settle(struct candidates *cs)
{
    uint32_t n = 0;

    if (cs->len)
        qsort(cs->items, cs->len, sizeof(*cs->items), candidate_cmp);
    for (uint32_t i = 0; i < cs->len; i++)
        if (n == 0 || endpoint_addr_cmp(&cs->items[n - 1].at, &cs->items[i].at) != 0)
            cs->items[n++] = cs->items[i];
    cs->len = n;
}

static void
candidate_read(struct builder *b, const struct discovery_endpoint *ep, uint16_t port, struct candidates *cs)
{
    const struct endpoint_conditions *is = &ep->conditions;
    struct candidate c;

    memset(&c, 0, sizeof(c));
    if (ep->addresses.len == 0 || ip_parse(ep->addresses.items[0], &c.at.ip) < 0 || c.at.ip.family != b->family) {
        sbuf_addf(b->warnings, "endpoint address %s is no address of its slice's type; ",
                  ep->addresses.len ? str_safe(ep->addresses.items[0]) : "(none)");
        return;
    }
    c.at.port = port;
    c.ready = !is->ready || *is->ready;
    c.serving = !is->serving || *is->serving;
    c.terminating = is->terminating && *is->terminating;
    c.local = !str_empty(b->node->name) && str_eq(ep->node_name, b->node->name);
    if (ep->hints) {
        c.zone_hinted = ep->hints->for_zones.len > 0;
        c.for_our_zone = zone_hint_names(ep->hints, b->node->zone);
        c.node_hinted = ep->hints->for_nodes.len > 0;
        c.for_our_node = node_hint_names(ep->hints, b->node->name);
    }
    candidates_add(b, cs, &c);
}

static bool
slice_fits(const struct builder *b, const struct endpoint_slice *slice)
{
    const char *name = slice_service_name(slice);

    return name && str_eq(name, b->svc->metadata.name) &&
           str_eq(slice->metadata.namespace, b->svc->metadata.namespace) &&
           str_eq(slice->address_type, b->family == IP_V4 ? "IPv4" : "IPv6");
}

static void
candidates_of_port(struct builder *b, const struct service_port *sp, enum service_proto proto, struct candidates *cs)
{
    enum service_proto slice_proto;

    for (size_t s = 0; s < b->nslices; s++) {
        const struct endpoint_slice *slice = b->slices[s];

        if (!slice_fits(b, slice))
            continue;
        for (uint32_t p = 0; p < slice->ports.len; p++) {
            const struct discovery_endpoint_port *port = &slice->ports.items[p];

            if (!port->port || !port_ok(*port->port) || !str_eq(port->name, sp->name) ||
                !proto_parse(port->protocol, &slice_proto) || slice_proto != proto)
                continue;
            for (uint32_t e = 0; e < slice->endpoints.len; e++)
                candidate_read(b, &slice->endpoints.items[e], (uint16_t)*port->port, cs);
        }
    }
}

int
endpoint_addr_cmp(const void *a, const void *b)
{
    const struct endpoint_addr *x = a, *y = b;
    int order = ip_cmp(&x->ip, &y->ip);

    return order ? order : (int)x->port - (int)y->port;
}

bool
endpoint_list_has(const struct endpoint_list *l, const struct endpoint_addr *e)
{
    return l->len && bsearch(e, l->items, l->len, sizeof(*e), endpoint_addr_cmp);
}

typedef bool candidate_fn(const struct candidate *c);

static bool
is_ready(const struct candidate *c)
{
    return c->ready;
}
static bool
is_leaving(const struct candidate *c)
{
    return c->serving && c->terminating;
}
static bool
is_ready_here(const struct candidate *c)
{
    return c->ready && c->local;
}
static bool
is_leaving_here(const struct candidate *c)
{
    return c->serving && c->terminating && c->local;
}
static bool
is_ready_for_node(const struct candidate *c)
{
    return c->ready && c->for_our_node;
}
static bool
is_ready_for_zone(const struct candidate *c)
{
    return c->ready && c->for_our_zone;
}

static struct endpoint_list *
choose(struct builder *b, const struct candidates *cs, candidate_fn *wanted)
{
    struct endpoint_list *l = ARENA_NEW(b->box->arena, struct endpoint_list);

    for (uint32_t i = 0; i < cs->len; i++)
        l->cap += wanted(&cs->items[i]);
    if (l->cap == 0)
        return l;
    l->items = arena_alloc(b->box->arena, l->cap * sizeof(*l->items));
    for (uint32_t i = 0; i < cs->len; i++)
        if (wanted(&cs->items[i]))
            l->items[l->len++] = cs->items[i].at;
    return l;
}

/* Hints are followed only when every ready endpoint has one of that sort and some name us. */
static candidate_fn *
ready_rule(const struct candidates *cs)
{
    uint32_t ready = 0, node_hinted = 0, zone_hinted = 0, our_node = 0, our_zone = 0;

    for (uint32_t i = 0; i < cs->len; i++) {
        const struct candidate *c = &cs->items[i];

        if (!c->ready)
            continue;
        ready++;
        node_hinted += c->node_hinted;
        zone_hinted += c->zone_hinted;
        our_node += c->for_our_node;
        our_zone += c->for_our_zone;
    }
    if (ready && node_hinted == ready && our_node)
        return is_ready_for_node;
    if (ready && zone_hinted == ready && our_zone)
        return is_ready_for_zone;
    return is_ready;
}

/* While none is ready, those that are leaving but still serve are better than nothing. */
static const struct endpoint_list *
cluster_list(struct builder *b, const struct candidates *cs)
{
    const struct endpoint_list *l = choose(b, cs, ready_rule(cs));

    return l->len ? l : choose(b, cs, is_leaving);
}

static const struct endpoint_list *
local_list(struct builder *b, const struct candidates *cs)
{
    const struct endpoint_list *l = choose(b, cs, is_ready_here);

    return l->len ? l : choose(b, cs, is_leaving_here);
}

/* --- frontends --- */

static struct frontend *
frontend_add(struct builder *b, enum frontend_kind kind, enum service_proto proto, int32_t port,
             const struct ip_addr *ip)
{
    struct service_view *v = &b->box->view;
    struct frontend *f;

    v->frontends = grow(b, v->frontends, &b->cap_frontends, v->nfrontends, sizeof(*f));
    f = &v->frontends[v->nfrontends++];
    memset(f, 0, sizeof(*f));
    f->key.kind = (uint8_t)kind;
    f->key.proto = (uint8_t)proto;
    f->key.port = (uint16_t)port;
    if (ip)
        f->key.ip = *ip;
    f->endpoints = f->local = &empty_list;
    f->affinity_s = b->affinity_s;
    v->udp |= proto == PROTO_UDP;
    return f;
}

static void
add_cluster_ips(struct builder *b, const struct service_port *sp, enum service_proto proto,
                const struct endpoint_list *cluster, const struct endpoint_list *local)
{
    const struct service_view *v = &b->box->view;

    for (size_t i = 0; i < v->ncluster_ips; i++) {
        struct frontend *f = frontend_add(b, FRONTEND_ADDRESS, proto, sp->port, &v->cluster_ips[i]);

        f->traffic = TRAFFIC_CLUSTER_IP;
        f->endpoints = b->internal_local ? local : cluster;
        f->verdict = f->endpoints->len ? FRONTEND_FORWARD : cluster->len ? FRONTEND_DROP : FRONTEND_REJECT;
    }
}

static void
as_external(const struct builder *b, struct frontend *f, const struct endpoint_list *cluster,
            const struct endpoint_list *local)
{
    f->traffic = b->external_local ? TRAFFIC_EXTERNAL_LOCAL : TRAFFIC_EXTERNAL;
    f->endpoints = cluster;
    if (b->external_local)
        f->local = local;
    f->verdict = f->endpoints->len || f->local->len ? FRONTEND_FORWARD : FRONTEND_REJECT;
}

static void
add_external(struct builder *b, const struct service_port *sp, enum service_proto proto,
             const struct endpoint_list *cluster, const struct endpoint_list *local)
{
    const struct service_spec *spec = &b->svc->spec;
    const struct load_balancer_ingress_slice *ingress = &b->svc->status.load_balancer.ingress;
    struct frontend *f;
    struct ip_addr ip;

    for (uint32_t i = 0; i < spec->external_ips.len; i++) {
        if (ip_parse(spec->external_ips.items[i], &ip) < 0 || ip.family != b->family)
            continue;
        as_external(b, frontend_add(b, FRONTEND_ADDRESS, proto, sp->port, &ip), cluster, local);
    }
    for (uint32_t i = 0; i < ingress->len; i++) {
        const struct load_balancer_ingress *in = &ingress->items[i];

        /* ipMode Proxy: the load balancer wants the traffic for itself. */
        if (ip_parse(in->ip, &ip) < 0 || ip.family != b->family || str_eq(in->ip_mode, "Proxy"))
            continue;
        f = frontend_add(b, FRONTEND_ADDRESS, proto, sp->port, &ip);
        as_external(b, f, cluster, local);
        f->sources = b->sources;
        f->nsources = b->nsources;
    }
    if (port_ok(sp->node_port))
        as_external(b, frontend_add(b, FRONTEND_NODE_PORT, proto, sp->node_port, NULL), cluster, local);
}

static int
ip_cmp_void(const void *a, const void *b)
{
    return ip_cmp(a, b);
}

static void
note_locals(struct builder *b, const struct candidates *cs)
{
    struct service_view *v = &b->box->view;

    for (uint32_t i = 0; i < cs->len; i++) {
        if (!cs->items[i].local)
            continue;
        v->local_ips = grow(b, v->local_ips, &b->cap_locals, v->nlocal_ips, sizeof(*v->local_ips));
        v->local_ips[v->nlocal_ips++] = cs->items[i].at.ip;
    }
}

static void
sort_locals(struct service_view *v)
{
    size_t n = 0;

    if (v->nlocal_ips)
        qsort(v->local_ips, v->nlocal_ips, sizeof(*v->local_ips), ip_cmp_void);
    for (size_t i = 0; i < v->nlocal_ips; i++)
        if (n == 0 || !ip_eq(&v->local_ips[n - 1], &v->local_ips[i]))
            v->local_ips[n++] = v->local_ips[i];
    v->nlocal_ips = n;
}

/* How many of the service's endpoints here are ready: what its health port tells a load balancer. */
static uint32_t
count_local_ready(const struct builder *b, const struct candidates *cs)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < cs->len; i++)
        n += is_ready_here(&cs->items[i]);
    return n;
}

static void
add_port(struct builder *b, const struct service_port *sp)
{
    const struct endpoint_list *cluster, *local;
    struct candidates cs = { 0 };
    enum service_proto proto;
    uint32_t ready;

    if (!proto_parse(sp->protocol, &proto) || !port_ok(sp->port)) {
        sbuf_addf(b->warnings, "port %d with protocol %s cannot be served; ", sp->port, str_safe(sp->protocol));
        return;
    }
    candidates_of_port(b, sp, proto, &cs);
    candidates_settle(&cs);
    cluster = cluster_list(b, &cs);
    local = local_list(b, &cs);
    add_cluster_ips(b, sp, proto, cluster, local);
    add_external(b, sp, proto, cluster, local);
    note_locals(b, &cs);
    ready = count_local_ready(b, &cs);
    if (ready > b->box->view.local_ready)
        b->box->view.local_ready = ready;
}

/* --- the service as a whole --- */

static void
read_cluster_ips(struct builder *b)
{
    const struct service_spec *spec = &b->svc->spec;
    const char *const *ips = spec->cluster_ips.len ? (const char *const *)spec->cluster_ips.items : &spec->cluster_ip;
    uint32_t n = spec->cluster_ips.len ? spec->cluster_ips.len : 1;
    struct service_view *v = &b->box->view;
    struct ip_addr ip;

    v->cluster_ips = arena_alloc(b->box->arena, n * sizeof(*v->cluster_ips));
    for (uint32_t i = 0; i < n; i++)
        if (ip_parse(ips[i], &ip) == 0 && ip.family == b->family)
            v->cluster_ips[v->ncluster_ips++] = ip;
}

/* Keeps the widest networks only: an interval set takes no overlaps. */
static uint32_t
add_source(struct ip_net *nets, uint32_t n, const struct ip_net *net)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n; i++)
        if (nets[i].bits <= net->bits && ip_net_has(&nets[i], &net->addr))
            return n;
    for (uint32_t i = 0; i < n; i++)
        if (!ip_net_has(net, &nets[i].addr))
            nets[kept++] = nets[i];
    nets[kept++] = *net;
    return kept;
}

static void
read_sources(struct builder *b)
{
    const struct string_slice *ranges = &b->svc->spec.load_balancer_source_ranges;
    struct ip_net *nets, net;
    uint32_t n = 0;

    if (ranges->len == 0)
        return;
    nets = arena_alloc(b->box->arena, ranges->len * sizeof(*nets));
    for (uint32_t i = 0; i < ranges->len; i++) {
        AUTO_FREE char *text = xstrdup(str_safe(ranges->items[i]));
        char *at = text + strspn(text, " \t"); /* upstream trims */

        at[strcspn(at, " \t")] = '\0';
        if (ip_net_parse(at, &net) < 0) {
            sbuf_addf(b->warnings, "source range %s is no network; ", at);
            continue;
        }
        if (net.bits == 0) /* everybody */
            return;
        if (net.addr.family == b->family)
            n = add_source(nets, n, &net);
    }
    b->sources = nets;
    b->nsources = n;
}

static void
read_policies(struct builder *b)
{
    const struct service_spec *spec = &b->svc->spec;
    const struct session_affinity_config *cfg = spec->session_affinity_config;

    b->internal_local = str_eq(spec->internal_traffic_policy, "Local");
    b->external_local = str_eq(spec->external_traffic_policy, "Local");
    if (str_eq(spec->session_affinity, "ClientIP")) {
        b->affinity_s = DEFAULT_AFFINITY_S;
        if (cfg && cfg->client_ip && cfg->client_ip->timeout_seconds && *cfg->client_ip->timeout_seconds > 0)
            b->affinity_s = (uint32_t)*cfg->client_ip->timeout_seconds;
    }
    if (b->external_local && str_eq(spec->type, "LoadBalancer") && port_ok(spec->health_check_node_port))
        b->box->view.health_port = (uint16_t)spec->health_check_node_port;
}

struct service_view *
service_view_build(const struct service *svc, const struct endpoint_slice *const *slices, size_t nslices,
                   const struct picture_node *node, enum ip_family family, struct sbuf *warnings)
{
    struct view_box *box = XNEW(struct view_box);
    struct builder b = { .svc = svc,
                         .slices = slices,
                         .nslices = nslices,
                         .node = node,
                         .family = family,
                         .warnings = warnings,
                         .box = box };

    box->arena = arena_new(0);
    atomic_init(&box->refs, 1);
    box->view.name = arena_printf(box->arena, "%s/%s", str_safe(svc->metadata.namespace), str_safe(svc->metadata.name));
    if (!is_ours(svc))
        return &box->view;
    read_cluster_ips(&b);
    read_sources(&b);
    read_policies(&b);
    if (box->view.ncluster_ips == 0) { /* no address of this family: nothing to serve here */
        box->view.health_port = 0;
        return &box->view;
    }
    for (uint32_t i = 0; i < svc->spec.ports.len; i++)
        add_port(&b, &svc->spec.ports.items[i]);
    sort_locals(&box->view);
    return &box->view;
}
