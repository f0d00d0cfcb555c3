// SPDX-License-Identifier: Apache-2.0
/* connect.h - log, exec, attach, portforward and proxy: the request goes on to a kubelet (or a pod, a service), bytes
 * pass both ways as they are.  Runs on the stream's loop. */
#ifndef CKUBE_APISERVER_CONNECT_H
#define CKUBE_APISERVER_CONNECT_H

#include "apiserver/http/request.h"

bool rest_connect_is(const struct api_request *r); /* r->subresource is set */
void rest_connect(struct api_request *r);          /* answers or takes the stream over */

#endif
