// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/endpointslice.h"

#include "common/base/clock.h"
#include "controller-manager/controllers.h"

#define L_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define MANAGED_BY "endpointslice-controller.k8s.io"
#define L_SERVICE "kubernetes.io/service-name"
#define L_HEADLESS "service.kubernetes.io/headless"
#define L_ZONE "topology.kubernetes.io/zone"

/* --- decide: what is wanted --- */

struct want { /* one endpoint */
    struct discovery_endpoint endpoint;
    const char *uid; /* of its pod */
    bool placed;
};

struct group { /* endpoints that may share a slice */
    const char *address_type;
    struct backend_ports ports;
    struct discovery_endpoint_port_slice slice_ports;
    struct want *wants;
    size_t len;
};

struct slice { /* an existing one */
    const struct object *obj;
    const struct endpoint_slice *body;
    struct group *group; /* NULL: no longer wanted */
    struct object *copy; /* the next version */
    struct endpoint_slice *next;
    bool changed;
};

struct picture {
    const struct service_picture *in;
    const struct service *s;
    struct plan *plan;
    struct arena *a; /* of this decision */
    struct group *groups;
    size_t ngroups;
    struct slice *slices;
    size_t nslices;
};

static struct discovery_endpoint_port_slice
slice_ports(const struct backend_ports *ports, struct arena *a)
{
    struct discovery_endpoint_port *items = arena_alloc(a, (ports->len + 1) * sizeof *items);

    for (uint32_t i = 0; i < ports->len; i++) {
        const struct service_port *p = ports->items[i].port;
        items[i] = (struct discovery_endpoint_port){ arena_strdup(a, str_safe(p->name)), arena_strdup(a, str_or(p->protocol, "TCP")),
                                                     arena_i32(a, ports->items[i].number), arena_strdup(a, p->app_protocol) };
    }
    return (struct discovery_endpoint_port_slice){ ports->len ? items : NULL, ports->len, ports->len };
}

static const char *
zone_of(const struct picture *p, const char *node)
{
    for (size_t i = 0; i < p->in->nodes.len; i++)
        if (str_eq(object_name(p->in->nodes.items[i]), node))
            return meta_label(object_meta(p->in->nodes.items[i]), L_ZONE);
    return NULL;
}

/* spec.trafficDistribution: stay in the zone, or on the node. */
static struct endpoint_hints *
hints_for(const struct picture *p, const struct discovery_endpoint *e)
{
    const char *how = p->s->spec.traffic_distribution;
    bool same_node = str_eq(how, "PreferSameNode");
    struct endpoint_hints *h;

    if (!same_node && !str_eq(how, "PreferClose") && !str_eq(how, "PreferSameZone"))
        return NULL;
    if (!bool_or(e->conditions.ready, false) || (str_empty(e->zone) && !(same_node && !str_empty(e->node_name))))
        return NULL;
    h = ARENA_NEW(p->a, struct endpoint_hints);
    if (!str_empty(e->zone)) {
        struct for_zone *z = ARENA_NEW(p->a, struct for_zone);
        z->name = e->zone;
        h->for_zones = (struct for_zone_slice){ z, 1, 1 };
    }
    if (same_node && !str_empty(e->node_name)) {
        struct for_node *n = ARENA_NEW(p->a, struct for_node);
        n->name = e->node_name;
        h->for_nodes = (struct for_node_slice){ n, 1, 1 };
    }
    return h;
}

static struct discovery_endpoint
endpoint_of(const struct picture *p, const struct pod *pod, const char *ip)
{
    bool serving = pod_ready(pod), terminating = meta_deleting(&pod->metadata);
    struct discovery_endpoint e = { .target_ref = backend_ref(pod, p->a) };

    string_slice_add(&e.addresses, p->a, ip);
    e.conditions.ready = arena_bool(p->a, p->s->spec.publish_not_ready_addresses || (serving && !terminating));
    e.conditions.serving = arena_bool(p->a, serving);
    e.conditions.terminating = arena_bool(p->a, terminating);
    if (!str_empty(pod->spec.node_name)) {
        e.node_name = pod->spec.node_name;
        e.zone = str_or(zone_of(p, pod->spec.node_name), NULL);
    }
    if (backend_has_hostname(pod, &p->s->metadata))
        e.hostname = pod->spec.hostname;
    e.hints = hints_for(p, &e);
    return e;
}

