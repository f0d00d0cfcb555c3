// SPDX-License-Identifier: Apache-2.0
/* NodeName - a pod with spec.nodeName goes there only. */
#include "common/base/str.h"
#include "scheduler/plugins.h"

void
node_name_filter(struct cycle *c)
{
    const char *name = c->pod->pod->spec.node_name;

    if (str_empty(name))
        return;
    for (uint32_t i = 0; i < c->nrows; i++)
        if (!str_eq(name, c->nodes->name[c->rows[i]]))
            cycle_refuse(c, c->rows[i], PLUGIN_NODE_NAME, cycle_reason(c, "node(s) didn't match the requested node name"), true);
}
