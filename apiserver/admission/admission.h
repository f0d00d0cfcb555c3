// SPDX-License-Identifier: Apache-2.0
/* admission.h - the built-in admission plugins, in upstream's order, as one table in admission.c; each in its file.
 * Mutating ones run before validation, validating ones after.  Webhooks and policies get their rows here (later).
 * Runs on writer threads; plugins read stores in memory. */
#ifndef CKUBE_APISERVER_ADMISSION_H
#define CKUBE_APISERVER_ADMISSION_H

#include "apiserver/registry/resource.h"
#include "apiserver/server.h"

enum admission_operation { ADMISSION_CREATE = 1, ADMISSION_UPDATE = 2, ADMISSION_DELETE = 4, ADMISSION_CONNECT = 8 };

/* Checks the names of --enable/--disable-admission-plugins; before serving. */
struct kerr *admission_start(struct apiserver *srv) MUST_CHECK;
/* obj: the new object, private to this write (NULL for DELETE); old: the stored one (NULL for CREATE). */
struct kerr *admission_mutate(const struct write_context *c, enum admission_operation op, struct object *obj, const struct object *old) MUST_CHECK;
struct kerr *admission_validate(const struct write_context *c, enum admission_operation op, const struct object *obj,
                                const struct object *old) MUST_CHECK;

struct admission_plugin {
    const char *name; /* "NamespaceLifecycle" */
    bool on_by_default;
    unsigned operations; /* enum admission_operation bits */
    struct kerr *(*mutate)(const struct write_context *c, enum admission_operation op, struct object *obj, const struct object *old);
    struct kerr *(*validate)(const struct write_context *c, enum admission_operation op, const struct object *obj, const struct object *old);
};

#endif
