// SPDX-License-Identifier: Apache-2.0
#include "kubelet/cri/runtime.h"

#include <stdatomic.h>
#include <stdio.h>

#include "common/api/codec.h"
#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/metrics.h"
#include "common/net/grpc_client.h"
#include "kubelet/api_build.h"
#include "kubelet/cri/cri_build.h"
#include "kubelet/cri/cri_call.h"
#include "kubelet/cri/cri_enums.h"

#define NOT_READY_RETRY_MS 100
#define NOT_READY_TRIES 300

static const char runtime_service[] = "/runtime.v1.RuntimeService/";
static const char image_service[] = "/runtime.v1.ImageService/";

struct kerr *
runtime_new(const char *endpoint, const char *image_endpoint, uint64_t timeout_ms, struct runtime **ret)
{
    AUTO(runtime) *rt = XNEW(struct runtime);
    struct grpc_client_options o = { .target = endpoint, .hop = "kubelet -> container runtime" };
    struct kerr *err;

    rt->endpoint = xstrdup(endpoint);
    rt->timeout_ms = timeout_ms ? timeout_ms : 120000;
    err = grpc_client_new(&o, &rt->grpc);
    if (!err && !str_empty(image_endpoint) && !str_eq(image_endpoint, endpoint)) {
        o.target = image_endpoint;
        err = grpc_client_new(&o, &rt->images);
    }
    if (err)
        return kerr_wrap(err, "container runtime endpoint '%s'", endpoint);
    *ret = steal_ptr(rt);
    return NULL;
}

void
runtime_free(struct runtime *rt)
{
    if (!rt)
        return;
    grpc_client_free(rt->grpc);
    grpc_client_free(rt->images);
    free(rt->endpoint);
    free(rt);
}

const char *
runtime_endpoint(const struct runtime *rt)
{
    return rt->endpoint;
}

static const double operation_s[] = { .005,
                                      .0125,
                                      .03125,
                                      .078125,
                                      .1953125,
                                      .48828125,
                                      1.220703125,
                                      3.0517578125,
                                      7.62939453125,
                                      19.073486328125,
                                      47.6837158203125,
                                      119.20928955078125,
                                      298.0232238769531,
                                      745.0580596923828 };
static struct metric operations =
    METRIC_COUNTER("kubelet_runtime_operations_total",
                   "[ALPHA] Cumulative number of runtime operations by operation type.", "operation_type");
static struct metric operation_errors =
    METRIC_COUNTER("kubelet_runtime_operations_errors_total",
                   "[ALPHA] Cumulative number of runtime operation errors by operation type.", "operation_type");
static struct metric operation_times = METRIC_HISTOGRAM(
    "kubelet_runtime_operations_duration_seconds",
    "[ALPHA] Duration in seconds of runtime operations. Broken down by operation type.", "operation_type", operation_s);

/* RunPodSandbox -> run_podsandbox: how upstream's kubelet calls it in its metrics */
static void
operation_name(const char *method, char *ret, size_t size)
{
    static const char pod[] = "PodSandbox";
    size_t n = 0;

    for (const char *p = method; *p && n + 2 < size; p++) {
        bool upper = *p >= 'A' && *p <= 'Z';
        bool inner = p - method >= 3 && !strncmp(p - 3, pod, sizeof pod - 1);
        if (upper && n && !inner)
            ret[n++] = '_';
        ret[n++] = upper ? (char)(*p - 'A' + 'a') : *p;
    }
    ret[n] = '\0';
    if (!strcmp(ret, "update_container_resources"))
        ret[strlen("update_container")] = '\0'; /* upstream's name for it */
}

static void
count_call(const char *method, uint64_t begin_us, bool failed)
{
    char name[64];

    operation_name(method, name, sizeof name);
    metric_inc(&operations, name);
    metric_observe(&operation_times, (double)(clock_mono_us() - begin_us) / 1e6, name);
    if (failed)
        metric_inc(&operation_errors, name);
}

