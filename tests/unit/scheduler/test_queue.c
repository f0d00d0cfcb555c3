// SPDX-License-Identifier: Apache-2.0
/* The scheduling queue on a made-up clock: order, back-off, events, the flush. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scheduler/queue.h"

#define FIT 1u
#define TAINTS 2u

static char a[] = "a", b[] = "b", c[] = "c";

static const char *
pop(struct pod_queue *q, uint64_t now, struct queued **ret)
{
    *ret = pod_queue_pop(q, now);
    return *ret ? (*ret)->item : "-";
}

static void
priority_then_time(void **state)
{
    AUTO(pod_queue) *q = pod_queue_new(NULL);
    struct queued *e;

    (void)pod_queue_add(q, a, 0, false, 100);
    (void)pod_queue_add(q, b, 2000000000, false, 200);
    (void)pod_queue_add(q, c, 0, false, 100);
    assert_string_equal(pop(q, 300, &e), "b");
    assert_string_equal(pop(q, 300, &e), "a");
    assert_string_equal(pop(q, 300, &e), "c");
    assert_string_equal(pop(q, 300, &e), "-");
    assert_int_equal(pod_queue_len(q, QUEUE_IN_CYCLE), 3);
    assert_true(pod_queue_next_ms(q) == POD_QUEUE_NEVER);
}

static void
only_fitting_events_move(void **state)
{
    AUTO(pod_queue) *q = pod_queue_new(NULL);
    struct queued *e;

    (void)pod_queue_add(q, a, 0, false, 0);
    pop(q, 0, &e);
    pod_queue_refused(q, e, FIT, 0);
    assert_string_equal(pop(q, 5000, &e), "-"); /* time alone does not help */
    assert_int_equal(pod_queue_event(q, TAINTS, 5000), 0);
    assert_int_equal(pod_queue_event(q, FIT | TAINTS, 5000), 1);
    assert_int_equal(pod_queue_len(q, QUEUE_ACTIVE), 1); /* its back-off of 1 s is over */
    assert_string_equal(pop(q, 5000, &e), "a");
    assert_int_equal(e->attempts, 2);
}

static void
backoff_grows_to_its_bound(void **state)
{
    static const uint64_t expected[] = { 1000, 2000, 4000, 8000, 10000, 10000 };
    AUTO(pod_queue) *q = pod_queue_new(NULL);
    struct queued *e, *other;
    uint64_t now = 0;

    (void)pod_queue_add(q, a, 0, false, 0);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_string_equal(pop(q, now, &e), "a");
        pod_queue_refused(q, e, FIT, now);
        assert_true(e->backoff_until_ms == now + expected[i]);
        pod_queue_event(q, FIT, now);
        assert_int_equal(e->place, QUEUE_BACKOFF);
        other = pod_queue_add(q, b, 0, false, now); /* active pods go first, whatever their priority */
        assert_string_equal(pop(q, now + expected[i] - 1, &other), "b");
        pod_queue_remove(q, other);
        now += expected[i];
    }
}

static void
idle_takes_from_backoff_early(void **state)
{
    AUTO(pod_queue) *q = pod_queue_new(NULL);
    struct queued *e;

    (void)pod_queue_add(q, a, 0, false, 0);
    pop(q, 0, &e);
    pod_queue_refused(q, e, FIT, 0);
    pod_queue_event(q, FIT, 10);
    assert_true(pod_queue_next_ms(q) == 0);
    assert_string_equal(pop(q, 20, &e), "a");
    pod_queue_error(q, e, 20); /* but not after errors */
    assert_string_equal(pop(q, 30, &e), "-");
    assert_true(pod_queue_next_ms(q) == 1020);
    assert_string_equal(pop(q, 1020, &e), "a");
}

static void
flush_after_five_minutes(void **state)
{
    AUTO(pod_queue) *q = pod_queue_new(NULL);
    struct queued *e;

    (void)pod_queue_add(q, a, 0, false, 0);
    pop(q, 0, &e);
    pod_queue_refused(q, e, FIT, 1000);
    assert_true(pod_queue_next_ms(q) == 301000);
    assert_string_equal(pop(q, 300999, &e), "-");
    assert_string_equal(pop(q, 301000, &e), "a");
}

static void
gates_hold(void **state)
{
    AUTO(pod_queue) *q = pod_queue_new(NULL);
    struct queued *e, *gated = pod_queue_add(q, a, 0, true, 0);

    assert_string_equal(pop(q, 400000, &e), "-");
    assert_int_equal(pod_queue_event(q, ~0u, 400000), 0);
    pod_queue_update(q, gated, 7, false, 400000);
    assert_string_equal(pop(q, 400000, &e), "a");
    assert_int_equal(e->priority, 7);
}

/* The heap against a plain search, with removals from anywhere. */
static void
heap_keeps_order(void **state)
{
    enum { N = 500 };
    AUTO(pod_queue) *q = pod_queue_new(NULL);
    static char items[N];
    struct queued *all[N], *e;
    uint32_t seed = 7;
    int32_t last = INT32_MAX;
    size_t left = N;

    for (size_t i = 0; i < N; i++) {
        seed = seed * 1103515245 + 12345;
        all[i] = pod_queue_add(q, &items[i], (int32_t)(seed >> 16) % 50, false, i);
    }
    for (size_t i = 0; i < N; i += 3, left--)
        pod_queue_remove(q, all[i]);
    assert_int_equal(pod_queue_len(q, QUEUE_ACTIVE), left);
    while ((e = pod_queue_pop(q, N))) {
        assert_true(e->priority <= last);
        last = e->priority;
        left--;
    }
    assert_int_equal(left, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priority_then_time), cmocka_unit_test(only_fitting_events_move), cmocka_unit_test(backoff_grows_to_its_bound),
        cmocka_unit_test(idle_takes_from_backoff_early), cmocka_unit_test(flush_after_five_minutes), cmocka_unit_test(gates_hold),
        cmocka_unit_test(heap_keeps_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
