// SPDX-License-Identifier: Apache-2.0
/* networking.k8s.io */
#include <string.h>

#include "apiserver/registry/validate_kinds.h"
#include "common/api/codec.h"
#include "common/api/meta.h"

/* ---- ingresses ---- */

static void
check_host(struct findings *f, const struct path *p, const char *host)
{
    check_name(f, p, strchr(str_safe(host), '*') ? NAME_DNS_WILDCARD : NAME_DNS_SUBDOMAIN, host);
}

static void
check_service_backend(struct findings *f, const struct path *p, const struct ingress_service_backend *s)
{
    const struct path *at = AT(p, "service");
    bool name = !str_empty(s->port.name), number = s->port.number != 0;

    check_required_name(f, AT(at, "name"), NAME_DNS_LABEL_1035, s->name);
    if (name && number)
        find_invalid(f, p, "", "cannot set both port name & port number");
    else if (name)
        check_name(f, AT(AT(at, "port"), "name"), NAME_PORT, s->port.name);
    else if (number)
        check_port(f, AT(AT(at, "port"), "number"), s->port.number);
    else
        find_required(f, p, "port name or number is required");
}

static void
check_backend(struct findings *f, const struct path *p, const struct ingress_backend *b)
{
    if (b->service && b->resource)
        find_invalid(f, p, "", "cannot set both resource and service backends");
    else if (b->resource) {
        check_required(f, AT(AT(p, "resource"), "kind"), b->resource->kind);
        check_required(f, AT(AT(p, "resource"), "name"), b->resource->name);
    } else if (b->service)
        check_service_backend(f, p, b->service);
    else
        find_invalid(f, p, "", "resource or service backend is required");
}

static void
check_http_path(struct findings *f, const struct path *p, const struct http_ingress_path *h)
{
    static const char *const types[] = { "Exact", "ImplementationSpecific", "Prefix", NULL };
    static const char *const inside[] = { "//", "/./", "/../", "%2f", "%2F" }, *const at_end[] = { "/..", "/." };
    const struct path *at = AT(p, "path");

    if (!h->path_type)
        find_required(f, AT(p, "pathType"), "pathType must be specified");
    else if (str_eq(h->path_type, "Exact") || str_eq(h->path_type, "Prefix")) {
        if (!str_has_prefix(h->path, "/"))
            find_invalid(f, at, h->path, "must be an absolute path");
        for (size_t i = 0; !str_empty(h->path) && i < ARRAY_LEN(inside); i++)
            if (strstr(h->path, inside[i]))
                find_invalid(f, at, h->path, "must not contain '%s'", inside[i]);
        for (size_t i = 0; !str_empty(h->path) && i < ARRAY_LEN(at_end); i++)
            if (str_has_suffix(h->path, at_end[i]))
                find_invalid(f, at, h->path, "cannot end with '%s'", at_end[i]);
    } else if (str_eq(h->path_type, "ImplementationSpecific")) {
        if (!str_empty(h->path) && !str_has_prefix(h->path, "/"))
            find_invalid(f, at, h->path, "must be an absolute path");
    } else
        find_unsupported(f, AT(p, "pathType"), h->path_type, types);
    check_backend(f, AT(p, "backend"), &h->backend);
}

static void
check_ingress_rule(struct findings *f, const struct path *p, const struct ingress_rule *r)
{
    const struct http_ingress_rule_value *http = r->ingress_rule_value.http;
    const struct path *paths = AT(AT(p, "http"), "paths");
    struct api_ip ip;

    if (api_ip_parse(r->host, &ip))
        find_invalid(f, AT(p, "host"), r->host, "must be a DNS name, not an IP address");
    if (!str_empty(r->host))
        check_host(f, AT(p, "host"), r->host);
    if (http && http->paths.len == 0)
        find_required(f, paths, "");
    for (uint32_t i = 0; http && i < http->paths.len; i++)
        check_http_path(f, AT_INDEX(paths, i), &http->paths.items[i]);
}

