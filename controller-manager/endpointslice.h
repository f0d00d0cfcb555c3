// SPDX-License-Identifier: Apache-2.0
/* endpointslice.h - the EndpointSlices of a Service with a selector.
 *
 *   pods --by address family and port set--> groups --> kept in their slices, changed ones updated,
 *                                                       new ones fill slices with room, then new slices
 * As few writes as possible: an endpoint stays in the slice it is in; unchanged slices are not touched.
 */
#ifndef CKUBE_CONTROLLER_MANAGER_ENDPOINTSLICE_H
#define CKUBE_CONTROLLER_MANAGER_ENDPOINTSLICE_H

#include "controller-manager/backends.h"

struct plan *endpointslice_decide(const struct service_picture *p, const char *key, struct api_time now) MUST_CHECK;

#endif
