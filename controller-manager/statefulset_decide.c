// SPDX-License-Identifier: Apache-2.0
#include "common/api/codec.h"
#include "common/api/values.h"
#include "controller-manager/revisions.h"
#include "controller-manager/statefulset.h"

#define L_POD_NAME "statefulset.kubernetes.io/pod-name"
#define L_POD_INDEX "apps.kubernetes.io/pod-index"
#define L_HASH "controller.kubernetes.io/hash" /* on ControllerRevisions */

struct view {
    const struct statefulset_picture *p;
    const struct stateful_set *set;
    struct api_time now;
    struct plan *plan;
    struct object_list mine;
    const struct object **replicas; /* by ordinal - start; NULL = to be made */
    struct object_list condemned;   /* the highest ordinal first */
    int64_t start, count;
    struct object *current, *update; /* revisions */
    struct pod_template_spec current_template;
    struct arena *a;
    int32_t deleted_current; /* pods deleted for the update: they count as current no more */
};

void
statefulset_picture_done(struct statefulset_picture *p)
{
    object_unref(p->set);
    object_list_done(&p->pods);
    object_list_done(&p->revisions);
    object_list_done(&p->claims);
}

/* --- small readers --- */

static int64_t
ordinal_of(const char *set, const char *name)
{
    size_t len = strlen(str_safe(set));
    int32_t n;

    if (!str_has_prefix(name, set) || name[len] != '-' || parse_i32(name + len + 1, &n) || n < 0)
        return -1;
    return name[len + 1] == '0' && name[len + 2] ? -1 : n;
}

int64_t
statefulset_ordinal(const struct object *set, const struct object *pod)
{
    return ordinal_of(object_name(set), object_name(pod));
}

static const struct pod *
body(const struct object *pod)
{
    return OBJECT_BODY(pod, pod);
}

static bool
is_ready(const struct object *pod)
{
    return str_eq(body(pod)->status.phase, "Running") && pod_ready(body(pod));
}

static bool
is_available(const struct view *v, const struct object *pod)
{
    return is_ready(pod) && pod_available(body(pod), v->set->spec.min_ready_seconds, v->now);
}

static bool
is_healthy(const struct view *v, const struct object *pod)
{
    return is_available(v, pod) && !meta_deleting(object_meta(pod));
}

static bool
is_parallel(const struct view *v)
{
    return str_eq(v->set->spec.pod_management_policy, "Parallel");
}

static bool
is_of(const struct object *pod, const struct object *revision)
{
    return str_eq(meta_label(object_meta(pod), L_REVISION_HASH), object_name(revision));
}

static int64_t
partition_of(const struct view *v)
{
    const struct rolling_update_stateful_set_strategy *ru = v->set->spec.update_strategy.rolling_update;

    return ru ? i32_or(ru->partition, 0) : 0;
}

static bool
is_rolling(const struct view *v)
{
    return !str_eq(v->set->spec.update_strategy.type, "OnDelete");
}

/* Ready pods that are not available yet: look again when they are. */
static void
look_again(const struct view *v, const struct object *pod, struct plan *plan)
{
    struct api_time at = pod_ready_since(body(pod));

    if (!is_ready(pod) || is_available(v, pod))
        return;
    at.sec += v->set->spec.min_ready_seconds;
    plan_requeue(plan, seconds_between_ms(v->now, at) + 1000);
}

/* --- claims --- */

static char *
claim_name(const struct view *v, const struct persistent_volume_claim *t, int64_t ordinal, struct arena *a)
{
    return arena_printf(a, "%s-%s-%lld", t->metadata.name, v->set->metadata.name, (long long)ordinal);
}

static const struct object *
find_claim(const struct view *v, const char *name)
{
    for (size_t i = 0; i < v->p->claims.len; i++)
        if (str_eq(object_name(v->p->claims.items[i]), name))
            return v->p->claims.items[i];
    return NULL;
}

