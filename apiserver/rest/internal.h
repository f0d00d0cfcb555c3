// SPDX-License-Identifier: Apache-2.0
/* internal.h - the apiserver's own writes: objects it makes and keeps without a client (bootstrap, default RBAC).
 * Same defaults, metadata and managedFields as any create, no admission.  Blocks; any thread that may. */
#ifndef CKUBE_APISERVER_INTERNAL_H
#define CKUBE_APISERVER_INTERNAL_H

#include "apiserver/registry/resource.h"

/* obj: fresh, the caller's; gets its metadata here.  An existing object is no error: *ret_created (may be NULL) tells. */
struct kerr *internal_create(struct object *obj, bool *ret_created) MUST_CHECK;
/* JSON text of an object of a built-in kind. */
struct kerr *internal_create_json(const char *json, bool *ret_created) MUST_CHECK;
/* Reads, lets `change` work on a private copy (false: nothing to do), writes; creates `fresh` (may be NULL) when absent. */
struct kerr *internal_update(const struct resource *r, const char *ns, const char *name, struct object *fresh,
                             bool (*change)(struct object *obj, void *arg), void *arg) MUST_CHECK;
/* A reference to the decoded object in memory, or NULL. */
struct object *internal_get(const struct resource *r, const char *ns, const char *name) MUST_CHECK;

#endif
