// SPDX-License-Identifier: Apache-2.0
/* delegated.h - who is asking and may they: authentication and authorization for servers that are not the apiserver
 * (kubelet, scheduler, controller manager), by client certificate, front-proxy headers, TokenReview and
 * SubjectAccessReview, with upstream's caches.  The two questions block (network): ask from a pool thread. */
#ifndef CKUBE_DAEMON_DELEGATED_H
#define CKUBE_DAEMON_DELEGATED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/str.h"

struct rest;
struct delegated;

struct delegated_config {
    struct rest *authn; /* TokenReview; NULL = tokens are not accepted */
    struct rest *authz; /* SubjectAccessReview; NULL = see always_allow, else all is refused */
    bool anonymous;     /* requests without a credential become system:anonymous */
    bool always_allow;  /* authorization mode AlwaysAllow */
    int64_t token_ttl_ms;    /* 0 = 10 s (scheduler, controllers); kubelet: 2 m */
    int64_t allowed_ttl_ms;  /* 0 = 10 s; kubelet: 5 m */
    int64_t denied_ttl_ms;   /* 0 = 10 s; kubelet: 30 s */
    struct strlist allowed_paths; /* no authorization: "/healthz", "/metrics/+" style suffix "*"; copied */
    /* Front proxy (requestheader): */
    struct strlist proxy_names; /* CNs allowed to set the headers; empty with proxy = any CN */
    bool proxy;
};

struct delegated_user {
    char *name, *uid;
    struct strlist groups;
    struct { char *key; struct strlist values; } *extra;
    size_t nextra;
};
void delegated_user_done(struct delegated_user *u);

/* What the transport knows about the request.  All borrowed; empty = absent. */
struct delegated_credential {
    const char *bearer_token;
    const char *cert_common_name; /* of a client certificate that TLS verified against --client-ca-file */
    const struct strlist *cert_organizations;
};

struct delegated_access { /* either path, or a resource */
    const char *verb; /* "get", "create", ... */
    const char *path; /* non-resource: "/metrics" */
    const char *group, *resource, *subresource, *name, *namespace; /* resource: "", "nodes", "proxy", "n1", "" */
};

struct delegated *delegated_new(const struct delegated_config *cfg) MUST_CHECK;
void delegated_free(struct delegated *d);
DEFINE_AUTO(delegated)

/* KERR_UNAUTHORIZED when nobody; KERR_INTERNAL-like when the apiserver cannot be asked. */
struct kerr *delegated_authenticate(struct delegated *d, const struct delegated_credential *cred, struct delegated_user *ret) MUST_CHECK;
/* KERR_FORBIDDEN with upstream's text: `Forbidden (user=u, verb=get, resource=nodes, subresource(s)=[metrics])`, or `forbidden: User "u" cannot get path "/x"`. */
struct kerr *delegated_authorize(struct delegated *d, const struct delegated_user *user, const struct delegated_access *what) MUST_CHECK;
bool delegated_path_allowed(const struct delegated *d, const char *path); /* needs no credential at all */

#endif
