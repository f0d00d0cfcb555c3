// SPDX-License-Identifier: Apache-2.0
/* discovery.h - what is served: /api, /apis, /apis/<group>, /apis/<group>/<version>, aggregated (v2) and legacy forms,
 * all made from the resource table.  Handlers answer the request; on the stream's loop. */
#ifndef CKUBE_APISERVER_DISCOVERY_H
#define CKUBE_APISERVER_DISCOVERY_H

#include "apiserver/http/request.h"

void discovery_root(struct api_request *r);   /* "/": {"paths": [...]} */
void discovery_core(struct api_request *r);   /* /api, /api/v1 */
void discovery_groups(struct api_request *r); /* /apis... */
void discovery_issuer(struct api_request *r); /* OpenID discovery of the service account issuer */
void discovery_jwks(struct api_request *r);

#endif
