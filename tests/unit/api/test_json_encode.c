// SPDX-License-Identifier: Apache-2.0
#include "common/api/codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "common/api/json_scan.h"
#include "common/api/values.h"

static void
check_encoded(const struct object *obj, const char *want)
{
    AUTO_SBUF out = { 0 };

    object_encode_json(obj, &out);
    assert_string_equal(out.s, want);
    assert_int_equal(out.len, strlen(out.s));
}

static void
empty_objects_as_go_writes_them(void **state)
{
    static const struct {
        const char *api_version, *kind, *json;
    } want[] = {
        { "v1", "Pod", "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{},\"spec\":{\"containers\":null},\"status\":{}}" },
        { "v1", "ConfigMap", "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{}}" },
        { "v1", "Service", "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{},\"spec\":{},\"status\":{\"loadBalancer\":{}}}" },
        { "apps/v1", "Deployment",
          "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",\"metadata\":{},\"spec\":{\"selector\":null,\"template\":{\"metadata\":{},"
          "\"spec\":{\"containers\":null}},\"strategy\":{}},\"status\":{}}" },
        { "coordination.k8s.io/v1", "Lease", "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\",\"metadata\":{},\"spec\":{}}" },
        { "rbac.authorization.k8s.io/v1", "ClusterRole",
          "{\"kind\":\"ClusterRole\",\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"metadata\":{},\"rules\":null}" },
    };

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        AUTO(object) *obj = object_new_of(want[i].api_version, want[i].kind);
        check_encoded(obj, want[i].json);
    }
}

static void
strings_are_escaped_for_html(void **state)
{
    AUTO_SBUF out = { 0 };

    json_add_string(&out, "a<b>&\"\\\b\f\n\r\t\x01\x7f/\xc3\xa9\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xff\xed\xa0\x80 0123456789abcdef<0123456789abcde=f");
    assert_string_equal(out.s, "\"a\\u003cb\\u003e\\u0026\\\"\\\\\\b\\f\\n\\r\\t\\u0001\x7f/\xc3\xa9\\u2028\\u2029\xe2\x80\xaa\\ufffd\\ufffd\\ufffd\\ufffd "
                               "0123456789abcdef\\u003c0123456789abcde=f\"");
    sbuf_clear(&out);
    json_add_string(&out, NULL);
    assert_string_equal(out.s, "\"\"");
    sbuf_clear(&out);
    json_add_text(&out, "a\0b", 3);
    assert_string_equal(out.s, "\"a\\u0000b\"");
}

static void
floats_in_go_form(void **state)
{
    static const struct {
        double v;
        const char *text;
    } want[] = {
        { 0, "0" },          { 1, "1" },          { -1.5, "-1.5" },       { 0.1, "0.1" },     { 1e20, "100000000000000000000" },
        { 18446744073709551616.0, "18446744073709552000" },
        { -123456789012345680000.0, "-123456789012345680000" }, { 100, "100" }, { 1e21, "1e+21" },   { 1e-6, "0.000001" }, { 1e-7, "1e-7" },      { 1.5e-10, "1.5e-10" }, { 123456.789, "123456.789" },
        { 1e100, "1e+100" }, { 5e-324, "5e-324" }, { 1.7976931348623157e308, "1.7976931348623157e+308" }, { 0.30000000000000004, "0.30000000000000004" },
    };

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        AUTO_SBUF out = { 0 };
        json_add_float(&out, want[i].v);
        assert_string_equal(out.s, want[i].text);
    }
}

static void
unsorted_maps_are_put_in_order(void **state)
{
    AUTO(object) *obj = object_new_of("v1", "ConfigMap");
    struct config_map *cm = object_body(obj);
    struct string_map_entry entries[] = { { "b", "2" }, { "a", "1" }, { "c", NULL } };

    cm->data = (struct string_map){ entries, 3, 3 };
    cm->binary_data.items = arena_alloc(object_arena(obj), 2 * sizeof *cm->binary_data.items);
    cm->binary_data.items[0].key = "nil";
    cm->binary_data.items[1] = (struct bytes_map_entry){ "some", { (const uint8_t *)"abcd", 4 } };
    cm->binary_data.len = 2;
    check_encoded(obj, "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{},\"data\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"\"},"
                       "\"binaryData\":{\"nil\":null,\"some\":\"YWJjZA==\"}}");
}

static void
raw_json_is_made_safe(void **state)
{
    AUTO(object) *obj = object_new_of("apps/v1", "ControllerRevision");
    struct controller_revision *cr = object_body(obj);

    cr->data = (struct api_raw){ "{ \"a\" : \"<\" }", 13 };
    check_encoded(obj, "{\"kind\":\"ControllerRevision\",\"apiVersion\":\"apps/v1\",\"metadata\":{},\"data\":{\"a\":\"\\u003c\"},\"revision\":0}");
    cr->data = (struct api_raw){ "{\"broken", 8 };
    check_encoded(obj, "{\"kind\":\"ControllerRevision\",\"apiVersion\":\"apps/v1\",\"metadata\":{},\"data\":null,\"revision\":0}");
}

static void
times_and_durations(void **state)
{
    AUTO(object) *obj = object_new_of("coordination.k8s.io/v1", "Lease");
    struct lease *l = object_body(obj);
    struct api_time t = api_time_from_unix_us(1700000000123456);
    struct api_time zero = { 0 };

    l->metadata.creation_timestamp = api_time_from_unix(1700000000);
    l->metadata.deletion_timestamp = &zero;
    l->spec.renew_time = &t;
    check_encoded(obj, "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\",\"metadata\":{\"creationTimestamp\":\"2023-11-14T22:13:20Z\","
                       "\"deletionTimestamp\":null},\"spec\":{\"renewTime\":\"2023-11-14T22:13:20.123456Z\"}}");
}

static void
bounded_output_is_marked(void **state)
{
    AUTO(object) *obj = object_new_of("v1", "Pod");

    for (size_t max = 1; max < 60; max++) {
        AUTO_SBUF out = { .max = max };
        object_encode_json(obj, &out);
        assert_true(out.truncated);
        assert_true(out.len <= max);
    }
}

static void
compacting_needs_valid_json(void **state)
{
    static const char *const bad[] = { "", " ", "{", "[1,]", "nul", "1 2", "\"a", "{\"a\" 1}", "01", "\"\\u12\"", "\x01" };
    AUTO_SBUF out = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(json_compact(bad[i], strlen(bad[i]), true, &out));
    assert_int_equal(out.len, 0);
    static const char spaced[] = " [ 1 , \"<\\\" \" , { } ] ";
    assert_true(json_compact(spaced, strlen(spaced), false, &out));
    assert_string_equal(out.s, "[1,\"<\\\" \",{}]");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_objects_as_go_writes_them), cmocka_unit_test(strings_are_escaped_for_html),
        cmocka_unit_test(floats_in_go_form),               cmocka_unit_test(unsorted_maps_are_put_in_order),
        cmocka_unit_test(raw_json_is_made_safe),           cmocka_unit_test(times_and_durations),
        cmocka_unit_test(bounded_output_is_marked),        cmocka_unit_test(compacting_needs_valid_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
