// SPDX-License-Identifier: Apache-2.0
/* continue_token.h - upstream's token of a paged list: base64url of {"v":"meta.k8s.io/v1","rv":N,"start":"key"}.
 * start is relative to the list's key prefix and is the first key not yet sent (the last one sent and a NUL). Pure. */
#ifndef CKUBE_APISERVER_CONTINUE_TOKEN_H
#define CKUBE_APISERVER_CONTINUE_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"

/* last_key: of the last item sent, relative to the prefix.  revision -1: continue at any revision ("inconsistent"). */
char *continue_token_make(int64_t revision, const char *last_key) MUST_CHECK;
/* ret_start: malloc'd.  ret_after: the first key is the one behind it (it had the NUL).  KERR_BAD_REQUEST otherwise. */
struct kerr *continue_token_read(const char *token, int64_t *ret_revision, char **ret_start, bool *ret_after) MUST_CHECK;

#endif
