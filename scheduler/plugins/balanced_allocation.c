// SPDX-License-Identifier: Apache-2.0
/* NodeResourcesBalancedAllocation - prefers nodes whose cpu, memory, ... would be used to equal shares. */
#include <math.h>

#include "scheduler/plugins.h"

static int64_t
pod_amount(const struct pod_info *p, uint32_t id)
{
    for (uint32_t i = 0; i < p->nrequests; i++)
        if (p->requests[i].id == id)
            return p->requests[i].amount;
    return 0;
}

static double
deviation(const double *shares, uint32_t n)
{
    double sum = 0, squares = 0;

    if (n == 2)
        return fabs(shares[0] - shares[1]) / 2;
    if (n < 2)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        sum += shares[i];
    for (uint32_t i = 0; i < n; i++)
        squares += (shares[i] - sum / n) * (shares[i] - sum / n);
    return sqrt(squares / n);
}

bool
balanced_allocation_score(struct cycle *c, int64_t *ret)
{
    const struct nodes *n = c->nodes;
    const struct profile *p = c->profile;
    int64_t own[ARRAY_LEN(p->balanced_resources)], any = 0;

    for (uint32_t r = 0; r < p->nbalanced_resources; r++)
        any |= own[r] = pod_amount(c->pod, p->balanced_resources[r].id);
    if (!any)
        return false; /* a pod without requests changes no balance */
    for (uint32_t k = 0; k < c->nrows; k++) {
        double shares[ARRAY_LEN(p->balanced_resources)];
        uint32_t nshares = 0, row = c->rows[k];

        for (uint32_t r = 0; r < p->nbalanced_resources; r++) {
            uint32_t id = p->balanced_resources[r].id;
            int64_t has = n->alloc[id] ? n->alloc[id][row] : 0;
            double share;

            if (has <= 0 || (id >= RES_FIRST_OTHER && own[r] == 0))
                continue;
            share = (double)(own[r] + (n->used[id] ? n->used[id][row] : 0)) / (double)has;
            shares[nshares++] = share > 1 ? 1 : share;
        }
        ret[k] = (int64_t)((1 - deviation(shares, nshares)) * MAX_SCORE);
    }
    return true;
}
