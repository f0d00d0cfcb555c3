// SPDX-License-Identifier: Apache-2.0
/* Pod specs and pod templates as a whole; the parts are in validate_volumes.c, validate_containers.c,
 * validate_pod_security.c and validate_scheduling.c. */
#include <string.h>

#include "apiserver/registry/validate_parts.h"
#include "common/api/meta.h"
#include "common/api/values.h"

#define MAX_NAMESERVERS 3
#define MAX_SEARCHES 32
#define MAX_SEARCH_BYTES 2048

/* Claims that come into being with the pod, for its ephemeral volumes. */
static void
index_created_claims(struct name_index *ix, const struct pod_scope *scope)
{
    for (uint32_t i = 0; scope->meta && !str_empty(scope->meta->name) && i < scope->spec->volumes.len; i++) {
        const struct volume *v = &scope->spec->volumes.items[i];
        if (!v->volume_source.ephemeral)
            continue;
        AUTO_FREE char *claim = xasprintf("%s-%s", scope->meta->name, str_safe(v->name));
        (void)name_index_add(ix, claim, v);
    }
}

/* Fills `sound` with the volumes that have no findings. */
static void
check_volumes(struct findings *f, const struct path *p, const struct pod_scope *scope, struct name_index *sound)
{
    const struct volume_slice *l = &scope->spec->volumes;
    AUTO_INDEX created = { 0 };

    index_created_claims(&created, scope);
    for (uint32_t i = 0; i < l->len; i++) {
        const struct volume *v = &l->items[i];
        const struct path *at = AT_INDEX(p, i);
        const struct persistent_volume_claim_volume_source *claim = v->volume_source.persistent_volume_claim;
        unsigned before = findings_count(f);
        check_volume(f, at, v, scope);
        if (name_index_get(sound, v->name))
            find_duplicate(f, AT(at, "name"), v->name);
        if (findings_count(f) == before)
            (void)name_index_add(sound, v->name, v);
        if (claim && name_index_get(&created, claim->claim_name))
            find_invalid(f, AT(AT(at, "persistentVolumeClaim"), "claimName"), claim->claim_name,
                         "must not reference a PVC that gets created for an ephemeral volume");
    }
}

