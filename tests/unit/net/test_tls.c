// SPDX-License-Identifier: Apache-2.0
#include "common/net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "common/base/file.h"
#include "common/net/http_server.h"
#include "common/net/loop.h"
#include "tests/unit/net/http_peer.h"
#include "tests/unit/net/test_certs.h"

static char dir[] = "/tmp/ckube-tls-XXXXXX";
static struct test_ca ca, other_ca, front_ca;
static struct loop *loop;
static struct http_server *server;
static struct tls_server *tls;

static const char *
in_dir(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static void
on_request(struct http_stream *s, void *arg)
{
    const struct tls_identity *id = http_stream_request(s)->identity;
    AUTO_SBUF out = { 0 };

    if (!id) {
        sbuf_adds(&out, "anonymous");
    } else {
        sbuf_addf(&out, "cn=%s trusted=%u", str_safe(id->common_name), id->trusted_by);
        for (size_t i = 0; i < id->organizations.len; i++)
            sbuf_addf(&out, " o=%s", id->organizations.items[i]);
        if (id->refused)
            sbuf_addf(&out, " refused=%s", id->refused);
    }
    http_reply(s, 200, NULL, 0, out.s, out.len);
}

static void
make_files(void)
{
    ca = test_ca_make("test-ca", in_dir("ca.crt"));
    other_ca = test_ca_make("other-ca", in_dir("other-ca.crt"));
    front_ca = test_ca_make("front-ca", in_dir("front-ca.crt"));
    test_leaf_make(&ca, "server", NULL, "serverAuth", "DNS:localhost,IP:127.0.0.1", 100, in_dir("server.crt"),
                   in_dir("server.key"));
    test_leaf_make(&ca, "admin", "system:masters", "clientAuth", NULL, 100, in_dir("admin.crt"), in_dir("admin.key"));
    test_leaf_make(&ca, "old", NULL, "clientAuth", NULL, -1, in_dir("old.crt"), in_dir("old.key"));
    test_leaf_make(&ca, "wrong-use", NULL, "serverAuth", NULL, 100, in_dir("use.crt"), in_dir("use.key"));
    test_leaf_make(&other_ca, "stranger", NULL, "clientAuth", NULL, 100, in_dir("str.crt"), in_dir("str.key"));
    test_leaf_make(&front_ca, "aggregator", NULL, "clientAuth", NULL, 100, in_dir("front.crt"), in_dir("front.key"));
}

static int
set_up(void **state)
{
    static const struct http_handler handler = { .on_request = on_request };
    struct tls_server_options o = { 0 };

    assert_non_null(mkdtemp(dir));
    make_files();
    o.cert_file = in_dir("server.crt");
    o.key_file = in_dir("server.key");
    o.ca_files[TLS_CA_CLIENT] = in_dir("ca.crt");
    o.ca_files[TLS_CA_REQUESTHEADER] = in_dir("front-ca.crt");
    assert_null(tls_server_new(&o, &tls));
    assert_null(loop_new("tls", &loop));
    assert_null(http_server_new(&handler, NULL, NULL, &server));
    assert_null(http_server_listen(server, &loop, 1, "127.0.0.1", 0, tls));
    assert_null(loop_thread_start(loop));
    return 0;
}

static int
tear_down(void **state)
{
    loop_stop(loop);
    loop_thread_join(loop);
    http_server_free(server);
    loop_free(loop);
    tls_server_free(tls);
    test_ca_done(&ca);
    test_ca_done(&other_ca);
    test_ca_done(&front_ca);
    kerr_free(file_remove_tree(dir));
    return 0;
}

/* One request; the body, or "error: ..." of the handshake.  Caller frees. */
static char *
ask(const struct tls_client_options *o, const char *host)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    AUTO(tls_client) *c = NULL;
    struct kerr *err = tls_client_new(o, &c);

    if (err) {
        char *text = xasprintf("error: %s", err->message);
        kerr_free(err);
        return text;
    }
    struct http_peer_conn peer = peer_connect(http_server_port(server));
    SSL *ssl = tls_client_connect(c, host);
    AUTO_SBUF in = { 0 };
    char buf[4096];
    char *answer;
    int n;
    SSL_set_fd(ssl, peer.fd);
    if (SSL_connect(ssl) != 1) {
        AUTO_FREE char *why = tls_client_explain(c, ssl);
        answer = xasprintf("error: %s", why);
    } else {
        SSL_write(ssl, request, sizeof request - 1);
        while ((n = SSL_read(ssl, buf, sizeof buf)) > 0)
            sbuf_add(&in, buf, (size_t)n);
        const char *body = strstr(sbuf_str(&in), "\r\n\r\n");
        answer = xstrdup(body ? body + 4 : "error: no reply");
    }
    SSL_free(ssl);
    peer_close(&peer);
    return answer;
}

static void
expect_answer(const char *cert, const char *key, const char *want)
{
    struct tls_client_options o = { .ca_file = in_dir("ca.crt") };

    o.cert_file = cert ? in_dir(cert) : NULL;
    o.key_file = key ? in_dir(key) : NULL;
    AUTO_FREE char *got = ask(&o, "127.0.0.1");
    if (!strstr(got, want))
        fail_msg("wanted '%s' in '%s'", want, got);
}