static struct group *
group_for(struct picture *p, const char *type, const struct backend_ports *ports)
{
    for (size_t i = 0; i < p->ngroups; i++)
        if (p->groups[i].address_type == type && backend_ports_equal(&p->groups[i].ports, ports))
            return &p->groups[i];
    if (p->ngroups % 4 == 0)
        p->groups = arena_grow(p->a, p->groups, p->ngroups * sizeof *p->groups, (p->ngroups + 4) * sizeof *p->groups);
    struct group *g = &p->groups[p->ngroups++];
    *g = (struct group){ .address_type = type, .ports = *ports, .slice_ports = slice_ports(ports, p->a) };
    g->wants = arena_alloc(p->a, (p->in->pods.len + 1) * sizeof *g->wants);
    return g;
}

static void
collect(struct picture *p, const char *type)
{
    for (size_t i = 0; i < p->in->pods.len; i++) {
        const struct pod *pod = OBJECT_BODY(p->in->pods.items[i], pod);
        const char *ip = backend_is_in(pod, true) ? backend_ip(pod, str_eq(type, "IPv6")) : NULL;
        struct backend_ports ports;
        if (!ip)
            continue;
        backend_ports_of(pod, p->s, &ports);
        struct group *g = group_for(p, type, &ports);
        g->wants[g->len++] = (struct want){ endpoint_of(p, pod, ip), pod->metadata.uid };
    }
}

/* --- decide: into slices --- */

static struct want *
find_want(struct group *g, const struct discovery_endpoint *e)
{
    for (size_t i = 0; i < g->len; i++) {
        struct want *w = &g->wants[i];
        if (!w->placed && str_eq(w->uid, e->target_ref ? e->target_ref->uid : NULL) && e->addresses.len == 1 &&
            str_eq(w->endpoint.addresses.items[0], e->addresses.items[0]))
            return w;
    }
    return NULL;
}

static void
open_copy(struct slice *s, size_t room)
{
    struct discovery_endpoint *items;

    s->copy = object_copy(s->obj);
    s->next = object_body(s->copy);
    items = arena_alloc(object_arena(s->copy), room * sizeof *items);
    s->next->endpoints = (struct discovery_endpoint_slice){ items, 0, (uint32_t)room };
}

static void
put(struct object *obj, struct endpoint_slice *to, struct want *w)
{
    api_copy(&api_type_discovery_endpoint, object_arena(obj), &w->endpoint, &to->endpoints.items[to->endpoints.len++]);
    w->placed = true;
}

/* Endpoints that are still wanted stay in their slice. */
static void
keep(const struct picture *p, struct slice *s)
{
    open_copy(s, s->body->endpoints.len + (size_t)p->in->max_per_slice);
    for (uint32_t i = 0; i < s->body->endpoints.len; i++) {
        const struct discovery_endpoint *e = &s->body->endpoints.items[i];
        struct want *w = find_want(s->group, e);
        if (!w) {
            s->changed = true;
            continue;
        }
        if (!api_equal(&api_type_discovery_endpoint, e, &w->endpoint))
            s->changed = true;
        put(s->copy, s->next, w);
    }
}

static struct want *
next_unplaced(struct group *g)
{
    for (size_t i = 0; i < g->len; i++)
        if (!g->wants[i].placed)
            return &g->wants[i];
    return NULL;
}

