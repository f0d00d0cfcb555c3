// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/clusterrole_aggregation.h"

#include "common/api/codec.h"
#include "controller-manager/controllers.h"

/* --- decide --- */

static bool
has_rule(const struct policy_rule_slice *l, const struct policy_rule *r)
{
    for (uint32_t i = 0; i < l->len; i++)
        if (api_equal(&api_type_policy_rule, &l->items[i], r))
            return true;
    return false;
}

static int
by_name(const void *pa, const void *pb)
{
    return str_cmp(object_name(*(struct object *const *)pa), object_name(*(struct object *const *)pb));
}

static void
add_rules(struct policy_rule_slice *l, const struct policy_rule_slice *from, struct arena *a)
{
    l->items = arena_grow(a, l->items, l->len * sizeof *l->items, (l->len + from->len) * sizeof *l->items);
    for (uint32_t i = 0; i < from->len; i++)
        if (!has_rule(l, &from->items[i]))
            l->items[l->len++] = from->items[i];
    l->cap = l->len;
}

/* In the order of the selectors, roles by name. */
static struct policy_rule_slice
collect(const struct aggregation_picture *p, const struct object_list *sorted, struct arena *a)
{
    const struct aggregation_rule *rule = OBJECT_BODY(p->role, cluster_role)->aggregation_rule;
    struct policy_rule_slice out = { 0 };

    for (uint32_t s = 0; s < rule->cluster_role_selectors.len; s++) {
        struct label_query *q;
        AUTO(kerr) *err = label_query_from(&rule->cluster_role_selectors.items[s], a, &q);
        for (size_t i = 0; !err && i < sorted->len; i++)
            if (!str_eq(object_name(sorted->items[i]), object_name(p->role)) && label_query_matches(q, &object_meta(sorted->items[i])->labels))
                add_rules(&out, &OBJECT_BODY(sorted->items[i], cluster_role)->rules, a);
    }
    return out;
}

static bool
same_rules(const struct policy_rule_slice *a, const struct policy_rule_slice *b)
{
    for (uint32_t i = 0; i < a->len; i++)
        if (!has_rule(b, &a->items[i]))
            return false;
    for (uint32_t i = 0; i < b->len; i++)
        if (!has_rule(a, &b->items[i]))
            return false;
    return true;
}

struct plan *
clusterrole_aggregation_decide(const struct aggregation_picture *p, const char *key)
{
    struct plan *plan = plan_new(key);
    const struct cluster_role *role = OBJECT_BODY(p->role, cluster_role);
    AUTO(arena) *a = arena_new(0);
    AUTO_OBJECT_LIST sorted = { 0 };

    if (!role->aggregation_rule || meta_deleting(&role->metadata))
        return plan;
    for (size_t i = 0; i < p->all.len; i++)
        object_list_ref(&sorted, p->all.items[i]);
    if (sorted.len)
        qsort(sorted.items, sorted.len, sizeof *sorted.items, by_name);
    struct policy_rule_slice rules = collect(p, &sorted, a);
    if (same_rules(&rules, &role->rules))
        return plan;
    struct object *copy = object_copy(p->role);
    struct cluster_role *next = object_body(copy);
    struct cluster_role from = { .rules = rules };
    struct cluster_role deep;
    api_copy(&api_type_cluster_role, object_arena(copy), &from, &deep);
    next->rules = deep.rules;
    plan_update(plan, copy, "the rules of the roles it selects");
    return plan;
}

/* --- observe and act --- */

static struct informer *
roles(struct controller *c)
{
    return controller_informer(c, "rbac.authorization.k8s.io/v1", "ClusterRole");
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    AUTO(object) *role = informer_get(roles(c), NULL, key);
    struct aggregation_picture p = { .role = role };

    if (!role)
        return NULL;
    informer_list(roles(c), NULL, &p.all);
    struct kerr *err = controller_act(c, NULL, clusterrole_aggregation_decide(&p, key));
    object_list_done(&p.all);
    return err;
}

/* Any role may be a part of any aggregated one. */
static void
role_changed(struct controller *c, const struct object *old, const struct object *now)
{
    AUTO_OBJECT_LIST all = { 0 };

    informer_list(roles(c), NULL, &all);
    for (size_t i = 0; i < all.len; i++)
        if (OBJECT_BODY(all.items[i], cluster_role)->aggregation_rule)
            controller_enqueue(c, all.items[i]);
}

struct kerr *
clusterrole_aggregation_start(struct controller *c)
{
    controller_queue(c, 1, sync_key);
    controller_watch(c, "rbac.authorization.k8s.io/v1", "ClusterRole", role_changed);
    return NULL;
}