/* Whose end is the claim's end: the set's, the condemned pod's, or nobody's. */
static const struct object *
claim_owner(const struct view *v, const struct object *pod, bool condemned)
{
    const struct stateful_set_persistent_volume_claim_retention_policy *r = v->set->spec.persistent_volume_claim_retention_policy;

    if (r && str_eq(r->when_scaled, "Delete") && condemned)
        return pod;
    return r && str_eq(r->when_deleted, "Delete") ? v->p->set : NULL;
}

static struct object *
new_claim(const struct view *v, const struct persistent_volume_claim *t, const char *name)
{
    struct object *obj = object_new_of("v1", "PersistentVolumeClaim");
    struct arena *a = object_arena(obj);
    struct persistent_volume_claim *c = object_body(obj);
    const struct label_selector *s = v->set->spec.selector;
    struct type_meta type = c->type_meta;

    api_copy(&api_type_persistent_volume_claim, a, t, c);
    c->type_meta = type;
    c->metadata.name = arena_strdup(a, name);
    c->metadata.namespace = arena_strdup(a, v->set->metadata.namespace);
    for (uint32_t i = 0; s && i < s->match_labels.len; i++)
        string_map_set(&c->metadata.labels, a, s->match_labels.items[i].key, s->match_labels.items[i].value);
    const struct object *owner = claim_owner(v, NULL, false);
    if (owner) {
        struct owner_reference ref = owner_ref_to(object_kind(owner), object_meta(owner), a);
        meta_add_owner(&c->metadata, a, &ref);
    }
    return obj;
}

/* False: a claim of an earlier pod is about to go; the pod must wait for a new one. */
static bool
make_claims(struct view *v, int64_t ordinal)
{
    const struct persistent_volume_claim_slice *t = &v->set->spec.volume_claim_templates;

    for (uint32_t i = 0; i < t->len; i++) {
        const char *name = claim_name(v, &t->items[i], ordinal, v->a);
        const struct object *have = find_claim(v, name);
        if (have && meta_deleting(object_meta(have)))
            return false;
        if (!have)
            plan_create(v->plan, new_claim(v, &t->items[i], name), "the pod's claim")->flags = ACTION_IGNORE_EXISTS;
    }
    return true;
}

static bool
is_our_ref(const struct view *v, const struct object *pod, const struct owner_reference *ref)
{
    return str_eq(ref->uid, v->set->metadata.uid) || (str_eq(ref->kind, "Pod") && str_eq(ref->name, object_name(pod)));
}

static void
own_claim(struct view *v, const struct object *claim, const struct object *pod, const struct object *owner)
{
    const struct owner_reference_slice *refs = &object_meta(claim)->owner_references;
    uint32_t ours = 0, right = 0;

    for (uint32_t i = 0; i < refs->len; i++) {
        ours += is_our_ref(v, pod, &refs->items[i]);
        right += owner && str_eq(refs->items[i].uid, object_meta(owner)->uid);
    }
    if (ours == right && right == (owner ? 1u : 0u))
        return;
    struct object *copy = object_copy(claim);
    struct object_meta *meta = object_meta(copy);
    uint32_t n = 0;
    for (uint32_t i = 0; i < meta->owner_references.len; i++)
        if (!is_our_ref(v, pod, &meta->owner_references.items[i]))
            meta->owner_references.items[n++] = meta->owner_references.items[i];
    meta->owner_references.len = n;
    if (owner) {
        struct owner_reference ref = owner_ref_to(object_kind(owner), object_meta(owner), object_arena(copy));
        meta_add_owner(meta, object_arena(copy), &ref);
    }
    plan_update(v->plan, copy, "persistentVolumeClaimRetentionPolicy");
}

static void
own_claims(struct view *v, const struct object *pod, bool condemned)
{
    const struct persistent_volume_claim_slice *t = &v->set->spec.volume_claim_templates;

    for (uint32_t i = 0; i < t->len; i++) {
        const struct object *claim = find_claim(v, claim_name(v, &t->items[i], statefulset_ordinal(v->p->set, pod), v->a));
        if (claim && !meta_deleting(object_meta(claim)))
            own_claim(v, claim, pod, claim_owner(v, pod, condemned));
    }
}

