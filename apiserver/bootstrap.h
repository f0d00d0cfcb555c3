// SPDX-License-Identifier: Apache-2.0
/* bootstrap.h - the objects every cluster has from its first second: namespaces, the kubernetes Service and its endpoints,
 * default RBAC, priority classes, the ServiceCIDR, and the configuration that extension servers read.
 * The first pass runs before serving; a thread keeps them so (endpoints every 10 s) until bootstrap_stop(). */
#ifndef CKUBE_APISERVER_BOOTSTRAP_H
#define CKUBE_APISERVER_BOOTSTRAP_H

#include "apiserver/server.h"

struct kerr *bootstrap_start(struct apiserver *srv) MUST_CHECK;
void bootstrap_stop(void);

#endif
