// SPDX-License-Identifier: Apache-2.0
/* defaults.h - fills in what upstream's SetDefaults_* functions fill in: the values that depend on other fields.
 * Runs after api_default_static() on every write (create, update, patch) and is idempotent.  What depends on the
 * cluster (IPs, ports, uid, qosClass) or on the caller (labels of namespaces, selector of jobs) is strategy, not here. */
#ifndef CKUBE_REGISTRY_DEFAULTS_H
#define CKUBE_REGISTRY_DEFAULTS_H

#include "common/api/type.h"
#include "common/base/arena.h"

struct pod_spec;
struct pod_template_spec;

/* `body` is the struct of the kind; new memory comes from `a`.  Kinds without computed defaults are left as they are. */
void defaults_apply(const struct api_kind *kind, struct arena *a, void *body);

/* The parts that other kinds embed.  A template is defaulted but for what only real pods get (requests from limits). */
void defaults_pod_template(struct pod_template_spec *t, struct arena *a);

#endif
