// SPDX-License-Identifier: Apache-2.0
/* Cron schedules and the zones they are read in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/api/values.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"
#include "controller-manager/cron_schedule.h"
#include "controller-manager/job_indexes.h"
#include "controller-manager/time_zone.h"

struct next_case {
    const char *schedule, *zone, *after, *next;
};
static const struct next_case next_cases[] = {
    { "* * * * *", "", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z" },
    { "* * * * *", "", "2026-01-01T00:00:59Z", "2026-01-01T00:01:00Z" },
    { "*/15 * * * *", "", "2026-01-01T00:45:00Z", "2026-01-01T01:00:00Z" },
    { "7-30/10 * * * *", "", "2026-01-01T00:17:00Z", "2026-01-01T00:27:00Z" },
    { "5/20 * * * *", "", "2026-01-01T00:25:00Z", "2026-01-01T00:45:00Z" },
    { "0 9-17 * * MON-FRI", "", "2026-01-02T17:00:00Z", "2026-01-05T09:00:00Z" },
    { "30 4 1,15 * 5", "", "2026-01-02T05:00:00Z", "2026-01-09T04:30:00Z" },   /* the day or the weekday */
    { "30 4 */2 * 5", "", "2026-01-01T05:00:00Z", "2026-01-02T04:30:00Z" },    /* a step is no star */
    { "0 0 29 2 *", "", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z" },
    { "0 0 ? jan,JUL ?", "", "2026-01-31T00:00:00Z", "2026-07-01T00:00:00Z" },
    { "0 0 30 2 *", "", "2026-01-01T00:00:00Z", "" },
    { "@hourly", "", "2026-01-01T00:30:00Z", "2026-01-01T01:00:00Z" },
    { "@weekly", "", "2026-01-01T00:30:00Z", "2026-01-04T00:00:00Z" },
    { "@yearly", "", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z" },
    { "@every 1h30m", "", "2026-01-01T00:00:10Z", "2026-01-01T01:30:10Z" },
    { "0 12 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-01T11:00:00Z" },
    { "0 12 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T10:00:00Z" },
    { "0 12 * * *", "Europe/Berlin", "2060-07-01T00:00:00Z", "2060-07-01T10:00:00Z" }, /* by the rule at the end of the file */
    { "0 0 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T18:30:00Z" },
    { "30 2 * * *", "Europe/Berlin", "2026-03-28T23:30:00Z", "2026-03-30T00:30:00Z" }, /* there is no 02:30 on the 29th */
    { "0 0 * * *", "America/New_York", "2026-03-08T06:00:00Z", "2026-03-09T04:00:00Z" },
};

static void
test_next(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(next_cases); i++) {
        const struct next_case *c = &next_cases[i];
        struct cron_schedule s;
        struct api_time after, want = { 0 };
        AUTO(time_zone) *z = NULL;
        AUTO(kerr) *zone_err = time_zone_load(c->zone, &z);
        if (zone_err && *c->zone)
            continue; /* a machine without zone files */
        struct kerr *err = cron_schedule_parse(c->schedule, &s);
        assert_null(err);
        assert_int_equal(api_time_parse(c->after, strlen(c->after), &after), 0);
        int64_t next = cron_schedule_next(&s, z, api_time_unix(after));
        if (*c->next)
            assert_int_equal(api_time_parse(c->next, strlen(c->next), &want), 0);
        if (next != (*c->next ? api_time_unix(want) : 0)) {
            AUTO_SBUF got = { 0 };
            api_time_format(api_time_from_unix(next), &got);
            fail_msg("%s (%s) after %s: %s, not %s", c->schedule, c->zone, c->after, sbuf_str(&got), c->next);
        }
    }
}

static void
test_refuses(void **state)
{
    static const char *const bad[] = { "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *",
                                       "*/0 * * * *", "a * * * *", "1-2-3 * * * *", "*-3 * * * *", "@often", "@every x", "-1 * * * *" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct cron_schedule s;
        AUTO(kerr) *err = cron_schedule_parse(bad[i], &s);
        if (!err)
            fail_msg("\"%s\" was taken", bad[i]);
    }
}

static void
test_zones(void **state)
{
    static const char *const bad[] = { "../etc/passwd", "/etc/localtime", "Mars/Olympus" };
    struct time_zone *z = NULL;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(kerr) *err = time_zone_load(bad[i], &z);
        assert_non_null(err);
    }
    static const char cut[] = "TZif2";
    AUTO(kerr) *err = time_zone_parse(cut, sizeof cut, &z);
    assert_non_null(err);
    assert_int_equal(time_zone_offset_s(NULL, 12345), 0);
}

static void
test_indexes(void **state)
{
    static const int32_t more[] = { 0, 4, 6, 7, 12 };
    AUTO(arena) *a = arena_new(0);
    struct index_set s = index_set_parse("1,3-5,x,9,11-40", 20, a), t = index_set_with(s, more, ARRAY_LEN(more), a);
    int32_t missing[4];

    assert_string_equal(index_set_text(s, a), "1,3-5,9,11-19");
    assert_string_equal(index_set_text(t, a), "0,1,3-7,9,11-19");
    assert_int_equal(index_set_total(t), 17);
    assert_true(index_set_has(t, 6));
    assert_false(index_set_has(t, 2) || index_set_has(t, 20));
    assert_int_equal(index_set_overlap(s, index_set_parse("0-3", 20, a)), 2);
    assert_int_equal(index_set_missing(t, 20, missing, 4), 3);
    assert_true(missing[0] == 2 && missing[1] == 8 && missing[2] == 10);
    assert_int_equal(index_set_missing((struct index_set){ 0 }, 20, missing, 2), 2);
    assert_int_equal(index_set_parse("", 20, a).len, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next), cmocka_unit_test(test_refuses), cmocka_unit_test(test_zones), cmocka_unit_test(test_indexes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
