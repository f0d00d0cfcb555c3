// SPDX-License-Identifier: Apache-2.0
/* pod_admit.h - may this pod run here?  What the scheduler should have seen to, checked again, plus what only the node
 * knows: host ports in use, sysctls.  A pod that may not fails at once, with upstream's reasons. */
#ifndef CKUBE_KUBELET_POD_ADMIT_H
#define CKUBE_KUBELET_POD_ADMIT_H

#include "kubelet/kubelet.h"

bool pod_admit(struct kubelet *k, const struct pod *pod, char **ret_reason, char **ret_message);

/* --- the pure parts --- */
bool sysctl_is_safe(const char *name);
/* Do two pods want one host port of one address? */
bool host_ports_clash(const struct pod *x, const struct pod *y);

#endif
