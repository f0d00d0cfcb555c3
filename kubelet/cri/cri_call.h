// SPDX-License-Identifier: Apache-2.0
/* cri_call.h - one CRI call: message out, message in.  Inside kubelet/cri only. */
#ifndef CKUBE_KUBELET_CRI_CALL_H
#define CKUBE_KUBELET_CRI_CALL_H

#include "common/api/type.h"
#include "kubelet/cri/runtime.h"

struct grpc_client;

struct runtime {
    struct grpc_client *grpc, *images; /* images NULL: the same peer */
    char *endpoint;
    uint64_t timeout_ms;
};

struct cri_method {
    const char *name;
    const struct api_type *request, *reply;
    bool image; /* of the image service */
};

/* ret_reply NULL: the answer is not wanted.  timeout_ms 0: none. */
struct kerr *cri_call(struct runtime *rt, const struct cri_method *m, const void *request, struct arena *a, void *ret_reply,
                      uint64_t timeout_ms) MUST_CHECK;

#endif
