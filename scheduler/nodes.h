// SPDX-License-Identifier: Apache-2.0
/* nodes.h - the cluster as the scheduler sees it: nodes in columns, and the pods counted on them.
 *
 *   row      0        1        2   ...          one row per node name, reused when a node is gone for good
 *   name     n1       n2       n3
 *   alloc    [cpu]    [cpu]    [cpu]            one column per resource id, allocatable and used
 *   taints   0        3        0                id of a taint list; equal lists share one id
 *   labels   key -> value id per row            a column per label key that some pod asked about
 *   counts   pod_match -> number per row        of the pods a spread or affinity term counts; kept up to date
 *
 * Filters and scores are passes over a few of these arrays.  Fed by informers and by assumed pods; no I/O, one lock of
 * the caller's around all of it.  Pointers into columns are valid until the next change. */
#ifndef CKUBE_SCHEDULER_NODES_H
#define CKUBE_SCHEDULER_NODES_H

#include "scheduler/pod_info.h"

struct label_column {
    const char *key;
    uint32_t *of_row;  /* 0 = the node has no such label, else 1..nvalues */
    const char **value; /* by id */
    uint32_t nvalues;
};

struct image_on_nodes {
    int64_t size;
    const uint32_t *rows;
    uint32_t nrows;
};

struct row_count {
    uint32_t row, n;
};

/* A term that pods on nodes hold, which may speak about a pod that is to come; equal terms of many pods are one. */
enum held_kind { HELD_ANTI, HELD_REQUIRED, HELD_PREFERRED, HELD_KINDS };
struct held_term {
    const struct affinity_term *term;
    const struct row_count *rows;
    uint32_t nrows;
};

struct row_pods {
    struct pod_info **items;
    uint32_t len, cap;
};

struct nodes { /* read by plugins; changed by the functions below only */
    struct resource_names *resources;
    uint32_t nrows, cap;
    uint32_t *live, nlive; /* rows whose node exists */
    uint32_t *live_at;     /* row -> place in live; ROW_NONE */
    char **name;
    const struct node **node; /* NULL: pods are there, the node object is not (yet, or no longer) */
    int64_t *alloc[RES_MAX], *used[RES_MAX]; /* NULL column: 0 everywhere */
    int64_t *used_cpu_or_default, *used_memory_or_default;
    bool *unschedulable;
    uint32_t *taints;   /* 0 = none */
    uint32_t *nports;   /* host ports in use */
    struct row_pods *pods;
    struct nodes_private *priv;
};

struct nodes *nodes_new(struct resource_names *resources) MUST_CHECK;
void nodes_free(struct nodes *n);
DEFINE_AUTO(nodes)

/* What of a node changed, for the queue. */
enum node_change { NODE_ALLOCATABLE = 1, NODE_LABELS = 2, NODE_TAINTS = 4, NODE_UNSCHEDULABLE = 8, NODE_ADDED = 16, NODE_GONE = 32 };
unsigned nodes_set_node(struct nodes *n, const struct object *node); /* takes its own reference */
void nodes_del_node(struct nodes *n, const char *name);
/* A pod on a node, bound or assumed; the node may be unknown.  Holds a reference until nodes_del_pod(). */
void nodes_add_pod(struct nodes *n, struct pod_info *p, const char *node);
void nodes_del_pod(struct nodes *n, struct pod_info *p);
void nodes_set_namespace(struct nodes *n, const char *name, const struct string_map *labels); /* NULL: it is gone */

uint32_t nodes_row(const struct nodes *n, const char *name); /* ROW_NONE */
const struct string_map *nodes_namespace_labels(const struct nodes *n, const char *name); /* or NULL */
const struct label_column *nodes_labels(struct nodes *n, const char *key);
uint32_t label_column_id(const struct label_column *c, const char *value); /* 0 = no node has it */
const struct taint_slice *nodes_taints(const struct nodes *n, uint32_t id);
uint32_t nodes_taint_ids(const struct nodes *n); /* ids are below this */
/* Pods per row that `who` counts; `holder` is the pod whose term it is. */
const uint32_t *nodes_count(struct nodes *n, struct pod_info *holder, const struct pod_match *who);
bool nodes_image(const struct nodes *n, const char *image, struct image_on_nodes *ret);
/* Drops tables that were not used for long; between cycles only. */
void nodes_trim(struct nodes *n);
uint32_t nodes_held(const struct nodes *n, enum held_kind kind);
struct held_term nodes_held_at(const struct nodes *n, enum held_kind kind, uint32_t i);

#endif
