// SPDX-License-Identifier: Apache-2.0
#include "common/client/executor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/client/events.h"
#include "common/client/leader.h"
#include "common/client/workqueue.h"
#include "fake_apiserver.h"

static atomic_int quota;
static char lease[512]; /* what was written last; guarded by the fake's loop thread */

static void
answer_lease(struct http_stream *s, const char *method, const char *body)
{
    if (strcmp(method, "GET") == 0 && !*lease) {
        fake_reply(s, 404, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"no lease\",\"reason\":\"NotFound\",\"code\":404}");
        return;
    }
    if (strcmp(method, "GET") != 0)
        memcpy(lease, body, strnlen(body, sizeof lease - 1) + 1);
    fake_reply(s, 200, lease);
}

static void
answer(struct fake *f, struct http_stream *s, const char *method, const char *target, const char *body)
{
    if (strstr(target, "leases")) {
        fake_log(f, body);
        answer_lease(s, method, body);
        return;
    }
    if (strstr(target, "/missing")) {
        fake_reply(s, 404, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"not there\",\"reason\":\"NotFound\",\"code\":404}");
        return;
    }
    if (strcmp(method, "POST") == 0 && strstr(target, "configmaps") && atomic_fetch_sub(&quota, 1) <= 0) {
        fake_reply(s, 403, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"exceeded quota\",\"reason\":\"Forbidden\",\"code\":403}");
        return;
    }
    if (strstr(target, "/events"))
        fake_log(f, body);
    fake_reply(s, 200, *body == '{' && strcmp(method, "POST") == 0 ? body : "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"x\"}}");
}

static int
setup(void **state)
{
    atomic_store(&quota, 1000);
    lease[0] = '\0';
    *state = fake_start(answer);
    return 0;
}

static int
teardown(void **state)
{
    fake_stop(*state);
    return 0;
}

static struct object *
config_map(const char *name)
{
    struct object *obj = object_new_of("v1", "ConfigMap");

    object_meta(obj)->name = arena_strdup(object_arena(obj), name);
    object_meta(obj)->namespace = "ns";
    object_meta(obj)->uid = "u1";
    return obj;
}

static void
plans_print_what_they_mean(void **state)
{
    AUTO(plan) *p = plan_new("ns/web");
    AUTO(object) *about = config_map("web");
    AUTO_SBUF out = { 0 };

    plan_create(p, config_map("a"), "scale up");
    plan_patch(p, object_kind(about), "ns", "web", REST_PATCH_MERGE, "status", "{\"a\":1}", "counts changed");
    plan_delete(p, about, "too many");
    plan_event(p, about, "Normal", "Done", "made %d", 3);
    plan_requeue(p, 500);
    plan_requeue(p, 900);
    plan_print(p, false, &out);
    assert_string_equal(out.s, "create ConfigMap ns/a: scale up\npatch ConfigMap/status ns/web: counts changed\n"
                               "delete ConfigMap ns/web: too many\nevent Normal Done ConfigMap ns/web: made 3\nrequeue after 500ms\n");
    sbuf_clear(&out);
    plan_print(p, true, &out);
    assert_non_null(strstr(out.s, "counts changed\n  {\"a\":1}\n"));
    assert_non_null(strstr(out.s, "scale up\n  {\"kind\":\"ConfigMap\""));
}

static void
actions_run_in_order_and_stop_at_an_error(void **state)
{
    struct fake *f = *state;
    struct executor_config cfg = { .rest = f->rest };
    AUTO(executor) *ex = executor_new(&cfg);
    AUTO(plan) *p = plan_new("k");
    AUTO(object) *gone = config_map("missing");

    plan_create(p, config_map("one"), "r")->keep_result = true;
    plan_delete(p, gone, "already gone is fine");
    plan_update(p, config_map("missing"), "fails");
    plan_create(p, config_map("never"), "r");
    AUTO(kerr) *err = executor_run(ex, p);
    assert_int_equal(err->reason, KERR_NOT_FOUND);
    assert_string_equal(err->message, "update ConfigMap ns/missing: not there");
    assert_int_equal(p->items[0].state, ACTION_DONE);
    assert_string_equal(object_name(p->items[0].result), "one");
    assert_int_equal(p->items[1].state, ACTION_DONE);
    assert_int_equal(p->items[2].state, ACTION_FAILED);
    assert_int_equal(p->items[3].state, ACTION_SKIPPED);
    AUTO_FREE char *log = fake_log_copy(f);
    assert_null(strstr(log, "never"));
}

