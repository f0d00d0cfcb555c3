// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/object_file.h"

#include <uthash.h>

#include "common/api/codec.h"
#include "common/base/str.h"

struct kept {
    char *key; /* "Service/ns/name" */
    struct object *obj;
    UT_hash_handle hh;
};

/* Slices by the service they belong to, while views are built. */
struct slice_group {
    char *key; /* "ns/name" */
    const struct endpoint_slice **items;
    size_t len, cap;
    UT_hash_handle hh;
};

struct object_files {
    struct kept *kept;
    struct strlist removed; /* names of services taken out, until told to the tables */
    const char *what;       /* being read */
};

struct object_files *
object_files_new(void)
{
    return XNEW(struct object_files);
}

static void
kept_free(struct object_files *f, struct kept *k)
{
    HASH_DEL(f->kept, k);
    object_unref(k->obj);
    free(k->key);
    free(k);
}

void
object_files_free(struct object_files *f)
{
    struct kept *k, *next;

    if (!f)
        return;
    HASH_ITER(hh, f->kept, k, next)
    kept_free(f, k);
    strlist_done(&f->removed);
    free(f);
}

static struct kept *
find(const struct object_files *f, const char *kind, const char *ns, const char *name)
{
    AUTO_FREE char *key = xasprintf("%s/%s/%s", kind, str_safe(ns), str_safe(name));
    struct kept *k;

    HASH_FIND_STR(f->kept, key, k);
    return k;
}

bool
object_files_remove(struct object_files *f, const char *kind, const char *ns, const char *name)
{
    struct kept *k = find(f, kind, ns, name);

    if (!k)
        return false;
    if (str_eq(kind, "Service"))
        strlist_add_take(&f->removed, xasprintf("%s/%s", str_safe(ns), str_safe(name)));
    kept_free(f, k);
    return true;
}

static void
keep(struct object_files *f, struct object *obj)
{
    struct kept *k = find(f, object_kind(obj)->kind, object_namespace(obj), object_name(obj));

    if (k)
        kept_free(f, k);
    k = XNEW(struct kept);
    k->key = xasprintf("%s/%s/%s", object_kind(obj)->kind, str_safe(object_namespace(obj)), str_safe(object_name(obj)));
    k->obj = obj;
    HASH_ADD_KEYPTR(hh, f->kept, k->key, strlen(k->key), k);
}

static struct kerr *
read_document(const char *json, size_t len, void *arg)
{
    struct object_files *f = arg;
    struct object *obj = NULL;
    struct kerr *err = object_decode_json(json, len, NULL, NULL, &obj);

    if (err)
        return kerr_wrap(err, "%s", f->what);
    if (OBJECT_BODY(obj, service) || OBJECT_BODY(obj, endpoint_slice))
        keep(f, obj);
    else
        object_unref(obj);
    return NULL;
}

struct kerr *
object_files_read(struct object_files *f, const char *yaml, size_t len, const char *what)
{
    f->what = what;
    return yaml_each_document(yaml, len, read_document, f);
}

static void
group_slice(struct slice_group **groups, const struct endpoint_slice *slice)
{
    const char *name = slice_service_name(slice);
    struct slice_group *g;
    char *key;

    if (!name)
        return;
    key = xasprintf("%s/%s", str_safe(slice->metadata.namespace), name);
    HASH_FIND_STR(*groups, key, g);
    if (!g) {
        g = XNEW(struct slice_group);
        g->key = xstrdup(key);
        HASH_ADD_KEYPTR(hh, *groups, g->key, strlen(g->key), g);
    }
    free(key);
    if (g->len == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 2;
        g->items = xreallocarray(g->items, g->cap, sizeof(*g->items));
    }
    g->items[g->len++] = slice;
}

static void
groups_free(struct slice_group *groups)
{
    struct slice_group *g, *next;

    HASH_ITER(hh, groups, g, next)
    {
        HASH_DEL(groups, g);
        free(g->items);
        free(g->key);
        free(g);
    }
}

static void
put_service(const struct service *svc, struct slice_group *groups, const struct picture_node *node,
            enum ip_family family, struct nft_tables *t, struct sbuf *warnings)
{
    AUTO_FREE char *key = xasprintf("%s/%s", str_safe(svc->metadata.namespace), str_safe(svc->metadata.name));
    AUTO(service_view) *view = NULL;
    struct slice_group *g;

    HASH_FIND_STR(groups, key, g);
    view = service_view_build(svc, g ? g->items : NULL, g ? g->len : 0, node, family, warnings);
    nft_tables_put(t, view);
}

void
object_files_to_tables(const struct object_files *f, const struct picture_node *node, enum ip_family family,
                       struct nft_tables *t, struct sbuf *warnings)
{
    struct slice_group *groups = NULL;
    const struct endpoint_slice *slice;
    const struct service *svc;
    struct kept *k, *next;

    for (size_t i = 0; i < f->removed.len; i++)
        nft_tables_remove(t, f->removed.items[i]);
    HASH_ITER(hh, f->kept, k, next)
    if ((slice = OBJECT_BODY(k->obj, endpoint_slice)))
        group_slice(&groups, slice);
    HASH_ITER(hh, f->kept, k, next)
    if ((svc = OBJECT_BODY(k->obj, service)))
        put_service(svc, groups, node, family, t, warnings);
    groups_free(groups);
}
