// SPDX-License-Identifier: Apache-2.0
#include "common/api/codec.h"
#include "common/api/values.h"
#include "controller-manager/daemonset.h"
#include "controller-manager/node_fit.h"
#include "controller-manager/revisions.h"

/* Of one node: its living pods, and what was found out. */
struct place {
    const struct object *node;
    bool run, stay;
    struct object_list pods; /* the oldest first */
};
struct view {
    const struct daemonset_picture *p;
    const struct daemon_set *ds;
    struct place *places; /* as p->nodes */
    struct object_list mine;
    const char *hash;
    struct api_time now;
    struct plan *plan;
    unsigned creations, deletions;
    int32_t desired;
};

void
daemonset_picture_done(struct daemonset_picture *p)
{
    object_unref(p->daemon_set);
    object_list_done(&p->nodes);
    object_list_done(&p->pods);
    object_list_done(&p->revisions);
    strlist_done(&p->held);
}

/* --- the pod of a node --- */

static void
add_toleration(struct pod_spec *spec, struct arena *a, const char *key, const char *effect)
{
    struct toleration_slice *l = &spec->tolerations;

    for (uint32_t i = 0; i < l->len; i++)
        if (str_eq(l->items[i].key, key) && str_eq(l->items[i].effect, effect) && str_eq(l->items[i].operator, "Exists")) {
            l->items[i].toleration_seconds = NULL;
            return;
        }
    struct toleration *items = arena_alloc(a, (l->len + 1) * sizeof *items);
    for (uint32_t i = 0; i < l->len; i++)
        items[i] = l->items[i];
    items[l->len] = (struct toleration){ .key = key, .operator = "Exists", .effect = effect };
    *l = (struct toleration_slice){ items, l->len + 1, l->len + 1 };
}

static void
add_tolerations(struct pod_spec *spec, struct arena *a)
{
    static const struct {
        const char *key, *effect;
    } all[] = {
        { "node.kubernetes.io/not-ready", "NoExecute" },      { "node.kubernetes.io/unreachable", "NoExecute" },
        { "node.kubernetes.io/disk-pressure", "NoSchedule" }, { "node.kubernetes.io/memory-pressure", "NoSchedule" },
        { "node.kubernetes.io/pid-pressure", "NoSchedule" },  { "node.kubernetes.io/unschedulable", "NoSchedule" },
    };

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        add_toleration(spec, a, all[i].key, all[i].effect);
    if (spec->host_network)
        add_toleration(spec, a, "node.kubernetes.io/network-unavailable", "NoSchedule");
}

/* matchFields of every term become metadata.name In [node]: the scheduler then has no choice. */
static void
pin_to_node(struct pod_spec *spec, struct arena *a, const char *node)
{
    struct node_selector_requirement *r = ARENA_NEW(a, struct node_selector_requirement);

    *r = (struct node_selector_requirement){ .key = "metadata.name", .operator = "In" };
    string_slice_add(&r->values, a, node);
    if (!spec->affinity)
        spec->affinity = ARENA_NEW(a, struct affinity);
    if (!spec->affinity->node_affinity)
        spec->affinity->node_affinity = ARENA_NEW(a, struct node_affinity);
    struct node_selector **s = &spec->affinity->node_affinity->required_during_scheduling_ignored_during_execution;
    if (!*s)
        *s = ARENA_NEW(a, struct node_selector);
    struct node_selector_term_slice *terms = &(*s)->node_selector_terms;
    if (terms->len == 0)
        *terms = (struct node_selector_term_slice){ ARENA_NEW(a, struct node_selector_term), 1, 1 };
    for (uint32_t i = 0; i < terms->len; i++)
        terms->items[i].match_fields = (struct node_selector_requirement_slice){ r, 1, 1 };
}

