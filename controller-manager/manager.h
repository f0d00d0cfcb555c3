// SPDX-License-Identifier: Apache-2.0
/* manager.h - starts the controllers that --controllers asks for, and ends them.
 * Order: clients of their own -> every row's start() -> informers -> (all copies complete) -> queues and run().
 * All of it happens on a thread of the manager, as each step may wait for the apiserver. */
#ifndef CKUBE_CONTROLLER_MANAGER_MANAGER_H
#define CKUBE_CONTROLLER_MANAGER_MANAGER_H

#include <stdbool.h>

#include "common/base/kerr.h"
#include "common/base/str.h"
#include "common/client/kubeconfig.h"
#include "common/client/rest.h"

struct daemon;
struct events;
struct kcm_options;
struct manager;

struct manager *manager_new(struct daemon *d, const struct kcm_options *options, const struct client_config *cfg,
                            const struct rest_options *rest_options, struct rest *rest, struct events *events) MUST_CHECK;
void manager_start(struct manager *m); /* once; returns at once */
void manager_free(struct manager *m);  /* stops first */
DEFINE_AUTO(manager)

/* --controllers: "*", "foo", "-foo"; names new or old. */
struct kerr *controllers_check(const struct strlist *wanted) MUST_CHECK;
bool controllers_enabled(const struct strlist *wanted, const char *name, const char *old_name, bool off_by_default);

#endif
