// SPDX-License-Identifier: Apache-2.0
/* handler.h - what probes and lifecycle hooks do to a container: exec, HTTP, TCP, gRPC, sleep.  Blocking, any thread. */
#ifndef CKUBE_KUBELET_HANDLER_H
#define CKUBE_KUBELET_HANDLER_H

#include "kubelet/kubelet.h"

struct handler_target {
    const struct pod *pod;
    const struct container *container;
    const char *id;     /* of the container */
    const char *pod_ip; /* "" before there is one */
};

enum handler_result {
    HANDLER_OK,
    HANDLER_FAILED,
    HANDLER_ERROR, /* it could not be asked: says nothing about the container */
};
/* `why` gets the output or the reason, as upstream words it, at most 10 KiB. */
enum handler_result handler_exec(struct kubelet *k, const struct handler_target *t, const struct exec_action *x, int64_t timeout_s, struct sbuf *why);
enum handler_result handler_http(struct kubelet *k, const struct handler_target *t, const struct http_get_action *x, int64_t timeout_s,
                  const char *user_agent, struct sbuf *why);
enum handler_result handler_tcp(struct kubelet *k, const struct handler_target *t, const struct tcp_socket_action *x, int64_t timeout_s, struct sbuf *why);
enum handler_result handler_grpc(struct kubelet *k, const struct handler_target *t, const struct grpc_action *x, int64_t timeout_s, struct sbuf *why);
enum handler_result handler_probe(struct kubelet *k, const struct handler_target *t, const struct probe *p, struct sbuf *why);
/* postStart, preStop; timeout_s bounds it. */
bool handler_hook(struct kubelet *k, const struct handler_target *t, const struct lifecycle_handler *h, int64_t timeout_s, struct sbuf *why);

#endif
