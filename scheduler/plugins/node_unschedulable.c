// SPDX-License-Identifier: Apache-2.0
/* NodeUnschedulable - cordoned nodes take only pods that tolerate the taint of that name. */
#include "common/base/str.h"
#include "scheduler/plugins.h"

void
node_unschedulable_filter(struct cycle *c)
{
    static const struct taint cordoned = { .key = "node.kubernetes.io/unschedulable", .effect = "NoSchedule" };
    const struct toleration_slice *t = &c->pod->pod->spec.tolerations;

    for (uint32_t i = 0; i < t->len; i++)
        if (toleration_tolerates(&t->items[i], &cordoned))
            return;
    for (uint32_t i = 0; i < c->nrows; i++)
        if (c->nodes->unschedulable[c->rows[i]])
            cycle_refuse(c, c->rows[i], PLUGIN_NODE_UNSCHEDULABLE, cycle_reason(c, "node(s) were unschedulable"), true);
}
