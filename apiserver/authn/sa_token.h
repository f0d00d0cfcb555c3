// SPDX-License-Identifier: Apache-2.0
/* sa_token.h - service account tokens: JWTs that the apiserver issues (TokenRequest) and recognises.  Any thread. */
#ifndef CKUBE_APISERVER_SA_TOKEN_H
#define CKUBE_APISERVER_SA_TOKEN_H

#include "api_types.h"
#include "apiserver/authn/authn.h"

/* Fills request->status with a token for that account; spec is defaulted and checked.  Strings from `a`. */
struct kerr *sa_token_request(struct authn *n, const char *ns, const char *account, struct arena *a, struct token_request *request) MUST_CHECK;

#endif
