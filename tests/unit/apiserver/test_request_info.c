// SPDX-License-Identifier: Apache-2.0
#include "apiserver/http/request_info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/sbuf.h"

static const struct row {
    const char *method, *path, *query;
    const char *want; /* verb group/version ns resource/name/subresource rest, "-" for nothing; or the verb alone */
} rows[] = {
    { "GET", "/api/v1/pods", NULL, "list /v1 - pods/-/- -" },
    { "HEAD", "/api/v1/pods", NULL, "list /v1 - pods/-/- -" },
    { "GET", "/api/v1/pods", "watch=true", "watch /v1 - pods/-/- -" },
    { "GET", "/api/v1/pods", "watch", "watch /v1 - pods/-/- -" },
    { "GET", "/api/v1/pods", "watch=0", "list /v1 - pods/-/- -" },
    { "GET", "/api/v1/pods", "watch=False", "list /v1 - pods/-/- -" },
    { "GET", "/api/v1/namespaces/a/pods/p", "watch=1", "get /v1 a pods/p/- -" },
    { "GET", "/api/v1/watch/pods", NULL, "watch /v1 - pods/-/- -" },
    { "GET", "/api/v1/watch/namespaces/a/pods/p", NULL, "watch /v1 a pods/p/- -" },
    { "POST", "/apis/apps/v1/namespaces/a/deployments", NULL, "create apps/v1 a deployments/-/- -" },
    { "PUT", "/apis/apps/v1/namespaces/a/deployments/d/status", NULL, "update apps/v1 a deployments/d/status -" },
    { "PATCH", "/apis/apps/v1/namespaces/a/deployments/d/scale", NULL, "patch apps/v1 a deployments/d/scale -" },
    { "DELETE", "/api/v1/namespaces/a/pods", NULL, "deletecollection /v1 a pods/-/- -" },
    { "DELETE", "/api/v1/namespaces/a/pods/p", NULL, "delete /v1 a pods/p/- -" },
    { "OPTIONS", "/api/v1/namespaces/a/pods/p", NULL, "options /v1 a pods/p/- -" },
    { "GET", "/api/v1/namespaces", NULL, "list /v1 - namespaces/-/- -" },
    { "GET", "/api/v1/namespaces/a", NULL, "get /v1 a namespaces/a/- -" },
    { "PUT", "/api/v1/namespaces/a/finalize", NULL, "update /v1 a namespaces/a/finalize -" },
    { "PUT", "/api/v1/namespaces/a/status", NULL, "update /v1 a namespaces/a/status -" },
    { "GET", "/api/v1/namespaces/a/", NULL, "get /v1 a namespaces/a/- -" },
    { "GET", "//api//v1//pods", NULL, "list /v1 - pods/-/- -" },
    /* what follows a proxy subresource is left alone */
    { "GET", "/api/v1/nodes/n/proxy", NULL, "get /v1 - nodes/n/proxy -" },
    { "GET", "/api/v1/nodes/n/proxy/", NULL, "get /v1 - nodes/n/proxy /" },
    { "GET", "/api/v1/nodes/n/proxy/logs/a%2Fb//c/", NULL, "get /v1 - nodes/n/proxy /logs/a%2Fb//c/" },
    { "POST", "/api/v1/namespaces/a/services/https:web:443/proxy/x", NULL, "create /v1 a services/https:web:443/proxy /x" },
    { "GET", "/api/v1/namespaces/a/pods/p/log/proxy/x", NULL, "get /v1 a pods/p/log -" },
    /* names that look like words of paths */
    { "GET", "/apis/apps/v1/namespaces/proxy/deployments/d", NULL, "get apps/v1 proxy deployments/d/- -" },
    { "DELETE", "/api/v1/namespaces/proxy", NULL, "delete /v1 proxy namespaces/proxy/- -" },
    { "GET", "/api/v1/namespaces/a/pods/proxy/log", NULL, "get /v1 a pods/proxy/log -" },
    { "GET", "/api/v1/namespaces/a/services/proxy/proxy/proxy", NULL, "get /v1 a services/proxy/proxy /proxy" },
    { "GET", "/api/v1/proxy/nodes/n", NULL, "proxy /v1 - nodes/n/- -" },
    { "GET", "/api/v1/namespaces/watch/pods", NULL, "list /v1 watch pods/-/- -" },
    /* lists that select one name */
    { "GET", "/api/v1/nodes", "fieldSelector=metadata.name%3Dn1&watch=1", "watch /v1 - nodes/n1/- -" },
    { "GET", "/api/v1/nodes", "fieldSelector=metadata.name==n1", "list /v1 - nodes/n1/- -" },
    { "GET", "/api/v1/nodes", "fieldSelector=spec.x%3Da,metadata.name%3Dn1", "list /v1 - nodes/n1/- -" },
    { "GET", "/api/v1/nodes", "fieldSelector=metadata.name!%3Dn1", "list /v1 - nodes/-/- -" },
    { "GET", "/api/v1/nodes", "fieldSelector=xmetadata.name%3Da,metadata.name%3Db", "list /v1 - nodes/b/- -" },
    { "GET", "/api/v1/nodes", "fieldSelector=metadata.name%3Da%2Fb", "list /v1 - nodes/-/- -" },
    { "GET", "/api/v1/nodes", "fieldSelector=metadata.name%3D..", "list /v1 - nodes/-/- -" },
    { "DELETE", "/api/v1/nodes", "fieldSelector=metadata.name%3Dn1", "deletecollection /v1 - nodes/n1/- -" },
    { "GET", "/api/v1/nodes/n2", "fieldSelector=metadata.name%3Dn1", "get /v1 - nodes/n2/- -" },
    /* encodings stay inside their segment */
    { "GET", "/api/v1/nodes/a%2Fb", NULL, "get /v1 - nodes/a/b/- -" },
    { "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", NULL,
      "get rbac.authorization.k8s.io/v1 - clusterroles/system:node/- -" },
    /* no resources */
    { "GET", "/", NULL, "get" },
    { "GET", "/api", NULL, "get" },
    { "GET", "/api/v1", NULL, "get" },
    { "GET", "/apis/apps/v1/", NULL, "get" },
    { "POST", "/healthz", NULL, "post" },
    { "GET", "/apiversion/v1/pods", NULL, "get" },
};

