// SPDX-License-Identifier: Apache-2.0
/* NodeResourcesFit - every requested resource has to be free; scores by what would be left (LeastAllocated), taken
 * (MostAllocated) or by a shape of the user's (RequestedToCapacityRatio). */
#include "common/base/str.h"
#include "scheduler/plugins.h"

static void
refuse_full(struct cycle *c)
{
    const int64_t *used = c->nodes->used[RES_PODS], *alloc = c->nodes->alloc[RES_PODS];

    for (uint32_t i = 0; i < c->nrows; i++)
        if (used[c->rows[i]] + 1 > alloc[c->rows[i]])
            cycle_refuse(c, c->rows[i], PLUGIN_NODE_RESOURCES_FIT, cycle_reason(c, "Too many pods"), false);
}

static void
refuse_short(struct cycle *c, const struct resource_amount *want)
{
    const int64_t *used = c->nodes->used[want->id], *alloc = c->nodes->alloc[want->id];
    unsigned reason = UINT32_MAX;

    for (uint32_t i = 0; i < c->nrows; i++) {
        uint32_t row = c->rows[i];
        int64_t has = alloc ? alloc[row] : 0;

        if (want->amount <= has - (used ? used[row] : 0))
            continue;
        if (reason == UINT32_MAX)
            reason = cycle_reason(c, arena_printf(c->arena, "Insufficient %s", resource_name(c->nodes->resources, want->id)));
        cycle_refuse(c, row, PLUGIN_NODE_RESOURCES_FIT, reason, want->amount > has);
    }
}

void
node_resources_fit_filter(struct cycle *c)
{
    refuse_full(c);
    for (uint32_t i = 0; i < c->pod->nrequests; i++)
        refuse_short(c, &c->pod->requests[i]);
}

/* --- scores --- */

static int64_t
pod_amount(const struct pod_info *p, uint32_t id)
{
    for (uint32_t i = 0; i < p->nrequests; i++)
        if (p->requests[i].id == id)
            return p->requests[i].amount;
    return 0;
}

static int64_t
by_shape(const struct profile *p, int64_t utilization)
{
    if (utilization <= p->shape[0].utilization)
        return p->shape[0].score;
    for (uint32_t i = 1; i < p->nshape; i++) {
        int64_t x0 = p->shape[i - 1].utilization, x1 = p->shape[i].utilization, y0 = p->shape[i - 1].score, y1 = p->shape[i].score;

        if (utilization <= x1)
            return y0 + (y1 - y0) * (utilization - x0) / (x1 - x0);
    }
    return p->shape[p->nshape - 1].score;
}

static int64_t
resource_score(const struct profile *p, int64_t asked, int64_t has)
{
    switch (p->fit_strategy) {
    case FIT_LEAST:
        return asked > has ? 0 : (has - asked) * MAX_SCORE / has;
    case FIT_MOST:
        return (asked > has ? has : asked) * MAX_SCORE / has;
    case FIT_RATIO:
        return by_shape(p, asked > has ? 100 : asked * 100 / has);
    }
    return 0;
}

/* Memory in bytes times 100 stays far below 2^63 for any real node; shift what is larger. */
static int64_t
scaled(int64_t *asked, int64_t *has)
{
    while (*has > INT64_MAX / 256 || *asked > INT64_MAX / 256) {
        *has >>= 1;
        *asked >>= 1;
    }
    return *has;
}

bool
node_resources_fit_score(struct cycle *c, int64_t *ret)
{
    const struct nodes *n = c->nodes;
    const struct profile *p = c->profile;
    int64_t *weights = arena_alloc(c->arena, c->nrows * sizeof(*weights));

    for (uint32_t r = 0; r < p->nfit_resources; r++) {
        uint32_t id = p->fit_resources[r].id;
        int64_t weight = p->fit_resources[r].weight;
        const int64_t *used = id == RES_CPU ? n->used_cpu_or_default : id == RES_MEMORY ? n->used_memory_or_default : n->used[id];
        int64_t own = id == RES_CPU ? c->pod->cpu_or_default : id == RES_MEMORY ? c->pod->memory_or_default : pod_amount(c->pod, id);

        if (!n->alloc[id] || (id >= RES_FIRST_OTHER && own == 0))
            continue; /* extended resources count only for pods that want them */
        for (uint32_t k = 0; k < c->nrows; k++) {
            int64_t asked = own + (used ? used[c->rows[k]] : 0), has = n->alloc[id][c->rows[k]];

            if (has <= 0 || scaled(&asked, &has) == 0)
                continue;
            ret[k] += weight * resource_score(p, asked, has);
            weights[k] += weight;
        }
    }
    for (uint32_t k = 0; k < c->nrows; k++)
        ret[k] = weights[k] ? ret[k] / weights[k] : 0;
    return true;
}