/* --- pods --- */

/* The claims as volumes, in place of volumes of the template with the same names. */
static void
add_volumes(const struct view *v, struct pod_spec *spec, int64_t ordinal, struct arena *a)
{
    const struct persistent_volume_claim_slice *t = &v->set->spec.volume_claim_templates;
    struct volume *items = arena_alloc(a, (t->len + spec->volumes.len + 1) * sizeof *items);
    uint32_t n = 0;

    for (; n < t->len; n++) {
        items[n].name = arena_strdup(a, t->items[n].metadata.name);
        items[n].volume_source.persistent_volume_claim = ARENA_NEW(a, struct persistent_volume_claim_volume_source);
        items[n].volume_source.persistent_volume_claim->claim_name = claim_name(v, &t->items[n], ordinal, a);
    }
    for (uint32_t i = 0; i < spec->volumes.len; i++) {
        bool replaced = false;
        for (uint32_t k = 0; k < t->len; k++)
            replaced = replaced || str_eq(spec->volumes.items[i].name, t->items[k].metadata.name);
        if (!replaced)
            items[n++] = spec->volumes.items[i];
    }
    spec->volumes = (struct volume_slice){ items, n, n };
}

static struct object *
new_pod(const struct view *v, int64_t ordinal)
{
    bool old = is_rolling(v) && ordinal < v->start + partition_of(v);
    struct object *obj = pod_from_template(old ? &v->current_template : &v->set->spec.template, v->p->set);
    struct arena *a = object_arena(obj);
    struct pod *pod = object_body(obj);

    pod->metadata.generate_name = NULL;
    pod->metadata.name = arena_printf(a, "%s-%lld", v->set->metadata.name, (long long)ordinal);
    pod->spec.hostname = pod->metadata.name;
    pod->spec.subdomain = arena_strdup(a, v->set->spec.service_name);
    string_map_set(&pod->metadata.labels, a, L_POD_NAME, pod->metadata.name);
    string_map_set(&pod->metadata.labels, a, L_POD_INDEX, arena_printf(a, "%lld", (long long)ordinal));
    string_map_set(&pod->metadata.labels, a, L_REVISION_HASH, object_name(old ? v->current : v->update));
    add_volumes(v, &pod->spec, ordinal, a);
    return obj;
}

static void
delete_pod(struct view *v, const struct object *pod, const char *why)
{
    plan_delete(v->plan, pod, why);
}

static void
make_pod(struct view *v, int64_t ordinal)
{
    if (!make_claims(v, ordinal)) {
        plan_requeue(v->plan, 1000);
        return;
    }
    AUTO_FREE char *why = xasprintf("ordinal %lld has no pod", (long long)ordinal);
    plan_create(v->plan, new_pod(v, ordinal), why)->flags = ACTION_IGNORE_EXISTS;
}

/* True: those after it must wait. */
static bool
process_replica(struct view *v, int64_t i)
{
    const struct object *pod = v->replicas[i];

    if (!pod) {
        make_pod(v, v->start + i);
        return true;
    }
    if (pod_terminal(body(pod))) {
        if (!meta_deleting(object_meta(pod)))
            delete_pod(v, pod, "it has ended");
        return true;
    }
    if (str_eq(body(pod)->status.phase, "Pending"))
        make_claims(v, v->start + i);
    if (!is_healthy(v, pod)) {
        look_again(v, pod, v->plan);
        if (!is_parallel(v))
            return true;
    }
    own_claims(v, pod, false);
    return false;
}

static const struct object *
first_unhealthy(const struct view *v)
{
    for (int64_t i = 0; i < v->count; i++)
        if (!v->replicas[i] || !is_healthy(v, v->replicas[i]))
            return v->replicas[i];
    for (size_t i = v->condemned.len; i-- > 0;)
        if (!is_healthy(v, v->condemned.items[i]))
            return v->condemned.items[i];
    return NULL;
}

