// SPDX-License-Identifier: Apache-2.0
/* PodTopologySpread - keeps the numbers of matching pods in the places of a topology (zones, nodes, ...) close together. */
#include <math.h>

#include "common/base/str.h"
#include "scheduler/plugins.h"

#define HOSTNAME_LABEL "kubernetes.io/hostname"

/* Which live rows count for the constraint: they have all keys of the set, and suit the pod as the policies say. */
static uint8_t *
counted_rows(struct cycle *c, const struct spread_terms *all, const struct spread_term *t, bool need_all_keys)
{
    uint8_t *yes = arena_alloc_raw(c->arena, c->nodes->nrows + 1);

    memset(yes, 1, c->nodes->nrows + 1);
    for (uint32_t k = 0; need_all_keys && k < all->len; k++) {
        const uint32_t *of_row = nodes_labels(c->nodes, all->items[k].topology_key)->of_row;

        for (uint32_t i = 0; i < c->nodes->nlive; i++)
            yes[c->nodes->live[i]] &= of_row[c->nodes->live[i]] != 0;
    }
    if (t->honor_affinity) {
        const uint8_t *ok = cycle_node_matches(c);

        for (uint32_t i = 0; i < c->nodes->nlive; i++)
            yes[c->nodes->live[i]] &= ok[c->nodes->live[i]];
    }
    if (t->honor_taints) {
        const uint8_t *ok = cycle_tolerated(c);

        for (uint32_t i = 0; i < c->nodes->nlive; i++)
            yes[c->nodes->live[i]] &= ok[c->nodes->taints[c->nodes->live[i]]];
    }
    return yes;
}

static void
filter_one(struct cycle *c, const struct spread_term *t)
{
    const struct label_column *column = nodes_labels(c->nodes, t->topology_key);
    const uint32_t *count = nodes_count(c->nodes, c->pod, &t->who);
    const uint8_t *counted = counted_rows(c, &c->pod->spread_hard, t, true);
    int64_t *sum = arena_alloc(c->arena, (column->nvalues + 1) * sizeof(*sum)), min = INT64_MAX;
    uint8_t *place = arena_alloc(c->arena, column->nvalues + 1);
    uint32_t nplaces = 0;

    for (uint32_t i = 0; i < c->nodes->nlive; i++) {
        uint32_t row = c->nodes->live[i], v = column->of_row[row];

        if (!counted[row])
            continue;
        sum[v] += count[row];
        nplaces += !place[v];
        place[v] = 1;
    }
    for (uint32_t v = 1; v <= column->nvalues; v++)
        if (place[v] && sum[v] < min)
            min = sum[v];
    if (nplaces < (uint32_t)t->min_domains || nplaces == 0)
        min = nplaces == 0 ? INT32_MAX : 0;
    for (uint32_t i = 0; i < c->nrows; i++) {
        uint32_t row = c->rows[i], v = column->of_row[row];

        if (c->verdicts[row].reasons)
            continue; /* an earlier constraint spoke already */
        if (!v)
            cycle_refuse(c, row, PLUGIN_POD_TOPOLOGY_SPREAD,
                         cycle_reason(c, "node(s) didn't match pod topology spread constraints (missing required label)"), true);
        else if (sum[v] + t->matches_self - min > t->max_skew)
            cycle_refuse(c, row, PLUGIN_POD_TOPOLOGY_SPREAD, cycle_reason(c, "node(s) didn't match pod topology spread constraints"), false);
    }
}

void
pod_topology_spread_filter(struct cycle *c)
{
    for (uint32_t i = 0; i < c->pod->spread_hard.len; i++)
        filter_one(c, &c->pod->spread_hard.items[i]);
}

/* --- score --- */

static void
score_one(struct cycle *c, const struct spread_term *t, const uint8_t *ignored, double *score)
{
    const struct label_column *column = nodes_labels(c->nodes, t->topology_key);
    const uint32_t *count = nodes_count(c->nodes, c->pod, &t->who);
    bool hostname = str_eq(t->topology_key, HOSTNAME_LABEL);
    const uint8_t *counted = counted_rows(c, &c->pod->spread_soft, t, !c->pod->spread_default);
    int64_t *sum = arena_alloc(c->arena, (column->nvalues + 1) * sizeof(*sum));
    uint8_t *place = arena_alloc(c->arena, column->nvalues + 1);
    uint32_t nplaces = 0;
    double weight;

    for (uint32_t k = 0; k < c->nrows; k++) {
        uint32_t v = column->of_row[c->rows[k]];

        if (ignored[k])
            continue;
        nplaces += hostname || !place[v];
        place[v] = 1;
    }
    weight = log(nplaces + 2);
    for (uint32_t i = 0; !hostname && i < c->nodes->nlive; i++) {
        uint32_t row = c->nodes->live[i];

        if (counted[row] && place[column->of_row[row]])
            sum[column->of_row[row]] += count[row];
    }
    for (uint32_t k = 0; k < c->nrows; k++) {
        uint32_t row = c->rows[k], v = column->of_row[row];

        if (!ignored[k] && v)
            score[k] += (double)(hostname ? count[row] : sum[v]) * weight + (t->max_skew - 1);
    }
}

static void
normalize(const uint8_t *ignored, int64_t *score, uint32_t n)
{
    int64_t min = INT64_MAX, max = 0;

    for (uint32_t k = 0; k < n; k++) {
        if (ignored[k])
            continue;
        min = score[k] < min ? score[k] : min;
        max = score[k] > max ? score[k] : max;
    }
    for (uint32_t k = 0; k < n; k++)
        score[k] = ignored[k] ? 0 : max == 0 ? MAX_SCORE : MAX_SCORE * (max + min - score[k]) / max;
}

bool
pod_topology_spread_score(struct cycle *c, int64_t *ret)
{
    const struct spread_terms *soft = &c->pod->spread_soft;
    uint8_t *ignored;
    double *score;

    if (soft->len == 0 || (c->pod->spread_default && !c->profile->default_spread))
        return false;
    ignored = arena_alloc(c->arena, c->nrows);
    score = arena_alloc(c->arena, c->nrows * sizeof(*score));
    for (uint32_t t = 0; !c->pod->spread_default && t < soft->len; t++) {
        const uint32_t *of_row = nodes_labels(c->nodes, soft->items[t].topology_key)->of_row;

        for (uint32_t k = 0; k < c->nrows; k++)
            ignored[k] |= of_row[c->rows[k]] == 0;
    }
    for (uint32_t t = 0; t < soft->len; t++)
        score_one(c, &soft->items[t], ignored, score);
    for (uint32_t k = 0; k < c->nrows; k++)
        ret[k] = (int64_t)round(score[k]);
    normalize(ignored, ret, c->nrows);
    return true;
}
