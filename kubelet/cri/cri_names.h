// SPDX-License-Identifier: Apache-2.0
/* cri_names.h - labels and annotations on sandboxes and containers, with upstream's names, so that crictl, log
 * shippers and a restarted kubelet find pods again. */
#ifndef CKUBE_KUBELET_CRI_NAMES_H
#define CKUBE_KUBELET_CRI_NAMES_H

#define L_POD_NAME "io.kubernetes.pod.name"
#define L_POD_NAMESPACE "io.kubernetes.pod.namespace"
#define L_POD_UID "io.kubernetes.pod.uid"
#define L_CONTAINER_NAME "io.kubernetes.container.name"
#define A_HASH "io.kubernetes.container.hash"
#define A_RESTART_COUNT "io.kubernetes.container.restartCount"
#define A_TERMINATION_PATH "io.kubernetes.container.terminationMessagePath"
#define A_TERMINATION_POLICY "io.kubernetes.container.terminationMessagePolicy"
#define A_GRACE "io.kubernetes.pod.terminationGracePeriod"
#define A_CONFIG_SOURCE "kubernetes.io/config.source"

#endif
