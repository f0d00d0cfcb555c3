// SPDX-License-Identifier: Apache-2.0
/* The small parts of the controllers: expectations, schedules, node ranges, --controllers, the table, hashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/str.h"
#include "controller-manager/cidr_set.h"
#include "controller-manager/controller.h"
#include "controller-manager/cron_schedule.h"
#include "controller-manager/expectations.h"
#include "controller-manager/manager.h"
#include "controller-manager/time_zone.h"

static void
creations_and_deletions_are_waited_for(void **state)
{
    AUTO(expectations) *e = expectations_new();

    assert_true(expectations_satisfied(e, "ns/a", 1000));
    expectations_expect_creations(e, "ns/a", 2, 1000);
    expectations_expect_deletion(e, "ns/a", "u1", 1000);
    expectations_creation_seen(e, "ns/a");
    expectations_creation_seen(e, "ns/b"); /* not ours */
    assert_false(expectations_satisfied(e, "ns/a", 1001));
    expectations_deletion_seen(e, "ns/a", "other");
    expectations_deletion_seen(e, "ns/a", "u1");
    assert_false(expectations_satisfied(e, "ns/a", 1002));
    expectations_creation_seen(e, "ns/a");
    assert_true(expectations_satisfied(e, "ns/a", 1003));
    expectations_creation_seen(e, "ns/a"); /* one too many does no harm */
    expectations_expect_creations(e, "ns/a", 1, 2000);
    assert_false(expectations_satisfied(e, "ns/a", 2000));
    expectations_forget(e, "ns/a");
    assert_true(expectations_satisfied(e, "ns/a", 2000));
}

static void
expectations_end_after_their_time(void **state)
{
    AUTO(expectations) *e = expectations_new();

    expectations_expect_creations(e, "k", 1, 1000);
    assert_false(expectations_satisfied(e, "k", 1000 + EXPECTATIONS_TIMEOUT_MS));
    assert_true(expectations_satisfied(e, "k", 1001 + EXPECTATIONS_TIMEOUT_MS));
}

static void
schedules_name_their_next_time(void **state)
{
    static const struct { const char *schedule, *zone; int64_t after, want; } rows[] = {
        /* 2026-01-01 is a Thursday; 1767225600 is its midnight in UTC */
        { "*/15 * * * *", "Etc/UTC", 1767225600, 1767226500 },
        { "0 0 * * *", "Etc/UTC", 1767225600, 1767312000 },
        { "@hourly", "Etc/UTC", 1767225601, 1767229200 },
        { "30 9 * * MON-FRI", "Etc/UTC", 1767225600 + 2 * 86400, 1767225600 + 4 * 86400 + 34200 }, /* Saturday to Monday */
        { "0 0 13 * 5", "Etc/UTC", 1767225600, 1767225600 + 86400 },       /* Friday or the 13th */
        { "0 0 29 2 *", "Etc/UTC", 1767225600, 1835395200 },               /* 2028-02-29 */
        { "0 0 31 2 *", "Etc/UTC", 1767225600, 0 },                        /* never */
        { "@every 90s", "Etc/UTC", 1767225600, 1767225690 },
        { "0 12 * * *", "Europe/Berlin", 1767225600, 1767265200 },         /* 11:00 UTC in winter */
        { "0 12 * * *", "Europe/Berlin", 1782864000, 1782900000 },         /* 2026-07-01: 10:00 UTC in summer */
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(time_zone) *z = NULL;
        struct cron_schedule s;
        struct kerr *err = time_zone_load(rows[i].zone, &z);
        if (err && str_eq(rows[i].zone, "Europe/Berlin")) { /* no tzdata here */
            kerr_free(err);
            continue;
        }
        assert_null(err);
        err = cron_schedule_parse(rows[i].schedule, &s);
        assert_null(err);
        assert_int_equal(cron_schedule_next(&s, z, rows[i].after), rows[i].want);
    }
}

static void
bad_schedules_are_refused(void **state)
{
    static const char *const bad[] = { "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7",
                                       "5-1 * * * *", "*/0 * * * *", "a * * * *", "1, * * * *", "@never", "1-2-3 * * * *" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct cron_schedule s;
        struct kerr *err = cron_schedule_parse(bad[i], &s);
        assert_non_null(err);
        kerr_free(err);
    }
}

