// SPDX-License-Identifier: Apache-2.0
/* controller_table.c - all controllers of upstream's kube-controller-manager, with their canonical and old names. */
#include "controller-manager/controllers.h"

void
controller_free_state(struct controller *c)
{
    free(c->state);
}

const struct controller_row controller_rows[] = {
    { "deployment-controller", "deployment", "deployment-controller", false, deployment_start, NULL, controller_free_state },
    { "replicaset-controller", "replicaset", "replicaset-controller", false, replicaset_start, NULL, controller_free_state },
    { "replicationcontroller-controller", "replicationcontroller", "replication-controller", false, replicationcontroller_start, NULL, controller_free_state },
};
const size_t controller_rows_len = ARRAY_LEN(controller_rows);
