// SPDX-License-Identifier: Apache-2.0
/* Against a real apiserver, whose kubeconfig is in $CKUBE_LIVE_KUBECONFIG (tests/integration/client_live.sh);
 * with nothing to do otherwise.  $CKUBE_LIVE_RESTART is a command that kills the apiserver and starts it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/client/events.h"
#include "common/client/executor.h"
#include "common/client/informer.h"
#include "common/client/leader.h"

#define OBJECTS 1200 /* three pages */

static struct rest *rest_client;
static atomic_int adds, updates, removes, late_adds;

static const struct api_kind *
cm(void)
{
    return api_kind_find("v1", "ConfigMap");
}

static struct object *
config_map(const char *name)
{
    struct object *obj = object_new_of("v1", "ConfigMap");

    object_meta(obj)->name = arena_strdup(object_arena(obj), name);
    object_meta(obj)->namespace = "default";
    return obj;
}

static void
check(struct kerr *err)
{
    if (err)
        fail_msg("%s", err->message);
}

static void
wait_for(atomic_int *n, int value, const char *what)
{
    for (int i = 0; i < 6000 && atomic_load(n) < value; i++)
        clock_sleep_ms(10);
    if (atomic_load(n) < value)
        fail_msg("%s: %d, wanted %d", what, atomic_load(n), value);
}

static bool
ours(const struct object *obj)
{
    return str_has_prefix(object_name(obj), "live-");
}

static void
on_add(const struct object *obj, bool initial, void *arg)
{
    if (ours(obj))
        atomic_fetch_add(initial ? &adds : &late_adds, 1);
}

static void
on_update(const struct object *old, const struct object *now, void *arg)
{
    if (ours(now))
        atomic_fetch_add(&updates, 1);
}

static void
on_remove(const struct object *last, void *arg)
{
    if (ours(last))
        atomic_fetch_add(&removes, 1);
}

static void
a_picture_is_kept_through_a_restart(void **state)
{
    struct executor_config ex_cfg = { .rest = rest_client };
    AUTO(executor) *ex = executor_new(&ex_cfg);
    AUTO(plan) *plan = plan_new("fill");
    AUTO(informers) *set = informers_new(rest_client, NULL);
    struct informer *inf = informers_kind(set, "v1", "ConfigMap");
    struct informer_handler h = { .add = on_add, .update = on_update, .remove = on_remove };

    check(rest_delete_collection(rest_client, cm(), "default", NULL, NULL));
    for (int i = 0; i < OBJECTS; i++) {
        AUTO_FREE char *name = xasprintf("live-%d", i);
        plan_create(plan, config_map(name), "fill")->batch = 1;
    }
    uint64_t t0 = clock_mono_ms();
    check(executor_run(ex, plan));
    print_message("%d creates in %llu ms\n", OBJECTS, (unsigned long long)(clock_mono_ms() - t0));
    informer_add_handler(inf, &h);
    t0 = clock_mono_ms();
    informers_start(set);
    assert_true(informers_wait_synced(set, NULL));
    print_message("list of %zu in %llu ms\n", informer_count(inf), (unsigned long long)(clock_mono_ms() - t0));
    assert_int_equal(atomic_load(&adds), OBJECTS);
    AUTO(object) *one = informer_get(inf, "default", "live-7");
    assert_non_null(one);
    assert_int_equal(object_meta(one)->managed_fields.len, 0);

    check(rest_patch(rest_client, cm(), "default", "live-7", REST_PATCH_MERGE, "{\"data\":{\"a\":\"b\"}}", 18, NULL, NULL));
    wait_for(&updates, 1, "updates");
    check(rest_delete(rest_client, cm(), "default", "live-8", NULL));
    wait_for(&removes, 1, "removes");
    const char *restart = getenv("CKUBE_LIVE_RESTART");
    if (!str_empty(restart))
        assert_int_equal(system(restart), 0);
    assert_true(rest_wait(rest_client, NULL, NULL, NULL));
    AUTO(object) *late = config_map("live-late");
    check(rest_create(rest_client, late, NULL));
    wait_for(&late_adds, 1, "adds after the restart");
    assert_int_equal(informer_count(inf) >= OBJECTS, 1);
    assert_int_equal(atomic_load(&adds), OBJECTS);
    assert_int_equal(atomic_load(&removes), 1);
    kerr_free(rest_delete_collection(rest_client, cm(), "default", NULL, NULL));
    wait_for(&removes, OBJECTS + 1, "removes of all");
}

