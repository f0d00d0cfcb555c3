// SPDX-License-Identifier: Apache-2.0
/* TaintToleration - hard taints keep pods away, PreferNoSchedule makes a node less wanted.
 * A taint list is judged once per cycle, however many nodes have it. */
#include "common/base/str.h"
#include "scheduler/plugins.h"

const uint8_t *
cycle_tolerated(struct cycle *c)
{
    uint32_t n = nodes_taint_ids(c->nodes);
    uint8_t *ok;

    if (c->tolerated)
        return c->tolerated;
    ok = arena_alloc(c->arena, n);
    for (uint32_t id = 0; id < n; id++)
        ok[id] = !taints_untolerated(nodes_taints(c->nodes, id), &c->pod->pod->spec.tolerations, taint_effects_hard);
    c->tolerated = ok;
    return ok;
}

void
taint_toleration_filter(struct cycle *c)
{
    const uint8_t *ok = cycle_tolerated(c);

    for (uint32_t i = 0; i < c->nrows; i++)
        if (!ok[c->nodes->taints[c->rows[i]]])
            cycle_refuse(c, c->rows[i], PLUGIN_TAINT_TOLERATION, cycle_reason(c, "node(s) had untolerated taint(s)"), true);
}

static int64_t
soft_taints(const struct taint_slice *taints, const struct toleration_slice *tolerations)
{
    int64_t n = 0;

    for (uint32_t i = 0; i < taints->len; i++) {
        bool tolerated = false;

        if (!str_eq(taints->items[i].effect, "PreferNoSchedule"))
            continue;
        for (uint32_t t = 0; t < tolerations->len; t++)
            tolerated |= toleration_tolerates(&tolerations->items[t], &taints->items[i]);
        n += !tolerated;
    }
    return n;
}

bool
taint_toleration_score(struct cycle *c, int64_t *ret)
{
    uint32_t n = nodes_taint_ids(c->nodes);
    int64_t *count = arena_alloc(c->arena, n * sizeof(*count)), any = 0;

    for (uint32_t id = 0; id < n; id++) {
        count[id] = soft_taints(nodes_taints(c->nodes, id), &c->pod->pod->spec.tolerations);
        any |= count[id];
    }
    if (!any)
        return false; /* all nodes would get the same */
    for (uint32_t k = 0; k < c->nrows; k++)
        ret[k] = count[c->nodes->taints[c->rows[k]]];
    score_normalize(ret, c->nrows, true);
    return true;
}
