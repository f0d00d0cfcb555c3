// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_decide.h"

#include "common/api/values.h"
#include "kubelet/api_build.h"

#define ERR_IMAGE_PULL_SHOWN_MS 3000

struct work { /* one call of pod_decide() */
    const struct pod_view *v;
    struct arena *a;
    struct pod_plan *plan;
    struct pod_container *all;
    size_t nall;
    const struct rt_sandbox *cur;
};

static void decide_stop(struct work *w);
static void decide_sandbox(struct work *w);
static bool decide_inits(struct work *w);
static void decide_container(struct work *w, const struct pod_container *pc);
static void decide_garbage(struct work *w);
static bool past_deadline(struct work *w);

/* --- the picture --- */

const struct rt_container *
pod_newest(const struct rt_pod *rt, const char *name, const char *sandbox)
{
    for (size_t i = 0; i < rt->ncontainers; i++)
        if (str_eq(rt->containers[i].name, name) && (!sandbox || str_eq(rt->containers[i].sandbox_id, sandbox)))
            return &rt->containers[i];
    return NULL;
}

const struct rt_sandbox *
pod_sandbox(const struct pod *pod, const struct rt_pod *rt)
{
    const struct rt_sandbox *s = rt->nsandboxes ? &rt->sandboxes[0] : NULL;

    if (!s || !s->ready || s->host_network != pod->spec.host_network || (!s->host_network && !s->nips))
        return NULL;
    return s;
}

static const struct container_status *
api_status_of(const struct pod *pod, const char *name)
{
    const struct container_status_slice *lists[] = { &pod->status.container_statuses, &pod->status.init_container_statuses,
                                                     &pod->status.ephemeral_container_statuses };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (uint32_t i = 0; i < lists[l]->len; i++)
            if (str_eq(lists[l]->items[i].name, name))
                return &lists[l]->items[i];
    return NULL;
}

uint32_t
pod_restart_count(const struct pod *pod, const struct rt_pod *rt, const char *name, bool *ret_known)
{
    const struct container_status *st = api_status_of(pod, name);
    uint32_t n = 0;
    bool known = false;

    for (size_t i = 0; i < rt->ncontainers; i++)
        if (str_eq(rt->containers[i].name, name)) {
            known = true;
            if (rt->containers[i].attempt > n)
                n = rt->containers[i].attempt;
        }
    if (st && !str_empty(st->container_id)) {
        known = true;
        if (st->restart_count > 0 && (uint32_t)st->restart_count > n)
            n = (uint32_t)st->restart_count;
    }
    *ret_known = known;
    return n;
}

/* Ended for good?  A container that the runtime lost counts by its last reported state. */
static bool
ended(const struct pod_view *v, const struct pod_container *pc, int32_t *ret_code)
{
    const struct rt_container *c = pod_newest(v->rt, pc->c->name, NULL);
    const struct container_status *st = c ? NULL : api_status_of(v->pod, pc->c->name);

    if (c ? c->state != RT_EXITED : !(st && st->state.terminated))
        return false;
    *ret_code = c ? c->exit_code : st->state.terminated->exit_code;
    return !pod_should_restart(v->pod, pc, *ret_code);
}

bool
pod_all_ended(const struct pod_view *v)
{
    AUTO(arena) *a = arena_new(0);
    struct pod_container *all;
    size_t n = pod_containers(v->pod, a, &all);
    size_t mains = 0, mains_ended = 0;

    for (size_t i = 0; i < n; i++) {
        int32_t code = 0;
        bool e = ended(v, &all[i], &code);

        if (all[i].kind == CONTAINER_INIT && !all[i].sidecar && e && code != 0)
            return true; /* the pod can never start */
        if (all[i].kind == CONTAINER_MAIN) {
            mains++;
            mains_ended += e;
        }
    }
    return mains > 0 && mains == mains_ended;
}

bool
pod_must_stop(const struct pod_view *v)
{
    return v->rec->gone || v->rec->terminal || !str_empty(v->rec->rejected_reason) || v->pod->metadata.deletion_timestamp ||
           pod_phase_terminal(v->pod->status.phase) || pod_all_ended(v);
}

