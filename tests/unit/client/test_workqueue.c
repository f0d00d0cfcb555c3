// SPDX-License-Identifier: Apache-2.0
#include "common/client/workqueue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/str.h"

static void
keys_come_once_and_in_order(void **state)
{
    AUTO(keyqueue) *q = keyqueue_new(NULL);
    uint64_t waited = 0;

    keyqueue_add(q, "a", 100);
    keyqueue_add(q, "b", 100);
    keyqueue_add(q, "a", 150);
    assert_int_equal(keyqueue_ready_len(q), 2);
    assert_string_equal(keyqueue_get(q, 170, &waited), "a");
    assert_int_equal(waited, 70);
    assert_string_equal(keyqueue_get(q, 170, NULL), "b");
    assert_null(keyqueue_get(q, 170, NULL));
    keyqueue_done(q, "a", 171);
    keyqueue_done(q, "b", 171);
    assert_int_equal(keyqueue_len(q), 0);
}

static void
a_key_in_work_comes_back_after_done(void **state)
{
    AUTO(keyqueue) *q = keyqueue_new(NULL);

    keyqueue_add(q, "a", 1);
    assert_string_equal(keyqueue_get(q, 1, NULL), "a");
    keyqueue_add(q, "a", 2);
    keyqueue_add(q, "a", 2);
    assert_null(keyqueue_get(q, 3, NULL));
    keyqueue_done(q, "a", 4);
    assert_string_equal(keyqueue_get(q, 4, NULL), "a");
    keyqueue_done(q, "a", 5);
    assert_null(keyqueue_get(q, 6, NULL));
}

static void
delayed_keys_come_in_time_and_the_earlier_time_wins(void **state)
{
    AUTO(keyqueue) *q = keyqueue_new(NULL);

    keyqueue_add_after(q, "late", 500, 1000);
    keyqueue_add_after(q, "soon", 100, 1000);
    keyqueue_add_after(q, "late", 900, 1000);
    assert_int_equal(keyqueue_next_ms(q), 1100);
    assert_null(keyqueue_get(q, 1099, NULL));
    assert_string_equal(keyqueue_get(q, 1100, NULL), "soon");
    assert_int_equal(keyqueue_next_ms(q), 1500);
    keyqueue_add_after(q, "late", 50, 1200);
    assert_int_equal(keyqueue_next_ms(q), 1250);
    assert_string_equal(keyqueue_get(q, 1300, NULL), "late");
    keyqueue_done(q, "late", 1300);
    assert_int_equal(keyqueue_next_ms(q), KEYQUEUE_NEVER);
    keyqueue_add_after(q, "x", UINT64_MAX, 1300);
    assert_null(keyqueue_get(q, 1301, NULL));
}

static void
many_delays_come_sorted(void **state)
{
    AUTO(keyqueue) *q = keyqueue_new(NULL);
    uint64_t seed = 12345, last = 0;
    char key[16];

    for (int i = 0; i < 500; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        snprintf(key, sizeof key, "k%d", i % 400);
        keyqueue_add_after(q, key, seed >> 50, 0);
    }
    for (int i = 0; i < 400; i++) {
        uint64_t due = keyqueue_next_ms(q);
        assert_true(due >= last && due != KEYQUEUE_NEVER);
        last = due;
        const char *got = keyqueue_get(q, due, NULL);
        assert_non_null(got);
        keyqueue_done(q, got, due);
        while ((got = keyqueue_get(q, due, NULL))) { /* the same moment */
            keyqueue_done(q, got, due);
            i++;
        }
    }
    assert_int_equal(keyqueue_len(q), 0);
}

static void
retries_back_off_per_key_and_forget(void **state)
{
    AUTO(keyqueue) *q = keyqueue_new(NULL);
    static const uint64_t waits[] = { 5, 10, 20, 40, 80 };
    uint64_t now = 1000;

    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        assert_int_equal(keyqueue_retry(q, "a", now), waits[i]);
        now += waits[i];
        assert_string_equal(keyqueue_get(q, now, NULL), "a");
        keyqueue_done(q, "a", now);
    }
    assert_int_equal(keyqueue_failures(q, "a"), 5);
    assert_int_equal(keyqueue_retry(q, "b", now), 5);
    for (int i = 0; i < 40; i++)
        keyqueue_retry(q, "a", now += 1000000);
    assert_int_equal(keyqueue_retry(q, "a", now + 1000000), 1000000);
    keyqueue_forget(q, "a");
    assert_int_equal(keyqueue_failures(q, "a"), 0);
    assert_int_equal(keyqueue_retry(q, "a", now + 3000000), 5);
}

