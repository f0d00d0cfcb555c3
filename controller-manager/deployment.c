// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/deployment.h"

#include <math.h>
#include <stdio.h>

#include "common/api/values.h"
#include "controller-manager/controllers.h"

#define A_REVISION "deployment.kubernetes.io/revision"
#define A_HISTORY "deployment.kubernetes.io/revision-history"
#define A_DESIRED "deployment.kubernetes.io/desired-replicas"
#define A_MAX "deployment.kubernetes.io/max-replicas"
#define L_HASH "pod-template-hash"
#define HISTORY_MAX 2000 /* characters of the history annotation */

void
deployment_picture_done(struct deployment_picture *p)
{
    object_unref(p->deployment);
    object_list_done(&p->replica_sets);
    object_list_done(&p->pods);
}

/* --- small readers --- */

static int32_t
wanted(const struct deployment *d)
{
    return i32_or(d->spec.replicas, 1);
}

static int32_t
size_of(const struct rset *s)
{
    return s ? i32_or(s->rs->spec.replicas, 1) : 0;
}

static int64_t
annotation_i64(const struct object *obj, const char *key, int64_t fallback)
{
    int64_t n;

    return parse_i64(str_safe(meta_annotation(object_meta(obj), key)), &n) ? fallback : n;
}

static bool
is_old(const struct rollout *r, const struct rset *s)
{
    return s != r->new_set;
}

static int64_t
total_size(const struct rollout *r, bool old_only)
{
    int64_t n = 0;

    for (size_t i = 0; i < r->nsets; i++)
        if (!old_only || is_old(r, &r->sets[i]))
            n += size_of(&r->sets[i]);
    return n;
}

static int64_t
total_available(const struct rollout *r)
{
    int64_t n = 0;

    for (size_t i = 0; i < r->nsets; i++)
        n += r->sets[i].rs->status.available_replicas;
    return n;
}

/* --- changing ReplicaSets --- */

/* The first change makes a copy and puts it into the plan; later ones go into the same copy. */
static void
touch(struct rollout *r, struct rset *s, const char *why)
{
    if (s->changed)
        return;
    struct object *copy = object_copy(s->obj);
    object_unref(s->obj);
    s->obj = copy;
    s->rs = object_body(copy);
    s->changed = true;
    plan_update(r->plan, object_ref(copy), why);
}

static bool
annotate(struct rollout *r, struct rset *s, const char *key, const char *value)
{
    if (str_eq(meta_annotation(object_meta(s->obj), key), value))
        return false;
    touch(r, s, "annotations");
    return string_map_set(&object_meta(s->obj)->annotations, object_arena(s->obj), key, value);
}

static void
annotate_replicas(struct rollout *r, struct rset *s)
{
    char text[16];

    snprintf(text, sizeof text, "%d", wanted(r->d));
    annotate(r, s, A_DESIRED, text);
    snprintf(text, sizeof text, "%d", wanted(r->d) + deployment_max_surge(r->d));
    annotate(r, s, A_MAX, text);
}

static bool
scale_to(struct rollout *r, struct rset *s, int32_t size)
{
    int32_t was = size_of(s);

    if (was != size) {
        AUTO_FREE char *why = xasprintf("scale from %d to %d", was, size);
        touch(r, s, why);
        s->rs->spec.replicas = arena_i32(object_arena(s->obj), size);
    }
    annotate_replicas(r, s);
    if (was != size)
        plan_event(r->plan, r->picture->deployment, EVENT_NORMAL, "ScalingReplicaSet", "Scaled %s replica set %s from %d to %d",
                   was < size ? "up" : "down", object_name(s->obj), was, size);
    return was != size;
}

static bool
scale_if_different(struct rollout *r, struct rset *s, int32_t size)
{
    return size_of(s) != size && scale_to(r, s, size);
}

/* --- which is the new one --- */

