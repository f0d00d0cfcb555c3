// SPDX-License-Identifier: Apache-2.0
/* object_source.h - where environment and volumes get ConfigMaps, Secrets and Services from: the apiserver in the
 * kubelet, a table in tests. */
#ifndef CKUBE_KUBELET_OBJECT_SOURCE_H
#define CKUBE_KUBELET_OBJECT_SOURCE_H

#include "common/api/object.h"
#include "common/client/rest.h"

struct object_source {
    /* One object, a reference for the caller; KERR_NOT_FOUND when there is none. */
    struct kerr *(*get)(void *arg, const char *kind, const char *ns, const char *name, struct object **ret);
    /* Services of a namespace; false: not known yet. */
    bool (*services)(void *arg, const char *ns, struct object_list *ret);
    /* A token of the pod's service account. */
    struct kerr *(*token)(void *arg, const struct pod *pod, const char *audience, int64_t expiration_s, char **ret,
                          int64_t *ret_expires_unix);
    void *arg;
};

struct pod_facts { /* what downward API and environment may ask beyond the pod's own spec */
    const struct pod *pod;
    const char *const *pod_ips, *const *host_ips;
    size_t npod_ips, nhost_ips;
    int64_t allocatable_cpu_milli, allocatable_memory, allocatable_ephemeral;
};

#endif
