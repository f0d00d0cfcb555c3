// SPDX-License-Identifier: Apache-2.0
/* node_routes.h - the way to the other nodes' pods (--cluster-routes): one kernel route per node, its podCIDR by its
 * InternalIP. What a plain installation otherwise types by hand as `ip route add`; for nodes that reach each other
 * without a router between.
 *
 *   all nodes (informer) --node_routes_wanted(), pure--> list --node_routes_apply(), netlink--> routes with our
 * protocol number
 *
 * Only routes that carry our protocol number are ever changed or removed.  They stay when we stop. */
#ifndef CKUBE_KUBE_PROXY_NODE_ROUTES_H
#define CKUBE_KUBE_PROXY_NODE_ROUTES_H

#include "common/base/kerr.h"
#include "kube-proxy/ip_addr.h"

struct informers;
struct node;

#define NODE_ROUTE_PROTOCOL 99 /* "ip route show proto 99" */

struct node_route {
    struct ip_net dest;
    struct ip_addr via;
};
struct node_route_list { /* ordered by dest, one per dest; zero-initialised empty */
    struct node_route *items;
    size_t len, cap;
};
void node_route_list_done(struct node_route_list *l);
static inline void
auto_node_route_list_(struct node_route_list *l)
{
    node_route_list_done(l);
}
#define AUTO_NODE_ROUTE_LIST __attribute__((cleanup(auto_node_route_list_))) struct node_route_list

/* Every podCIDR of every node but `self` that has an InternalIP of the same family.  Pure. */
void node_routes_wanted(const struct node *const *nodes, size_t n, const char *self, struct node_route_list *ret);
/* Makes the kernel's routes of our protocol exactly these.  Tries all; the error is about the first that failed. */
struct kerr *node_routes_apply(const struct node_route_list *wanted, size_t *ret_changed) MUST_CHECK;

/* Keeps them up to date from an informer of all nodes. */
struct node_routes;
struct node_routes *node_routes_new(struct informers *informers,
                                    const char *self) MUST_CHECK; /* before informers_start() */
void node_routes_start(struct node_routes *r);
void node_routes_stop(struct node_routes *r);
void node_routes_free(struct node_routes *r); /* after the informers are freed */
DEFINE_AUTO(node_routes)

#endif
