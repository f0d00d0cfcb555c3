// SPDX-License-Identifier: Apache-2.0
/* proxy_health.h - what others ask kube-proxy about itself and about this node's pods.
 *   healthz address (10256)   /healthz  200 while rules are kept up to date and this node may get load balancer traffic
 *                             /livez    200 while rules are kept up to date
 *   health ports of services  /         is there an endpoint here?  (externalTrafficPolicy Local; load balancers ask)
 * The servers live on the loop given.  State setters may be called from any thread; proxy_health_ports() always from
 * the same one, which is not the loop's, while the loop runs. */
#ifndef CKUBE_KUBE_PROXY_PROXY_HEALTH_H
#define CKUBE_KUBE_PROXY_PROXY_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/kerr.h"

struct loop;
struct proxy_health;

/* A change that waits longer than this for its rules makes us unhealthy. */
#define PROXY_HEALTH_TIMEOUT_MS 60000

struct proxy_health *proxy_health_new(struct loop *loop) MUST_CHECK;
void proxy_health_free(struct proxy_health *h); /* after the loop ended */
DEFINE_AUTO(proxy_health)

struct kerr *proxy_health_listen(struct proxy_health *h, const char *address, uint16_t port) MUST_CHECK;

void proxy_health_queued(struct proxy_health *h, uint64_t now_ms); /* a change came */
void proxy_health_synced(struct proxy_health *h, uint64_t now_ms); /* rules are as wanted */
void proxy_health_eligible(struct proxy_health *h, bool eligible); /* false: the node is going away */
bool proxy_health_is_well(struct proxy_health *h, uint64_t now_ms);

struct proxy_health_port {
    uint16_t port;
    const char *service; /* "ns/name" */
    uint32_t local_ready;
};
/* All of them; listeners come and go accordingly.  A port that cannot be bound is logged and tried again at the next
 * call. */
void proxy_health_ports(struct proxy_health *h, const struct proxy_health_port *ports, size_t n);

#endif
