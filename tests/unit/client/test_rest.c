// SPDX-License-Identifier: Apache-2.0
#include "common/client/rest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/base/version.h"
#include "fake_apiserver.h"

#define CM(name, rv) "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name "\",\"namespace\":\"ns\",\"resourceVersion\":\"" rv "\"}}"
#define STATUS(code, reason, message)                                                                                  \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"" message "\",\"reason\":\"" reason  \
    "\",\"details\":{\"name\":\"a\",\"kind\":\"configmaps\"},\"code\":" code "}"

static void
answer(struct fake *f, struct http_stream *s, const char *method, const char *target, const char *body)
{
    static const struct http_header later[] = { { "Content-Type", "application/json" }, { "Retry-After", "1" } };

    if (strstr(target, "configmaps/missing")) {
        fake_reply(s, 404, STATUS("404", "NotFound", "configmaps \\\"a\\\" not found"));
    } else if (strstr(target, "configmaps/busy") && f->step++ == 0) {
        const char *text = STATUS("429", "TooManyRequests", "slow down");
        http_reply(s, 429, later, 2, text, strlen(text));
    } else if (strstr(target, "configmaps/plain")) {
        fake_reply(s, 502, "Bad gateway");
    } else if (strstr(target, "configmaps/garbage")) {
        fake_reply(s, 200, "{\"kind\":");
    } else if (strstr(target, "continue=p2")) {
        fake_reply(s, 200, "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" CM("c", "3") "]}");
    } else if (strstr(target, "limit=500")) {
        fake_reply(s, 200, "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"p2\"},\"items\":["
                           CM("a", "1") "," CM("b", "2") "]}");
    } else if (strstr(target, "watch=true")) {
        fake_start_watch(f, s);
        static const char frames[] = "{\"type\":\"ADDED\",\"object\":" CM("a", "5") "}\n{\"type\":\"DELE";
        http_reply_write(s, frames, sizeof frames - 1);
        http_reply_end(s);
    } else if (strstr(target, "/token")) {
        fake_log(f, body);
        fake_reply(s, 201, "{\"kind\":\"TokenRequest\",\"apiVersion\":\"authentication.k8s.io/v1\",\"metadata\":{},\"spec\":{\"audiences\":[\"x\"]},"
                           "\"status\":{\"token\":\"tok\",\"expirationTimestamp\":\"1970-01-01T00:01:00Z\"}}");
    } else if (strcmp(method, "GET") == 0) {
        fake_log(f, str_safe(http_stream_header(s, "User-Agent")));
        fake_reply(s, 200, CM("a", "7"));
    } else {
        fake_log(f, body);
        fake_log(f, str_safe(http_stream_header(s, "Content-Type")));
        fake_reply(s, 201, CM("a", "8"));
    }
}

static int
setup(void **state)
{
    *state = fake_start(answer);
    return 0;
}

static int
teardown(void **state)
{
    fake_stop(*state);
    return 0;
}

static const struct api_kind *
cm(void)
{
    return api_kind_find("v1", "ConfigMap");
}

static void
objects_come_and_go(void **state)
{
    struct fake *f = *state;
    AUTO(object) *obj = NULL, *made = NULL;
    AUTO(kerr) *err = rest_get(f->rest, cm(), "ns", "a", &obj);

    assert_null(err);
    assert_string_equal(object_name(obj), "a");
    assert_string_equal(object_meta(obj)->resource_version, "7");
    fake_wait_for(f, "GET /api/v1/namespaces/ns/configmaps/a\n");
    AUTO_FREE char *agent = version_user_agent("test");
    fake_wait_for(f, agent);
    fake_clear_log(f);
    assert_null(rest_create(f->rest, obj, &made));
    assert_string_equal(object_meta(made)->resource_version, "8");
    fake_wait_for(f, "POST /api/v1/namespaces/ns/configmaps\n{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\"");
    fake_wait_for(f, "application/json\n");
    assert_null(rest_update(f->rest, obj, NULL));
    fake_wait_for(f, "PUT /api/v1/namespaces/ns/configmaps/a\n");
    assert_null(rest_update_status(f->rest, obj, NULL));
    fake_wait_for(f, "PUT /api/v1/namespaces/ns/configmaps/a/status\n");
}

static void
patches_have_their_type(void **state)
{
    struct fake *f = *state;
    struct rest_patch_options force = { .force = true };
    struct rest_patch_options status = { .subresource = "status" };

    assert_null(rest_patch(f->rest, cm(), "ns", "a", REST_PATCH_MERGE, "{}", 2, &status, NULL));
    fake_wait_for(f, "PATCH /api/v1/namespaces/ns/configmaps/a/status\n{}\napplication/merge-patch+json\n");
    assert_null(rest_patch(f->rest, cm(), "ns", "a", REST_PATCH_APPLY, "{}", 2, &force, NULL));
    fake_wait_for(f, "PATCH /api/v1/namespaces/ns/configmaps/a?fieldManager=test&force=true\n{}\napplication/apply-patch+yaml\n");
}