static void
clients_are_told_apart(void **state)
{
    expect_answer(NULL, NULL, "anonymous");
    expect_answer("admin.crt", "admin.key", "cn=admin trusted=1 o=system:masters");
    expect_answer("front.crt", "front.key", "cn=aggregator trusted=2");
}

static void
refused_certificates_say_why(void **state)
{
    expect_answer("str.crt", "str.key", "cn=stranger trusted=0 refused=certificate \"CN=stranger\": unable to get local "
                                        "issuer certificate (issuer \"CN=other-ca\"");
    expect_answer("str.crt", "str.key", "ca.crt trusts \"CN=test-ca\"");
    expect_answer("old.crt", "old.key", "trusted=0 refused=certificate \"CN=old\": certificate has expired");
    expect_answer("use.crt", "use.key", "trusted=0 refused=certificate \"CN=wrong-use\": unsuitable certificate purpose");
}

static void
wrong_servers_are_explained(void **state)
{
    struct tls_client_options o = { .ca_file = in_dir("other-ca.crt") };
    AUTO_FREE char *untrusted = ask(&o, "127.0.0.1");
    AUTO_FREE char *want = xasprintf("error: certificate \"CN=server\" (issuer \"CN=test-ca\") is not trusted: unable to get "
                                     "local issuer certificate; %s trusts \"CN=other-ca\"",
                                     in_dir("other-ca.crt"));
    assert_string_equal(untrusted, want);

    o.ca_file = in_dir("ca.crt");
    AUTO_FREE char *misnamed = ask(&o, "10.0.0.1");
    assert_string_equal(misnamed, "error: certificate \"CN=server\" is not for this host: it is valid for localhost, 127.0.0.1");
    o.server_name = "localhost";
    AUTO_FREE char *named = ask(&o, "10.0.0.1");
    assert_string_equal(named, "anonymous");
    o = (struct tls_client_options){ .insecure = true };
    AUTO_FREE char *careless = ask(&o, "10.0.0.1");
    assert_string_equal(careless, "anonymous");
}

static void
inline_pem_works_like_files(void **state)
{
    AUTO_FREE char *ca_pem = NULL;
    AUTO_FREE char *cert_pem = NULL;
    AUTO_FREE char *key_pem = NULL;

    assert_null(file_read(in_dir("ca.crt"), 10000, &ca_pem, NULL));
    assert_null(file_read(in_dir("admin.crt"), 10000, &cert_pem, NULL));
    assert_null(file_read(in_dir("admin.key"), 10000, &key_pem, NULL));
    struct tls_client_options o = { .ca_pem = ca_pem, .cert_pem = cert_pem, .key_pem = key_pem };
    AUTO_FREE char *got = ask(&o, "127.0.0.1");
    assert_string_equal(got, "cn=admin trusted=1 o=system:masters");
}

static void
bad_files_are_named(void **state)
{
    struct tls_client_options o = { .ca_file = "/nonexistent/ca.crt" };
    AUTO_FREE char *missing = ask(&o, "h");
    assert_string_equal(missing, "error: TLS: open /nonexistent/ca.crt: No such file or directory");

    o = (struct tls_client_options){ .cert_file = in_dir("admin.crt"), .key_file = in_dir("str.key") };
    AUTO_FREE char *mixed = ask(&o, "h");
    AUTO_FREE char *want = xasprintf("error: TLS: the private key in %s does not belong to the certificate in %s",
                                     in_dir("str.key"), in_dir("admin.crt"));
    assert_string_equal(mixed, want);
    o = (struct tls_client_options){ .cert_file = in_dir("admin.key"), .key_file = in_dir("admin.key") };
    AUTO_FREE char *swapped = ask(&o, "h");
    assert_non_null(strstr(swapped, "no certificate in "));
}

