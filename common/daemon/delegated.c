// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/delegated.h"

#include <pthread.h>
#include <uthash.h>

#include "api_types.h"
#include "common/api/object.h"
#include "common/base/clock.h"
#include "common/client/rest.h"

#define MAX_CACHED 4096
#define DEFAULT_TTL_MS 10000

struct cached { /* an answer for a token, or for a question */
    UT_hash_handle hh;
    uint64_t until_ms;
    bool yes;
    struct delegated_user user; /* of a good token */
    char key[];
};

struct delegated {
    struct delegated_config cfg; /* lists owned */
    pthread_mutex_t lock;        /* guards the two caches */
    struct cached *tokens, *answers;
};

/* --- users --- */

void
delegated_user_done(struct delegated_user *u)
{
    free(u->name);
    free(u->uid);
    strlist_done(&u->groups);
    for (size_t i = 0; i < u->nextra; i++) {
        free(u->extra[i].key);
        strlist_done(&u->extra[i].values);
    }
    free(u->extra);
    *u = (struct delegated_user){ 0 };
}

static void
copy_list(const struct strlist *from, struct strlist *ret)
{
    for (size_t i = 0; i < from->len; i++)
        strlist_add(ret, from->items[i]);
}

static void
user_copy(const struct delegated_user *from, struct delegated_user *ret)
{
    *ret = (struct delegated_user){ .name = xstrdup(from->name), .uid = xstrdup(from->uid), .nextra = from->nextra };
    copy_list(&from->groups, &ret->groups);
    if (from->nextra)
        ret->extra = xcalloc(from->nextra, sizeof *ret->extra);
    for (size_t i = 0; i < from->nextra; i++) {
        ret->extra[i].key = xstrdup(from->extra[i].key);
        copy_list(&from->extra[i].values, &ret->extra[i].values);
    }
}

static void
add_group_once(struct delegated_user *u, const char *group)
{
    if (!strlist_has(&u->groups, group))
        strlist_add(&u->groups, group);
}

static void
user_from_info(const struct user_info *info, struct delegated_user *ret)
{
    ret->name = xstrdup(str_safe(info->username));
    ret->uid = xstrdup(info->uid);
    for (uint32_t i = 0; i < info->groups.len; i++)
        strlist_add(&ret->groups, info->groups.items[i]);
    if (info->extra.len)
        ret->extra = xcalloc(info->extra.len, sizeof *ret->extra);
    for (uint32_t i = 0; i < info->extra.len; i++) {
        ret->extra[i].key = xstrdup(info->extra.items[i].key);
        for (uint32_t j = 0; j < info->extra.items[i].value.len; j++)
            strlist_add(&ret->extra[i].values, info->extra.items[i].value.items[j]);
    }
    ret->nextra = info->extra.len;
    add_group_once(ret, "system:authenticated");
}

/* --- caches, with the lock held --- */

static void
cached_free(struct cached **table, struct cached *c)
{
    HASH_DEL(*table, c);
    delegated_user_done(&c->user);
    explicit_bzero(c->key, strlen(c->key)); /* may be a token */
    free(c);
}

static struct cached *
cache_find(struct cached **table, const char *key, uint64_t now_ms)
{
    struct cached *c;

    HASH_FIND_STR(*table, key, c);
    if (c && c->until_ms <= now_ms) {
        cached_free(table, c);
        c = NULL;
    }
    return c;
}

static struct cached *
cache_put(struct cached **table, const char *key, bool yes, uint64_t until_ms)
{
    struct cached *c;
    size_t len = strlen(key);

    HASH_FIND_STR(*table, key, c);
    if (c)
        cached_free(table, c);
    while (HASH_COUNT(*table) >= MAX_CACHED)
        cached_free(table, *table); /* the oldest */
    c = xcalloc(1, sizeof *c + len + 1);
    memcpy(c->key, key, len);
    c->yes = yes;
    c->until_ms = until_ms;
    HASH_ADD_KEYPTR(hh, *table, c->key, len, c);
    return c;
}

static void
cache_clear(struct cached **table)
{
    while (*table)
        cached_free(table, *table);
}

/* --- life --- */

struct delegated *
delegated_new(const struct delegated_config *cfg)
{
    struct delegated *d = XNEW(struct delegated);

    d->cfg = *cfg;
    d->cfg.allowed_paths = (struct strlist){ 0 };
    d->cfg.proxy_names = (struct strlist){ 0 };
    copy_list(&cfg->allowed_paths, &d->cfg.allowed_paths);
    copy_list(&cfg->proxy_names, &d->cfg.proxy_names);
    if (!d->cfg.token_ttl_ms)
        d->cfg.token_ttl_ms = DEFAULT_TTL_MS;
    if (!d->cfg.allowed_ttl_ms)
        d->cfg.allowed_ttl_ms = DEFAULT_TTL_MS;
    if (!d->cfg.denied_ttl_ms)
        d->cfg.denied_ttl_ms = DEFAULT_TTL_MS;
    rest_ref(d->cfg.authn);
    rest_ref(d->cfg.authz);
    pthread_mutex_init(&d->lock, NULL);
    return d;
}

