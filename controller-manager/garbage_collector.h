// SPDX-License-Identifier: Apache-2.0
/* garbage_collector.h - objects whose owners are all gone go too; foreground deletion waits for dependents; orphan
 * deletion lets them stay.
 *
 *   object removed ----> its dependents are looked at
 *   object deleting, finalizer foregroundDeletion ----> blocking dependents deleted first, then the finalizer goes
 *   object deleting, finalizer orphan ----> its ownerReferences are taken out of the dependents, then the finalizer goes
 */
#ifndef CKUBE_CONTROLLER_MANAGER_GARBAGE_COLLECTOR_H
#define CKUBE_CONTROLLER_MANAGER_GARBAGE_COLLECTOR_H

#include "controller-manager/controller.h"

enum owner_state {
    OWNER_SOLID,   /* there, or not to be found out */
    OWNER_ABSENT,  /* looked for live: not there, or another uid */
    OWNER_WAITING, /* is being deleted in the foreground and waits for its dependents */
};
struct gc_picture {
    const struct object *object;
    enum owner_state *owners;      /* parallel to its ownerReferences */
    struct object_list dependents; /* those that name it as owner */
};
void gc_picture_done(struct gc_picture *p);

/* ret_look_at: dependents that have to be looked at next (foreground deletion); may be NULL. */
struct plan *gc_decide(const struct gc_picture *p, const char *key, struct object_list *ret_look_at) MUST_CHECK;

#endif