/* Slices that are written anyway first, then any with room. */
static void
fill(const struct picture *p, struct group *g, bool changed_only)
{
    for (size_t i = 0; i < p->nslices; i++) {
        struct slice *s = &p->slices[i];
        if (s->group != g || (changed_only && !s->changed))
            continue;
        struct want *w;
        while (s->next->endpoints.len < (uint32_t)p->in->max_per_slice && (w = next_unplaced(g))) {
            put(s->copy, s->next, w);
            s->changed = true;
        }
    }
}

static void
set_labels(const struct service *s, struct object_meta *meta, struct arena *a)
{
    const struct string_map *from = &s->metadata.labels;

    meta->labels = (struct string_map){ 0 };
    for (uint32_t i = 0; i < from->len; i++)
        string_map_set(&meta->labels, a, from->items[i].key, str_safe(from->items[i].value));
    string_map_set(&meta->labels, a, L_SERVICE, s->metadata.name);
    string_map_set(&meta->labels, a, L_MANAGED_BY, MANAGED_BY);
    if (service_is_headless(s))
        string_map_set(&meta->labels, a, L_HEADLESS, "");
    else
        string_map_del(&meta->labels, a, L_HEADLESS);
}

static struct object *
new_slice(const struct picture *p, const char *type, size_t room)
{
    struct object *obj = object_new_of("discovery.k8s.io/v1", "EndpointSlice");
    struct arena *a = object_arena(obj);
    struct endpoint_slice *s = object_body(obj);
    struct owner_reference ref = owner_ref_to(object_kind(p->in->service), &p->s->metadata, a);

    s->metadata.generate_name = arena_printf(a, "%s-", p->s->metadata.name);
    s->metadata.namespace = arena_strdup(a, p->s->metadata.namespace);
    meta_add_owner(&s->metadata, a, &ref);
    set_labels(p->s, &s->metadata, a);
    s->address_type = arena_strdup(a, type);
    s->endpoints = (struct discovery_endpoint_slice){ arena_alloc(a, (room + 1) * sizeof *s->endpoints.items), 0, (uint32_t)room };
    return obj;
}

static void
create_rest(struct picture *p, struct group *g)
{
    struct want *w;

    while ((w = next_unplaced(g))) {
        struct object *obj = new_slice(p, g->address_type, (size_t)p->in->max_per_slice);
        struct endpoint_slice *s = object_body(obj);
        s->ports = slice_ports(&g->ports, object_arena(obj));
        for (; w && s->endpoints.len < (uint32_t)p->in->max_per_slice; w = next_unplaced(g))
            put(obj, s, w);
        plan_create(p->plan, obj, "endpoints without a place");
    }
}

static bool
ports_equal(const struct discovery_endpoint_port_slice *a, const struct discovery_endpoint_port_slice *b)
{
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!api_equal(&api_type_discovery_endpoint_port, &a->items[i], &b->items[i]))
            return false;
    return true;
}

static struct group *
group_of(struct picture *p, const struct endpoint_slice *s)
{
    for (size_t i = 0; i < p->ngroups; i++)
        if (str_eq(p->groups[i].address_type, s->address_type) && ports_equal(&p->groups[i].slice_ports, &s->ports))
            return &p->groups[i];
    return NULL;
}

static bool
labels_differ(const struct picture *p, const struct slice *s)
{
    struct object_meta want = { 0 };

    set_labels(p->s, &want, p->a);
    return !label_map_contains(&want.labels, &s->body->metadata.labels) || !label_map_contains(&s->body->metadata.labels, &want.labels);
}

/* What goes out for one existing slice. */
static void
finish(struct picture *p, struct slice *s, bool keep_as_placeholder)
{
    if (!s->group || s->next->endpoints.len == 0) {
        if (!keep_as_placeholder) {
            plan_delete(p->plan, s->obj, "no endpoint is left for it");
            return;
        }
        if (!s->next) {
            open_copy(s, 1);
            s->changed = s->body->endpoints.len > 0 || s->body->ports.len > 0;
        }
        s->next->ports = (struct discovery_endpoint_port_slice){ 0 };
        s->changed = s->changed || s->body->ports.len > 0;
    }
    if (labels_differ(p, s)) {
        set_labels(p->s, &s->next->metadata, object_arena(s->copy));
        s->changed = true;
    }
    if (s->changed)
        plan_update(p->plan, object_ref(s->copy), "endpoints or labels changed");
}