static void
check_resource_claims(struct findings *f, const struct path *p, const struct pod_resource_claim_slice *claims)
{
    AUTO_INDEX names = { 0 };

    for (uint32_t i = 0; i < claims->len; i++) {
        const struct pod_resource_claim *c = &claims->items[i];
        const struct path *at = AT_INDEX(p, i);
        if (str_empty(c->name))
            find_required(f, AT(at, "name"), "");
        else if (name_index_add(&names, c->name, c))
            find_duplicate(f, AT(at, "name"), c->name);
        else
            check_name(f, AT(at, "name"), NAME_DNS_LABEL, c->name);
        if (c->resource_claim_name && c->resource_claim_template_name)
            find_invalid_struct(f, at, &api_type_pod_resource_claim, c,
                                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified");
        if (!c->resource_claim_name && !c->resource_claim_template_name)
            find_invalid_struct(f, at, &api_type_pod_resource_claim, c,
                                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
        if (c->resource_claim_name)
            check_name(f, AT(at, "resourceClaimName"), NAME_DNS_SUBDOMAIN, c->resource_claim_name);
        if (c->resource_claim_template_name)
            check_name(f, AT(at, "resourceClaimTemplateName"), NAME_DNS_SUBDOMAIN, c->resource_claim_template_name);
    }
}

static void
check_pod_level_resources(struct findings *f, const struct path *p, const struct pod_spec *spec)
{
    if (!spec->resources)
        return;
    if (spec->resources->claims.items)
        find_forbidden(f, AT(p, "claims"), "claims cannot be set for Resources at pod-level");
    check_resources(f, p, spec->resources, &spec->resource_claims, true);

    AUTO(arena) *a = arena_new(0);
    struct pod_spec containers_only = *spec;
    containers_only.resources = NULL;
    containers_only.overhead = (struct quantity_map){ 0 };
    struct quantity_map sum = pod_requests(&containers_only, a);
    for (uint32_t i = 0; i < sum.len; i++) {
        const char *name = sum.items[i].key;
        struct quantity have = quantity_map_get(&spec->resources->requests, name);
        if ((strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0 || quantity_map_has(&spec->resources->requests, name)) &&
            quantity_cmp(sum.items[i].value, have) > 0)
            find_invalid(f, AT_KEY(AT(p, "requests"), name), quantity_text(have),
                         "must be greater than or equal to aggregate container requests of %s",
                         quantity_text(sum.items[i].value));
    }
    for (uint32_t c = 0; c < spec->containers.len; c++) {
        const struct quantity_map *limits = &spec->containers.items[c].resources.limits;
        for (uint32_t i = 0; i < limits->len; i++) {
            const char *name = limits->items[i].key;
            struct quantity pod_limit = quantity_map_get(&spec->resources->limits, name);
            if (quantity_map_has(&spec->resources->limits, name) && quantity_cmp(limits->items[i].value, pod_limit) > 0)
                find_invalid(f, AT(AT_KEY(AT_INDEX(AT(p, "containers"), c), name), "limits"),
                             quantity_text(limits->items[i].value), "must be less than or equal to pod limits of %s",
                             quantity_text(pod_limit));
        }
    }
}

static void
check_host_network_ports(struct findings *f, const struct path *p, const struct pod_spec *spec, bool is_pod)
{
    if (!spec->host_network)
        return;
    for (uint32_t c = 0; c < spec->containers.len; c++) {
        const struct container_port_slice *ports = &spec->containers.items[c].ports;
        for (uint32_t i = 0; i < ports->len; i++) {
            int32_t host = ports->items[i].host_port;
            if ((is_pod || host != 0) && host != ports->items[i].container_port)
                find_invalid_int(f, AT(AT_INDEX(AT(AT_INDEX(AT(p, "containers"), c), "ports"), i), "hostPort"), host,
                                 "must match `containerPort` when `hostNetwork` is true");
        }
    }
}

static void
check_dns(struct findings *f, const struct path *p, const struct pod_spec *spec)
{
    const struct pod_dns_config *d = spec->dns_config;
    size_t bytes = 0;

    if (str_eq(spec->dns_policy, "None")) {
        if (!d) {
            find_required(f, p, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if (d->nameservers.len == 0) {
            find_required(f, AT(p, "nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None");
            return;
        }
    }
    if (!d)
        return;
    if (d->nameservers.len > MAX_NAMESERVERS)
        find_invalid_list(f, AT(p, "nameservers"), &d->nameservers, "must not have more than %d nameservers", MAX_NAMESERVERS);
    for (uint32_t i = 0; i < d->nameservers.len; i++)
        check_ip(f, AT_INDEX(AT(p, "nameservers"), i), d->nameservers.items[i]);
    if (d->searches.len > MAX_SEARCHES)
        find_invalid_list(f, AT(p, "searches"), &d->searches, "must not have more than %d search paths", MAX_SEARCHES);
    for (uint32_t i = 0; i < d->searches.len; i++)
        bytes += strlen(str_safe(d->searches.items[i])) + (i > 0);
    if (bytes > MAX_SEARCH_BYTES)
        find_invalid_list(f, AT(p, "searches"), &d->searches,
                          "must not have more than %d characters (including spaces) in the search list", MAX_SEARCH_BYTES);
    for (uint32_t i = 0; i < d->searches.len; i++) {
        const char *search = str_safe(d->searches.items[i]);
        if (strcmp(search, ".") == 0)
            continue;
        AUTO_FREE char *name = xstrndup(search, strlen(search) - str_has_suffix(search, "."));
        check_name(f, AT_INDEX(AT(p, "searches"), i), NAME_DNS_SUBDOMAIN_UNDERSCORE, name);
    }
    for (uint32_t i = 0; i < d->options.len; i++)
        if (str_empty(d->options.items[i].name))
            find_required(f, AT_INDEX(AT(p, "options"), i), "must not be empty");
}

static void
check_host_aliases(struct findings *f, const struct path *p, const struct host_alias_slice *aliases)
{
    for (uint32_t i = 0; i < aliases->len; i++) {
        const struct path *at = AT_INDEX(p, i);
        check_ip(f, AT(at, "ip"), aliases->items[i].ip);
        for (uint32_t k = 0; k < aliases->items[i].hostnames.len; k++)
            check_name(f, AT_INDEX(AT(at, "hostnames"), k), NAME_DNS_SUBDOMAIN, aliases->items[i].hostnames.items[k]);
    }
}

static void
check_names_and_policies(struct findings *f, const struct path *p, const struct pod_spec *spec)
{
    static const char *const restart[] = { "Always", "OnFailure", "Never", NULL };
    static const char *const dns[] = { "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None", NULL };
    static const char *const preemption[] = { "PreemptLowerPriority", "Never", NULL };

    check_enum(f, AT(p, "restartPolicy"), spec->restart_policy, restart, true);
    check_enum(f, AT(p, "dnsPolicy"), spec->dns_policy, dns, true);
    check_dns(f, AT(p, "dnsConfig"), spec);
    for (uint32_t i = 0; i < spec->readiness_gates.len; i++)
        check_label_key(f, AT(AT_INDEX(AT(p, "readinessGates"), i), "conditionType"),
                        spec->readiness_gates.items[i].condition_type);
    check_optional_name(f, AT(p, "serviceAccountName"), NAME_DNS_SUBDOMAIN, spec->service_account_name);
    check_optional_name(f, AT(p, "nodeName"), NAME_DNS_SUBDOMAIN, spec->node_name);
    if (spec->active_deadline_seconds && (*spec->active_deadline_seconds < 1 || *spec->active_deadline_seconds > INT32_MAX))
        find_invalid_int(f, AT(p, "activeDeadlineSeconds"), *spec->active_deadline_seconds, INT32_RANGE_MSG);
    check_optional_name(f, AT(p, "hostname"), NAME_DNS_LABEL, spec->hostname);
    check_optional_name(f, AT(p, "subdomain"), NAME_DNS_LABEL, spec->subdomain);
    check_host_aliases(f, AT(p, "hostAliases"), &spec->host_aliases);
    check_optional_name(f, AT(p, "priorityClassName"), NAME_DNS_SUBDOMAIN, spec->priority_class_name);
    if (spec->runtime_class_name)
        check_name(f, AT(p, "runtimeClassName"), NAME_DNS_SUBDOMAIN, spec->runtime_class_name);
    if (spec->preemption_policy)
        check_enum(f, AT(p, "preemptionPolicy"), spec->preemption_policy, preemption, true);
    if (spec->hostname_override) {
        check_name(f, AT(p, "hostnameOverride"), NAME_DNS_SUBDOMAIN, spec->hostname_override);
        if (strlen(spec->hostname_override) > 64)
            find_too_long(f, AT(p, "hostnameOverride"), 64);
        if (spec->host_network)
            find_forbidden(f, AT(p, "hostNetwork"), "may not be set to true if `hostnameOverride` is set");
        if (spec->set_hostname_as_fqdn && *spec->set_hostname_as_fqdn)
            find_forbidden(f, AT(p, "setHostnameAsFQDN"), "may not be set to true if `hostnameOverride` is set");
    }
    if (spec->overhead.len > 0)
        check_resources(f, AT(p, "overhead"), &(struct resource_requirements){ .limits = spec->overhead }, NULL, false);
}

void
check_pod_spec(struct findings *f, const struct path *p, const struct pod_spec *spec, const struct object_meta *meta)
{
    AUTO_INDEX volumes = { 0 };
    struct pod_scope scope = { .spec = spec, .meta = meta, .volumes = &volumes, .is_pod = meta != NULL,
                               .host_users = !spec->host_users || *spec->host_users };

    if (!spec->termination_grace_period_seconds)
        find_required(f, AT(p, "terminationGracePeriodSeconds"), "");
    check_volumes(f, AT(p, "volumes"), &scope, &volumes);
    check_resource_claims(f, AT(p, "resourceClaims"), &spec->resource_claims);
    check_containers(f, p, &scope);
    check_pod_level_resources(f, AT(p, "resources"), spec);
    check_host_network_ports(f, p, spec, scope.is_pod);
    check_names_and_policies(f, p, spec);
    check_pod_scheduling(f, p, spec);
    check_pod_security(f, p, spec);
}

void
check_pod_template(struct findings *f, const struct path *p, const struct pod_template_spec *t)
{
    check_labels(f, AT(p, "labels"), &t->metadata.labels);
    check_annotations(f, AT(p, "annotations"), &t->metadata.annotations);
    check_pod_annotations(f, AT(p, "annotations"), &t->metadata.annotations, &t->spec);
    check_pod_spec(f, AT(p, "spec"), &t->spec, NULL);
    check_security_annotations(f, AT(p, "spec"), &t->metadata.annotations, &t->spec);
    if (t->spec.ephemeral_containers.len > 0)
        find_forbidden(f, AT(AT(p, "spec"), "ephemeralContainers"), "ephemeral containers not allowed in pod template");
}
