// SPDX-License-Identifier: Apache-2.0
/* convert.h - between kinds that share stored objects: autoscaling/v1 and v2, core and events.k8s.io Events.  Pure. */
#ifndef CKUBE_APISERVER_CONVERT_H
#define CKUBE_APISERVER_CONVERT_H

#include "common/api/object.h"

/* Takes obj.  The same object when it is of that kind already. */
struct kerr *convert_object(struct object *obj, const struct api_kind *to, struct object **ret) MUST_CHECK;

#endif
