// SPDX-License-Identifier: Apache-2.0
/* Reconciles the default roles and bindings with what is stored: missing ones are created; existing ones get missing rules
 * and subjects added, unless their annotation rbac.authorization.kubernetes.io/autoupdate says "false". */
#include "apiserver/authz/rbac_defaults.h"

#include <string.h>

#include "apiserver/authz/authz_internal.h"
#include "apiserver/rest/internal.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/base/str.h"

#define AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"
#define RBAC_V1 "rbac.authorization.k8s.io/v1"
#define RBAC_GROUP "rbac.authorization.k8s.io"

static void
split(struct string_slice *to, struct arena *a, const char *list)
{
    AUTO_STRLIST parts = { 0 };

    strlist_split(&parts, list, ',');
    to->items = arena_alloc(a, (parts.len + 1) * sizeof *to->items);
    for (size_t i = 0; i < parts.len; i++)
        to->items[to->len++] = strcmp(parts.items[i], "core") == 0 ? "" : arena_strdup(a, parts.items[i]);
    to->cap = to->len;
    if (!to->len)
        *to = (struct string_slice){ 0 };
}

static void
label(struct object *obj)
{
    struct object_meta *meta = object_meta(obj);

    string_map_set(&meta->labels, object_arena(obj), "kubernetes.io/bootstrapping", "rbac-defaults");
    string_map_set(&meta->annotations, object_arena(obj), AUTOUPDATE, "true");
}

static void
label_aggregation(struct object *obj, const char *to)
{
    AUTO_STRLIST names = { 0 };

    strlist_split(&names, to, ',');
    for (size_t i = 0; i < names.len; i++) {
        AUTO_FREE char *key = xasprintf("rbac.authorization.k8s.io/aggregate-to-%s", names.items[i]);
        string_map_set(&object_meta(obj)->labels, object_arena(obj), key, "true");
    }
}

static void
aggregate_from(struct cluster_role *role, struct arena *a, const char *from)
{
    AUTO_FREE char *key = xasprintf("rbac.authorization.k8s.io/aggregate-to-%s", from);

    role->aggregation_rule = ARENA_NEW(a, struct aggregation_rule);
    role->aggregation_rule->cluster_role_selectors.items = ARENA_NEW(a, struct label_selector);
    role->aggregation_rule->cluster_role_selectors.len = role->aggregation_rule->cluster_role_selectors.cap = 1;
    string_map_set(&role->aggregation_rule->cluster_role_selectors.items[0].match_labels, a, key, "true");
}

static struct policy_rule_slice *
rules_of(struct object *obj)
{
    struct cluster_role *cluster = OBJECT_BODY(obj, cluster_role);

    return cluster ? &cluster->rules : &OBJECT_BODY(obj, role)->rules;
}

static void
add_rule(struct object *obj, const struct policy_rule *rule)
{
    struct policy_rule_slice *l = rules_of(obj);

    l->items = arena_grow(object_arena(obj), l->items, l->len * sizeof *l->items, (l->len + 1) * sizeof *l->items);
    api_copy(&api_type_policy_rule, object_arena(obj), rule, &l->items[l->len++]);
    l->cap = l->len;
}

/* The role that the row at `at` opens; *ret_next is the first row behind it. */
static struct object *
make_role(size_t at, size_t *ret_next)
{
    const struct default_row *row = &default_roles[at];
    struct object *obj = object_new_of(RBAC_V1, *row->a ? "Role" : "ClusterRole");
    struct arena *a = object_arena(obj);

    object_meta(obj)->name = row->b;
    object_meta(obj)->namespace = *row->a ? row->a : NULL;
    label(obj);
    label_aggregation(obj, row->c);
    if (*row->d)
        aggregate_from(OBJECT_BODY(obj, cluster_role), a, row->d);
    for (at++; at < default_roles_len && default_roles[at].kind != DEFAULT_ROLE; at++) {
        struct policy_rule rule = { 0 };
        row = &default_roles[at];
        split(&rule.verbs, a, row->a);
        split(row->kind == DEFAULT_PATH ? &rule.non_resource_urls : &rule.api_groups, a, row->b);
        split(&rule.resources, a, row->c);
        split(&rule.resource_names, a, row->d);
        add_rule(obj, &rule);
    }
    *ret_next = at;
    return obj;
}

