// SPDX-License-Identifier: Apache-2.0
/* kubelet_dialer.h - how to reach a node's kubelet: address by --kubelet-preferred-address-types, port from the node's
 * status, our client certificate, its authority.  Any thread. */
#ifndef CKUBE_APISERVER_KUBELET_DIALER_H
#define CKUBE_APISERVER_KUBELET_DIALER_H

#include "apiserver/server.h"
#include "common/net/http_client.h"

struct kubelet_dialer;

struct kerr *kubelet_dialer_new(const struct apiserver_options *o, struct kubelet_dialer **ret) MUST_CHECK;
void kubelet_dialer_free(struct kubelet_dialer *k);
struct http_client *kubelet_dialer_client(struct kubelet_dialer *k); /* shows our certificate; the dialer's */
struct http_client *kubelet_dialer_plain(struct kubelet_dialer *k);  /* for pods and services: no credentials of ours */

/* "10.0.0.4:10250" from the Node object in memory; caller frees.  KERR_NOT_FOUND when there is no such node,
 * KERR_UNAVAILABLE when it has no address. */
struct kerr *kubelet_dialer_find(struct kubelet_dialer *k, const char *node, char **ret_address) MUST_CHECK;

#endif
