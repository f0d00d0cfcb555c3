// SPDX-License-Identifier: Apache-2.0
/* clusterrole_aggregation.h - a ClusterRole with an aggregationRule has the rules of those that its selectors match. */
#ifndef CKUBE_CONTROLLER_MANAGER_CLUSTERROLE_AGGREGATION_H
#define CKUBE_CONTROLLER_MANAGER_CLUSTERROLE_AGGREGATION_H

#include "controller-manager/controller.h"

struct aggregation_picture {
    const struct object *role;
    struct object_list all; /* ClusterRoles */
};
struct plan *clusterrole_aggregation_decide(const struct aggregation_picture *p, const char *key) MUST_CHECK;

#endif
