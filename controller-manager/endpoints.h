// SPDX-License-Identifier: Apache-2.0
/* endpoints.h - the old v1 Endpoints object of a Service with a selector: ready and unready addresses by port set. */
#ifndef CKUBE_CONTROLLER_MANAGER_ENDPOINTS_H
#define CKUBE_CONTROLLER_MANAGER_ENDPOINTS_H

#include "controller-manager/backends.h"

#define ENDPOINTS_MAX 1000 /* addresses of one object */

struct plan *endpoints_decide(const struct service_picture *p, const char *key, struct api_time now) MUST_CHECK;

#endif