static struct string_map
without_hash(const struct string_map *m, struct arena *a)
{
    struct string_map out = { arena_alloc(a, (m->len + 1) * sizeof *m->items), 0, m->len };

    for (uint32_t i = 0; i < m->len; i++)
        if (!str_eq(m->items[i].key, L_HASH))
            out.items[out.len++] = m->items[i];
    return out;
}

static bool
template_equal(const struct pod_template_spec *x, const struct pod_template_spec *y)
{
    AUTO(arena) *a = arena_new(0);
    struct pod_template_spec cx = *x, cy = *y;

    cx.metadata.labels = without_hash(&x->metadata.labels, a);
    cy.metadata.labels = without_hash(&y->metadata.labels, a);
    return api_equal(&api_type_pod_template_spec, &cx, &cy);
}

static void
find_new_set(struct rollout *r)
{
    for (size_t i = 0; i < r->nsets && !r->new_set; i++)
        if (template_equal(&r->sets[i].rs->spec.template, &r->d->spec.template))
            r->new_set = &r->sets[i];
}

/* --- revisions --- */

static int64_t
max_old_revision(const struct rollout *r)
{
    int64_t max = 0;

    for (size_t i = 0; i < r->nsets; i++) {
        int64_t n = is_old(r, &r->sets[i]) ? annotation_i64(r->sets[i].obj, A_REVISION, 0) : 0;
        max = n > max ? n : max;
    }
    return max;
}

static bool
skip_annotation(const char *key)
{
    static const char *const own[] = { "kubectl.kubernetes.io/last-applied-configuration", A_REVISION, A_HISTORY, A_DESIRED, A_MAX,
                                       "deprecated.deployment.rollback.to" };

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (str_eq(key, own[i]))
            return true;
    return false;
}

static void
add_history(struct rollout *r, struct rset *s, const char *old_revision)
{
    const char *had = meta_annotation(object_meta(s->obj), A_HISTORY);
    AUTO_FREE char *all = str_empty(had) ? xstrdup(old_revision) : xasprintf("%s,%s", had, old_revision);
    const char *shown = all;

    while (strlen(shown) > HISTORY_MAX && strchr(shown, ','))
        shown = strchr(shown, ',') + 1;
    annotate(r, s, A_HISTORY, shown);
}

static void
annotate_new_set(struct rollout *r, struct rset *s, int64_t revision)
{
    const struct string_map *from = &r->d->metadata.annotations;
    const char *had = meta_annotation(object_meta(s->obj), A_REVISION);
    AUTO_FREE char *old = xstrdup(had);
    char text[24];

    for (uint32_t i = 0; i < from->len; i++)
        if (!skip_annotation(from->items[i].key))
            annotate(r, s, from->items[i].key, str_safe(from->items[i].value));
    if (annotation_i64(s->obj, A_REVISION, 0) >= revision)
        return;
    snprintf(text, sizeof text, "%lld", (long long)revision);
    annotate(r, s, A_REVISION, text);
    if (old)
        add_history(r, s, old);
}

static void
set_deployment_revision(struct rollout *r, const char *revision)
{
    string_map_set(&r->d->metadata.annotations, r->a, A_REVISION, str_safe(revision));
}

/* --- a new ReplicaSet --- */

static int32_t
new_set_size(const struct rollout *r, int32_t own)
{
    if (!deployment_is_rolling(r->d))
        return wanted(r->d);
    int64_t room = (int64_t)wanted(r->d) + deployment_max_surge(r->d) - total_size(r, false);
    int32_t missing = wanted(r->d) - own;
    if (room <= 0)
        return own;
    return own + (int32_t)(room < missing ? room : missing);
}

static struct label_selector *
selector_with_hash(const struct label_selector *from, struct arena *a, const char *hash)
{
    struct label_selector *s = ARENA_NEW(a, struct label_selector);

    if (from)
        api_copy(&api_type_label_selector, a, from, s);
    string_map_set(&s->match_labels, a, L_HASH, hash);
    return s;
}

