// SPDX-License-Identifier: Apache-2.0
/* InterPodAffinity - near these pods, away from those; required terms filter, preferred ones score.  Both the pod's own
 * terms about pods that are there, and the terms that pods on nodes hold about this one. */
#include "common/base/str.h"
#include "scheduler/plugins.h"

/* Matching pods per topology value; *ret_total: all of them in nodes with the key. */
static int64_t *
count_places(struct cycle *c, const struct affinity_term *t, const struct label_column *column, int64_t *ret_total)
{
    const uint32_t *count = nodes_count(c->nodes, c->pod, &t->who);
    int64_t *sum = arena_alloc(c->arena, (column->nvalues + 1) * sizeof(*sum));

    *ret_total = 0;
    for (uint32_t i = 0; i < c->nodes->nlive; i++) {
        uint32_t row = c->nodes->live[i], v = column->of_row[row];

        if (v) {
            sum[v] += count[row];
            *ret_total += count[row];
        }
    }
    return sum;
}

static bool
matches_self(const struct cycle *c, const struct affinity_term *t)
{
    return pod_match_hits(&t->who, c->pod, nodes_namespace_labels(c->nodes, c->pod->namespace));
}

/* Pods that are there and do not want this one near. */
static void
filter_held(struct cycle *c)
{
    for (uint32_t h = 0; h < nodes_held(c->nodes, HELD_ANTI); h++) {
        struct held_term held = nodes_held_at(c->nodes, HELD_ANTI, h);
        const struct label_column *column;
        uint8_t *bad;

        if (!matches_self(c, held.term))
            continue;
        column = nodes_labels(c->nodes, held.term->topology_key);
        bad = arena_alloc(c->arena, column->nvalues + 1);
        for (uint32_t i = 0; i < held.nrows; i++)
            bad[column->of_row[held.rows[i].row]] = 1;
        bad[0] = 0; /* a node without the key is in no place */
        for (uint32_t i = 0; i < c->nrows; i++)
            if (bad[column->of_row[c->rows[i]]])
                cycle_refuse(c, c->rows[i], PLUGIN_INTER_POD_AFFINITY,
                             cycle_reason(c, "node(s) didn't satisfy existing pods anti-affinity rules"), false);
    }
}

static void
filter_anti(struct cycle *c)
{
    for (uint32_t t = 0; t < c->pod->anti_affinity.len; t++) {
        const struct affinity_term *term = &c->pod->anti_affinity.items[t];
        const struct label_column *column = nodes_labels(c->nodes, term->topology_key);
        int64_t total, *sum = count_places(c, term, column, &total);

        for (uint32_t i = 0; i < c->nrows; i++)
            if (!c->verdicts[c->rows[i]].reasons && column->of_row[c->rows[i]] && sum[column->of_row[c->rows[i]]] > 0)
                cycle_refuse(c, c->rows[i], PLUGIN_INTER_POD_AFFINITY, cycle_reason(c, "node(s) didn't match pod anti-affinity rules"), false);
    }
}

/* A pod must match all terms to count for any of them (upstream's rule); counted by walking the pods. */
static bool
pod_matches_all(const struct cycle *c, const struct pod_info *other)
{
    const struct string_map *labels = nodes_namespace_labels(c->nodes, other->namespace);

    for (uint32_t t = 0; t < c->pod->affinity.len; t++)
        if (!pod_match_hits(&c->pod->affinity.items[t].who, other, labels))
            return false;
    return true;
}

static const uint32_t *
affinity_count(struct cycle *c)
{
    uint32_t *count;

    if (c->pod->affinity.len == 1)
        return nodes_count(c->nodes, c->pod, &c->pod->affinity.items[0].who);
    count = arena_alloc(c->arena, (c->nodes->nrows + 1) * sizeof(*count));
    for (uint32_t i = 0; i < c->nodes->nlive; i++) {
        const struct row_pods *pods = &c->nodes->pods[c->nodes->live[i]];

        for (uint32_t k = 0; k < pods->len; k++)
            count[c->nodes->live[i]] += pod_matches_all(c, pods->items[k]);
    }
    return count;
}

