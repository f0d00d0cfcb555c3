// SPDX-License-Identifier: Apache-2.0
/* node_ipam.h - gives every node its part of --cluster-cidr (one per address family). */
#ifndef CKUBE_CONTROLLER_MANAGER_NODE_IPAM_H
#define CKUBE_CONTROLLER_MANAGER_NODE_IPAM_H

#include "controller-manager/cidr_set.h"
#include "controller-manager/controller.h"

struct node_ipam {
    struct cidr_set sets[2];
    size_t len;
};
struct kerr *node_ipam_init(struct node_ipam *ipam, const struct kcm_options *o) MUST_CHECK;
void node_ipam_done(struct node_ipam *ipam);
void node_ipam_occupy(struct node_ipam *ipam, const struct object *node); /* what the node has */
void node_ipam_release(struct node_ipam *ipam, const struct object *node);
/* Takes ranges out of the sets for a node without; the patch that sets them. */
struct plan *node_ipam_decide(struct node_ipam *ipam, const struct object *node, const char *key) MUST_CHECK;
/* The patch failed: its ranges are free again. */
void node_ipam_undo(struct node_ipam *ipam, const struct plan *plan);

#endif
