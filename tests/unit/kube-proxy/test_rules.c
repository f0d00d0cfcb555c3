// SPDX-License-Identifier: Apache-2.0
/* Golden: tests/golden/kube-proxy/CASE/{objects.yaml -> full.nft, after.yaml and removed -> delta.nft}.
 * UPDATE_GOLDEN=1 writes the expected files anew; look at the difference before committing. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "kube-proxy/object_file.h"

#define GOLDEN "tests/golden/kube-proxy"

static const struct picture_node node = { .name = "node-1", .zone = "zone-a" };

static void
must(struct kerr *err)
{
    if (err)
        fail_msg("%s", err->message);
}

static struct nft_options
options(enum ip_family family)
{
    static struct ip_net pods;

    assert_int_equal(ip_net_parse(family == IP_V4 ? "10.244.0.0/16" : "fd01::/64", &pods), 0);
    return (struct nft_options){
        .family = family, .masquerade_mark = 0x4000, .local = NFT_LOCAL_NETS, .local_nets = &pods, .nlocal_nets = 1
    };
}

static bool
load(struct object_files *files, const char *dir, const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
    AUTO_FREE char *text = NULL;
    size_t len;

    if (!file_exists(path))
        return false;
    must(file_read(path, 1 << 20, &text, &len));
    must(object_files_read(files, text, len, path));
    return true;
}

/* Lines "Kind namespace name". */
static bool
take_away(struct object_files *files, const char *dir)
{
    AUTO_FREE char *path = xasprintf("%s/removed", dir);
    AUTO_FREE char *text = NULL;
    char kind[64], ns[64], name[64];
    size_t len;

    if (!file_exists(path))
        return false;
    must(file_read(path, 1 << 16, &text, &len));
    for (const char *at = text; sscanf(at, "%63s %63s %63s", kind, ns, name) == 3; at = strchr(at, '\n') + 1) {
        assert_true(object_files_remove(files, kind, ns, name));
        if (!strchr(at, '\n'))
            break;
    }
    return true;
}

static void
expect(const char *dir, const char *name, const struct sbuf *got)
{
    AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
    AUTO_FREE char *want = NULL;

    if (getenv("UPDATE_GOLDEN")) {
        must(file_write_atomic(path, sbuf_str(got), got->len, 0644));
        return;
    }
    must(file_read(path, 1 << 20, &want, NULL));
    if (strcmp(want, sbuf_str(got)) != 0)
        fail_msg("%s differs; got:\n%s", path, sbuf_str(got));
}

static void
run_case(const char *name)
{
    AUTO_FREE char *dir = xasprintf(GOLDEN "/%s", name);
    struct nft_options opts = options(IP_V4);
    AUTO(nft_tables) *tables = nft_tables_new(&opts);
    AUTO(object_files) *files = object_files_new();
    AUTO_SBUF full = { 0 }, delta = { 0 }, warnings = { 0 };
    bool changed;

    print_message("case %s\n", name);
    assert_true(load(files, dir, "objects.yaml"));
    object_files_to_tables(files, &node, IP_V4, tables, &warnings);
    nft_tables_full(tables, &full);
    expect(dir, "full.nft", &full);
    assert_false(nft_tables_delta(tables, &delta));
    object_files_to_tables(files, &node, IP_V4, tables, &warnings); /* the same again is no change */
    assert_false(nft_tables_delta(tables, &delta));
    changed = load(files, dir, "after.yaml");
    changed |= take_away(files, dir);
    if (!changed)
        return;
    object_files_to_tables(files, &node, IP_V4, tables, &warnings);
    assert_true(nft_tables_delta(tables, &delta));
    expect(dir, "delta.nft", &delta);
}

static void
golden_cases(void **state)
{
    struct dirent **names;
    int n = scandir(GOLDEN, &names, NULL, alphasort), ran = 0;

    assert_true(n > 2);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            run_case(names[i]->d_name);
            ran++;
        }
        free(names[i]);
    }
    free(names);
    assert_true(ran >= 7);
}

/* However a state was reached, a full load of it is the same text. */
static void
full_does_not_depend_on_history(void **state)
{
    struct nft_options opts = options(IP_V4);
    AUTO(nft_tables) *one = nft_tables_new(&opts), *two = nft_tables_new(&opts);
    AUTO(object_files) *files = object_files_new();
    AUTO_SBUF text = { 0 }, a = { 0 }, b = { 0 }, warnings = { 0 };

    assert_true(load(files, GOLDEN "/endpoints-change", "objects.yaml"));
    object_files_to_tables(files, &node, IP_V4, one, &warnings);
    nft_tables_full(one, &text);
    assert_true(load(files, GOLDEN "/endpoints-change", "after.yaml"));
    object_files_to_tables(files, &node, IP_V4, one, &warnings);
    assert_true(nft_tables_delta(one, &text));
    object_files_to_tables(files, &node, IP_V4, two, &warnings);
    nft_tables_full(one, &a);
    nft_tables_full(two, &b);
    /* Elements may come in another order. */
    assert_int_equal(a.len, b.len);
    assert_int_equal(nft_tables_counts(one).chains, nft_tables_counts(two).chains);
    assert_int_equal(nft_tables_counts(one).endpoints, nft_tables_counts(two).endpoints);
}

