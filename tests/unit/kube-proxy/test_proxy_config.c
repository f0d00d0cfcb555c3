// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/proxy_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct flags *flags;
    struct proxy_config cfg;
};

static void
setup(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->flags = flags_new("kube-proxy", "");
    proxy_config_flags(f->flags, &f->cfg);
}

static void
done(struct fixture *f)
{
    proxy_config_done(&f->cfg);
    flags_free(f->flags);
}

static struct kerr *
apply(struct fixture *f, const char *yaml)
{
    return proxy_config_apply_file(&f->cfg, yaml, strlen(yaml), "p.yaml");
}

#define HEAD "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"

static void
flags_alone(void **state)
{
    char *argv[] = { "kube-proxy",       "--cluster-cidr=10.0.0.0/8,fd00::/8", "--proxy-mode",          "nftables",
                     "--masquerade-all", "--nodeport-addresses=primary",       "--hostname_override=n1" };
    struct fixture f;

    setup(&f);
    assert_null(flags_parse(f.flags, ARRAY_LEN(argv), argv));
    assert_null(proxy_config_finish(&f.cfg));
    assert_int_equal(f.cfg.npod_nets, 2);
    assert_true(f.cfg.masquerade_all);
    assert_true(f.cfg.nodeport_primary);
    assert_int_equal(f.cfg.masquerade_bit, 14);
    assert_string_equal(f.cfg.hostname_override, "n1");
    assert_int_equal(f.cfg.notes.len, 0);
    done(&f);
}

static void
the_file_decides(void **state)
{
    char *argv[] = { "kube-proxy", "--cluster-cidr=10.0.0.0/8", "--hostname-override=n1", "--masquerade-all" };
    struct fixture f;

    setup(&f);
    assert_null(flags_parse(f.flags, ARRAY_LEN(argv), argv));
    /* kubeadm's and the guides' keys, with some that are long gone. */
    assert_null(apply(
        &f, HEAD "mode: iptables\nclusterCIDR: 10.244.0.0/16,fd01::/64\nhostnameOverride: other\n"
                 "clientConnection: {kubeconfig: /x, qps: 0, burst: 0, acceptContentTypes: ''}\n"
                 "conntrack: {maxPerCore: 0, min: null, tcpEstablishedTimeout: 1h0m0s, tcpCloseWaitTimeout: null}\n"
                 "iptables: {masqueradeBit: 9, masqueradeAll: false, syncPeriod: 30s, minSyncPeriod: 0s}\n"
                 "ipvs: {scheduler: rr, excludeCIDRs: null, strictARP: true}\nportRange: ''\nudpIdleTimeout: 250ms\n"
                 "nodePortAddresses: [192.0.2.0/24]\nenableProfiling: false\n"));
    assert_string_equal(f.cfg.hostname_override, "n1"); /* the one flag that counts beside a file */
    assert_string_equal(f.cfg.kubeconfig, "/x");
    assert_int_equal(f.cfg.npod_nets, 2);
    assert_int_equal(f.cfg.nnodeport_nets, 1);
    assert_false(f.cfg.masquerade_all);
    assert_int_equal(f.cfg.masquerade_bit, 9);
    assert_int_equal(f.cfg.conntrack_max_per_core, 0);
    assert_int_equal(f.cfg.tcp_established_ms, 3600000);
    assert_string_equal(f.cfg.metrics_bind_address, "127.0.0.1:10249");
    assert_true(f.cfg.notes.len >= 2); /* about mode and portRange, and what is unknown */
    done(&f);
}

static void
wrong_ones_are_named(void **state)
{
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        { HEAD "mode: userspace\n", "mode \"userspace\"" },
        { HEAD "clusterCIDR: 10.244.0.0\n", "clusterCIDR: \"10.244.0.0\"" },
        { HEAD "nodePortAddresses: [nonsense]\n", "nodePortAddresses" },
        { HEAD "detectLocalMode: BridgeInterface\n", "bridgeInterface" },
        { HEAD "detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: 'a\" drop'}\n", "bridgeInterface" },
        { HEAD "detectLocalMode: Magic\n", "\"Magic\"" },
        { HEAD "iptables: {masqueradeBit: 32}\n", "masqueradeBit 32" },
        { HEAD "oomScoreAdj: 5000\n", "oomScoreAdj 5000" },
        { HEAD "mode: [a]\n", "mode" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct kerr *err;

        setup(&f);
        err = apply(&f, cases[i].yaml);
        if (!err || !strstr(err->message, cases[i].says) || !strstr(err->message, "p.yaml"))
            fail_msg("case %zu: %s", i, err ? err->message : "no error");
        kerr_free(err);
        done(&f);
    }
}

static void
local_modes(void **state)
{
    struct fixture f;

    setup(&f);
    assert_null(apply(&f, HEAD "detectLocalMode: NodeCIDR\n"));
    assert_true(f.cfg.local_by_node_cidr);
    done(&f);
    setup(&f);
    assert_null(apply(&f, HEAD "detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: cali}\n"));
    assert_string_equal(f.cfg.interface_prefix, "cali");
    done(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_alone),
        cmocka_unit_test(the_file_decides),
        cmocka_unit_test(wrong_ones_are_named),
        cmocka_unit_test(local_modes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
