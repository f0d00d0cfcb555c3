// SPDX-License-Identifier: Apache-2.0
/* Services: cluster IPs and node ports are given out here, by type; what a type does not have is cleared.
 * (core/v1 ServiceSpec; upstream: pkg/registry/core/service) */
#include <arpa/inet.h>
#include <string.h>

#include "apiserver/registry/allocator.h"
#include "apiserver/registry/strategies.h"
#include "common/base/clock.h"

static bool
is_headless(const struct service *s)
{
    return str_eq(s->spec.cluster_ip, "None");
}

static bool
wants_cluster_ip(const struct service *s)
{
    return !str_eq(s->spec.type, "ExternalName") && !is_headless(s);
}

static bool
wants_node_ports(const struct service *s)
{
    if (str_eq(s->spec.type, "NodePort"))
        return true;
    return str_eq(s->spec.type, "LoadBalancer") && (!s->spec.allocate_load_balancer_node_ports || *s->spec.allocate_load_balancer_node_ports);
}

static bool
wants_health_port(const struct service *s)
{
    return str_eq(s->spec.type, "LoadBalancer") && str_eq(s->spec.external_traffic_policy, "Local");
}

static void
prepare_create(const struct write_context *c, struct arena *a, void *body)
{
    ((struct service *)body)->status = (struct service_status){ 0 };
}

static const struct service_port *
same_port(const struct service *old, const struct service_port *p)
{
    for (uint32_t i = 0; i < old->spec.ports.len; i++)
        if (old->spec.ports.items[i].port == p->port && str_eq(old->spec.ports.items[i].protocol, p->protocol))
            return &old->spec.ports.items[i];
    return NULL;
}

/* Clients that send a service back without the numbers it was given keep them. */
static void
keep_allocated(struct service *s, const struct service *old)
{
    if (wants_cluster_ip(s) && wants_cluster_ip(old) && str_empty(s->spec.cluster_ip) && s->spec.cluster_ips.len == 0) {
        s->spec.cluster_ip = old->spec.cluster_ip;
        s->spec.cluster_ips = old->spec.cluster_ips;
    }
    if (wants_node_ports(s) && wants_node_ports(old))
        for (uint32_t i = 0; i < s->spec.ports.len; i++) {
            const struct service_port *was = same_port(old, &s->spec.ports.items[i]);
            if (was && !s->spec.ports.items[i].node_port)
                s->spec.ports.items[i].node_port = was->node_port;
        }
    if (wants_health_port(s) && wants_health_port(old) && !s->spec.health_check_node_port)
        s->spec.health_check_node_port = old->spec.health_check_node_port;
    if (s->spec.ip_families.len == 0)
        s->spec.ip_families = old->spec.ip_families;
    if (!s->spec.ip_family_policy)
        s->spec.ip_family_policy = old->spec.ip_family_policy;
}

/* Whether traffic can come from outside, which is what externalTrafficPolicy is about. */
static bool
is_external(const struct service *s)
{
    return str_eq(s->spec.type, "NodePort") || str_eq(s->spec.type, "LoadBalancer") || (str_eq(s->spec.type, "ClusterIP") && s->spec.external_ips.len);
}

/* A change of type drops what the new type does not have, unless the client changed it in the same write. */
static void
drop_unused(struct service *s, const struct service *old)
{
    if (str_eq(s->spec.type, "ExternalName") && (str_empty(s->spec.cluster_ip) || str_eq(s->spec.cluster_ip, old->spec.cluster_ip))) {
        s->spec.cluster_ip = NULL;
        s->spec.cluster_ips = (struct string_slice){ 0 };
        s->spec.ip_families = (struct string_slice){ 0 };
        s->spec.ip_family_policy = NULL;
    }
    if (!wants_node_ports(s) && wants_node_ports(old))
        for (uint32_t i = 0; i < s->spec.ports.len; i++) {
            const struct service_port *was = same_port(old, &s->spec.ports.items[i]);
            if (was && was->node_port == s->spec.ports.items[i].node_port)
                s->spec.ports.items[i].node_port = 0;
        }
    if (!wants_health_port(s) && s->spec.health_check_node_port == old->spec.health_check_node_port)
        s->spec.health_check_node_port = 0;
    if (!str_eq(s->spec.type, "LoadBalancer") && str_eq(old->spec.type, "LoadBalancer"))
        s->spec.allocate_load_balancer_node_ports = NULL;
    if (!is_external(s) && is_external(old) && str_eq(s->spec.external_traffic_policy, old->spec.external_traffic_policy))
        s->spec.external_traffic_policy = NULL;
    if (!str_eq(s->spec.type, "LoadBalancer") && str_eq(s->spec.load_balancer_class, old->spec.load_balancer_class))
        s->spec.load_balancer_class = NULL;
    if (!str_eq(s->spec.type, "LoadBalancer"))
        s->status.load_balancer = (struct load_balancer_status){ 0 };
}

