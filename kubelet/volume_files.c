// SPDX-License-Identifier: Apache-2.0
/* What files a configMap, secret, downwardAPI or projected volume holds. */
#include <pthread.h>
#include <stdio.h>

#include "common/api/meta.h"
#include "common/base/file.h"
#include "kubelet/downward.h"
#include "kubelet/pod_util.h"
#include "kubelet/volumes.h"

#define DEFAULT_MODE 0644
#define TOKEN_EXPIRATION_S 3607
#define TOKEN_MAX 65536
#define MAX_TOKENS 4096

struct build {
    const struct pod_facts *f;
    const struct object_source *src;
    struct file_set *out;
    int64_t now_s;
};

static mode_t
mode_or(const int32_t *mode, mode_t fallback)
{
    return mode ? (mode_t)*mode : fallback;
}

static bool
is_true(const bool *p)
{
    return p && *p;
}

/* A key of the object; false: not there. */
static bool
value_of(const struct object *obj, const char *key, const void **ret, size_t *ret_len)
{
    const struct config_map *cm = OBJECT_BODY(obj, config_map);
    const struct secret *s = OBJECT_BODY(obj, secret);
    const struct bytes_map *bytes = cm ? &cm->binary_data : &s->data;
    const char *text = cm ? string_map_get(&cm->data, key) : NULL;

    if (text) {
        *ret = text;
        *ret_len = strlen(text);
        return true;
    }
    for (uint32_t i = 0; i < bytes->len; i++)
        if (!strcmp(bytes->items[i].key, key)) {
            *ret = bytes->items[i].value.data;
            *ret_len = bytes->items[i].value.len;
            return true;
        }
    return false;
}

static void
add_all(struct build *b, const struct object *obj, mode_t mode)
{
    const struct config_map *cm = OBJECT_BODY(obj, config_map);
    const struct secret *s = OBJECT_BODY(obj, secret);
    const struct bytes_map *bytes = cm ? &cm->binary_data : &s->data;

    for (uint32_t i = 0; cm && i < cm->data.len; i++)
        file_set_add(b->out, cm->data.items[i].key, str_safe(cm->data.items[i].value), strlen(str_safe(cm->data.items[i].value)), mode);
    for (uint32_t i = 0; i < bytes->len; i++)
        file_set_add(b->out, bytes->items[i].key, bytes->items[i].value.data, bytes->items[i].value.len, mode);
}

static struct kerr *
add_object(struct build *b, const char *kind, const char *name, const struct key_to_path_slice *items, bool optional, mode_t mode)
{
    const char *ns = b->f->pod->metadata.namespace;
    AUTO(object) *obj = NULL;
    struct kerr *err = b->src->get(b->src->arg, kind, ns, name, &obj);

    if (err) {
        if (err->reason != KERR_NOT_FOUND || !optional)
            return err;
        kerr_free(err);
        return NULL;
    }
    if (!items->len) {
        add_all(b, obj, mode);
        return NULL;
    }
    for (uint32_t i = 0; i < items->len; i++) {
        const struct key_to_path *k = &items->items[i];
        const void *data;
        size_t len;

        if (value_of(obj, k->key, &data, &len))
            file_set_add(b->out, k->path, data, len, mode_or(k->mode, mode));
        else if (!optional)
            return kerr_new(KERR_NOT_FOUND, "%s \"%s/%s\" references non-existent key: %s", kind, ns, name, k->key);
    }
    return NULL;
}

static struct kerr *
add_downward(struct build *b, const struct downward_api_volume_file_slice *items, mode_t mode)
{
    for (uint32_t i = 0; i < items->len; i++) {
        const struct downward_api_volume_file *it = &items->items[i];
        AUTO_SBUF value = { 0 };
        struct kerr *err = it->field_ref            ? downward_field(b->f, it->field_ref->field_path, &value)
                           : it->resource_field_ref ? downward_resource(b->f, NULL, it->resource_field_ref, &value)
                                                    : NULL;

        if (err)
            return err;
        file_set_add(b->out, it->path, sbuf_str(&value), value.len, mode_or(it->mode, mode));
    }
    return NULL;
}

/* --- service account tokens: kept until 80 % of their life (at most 24 hours) are over --- */

struct token_row {
    char *file; /* full path: one token per file */
    int64_t renew_s;
};
static pthread_mutex_t token_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below */
static struct token_row *tokens;
static size_t ntokens;

static int64_t
token_renewal(const char *file)
{
    int64_t at = 0;

    pthread_mutex_lock(&token_lock);
    for (size_t i = 0; i < ntokens; i++)
        if (!strcmp(tokens[i].file, file))
            at = tokens[i].renew_s;
    pthread_mutex_unlock(&token_lock);
    return at;
}

