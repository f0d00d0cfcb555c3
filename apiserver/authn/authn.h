// SPDX-License-Identifier: Apache-2.0
/* authn.h - who is asking.  A chain of authenticators in upstream's order; the first that knows the caller wins:
 *   request header (front proxy) -> x509 client certificate -> static token file -> service account JWT
 *   -> bootstrap token -> anonymous
 * Reads only memory (stores, parsed files), so it runs on the I/O loops; any thread. */
#ifndef CKUBE_APISERVER_AUTHN_H
#define CKUBE_APISERVER_AUTHN_H

#include "common/api/type.h"
#include "common/base/arena.h"
#include "common/base/kerr.h"

struct user_info { /* authentication.k8s.io/v1 UserInfo; strings live in the request's arena */
    const char *name;
    const char *uid;
    struct string_slice groups;
    struct strings_map extra;
};

bool user_in_group(const struct user_info *user, const char *group);

#define USER_ANONYMOUS "system:anonymous"
#define GROUP_AUTHENTICATED "system:authenticated"
#define GROUP_UNAUTHENTICATED "system:unauthenticated"
#define GROUP_MASTERS "system:masters"

#endif
