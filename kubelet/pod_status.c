// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_status.h"

#include "common/api/values.h"
#include "kubelet/api_build.h"

struct work {
    const struct pod_view *v;
    const struct node_identity *node;
    struct arena *a;
    struct pod_status *st;
    struct pod_container *all;
    size_t nall;
    const struct rt_sandbox *cur;
    bool stopping;
};

static void container_statuses(struct work *w);
static const char *phase_of(struct work *w);
static void conditions(struct work *w);
static void addresses(struct work *w);

struct pod_status *
pod_status_make(const struct pod_view *v, const struct node_identity *node, struct arena *a)
{
    const struct pod *pod = v->pod;
    struct work w = { .v = v, .node = node, .a = a, .st = ARENA_NEW(a, struct pod_status) };

    w.nall = pod_containers(pod, a, &w.all);
    w.cur = pod_sandbox(pod, v->rt);
    w.stopping = pod_must_stop(v);
    w.st->observed_generation = pod->metadata.generation;
    w.st->qos_class = str_empty(pod->status.qos_class) ? pod_qos_name(pod_qos_class(pod)) : pod->status.qos_class;
    w.st->nominated_node_name = pod->status.nominated_node_name;
    w.st->resource_claim_statuses = pod->status.resource_claim_statuses;
    w.st->extended_resource_claim_status = pod->status.extended_resource_claim_status;
    w.st->start_time = pod->status.start_time ? pod->status.start_time
                                              : ARENA_PTR(a, struct api_time, api_time_from_unix(v->rec->first_seen_ms / 1000));
    container_statuses(&w);
    w.st->phase = phase_of(&w);
    if (!str_empty(v->rec->rejected_reason) && pod_phase_terminal(w.st->phase)) {
        w.st->reason = v->rec->rejected_reason;
        w.st->message = v->rec->rejected_message;
    } else if (pod_phase_terminal(pod->status.phase)) {
        w.st->reason = pod->status.reason;
        w.st->message = pod->status.message;
    }
    conditions(&w);
    addresses(&w);
    return w.st;
}

/* --- containers --- */

static struct api_time
from_ns(int64_t ns)
{
    return ns > 0 ? api_time_from_unix(ns / 1000000000) : (struct api_time){ 0 };
}

static const char *
full_id(struct work *w, const char *id)
{
    return arena_printf(w->a, "%s://%s", str_or(w->node->runtime_name, "containerd"), id);
}

static const struct container_status *
old_status(struct work *w, const struct pod_container *pc)
{
    const struct pod_status *old = &w->v->pod->status;
    const struct container_status_slice *l = pc->kind == CONTAINER_INIT   ? &old->init_container_statuses
                                             : pc->kind == CONTAINER_MAIN ? &old->container_statuses
                                                                          : &old->ephemeral_container_statuses;

    for (uint32_t i = 0; i < l->len; i++)
        if (str_eq(l->items[i].name, pc->c->name))
            return &l->items[i];
    return NULL;
}

static void
set_waiting(struct work *w, struct container_state *s, const char *reason, const char *message)
{
    *s = (struct container_state){ .waiting = ARENA_NEW(w->a, struct container_state_waiting) };
    s->waiting->reason = reason;
    s->waiting->message = message;
}

static void
set_terminated(struct work *w, const struct pod_container *pc, const struct rt_container *c, struct container_state *s)
{
    const struct container_record *r = pod_record_find(w->v->rec, pc->c->name);
    const struct container_status *old = old_status(w, pc);
    struct container_state_terminated *t = ARENA_NEW(w->a, struct container_state_terminated);

    t->exit_code = c->exit_code;
    t->reason = str_or(c->reason, c->exit_code ? "Error" : "Completed");
    t->started_at = from_ns(c->started_ns);
    t->finished_at = from_ns(c->finished_ns);
    t->container_id = full_id(w, c->id);
    t->message = str_empty(c->message) ? NULL : c->message;
    if (r && str_eq(r->ended_id, c->id) && !str_empty(r->ended_message))
        t->message = r->ended_message;
    else if (old && old->state.terminated && str_eq(old->state.terminated->container_id, t->container_id))
        t->message = old->state.terminated->message;
    else if (old && old->last_state.terminated && str_eq(old->last_state.terminated->container_id, t->container_id))
        t->message = old->last_state.terminated->message;
    *s = (struct container_state){ .terminated = t };
}

