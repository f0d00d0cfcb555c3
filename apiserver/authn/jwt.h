// SPDX-License-Identifier: Apache-2.0
/* jwt.h - JSON Web Tokens (RFC 7519) with RS256 and ES256 (RFC 7518) over OpenSSL keys.  Pure but for the keys; any thread. */
#ifndef CKUBE_APISERVER_JWT_H
#define CKUBE_APISERVER_JWT_H

#include <jansson.h>
#include <openssl/evp.h>

#include "common/base/kerr.h"
#include "common/base/sbuf.h"

struct jwt_key {
    EVP_PKEY *pkey;
    char *kid;       /* base64url(sha256(DER of the public key)), as upstream names its keys */
    const char *alg; /* "RS256", "ES256" */
    bool private_key;
};

/* A PEM file may hold a private key, public keys or certificates: the first of them, or all (appended to *keys). */
struct kerr *jwt_keys_read(const char *path, bool need_private, struct jwt_key **keys, size_t *n) MUST_CHECK;
void jwt_key_done(struct jwt_key *k);

struct kerr *jwt_sign(const struct jwt_key *key, const char *claims_json, struct sbuf *ret_token) MUST_CHECK;

/* The claims of a token without a look at its signature; NULL: it is no JWT.  The caller json_decref()s. */
json_t *jwt_peek(const char *token);
/* True when one of the keys made the signature; a kid in the header picks, `alg` must be the key's. */
bool jwt_verify(const char *token, const struct jwt_key *keys, size_t n);
/* {"keys":[...]} of the public parts (RFC 7517). */
void jwt_write_jwks(const struct jwt_key *keys, size_t n, struct sbuf *out);

#endif
