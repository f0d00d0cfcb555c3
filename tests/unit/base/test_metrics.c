// SPDX-License-Identifier: Apache-2.0
#include "common/base/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct metric requests = METRIC_COUNTER("test_requests_total", "Requests\nseen.", "code,method");
static struct metric depth = METRIC_GAUGE("test_depth", "Depth.", NULL);
static const double bounds[] = { 0.005, 0.1, 1, 2.5 };
static struct metric latency = METRIC_HISTOGRAM("test_seconds", "Latency.", "verb", bounds);
static struct metric many = METRIC_COUNTER("test_many_total", "Many.", "n");
static struct metric shared = METRIC_COUNTER("test_shared_total", "Shared.", NULL);

static void
expect_line(const char *line)
{
    AUTO_SBUF out = { 0 };
    AUTO_FREE char *wanted = xasprintf("\n%s\n", line);

    sbuf_adds(&out, "\n");
    metrics_write(&out);
    if (!strstr(out.s, wanted))
        fail_msg("no line \"%s\" in:\n%s", line, out.s);
}

static void
counters_have_labels_and_escapes(void **state)
{
    metric_inc(&requests, "200", "GET");
    metric_add(&requests, 41, "200", "GET");
    metric_add(&requests, 0.5, "500", "a\"b\\c\nd");
    expect_line("# HELP test_requests_total Requests\\nseen.\n# TYPE test_requests_total counter\n"
                "test_requests_total{code=\"200\",method=\"GET\"} 42");
    expect_line("test_requests_total{code=\"500\",method=\"a\\\"b\\\\c\\nd\"} 0.5");
}

static void
gauges_show_once_registered(void **state)
{
    metrics_register(&depth);
    expect_line("test_depth 0");
    metric_set(&depth, 1e6);
    expect_line("test_depth 1e+06");
    metric_set(&depth, 1234567.25);
    expect_line("test_depth 1.23456725e+06");
    metric_set(&depth, 0.1);
    expect_line("test_depth 0.1");
    metric_set(&depth, -3);
    metric_add(&depth, 1);
    expect_line("test_depth -2");
}

static void
histograms_are_cumulative(void **state)
{
    metric_observe(&latency, 0.004, "GET");
    metric_observe(&latency, 0.1, "GET");
    metric_observe(&latency, 9, "GET");
    expect_line("test_seconds_bucket{verb=\"GET\",le=\"0.005\"} 1\n"
                "test_seconds_bucket{verb=\"GET\",le=\"0.1\"} 2\n"
                "test_seconds_bucket{verb=\"GET\",le=\"1\"} 2\n"
                "test_seconds_bucket{verb=\"GET\",le=\"2.5\"} 2\n"
                "test_seconds_bucket{verb=\"GET\",le=\"+Inf\"} 3\n"
                "test_seconds_sum{verb=\"GET\"} 9.104\n"
                "test_seconds_count{verb=\"GET\"} 3");
}

static void
series_are_bounded_and_removable(void **state)
{
    for (int i = 0; i < METRIC_MAX_SERIES + 10; i++) {
        char n[16];
        snprintf(n, sizeof n, "%d", i);
        metric_inc(&many, n);
    }
    expect_line("test_many_total{n=\"overflow\"} 10");
    expect_line("test_many_total{n=\"7\"} 1");
    metric_remove_series(&many, "7");
    AUTO_SBUF out = { 0 };
    metrics_write(&out);
    assert_null(strstr(out.s, "test_many_total{n=\"7\"}"));
    metric_inc(&many, "7");
    expect_line("test_many_total{n=\"7\"} 1");
}

static void *
count_up(void *arg)
{
    for (int i = 0; i < 10000; i++)
        metric_inc(&shared);
    return arg;
}

static void
threads_lose_no_increment(void **state)
{
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, count_up, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    expect_line("test_shared_total 40000");
}

static void
collect(struct sbuf *out, void *arg)
{
    metrics_write_head(out, "test_collected", "Collected.", METRIC_TYPE_GAUGE);
    metrics_write_sample(out, "test_collected", "a=\"b\"", *(int *)arg);
}

static void
collectors_and_process_families_are_in(void **state)
{
    int n = 5;

    metrics_add_collector(collect, &n);
    expect_line("test_collected{a=\"b\"} 5");
    metrics_remove_collector(collect, &n);
    AUTO_SBUF out = { 0 };
    metrics_write(&out);
    assert_null(strstr(out.s, "test_collected"));
    assert_non_null(strstr(out.s, "\nprocess_resident_memory_bytes "));
    assert_non_null(strstr(out.s, "\nprocess_start_time_seconds 1."));
    assert_non_null(strstr(out.s, "kubernetes_build_info{"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_have_labels_and_escapes), cmocka_unit_test(gauges_show_once_registered),
        cmocka_unit_test(histograms_are_cumulative),        cmocka_unit_test(series_are_bounded_and_removable),
        cmocka_unit_test(threads_lose_no_increment),        cmocka_unit_test(collectors_and_process_families_are_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