static bool
may_update(const struct object *obj)
{
    return !str_eq(meta_annotation(object_meta(obj), AUTOUPDATE), "false");
}

/* arg: the role as it should be. */
static bool
complete_role(struct object *obj, void *arg)
{
    struct object *want = arg;
    const struct policy_rule_slice *wanted = rules_of(want);
    struct policy_rule_slice *have = rules_of(obj);
    bool changed = false;

    if (!may_update(obj))
        return false;
    for (uint32_t i = 0; i < wanted->len; i++) {
        bool found = false;
        for (uint32_t j = 0; j < have->len && !found; j++)
            found = api_equal(&api_type_policy_rule, &wanted->items[i], &have->items[j]);
        if (!found) {
            add_rule(obj, &wanted->items[i]);
            changed = true;
        }
    }
    return changed;
}

static struct subject_slice *
subjects_of(struct object *obj)
{
    struct cluster_role_binding *cluster = OBJECT_BODY(obj, cluster_role_binding);

    return cluster ? &cluster->subjects : &OBJECT_BODY(obj, role_binding)->subjects;
}

static void
add_subject(struct object *obj, const struct subject *s)
{
    struct subject_slice *l = subjects_of(obj);

    l->items = arena_grow(object_arena(obj), l->items, l->len * sizeof *l->items, (l->len + 1) * sizeof *l->items);
    l->items[l->len++] = *s;
    l->cap = l->len;
}

static bool
complete_binding(struct object *obj, void *arg)
{
    const struct subject_slice *wanted = subjects_of(arg);
    const struct subject_slice *have = subjects_of(obj);
    bool changed = false;

    if (!may_update(obj))
        return false;
    for (uint32_t i = 0; i < wanted->len; i++) {
        bool found = false;
        for (uint32_t j = 0; j < have->len && !found; j++)
            found = api_equal(&api_type_subject, &wanted->items[i], &have->items[j]);
        if (!found) {
            add_subject(obj, &wanted->items[i]);
            changed = true;
        }
    }
    return changed;
}

static struct object *
make_binding(size_t at, size_t *ret_next)
{
    const struct default_binding *row = &default_bindings[at], *first = row;
    struct object *obj = object_new_of(RBAC_V1, *row->ns ? "RoleBinding" : "ClusterRoleBinding");
    const struct role_ref ref = { .api_group = RBAC_GROUP, .kind = row->role_kind, .name = row->role };

    object_meta(obj)->name = row->name;
    object_meta(obj)->namespace = *row->ns ? row->ns : NULL;
    label(obj);
    if (*row->ns)
        OBJECT_BODY(obj, role_binding)->role_ref = ref;
    else
        OBJECT_BODY(obj, cluster_role_binding)->role_ref = ref;
    for (; at < default_bindings_len && strcmp(default_bindings[at].name, first->name) == 0 && strcmp(default_bindings[at].ns, first->ns) == 0; at++) {
        row = &default_bindings[at];
        bool account = strcmp(row->subject_kind, "ServiceAccount") == 0;
        const struct subject s = { .kind = row->subject_kind, .api_group = account ? NULL : RBAC_GROUP, .name = row->subject,
                                   .namespace = *row->subject_ns ? row->subject_ns : NULL };
        if (*row->subject_kind)
            add_subject(obj, &s);
    }
    *ret_next = at;
    return obj;
}

static struct kerr *
reconcile(struct object *want, bool (*complete)(struct object *obj, void *arg))
{
    const struct resource *r = resource_of_kind(object_kind(want));
    const char *ns = str_safe(object_namespace(want)), *name = object_name(want);
    AUTO(object) *have = internal_get(r, ns, name);
    AUTO(object) *fresh = NULL;

    if (have) {
        AUTO(object) *probe = object_copy(have);
        if (!complete(probe, want))
            return NULL;
    }
    fresh = object_copy(want);
    return kerr_wrap(internal_update(r, ns, name, fresh, complete, want), "default %s %s", object_kind(want)->kind, name);
}

struct kerr *
rbac_bootstrap(void)
{
    struct kerr *err = NULL;

    for (size_t i = 0; !err && i < default_roles_len;) {
        AUTO(object) *role = make_role(i, &i);
        err = reconcile(role, complete_role);
    }
    for (size_t i = 0; !err && i < default_bindings_len;) {
        AUTO(object) *binding = make_binding(i, &i);
        err = reconcile(binding, complete_binding);
    }
    return err;
}
