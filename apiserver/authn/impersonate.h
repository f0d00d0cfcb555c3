// SPDX-License-Identifier: Apache-2.0
/* impersonate.h - the Impersonate-* headers: who may act as whom.  Runs on the I/O loops. */
#ifndef CKUBE_APISERVER_IMPERSONATE_H
#define CKUBE_APISERVER_IMPERSONATE_H

#include "apiserver/authz/authz.h"
#include "common/net/http_server.h"

/* Replaces *user when the headers ask for it and every part is allowed; KERR_FORBIDDEN when one is not. */
struct kerr *impersonate(struct authz *z, const struct http_request *req, struct arena *a, struct user_info *user) MUST_CHECK;

#endif