void
delegated_free(struct delegated *d)
{
    if (!d)
        return;
    cache_clear(&d->tokens);
    cache_clear(&d->answers);
    rest_unref(d->cfg.authn);
    rest_unref(d->cfg.authz);
    strlist_done(&d->cfg.allowed_paths);
    strlist_done(&d->cfg.proxy_names);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

/* --- who --- */

static struct kerr *
review_token(struct delegated *d, const char *token, struct delegated_user *ret, bool *ret_good)
{
    AUTO(object) *ask = object_new_of("authentication.k8s.io/v1", "TokenReview");
    AUTO(object) *answer = NULL;

    ((struct token_review *)object_body(ask))->spec.token = arena_strdup(object_arena(ask), token);
    struct kerr *err = rest_create(d->cfg.authn, ask, &answer);
    if (err)
        return kerr_wrap(err, "token review");
    const struct token_review *review = OBJECT_BODY(answer, token_review);
    *ret_good = review->status.authenticated;
    if (*ret_good)
        user_from_info(&review->status.user, ret);
    return NULL;
}

static struct kerr *
user_of_token(struct delegated *d, const char *token, struct delegated_user *ret)
{
    uint64_t now = clock_mono_ms();
    struct delegated_user user = { 0 };
    bool known = false, good = false;

    if (!d->cfg.authn || str_empty(token))
        return kerr_new(KERR_UNAUTHORIZED, "Unauthorized");
    pthread_mutex_lock(&d->lock);
    struct cached *c = cache_find(&d->tokens, token, now);
    if (c) {
        known = true;
        good = c->yes;
        if (good)
            user_copy(&c->user, &user);
    }
    pthread_mutex_unlock(&d->lock);
    if (!known) {
        struct kerr *err = review_token(d, token, &user, &good);
        if (err)
            return err;
        pthread_mutex_lock(&d->lock);
        c = cache_put(&d->tokens, token, good, now + (uint64_t)(good ? d->cfg.token_ttl_ms : DEFAULT_TTL_MS));
        if (good)
            user_copy(&user, &c->user);
        pthread_mutex_unlock(&d->lock);
    }
    if (!good)
        return kerr_new(KERR_UNAUTHORIZED, "Unauthorized");
    *ret = user;
    return NULL;
}

struct kerr *
delegated_authenticate(struct delegated *d, const struct delegated_credential *cred, struct delegated_user *ret)
{
    struct delegated_user user = { 0 };

    if (!str_empty(cred->cert_common_name)) {
        user.name = xstrdup(cred->cert_common_name);
        if (cred->cert_organizations)
            copy_list(cred->cert_organizations, &user.groups);
        add_group_once(&user, "system:authenticated");
    } else if (cred->bearer_token) {
        return user_of_token(d, cred->bearer_token, ret);
    } else if (d->cfg.anonymous) {
        user.name = xstrdup("system:anonymous");
        strlist_add(&user.groups, "system:unauthenticated");
    } else {
        return kerr_new(KERR_UNAUTHORIZED, "Unauthorized");
    }
    *ret = user;
    return NULL;
}

/* --- may they --- */

bool
delegated_path_allowed(const struct delegated *d, const char *path)
{
    for (size_t i = 0; i < d->cfg.allowed_paths.len; i++) {
        const char *p = d->cfg.allowed_paths.items[i];
        size_t len = strlen(p);
        if (strcmp(p, path) == 0 || (len && p[len - 1] == '*' && strncmp(p, path, len - 1) == 0))
            return true;
    }
    return false;
}

static struct kerr *
forbidden(const struct delegated_user *user, const struct delegated_access *what)
{
    if (!str_empty(what->path))
        return kerr_new(KERR_FORBIDDEN, "forbidden: User \"%s\" cannot %s path \"%s\"", user->name, what->verb, what->path);
    return kerr_new(KERR_FORBIDDEN, "Forbidden (user=%s, verb=%s, resource=%s, subresource(s)=[%s])", user->name, what->verb,
                    str_safe(what->resource), str_safe(what->subresource));
}

static char *
question_key(const struct delegated_user *user, const struct delegated_access *w)
{
    struct sbuf key = { 0 };
    const char *const parts[] = { user->name, user->uid, w->verb, w->path, w->group, w->resource, w->subresource, w->name, w->namespace };

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        sbuf_addf(&key, "%s\x1f", str_safe(parts[i]));
    for (size_t i = 0; i < user->groups.len; i++)
        sbuf_addf(&key, "%s\x1f", user->groups.items[i]);
    for (size_t i = 0; i < user->nextra; i++) {
        sbuf_addf(&key, "%s\x1e", user->extra[i].key);
        for (size_t j = 0; j < user->extra[i].values.len; j++)
            sbuf_addf(&key, "%s\x1f", user->extra[i].values.items[j]);
    }
    return sbuf_steal(&key);
}

static struct string_slice
slice_of(struct arena *a, const struct strlist *l)
{
    struct string_slice s = { 0 };

    if (!l->len)
        return s;
    s.items = arena_alloc(a, l->len * sizeof(char *));
    s.cap = (uint32_t)l->len;
    for (size_t i = 0; i < l->len; i++)
        s.items[s.len++] = arena_strdup(a, l->items[i]);
    return s;
}

static int
extra_cmp(const void *a, const void *b)
{
    return strcmp(((const struct strings_map_entry *)a)->key, ((const struct strings_map_entry *)b)->key);
}

static struct object *
access_review(const struct delegated_user *user, const struct delegated_access *w)
{
    struct object *obj = object_new_of("authorization.k8s.io/v1", "SubjectAccessReview");
    struct arena *a = object_arena(obj);
    struct subject_access_review_spec *spec = &((struct subject_access_review *)object_body(obj))->spec;

    spec->user = arena_strdup(a, user->name);
    spec->uid = arena_strdup(a, user->uid);
    spec->groups = slice_of(a, &user->groups);
    if (user->nextra)
        spec->extra.items = arena_alloc(a, user->nextra * sizeof *spec->extra.items);
    for (size_t i = 0; i < user->nextra; i++)
        spec->extra.items[spec->extra.len++] =
            (struct strings_map_entry){ arena_strdup(a, user->extra[i].key), slice_of(a, &user->extra[i].values) };
    if (spec->extra.len > 1)
        qsort(spec->extra.items, spec->extra.len, sizeof *spec->extra.items, extra_cmp);
    if (!str_empty(w->path)) {
        spec->non_resource_attributes = ARENA_NEW(a, struct non_resource_attributes);
        spec->non_resource_attributes->path = arena_strdup(a, w->path);
        spec->non_resource_attributes->verb = arena_strdup(a, w->verb);
        return obj;
    }
    spec->resource_attributes = ARENA_NEW(a, struct resource_attributes);
    *spec->resource_attributes = (struct resource_attributes){
        .namespace = arena_strdup(a, w->namespace),
        .verb = arena_strdup(a, w->verb),
        .group = arena_strdup(a, w->group),
        .version = "*",
        .resource = arena_strdup(a, w->resource),
        .subresource = arena_strdup(a, w->subresource),
        .name = arena_strdup(a, w->name),
    };
    return obj;
}

static struct kerr *
ask_apiserver(struct delegated *d, const struct delegated_user *user, const struct delegated_access *what, bool *ret_allowed)
{
    AUTO(object) *ask = access_review(user, what);
    AUTO(object) *answer = NULL;
    struct kerr *err = rest_create(d->cfg.authz, ask, &answer);

    if (err)
        return kerr_wrap(err, "subject access review");
    *ret_allowed = OBJECT_BODY(answer, subject_access_review)->status.allowed;
    return NULL;
}

struct kerr *
delegated_authorize(struct delegated *d, const struct delegated_user *user, const struct delegated_access *what)
{
    bool known = false, allowed = false;
    uint64_t now = clock_mono_ms();

    if (d->cfg.always_allow || strlist_has(&user->groups, "system:masters"))
        return NULL;
    if (!str_empty(what->path) && delegated_path_allowed(d, what->path))
        return NULL;
    if (!d->cfg.authz)
        return forbidden(user, what);
    AUTO_FREE char *key = question_key(user, what);
    pthread_mutex_lock(&d->lock);
    struct cached *c = cache_find(&d->answers, key, now);
    if (c) {
        known = true;
        allowed = c->yes;
    }
    pthread_mutex_unlock(&d->lock);
    if (!known) {
        struct kerr *err = ask_apiserver(d, user, what, &allowed);
        if (err)
            return err;
        pthread_mutex_lock(&d->lock);
        cache_put(&d->answers, key, allowed, now + (uint64_t)(allowed ? d->cfg.allowed_ttl_ms : d->cfg.denied_ttl_ms));
        pthread_mutex_unlock(&d->lock);
    }
    return allowed ? NULL : forbidden(user, what);
}