/* A Service without endpoints keeps one empty slice per family, so that clients see that there are none. */
static void
one_family(struct picture *p, const char *type)
{
    struct slice *placeholder = NULL;
    bool any = false;

    for (size_t i = 0; i < p->ngroups; i++)
        any = any || (p->groups[i].address_type == type && p->groups[i].len > 0);
    for (size_t i = 0; i < p->nslices && !any && !placeholder; i++)
        if (str_eq(p->slices[i].body->address_type, type))
            placeholder = &p->slices[i];
    for (size_t i = 0; i < p->nslices; i++)
        if (str_eq(p->slices[i].body->address_type, type))
            finish(p, &p->slices[i], &p->slices[i] == placeholder);
    if (!any && !placeholder)
        plan_create(p->plan, new_slice(p, type, 0), "a Service without endpoints has one empty slice");
}

static void
take_slices(struct picture *p)
{
    p->slices = arena_alloc(p->a, (p->in->current.len + 1) * sizeof *p->slices);
    for (size_t i = 0; i < p->in->current.len; i++) {
        const struct object *obj = p->in->current.items[i];
        if (meta_deleting(object_meta(obj)))
            continue;
        struct slice *s = &p->slices[p->nslices++];
        *s = (struct slice){ .obj = obj, .body = OBJECT_BODY(obj, endpoint_slice) };
        s->group = group_of(p, s->body);
        if (s->group)
            keep(p, s);
    }
}

static void
drop_other_families(struct picture *p, const char *const *types, size_t ntypes)
{
    for (size_t i = 0; i < p->nslices; i++) {
        bool wanted = false;
        for (size_t t = 0; t < ntypes; t++)
            wanted = wanted || str_eq(p->slices[i].body->address_type, types[t]);
        if (!wanted)
            plan_delete(p->plan, p->slices[i].obj, "the Service does not have this address family");
    }
}

static size_t
families(const struct service *s, const char *ret[2])
{
    size_t n = 0;

    if (str_eq(s->spec.type, "ExternalName"))
        return 0;
    for (uint32_t i = 0; i < s->spec.ip_families.len && n < 2; i++)
        ret[n++] = str_eq(s->spec.ip_families.items[i], "IPv6") ? "IPv6" : "IPv4";
    if (n == 0)
        ret[n++] = strchr(str_safe(s->spec.cluster_ip), ':') ? "IPv6" : "IPv4";
    return n;
}

static void
decide(struct picture *p)
{
    const char *types[2] = { 0 };
    size_t ntypes = families(p->s, types);

    for (size_t t = 0; t < ntypes; t++)
        collect(p, types[t]);
    take_slices(p);
    for (size_t i = 0; i < p->ngroups; i++) {
        fill(p, &p->groups[i], true);
        fill(p, &p->groups[i], false);
        create_rest(p, &p->groups[i]);
    }
    for (size_t t = 0; t < ntypes; t++)
        one_family(p, types[t]);
    drop_other_families(p, types, ntypes);
    for (size_t i = 0; i < p->nslices; i++)
        object_unref(p->slices[i].copy);
}

struct plan *
endpointslice_decide(const struct service_picture *in, const char *key, struct api_time now)
{
    AUTO(arena) *a = arena_new(0);
    struct picture p = { .in = in, .plan = plan_new(key), .a = a };

    if (!in->service) {
        for (size_t i = 0; i < in->current.len; i++)
            plan_delete(p.plan, in->current.items[i], "the Service is gone");
        return p.plan;
    }
    p.s = OBJECT_BODY(in->service, service);
    if (p.s->spec.selector.len > 0 && !meta_deleting(&p.s->metadata))
        decide(&p);
    return p.plan;
}

