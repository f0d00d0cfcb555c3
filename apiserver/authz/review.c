// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authz/review.h"

#include <string.h>

#include "apiserver/authz/rules_review.h"
#include "common/api/codec.h"
#include "common/base/str.h"

/* --- access reviews --- */

static struct authz_attributes
attributes_of(const struct resource_attributes *r, const struct non_resource_attributes *n, const struct user_info *user)
{
    struct authz_attributes at = { .user = user };

    if (r) {
        at.is_resource = true;
        at.verb = str_safe(r->verb);
        at.group = str_safe(r->group);
        at.version = str_safe(r->version);
        at.resource = str_safe(r->resource);
        at.subresource = str_safe(r->subresource);
        at.ns = str_safe(r->namespace);
        at.name = str_safe(r->name);
    } else if (n) {
        at.verb = str_safe(n->verb);
        at.path = str_safe(n->path);
    }
    return at;
}

static struct kerr *
answer(struct authz *z, struct arena *a, const struct resource_attributes *r, const struct non_resource_attributes *n,
       const struct user_info *user, struct subject_access_review_status *ret)
{
    if (!r == !n)
        return kerr_new(KERR_INVALID, "spec: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified");
    const struct authz_attributes at = attributes_of(r, n, user);
    const char *reason;
    enum authz_decision d = authz_decide(z, &at, a, &reason);

    ret->allowed = d == AUTHZ_ALLOW;
    ret->denied = d == AUTHZ_DENY;
    ret->reason = reason;
    return NULL;
}

static struct kerr *
subject_review(struct authz *z, struct arena *a, struct subject_access_review_spec *spec, struct subject_access_review_status *status)
{
    struct user_info user = { .username = spec->user, .uid = spec->uid, .groups = spec->groups, .extra = spec->extra };

    if (str_empty(spec->user) && spec->groups.len == 0)
        return kerr_new(KERR_INVALID, "spec.user: Invalid value: \"\": at least one of user or group must be specified");
    return answer(z, a, spec->resource_attributes, spec->non_resource_attributes, &user, status);
}

/* --- who a token is --- */

static void
token_review(struct authn *n, struct arena *a, struct token_review *t)
{
    struct string_slice audiences = { 0 };
    struct user_info user = { 0 };
    AUTO(kerr) *err = authn_token(n, str_safe(t->spec.token), &t->spec.audiences, a, &user, &audiences);

    t->status = (struct token_review_status){ 0 };
    if (err) {
        t->status.error = str_empty(t->spec.token) ? NULL : "invalid bearer token";
    } else {
        t->status.authenticated = true;
        t->status.user = user;
        t->status.audiences = audiences;
    }
    t->spec.token = NULL; /* it does not come back */
}

struct kerr *
review_fill(struct authn *n, struct authz *z, const struct user_info *user, const char *ns, struct object *review)
{
    const char *kind = object_kind(review)->kind;
    struct arena *a = object_arena(review);

    if (strcmp(kind, "TokenReview") == 0) {
        token_review(n, a, OBJECT_BODY(review, token_review));
        return NULL;
    }
    if (strcmp(kind, "SelfSubjectReview") == 0) {
        api_copy(&api_type_user_info, a, user, &OBJECT_BODY(review, self_subject_review)->status.user_info);
        return NULL;
    }
    if (strcmp(kind, "SubjectAccessReview") == 0) {
        struct subject_access_review *r = OBJECT_BODY(review, subject_access_review);
        return subject_review(z, a, &r->spec, &r->status);
    }
    if (strcmp(kind, "SelfSubjectAccessReview") == 0) {
        struct self_subject_access_review *r = OBJECT_BODY(review, self_subject_access_review);
        return answer(z, a, r->spec.resource_attributes, r->spec.non_resource_attributes, user, &r->status);
    }
    if (strcmp(kind, "LocalSubjectAccessReview") == 0) {
        struct local_subject_access_review *r = OBJECT_BODY(review, local_subject_access_review);
        if (r->spec.resource_attributes && !str_eq(r->spec.resource_attributes->namespace, ns))
            return kerr_new(KERR_INVALID, "spec.resourceAttributes.namespace: Invalid value: must match metadata.namespace");
        return subject_review(z, a, &r->spec, &r->status);
    }
    if (strcmp(kind, "SelfSubjectRulesReview") == 0)
        return rules_review(z, user, a, OBJECT_BODY(review, self_subject_rules_review));
    return kerr_new(KERR_METHOD_NOT_ALLOWED, "the server does not allow this method on the requested resource");
}
