// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authn/authn.h"

#include <string.h>
#include <strings.h>

#include "apiserver/authn/authn_internal.h"
#include "common/base/klog.h"
#include "common/net/http_server.h"
#include "common/net/tls.h"

/* --- helpers --- */

bool
user_in_group(const struct user_info *user, const char *group)
{
    for (uint32_t i = 0; i < user->groups.len; i++)
        if (strcmp(user->groups.items[i], group) == 0)
            return true;
    return false;
}

void
user_add_group(struct user_info *user, struct arena *a, const char *group)
{
    struct string_slice *g = &user->groups;

    g->items = arena_grow(a, g->items, g->len * sizeof *g->items, (g->len + 1) * sizeof *g->items);
    g->items[g->len++] = group;
    g->cap = g->len;
}

static struct kerr *
nobody(void)
{
    return kerr_new(KERR_UNAUTHORIZED, "Unauthorized");
}

/* --- front proxy: names in headers, believed from clients whose certificate the proxy's authority signed --- */

static enum authn_step
by_request_header(struct authn *n, const struct http_request *req, struct arena *a, struct user_info *ret)
{
    const struct authn_proxy *p = &n->proxy;

    if (!p->on || !req->identity || !(req->identity->trusted_by & (1u << TLS_CA_REQUESTHEADER)))
        return AUTHN_NEXT;
    if (p->allowed_names.len && !strlist_has(&p->allowed_names, req->identity->common_name))
        return AUTHN_NEXT;
    const char *name = NULL;
    for (size_t i = 0; !name && i < p->username_headers.len; i++)
        name = http_header_get(req->headers, req->nheaders, p->username_headers.items[i]);
    if (str_empty(name))
        return AUTHN_NEXT;
    ret->username = arena_strdup(a, name);
    for (size_t i = 0; i < p->group_headers.len; i++)
        for (const char *v = NULL; (v = http_header_next(req->headers, req->nheaders, p->group_headers.items[i], v));)
            user_add_group(ret, a, arena_strdup(a, v));
    for (size_t i = 0; i < req->nheaders; i++)
        for (size_t j = 0; j < p->extra_prefixes.len; j++)
            if (strncasecmp(req->headers[i].name, p->extra_prefixes.items[j], strlen(p->extra_prefixes.items[j])) == 0) {
                AUTO_FREE char *key = str_lower(req->headers[i].name + strlen(p->extra_prefixes.items[j]));
                user_add_extra(ret, a, key, req->headers[i].value);
            }
    return AUTHN_FOUND;
}

void
user_add_extra(struct user_info *user, struct arena *a, const char *key, const char *value)
{
    struct strings_map *m = &user->extra;
    uint32_t at = 0;

    while (at < m->len && strcmp(m->items[at].key, key) < 0)
        at++;
    if (at == m->len || strcmp(m->items[at].key, key) != 0) {
        m->items = arena_grow(a, m->items, m->len * sizeof *m->items, (m->len + 1) * sizeof *m->items);
        memmove(&m->items[at + 1], &m->items[at], (m->len - at) * sizeof *m->items);
        m->items[at] = (struct strings_map_entry){ .key = arena_strdup(a, key) };
        m->cap = ++m->len;
    }
    struct string_slice *v = &m->items[at].value;
    v->items = arena_grow(a, v->items, v->len * sizeof *v->items, (v->len + 1) * sizeof *v->items);
    v->items[v->len++] = arena_strdup(a, value);
    v->cap = v->len;
}

/* --- client certificate: CN is the user, O the groups --- */

static enum authn_step
by_certificate(struct authn *n, const struct http_request *req, struct arena *a, struct user_info *ret)
{
    const struct tls_identity *id = req->identity;

    if (!n->client_ca || !id || !(id->trusted_by & (1u << TLS_CA_CLIENT)) || str_empty(id->common_name))
        return AUTHN_NEXT;
    ret->username = arena_strdup(a, id->common_name);
    for (size_t i = 0; i < id->organizations.len; i++)
        user_add_group(ret, a, arena_strdup(a, id->organizations.items[i]));
    AUTO_FREE char *credential = xasprintf("X509SHA256=%s", str_safe(id->fingerprint));
    user_add_extra(ret, a, "authentication.kubernetes.io/credential-id", credential);
    return AUTHN_FOUND;
}

/* --- bearer tokens --- */

static enum authn_step
by_static_token(struct authn *n, const char *token, struct arena *a, struct user_info *ret)
{
    for (size_t i = 0; i < n->ntokens; i++) {
        const struct static_token *t = &n->tokens[i];
        size_t len = strlen(t->token);
        if (strlen(token) != len || !same_secret(token, t->token, len))
            continue;
        ret->username = t->user;
        ret->uid = t->uid;
        for (size_t g = 0; g < t->groups.len; g++)
            user_add_group(ret, a, t->groups.items[g]);
        return AUTHN_FOUND;
    }
    return AUTHN_NEXT;
}

