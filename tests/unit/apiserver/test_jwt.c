// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authn/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <cmocka.h>

#include "common/base/base64.h"
#include "common/base/str.h"

static char dir[] = "/tmp/ckube-jwt-XXXXXX";
static EVP_PKEY *rsa, *rsa2, *ec, *ec384;

enum form { PRIVATE_PKCS8, PRIVATE_OLD, PUBLIC, PUBLIC_RSA, CERTIFICATE };

static void
write_certificate(FILE *f, EVP_PKEY *key)
{
    X509 *cert = X509_new();

    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    PEM_write_X509(f, cert);
    X509_free(cert);
}

static void
write_rsa_public(FILE *f, EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = i2d_PublicKey(key, &der);

    PEM_write(f, "RSA PUBLIC KEY", "", der, len);
    OPENSSL_free(der);
}

static void
write_old_private(FILE *f, EVP_PKEY *key)
{
    BIO *bio = BIO_new_fp(f, BIO_NOCLOSE);

    PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
    BIO_free(bio);
}

static void
write_key(FILE *f, EVP_PKEY *key, enum form form)
{
    switch (form) {
    case PRIVATE_PKCS8:
        PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
        break;
    case PRIVATE_OLD: /* "RSA PRIVATE KEY", "EC PRIVATE KEY" */
        write_old_private(f, key);
        break;
    case PUBLIC:
        PEM_write_PUBKEY(f, key);
        break;
    case PUBLIC_RSA:
        write_rsa_public(f, key);
        break;
    case CERTIFICATE:
        write_certificate(f, key);
    }
}

static const char *
file_with(EVP_PKEY *key, enum form form, EVP_PKEY *key2, enum form form2)
{
    static char path[64];

    snprintf(path, sizeof path, "%s/key.pem", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    if (key)
        write_key(f, key, form);
    if (key2)
        write_key(f, key2, form2);
    fclose(f);
    return path;
}

static struct jwt_key
key_from(EVP_PKEY *pkey, enum form form, bool need_private)
{
    struct jwt_key *keys = NULL, key;
    size_t n = 0;
    AUTO(kerr) *err = jwt_keys_read(file_with(pkey, form, NULL, 0), need_private, &keys, &n);

    if (err)
        fail_msg("%s", err->message);
    assert_int_equal(n, 1);
    key = keys[0];
    free(keys);
    return key;
}

static char *
signed_by(const struct jwt_key *key)
{
    struct sbuf token = { 0 };
    AUTO(kerr) *err = jwt_sign(key, "{\"sub\":\"me\"}", &token);

    assert_null(err);
    return sbuf_steal(&token);
}

static void
all_forms_of_keys(void **state)
{
    static const struct {
        EVP_PKEY **key;
        enum form form;
        bool need_private, good;
    } rows[] = {
        { &rsa, PRIVATE_PKCS8, true, true }, { &rsa, PRIVATE_OLD, true, true }, { &rsa, PUBLIC, true, false }, { &rsa, CERTIFICATE, true, false },
        { &rsa, PUBLIC, false, true }, { &rsa, PUBLIC_RSA, false, true }, { &rsa, CERTIFICATE, false, true }, { &rsa, PRIVATE_OLD, false, true },
        { &ec, PRIVATE_PKCS8, true, true }, { &ec, PRIVATE_OLD, true, true }, { &ec, PUBLIC, false, true }, { &ec, CERTIFICATE, false, true },
        { &ec384, PRIVATE_PKCS8, true, false },
    };
    struct jwt_key signer[2] = { key_from(rsa, PRIVATE_PKCS8, true), key_from(ec, PRIVATE_PKCS8, true) };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jwt_key *keys = NULL;
        size_t n = 0;
        AUTO(kerr) *err = jwt_keys_read(file_with(*rows[i].key, rows[i].form, NULL, 0), rows[i].need_private, &keys, &n);
        if (!err != rows[i].good || n != rows[i].good)
            fail_msg("row %zu: %s, %zu keys", i, err ? err->message : "taken", n);
        for (size_t k = 0; k < n; k++) {
            const struct jwt_key *by = &signer[*rows[i].key == ec];
            AUTO_FREE char *token = signed_by(by);
            assert_string_equal(keys[k].kid, by->kid); /* the same for all forms */
            assert_true(jwt_verify(token, &keys[k], 1));
            jwt_key_done(&keys[k]);
        }
        free(keys);
    }
    jwt_key_done(&signer[0]);
    jwt_key_done(&signer[1]);
}

static void
several_keys_in_a_file(void **state)
{
    struct jwt_key *keys = NULL;
    size_t n = 0;
    AUTO(kerr) *err = jwt_keys_read(file_with(rsa, PUBLIC, ec, CERTIFICATE), false, &keys, &n);

    assert_null(err);
    assert_int_equal(n, 2);
    AUTO(kerr) *more = jwt_keys_read(file_with(rsa2, PUBLIC, ec384, PUBLIC), false, &keys, &n); /* P-384 is left out */
    assert_null(more);
    assert_int_equal(n, 3);
    AUTO(kerr) *none = jwt_keys_read(file_with(NULL, 0, NULL, 0), false, &keys, &n);
    assert_non_null(none);
    assert_non_null(strstr(none->message, "holds no public key"));
    for (size_t i = 0; i < n; i++)
        jwt_key_done(&keys[i]);
    free(keys);
}

