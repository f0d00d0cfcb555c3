// SPDX-License-Identifier: Apache-2.0
/* cni_config.h - the pod network of a plain install: the node's podCIDR as a CNI configuration of the standard plugins
 * (bridge, host-local, portmap, loopback), so that pods get addresses without any add-on. */
#ifndef CKUBE_KUBELET_CNI_CONFIG_H
#define CKUBE_KUBELET_CNI_CONFIG_H

#include "common/base/kerr.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"

/* The conflist for these CIDRs (v4, v6 or both).  Pure. */
void cni_config_text(const struct strlist *cidrs, struct sbuf *out);
/* Writes <dir>/10-ckube.conflist when it differs.  mode: "auto" (not when another configuration is there), "always", "never". */
struct kerr *cni_config_write(const char *dir, const char *mode, const struct strlist *cidrs) MUST_CHECK;

#endif