static struct object *
new_pod(const struct object *daemon_set, const char *node, const char *hash)
{
    const struct daemon_set *ds = OBJECT_BODY(daemon_set, daemon_set);
    struct object *obj = pod_from_template(&ds->spec.template, daemon_set);
    struct pod *pod = object_body(obj);
    const char *generation = meta_annotation(&ds->metadata, "deprecated.daemonset.template.generation");

    add_tolerations(&pod->spec, object_arena(obj));
    pin_to_node(&pod->spec, object_arena(obj), node);
    if (!str_empty(generation))
        string_map_set(&pod->metadata.labels, object_arena(obj), "pod-template-generation", generation);
    if (hash)
        string_map_set(&pod->metadata.labels, object_arena(obj), L_REVISION_HASH, hash);
    return obj;
}

const char *
daemonset_pod_node(const struct pod *pod)
{
    const struct node_affinity *a = pod->spec.affinity ? pod->spec.affinity->node_affinity : NULL;
    const struct node_selector *s = a ? a->required_during_scheduling_ignored_during_execution : NULL;

    if (!str_empty(pod->spec.node_name))
        return pod->spec.node_name;
    for (uint32_t i = 0; s && i < s->node_selector_terms.len; i++) {
        const struct node_selector_requirement_slice *f = &s->node_selector_terms.items[i].match_fields;
        for (uint32_t k = 0; k < f->len; k++)
            if (str_eq(f->items[k].key, "metadata.name") && str_eq(f->items[k].operator, "In") && f->items[k].values.len == 1)
                return f->items[k].values.items[0];
    }
    return NULL;
}

void
daemonset_judge_node(const struct object *daemon_set, const struct object *node_obj, bool *ret_run, bool *ret_stay)
{
    const struct daemon_set *ds = OBJECT_BODY(daemon_set, daemon_set);
    const struct node *node = OBJECT_BODY(node_obj, node);
    const char *fixed = ds->spec.template.spec.node_name;

    *ret_run = *ret_stay = false;
    if (!str_empty(fixed) && !str_eq(fixed, node->metadata.name))
        return;
    AUTO(object) *obj = new_pod(daemon_set, node->metadata.name, NULL);
    const struct pod_spec *spec = &OBJECT_BODY(obj, pod)->spec;
    if (!node_fits_affinity(spec, node))
        return;
    *ret_stay = node_taints_tolerated(spec, node, "NoExecute");
    *ret_run = *ret_stay && node_taints_tolerated(spec, node, "NoSchedule");
}

/* --- pods by node --- */

static int
older(const void *pa, const void *pb)
{
    const struct object *a = *(struct object *const *)pa, *b = *(struct object *const *)pb;

    /* of the same age, the one that has a node comes first */
    bool placed_a = !str_empty(OBJECT_BODY(a, pod)->spec.node_name), placed_b = !str_empty(OBJECT_BODY(b, pod)->spec.node_name);
    int c = api_time_cmp(object_meta(a)->creation_timestamp, object_meta(b)->creation_timestamp);
    if (c == 0 && placed_a != placed_b)
        return placed_a ? -1 : 1;
    return object_created_cmp(a, b);
}

static struct place *
place_of(struct view *v, const char *node)
{
    for (size_t i = 0; node && i < v->p->nodes.len; i++)
        if (str_eq(object_name(v->p->nodes.items[i]), node))
            return &v->places[i];
    return NULL;
}

static void
map_pods(struct view *v)
{
    for (size_t i = 0; i < v->p->nodes.len; i++) {
        v->places[i].node = v->p->nodes.items[i];
        daemonset_judge_node(v->p->daemon_set, v->places[i].node, &v->places[i].run, &v->places[i].stay);
        v->desired += v->places[i].run;
    }
    for (size_t i = 0; i < v->mine.len; i++) {
        const struct pod *pod = OBJECT_BODY(v->mine.items[i], pod);
        struct place *place = place_of(v, daemonset_pod_node(pod));
        if (place && !(meta_deleting(&pod->metadata) && pod_terminal(pod)))
            object_list_ref(&place->pods, v->mine.items[i]);
    }
    for (size_t i = 0; i < v->p->nodes.len; i++)
        if (v->places[i].pods.len)
            qsort(v->places[i].pods.items, v->places[i].pods.len, sizeof *v->places[i].pods.items, older);
}

