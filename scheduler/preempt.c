// SPDX-License-Identifier: Apache-2.0
#include "scheduler/preempt.h"

#include "common/api/meta.h"
#include "common/api/values.h"
#include "common/base/str.h"

#define MIN_CANDIDATES 100 /* upstream: 10 % of the nodes, at least 100 */

struct candidate {
    uint32_t row;
    struct pod_info **victims;
    uint32_t nvictims, nviolating; /* of budgets */
};

struct budget {
    const char *namespace;
    const struct label_query *labels;
    int32_t allowed, left;
};


/* Reasons of nodes where it does not help, by text. */
struct tally {
    struct reason_count items[MAX_REASONS];
    uint32_t len;
};

struct search {
    struct cycle *c;
    struct tally *why_not;
    struct budget *budgets;
    size_t nbudgets;
};

static void
count_reason(struct tally *t, const char *text)
{
    for (uint32_t i = 0; i < t->len; i++)
        if (str_eq(t->items[i].text, text)) {
            t->items[i].n++;
            return;
        }
    if (t->len < ARRAY_LEN(t->items))
        t->items[t->len++] = (struct reason_count){ text, 1 };
}

static struct api_time
started(const struct pod_info *p)
{
    const struct api_time *t = p->pod->status.start_time;

    return t ? *t : p->pod->metadata.creation_timestamp;
}

/* More important first: higher priority, then longer running. */
static int
by_importance(const void *a, const void *b)
{
    const struct pod_info *x = *(struct pod_info *const *)a, *y = *(struct pod_info *const *)b;

    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return api_time_cmp(started(x), started(y));
}

static bool
fits(struct cycle *c, uint32_t row, struct tally *why_not)
{
    struct cycle try = { .nodes = c->nodes, .pod = c->pod, .profile = c->profile, .claim = c->claim, .claim_arg = c->claim_arg, .rng = c->rng,
                         .one_row = true, .only_row = row };
    bool ok;

    cycle_filter(&try);
    ok = try.nrows == 1;
    for (uint32_t i = 0; !ok && why_not && i < try.nreasons; i++)
        if (try.verdicts[row].reasons & (1ull << i))
            count_reason(why_not, arena_strdup(c->arena, try.reason[i]));
    arena_free(try.arena);
    return ok;
}

/* Would the going of this pod, after those asked about before, break a budget? */
static bool
breaks_budget(struct search *s, const struct pod_info *p)
{
    bool broken = false;

    for (size_t i = 0; i < s->nbudgets; i++) {
        struct budget *b = &s->budgets[i];

        if (str_eq(b->namespace, p->namespace) && label_query_matches(b->labels, &p->pod->metadata.labels) && --b->left < 0)
            broken = true;
    }
    return broken;
}

/* Those that break budgets first, to be given back first; each part stays in its order. Returns how many. */
static uint32_t
violators_first(struct search *s, struct pod_info **pods, uint32_t n)
{
    struct pod_info **rest = arena_alloc(s->c->arena, (n + 1) * sizeof(*rest));
    uint32_t nviolators = 0, nrest = 0;

    for (size_t i = 0; i < s->nbudgets; i++)
        s->budgets[i].left = s->budgets[i].allowed;
    for (uint32_t i = 0; i < n; i++) {
        if (breaks_budget(s, pods[i]))
            pods[nviolators++] = pods[i];
        else
            rest[nrest++] = pods[i];
    }
    memcpy(pods + nviolators, rest, nrest * sizeof(*rest));
    return nviolators;
}

/* Takes all lower pods away, then gives back, the most important first, whoever leaves room enough. */
static bool
try_row(struct search *s, uint32_t row, struct candidate *ret)
{
    struct cycle *c = s->c;
    const struct row_pods *pods = &c->nodes->pods[row];
    struct pod_info **lower = arena_alloc(c->arena, (pods->len + 1) * sizeof(*lower));
    const char *node = c->nodes->name[row];
    uint32_t n = 0, nviolators;
    bool ok;

    for (uint32_t i = 0; i < pods->len; i++)
        if (pods->items[i]->priority < c->pod->priority)
            lower[n++] = pod_info_ref(pods->items[i]);
    if (n == 0) {
        count_reason(s->why_not, "No preemption victims found for incoming pod");
        return false;
    }
    qsort(lower, n, sizeof(*lower), by_importance);
    nviolators = violators_first(s, lower, n);
    for (uint32_t i = 0; i < n; i++)
        nodes_del_pod(c->nodes, lower[i]);
    ok = fits(c, row, s->why_not);
    *ret = (struct candidate){ .row = row, .victims = arena_alloc(c->arena, (n + 1) * sizeof(*ret->victims)) };
    for (uint32_t i = 0; i < n; i++) {
        nodes_add_pod(c->nodes, lower[i], node);
        if (ok && !fits(c, row, NULL)) {
            nodes_del_pod(c->nodes, lower[i]);
            ret->victims[ret->nvictims++] = lower[i];
            ret->nviolating += i < nviolators;
        }
    }
    for (uint32_t i = 0; i < ret->nvictims; i++)
        nodes_add_pod(c->nodes, ret->victims[i], node);
    qsort(ret->victims, ret->nvictims, sizeof(*ret->victims), by_importance);
    for (uint32_t i = 0; i < n; i++)
        pod_info_unref(lower[i]); /* the columns hold them */
    return ok;
}