bool
pod_initialized(const struct pod_view *v, const char *sandbox)
{
    const struct pod_spec *s = &v->pod->spec;

    for (uint32_t i = 0; i < s->containers.len; i++)
        if (pod_newest(v->rt, s->containers.items[i].name, sandbox))
            return true;
    for (uint32_t i = 0; i < s->init_containers.len; i++) {
        const struct container *c = &s->init_containers.items[i];
        const struct rt_container *rc = pod_newest(v->rt, c->name, sandbox);
        const struct container_record *r = pod_record_find(v->rec, c->name);

        if (!rc)
            return false;
        if (str_eq(c->restart_policy, "Always") ? !(rc->state == RT_RUNNING && r && r->started && str_eq(r->probed_id, rc->id))
                                                : !(rc->state == RT_EXITED && rc->exit_code == 0))
            return false;
    }
    return true;
}

/* --- the plan --- */

static struct pod_action *
add(struct work *w, enum pod_act act, const char *container)
{
    struct pod_action *x = SLICE_ADD(w->a, w->plan);

    x->act = act;
    x->container = container;
    return x;
}

static void
wake_at(struct work *w, int64_t ms)
{
    if (!w->plan->wake_ms || ms < w->plan->wake_ms)
        w->plan->wake_ms = ms;
}

void
pod_decide(const struct pod_view *v, struct arena *a, struct pod_plan *ret)
{
    struct work w = { .v = v, .a = a, .plan = ret };

    *ret = (struct pod_plan){ 0 };
    w.nall = pod_containers(v->pod, a, &w.all);
    w.cur = pod_sandbox(v->pod, v->rt);
    if (pod_must_stop(v)) {
        ret->stopping = true;
        decide_stop(&w);
        return;
    }
    if (past_deadline(&w))
        return;
    if (!w.cur || !v->rec->prepared) {
        decide_sandbox(&w);
        return;
    }
    for (size_t i = 0; i < w.nall; i++)
        if (w.all[i].kind == CONTAINER_EPHEMERAL)
            decide_container(&w, &w.all[i]);
    if (decide_inits(&w))
        for (size_t i = 0; i < w.nall; i++)
            if (w.all[i].kind == CONTAINER_MAIN)
                decide_container(&w, &w.all[i]);
    decide_garbage(&w);
}

static bool
past_deadline(struct work *w)
{
    const struct pod *pod = w->v->pod;
    int64_t start_ms, end_ms;
    struct pod_action *x;

    if (!pod->spec.active_deadline_seconds)
        return false;
    start_ms = pod->status.start_time ? api_time_unix(*pod->status.start_time) * 1000 : w->v->rec->first_seen_ms;
    end_ms = start_ms + *pod->spec.active_deadline_seconds * 1000;
    if (w->v->now_ms < end_ms) {
        wake_at(w, end_ms);
        return false;
    }
    x = add(w, POD_FAIL, NULL);
    x->reason = "DeadlineExceeded";
    x->message = "Pod was active on the node longer than the specified deadline";
    return true;
}

static bool
is_live(const struct rt_container *c)
{
    return c->state == RT_RUNNING || c->state == RT_UNKNOWN;
}

/* Adds the kill unless one at least as urgent is under way. */
static void
kill_container(struct work *w, const struct rt_container *c, int64_t grace_s, const char *message)
{
    const struct container_record *r = pod_record_find(w->v->rec, c->name);
    struct pod_action *x;

    if (r && str_eq(r->kill_id, c->id) && !str_empty(c->id) && r->kill_grace_s <= grace_s)
        return;
    x = add(w, POD_KILL, c->name);
    x->id = c->id;
    x->grace_s = grace_s;
    x->message = message;
}

static const struct pod_container *
spec_of(struct work *w, const char *name)
{
    for (size_t i = 0; i < w->nall; i++)
        if (str_eq(w->all[i].c->name, name))
            return &w->all[i];
    return NULL;
}

