// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/taint_eviction.h"

#include <pthread.h>
#include <uthash.h>

#include "common/api/codec.h"
#include "common/api/values.h"
#include "controller-manager/controllers.h"
#include "controller-manager/disruption.h"

void
plan_disruption_target(struct plan *plan, const struct object *obj, const char *reason, const char *message, bool fail, struct api_time now)
{
    const struct pod *pod = OBJECT_BODY(obj, pod);
    const struct pod_condition *had = pod_condition_find(&pod->status, "DisruptionTarget");
    bool set_phase = fail && !pod_terminal(pod);
    AUTO_SBUF patch = { 0 };

    if (had && str_eq(had->status, "True") && str_eq(had->reason, reason) && !set_phase)
        return;
    sbuf_addf(&patch, "{\"metadata\":{\"uid\":\"%s\"},\"status\":{", str_safe(pod->metadata.uid));
    if (set_phase)
        sbuf_adds(&patch, "\"phase\":\"Failed\",");
    sbuf_addf(&patch, "\"conditions\":[{\"type\":\"DisruptionTarget\",\"status\":\"True\",\"observedGeneration\":%lld,\"reason\":\"%s\",\"message\":",
              (long long)pod->metadata.generation, reason);
    json_add_string(&patch, message);
    sbuf_adds(&patch, ",\"lastTransitionTime\":\"");
    api_time_format((struct api_time){ now.sec, 0 }, &patch);
    sbuf_adds(&patch, "\"}]}}");
    plan_patch(plan, object_kind(obj), object_namespace(obj), object_name(obj), REST_PATCH_STRATEGIC, "status", sbuf_str(&patch), message)->flags =
        ACTION_IGNORE_NOT_FOUND;
}

/* --- decide --- */

static bool
tolerates(const struct toleration *t, const struct taint *taint)
{
    if (!str_empty(t->effect) && !str_eq(t->effect, taint->effect))
        return false;
    if (!str_empty(t->key) && !str_eq(t->key, taint->key))
        return false;
    if (str_eq(t->operator, "Exists"))
        return true;
    return (str_empty(t->operator) || str_eq(t->operator, "Equal")) && !str_empty(t->key) && str_eq(t->value, taint->value);
}

/* The shortest limit of the tolerations in use; -1 = none has one.  False: some taint is not tolerated. */
static bool
all_tolerated(const struct pod *pod, const struct node *node, int64_t *ret_seconds, bool *ret_tainted)
{
    int64_t least = -1;
    bool tainted = false;

    for (uint32_t i = 0; i < node->spec.taints.len; i++) {
        const struct taint *taint = &node->spec.taints.items[i];
        bool tolerated = false;
        if (!str_eq(taint->effect, "NoExecute"))
            continue;
        tainted = true;
        for (uint32_t k = 0; k < pod->spec.tolerations.len && !tolerated; k++) {
            const struct toleration *t = &pod->spec.tolerations.items[k];
            tolerated = tolerates(t, taint);
            if (tolerated && t->toleration_seconds) {
                int64_t s = *t->toleration_seconds < 0 ? 0 : *t->toleration_seconds;
                least = least < 0 || s < least ? s : least;
            }
        }
        if (!tolerated) {
            *ret_tainted = true;
            return false;
        }
    }
    *ret_tainted = tainted;
    *ret_seconds = least;
    return true;
}

enum taint_verdict
taint_judge(const struct taint_picture *p, struct api_time now, uint64_t *ret_wait_ms)
{
    const struct pod *pod = OBJECT_BODY(p->pod, pod);
    int64_t seconds = -1;
    bool tainted = false;

    *ret_wait_ms = 0;
    if (!p->node || meta_deleting(&pod->metadata))
        return TAINT_STAY;
    if (!all_tolerated(pod, OBJECT_BODY(p->node, node), &seconds, &tainted))
        return TAINT_LEAVE;
    if (!tainted || seconds < 0)
        return TAINT_STAY;
    struct api_time due = api_time_is_zero(p->since) ? now : p->since;
    due.sec += seconds;
    if (api_time_cmp(due, now) <= 0)
        return TAINT_LEAVE;
    *ret_wait_ms = (uint64_t)(due.sec - now.sec) * 1000 + 1;
    return TAINT_WAIT;
}

