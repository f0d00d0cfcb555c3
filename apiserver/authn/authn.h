// SPDX-License-Identifier: Apache-2.0
/* authn.h - who is asking.  A chain of authenticators in upstream's order; the first that knows the caller wins:
 *   request header (front proxy) -> x509 client certificate -> static token file -> service account JWT
 *   -> bootstrap token -> anonymous
 * Reads only memory (stores, parsed files), so it runs on the I/O loops; any thread. */
#ifndef CKUBE_APISERVER_AUTHN_H
#define CKUBE_APISERVER_AUTHN_H

#include "api_types.h"
#include "common/base/arena.h"
#include "common/base/kerr.h"
#include "common/base/str.h"

/* The caller is an authentication.k8s.io/v1 UserInfo (api_types.h); its strings live in the request's arena. */

struct authn;
struct http_request;
struct storage;

struct authn_config { /* strings are copied */
    struct storage *storage;
    bool anonymous;
    const char *token_auth_file; /* NULL: none */
    bool client_ca;              /* client certificates count (TLS trusts --client-ca-file) */
    bool bootstrap_tokens;
    /* service account tokens */
    const struct strlist *issuers;     /* first issues */
    const struct strlist *audiences;   /* empty: the issuers */
    const struct strlist *key_files;   /* public keys, private keys or certificates, PEM */
    const char *signing_key_file;
    int64_t max_token_expiration_s;    /* 0: no bound */
    bool extend_token_expiration;
    const char *advertise_url;         /* for the discovery document's jwks_uri: "https://10.0.0.1:6443" */
    /* front proxy */
    const struct strlist *requestheader_allowed_names, *requestheader_username_headers, *requestheader_group_headers,
        *requestheader_extra_prefixes; /* NULL: no front proxy */
};
struct kerr *authn_new(const struct authn_config *config, struct authn **ret) MUST_CHECK; /* reads the files */
void authn_free(struct authn *n);
/* KERR_UNAUTHORIZED "Unauthorized" when nobody. */
struct kerr *authn_identify(struct authn *n, const struct http_request *req, struct arena *a, struct user_info *ret) MUST_CHECK;
/* A bearer token by itself, for TokenReview: audiences NULL or empty = ours.  ret_audiences: those that matched. */
struct kerr *authn_token(struct authn *n, const char *token, const struct string_slice *audiences, struct arena *a,
                         struct user_info *ret, struct string_slice *ret_audiences) MUST_CHECK;

bool user_in_group(const struct user_info *user, const char *group);

#define USER_ANONYMOUS "system:anonymous"
#define GROUP_AUTHENTICATED "system:authenticated"
#define GROUP_UNAUTHENTICATED "system:unauthenticated"
#define GROUP_MASTERS "system:masters"

#endif
