// SPDX-License-Identifier: Apache-2.0
/* plugins.h - the table of plugins; one file each in plugins/.  A filter refuses rows of cycle.rows, a score fills one
 * number per place in cycle.rows and brings it to 0..100 itself.  false from a score: it has nothing to say (Skip). */
#ifndef CKUBE_SCHEDULER_PLUGINS_H
#define CKUBE_SCHEDULER_PLUGINS_H

#include "scheduler/cycle.h"

struct plugin {
    const char *name;
    int32_t weight; /* default, of the score */
    void (*pre_filter)(struct cycle *c); /* before all filters; may refuse all nodes with one message */
    void (*filter)(struct cycle *c);
    bool (*score)(struct cycle *c, int64_t *ret);
    unsigned node_changes; /* enum node_change: a node event of these kinds may help a pod this plugin refused */
    bool pod_gone;         /* a pod that leaves a node may help */
    bool pod_came;         /* a pod that came to a node, or changed its labels, may help */
};

extern const struct plugin plugins[PLUGIN_COUNT];
int plugin_find(const char *name); /* -1 */
/* Names upstream has that do nothing here: volumes of clouds, dynamic resources.  May be disabled in configs. */
bool plugin_known_absent(const char *name);

void node_unschedulable_filter(struct cycle *c);
void node_name_filter(struct cycle *c);
void taint_toleration_filter(struct cycle *c);
bool taint_toleration_score(struct cycle *c, int64_t *ret);
void node_affinity_pin(struct cycle *c);
void node_affinity_filter(struct cycle *c);
bool node_affinity_score(struct cycle *c, int64_t *ret);
void node_ports_filter(struct cycle *c);
void node_resources_fit_filter(struct cycle *c);
bool node_resources_fit_score(struct cycle *c, int64_t *ret);
bool balanced_allocation_score(struct cycle *c, int64_t *ret);
void volume_binding_check(struct cycle *c);
void pod_topology_spread_filter(struct cycle *c);
bool pod_topology_spread_score(struct cycle *c, int64_t *ret);
void inter_pod_affinity_filter(struct cycle *c);
bool inter_pod_affinity_score(struct cycle *c, int64_t *ret);
bool image_locality_score(struct cycle *c, int64_t *ret);

#endif