/* containerd answers "server is not initialized yet" for a moment after its socket is there. */
struct kerr *
cri_call(struct runtime *rt, const struct cri_method *m, const void *request, struct arena *a, void *ret_reply,
         uint64_t timeout_ms)
{
    AUTO_FREE char *method = xasprintf("%s%s", m->image ? image_service : runtime_service, m->name);
    struct grpc_client *g = m->image && rt->images ? rt->images : rt->grpc;
    AUTO_SBUF body = { 0 };

    uint64_t begin_us = clock_mono_us();

    pb_encode(m->request, request, &body);
    for (int tries = 0;; tries++) {
        AUTO_FREE void *reply = NULL;
        size_t len = 0;
        int status = 0;
        struct kerr *err = grpc_call(g, method, sbuf_str(&body), body.len, timeout_ms, &reply, &len, &status);

        if (err && status == GRPC_UNKNOWN && strstr(err->message, "server is not initialized yet") &&
            tries < NOT_READY_TRIES) {
            kerr_free(err);
            clock_sleep_ms(NOT_READY_RETRY_MS);
            continue;
        }
        count_call(m->name, begin_us, err != NULL);
        if (err)
            return err;
        return ret_reply ? kerr_wrap(pb_decode(m->reply, a, reply, len, ret_reply), "reply of %s", method) : NULL;
    }
}

#define METHOD(what, request_type, reply_type)                                                                         \
    (&(const struct cri_method){ #what, &api_type_##request_type, &api_type_##reply_type, false })
#define IMAGE_METHOD(what, request_type, reply_type)                                                                   \
    (&(const struct cri_method){ #what, &api_type_##request_type, &api_type_##reply_type, true })

/* --- the runtime itself --- */

static void
set_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", str_safe(from));
}

struct kerr *
runtime_info(struct runtime *rt, struct runtime_info *ret)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_version_request vq = { .version = "0.1.0" };
    struct cri_version_response v = { 0 };
    struct cri_status_request sq = { 0 };
    struct cri_status_response s = { 0 };
    struct kerr *err;

    memset(ret, 0, sizeof *ret);
    err = cri_call(rt, METHOD(Version, cri_version_request, cri_version_response), &vq, a, &v, 10000);
    if (!err)
        err = cri_call(rt, METHOD(Status, cri_status_request, cri_status_response), &sq, a, &s, 10000);
    if (err)
        return err;
    set_text(ret->name, sizeof ret->name, v.runtime_name);
    set_text(ret->version, sizeof ret->version, v.runtime_version);
    for (uint32_t i = 0; s.status && i < s.status->conditions.len; i++) {
        const struct cri_runtime_condition *c = &s.status->conditions.items[i];

        if (str_eq(c->type, "RuntimeReady")) {
            ret->ready = c->status;
            set_text(ret->reason, sizeof ret->reason, c->reason);
            set_text(ret->message, sizeof ret->message, c->message);
        } else if (str_eq(c->type, "NetworkReady")) {
            ret->network_ready = c->status;
            set_text(ret->network_reason, sizeof ret->network_reason, c->reason);
            set_text(ret->network_message, sizeof ret->network_message, c->message);
        }
    }
    return NULL;
}

int
runtime_cgroup_driver(struct runtime *rt)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_runtime_config_request rq = { 0 };
    struct cri_runtime_config_response r = { 0 };
    AUTO(kerr) *err =
        cri_call(rt, METHOD(RuntimeConfig, cri_runtime_config_request, cri_runtime_config_response), &rq, a, &r, 10000);

    if (err || !r.linux)
        return -1;
    return r.linux->cgroup_driver == CRI_CGROUP_SYSTEMD;
}

struct kerr *
runtime_set_pod_cidr(struct runtime *rt, const char *pod_cidr)
{
    struct cri_network_config net = { .pod_cidr = pod_cidr };
    struct cri_runtime_config cfg = { .network_config = &net };
    struct cri_update_runtime_config_request rq = { .runtime_config = &cfg };

    return cri_call(rt,
                    METHOD(UpdateRuntimeConfig, cri_update_runtime_config_request, cri_update_runtime_config_response),
                    &rq, NULL, NULL, rt->timeout_ms);
}

/* --- doing --- */

struct kerr *
runtime_sandbox_run(struct runtime *rt, const struct sandbox_request *rq, char **ret_id)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_run_pod_sandbox_request q = { .config = cri_build_sandbox(rq, a),
                                             .runtime_handler = rq->runtime_handler };
    struct cri_run_pod_sandbox_response r = { 0 };
    /* As upstream: CNI plugins may take their time. */
    struct kerr *err = cri_call(rt, METHOD(RunPodSandbox, cri_run_pod_sandbox_request, cri_run_pod_sandbox_response),
                                &q, a, &r, rt->timeout_ms * 2);

    if (!err && str_empty(r.pod_sandbox_id))
        err = kerr_new(KERR_INTERNAL, "RunPodSandbox: the runtime gave no sandbox id");
    if (!err)
        *ret_id = xstrdup(r.pod_sandbox_id);
    return err;
}