static void
batches_start_slowly(void **state)
{
    struct fake *f = *state;
    struct executor_config cfg = { .rest = f->rest };
    AUTO(executor) *ex = executor_new(&cfg);
    AUTO(plan) *p = plan_new("k");
    size_t done = 0, skipped = 0, failed = 0;

    atomic_store(&quota, 5);
    for (int i = 0; i < 100; i++) {
        AUTO_FREE char *name = xasprintf("c%d", i);
        plan_create(p, config_map(name), "scale")->batch = 1;
    }
    AUTO(kerr) *err = executor_run(ex, p);
    assert_int_equal(err->reason, KERR_FORBIDDEN);
    for (size_t i = 0; i < p->len; i++) {
        done += p->items[i].state == ACTION_DONE;
        failed += p->items[i].state == ACTION_FAILED;
        skipped += p->items[i].state == ACTION_SKIPPED;
    }
    assert_int_equal(done, 5); /* 1, 2, then 2 of 4 */
    assert_int_equal(failed, 2);
    assert_int_equal(skipped, 93);
}

static void
a_whole_batch_goes_through(void **state)
{
    struct fake *f = *state;
    struct executor_config cfg = { .rest = f->rest, .threads = 8 };
    AUTO(executor) *ex = executor_new(&cfg);
    AUTO(plan) *p = plan_new("k");

    for (int i = 0; i < 200; i++)
        plan_create(p, config_map("c"), "scale")->batch = 1;
    assert_null(executor_run(ex, p));
    assert_int_equal(p->items[199].state, ACTION_DONE);
}

static void
events_reach_the_apiserver_and_count_up(void **state)
{
    struct fake *f = *state;
    struct events *e = events_new(f->rest, "default-scheduler", "host1");
    AUTO(object) *about = config_map("web");

    events_send(e, about, EVENT_WARNING, "FailedScheduling", "0/%d nodes", 3);
    fake_wait_for(f, "POST /api/v1/namespaces/ns/events\n");
    fake_wait_for(f, "\"involvedObject\":{\"kind\":\"ConfigMap\",\"namespace\":\"ns\",\"name\":\"web\",\"uid\":\"u1\",\"apiVersion\":\"v1\"}");
    fake_wait_for(f, "\"message\":\"0/3 nodes\"");
    fake_wait_for(f, "\"reportingComponent\":\"default-scheduler\",\"reportingInstance\":\"host1\"");
    events_send(events_for(e, "default-scheduler", "host1"), about, EVENT_WARNING, "FailedScheduling", "0/%d nodes", 3);
    fake_wait_for(f, "PATCH /api/v1/namespaces/ns/events/web.");
    fake_wait_for(f, "{\"count\":2,\"lastTimestamp\":\"");
    events_free(e);
}

static void
note_leading(void *arg)
{
    fake_log(arg, "leading");
}

static void
a_lease_is_taken_renewed_and_given_back(void **state)
{
    struct fake *f = *state;
    struct leader_config cfg = { .rest = f->rest, .namespace = "kube-system", .name = "test", .identity = "me", .retry_period_ms = 20,
                                 .started = note_leading, .arg = f };
    AUTO(leader) *l = leader_new(&cfg);

    fake_wait_for(f, "GET /apis/coordination.k8s.io/v1/namespaces/kube-system/leases/test\n");
    fake_wait_for(f, "POST /apis/coordination.k8s.io/v1/namespaces/kube-system/leases\n");
    fake_wait_for(f, "\"holderIdentity\":\"me\",\"leaseDurationSeconds\":15,");
    fake_wait_for(f, "leading\n");
    assert_true(leader_is(l));
    assert_null(leader_health(l));
    fake_wait_for(f, "PUT /apis/coordination.k8s.io/v1/namespaces/kube-system/leases/test\n");
    leader_free(steal_ptr(l));
    fake_wait_for(f, "\"spec\":{\"holderIdentity\":\"\",\"leaseDurationSeconds\":1,");
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(plans_print_what_they_mean),
        T(actions_run_in_order_and_stop_at_an_error),
        T(batches_start_slowly),
        T(a_whole_batch_goes_through),
        T(events_reach_the_apiserver_and_count_up),
        T(a_lease_is_taken_renewed_and_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