/* --- what to do --- */

static void
create_on(struct view *v, const struct place *place, const char *why)
{
    if (v->creations++ < DAEMONSET_BURST)
        plan_create(v->plan, new_pod(v->p->daemon_set, object_name(place->node), v->hash), why)->batch = 1;
}

static void
delete_pod(struct view *v, const struct object *pod, const char *why)
{
    if (v->deletions++ >= DAEMONSET_BURST)
        return;
    struct action *a = plan_delete(v->plan, pod, why);
    a->batch = 2;
    a->flags |= ACTION_GO_ON;
}

static bool
is_new(const struct view *v, const struct object *pod)
{
    return str_eq(meta_label(object_meta(pod), L_REVISION_HASH), v->hash);
}

static bool
is_available(const struct view *v, const struct object *pod)
{
    return pod_available(OBJECT_BODY(pod, pod), v->ds->spec.min_ready_seconds, v->now);
}

static int32_t
scaled(const struct view *v, const struct int_or_string *value, int32_t fallback)
{
    int32_t n = fallback;

    if (value && int_or_string_scaled(*value, v->desired, true, &n))
        n = fallback;
    return n;
}

static bool
is_rolling(const struct view *v)
{
    return str_empty(v->ds->spec.update_strategy.type) || str_eq(v->ds->spec.update_strategy.type, "RollingUpdate");
}

static int32_t
max_surge(const struct view *v)
{
    const struct rolling_update_daemon_set *ru = v->ds->spec.update_strategy.rolling_update;

    return is_rolling(v) && ru ? scaled(v, ru->max_surge, 0) : 0;
}

static int32_t
max_unavailable(const struct view *v)
{
    const struct rolling_update_daemon_set *ru = v->ds->spec.update_strategy.rolling_update;
    int32_t n = ru ? scaled(v, ru->max_unavailable, 1) : 1;

    return n == 0 && max_surge(v) == 0 ? 1 : n; /* else it would stand still */
}

/* Ended pods go, and what is too many. */
static void
prune(struct view *v, const struct place *place)
{
    const char *node = object_name(place->node);
    struct object *kept_new = NULL, *kept_old = NULL;
    bool surge = max_surge(v) > 0;

    for (size_t i = 0; i < place->pods.len; i++) {
        struct object *pod = place->pods.items[i];
        const struct pod *body = OBJECT_BODY(pod, pod);
        struct object **kept = !surge || is_new(v, pod) ? &kept_new : &kept_old;
        if (meta_deleting(&body->metadata))
            continue;
        if (str_eq(body->status.phase, "Failed")) {
            if (strlist_has(&v->p->held, node))
                continue;
            plan_event(v->plan, v->p->daemon_set, EVENT_WARNING, "FailedDaemonPod", "Found failed daemon pod %s/%s on node %s, will try to kill it",
                       body->metadata.namespace, body->metadata.name, node);
            delete_pod(v, pod, "it failed");
        } else if (str_eq(body->status.phase, "Succeeded")) {
            plan_event(v->plan, v->p->daemon_set, EVENT_NORMAL, "SucceededDaemonPod",
                       "Found succeeded daemon pod %s/%s on node %s, will try to delete it", body->metadata.namespace, body->metadata.name, node);
            delete_pod(v, pod, "it ended");
        } else if (*kept) {
            delete_pod(v, pod, "the node has an older one");
        } else {
            *kept = pod;
        }
    }
    if (surge && kept_old && kept_new && is_available(v, kept_new))
        delete_pod(v, kept_old, "the new one is available");
}

static bool
all_are_ending(const struct place *place)
{
    for (size_t i = 0; i < place->pods.len; i++)
        if (!meta_deleting(object_meta(place->pods.items[i])))
            return false;
    return true;
}

