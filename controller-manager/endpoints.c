// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/endpoints.h"

#include "controller-manager/controllers.h"

#define L_MANAGED_BY "endpoints.kubernetes.io/managed-by"
#define L_HEADLESS "service.kubernetes.io/headless"
#define A_OVER_CAPACITY "endpoints.kubernetes.io/over-capacity"

/* --- decide --- */

struct entry {
    const struct pod *pod;
    const char *ip;
    bool ready;
    struct backend_ports ports;
};

static int
entry_cmp(const void *pa, const void *pb)
{
    const struct entry *a = *(struct entry *const *)pa, *b = *(struct entry *const *)pb;
    int c = str_cmp(a->ip, b->ip);

    return c ? c : str_cmp(a->pod->metadata.uid, b->pod->metadata.uid);
}

static struct endpoint_address
address_of(const struct entry *e, const struct object_meta *service, struct arena *a)
{
    struct endpoint_address out = { .ip = arena_strdup(a, e->ip), .target_ref = backend_ref(e->pod, a) };

    if (!str_empty(e->pod->spec.node_name))
        out.node_name = arena_strdup(a, e->pod->spec.node_name);
    if (backend_has_hostname(e->pod, service))
        out.hostname = arena_strdup(a, e->pod->spec.hostname);
    return out;
}

static void
add_ports(struct endpoint_subset *sub, const struct backend_ports *ports, struct arena *a)
{
    struct endpoint_port *items = ports->len ? arena_alloc(a, ports->len * sizeof *items) : NULL;

    for (uint32_t i = 0; i < ports->len; i++) {
        const struct service_port *p = ports->items[i].port;
        items[i] = (struct endpoint_port){ arena_strdup(a, p->name), ports->items[i].number, arena_strdup(a, str_or(p->protocol, "TCP")), NULL };
        if (p->app_protocol)
            items[i].app_protocol = arena_strdup(a, p->app_protocol);
    }
    sub->ports = (struct endpoint_port_slice){ items, ports->len, ports->len };
}

/* All entries with the ports of the first that is left; they are taken out (set to NULL). */
static struct endpoint_subset
take_subset(struct entry **entries, size_t n, const struct object_meta *service, struct arena *a)
{
    struct endpoint_subset sub = { 0 };
    const struct entry *first = NULL;

    sub.addresses.items = arena_alloc(a, n * sizeof *sub.addresses.items);
    sub.not_ready_addresses.items = arena_alloc(a, n * sizeof *sub.not_ready_addresses.items);
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = entries[i];
        if (!e || (first && !backend_ports_equal(&first->ports, &e->ports)))
            continue;
        first = first ? first : e;
        struct endpoint_address_slice *to = e->ready ? &sub.addresses : &sub.not_ready_addresses;
        to->items[to->len++] = address_of(e, service, a);
        entries[i] = NULL;
    }
    add_ports(&sub, &first->ports, a);
    return sub;
}

static size_t
collect(const struct service_picture *p, const struct service *s, struct entry *entries)
{
    bool v6 = s->spec.ip_families.len > 0 && str_eq(s->spec.ip_families.items[0], "IPv6");
    size_t n = 0;

    for (size_t i = 0; i < p->pods.len; i++) {
        struct entry *e = &entries[n];
        e->pod = OBJECT_BODY(p->pods.items[i], pod);
        if (!backend_is_in(e->pod, s->spec.publish_not_ready_addresses))
            continue;
        e->ip = backend_ip(e->pod, v6);
        backend_ports_of(e->pod, s, &e->ports);
        e->ready = s->spec.publish_not_ready_addresses || pod_ready(e->pod);
        if (e->ip && (e->ports.len > 0 || (s->spec.ports.len == 0 && service_is_headless(s))))
            n++;
    }
    return n;
}

/* Over the bound the ready ones stay. Returns true when some were left out. */
static bool
truncate_entries(struct entry **entries, size_t *n)
{
    size_t kept = 0;

    if (*n <= ENDPOINTS_MAX)
        return false;
    struct entry **out = xcalloc(*n, sizeof *out);
    for (int ready = 1; ready >= 0; ready--)
        for (size_t i = 0; i < *n; i++)
            if (entries[i]->ready == ready && kept < ENDPOINTS_MAX)
                out[kept++] = entries[i];
    qsort(out, kept, sizeof *out, entry_cmp);
    memcpy(entries, out, kept * sizeof *out);
    free(out);
    *n = kept;
    return true;
}

