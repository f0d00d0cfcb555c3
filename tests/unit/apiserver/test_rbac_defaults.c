// SPDX-License-Identifier: Apache-2.0
/* The default roles and bindings, cut into single permissions, against upstream's own test data (CKUBE_SHARED or ../shared;
 * skipped when it is not here) and against rules that hold for any such table. */
#include "apiserver/authz/rbac_defaults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <cmocka.h>

#include "common/api/codec.h"
#include "common/base/file.h"
#include "common/base/str.h"

static char *folder; /* of the reference, NULL: not here */

/* One line a permission: "ns/role: verb group/resource name" or "ns/role: verb path". */
static void
add_permissions(struct strlist *to, const char *ns, const char *role, const struct strlist *verbs, const struct strlist *groups,
                const struct strlist *resources, const struct strlist *names, const struct strlist *paths)
{
    for (size_t v = 0; v < verbs->len; v++) {
        for (size_t p = 0; p < paths->len; p++)
            strlist_add_take(to, xasprintf("%s/%s: %s %s", ns, role, verbs->items[v], paths->items[p]));
        for (size_t g = 0; g < groups->len; g++)
            for (size_t r = 0; r < resources->len; r++)
                for (size_t n = 0; n < (names->len ? names->len : 1); n++)
                    strlist_add_take(to, xasprintf("%s/%s: %s %s/%s %s", ns, role, verbs->items[v], groups->items[g], resources->items[r],
                                                   names->len ? names->items[n] : ""));
    }
}

static void
our_permissions(struct strlist *to)
{
    const struct default_row *role = NULL;

    for (size_t i = 0; i < default_roles_len; i++) {
        const struct default_row *row = &default_roles[i];
        AUTO_STRLIST a = { 0 };
        AUTO_STRLIST b = { 0 };
        AUTO_STRLIST c = { 0 };
        AUTO_STRLIST d = { 0 };
        const struct strlist none = { 0 };
        if (row->kind == DEFAULT_ROLE) {
            role = row;
            strlist_add_take(to, xasprintf("role %s/%s from %s", row->a, row->b, row->d));
            strlist_split(&c, row->c, ',');
            for (size_t k = 0; k < c.len; k++)
                strlist_add_take(to, xasprintf("role %s/%s to %s", row->a, row->b, c.items[k]));
            continue;
        }
        strlist_split(&a, row->a, ',');
        strlist_split(&b, row->b, ',');
        strlist_split(&c, row->c, ',');
        strlist_split(&d, row->d, ',');
        assert_non_null(role);
        if (row->kind == DEFAULT_PATH)
            add_permissions(to, role->a, role->b, &a, &none, &none, &none, &b);
        else
            add_permissions(to, role->a, role->b, &a, &b, &c, &d, &none);
    }
}

static void
our_bindings(struct strlist *to)
{
    for (size_t i = 0; i < default_bindings_len; i++) {
        const struct default_binding *b = &default_bindings[i];
        strlist_add_take(to, xasprintf("%s/%s -> %s %s", b->ns, b->name, b->role_kind, b->role));
        if (*b->subject_kind)
            strlist_add_take(to, xasprintf("%s/%s for %s %s/%s", b->ns, b->name, b->subject_kind, b->subject_ns, b->subject));
    }
}

static const char *
text(json_t *o, const char *key)
{
    return str_safe(json_string_value(json_object_get(o, key)));
}

static void
strings(json_t *o, const char *key, struct strlist *to)
{
    json_t *one;
    size_t i;

    json_array_foreach(json_object_get(o, key), i, one) {
        const char *s = json_string_value(one);
        strlist_add(to, *s ? s : "core");
    }
}

