// SPDX-License-Identifier: Apache-2.0
/* Resource names and quantities: requests, limits, quotas. */
#include <string.h>

#include "apiserver/registry/validate_parts.h"
#include "common/api/meta.h"
#include "common/api/values.h"

/* Where an unprefixed name may stand. */
enum { STANDARD = 1, CONTAINER = 2, QUOTA = 4, INTEGER = 8 };

static const struct {
    const char *name;
    unsigned uses;
} known[] = {
    { "cpu", STANDARD | CONTAINER | QUOTA },
    { "memory", STANDARD | CONTAINER | QUOTA },
    { "ephemeral-storage", STANDARD | CONTAINER | QUOTA },
    { "requests.cpu", STANDARD | QUOTA },
    { "requests.memory", STANDARD | QUOTA },
    { "requests.ephemeral-storage", STANDARD | QUOTA },
    { "requests.storage", STANDARD | QUOTA },
    { "limits.cpu", STANDARD | QUOTA },
    { "limits.memory", STANDARD | QUOTA },
    { "limits.ephemeral-storage", STANDARD | QUOTA },
    { "storage", STANDARD },
    { "pods", STANDARD | QUOTA | INTEGER },
    { "resourcequotas", STANDARD | QUOTA | INTEGER },
    { "services", STANDARD | QUOTA | INTEGER },
    { "replicationcontrollers", STANDARD | QUOTA | INTEGER },
    { "secrets", STANDARD | QUOTA | INTEGER },
    { "configmaps", STANDARD | QUOTA | INTEGER },
    { "persistentvolumeclaims", STANDARD | QUOTA | INTEGER },
    { "services.nodeports", STANDARD | QUOTA | INTEGER },
    { "services.loadbalancers", STANDARD | QUOTA | INTEGER },
};

static unsigned
uses_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].uses;
    return 0;
}

static bool
is_hugepages(const char *name)
{
    return str_has_prefix(name, "hugepages-");
}

static bool
is_quota_hugepages(const char *name)
{
    return is_hugepages(name) || str_has_prefix(name, "requests.hugepages-");
}

bool
resource_is_native(const char *name)
{
    return !strchr(name, '/') || strstr(name, "kubernetes.io/");
}

bool
resource_allows_overcommit(const char *name)
{
    return resource_is_native(name) && !is_hugepages(name);
}

bool
resource_is_standard_quota(const char *name)
{
    return (uses_of(name) & QUOTA) || is_quota_hugepages(name);
}

static bool
is_extended(const char *name)
{
    if (resource_is_native(name) || str_has_prefix(name, "requests."))
        return false;
    AUTO_FREE char *quota_name = xasprintf("requests.%s", name);
    return name_ok(NAME_QUALIFIED, quota_name);
}

void
check_resource_name(struct findings *f, const struct path *p, const char *name)
{
    unsigned before = findings_count(f);

    check_name(f, p, NAME_QUALIFIED, name);
    if (findings_count(f) > before || strchr(name, '/'))
        return;
    if (!(uses_of(name) & STANDARD) && !is_quota_hugepages(name))
        find_invalid(f, p, name, "must be a standard resource type or fully qualified");
}

void
check_container_resource_name(struct findings *f, const struct path *p, const char *name)
{
    check_resource_name(f, p, name);
    if (!strchr(name, '/')) {
        if (!(uses_of(name) & CONTAINER) && !is_hugepages(name))
            find_invalid(f, p, name, "must be a standard resource for containers");
    } else if (!resource_is_native(name) && !is_extended(name))
        find_invalid(f, p, name, "doesn't follow extended resource name standard");
}

void
check_quota_resource_name(struct findings *f, const struct path *p, const char *name)
{
    check_resource_name(f, p, name);
    if (!strchr(name, '/') && !resource_is_standard_quota(name))
        find_invalid(f, p, name, "must be a standard resource for quota");
}

static void
check_pod_level_name(struct findings *f, const struct path *p, const char *name)
{
    static const char *const supported[] = { "cpu", "memory", NULL };
    unsigned before = findings_count(f);

    check_resource_name(f, p, name);
    if (findings_count(f) == before && !is_one_of(name, supported) && !is_hugepages(name))
        find_unsupported(f, p, name, supported);
}

void
check_quantity_value(struct findings *f, const struct path *p, const char *resource, struct quantity q)
{
    if (quantity_sign(q) < 0)
        find_invalid(f, p, quantity_text(q), NEGATIVE_MSG);
    if (((uses_of(resource) & INTEGER) || is_extended(resource)) && quantity_milli(q) % 1000 != 0)
        find_invalid(f, p, quantity_text(q), "must be an integer");
}

void
check_positive_quantity(struct findings *f, const struct path *p, struct quantity q)
{
    if (quantity_sign(q) <= 0)
        find_invalid(f, p, quantity_text(q), NOT_POSITIVE_MSG);
}