void
ingress_create(struct findings *f, const void *body)
{
    static const char class_key[] = "kubernetes.io/ingress.class";
    const struct ingress *in = body;
    const struct ingress_spec *s = &in->spec;
    const struct path *p = AT(NULL, "spec");
    const char *class = meta_annotation(&in->metadata, class_key);

    if (s->rules.len == 0 && !s->default_backend)
        find_invalid_raw(f, p, s->rules.items ? "[]" : "null", "either `defaultBackend` or `rules` must be specified");
    if (s->default_backend)
        check_backend(f, AT(p, "defaultBackend"), s->default_backend);
    for (uint32_t i = 0; i < s->rules.len; i++)
        check_ingress_rule(f, AT_INDEX(AT(p, "rules"), i), &s->rules.items[i]);
    for (uint32_t i = 0; i < s->tls.len; i++) {
        const struct path *at = AT_INDEX(AT(p, "tls"), i);
        for (uint32_t h = 0; h < s->tls.items[i].hosts.len; h++)
            check_host(f, AT_INDEX(AT(at, "hosts"), h), s->tls.items[i].hosts.items[h]);
        check_optional_name(f, AT(at, "secretName"), NAME_DNS_SUBDOMAIN, s->tls.items[i].secret_name);
    }
    if (s->ingress_class_name)
        check_name(f, AT(p, "ingressClassName"), NAME_DNS_SUBDOMAIN, s->ingress_class_name);
    if (class && s->ingress_class_name && !str_eq(class, s->ingress_class_name))
        find_invalid(f, AT(AT(NULL, "annotations"), class_key), class,
                     "must match `ingressClassName` when both are specified");
}

void
ingress_status(struct findings *f, const void *body, const void *old)
{
    const struct ingress_load_balancer_ingress_slice *l = &((const struct ingress *)body)->status.load_balancer.ingress;
    struct api_ip ip;

    for (uint32_t i = 0; i < l->len; i++) {
        const struct path *p = AT_INDEX(AT(AT(AT(NULL, "status"), "loadBalancer"), "ingress"), i);
        if (!str_empty(l->items[i].ip))
            check_ip(f, AT(p, "ip"), l->items[i].ip);
        check_optional_name(f, AT(p, "hostname"), NAME_DNS_SUBDOMAIN, l->items[i].hostname);
        if (api_ip_parse(l->items[i].hostname, &ip))
            find_invalid(f, AT(p, "hostname"), l->items[i].hostname, "must be a DNS name, not an IP address");
    }
}

