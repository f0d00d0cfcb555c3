// SPDX-License-Identifier: Apache-2.0
#include "apiserver/registry/allocator.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct kerr *
make(const char *cidrs, const char *ports, struct allocators **ret)
{
    struct apiserver_options o = { .service_node_port_range = (char *)ports };

    strlist_split(&o.service_cluster_ip_range, cidrs, ',');
    struct kerr *err = allocators_new(&o, ret);
    strlist_done(&o.service_cluster_ip_range);
    return err;
}

static struct allocators *
made(const char *cidrs, const char *ports)
{
    struct allocators *all = NULL;
    AUTO(kerr) *err = make(cidrs, ports, &all);

    if (err)
        fail_msg("%s", err->message);
    return all;
}

static void
ranges(void **state)
{
    static const struct {
        const char *cidrs, *ports;
        bool good;
    } rows[] = {
        { "10.96.0.0/12", "30000-32767", true },   { "10.96.0.0/24,fd00::/112", "30000-32767", true }, { "fd00::/108", "1-65535", true },
        { "10.0.0.0", "1-2", false },              { "10.0.0.0/33", "1-2", false },                  { "10.0.0.0/31", "1-2", false },
        { "10.0.0.0/x", "1-2", false },            { "ten/8", "1-2", false },                        { "10.0.0.0/24,10.1.0.0/24", "1-2", false },
        { "10.0.0.0/24", "2-1", false },           { "10.0.0.0/24", "0-5", false },                  { "10.0.0.0/24", "1-65536", false },
        { "10.0.0.0/24", "80", false },            { "10.0.0.0/24", "a-b", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct allocators *all = NULL;
        AUTO(kerr) *err = make(rows[i].cidrs, rows[i].ports, &all);
        if (!err != rows[i].good)
            fail_msg("%s %s: %s", rows[i].cidrs, rows[i].ports, err ? err->message : "taken");
        allocators_free(all);
    }
    struct allocators *all = made("fd00::/112,10.0.0.0/24", "1-2");
    assert_int_equal(allocators_primary_family(all), AF_INET6);
    assert_non_null(allocators_ips(all, AF_INET));
    allocators_free(all);
}

static void
wanted_addresses(void **state)
{
    static const struct {
        const char *ip, *why; /* why not */
    } rows[] = {
        { "10.0.0.1", NULL },
        { "10.0.0.254", NULL },
        { "10.0.0.1", "provided IP is already allocated" },
        { "10.0.0.0", "the provided IP (10.0.0.0) is not in the valid range. The range of valid IPs is 10.0.0.0/24" },
        { "10.0.0.255", "the provided IP (10.0.0.255) is not in the valid range. The range of valid IPs is 10.0.0.0/24" },
        { "10.0.1.1", "the provided IP (10.0.1.1) is not in the valid range. The range of valid IPs is 10.0.0.0/24" },
        { "9.255.255.255", "the provided IP (9.255.255.255) is not in the valid range. The range of valid IPs is 10.0.0.0/24" },
        { "fd00::1", "the provided IP (fd00::1) is not in the valid range. The range of valid IPs is 10.0.0.0/24" },
    };
    struct allocators *all = made("10.0.0.0/24,fd00:1::ff00/120", "30000-32767");
    struct allocator *a = allocators_ips(all, AF_INET), *six = allocators_ips(all, AF_INET6);
    char ip[64];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(kerr) *err = allocator_take_ip(a, rows[i].ip, 0, ip);
        if (rows[i].why) {
            assert_non_null(err);
            assert_string_equal(err->message, rows[i].why);
        } else {
            assert_null(err);
            assert_string_equal(ip, rows[i].ip);
        }
    }
    allocator_release_ip(a, "10.0.0.1");
    allocator_release_ip(a, "1.2.3.4"); /* nobody's: nothing happens */
    AUTO(kerr) *again = allocator_take_ip(a, "10.0.0.1", 0, ip);
    assert_null(again);
    AUTO(kerr) *last = allocator_take_ip(six, "fd00:1::ffff", 0, ip);
    assert_null(last);
    AUTO(kerr) *past = allocator_take_ip(six, "fd00:2::ff01", 0, ip);
    assert_non_null(past);
    allocators_free(all);
}

/* Until the upper band is used up, automatic addresses stay out of the lower one (KEP-3070). */
static void
bands(void **state)
{
    static const struct {
        const char *cidr;
        unsigned size, low;
    } rows[] = { { "10.0.0.0/24", 254, 16 }, { "10.0.0.0/22", 1022, 64 }, { "10.0.0.0/20", 4094, 256 }, { "10.0.0.0/28", 14, 0 }, { "fd00::/120", 255, 16 } };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct allocators *all = made(rows[i].cidr, "30000-32767");
        bool six = strchr(rows[i].cidr, ':') != NULL;
        struct allocator *a = allocators_ips(all, six ? AF_INET6 : AF_INET);
        for (unsigned k = 0; k < rows[i].size; k++) {
            unsigned char bytes[16];
            char ip[64];
            AUTO(kerr) *err = allocator_take_ip(a, NULL, 0, ip);
            if (err)
                fail_msg("%s: address %u: %s", rows[i].cidr, k, err->message);
            inet_pton(six ? AF_INET6 : AF_INET, ip, bytes);
            unsigned offset = six ? bytes[15] : bytes[2] * 256u + bytes[3];
            if ((k < rows[i].size - rows[i].low) != (offset > rows[i].low))
                fail_msg("%s: address %u is %s", rows[i].cidr, k, ip);
        }
        char ip[64];
        AUTO(kerr) *full = allocator_take_ip(a, NULL, 0, ip);
        assert_non_null(full);
        assert_string_equal(full->message, "range is full");
        allocator_release_ip(a, six ? "fd00::77" : "10.0.0.7");
        AUTO(kerr) *one = allocator_take_ip(a, NULL, 0, ip);
        assert_null(one);
        assert_string_equal(ip, six ? "fd00::77" : "10.0.0.7");
        allocators_free(all);
    }
}

static void
ports(void **state)
{
    struct allocators *all = made("10.0.0.0/24", "30000-30099");
    struct allocator *a = allocators_ports(all);
    int32_t port = 0;

    AUTO(kerr) *outside = allocator_take_port(a, 29999, 0, &port);
    assert_string_equal(outside->message, "provided port is not in the valid range. The range of valid ports is 30000-30099");
    AUTO(kerr) *above = allocator_take_port(a, 30100, 0, &port);
    assert_non_null(above);
    AUTO(kerr) *negative = allocator_take_port(a, -5, 0, &port);
    assert_non_null(negative);
    AUTO(kerr) *good = allocator_take_port(a, 30099, 0, &port);
    assert_null(good);
    assert_int_equal(port, 30099);
    AUTO(kerr) *twice = allocator_take_port(a, 30099, 0, &port);
    assert_string_equal(twice->message, "provided port is already allocated");
    for (int i = 0; i < 99; i++) {
        AUTO(kerr) *err = allocator_take_port(a, 0, 0, &port);
        assert_null(err);
        assert_true((i < 83) == (port >= 30016));
    }
    AUTO(kerr) *full = allocator_take_port(a, 0, 0, &port);
    assert_string_equal(full->message, "range is full");
    allocator_release_port(a, 30050);
    AUTO(kerr) *freed = allocator_take_port(a, 0, 0, &port);
    assert_null(freed);
    assert_int_equal(port, 30050);
    allocators_free(all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(ranges), cmocka_unit_test(wanted_addresses), cmocka_unit_test(bands), cmocka_unit_test(ports) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
