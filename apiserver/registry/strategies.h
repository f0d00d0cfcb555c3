// SPDX-License-Identifier: Apache-2.0
/* strategies.h - the kinds that have rules of their own; each in its file strategy_<kind>.c.  See resource.h. */
#ifndef CKUBE_APISERVER_STRATEGIES_H
#define CKUBE_APISERVER_STRATEGIES_H

#include "apiserver/registry/resource.h"

extern const struct strategy strategy_plain;   /* no spec/status split, no rules */
extern const struct strategy strategy_generic; /* spec and status told apart by their names */
extern const struct strategy strategy_pod;
extern const struct strategy strategy_node;
extern const struct strategy strategy_namespace;
extern const struct strategy strategy_service;
extern const struct strategy strategy_lease;
extern const struct strategy strategy_event;
extern const struct strategy strategy_secret;
extern const struct strategy strategy_job;
extern const struct strategy strategy_endpoints;
extern const struct strategy strategy_csr;
extern const struct strategy strategy_pv;
extern const struct strategy strategy_pvc;

/* For writing more of them: copies the struct field `json` of the kind's top level from one body to the other. */
void strategy_copy_field(const struct api_type *t, const char *json, const void *from, void *to);

#endif