static void
tampering_is_seen(void **state)
{
    struct jwt_key keys[2] = { key_from(rsa, PRIVATE_PKCS8, true), key_from(ec, PRIVATE_PKCS8, true) };

    for (int k = 0; k < 2; k++) {
        AUTO_FREE char *token = signed_by(&keys[k]);
        size_t len = strlen(token);
        assert_true(jwt_verify(token, keys, 2));
        assert_false(jwt_verify(token, &keys[!k], 1));
        assert_false(jwt_verify(token, keys, 0));
        for (size_t i = 0; i < len - 1; i++) { /* the last character of a signature has spare bits */
            AUTO_FREE char *bad = xstrdup(token);
            bad[i] = bad[i] == 'A' ? 'B' : bad[i] == '.' ? 'A' : 'A';
            if (strcmp(bad, token) != 0 && jwt_verify(bad, keys, 2))
                fail_msg("a change at %zu of %zu of a token goes unseen", i, len);
        }
        for (size_t i = 0; i < len; i++) {
            AUTO_FREE char *cut = xstrndup(token, i);
            assert_false(jwt_verify(cut, keys, 2));
        }
        AUTO_FREE char *longer = xasprintf("%s.", token);
        assert_false(jwt_verify(longer, keys, 2));
    }
    jwt_key_done(&keys[0]);
    jwt_key_done(&keys[1]);
}

/* header.claims.signature with the signature of `token` */
static char *
with_header(const char *token, const char *header)
{
    struct sbuf b = { 0 };

    base64url_encode(header, strlen(header), &b);
    sbuf_adds(&b, strchr(token, '.'));
    return sbuf_steal(&b);
}

static void
header_is_not_trusted(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\"}", "{\"alg\":\"\"}", "{}", "{\"alg\":\"HS256\"}", "{\"alg\":\"ES256\"}", "{\"alg\":\"RS512\"}", "{\"alg\":5}", "[]", "x", "",
        "{\"alg\":\"RS256\",\"alg\":\"none\"}",
    };
    struct jwt_key key = key_from(rsa, PRIVATE_PKCS8, true);
    AUTO_FREE char *token = signed_by(&key);

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        AUTO_FREE char *bad = with_header(token, headers[i]);
        assert_false(jwt_verify(bad, &key, 1));
        AUTO_FREE char *bare = xstrndup(bad, (size_t)(strrchr(bad, '.') - bad) + 1); /* and without a signature */
        assert_false(jwt_verify(bare, &key, 1));
    }
    jwt_key_done(&key);
}

static void
kid_picks_the_key(void **state)
{
    struct jwt_key keys[2] = { key_from(rsa, PRIVATE_PKCS8, true), key_from(rsa2, PRIVATE_PKCS8, true) };
    AUTO_FREE char *kid0 = keys[0].kid;

    assert_string_not_equal(keys[0].kid, keys[1].kid);
    keys[0].kid = xstrdup("a key nobody has");
    AUTO_FREE char *unknown = signed_by(&keys[0]);
    free(keys[0].kid);
    keys[0].kid = xstrdup(keys[1].kid); /* names the other key */
    AUTO_FREE char *wrong = signed_by(&keys[0]);
    free(keys[0].kid);
    keys[0].kid = xstrdup(kid0);
    assert_true(jwt_verify(unknown, keys, 2)); /* all are tried, as upstream does */
    assert_false(jwt_verify(wrong, keys, 2));
    jwt_key_done(&keys[0]);
    jwt_key_done(&keys[1]);
}

static void
peeking(void **state)
{
    struct jwt_key key = key_from(ec, PRIVATE_OLD, true);
    AUTO_FREE char *token = signed_by(&key);
    json_t *claims = jwt_peek(token);

    assert_string_equal(json_string_value(json_object_get(claims, "sub")), "me");
    json_decref(claims);
    assert_null(jwt_peek("a.b"));
    assert_null(jwt_peek("abcdef.0123456789abcdef"));
    assert_null(jwt_peek("a.b.c"));
    assert_null(jwt_peek(""));
    jwt_key_done(&key);
}

static void
jwks(void **state)
{
    struct jwt_key keys[2] = { key_from(rsa, PRIVATE_PKCS8, true), key_from(ec, PUBLIC, false) };
    AUTO_SBUF out = { 0 };

    jwt_write_jwks(keys, 2, &out);
    json_t *tree = json_loads(sbuf_str(&out), JSON_REJECT_DUPLICATES, NULL), *list = json_object_get(tree, "keys");
    assert_int_equal(json_array_size(list), 2);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(list, i), "kid")), keys[i].kid);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "e")), "AQAB");
    assert_int_equal(strlen(json_string_value(json_object_get(json_array_get(list, 0), "n"))), 342); /* 2048 bits */
    assert_int_equal(strlen(json_string_value(json_object_get(json_array_get(list, 1), "x"))), 43);
    assert_int_equal(strlen(json_string_value(json_object_get(json_array_get(list, 1), "y"))), 43);
    assert_null(json_object_get(json_array_get(list, 0), "d"));
    json_decref(tree);
    jwt_key_done(&keys[0]);
    jwt_key_done(&keys[1]);
}

static int
setup(void **state)
{
    rsa = EVP_RSA_gen(2048);
    rsa2 = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    ec384 = EVP_EC_gen("P-384");
    return mkdtemp(dir) && rsa && rsa2 && ec && ec384 ? 0 : -1;
}

static int
teardown(void **state)
{
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(rsa2);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(ec384);
    unlink(file_with(NULL, 0, NULL, 0));
    return rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_of_keys), cmocka_unit_test(several_keys_in_a_file), cmocka_unit_test(tampering_is_seen),
        cmocka_unit_test(header_is_not_trusted), cmocka_unit_test(kid_picks_the_key), cmocka_unit_test(peeking), cmocka_unit_test(jwks),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
