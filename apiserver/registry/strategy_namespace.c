// SPDX-License-Identifier: Apache-2.0
/* Namespaces: marked Terminating first; the namespace controller empties them and gives up spec.finalizers. */
#include <string.h>

#include "apiserver/registry/strategies.h"
#include "common/api/meta.h"

static void
prepare_create(const struct write_context *c, struct arena *a, void *body)
{
    struct namespace *ns = body;

    ns->status = (struct namespace_status){ .phase = "Active" };
    if (!string_slice_has(&ns->spec.finalizers, "kubernetes"))
        string_slice_add(&ns->spec.finalizers, a, "kubernetes");
    if (ns->metadata.name)
        string_map_set(&ns->metadata.labels, a, "kubernetes.io/metadata.name", ns->metadata.name);
}

static void
prepare_update(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    struct namespace *ns = body;
    const struct namespace *was = old;

    ns->spec.finalizers = was->spec.finalizers;
    ns->status = was->status;
    string_map_set(&ns->metadata.labels, a, "kubernetes.io/metadata.name", was->metadata.name);
}

static void
prepare_status(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    ((struct namespace *)body)->spec = ((const struct namespace *)old)->spec;
}

static bool
holds(const void *body)
{
    return ((const struct namespace *)body)->spec.finalizers.len > 0;
}

static void
prepare_mark(const struct write_context *c, struct arena *a, void *body)
{
    ((struct namespace *)body)->status.phase = "Terminating";
}

const struct strategy strategy_namespace = {
    .no_generation = true,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .prepare_status = prepare_status,
    .holds = holds,
    .prepare_mark = prepare_mark,
    .returns_deleted = true,
};
