// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authn/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/base/base64.h"
#include "common/base/file.h"

enum { KEY_FILE_MAX = 1 << 20, TOKEN_MAX = 64 * 1024, ES256_HALF = 32 };

/* --- keys --- */

static char *
key_id(EVP_PKEY *pkey)
{
    unsigned char *der = NULL, hash[SHA256_DIGEST_LENGTH];
    int len = i2d_PUBKEY(pkey, &der);
    struct sbuf b = { 0 };

    if (len <= 0)
        return xstrdup("");
    SHA256(der, (size_t)len, hash);
    OPENSSL_free(der);
    base64url_encode(hash, sizeof hash, &b);
    return sbuf_steal(&b);
}

static const char *
algorithm(EVP_PKEY *pkey)
{
    if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA)
        return "RS256";
    return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC && EVP_PKEY_get_bits(pkey) == 256 ? "ES256" : NULL;
}

static bool
add_key(EVP_PKEY *pkey, bool private_key, struct jwt_key **keys, size_t *n)
{
    const char *alg = algorithm(pkey);

    if (!alg) {
        EVP_PKEY_free(pkey);
        return false;
    }
    *keys = xreallocarray(*keys, *n + 1, sizeof **keys);
    (*keys)[(*n)++] = (struct jwt_key){ pkey, key_id(pkey), alg, private_key };
    return true;
}

static EVP_PKEY *
key_of_block(const char *name, const unsigned char *der, long len, bool *ret_private)
{
    const unsigned char *at = der;

    *ret_private = strstr(name, "PRIVATE KEY") != NULL;
    if (*ret_private)
        return d2i_AutoPrivateKey(NULL, &at, len);
    if (strcmp(name, "PUBLIC KEY") == 0)
        return d2i_PUBKEY(NULL, &at, len);
    if (strcmp(name, "RSA PUBLIC KEY") == 0)
        return d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, len);
    if (strcmp(name, "CERTIFICATE") == 0) {
        X509 *cert = d2i_X509(NULL, &at, len);
        EVP_PKEY *pkey = cert ? X509_get_pubkey(cert) : NULL;
        X509_free(cert);
        return pkey;
    }
    return NULL;
}

struct kerr *
jwt_keys_read(const char *path, bool need_private, struct jwt_key **keys, size_t *n)
{
    AUTO_FREE char *text = NULL;
    size_t len, before = *n;
    struct kerr *err = file_read(path, KEY_FILE_MAX, &text, &len);
    char *name, *header;
    unsigned char *der;
    long der_len;

    if (err)
        return err;
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    while (PEM_read_bio(bio, &name, &header, &der, &der_len)) {
        bool private_key;
        EVP_PKEY *pkey = key_of_block(name, der, der_len, &private_key);
        if (pkey && need_private && !private_key)
            EVP_PKEY_free(pkey);
        else if (pkey)
            add_key(pkey, private_key, keys, n);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    BIO_free(bio);
    if (*n == before)
        return kerr_new(KERR_BAD_REQUEST, "%s holds no %s of type RSA or EC P-256 in PEM form", path,
                        need_private ? "private key" : "public key, private key or certificate");
    return NULL;
}

void
jwt_key_done(struct jwt_key *k)
{
    EVP_PKEY_free(k->pkey);
    free(k->kid);
}

/* --- signatures --- */

/* ES256 signatures are r and s side by side (RFC 7518 section 3.4), OpenSSL has them in DER. */
static bool
es_from_der(const unsigned char *der, size_t len, unsigned char raw[2 * ES256_HALF])
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, ES256_HALF) == ES256_HALF &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + ES256_HALF, ES256_HALF) == ES256_HALF;

    ECDSA_SIG_free(sig);
    return ok;
}

static int
es_to_der(const unsigned char *raw, unsigned char **ret_der)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    int len = -1;

    if (sig && ECDSA_SIG_set0(sig, BN_bin2bn(raw, ES256_HALF, NULL), BN_bin2bn(raw + ES256_HALF, ES256_HALF, NULL)))
        len = i2d_ECDSA_SIG(sig, ret_der);
    ECDSA_SIG_free(sig);
    return len;
}

struct kerr *
jwt_sign(const struct jwt_key *key, const char *claims_json, struct sbuf *ret_token)
{
    AUTO_FREE char *header = xasprintf("{\"alg\":\"%s\",\"kid\":\"%s\"}", key->alg, key->kid);
    unsigned char signature[1024], raw[2 * ES256_HALF];
    size_t len = sizeof signature;
    AUTO_SBUF text = { 0 };

    base64url_encode(header, strlen(header), &text);
    sbuf_addc(&text, '.');
    base64url_encode(claims_json, strlen(claims_json), &text);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
              EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text.s, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (ok && strcmp(key->alg, "ES256") == 0)
        ok = es_from_der(signature, len, raw);
    if (!ok)
        return kerr_new(KERR_INTERNAL, "signing a service account token failed");
    sbuf_add(ret_token, text.s, text.len);
    sbuf_addc(ret_token, '.');
    if (strcmp(key->alg, "ES256") == 0)
        base64url_encode(raw, sizeof raw, ret_token);
    else
        base64url_encode(signature, len, ret_token);
    return NULL;
}