static void
nothing_stays_when_all_services_go(void **state)
{
    struct nft_options opts = options(IP_V4);
    AUTO(nft_tables) *t = nft_tables_new(&opts), *fresh = nft_tables_new(&opts);
    AUTO(object_files) *files = object_files_new();
    AUTO_SBUF text = { 0 }, empty = { 0 }, warnings = { 0 };

    assert_true(load(files, GOLDEN "/affinity", "objects.yaml"));
    assert_true(load(files, GOLDEN "/loadbalancer", "objects.yaml"));
    object_files_to_tables(files, &node, IP_V4, t, &warnings);
    nft_tables_full(t, &text);
    nft_tables_remove(t, "a/stay");
    nft_tables_remove(t, "a/brief");
    nft_tables_remove(t, "l/lb");
    nft_tables_remove(t, "l/unknown");
    assert_true(nft_tables_delta(t, &text));
    assert_true(nft_tables_affinity_suspect(t));
    sbuf_clear(&text);
    assert_false(nft_tables_delta(t, &text));
    nft_tables_full(t, &text);
    nft_tables_full(fresh, &empty);
    assert_string_equal(sbuf_str(&text), sbuf_str(&empty));
    assert_int_equal(nft_tables_counts(t).chains, 0);
}

static void
affinity_is_cleaned_and_kept(void **state)
{
    static const char listing[] =
        "table ip kube-proxy {\n\tmap affinity {\n\t\ttype ipv4_addr . ipv4_addr . inet_proto . inet_service : "
        "ipv4_addr . inet_service\n"
        "\t\tsize 65536\n\t\tflags dynamic,timeout\n\t\telements = { 10.244.1.9 . 10.96.2.1 . tcp . 80 timeout 3h "
        "expires 2h59m1s : 10.244.1.1 . 8080,\n"
        "\t\t\t     10.244.1.9 . 192.0.2.2 . tcp . 30021 timeout 3h expires 2h1s500ms : 10.244.2.1 . 8080,\n"
        "\t\t\t     10.244.1.9 . 10.96.9.9 . tcp . 80 timeout 3h expires 2h59m1s : 10.244.1.1 . 8080 }\n\t}\n}\n";
    struct nft_options opts = options(IP_V4);
    AUTO(nft_tables) *t = nft_tables_new(&opts);
    AUTO(object_files) *files = object_files_new();
    AUTO_SBUF text = { 0 }, warnings = { 0 };

    assert_true(load(files, GOLDEN "/affinity", "objects.yaml"));
    assert_true(load(files, GOLDEN "/affinity", "after.yaml")); /* 10.244.1.1 is gone */
    object_files_to_tables(files, &node, IP_V4, t, &warnings);
    assert_int_equal(nft_tables_stale_affinity(t, listing, &text), 2);
    assert_non_null(
        strstr(sbuf_str(&text),
               "delete element ip kube-proxy affinity { 10.244.1.9 . 10.96.2.1 . tcp . 80  : 10.244.1.1 . 8080 }\n"));
    assert_null(strstr(sbuf_str(&text), "30021"));
    sbuf_clear(&text);
    assert_int_equal(nft_tables_keep_affinity(t, listing, &text), 1);
    assert_string_equal(sbuf_str(&text), "add element ip kube-proxy affinity { 10.244.1.9 . 192.0.2.2 . tcp . 30021 "
                                         "timeout 3h expires 2h1s500ms : 10.244.2.1 . 8080 }\n");
    assert_int_equal(nft_tables_stale_affinity(t, "", &text), 0);
    assert_int_equal(nft_tables_stale_affinity(t, "elements = { garbage", &text), 0);
}

static void
six_is_the_same_shape(void **state)
{
    static const char yaml[] = "apiVersion: v1\nkind: Service\nmetadata: {name: six, namespace: s}\n"
                               "spec: {type: NodePort, clusterIP: 'fd00::10', sessionAffinity: ClientIP, ports: "
                               "[{port: 80, nodePort: 30006}]}\n---\n"
                               "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: six-1, "
                               "namespace: s, labels: {kubernetes.io/service-name: six}}\n"
                               "addressType: IPv6\nports: [{name: '', port: 8080}]\nendpoints: [{addresses: "
                               "['fd01::0007'], nodeName: node-1}]\n";
    struct nft_options opts = options(IP_V6);
    AUTO(nft_tables) *t = nft_tables_new(&opts);
    AUTO(object_files) *files = object_files_new();
    AUTO_SBUF text = { 0 }, warnings = { 0 };

    must(object_files_read(files, yaml, strlen(yaml), "six"));
    object_files_to_tables(files, &node, IP_V6, t, &warnings);
    nft_tables_full(t, &text);
    assert_non_null(
        strstr(sbuf_str(&text), "add element ip6 kube-proxy tcp-endpoints { 0 . fd00::10 . 80 : fd01::7 . 8080 }\n"));
    assert_non_null(strstr(sbuf_str(&text), "add rule ip6 kube-proxy tcp-1-sticky dnat ip6 to numgen random mod 1 . "
                                            "ip6 daddr . tcp dport map @tcp-endpoints\n"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_cases),
        cmocka_unit_test(full_does_not_depend_on_history),
        cmocka_unit_test(nothing_stays_when_all_services_go),
        cmocka_unit_test(affinity_is_cleaned_and_kept),
        cmocka_unit_test(six_is_the_same_shape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
