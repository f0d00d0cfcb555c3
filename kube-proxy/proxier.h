// SPDX-License-Identifier: Apache-2.0
/* proxier.h - keeps the kernel's rules as the Services and EndpointSlices want them.
 *
 *   informers (their loop) --name of the service that changed--> worker thread:
 *       observe  objects from the informers' stores
 *       decide   service_view_build(), nft_tables_delta()                (pure)
 *       act      nft_backend: one transaction; conntrack_flush(); proxy_health
 *
 * Rules are first written when all lists have arrived, then changed one transaction at a time.  A transaction that
 * fails is followed by a rebuild of the whole table, again and again with back-off.  Stopping leaves the rules in
 * place. */
#ifndef CKUBE_KUBE_PROXY_PROXIER_H
#define CKUBE_KUBE_PROXY_PROXIER_H

#include "kube-proxy/proxy_config.h"
#include "kube-proxy/proxy_health.h"

struct informers;
struct nft_backend;
struct proxier;

struct proxier_options { /* all borrowed, must outlive it */
    const struct proxy_config *config;
    const char *node_name;
    struct informers *informers;
    struct nft_backend *nft;
    struct proxy_health *health;
};

/* Registers with the informers: before informers_start(). */
struct proxier *proxier_new(const struct proxier_options *opts) MUST_CHECK;
struct kerr *proxier_start(struct proxier *p) MUST_CHECK; /* after informers_start() */
void proxier_stop(struct proxier *p);                     /* waits for the transaction that runs */
void proxier_free(struct proxier *p);                     /* after the informers are freed */
DEFINE_AUTO(proxier)

#endif
