// SPDX-License-Identifier: Apache-2.0
/* resources.h - which resources the apiserver serves right now, custom ones included, from its discovery documents.
 * Each is an api_kind row whose objects are read as metadata only.  Rows live as long as the process, so that informers
 * and objects may point to them.  Any thread. */
#ifndef CKUBE_CONTROLLER_MANAGER_RESOURCES_H
#define CKUBE_CONTROLLER_MANAGER_RESOURCES_H

#include <stdbool.h>

#include "common/api/type.h"
#include "common/base/kerr.h"
#include "common/client/rest.h"

struct served {
    const struct api_kind *kind; /* type: PartialObjectMetadata */
    bool can_list, can_watch, can_delete, can_delete_collection;
};
struct resources {
    struct served *items;
    size_t len;
    bool partial; /* some group could not be asked */
};
void resources_done(struct resources *r);

/* One version (the preferred one) of every resource.  An error only when nothing could be learned; a group that fails
 * (an aggregated apiserver that is down) sets `partial`, with its cause in *ret_partial_err (may be NULL; caller frees). */
struct kerr *resources_discover(struct rest *r, struct resources *ret, struct kerr **ret_partial_err) MUST_CHECK;
/* By kind and any version of its group; NULL = not served. */
const struct served *resources_find(const struct resources *r, const char *api_version, const char *kind);

#endif
