// SPDX-License-Identifier: Apache-2.0
/* managed.h - metadata.managedFields: kept on every write, and server-side apply on top of it.
 *
 * The apiserver's write path calls, after defaulting and before admission:
 *   create, update, patch    managed_fields_update(old, new, &req)             straight on the structs
 *   apply                    managed_fields_apply(kind, live, tree, &req, &merged)
 * Custom resources, which are trees, have the same two with _tree.  Pure (time is an argument), any thread. */
#ifndef CKUBE_API_MANAGED_H
#define CKUBE_API_MANAGED_H

#include "common/api/merge_schema.h"
#include "common/api/object.h"
#include "common/api/tree.h"

#define MANAGED_MAX_UPDATERS 10 /* Update entries; the oldest beyond that become "ancient-changes" */

struct managed_request {
    const char *manager;     /* ?fieldManager= or the User-Agent's first part; empty = "unknown" */
    const char *api_version; /* the request's, "apps/v1" */
    const char *subresource; /* "" for the object itself */
    /* Paths the resource's strategy resets on this endpoint, NULL-terminated: { "status", NULL } on spec writes,
     * { "spec", "metadata.labels", NULL } on /status.  May be NULL. */
    const char *const *reset_fields;
    struct api_time now;
    bool force; /* apply only */
};

/* Sets metadata.managedFields of new_obj (the caller's to change).  old NULL: a create.  A request may bring its own
 * managedFields (ignored on subresources); unreadable ones give way to the old object's; [{}] resets. */
void managed_fields_update(const struct object *old, struct object *new_obj, const struct managed_request *req);

/* Merges the applied configuration into live (NULL: creates).  *ret is decoded and carries managedFields; it is neither
 * defaulted nor validated.  Errors: 409 with a cause FieldManagerConflict per field; 400 for a bad configuration. */
struct kerr *managed_fields_apply(const struct api_kind *kind, const struct object *live, const json_t *applied,
                                  const struct managed_request *req, struct object **ret) MUST_CHECK;

/* Last thing before storing: when the two differ in nothing but times in managedFields, new_obj takes the old ones, so
 * that the store sees equal bytes and writes nothing. */
void managed_fields_keep_times(const struct object *old, struct object *new_obj);

/* Trees: `schema` zeroed = nothing known.  new_tree is changed in place; old and live may be NULL. */
void managed_fields_update_tree(struct merge_schema schema, const json_t *old, json_t *new_tree, const struct managed_request *req);
struct kerr *managed_fields_apply_tree(struct merge_schema schema, const json_t *live, const json_t *applied,
                                       const struct managed_request *req, json_t **ret) MUST_CHECK;

#endif
