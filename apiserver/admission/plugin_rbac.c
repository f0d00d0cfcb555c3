// SPDX-License-Identifier: Apache-2.0
/* Nobody grants more than they have: writing a role needs all its rules (or the verb "escalate"), writing a binding needs all
 * rules of the role it names (or the verb "bind").  Upstream does this in the storage of the rbac API group; it is on
 * whenever RBAC decides, and has no flag. */
#include <string.h>

#include "apiserver/admission/plugins.h"
#include "apiserver/authz/rbac.h"
#include "apiserver/rest/internal.h"

static bool
may(const struct write_context *c, const char *verb, const char *resource, const char *ns, const char *name, struct arena *a)
{
    const struct authz_attributes at = { .user = c->user, .verb = verb, .is_resource = true, .group = "rbac.authorization.k8s.io", .version = "v1",
                                         .resource = resource, .subresource = "", .ns = ns, .name = name };
    const char *reason;

    return authz_decide(c->srv->authz, &at, a, &reason) == AUTHZ_ALLOW;
}

/* One verb on one resource (or path) of a rule: does the user hold it? */
static bool
holds(const struct policy_rule_slice *own, const struct authz_attributes *at)
{
    for (uint32_t i = 0; i < own->len; i++)
        if (rbac_rule_allows(&own->items[i], at))
            return true;
    return false;
}

static bool
holds_resource(const struct policy_rule_slice *own, const struct policy_rule *r, const char *verb, const char *group, const char *resource)
{
    AUTO_FREE char *base = xstrndup(resource, strcspn(resource, "/"));
    const char *slash = strchr(resource, '/');
    struct authz_attributes at = { .verb = verb, .is_resource = true, .group = group, .resource = base, .subresource = slash ? slash + 1 : "", .name = "" };

    if (r->resource_names.len == 0)
        return holds(own, &at);
    for (uint32_t i = 0; i < r->resource_names.len; i++) {
        at.name = r->resource_names.items[i];
        if (!holds(own, &at))
            return false;
    }
    return true;
}

static bool
holds_rule(const struct policy_rule_slice *own, const struct policy_rule *r)
{
    for (uint32_t v = 0; v < r->verbs.len; v++) {
        for (uint32_t g = 0; g < r->api_groups.len; g++)
            for (uint32_t i = 0; i < r->resources.len; i++)
                if (!holds_resource(own, r, r->verbs.items[v], r->api_groups.items[g], r->resources.items[i]))
                    return false;
        for (uint32_t i = 0; i < r->non_resource_urls.len; i++) {
            const struct authz_attributes at = { .verb = r->verbs.items[v], .path = r->non_resource_urls.items[i] };
            if (!holds(own, &at))
                return false;
        }
    }
    return true;
}

static void
print_list(struct sbuf *out, const char *name, const struct string_slice *l)
{
    if (!l->len)
        return;
    sbuf_addf(out, "%s%s:[", out->len && out->s[out->len - 1] != '{' ? ", " : "", name);
    for (uint32_t i = 0; i < l->len; i++)
        sbuf_addf(out, "%s\"%s\"", i ? " " : "", l->items[i]);
    sbuf_addc(out, ']');
}

static struct kerr *
check_rules(const struct write_context *c, const struct policy_rule_slice *wanted, const char *ns, struct arena *a)
{
    struct policy_rule_slice own = { 0 };
    AUTO_SBUF missing = { 0 };
    struct rbac *rbac = authz_rules(c->srv->authz);

    if (!rbac)
        return NULL;
    rbac_rules_of(rbac, c->user, ns, a, &own);
    for (uint32_t i = 0; i < wanted->len; i++) {
        if (holds_rule(&own, &wanted->items[i]))
            continue;
        AUTO_SBUF one = { 0 };
        sbuf_addc(&one, '{');
        print_list(&one, "APIGroups", &wanted->items[i].api_groups);
        print_list(&one, "Resources", &wanted->items[i].resources);
        print_list(&one, "ResourceNames", &wanted->items[i].resource_names);
        print_list(&one, "NonResourceURLs", &wanted->items[i].non_resource_urls);
        print_list(&one, "Verbs", &wanted->items[i].verbs);
        sbuf_addf(&missing, "\n%s}", sbuf_str(&one));
    }
    if (!missing.len)
        return NULL;
    AUTO_SBUF groups = { 0 };
    for (uint32_t i = 0; i < c->user->groups.len; i++)
        sbuf_addf(&groups, "%s\"%s\"", i ? " " : "", c->user->groups.items[i]);
    AUTO_FREE char *why = xasprintf("user \"%s\" (groups=[%s]) is attempting to grant RBAC permissions not currently held:%s", c->user->username,
                                    sbuf_str(&groups), sbuf_str(&missing));
    return kerr_forbidden("rbac.authorization.k8s.io", c->resource->kind->plural, c->name, why);
}