static struct object *
build_set(struct rollout *r)
{
    struct object *obj = object_new_of("apps/v1", "ReplicaSet");
    struct arena *a = object_arena(obj);
    struct replica_set *rs = object_body(obj);
    AUTO_FREE char *hash = pod_template_hash(&r->d->spec.template, r->d->status.collision_count);
    struct owner_reference ref = owner_ref_to(object_kind(r->obj), &r->d->metadata, a);

    rs->metadata.name = arena_printf(a, "%s-%s", r->d->metadata.name, hash);
    rs->metadata.namespace = arena_strdup(a, r->d->metadata.namespace);
    meta_add_owner(&rs->metadata, a, &ref);
    api_copy(&api_type_pod_template_spec, a, &r->d->spec.template, &rs->spec.template);
    string_map_set(&rs->spec.template.metadata.labels, a, L_HASH, hash);
    /* string maps are replaced, never changed in place: the two may share */
    rs->metadata.labels = rs->spec.template.metadata.labels;
    rs->spec.selector = selector_with_hash(r->d->spec.selector, a, hash);
    rs->spec.min_ready_seconds = r->d->spec.min_ready_seconds;
    return obj;
}

static void
create_new_set(struct rollout *r, int64_t revision)
{
    struct object *obj = build_set(r);
    struct rset *s = &r->sets[r->nsets]; /* there is room for one more */
    char text[24];

    *s = (struct rset){ obj, object_body(obj), true };
    s->rs->spec.replicas = arena_i32(object_arena(obj), new_set_size(r, 0));
    r->nsets++;
    r->new_set = s;
    plan_create(r->plan, object_ref(obj), "no ReplicaSet has this pod template");
    annotate_new_set(r, s, revision);
    annotate_replicas(r, s);
    if (size_of(s) > 0)
        plan_event(r->plan, r->picture->deployment, EVENT_NORMAL, "ScalingReplicaSet", "Scaled up replica set %s from 0 to %d", object_name(obj), size_of(s));
    snprintf(text, sizeof text, "%lld", (long long)revision);
    set_deployment_revision(r, text);
    if (deployment_has_deadline(r->d)) {
        AUTO_FREE char *message = xasprintf("Created new replica set \"%s\"", object_name(obj));
        deployment_condition_set(r, "Progressing", "True", "NewReplicaSetCreated", message);
    }
}

static void
refresh_new_set(struct rollout *r, int64_t revision)
{
    struct rset *s = r->new_set;

    annotate_new_set(r, s, revision);
    if (s->rs->spec.min_ready_seconds != r->d->spec.min_ready_seconds) {
        touch(r, s, "minReadySeconds");
        s->rs->spec.min_ready_seconds = r->d->spec.min_ready_seconds;
    }
    set_deployment_revision(r, meta_annotation(object_meta(s->obj), A_REVISION));
    if (deployment_has_deadline(r->d) && !deployment_condition_find(&r->d->status, "Progressing")) {
        AUTO_FREE char *message = xasprintf("Found new replica set \"%s\"", object_name(s->obj));
        deployment_condition_set(r, "Progressing", "True", "FoundNewReplicaSet", message);
    }
}

static void
sync_revision(struct rollout *r, bool create)
{
    int64_t revision = max_old_revision(r) + 1;

    if (r->new_set)
        refresh_new_set(r, revision);
    else if (create)
        create_new_set(r, revision);
}

/* --- scaling in proportion (paused, or spec.replicas changed in mid-rollout) --- */

static struct rset *
active_or_latest(struct rollout *r)
{
    struct rset *active = NULL;
    unsigned n = 0;

    for (size_t i = 0; i < r->nsets; i++) {
        if (size_of(&r->sets[i]) > 0) {
            active = &r->sets[i];
            n++;
        }
    }
    if (n == 1)
        return active;
    if (n > 1)
        return NULL;
    return r->new_set ? r->new_set : r->nsets ? &r->sets[r->nsets - 1] : NULL;
}

