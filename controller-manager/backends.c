// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/backends.h"

#include "common/api/names.h"
#include "common/api/values.h"

void
service_picture_done(struct service_picture *p)
{
    object_unref(p->service);
    object_list_done(&p->pods);
    object_list_done(&p->nodes);
    object_list_done(&p->current);
}

bool
backend_is_in(const struct pod *pod, bool with_terminating)
{
    if (pod_terminal(pod) || (str_empty(pod->status.pod_ip) && pod->status.pod_ips.len == 0))
        return false;
    return with_terminating || !meta_deleting(&pod->metadata);
}

static bool
is_v6(const char *ip)
{
    return strchr(ip, ':') != NULL;
}

const char *
backend_ip(const struct pod *pod, bool v6)
{
    for (uint32_t i = 0; i < pod->status.pod_ips.len; i++)
        if (!str_empty(pod->status.pod_ips.items[i].ip) && is_v6(pod->status.pod_ips.items[i].ip) == v6)
            return pod->status.pod_ips.items[i].ip;
    if (pod->status.pod_ips.len == 0 && !str_empty(pod->status.pod_ip) && is_v6(pod->status.pod_ip) == v6)
        return pod->status.pod_ip;
    return NULL;
}

bool
backend_has_hostname(const struct pod *pod, const struct object_meta *service)
{
    return !str_empty(pod->spec.hostname) && str_eq(pod->spec.subdomain, service->name) && str_eq(pod->metadata.namespace, service->namespace);
}

bool
service_is_headless(const struct service *s)
{
    return str_eq(s->spec.cluster_ip, "None");
}

/* --- ports --- */

static bool
named_port(const struct container *c, const char *name, const char *protocol, int32_t *ret)
{
    for (uint32_t i = 0; i < c->ports.len; i++) {
        const struct container_port *p = &c->ports.items[i];
        if (str_eq(p->name, name) && str_eq(str_or(p->protocol, "TCP"), str_or(protocol, "TCP"))) {
            *ret = p->container_port;
            return true;
        }
    }
    return false;
}

bool
backend_port(const struct pod *pod, const struct service_port *port, int32_t *ret)
{
    const char *name = port->target_port.str;

    if (!name) {
        *ret = port->target_port.num ? port->target_port.num : port->port;
        return true;
    }
    for (uint32_t i = 0; i < pod->spec.containers.len; i++)
        if (named_port(&pod->spec.containers.items[i], name, port->protocol, ret))
            return true;
    for (uint32_t i = 0; i < pod->spec.init_containers.len; i++)
        if (container_is_sidecar(&pod->spec.init_containers.items[i]) &&
            named_port(&pod->spec.init_containers.items[i], name, port->protocol, ret))
            return true;
    return false;
}

void
backend_ports_of(const struct pod *pod, const struct service *s, struct backend_ports *ret)
{
    ret->len = 0;
    for (uint32_t i = 0; i < s->spec.ports.len && ret->len < ARRAY_LEN(ret->items); i++) {
        int32_t number;
        if (!backend_port(pod, &s->spec.ports.items[i], &number))
            continue;
        ret->items[ret->len].port = &s->spec.ports.items[i];
        ret->items[ret->len++].number = number;
    }
}

bool
backend_ports_equal(const struct backend_ports *a, const struct backend_ports *b)
{
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (a->items[i].port != b->items[i].port || a->items[i].number != b->items[i].number)
            return false;
    return true;
}

struct object_reference *
backend_ref(const struct pod *pod, struct arena *a)
{
    struct object_reference *ref = ARENA_NEW(a, struct object_reference);

    *ref = (struct object_reference){ .kind = "Pod", .namespace = arena_strdup(a, pod->metadata.namespace),
                                      .name = arena_strdup(a, pod->metadata.name), .uid = arena_strdup(a, pod->metadata.uid) };
    return ref;
}

/* --- observe --- */

/* What of a pod an endpoint shows. */
static bool
looks_the_same(const struct object *old, const struct object *now)
{
    const struct pod *a = OBJECT_BODY(old, pod), *b = OBJECT_BODY(now, pod);

    return pod_ready(a) == pod_ready(b) && meta_deleting(&a->metadata) == meta_deleting(&b->metadata) && pod_terminal(a) == pod_terminal(b) &&
           str_eq(a->spec.node_name, b->spec.node_name) && str_eq(a->status.pod_ip, b->status.pod_ip) &&
           a->status.pod_ips.len == b->status.pod_ips.len && str_eq(a->spec.hostname, b->spec.hostname) &&
           label_map_contains(&a->metadata.labels, &b->metadata.labels) && label_map_contains(&b->metadata.labels, &a->metadata.labels);
}

static bool
selects(const struct service *s, const struct object *pod)
{
    return pod && s->spec.selector.len > 0 && label_map_contains(&object_meta(pod)->labels, &s->spec.selector);
}

void
backends_pod_changed(struct controller *c, const struct object *old, const struct object *now)
{
    AUTO_OBJECT_LIST services = { 0 };

    if (old && now && looks_the_same(old, now))
        return;
    informer_list(controller_informer(c, "v1", "Service"), object_namespace(now ? now : old), &services);
    for (size_t i = 0; i < services.len; i++) {
        const struct service *s = OBJECT_BODY(services.items[i], service);
        if (selects(s, old) || selects(s, now))
            controller_enqueue(c, services.items[i]);
    }
}

void
backends_look(struct controller *c, const char *key, struct service_picture *ret)
{
    AUTO_OBJECT_LIST pods = { 0 };

    ret->service = informer_get_key(controller_informer(c, "v1", "Service"), key);
    if (!ret->service)
        return;
    informer_list(controller_informer(c, "v1", "Pod"), object_namespace(ret->service), &pods);
    for (size_t i = 0; i < pods.len; i++)
        if (selects(OBJECT_BODY(ret->service, service), pods.items[i]))
            object_list_ref(&ret->pods, pods.items[i]);
}
