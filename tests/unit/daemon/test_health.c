// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void
expect(struct health *h, const char *path, const char *query, int code, const char *body)
{
    AUTO_SBUF out = { 0 };

    assert_int_equal(health_answer(h, path, query, &out), code);
    assert_string_equal(sbuf_str(&out), body);
}

static void
texts_are_upstreams(void **state)
{
    AUTO(health) *h = health_new();
    struct health_state *etcd = health_add_state(h, HEALTH_HEALTHZ | HEALTH_READYZ, "etcd", NULL);

    expect(h, "/healthz", "", 200, "ok");
    expect(h, "/healthz", "verbose", 200, "[+]ping ok\n[+]log ok\n[+]etcd ok\nhealthz check passed\n");
    expect(h, "/livez", "verbose=true", 200, "[+]ping ok\n[+]log ok\nlivez check passed\n");
    health_state_set(etcd, "connection refused");
    expect(h, "/readyz", "", 500, "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\nreadyz check failed\n");
    expect(h, "/readyz", "exclude=etcd", 200, "ok");
    expect(h, "/readyz", "verbose&exclude=et%63d", 200, "[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\nreadyz check passed\n");
    expect(h, "/readyz", "verbose&exclude=etcd&exclude=no", 200,
           "[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\nwarn: some health checks cannot be excluded: no matches for \"no\"\n"
           "readyz check passed\n");
    expect(h, "/livez", "", 200, "ok");
    health_state_set(etcd, NULL);
    expect(h, "/readyz", "", 200, "ok");
}

static void
each_check_has_a_path(void **state)
{
    AUTO(health) *h = health_new();

    health_add_state(h, HEALTH_READYZ, "informer-sync", "3 informers not started");
    expect(h, "/healthz/ping", "", 200, "ok");
    expect(h, "/readyz/informer-sync", "", 500, "internal server error: 3 informers not started\n");
    expect(h, "/livez/informer-sync", "", 404, "404 page not found\n");
    expect(h, "/healthzz", "", 404, "404 page not found\n");
    assert_true(health_is_path("/readyz/a/b"));
    assert_false(health_is_path("/readyzz"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts_are_upstreams), cmocka_unit_test(each_check_has_a_path) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
