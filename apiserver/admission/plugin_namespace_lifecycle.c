// SPDX-License-Identifier: Apache-2.0
/* NamespaceLifecycle: nothing is created in a namespace that is not there or on its way out; the three that the system
 * lives in cannot be deleted. */
#include <string.h>

#include "apiserver/admission/plugins.h"
#include "common/api/codec.h"
#include "common/base/str.h"

static const char *const immortal[] = { "default", "kube-system", "kube-public" };

static struct kerr *
check_delete(const struct write_context *c)
{
    for (size_t i = 0; i < ARRAY_LEN(immortal); i++)
        if (str_eq(c->name, immortal[i]))
            return kerr_forbidden("", "namespaces", c->name, "this namespace may not be deleted");
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

static struct kerr *
validate(const struct write_context *c, enum admission_operation op, const struct object *obj, const struct object *old)
{
    const struct resource *namespaces = resource_named("v1", "Namespace");

    if (c->resource == namespaces)
        return op == ADMISSION_DELETE ? check_delete(c) : NULL;
    if (op != ADMISSION_CREATE || !c->resource->kind->namespaced || str_empty(c->ns))
        return NULL;
    struct record *ns = store_get(namespaces->store, "", c->ns);
    if (!ns) {
        /* Another apiserver may have made it a moment ago. */
        AUTO(kerr) *late = storage_wait_fresh(c->srv->storage);
        ns = late ? NULL : store_get(namespaces->store, "", c->ns);
    }
    if (!ns)
        return kerr_not_found("", "namespaces", c->ns);
    struct kerr *err = str_eq(record_field(ns, &namespaces->storage.shape, "status.phase"), "Terminating") ? terminating(c, ns) : NULL;
    record_unref(ns);
    return err;
}

const struct admission_plugin plugin_namespace_lifecycle = {
    .name = "NamespaceLifecycle",
    .on_by_default = true,
    .operations = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE,
    .validate = validate,
};
