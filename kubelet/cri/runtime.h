// SPDX-License-Identifier: Apache-2.0
/* runtime.h - the container runtime as the kubelet sees it: pods made of sandboxes and containers, images, streams.
 *
 *   pod workers, prober, node server --> runtime.h --> (this folder) CRI v1 messages --> gRPC --> containerd, CRI-O
 *
 * Everything the rest of the kubelet knows about CRI is in this header.  All calls block, are bounded by a timeout and
 * may be made from any thread.  What we need to find again after a restart travels as labels and annotations on the
 * sandboxes and containers, with upstream's names. */
#ifndef CKUBE_KUBELET_RUNTIME_H
#define CKUBE_KUBELET_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "api_types.h"
#include "common/base/arena.h"
#include "common/base/kerr.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"

struct runtime;

/* endpoint: "unix:///run/containerd/containerd.sock" or a plain path.  Connects on first use, and again when cut off. */
struct kerr *runtime_new(const char *endpoint, const char *image_endpoint, uint64_t timeout_ms, struct runtime **ret) MUST_CHECK;
void runtime_free(struct runtime *rt);
DEFINE_AUTO(runtime)
const char *runtime_endpoint(const struct runtime *rt);

/* The runtime's own words, without the hop: what goes into events and statuses. */
const char *runtime_error_text(const struct kerr *err);

/* --- the runtime itself --- */
struct runtime_info { /* fixed sizes: this is copied around */
    char name[64], version[64];
    bool ready, network_ready;
    char reason[128], message[512];                 /* of the runtime, when not ready */
    char network_reason[128], network_message[512]; /* of the network, when not ready */
};
struct kerr *runtime_info(struct runtime *rt, struct runtime_info *ret) MUST_CHECK;
/* What the runtime says of its cgroup driver: 1 systemd, 0 cgroupfs, -1 it does not say. */
int runtime_cgroup_driver(struct runtime *rt);
struct kerr *runtime_set_pod_cidr(struct runtime *rt, const char *pod_cidr) MUST_CHECK;

/* --- pods --- */
enum rt_state { RT_CREATED, RT_RUNNING, RT_EXITED, RT_UNKNOWN };

struct rt_container {
    const char *id, *name, *sandbox_id;
    uint32_t attempt; /* = restart count */
    enum rt_state state;
    int64_t created_ns, started_ns, finished_ns; /* since 1970; 0 = not yet */
    int32_t exit_code;
    const char *reason, *message; /* of the end */
    const char *image;            /* as asked for */
    const char *image_id;         /* what it became, as in status.imageID */
    const char *log_path;
    uint64_t hash;                /* of the container's spec when it was made */
    const char *termination_path; /* inside the container */
    const char *termination_host_path; /* the file on the host; NULL = no mount of it */
    const char *termination_policy;
    int64_t grace_s; /* pod's terminationGracePeriodSeconds when it was made; -1 = not known */
    bool detailed;   /* times, exit code and mounts are filled in */
};

struct rt_sandbox {
    const char *id;
    uint32_t attempt;
    bool ready;
    int64_t created_ns;
    const char *const *ips; /* only of the newest */
    size_t nips;
    bool host_network;
};

/* Newest first in both lists. */
struct rt_pod {
    const char *uid, *name, *namespace;
    struct rt_sandbox *sandboxes;
    size_t nsandboxes;
    struct rt_container *containers;
    size_t ncontainers;
};

/* All of one pod, with details of the newest sandbox and of every container.  A pod unknown to the runtime is an empty rt_pod. */
struct kerr *runtime_pod(struct runtime *rt, const char *uid, struct arena *a, struct rt_pod *ret) MUST_CHECK;
struct rt_pod_list {
    struct rt_pod *items;
    size_t len;
};
/* All pods, without details: start-up and the slow relist. */
struct kerr *runtime_pods(struct runtime *rt, struct arena *a, struct rt_pod_list *ret) MUST_CHECK;

/* --- doing --- */
struct sandbox_request {
    const struct pod *pod;
    uint32_t attempt;
    const char *hostname; /* "" for host-network pods */
    const char *log_dir;
    const char *cgroup_parent;
    const char *runtime_handler;
    struct strlist dns_servers, dns_searches, dns_options;
    bool seccomp_default;
    int64_t overhead_cpu_milli, overhead_memory; /* 0 = none */
    int64_t cpu_shares, cpu_quota, cpu_period, memory_limit; /* of the whole pod */
};
void sandbox_request_done(struct sandbox_request *rq);

struct rt_mount {
    char *host_path, *container_path;
    bool read_only, recursive_read_only;
    int propagation; /* 0 private, 1 host to container, 2 both ways */
};
struct rt_env {
    char *name, *value;
};
struct rt_device {
    char *host_path, *container_path, *permissions;
};

