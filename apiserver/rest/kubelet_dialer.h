// SPDX-License-Identifier: Apache-2.0
/* kubelet_dialer.h - how to reach a node's kubelet: address by --kubelet-preferred-address-types, port from the node's
 * status, our client certificate, its authority.  Any thread. */
#ifndef CKUBE_APISERVER_KUBELET_DIALER_H
#define CKUBE_APISERVER_KUBELET_DIALER_H

#include "apiserver/server.h"
#include "common/net/tls.h"

struct kubelet_dialer;

struct kerr *kubelet_dialer_new(const struct apiserver_options *o, struct kubelet_dialer **ret) MUST_CHECK;
void kubelet_dialer_free(struct kubelet_dialer *k);

struct kubelet_address {
    char host[256];
    uint16_t port;
    struct tls_client *tls; /* the dialer's */
};
/* From the Node object in memory.  KERR_NOT_FOUND when there is no such node, KERR_UNAVAILABLE when it has no address. */
struct kerr *kubelet_dialer_find(struct kubelet_dialer *k, const char *node, struct kubelet_address *ret) MUST_CHECK;

#endif
