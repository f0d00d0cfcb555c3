// SPDX-License-Identifier: Apache-2.0
/* The node server's pure parts: queries, log lines, what a request is authorized as; cgroup figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "kubelet/cgroup.h"
#include "kubelet/server/log_format.h"
#include "kubelet/server/query.h"
#include "kubelet/server/server.h"

static void
test_query(void **state)
{
    static const char q[] = "command=sh&command=-c&command=echo+%22a%20b%22&tty=1&x";
    AUTO_STRLIST cmd = { 0 };
    AUTO_STRLIST parts = { 0 };
    AUTO_FREE char *none = query_value(q, "y"), *empty = query_value(q, "x");

    query_values(q, "command", &cmd);
    assert_int_equal(cmd.len, 3);
    assert_string_equal(cmd.items[2], "echo \"a b\"");
    assert_true(query_flag(q, "tty"));
    assert_false(query_flag(q, "stdin"));
    assert_null(none);
    assert_string_equal(empty, "");
    path_parts("/exec/ns/a%2Fb//c", &parts);
    assert_int_equal(parts.len, 4);
    assert_string_equal(parts.items[2], "a/b");
}

static void
filter(const struct log_options *o, const char *const *lines, size_t n, struct sbuf *out)
{
    struct log_filter f;

    log_filter_init(&f, o);
    for (size_t i = 0; i < n; i++)
        if (!log_filter_line(&f, lines[i], strlen(lines[i]), out))
            break;
}

static void
test_log_lines(void **state)
{
    static const char *const lines[] = {
        "2026-11-22T11:00:00.1Z stdout F one",
        "2026-11-22T11:00:01.1Z stderr P two ",
        "2026-11-22T11:00:01.2Z stderr F halves",
        "junk",
        "2026-11-22T11:00:02.1Z stdout F ",
    };
    struct log_options o = { .tail_lines = -1, .limit_bytes = -1 };
    AUTO_SBUF all = { 0 };
    AUTO_SBUF stamped = { 0 };
    AUTO_SBUF late = { 0 };
    AUTO_SBUF cut = { 0 };
    AUTO_SBUF err = { 0 };

    filter(&o, lines, ARRAY_LEN(lines), &all);
    assert_string_equal(sbuf_str(&all), "one\ntwo halves\n\n");
    o.timestamps = true;
    filter(&o, lines, 3, &stamped);
    assert_string_equal(sbuf_str(&stamped), "2026-11-22T11:00:00.1Z one\n2026-11-22T11:00:01.1Z two halves\n");
    o.timestamps = false;
    o.has_since = true;
    assert_int_equal(api_time_parse("2026-11-22T11:00:01Z", 20, &o.since), 0);
    filter(&o, lines, ARRAY_LEN(lines), &late);
    assert_string_equal(sbuf_str(&late), "two halves\n\n");
    o.has_since = false;
    o.limit_bytes = 6;
    filter(&o, lines, ARRAY_LEN(lines), &cut);
    assert_string_equal(sbuf_str(&cut), "one\ntw");
    o.limit_bytes = -1;
    memcpy(o.stream, "stderr", 7);
    filter(&o, lines, ARRAY_LEN(lines), &err);
    assert_string_equal(sbuf_str(&err), "two halves\n");
}

static void
test_tail(void **state)
{
    static const char text[] = "a\nb\nc\n";

    assert_int_equal(log_tail_offset(text, 6, 1), 4);
    assert_int_equal(log_tail_offset(text, 6, 2), 2);
    assert_int_equal(log_tail_offset(text, 6, 9), 0);
    assert_int_equal(log_tail_offset(text, 6, 0), 6);
    assert_int_equal(log_tail_offset(text, 6, -1), 0);
    assert_int_equal(log_tail_offset(text, 5, 1), 4); /* no newline at the end */
    assert_int_equal(log_tail_offset("", 0, 3), 0);
}

static void
test_access(void **state)
{
    static const struct {
        const char *method, *path, *verb, *subresource, *fine;
    } rows[] = {
        { "GET", "/containerLogs/a/b/c", "get", "proxy", NULL }, { "POST", "/exec/a/b/c", "create", "proxy", NULL },
        { "GET", "/metrics/cadvisor", "get", "metrics", NULL },  { "GET", "/stats/summary", "get", "stats", NULL },
        { "GET", "/pods", "get", "proxy", "pods" },              { "GET", "/healthz/ping", "get", "proxy", "healthz" },
        { "GET", "/metricsx", "get", "proxy", NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server_access a = server_access_of(rows[i].method, rows[i].path);

        assert_string_equal(a.verb, rows[i].verb);
        assert_string_equal(a.subresource, rows[i].subresource);
        assert_true(str_eq(a.fine, rows[i].fine));
    }
}

static void
test_shares(void **state)
{
    assert_int_equal(cgroup_milli_to_shares(0), 2);
    assert_int_equal(cgroup_milli_to_shares(500), 512);
    assert_int_equal(cgroup_milli_to_shares(1000000000), 262144);
    assert_int_equal(cgroup_shares_to_weight(2), 1);
    assert_int_equal(cgroup_shares_to_weight(1024), 39);
    assert_int_equal(cgroup_shares_to_weight(262144), 10000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query), cmocka_unit_test(test_log_lines), cmocka_unit_test(test_tail),
        cmocka_unit_test(test_access), cmocka_unit_test(test_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