/* The container before the newest, or what the API remembers of it. */
static void
set_last_state(struct work *w, const struct pod_container *pc, const struct rt_container *newest, struct container_status *out)
{
    const struct rt_pod *rt = w->v->rt;
    const struct container_status *old = old_status(w, pc);

    for (size_t i = 0; i < rt->ncontainers; i++)
        if (&rt->containers[i] > newest && str_eq(rt->containers[i].name, pc->c->name) && rt->containers[i].state == RT_EXITED) {
            set_terminated(w, pc, &rt->containers[i], &out->last_state);
            return;
        }
    if (!old || !newest->attempt)
        return;
    if (str_eq(old->container_id, full_id(w, newest->id)))
        out->last_state = old->last_state;
    else if (old->state.terminated)
        out->last_state.terminated = old->state.terminated;
    else
        out->last_state = old->last_state;
}

static const char *
default_waiting(struct work *w, const struct pod_container *pc)
{
    if (!w->v->pod->spec.init_containers.len || pc->kind == CONTAINER_EPHEMERAL)
        return "ContainerCreating";
    if (pc->kind == CONTAINER_MAIN && w->cur && pod_initialized(w->v, w->cur->id))
        return "ContainerCreating";
    return "PodInitializing";
}

static bool
old_is_copied(struct work *w, const struct container_status *old, const struct pod_container *pc)
{
    if (!old || str_empty(old->container_id))
        return false;
    /* The runtime has lost it: it stays what it was, if it had ended. */
    if (old->state.terminated && (w->stopping || !pod_should_restart(w->v->pod, pc, old->state.terminated->exit_code)))
        return true;
    return false;
}

/* Said to run, but gone without a trace (the runtime's state was wiped). */
static void
set_lost(struct work *w, const struct container_status *old, struct container_status *out)
{
    struct container_state_terminated *t = ARENA_NEW(w->a, struct container_state_terminated);

    t->exit_code = 137;
    t->reason = "ContainerStatusUnknown";
    t->message = "The container could not be located when the pod was deleted.  The container used to be Running";
    t->container_id = old->container_id;
    out->restart_count = old->restart_count;
    if (w->stopping) {
        out->state.waiting = NULL;
        out->state.terminated = t;
        out->container_id = old->container_id;
    } else {
        out->last_state.terminated = t;
    }
    out->image_id = old->image_id;
}

static void
mount_statuses(struct work *w, const struct container *c, struct container_status *out)
{
    for (uint32_t i = 0; i < c->volume_mounts.len; i++) {
        const struct volume_mount *m = &c->volume_mounts.items[i];
        struct volume_mount_status *s = SLICE_ADD(w->a, &out->volume_mounts);

        s->name = m->name;
        s->mount_path = m->mount_path;
        s->read_only = m->read_only;
        if (m->read_only)
            s->recursive_read_only = arena_strdup(w->a, "Disabled");
    }
}

static void
running_status(struct work *w, const struct pod_container *pc, const struct rt_container *c, struct container_status *out)
{
    const struct container_record *r = pod_record_find(w->v->rec, pc->c->name);
    bool mine = r && str_eq(r->probed_id, c->id);

    out->state.running = ARENA_NEW(w->a, struct container_state_running);
    out->state.running->started_at = from_ns(c->started_ns);
    *out->started = mine && r->started && !(r->hook_id && str_eq(r->hook_id, c->id));
    out->ready = mine && r->ready && *out->started && (pc->kind == CONTAINER_MAIN || pc->sidecar);
    if (pc->kind == CONTAINER_EPHEMERAL)
        return;
    if (pc->c->resources.limits.len || pc->c->resources.requests.len)
        out->resources = (struct resource_requirements *)&pc->c->resources;
    else
        out->resources = ARENA_NEW(w->a, struct resource_requirements);
    out->allocated_resources = pc->c->resources.requests;
}

