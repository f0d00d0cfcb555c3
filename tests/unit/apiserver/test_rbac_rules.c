// SPDX-License-Identifier: Apache-2.0
/* Whether one rule covers one request. */
#include "apiserver/authz/rbac.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/str.h"

static void
slice(struct string_slice *to, struct strlist *held, const char *list)
{
    strlist_split(held, list, ',');
    for (size_t i = 0; i < held->len; i++)
        if (strcmp(held->items[i], "core") == 0)
            held->items[i][0] = '\0';
    *to = (struct string_slice){ (void *)held->items, (uint32_t)held->len, (uint32_t)held->len };
}

static const struct {
    const char *verbs, *groups, *resources, *names, *paths; /* the rule */
    const char *verb, *group, *resource, *sub, *name;       /* the request; resource NULL: group is a path */
    bool allows;
} rows[] = {
    { "get,list", "core", "pods", "", "", "get", "", "pods", "", "p", true },
    { "get,list", "core", "pods", "", "", "delete", "", "pods", "", "p", false },
    { "get", "core", "pods", "", "", "get", "apps", "pods", "", "p", false },
    { "get", "apps", "pods", "", "", "get", "", "pods", "", "p", false },
    { "*", "*", "*", "", "", "anything", "x", "y", "z", "n", true },
    { "get", "core,apps", "deployments", "", "", "get", "apps", "deployments", "", "", true },
    /* subresources */
    { "get", "core", "pods", "", "", "get", "", "pods", "log", "p", false },
    { "get", "core", "pods/log", "", "", "get", "", "pods", "log", "p", true },
    { "get", "core", "pods/log", "", "", "get", "", "pods", "", "p", false },
    { "get", "core", "pods/log", "", "", "get", "", "pods", "logs", "p", false },
    { "update", "*", "*/scale", "", "", "update", "apps", "deployments", "scale", "d", true },
    { "update", "*", "*/scale", "", "", "update", "apps", "deployments", "", "d", false },
    { "update", "*", "*/scale", "", "", "update", "apps", "deployments", "status", "d", false },
    { "get", "core", "pod/log", "", "", "get", "", "pods", "log", "p", false },
    { "get", "core", "pods/*", "", "", "get", "", "pods", "log", "p", false }, /* no such pattern */
    { "get", "core", "*", "", "", "get", "", "pods", "log", "p", true },
    /* names */
    { "get", "core", "secrets", "a,b", "", "get", "", "secrets", "", "b", true },
    { "get", "core", "secrets", "a,b", "", "get", "", "secrets", "", "c", false },
    { "list", "core", "secrets", "a", "", "list", "", "secrets", "", "", false },
    { "create", "core", "secrets", "a", "", "create", "", "secrets", "", "", false },
    /* paths */
    { "get", "", "", "", "/healthz", "get", "/healthz", NULL, "", "", true },
    { "get", "", "", "", "/healthz", "get", "/healthz/etcd", NULL, "", "", false },
    { "get", "", "", "", "/healthz/*", "get", "/healthz/etcd", NULL, "", "", true },
    { "get", "", "", "", "/healthz/*", "get", "/healthz", NULL, "", "", false },
    { "get", "", "", "", "/api*", "get", "/apis/apps", NULL, "", "", true },
    { "get", "", "", "", "*", "get", "/x", NULL, "", "", true },
    { "get", "", "", "", "*", "post", "/x", NULL, "", "", false },
    { "*", "*", "*", "", "", "get", "/healthz", NULL, "", "", false }, /* resource rules never cover paths, nor the other way round */
    { "*", "", "", "", "*", "get", "", "pods", "", "p", false },
};

static void
matching(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_rule rule = { 0 };
        struct strlist held[5] = { 0 };
        slice(&rule.verbs, &held[0], rows[i].verbs);
        slice(&rule.api_groups, &held[1], rows[i].groups);
        slice(&rule.resources, &held[2], rows[i].resources);
        slice(&rule.resource_names, &held[3], rows[i].names);
        slice(&rule.non_resource_urls, &held[4], rows[i].paths);
        const struct authz_attributes at = { .verb = rows[i].verb, .is_resource = rows[i].resource != NULL, .group = rows[i].resource ? rows[i].group : "",
                                             .resource = rows[i].resource, .subresource = rows[i].sub, .name = rows[i].name, .path = rows[i].group };
        if (rbac_rule_allows(&rule, &at) != rows[i].allows)
            fail_msg("row %zu: %s %s/%s is %s", i, rows[i].verb, rows[i].group, str_safe(rows[i].resource), rows[i].allows ? "refused" : "allowed");
        for (size_t k = 0; k < ARRAY_LEN(held); k++)
            strlist_done(&held[k]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(matching) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
