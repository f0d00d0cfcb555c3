// SPDX-License-Identifier: Apache-2.0
#include "kube-proxy/object_file.h"

#include "common/api/codec.h"
#include "common/base/str.h"

struct object_files {
    struct object **items; /* one reference each */
    size_t len, cap;
    struct strlist removed; /* names of services taken out, until told to the tables */
    const char *what;       /* being read */
};

struct object_files *
object_files_new(void)
{
    return XNEW(struct object_files);
}

void
object_files_free(struct object_files *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->len; i++)
        object_unref(f->items[i]);
    strlist_done(&f->removed);
    free(f->items);
    free(f);
}

static size_t
find(const struct object_files *f, const char *kind, const char *ns, const char *name)
{
    for (size_t i = 0; i < f->len; i++)
        if (str_eq(object_kind(f->items[i])->kind, kind) && str_eq(object_namespace(f->items[i]), ns) && str_eq(object_name(f->items[i]), name))
            return i;
    return f->len;
}

bool
object_files_remove(struct object_files *f, const char *kind, const char *ns, const char *name)
{
    size_t at = find(f, kind, ns, name);

    if (at == f->len)
        return false;
    if (str_eq(kind, "Service"))
        strlist_add_take(&f->removed, xasprintf("%s/%s", str_safe(ns), str_safe(name)));
    object_unref(f->items[at]);
    f->items[at] = f->items[--f->len];
    return true;
}

static void
keep(struct object_files *f, struct object *obj)
{
    size_t at = find(f, object_kind(obj)->kind, object_namespace(obj), object_name(obj));

    if (at < f->len) {
        object_unref(f->items[at]);
        f->items[at] = obj;
        return;
    }
    if (f->len == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 16;
        f->items = xreallocarray(f->items, f->cap, sizeof(*f->items));
    }
    f->items[f->len++] = obj;
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
put_service(const struct object_files *f, const struct service *svc, const struct picture_node *node, enum ip_family family, struct nft_tables *t,
            struct sbuf *warnings)
{
    AUTO_FREE const struct endpoint_slice **slices = xcalloc(f->len + 1, sizeof(*slices));
    AUTO(service_view) *view = NULL;
    size_t n = 0;

    for (size_t i = 0; i < f->len; i++) {
        const struct endpoint_slice *slice = OBJECT_BODY(f->items[i], endpoint_slice);

        if (slice)
            slices[n++] = slice;
    }
    view = service_view_build(svc, slices, n, node, family, warnings);
    nft_tables_put(t, view);
}

void
object_files_to_tables(const struct object_files *f, const struct picture_node *node, enum ip_family family, struct nft_tables *t,
                       struct sbuf *warnings)
{
    for (size_t i = 0; i < f->removed.len; i++)
        nft_tables_remove(t, f->removed.items[i]);
    for (size_t i = 0; i < f->len; i++) {
        const struct service *svc = OBJECT_BODY(f->items[i], service);

        if (svc)
            put_service(f, svc, node, family, t, warnings);
    }
}