struct container_request {
    const struct pod *pod;
    const struct container *container;
    const char *sandbox_id;
    const struct sandbox_request *sandbox; /* as the sandbox was made */
    uint32_t attempt;
    uint64_t hash;
    const char *image_ref;      /* what the image service knows it by */
    const char *log_path;       /* below the sandbox's log_dir */
    const char *target_id;      /* ephemeral containers: whose process namespace; or NULL */
    struct strlist command, args; /* $(VAR) expanded */
    struct rt_env *env;
    size_t nenv;
    struct rt_mount *mounts;
    size_t nmounts;
    struct rt_device *devices;
    size_t ndevices;
    int64_t cpu_shares, cpu_quota, cpu_period, memory_limit, memory_swap_limit, oom_score_adj; /* 0 = not set */
    bool has_user;  /* from the spec or, for runAsNonRoot, the image */
    int64_t uid;
    const char *user_name;
    bool seccomp_default;
    const char *seccomp_root; /* where Localhost profiles are */
    const int64_t *extra_groups; /* of volumes (fsGroup) */
    size_t nextra_groups;
};
void container_request_done(struct container_request *rq);

struct kerr *runtime_sandbox_run(struct runtime *rt, const struct sandbox_request *rq, char **ret_id) MUST_CHECK;
struct kerr *runtime_sandbox_stop(struct runtime *rt, const char *id) MUST_CHECK;
struct kerr *runtime_sandbox_remove(struct runtime *rt, const char *id) MUST_CHECK;
struct kerr *runtime_container_create(struct runtime *rt, const struct container_request *rq, char **ret_id) MUST_CHECK;
struct kerr *runtime_container_start(struct runtime *rt, const char *id) MUST_CHECK;
struct kerr *runtime_container_stop(struct runtime *rt, const char *id, int64_t grace_s) MUST_CHECK;
struct kerr *runtime_container_remove(struct runtime *rt, const char *id) MUST_CHECK;
struct kerr *runtime_container_reopen_log(struct runtime *rt, const char *id) MUST_CHECK;
struct kerr *runtime_container_update(struct runtime *rt, const char *id, int64_t cpu_shares, int64_t cpu_quota,
                                      int64_t cpu_period, int64_t memory_limit) MUST_CHECK;
/* NULL and *ret_code for any exit of the command; KERR_TIMEOUT when it was killed for taking too long. */
struct kerr *runtime_exec(struct runtime *rt, const char *id, const char *const *argv, int64_t timeout_s,
                          struct sbuf *ret_output, int *ret_code) MUST_CHECK;

/* URLs on the runtime's streaming server; each is good for one connection. */
struct stream_options {
    bool tty, in, out, err;
};
struct kerr *runtime_exec_url(struct runtime *rt, const char *id, const struct strlist *argv,
                              const struct stream_options *o, char **ret) MUST_CHECK;
struct kerr *runtime_attach_url(struct runtime *rt, const char *id, const struct stream_options *o, char **ret) MUST_CHECK;
struct kerr *runtime_port_forward_url(struct runtime *rt, const char *sandbox_id, const int32_t *ports, size_t n,
                                      char **ret) MUST_CHECK;

/* --- images --- */
struct rt_image {
    const char *id;
    const char *const *tags, *const *digests;
    size_t ntags, ndigests;
    uint64_t size;
    bool has_uid;
    int64_t uid;
    const char *user;
    bool pinned;
};
struct rt_image_list {
    struct rt_image *items;
    size_t len;
};
/* *ret NULL when the image is not there. */
struct kerr *runtime_image(struct runtime *rt, const char *image, struct arena *a, struct rt_image **ret) MUST_CHECK;
struct kerr *runtime_images(struct runtime *rt, struct arena *a, struct rt_image_list *ret) MUST_CHECK;
struct image_auth {
    const char *username, *password, *auth, *server_address, *identity_token;
};
struct kerr *runtime_image_pull(struct runtime *rt, const char *image, const struct image_auth *auth, char **ret_ref) MUST_CHECK;
struct kerr *runtime_image_remove(struct runtime *rt, const char *image) MUST_CHECK;
struct kerr *runtime_image_fs(struct runtime *rt, uint64_t *ret_used, char **ret_mountpoint) MUST_CHECK;

/* --- figures --- */
struct rt_stats {
    const char *pod_uid, *pod_name, *pod_namespace, *container, *id;
    int64_t at_ns;
    uint64_t cpu_ns;          /* used since the start */
    uint64_t memory_working_set, memory_usage, memory_rss;
    uint64_t page_faults, major_page_faults;
    uint64_t fs_used, fs_inodes;
    int64_t fs_at_ns;
};
struct rt_stats_list {
    struct rt_stats *items;
    size_t len;
};
struct kerr *runtime_stats(struct runtime *rt, struct arena *a, struct rt_stats_list *ret) MUST_CHECK;

#endif
