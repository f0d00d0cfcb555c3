// SPDX-License-Identifier: Apache-2.0
/* Services, Endpoints, EndpointSlices.  Runs after the strategy has filled in addresses and families. */
#include <string.h>

#include "apiserver/registry/validate_kinds.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"

#define LB_RANGES_KEY "service.beta.kubernetes.io/load-balancer-source-ranges"
#define HINTS_KEY "service.kubernetes.io/topology-aware-hints"
#define MODE_KEY "service.kubernetes.io/topology-mode"

static bool
is_headless(const struct service_spec *s)
{
    return s->cluster_ips.len == 1 && str_eq(s->cluster_ips.items[0], "None");
}

static bool
is_external_name(const struct service_spec *s)
{
    return str_eq(s->type, "ExternalName");
}

static void
check_external_name(struct findings *f, const struct path *p, const struct service_spec *s)
{
    static const char msg[] = "may not be set for ExternalName services";
    const char *name = str_safe(s->external_name);

    if (s->cluster_ips.len > 0)
        find_forbidden(f, AT(p, "clusterIPs"), "%s", msg);
    if (s->ip_families.len > 0)
        find_forbidden(f, AT(p, "ipFamilies"), "%s", msg);
    if (s->ip_family_policy)
        find_forbidden(f, AT(p, "ipFamilyPolicy"), "%s", msg);
    AUTO_FREE char *cname = xstrndup(name, strlen(name) - str_has_suffix(name, "."));
    check_required_name(f, AT(p, "externalName"), NAME_DNS_SUBDOMAIN, cname);
}

static void
check_service_ports(struct findings *f, const struct path *p, const struct service_spec *s)
{
    AUTO_INDEX names = { 0 };

    for (uint32_t i = 0; i < s->ports.len; i++) {
        const struct service_port *port = &s->ports.items[i];
        const struct path *at = AT_INDEX(p, i);
        if (s->ports.len > 1)
            check_required(f, AT(at, "name"), port->name);
        check_optional_name(f, AT(at, "name"), NAME_DNS_LABEL, port->name);
        check_unique(f, AT(at, "name"), &names, port->name, true);
        check_port(f, AT(at, "port"), port->port);
        check_protocol(f, AT(at, "protocol"), port->protocol);
        check_port_or_name(f, AT(at, "targetPort"), port->target_port);
        if (port->app_protocol)
            check_label_key(f, AT(at, "appProtocol"), port->app_protocol);
    }
}

/* One port and one node port per protocol. */
static void
check_ports_unique(struct findings *f, const struct path *p, const struct service_spec *s)
{
    AUTO_INDEX node_ports = { 0 };
    AUTO_INDEX ports = { 0 };

    for (uint32_t i = 0; i < s->ports.len; i++) {
        const struct service_port *port = &s->ports.items[i];
        AUTO_FREE char *key = xasprintf("%s/%d", str_safe(port->protocol), port->node_port);
        if (port->node_port == 0)
            continue;
        if (str_eq(s->type, "ClusterIP"))
            find_forbidden(f, AT(AT_INDEX(p, i), "nodePort"), "may not be used when `type` is 'ClusterIP'");
        if (name_index_add(&node_ports, key, port))
            find_duplicate_int(f, AT(AT_INDEX(p, i), "nodePort"), port->node_port);
    }
    for (uint32_t i = 0; i < s->ports.len; i++) {
        AUTO_SBUF json = { 0 };
        sbuf_adds(&json, "{\"protocol\":");
        json_add_string(&json, s->ports.items[i].protocol);
        sbuf_addf(&json, ",\"port\":%d}", s->ports.items[i].port);
        if (name_index_add(&ports, sbuf_str(&json), s))
            find_duplicate_raw(f, AT_INDEX(p, i), sbuf_str(&json), "");
    }
}