static bool
is_saturated(const struct rollout *r)
{
    const struct rset *s = r->new_set;

    return s && annotation_i64(s->obj, A_DESIRED, -1) == wanted(r->d) && size_of(s) == wanted(r->d) &&
           s->rs->status.available_replicas == wanted(r->d);
}

static int64_t
fraction(const struct rollout *r, const struct rset *s)
{
    if (wanted(r->d) == 0)
        return -size_of(s);
    int64_t before = annotation_i64(s->obj, A_MAX, 0);
    if (before <= 0)
        before = OBJECT_BODY(r->picture->deployment, deployment)->status.replicas;
    if (before <= 0)
        return 0;
    int64_t now = (int64_t)wanted(r->d) + deployment_max_surge(r->d);
    return (int64_t)round((double)size_of(s) * (double)now / (double)before) - size_of(s);
}

static int64_t
proportion(const struct rollout *r, const struct rset *s, int64_t to_add, int64_t added)
{
    if (size_of(s) == 0 || to_add == 0 || to_add == added)
        return 0;
    int64_t part = fraction(r, s), left = to_add - added;
    if (to_add > 0)
        return part < left ? part : left;
    return part > left ? part : left;
}

static int
newer_first(const struct rset *a, const struct rset *b)
{
    return -object_created_cmp(a->obj, b->obj);
}

/* The biggest first; equals: the newer first when growing, the older first when shrinking. */
static void
sort_for_scaling(struct rset **sets, size_t n, bool growing)
{
    for (size_t i = 1; i < n; i++) {
        struct rset *s = sets[i];
        size_t at = i;
        while (at > 0) {
            int32_t diff = size_of(s) - size_of(sets[at - 1]);
            int order = diff ? (diff > 0 ? -1 : 1) : growing ? newer_first(s, sets[at - 1]) : -newer_first(s, sets[at - 1]);
            if (order >= 0)
                break;
            sets[at] = sets[at - 1];
            at--;
        }
        sets[at] = s;
    }
}

static void
scale_in_proportion(struct rollout *r)
{
    AUTO_FREE struct rset **sets = xcalloc(r->nsets + 1, sizeof(void *));
    AUTO_FREE int64_t *sizes = xcalloc(r->nsets + 1, sizeof(int64_t));
    int64_t total = 0, added = 0;
    size_t n = 0;

    for (size_t i = 0; i < r->nsets; i++) {
        if (size_of(&r->sets[i]) == 0)
            continue;
        sets[n++] = &r->sets[i];
        total += size_of(&r->sets[i]);
    }
    int64_t allowed = wanted(r->d) > 0 ? (int64_t)wanted(r->d) + deployment_max_surge(r->d) : 0;
    int64_t to_add = allowed - total;
    sort_for_scaling(sets, n, to_add > 0);
    for (size_t i = 0; i < n; i++) {
        int64_t part = proportion(r, sets[i], to_add, added);
        sizes[i] = size_of(sets[i]) + part;
        added += part;
    }
    for (size_t i = 0; i < n; i++) {
        if (i == 0)
            sizes[i] += to_add - added;
        scale_to(r, sets[i], sizes[i] < 0 ? 0 : (int32_t)sizes[i]);
    }
}

static void
scale(struct rollout *r)
{
    struct rset *one = active_or_latest(r);

    if (one) {
        scale_to(r, one, wanted(r->d)); /* also when only the annotations lag: else every sync would take it for a scaling */
        return;
    }
    if (is_saturated(r)) {
        for (size_t i = 0; i < r->nsets; i++)
            if (is_old(r, &r->sets[i]) && size_of(&r->sets[i]) > 0)
                scale_if_different(r, &r->sets[i], 0);
        return;
    }
    if (deployment_is_rolling(r->d))
        scale_in_proportion(r);
}

static bool
is_scaling_event(const struct rollout *r)
{
    for (size_t i = 0; i < r->nsets; i++) {
        int64_t desired = annotation_i64(r->sets[i].obj, A_DESIRED, -1);
        if (size_of(&r->sets[i]) > 0 && desired >= 0 && desired != wanted(r->d))
            return true;
    }
    return false;
}

