// SPDX-License-Identifier: Apache-2.0
/* cycle.h - one pod, one decision: which node, or why none.  Pure: columns, a pod, a random number in; a verdict out.
 *
 *   pre-filters -> filters (each narrows `rows`) -> scores (each 0..100, times its weight) -> the best, ties at random
 *
 * plugins.h has the table of plugins; this file runs them and writes upstream's messages. */
#ifndef CKUBE_SCHEDULER_CYCLE_H
#define CKUBE_SCHEDULER_CYCLE_H

#include "common/base/arena.h"
#include "common/base/rng.h"
#include "common/base/sbuf.h"
#include "scheduler/nodes.h"

#define MAX_SCORE 100
#define MAX_REASONS 64 /* different texts in one cycle; the last one is shared by further ones */

enum plugin_id { /* in upstream's order of evaluation; the bit numbers of plugin sets */
    PLUGIN_SCHEDULING_GATES,
    PLUGIN_PRIORITY_SORT,
    PLUGIN_NODE_UNSCHEDULABLE,
    PLUGIN_NODE_NAME,
    PLUGIN_TAINT_TOLERATION,
    PLUGIN_NODE_AFFINITY,
    PLUGIN_NODE_PORTS,
    PLUGIN_NODE_RESOURCES_FIT,
    PLUGIN_VOLUME_BINDING,
    PLUGIN_POD_TOPOLOGY_SPREAD,
    PLUGIN_INTER_POD_AFFINITY,
    PLUGIN_BALANCED_ALLOCATION,
    PLUGIN_IMAGE_LOCALITY,
    PLUGIN_DEFAULT_PREEMPTION,
    PLUGIN_DEFAULT_BINDER,
    PLUGIN_COUNT,
};

enum claim_state { CLAIM_MISSING, CLAIM_BOUND, CLAIM_UNBOUND, CLAIM_WAITS_FOR_POD, CLAIM_DELETING, CLAIM_LOST };

struct profile { /* one scheduler name with its plugins */
    char *name;
    uint32_t filters, scores; /* plugin sets */
    uint32_t enabled;         /* all extension points together */
    int32_t weight[PLUGIN_COUNT];
    int32_t percentage_of_nodes; /* 0 or 100 = look at all */
    bool default_spread;
    enum { FIT_LEAST, FIT_MOST, FIT_RATIO } fit_strategy;
    struct { uint32_t id; int64_t weight; } fit_resources[16], balanced_resources[16];
    uint32_t nfit_resources, nbalanced_resources;
    struct { int32_t utilization, score; } shape[16]; /* FIT_RATIO */
    uint32_t nshape;
    int32_t hard_affinity_weight; /* InterPodAffinity hardPodAffinityWeight, 1 */
};

struct verdict { /* of one row */
    uint8_t plugin;    /* that refused, valid when reasons != 0 */
    bool unresolvable; /* taking pods away would not help */
    uint64_t reasons;  /* bits into cycle.reason */
};

struct cycle {
    struct nodes *nodes;
    struct pod_info *pod;
    const struct profile *profile;
    enum claim_state (*claim)(const char *ns, const char *name, void *arg); /* NULL: no claim exists */
    void *claim_arg;
    struct rng *rng;
    bool one_row; /* look at only_row alone */
    uint32_t only_row;
    /* from here on set by cycle_run() */
    struct arena *arena;
    uint32_t *rows, nrows; /* still in the race */
    struct verdict *verdicts; /* by row */
    const char *reason[MAX_REASONS];
    uint32_t nreasons;
    const char *pre_message;  /* a pre-filter refused for all nodes */
    uint8_t pre_plugin;
    uint32_t rejecting; /* set of plugins that refused somewhere */
    const uint8_t *node_matches, *tolerated; /* caches of the helpers below */
    int64_t *total;     /* score by place in rows */
    uint32_t chosen;    /* row, or ROW_NONE */
};

/* Zero the struct, fill in the first part, run; cycle_done() when the results were read. */
void cycle_run(struct cycle *c);
void cycle_done(struct cycle *c);
/* The filters alone, for preemption: would this row take the pod?  The cycle must be fresh.  Fills rows and verdicts. */
void cycle_filter(struct cycle *c);

/* "0/3 nodes are available: 1 Insufficient cpu, 2 Too many pods." */
void cycle_message(const struct cycle *c, struct sbuf *out);
void cycle_row_reasons(const struct cycle *c, uint32_t row, struct sbuf *out, const char *separator);
/* " 1 x, 2 y": counts of texts, sorted as upstream does. */
struct reason_count {
    const char *text;
    uint32_t n;
};
void reason_counts_print(struct reason_count *counts, uint32_t len, struct sbuf *out);

/* --- for plugins --- */
unsigned cycle_reason(struct cycle *c, const char *text); /* bit number; the text is not copied */
void cycle_refuse(struct cycle *c, uint32_t row, enum plugin_id plugin, unsigned reason, bool unresolvable);
/* Keeps the rows for which `keep` says so; the others must have been refused. */
void cycle_narrow(struct cycle *c);
void cycle_refuse_all(struct cycle *c, enum plugin_id plugin, const char *message);
/* 0..max of the raw scores to 0..100; reverse: the highest becomes 0. */
void score_normalize(int64_t *scores, uint32_t n, bool reverse);
/* Which rows does the pod's nodeSelector and required node affinity accept: bytes by row, made once per cycle. */
const uint8_t *cycle_node_matches(struct cycle *c);
const uint8_t *cycle_tolerated(struct cycle *c); /* by taint id: no NoSchedule or NoExecute taint is in the way */

#endif