static void
one_status(struct work *w, const struct pod_container *pc, struct container_status *out)
{
    const struct rt_container *c = pod_newest(w->v->rt, pc->c->name, NULL);
    const struct container_record *r = pod_record_find(w->v->rec, pc->c->name);
    const struct container_status *old = old_status(w, pc);
    bool known = false;

    out->name = pc->c->name;
    out->image = pc->c->image;
    out->image_id = arena_strdup(w->a, "");
    out->started = ARENA_PTR(w->a, bool, false);
    mount_statuses(w, pc->c, out);
    if (!c && old_is_copied(w, old, pc)) {
        *out = *old;
        return;
    }
    if (!c || c->state == RT_CREATED) {
        set_waiting(w, &out->state, default_waiting(w, pc), NULL);
        if (c)
            out->container_id = full_id(w, c->id);
        else if (old && !str_empty(old->container_id))
            set_lost(w, old, out);
        if (out->state.waiting && r && !str_empty(r->wait_reason) && !w->stopping)
            set_waiting(w, &out->state, r->wait_reason, r->wait_message);
        return;
    }
    out->restart_count = (int32_t)pod_restart_count(w->v->pod, w->v->rt, pc->c->name, &known);
    if (!str_empty(c->image))
        out->image = c->image;
    out->image_id = str_safe(c->image_id);
    out->container_id = full_id(w, c->id);
    if (c->state == RT_RUNNING || c->state == RT_UNKNOWN) {
        running_status(w, pc, c, out);
        set_last_state(w, pc, c, out);
        return;
    }
    set_terminated(w, pc, c, &out->state);
    set_last_state(w, pc, c, out);
    if (pc->kind == CONTAINER_INIT && !pc->sidecar && c->exit_code == 0)
        out->ready = true;
    if (!w->stopping && r && !str_empty(r->wait_reason) && pod_should_restart(w->v->pod, pc, c->exit_code)) {
        out->last_state = out->state;
        set_waiting(w, &out->state, r->wait_reason, r->wait_message);
    }
}

static void
container_statuses(struct work *w)
{
    for (size_t i = 0; i < w->nall; i++)
        one_status(w, &w->all[i],
                   w->all[i].kind == CONTAINER_INIT   ? SLICE_ADD(w->a, &w->st->init_container_statuses)
                   : w->all[i].kind == CONTAINER_MAIN ? SLICE_ADD(w->a, &w->st->container_statuses)
                                                      : SLICE_ADD(w->a, &w->st->ephemeral_container_statuses));
}

/* --- phase --- */

static size_t
pending_inits(struct work *w, bool *ret_failed)
{
    size_t pending = 0;

    for (size_t i = 0; i < w->nall && w->all[i].kind == CONTAINER_INIT; i++) {
        const struct container_status *s = &w->st->init_container_statuses.items[i];
        const struct container_state_terminated *t = s->state.terminated;

        if (w->all[i].sidecar) {
            pending += !(s->state.running && s->started && *s->started) && !t && !s->last_state.terminated;
        } else if (t) {
            if (t->exit_code != 0) {
                if (pod_should_restart(w->v->pod, &w->all[i], t->exit_code))
                    pending++;
                else
                    *ret_failed = true;
            }
        } else {
            pending++;
        }
    }
    return pending;
}

static bool
anything_runs(const struct rt_pod *rt)
{
    for (size_t i = 0; i < rt->ncontainers; i++)
        if (rt->containers[i].state == RT_RUNNING)
            return true;
    return false;
}

static const char *computed_phase(struct work *w);

