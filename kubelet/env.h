// SPDX-License-Identifier: Apache-2.0
/* env.h - a container's environment: envFrom, env in all forms, service variables, $(VAR) expansion.
 * Pure but for the object source. */
#ifndef CKUBE_KUBELET_ENV_H
#define CKUBE_KUBELET_ENV_H

#include "kubelet/cri/runtime.h"
#include "kubelet/object_source.h"

/* Appends to rq->env and fills rq->command and rq->args, expanded.  Errors are CreateContainerConfigError material. */
struct kerr *env_make(const struct pod_facts *f, const struct container *c, const struct object_source *src,
                      struct container_request *rq) MUST_CHECK;

/* $(NAME) -> value, $$ -> $, unknown ones stay.  NULL from lookup = unknown. */
void env_expand(const char *text, const char *(*lookup)(const char *name, void *arg), void *arg, struct sbuf *out);
const char *env_lookup(const struct container_request *rq, const char *name); /* NULL = absent */

#endif
