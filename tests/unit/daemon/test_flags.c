// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct options {
    bool leader_elect, profiling, help;
    char *kubeconfig, *advertise;
    int32_t port, v;
    int64_t big, period_ms;
    double qps;
    struct strlist controllers, issuers, ips, cidrs;
    struct flag_map labels, gates;
};

static struct kerr *
check_level(const char *value)
{
    return str_eq(value, "0") ? kerr_new(KERR_BAD_REQUEST, "must be positive") : NULL;
}

static const struct flag table[] = {
    { "leader-elect", FLAG_BOOL, offsetof(struct options, leader_elect), "true", "Start a leader election client." },
    { "profiling", FLAG_BOOL, offsetof(struct options, profiling), NULL, "Enable profiling." },
    { "help", FLAG_BOOL, offsetof(struct options, help), NULL, "help", .shorthand = "h" },
    { "kubeconfig", FLAG_STRING, offsetof(struct options, kubeconfig), NULL, "Path to a kubeconfig file." },
    { "advertise-address", FLAG_IP, offsetof(struct options, advertise), NULL, "IP." },
    { "secure-port", FLAG_I32, offsetof(struct options, port), "6443", "Port." },
    { "v", FLAG_I32, offsetof(struct options, v), NULL, "Verbosity.", .shorthand = "v" },
    { "big", FLAG_I64, offsetof(struct options, big), NULL, "Big.", .check = check_level },
    { "period", FLAG_DURATION, offsetof(struct options, period_ms), "40s", "Period." },
    { "kube-api-qps", FLAG_FLOAT, offsetof(struct options, qps), "20", "QPS." },
    { "controllers", FLAG_STRINGS, offsetof(struct options, controllers), "*", "Controllers." },
    { "service-account-issuer", FLAG_STRING_ARRAY, offsetof(struct options, issuers), NULL, "Issuers." },
    { "node-ip", FLAG_IPS, offsetof(struct options, ips), NULL, "IPs." },
    { "cluster-cidr", FLAG_CIDRS, offsetof(struct options, cidrs), NULL, "CIDRs." },
    { "node-labels", FLAG_MAP, offsetof(struct options, labels), NULL, "Labels." },
    { "feature-gates", FLAG_BOOL_MAP, offsetof(struct options, gates), NULL, "Gates." },
    { "event-ttl", FLAG_IGNORED, 0, NULL, "" },
    { "old-bool", FLAG_IGNORED_BOOL, 0, NULL, "", .deprecated = "it has no effect" },
};

struct fixture {
    struct flags *fs;
    struct options o;
};

static int
setup(void **state)
{
    struct fixture *f = XNEW(struct fixture);

    f->fs = flags_new("kube-test", "Tests the flags.");
    flags_add(f->fs, "Misc", table, ARRAY_LEN(table), &f->o);
    flags_add_known_removed(f->fs);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;

    flags_free(f->fs);
    free(f);
    return 0;
}

#define PARSE(...)                                                                                                     \
    ({                                                                                                                 \
        char *argv_[] = { "kube-test", __VA_ARGS__ };                                                                  \
        flags_parse(f->fs, (int)ARRAY_LEN(argv_), argv_);                                                              \
    })
#define OK(...) assert_null(PARSE(__VA_ARGS__))
#define FAILS(text, ...)                                                                                               \
    do {                                                                                                               \
        AUTO(kerr) *err_ = PARSE(__VA_ARGS__);                                                                         \
        assert_non_null(err_);                                                                                         \
        assert_string_equal(err_->message, text);                                                                      \
    } while (0)

static void
defaults_are_there_without_flags(void **state)
{
    struct fixture *f = *state;

    assert_true(f->o.leader_elect);
    assert_int_equal(f->o.port, 6443);
    assert_int_equal(f->o.period_ms, 40000);
    assert_true(f->o.qps == 20);
    assert_int_equal(f->o.controllers.len, 1);
    assert_false(flags_changed(f->fs, "secure-port"));
}

static void
values_come_with_equals_or_as_next_word(void **state)
{
    struct fixture *f = *state;

    OK("--kubeconfig=/a=b", "--secure-port", "10259", "--period=1m30s", "-v=4", "--kube-api-qps", "1.5");
    assert_string_equal(f->o.kubeconfig, "/a=b");
    assert_int_equal(f->o.port, 10259);
    assert_int_equal(f->o.period_ms, 90000);
    assert_int_equal(f->o.v, 4);
    assert_true(f->o.qps == 1.5);
    assert_true(flags_changed(f->fs, "secure-port"));
    OK("-v", "6");
    assert_int_equal(f->o.v, 6);
    OK("-v7", "--v=8");
    assert_int_equal(f->o.v, 8);
}

