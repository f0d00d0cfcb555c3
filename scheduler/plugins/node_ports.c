// SPDX-License-Identifier: Apache-2.0
/* NodePorts - a host port, protocol and address can be taken once per node; 0.0.0.0 is all addresses. */
#include "common/base/str.h"
#include "scheduler/plugins.h"

static bool
clash(const struct host_port *a, const struct host_port *b)
{
    if (a->port != b->port || !str_eq(a->protocol, b->protocol))
        return false;
    return str_eq(a->ip, b->ip) || str_eq(a->ip, "0.0.0.0") || str_eq(b->ip, "0.0.0.0");
}

static bool
taken(const struct row_pods *pods, const struct pod_info *p)
{
    for (uint32_t i = 0; i < pods->len; i++)
        for (uint32_t u = 0; u < pods->items[i]->nports; u++)
            for (uint32_t w = 0; w < p->nports; w++)
                if (clash(&pods->items[i]->ports[u], &p->ports[w]))
                    return true;
    return false;
}

void
node_ports_filter(struct cycle *c)
{
    if (c->pod->nports == 0)
        return;
    for (uint32_t i = 0; i < c->nrows; i++)
        if (c->nodes->nports[c->rows[i]] > 0 && taken(&c->nodes->pods[c->rows[i]], c->pod))
            cycle_refuse(c, c->rows[i], PLUGIN_NODE_PORTS, cycle_reason(c, "node(s) didn't have free ports for the requested pod ports"), false);
}