/* --- history --- */

static int
revision_cmp(const void *pa, const void *pb)
{
    const struct rset *a = *(struct rset *const *)pa, *b = *(struct rset *const *)pb;
    int64_t ra = annotation_i64(a->obj, A_REVISION, 0), rb = annotation_i64(b->obj, A_REVISION, 0);

    return ra != rb ? (ra < rb ? -1 : 1) : object_created_cmp(a->obj, b->obj);
}

static void
clean_up(struct rollout *r)
{
    AUTO_FREE struct rset **old = xcalloc(r->nsets + 1, sizeof(void *));
    int32_t limit = i32_or(r->d->spec.revision_history_limit, INT32_MAX);
    size_t n = 0;

    for (size_t i = 0; i < r->nsets; i++)
        if (is_old(r, &r->sets[i]) && !meta_deleting(object_meta(r->sets[i].obj)))
            old[n++] = &r->sets[i];
    if (limit == INT32_MAX || n <= (size_t)limit)
        return;
    qsort(old, n, sizeof *old, revision_cmp);
    for (size_t i = 0; i < n - (size_t)limit; i++) {
        const struct replica_set *rs = old[i]->rs;
        if (rs->status.replicas == 0 && size_of(old[i]) == 0 && rs->metadata.generation <= rs->status.observed_generation)
            plan_delete(r->plan, old[i]->obj, "over revisionHistoryLimit");
    }
}

/* --- RollingUpdate --- */

static bool
reconcile_new(struct rollout *r)
{
    struct rset *s = r->new_set;

    if (size_of(s) == wanted(r->d))
        return false;
    return scale_if_different(r, s, size_of(s) > wanted(r->d) ? wanted(r->d) : new_set_size(r, size_of(s)));
}

/* Pods that are not available anyway may go first: they cost nothing. */
static int64_t
drop_unhealthy(struct rollout *r, int64_t budget)
{
    int64_t done = 0;

    for (size_t i = 0; i < r->nsets && done < budget; i++) {
        struct rset *s = &r->sets[i];
        int64_t unhealthy = size_of(s) - s->rs->status.available_replicas;
        if (!is_old(r, s) || size_of(s) == 0 || unhealthy <= 0)
            continue;
        int64_t n = unhealthy < budget - done ? unhealthy : budget - done;
        scale_if_different(r, s, size_of(s) - (int32_t)n);
        done += n;
    }
    return done;
}

static int64_t
drop_available(struct rollout *r)
{
    int64_t budget = total_available(r) - (wanted(r->d) - deployment_max_unavailable(r->d)), done = 0;

    for (size_t i = 0; i < r->nsets && done < budget; i++) {
        struct rset *s = &r->sets[i];
        if (!is_old(r, s) || size_of(s) == 0)
            continue;
        int64_t n = size_of(s) < budget - done ? size_of(s) : budget - done;
        scale_if_different(r, s, size_of(s) - (int32_t)n);
        done += n;
    }
    return done;
}

static bool
reconcile_old(struct rollout *r)
{
    if (total_size(r, true) == 0)
        return false;
    int64_t min_available = wanted(r->d) - deployment_max_unavailable(r->d);
    int64_t new_unavailable = size_of(r->new_set) - r->new_set->rs->status.available_replicas;
    int64_t budget = total_size(r, false) - min_available - new_unavailable;
    if (budget <= 0)
        return false;
    int64_t done = drop_unhealthy(r, budget);
    return done + drop_available(r) > 0;
}

static void
roll(struct rollout *r)
{
    sync_revision(r, true);
    if (!reconcile_new(r) && !reconcile_old(r) && deployment_complete(r->d, &r->d->status))
        clean_up(r);
    deployment_status_update(r, true);
    deployment_status_plan(r, true);
}

/* --- Recreate --- */

