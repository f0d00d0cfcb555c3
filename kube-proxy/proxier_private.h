// SPDX-License-Identifier: Apache-2.0
/* proxier_private.h - inside of the proxier: what proxier_watch.c notes on the informers' loop and proxier.c works off.
 */
#ifndef CKUBE_KUBE_PROXY_PROXIER_PRIVATE_H
#define CKUBE_KUBE_PROXY_PROXIER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#include "common/base/backoff.h"
#include "common/client/informer.h"
#include "kube-proxy/nft_tables.h"
#include "kube-proxy/proxier.h"

#define TRIGGERS_MAX 1000

struct dirty { /* a service to look at again */
    char *key;
    UT_hash_handle hh;
};

struct health_entry { /* services with a health port */
    char *service;
    uint16_t port;
    uint32_t local_ready;
    UT_hash_handle hh;
};

struct family {
    enum ip_family family;
    const char *label; /* metric */
    struct nft_tables *tables;
    bool wanted; /* some service has addresses of it; always for IPv4 */
    bool needs_full;
    bool hopeless; /* the kernel does not have it */
    bool udp_changed;
};

struct proxier {
    struct proxier_options opts;
    struct informer *services, *slices, *nodes;
    unsigned by_service; /* index of the slices */
    pthread_t thread;
    bool started;
    atomic_bool stop;

    pthread_mutex_t lock; /* guards what the handlers write: */
    pthread_cond_t wake;
    struct dirty *dirty;
    bool all_dirty, options_dirty;
    int64_t triggers_us[TRIGGERS_MAX]; /* when the changes that wait were caused */
    size_t ntriggers;
    char *zone;
    struct strlist node_cidrs, node_ips;

    /* the worker's own */
    struct family families[2];
    struct health_entry *health_entries;
    bool health_changed;
    struct backoff backoff;
    struct rng rng;
    uint64_t last_sync_ms;
};

/* What waits, handed over as a whole. */
struct work {
    struct dirty *dirty;
    bool all, options;
    int64_t triggers_us[TRIGGERS_MAX];
    size_t ntriggers;
    char *zone;
};

/* --- proxier_watch.c --- */
void proxier_watch(struct proxier *p);                     /* registers the handlers */
void proxier_take_work(struct proxier *p, struct work *w); /* the worker's; done with it: proxier_work_done() */
void proxier_work_done(struct work *w);
bool proxier_has_work(const struct proxier *p); /* with the lock held */

#endif