static void
token_remember(const char *file, int64_t renew_s, int64_t now_s)
{
    struct token_row *row = NULL;

    pthread_mutex_lock(&token_lock);
    for (size_t i = 0; i < ntokens && !row; i++)
        if (!strcmp(tokens[i].file, file))
            row = &tokens[i];
    for (size_t i = 0; i < ntokens && !row && ntokens >= MAX_TOKENS / 4; i++)
        if (tokens[i].renew_s < now_s - 86400) { /* of a pod long gone */
            free(tokens[i].file);
            tokens[i].file = xstrdup(file);
            row = &tokens[i];
        }
    if (!row && ntokens < MAX_TOKENS) {
        tokens = xreallocarray(tokens, ntokens + 1, sizeof *tokens);
        row = &tokens[ntokens++];
        row->file = xstrdup(file);
    }
    if (row)
        row->renew_s = renew_s;
    pthread_mutex_unlock(&token_lock);
}

static void
earliest(int64_t *at, int64_t candidate)
{
    if (!*at || candidate < *at)
        *at = candidate;
}

/* All containers run as one user: the token file may be his alone. */
static const int64_t *
common_user(const struct pod *pod)
{
    AUTO(arena) *a = arena_new(0);
    struct pod_container *all;
    size_t n = pod_containers(pod, a, &all);
    const int64_t *user = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct security_context *sc = all[i].c->security_context;
        const int64_t *mine = sc && sc->run_as_user                                        ? sc->run_as_user
                              : pod->spec.security_context ? pod->spec.security_context->run_as_user
                                                           : NULL;

        if (!mine || (user && *user != *mine))
            return NULL;
        user = mine;
    }
    return user;
}

static struct kerr *
add_token(struct build *b, const struct service_account_token_projection *t, const char *dir, mode_t mode, int64_t *refresh_s)
{
    const struct pod_security_context *psc = b->f->pod->spec.security_context;
    AUTO_FREE char *file = path_join(dir, t->path);
    const int64_t *user = common_user(b->f->pod);
    AUTO_FREE char *token = NULL;
    int64_t renew = token_renewal(file), expires = 0;
    int64_t life = t->expiration_seconds ? *t->expiration_seconds : TOKEN_EXPIRATION_S;
    size_t len = 0;
    struct kerr *err;

    if (renew > b->now_s) {
        err = file_read(file, TOKEN_MAX, &token, &len);
        kerr_free(err); /* gone: ask for another */
    }
    if (!token) {
        err = b->src->token(b->src->arg, b->f->pod, t->audience, life, &token, &expires);
        if (err)
            return err;
        len = strlen(token);
        life = expires - b->now_s;
        renew = b->now_s + (life * 8 / 10 < 86400 ? life * 8 / 10 : 86400);
        token_remember(file, renew, b->now_s);
    }
    earliest(refresh_s, renew);
    if (user || (psc && psc->fs_group))
        mode = 0600;
    file_set_add(b->out, t->path, token, len, mode);
    if (user) {
        struct file_set_entry *e = &b->out->items[b->out->len - 1];

        e->has_uid = true;
        e->uid = (uid_t)*user;
    }
    return NULL;
}

static struct kerr *
add_projected(struct build *b, const struct projected_volume_source *p, const char *dir, int64_t *refresh_s)
{
    mode_t mode = mode_or(p->default_mode, DEFAULT_MODE);
    struct kerr *err = NULL;

    for (uint32_t i = 0; !err && i < p->sources.len; i++) {
        const struct volume_projection *s = &p->sources.items[i];

        if (s->config_map)
            err = add_object(b, "ConfigMap", s->config_map->local_object_reference.name, &s->config_map->items,
                             is_true(s->config_map->optional), mode);
        else if (s->secret)
            err = add_object(b, "Secret", s->secret->local_object_reference.name, &s->secret->items, is_true(s->secret->optional), mode);
        else if (s->downward_api)
            err = add_downward(b, &s->downward_api->items, mode);
        else if (s->service_account_token)
            err = add_token(b, s->service_account_token, dir, mode, refresh_s);
        else
            err = kerr_new(KERR_INVALID, "this kubelet does not know the projected source number %u", i);
    }
    return err;
}

struct kerr *
volume_files(const struct pod_facts *f, const struct volume *v, const struct object_source *src, const char *dir, int64_t now_s,
             struct volume_files_result *ret)
{
    const struct volume_source *s = &v->volume_source;
    struct build b = { f, src, &ret->files, now_s };

    if (s->config_map)
        return add_object(&b, "ConfigMap", s->config_map->local_object_reference.name, &s->config_map->items,
                          is_true(s->config_map->optional), mode_or(s->config_map->default_mode, DEFAULT_MODE));
    if (s->secret)
        return add_object(&b, "Secret", s->secret->secret_name, &s->secret->items, is_true(s->secret->optional),
                          mode_or(s->secret->default_mode, DEFAULT_MODE));
    if (s->downward_api)
        return add_downward(&b, &s->downward_api->items, mode_or(s->downward_api->default_mode, DEFAULT_MODE));
    if (s->projected)
        return add_projected(&b, s->projected, dir, &ret->refresh_s);
    return NULL;
}
