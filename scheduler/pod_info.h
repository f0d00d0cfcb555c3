// SPDX-License-Identifier: Apache-2.0
/* pod_info.h - what a pod needs from a node, parsed once when the pod is seen, so that a scheduling cycle parses nothing.
 *
 *   struct pod --pod_info_new--> requests by resource id, compiled selectors, host ports, spread and affinity terms
 *
 * Immutable but for `row`.  Counted references, one lock of the caller's around all of it; pure. */
#ifndef CKUBE_SCHEDULER_POD_INFO_H
#define CKUBE_SCHEDULER_POD_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/api/object.h"
#include "common/api/selector.h"

/* --- resources are numbers: amounts are milli-cpu, bytes, or plain counts --- */
enum resource_id { RES_CPU, RES_MEMORY, RES_EPHEMERAL, RES_PODS, RES_FIRST_OTHER };
#define RES_MAX 256              /* names we tell apart; further ones share RES_UNKNOWN, which no node has */
#define RES_UNKNOWN (RES_MAX - 1)

struct resource_names;
struct resource_names *resource_names_new(void) MUST_CHECK;
void resource_names_free(struct resource_names *n);
uint32_t resource_id(struct resource_names *n, const char *name); /* known or new */
const char *resource_name(const struct resource_names *n, uint32_t id);

struct resource_amount {
    uint32_t id;
    int64_t amount;
};

/* --- compiled node selectors --- */
enum node_op { NODE_IN, NODE_NOT_IN, NODE_EXISTS, NODE_NOT_EXISTS, NODE_GT, NODE_LT, NODE_NEVER };
struct node_requirement {
    const char *key;
    enum node_op op;
    bool on_name; /* matchFields metadata.name */
    const char **values;
    uint32_t nvalues;
    int64_t number; /* Gt, Lt */
};
struct node_term { /* all of them must hold; an empty term matches nothing */
    struct node_requirement *items;
    uint32_t len;
    int32_t weight; /* preferred terms */
};

/* --- which pods a term counts --- */
struct pod_match {
    const char *text; /* canonical: equal texts match equal pods */
    const char **namespaces;
    uint32_t nnamespaces;
    const struct label_query *namespace_query; /* or NULL */
    const struct label_query *labels;          /* or NULL: by owner */
    const char *owner_uid;
    bool skip_deleting;
};

struct affinity_term {
    struct pod_match who;
    const char *topology_key;
    const char *text; /* kind, weight, key and pods */
    int32_t weight;   /* preferred: negative for anti-affinity */
};
struct affinity_terms {
    struct affinity_term *items;
    uint32_t len;
};

struct spread_term {
    struct pod_match who;
    const char *topology_key;
    int32_t max_skew, min_domains;
    bool honor_affinity, honor_taints;
    bool matches_self;
};
struct spread_terms {
    struct spread_term *items;
    uint32_t len;
};

struct host_port {
    const char *ip; /* "0.0.0.0" when none was given */
    const char *protocol;
    int32_t port;
};

struct pod_info {
    unsigned refs;
    struct arena *arena;
    const struct object *object;
    const struct pod *pod;
    const char *key, *namespace, *name, *uid; /* key: "namespace/name" */
    int32_t priority;
    bool never_preempts;

    struct resource_amount *requests; /* not zero; pods are not among them */
    uint32_t nrequests;
    int64_t cpu, memory;                 /* of the requests */
    int64_t cpu_or_default, memory_or_default; /* containers without a request count 100m and 200 MB, for scores */

    struct node_term selector;          /* spec.nodeSelector; len 0 = none */
    struct node_term *required;         /* one of them must match, when has_required */
    uint32_t nrequired;
    bool has_required;
    struct node_term *preferred;
    uint32_t npreferred;
    const char **only_nodes; /* names, from matchFields in every required term; NULL = any */
    uint32_t nonly_nodes;

    struct host_port *ports;
    uint32_t nports;
    struct spread_terms spread_hard, spread_soft;
    bool spread_default; /* spread_soft are the system's defaults */
    struct affinity_terms affinity, anti_affinity, preferred_affinity; /* the last holds both, by the weight's sign */
    const char **images; /* with a tag, as nodes list them */
    uint32_t nimages, ncontainers;
    const char **claims; /* names of persistent volume claims */
    uint32_t nclaims;

    uint32_t row; /* where nodes.c counts it; ROW_NONE */
};
#define ROW_NONE UINT32_MAX

struct pod_info_options {
    struct resource_names *resources;
    bool default_spread; /* the system's default spreading constraints are on */
};
/* Takes a reference to the pod object. */
struct pod_info *pod_info_new(const struct object *pod, const struct pod_info_options *opts) MUST_CHECK;
struct pod_info *pod_info_ref(struct pod_info *p);
void pod_info_unref(struct pod_info *p);
DEFINE_AUTO_UNREF(pod_info)

/* namespace_labels: the labels of the pod's namespace, for terms with a namespaceSelector; NULL = none known. */
bool pod_match_hits(const struct pod_match *m, const struct pod_info *p, const struct string_map *namespace_labels);
bool toleration_tolerates(const struct toleration *t, const struct taint *taint);
/* The first taint of these effects that no toleration covers, or NULL.  effects: "NoSchedule", ... NULL-terminated. */
const struct taint *taints_untolerated(const struct taint_slice *taints, const struct toleration_slice *tolerations,
                                       const char *const *effects);
extern const char *const taint_effects_hard[]; /* NoSchedule, NoExecute */

#endif