/* In order: only the highest, and not while a lower one is unhealthy. */
static bool
end_condemned(struct view *v)
{
    const struct object *unhealthy = first_unhealthy(v);

    for (size_t i = 0; i < v->condemned.len; i++)
        own_claims(v, v->condemned.items[i], true);
    for (size_t i = 0; i < v->condemned.len; i++) {
        const struct object *pod = v->condemned.items[i];
        if (meta_deleting(object_meta(pod)) && is_parallel(v))
            continue;
        if (meta_deleting(object_meta(pod)))
            return true;
        if (!is_parallel(v) && !is_available(v, pod) && pod != unhealthy) {
            look_again(v, pod, v->plan);
            return true;
        }
        delete_pod(v, pod, "its ordinal is not wanted");
        if (!is_parallel(v))
            return true;
    }
    return false;
}

static int32_t
max_unavailable(const struct view *v)
{
    const struct rolling_update_stateful_set_strategy *ru = v->set->spec.update_strategy.rolling_update;
    int32_t n = 1;

    if (ru && ru->max_unavailable && int_or_string_scaled(*ru->max_unavailable, (int32_t)v->count, false, &n))
        n = 1;
    return n < 1 ? 1 : n;
}

/* From the highest ordinal down; not more than maxUnavailable are missing at a time. */
static void
roll(struct view *v)
{
    int32_t room = max_unavailable(v);

    for (int64_t i = v->count - 1; i >= partition_of(v) && room > 0; i--) {
        const struct object *pod = v->replicas[i];
        if (pod && !is_of(pod, v->update) && !meta_deleting(object_meta(pod))) {
            delete_pod(v, pod, "it is of an old revision");
            v->deleted_current += is_of(pod, v->current);
            room--;
        } else if (!pod || !is_healthy(v, pod)) {
            room--;
        }
    }
}

static void
act(struct view *v)
{
    size_t before;

    for (int64_t i = 0; i < v->count; i++)
        if (process_replica(v, i) && !is_parallel(v))
            return;
    before = v->plan->len;
    if (end_condemned(v) || v->plan->len > before)
        return;
    if (is_rolling(v))
        roll(v);
}

/* --- status --- */

static void
count(const struct view *v, struct stateful_set_status *s)
{
    for (size_t i = 0; i < v->mine.len; i++) {
        const struct object *pod = v->mine.items[i];
        if (str_empty(body(pod)->status.phase))
            continue;
        s->replicas++;
        s->ready_replicas += is_ready(pod);
        s->available_replicas += is_available(v, pod);
        if (meta_deleting(object_meta(pod)))
            continue;
        s->current_replicas += is_of(pod, v->current);
        s->updated_replicas += is_of(pod, v->update);
    }
    s->current_replicas -= v->deleted_current;
}

static void
plan_status(struct view *v, int32_t collisions, struct plan *plan)
{
    struct object *copy = object_copy(v->p->set);
    struct arena *a = object_arena(copy);
    struct stateful_set_status *s = &OBJECT_BODY(copy, stateful_set)->status;
    struct stateful_set_condition_slice conditions = s->conditions;

    *s = (struct stateful_set_status){ .observed_generation = v->set->metadata.generation, .current_revision = arena_strdup(a, object_name(v->current)),
                                       .update_revision = arena_strdup(a, object_name(v->update)), .collision_count = arena_i32(a, collisions),
                                       .conditions = conditions };
    count(v, s);
    /* the update is complete */
    if (is_rolling(v) && s->updated_replicas == s->replicas && s->ready_replicas == s->replicas && s->replicas == v->count) {
        s->current_replicas = s->updated_replicas;
        s->current_revision = s->update_revision;
    }
    for (size_t i = 0; i < v->mine.len; i++)
        look_again(v, v->mine.items[i], plan);
    if (api_equal(&api_type_stateful_set_status, &v->set->status, s)) {
        object_unref(copy);
        return;
    }
    AUTO_FREE char *why = xasprintf("status: replicas %d, ready %d, available %d, current %d, updated %d", s->replicas, s->ready_replicas,
                                    s->available_replicas, s->current_replicas, s->updated_replicas);
    plan_update_status(plan, copy, why);
}

