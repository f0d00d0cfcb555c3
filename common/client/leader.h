// SPDX-License-Identifier: Apache-2.0
/* leader.h - leader election by a coordination.k8s.io/v1 Lease, as client-go does it: whoever holds and renews it leads.
 * A thread of its own does the calls; callbacks run on it.  The decision is pure (leader_decide) and tested without time. */
#ifndef CKUBE_CLIENT_LEADER_H
#define CKUBE_CLIENT_LEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/client/rest.h"

struct events;

struct leader_config {
    struct rest *rest;
    struct events *events;       /* Normal LeaderElection "x became leader"; may be NULL */
    const char *namespace, *name; /* "kube-system", "kube-scheduler" */
    const char *identity;        /* NULL = "<hostname>_<uuid>" */
    int64_t lease_duration_ms;   /* 0 = 15 s */
    int64_t renew_deadline_ms;   /* 0 = 10 s */
    int64_t retry_period_ms;     /* 0 = 2 s */
    void (*started)(void *arg);  /* we lead: start the work; returns soon */
    void (*lost)(void *arg);     /* we lead no more: the process should exit 1 as upstream does */
    void (*new_leader)(const char *identity, void *arg); /* or NULL */
    void *arg;
};

struct leader;
struct leader *leader_new(const struct leader_config *cfg) MUST_CHECK; /* starts */
/* Ends the thread; a held lease is released (holderIdentity "") so that the next one starts at once.  No `lost` call. */
void leader_free(struct leader *l);
DEFINE_AUTO(leader)
bool leader_is(const struct leader *l);
struct kerr *leader_health(void *leader); /* for health_add(..., "leaderElection", leader_health, l) */

/* --- the pure part --- */
struct leader_record { /* spec of the Lease */
    char holder[256];
    int32_t duration_s;
    int64_t acquire_us, renew_us; /* since 1970 */
    int32_t transitions;
    bool exists;
};
enum leader_step { LEADER_CREATE, LEADER_TAKE, LEADER_RENEW, LEADER_WAIT };
/* observed_ms: local time at which the record was last seen to change. *ret_next: what to write. */
enum leader_step leader_decide(const struct leader_record *seen, uint64_t observed_ms, const char *identity, int64_t duration_ms,
                               uint64_t now_ms, int64_t now_us, struct leader_record *ret_next);

#endif
