// SPDX-License-Identifier: Apache-2.0
/* component_status.h - `kubectl get componentstatuses`: nothing stored, the three components are asked when somebody asks.
 * Called on the I/O loop; asks and answers on a writer thread. */
#ifndef CKUBE_APISERVER_COMPONENT_STATUS_H
#define CKUBE_APISERVER_COMPONENT_STATUS_H

#include "apiserver/http/request.h"

void component_status_read(struct api_request *r); /* get (r->info.name is set) or list; answers */

#endif