/* --- putting it together --- */

static int
higher_first(const void *pa, const void *pb)
{
    const char *a = object_name(*(struct object *const *)pa), *b = object_name(*(struct object *const *)pb);

    /* of one set: the longer number is the higher */
    size_t la = strlen(a), lb = strlen(b);
    return la != lb ? (la < lb ? 1 : -1) : strcmp(b, a);
}

static void
sort_pods(struct view *v)
{
    for (size_t i = 0; i < v->mine.len; i++) {
        int64_t at = statefulset_ordinal(v->p->set, v->mine.items[i]) - v->start;
        if (at >= 0 && at < v->count)
            v->replicas[at] = v->mine.items[i];
        else
            object_list_ref(&v->condemned, v->mine.items[i]);
    }
    if (v->condemned.len)
        qsort(v->condemned.items, v->condemned.len, sizeof *v->condemned.items, higher_first);
}

static void
claim_all(struct view *v, const struct claim *claim, struct object_list *history)
{
    AUTO_OBJECT_LIST named = { 0 };

    for (size_t i = 0; i < v->p->pods.len; i++)
        if (statefulset_ordinal(v->p->set, v->p->pods.items[i]) >= 0)
            object_list_ref(&named, v->p->pods.items[i]);
    claim_objects(claim, &v->p->revisions, v->plan, history);
    claim_objects(claim, &named, v->plan, &v->mine);
    revisions_sort(history);
}

static void
choose_revisions(struct view *v, struct object_list *history, int32_t *collisions)
{
    v->update = revision_for(history, v->p->set, &v->set->spec.template, L_HASH, collisions, v->plan);
    for (size_t i = 0; i < history->len && !v->current; i++)
        if (str_eq(object_name(history->items[i]), v->set->status.current_revision))
            v->current = object_ref(history->items[i]);
    if (!v->current)
        v->current = object_ref(v->update);
    AUTO(kerr) *err = revision_template(v->current, v->a, &v->current_template);
    if (err)
        v->current_template = v->set->spec.template;
}

static bool
is_live(const struct object *revision, void *arg)
{
    const struct view *v = arg;

    if (str_eq(object_name(revision), object_name(v->current)) || str_eq(object_name(revision), object_name(v->update)))
        return true;
    for (size_t i = 0; i < v->mine.len; i++)
        if (is_of(v->mine.items[i], revision))
            return true;
    return false;
}

struct statefulset_plans
statefulset_decide(const struct statefulset_picture *p, const char *key, struct api_time now)
{
    struct statefulset_plans out = { plan_new(key), plan_new(key) };
    AUTO(arena) *a = arena_new(0);
    struct view v = { .p = p, .set = OBJECT_BODY(p->set, stateful_set), .now = now, .plan = out.pods, .a = a };
    AUTO_OBJECT_LIST history = { 0 };
    int32_t collisions = i32_or(v.set->status.collision_count, 0);
    struct claim claim = { .owner = p->set, .can_adopt = p->can_adopt };
    AUTO(kerr) *err = label_query_from(v.set->spec.selector, a, (struct label_query **)&claim.selector);

    if (err || label_query_empty(claim.selector))
        return out;
    v.start = v.set->spec.ordinals ? v.set->spec.ordinals->start : 0;
    v.count = i32_or(v.set->spec.replicas, 1);
    v.replicas = xcalloc((size_t)v.count + 1, sizeof *v.replicas);
    claim_all(&v, &claim, &history);
    choose_revisions(&v, &history, &collisions);
    sort_pods(&v);
    if (!meta_deleting(&v.set->metadata)) {
        act(&v);
        revisions_trim(&history, i32_or(v.set->spec.revision_history_limit, 10), is_live, &v, out.pods);
    }
    plan_status(&v, collisions, out.status);
    free(v.replicas);
    object_unref(v.current);
    object_unref(v.update);
    object_list_done(&v.mine);
    object_list_done(&v.condemned);
    return out;
}