static void
reference_role(json_t *item, struct strlist *to)
{
    json_t *meta = json_object_get(item, "metadata"), *rule, *value;
    const char *ns = text(meta, "namespace"), *name = text(meta, "name"), *key;
    size_t i;

    static const char to_prefix[] = "rbac.authorization.k8s.io/aggregate-to-";
    json_object_foreach(json_object_get(meta, "labels"), key, value)
        if (str_has_prefix(key, to_prefix))
            strlist_add_take(to, xasprintf("role %s/%s to %s", ns, name, key + strlen(to_prefix)));
    json_t *selector = json_array_get(json_object_get(json_object_get(item, "aggregationRule"), "clusterRoleSelectors"), 0);
    const char *from = json_object_iter_key(json_object_iter(json_object_get(selector, "matchLabels")));
    strlist_add_take(to, xasprintf("role %s/%s from %s", ns, name, from ? from + strlen(to_prefix) : ""));
    json_array_foreach(json_object_get(item, "rules"), i, rule) {
        AUTO_STRLIST verbs = { 0 };
        AUTO_STRLIST groups = { 0 };
        AUTO_STRLIST resources = { 0 };
        AUTO_STRLIST names = { 0 };
        AUTO_STRLIST paths = { 0 };
        strings(rule, "verbs", &verbs);
        strings(rule, "apiGroups", &groups);
        strings(rule, "resources", &resources);
        strings(rule, "resourceNames", &names);
        strings(rule, "nonResourceURLs", &paths);
        add_permissions(to, ns, name, &verbs, &groups, &resources, &names, &paths);
    }
}

static void
reference_binding(json_t *item, struct strlist *to)
{
    json_t *meta = json_object_get(item, "metadata"), *ref = json_object_get(item, "roleRef"), *subject;
    const char *ns = text(meta, "namespace"), *name = text(meta, "name");
    size_t i;

    strlist_add_take(to, xasprintf("%s/%s -> %s %s", ns, name, text(ref, "kind"), text(ref, "name")));
    json_array_foreach(json_object_get(item, "subjects"), i, subject)
        strlist_add_take(to, xasprintf("%s/%s for %s %s/%s", ns, name, text(subject, "kind"), text(subject, "namespace"), text(subject, "name")));
}