static void
prepare_update(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    struct service *s = body;

    s->status = ((const struct service *)old)->status;
    keep_allocated(s, old);
    drop_unused(s, old);
}

static void
prepare_status(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    ((struct service *)body)->spec = ((const struct service *)old)->spec;
}

/* --- allocation --- */

static const char *
family_name(int family)
{
    return family == AF_INET6 ? "IPv6" : "IPv4";
}

static void
one_string(struct arena *a, struct string_slice *l, const char *s)
{
    l->items = arena_alloc(a, sizeof *l->items);
    l->items[0] = s;
    l->len = l->cap = 1;
}

/* clusterIP and clusterIPs[0] are one value; families follow. */
static void
settle_families(struct allocators *all, struct arena *a, struct service *s)
{
    if (str_eq(s->spec.type, "ExternalName"))
        return;
    if (s->spec.cluster_ips.len && str_empty(s->spec.cluster_ip))
        s->spec.cluster_ip = s->spec.cluster_ips.items[0];
    else if (!str_empty(s->spec.cluster_ip) && s->spec.cluster_ips.len == 0)
        one_string(a, &s->spec.cluster_ips, s->spec.cluster_ip);
    if (s->spec.ip_families.len == 0) {
        int family = !str_empty(s->spec.cluster_ip) && strchr(s->spec.cluster_ip, ':') ? AF_INET6 : allocators_primary_family(all);
        one_string(a, &s->spec.ip_families, family_name(family));
    }
    if (!s->spec.ip_family_policy)
        s->spec.ip_family_policy = "SingleStack";
}

static struct kerr *
refuse(const struct write_context *c, const char *field, const char *value, struct kerr *why)
{
    struct kerr *err = kerr_about(kerr_new(KERR_INVALID, "Service \"%s\" is invalid: %s: Invalid value: %s: %s", c->name, field, value, why->message),
                                  "", "Service", c->name);

    kerr_add_cause(err, "FieldValueInvalid", field, "Invalid value: %s: %s", value, why->message);
    kerr_free(why);
    return err;
}

static bool
had_ip(const struct service *old, const char *ip)
{
    for (uint32_t i = 0; old && i < old->spec.cluster_ips.len; i++)
        if (str_eq(old->spec.cluster_ips.items[i], ip))
            return true;
    return false;
}

static struct kerr *
allocate_ip(const struct write_context *c, struct arena *a, struct service *s, const struct service *old)
{
    int family = str_eq(s->spec.ip_families.items[0], "IPv6") ? AF_INET6 : AF_INET;
    struct allocator *pool = allocators_ips(c->srv->allocators, family);
    char ip[64];

    if (!str_empty(s->spec.cluster_ip) && had_ip(old, s->spec.cluster_ip))
        return NULL;
    if (!pool) {
        AUTO_FREE char *value = xasprintf("\"%s\"", family_name(family));
        return refuse(c, "spec.ipFamilies[0]", value, kerr_new(KERR_INVALID, "not configured on this cluster"));
    }
    struct kerr *err = allocator_take_ip(pool, s->spec.cluster_ip, clock_mono_ms(), ip);
    if (err) {
        AUTO_FREE char *value = xasprintf("[\"%s\"]", str_safe(s->spec.cluster_ip));
        AUTO_FREE char *what = xasprintf("failed to allocate IP %s", str_safe(s->spec.cluster_ip));
        return refuse(c, "spec.clusterIPs", value, kerr_wrap(err, "%s", what));
    }
    s->spec.cluster_ip = arena_strdup(a, ip);
    one_string(a, &s->spec.cluster_ips, s->spec.cluster_ip);
    return NULL;
}

static bool
had_port(const struct service *old, int32_t port)
{
    for (uint32_t i = 0; old && i < old->spec.ports.len; i++)
        if (old->spec.ports.items[i].node_port == port)
            return true;
    return false;
}