static void
conflicts_and_misses_are_told(void **state)
{
    AUTO(object) *obj = config_map("live-conflict"), *made = NULL;
    AUTO(kerr) *err = NULL;

    kerr_free(rest_delete(rest_client, cm(), "default", "live-conflict", NULL));
    check(rest_create(rest_client, obj, &made));
    err = rest_create(rest_client, obj, NULL);
    assert_int_equal(err->reason, KERR_ALREADY_EXISTS);
    kerr_free(err);
    check(rest_patch(rest_client, cm(), "default", "live-conflict", REST_PATCH_MERGE, "{\"data\":{\"a\":\"b\"}}", 18, NULL, NULL));
    err = rest_update(rest_client, made, NULL);
    assert_int_equal(err->reason, KERR_CONFLICT);
    kerr_free(err);
    check(rest_delete(rest_client, cm(), "default", "live-conflict", NULL));
    err = rest_get(rest_client, cm(), "default", "live-conflict", &made);
    assert_int_equal(err->reason, KERR_NOT_FOUND);
}

static void
note(void *arg)
{
    atomic_store((atomic_int *)arg, 1);
}

static void
the_lease_goes_from_one_to_the_next(void **state)
{
    atomic_int first = 0, second = 0;
    struct leader_config cfg = { .rest = rest_client, .namespace = "kube-system", .name = "live-test", .identity = "one", .retry_period_ms = 100,
                                 .started = note, .arg = &first };
    struct leader *one = leader_new(&cfg);

    wait_for(&first, 1, "the first leader");
    cfg.identity = "two";
    cfg.arg = &second;
    struct leader *two = leader_new(&cfg);
    clock_sleep_ms(500);
    assert_int_equal(atomic_load(&second), 0);
    leader_free(one);
    wait_for(&second, 1, "the second leader");
    leader_free(two);
    kerr_free(rest_delete(rest_client, api_kind_find("coordination.k8s.io/v1", "Lease"), "kube-system", "live-test", NULL));
}

static void
events_count_up(void **state)
{
    struct events *e = events_new(rest_client, "live-test", NULL);
    AUTO(object) *about = config_map("live-event");
    struct rest_list_options only = { .field_selector = "involvedObject.name=live-event" };
    int32_t count = 0;

    for (int i = 0; i < 3; i++)
        events_send(e, about, EVENT_NORMAL, "Tested", "the same");
    for (int i = 0; i < 1000 && count < 3; i++) {
        AUTO_OBJECT_LIST found = { 0 };
        check(rest_list_all(rest_client, api_kind_find("v1", "Event"), "default", &only, &found, NULL));
        count = found.len == 1 ? OBJECT_BODY(found.items[0], core_event)->count : 0;
        clock_sleep_ms(10);
    }
    events_free(e);
    assert_int_equal(count, 3);
    kerr_free(rest_delete_collection(rest_client, api_kind_find("v1", "Event"), "default", &only, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_is_kept_through_a_restart),
        cmocka_unit_test(conflicts_and_misses_are_told),
        cmocka_unit_test(the_lease_goes_from_one_to_the_next),
        cmocka_unit_test(events_count_up),
    };
    const char *path = getenv("CKUBE_LIVE_KUBECONFIG");
    AUTO_CLIENT_CONFIG config = { 0 };
    struct rest_options options = { .component = "live-test" };

    if (str_empty(path))
        return 0;
    AUTO(kerr) *err = kubeconfig_load(path, NULL, &config);
    if (!err)
        err = rest_new(&config, &options, &rest_client);
    if (err) {
        fprintf(stderr, "%s\n", err->message);
        return 1;
    }
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    rest_unref(rest_client);
    return rc;
}
