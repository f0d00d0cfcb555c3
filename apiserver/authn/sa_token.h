// SPDX-License-Identifier: Apache-2.0
/* sa_token.h - service account tokens: JWTs that the apiserver issues (TokenRequest) and recognises.  Any thread. */
#ifndef CKUBE_APISERVER_SA_TOKEN_H
#define CKUBE_APISERVER_SA_TOKEN_H

#include "api_types.h"
#include "apiserver/authn/authn.h"
#include "common/base/sbuf.h"

/* Fills request->status with a token for that account; spec is defaulted and checked.  Strings from `a`. */
struct kerr *sa_token_request(struct authn *n, const char *ns, const char *account, struct arena *a, struct token_request *request) MUST_CHECK;

/* /.well-known/openid-configuration and /openid/v1/jwks */
void sa_issuer_document(struct authn *n, struct sbuf *out);
void sa_jwks_document(struct authn *n, struct sbuf *out);

#endif
