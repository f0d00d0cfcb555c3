// SPDX-License-Identifier: Apache-2.0
/* transform.h - what the scheduler does not read is dropped from pods and nodes when they arrive: env, probes, mounts,
 * conditions, ...  Ten thousand pods are then a few megabytes.  For informer_config.transform. */
#ifndef CKUBE_SCHEDULER_TRANSFORM_H
#define CKUBE_SCHEDULER_TRANSFORM_H

#include "common/api/object.h"

void transform_pod(struct object *obj);
void transform_node(struct object *obj);
void transform_other(struct object *obj); /* keeps all but annotations of no use here */

#endif
