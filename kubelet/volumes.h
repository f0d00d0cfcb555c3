// SPDX-License-Identifier: Apache-2.0
/* volumes.h - the volumes of a pod on this node: made before its containers, refreshed while they run, removed after.
 *
 *   <root>/pods/<uid>/volumes/kubernetes.io~<type>/<name>    what containers mount
 *   <root>/pods/<uid>/volume-subpaths/<volume>/<container>/<n>  bind mounts of subPath, so that no later symlink escapes
 *
 * emptyDir, hostPath, configMap, secret, downwardAPI, projected (with service account tokens), and claims bound to
 * hostPath or local volumes.  Any thread, but one at a time per pod. */
#ifndef CKUBE_KUBELET_VOLUMES_H
#define CKUBE_KUBELET_VOLUMES_H

#include "kubelet/atomic_writer.h"
#include "kubelet/cri/runtime.h"
#include "kubelet/object_source.h"

/* Makes or refreshes all volumes of the pod.  *ret_refresh_s: when the first token wants renewal (0 = none).
 * The error reads `MountVolume.SetUp failed for volume "x" : ...`. */
struct kerr *volumes_prepare(const char *root, const struct pod_facts *f, const struct object_source *src, int64_t now_s,
                             int64_t *ret_refresh_s) MUST_CHECK;
/* Appends the container's volume mounts to rq->mounts; rq->env is used for subPathExpr. */
struct kerr *volumes_mounts(const char *root, const struct pod *pod, const struct container *c, const struct object_source *src,
                            struct container_request *rq) MUST_CHECK;
/* Unmounts and removes the pod's directory with all in it.  Missing is fine. */
struct kerr *volumes_remove(const char *root, const char *uid) MUST_CHECK;

void request_add_mount(struct container_request *rq, const char *host, const char *inside, bool read_only);

/* --- the pure part, volume_files.c: what files a volume holds --- */
struct volume_files_result {
    struct file_set files;
    int64_t refresh_s; /* earliest time at which a token is to be renewed; 0 = none */
};
/* The files of a configMap, secret, downwardAPI or projected volume. `dir`: where the present ones are (tokens are kept). */
struct kerr *volume_files(const struct pod_facts *f, const struct volume *v, const struct object_source *src, const char *dir,
                          int64_t now_s, struct volume_files_result *ret) MUST_CHECK;

#endif