static void
check_affinity_config(struct findings *f, const struct path *p, const struct service_spec *s)
{
    static const char *const affinities[] = { "ClientIP", "None", NULL };
    static const char when[] = "when session affinity type is ClientIP";
    const struct session_affinity_config *c = s->session_affinity_config;
    const struct path *at = AT(p, "sessionAffinityConfig");

    check_enum(f, AT(p, "sessionAffinity"), s->session_affinity, affinities, true);
    if (str_eq(s->session_affinity, "None") && c)
        find_forbidden(f, at, "must not be set when session affinity is None");
    if (!str_eq(s->session_affinity, "ClientIP"))
        return;
    if (!c)
        find_required(f, at, when);
    else if (!c->client_ip)
        find_required(f, AT(at, "clientIP"), when);
    else if (!c->client_ip->timeout_seconds)
        find_required(f, AT(AT(at, "clientIP"), "timeoutSeconds"), when);
    else if (*c->client_ip->timeout_seconds <= 0 || *c->client_ip->timeout_seconds > 86400)
        find_invalid_int(f, AT(AT(at, "clientIP"), "timeoutSeconds"), *c->client_ip->timeout_seconds,
                         "must be greater than 0 and less than 86400");
}

static void
check_families(struct findings *f, const struct path *p, const struct service_spec *s)
{
    static const char *const families[] = { "IPv4", "IPv6", NULL };
    static const char *const policies[] = { "PreferDualStack", "RequireDualStack", "SingleStack", NULL };

    for (uint32_t i = 0; i < s->ip_families.len; i++) {
        const struct path *at = AT_INDEX(AT(p, "ipFamilies"), i);
        if (!is_one_of(s->ip_families.items[i], families))
            find_unsupported(f, at, s->ip_families.items[i], families);
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(s->ip_families.items[k], s->ip_families.items[i])) {
                find_duplicate(f, at, s->ip_families.items[i]);
                break;
            }
    }
    if (s->ip_family_policy && !is_one_of(s->ip_family_policy, policies))
        find_unsupported(f, AT(p, "ipFamilyPolicy"), s->ip_family_policy, policies);
}

static void
check_cluster_ips(struct findings *f, const struct path *p, const struct service_spec *s)
{
    const struct string_slice *ips = &s->cluster_ips;
    const struct path *at = AT(p, "clusterIPs");
    bool bad = false, v4[2] = { false, false };
    struct api_ip ip;

    if (!str_empty(s->cluster_ip)) {
        if (ips->len == 0)
            find_required(f, at, "");
        else if (!str_eq(ips->items[0], s->cluster_ip))
            find_invalid_list(f, at, ips, "first value must match `clusterIP`");
    } else if (ips->len > 0)
        find_invalid_list(f, at, ips, "must be empty when `clusterIP` is not specified");
    check_families(f, p, s);
    for (uint32_t i = 0; i < ips->len; i++) {
        if (i == 0 && str_eq(ips->items[i], "None")) {
            if (ips->len > 1) {
                bad = true;
                find_invalid_list(f, at, ips, "'None' must be the first and only value");
            }
            continue;
        }
        bad = !check_ip_ok(f, AT_INDEX(at, i), ips->items[i]) || bad;
    }
    if (ips->len > 2)
        find_invalid_list(f, at, ips, "may only hold up to 2 values");
    if (bad || is_headless(s))
        return;
    for (uint32_t i = 0; i < ips->len && i < 2; i++)
        v4[i] = api_ip_parse(ips->items[i], &ip) && api_ip_is_v4(&ip);
    if (ips->len > 1 && v4[0] == v4[1])
        find_invalid_list(f, at, ips, "may specify no more than one IP for each IP family");
    for (uint32_t i = 0; i < ips->len && i < s->ip_families.len && i < 2; i++) {
        if (str_eq(s->ip_families.items[i], "IPv4") && !v4[i])
            find_invalid(f, AT_INDEX(at, i), ips->items[i], "expected an IPv4 value as indicated by `ipFamilies[%u]`", i);
        if (str_eq(s->ip_families.items[i], "IPv6") && v4[i])
            find_invalid(f, AT_INDEX(at, i), ips->items[i], "expected an IPv6 value as indicated by `ipFamilies[%u]`", i);
    }
}

