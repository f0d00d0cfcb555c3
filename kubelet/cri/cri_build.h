// SPDX-License-Identifier: Apache-2.0
/* cri_build.h - pods and containers as CRI configs.  Pure: requests in, messages out, all in the arena. */
#ifndef CKUBE_KUBELET_CRI_BUILD_H
#define CKUBE_KUBELET_CRI_BUILD_H

#include "kubelet/cri/runtime.h"

struct cri_pod_sandbox_config *cri_build_sandbox(const struct sandbox_request *rq, struct arena *a);
struct cri_container_config *cri_build_container(const struct container_request *rq, struct arena *a);

#endif
