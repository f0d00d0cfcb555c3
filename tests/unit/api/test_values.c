// SPDX-License-Identifier: Apache-2.0
#include "common/api/values.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static struct arena *arena;

static struct quantity
q(const char *text)
{
    struct quantity ret = { 0 };
    struct kerr *err = quantity_parse(text, strlen(text), arena, &ret);

    if (err)
        fail_msg("'%s': %s", text, err->message);
    return ret;
}

static void
quantities_are_canonical(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "0", "0" },           { "00", "0" },          { "-0", "0" },          { "0Ki", "0" },
        { "0.0n", "0" },        { "1", "1" },           { "100m", "100m" },     { "0.5", "500m" },
        { ".5", "500m" },       { "1.5", "1500m" },     { "1.", "1." },         { "1000", "1k" },
        { "1024Mi", "1Gi" },    { "1.5Gi", "1536Mi" },  { "1000m", "1" },       { "2000m", "2" },
        { "1500m", "1500m" },   { "0.1m", "100u" },     { "1n", "1n" },         { "0.1n", "1n" },
        { "1.1n", "2n" },       { "-0.1n", "-1n" },     { "-1.5", "-1500m" },   { "1e3", "1e3" },
        { "1E3", "1E3" },       { "10e2", "1e3" },      { "1e4", "10e3" },      { "12e6", "12e6" },
        { "1e-3", "1e-3" },     { "1000E", "1000E" },   { "1000Ki", "1000Ki" }, { "1024Ki", "1Mi" },
        { "0.5Ki", "512" },     { "1Ki", "1Ki" },       { "0.5Mi", "512Ki" },   { "0.0001Ki", "102400u" },
        { "1.1Ki", "1126400m" },{ "100000Ei", "9223372036854775807" }, { "8Ei", "9223372036854775807" },
        { "9223372036854775807", "9223372036854775807" }, { "99999999999999999999", "99999999999999999999" },
        { "1e30", "1e30" },     { "12345678901234567890123456789", "12345678901234567890123456789" },
        { "4Gi", "4Gi" },       { "128974848", "128974848" }, { "129e6", "129e6" }, { "129M", "129M" },
        { "100k", "100k" },     { "1000k", "1M" },      { "0.001", "1m" },      { "0.0005", "500u" },
        { "0.1", "100m" },      { "+5", "+5" },         { "1.500", "1.500" },   { " 2Gi ", "2Gi" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct quantity got = q(cases[i].in);
        if (strcmp(quantity_text(got), cases[i].out) != 0)
            fail_msg("'%s' is '%s', want '%s'", cases[i].in, quantity_text(got), cases[i].out);
        assert_int_equal(quantity_cmp(got, q(cases[i].out)), 0);
    }
    assert_string_equal(quantity_text((struct quantity){ 0 }), "0");
}