void
ingress_class_create(struct findings *f, const void *body)
{
    static const char *const scopes[] = { "Cluster", "Namespace", NULL };
    const struct ingress_class_spec *s = &((const struct ingress_class *)body)->spec;
    const struct ingress_class_parameters_reference *ref = s->parameters;
    const struct path *p = AT(NULL, "spec"), *at = AT(p, "parameters");

    if (strlen(str_safe(s->controller)) > 250)
        find_too_long(f, AT(p, "controller"), 250);
    if (check_required(f, AT(p, "controller"), s->controller)) {
        const char *slash = strchr(s->controller, '/');
        if (!slash || slash == s->controller || !slash[1])
            find_invalid(f, AT(p, "controller"), s->controller, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    }
    if (!ref)
        return;
    check_optional_name(f, AT(at, "apiGroup"), NAME_DNS_SUBDOMAIN, ref->api_group);
    check_required_name(f, AT(at, "kind"), NAME_PATH_SEGMENT, ref->kind);
    check_required_name(f, AT(at, "name"), NAME_PATH_SEGMENT, ref->name);
    if (!ref->scope)
        find_required(f, AT(at, "scope"), "");
    else if (!is_one_of(ref->scope, scopes))
        find_unsupported(f, AT(at, "scope"), ref->scope, scopes);
    else if (str_eq(ref->scope, "Namespace")) {
        if (!ref->namespace)
            find_required(f, AT(at, "namespace"), "`parameters.scope` is set to 'Namespace'");
        else
            check_name(f, AT(at, "namespace"), NAME_DNS_LABEL, ref->namespace);
    } else if (ref->namespace)
        find_forbidden(f, AT(at, "namespace"), "`parameters.scope` is set to 'Cluster'");
}

void
ingress_class_update(struct findings *f, const void *body, const void *old)
{
    ingress_class_create(f, body);
    check_str_immutable(f, AT(AT(NULL, "spec"), "controller"), ((const struct ingress_class *)body)->spec.controller,
                        ((const struct ingress_class *)old)->spec.controller);
}

/* ---- network policies ---- */

static void
check_policy_port(struct findings *f, const struct path *p, const struct network_policy_port *port)
{
    static const char *const protocols[] = { "TCP", "UDP", "SCTP", NULL };

    if (port->protocol && !is_one_of(port->protocol, protocols))
        find_unsupported(f, AT(p, "protocol"), port->protocol, protocols);
    if (port->port)
        check_port_or_name(f, AT(p, "port"), *port->port);
    if (!port->end_port)
        return;
    if (!port->port)
        find_invalid_int(f, AT(p, "endPort"), *port->end_port, "may not be specified when `port` is not specified");
    else if (port->port->str)
        find_invalid_int(f, AT(p, "endPort"), *port->end_port, "may not be specified when `port` is non-numeric");
    else {
        if (*port->end_port < port->port->num)
            find_invalid_int(f, AT(p, "endPort"), *port->end_port, "must be greater than or equal to `port`");
        check_port(f, AT(p, "endPort"), *port->end_port);
    }
}

/* Is `inner` inside `outer` and smaller? */
static bool
is_strict_subset(const char *inner, const char *outer)
{
    struct api_ip in, out;
    unsigned in_bits, out_bits;

    if (!api_cidr_parse(inner, &in, &in_bits) || !api_cidr_parse(outer, &out, &out_bits) ||
        api_ip_is_v4(&in) != api_ip_is_v4(&out) || in_bits <= out_bits)
        return false;
    const uint8_t *a = in.bytes + (api_ip_is_v4(&in) ? 12 : 0), *b = out.bytes + (api_ip_is_v4(&out) ? 12 : 0);
    unsigned whole = out_bits / 8, rest = out_bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

static void
check_ip_block(struct findings *f, const struct path *p, const struct ip_block *b)
{
    struct api_ip ip;
    unsigned bits;

    if (!check_required(f, AT(p, "cidr"), b->cidr))
        return;
    check_cidr(f, AT(p, "cidr"), b->cidr);
    if (!api_cidr_parse(b->cidr, &ip, &bits))
        return;
    for (uint32_t i = 0; i < b->except.len; i++) {
        const struct path *at = AT_INDEX(AT(p, "except"), i);
        check_cidr(f, at, b->except.items[i]);
        if (api_cidr_parse(b->except.items[i], &ip, &bits) && !is_strict_subset(b->except.items[i], b->cidr))
            find_invalid(f, at, b->except.items[i], "must be a strict subset of `cidr`");
    }
}

static void
check_peer(struct findings *f, const struct path *p, const struct network_policy_peer *peer)
{
    check_label_selector(f, AT(p, "podSelector"), peer->pod_selector);
    check_label_selector(f, AT(p, "namespaceSelector"), peer->namespace_selector);
    if (peer->ip_block)
        check_ip_block(f, AT(p, "ipBlock"), peer->ip_block);
    if (!peer->pod_selector && !peer->namespace_selector && !peer->ip_block)
        find_required(f, p, "must specify a peer");
    else if (peer->ip_block && (peer->pod_selector || peer->namespace_selector))
        find_forbidden(f, p, "may not specify both ipBlock and another peer");
}

static void
check_policy_rule(struct findings *f, const struct path *p, const struct network_policy_port_slice *ports, const char *peers_name,
                  const struct network_policy_peer_slice *peers)
{
    for (uint32_t i = 0; i < ports->len; i++)
        check_policy_port(f, AT_INDEX(AT(p, "ports"), i), &ports->items[i]);
    for (uint32_t i = 0; i < peers->len; i++)
        check_peer(f, AT_INDEX(AT(p, peers_name), i), &peers->items[i]);
}

void
network_policy_create(struct findings *f, const void *body)
{
    static const char *const types[] = { "Ingress", "Egress", NULL };
    const struct network_policy_spec *s = &((const struct network_policy *)body)->spec;
    const struct path *p = AT(NULL, "spec");

    check_label_selector(f, AT(p, "podSelector"), &s->pod_selector);
    for (uint32_t i = 0; i < s->ingress.len; i++)
        check_policy_rule(f, AT_INDEX(AT(p, "ingress"), i), &s->ingress.items[i].ports, "from", &s->ingress.items[i].from);
    for (uint32_t i = 0; i < s->egress.len; i++)
        check_policy_rule(f, AT_INDEX(AT(p, "egress"), i), &s->egress.items[i].ports, "to", &s->egress.items[i].to);
    if (s->policy_types.len > 2) {
        find_invalid_list(f, AT(p, "policyTypes"), &s->policy_types, "may not specify more than two policyTypes");
        return;
    }
    for (uint32_t i = 0; i < s->policy_types.len; i++)
        if (!is_one_of(s->policy_types.items[i], types))
            find_unsupported(f, AT_INDEX(AT(p, "policyTypes"), i), s->policy_types.items[i], types);
}
