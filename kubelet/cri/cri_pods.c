// SPDX-License-Identifier: Apache-2.0
/* What the runtime has: lists and details, sorted into pods by the labels that we gave. */
#include <stdio.h>
#include <stdlib.h>

#include "kubelet/api_build.h"
#include "kubelet/cri/cri_call.h"
#include "kubelet/cri/cri_enums.h"
#include "kubelet/cri/cri_names.h"

#define METHOD(what, request_type, reply_type) (&(const struct cri_method){ #what, &api_type_##request_type, &api_type_##reply_type, false })

static enum rt_state
state_of(int32_t cri)
{
    switch (cri) {
    case CRI_CONTAINER_CREATED:
        return RT_CREATED;
    case CRI_CONTAINER_RUNNING:
        return RT_RUNNING;
    case CRI_CONTAINER_EXITED:
        return RT_EXITED;
    default:
        return RT_UNKNOWN;
    }
}

static void
read_annotations(struct rt_container *c, const struct string_map *m)
{
    const char *hash = string_map_get(m, A_HASH), *count = string_map_get(m, A_RESTART_COUNT);
    const char *grace = string_map_get(m, A_GRACE);
    uint64_t n = 0;

    c->hash = hash ? strtoull(hash, NULL, 16) : 0;
    if (count && !parse_u64(count, &n) && n > c->attempt)
        c->attempt = (uint32_t)n;
    c->termination_path = string_map_get(m, A_TERMINATION_PATH);
    c->termination_policy = string_map_get(m, A_TERMINATION_POLICY);
    c->grace_s = -1;
    if (grace)
        (void)parse_i64(grace, &c->grace_s);
}

static void
from_list(const struct cri_container *in, struct rt_container *c)
{
    const char *label = string_map_get(&in->labels, L_CONTAINER_NAME);

    c->id = in->id;
    c->name = label ? label : in->metadata ? str_safe(in->metadata->name) : "";
    c->sandbox_id = in->pod_sandbox_id;
    c->attempt = in->metadata ? in->metadata->attempt : 0;
    c->state = state_of(in->state);
    c->created_ns = in->created_at;
    c->image = in->image ? in->image->image : NULL;
    c->image_id = in->image_ref;
    read_annotations(c, &in->annotations);
}

static struct kerr *
add_details(struct runtime *rt, struct rt_container *c, struct arena *a)
{
    struct cri_container_status_request q = { .container_id = c->id };
    struct cri_container_status_response r = { 0 };
    struct kerr *err = cri_call(rt, METHOD(ContainerStatus, cri_container_status_request, cri_container_status_response), &q, a, &r, rt->timeout_ms);

    if (err)
        return err;
    if (!r.status)
        return kerr_new(KERR_INTERNAL, "ContainerStatus of '%s' came back empty", c->id);
    c->detailed = true;
    c->state = state_of(r.status->state);
    c->created_ns = r.status->created_at;
    c->started_ns = r.status->started_at;
    c->finished_ns = r.status->finished_at;
    c->exit_code = r.status->exit_code;
    c->reason = r.status->reason;
    c->message = r.status->message;
    c->log_path = r.status->log_path;
    if (r.status->image && !str_empty(r.status->image->image))
        c->image = r.status->image->image;
    if (!str_empty(r.status->image_ref))
        c->image_id = r.status->image_ref;
    for (uint32_t i = 0; i < r.status->mounts.len && !str_empty(c->termination_path); i++)
        if (str_eq(r.status->mounts.items[i].container_path, c->termination_path))
            c->termination_host_path = r.status->mounts.items[i].host_path;
    return NULL;
}

static struct kerr *
add_sandbox_details(struct runtime *rt, struct rt_sandbox *s, struct arena *a)
{
    struct cri_pod_sandbox_status_request q = { .pod_sandbox_id = s->id };
    struct cri_pod_sandbox_status_response r = { 0 };
    struct kerr *err = cri_call(rt, METHOD(PodSandboxStatus, cri_pod_sandbox_status_request, cri_pod_sandbox_status_response), &q, a, &r, rt->timeout_ms);
    const struct cri_pod_sandbox_network_status *net;
    const char **ips;

    if (err)
        return err;
    if (!r.status)
        return kerr_new(KERR_INTERNAL, "PodSandboxStatus of '%s' came back empty", s->id);
    s->ready = r.status->state == CRI_SANDBOX_READY;
    if (r.status->linux && r.status->linux->namespaces && r.status->linux->namespaces->options)
        s->host_network = r.status->linux->namespaces->options->network == CRI_NS_NODE;
    net = r.status->network;
    if (!net || str_empty(net->ip))
        return NULL;
    ips = arena_alloc(a, (net->additional_ips.len + 1) * sizeof *ips);
    ips[s->nips++] = net->ip;
    for (uint32_t i = 0; i < net->additional_ips.len; i++)
        ips[s->nips++] = net->additional_ips.items[i].ip;
    s->ips = ips;
    return NULL;
}

