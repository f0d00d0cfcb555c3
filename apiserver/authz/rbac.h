// SPDX-License-Identifier: Apache-2.0
/* rbac.h - what the write path and the reviews need of RBAC beyond decisions.  Any thread. */
#ifndef CKUBE_APISERVER_RBAC_H
#define CKUBE_APISERVER_RBAC_H

#include "apiserver/authz/authz.h"

struct rbac;

struct rbac *authz_rules(struct authz *z); /* NULL: RBAC is not in the chain */

bool rbac_rule_allows(const struct policy_rule *rule, const struct authz_attributes *at);
/* All rules that reach the user in a namespace ("" = cluster-wide ones only), copied into `a`. */
void rbac_rules_of(struct rbac *r, const struct user_info *user, const char *ns, struct arena *a, struct policy_rule_slice *ret);

#endif
