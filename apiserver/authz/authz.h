// SPDX-License-Identifier: Apache-2.0
/* authz.h - may they?  A chain of authorizers by --authorization-mode; the first that decides wins, no opinion is no.
 * Reads only memory, so it runs on the I/O loops; any thread. */
#ifndef CKUBE_APISERVER_AUTHZ_H
#define CKUBE_APISERVER_AUTHZ_H

#include "apiserver/authn/authn.h"

struct authz;
struct storage;

/* modes: "Node", "RBAC", "AlwaysAllow", "AlwaysDeny" in the order asked; empty = AlwaysAllow.  Keeps its index of roles
 * and of the node graph current from the stores. */
struct kerr *authz_new(const struct strlist *modes, struct storage *storage, struct authz **ret) MUST_CHECK;
void authz_free(struct authz *z);
/* Writes the default roles and bindings that are missing or incomplete (rbac.authorization.kubernetes.io/autoupdate).
 * Blocks; after the storage is ready. */
struct kerr *authz_bootstrap(struct authz *z) MUST_CHECK;

struct authz_attributes {
    const struct user_info *user;
    const char *verb;
    bool is_resource;
    const char *group, *version, *resource, *subresource, *ns, *name; /* of resource requests; "" or NULL = none */
    const char *path;                                                 /* of non-resource requests */
    /* Selectors of the request, for the node authorizer's rules; or NULL */
    const char *field_selector, *label_selector;
};

enum authz_decision { AUTHZ_NO_OPINION, AUTHZ_ALLOW, AUTHZ_DENY };

/* *ret_reason (may be empty, lives in `a`): why, as upstream's authorizers word it. */
enum authz_decision authz_decide(struct authz *z, const struct authz_attributes *attributes, struct arena *a,
                                 const char **ret_reason);
/* NULL when allowed; else KERR_FORBIDDEN with upstream's text:
 *   pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "ns": reason */
struct kerr *authz_check(struct authz *z, const struct authz_attributes *attributes, struct arena *a) MUST_CHECK;

#endif