struct plan *
taint_eviction_decide(const struct taint_picture *p, const char *key, struct api_time now)
{
    struct plan *plan = plan_new(key);
    uint64_t wait_ms;

    switch (taint_judge(p, now, &wait_ms)) {
    case TAINT_STAY:
        if (!api_time_is_zero(p->since) && !meta_deleting(object_meta(p->pod)))
            plan_event(plan, p->pod, EVENT_NORMAL, "TaintManagerEviction", "Cancelling deletion of Pod %s", key);
        break;
    case TAINT_WAIT:
        plan_requeue(plan, wait_ms);
        break;
    case TAINT_LEAVE:
        plan_event(plan, p->pod, EVENT_NORMAL, "TaintManagerEviction", "Marking for deletion Pod %s", key);
        plan_disruption_target(plan, p->pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", false, now);
        plan_delete(plan, p->pod, "a NoExecute taint of its node is not tolerated (any longer)");
        break;
    }
    return plan;
}

/* --- observe and act --- */

struct waiting { /* a pod whose toleration runs out */
    char *uid;
    struct api_time since;
    UT_hash_handle hh;
};
struct state {
    struct informer *pods, *nodes;
    unsigned pods_by_node;
    pthread_mutex_t lock; /* guards waiting */
    struct waiting *waiting;
};

static struct api_time
waiting_since(struct state *s, const char *uid)
{
    struct waiting *w;
    struct api_time since = { 0 };

    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->waiting, uid, w);
    if (w)
        since = w->since;
    pthread_mutex_unlock(&s->lock);
    return since;
}

static void
remember(struct state *s, const char *uid, bool waits)
{
    struct waiting *w;

    pthread_mutex_lock(&s->lock);
    HASH_FIND_STR(s->waiting, uid, w);
    if (waits && !w) {
        w = XNEW(struct waiting);
        w->uid = xstrdup(uid);
        w->since = controller_now();
        HASH_ADD_KEYPTR(hh, s->waiting, w->uid, strlen(w->uid), w);
    } else if (!waits && w) {
        HASH_DEL(s->waiting, w);
        free(w->uid);
        free(w);
    }
    pthread_mutex_unlock(&s->lock);
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    struct state *s = c->state;
    AUTO(object) *pod = informer_get_key(s->pods, key);
    uint64_t wait_ms;

    if (!pod)
        return NULL;
    const char *uid = str_safe(object_meta(pod)->uid);
    AUTO(object) *node = informer_get(s->nodes, NULL, str_safe(OBJECT_BODY(pod, pod)->spec.node_name));
    struct taint_picture p = { pod, node, waiting_since(s, uid) };
    struct api_time now = controller_now();
    remember(s, uid, taint_judge(&p, now, &wait_ms) == TAINT_WAIT);
    return controller_act(c, NULL, taint_eviction_decide(&p, key, now));
}

static bool
is_tainted(const struct object *node)
{
    const struct taint_slice *t = node ? &OBJECT_BODY(node, node)->spec.taints : NULL;

    for (uint32_t i = 0; t && i < t->len; i++)
        if (str_eq(t->items[i].effect, "NoExecute"))
            return true;
    return false;
}

static void
node_changed(struct controller *c, const struct object *old, const struct object *now)
{
    struct state *s = c->state;
    AUTO_OBJECT_LIST pods = { 0 };

    if (!now || (!is_tainted(old) && !is_tainted(now)))
        return;
    if (old && OBJECT_BODY(old, node)->spec.taints.len == OBJECT_BODY(now, node)->spec.taints.len) {
        const struct taint_slice *a = &OBJECT_BODY(old, node)->spec.taints, *b = &OBJECT_BODY(now, node)->spec.taints;
        bool same = true;
        for (uint32_t i = 0; i < a->len && same; i++)
            same = api_equal(&api_type_taint, &a->items[i], &b->items[i]);
        if (same)
            return;
    }
    informer_by_index(s->pods, s->pods_by_node, object_name(now), &pods);
    for (size_t i = 0; i < pods.len; i++)
        controller_enqueue(c, pods.items[i]);
}

static void
pod_changed(struct controller *c, const struct object *old, const struct object *now)
{
    struct state *s = c->state;

    if (!now) {
        remember(s, str_safe(object_meta(old)->uid), false);
        return;
    }
    const struct pod *pod = OBJECT_BODY(now, pod), *was = old ? OBJECT_BODY(old, pod) : NULL;
    if (str_empty(pod->spec.node_name) || (was && str_eq(was->spec.node_name, pod->spec.node_name) &&
                                           was->spec.tolerations.len == pod->spec.tolerations.len))
        return;
    AUTO(object) *node = informer_get(s->nodes, NULL, pod->spec.node_name);
    if (is_tainted(node))
        controller_enqueue(c, now);
}

struct kerr *
taint_eviction_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    pthread_mutex_init(&s->lock, NULL);
    s->pods = controller_informer(c, "v1", "Pod");
    s->nodes = controller_informer(c, "v1", "Node");
    s->pods_by_node = controller_node_index(s->pods);
    controller_queue(c, 2, sync_key);
    controller_watch(c, "v1", "Node", node_changed);
    controller_watch(c, "v1", "Pod", pod_changed);
    return NULL;
}

void
taint_eviction_stop(struct controller *c)
{
    struct state *s = c->state;
    struct waiting *w, *next;

    if (!s)
        return;
    HASH_ITER (hh, s->waiting, w, next) {
        HASH_DEL(s->waiting, w);
        free(w->uid);
        free(w);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}
