// SPDX-License-Identifier: Apache-2.0
#include "scheduler/cycle.h"

#include "common/base/str.h"
#include "scheduler/plugins.h"

/* --- reasons --- */

unsigned
cycle_reason(struct cycle *c, const char *text)
{
    for (uint32_t i = 0; i < c->nreasons; i++)
        if (c->reason[i] == text || str_eq(c->reason[i], text))
            return i;
    if (c->nreasons == MAX_REASONS)
        return MAX_REASONS - 1;
    c->reason[c->nreasons] = text;
    return c->nreasons++;
}

void
cycle_refuse(struct cycle *c, uint32_t row, enum plugin_id plugin, unsigned reason, bool unresolvable)
{
    struct verdict *v = &c->verdicts[row];

    v->plugin = (uint8_t)plugin;
    v->unresolvable |= unresolvable;
    v->reasons |= 1ull << reason;
}

void
cycle_refuse_all(struct cycle *c, enum plugin_id plugin, const char *message)
{
    c->pre_message = message;
    c->pre_plugin = (uint8_t)plugin;
    c->rejecting |= 1u << plugin;
    c->nrows = 0;
}

void
cycle_narrow(struct cycle *c)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < c->nrows; i++) {
        const struct verdict *v = &c->verdicts[c->rows[i]];

        if (v->reasons)
            c->rejecting |= 1u << v->plugin;
        else
            c->rows[kept++] = c->rows[i];
    }
    c->nrows = kept;
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void
reason_counts_print(struct reason_count *counts, uint32_t len, struct sbuf *out)
{
    struct strlist lines = { 0 };

    for (uint32_t i = 0; i < len; i++)
        if (counts[i].n > 0)
            strlist_add_take(&lines, xasprintf("%u %s", counts[i].n, counts[i].text));
    if (lines.len > 0)
        qsort(lines.items, lines.len, sizeof(*lines.items), by_text);
    for (size_t i = 0; i < lines.len; i++)
        sbuf_addf(out, "%s %s", i ? "," : "", lines.items[i]);
    strlist_done(&lines);
}

void
cycle_row_reasons(const struct cycle *c, uint32_t row, struct sbuf *out, const char *separator)
{
    const char *before = "";

    for (uint32_t i = 0; i < c->nreasons; i++)
        if (c->verdicts[row].reasons & (1ull << i)) {
            sbuf_addf(out, "%s%s", before, c->reason[i]);
            before = separator;
        }
}

void
cycle_message(const struct cycle *c, struct sbuf *out)
{
    struct reason_count counts[MAX_REASONS] = { 0 };

    sbuf_addf(out, "0/%u nodes are available:", c->nodes->nlive);
    if (c->pre_message) {
        sbuf_addf(out, " %s.", c->pre_message);
        return;
    }
    for (uint32_t r = 0; r < c->nreasons; r++)
        counts[r].text = c->reason[r];
    for (uint32_t i = 0; i < c->nodes->nlive; i++)
        for (uint64_t bits = c->verdicts[c->nodes->live[i]].reasons; bits; bits &= bits - 1)
            counts[__builtin_ctzll(bits)].n++;
    reason_counts_print(counts, c->nreasons, out);
    sbuf_addc(out, '.');
}

/* --- running --- */

/* A share of the nodes, as percentageOfNodesToScore asks for; at least 100 of them. */
static uint32_t
enough_rows(const struct cycle *c)
{
    int64_t share = c->profile->percentage_of_nodes, all = c->nodes->nlive;

    if (share <= 0 || share >= 100)
        return (uint32_t)all;
    share = all * share / 100;
    return (uint32_t)(share < 100 ? (all < 100 ? all : 100) : share);
}

static void
start(struct cycle *c)
{
    struct nodes *n = c->nodes;

    c->chosen = ROW_NONE;
    c->arena = arena_new((size_t)n->nrows * (sizeof(*c->verdicts) + sizeof(*c->rows) + 3 * sizeof(int64_t)) + 4096);
    c->verdicts = arena_alloc(c->arena, (n->nrows + 1) * sizeof(*c->verdicts));
    c->rows = arena_alloc_raw(c->arena, (n->nlive + 1) * sizeof(*c->rows));
    if (c->one_row) {
        c->rows[0] = c->only_row;
        c->nrows = 1;
        return;
    }
    memcpy(c->rows, n->live, n->nlive * sizeof(*c->rows));
    c->nrows = n->nlive;
}

void
cycle_filter(struct cycle *c)
{
    start(c);
    for (unsigned i = 0; i < PLUGIN_COUNT && c->nrows > 0; i++)
        if (plugins[i].pre_filter && (c->profile->filters & (1u << i)))
            plugins[i].pre_filter(c);
    for (unsigned i = 0; i < PLUGIN_COUNT && c->nrows > 0; i++)
        if (plugins[i].filter && (c->profile->filters & (1u << i))) {
            plugins[i].filter(c);
            cycle_narrow(c);
        }
}

static void
score(struct cycle *c)
{
    int64_t *one = arena_alloc_raw(c->arena, c->nrows * sizeof(*one));

    c->total = arena_alloc(c->arena, c->nrows * sizeof(*c->total));
    for (unsigned i = 0; i < PLUGIN_COUNT; i++) {
        int64_t weight = c->profile->weight[i];

        if (!plugins[i].score || !(c->profile->scores & (1u << i)) || weight == 0)
            continue;
        memset(one, 0, c->nrows * sizeof(*one));
        if (!plugins[i].score(c, one))
            continue;
        for (uint32_t k = 0; k < c->nrows; k++)
            c->total[k] += weight * one[k];
    }
}

static void
choose(struct cycle *c)
{
    uint32_t best = 0, equals = 1;

    for (uint32_t k = 1; k < c->nrows; k++) {
        if (c->total[k] > c->total[best]) {
            best = k;
            equals = 1;
        } else if (c->total[k] == c->total[best] && rng_below(c->rng, ++equals) == 0) {
            best = k; /* each of the equals is as likely */
        }
    }
    c->chosen = c->rows[best];
}

/* Any part of the nodes will do: take the first ones from a random place on. */
static void
sample(struct cycle *c)
{
    uint32_t enough = enough_rows(c), first, *rotated;

    if (c->nrows <= enough)
        return;
    first = (uint32_t)rng_below(c->rng, c->nrows);
    rotated = arena_alloc_raw(c->arena, enough * sizeof(*rotated));
    for (uint32_t i = 0; i < enough; i++)
        rotated[i] = c->rows[(first + i) % c->nrows];
    c->rows = rotated;
    c->nrows = enough;
}

void
cycle_run(struct cycle *c)
{
    cycle_filter(c);
    if (c->nrows == 0)
        return;
    sample(c);
    if (c->nrows > 1) {
        score(c);
        choose(c);
    } else {
        c->chosen = c->rows[0];
    }
}

void
cycle_done(struct cycle *c)
{
    arena_free(c->arena);
    c->arena = NULL;
    nodes_trim(c->nodes);
}

/* --- helpers of plugins --- */

void
score_normalize(int64_t *scores, uint32_t n, bool reverse)
{
    int64_t max = 0;

    for (uint32_t i = 0; i < n; i++)
        if (scores[i] > max)
            max = scores[i];
    for (uint32_t i = 0; i < n; i++) {
        if (max == 0)
            scores[i] = reverse ? MAX_SCORE : scores[i];
        else
            scores[i] = reverse ? MAX_SCORE - scores[i] * MAX_SCORE / max : scores[i] * MAX_SCORE / max;
    }
}
