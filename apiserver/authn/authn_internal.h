// SPDX-License-Identifier: Apache-2.0
/* authn_internal.h - the authenticators behind authn.h; for the files of this folder.
 *
 *   authn.c (chain, headers, certificates)  token_file.c  sa_token.c (JWT)  bootstrap_token.c */
#ifndef CKUBE_APISERVER_AUTHN_INTERNAL_H
#define CKUBE_APISERVER_AUTHN_INTERNAL_H

#include "apiserver/authn/authn.h"

enum authn_step { AUTHN_NEXT, AUTHN_FOUND, AUTHN_REFUSED };

struct static_token { /* a row of --token-auth-file */
    char *token, *user, *uid;
    struct strlist groups;
};

struct authn_proxy {
    bool on;
    struct strlist allowed_names, username_headers, group_headers, extra_prefixes;
};

struct sa_keys; /* sa_token.c */

struct authn { /* constant after authn_new(), but for the caches inside sa_keys */
    struct storage *storage;
    bool anonymous, client_ca, bootstrap_tokens;
    struct static_token *tokens;
    size_t ntokens;
    struct authn_proxy proxy;
    struct sa_keys *sa;
};

bool same_secret(const char *a, const char *b, size_t len); /* in constant time */
void user_add_group(struct user_info *user, struct arena *a, const char *group); /* group is kept, not copied */
void user_add_extra(struct user_info *user, struct arena *a, const char *key, const char *value);

struct kerr *token_file_read(const char *path, struct static_token **ret, size_t *ret_n) MUST_CHECK;
void token_file_free(struct static_token *tokens, size_t n);

struct kerr *sa_keys_new(const struct authn_config *config, struct sa_keys **ret) MUST_CHECK;
void sa_keys_free(struct sa_keys *k);
/* audiences NULL or empty: the apiserver's own.  A JWT of another issuer is AUTHN_NEXT. */
enum authn_step sa_token_identify(struct authn *n, const char *token, const struct string_slice *audiences, struct arena *a,
                                  struct user_info *ret, struct string_slice *ret_audiences);
enum authn_step bootstrap_token_identify(struct authn *n, const char *token, struct arena *a, struct user_info *ret);

#endif