static void
node_ranges_are_handed_out_in_turn(void **state)
{
    struct cidr_set s;
    char text[CIDR_TEXT_SIZE];
    struct kerr *err = cidr_set_init(&s, "10.244.0.0/22", 24);

    assert_null(err);
    cidr_set_occupy(&s, "10.244.1.128/25"); /* a part takes the whole node range */
    cidr_set_occupy(&s, "192.168.0.0/16");  /* not in it */
    assert_true(cidr_set_allocate(&s, text));
    assert_string_equal(text, "10.244.0.0/24");
    assert_true(cidr_set_allocate(&s, text));
    assert_string_equal(text, "10.244.2.0/24");
    cidr_set_release(&s, "10.244.0.0/24");
    assert_true(cidr_set_allocate(&s, text));
    assert_string_equal(text, "10.244.3.0/24"); /* a range just given back rests */
    assert_true(cidr_set_allocate(&s, text));
    assert_string_equal(text, "10.244.0.0/24");
    assert_false(cidr_set_allocate(&s, text));
    assert_true(cidr_set_contains(&s, "10.244.3.0/24"));
    assert_false(cidr_set_contains(&s, "10.245.0.0/24"));
    cidr_set_done(&s);
    err = cidr_set_init(&s, "nonsense", 24);
    assert_non_null(err);
    kerr_free(err);
    cidr_set_done(&s);
}

static void
controllers_are_chosen_by_both_names(void **state)
{
    static const struct { const char *flag, *name, *old; bool off, want; } rows[] = {
        { "*", "job-controller", "job", false, true },
        { "*", "token-cleaner-controller", "tokencleaner", true, false },
        { "*,tokencleaner", "token-cleaner-controller", "tokencleaner", true, true },
        { "*,-job", "job-controller", "job", false, false },
        { "*,-job-controller", "job-controller", "job", false, false },
        { "namespace", "job-controller", "job", false, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_STRLIST wanted = { 0 };
        strlist_split(&wanted, rows[i].flag, ',');
        assert_int_equal(controllers_enabled(&wanted, rows[i].name, rows[i].old, rows[i].off), rows[i].want);
        struct kerr *err = controllers_check(&wanted);
        assert_null(err);
    }
    AUTO_STRLIST wrong = { 0 };
    strlist_add(&wrong, "-nobody");
    struct kerr *err = controllers_check(&wrong);
    assert_non_null(err);
    assert_string_equal(err->message, "--controllers: \"nobody\" is not in the list of known controllers");
    kerr_free(err);
}

static void
the_table_has_no_doubles(void **state)
{
    for (size_t i = 0; i < controller_rows_len; i++)
        for (size_t k = i + 1; k < controller_rows_len; k++) {
            assert_false(str_eq(controller_rows[i].name, controller_rows[k].name));
            assert_false(controller_rows[i].old_name && str_eq(controller_rows[i].old_name, controller_rows[k].old_name));
        }
}

static void
hashes_are_names(void **state)
{
    AUTO_FREE char *zero = safe_encode(0), *some = safe_encode(1234567890);
    struct pod_template_spec t = { 0 };
    int32_t collisions = 1;
    AUTO_FREE char *a = pod_template_hash(&t, NULL), *b = pod_template_hash(&t, &collisions);

    assert_string_equal(zero, "4"); /* upstream: alphabet[48 % 27] */
    assert_string_equal(some, "56789bcdf4");
    assert_string_not_equal(a, b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creations_and_deletions_are_waited_for), cmocka_unit_test(expectations_end_after_their_time),
        cmocka_unit_test(schedules_name_their_next_time),         cmocka_unit_test(bad_schedules_are_refused),
        cmocka_unit_test(node_ranges_are_handed_out_in_turn),
        cmocka_unit_test(controllers_are_chosen_by_both_names),   cmocka_unit_test(the_table_has_no_doubles),
        cmocka_unit_test(hashes_are_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
