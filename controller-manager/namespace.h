// SPDX-License-Identifier: Apache-2.0
/* namespace.h - what a Namespace being deleted still holds goes first (pods before the rest), then the namespace.
 *
 *   Terminating --deletecollection of every resource--> census --> conditions --> nothing left: finalize
 */
#ifndef CKUBE_CONTROLLER_MANAGER_NAMESPACE_H
#define CKUBE_CONTROLLER_MANAGER_NAMESPACE_H

#include "controller-manager/controller.h"

struct census { /* of one resource in the namespace, after its deletion was asked for */
    const struct api_kind *kind;
    struct object_list left;
    struct kerr *failed; /* deletion or list */
};
struct namespace_picture {
    const struct object *ns;
    struct census *items; /* pods first; only pods while some are left */
    size_t len;
    const char *discovery_failed; /* or NULL */
};
void namespace_picture_done(struct namespace_picture *p);

struct plan *namespace_decide(const struct namespace_picture *p, const char *key, struct api_time now) MUST_CHECK;

#endif
