// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube-proxy/object_file.h"

static const char yaml[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: dns, namespace: k}\n"
    "spec: {type: NodePort, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP, nodePort: 30053}]}\n---\n"
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: dns-1, namespace: k, labels: "
    "{kubernetes.io/service-name: dns}}\n"
    "addressType: IPv4\nports: [{name: '', port: 5353, protocol: UDP}]\nendpoints: [{addresses: [10.244.0.5]}]\n---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: none, namespace: k}\nspec: {clusterIP: 10.96.0.11, ports: [{port: "
    "53, protocol: UDP}]}\n";

static struct endpoint_addr
at(const char *ip, uint16_t port)
{
    struct endpoint_addr a;

    memset(&a, 0, sizeof(a));
    assert_int_equal(ip_parse(ip, &a.ip), 0);
    a.port = port;
    return a;
}

static bool
stale(const struct nft_tables *t, const char *to, uint16_t port, const char *by, uint16_t by_port)
{
    struct conntrack_flow f = {
        .proto = PROTO_UDP, .client = at("10.244.0.9", 40000), .dest = at(to, port), .served_by = at(by, by_port)
    };

    return conntrack_is_stale(t, &f);
}

static void
which_flows_are_stale(void **state)
{
    struct nft_options o = { .family = IP_V4, .masquerade_mark = 1 };
    AUTO(nft_tables) *t = nft_tables_new(&o);
    AUTO(object_files) *files = object_files_new();
    const struct picture_node node = { .name = "n" };
    AUTO_SBUF warnings = { 0 };

    assert_null(object_files_read(files, yaml, strlen(yaml), "yaml"));
    object_files_to_tables(files, &node, IP_V4, t, &warnings);
    assert_false(stale(t, "10.96.0.10", 53, "10.244.0.5", 5353));
    assert_true(stale(t, "10.96.0.10", 53, "10.244.0.6", 5353)); /* a pod that is gone */
    assert_true(stale(t, "10.96.0.10", 53, "10.96.0.10", 53));   /* from before the Service was there */
    assert_true(stale(t, "10.96.0.11", 53, "10.244.0.5", 5353)); /* no endpoint left */
    assert_false(stale(t, "192.0.2.1", 30053, "10.244.0.5", 5353));
    assert_true(stale(t, "192.0.2.1", 30053, "10.244.0.7", 5353));
    assert_false(stale(t, "198.51.100.1", 30053, "198.51.100.1", 30053)); /* another machine's server */
    assert_false(stale(t, "198.51.100.1", 53, "198.51.100.1", 53));
}

static void
add_attr(struct sbuf *out, uint16_t type, const void *data, size_t len)
{
    struct nlattr a = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type };

    sbuf_add(out, &a, sizeof(a));
    sbuf_add(out, data, len);
    sbuf_add(out, "\0\0\0", NLA_ALIGN(len) - len);
}

static void
add_tuple(struct sbuf *out, uint16_t type, const char *src, const char *dst, uint8_t proto, uint16_t sport,
          uint16_t dport)
{
    AUTO_SBUF ip = { 0 }, ports = { 0 }, all = { 0 };
    uint16_t s = (uint16_t)(sport << 8 | sport >> 8), d = (uint16_t)(dport << 8 | dport >> 8);

    add_attr(&ip, CTA_IP_V4_SRC, at(src, 0).ip.b, 4);
    add_attr(&ip, CTA_IP_V4_DST, at(dst, 0).ip.b, 4);
    add_attr(&ports, CTA_PROTO_NUM, &proto, 1);
    add_attr(&ports, CTA_PROTO_SRC_PORT, &s, 2);
    add_attr(&ports, CTA_PROTO_DST_PORT, &d, 2);
    add_attr(&all, CTA_TUPLE_IP | NLA_F_NESTED, ip.s, ip.len);
    add_attr(&all, CTA_TUPLE_PROTO | NLA_F_NESTED, ports.s, ports.len);
    add_attr(out, type | NLA_F_NESTED, all.s, all.len);
}

static void
messages_are_read_and_bad_ones_survived(void **state)
{
    struct nfgenmsg g = { .nfgen_family = 2 };
    AUTO_SBUF m = { 0 };
    struct conntrack_flow flow;
    const struct endpoint_addr server = at("10.244.0.5", 5353);
    const void *tuple;
    uint16_t zone;
    size_t len;

    sbuf_add(&m, &g, sizeof(g));
    add_tuple(&m, CTA_TUPLE_ORIG, "10.1.1.1", "10.96.0.10", IPPROTO_UDP, 40000, 53);
    add_tuple(&m, CTA_TUPLE_REPLY, "10.244.0.5", "10.1.1.1", IPPROTO_UDP, 5353, 40000);
    assert_true(conntrack_parse(m.s, m.len, &flow, &tuple, &len, &zone));
    assert_int_equal(flow.dest.port, 53);
    assert_int_equal(endpoint_addr_cmp(&flow.served_by, &server), 0);
    assert_int_equal(zone, 0);
    /* Cut anywhere, or with any length byte wrong: no crash (run under the sanitizer), and mostly "no". */
    for (size_t cut = 0; cut < m.len; cut++) {
        char *copy = malloc(cut + 1);

        memcpy(copy, m.s, cut);
        assert_false(conntrack_parse(copy, cut, &flow, &tuple, &len, &zone));
        free(copy);
    }
    for (size_t i = 0; i < m.len; i++) {
        char *copy = xmemdup(m.s, m.len);

        copy[i] = (char)(copy[i] ^ 0x5a);
        (void)conntrack_parse(copy, m.len, &flow, &tuple, &len, &zone);
        free(copy);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_flows_are_stale),
        cmocka_unit_test(messages_are_read_and_bad_ones_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
