// SPDX-License-Identifier: Apache-2.0
/* rules_review.h - SelfSubjectRulesReview: all that RBAC allows a user in a namespace, for `kubectl auth can-i --list`. */
#ifndef CKUBE_APISERVER_RULES_REVIEW_H
#define CKUBE_APISERVER_RULES_REVIEW_H

#include "apiserver/authz/authz.h"

struct kerr *rules_review(struct authz *z, const struct user_info *user, struct arena *a, struct self_subject_rules_review *review) MUST_CHECK;

#endif