static void
bad_quantities_say_why(void **state)
{
    static const struct {
        const char *in, *why;
    } cases[] = {
        { "", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
        { "1x", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
        { "1 Gi", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
        { "1.2.3", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
        { "1mi", "unable to parse quantity's suffix" },
        { "1GiB", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
        { "1K", "unable to parse quantity's suffix" },
        { "1e", "unable to parse quantity's suffix" },
        { "1eK3", "unable to parse quantity's suffix" },
        { "999999999999999999999999999999999999999999", "unable to parse numeric part of quantity" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct quantity unused;
        AUTO(kerr) *err = quantity_parse(cases[i].in, strlen(cases[i].in), arena, &unused);
        if (!err)
            fail_msg("'%s' passed", cases[i].in);
        assert_string_equal(err->message, cases[i].why);
    }
}

static void
quantities_count(void **state)
{
    assert_int_equal(quantity_value(q("1.5")), 2);
    assert_int_equal(quantity_value(q("-1.5")), -2);
    assert_int_equal(quantity_value(q("1n")), 1);
    assert_int_equal(quantity_milli(q("1500m")), 1500);
    assert_int_equal(quantity_milli(q("1u")), 1);
    assert_true(quantity_value(q("1Gi")) == 1073741824);
    assert_true(quantity_value(q("100E")) == INT64_MAX);
    assert_true(quantity_milli(q("9E")) == INT64_MAX);
    assert_true(quantity_value(q("-100E")) == INT64_MIN);
    assert_int_equal(quantity_value((struct quantity){ 0 }), 0);

    assert_int_equal(quantity_cmp(q("1"), q("1000m")), 0);
    assert_int_equal(quantity_cmp(q("1Gi"), q("1G")), 1);
    assert_int_equal(quantity_cmp(q("-1Gi"), q("-1G")), -1);
    assert_int_equal(quantity_cmp(q("0"), q("-1n")), 1);
    assert_int_equal(quantity_cmp(q("1e30000"), q("1e29999")), 1);
    assert_int_equal(quantity_cmp((struct quantity){ 0 }, q("0")), 0);
    assert_int_equal(quantity_sign(q("-1m")), -1);
    assert_int_equal(quantity_sign(q("0Gi")), 0);

    assert_string_equal(quantity_text(quantity_add(q("512Mi"), q("512Mi"), arena)), "1Gi");
    assert_string_equal(quantity_text(quantity_add(q("1500m"), q("500m"), arena)), "2");
    assert_string_equal(quantity_text(quantity_add(q("0"), q("1Gi"), arena)), "1Gi");
    assert_string_equal(quantity_text(quantity_sub(q("1Gi"), q("1Gi"), arena)), "0");
    assert_string_equal(quantity_text(quantity_sub(q("1"), q("1500m"), arena)), "-500m");
    assert_string_equal(quantity_text(quantity_add(q("9223372036854775807"), q("1"), arena)), "9223372036854775808");
    assert_string_equal(quantity_text(quantity_add(q("1Gi"), q("500m"), arena)), "1073741824500m");
    assert_string_equal(quantity_text(quantity_from_i64(1073741824, QUANTITY_BINARY_SI, arena)), "1Gi");
    assert_string_equal(quantity_text(quantity_from_i64(INT64_MIN, QUANTITY_DECIMAL_SI, arena)), "-9223372036854775808");
    assert_string_equal(quantity_text(quantity_from_milli(250, arena)), "250m");
    assert_string_equal(quantity_text(quantity_from_milli(-3000, arena)), "-3");
    assert_string_equal(quantity_text(quantity_round_up(q("1100u"), -3, arena)), "2m");
    assert_string_equal(quantity_text(quantity_round_up(q("1.500"), -3, arena)), "1500m");
}

static void
check_time(const char *in, const char *seconds, const char *micro)
{
    struct api_time t;
    AUTO_SBUF out = { 0 };

    assert_int_equal(api_time_parse(in, strlen(in), &t), 0);
    api_time_format(t, &out);
    assert_string_equal(sbuf_str(&out), seconds);
    sbuf_clear(&out);
    api_time_format_micro(t, &out);
    assert_string_equal(sbuf_str(&out), micro);
}

static void
times_are_rfc3339(void **state)
{
    struct api_time t;
    static const char *const bad[] = { "", "2024-02-30T00:00:00Z", "2024-01-01 00:00:00Z", "2024-01-01T24:00:00Z",
                                       "2024-01-01T00:00:60Z", "2024-01-01T00:00:00", "2024-1-01T00:00:00Z",
                                       "2024-01-01T00:00:00Zx", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00+0100" };

    check_time("2024-02-29T12:34:56Z", "2024-02-29T12:34:56Z", "2024-02-29T12:34:56.000000Z");
    check_time("2024-12-31T23:59:59.123456789+02:00", "2024-12-31T21:59:59Z", "2024-12-31T21:59:59.123456Z");
    check_time("1969-12-31T23:59:59-00:30", "1970-01-01T00:29:59Z", "1970-01-01T00:29:59.000000Z");
    check_time("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z");
    check_time("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z");
    check_time("0000-03-01T00:00:00Z", "0000-03-01T00:00:00Z", "0000-03-01T00:00:00.000000Z");
    check_time("1900-03-01T00:00:00Z", "1900-03-01T00:00:00Z", "1900-03-01T00:00:00.000000Z");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (api_time_parse(bad[i], strlen(bad[i]), &t) != -EINVAL)
            fail_msg("'%s' passed", bad[i]);
    assert_int_equal(api_time_parse("1970-01-01T00:00:00Z", 20, &t), 0);
    assert_true(t.sec == API_TIME_UNIX_EPOCH);
    assert_int_equal(api_time_parse("0001-01-01T00:00:00Z", 20, &t), 0);
    assert_true(api_time_is_zero(t));
    assert_true(api_time_unix_us(api_time_from_unix_us(-1)) == -1);
}

static void
durations_print_as_go_does(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        { 0, "0s" }, { 1, "1ns" }, { 1100, "1.1\u00b5s" }, { 2200000, "2.2ms" }, { 3300000000, "3.3s" },
        { 90000000000, "1m30s" }, { 5400000000000, "1h30m0s" }, { 300000000000, "5m0s" }, { -1500000000, "-1.5s" },
        { INT64_MIN, "-2562047h47m16.854775808s" }, { INT64_MAX, "2562047h47m16.854775807s" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_SBUF out = { 0 };
        api_duration_format((struct api_duration){ cases[i].ns }, &out);
        assert_string_equal(sbuf_str(&out), cases[i].text);
    }
}

static void
percentages_round(void **state)
{
    int32_t n = 0;

    assert_int_equal(int_or_string_scaled((struct int_or_string){ "25%", 0 }, 10, true, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(int_or_string_scaled((struct int_or_string){ "25%", 0 }, 10, false, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(int_or_string_scaled(int_or_string_num(7), 10, false, &n), 0);
    assert_int_equal(n, 7);
    assert_int_equal(int_or_string_scaled((struct int_or_string){ "25", 0 }, 10, true, &n), -EINVAL);
    assert_int_equal(int_or_string_scaled((struct int_or_string){ "x%", 0 }, 10, true, &n), -EINVAL);
    assert_int_equal(int_or_string_scaled((struct int_or_string){ "", 0 }, 10, true, &n), -EINVAL);
    assert_true(int_or_string_is_percent((struct int_or_string){ "100%", 0 }));
    assert_false(int_or_string_is_percent((struct int_or_string){ "-1%", 0 }));
    assert_true(int_or_string_eq(int_or_string_num(3), int_or_string_num(3)));
    assert_false(int_or_string_eq((struct int_or_string){ "3", 0 }, int_or_string_num(0)));
}

static int
setup(void **state)
{
    arena = arena_new(0);
    return 0;
}

static int
teardown(void **state)
{
    arena_free(arena);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantities_are_canonical), cmocka_unit_test(bad_quantities_say_why),
        cmocka_unit_test(quantities_count),         cmocka_unit_test(times_are_rfc3339),
        cmocka_unit_test(durations_print_as_go_does), cmocka_unit_test(percentages_round),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