static void
bools_stand_alone_or_take_a_value(void **state)
{
    struct fixture *f = *state;

    OK("--profiling", "--leader-elect=false");
    assert_true(f->o.profiling);
    assert_false(f->o.leader_elect);
    OK("--profiling=F", "--leader-elect=1", "-h");
    assert_false(f->o.profiling);
    assert_true(f->o.leader_elect);
    assert_true(f->o.help);
    FAILS("invalid argument \"maybe\" for \"--profiling\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax", "--profiling=maybe");
    FAILS("unknown command \"false\" for \"kube-test\"", "--profiling", "false");
}

static void
underscores_are_dashes_and_quotes_go(void **state)
{
    struct fixture *f = *state;

    OK("--secure_port=1", "--kubeconfig=\"/etc/k\"");
    assert_int_equal(f->o.port, 1);
    assert_string_equal(f->o.kubeconfig, "/etc/k");
    OK("--kubeconfig='x'", "");
    assert_string_equal(f->o.kubeconfig, "x");
    OK("--kubeconfig=");
    assert_string_equal(f->o.kubeconfig, "");
}

static void
lists_split_and_repeat(void **state)
{
    struct fixture *f = *state;

    OK("--controllers=*,-a", "--controllers", "b", "--service-account-issuer=https://a,b", "--service-account-issuer=c");
    assert_int_equal(f->o.controllers.len, 3);
    assert_string_equal(f->o.controllers.items[1], "-a");
    assert_string_equal(f->o.controllers.items[2], "b");
    assert_int_equal(f->o.issuers.len, 2);
    assert_string_equal(f->o.issuers.items[0], "https://a,b");
}

static void
an_empty_list_replaces_the_default(void **state)
{
    struct fixture *f = *state;

    OK("--controllers=");
    assert_int_equal(f->o.controllers.len, 0);
}

static void
maps_merge_and_check(void **state)
{
    struct fixture *f = *state;

    OK("--node-labels=a=1,b=,c=x=y", "--node-labels=a=2", "--feature-gates=A=true,B=false", "--feature_gates", "B=T");
    assert_int_equal(f->o.labels.len, 3);
    assert_string_equal(flag_map_get(&f->o.labels, "a"), "2");
    assert_string_equal(flag_map_get(&f->o.labels, "b"), "");
    assert_string_equal(flag_map_get(&f->o.labels, "c"), "x=y");
    assert_true(flag_map_bool(&f->o.gates, "B", false));
    assert_true(flag_map_bool(&f->o.gates, "Z", true));
    FAILS("invalid argument \"A\" for \"--feature-gates\" flag: missing bool value for A", "--feature-gates=A");
    FAILS("invalid argument \"A=x\" for \"--feature-gates\" flag: invalid value of A=x, err: strconv.ParseBool: parsing \"x\": invalid syntax",
          "--feature-gates=A=x");
}

static void
addresses_are_checked(void **state)
{
    struct fixture *f = *state;

    OK("--advertise-address=10.0.0.1", "--node-ip=10.0.0.1,fd00::1", "--cluster-cidr=10.0.0.0/16,fd00::/48");
    assert_int_equal(f->o.ips.len, 2);
    assert_int_equal(f->o.cidrs.len, 2);
    FAILS("invalid argument \"10.0.0\" for \"--advertise-address\" flag: failed to parse IP: \"10.0.0\"", "--advertise-address=10.0.0");
    FAILS("invalid argument \"10.0.0.0/33\" for \"--cluster-cidr\" flag: invalid CIDR address: 10.0.0.0/33", "--cluster-cidr=10.0.0.0/33");
}