static void
read_reference(const char *file, void (*each)(json_t *item, struct strlist *to), struct strlist *to)
{
    AUTO_FREE char *path = xasprintf("%s/%s", folder, file);
    AUTO_FREE char *yaml = NULL;
    AUTO_SBUF json = { 0 };
    json_t *item;
    size_t len, i;
    AUTO(kerr) *err = file_read(path, 4 << 20, &yaml, &len);
    if (err)
        fail_msg("%s", err->message);
    AUTO(kerr) *bad = yaml_to_json(yaml, len, NULL, &json);
    if (bad)
        fail_msg("%s: %s", path, bad->message);
    json_t *tree = json_loadb(json.s, json.len, 0, NULL);
    assert_non_null(tree);
    json_array_foreach(json_object_get(tree, "items"), i, item)
        each(item, to);
    json_decref(tree);
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What came after the reference was written (1.26). */
static const char *const since[][2] = {
    { "/system:controller:node-controller: ", " networking.k8s.io/clustercidrs" },
    { "/system:controller:node-controller: get ", "core/pods" },
    { "/system:controller:node-controller: patch ", "core/pods/status" },
    { "/system:aggregate-to-edit: ", " resource.k8s.io/" },
    { "/system:aggregate-to-view: ", " resource.k8s.io/" },
    { "/system:basic-user: ", " authentication.k8s.io/selfsubjectreviews" },
    { "/system:kube-scheduler: ", " coordination.k8s.io/leases kube-scheduler" },
    { "/system:kube-scheduler: ", " storage.k8s.io/volumeattachments" },
    { "/system:kube-scheduler: ", " resource.k8s.io/" },
    { "/system:kube-scheduler: ", " core/pods/finalizers" },
    { "/system:kubelet-api-admin: * ", "core/nodes/" },
    { "/system:node: get ", "core/serviceaccounts" },
    { "/system:node: ", " resource.k8s.io/" },
    { "/system:node-proxier: ", " networking.k8s.io/servicecidrs" },
    { "/system:service-account-issuer-discovery: get ", "/" },
};

static bool
came_later(const char *permission)
{
    for (size_t i = 0; i < ARRAY_LEN(since); i++)
        if (str_has_prefix(permission, since[i][0]) && strstr(permission, since[i][1]))
            return true;
    return false;
}

static size_t
report_missing(const struct strlist *from, const struct strlist *in, const char *what)
{
    size_t missing = 0;

    for (size_t i = 0; i < from->len; i++)
        if (!bsearch(&from->items[i], in->items, in->len, sizeof *in->items, by_text) && !came_later(from->items[i]) && missing++ < 20)
            print_error("%s: %s\n", what, from->items[i]);
    return missing;
}

static void
compare(struct strlist *ours, struct strlist *reference)
{
    assert_true(reference->len > 20);
    qsort(ours->items, ours->len, sizeof *ours->items, by_text);
    qsort(reference->items, reference->len, sizeof *reference->items, by_text);
    size_t missing = report_missing(reference, ours, "missing"), extra = report_missing(ours, reference, "more than upstream");
    assert_int_equal(missing, 0);
    assert_int_equal(extra, 0);
}

static void
roles_are_upstreams(void **state)
{
    AUTO_STRLIST ours = { 0 };
    AUTO_STRLIST reference = { 0 };

    if (!folder)
        skip();
    our_permissions(&ours);
    read_reference("cluster-roles.yaml", reference_role, &reference);
    read_reference("controller-roles.yaml", reference_role, &reference);
    read_reference("namespace-roles.yaml", reference_role, &reference);
    compare(&ours, &reference);
}

static void
bindings_are_upstreams(void **state)
{
    AUTO_STRLIST ours = { 0 };
    AUTO_STRLIST reference = { 0 };

    if (!folder)
        skip();
    our_bindings(&ours);
    read_reference("cluster-role-bindings.yaml", reference_binding, &reference);
    read_reference("controller-role-bindings.yaml", reference_binding, &reference);
    read_reference("namespace-role-bindings.yaml", reference_binding, &reference);
    compare(&ours, &reference);
}

static bool
role_exists(const char *ns, const char *kind, const char *name)
{
    for (size_t i = 0; i < default_roles_len; i++)
        if (default_roles[i].kind == DEFAULT_ROLE && str_eq(default_roles[i].b, name) &&
            (str_eq(kind, "ClusterRole") ? !*default_roles[i].a : str_eq(default_roles[i].a, ns)))
            return true;
    return false;
}

static void
table_is_whole(void **state)
{
    assert_true(default_roles[0].kind == DEFAULT_ROLE);
    for (size_t i = 0; i < default_roles_len; i++) {
        const struct default_row *row = &default_roles[i];
        if (row->kind != DEFAULT_ROLE && (!*row->a || !*row->b || (row->kind == DEFAULT_RULE && !*row->c)))
            fail_msg("row %zu is not complete", i);
        for (size_t k = i + 1; row->kind == DEFAULT_ROLE && k < default_roles_len; k++)
            if (default_roles[k].kind == DEFAULT_ROLE && str_eq(default_roles[k].b, row->b) && str_eq(default_roles[k].a, row->a))
                fail_msg("role %s/%s is there twice", row->a, row->b);
    }
    for (size_t i = 0; i < default_bindings_len; i++)
        if (!role_exists(default_bindings[i].ns, default_bindings[i].role_kind, default_bindings[i].role))
            fail_msg("binding %s names the missing role %s", default_bindings[i].name, default_bindings[i].role);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(table_is_whole), cmocka_unit_test(roles_are_upstreams), cmocka_unit_test(bindings_are_upstreams) };
    const char *const places[] = { getenv("CKUBE_SHARED"), "../shared", "../../shared" };

    for (size_t i = 0; i < ARRAY_LEN(places) && !folder; i++) {
        if (!places[i])
            continue;
        folder = xasprintf("%s/reference/rbac", places[i]);
        if (access(folder, R_OK) != 0) {
            free(folder);
            folder = NULL;
        }
    }
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return rc;
}
