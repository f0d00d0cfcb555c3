// SPDX-License-Identifier: Apache-2.0
/* pod_gc.h - pods that nobody else removes: too many finished ones, those of nodes that are gone, and those that were
 * deleted before they had a node. */
#ifndef CKUBE_CONTROLLER_MANAGER_POD_GC_H
#define CKUBE_CONTROLLER_MANAGER_POD_GC_H

#include "controller-manager/controller.h"

struct pod_gc_picture {
    struct object_list pods, nodes;
    struct strlist missing; /* nodes that pods name, not there for the quarantine and not there live */
    int32_t threshold;      /* finished pods that may stay; <= 0: all */
};
void pod_gc_picture_done(struct pod_gc_picture *p);
struct plan *pod_gc_decide(const struct pod_gc_picture *p, const char *key, struct api_time now) MUST_CHECK;

#endif