static const char *
dash(const char *s)
{
    return *s ? s : "-";
}

static void
paths(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(arena) *a = arena_new(256);
        AUTO_SBUF got = { 0 };
        struct request_info info;
        AUTO(kerr) *err = request_info_parse(a, rows[i].method, rows[i].path, rows[i].query, &info);

        if (err)
            fail_msg("%s: %s", rows[i].path, err->message);
        sbuf_adds(&got, info.verb);
        if (info.is_resource)
            sbuf_addf(&got, " %s/%s %s %s/%s/%s %s", info.api_group, info.api_version, dash(info.ns), info.resource, dash(info.name),
                      dash(info.subresource), dash(info.rest));
        if (strcmp(sbuf_str(&got), rows[i].want) != 0)
            fail_msg("%s %s?%s: got \"%s\", want \"%s\"", rows[i].method, rows[i].path, rows[i].query ? rows[i].query : "", sbuf_str(&got),
                     rows[i].want);
    }
}

static void
parameters(void **state)
{
    AUTO(arena) *a = arena_new(256);
    struct request_info info;
    AUTO(kerr) *err = request_info_parse(a, "GET", "/x", "a=1&a=2&&b&c=%3d%26+x&=n&d=", &info);

    assert_null(err);
    assert_string_equal(request_param(&info, "a"), "1");
    assert_string_equal(request_param(&info, "b"), "");
    assert_string_equal(request_param(&info, "c"), "=& x");
    assert_string_equal(request_param(&info, ""), "n");
    assert_null(request_param(&info, "e"));
    assert_true(request_param_bool(&info, "a"));
    assert_true(request_param_bool(&info, "d"));
    assert_false(request_param_bool(&info, "e"));
}

static void
refuses_bad_encodings(void **state)
{
    static const struct {
        const char *path, *query;
    } bad[] = { { "/api/%", NULL }, { "/api/%4", NULL }, { "/api/%zz", NULL }, { "/api/%00", NULL }, { "/x", "a=%" }, { "/x", "%g0=1" }, { "/x", "a=%00" } };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(arena) *a = arena_new(256);
        struct request_info info;
        AUTO(kerr) *err = request_info_parse(a, "GET", bad[i].path, bad[i].query, &info);
        if (!err)
            fail_msg("%s?%s is taken", bad[i].path, bad[i].query ? bad[i].query : "");
        assert_int_equal(err->http_code, 400);
    }
}

static void
is_bounded(void **state)
{
    AUTO(arena) *a = arena_new(256);
    AUTO_SBUF query = { 0 };
    AUTO_SBUF path = { 0 };
    struct request_info info;

    for (int i = 0; i <= REQUEST_PARAMS_MAX; i++)
        sbuf_addf(&query, "k%d=1&", i);
    AUTO(kerr) *err = request_info_parse(a, "GET", "/x", sbuf_str(&query), &info);
    assert_non_null(err);
    sbuf_adds(&path, "/api/v1/nodes/n/proxy");
    for (int i = 0; i < 1000; i++)
        sbuf_adds(&path, "/s");
    AUTO(kerr) *none = request_info_parse(a, "GET", sbuf_str(&path), NULL, &info);
    assert_null(none);
    assert_int_equal(strlen(info.rest), 2000); /* all of it, though only so many segments are told apart */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(parameters),
        cmocka_unit_test(refuses_bad_encodings),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
