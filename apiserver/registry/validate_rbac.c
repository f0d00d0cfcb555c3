// SPDX-License-Identifier: Apache-2.0
#include "apiserver/registry/validate_kinds.h"
#include "common/api/codec.h"

static const char *const rbac_group[] = { "rbac.authorization.k8s.io", NULL };

static void
check_rules(struct findings *f, const struct policy_rule_slice *rules, bool namespaced)
{
    for (uint32_t i = 0; i < rules->len; i++) {
        const struct policy_rule *r = &rules->items[i];
        const struct path *p = AT_INDEX(AT(NULL, "rules"), i);
        if (r->verbs.len == 0)
            find_required(f, AT(p, "verbs"), "verbs must contain at least one value");
        if (r->non_resource_urls.len > 0) {
            if (namespaced)
                find_invalid_list(f, AT(p, "nonResourceURLs"), &r->non_resource_urls,
                                  "namespaced rules cannot apply to non-resource URLs");
            if (r->api_groups.len + r->resources.len + r->resource_names.len > 0)
                find_invalid_list(f, AT(p, "nonResourceURLs"), &r->non_resource_urls,
                                  "rules cannot apply to both regular resources and non-resource URLs");
            continue;
        }
        if (r->api_groups.len == 0)
            find_required(f, AT(p, "apiGroups"), "resource rules must supply at least one api group");
        if (r->resources.len == 0)
            find_required(f, AT(p, "resources"), "resource rules must supply at least one resource");
    }
}

void
role_create(struct findings *f, const void *body)
{
    check_rules(f, &((const struct role *)body)->rules, true);
}

void
cluster_role_create(struct findings *f, const void *body)
{
    const struct cluster_role *cr = body;
    const struct path *p = AT(AT(NULL, "aggregationRule"), "clusterRoleSelectors");

    check_rules(f, &cr->rules, false);
    if (!cr->aggregation_rule)
        return;
    if (cr->aggregation_rule->cluster_role_selectors.len == 0)
        find_required(f, p, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    for (uint32_t i = 0; i < cr->aggregation_rule->cluster_role_selectors.len; i++)
        check_label_selector(f, AT_INDEX(p, i), &cr->aggregation_rule->cluster_role_selectors.items[i]);
}

static void
check_subject(struct findings *f, const struct path *p, const struct subject *s, bool namespaced)
{
    static const char *const kinds[] = { "ServiceAccount", "User", "Group", NULL };
    static const char *const core[] = { "", NULL };
    bool user = str_eq(s->kind, "User");

    check_required(f, AT(p, "name"), s->name);
    if (str_eq(s->kind, "ServiceAccount")) {
        check_optional_name(f, AT(p, "name"), NAME_DNS_SUBDOMAIN, s->name);
        if (!str_empty(s->api_group))
            find_unsupported(f, AT(p, "apiGroup"), s->api_group, core);
        if (!namespaced)
            check_required(f, AT(p, "namespace"), s->namespace);
    } else if (user || str_eq(s->kind, "Group")) {
        if (str_empty(s->name))
            find_invalid(f, AT(p, "name"), s->name, "%s name cannot be empty", user ? "user" : "group");
        if (!is_one_of(s->api_group, rbac_group))
            find_unsupported(f, AT(p, "apiGroup"), s->api_group, rbac_group);
    } else
        find_unsupported(f, AT(p, "kind"), s->kind, kinds);
}

static void
check_binding(struct findings *f, const struct role_ref *ref, const struct subject_slice *subjects, bool namespaced)
{
    static const char *const both[] = { "Role", "ClusterRole", NULL }, *const cluster[] = { "ClusterRole", NULL };
    const struct path *p = AT(NULL, "roleRef");

    if (!is_one_of(ref->api_group, rbac_group))
        find_unsupported(f, AT(p, "apiGroup"), ref->api_group, rbac_group);
    if (!is_one_of(ref->kind, namespaced ? both : cluster))
        find_unsupported(f, AT(p, "kind"), ref->kind, namespaced ? both : cluster);
    check_required_name(f, AT(p, "name"), NAME_PATH_SEGMENT, ref->name);
    for (uint32_t i = 0; i < subjects->len; i++)
        check_subject(f, AT_INDEX(AT(NULL, "subjects"), i), &subjects->items[i], namespaced);
}

static void
check_ref_unchanged(struct findings *f, const struct role_ref *now, const struct role_ref *old)
{
    if (!api_equal(&api_type_role_ref, now, old))
        find_invalid_struct(f, AT(NULL, "roleRef"), &api_type_role_ref, now, "cannot change roleRef");
}

void
role_binding_create(struct findings *f, const void *body)
{
    const struct role_binding *rb = body;

    check_binding(f, &rb->role_ref, &rb->subjects, true);
}

void
cluster_role_binding_create(struct findings *f, const void *body)
{
    const struct cluster_role_binding *rb = body;

    check_binding(f, &rb->role_ref, &rb->subjects, false);
}

void
role_binding_update(struct findings *f, const void *body, const void *old)
{
    role_binding_create(f, body);
    check_ref_unchanged(f, &((const struct role_binding *)body)->role_ref, &((const struct role_binding *)old)->role_ref);
}

void
cluster_role_binding_update(struct findings *f, const void *body, const void *old)
{
    cluster_role_binding_create(f, body);
    check_ref_unchanged(f, &((const struct cluster_role_binding *)body)->role_ref,
                        &((const struct cluster_role_binding *)old)->role_ref);
}