static void
deletes_carry_their_options(void **state)
{
    struct fake *f = *state;
    struct rest_delete_options opts = { .has_grace_period = true, .grace_period_s = 0, .uid = "u", .propagation = REST_PROPAGATION_FOREGROUND };
    struct rest_list_options which = { .label_selector = "a in (b, c)" };

    assert_null(rest_delete(f->rest, cm(), "ns", "a", &opts));
    fake_wait_for(f, "DELETE /api/v1/namespaces/ns/configmaps/a\n{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"gracePeriodSeconds\":0,"
                     "\"preconditions\":{\"uid\":\"u\"},\"propagationPolicy\":\"Foreground\"}\n");
    assert_null(rest_delete_collection(f->rest, cm(), "ns", &which, NULL));
    fake_wait_for(f, "DELETE /api/v1/namespaces/ns/configmaps?labelSelector=a%20in%20%28b%2C%20c%29\n");
}

static void
errors_are_the_servers(void **state)
{
    struct fake *f = *state;
    AUTO(object) *obj = NULL;
    AUTO(kerr) *err = rest_get(f->rest, cm(), "ns", "missing", &obj);

    assert_int_equal(err->reason, KERR_NOT_FOUND);
    assert_string_equal(err->message, "configmaps \"a\" not found");
    kerr_free(err);
    err = rest_get(f->rest, cm(), "ns", "plain", &obj);
    assert_int_equal(err->http_code, 502);
    assert_true(rest_is_transient(err));
    kerr_free(err);
    err = rest_get(f->rest, cm(), "ns", "garbage", &obj);
    assert_int_equal(err->reason, KERR_INTERNAL);
}

static void
busy_servers_are_asked_again(void **state)
{
    struct fake *f = *state;
    AUTO(object) *obj = NULL;

    assert_null(rest_get(f->rest, cm(), "ns", "busy", &obj));
    assert_int_equal(f->step, 2);
}

static void
a_dead_server_is_named(void **state)
{
    struct client_config config = { .server = (char *)"http://127.0.0.1:1" };
    struct rest_options options = { .component = "test" };
    struct rest *r = NULL;
    AUTO(object) *obj = NULL;

    assert_null(rest_new(&config, &options, &r));
    AUTO(kerr) *err = rest_get(r, cm(), "ns", "a", &obj);
    assert_int_equal(err->reason, KERR_UNAVAILABLE);
    assert_true(rest_is_transient(err));
    assert_non_null(strstr(err->message, "127.0.0.1:1"));
    rest_unref(r);
}

static void
lists_join_their_pages(void **state)
{
    struct fake *f = *state;
    AUTO_OBJECT_LIST all = { 0 };
    AUTO_FREE char *version = NULL;

    assert_null(rest_list_all(f->rest, cm(), NULL, NULL, &all, &version));
    assert_int_equal(all.len, 3);
    assert_string_equal(object_name(all.items[2]), "c");
    assert_string_equal(version, "9");
    fake_wait_for(f, "GET /api/v1/configmaps?continue=p2&limit=500\n");
}

static bool
first_event(enum rest_watch_type type, struct object *obj, void *arg)
{
    assert_int_equal(type, REST_WATCH_ADDED);
    *(struct object **)arg = obj;
    return false;
}

static void
a_watch_gives_events_until_told_to_stop(void **state)
{
    struct fake *f = *state;
    struct rest_list_options opts = { .resource_version = "4" };
    AUTO(object) *obj = NULL;

    assert_null(rest_watch(f->rest, cm(), "ns", &opts, 60, first_event, &obj, NULL));
    assert_string_equal(object_name(obj), "a");
    fake_wait_for(f, "GET /api/v1/namespaces/ns/configmaps?resourceVersion=4&watch=true&allowWatchBookmarks=true\n");
}

static void
tokens_bindings_and_evictions(void **state)
{
    struct fake *f = *state;
    struct rest_token_request t = { .service_account = "default", .expiration_s = 3607, .pod_name = "p", .pod_uid = "u" };
    AUTO_FREE char *token = NULL;
    int64_t expires = 0;

    assert_null(rest_create_token(f->rest, "ns", &t, &token, &expires));
    assert_string_equal(token, "tok");
    assert_int_equal(expires, 60);
    fake_wait_for(f, "\"boundObjectRef\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"name\":\"p\",\"uid\":\"u\"}");
    assert_null(rest_bind_pod(f->rest, "ns", "p", "u", "node-1"));
    fake_wait_for(f, "POST /api/v1/namespaces/ns/pods/p/binding\n{\"kind\":\"Binding\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\","
                     "\"uid\":\"u\"},\"target\":{\"kind\":\"Node\",\"name\":\"node-1\"}}\n");
    assert_null(rest_evict_pod(f->rest, "ns", "p", NULL));
    fake_wait_for(f, "POST /api/v1/namespaces/ns/pods/p/eviction\n");
}

static void
paths_are_right(void **state)
{
    AUTO_FREE char *a = rest_path(api_kind_find("apps/v1", "Deployment"), "a", "b", "status");
    AUTO_FREE char *b = rest_path(api_kind_find("v1", "Node"), "", "n/1", NULL);

    assert_string_equal(a, "/apis/apps/v1/namespaces/a/deployments/b/status");
    assert_string_equal(b, "/api/v1/nodes/n%2F1");
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(objects_come_and_go), T(patches_have_their_type), T(deletes_carry_their_options), T(errors_are_the_servers),
        T(busy_servers_are_asked_again), cmocka_unit_test(a_dead_server_is_named), T(lists_join_their_pages),
        T(a_watch_gives_events_until_told_to_stop), T(tokens_bindings_and_evictions), cmocka_unit_test(paths_are_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