static void
check_range_text(struct findings *f, const struct path *p, const char *text)
{
    size_t len;

    while (*text == ' ' || *text == '\t')
        text++;
    for (len = strlen(text); len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t');)
        len--;
    AUTO_FREE char *trimmed = xstrndup(text, len);
    check_cidr(f, p, trimmed);
}

static void
check_load_balancer(struct findings *f, const struct path *p, const struct service *svc)
{
    static const char only[] = "may only be used when `type` is 'LoadBalancer'";
    const struct service_spec *s = &svc->spec;
    bool lb = str_eq(s->type, "LoadBalancer");
    const char *annotation = meta_annotation(&svc->metadata, LB_RANGES_KEY);

    if (s->load_balancer_source_ranges.len > 0) {
        const struct path *at = AT(p, "LoadBalancerSourceRanges");
        if (!lb)
            find_forbidden(f, at, "%s", only);
        for (uint32_t i = 0; i < s->load_balancer_source_ranges.len; i++)
            check_range_text(f, AT_INDEX(at, i), str_safe(s->load_balancer_source_ranges.items[i]));
    } else if (annotation) {
        const struct path *at = AT_KEY(AT(AT(NULL, "metadata"), "annotations"), LB_RANGES_KEY);
        AUTO_STRLIST ranges = { 0 };
        if (!lb)
            find_forbidden(f, at, "%s", only);
        strlist_split(&ranges, annotation, ',');
        for (size_t i = 0; i < ranges.len; i++)
            check_range_text(f, at, ranges.items[i]);
    }
    if (s->allocate_load_balancer_node_ports && !lb)
        find_forbidden(f, AT(p, "allocateLoadBalancerNodePorts"), "%s", only);
    if (lb && !s->allocate_load_balancer_node_ports)
        find_required(f, AT(NULL, "allocateLoadBalancerNodePorts"), "");
    if (s->load_balancer_class) {
        if (lb)
            check_label_key(f, AT(p, "loadBalancerClass"), s->load_balancer_class);
        else
            find_forbidden(f, AT(p, "loadBalancerClass"), "%s", only);
    }
}

static bool
needs_health_check(const struct service_spec *s)
{
    return str_eq(s->type, "LoadBalancer") && str_eq(s->external_traffic_policy, "Local");
}

static void
check_traffic_policies(struct findings *f, const struct path *p, const struct service_spec *s)
{
    static const char *const policies[] = { "Cluster", "Local", NULL };
    static const char *const distributions[] = { "PreferClose", "PreferSameNode", "PreferSameZone", NULL };
    bool external = str_eq(s->type, "LoadBalancer") || str_eq(s->type, "NodePort") ||
                    (str_eq(s->type, "ClusterIP") && s->external_ips.len > 0);

    if (external)
        check_enum(f, AT(p, "externalTrafficPolicy"), s->external_traffic_policy, policies, true);
    else if (!str_empty(s->external_traffic_policy))
        find_invalid(f, AT(p, "externalTrafficPolicy"), s->external_traffic_policy,
                     "may only be set for externally-accessible services");
    if (needs_health_check(s)) {
        if (s->health_check_node_port == 0)
            find_required(f, AT(p, "healthCheckNodePort"), "");
        else
            check_port(f, AT(p, "healthCheckNodePort"), s->health_check_node_port);
    } else if (s->health_check_node_port != 0)
        find_invalid_int(f, AT(p, "healthCheckNodePort"), s->health_check_node_port,
                         "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    if (!s->internal_traffic_policy) {
        if (!is_external_name(s))
            find_required(f, AT(p, "internalTrafficPolicy"), "");
    } else if (!is_one_of(s->internal_traffic_policy, policies))
        find_unsupported(f, AT(p, "internalTrafficPolicy"), s->internal_traffic_policy, policies);
    if (s->traffic_distribution && !is_one_of(s->traffic_distribution, distributions))
        find_unsupported(f, AT(p, "trafficDistribution"), s->traffic_distribution, distributions);
}

void
service_create(struct findings *f, const void *body)
{
    static const char *const types[] = { "ClusterIP", "ExternalName", "LoadBalancer", "NodePort", NULL };
    const struct service *svc = body;
    const struct service_spec *s = &svc->spec;
    const struct path *p = AT(NULL, "spec");
    const char *hints = meta_annotation(&svc->metadata, HINTS_KEY), *mode = meta_annotation(&svc->metadata, MODE_KEY);

    if (hints && mode && strcmp(hints, mode) != 0)
        find_invalid(f, AT_KEY(AT(AT(NULL, "metadata"), "annotations"), MODE_KEY), mode,
                     "must match annotations[" HINTS_KEY "] when both are specified");
    if (s->ports.len == 0 && !is_headless(s) && !is_external_name(s))
        find_required(f, AT(p, "ports"), "");
    if (is_headless(s) && (str_eq(s->type, "LoadBalancer") || str_eq(s->type, "NodePort")))
        find_invalid(f, AT_INDEX(AT(p, "clusterIPs"), 0), "None", "may not be set to 'None' for %s services", s->type);
    if (is_external_name(s))
        check_external_name(f, p, s);
    check_service_ports(f, AT(p, "ports"), s);
    check_labels(f, AT(p, "selector"), &s->selector);
    check_affinity_config(f, p, s);
    if (!is_external_name(s))
        check_cluster_ips(f, p, s);
    for (uint32_t i = 0; i < s->external_ips.len; i++) {
        const struct path *at = AT_INDEX(AT(p, "externalIPs"), i);
        if (check_ip_ok(f, at, s->external_ips.items[i]))
            check_non_special_ip(f, at, s->external_ips.items[i]);
    }
    check_enum(f, AT(p, "type"), s->type, types, true);
    check_ports_unique(f, AT(p, "ports"), s);
    check_load_balancer(f, p, svc);
    check_traffic_policies(f, p, s);
}

/* clusterIPs and ipFamilies: the first stays; a second may come, and go with SingleStack. */
static void
check_pair_change(struct findings *f, const struct path *p, const char *field, const struct string_slice *now,
                  const struct string_slice *old, const struct service_spec *s)
{
    bool ips = strcmp(field, "clusterIPs") == 0;
    const struct path *at = AT(p, field);

    if (now->len == old->len) {
        for (uint32_t i = 0; i < now->len; i++)
            if (!str_eq(now->items[i], old->items[i]))
                find_invalid_list(f, AT_INDEX(at, ips ? i : 0), now, "may not change once set");
        return;
    }
    if (now->len < old->len && now->len == 0)
        find_invalid_list(f, AT_INDEX(at, 0), now, "primary %s can not be unset", ips ? "clusterIP" : "ipFamily");
    if (now->len > 0 && old->len > 0 && !str_eq(now->items[0], old->items[0]))
        find_invalid_list(f, AT_INDEX(at, 0), now, "may not change once set");
    if (now->len < old->len && now->len == 1 && !str_eq(s->ip_family_policy, "SingleStack"))
        find_invalid(f, AT(p, "ipFamilyPolicy"), s->ip_family_policy,
                     "must be set to 'SingleStack' when releasing the secondary %s", ips ? "clusterIP" : "ipFamily");
}

void
service_update(struct findings *f, const void *body, const void *old_body)
{
    const struct service_spec *s = &((const struct service *)body)->spec, *old = &((const struct service *)old_body)->spec;
    const struct path *p = AT(NULL, "spec");
    bool external_name = is_external_name(s) || is_external_name(old);

    if (!external_name && !(is_headless(s) && is_headless(old)))
        check_pair_change(f, p, "clusterIPs", &s->cluster_ips, &old->cluster_ips, s);
    if (!external_name && !is_headless(s) && !is_headless(old))
        check_pair_change(f, p, "ipFamilies", &s->ip_families, &old->ip_families, s);
    if (str_eq(s->type, "LoadBalancer") && str_eq(old->type, "LoadBalancer") &&
        (!s->load_balancer_class != !old->load_balancer_class || !str_eq(s->load_balancer_class, old->load_balancer_class))) {
        if (s->load_balancer_class)
            find_invalid(f, AT(p, "loadBalancerClass"), s->load_balancer_class, "may not change once set");
        else
            find_invalid_null(f, AT(p, "loadBalancerClass"), "may not change once set");
    }
    if (needs_health_check(s) && needs_health_check(old) && s->health_check_node_port != old->health_check_node_port)
        find_forbidden(f, AT(p, "healthCheckNodePort"), IMMUTABLE_MSG);
    service_create(f, body);
}

void
service_status(struct findings *f, const void *body, const void *old)
{
    static const char *const modes[] = { "Proxy", "VIP", NULL };
    const struct service *svc = body;
    const struct load_balancer_ingress_slice *l = &svc->status.load_balancer.ingress;
    const struct path *p = AT(AT(AT(NULL, "status"), "loadBalancer"), "ingress");

    if (!str_eq(svc->spec.type, "LoadBalancer")) {
        if (l->len > 0)
            find_forbidden(f, p, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    for (uint32_t i = 0; i < l->len; i++) {
        const struct load_balancer_ingress *in = &l->items[i];
        const struct path *at = AT_INDEX(p, i);
        struct api_ip ip;
        if (!str_empty(in->ip))
            check_ip(f, AT(at, "ip"), in->ip);
        if (!in->ip_mode) {
            if (!str_empty(in->ip))
                find_required(f, AT(at, "ipMode"), "must be specified when `ip` is set");
        } else if (str_empty(in->ip))
            find_forbidden(f, AT(at, "ipMode"), "may not be specified when `ip` is not set");
        else if (!is_one_of(in->ip_mode, modes))
            find_unsupported(f, AT(at, "ipMode"), in->ip_mode, modes);
        check_optional_name(f, AT(at, "hostname"), NAME_DNS_SUBDOMAIN, in->hostname);
        if (api_ip_parse(in->hostname, &ip))
            find_invalid(f, AT(at, "hostname"), in->hostname, "must be a DNS name, not an IP address");
    }
}

/* ---- Endpoints ---- */

static void
check_endpoint_address(struct findings *f, const struct path *p, const struct endpoint_address *a)
{
    check_ip(f, AT(p, "ip"), a->ip);
    check_optional_name(f, AT(p, "hostname"), NAME_DNS_LABEL, a->hostname);
    if (a->node_name)
        check_name(f, AT(p, "nodeName"), NAME_DNS_SUBDOMAIN, a->node_name);
    check_non_special_ip(f, AT(p, "ip"), a->ip);
}

void
endpoints_create(struct findings *f, const void *body)
{
    const struct endpoints *e = body;

    for (uint32_t i = 0; i < e->subsets.len; i++) {
        const struct endpoint_subset *s = &e->subsets.items[i];
        const struct path *p = AT_INDEX(AT(NULL, "subsets"), i);
        if (s->addresses.len + s->not_ready_addresses.len == 0)
            find_required(f, p, "must specify `addresses` or `notReadyAddresses`");
        for (uint32_t k = 0; k < s->addresses.len; k++)
            check_endpoint_address(f, AT_INDEX(AT(p, "addresses"), k), &s->addresses.items[k]);
        for (uint32_t k = 0; k < s->not_ready_addresses.len; k++)
            check_endpoint_address(f, AT_INDEX(AT(p, "notReadyAddresses"), k), &s->not_ready_addresses.items[k]);
        for (uint32_t k = 0; k < s->ports.len; k++) {
            const struct endpoint_port *port = &s->ports.items[k];
            const struct path *at = AT_INDEX(AT(p, "ports"), k);
            if (s->ports.len > 1)
                check_required(f, AT(at, "name"), port->name);
            check_optional_name(f, AT(at, "name"), NAME_DNS_LABEL, port->name);
            check_port(f, AT(at, "port"), port->port);
            check_protocol(f, AT(at, "protocol"), port->protocol);
            if (port->app_protocol)
                check_label_key(f, AT(at, "appProtocol"), port->app_protocol);
        }
    }
}

/* ---- EndpointSlices ---- */

#define MAX_ENDPOINTS 1000
#define MAX_ADDRESSES 100
#define MAX_SLICE_PORTS 20000

static void
check_slice_address(struct findings *f, const struct path *p, const char *type, const char *address)
{
    struct api_ip ip;

    if (str_eq(type, "FQDN")) {
        check_name(f, p, NAME_DNS_SUBDOMAIN, address);
        return;
    }
    bool v4 = str_eq(type, "IPv4");
    if (!v4 && !str_eq(type, "IPv6"))
        return;
    if (!api_ip_parse(address, &ip) || api_ip_is_v4(&ip) != v4)
        find_invalid(f, p, address, "must be a valid %s address", type);
    else
        check_non_special_ip(f, p, address);
}

static void
check_slice_endpoint(struct findings *f, const struct path *p, const char *type, const struct discovery_endpoint *e)
{
    if (e->addresses.len == 0)
        find_required(f, AT(p, "addresses"), "must contain at least 1 address");
    else if (e->addresses.len > MAX_ADDRESSES)
        find_too_many(f, AT(p, "addresses"), e->addresses.len, MAX_ADDRESSES);
    for (uint32_t i = 0; i < e->addresses.len; i++)
        check_slice_address(f, AT_INDEX(AT(p, "addresses"), i), type, e->addresses.items[i]);
    if (e->node_name)
        check_name(f, AT(p, "nodeName"), NAME_DNS_SUBDOMAIN, e->node_name);
    check_labels(f, AT(p, "deprecatedTopology"), &e->deprecated_topology);
    if (e->hostname)
        check_name(f, AT(p, "hostname"), NAME_DNS_LABEL, e->hostname);
}

void
endpoint_slice_create(struct findings *f, const void *body)
{
    static const char *const types[] = { "FQDN", "IPv4", "IPv6", NULL };
    const struct endpoint_slice *es = body;
    AUTO_INDEX names = { 0 };

    check_enum(f, AT(NULL, "addressType"), es->address_type, types, true);
    if (es->endpoints.len > MAX_ENDPOINTS)
        find_too_many(f, AT(NULL, "endpoints"), es->endpoints.len, MAX_ENDPOINTS);
    else
        for (uint32_t i = 0; i < es->endpoints.len; i++)
            check_slice_endpoint(f, AT_INDEX(AT(NULL, "endpoints"), i), es->address_type, &es->endpoints.items[i]);
    if (es->ports.len > MAX_SLICE_PORTS) {
        find_too_many(f, AT(NULL, "ports"), es->ports.len, MAX_SLICE_PORTS);
        return;
    }
    for (uint32_t i = 0; i < es->ports.len; i++) {
        const struct discovery_endpoint_port *port = &es->ports.items[i];
        const struct path *p = AT_INDEX(AT(NULL, "ports"), i);
        check_optional_name(f, AT(p, "name"), NAME_DNS_LABEL, port->name);
        check_unique(f, AT(p, "name"), &names, port->name, false);
        check_protocol(f, AT(p, "protocol"), port->protocol);
        if (port->app_protocol)
            check_label_key(f, AT(p, "appProtocol"), port->app_protocol);
        if (port->port)
            check_port(f, AT(p, "port"), *port->port);
    }
}

void
endpoint_slice_update(struct findings *f, const void *body, const void *old)
{
    const struct endpoint_slice *now = body, *was = old;

    check_str_immutable(f, AT(NULL, "addressType"), now->address_type, was->address_type);
    endpoint_slice_create(f, body);
}