static void
manage(struct view *v)
{
    for (size_t i = 0; i < v->p->nodes.len; i++) {
        const struct place *place = &v->places[i];
        if (place->run && (place->pods.len == 0 || (max_surge(v) > 0 && all_are_ending(place)))) {
            create_on(v, place, "the node has none");
        } else if (place->stay) {
            prune(v, place);
        } else {
            for (size_t k = 0; k < place->pods.len; k++)
                if (!meta_deleting(object_meta(place->pods.items[k])))
                    delete_pod(v, place->pods.items[k], "the node does not fit");
        }
    }
    for (size_t i = 0; i < v->mine.len; i++) { /* those that wait for a node that is gone */
        const struct pod *pod = OBJECT_BODY(v->mine.items[i], pod);
        const char *node = daemonset_pod_node(pod);
        if (str_empty(pod->spec.node_name) && node && !place_of(v, node) && !meta_deleting(&pod->metadata))
            delete_pod(v, v->mine.items[i], "its node is gone");
    }
}

/* --- rolling update --- */

/* The new and the old pod; false: there are several of one kind, which manage() sees to. */
static bool
pods_of(const struct view *v, const struct place *place, struct object **ret_new, struct object **ret_old)
{
    *ret_new = *ret_old = NULL;
    for (size_t i = 0; i < place->pods.len; i++) {
        struct object **which = is_new(v, place->pods.items[i]) ? ret_new : ret_old;
        if (meta_deleting(object_meta(place->pods.items[i])))
            continue;
        if (*which)
            return false;
        *which = place->pods.items[i];
    }
    return true;
}

/* Old pods are deleted so that not more than maxUnavailable are missing; those that are down anyway go at once. */
static void
roll_by_deleting(struct view *v)
{
    int32_t unavailable = 0, most = max_unavailable(v);
    AUTO_OBJECT_LIST candidates = { 0 };
    struct object *new, *old;

    for (size_t i = 0; i < v->p->nodes.len; i++) {
        if (v->places[i].pods.len == 0)
            continue;
        if (!pods_of(v, &v->places[i], &new, &old) || !new == !old) {
            unavailable++;
        } else if (new) {
            unavailable += !is_available(v, new);
        } else if (!is_available(v, old)) {
            delete_pod(v, old, "it is of an old revision, and not available");
            unavailable++;
        } else {
            object_list_ref(&candidates, old);
        }
    }
    for (size_t i = 0; i < candidates.len && unavailable < most; i++, unavailable++)
        delete_pod(v, candidates.items[i], "it is of an old revision");
}

/* New pods beside the old ones, not more than maxSurge that are not available yet. */
static void
roll_by_surging(struct view *v)
{
    int32_t surging = 0, available = 0, most = max_surge(v);
    struct object *new, *old;

    for (size_t i = 0; i < v->p->nodes.len; i++) {
        if (!pods_of(v, &v->places[i], &new, &old))
            surging++;
        else if (new && old)
            surging += !is_available(v, new);
        available += old ? is_available(v, old) : new && is_available(v, new);
    }
    for (size_t i = 0; i < v->p->nodes.len; i++) {
        const struct place *place = &v->places[i];
        if (!pods_of(v, place, &new, &old) || !old)
            continue;
        if (new && is_available(v, new)) {
            delete_pod(v, old, "the new one is available");
        } else if (!new && !is_available(v, old)) {
            if (place->run)
                create_on(v, place, "the old one is not available");
            else
                delete_pod(v, old, "it is of an old revision, and the node does not fit");
        } else if (!new && !place->run) {
            if (available > v->desired) {
                available--;
                delete_pod(v, old, "it is of an old revision, and the node does not fit");
            }
        } else if (!new && surging < most) {
            surging++;
            create_on(v, place, "the old one is of an old revision");
        }
    }
}

/* --- status --- */