/* Kills what runs: sidecars last and in reverse, unless there is no time at all.  True when nothing runs. */
static bool
stop_containers(struct work *w, int64_t grace_s)
{
    const struct rt_pod *rt = w->v->rt;
    size_t others = 0, last_sidecar = 0, running = 0;

    for (size_t i = 0; i < rt->ncontainers; i++) {
        const struct pod_container *pc = spec_of(w, rt->containers[i].name);

        if (!is_live(&rt->containers[i]))
            continue;
        running++;
        if (!pc || !pc->sidecar)
            others++;
        else if ((size_t)(pc - w->all) + 1 > last_sidecar)
            last_sidecar = (size_t)(pc - w->all) + 1;
    }
    for (size_t i = 0; i < rt->ncontainers; i++) {
        const struct rt_container *c = &rt->containers[i];
        const struct pod_container *pc = spec_of(w, c->name);

        if (!is_live(c))
            continue;
        if (pc && pc->sidecar && grace_s > 0 && (others || (size_t)(pc - w->all) + 1 != last_sidecar))
            continue;
        kill_container(w, c, grace_s, arena_printf(w->a, "Stopping container %s", c->name));
    }
    return running == 0;
}

static void
decide_stop(struct work *w)
{
    const struct rt_pod *rt = w->v->rt;
    const struct pod_record *rec = w->v->rec;
    bool deleted = rec->gone || w->v->pod->metadata.deletion_timestamp;
    bool all_down = true;

    if (!stop_containers(w, rec->gone ? rec->gone_grace_s : pod_grace_s(w->v->pod)))
        return;
    for (size_t i = 0; i < rt->nsandboxes; i++)
        if (rt->sandboxes[i].ready) {
            add(w, POD_STOP_SANDBOX, NULL)->id = rt->sandboxes[i].id;
            all_down = false;
        }
    if (!all_down)
        return;
    if (!rec->torn_down) {
        add(w, POD_TEAR_DOWN, NULL);
        return;
    }
    if (!deleted)
        return; /* ended pods stay, so that their logs can be read */
    for (size_t i = 0; i < rt->nsandboxes; i++)
        add(w, POD_REMOVE_SANDBOX, NULL)->id = rt->sandboxes[i].id;
    for (size_t i = 0; i < rt->ncontainers && !rt->nsandboxes; i++)
        add(w, POD_REMOVE_CONTAINER, rt->containers[i].name)->id = rt->containers[i].id;
    if (!rt->nsandboxes && !rt->ncontainers)
        add(w, POD_FINISH, NULL);
}

/* No usable sandbox (or volumes not yet looked after): clear away, prepare, make one. */
static void
decide_sandbox(struct work *w)
{
    const struct rt_pod *rt = w->v->rt;
    const struct pod_record *rec = w->v->rec;
    bool clear = true;

    if (!w->cur) {
        for (size_t i = 0; i < rt->ncontainers; i++)
            if (is_live(&rt->containers[i])) {
                kill_container(w, &rt->containers[i], pod_grace_s(w->v->pod), "Pod sandbox changed, it will be killed and re-created.");
                clear = false;
            }
        for (size_t i = 0; clear && i < rt->nsandboxes; i++)
            if (rt->sandboxes[i].ready) {
                add(w, POD_STOP_SANDBOX, NULL)->id = rt->sandboxes[i].id;
                clear = false;
            }
        if (!clear)
            return;
    }
    if (!rec->prepared) {
        if (w->v->now_ms < rec->prepare_retry_ms)
            wake_at(w, rec->prepare_retry_ms);
        else
            add(w, POD_PREPARE, NULL);
        return;
    }
    if (w->v->now_ms < rec->sandbox_retry_ms) {
        wake_at(w, rec->sandbox_retry_ms);
        return;
    }
    add(w, POD_CREATE_SANDBOX, NULL)->attempt = rt->nsandboxes ? rt->sandboxes[0].attempt + 1 : 0;
}

