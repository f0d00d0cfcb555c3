// SPDX-License-Identifier: Apache-2.0
/* openapi.h - /openapi/v2 and /openapi/v3, written from the type tables.  Built at the first request, kept with its hash.
 * Handlers answer the request; on the stream's loop. */
#ifndef CKUBE_APISERVER_OPENAPI_H
#define CKUBE_APISERVER_OPENAPI_H

#include "apiserver/http/request.h"

void openapi_v2(struct api_request *r);
void openapi_v3(struct api_request *r);

#endif