static void
plain_http_is_told_so(void **state)
{
    struct http_peer_conn c = peer_connect(http_server_port(server));

    peer_sends(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    AUTO_FREE char *all = peer_rest(&c);
    assert_non_null(strstr(all, "Client sent an HTTP request to an HTTPS server."));
    peer_close(&c);
}

static void
changed_files_are_used_and_broken_ones_are_not(void **state)
{
    expect_answer("str.crt", "str.key", "trusted=0");
    AUTO_FREE char *old = NULL;
    AUTO_FREE char *more = NULL;
    assert_null(file_read(in_dir("ca.crt"), 10000, &old, NULL));
    assert_null(file_read(in_dir("other-ca.crt"), 10000, &more, NULL));

    AUTO_FREE char *both = xasprintf("%s%s", old, more); /* one more CA in the bundle */
    assert_null(file_write_atomic(in_dir("ca.crt"), both, strlen(both), 0644));
    tls_server_check_files(tls);
    expect_answer("str.crt", "str.key", "cn=stranger trusted=1");

    assert_null(file_write_atomic(in_dir("server.crt"), "garbage", 7, 0644));
    tls_server_check_files(tls);
    expect_answer(NULL, NULL, "anonymous"); /* with the old pair */

    test_leaf_make(&ca, "renewed", NULL, "serverAuth", "DNS:new.example", 100, in_dir("server.crt"), in_dir("server.key"));
    tls_server_check_files(tls);
    expect_answer(NULL, NULL, "\"CN=renewed\" is not for this host: it is valid for new.example");
    test_leaf_make(&ca, "server", NULL, "serverAuth", "IP:127.0.0.1", 100, in_dir("server.crt"), in_dir("server.key"));
    tls_server_check_files(tls);

    assert_null(tls_server_set_ca(tls, TLS_CA_CLIENT, old)); /* from a ConfigMap */
    expect_answer("str.crt", "str.key", "trusted=0");
    struct kerr *err = tls_server_set_ca(tls, TLS_CA_CLIENT, "nonsense");
    assert_non_null(err);
    kerr_free(err);
    expect_answer("admin.crt", "admin.key", "trusted=1");
}

static void
flags_are_checked(void **state)
{
    assert_null(tls_check_min_version(""));
    assert_null(tls_check_min_version("VersionTLS13"));
    AUTO(kerr) *old = tls_check_min_version("VersionTLS10");
    assert_non_null(old);
    AUTO(kerr) *odd = tls_check_min_version("TLS1.2");
    assert_non_null(odd);
    assert_null(tls_check_cipher_suites("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305,"
                                        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,TLS_AES_128_GCM_SHA256"));
    AUTO(kerr) *unknown = tls_check_cipher_suites("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,ROT13");
    assert_string_equal(unknown->message, "Cipher suite ROT13 not supported or doesn't exist");
}

static void
self_signed_pairs_are_made_once_and_work(void **state)
{
    AUTO_FREE char *cert = NULL;
    AUTO_FREE char *key = NULL;
    AUTO_FREE char *cert2 = NULL;
    AUTO_FREE char *key2 = NULL;
    AUTO_FREE char *one = NULL;
    AUTO_FREE char *two = NULL;
    AUTO_STRLIST alt = { 0 };
    AUTO(tls_server) *s = NULL;
    struct stat st;

    strlist_add(&alt, "127.0.0.1");
    strlist_add(&alt, "localhost");
    assert_null(tls_self_signed(in_dir("pki"), "kubelet", "node-1", &alt, &cert, &key));
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_null(file_read(cert, 10000, &one, NULL));
    assert_null(tls_self_signed(in_dir("pki"), "kubelet", "node-1", &alt, &cert2, &key2));
    assert_null(file_read(cert2, 10000, &two, NULL));
    assert_string_equal(one, two);
    struct tls_server_options o = { .cert_file = cert, .key_file = key, .min_version = "VersionTLS13" };
    assert_null(tls_server_new(&o, &s));
}

/* More requests at once than the server takes in while one is at work: none stays behind in OpenSSL's buffer. */
static void
a_burst_of_requests_is_answered_to_the_last(void **state)
{
    static const char request[] = "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: h\r\n\r\n";
    enum { BURST = 4000 };
    struct tls_client_options o = { .ca_file = in_dir("ca.crt") };
    AUTO(tls_client) *c = NULL;
    AUTO_SBUF out = { 0 };
    AUTO_SBUF in = { 0 };
    struct timeval patience = { .tv_sec = 20 };
    char buf[4096];
    size_t answers = 0, seen = 0;
    int n;

    assert_null(tls_client_new(&o, &c));
    struct http_peer_conn peer = peer_connect(http_server_port(server));
    SSL *ssl = tls_client_connect(c, "localhost");
    SSL_set_fd(ssl, peer.fd);
    setsockopt(peer.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(SSL_connect(ssl), 1);
    for (int i = 0; i < BURST; i++)
        sbuf_adds(&out, request);
    for (size_t at = 0; at < out.len; at += (size_t)n) {
        n = SSL_write(ssl, out.s + at, (int)(out.len - at));
        assert_true(n > 0);
    }
    while (answers < BURST && (n = SSL_read(ssl, buf, sizeof buf)) > 0) {
        sbuf_add(&in, buf, (size_t)n);
        for (const char *p; (p = strstr(sbuf_str(&in) + seen, "HTTP/1.1 200")); answers++)
            seen = (size_t)(p - in.s) + 1;
    }
    assert_int_equal(answers, BURST);
    SSL_free(ssl);
    peer_close(&peer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_told_apart),
        cmocka_unit_test(a_burst_of_requests_is_answered_to_the_last),
        cmocka_unit_test(refused_certificates_say_why),
        cmocka_unit_test(wrong_servers_are_explained),
        cmocka_unit_test(inline_pem_works_like_files),
        cmocka_unit_test(bad_files_are_named),
        cmocka_unit_test(plain_http_is_told_so),
        cmocka_unit_test(changed_files_are_used_and_broken_ones_are_not),
        cmocka_unit_test(flags_are_checked),
        cmocka_unit_test(self_signed_pairs_are_made_once_and_work),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
