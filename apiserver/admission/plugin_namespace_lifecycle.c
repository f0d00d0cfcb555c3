// SPDX-License-Identifier: Apache-2.0
/* NamespaceLifecycle: nothing is created in a namespace that is not there or on its way out; the three that the system
 * lives in cannot be deleted. */
#include <stdatomic.h>
#include <string.h>

#include "apiserver/admission/plugins.h"
#include "common/api/codec.h"
#include "common/base/clock.h"
#include "common/base/str.h"

static const char *const immortal[] = { "default", "kube-system", "kube-public" };

/* When a namespace of that hash was last asked to go.  Memory follows etcd closely, but a write of another object may be
 * under way before it: for a while "it is there and active" is asked again of etcd.  Names that share a slot only cost time. */
enum { DELETE_SLOTS = 256, DELETE_DOUBT_MS = 30000 };
static atomic_ullong deletes[DELETE_SLOTS];

static atomic_ullong *
delete_slot(const char *name)
{
    uint32_t h = 2166136261u;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return &deletes[h % DELETE_SLOTS];
}

static bool
lately_deleted(const char *name)
{
    uint64_t at = atomic_load(delete_slot(name));

    return at && clock_mono_ms() - at < DELETE_DOUBT_MS;
}

static struct kerr *
check_delete(const struct write_context *c)
{
    for (size_t i = 0; i < ARRAY_LEN(immortal); i++)
        if (str_eq(c->name, immortal[i]))
            return kerr_forbidden("", "namespaces", c->name, "this namespace may not be deleted");
    atomic_store(delete_slot(str_safe(c->name)), clock_mono_ms());
    return NULL;
}

static struct kerr *
terminating(const struct write_context *c, const struct record *ns)
{
    const struct api_kind *k = c->resource->kind;
    AUTO_FREE char *why = xasprintf("unable to create new content in namespace %s because it is being terminated", ns->name);
    struct kerr *err = kerr_forbidden(k->group, k->plural, c->name, why);

    kerr_add_cause(err, "NamespaceTerminating", "metadata.namespace", "namespace %s is being terminated", ns->name);
    return err;
}

static bool
is_terminating(const struct record *ns, const struct resource *namespaces)
{
    return str_eq(record_field(ns, &namespaces->storage.shape, "status.phase"), "Terminating");
}

static struct kerr *
validate(const struct write_context *c, enum admission_operation op, const struct object *obj, const struct object *old)
{
    const struct resource *namespaces = resource_named("v1", "Namespace");

    if (c->resource == namespaces)
        return op == ADMISSION_DELETE ? check_delete(c) : NULL;
    if (op != ADMISSION_CREATE || !c->resource->kind->namespaced || str_empty(c->ns))
        return NULL;
    struct record *ns = store_get(namespaces->store, "", c->ns);
    if (!ns || (lately_deleted(c->ns) && !is_terminating(ns, namespaces))) {
        /* Made a moment ago by another apiserver, or deleted by us. */
        struct kerr *late = storage_wait_fresh(c->srv->storage);
        if (late) {
            record_unref(ns);
            return late;
        }
        record_unref(ns);
        ns = store_get(namespaces->store, "", c->ns);
    }
    if (!ns)
        return kerr_not_found("", "namespaces", c->ns);
    struct kerr *err = is_terminating(ns, namespaces) ? terminating(c, ns) : NULL;
    record_unref(ns);
    return err;
}

const struct admission_plugin plugin_namespace_lifecycle = {
    .name = "NamespaceLifecycle",
    .on_by_default = true,
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE,
    .validate = validate,
};
