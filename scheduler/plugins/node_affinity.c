// SPDX-License-Identifier: Apache-2.0
/* NodeAffinity - nodeSelector and node affinity.  Values are compared as numbers of label columns. */
#include "common/base/str.h"
#include "scheduler/plugins.h"

static bool
value_listed(const struct node_requirement *r, const char *value)
{
    for (uint32_t i = 0; i < r->nvalues; i++)
        if (str_eq(r->values[i], value))
            return true;
    return false;
}

/* For one value of the label (NULL = the node has none): does the requirement hold? */
static bool
holds(const struct node_requirement *r, const char *value)
{
    int64_t n;

    switch (r->op) {
    case NODE_IN:
        return value && value_listed(r, value);
    case NODE_NOT_IN:
        return !value || !value_listed(r, value);
    case NODE_EXISTS:
        return value;
    case NODE_NOT_EXISTS:
        return !value;
    case NODE_GT:
        return value && parse_i64(value, &n) == 0 && n > r->number;
    case NODE_LT:
        return value && parse_i64(value, &n) == 0 && n < r->number;
    case NODE_NEVER:
        break;
    }
    return false;
}

/* Clears `ok` where the requirement does not hold. */
static void
apply(struct cycle *c, const struct node_requirement *r, uint8_t *ok)
{
    const struct label_column *column;
    uint8_t *by_value;

    if (r->on_name) {
        for (uint32_t i = 0; i < c->nodes->nlive; i++)
            ok[c->nodes->live[i]] &= holds(r, c->nodes->name[c->nodes->live[i]]);
        return;
    }
    column = nodes_labels(c->nodes, r->key);
    by_value = arena_alloc(c->arena, column->nvalues + 1);
    for (uint32_t v = 0; v <= column->nvalues; v++)
        by_value[v] = holds(r, v ? column->value[v] : NULL);
    for (uint32_t i = 0; i < c->nodes->nlive; i++)
        ok[c->nodes->live[i]] &= by_value[column->of_row[c->nodes->live[i]]];
}

static const uint8_t *
term_matches(struct cycle *c, const struct node_term *t)
{
    uint8_t *ok = arena_alloc_raw(c->arena, c->nodes->nrows + 1);

    memset(ok, t->len > 0, c->nodes->nrows + 1);
    for (uint32_t i = 0; i < t->len; i++)
        apply(c, &t->items[i], ok);
    return ok;
}

const uint8_t *
cycle_node_matches(struct cycle *c)
{
    uint8_t *ok, *any;

    if (c->node_matches)
        return c->node_matches;
    ok = arena_alloc_raw(c->arena, c->nodes->nrows + 1);
    memset(ok, 1, c->nodes->nrows + 1);
    for (uint32_t i = 0; i < c->pod->selector.len; i++)
        apply(c, &c->pod->selector.items[i], ok);
    if (c->pod->has_required) {
        any = arena_alloc(c->arena, c->nodes->nrows + 1);
        for (uint32_t t = 0; t < c->pod->nrequired; t++) {
            const uint8_t *one = term_matches(c, &c->pod->required[t]);

            for (uint32_t row = 0; row < c->nodes->nrows; row++)
                any[row] |= one[row];
        }
        for (uint32_t row = 0; row < c->nodes->nrows; row++)
            ok[row] &= any[row];
    }
    c->node_matches = ok;
    return ok;
}

void
node_affinity_filter(struct cycle *c)
{
    const uint8_t *ok;

    if (c->pod->selector.len == 0 && !c->pod->has_required)
        return;
    ok = cycle_node_matches(c);
    for (uint32_t i = 0; i < c->nrows; i++)
        if (!ok[c->rows[i]])
            cycle_refuse(c, c->rows[i], PLUGIN_NODE_AFFINITY, cycle_reason(c, "node(s) didn't match Pod's node affinity/selector"), true);
}

/* Pods pinned to nodes by name (daemon sets): all other nodes are out before anything else is looked at. */
void
node_affinity_pin(struct cycle *c)
{
    uint8_t *named;

    if (c->pod->nonly_nodes == 0)
        return;
    named = arena_alloc(c->arena, c->nodes->nrows + 1);
    for (uint32_t i = 0; i < c->pod->nonly_nodes; i++) {
        uint32_t row = nodes_row(c->nodes, c->pod->only_nodes[i]);

        if (row != ROW_NONE)
            named[row] = 1;
    }
    for (uint32_t i = 0; i < c->nrows; i++)
        if (!named[c->rows[i]])
            cycle_refuse(c, c->rows[i], PLUGIN_NODE_AFFINITY, cycle_reason(c, "node(s) didn't satisfy plugin(s) [NodeAffinity]"), true);
    cycle_narrow(c);
}

bool
node_affinity_score(struct cycle *c, int64_t *ret)
{
    if (c->pod->npreferred == 0)
        return false;
    for (uint32_t t = 0; t < c->pod->npreferred; t++) {
        const uint8_t *ok = term_matches(c, &c->pod->preferred[t]);

        for (uint32_t k = 0; k < c->nrows; k++)
            ret[k] += ok[c->rows[k]] * c->pod->preferred[t].weight;
    }
    score_normalize(ret, c->nrows, false);
    return true;
}