static void
bad_values_name_flag_and_reason(void **state)
{
    struct fixture *f = *state;

    FAILS("invalid argument \"x\" for \"--secure-port\" flag: strconv.ParseInt: parsing \"x\": invalid syntax", "--secure-port=x");
    FAILS("invalid argument \"4294967296\" for \"--secure-port\" flag: strconv.ParseInt: parsing \"4294967296\": value out of range",
          "--secure-port", "4294967296");
    FAILS("invalid argument \"10\" for \"--period\" flag: time: missing unit in duration \"10\"", "--period=10");
    FAILS("invalid argument \"soon\" for \"--period\" flag: time: invalid duration \"soon\"", "--period=soon");
    FAILS("invalid argument \"0\" for \"--big\" flag: must be positive", "--big=0");
    FAILS("invalid argument \"nan\" for \"--kube-api-qps\" flag: strconv.ParseFloat: parsing \"nan\": invalid syntax", "--kube-api-qps=nan");
    FAILS("invalid argument \"z\" for \"-v, --v\" flag: strconv.ParseInt: parsing \"z\": invalid syntax", "--v=z");
    FAILS("flag needs an argument: --kubeconfig", "--kubeconfig");
    FAILS("flag needs an argument: 'v' in -v", "-v");
}

static void
unknown_flags_are_refused_with_the_nearest_name(void **state)
{
    struct fixture *f = *state;

    FAILS("unknown flag: --kubeconfg (did you mean --kubeconfig?)", "--kubeconfg=/x");
    FAILS("unknown flag: --totally-different", "--totally-different");
    FAILS("unknown shorthand flag: 'x' in -x", "-x");
    FAILS("bad flag syntax: --=5", "--=5");
    FAILS("unknown command \"serve\" for \"kube-test\"", "serve");
    FAILS("unknown command \"serve\" for \"kube-test\"", "--", "serve");
}

static void
removed_flags_are_named_or_ignored(void **state)
{
    struct fixture *f = *state;

    FAILS("unknown flag: --port was removed in Kubernetes 1.24: use --secure-port", "--port=0");
    OK("--network-plugin", "cni", "--network_plugin=cni", "--kubelet-https=true", "--kubelet-https", "--secure-port=7");
    assert_int_equal(f->o.port, 7);
    assert_int_equal(flags_warnings(f->fs)->len, 4);
    assert_string_equal(flags_warnings(f->fs)->items[0],
                        "--network-plugin was removed in Kubernetes 1.24: remove it; the container runtime loads CNI plugins itself (ignored)");
}

static void
deprecated_flags_warn_once(void **state)
{
    struct fixture *f = *state;

    OK("--old-bool", "--old-bool=true", "--event-ttl=1h");
    assert_int_equal(flags_warnings(f->fs)->len, 1);
    assert_string_equal(flags_warnings(f->fs)->items[0], "Flag --old-bool has been deprecated, it has no effect");
}

static void
help_and_values_show_all(void **state)
{
    struct fixture *f = *state;
    AUTO_SBUF out = { 0 };

    flags_help(f->fs, &out);
    assert_non_null(strstr(out.s, "Usage:\n  kube-test [flags]\n\nMisc flags:\n\n"));
    assert_non_null(strstr(out.s, "--secure-port int32"));
    assert_non_null(strstr(out.s, "(default 6443)"));
    assert_non_null(strstr(out.s, "  -v, --v int32"));
    assert_null(strstr(out.s, "old-bool"));
    sbuf_clear(&out);
    OK("--period=1h0m1.5s", "--node-labels=a=1");
    flags_values(f->fs, &out);
    assert_non_null(strstr(out.s, "period=1h0m1.5s\n"));
    assert_non_null(strstr(out.s, "controllers=[*]\n"));
    assert_non_null(strstr(out.s, "node-labels=a=1\n"));
}

static void
config_files_can_set_flags(void **state)
{
    struct fixture *f = *state;

    assert_null(flags_set(f->fs, "controllers", "a,b"));
    assert_int_equal(f->o.controllers.len, 2);
    assert_false(flags_changed(f->fs, "controllers"));
    AUTO(kerr) *err = flags_set(f->fs, "secure-port", "x");
    assert_non_null(err);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(defaults_are_there_without_flags),
        T(values_come_with_equals_or_as_next_word),
        T(bools_stand_alone_or_take_a_value),
        T(underscores_are_dashes_and_quotes_go),
        T(lists_split_and_repeat),
        T(an_empty_list_replaces_the_default),
        T(maps_merge_and_check),
        T(addresses_are_checked),
        T(bad_values_name_flag_and_reason),
        T(unknown_flags_are_refused_with_the_nearest_name),
        T(removed_flags_are_named_or_ignored),
        T(deprecated_flags_warn_once),
        T(help_and_values_show_all),
        T(config_files_can_set_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
