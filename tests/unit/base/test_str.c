// SPDX-License-Identifier: Apache-2.0
#include "common/base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void
numbers_are_whole_and_bounded(void **state)
{
    int64_t n = 7;

    assert_int_equal(parse_i64("-9223372036854775808", &n), 0);
    assert_true(n == INT64_MIN);
    assert_int_equal(parse_i64("9223372036854775808", &n), -ERANGE);
    assert_int_equal(parse_i64("12x", &n), -EINVAL);
    assert_int_equal(parse_i64("", &n), -EINVAL);
    assert_int_equal(parse_i64("-", &n), -EINVAL);
    assert_true(n == INT64_MIN);
}

static void
durations_read_as_go_does(void **state)
{
    int64_t ms = 0;

    assert_int_equal(parse_duration_ms("1m30s", &ms), 0);
    assert_int_equal(ms, 90000);
    assert_int_equal(parse_duration_ms("1.5h", &ms), 0);
    assert_int_equal(ms, 5400000);
    assert_int_equal(parse_duration_ms("250ms", &ms), 0);
    assert_int_equal(ms, 250);
    assert_int_equal(parse_duration_ms("-2s", &ms), 0);
    assert_int_equal(ms, -2000);
    assert_int_equal(parse_duration_ms("10", &ms), -EINVAL);
    assert_int_equal(parse_duration_ms("s", &ms), -EINVAL);
}

static void
null_and_empty_are_equal(void **state)
{
    assert_true(str_eq(NULL, ""));
    assert_true(str_empty(NULL));
    assert_false(str_eq(NULL, "a"));
    assert_int_equal(fnv32a(FNV32_INIT, "a", 1), 0xe40c292c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_whole_and_bounded),
        cmocka_unit_test(durations_read_as_go_does),
        cmocka_unit_test(null_and_empty_are_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
