// SPDX-License-Identifier: Apache-2.0
/* static_pods.h - pods from the files of a folder, and their mirror pods at the apiserver.
 * A thread of its own looks at the folder when it changes (inotify) and every fileCheckFrequency. */
#ifndef CKUBE_KUBELET_STATIC_PODS_H
#define CKUBE_KUBELET_STATIC_PODS_H

#include "kubelet/kubelet.h"

struct static_pods;

struct static_pods *static_pods_new(struct kubelet *k) MUST_CHECK;
void static_pods_start(struct static_pods *sp); /* the first look is done when this returns */
void static_pods_stop(struct static_pods *sp);
void static_pods_free(struct static_pods *sp);
/* The API's mirror pods came, changed, went: called by the informer's handlers. */
void static_pods_mirror(struct static_pods *sp, const struct object *mirror, bool gone);

/* One file's pod, named and marked as upstream does (uid and hash from the content).  Pure but for the text given. */
struct kerr *static_pod_parse(const char *path, const char *text, size_t len, const char *node_name, struct object **ret) MUST_CHECK;

#endif