/* Upstream's order: fewest broken budgets, lowest highest priority, lowest sum of priorities, fewest, latest start of the most important one. */
static bool
better(const struct candidate *a, const struct candidate *b)
{
    int64_t sum_a = 0, sum_b = 0;

    if (a->nvictims == 0 || b->nvictims == 0)
        return a->nvictims < b->nvictims;
    if (a->nviolating != b->nviolating)
        return a->nviolating < b->nviolating;
    if (a->victims[0]->priority != b->victims[0]->priority)
        return a->victims[0]->priority < b->victims[0]->priority;
    for (uint32_t i = 0; i < a->nvictims; i++)
        sum_a += (int64_t)a->victims[i]->priority + INT32_MAX + 1;
    for (uint32_t i = 0; i < b->nvictims; i++)
        sum_b += (int64_t)b->victims[i]->priority + INT32_MAX + 1;
    if (sum_a != sum_b)
        return sum_a < sum_b;
    if (a->nvictims != b->nvictims)
        return a->nvictims < b->nvictims;
    return api_time_cmp(started(a->victims[0]), started(b->victims[0])) > 0;
}

/* Victims of an earlier preemption are still on their way out there. */
static bool
room_is_being_made(const struct cycle *c)
{
    const char *nominated = c->pod->pod->status.nominated_node_name;
    uint32_t row = str_empty(nominated) ? ROW_NONE : nodes_row(c->nodes, nominated);

    if (row == ROW_NONE || !c->nodes->node[row] || c->verdicts[row].unresolvable)
        return false;
    for (uint32_t i = 0; i < c->nodes->pods[row].len; i++) {
        const struct pod_info *p = c->nodes->pods[row].items[i];

        if (p->priority < c->pod->priority && meta_deleting(&p->pod->metadata))
            return true;
    }
    return false;
}

static bool
find(struct search *s, struct candidate *best)
{
    struct cycle *c = s->c;
    uint32_t n = c->nodes->nlive, first = n ? (uint32_t)rng_below(c->rng, n) : 0, found = 0, enough = n / 10 > MIN_CANDIDATES ? n / 10 : MIN_CANDIDATES;
    /* The columns' list stays as it is: nodes do not come or go here. */
    for (uint32_t i = 0; i < n && found < enough; i++) {
        uint32_t row = c->nodes->live[(first + i) % n];
        struct candidate one;

        if (c->pre_message || c->verdicts[row].unresolvable)
            count_reason(s->why_not, "Preemption is not helpful for scheduling");
        else if (try_row(s, row, &one) && (++found == 1 || better(&one, best)))
            *best = one;
    }
    return found > 0;
}

static void
take_budgets(struct search *s, const struct budgets *from)
{
    struct arena *a = s->c->arena;

    s->budgets = arena_alloc(a, (from->len + 1) * sizeof(*s->budgets));
    for (size_t i = 0; i < from->len; i++) {
        const struct pod_disruption_budget *b = OBJECT_BODY(from->items[i], pod_disruption_budget);
        struct label_query *q;
        struct kerr *err = b->spec.selector ? label_query_from(b->spec.selector, a, &q) : NULL;

        if (b->spec.selector && !err)
            s->budgets[s->nbudgets++] = (struct budget){ b->metadata.namespace, q, b->status.disruptions_allowed, 0 };
        kerr_free(err); /* the apiserver validates; a bad selector covers no pod */
    }
}

void
preempt(struct cycle *c, const struct budgets *budgets, struct preemption *ret)
{
    struct tally why_not = { .len = 0 };
    struct search search = { .c = c, .why_not = &why_not };
    struct candidate best = { .row = ROW_NONE };

    *ret = (struct preemption){ .row = ROW_NONE };
    take_budgets(&search, budgets);
    sbuf_adds(&ret->message, " no new claims to deallocate");
    if (!(c->profile->enabled & (1u << PLUGIN_DEFAULT_PREEMPTION))) {
        sbuf_addc(&ret->message, '.');
    } else if (c->pod->never_preempts) {
        sbuf_adds(&ret->message, ", preemption: not eligible due to preemptionPolicy=Never.");
    } else if (room_is_being_made(c)) {
        ret->keep_nomination = true;
        sbuf_adds(&ret->message, ", preemption: not eligible due to a terminating pod on the nominated node.");
    } else if (find(&search, &best)) {
        ret->row = best.row;
        ret->nvictims = best.nvictims;
        ret->victims = xcalloc(best.nvictims + 1, sizeof(*ret->victims));
        for (uint32_t i = 0; i < best.nvictims; i++)
            ret->victims[i] = pod_info_ref(best.victims[i]);
        sbuf_clear(&ret->message);
    } else {
        sbuf_addf(&ret->message, ", preemption: 0/%u nodes are available:", c->nodes->nlive);
        reason_counts_print(why_not.items, why_not.len, &ret->message);
        sbuf_addc(&ret->message, '.');
    }
}

void
preemption_done(struct preemption *p)
{
    for (uint32_t i = 0; i < p->nvictims; i++)
        pod_info_unref(p->victims[i]);
    free(p->victims);
    sbuf_done(&p->message);
    *p = (struct preemption){ .row = ROW_NONE };
}