static void
retries_together_are_limited(void **state)
{
    struct keyqueue_limits limits = { .overall_qps = 10, .overall_burst = 3 };
    AUTO(keyqueue) *q = keyqueue_new(&limits);

    assert_int_equal(keyqueue_retry(q, "a", 1000), 5);
    assert_int_equal(keyqueue_retry(q, "b", 1000), 5);
    assert_int_equal(keyqueue_retry(q, "c", 1000), 5);
    assert_in_range(keyqueue_retry(q, "d", 1000), 100, 101);
    assert_in_range(keyqueue_retry(q, "e", 1000), 200, 201);
    assert_int_equal(keyqueue_retry(q, "f", 61000), 5);
}

struct work {
    atomic_int syncs, concurrent, overlap, failures_left;
    struct workqueue *wq;
};

static struct kerr *
count_sync(const char *key, void *arg)
{
    struct work *w = arg;

    if (atomic_fetch_add(&w->concurrent, 1) > 0 && str_eq(key, "same"))
        atomic_store(&w->overlap, 1);
    clock_sleep_ms(1);
    atomic_fetch_sub(&w->concurrent, 1);
    atomic_fetch_add(&w->syncs, 1);
    if (str_eq(key, "flaky") && atomic_fetch_sub(&w->failures_left, 1) > 0)
        return kerr_new(KERR_CONFLICT, "not yet");
    return NULL;
}

static void
wait_until(atomic_int *n, int value)
{
    for (int i = 0; i < 20000 && atomic_load(n) < value; i++)
        clock_sleep_ms(1);
    assert_true(atomic_load(n) >= value);
}

static void
workers_never_share_a_key(void **state)
{
    struct work w = { 0 };
    struct workqueue_config cfg = { .name = "test", .workers = 4, .sync = count_sync, .arg = &w };
    AUTO(workqueue) *wq = workqueue_new(&cfg);

    workqueue_add(wq, "same");
    workqueue_start(wq);
    for (int i = 0; i < 50; i++) {
        workqueue_add(wq, "same");
        clock_sleep_ms(1);
    }
    workqueue_drain(wq);
    assert_true(atomic_load(&w.syncs) >= 2);
    assert_int_equal(atomic_load(&w.overlap), 0);
    assert_int_equal(workqueue_len(wq), 0);
}

static void
errors_come_back_until_they_pass(void **state)
{
    struct work w = { .failures_left = 4 };
    struct workqueue_config cfg = { .name = "flaky", .workers = 2, .sync = count_sync, .arg = &w };
    AUTO(workqueue) *wq = workqueue_new(&cfg);

    workqueue_start(wq);
    workqueue_add(wq, "flaky");
    wait_until(&w.syncs, 5);
    workqueue_drain(wq);
    assert_int_equal(atomic_load(&w.syncs), 5);
    assert_int_equal(workqueue_len(wq), 0);
}

static void
delayed_work_runs_and_stop_ends_all(void **state)
{
    struct work w = { 0 };
    struct workqueue_config cfg = { .name = "delayed", .sync = count_sync, .arg = &w };
    struct workqueue *wq = workqueue_new(&cfg);

    workqueue_start(wq);
    workqueue_add_after(wq, "later", 20);
    workqueue_add_after(wq, "never", 3600000);
    wait_until(&w.syncs, 1);
    workqueue_stop(wq);
    workqueue_add(wq, "too late");
    assert_int_equal(atomic_load(&w.syncs), 1);
    workqueue_free(wq);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_once_and_in_order),
        cmocka_unit_test(a_key_in_work_comes_back_after_done),
        cmocka_unit_test(delayed_keys_come_in_time_and_the_earlier_time_wins),
        cmocka_unit_test(many_delays_come_sorted),
        cmocka_unit_test(retries_back_off_per_key_and_forget),
        cmocka_unit_test(retries_together_are_limited),
        cmocka_unit_test(workers_never_share_a_key),
        cmocka_unit_test(errors_come_back_until_they_pass),
        cmocka_unit_test(delayed_work_runs_and_stop_ends_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