static bool
record_has_hook(const struct container_record *r, const struct rt_container *c)
{
    return r && c && !str_empty(r->hook_id) && str_eq(r->hook_id, c->id);
}

/* True: the main containers may run. */
static bool
decide_inits(struct work *w)
{
    bool initialized = pod_initialized(w->v, w->cur->id);

    for (size_t i = 0; i < w->nall; i++) {
        const struct pod_container *pc = &w->all[i];
        const struct rt_container *c = pod_newest(w->v->rt, pc->c->name, w->cur->id);
        const struct container_record *r = pod_record_find(w->v->rec, pc->c->name);

        if (pc->kind != CONTAINER_INIT)
            break;
        if (!pc->sidecar && initialized)
            continue;
        if (!pc->sidecar && c && c->state == RT_EXITED && c->exit_code == 0)
            continue;
        decide_container(w, pc);
        if (initialized)
            continue;
        if (pc->sidecar && c && c->state == RT_RUNNING && r && r->started && str_eq(r->probed_id, c->id) && !record_has_hook(r, c))
            continue;
        return false;
    }
    return true;
}

/* ErrImagePull is shown for a moment, then ImagePullBackOff until the next try. */
static void
pull_back_off(struct work *w, const struct pod_container *pc, const struct container_record *r)
{
    struct pod_action *x;

    if (!str_eq(r->wait_reason, "ErrImagePull"))
        return;
    if (w->v->now_ms < r->image_failed_ms + ERR_IMAGE_PULL_SHOWN_MS) {
        wake_at(w, r->image_failed_ms + ERR_IMAGE_PULL_SHOWN_MS);
        return;
    }
    x = add(w, POD_BACK_OFF, pc->c->name);
    x->reason = "ImagePullBackOff";
    x->message = arena_printf(w->a, "Back-off pulling image \"%s\": ErrImagePull: %s", pc->c->image, str_safe(r->wait_message));
}

static void
start(struct work *w, const struct pod_container *pc)
{
    const struct container_record *r = pod_record_find(w->v->rec, pc->c->name);
    bool known = false;
    uint32_t count = pod_restart_count(w->v->pod, w->v->rt, pc->c->name, &known);

    if (r && r->image == IMAGE_PULLING)
        return;
    if (r && r->image == IMAGE_FAILED && w->v->now_ms < r->image_retry_ms) {
        wake_at(w, r->image_retry_ms);
        pull_back_off(w, pc, r);
        return;
    }
    if (r && w->v->now_ms < r->start_retry_ms) {
        wake_at(w, r->start_retry_ms);
        return;
    }
    add(w, POD_START, pc->c->name)->attempt = known ? count + 1 : 0;
}

static void
restart(struct work *w, const struct pod_container *pc, const struct rt_container *c)
{
    const struct container_record *r = pod_record_find(w->v->rec, pc->c->name);
    int64_t finished_ms = c->finished_ns / 1000000;
    AUTO_SBUF wait = { 0 };
    struct pod_action *x;

    if (!r || !r->backoff_ms || w->v->now_ms - finished_ms >= r->backoff_ms) {
        start(w, pc);
        return;
    }
    wake_at(w, finished_ms + r->backoff_ms);
    if (str_eq(r->wait_reason, "CrashLoopBackOff"))
        return;
    x = add(w, POD_BACK_OFF, pc->c->name);
    x->reason = "CrashLoopBackOff";
    api_duration_format((struct api_duration){ r->backoff_ms * 1000000 }, &wait);
    x->message = arena_printf(w->a, "back-off %s restarting failed container=%s pod=%s", sbuf_str(&wait), pc->c->name,
                              pod_full_name(w->v->pod, w->a));
}