static int
newest_sandbox_first(const void *va, const void *vb)
{
    const struct rt_sandbox *x = va, *y = vb;

    return (x->created_ns < y->created_ns) - (x->created_ns > y->created_ns);
}

static int
newest_container_first(const void *va, const void *vb)
{
    const struct rt_container *x = va, *y = vb;

    return (x->created_ns < y->created_ns) - (x->created_ns > y->created_ns);
}

/* Both lists, of one pod or of all. */
static struct kerr *
lists(struct runtime *rt, const char *uid, struct arena *a, struct cri_list_pod_sandbox_response *ret_s,
      struct cri_list_containers_response *ret_c)
{
    struct cri_pod_sandbox_filter sf = { 0 };
    struct cri_container_filter cf = { 0 };
    struct cri_list_pod_sandbox_request sq = { .filter = uid ? &sf : NULL };
    struct cri_list_containers_request cq = { .filter = uid ? &cf : NULL };
    struct kerr *err;

    if (uid) {
        string_map_set(&sf.label_selector, a, L_POD_UID, uid);
        string_map_set(&cf.label_selector, a, L_POD_UID, uid);
    }
    err = cri_call(rt, METHOD(ListPodSandbox, cri_list_pod_sandbox_request, cri_list_pod_sandbox_response), &sq, a, ret_s, rt->timeout_ms);
    if (err)
        return err;
    return cri_call(rt, METHOD(ListContainers, cri_list_containers_request, cri_list_containers_response), &cq, a, ret_c, rt->timeout_ms);
}

static void
add_sandbox(struct rt_pod *p, const struct cri_pod_sandbox *in)
{
    struct rt_sandbox *s = &p->sandboxes[p->nsandboxes++];

    s->id = in->id;
    s->attempt = in->metadata ? in->metadata->attempt : 0;
    s->ready = in->state == CRI_SANDBOX_READY;
    s->created_ns = in->created_at;
}

static void
sort_pod(struct rt_pod *p)
{
    if (p->nsandboxes)
        qsort(p->sandboxes, p->nsandboxes, sizeof *p->sandboxes, newest_sandbox_first);
    if (p->ncontainers)
        qsort(p->containers, p->ncontainers, sizeof *p->containers, newest_container_first);
}

struct kerr *
runtime_pod(struct runtime *rt, const char *uid, struct arena *a, struct rt_pod *ret)
{
    struct cri_list_pod_sandbox_response sl = { 0 };
    struct cri_list_containers_response cl = { 0 };
    struct kerr *err = lists(rt, uid, a, &sl, &cl);
    size_t kept = 0;

    if (err)
        return err;
    memset(ret, 0, sizeof *ret);
    ret->uid = arena_strdup(a, uid);
    ret->sandboxes = arena_alloc(a, (sl.items.len + 1) * sizeof *ret->sandboxes);
    ret->containers = arena_alloc(a, (cl.containers.len + 1) * sizeof *ret->containers);
    for (uint32_t i = 0; i < sl.items.len; i++) {
        add_sandbox(ret, &sl.items.items[i]);
        if (sl.items.items[i].metadata) {
            ret->name = sl.items.items[i].metadata->name;
            ret->namespace = sl.items.items[i].metadata->namespace;
        }
    }
    for (uint32_t i = 0; i < cl.containers.len; i++)
        from_list(&cl.containers.items[i], &ret->containers[ret->ncontainers++]);
    sort_pod(ret);
    if (ret->nsandboxes) {
        err = add_sandbox_details(rt, &ret->sandboxes[0], a);
        if (err && err->reason == KERR_NOT_FOUND) { /* removed since the list */
            kerr_free(err);
            ret->sandboxes++;
            ret->nsandboxes--;
            err = NULL;
        }
    }
    for (size_t i = 0; !err && i < ret->ncontainers; i++) {
        err = add_details(rt, &ret->containers[i], a);
        if (err && err->reason == KERR_NOT_FOUND) {
            kerr_free(err);
            err = NULL;
            continue;
        }
        ret->containers[kept++] = ret->containers[i];
    }
    ret->ncontainers = kept;
    return err;
}

