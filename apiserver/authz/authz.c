// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authz/authz.h"

#include <string.h>

#include "apiserver/authz/authz_internal.h"
#include "apiserver/authz/rbac.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"

enum { MODES_MAX = 8 };

struct mode {
    const char *name;
    enum authz_decision (*decide)(struct authz *z, const struct authz_attributes *at, struct arena *a, const char **ret_reason);
};

struct authz {
    const struct mode *modes[MODES_MAX];
    size_t nmodes;
    struct rbac *rbac;
    struct node_authorizer *node;
};

static enum authz_decision
always_allow(struct authz *z, const struct authz_attributes *at, struct arena *a, const char **ret_reason)
{
    return AUTHZ_ALLOW;
}

static enum authz_decision
always_deny(struct authz *z, const struct authz_attributes *at, struct arena *a, const char **ret_reason)
{
    *ret_reason = "Everything is forbidden.";
    return AUTHZ_NO_OPINION;
}

static enum authz_decision
by_rbac(struct authz *z, const struct authz_attributes *at, struct arena *a, const char **ret_reason)
{
    return rbac_decide(z->rbac, at, a, ret_reason);
}

static enum authz_decision
by_node(struct authz *z, const struct authz_attributes *at, struct arena *a, const char **ret_reason)
{
    return node_authorizer_decide(z->node, at, a, ret_reason);
}

static const struct mode modes[] = {
    { "AlwaysAllow", always_allow },
    { "AlwaysDeny", always_deny },
    { "RBAC", by_rbac },
    { "Node", by_node },
};

static const struct mode *
find_mode(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (strcmp(modes[i].name, name) == 0)
            return &modes[i];
    return NULL;
}

static struct kerr *
unknown_mode(const char *name)
{
    if (str_eq(name, "Webhook") || str_eq(name, "ABAC"))
        return kerr_new(KERR_BAD_REQUEST, "--authorization-mode: %s is not implemented in this release; use Node,RBAC", name);
    return kerr_new(KERR_BAD_REQUEST, "--authorization-mode: \"%s\" is not a valid mode: AlwaysAllow, AlwaysDeny, RBAC, Node", name);
}

struct kerr *
authz_new(const struct strlist *names, struct storage *storage, struct authz **ret)
{
    struct authz *z = XNEW(struct authz);

    for (size_t i = 0; i < names->len; i++) {
        const struct mode *m = find_mode(names->items[i]);
        if (!m || z->nmodes == MODES_MAX) {
            authz_free(z);
            return unknown_mode(names->items[i]);
        }
        z->modes[z->nmodes++] = m;
        if (m->decide == by_rbac && !z->rbac)
            z->rbac = rbac_new(storage);
        if (m->decide == by_node && !z->node)
            z->node = node_authorizer_new(storage);
    }
    if (z->nmodes == 0)
        z->modes[z->nmodes++] = find_mode("AlwaysAllow");
    *ret = z;
    return NULL;
}

void
authz_free(struct authz *z)
{
    if (!z)
        return;
    rbac_free(z->rbac);
    node_authorizer_free(z->node);
    free(z);
}

struct rbac *
authz_rules(struct authz *z)
{
    return z->rbac;
}

bool
authz_has_node(const struct authz *z)
{
    return z->node != NULL;
}

bool
authz_allows_all(const struct authz *z)
{
    for (size_t i = 0; i < z->nmodes; i++)
        if (z->modes[i]->decide == always_allow)
            return true;
    return false;
}

enum { KNOWN_WITHIN_MS = 10000 };

struct kerr *
authz_bootstrap(struct authz *z)
{
    struct kerr *err = z->rbac ? rbac_bootstrap() : NULL;

    if (err)
        return err;
    /* Nobody is refused only because the rules are not read yet. */
    if ((z->rbac && !rbac_wait(z->rbac, KNOWN_WITHIN_MS)) || (z->node && !node_authorizer_wait(z->node, KNOWN_WITHIN_MS)))
        return kerr_new(KERR_TIMEOUT, "the authorizers have not read their objects within 10 s");
    return NULL;
}

enum authz_decision
authz_decide(struct authz *z, const struct authz_attributes *at, struct arena *a, const char **ret_reason)
{
    AUTO_SBUF reasons = { 0 };

    *ret_reason = "";
    if (user_in_group(at->user, GROUP_MASTERS))
        return AUTHZ_ALLOW;
    for (size_t i = 0; i < z->nmodes; i++) {
        const char *reason = "";
        enum authz_decision d = z->modes[i]->decide(z, at, a, &reason);
        if (d != AUTHZ_NO_OPINION) {
            *ret_reason = reason;
            return d;
        }
        if (*reason)
            sbuf_addf(&reasons, "%s%s", reasons.len ? "\n" : "", reason);
    }
    if (reasons.len)
        *ret_reason = arena_strdup(a, sbuf_str(&reasons));
    return AUTHZ_NO_OPINION;
}

static struct kerr *
forbidden(const struct authz_attributes *at, const char *reason)
{
    AUTO_SBUF text = { 0 };

    if (!at->is_resource) {
        sbuf_addf(&text, "User \"%s\" cannot %s path \"%s\"", str_safe(at->user->username), at->verb, str_safe(at->path));
        if (*reason)
            sbuf_addf(&text, ": %s", reason);
        return kerr_about(kerr_new(KERR_FORBIDDEN, "forbidden: %s", sbuf_str(&text)), NULL, NULL, NULL);
    }
    AUTO_FREE char *resource = str_empty(at->subresource) ? xstrdup(at->resource) : xasprintf("%s/%s", at->resource, at->subresource);
    sbuf_addf(&text, "User \"%s\" cannot %s resource \"%s\" in API group \"%s\"", str_safe(at->user->username), at->verb, resource,
              str_safe(at->group));
    if (!str_empty(at->ns))
        sbuf_addf(&text, " in the namespace \"%s\"", at->ns);
    else
        sbuf_adds(&text, " at the cluster scope");
    if (*reason)
        sbuf_addf(&text, ": %s", reason);
    return kerr_forbidden(at->group, at->resource, at->name, sbuf_str(&text));
}

struct kerr *
authz_check(struct authz *z, const struct authz_attributes *at, struct arena *a)
{
    const char *reason;

    return authz_decide(z, at, a, &reason) == AUTHZ_ALLOW ? NULL : forbidden(at, reason);
}