/* --- reading --- */

struct parts {
    const char *header, *claims, *signature;
    size_t header_len, claims_len, signature_len;
};

static bool
split(const char *token, struct parts *p)
{
    const char *dot = strchr(token, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;

    if (!second || strchr(second + 1, '.') || strlen(token) > TOKEN_MAX)
        return false;
    *p = (struct parts){ token, dot + 1, second + 1, (size_t)(dot - token), (size_t)(second - dot - 1), strlen(second + 1) };
    return true;
}

static json_t *
decode_json(const char *s, size_t len)
{
    AUTO_FREE uint8_t *bytes = xmalloc(BASE64_DECODED_MAX(len) + 1);
    ssize_t n = base64url_decode(s, len, bytes);
    json_t *tree = n > 0 ? json_loadb((const char *)bytes, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (tree && !json_is_object(tree)) {
        json_decref(tree);
        return NULL;
    }
    return tree;
}

json_t *
jwt_peek(const char *token)
{
    struct parts p;

    return split(token, &p) ? decode_json(p.claims, p.claims_len) : NULL;
}

static bool
verify_one(const struct jwt_key *key, const char *token, const struct parts *p, const uint8_t *signature, size_t len)
{
    unsigned char *der = NULL;
    bool es = strcmp(key->alg, "ES256") == 0;
    int der_len = 0;

    if (es && (len != 2 * ES256_HALF || (der_len = es_to_der(signature, &der)) <= 0))
        return false;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
              EVP_DigestVerify(ctx, es ? der : signature, es ? (size_t)der_len : len, (const unsigned char *)token,
                               p->header_len + 1 + p->claims_len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    return ok;
}

bool
jwt_verify(const char *token, const struct jwt_key *keys, size_t n)
{
    struct parts p;

    if (!split(token, &p))
        return false;
    AUTO_FREE uint8_t *signature = xmalloc(BASE64_DECODED_MAX(p.signature_len) + 1);
    ssize_t len = base64url_decode(p.signature, p.signature_len, signature);
    json_t *header = decode_json(p.header, p.header_len);
    const char *alg = json_string_value(json_object_get(header, "alg")), *kid = json_string_value(json_object_get(header, "kid"));
    bool ok = false, known = false;

    for (size_t i = 0; kid && i < n; i++)
        known |= strcmp(keys[i].kid, kid) == 0;
    for (size_t i = 0; alg && len > 0 && !ok && i < n; i++)
        if (strcmp(keys[i].alg, alg) == 0 && (!known || strcmp(keys[i].kid, kid) == 0))
            ok = verify_one(&keys[i], token, &p, signature, (size_t)len);
    json_decref(header);
    return ok;
}

/* --- JWKS --- */

static void
add_number(EVP_PKEY *pkey, const char *param, const char *name, int pad, struct sbuf *out)
{
    BIGNUM *bn = NULL;
    unsigned char bytes[1024];

    if (EVP_PKEY_get_bn_param(pkey, param, &bn) != 1 || BN_num_bytes(bn) > (int)sizeof bytes) {
        BN_free(bn);
        return;
    }
    int len = pad ? BN_bn2binpad(bn, bytes, pad) : BN_bn2bin(bn, bytes);
    BN_free(bn);
    sbuf_addf(out, ",\"%s\":\"", name);
    base64url_encode(bytes, (size_t)len, out);
    sbuf_addc(out, '"');
}

void
jwt_write_jwks(const struct jwt_key *keys, size_t n, struct sbuf *out)
{
    sbuf_adds(out, "{\"keys\":[");
    for (size_t i = 0; i < n; i++) {
        bool es = strcmp(keys[i].alg, "ES256") == 0;
        sbuf_addf(out, "%s{\"use\":\"sig\",\"kty\":\"%s\",\"kid\":\"%s\",\"alg\":\"%s\"", i ? "," : "", es ? "EC" : "RSA", keys[i].kid, keys[i].alg);
        if (es) {
            sbuf_adds(out, ",\"crv\":\"P-256\"");
            add_number(keys[i].pkey, OSSL_PKEY_PARAM_EC_PUB_X, "x", ES256_HALF, out);
            add_number(keys[i].pkey, OSSL_PKEY_PARAM_EC_PUB_Y, "y", ES256_HALF, out);
        } else {
            add_number(keys[i].pkey, OSSL_PKEY_PARAM_RSA_N, "n", 0, out);
            add_number(keys[i].pkey, OSSL_PKEY_PARAM_RSA_E, "e", 0, out);
        }
        sbuf_addc(out, '}');
    }
    sbuf_adds(out, "]}");
}