static struct rt_pod *
pod_of(struct rt_pod_list *l, const char *uid, size_t max_sandboxes, size_t max_containers, struct arena *a)
{
    struct rt_pod *p;

    for (size_t i = 0; i < l->len; i++)
        if (!strcmp(l->items[i].uid, uid))
            return &l->items[i];
    p = &l->items[l->len++];
    p->uid = uid;
    p->sandboxes = max_sandboxes ? arena_alloc(a, max_sandboxes * sizeof *p->sandboxes) : NULL;
    p->containers = max_containers ? arena_alloc(a, max_containers * sizeof *p->containers) : NULL;
    return p;
}

struct kerr *
runtime_pods(struct runtime *rt, struct arena *a, struct rt_pod_list *ret)
{
    struct cri_list_pod_sandbox_response sl = { 0 };
    struct cri_list_containers_response cl = { 0 };
    struct kerr *err = lists(rt, NULL, a, &sl, &cl);

    if (err)
        return err;
    ret->len = 0;
    ret->items = arena_alloc(a, (sl.items.len + cl.containers.len + 1) * sizeof *ret->items);
    for (uint32_t i = 0; i < sl.items.len; i++) {
        const struct cri_pod_sandbox *in = &sl.items.items[i];
        const char *uid = string_map_get(&in->labels, L_POD_UID);
        size_t n = 0, m = 0;
        struct rt_pod *p;

        if (!uid)
            continue; /* not one of ours */
        for (uint32_t k = 0; k < sl.items.len; k++)
            n += str_eq(string_map_get(&sl.items.items[k].labels, L_POD_UID), uid);
        for (uint32_t k = 0; k < cl.containers.len; k++)
            m += str_eq(string_map_get(&cl.containers.items[k].labels, L_POD_UID), uid);
        p = pod_of(ret, uid, n, m, a);
        p->name = string_map_get(&in->labels, L_POD_NAME);
        p->namespace = string_map_get(&in->labels, L_POD_NAMESPACE);
        add_sandbox(p, in);
    }
    for (uint32_t i = 0; i < cl.containers.len; i++) {
        const struct cri_container *in = &cl.containers.items[i];
        const char *uid = string_map_get(&in->labels, L_POD_UID);

        for (size_t k = 0; uid && k < ret->len; k++)
            if (!strcmp(ret->items[k].uid, uid))
                from_list(in, &ret->items[k].containers[ret->items[k].ncontainers++]);
    }
    for (size_t i = 0; i < ret->len; i++)
        sort_pod(&ret->items[i]);
    return NULL;
}

static uint64_t
u64(const struct cri_uint64_value *v)
{
    return v ? v->value : 0;
}

struct kerr *
runtime_stats(struct runtime *rt, struct arena *a, struct rt_stats_list *ret)
{
    struct cri_list_container_stats_request q = { 0 };
    struct cri_list_container_stats_response r = { 0 };
    struct kerr *err = cri_call(rt, METHOD(ListContainerStats, cri_list_container_stats_request, cri_list_container_stats_response), &q, a, &r, rt->timeout_ms);

    if (err)
        return err;
    ret->len = 0;
    ret->items = arena_alloc(a, (r.stats.len + 1) * sizeof *ret->items);
    for (uint32_t i = 0; i < r.stats.len; i++) {
        const struct cri_container_stats *in = &r.stats.items[i];
        struct rt_stats *s = &ret->items[ret->len];

        if (!in->attributes || !string_map_get(&in->attributes->labels, L_POD_UID) || !in->cpu || !in->cpu->timestamp)
            continue; /* not ours, or not running */
        ret->len++;
        s->id = in->attributes->id;
        s->pod_uid = string_map_get(&in->attributes->labels, L_POD_UID);
        s->pod_name = string_map_get(&in->attributes->labels, L_POD_NAME);
        s->pod_namespace = string_map_get(&in->attributes->labels, L_POD_NAMESPACE);
        s->container = string_map_get(&in->attributes->labels, L_CONTAINER_NAME);
        if (in->cpu) {
            s->at_ns = in->cpu->timestamp;
            s->cpu_ns = u64(in->cpu->usage_core_nano_seconds);
        }
        if (in->memory) {
            s->memory_working_set = u64(in->memory->working_set_bytes);
            s->memory_usage = u64(in->memory->usage_bytes);
            s->memory_rss = u64(in->memory->rss_bytes);
            s->page_faults = u64(in->memory->page_faults);
            s->major_page_faults = u64(in->memory->major_page_faults);
        }
        if (in->writable_layer) {
            s->fs_used = u64(in->writable_layer->used_bytes);
            s->fs_inodes = u64(in->writable_layer->inodes_used);
            s->fs_at_ns = in->writable_layer->timestamp;
        }
    }
    return NULL;
}