/* --- observe and act --- */

struct state {
    struct informer *slices, *nodes;
    unsigned by_service;
};

static void
key_service(const struct object *obj, informer_emit_fn *emit, void *ctx)
{
    const struct object_meta *meta = object_meta(obj);
    const char *service = meta_label(meta, L_SERVICE);

    if (str_empty(service) || !str_eq(meta_label(meta, L_MANAGED_BY), MANAGED_BY))
        return;
    AUTO_FREE char *key = xasprintf("%s/%s", str_safe(meta->namespace), service);
    emit(key, ctx);
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;
    struct service_picture p = { .max_per_slice = c->options->max_endpoints_per_slice };

    if (!expectations_satisfied(c->expectations, key, clock_mono_ms()))
        return NULL; /* the slices we wrote come back on the watch, and queue the key */
    backends_look(c, key, &p);
    informer_by_index(s->slices, s->by_service, key, &p.current);
    informer_list(s->nodes, NULL, &p.nodes);
    struct kerr *err = controller_act(c, NULL, endpointslice_decide(&p, key, controller_now()));
    if (err && p.service && err->reason != KERR_CONFLICT && !rest_is_transient(err))
        events_send(c->events, p.service, EVENT_WARNING, "FailedToUpdateEndpointSlices", "Error updating Endpoint Slices for Service %s: %s", key, err->message);
    service_picture_done(&p);
    return err;
}

static void
service_changed(struct controller *c, const struct object *old, const struct object *now)
{
    controller_enqueue(c, now ? now : old);
}

static void
pod_changed(struct controller *c, const struct object *old, const struct object *now)
{
    backends_pod_changed(c, old, now);
}

struct change {
    struct controller *c;
    const struct object *old, *now;
};

static void
see(const char *key, void *arg)
{
    const struct change *x = arg;
    const struct object *obj = x->now ? x->now : x->old;

    if (!x->old)
        expectations_creation_seen(x->c->expectations, key);
    if (!x->now || meta_deleting(object_meta(obj)))
        expectations_deletion_seen(x->c->expectations, key, object_meta(obj)->uid);
    workqueue_add(x->c->queue, key);
}

static void
slice_changed(struct controller *c, const struct object *old, const struct object *now)
{
    struct change x = { c, old, now };

    key_service(now ? now : old, see, &x);
}

/* A node's zone shows in its endpoints. */
static void
node_changed(struct controller *c, const struct object *old, const struct object *now)
{
    AUTO_OBJECT_LIST services = { 0 };

    if ((!old && !informer_synced(((struct state *)c->state)->nodes)) ||
        str_eq(old ? meta_label(object_meta(old), L_ZONE) : NULL, now ? meta_label(object_meta(now), L_ZONE) : NULL))
        return;
    informer_list(controller_informer(c, "v1", "Service"), NULL, &services);
    for (size_t i = 0; i < services.len; i++)
        controller_enqueue(c, services.items[i]);
}

struct kerr *
endpointslice_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    c->expectations = expectations_new();
    c->expected = api_kind_find("discovery.k8s.io/v1", "EndpointSlice");
    s->slices = controller_informer(c, "discovery.k8s.io/v1", "EndpointSlice");
    s->nodes = controller_informer(c, "v1", "Node");
    s->by_service = informer_add_index(s->slices, "endpointSliceService", key_service);
    controller_queue(c, (unsigned)c->options->syncs_service_endpoint, sync_key);
    controller_watch(c, "v1", "Service", service_changed);
    controller_watch(c, "v1", "Pod", pod_changed);
    controller_watch(c, "discovery.k8s.io/v1", "EndpointSlice", slice_changed);
    controller_watch(c, "v1", "Node", node_changed);
    return NULL;
}