static const struct policy_rule_slice *
role_rules(struct object *role)
{
    const struct cluster_role *cluster = OBJECT_BODY(role, cluster_role);

    return cluster ? &cluster->rules : &OBJECT_BODY(role, role)->rules;
}

/* Any rule can come into an aggregated role later, so it takes the right to do everything. */
static const char *every[] = { "*" };
#define EVERY { every, 1, 1 }
static struct policy_rule all_rules[] = {
    { .verbs = EVERY, .api_groups = EVERY, .resources = EVERY },
    { .verbs = EVERY, .non_resource_urls = EVERY },
};
static const struct policy_rule_slice everything = { all_rules, ARRAY_LEN(all_rules), ARRAY_LEN(all_rules) };

static bool
is_aggregated(const struct object *obj)
{
    AUTO(object) *held = obj ? object_ref(obj) : NULL;
    const struct cluster_role *role = held ? OBJECT_BODY(held, cluster_role) : NULL;

    return role && role->aggregation_rule && role->aggregation_rule->cluster_role_selectors.len > 0;
}

static struct kerr *
check_role(const struct write_context *c, const struct object *obj, const struct object *old, struct arena *a)
{
    const char *plural = c->resource->kind->plural;
    AUTO(object) *held = object_ref(obj);

    if (may(c, "escalate", plural, c->ns, object_name(obj), a))
        return NULL;
    struct kerr *err = check_rules(c, role_rules(held), str_safe(c->ns), a);
    if (!err && (is_aggregated(obj) || is_aggregated(old)))
        err = check_rules(c, &everything, "", a);
    return err;
}

static struct kerr *
check_binding(const struct write_context *c, const struct role_ref *ref, struct arena *a)
{
    bool cluster = str_eq(ref->kind, "ClusterRole");
    const char *ns = cluster ? "" : c->ns;

    if (may(c, "bind", cluster ? "clusterroles" : "roles", c->ns, ref->name, a))
        return NULL;
    AUTO(object) *role = internal_get(resource_named("rbac.authorization.k8s.io/v1", ref->kind), ns, str_safe(ref->name));
    if (!role)
        return kerr_not_found("rbac.authorization.k8s.io", cluster ? "clusterroles" : "roles", str_safe(ref->name));
    return check_rules(c, role_rules(role), str_safe(c->ns), a);
}

static struct kerr *
validate(const struct write_context *c, enum admission_operation op, const struct object *obj, const struct object *old)
{
    const char *kind = c->resource->kind->kind;

    if (strcmp(c->resource->kind->group, "rbac.authorization.k8s.io") != 0 || user_in_group(c->user, GROUP_MASTERS) || !obj)
        return NULL;
    AUTO(arena) *a = arena_new(4096);
    if (strcmp(kind, "Role") == 0 || strcmp(kind, "ClusterRole") == 0)
        return check_role(c, obj, old, a);
    AUTO(object) *held = object_ref(obj);
    const struct cluster_role_binding *b = OBJECT_BODY(held, cluster_role_binding);
    return check_binding(c, b ? &b->role_ref : &OBJECT_BODY(held, role_binding)->role_ref, a);
}

const struct admission_plugin plugin_rbac_escalation = {
    .name = "RBACEscalationCheck",
    .on_by_default = true,
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE,
    .validate = validate,
};
