// SPDX-License-Identifier: Apache-2.0
/* pod_status.h - the status of a pod from what runs on this node.  Pure; golden-tested next to pod_decide. */
#ifndef CKUBE_KUBELET_POD_STATUS_H
#define CKUBE_KUBELET_POD_STATUS_H

#include "kubelet/pod_decide.h"

struct node_identity { /* of this node, for statuses */
    const char *const *host_ips; /* primary first */
    size_t nhost_ips;
    const char *runtime_name; /* "containerd": prefix of container ids */
};

/* All in the arena; parts of v->pod are shared, so the arena must not outlive it. */
struct pod_status *pod_status_make(const struct pod_view *v, const struct node_identity *node, struct arena *a);

#endif
