// SPDX-License-Identifier: Apache-2.0
/* cri_enums.h - the enum values of CRI v1 that we use. */
#ifndef CKUBE_KUBELET_CRI_ENUMS_H
#define CKUBE_KUBELET_CRI_ENUMS_H

enum cri_namespace_mode {
    CRI_NS_POD = 0,
    CRI_NS_CONTAINER = 1,
    CRI_NS_NODE = 2,
    CRI_NS_TARGET = 3,
};
enum cri_pod_sandbox_state {
    CRI_SANDBOX_READY = 0,
    CRI_SANDBOX_NOTREADY = 1,
};
enum cri_container_state {
    CRI_CONTAINER_CREATED = 0,
    CRI_CONTAINER_RUNNING = 1,
    CRI_CONTAINER_EXITED = 2,
    CRI_CONTAINER_UNKNOWN = 3,
};
enum cri_mount_propagation {
    CRI_PROPAGATION_PRIVATE = 0,
    CRI_PROPAGATION_HOST_TO_CONTAINER = 1,
    CRI_PROPAGATION_BIDIRECTIONAL = 2,
};
enum cri_profile_type {
    CRI_PROFILE_RUNTIME_DEFAULT = 0,
    CRI_PROFILE_UNCONFINED = 1,
    CRI_PROFILE_LOCALHOST = 2,
};
enum cri_container_event_type {
    CRI_CONTAINER_CREATED_EVENT = 0,
    CRI_CONTAINER_STARTED_EVENT = 1,
    CRI_CONTAINER_STOPPED_EVENT = 2,
    CRI_CONTAINER_DELETED_EVENT = 3,
};
enum cri_cgroup_driver {
    CRI_CGROUP_SYSTEMD = 0,
    CRI_CGROUP_CGROUPFS = 1,
};
enum cri_supplemental_groups_policy {
    CRI_GROUPS_MERGE = 0,
    CRI_GROUPS_STRICT = 1,
};
enum cri_protocol {
    CRI_PROTOCOL_TCP = 0,
    CRI_PROTOCOL_UDP = 1,
    CRI_PROTOCOL_SCTP = 2,
};

#endif
