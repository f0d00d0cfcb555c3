// SPDX-License-Identifier: Apache-2.0
#include "common/client/kubeconfig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/file.h"

#define HEAD "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {cluster: k, user: u, namespace: ns}\n"
#define USER "users:\n- name: u\n  user:\n"
#define CLUSTER "clusters:\n- name: other\n  cluster: {server: http://x}\n- name: k\n  cluster:\n    server: https://127.0.0.1:6443/\n"

static struct kerr *
parse(const char *text, struct client_config *ret)
{
    return kubeconfig_parse(text, strlen(text), "/etc/kubernetes/a.conf", NULL, ret);
}

static void
fails(const char *text, const char *message)
{
    AUTO_CLIENT_CONFIG c = { 0 };
    AUTO(kerr) *err = parse(text, &c);

    assert_non_null(err);
    assert_string_equal(err->message, message);
}

static void
paths_are_relative_to_the_file(void **state)
{
    AUTO_CLIENT_CONFIG c = { 0 };
    AUTO(kerr) *err = parse(HEAD CLUSTER "    certificate-authority: pki/ca.crt\n" USER
                                         "    client-certificate: /abs/a.crt\n    client-key: a.key\n    tokenFile: t\n", &c);

    assert_null(err);
    assert_string_equal(c.server, "https://127.0.0.1:6443");
    assert_string_equal(c.ca_file, "/etc/kubernetes/pki/ca.crt");
    assert_string_equal(c.cert_file, "/abs/a.crt");
    assert_string_equal(c.key_file, "/etc/kubernetes/a.key");
    assert_string_equal(c.token_file, "/etc/kubernetes/t");
    assert_string_equal(c.namespace, "ns");
    assert_string_equal(c.origin, "/etc/kubernetes/a.conf (context c)");
}

static void
data_is_decoded(void **state)
{
    AUTO_CLIENT_CONFIG c = { 0 };
    AUTO(kerr) *err = parse(HEAD CLUSTER "    certificate-authority-data: LS0tLS1CRUdJTiBYLS0tLS0K\n    tls-server-name: api\n" USER
                                         "    token: abc.def\n", &c);

    assert_null(err);
    assert_string_equal(c.ca_pem, "-----BEGIN X-----\n");
    assert_string_equal(c.tls_server_name, "api");
    assert_string_equal(c.token, "abc.def");
    AUTO_CLIENT_CONFIG copy = { 0 };
    client_config_copy(&c, &copy);
    assert_string_equal(copy.ca_pem, c.ca_pem);
    assert_ptr_not_equal(copy.ca_pem, c.ca_pem);
}

static void
json_works_and_the_only_context_is_taken(void **state)
{
    AUTO_CLIENT_CONFIG c = { 0 };
    AUTO(kerr) *err = parse("{\"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":\"https://[::1]:6443\",\"insecure-skip-tls-verify\":true}}],"
                            "\"contexts\":[{\"name\":\"only\",\"context\":{\"cluster\":\"k\"}}]}", &c);

    assert_null(err);
    assert_string_equal(c.server, "https://[::1]:6443");
    assert_true(c.insecure_skip_tls_verify);
}

static void
errors_name_file_and_field(void **state)
{
    fails("", "/etc/kubernetes/a.conf: the file is empty");
    fails("- a\n", "/etc/kubernetes/a.conf: must be a map at the top");
    fails("kind: Pod\n", "/etc/kubernetes/a.conf: kind: must be Config, not Pod");
    fails("kind: Config\n", "/etc/kubernetes/a.conf: current-context: is missing");
    fails("current-context: z\n", "/etc/kubernetes/a.conf: contexts[\"z\"]: is not in the file");
    fails(HEAD USER "    token: x\n", "/etc/kubernetes/a.conf: clusters[\"k\"]: is not in the file");
    fails(HEAD CLUSTER, "/etc/kubernetes/a.conf: users[\"u\"]: is not in the file");
    fails(HEAD "clusters: [{name: k, cluster: {server: 127.0.0.1}}]\n",
          "/etc/kubernetes/a.conf: clusters[\"k\"].server: \"127.0.0.1\" must begin with https:// or http://");
    fails(HEAD "clusters: [{name: k, cluster: {server: 'https://:6443'}}]\n",
          "/etc/kubernetes/a.conf: clusters[\"k\"].server: \"https://:6443\" has no host");
    fails(HEAD "clusters: [{name: k, cluster: {}}]\n", "/etc/kubernetes/a.conf: clusters[\"k\"].server: is missing");
    fails(HEAD "clusters: [{name: k, cluster: {server: 5}}]\n", "/etc/kubernetes/a.conf: clusters[\"k\"].server: must be a string");
    fails(HEAD CLUSTER "    certificate-authority-data: '*'\n",
          "/etc/kubernetes/a.conf: clusters[\"k\"].certificate-authority-data: illegal base64 data at input byte 0");
    fails(HEAD CLUSTER "    certificate-authority-data: aGVsbG8=\n",
          "/etc/kubernetes/a.conf: clusters[\"k\"].certificate-authority-data: does not hold PEM");
    fails(HEAD CLUSTER "    proxy-url: http://p\n",
          "/etc/kubernetes/a.conf: clusters[\"k\"].proxy-url: proxies are not supported; connect directly or through a TCP forwarder");
    fails(HEAD CLUSTER USER "    exec: {command: x}\n",
          "/etc/kubernetes/a.conf: users[\"u\"].exec: credential plugins are not supported by ckube's daemons; use a client certificate or a token");
    fails(HEAD CLUSTER USER "    client-certificate: a\n", "/etc/kubernetes/a.conf: users[\"u\"].client-key: is missing beside client-certificate");
}

static void
what_is_written_reads_back(void **state)
{
    AUTO_CLIENT_CONFIG c = { 0 }, back = { 0 };
    AUTO(kerr) *err = parse(HEAD CLUSTER "    certificate-authority-data: LS0tLS1CRUdJTiBYLS0tLS0K\n" USER
                                         "    client-certificate: /c.pem\n    client-key: /c.pem\n", &c);
    char path[] = "/tmp/ckube-test.XXXXXX";

    assert_null(err);
    close(mkstemp(path));
    assert_null(kubeconfig_write(path, &c, "default-auth"));
    assert_null(kubeconfig_load(path, NULL, &back));
    assert_string_equal(back.server, c.server);
    assert_string_equal(back.ca_pem, c.ca_pem);
    assert_string_equal(back.key_file, "/c.pem");
    assert_string_equal(back.namespace, "ns");
    unlink(path);
    err = kubeconfig_load(path, NULL, &back);
    assert_non_null(strstr(err->message, path));
}

static void
in_cluster_needs_its_variables(void **state)
{
    AUTO_CLIENT_CONFIG c = { 0 };
    AUTO(kerr) *err = NULL;

    unsetenv("KUBERNETES_SERVICE_HOST");
    err = client_config_load("", "", &c);
    assert_non_null(strstr(err->message, "KUBERNETES_SERVICE_HOST"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_relative_to_the_file), cmocka_unit_test(data_is_decoded),
        cmocka_unit_test(json_works_and_the_only_context_is_taken), cmocka_unit_test(errors_name_file_and_field),
        cmocka_unit_test(what_is_written_reads_back), cmocka_unit_test(in_cluster_needs_its_variables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
