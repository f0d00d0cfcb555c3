// SPDX-License-Identifier: Apache-2.0
/* The pure parts: event correlation and leader election. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/str.h"
#include "common/client/events.h"
#include "common/client/leader.h"

#define S 1000000ll

static const struct event_target pod = { "v1", "Pod", "ns", "web", "uid-1", "7", NULL };

static enum event_step
say(struct event_correlator *c, const char *message, int64_t now_us, struct event_decision *ret)
{
    event_decision_done(ret);
    return event_correlate(c, "kubelet", &pod, "Warning", "BackOff", message, now_us, ret);
}

static void
equal_events_count_up(void **state)
{
    AUTO(event_correlator) *c = event_correlator_new();
    struct event_decision d = { 0 };
    char first[64];

    assert_int_equal(say(c, "m", 1000 * S, &d), EVENT_CREATE);
    assert_string_equal(d.name, "web.e8d4a51000");
    assert_int_equal(d.count, 1);
    memcpy(first, d.name, strlen(d.name) + 1);
    assert_int_equal(say(c, "m", 1001 * S, &d), EVENT_PATCH);
    assert_string_equal(d.name, first);
    assert_int_equal(d.count, 2);
    assert_true(d.first_us == 1000 * S);
    assert_int_equal(say(c, "other", 1002 * S, &d), EVENT_CREATE);
    assert_int_equal(d.count, 1);
    event_decision_done(&d);
}

static void
ten_similar_ones_are_combined(void **state)
{
    AUTO(event_correlator) *c = event_correlator_new();
    struct event_decision d = { 0 };
    char message[8] = "m0";

    for (int i = 0; i < 9; i++) {
        message[1] = (char)('0' + i);
        assert_int_equal(say(c, message, (1000 + i) * S, &d), EVENT_CREATE);
        assert_string_equal(d.message, message);
    }
    assert_int_equal(say(c, "m9", 1010 * S, &d), EVENT_CREATE);
    assert_string_equal(d.message, "(combined from similar events): m9");
    assert_int_equal(say(c, "ma", 1011 * S, &d), EVENT_PATCH);
    assert_string_equal(d.message, "(combined from similar events): ma");
    assert_int_equal(d.count, 2);
    assert_int_equal(say(c, "mb", 1700 * S, &d), EVENT_CREATE); /* the window is over */
    assert_string_equal(d.message, "mb");
    event_decision_done(&d);
}

static void
floods_are_dropped(void **state)
{
    AUTO(event_correlator) *c = event_correlator_new();
    struct event_decision d = { 0 };

    for (int i = 0; i < 25; i++)
        assert_int_not_equal(say(c, "m", 1000 * S + i, &d), EVENT_DROP);
    assert_int_equal(say(c, "m", 1000 * S + 99, &d), EVENT_DROP);
    assert_int_equal(say(c, "m", 1301 * S, &d), EVENT_PATCH); /* one more after five minutes */
    assert_int_equal(say(c, "m", 1301 * S, &d), EVENT_DROP);
    event_decision_done(&d);
}

static void
the_cache_is_bounded(void **state)
{
    AUTO(event_correlator) *c = event_correlator_new();

    for (int i = 0; i < 10000; i++) {
        struct event_decision d;
        AUTO_FREE char *name = xasprintf("pod-%d", i);
        struct event_target t = { .kind = "Pod", .name = name };
        event_correlate(c, "s", &t, "Normal", "R", "m", i + 1, &d);
        assert_int_equal(d.step, EVENT_CREATE);
        event_decision_done(&d);
    }
}

static struct leader_record
held_by(const char *who, int32_t duration_s, int32_t transitions)
{
    struct leader_record r = { .exists = true, .duration_s = duration_s, .acquire_us = 5, .renew_us = 6, .transitions = transitions };

    memcpy(r.holder, who, strlen(who));
    return r;
}

static void
a_missing_lease_is_created(void **state)
{
    struct leader_record none = { 0 }, next;

    assert_int_equal(leader_decide(&none, 0, "me", 15000, 100, 777, &next), LEADER_CREATE);
    assert_string_equal(next.holder, "me");
    assert_int_equal(next.duration_s, 15);
    assert_true(next.acquire_us == 777 && next.renew_us == 777);
    assert_int_equal(next.transitions, 0);
}

static void
ours_is_renewed_and_keeps_its_start(void **state)
{
    struct leader_record seen = held_by("me", 15, 3), next;

    assert_int_equal(leader_decide(&seen, 100, "me", 15000, 200, 777, &next), LEADER_RENEW);
    assert_true(next.acquire_us == 5 && next.renew_us == 777);
    assert_int_equal(next.transitions, 3);
}

static void
anothers_is_taken_only_when_it_ran_out_by_our_clock(void **state)
{
    struct leader_record seen = held_by("other", 15, 3), next;

    assert_int_equal(leader_decide(&seen, 1000, "me", 15000, 15999, 777, &next), LEADER_WAIT);
    assert_int_equal(leader_decide(&seen, 1000, "me", 15000, 16000, 777, &next), LEADER_TAKE);
    assert_int_equal(next.transitions, 4);
    assert_true(next.acquire_us == 777);
    seen = held_by("other", 60, 3); /* its own duration counts */
    assert_int_equal(leader_decide(&seen, 1000, "me", 15000, 20000, 777, &next), LEADER_WAIT);
    seen = held_by("", 1, 3); /* released */
    assert_int_equal(leader_decide(&seen, 1000, "me", 15000, 1001, 777, &next), LEADER_TAKE);
    assert_int_equal(next.transitions, 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_events_count_up),      cmocka_unit_test(ten_similar_ones_are_combined),
        cmocka_unit_test(floods_are_dropped),         cmocka_unit_test(the_cache_is_bounded),
        cmocka_unit_test(a_missing_lease_is_created), cmocka_unit_test(ours_is_renewed_and_keeps_its_start),
        cmocka_unit_test(anothers_is_taken_only_when_it_ran_out_by_our_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