static void
decide_container(struct work *w, const struct pod_container *pc)
{
    const char *sandbox = pc->kind == CONTAINER_EPHEMERAL ? NULL : w->cur->id;
    const struct rt_container *c = pod_newest(w->v->rt, pc->c->name, sandbox);
    const struct container_record *r = pod_record_find(w->v->rec, pc->c->name);
    int32_t code;

    if (!c) {
        if (!ended(w->v, pc, &code) || pc->kind == CONTAINER_INIT) /* init containers run again in a new sandbox */
            start(w, pc);
        return;
    }
    switch (c->state) {
    case RT_CREATED: /* made by a kubelet that died before it could start it */
        add(w, POD_REMOVE_CONTAINER, c->name)->id = c->id;
        break;
    case RT_RUNNING:
        if (pc->kind == CONTAINER_EPHEMERAL)
            break;
        if (c->hash && c->hash != pod_container_hash(pc->c))
            kill_container(w, c, pod_grace_s(w->v->pod), arena_printf(w->a, "Container %s definition changed, will be restarted", c->name));
        else if (r && !str_empty(r->doomed_id) && str_eq(r->doomed_id, c->id))
            kill_container(w, c, r->doomed_grace_s >= 0 ? r->doomed_grace_s : pod_grace_s(w->v->pod),
                           arena_strdup(w->a, str_safe(r->doomed_message)));
        break;
    case RT_UNKNOWN:
        kill_container(w, c, pod_grace_s(w->v->pod), arena_printf(w->a, "Container %s is in an unknown state, try killing it before restart", c->name));
        break;
    case RT_EXITED:
        if (pod_should_restart(w->v->pod, pc, c->exit_code))
            restart(w, pc, c);
        break;
    }
}

/* Of each container the two newest stay (state and last state); old sandboxes go when they are empty. */
static void
decide_garbage(struct work *w)
{
    const struct rt_pod *rt = w->v->rt;

    for (size_t i = 0; i < rt->ncontainers; i++) {
        size_t newer = 0;

        for (size_t k = 0; k < i; k++)
            newer += str_eq(rt->containers[k].name, rt->containers[i].name);
        if (newer >= 2 && rt->containers[i].state == RT_EXITED)
            add(w, POD_REMOVE_CONTAINER, rt->containers[i].name)->id = rt->containers[i].id;
    }
    for (size_t i = 1; i < rt->nsandboxes; i++) {
        size_t inside = 0;

        for (size_t k = 0; k < rt->ncontainers; k++)
            inside += str_eq(rt->containers[k].sandbox_id, rt->sandboxes[i].id);
        if (!inside)
            add(w, POD_REMOVE_SANDBOX, NULL)->id = rt->sandboxes[i].id;
    }
}

void
pod_plan_print(const struct pod_plan *plan, struct sbuf *out)
{
    static const char *const names[] = {
        [POD_PREPARE] = "prepare",
        [POD_CREATE_SANDBOX] = "create-sandbox",
        [POD_START] = "start",
        [POD_KILL] = "kill",
        [POD_STOP_SANDBOX] = "stop-sandbox",
        [POD_REMOVE_CONTAINER] = "remove-container",
        [POD_REMOVE_SANDBOX] = "remove-sandbox",
        [POD_TEAR_DOWN] = "tear-down",
        [POD_BACK_OFF] = "back-off",
        [POD_FAIL] = "fail",
        [POD_FINISH] = "finish",
    };

    for (uint32_t i = 0; i < plan->len; i++) {
        const struct pod_action *x = &plan->items[i];

        sbuf_adds(out, names[x->act]);
        if (x->container)
            sbuf_addf(out, " %s", x->container);
        if (x->id)
            sbuf_addf(out, " id=%s", x->id);
        if (x->act == POD_START || x->act == POD_CREATE_SANDBOX)
            sbuf_addf(out, " attempt=%u", x->attempt);
        if (x->act == POD_KILL)
            sbuf_addf(out, " grace=%lld", (long long)x->grace_s);
        if (x->reason)
            sbuf_addf(out, " %s", x->reason);
        if (x->message)
            sbuf_addf(out, ": %s", x->message);
        sbuf_addc(out, '\n');
    }
    if (plan->wake_ms)
        sbuf_addf(out, "wake at %lld\n", (long long)plan->wake_ms);
    if (plan->stopping)
        sbuf_adds(out, "stopping\n");
}
