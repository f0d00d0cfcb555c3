// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authz/rules_review.h"

#include "apiserver/authz/authz_internal.h"
#include "apiserver/authz/rbac.h"

static void
add_resource_rule(struct self_subject_rules_review *review, struct arena *a, const struct policy_rule *rule)
{
    struct resource_rule_slice *l = &review->status.resource_rules;

    l->items = arena_grow(a, l->items, l->len * sizeof *l->items, (l->len + 1) * sizeof *l->items);
    l->items[l->len++] = (struct resource_rule){ .verbs = rule->verbs, .api_groups = rule->api_groups, .resources = rule->resources,
                                                 .resource_names = rule->resource_names };
    l->cap = l->len;
}

static void
add_path_rule(struct self_subject_rules_review *review, struct arena *a, const struct policy_rule *rule)
{
    struct non_resource_rule_slice *l = &review->status.non_resource_rules;

    l->items = arena_grow(a, l->items, l->len * sizeof *l->items, (l->len + 1) * sizeof *l->items);
    l->items[l->len++] = (struct non_resource_rule){ .verbs = rule->verbs, .non_resource_urls = rule->non_resource_urls };
    l->cap = l->len;
}

static void
add_everything(struct self_subject_rules_review *review, struct arena *a)
{
    static const char *star[] = { "*" };
    const struct string_slice all = { star, 1, 1 };
    const struct policy_rule resources = { .verbs = all, .api_groups = all, .resources = all };
    const struct policy_rule paths = { .verbs = all, .non_resource_urls = all };

    add_resource_rule(review, a, &resources);
    add_path_rule(review, a, &paths);
}

struct kerr *
rules_review(struct authz *z, const struct user_info *user, struct arena *a, struct self_subject_rules_review *review)
{
    struct policy_rule_slice rules = { 0 };
    struct rbac *rbac = authz_rules(z);

    review->status = (struct subject_rules_review_status){ 0 };
    if (user_in_group(user, GROUP_MASTERS) || authz_allows_all(z))
        add_everything(review, a);
    if (rbac)
        rbac_rules_of(rbac, user, review->spec.namespace ? review->spec.namespace : "", a, &rules);
    for (uint32_t i = 0; i < rules.len; i++) {
        if (rules.items[i].non_resource_urls.len)
            add_path_rule(review, a, &rules.items[i]);
        else
            add_resource_rule(review, a, &rules.items[i]);
    }
    /* The node authorizer cannot list what it allows. */
    review->status.incomplete = authz_has_node(z);
    if (review->status.incomplete)
        review->status.evaluation_error = "node authorizer does not support user rule resolution";
    return NULL;
}
