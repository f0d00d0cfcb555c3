// SPDX-License-Identifier: Apache-2.0
#include "common/api/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "common/api/codec.h"

static void
errors_become_the_status_upstream_writes(void **state)
{
    AUTO(kerr) *err = kerr_not_found("apps", "deployments", "web");
    AUTO_SBUF out = { 0 };

    status_encode_json(err, &out);
    assert_string_equal(out.s, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"deployments.apps \\\"web\\\" not "
                               "found\",\"reason\":\"NotFound\",\"details\":{\"name\":\"web\",\"group\":\"apps\",\"kind\":\"deployments\"},\"code\":404}");
    sbuf_clear(&out);
    AUTO(kerr) *plain = kerr_new(KERR_BAD_REQUEST, "no");
    status_encode_json(plain, &out);
    assert_string_equal(out.s, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"no\",\"reason\":\"BadRequest\",\"code\":400}");
}

static void
success_names_the_object(void **state)
{
    AUTO(object) *obj = status_success(NULL, "pods", "a", "u-1");
    AUTO_SBUF out = { 0 };

    object_encode_json(obj, &out);
    assert_string_equal(out.s, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\",\"details\":{\"name\":\"a\",\"kind\":\"pods\",\"uid\":\"u-1\"}}");
}

static void
check_same(const struct kerr *a, const struct kerr *b)
{
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->http_code, b->http_code);
    assert_string_equal(a->message, b->message);
    assert_true(str_eq(a->name, b->name) && str_eq(a->group, b->group) && str_eq(a->kind, b->kind) && str_eq(a->uid, b->uid));
    assert_int_equal(a->retry_after_s, b->retry_after_s);
    assert_true(str_eq(a->list_continue, b->list_continue));
    assert_int_equal(a->ncauses, b->ncauses);
    for (uint32_t i = 0; i < a->ncauses; i++) {
        assert_string_equal(a->causes[i].reason, b->causes[i].reason);
        assert_string_equal(a->causes[i].message, b->causes[i].message);
        assert_string_equal(a->causes[i].field, b->causes[i].field);
    }
}

static void
clients_get_the_error_back(void **state)
{
    AUTO(kerr) *err = kerr_about(kerr_new(KERR_INVALID, "Pod \"a\" is invalid"), "", "Pod", "a");
    AUTO_SBUF json = { 0 };
    AUTO_SBUF pb = { 0 };

    kerr_add_cause(err, "FieldValueInvalid", "spec.containers[0].name", "Invalid value: \"%s\"", "A");
    kerr_add_cause(err, "FieldValueRequired", "spec.x", "Required value");
    err->list_continue = xstrdup("tok");
    err = kerr_retry_after(err, 3);
    status_encode_json(err, &json);
    AUTO(kerr) *back = kerr_from_body(json.s, json.len, 0);
    check_same(err, back);
    AUTO(object) *obj = status_object(err);
    object_encode_pb(obj, &pb);
    AUTO(kerr) *from_pb = kerr_from_body(pb.s, pb.len, 422);
    check_same(err, from_pb);
}

static void
other_bodies_are_quoted(void **state)
{
    AUTO(kerr) *text = kerr_from_body("no healthy upstream\n", 20, 503);
    AUTO(kerr) *none = kerr_from_body(NULL, 0, 404);
    AUTO(kerr) *odd = kerr_from_body("{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}", 33, 500);
    AUTO(kerr) *bare = kerr_from_body("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"code\":409}", 78, 409);

    assert_int_equal(text->reason, KERR_UNAVAILABLE);
    assert_string_equal(text->message, "the server answered with HTTP status 503: no healthy upstream");
    assert_int_equal(none->reason, KERR_NOT_FOUND);
    assert_int_equal(none->http_code, 404);
    assert_int_equal(odd->reason, KERR_INTERNAL);
    assert_int_equal(bare->http_code, 409);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_become_the_status_upstream_writes),
        cmocka_unit_test(success_names_the_object),
        cmocka_unit_test(clients_get_the_error_back),
        cmocka_unit_test(other_bodies_are_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
