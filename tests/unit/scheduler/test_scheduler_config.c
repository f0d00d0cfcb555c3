// SPDX-License-Identifier: Apache-2.0
/* KubeSchedulerConfiguration: defaults, profiles, plugin lists, arguments, and the errors of a strict reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/str.h"
#include "scheduler/config.h"
#include "scheduler/plugins.h"

#define HEAD "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

struct fixture {
    struct scheduler_config c;
    struct flags *fs;
    struct resource_names *names;
};

static struct kerr *
parse(struct fixture *f, const char *text)
{
    *f = (struct fixture){ .fs = flags_new("kube-scheduler", ""), .names = resource_names_new() };
    scheduler_config_flags(f->fs, &f->c);
    return scheduler_config_parse(&f->c, f->fs, text, "s.yaml", f->names);
}

static void
done(struct fixture *f)
{
    scheduler_config_done(&f->c);
    flags_free(f->fs);
    resource_names_free(f->names);
}

static void
guide_file(void **state)
{
    struct fixture f;

    assert_null(parse(&f, HEAD "clientConnection:\n  kubeconfig: \"/var/lib/kubernetes/kube-scheduler.kubeconfig\"\nleaderElection:\n  leaderElect: true\n"));
    assert_string_equal(f.c.kubeconfig, "/var/lib/kubernetes/kube-scheduler.kubeconfig");
    assert_true(f.c.leader_elect);
    assert_int_equal(f.c.nprofiles, 1);
    assert_string_equal(f.c.profiles[0].name, "default-scheduler");
    assert_int_equal(f.c.profiles[0].weight[PLUGIN_TAINT_TOLERATION], 3);
    assert_int_equal(f.c.profiles[0].weight[PLUGIN_POD_TOPOLOGY_SPREAD], 2);
    assert_int_equal(f.c.limits.initial_backoff_ms, 1000);
    assert_string_equal(f.c.resource_name, "kube-scheduler");
    done(&f);
}

static void
profiles(void **state)
{
    struct fixture f;

    assert_null(parse(&f, HEAD "percentageOfNodesToScore: 50\npodInitialBackoffSeconds: 2\nprofiles:\n- schedulerName: default-scheduler\n"
                               "- schedulerName: packer\n  percentageOfNodesToScore: 10\n  plugins:\n    multiPoint:\n      disabled: [{name: ImageLocality}]\n"
                               "    score:\n      disabled: [{name: '*'}]\n      enabled: [{name: NodeResourcesFit, weight: 9}]\n  pluginConfig:\n"
                               "  - name: NodeResourcesFit\n    args:\n      scoringStrategy:\n        type: RequestedToCapacityRatio\n        resources: [{name: example.com/x, weight: 3}]\n"
                               "        requestedToCapacityRatio: {shape: [{utilization: 0, score: 0}, {utilization: 100, score: 10}]}\n"));
    assert_int_equal(f.c.nprofiles, 2);
    assert_int_equal(f.c.profiles[0].percentage_of_nodes, 50);
    assert_int_equal(f.c.profiles[1].percentage_of_nodes, 10);
    assert_int_equal(f.c.profiles[1].scores, 1u << PLUGIN_NODE_RESOURCES_FIT);
    assert_int_equal(f.c.profiles[1].weight[PLUGIN_NODE_RESOURCES_FIT], 9);
    assert_true(f.c.profiles[1].filters & (1u << PLUGIN_INTER_POD_AFFINITY));
    assert_int_equal(f.c.profiles[1].fit_strategy, FIT_RATIO);
    assert_int_equal(f.c.profiles[1].shape[1].score, 100);
    assert_int_equal(f.c.limits.initial_backoff_ms, 2000);
    done(&f);
}

static void
errors(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        { HEAD "healthzBindAddress: 0.0.0.0:10251\n", "unknown field \"healthzBindAddress\"" },
        { "apiVersion: kubescheduler.config.k8s.io/v1alpha1\nkind: KubeSchedulerConfiguration\n", "use v1" },
        { HEAD "podInitialBackoffSeconds: 0\n", "must be greater than 0" },
        { HEAD "podInitialBackoffSeconds: 5\npodMaxBackoffSeconds: 2\n", "must be greater than or equal to PodInitialBackoffSeconds" },
        { HEAD "percentageOfNodesToScore: 101\n", "from 0 to 100" },
        { HEAD "profiles: [{schedulerName: a}, {schedulerName: a}]\n", "Duplicate value" },
        { HEAD "profiles: [{plugins: {score: {enabled: [{name: NoSuch}]}}}]\n", "unknown plugin \"NoSuch\"" },
        { HEAD "profiles: [{plugins: {scoring: {enabled: []}}}]\n", "unknown field \"scoring\"" },
        { HEAD "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: Best}}}]}]\n", "scoringStrategy.type" },
        { HEAD "extenders: [{urlPrefix: http://x}]\n", "extenders" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct kerr *err = parse(&f, cases[i].text);

        if (!err || !strstr(err->message, cases[i].part) || !strstr(err->message, "s.yaml"))
            fail_msg("%s\n gives: %s", cases[i].text, err ? err->message : "no error");
        kerr_free(err);
        done(&f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(guide_file), cmocka_unit_test(profiles), cmocka_unit_test(errors) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