static void
filter_affinity(struct cycle *c)
{
    const struct affinity_terms *terms = &c->pod->affinity;
    const uint32_t *count;
    uint8_t *missing, *no_key;
    bool any = false, first;

    if (terms->len == 0)
        return;
    count = affinity_count(c);
    missing = arena_alloc(c->arena, c->nodes->nrows + 1);
    no_key = arena_alloc(c->arena, c->nodes->nrows + 1);
    for (uint32_t t = 0; t < terms->len; t++) {
        const struct label_column *column = nodes_labels(c->nodes, terms->items[t].topology_key);
        int64_t *sum = arena_alloc(c->arena, (column->nvalues + 1) * sizeof(*sum));

        for (uint32_t i = 0; i < c->nodes->nlive; i++)
            sum[column->of_row[c->nodes->live[i]]] += count[c->nodes->live[i]];
        for (uint32_t v = 1; v <= column->nvalues; v++)
            any |= sum[v] > 0;
        for (uint32_t i = 0; i < c->nrows; i++) {
            uint32_t v = column->of_row[c->rows[i]];

            no_key[c->rows[i]] |= v == 0;
            missing[c->rows[i]] |= v == 0 || sum[v] == 0;
        }
    }
    /* The first of a group that wants to be near itself may go anywhere with the keys. */
    first = !any && pod_matches_all(c, c->pod);
    for (uint32_t i = 0; i < c->nrows; i++)
        if (missing[c->rows[i]] && (no_key[c->rows[i]] || !first) && !c->verdicts[c->rows[i]].reasons)
            cycle_refuse(c, c->rows[i], PLUGIN_INTER_POD_AFFINITY, cycle_reason(c, "node(s) didn't match pod affinity rules"), true);
}

/* Upstream's order of words: own affinity, own anti-affinity, then what others hold. */
void
inter_pod_affinity_filter(struct cycle *c)
{
    filter_affinity(c);
    filter_anti(c);
    cycle_narrow(c);
    filter_held(c);
}

/* --- score --- */

static void
add_place_scores(struct cycle *c, const struct label_column *column, const int64_t *sum, int64_t weight, int64_t *ret)
{
    for (uint32_t k = 0; k < c->nrows; k++)
        if (column->of_row[c->rows[k]])
            ret[k] += weight * sum[column->of_row[c->rows[k]]];
}

static bool
add_held_scores(struct cycle *c, enum held_kind kind, int64_t *ret)
{
    bool any = false;

    for (uint32_t h = 0; h < nodes_held(c->nodes, kind); h++) {
        struct held_term held = nodes_held_at(c->nodes, kind, h);
        int64_t weight = kind == HELD_REQUIRED ? c->profile->hard_affinity_weight : held.term->weight, *sum;
        const struct label_column *column;

        if (weight == 0 || !matches_self(c, held.term))
            continue;
        any = true;
        column = nodes_labels(c->nodes, held.term->topology_key);
        sum = arena_alloc(c->arena, (column->nvalues + 1) * sizeof(*sum));
        for (uint32_t i = 0; i < held.nrows; i++)
            sum[column->of_row[held.rows[i].row]] += held.rows[i].n;
        add_place_scores(c, column, sum, weight, ret);
    }
    return any;
}

bool
inter_pod_affinity_score(struct cycle *c, int64_t *ret)
{
    int64_t min = INT64_MAX, max = INT64_MIN, total;
    bool any = c->pod->preferred_affinity.len > 0;

    for (uint32_t t = 0; t < c->pod->preferred_affinity.len; t++) {
        const struct affinity_term *term = &c->pod->preferred_affinity.items[t];
        const struct label_column *column = nodes_labels(c->nodes, term->topology_key);

        add_place_scores(c, column, count_places(c, term, column, &total), term->weight, ret);
    }
    any |= add_held_scores(c, HELD_PREFERRED, ret);
    any |= add_held_scores(c, HELD_REQUIRED, ret);
    if (!any)
        return false;
    for (uint32_t k = 0; k < c->nrows; k++) {
        min = ret[k] < min ? ret[k] : min;
        max = ret[k] > max ? ret[k] : max;
    }
    for (uint32_t k = 0; k < c->nrows; k++)
        ret[k] = max > min ? MAX_SCORE * (ret[k] - min) / (max - min) : 0;
    return true;
}