static bool
old_pods_running(const struct rollout *r)
{
    const char *new_uid = r->new_set ? object_meta(r->new_set->obj)->uid : "";

    for (size_t i = 0; i < r->nsets; i++)
        if (is_old(r, &r->sets[i]) && r->sets[i].rs->status.replicas > 0)
            return true;
    for (size_t i = 0; i < r->picture->pods.len; i++) {
        const struct pod *pod = OBJECT_BODY(r->picture->pods.items[i], pod);
        const struct owner_reference *ref = meta_controller(&pod->metadata);
        if (ref && !str_eq(ref->uid, new_uid) && !pod_terminal(pod))
            return true;
    }
    return false;
}

static void
recreate(struct rollout *r)
{
    bool down = false;

    sync_revision(r, false);
    for (size_t i = 0; i < r->nsets; i++)
        if (is_old(r, &r->sets[i]) && size_of(&r->sets[i]) > 0)
            down = scale_if_different(r, &r->sets[i], 0) || down;
    if (!down && !old_pods_running(r)) {
        if (!r->new_set)
            sync_revision(r, true);
        scale_if_different(r, r->new_set, wanted(r->d));
        if (deployment_complete(r->d, &r->d->status))
            clean_up(r);
    }
    deployment_status_update(r, true);
    deployment_status_plan(r, true);
}

/* --- the whole --- */

