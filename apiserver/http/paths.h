// SPDX-License-Identifier: Apache-2.0
/* paths.h - everything that is not a resource: health, /version, /metrics, discovery, OpenAPI, issuer documents.
 * One table of path and handler; runs on the stream's loop. */
#ifndef CKUBE_APISERVER_PATHS_H
#define CKUBE_APISERVER_PATHS_H

#include "apiserver/http/request.h"

void paths_answer(struct api_request *r);

#endif
