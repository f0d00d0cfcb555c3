// SPDX-License-Identifier: Apache-2.0
/* cgroup.h - the pod part of the cgroup tree: <root>/kubepods/{burstable,besteffort}/pod<uid>.
 * cgroup v2, and v1 in any mix of mounted controllers (hybrid); driver cgroupfs (we make the directories) or systemd
 * (we ask systemd for the slices).  The runtime makes the container's own group below; the pod's directory is ours
 * to make and to remove.  Any thread; blocking. */
#ifndef CKUBE_KUBELET_CGROUP_H
#define CKUBE_KUBELET_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"
#include "common/base/str.h"

enum pod_qos { QOS_GUARANTEED, QOS_BURSTABLE, QOS_BEST_EFFORT };

struct cgroup_limits { /* 0 = not set */
    int64_t cpu_shares;   /* v1 scale, 2..262144; becomes cpu.weight on v2 */
    int64_t cpu_quota_us; /* per period */
    int64_t cpu_period_us;
    int64_t memory_max;
    int64_t pids_max;
};

struct cgroups;

/* `root` is cgroupRoot of the config ("/" or "" for the top); `mount` is where the hierarchies are ("/sys/fs/cgroup"). */
struct kerr *cgroups_new(const char *mount, const char *root, bool systemd, struct cgroups **ret) MUST_CHECK;
void cgroups_free(struct cgroups *cg);
DEFINE_AUTO(cgroups)

bool cgroups_is_v2(const struct cgroups *cg);
/* The QoS directories.  Repeatable.  `total` bounds the sum of all pods (node allocatable). */
struct kerr *cgroups_setup(struct cgroups *cg, const struct cgroup_limits *total) MUST_CHECK;
/* cgroup_parent as the runtime wants it: a path, or "kubepods-burstable-pod<uid>.slice". */
char *cgroups_pod_parent(const struct cgroups *cg, enum pod_qos qos, const char *uid) MUST_CHECK;
struct kerr *cgroups_pod_make(struct cgroups *cg, enum pod_qos qos, const char *uid,
                              const struct cgroup_limits *limits) MUST_CHECK;
/* In every QoS class; missing is fine.  Leftover processes are killed. */
struct kerr *cgroups_pod_remove(struct cgroups *cg, const char *uid) MUST_CHECK;
void cgroups_pod_uids(struct cgroups *cg, struct strlist *ret); /* pods that have a directory */
/* One number out of the pod's (or, uid NULL, all pods') accounting: false when it cannot be read. */
bool cgroups_read(struct cgroups *cg, enum pod_qos qos, const char *uid, const char *v1_controller,
                  const char *v1_file, const char *v2_file, int64_t *ret);

int64_t cgroup_milli_to_shares(int64_t milli);
int64_t cgroup_shares_to_weight(int64_t shares);

#endif
