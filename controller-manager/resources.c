// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/resources.h"

#include <pthread.h>
#include <stddef.h>

#include "api_types.h"
#include "common/api/tree.h"
#include "common/base/str.h"

#define MAX_ROWS 20000 /* kinds ever seen */

/* --- rows that live as long as the process --- */

static struct {
    pthread_mutex_t lock; /* guards rows */
    struct api_kind **rows;
    size_t len;
} interned = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const struct api_kind *
find_row(const char *group, const char *version, const char *plural)
{
    for (size_t i = 0; i < interned.len; i++) {
        const struct api_kind *k = interned.rows[i];
        if (str_eq(k->group, group) && str_eq(k->version, version) && str_eq(k->plural, plural))
            return k;
    }
    return NULL;
}

static const struct api_kind *
add_row(const char *group, const char *version, const char *plural, const char *kind, bool namespaced)
{
    struct api_kind *k = XNEW(struct api_kind);

    *k = (struct api_kind){ .group = xstrdup(group), .version = xstrdup(version), .kind = xstrdup(kind), .plural = xstrdup(plural),
                            .singular = "", .short_names = "", .categories = "", .namespaced = namespaced, .resource = true,
                            .type = &api_type_partial_object_metadata, .meta_offset = offsetof(struct partial_object_metadata, metadata) };
    interned.rows = xreallocarray(interned.rows, interned.len + 1, sizeof *interned.rows);
    interned.rows[interned.len++] = k;
    return k;
}

/* NULL only when there are more kinds than any cluster has. */
static const struct api_kind *
intern(const char *group, const char *version, const char *plural, const char *kind, bool namespaced)
{
    pthread_mutex_lock(&interned.lock);
    const struct api_kind *k = find_row(group, version, plural);
    if (!k && interned.len < MAX_ROWS)
        k = add_row(group, version, plural, kind, namespaced);
    pthread_mutex_unlock(&interned.lock);
    return k;
}

/* --- documents --- */

static struct kerr *
get_tree(struct rest *r, const char *path, json_t **ret)
{
    struct rest_reply reply = { 0 };
    struct kerr *err = rest_raw(r, "GET", path, NULL, NULL, 0, &reply);

    if (!err)
        err = tree_load(sbuf_str(&reply.body), reply.body.len, ret);
    rest_reply_done(&reply);
    return kerr_wrap(err, "discovery of %s", path);
}

static bool
has_verb(const json_t *resource, const char *verb)
{
    const json_t *v;
    size_t i;

    json_array_foreach (json_object_get(resource, "verbs"), i, v)
        if (str_eq(json_string_value(v), verb))
            return true;
    return false;
}

static void
take_resource(struct resources *out, const char *group, const char *version, const json_t *res)
{
    const char *plural = tree_string(res, "name"), *kind = tree_string(res, "kind");

    if (str_empty(plural) || str_empty(kind) || strchr(plural, '/') || !has_verb(res, "list") || !has_verb(res, "delete"))
        return;
    const struct api_kind *k = intern(group, version, plural, kind, json_is_true(json_object_get(res, "namespaced")));
    if (!k)
        return;
    out->items = xreallocarray(out->items, out->len + 1, sizeof *out->items);
    out->items[out->len++] = (struct served){ k, true, has_verb(res, "watch"), true, has_verb(res, "deletecollection") };
}

static struct kerr *
take_version(struct rest *r, struct resources *out, const char *group, const char *version)
{
    AUTO_FREE char *path = str_empty(group) ? xasprintf("/api/%s", version) : xasprintf("/apis/%s/%s", group, version);
    AUTO_JSON *list = NULL;
    struct kerr *err = get_tree(r, path, &list);
    const json_t *res;
    size_t i;

    if (err)
        return err;
    json_array_foreach (json_object_get(list, "resources"), i, res)
        take_resource(out, group, version, res);
    return NULL;
}

static bool
has_plural(const struct resources *out, size_t from, const char *plural)
{
    for (size_t i = from; i < out->len; i++)
        if (str_eq(out->items[i].kind->plural, plural))
            return true;
    return false;
}

/* The preferred version first; further versions add what only they have. */
static struct kerr *
take_group(struct rest *r, struct resources *out, const json_t *group)
{
    const char *name = tree_string(group, "name");
    const char *preferred = tree_string(json_object_get(group, "preferredVersion"), "version");
    size_t from = out->len, i;
    const json_t *v;
    struct kerr *err;

    if (str_empty(name) || str_empty(preferred))
        return NULL;
    err = take_version(r, out, name, preferred);
    json_array_foreach (json_object_get(group, "versions"), i, v) {
        const char *version = tree_string(v, "version");
        struct resources more = { 0 };
        if (err || str_empty(version) || str_eq(version, preferred))
            continue;
        err = take_version(r, &more, name, version);
        for (size_t m = 0; m < more.len; m++) {
            if (has_plural(out, from, more.items[m].kind->plural))
                continue;
            out->items = xreallocarray(out->items, out->len + 1, sizeof *out->items);
            out->items[out->len++] = more.items[m];
        }
        resources_done(&more);
    }
    return err;
}

struct kerr *
resources_discover(struct rest *r, struct resources *ret, struct kerr **ret_partial_err)
{
    AUTO_JSON *groups = NULL;
    struct resources out = { 0 };
    const json_t *g;
    size_t i;
    struct kerr *err = take_version(r, &out, "", "v1");

    if (!err)
        err = get_tree(r, "/apis", &groups);
    if (err) {
        resources_done(&out);
        return err;
    }
    json_array_foreach (json_object_get(groups, "groups"), i, g) {
        struct kerr *group_err = take_group(r, &out, g);
        if (!group_err)
            continue;
        out.partial = true;
        if (ret_partial_err && !*ret_partial_err)
            *ret_partial_err = group_err;
        else
            kerr_free(group_err);
    }
    *ret = out;
    return NULL;
}

void
resources_done(struct resources *r)
{
    free(r->items);
    *r = (struct resources){ 0 };
}

const struct served *
resources_find(const struct resources *r, const char *api_version, const char *kind)
{
    size_t group_len = api_version && strchr(api_version, '/') ? strcspn(api_version, "/") : 0;

    for (size_t i = 0; i < r->len; i++) {
        const struct api_kind *k = r->items[i].kind;
        if (str_eq(k->kind, kind) && strlen(k->group) == group_len && strncmp(k->group, str_safe(api_version), group_len) == 0)
            return &r->items[i];
    }
    return NULL;
}