struct kerr *
runtime_sandbox_stop(struct runtime *rt, const char *id)
{
    struct cri_stop_pod_sandbox_request q = { .pod_sandbox_id = id };

    return cri_call(rt, METHOD(StopPodSandbox, cri_stop_pod_sandbox_request, cri_stop_pod_sandbox_response), &q, NULL,
                    NULL, rt->timeout_ms);
}

struct kerr *
runtime_sandbox_remove(struct runtime *rt, const char *id)
{
    struct cri_remove_pod_sandbox_request q = { .pod_sandbox_id = id };

    return cri_call(rt, METHOD(RemovePodSandbox, cri_remove_pod_sandbox_request, cri_remove_pod_sandbox_response), &q,
                    NULL, NULL, rt->timeout_ms);
}

struct kerr *
runtime_container_create(struct runtime *rt, const struct container_request *rq, char **ret_id)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_create_container_request q = {
        .pod_sandbox_id = rq->sandbox_id,
        .config = cri_build_container(rq, a),
        .sandbox_config = cri_build_sandbox(rq->sandbox, a),
    };
    struct cri_create_container_response r = { 0 };
    struct kerr *err =
        cri_call(rt, METHOD(CreateContainer, cri_create_container_request, cri_create_container_response), &q, a, &r,
                 rt->timeout_ms);

    if (!err && str_empty(r.container_id))
        err = kerr_new(KERR_INTERNAL, "CreateContainer: the runtime gave no container id");
    if (!err)
        *ret_id = xstrdup(r.container_id);
    return err;
}

struct kerr *
runtime_container_start(struct runtime *rt, const char *id)
{
    struct cri_start_container_request q = { .container_id = id };

    return cri_call(rt, METHOD(StartContainer, cri_start_container_request, cri_start_container_response), &q, NULL,
                    NULL, rt->timeout_ms);
}

struct kerr *
runtime_container_stop(struct runtime *rt, const char *id, int64_t grace_s)
{
    struct cri_stop_container_request q = { .container_id = id, .timeout = grace_s < 0 ? 0 : grace_s };

    return cri_call(rt, METHOD(StopContainer, cri_stop_container_request, cri_stop_container_response), &q, NULL, NULL,
                    rt->timeout_ms + (uint64_t)q.timeout * 1000);
}

struct kerr *
runtime_container_remove(struct runtime *rt, const char *id)
{
    struct cri_remove_container_request q = { .container_id = id };

    return cri_call(rt, METHOD(RemoveContainer, cri_remove_container_request, cri_remove_container_response), &q, NULL,
                    NULL, rt->timeout_ms);
}

struct kerr *
runtime_container_reopen_log(struct runtime *rt, const char *id)
{
    struct cri_reopen_container_log_request q = { .container_id = id };

    return cri_call(rt, METHOD(ReopenContainerLog, cri_reopen_container_log_request, cri_reopen_container_log_response),
                    &q, NULL, NULL, rt->timeout_ms);
}