/* Never Succeeded or Failed while something still runs: others take the pod's resources as free then. */
static const char *
phase_of(struct work *w)
{
    const char *phase = computed_phase(w);

    if (pod_phase_terminal(phase) && !pod_phase_terminal(w->v->pod->status.phase) && anything_runs(w->v->rt))
        return str_or(w->v->pod->status.phase, "Running");
    return phase;
}

static const char *
computed_phase(struct work *w)
{
    const struct pod_status *st = w->st;
    size_t running = 0, waiting = 0, stopped = 0, succeeded = 0, pending;
    bool init_failed = false;
    const char *policy = str_or(w->v->pod->spec.restart_policy, "Always");

    if (pod_phase_terminal(w->v->pod->status.phase))
        return w->v->pod->status.phase;
    if (!str_empty(w->v->rec->rejected_reason))
        return "Failed";
    pending = pending_inits(w, &init_failed);
    for (uint32_t i = 0; i < st->container_statuses.len; i++) {
        const struct container_state *s = &st->container_statuses.items[i].state;

        if (s->running) {
            running++;
        } else if (s->terminated) {
            stopped++;
            succeeded += s->terminated->exit_code == 0;
        } else if (st->container_statuses.items[i].last_state.terminated) {
            stopped++;
        } else {
            waiting++;
        }
    }
    if (init_failed)
        return "Failed";
    if (pod_all_ended(w->v))
        return stopped == succeeded ? "Succeeded" : "Failed";
    if (w->stopping && !running && stopped && !waiting)
        return stopped == succeeded ? "Succeeded" : "Failed";
    if (pending && !running && !stopped)
        return "Pending";
    if (waiting)
        return running && !str_empty(w->v->pod->status.phase) ? w->v->pod->status.phase : "Pending";
    if (running)
        return "Running";
    if (!stopped)
        return "Pending";
    if (str_eq(policy, "Never"))
        return stopped == succeeded ? "Succeeded" : "Failed";
    return "Running";
}

/* --- conditions --- */

static const struct pod_condition *
find_condition(const struct pod_condition_slice *l, const char *type)
{
    for (uint32_t i = 0; i < l->len; i++)
        if (str_eq(l->items[i].type, type))
            return &l->items[i];
    return NULL;
}

static void
set_condition(struct work *w, const char *type, bool status, const char *reason, const char *message)
{
    const struct pod_condition *old = find_condition(&w->v->pod->status.conditions, type);
    struct pod_condition *c = SLICE_ADD(w->a, &w->st->conditions);

    c->type = type;
    c->status = status ? "True" : "False";
    c->reason = reason;
    c->message = message;
    c->observed_generation = w->v->pod->metadata.generation;
    c->last_transition_time = old && str_eq(old->status, c->status) ? old->last_transition_time
                                                                    : api_time_from_unix(w->v->now_ms / 1000);
}

static bool
by_kubelet(const char *type)
{
    static const char *const ours[] = { "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled" };

    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (str_eq(type, ours[i]))
            return true;
    return false;
}

/* "[a b]" of the names for which fn is false; NULL when there is none. */
static const char *
names_without(struct work *w, bool (*fn)(struct work *w, size_t i), const char *intro)
{
    AUTO_SBUF b = { 0 };

    for (size_t i = 0; i < w->nall; i++)
        if (w->all[i].kind != CONTAINER_EPHEMERAL && !fn(w, i))
            sbuf_addf(&b, "%s%s", b.len ? " " : "", w->all[i].c->name);
    return b.len ? arena_printf(w->a, "%s: [%s]", intro, sbuf_str(&b)) : NULL;
}

static bool
init_done(struct work *w, size_t i)
{
    const struct container_status *s;

    if (w->all[i].kind != CONTAINER_INIT)
        return true;
    s = &w->st->init_container_statuses.items[i];
    return w->all[i].sidecar ? (s->started && *s->started) || (w->cur && pod_initialized(w->v, w->cur->id)) : s->ready;
}