static void
write_status(struct view *v, struct daemon_set_status *s)
{
    int32_t *collisions = s->collision_count;
    struct daemon_set_condition_slice conditions = s->conditions;

    *s = (struct daemon_set_status){ .observed_generation = v->ds->metadata.generation, .desired_number_scheduled = v->desired,
                                     .collision_count = collisions, .conditions = conditions };
    for (size_t i = 0; i < v->p->nodes.len; i++) {
        const struct place *place = &v->places[i];
        if (place->pods.len == 0)
            continue;
        if (!place->run) {
            s->number_misscheduled++;
            continue;
        }
        s->current_number_scheduled++;
        const struct object *first = place->pods.items[0];
        if (pod_ready(OBJECT_BODY(first, pod))) {
            s->number_ready++;
            s->number_available += is_available(v, first);
        }
        s->updated_number_scheduled += is_new(v, first);
    }
    s->number_unavailable = v->desired - s->number_available;
}

static void
plan_status(struct view *v, int32_t collisions, struct plan *plan)
{
    struct object *copy = object_copy(v->p->daemon_set);
    struct daemon_set_status *s = &OBJECT_BODY(copy, daemon_set)->status;

    if (collisions)
        s->collision_count = arena_i32(object_arena(copy), collisions);
    write_status(v, s);
    if (v->ds->spec.min_ready_seconds > 0 && s->number_ready != s->number_available)
        plan_requeue(plan, (uint64_t)v->ds->spec.min_ready_seconds * 1000);
    if (api_equal(&api_type_daemon_set_status, &v->ds->status, s)) {
        object_unref(copy);
        return;
    }
    AUTO_FREE char *why = xasprintf("status: %d of %d scheduled, ready %d, available %d", s->current_number_scheduled, v->desired, s->number_ready,
                                    s->number_available);
    plan_update_status(plan, copy, why);
}

static bool
is_live(const struct object *revision, void *arg)
{
    const struct view *v = arg;
    const char *hash = meta_label(object_meta(revision), L_REVISION_HASH);

    if (str_eq(hash, v->hash))
        return true;
    for (size_t i = 0; i < v->mine.len; i++)
        if (str_eq(meta_label(object_meta(v->mine.items[i]), L_REVISION_HASH), hash))
            return true;
    return false;
}

static void
act(struct view *v, struct daemonset_plans *out, struct object_list *history, int32_t collisions)
{
    map_pods(v);
    if (v->p->settled && !meta_deleting(&v->ds->metadata)) {
        manage(v);
        if (v->creations + v->deletions == 0 && is_rolling(v)) {
            if (max_surge(v) > 0)
                roll_by_surging(v);
            else
                roll_by_deleting(v);
        }
        revisions_trim(history, i32_or(v->ds->spec.revision_history_limit, 10), is_live, v, out->pods);
    }
    plan_status(v, collisions, out->status);
}

struct daemonset_plans
daemonset_decide(const struct daemonset_picture *p, const char *key, struct api_time now)
{
    struct daemonset_plans out = { plan_new(key), plan_new(key) };
    struct view v = { .p = p, .ds = OBJECT_BODY(p->daemon_set, daemon_set), .now = now, .plan = out.pods };
    AUTO(arena) *a = arena_new(0);
    AUTO_OBJECT_LIST history = { 0 };
    int32_t collisions = i32_or(v.ds->status.collision_count, 0);
    struct claim claim = { .owner = p->daemon_set, .can_adopt = p->can_adopt };
    AUTO(kerr) *err = label_query_from(v.ds->spec.selector, a, (struct label_query **)&claim.selector);

    if (err || label_query_empty(claim.selector)) /* one that selects everything is refused, as upstream does */
        return out;
    claim_objects(&claim, &p->revisions, out.pods, &history);
    claim_objects(&claim, &p->pods, out.pods, &v.mine);
    revisions_sort(&history);
    AUTO(object) *current = meta_deleting(&v.ds->metadata) ? NULL
                                                           : revision_for(&history, p->daemon_set, &v.ds->spec.template, L_REVISION_HASH, &collisions, out.pods);
    v.hash = current ? meta_label(object_meta(current), L_REVISION_HASH) : NULL;
    v.places = xcalloc(p->nodes.len + 1, sizeof *v.places);
    act(&v, &out, &history, collisions);
    for (size_t i = 0; i < p->nodes.len; i++)
        object_list_done(&v.places[i].pods);
    free(v.places);
    object_list_done(&v.mine);
    return out;
}