struct kerr *
runtime_container_update(struct runtime *rt, const char *id, int64_t cpu_shares, int64_t cpu_quota, int64_t cpu_period,
                         int64_t memory_limit)
{
    struct cri_linux_container_resources r = { .cpu_shares = cpu_shares,
                                               .cpu_quota = cpu_quota,
                                               .cpu_period = cpu_period,
                                               .memory_limit_in_bytes = memory_limit };
    struct cri_update_container_resources_request q = { .container_id = id, .linux = &r };

    return cri_call(rt,
                    METHOD(UpdateContainerResources, cri_update_container_resources_request,
                           cri_update_container_resources_response),
                    &q, NULL, NULL, rt->timeout_ms);
}

struct kerr *
runtime_exec(struct runtime *rt, const char *id, const char *const *argv, int64_t timeout_s, struct sbuf *ret_output,
             int *ret_code)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_exec_sync_request q = { .container_id = id, .timeout = timeout_s };
    struct cri_exec_sync_response r = { 0 };
    struct kerr *err;

    for (size_t i = 0; argv[i]; i++)
        *SLICE_ADD(a, &q.cmd) = argv[i];
    err = cri_call(rt, METHOD(ExecSync, cri_exec_sync_request, cri_exec_sync_response), &q, a, &r,
                   timeout_s > 0 ? (uint64_t)timeout_s * 1000 + 15000 : 0);
    if (err)
        return err;
    if (ret_output) {
        sbuf_add(ret_output, r.stdout.data, r.stdout.len);
        sbuf_add(ret_output, r.stderr.data, r.stderr.len);
    }
    *ret_code = r.exit_code;
    return NULL;
}

struct kerr *
runtime_exec_url(struct runtime *rt, const char *id, const struct strlist *argv, const struct stream_options *o,
                 char **ret)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_exec_request q = {
        .container_id = id, .tty = o->tty, .stdin = o->in, .stdout = o->out, .stderr = o->err && !o->tty
    };
    struct cri_exec_response r = { 0 };
    struct kerr *err;

    for (size_t i = 0; i < argv->len; i++)
        *SLICE_ADD(a, &q.cmd) = argv->items[i];
    err = cri_call(rt, METHOD(Exec, cri_exec_request, cri_exec_response), &q, a, &r, rt->timeout_ms);
    if (!err)
        *ret = xstrdup(str_safe(r.url));
    return err;
}

struct kerr *
runtime_attach_url(struct runtime *rt, const char *id, const struct stream_options *o, char **ret)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_attach_request q = {
        .container_id = id, .tty = o->tty, .stdin = o->in, .stdout = o->out, .stderr = o->err && !o->tty
    };
    struct cri_attach_response r = { 0 };
    struct kerr *err = cri_call(rt, METHOD(Attach, cri_attach_request, cri_attach_response), &q, a, &r, rt->timeout_ms);

    if (!err)
        *ret = xstrdup(str_safe(r.url));
    return err;
}

struct kerr *
runtime_port_forward_url(struct runtime *rt, const char *sandbox_id, const int32_t *ports, size_t n, char **ret)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_port_forward_request q = { .pod_sandbox_id = sandbox_id };
    struct cri_port_forward_response r = { 0 };
    struct kerr *err;

    for (size_t i = 0; i < n; i++)
        *SLICE_ADD(a, &q.port) = ports[i];
    err = cri_call(rt, METHOD(PortForward, cri_port_forward_request, cri_port_forward_response), &q, a, &r,
                   rt->timeout_ms);
    if (!err)
        *ret = xstrdup(str_safe(r.url));
    return err;
}

/* --- images --- */

