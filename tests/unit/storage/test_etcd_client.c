// SPDX-License-Identifier: Apache-2.0
/* The etcd client where it meets the world: several endpoints, TLS, and errors that say the cause. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apiserver/storage/etcd_client.h"
#include "tests/unit/storage/etcd_fixture.h"

static struct etcd_fixture plain, tls;
static char pki[64];

static char *
pki_file(const char *name)
{
    static char names[8][128];
    static unsigned at;
    char *name_at = names[at++ % 8];

    snprintf(name_at, 128, "%s/%s", pki, name);
    return name_at;
}

static void
shell(const char *script)
{
    char *argv[] = { "sh", "-ec", (char *)script, NULL };

    assert_int_equal(fixture_run(argv, true, NULL), 0);
}

/* Two CAs; a server certificate; client certificates with and without the usage clientAuth, and from the wrong CA. */
static void
make_pki(void)
{
    AUTO_FREE char *script = xasprintf(
        "cd %s\n"
        "ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.crt -subj /CN=$1 -days 2; }\n"
        "cert() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=$1\n"
        "  printf 'extendedKeyUsage=%%s\\nsubjectAltName=IP:127.0.0.1\\n' $3 >ext\n"
        "  openssl x509 -req -in $1.csr -CA $2.crt -CAkey $2.key -CAcreateserial -days 2 -extfile ext -out $1.crt; }\n"
        "ca ca; ca other; cert server ca serverAuth,clientAuth; cert client ca clientAuth; cert noeku ca serverAuth; cert stranger other clientAuth\n",
        pki);

    shell(script);
}

static struct etcd *
client(const char *endpoints, const char *ca, const char *cert)
{
    AUTO_FREE char *crt = cert ? xasprintf("%s.crt", cert) : NULL, *key = cert ? xasprintf("%s.key", cert) : NULL;
    struct etcd_config ec = { .patience_ms = 50, .dial_timeout_ms = 2000 };
    struct etcd *e = NULL;

    ec.ca_file = ca ? pki_file(ca) : NULL;
    ec.cert_file = crt ? pki_file(crt) : NULL;
    ec.key_file = key ? pki_file(key) : NULL;
    strlist_add(&ec.endpoints, endpoints);
    assert_null(etcd_new(&ec, &e));
    strlist_done(&ec.endpoints);
    return e;
}

static void
expect_ok(const char *endpoints, const char *ca, const char *cert)
{
    AUTO(etcd) *e = client(endpoints, ca, cert);
    int64_t revision = 0;
    struct kerr *err = etcd_revision(e, &revision);

    if (err)
        fail_msg("%s", err->message);
    assert_true(revision > 0);
}

static void
expect_error(const char *endpoints, const char *ca, const char *cert, const char *text)
{
    AUTO(etcd) *e = client(endpoints, ca, cert);
    int64_t revision = 0;
    struct kerr *err = etcd_revision(e, &revision);

    assert_non_null(err);
    if (!strstr(err->message, text) || !strstr(err->message, "127.0.0.1"))
        fail_msg("\"%s\" does not say \"%s\"", err->message, text);
    kerr_free(err);
}

static void
test_failover(void **state)
{
    AUTO_FREE char *both = xasprintf("http://127.0.0.1:%d,%s/", fixture_free_port(), plain.url);
    AUTO(etcd) *e = client(both, NULL, NULL);
    int64_t revision = 0;

    expect_ok(both, NULL, NULL);
    for (int i = 0; i < 20; i++) { /* and stays with the one that works */
        struct kerr *err = etcd_revision(e, &revision);
        if (err)
            fail_msg("%s", err->message);
    }
    AUTO_FREE char *nobody = xasprintf("http://127.0.0.1:%d", fixture_free_port());
    expect_error(nobody, NULL, NULL, "Couldn't connect");
}

static void
test_bad_config(void **state)
{
    static const char *const bad[] = { "", "127.0.0.1:2379", "ftp://x", "http://" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct etcd_config ec = { 0 };
        struct etcd *e = NULL;
        struct kerr *err;

        strlist_add(&ec.endpoints, bad[i]);
        err = etcd_new(&ec, &e);
        assert_non_null(err);
        kerr_free(err);
        strlist_done(&ec.endpoints);
    }
}

