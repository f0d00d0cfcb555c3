// SPDX-License-Identifier: Apache-2.0
/* convert_internal.h - one function a direction, for the table in convert.c.  Bodies are of the named types; what is put
 * into `to` may point into `from`: convert.c copies it all afterwards.  Pure. */
#ifndef CKUBE_APISERVER_CONVERT_INTERNAL_H
#define CKUBE_APISERVER_CONVERT_INTERNAL_H

#include "common/base/arena.h"

/* convert_event.c: core_event and events_event */
void convert_event_from_core(struct arena *a, const void *from, void *to);
void convert_event_to_core(struct arena *a, const void *from, void *to);

/* convert_hpa.c: autoscaling_v1_horizontal_pod_autoscaler and horizontal_pod_autoscaler (v2) */
void convert_hpa_from_v1(struct arena *a, const void *from, void *to);
void convert_hpa_to_v1(struct arena *a, const void *from, void *to);

#endif
