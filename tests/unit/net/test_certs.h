// SPDX-License-Identifier: Apache-2.0
/* test_certs.h - for tests: certificate authorities and leaves made on the spot, written as PEM files. */
#ifndef CKUBE_TESTS_CERTS_H
#define CKUBE_TESTS_CERTS_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "common/base/mem.h"

struct test_ca {
    EVP_PKEY *key;
    X509 *cert;
};

static inline void
test_cert_ext_(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
}

static inline X509 *
test_cert_new_(EVP_PKEY *key, const char *cn, const char *org, int days)
{
    static long serial = 1;
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), -2 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400L);
    X509_set_pubkey(cert, key);
    if (org)
        X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)org, -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    return cert;
}

static inline void
test_write_(const char *path, X509 *cert, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");

    if (!f)
        abort();
    if (cert)
        PEM_write_X509(f, cert);
    if (key)
        PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
}

static inline struct test_ca
test_ca_make(const char *cn, const char *file)
{
    struct test_ca ca = { .key = EVP_EC_gen("P-256") };

    ca.cert = test_cert_new_(ca.key, cn, NULL, 3650);
    X509_set_issuer_name(ca.cert, X509_get_subject_name(ca.cert));
    test_cert_ext_(ca.cert, ca.cert, NID_basic_constraints, "critical,CA:TRUE");
    test_cert_ext_(ca.cert, ca.cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    X509_sign(ca.cert, ca.key, EVP_sha256());
    test_write_(file, ca.cert, NULL);
    return ca;
}

/* usage: "serverAuth" or "clientAuth"; alt_names "DNS:a,IP:127.0.0.1" or NULL; days < 0: expired. */
static inline void
test_leaf_make(const struct test_ca *ca, const char *cn, const char *org, const char *usage, const char *alt_names, int days,
               const char *cert_file, const char *key_file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = test_cert_new_(key, cn, org, days);

    X509_set_issuer_name(cert, X509_get_subject_name(ca->cert));
    test_cert_ext_(cert, ca->cert, NID_ext_key_usage, usage);
    if (alt_names)
        test_cert_ext_(cert, ca->cert, NID_subject_alt_name, alt_names);
    X509_sign(cert, ca->key, EVP_sha256());
    test_write_(cert_file, cert, NULL);
    test_write_(key_file, NULL, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static inline void
test_ca_done(struct test_ca *ca)
{
    EVP_PKEY_free(ca->key);
    X509_free(ca->cert);
}

#endif