static void
test_tls(void **state)
{
    AUTO_FREE char *as_http = xasprintf("http://127.0.0.1:%d", tls.client_port);
    AUTO_FREE char *plain_as_https = xasprintf("https://127.0.0.1:%d", plain.client_port);

    expect_ok(tls.url, "ca.crt", "client");
    expect_error(tls.url, "other.crt", "client", "not signed by the CA in --etcd-cafile");
    expect_error(tls.url, "ca.crt", NULL, "set --etcd-certfile");
    expect_error(tls.url, "ca.crt", "stranger", "client certificate");
    expect_error(tls.url, "ca.crt", "noeku", "clientAuth");
    expect_error(as_http, NULL, NULL, "use https://");
    expect_error(plain_as_https, "ca.crt", NULL, "speaks no TLS");
}

static struct kerr *
count_kv(const struct etcd_kv *kv, void *arg)
{
    ++*(int *)arg;
    return NULL;
}

static void
test_calls(void **state)
{
    AUTO(etcd) *e = client(plain.url, NULL, NULL);
    struct etcd_txn put = { .key = "/t/a", .value = "v", .value_len = 1 };
    struct etcd_range all = { .key = "/t/", .key_len = 3, .range_end = "/t0", .range_end_len = 3 };
    struct etcd_txn_reply reply;
    struct etcd_range_info info;
    struct etcd_status status;
    int64_t lease = 0;
    int n = 0;
    char *big = xcalloc(1, 3 << 20);

    assert_null(etcd_lease_grant(e, 60, &lease));
    put.lease = lease;
    assert_null(etcd_do_txn(e, &put, &reply));
    assert_true(reply.succeeded);
    etcd_txn_reply_done(&reply);
    assert_null(etcd_do_txn(e, &put, &reply));
    assert_false(reply.succeeded);
    assert_true(reply.found);
    assert_true(reply.kv.lease == lease);
    etcd_txn_reply_done(&reply);
    assert_null(etcd_get_range(e, &all, count_kv, &n, &info));
    assert_int_equal(n, 1);
    assert_null(etcd_lease_revoke(e, lease)); /* takes its keys along */
    assert_null(etcd_get_range(e, &all, count_kv, &n, &info));
    assert_int_equal(n, 1);
    assert_null(etcd_get_status(e, &status));
    assert_true(status.has_leader && status.db_size > 0 && status.version[0]);
    memset(big, 'x', (3 << 20) - 1);
    put = (struct etcd_txn){ .key = "/t/big", .value = big, .value_len = (3 << 20) - 1 };
    struct kerr *err = etcd_do_txn(e, &put, &reply);
    assert_non_null(err);
    kerr_free(err);
    free(big);
    all.revision = 1 << 30;
    err = etcd_get_range(e, &all, count_kv, &n, &info);
    assert_non_null(err);
    assert_int_equal(err->reason, KERR_BAD_REQUEST);
    kerr_free(err);
    all.revision = 1;
    assert_null(etcd_compact(e, status.revision));
    assert_null(etcd_compact(e, status.revision)); /* again: fine */
    err = etcd_get_range(e, &all, count_kv, &n, &info);
    assert_non_null(err);
    assert_int_equal(err->reason, KERR_EXPIRED);
    kerr_free(err);
}

static int
setup(void **state)
{
    strcpy(pki, "/tmp/ckube-etcd-pki-XXXXXX");
    if (!mkdtemp(pki) || !etcd_fixture_new(&plain))
        return -1;
    make_pki();
    strcpy(tls.dir, "/tmp/ckube-etcd-XXXXXX");
    if (!mkdtemp(tls.dir))
        return -1;
    tls.client_port = fixture_free_port();
    tls.peer_port = fixture_free_port();
    tls.cert = xasprintf("%s/server.crt", pki);
    tls.key = xasprintf("%s/server.key", pki);
    tls.client_ca = xasprintf("%s/ca.crt", pki);
    snprintf(tls.url, sizeof(tls.url), "https://127.0.0.1:%d", tls.client_port);
    return etcd_fixture_start(&tls) ? 0 : -1;
}

static int
teardown(void **state)
{
    etcd_fixture_done(&plain);
    etcd_fixture_done(&tls);
    kerr_free(file_remove_tree(pki));
    free((char *)tls.cert);
    free((char *)tls.key);
    free((char *)tls.client_ca);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failover),
        cmocka_unit_test(test_bad_config),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_calls),
    };

    if (access("/usr/bin/etcd", X_OK) != 0 || access("/usr/bin/openssl", X_OK) != 0) {
        puts("etcd or openssl is not installed");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