static bool
container_ready(struct work *w, size_t i)
{
    if (w->all[i].kind == CONTAINER_INIT)
        return !w->all[i].sidecar || w->st->init_container_statuses.items[i].ready;
    return w->st->container_statuses.items[i - w->v->pod->spec.init_containers.len].ready;
}

static const char *
gates_message(struct work *w)
{
    const struct pod_readiness_gate_slice *gates = &w->v->pod->spec.readiness_gates;
    AUTO_SBUF b = { 0 };

    for (uint32_t i = 0; i < gates->len; i++) {
        const char *type = gates->items[i].condition_type;
        const struct pod_condition *c = find_condition(&w->v->pod->status.conditions, type);

        if (c && str_eq(c->status, "True"))
            continue;
        if (b.len)
            sbuf_adds(&b, ", ");
        if (c)
            sbuf_addf(&b, "the status of pod readiness gate \"%s\" is not \"True\", but %s", type, str_safe(c->status));
        else
            sbuf_addf(&b, "corresponding condition of pod readiness gate \"%s\" does not exist.", type);
    }
    return b.len ? arena_strdup(w->a, sbuf_str(&b)) : NULL;
}

static void
conditions(struct work *w)
{
    const struct pod_condition_slice *old = &w->v->pod->status.conditions;
    const char *not_ready = names_without(w, container_ready, "containers with unready status");
    const char *not_done = names_without(w, init_done, "containers with incomplete status");
    const char *gates = gates_message(w);
    bool succeeded = str_eq(w->st->phase, "Succeeded"), failed = str_eq(w->st->phase, "Failed");
    const char *terminal = succeeded ? "PodCompleted" : failed ? "PodFailed" : NULL;

    for (uint32_t i = 0; i < old->len; i++)
        if (!by_kubelet(old->items[i].type))
            *SLICE_ADD(w->a, &w->st->conditions) = old->items[i];
    set_condition(w, "PodReadyToStartContainers", w->cur != NULL, NULL, NULL);
    if (succeeded)
        set_condition(w, "Initialized", true, "PodCompleted", NULL);
    else
        set_condition(w, "Initialized", !not_done, not_done ? "ContainersNotInitialized" : NULL, not_done);
    if (terminal) {
        set_condition(w, "Ready", false, terminal, NULL);
        set_condition(w, "ContainersReady", false, terminal, NULL);
    } else {
        if (not_ready)
            set_condition(w, "Ready", false, "ContainersNotReady", not_ready);
        else
            set_condition(w, "Ready", !gates, gates ? "ReadinessGatesNotReady" : NULL, gates);
        set_condition(w, "ContainersReady", !not_ready, not_ready ? "ContainersNotReady" : NULL, not_ready);
    }
    set_condition(w, "PodScheduled", true, NULL, NULL);
}

/* --- addresses --- */

static void
addresses(struct work *w)
{
    const struct rt_sandbox *s = w->v->rt->nsandboxes ? &w->v->rt->sandboxes[0] : NULL;
    const struct pod_status *old = &w->v->pod->status;

    for (size_t i = 0; i < w->node->nhost_ips; i++)
        SLICE_ADD(w->a, &w->st->host_ips)->ip = w->node->host_ips[i];
    if (w->node->nhost_ips)
        w->st->host_ip = w->node->host_ips[0];
    if (w->v->pod->spec.host_network) {
        for (size_t i = 0; s && i < w->node->nhost_ips; i++)
            SLICE_ADD(w->a, &w->st->pod_ips)->ip = w->node->host_ips[i];
    } else {
        for (size_t i = 0; s && s->ready && i < s->nips; i++)
            SLICE_ADD(w->a, &w->st->pod_ips)->ip = s->ips[i];
    }
    if (!w->st->pod_ips.len && w->stopping) /* an ended pod keeps showing the address it had */
        w->st->pod_ips = old->pod_ips;
    if (w->st->pod_ips.len)
        w->st->pod_ip = w->st->pod_ips.items[0].ip;
}
