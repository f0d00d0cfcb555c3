// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authn/impersonate.h"

#include <string.h>
#include <strings.h>

#include "apiserver/authn/authn_internal.h"
#include "common/base/str.h"

#define EXTRA_PREFIX "Impersonate-Extra-"
#define ACCOUNT_PREFIX "system:serviceaccount:"

/* One thing somebody wants to be, as the resource it is for the authorizer. */
static struct kerr *
may_be(struct authz *z, struct arena *a, const struct user_info *who, const char *group, const char *resource, const char *sub,
       const char *ns, const char *name)
{
    const struct authz_attributes attributes = {
        .user = who,
        .verb = "impersonate",
        .is_resource = true,
        .group = group,
        .version = "v1",
        .resource = resource,
        .subresource = sub,
        .ns = ns,
        .name = name,
    };

    return authz_check(z, &attributes, a);
}

static struct kerr *
may_be_user(struct authz *z, struct arena *a, const struct user_info *who, const char *name)
{
    const char *colon;

    if (!str_has_prefix(name, ACCOUNT_PREFIX) || !(colon = strchr(name + strlen(ACCOUNT_PREFIX), ':')))
        return may_be(z, a, who, "", "users", "", "", name);
    const char *ns = name + strlen(ACCOUNT_PREFIX);
    return may_be(z, a, who, "", "serviceaccounts", "", arena_strndup(a, ns, (size_t)(colon - ns)), colon + 1);
}

static struct kerr *
take_groups(struct authz *z, const struct http_request *req, struct arena *a, const struct user_info *who, struct user_info *as)
{
    for (const char *g = NULL; (g = http_header_next(req->headers, req->nheaders, "Impersonate-Group", g));) {
        struct kerr *err = may_be(z, a, who, "", "groups", "", "", g);
        if (err)
            return err;
        user_add_group(as, a, arena_strdup(a, g));
    }
    return NULL;
}

static struct kerr *
take_extra(struct authz *z, const struct http_request *req, struct arena *a, const struct user_info *who, struct user_info *as)
{
    for (size_t i = 0; i < req->nheaders; i++) {
        if (strncasecmp(req->headers[i].name, EXTRA_PREFIX, strlen(EXTRA_PREFIX)) != 0)
            continue;
        AUTO_FREE char *key = str_lower(req->headers[i].name + strlen(EXTRA_PREFIX));
        struct kerr *err = may_be(z, a, who, "authentication.k8s.io", "userextras", key, "", req->headers[i].value);
        if (err)
            return err;
        user_add_extra(as, a, key, req->headers[i].value);
    }
    return NULL;
}

static void
add_account_groups(struct user_info *as, struct arena *a)
{
    const char *ns = as->username + strlen(ACCOUNT_PREFIX), *colon = strchr(ns, ':');

    user_add_group(as, a, "system:serviceaccounts");
    if (colon)
        user_add_group(as, a, arena_printf(a, "system:serviceaccounts:%.*s", (int)(colon - ns), ns));
}

struct kerr *
impersonate(struct authz *z, const struct http_request *req, struct arena *a, struct user_info *user)
{
    const char *name = http_header_get(req->headers, req->nheaders, "Impersonate-User");
    const char *uid = http_header_get(req->headers, req->nheaders, "Impersonate-Uid");
    struct user_info as = { 0 };
    struct kerr *err;

    if (str_empty(name)) {
        bool more = uid || http_header_get(req->headers, req->nheaders, "Impersonate-Group");
        for (size_t i = 0; i < req->nheaders; i++)
            more |= strncasecmp(req->headers[i].name, EXTRA_PREFIX, strlen(EXTRA_PREFIX)) == 0;
        return more ? kerr_new(KERR_INTERNAL, "requested [] without impersonating a user") : NULL;
    }
    if ((err = may_be_user(z, a, user, name)))
        return err;
    as.username = arena_strdup(a, name);
    if (!str_empty(uid)) {
        if ((err = may_be(z, a, user, "authentication.k8s.io", "uids", "", "", uid)))
            return err;
        as.uid = arena_strdup(a, uid);
    }
    if ((err = take_groups(z, req, a, user, &as)) || (err = take_extra(z, req, a, user, &as)))
        return err;
    if (str_has_prefix(name, ACCOUNT_PREFIX) && as.groups.len == 0)
        add_account_groups(&as, a);
    if (str_eq(name, USER_ANONYMOUS)) {
        if (!user_in_group(&as, GROUP_UNAUTHENTICATED))
            user_add_group(&as, a, GROUP_UNAUTHENTICATED);
    } else if (!user_in_group(&as, GROUP_AUTHENTICATED)) {
        user_add_group(&as, a, GROUP_AUTHENTICATED);
    }
    *user = as;
    return NULL;
}