static void
mark_paused(struct rollout *r)
{
    const struct deployment_condition *c = deployment_condition_find(&r->d->status, "Progressing");
    bool marked = c && str_eq(c->reason, "DeploymentPaused");

    if (!deployment_has_deadline(r->d) || (c && str_eq(c->reason, "ProgressDeadlineExceeded")))
        return;
    if (r->d->spec.paused && !marked)
        deployment_condition_set(r, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
    else if (!r->d->spec.paused && marked)
        deployment_condition_set(r, "Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
}

static void
scale_only(struct rollout *r)
{
    sync_revision(r, false);
    scale(r);
    if (r->d->spec.paused)
        clean_up(r);
    deployment_status_update(r, false);
    deployment_status_plan(r, false);
}

static void
decide(struct rollout *r)
{
    find_new_set(r);
    if (meta_deleting(&r->d->metadata)) {
        deployment_status_update(r, false);
        deployment_status_plan(r, false);
        return;
    }
    mark_paused(r);
    if (r->d->spec.paused || is_scaling_event(r))
        scale_only(r);
    else if (deployment_is_rolling(r->d))
        roll(r);
    else
        recreate(r);
}

static int
created_cmp(const void *pa, const void *pb)
{
    return object_created_cmp(((const struct rset *)pa)->obj, ((const struct rset *)pb)->obj);
}

static void
take_sets(struct rollout *r, const struct label_query *selector)
{
    struct claim claim = { .owner = r->picture->deployment, .selector = selector, .can_adopt = r->picture->can_adopt };
    AUTO_OBJECT_LIST mine = { 0 };

    claim_objects(&claim, &r->picture->replica_sets, r->plan, &mine);
    r->sets = xcalloc(mine.len + 1, sizeof *r->sets);
    for (size_t i = 0; i < mine.len; i++)
        r->sets[r->nsets++] = (struct rset){ object_ref(mine.items[i]), object_body(mine.items[i]) };
    qsort(r->sets, r->nsets, sizeof *r->sets, created_cmp);
}

static void
rollout_init(struct rollout *r, const struct deployment_picture *p, const char *key, struct api_time now)
{
    *r = (struct rollout){ .picture = p, .plan = plan_new(key), .obj = object_copy(p->deployment), .now = now };
    r->d = object_body(r->obj);
    r->a = object_arena(r->obj);
}

static void
selecting_all(struct rollout *r)
{
    plan_event(r->plan, r->picture->deployment, EVENT_WARNING, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.");
    if (r->d->status.observed_generation < r->d->metadata.generation) {
        r->d->status.observed_generation = r->d->metadata.generation;
        plan_update_status(r->plan, object_ref(r->obj), "observedGeneration");
    }
}

struct plan *
deployment_decide(const struct deployment_picture *p, const char *key, struct api_time now)
{
    AUTO(arena) *a = arena_new(0);
    struct label_query *selector = NULL;
    struct rollout r;

    rollout_init(&r, p, key, now);
    AUTO(kerr) *err = label_query_from(r.d->spec.selector, a, &selector);
    if (!err && label_query_empty(selector))
        selecting_all(&r);
    else if (!err) {
        take_sets(&r, selector);
        decide(&r);
    }
    for (size_t i = 0; i < r.nsets; i++)
        object_unref(r.sets[i].obj);
    free(r.sets);
    object_unref(r.obj);
    return r.plan;
}

/* Another template has the same hash: the collision count changes the next name.  Otherwise: say why it failed. */
struct plan *
deployment_create_failed_decide(const struct deployment_picture *p, const char *key, const struct object *wanted_set,
                                const struct object *taken, const struct kerr *why, struct api_time now)
{
    struct rollout r;
    const struct replica_set *want = OBJECT_BODY(wanted_set, replica_set);
    const struct replica_set *have = taken ? OBJECT_BODY(taken, replica_set) : NULL;

    rollout_init(&r, p, key, now);
    if (have && meta_controlled_by(&have->metadata, r.d->metadata.uid) && template_equal(&have->spec.template, &want->spec.template)) {
        plan_requeue(r.plan, 100); /* it is ours: our copy of the ReplicaSets was behind */
    } else if (have) {
        r.d->status.collision_count = arena_i32(r.a, i32_or(r.d->status.collision_count, 0) + 1);
        plan_update_status(r.plan, object_ref(r.obj), "the name of the new ReplicaSet is taken: another hash next time");
    } else {
        AUTO_FREE char *message = xasprintf("Failed to create new replica set \"%s\": %s", object_name(wanted_set), action_error_text(why));
        deployment_condition_set(&r, "Progressing", "False", "ReplicaSetCreateError", message);
        plan_event(r.plan, p->deployment, EVENT_WARNING, "ReplicaSetCreateError", "%s", message);
        if (deployment_has_deadline(r.d))
            plan_update_status(r.plan, object_ref(r.obj), "the new ReplicaSet could not be created");
    }
    object_unref(r.obj);
    return r.plan;
}

/* --- observe and act --- */

struct state {
    struct informer *deployments, *sets, *pods;
    unsigned sets_by_owner, pods_by_owner;
};

static struct kerr *
check_adoption(struct controller *c, struct deployment_picture *p)
{
    AUTO(arena) *a = arena_new(0);
    struct label_query *q;
    struct kerr *err = label_query_from(OBJECT_BODY(p->deployment, deployment)->spec.selector, a, &q);
    struct claim claim = { .owner = p->deployment, .selector = err ? NULL : q };

    if (err || label_query_empty(q) || !claim_needs_adoption(&claim, &p->replica_sets))
        return err;
    return claim_check_live(c->rest, p->deployment, &p->can_adopt);
}

static struct kerr *
look(struct controller *c, struct deployment_picture *p)
{
    const struct state *s = c->state;
    const struct deployment *d = OBJECT_BODY(p->deployment, deployment);

    controller_owned(s->sets, s->sets_by_owner, d->metadata.uid, d->metadata.namespace, &p->replica_sets);
    for (size_t i = 0; !deployment_is_rolling(d) && i < p->replica_sets.len; i++)
        if (meta_controlled_by(object_meta(p->replica_sets.items[i]), d->metadata.uid))
            controller_owned(s->pods, s->pods_by_owner, object_meta(p->replica_sets.items[i])->uid, NULL, &p->pods);
    return check_adoption(c, p);
}

static const struct action *
failed_create(const struct plan *plan)
{
    for (size_t i = 0; i < plan->len; i++)
        if (plan->items[i].verb == ACTION_CREATE && plan->items[i].state == ACTION_FAILED)
            return &plan->items[i];
    return NULL;
}

/* Takes the error. */
static struct kerr *
after_failure(struct controller *c, const struct deployment_picture *p, const struct plan *plan, struct kerr *why)
{
    const struct action *a = failed_create(plan);
    AUTO(object) *taken = NULL;
    AUTO(kerr) *held = why;

    if (!a || rest_is_transient(a->error))
        return steal_ptr(held);
    if (a->error->reason == KERR_ALREADY_EXISTS) {
        struct kerr *err = rest_get(c->rest, a->kind, a->namespace, a->name, &taken);
        if (err)
            return err;
    }
    struct kerr *err = controller_act(c, NULL, deployment_create_failed_decide(p, plan->key, a->object, taken, a->error, controller_now()));
    return err || taken ? err : steal_ptr(held);
}

static struct kerr *
sync_key(const char *key, void *arg)
{
    struct controller *c = arg;
    const struct state *s = c->state;
    struct deployment_picture p = { .deployment = informer_get_key(s->deployments, key) };

    if (!p.deployment)
        return NULL;
    struct kerr *err = look(c, &p);
    if (!err) {
        AUTO(plan) *plan = deployment_decide(&p, key, controller_now());
        err = controller_run(c, NULL, plan);
        if (err)
            err = after_failure(c, &p, plan, err);
    }
    deployment_picture_done(&p);
    return err;
}

static void
deployment_changed(struct controller *c, const struct object *old, const struct object *now)
{
    controller_enqueue(c, now ? now : old);
}

static void
enqueue_matching(struct controller *c, const struct object *set)
{
    const struct state *s = c->state;
    AUTO_OBJECT_LIST all = { 0 };
    AUTO(arena) *a = arena_new(0);

    informer_list(s->deployments, object_namespace(set), &all);
    for (size_t i = 0; i < all.len; i++) {
        struct label_query *q;
        AUTO(kerr) *err = label_query_from(OBJECT_BODY(all.items[i], deployment)->spec.selector, a, &q);
        if (!err && !label_query_empty(q) && label_query_matches(q, &object_meta(set)->labels))
            controller_enqueue(c, all.items[i]);
    }
}

static void
set_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;
    const struct api_kind *kind = informer_kind(s->deployments);

    if (old && now && str_eq(object_meta(old)->resource_version, object_meta(now)->resource_version))
        return;
    if (old)
        controller_enqueue_owner(c, old, kind);
    if (now && !controller_enqueue_owner(c, now, kind) && !meta_controller(object_meta(now)))
        enqueue_matching(c, now);
}

/* Recreate waits for the old pods to be gone. */
static void
pod_changed(struct controller *c, const struct object *old, const struct object *now)
{
    const struct state *s = c->state;
    const struct object *pod = now ? now : old;
    const struct owner_reference *ref = meta_controller(object_meta(pod));

    if ((now && !pod_terminal(OBJECT_BODY(now, pod))) || !owner_ref_is(ref, informer_kind(s->sets)))
        return;
    AUTO(object) *set = informer_get(s->sets, object_namespace(pod), ref->name);
    if (set)
        controller_enqueue_owner(c, set, informer_kind(s->deployments));
}

struct kerr *
deployment_start(struct controller *c)
{
    struct state *s = XNEW(struct state);

    c->state = s;
    s->deployments = controller_informer(c, "apps/v1", "Deployment");
    s->sets = controller_informer(c, "apps/v1", "ReplicaSet");
    s->pods = controller_informer(c, "v1", "Pod");
    s->sets_by_owner = controller_owner_index(s->sets);
    s->pods_by_owner = controller_owner_index(s->pods);
    controller_queue(c, (unsigned)c->options->syncs_deployment, sync_key);
    controller_watch(c, "apps/v1", "Deployment", deployment_changed);
    controller_watch(c, "apps/v1", "ReplicaSet", set_changed);
    controller_watch(c, "v1", "Pod", pod_changed);
    return NULL;
}