static enum authn_step
by_bearer(struct authn *n, const char *token, const struct string_slice *audiences, struct arena *a, struct user_info *ret,
          struct string_slice *ret_audiences)
{
    enum authn_step step = by_static_token(n, token, a, ret);

    if (step == AUTHN_NEXT)
        step = sa_token_identify(n, token, audiences, a, ret, ret_audiences);
    if (step == AUTHN_NEXT && n->bootstrap_tokens)
        step = bootstrap_token_identify(n, token, a, ret);
    return step;
}

static const char *
bearer_of(const struct http_request *req)
{
    const char *value = http_header_get(req->headers, req->nheaders, "Authorization");

    if (!value || strncasecmp(value, "bearer ", 7) != 0)
        return NULL;
    value += 7;
    return value + strspn(value, " ");
}

static void
authenticated(struct user_info *user, struct arena *a)
{
    if (!user_in_group(user, GROUP_AUTHENTICATED) && !user_in_group(user, GROUP_UNAUTHENTICATED) && !str_eq(user->username, USER_ANONYMOUS))
        user_add_group(user, a, GROUP_AUTHENTICATED);
}

struct kerr *
authn_token(struct authn *n, const char *token, const struct string_slice *audiences, struct arena *a, struct user_info *ret,
            struct string_slice *ret_audiences)
{
    struct user_info user = { 0 };

    if (by_bearer(n, token, audiences, a, &user, ret_audiences) != AUTHN_FOUND)
        return nobody();
    authenticated(&user, a);
    *ret = user;
    return NULL;
}

struct kerr *
authn_identify(struct authn *n, const struct http_request *req, struct arena *a, struct user_info *ret)
{
    struct user_info user = { 0 };
    struct string_slice audiences = { 0 };
    const char *token = bearer_of(req);
    enum authn_step step = by_request_header(n, req, a, &user);

    if (step == AUTHN_NEXT)
        step = by_certificate(n, req, a, &user);
    if (step == AUTHN_NEXT && !str_empty(token)) {
        step = by_bearer(n, token, NULL, a, &user, &audiences);
        if (step == AUTHN_NEXT)
            step = AUTHN_REFUSED; /* a wrong token is never anonymous */
    }
    if (step == AUTHN_REFUSED)
        return nobody();
    if (step == AUTHN_NEXT) {
        if (req->identity && req->identity->refused)
            log_v(2, "Client certificate refused", "peer", req->peer, "subject", req->identity->subject, "why", req->identity->refused);
        if (!n->anonymous)
            return nobody();
        user.username = USER_ANONYMOUS;
        user_add_group(&user, a, GROUP_UNAUTHENTICATED);
    }
    authenticated(&user, a);
    *ret = user;
    return NULL;
}

/* --- making it --- */

static void
copy_list(struct strlist *to, const struct strlist *from)
{
    for (size_t i = 0; from && i < from->len; i++)
        strlist_add(to, from->items[i]);
}

struct kerr *
authn_new(const struct authn_config *config, struct authn **ret)
{
    struct authn *n = XNEW(struct authn);
    struct kerr *err = NULL;

    n->storage = config->storage;
    n->anonymous = config->anonymous;
    n->client_ca = config->client_ca;
    n->bootstrap_tokens = config->bootstrap_tokens;
    n->proxy.on = config->requestheader_username_headers != NULL;
    copy_list(&n->proxy.allowed_names, config->requestheader_allowed_names);
    copy_list(&n->proxy.username_headers, config->requestheader_username_headers);
    copy_list(&n->proxy.group_headers, config->requestheader_group_headers);
    copy_list(&n->proxy.extra_prefixes, config->requestheader_extra_prefixes);
    if (!str_empty(config->token_auth_file))
        err = token_file_read(config->token_auth_file, &n->tokens, &n->ntokens);
    if (!err)
        err = sa_keys_new(config, &n->sa);
    if (err) {
        authn_free(n);
        return err;
    }
    *ret = n;
    return NULL;
}

void
authn_free(struct authn *n)
{
    if (!n)
        return;
    token_file_free(n->tokens, n->ntokens);
    sa_keys_free(n->sa);
    strlist_done(&n->proxy.allowed_names);
    strlist_done(&n->proxy.username_headers);
    strlist_done(&n->proxy.group_headers);
    strlist_done(&n->proxy.extra_prefixes);
    free(n);
}