static void
fill_subsets(const struct service_picture *p, const struct service *s, struct endpoints *eps, struct arena *a)
{
    struct entry *all = xcalloc(p->pods.len + 1, sizeof *all);
    struct entry **left = xcalloc(p->pods.len + 1, sizeof *left);
    size_t n = collect(p, s, all);

    for (size_t i = 0; i < n; i++)
        left[i] = &all[i];
    qsort(left, n, sizeof *left, entry_cmp);
    if (truncate_entries(left, &n))
        string_map_set(&eps->metadata.annotations, a, A_OVER_CAPACITY, "truncated");
    else
        string_map_del(&eps->metadata.annotations, a, A_OVER_CAPACITY);
    eps->subsets = (struct endpoint_subset_slice){ arena_alloc(a, (n + 1) * sizeof(struct endpoint_subset)), 0, (uint32_t)n };
    for (size_t i = 0; i < n; i++) {
        if (left[i])
            eps->subsets.items[eps->subsets.len++] = take_subset(left, n, &s->metadata, a);
    }
    free(left);
    free(all);
}

static void
set_labels(const struct service *s, struct object_meta *meta, struct arena *a)
{
    const struct string_map *from = &s->metadata.labels;

    meta->labels = (struct string_map){ 0 };
    for (uint32_t i = 0; i < from->len; i++)
        string_map_set(&meta->labels, a, from->items[i].key, str_safe(from->items[i].value));
    string_map_set(&meta->labels, a, L_MANAGED_BY, "endpoint-controller");
    if (service_is_headless(s))
        string_map_set(&meta->labels, a, L_HEADLESS, "");
    else
        string_map_del(&meta->labels, a, L_HEADLESS);
}

static void
plan_write(struct plan *plan, const struct object *current, const struct service *s, struct object *wanted)
{
    const struct endpoints *had = current ? OBJECT_BODY(current, endpoints) : NULL;
    const struct endpoints *want = object_body(wanted);

    if (!current) {
        plan_create(plan, wanted, "the Service has no Endpoints")->flags = ACTION_IGNORE_EXISTS;
        return;
    }
    if (api_equal(&api_type_endpoints, had, want)) {
        object_unref(wanted);
        return;
    }
    plan_update(plan, wanted, "addresses or ports changed");
}

struct plan *
endpoints_decide(const struct service_picture *p, const char *key, struct api_time now)
{
    struct plan *plan = plan_new(key);
    const struct service *s = p->service ? OBJECT_BODY(p->service, service) : NULL;
    const struct object *current = p->current.len ? p->current.items[0] : NULL;

    if (!s) {
        if (current && str_eq(meta_label(object_meta(current), L_MANAGED_BY), "endpoint-controller"))
            plan_delete(plan, current, "the Service is gone");
        return plan;
    }
    if (s->spec.selector.len == 0 || str_eq(s->spec.type, "ExternalName"))
        return plan;
    struct object *wanted = current ? object_copy(current) : object_new_of("v1", "Endpoints");
    struct arena *a = object_arena(wanted);
    struct endpoints *eps = object_body(wanted);
    if (!current) {
        eps->metadata.name = arena_strdup(a, s->metadata.name);
        eps->metadata.namespace = arena_strdup(a, s->metadata.namespace);
    }
    set_labels(s, &eps->metadata, a);
    fill_subsets(p, s, eps, a);
    plan_write(plan, current, s, wanted);
    return plan;
}

/* --- observe and act --- */

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    struct service_picture p = { 0 };

    backends_look(c, key, &p);
    struct object *current = informer_get_key(controller_informer(c, "v1", "Endpoints"), key);
    if (current)
        object_list_add_take(&p.current, current);
    struct kerr *err = controller_act(c, NULL, endpoints_decide(&p, key, controller_now()));
    if (err && err->reason == KERR_FORBIDDEN && p.service) {
        events_send(c->events, p.service, EVENT_WARNING, current ? "FailedToUpdateEndpoint" : "FailedToCreateEndpoint", "Failed to %s endpoint for service %s: %s",
                    current ? "update" : "create", key, err->message);
    }
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

/* Somebody else deleted or changed it; or it is a leftover of a Service that went while we were away. */
static void
endpoints_changed(struct controller *c, const struct object *old, const struct object *now)
{
    if (!old || !now || !api_equal(&api_type_endpoints, object_body(old), object_body(now)))
        controller_enqueue(c, now ? now : old);
}

struct kerr *
endpoints_start(struct controller *c)
{
    controller_queue(c, (unsigned)c->options->syncs_endpoint, sync_key);
    controller_watch(c, "v1", "Service", service_changed);
    controller_watch(c, "v1", "Pod", pod_changed);
    controller_watch(c, "v1", "Endpoints", endpoints_changed);
    return NULL;
}
