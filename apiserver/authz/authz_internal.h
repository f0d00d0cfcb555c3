// SPDX-License-Identifier: Apache-2.0
/* authz_internal.h - the authorizers behind authz.h; for the files of this folder.
 *
 *   authz.c (chain, texts)   rbac.c (rules)   rbac_defaults.c (the roles every cluster has)   node.c (kubelets) */
#ifndef CKUBE_APISERVER_AUTHZ_INTERNAL_H
#define CKUBE_APISERVER_AUTHZ_INTERNAL_H

#include "apiserver/authz/authz.h"
#include "apiserver/storage/store.h"

struct rbac;
struct node_authorizer;

bool authz_has_node(const struct authz *z);
bool authz_allows_all(const struct authz *z);

struct rbac *rbac_new(struct storage *st) MUST_CHECK;
void rbac_free(struct rbac *r);
bool rbac_wait(struct rbac *r, int64_t timeout_ms); /* until the rules there are are known */
enum authz_decision rbac_decide(struct rbac *r, const struct authz_attributes *at, struct arena *a, const char **ret_reason);
struct kerr *rbac_bootstrap(void) MUST_CHECK; /* default roles and bindings */

struct node_authorizer *node_authorizer_new(struct storage *st) MUST_CHECK;
void node_authorizer_free(struct node_authorizer *n);
bool node_authorizer_wait(struct node_authorizer *n, int64_t timeout_ms);
enum authz_decision node_authorizer_decide(struct node_authorizer *n, const struct authz_attributes *at, struct arena *a, const char **ret_reason);

#endif