/* TCP and UDP of one port share their node port. */
static int32_t
sibling_node_port(const struct service *s, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++)
        if (s->spec.ports.items[i].port == s->spec.ports.items[at].port && !str_eq(s->spec.ports.items[i].protocol, s->spec.ports.items[at].protocol))
            return s->spec.ports.items[i].node_port;
    return 0;
}

static bool
named_before(const struct service *s, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++)
        if (s->spec.ports.items[i].node_port == s->spec.ports.items[at].node_port)
            return true;
    return false;
}

static struct kerr *
allocate_ports(const struct write_context *c, struct arena *a, struct service *s, const struct service *old)
{
    bool *took = arena_alloc(a, s->spec.ports.len + 1);
    struct allocator *pool = allocators_ports(c->srv->allocators);

    for (uint32_t i = 0; i < s->spec.ports.len; i++) {
        struct service_port *p = &s->spec.ports.items[i];
        if (!p->node_port)
            p->node_port = sibling_node_port(s, i);
        if (p->node_port && (had_port(old, p->node_port) || named_before(s, i)))
            continue;
        struct kerr *err = allocator_take_port(pool, p->node_port, clock_mono_ms(), &p->node_port);
        if (err) {
            for (uint32_t k = 0; k < i; k++)
                if (took[k])
                    allocator_release_port(pool, s->spec.ports.items[k].node_port);
            AUTO_FREE char *field = xasprintf("spec.ports[%u].nodePort", i);
            AUTO_FREE char *value = xasprintf("%d", (int)p->node_port);
            return refuse(c, field, value, err);
        }
        took[i] = true;
    }
    return NULL;
}

static struct kerr *
allocate_health_port(const struct write_context *c, struct service *s, const struct service *old)
{
    if (old && old->spec.health_check_node_port && old->spec.health_check_node_port == s->spec.health_check_node_port)
        return NULL;
    struct kerr *err = allocator_take_port(allocators_ports(c->srv->allocators), s->spec.health_check_node_port, clock_mono_ms(),
                                           &s->spec.health_check_node_port);
    if (!err)
        return NULL;
    AUTO_FREE char *value = xasprintf("%d", (int)s->spec.health_check_node_port);
    return refuse(c, "spec.healthCheckNodePort", value, err);
}

static void
release_ips(const struct write_context *c, const struct service *s, const struct service *keep)
{
    for (uint32_t i = 0; i < s->spec.cluster_ips.len; i++) {
        const char *ip = s->spec.cluster_ips.items[i];
        struct allocator *pool = allocators_ips(c->srv->allocators, strchr(ip, ':') ? AF_INET6 : AF_INET);
        if (pool && !had_ip(keep, ip))
            allocator_release_ip(pool, ip);
    }
}

static bool
holds_port(const struct service *s, int32_t port)
{
    return s && (had_port(s, port) || s->spec.health_check_node_port == port);
}

static void
release_port(const struct write_context *c, int32_t port, const struct service *keep)
{
    if (port && !holds_port(keep, port))
        allocator_release_port(allocators_ports(c->srv->allocators), port);
}

static struct kerr *
allocate(const struct write_context *c, struct arena *a, void *body, const void *was)
{
    struct service *s = body;
    const struct service *old = was;
    struct kerr *err = NULL;
    bool ips = wants_cluster_ip(s), ports = wants_node_ports(s);

    settle_families(c->srv->allocators, a, s);
    if (ips && (err = allocate_ip(c, a, s, old)))
        return err;
    if (ports && (err = allocate_ports(c, a, s, old)))
        goto give_back_ips;
    if (wants_health_port(s) && (err = allocate_health_port(c, s, old)))
        goto give_back_ports;
    return NULL;

give_back_ports:
    for (uint32_t i = 0; ports && i < s->spec.ports.len; i++)
        release_port(c, s->spec.ports.items[i].node_port, old);
give_back_ips:
    if (ips)
        release_ips(c, s, old);
    return err;
}

/* Only what its type makes a service hold: a refused one may name anything. */
static void
release(const struct write_context *c, const void *body, const void *keep)
{
    const struct service *s = body;

    if (wants_cluster_ip(s))
        release_ips(c, s, keep);
    for (uint32_t i = 0; wants_node_ports(s) && i < s->spec.ports.len; i++)
        release_port(c, s->spec.ports.items[i].node_port, keep);
    if (wants_health_port(s))
        release_port(c, s->spec.health_check_node_port, keep);
}

const struct strategy strategy_service = {
    .no_generation = true,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .prepare_status = prepare_status,
    .allocate = allocate,
    .release = release,
    .returns_deleted = true,
};
