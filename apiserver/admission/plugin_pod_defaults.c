// SPDX-License-Identifier: Apache-2.0
/* Three small ones: Priority (class name to number), DefaultTolerationSeconds (five minutes on a node that is lost), and
 * TaintNodesByCondition (a new node takes no pods until it is ready). */
#include <string.h>

#include "apiserver/admission/plugins.h"
#include "apiserver/rest/internal.h"
#include "apiserver/rest/read.h"
#include "common/api/codec.h"
#include "common/api/meta.h"

/* --- Priority --- */

/* The class that applies without a name: globalDefault, the smallest value if there are several. */
static struct object *
default_class(void)
{
    const struct resource *classes = resource_named("scheduling.k8s.io/v1", "PriorityClass");
    const struct record_filter every = { 0 };
    struct record **list = NULL;
    struct object *best = NULL;
    size_t n = 0;
    AUTO(kerr) *err = rest_read_records(classes, &every, &list, &n);

    for (size_t i = 0; i < n; i++) {
        struct object *obj = NULL;
        AUTO(kerr) *bad = strstr(list[i]->json, "\"globalDefault\":true")
                              ? object_decode_json(list[i]->json, list[i]->json_len, classes->stored_kind, NULL, &obj)
                              : NULL;
        const struct priority_class *pc = obj ? OBJECT_BODY(obj, priority_class) : NULL;
        if (pc && pc->global_default && (!best || pc->value < OBJECT_BODY(best, priority_class)->value)) {
            object_unref(best);
            best = object_ref(obj);
        }
        object_unref(obj);
        record_unref(list[i]);
    }
    free(list);
    return best;
}

static struct kerr *
priority_mutate(const struct write_context *c, enum admission_operation op, struct object *obj, const struct object *old)
{
    struct pod *pod = OBJECT_BODY(obj, pod);
    struct arena *a = object_arena(obj);
    AUTO(object) *class = NULL;
    int32_t value = 0;

    if (!pod || op != ADMISSION_CREATE || *c->subresource)
        return NULL;
    const char *name = pod->spec.priority_class_name;
    if (str_empty(name))
        class = default_class();
    else if (!(class = internal_get(resource_named("scheduling.k8s.io/v1", "PriorityClass"), "", name))) {
        AUTO_FREE char *why = xasprintf("no PriorityClass with name %s was found", name);
        return kerr_forbidden("", "pods", str_or(pod->metadata.name, pod->metadata.generate_name), why);
    }
    const struct priority_class *pc = class ? OBJECT_BODY(class, priority_class) : NULL;
    if (pc) {
        value = pc->value;
        pod->spec.priority_class_name = arena_strdup(a, pc->metadata.name);
    }
    if (pod->spec.priority && *pod->spec.priority != value)
        return kerr_forbidden("", "pods", str_or(pod->metadata.name, pod->metadata.generate_name),
                              "the integer value of priority must not be provided in pod spec; priority admission controller computed it from "
                              "the given PriorityClass name");
    pod->spec.priority = ARENA_NEW(a, int32_t);
    *pod->spec.priority = value;
    if (!pod->spec.preemption_policy)
        pod->spec.preemption_policy = arena_strdup(a, pc && pc->preemption_policy ? pc->preemption_policy : "PreemptLowerPriority");
    return NULL;
}

const struct admission_plugin plugin_priority = {
    .name = "Priority",
    .on_by_default = true,
    .operations = ADMISSION_CREATE,
    .mutate = priority_mutate,
};

/* --- DefaultTolerationSeconds --- */

static bool
tolerates(const struct pod *pod, const char *key)
{
    for (uint32_t i = 0; i < pod->spec.tolerations.len; i++) {
        const struct toleration *t = &pod->spec.tolerations.items[i];
        if ((str_empty(t->key) || str_eq(t->key, key)) && (str_empty(t->effect) || str_eq(t->effect, "NoExecute")))
            return true;
    }
    return false;
}

static void
add_toleration(struct pod *pod, struct arena *a, const char *key, int64_t seconds)
{
    struct toleration_slice *l = &pod->spec.tolerations;

    if (tolerates(pod, key))
        return;
    l->items = arena_grow(a, l->items, l->len * sizeof *l->items, (l->len + 1) * sizeof *l->items);
    struct toleration *t = &l->items[l->len++];
    l->cap = l->len;
    *t = (struct toleration){ .key = key, .operator = "Exists", .effect = "NoExecute", .toleration_seconds = ARENA_NEW(a, int64_t) };
    *t->toleration_seconds = seconds;
}

static struct kerr *
toleration_mutate(const struct write_context *c, enum admission_operation op, struct object *obj, const struct object *old)
{
    struct pod *pod = OBJECT_BODY(obj, pod);

    if (!pod || *c->subresource)
        return NULL;
    add_toleration(pod, object_arena(obj), "node.kubernetes.io/not-ready", c->srv->options->default_not_ready_toleration_s);
    add_toleration(pod, object_arena(obj), "node.kubernetes.io/unreachable", c->srv->options->default_unreachable_toleration_s);
    return NULL;
}

const struct admission_plugin plugin_default_toleration_seconds = {
    .name = "DefaultTolerationSeconds",
    .on_by_default = true,
    .operations = ADMISSION_CREATE,
    .mutate = toleration_mutate,
};

/* --- TaintNodesByCondition --- */

static struct kerr *
taint_mutate(const struct write_context *c, enum admission_operation op, struct object *obj, const struct object *old)
{
    struct node *node = OBJECT_BODY(obj, node);

    if (!node || op != ADMISSION_CREATE)
        return NULL;
    struct taint_slice *l = &node->spec.taints;
    for (uint32_t i = 0; i < l->len; i++)
        if (str_eq(l->items[i].key, "node.kubernetes.io/not-ready") && str_eq(l->items[i].effect, "NoSchedule"))
            return NULL;
    l->items = arena_grow(object_arena(obj), l->items, l->len * sizeof *l->items, (l->len + 1) * sizeof *l->items);
    l->items[l->len++] = (struct taint){ .key = "node.kubernetes.io/not-ready", .effect = "NoSchedule" };
    l->cap = l->len;
    return NULL;
}

const struct admission_plugin plugin_taint_nodes_by_condition = {
    .name = "TaintNodesByCondition",
    .on_by_default = true,
    .operations = ADMISSION_CREATE,
    .mutate = taint_mutate,
};
