// SPDX-License-Identifier: Apache-2.0
/* health.h - named health checks behind /healthz, /livez and /readyz, in upstream's text format.
 *   [+]ping ok
 *   [-]etcd failed: reason withheld
 *   healthz check failed
 * Checks are added at start-up and run on the thread that asks: they must not block.  Any thread. */
#ifndef CKUBE_DAEMON_HEALTH_H
#define CKUBE_DAEMON_HEALTH_H

#include <stdbool.h>

#include "common/base/kerr.h"
#include "common/base/sbuf.h"

struct health;

enum health_group { /* bits: which endpoints a check shows under */
    HEALTH_HEALTHZ = 1,
    HEALTH_LIVEZ = 2,
    HEALTH_READYZ = 4,
    HEALTH_ALL = 7,
};

struct health *health_new(void) MUST_CHECK; /* has the checks "ping" and "log" in every group, as upstream */
void health_free(struct health *h);
DEFINE_AUTO(health)

/* fn returns NULL when well; the error's text goes to the log, and to clients only per check path. */
void health_add(struct health *h, unsigned groups, const char *name, struct kerr *(*fn)(void *arg), void *arg);

/* A flag-like check that others set: NULL reason = well. Starts as given.  Owned by the health object. */
struct health_state;
struct health_state *health_add_state(struct health *h, unsigned groups, const char *name, const char *initial_reason);
void health_state_set(struct health_state *s, const char *reason);

/* Answers "/healthz", "/readyz/ping", ... with query "verbose&exclude=etcd" (decoded pairs not needed).
 * Returns the HTTP code: 200, 500, or 404 for an unknown path or check; the body goes to out. */
int health_answer(struct health *h, const char *path, const char *query, struct sbuf *out);
bool health_is_path(const char *path); /* does it belong here? */

#endif