static void
to_image(const struct cri_image *in, struct rt_image *out)
{
    *out = (struct rt_image){ .id = in->id,
                              .tags = in->repo_tags.items,
                              .ntags = in->repo_tags.len,
                              .digests = in->repo_digests.items,
                              .ndigests = in->repo_digests.len,
                              .size = in->size,
                              .has_uid = in->uid,
                              .uid = in->uid ? in->uid->value : 0,
                              .user = in->username,
                              .pinned = in->pinned };
}

struct kerr *
runtime_image(struct runtime *rt, const char *image, struct arena *a, struct rt_image **ret)
{
    struct cri_image_spec spec = { .image = image };
    struct cri_image_status_request q = { .image = &spec };
    struct cri_image_status_response r = { 0 };
    struct kerr *err = cri_call(rt, IMAGE_METHOD(ImageStatus, cri_image_status_request, cri_image_status_response), &q,
                                a, &r, rt->timeout_ms);

    if (err)
        return err;
    *ret = NULL;
    if (r.image && !str_empty(r.image->id)) {
        *ret = ARENA_NEW(a, struct rt_image);
        to_image(r.image, *ret);
    }
    return NULL;
}

struct kerr *
runtime_images(struct runtime *rt, struct arena *a, struct rt_image_list *ret)
{
    struct cri_list_images_request q = { 0 };
    struct cri_list_images_response r = { 0 };
    struct kerr *err = cri_call(rt, IMAGE_METHOD(ListImages, cri_list_images_request, cri_list_images_response), &q, a,
                                &r, rt->timeout_ms);

    if (err)
        return err;
    ret->len = r.images.len;
    ret->items = arena_alloc(a, (r.images.len + 1) * sizeof *ret->items);
    for (uint32_t i = 0; i < r.images.len; i++)
        to_image(&r.images.items[i], &ret->items[i]);
    return NULL;
}

struct kerr *
runtime_image_pull(struct runtime *rt, const char *image, const struct image_auth *auth, char **ret_ref)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_image_spec spec = { .image = image };
    struct cri_auth_config ac = { 0 };
    struct cri_pull_image_request q = { .image = &spec };
    struct cri_pull_image_response r = { 0 };
    struct kerr *err;

    if (auth) {
        ac = (struct cri_auth_config){ .username = auth->username,
                                       .password = auth->password,
                                       .auth = auth->auth,
                                       .server_address = auth->server_address,
                                       .identity_token = auth->identity_token };
        q.auth = &ac;
    }
    err = cri_call(rt, IMAGE_METHOD(PullImage, cri_pull_image_request, cri_pull_image_response), &q, a, &r,
                   0); /* as long as it takes */
    if (!err)
        *ret_ref = xstrdup(str_safe(r.image_ref));
    return err;
}

struct kerr *
runtime_image_remove(struct runtime *rt, const char *image)
{
    struct cri_image_spec spec = { .image = image };
    struct cri_remove_image_request q = { .image = &spec };

    return cri_call(rt, IMAGE_METHOD(RemoveImage, cri_remove_image_request, cri_remove_image_response), &q, NULL, NULL,
                    rt->timeout_ms);
}

struct kerr *
runtime_image_fs(struct runtime *rt, uint64_t *ret_used, char **ret_mountpoint)
{
    AUTO(arena) *a = arena_new(0);
    struct cri_image_fs_info_request q = { 0 };
    struct cri_image_fs_info_response r = { 0 };
    struct kerr *err = cri_call(rt, IMAGE_METHOD(ImageFsInfo, cri_image_fs_info_request, cri_image_fs_info_response),
                                &q, a, &r, rt->timeout_ms);

    if (err)
        return err;
    if (!r.image_filesystems.len || !r.image_filesystems.items[0].fs_id)
        return kerr_new(KERR_NOT_FOUND, "the container runtime names no image file system");
    *ret_used = r.image_filesystems.items[0].used_bytes ? r.image_filesystems.items[0].used_bytes->value : 0;
    *ret_mountpoint = xstrdup(str_safe(r.image_filesystems.items[0].fs_id->mountpoint));
    return NULL;
}