static void
check_hugepages(struct findings *f, const struct path *p, const char *name, struct quantity q)
{
    AUTO(arena) *a = arena_new(128);
    struct quantity page;
    const char *size = name + strlen("hugepages-");
    AUTO(kerr) *err = quantity_parse(size, strlen(size), a, &page);

    if (err || quantity_value(page) <= 0 || quantity_value(q) % quantity_value(page) != 0)
        find_invalid(f, p, quantity_text(q), "%s is not positive integer multiple of %s", quantity_text(q), name);
}

/* Which of the interesting kinds of resource a list names. */
struct seen {
    bool cpu_or_memory, hugepages;
};

static void
check_entry(struct findings *f, const struct path *p, const struct quantity_map_entry *e, bool pod_level, struct seen *seen)
{
    if (pod_level)
        check_pod_level_name(f, p, e->key);
    else
        check_container_resource_name(f, p, e->key);
    check_quantity_value(f, p, e->key, e->value);
    if (is_hugepages(e->key))
        seen->hugepages = true;
    if (strcmp(e->key, "cpu") == 0 || strcmp(e->key, "memory") == 0)
        seen->cpu_or_memory = true;
}

static void
check_request_fits(struct findings *f, const struct path *p, const struct quantity_map_entry *e, const struct quantity_map *limits)
{
    bool overcommit = resource_allows_overcommit(e->key);

    if (!quantity_map_has(limits, e->key)) {
        if (!overcommit)
            find_required(f, AT(p, "limits"), "Limit must be set for non overcommitable resources");
        return;
    }
    struct quantity limit = quantity_map_get(limits, e->key);
    int cmp = quantity_cmp(e->value, limit);
    if (cmp != 0 && !overcommit)
        find_invalid(f, AT(p, "requests"), quantity_text(e->value), "must be equal to %s limit of %s", e->key,
                     quantity_text(limit));
    else if (cmp > 0)
        find_invalid(f, AT(p, "requests"), quantity_text(e->value), "must be less than or equal to %s limit of %s", e->key,
                     quantity_text(limit));
}

static bool
has_pod_claim(const struct pod_resource_claim_slice *claims, const char *name)
{
    for (uint32_t i = 0; claims && i < claims->len; i++)
        if (str_eq(claims->items[i].name, name))
            return true;
    return false;
}

static void
check_claims(struct findings *f, const struct path *p, const struct resource_claim_slice *claims,
             const struct pod_resource_claim_slice *pod_claims)
{
    for (uint32_t i = 0; i < claims->len; i++) {
        const struct resource_claim *c = &claims->items[i];
        const struct path *at = AT_INDEX(p, i);
        if (!check_required(f, at, c->name))
            continue;
        check_optional_name(f, AT(at, "request"), NAME_DNS_LABEL, c->request);
        for (uint32_t k = 0; k < i; k++) {
            const struct resource_claim *other = &claims->items[k];
            if (str_eq(other->name, c->name) &&
                (str_eq(other->request, c->request) || str_empty(c->request) || str_empty(other->request))) {
                find_duplicate(f, at, c->name);
                break;
            }
        }
        if (has_pod_claim(pod_claims, c->name))
            continue;
        AUTO_SBUF detail = { 0 };
        sbuf_adds(&detail, "must be one of the names in pod.spec.resourceClaims");
        if (!pod_claims || pod_claims->len == 0)
            sbuf_adds(&detail, " which is empty");
        for (uint32_t k = 0; pod_claims && k < pod_claims->len; k++)
            sbuf_addf(&detail, "%s%s", k ? ", " : ": ", str_safe(pod_claims->items[k].name));
        find_not_found(f, at, c->name, sbuf_str(&detail));
    }
}

void
check_resources(struct findings *f, const struct path *p, const struct resource_requirements *r,
                const struct pod_resource_claim_slice *pod_claims, bool pod_level)
{
    struct seen seen = { 0 };

    for (uint32_t i = 0; i < r->limits.len; i++) {
        const struct quantity_map_entry *e = &r->limits.items[i];
        const struct path *at = AT_KEY(AT(p, "limits"), e->key);
        check_entry(f, at, e, pod_level, &seen);
        if (is_hugepages(e->key))
            check_hugepages(f, at, e->key, e->value);
    }
    for (uint32_t i = 0; i < r->requests.len; i++) {
        const struct quantity_map_entry *e = &r->requests.items[i];
        const struct path *at = AT_KEY(AT(p, "requests"), e->key);
        check_entry(f, at, e, pod_level, &seen);
        check_request_fits(f, p, e, &r->limits);
        if (is_hugepages(e->key))
            check_hugepages(f, at, e->key, e->value);
    }
    if (seen.hugepages && !seen.cpu_or_memory)
        find_forbidden(f, p, "HugePages require cpu or memory");
    check_claims(f, AT(p, "claims"), &r->claims, pod_claims);
}
