// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/config_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct config_key keys[] = {
    { "address", CONFIG_STRING },
    { "port", CONFIG_INT },
    { "authentication.anonymous.enabled", CONFIG_BOOL },
    { "authentication.webhook.cacheTTL", CONFIG_DURATION },
    { "clusterDNS", CONFIG_STRINGS },
    { "evictionHard", CONFIG_MAP },
    { "factor", CONFIG_FLOAT },
    { "profiles[].schedulerName", CONFIG_STRING },
    { "profiles[].pluginConfig[].name", CONFIG_STRING },
    { "profiles[].pluginConfig[].args", CONFIG_ANY },
};
static const char *const old[][2] = { { "v1alpha1", "use v1" }, { NULL, NULL } };
static const struct config_schema lenient = { "test.config.k8s.io", "v1", "TestConfiguration", keys, ARRAY_LEN(keys), true, old };
static const struct config_schema strict = { "test.config.k8s.io", "v1", "TestConfiguration", keys, ARRAY_LEN(keys), false, old };
#define HEAD "apiVersion: test.config.k8s.io/v1\nkind: TestConfiguration\n"

static struct kerr *
parse(const char *text, const struct config_schema *schema, struct config_file **ret)
{
    return config_file_parse(text, strlen(text), "/c.yaml", schema, ret);
}

static void
fails(const char *text, const char *message)
{
    AUTO(config_file) *cfg = NULL;
    AUTO(kerr) *err = parse(text, &strict, &cfg);

    assert_non_null(err);
    assert_string_equal(err->message, message);
}

static void
getters_read_paths_and_have_defaults(void **state)
{
    AUTO(config_file) *cfg = NULL;
    AUTO_STRLIST dns = { 0 };
    AUTO(kerr) *err = parse(HEAD "address: 0.0.0.0\nport: 10250\nauthentication:\n  anonymous: {enabled: false}\n  webhook: {cacheTTL: 2m0s}\n"
                                 "clusterDNS: [10.96.0.10, fd00::a]\nevictionHard: {memory.available: 100Mi}\nfactor: 1\n"
                                 "profiles:\n- schedulerName: a\n- schedulerName: b\n  pluginConfig: [{name: X, args: {deep: [1, {}]}}]\n",
                            &strict, &cfg);

    assert_null(err);
    assert_string_equal(config_string(cfg, "address", "x"), "0.0.0.0");
    assert_int_equal(config_i64(cfg, "port", 1), 10250);
    assert_false(config_bool(cfg, "authentication.anonymous.enabled", true));
    assert_int_equal(config_duration_ms(cfg, "authentication.webhook.cacheTTL", 5), 120000);
    config_strings(cfg, "clusterDNS", &dns);
    assert_int_equal(dns.len, 2);
    assert_int_equal(config_len(cfg, "profiles"), 2);
    assert_string_equal(config_string(cfg, "profiles[1].schedulerName", ""), "b");
    assert_true(config_has(cfg, "profiles[1].pluginConfig[0].args"));
    assert_true(config_float(cfg, "factor", 0) == 1.0);
    assert_int_equal(config_i64(cfg, "readOnlyPort", 7), 7);
    assert_true(config_bool(cfg, "authentication.x509.missing", true));
    assert_null(config_at(cfg, "profiles[9].schedulerName"));
    assert_int_equal(config_warnings(cfg)->len, 0);
}

static void
empty_gives_defaults(void **state)
{
    AUTO(config_file) *cfg = config_file_empty(&strict);

    assert_int_equal(config_i64(cfg, "port", 3), 3);
    assert_string_equal(config_file_path(cfg), "");
}

static void
unknown_fields_warn_or_fail(void **state)
{
    AUTO(config_file) *cfg = NULL;
    const char *text = HEAD "portRange: ''\nauthentication:\n  nope: 1\nprofiles: [{x: 1}]\nport: 4\n";

    assert_null(parse(text, &lenient, &cfg));
    assert_int_equal(config_warnings(cfg)->len, 1);
    assert_string_equal(config_warnings(cfg)->items[0],
                        "/c.yaml: strict decoding error: unknown field \"authentication.nope\", unknown field \"portRange\", "
                        "unknown field \"profiles[0].x\"; falling back to lenient decoding, these are ignored");
    assert_int_equal(config_i64(cfg, "port", 0), 4);
    fails(text, "/c.yaml: strict decoding error: unknown field \"authentication.nope\", unknown field \"portRange\", "
                "unknown field \"profiles[0].x\"");
}

static void
wrong_types_fail_with_the_path(void **state)
{
    fails(HEAD "port: '10250'\n", "/c.yaml: port: must be a integer, not \"10250\"");
    fails(HEAD "authentication: {webhook: {cacheTTL: 5}}\n",
          "/c.yaml: authentication.webhook.cacheTTL: must be a duration such as \"1m30s\", not a number");
    fails(HEAD "authentication: []\n", "/c.yaml: authentication: must be a map, not a array");
    fails(HEAD "profiles: {a: 1}\n", "/c.yaml: profiles: must be a list, not a object");
    fails(HEAD "profiles: [1]\n", "/c.yaml: profiles[0]: must be an object, not a number");
    fails(HEAD "clusterDNS: 10.0.0.10\n", "/c.yaml: clusterDNS: must be a list of strings, not \"10.0.0.10\"");
}

static void
other_kinds_and_versions_fail(void **state)
{
    fails("port: 1\n", "/c.yaml: Object 'Kind' is missing; must be kind: TestConfiguration, apiVersion: test.config.k8s.io/v1");
    fails("kind: TestConfiguration\napiVersion: test.config.k8s.io/v1alpha1\n",
          "/c.yaml: apiVersion test.config.k8s.io/v1alpha1 is no longer served: use v1");
    fails("kind: Pod\napiVersion: v1\n",
          "/c.yaml: no kind \"Pod\" is registered for version \"v1\" here; must be kind: TestConfiguration, apiVersion: test.config.k8s.io/v1");
    fails("- 1\n", "/c.yaml: must be a map at the top");
}

static void
nulls_are_absent(void **state)
{
    AUTO(config_file) *cfg = NULL;

    assert_null(parse(HEAD "port: null\nauthentication:\nprofiles: ~\n", &strict, &cfg));
    assert_int_equal(config_i64(cfg, "port", 9), 9);
    assert_false(config_has(cfg, "authentication"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(getters_read_paths_and_have_defaults), cmocka_unit_test(empty_gives_defaults),
        cmocka_unit_test(unknown_fields_warn_or_fail),          cmocka_unit_test(wrong_types_fail_with_the_path),
        cmocka_unit_test(other_kinds_and_versions_fail),        cmocka_unit_test(nulls_are_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
