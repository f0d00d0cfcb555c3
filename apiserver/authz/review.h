// SPDX-License-Identifier: Apache-2.0
/* review.h - the review kinds: TokenReview, SubjectAccessReview and its relatives.  Nothing is stored.  Any thread. */
#ifndef CKUBE_APISERVER_REVIEW_H
#define CKUBE_APISERVER_REVIEW_H

#include "apiserver/authz/authz.h"
#include "common/api/object.h"

/* Answers in place: fills the status of `review`, an object of one of the review kinds, private to the caller. */
struct kerr *review_fill(struct authn *n, struct authz *z, const struct user_info *user, const char *ns, struct object *review) MUST_CHECK;

#endif
