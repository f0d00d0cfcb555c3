// SPDX-License-Identifier: Apache-2.0
/* pod_net_files.h - a pod's names: hostname, /etc/hosts, resolver settings.  Pure, but for reading the node's own files. */
#ifndef CKUBE_KUBELET_POD_NET_FILES_H
#define CKUBE_KUBELET_POD_NET_FILES_H

#include "kubelet/cri/runtime.h"

/* Host name and, with a subdomain, domain ("" = none).  Host-network pods: the node's name. */
struct kerr *pod_hostname(const struct pod *pod, const char *node_hostname, const char *cluster_domain, char **ret_host,
                          char **ret_domain) MUST_CHECK;
/* Text of the managed hosts file; `node_hosts` is the node's own file, for host-network pods. */
void pod_hosts_text(const struct pod *pod, const char *const *pod_ips, size_t nips, const char *host, const char *domain,
                    const char *node_hosts, struct sbuf *out);

struct resolver {
    struct strlist servers, searches, options;
};
void resolver_done(struct resolver *r);
void resolver_parse(const char *text, struct resolver *ret); /* resolv.conf */
/* What the pod gets, by dnsPolicy and dnsConfig, into rq->dns_*. */
void pod_resolver(const struct pod *pod, const struct resolver *node, const struct strlist *cluster_dns, const char *cluster_domain,
                  struct sandbox_request *rq);

#endif
