// SPDX-License-Identifier: Apache-2.0
#include "common/api/meta.h"

#include <string.h>

#include "common/api/values.h"
#include "common/base/str.h"

/* ---- string maps and slices ---- */

/* Index of the first entry whose key is not less than `key`. */
static uint32_t
map_position(const struct string_map *m, const char *key)
{
    uint32_t i = 0;

    while (i < m->len && strcmp(m->items[i].key, key) < 0)
        i++;
    return i;
}

bool
string_map_set(struct string_map *m, struct arena *a, const char *key, const char *value)
{
    uint32_t at = map_position(m, key);
    bool present = at < m->len && strcmp(m->items[at].key, key) == 0;

    if (present && str_eq(m->items[at].value, value))
        return false;
    uint32_t len = m->len + !present;
    struct string_map_entry *items = arena_alloc(a, len * sizeof *items);
    if (at > 0)
        memcpy(items, m->items, at * sizeof *items);
    items[at] = (struct string_map_entry){ arena_strdup(a, key), arena_strdup(a, str_safe(value)) };
    if (len > at + 1)
        memcpy(items + at + 1, m->items + at + present, (len - at - 1) * sizeof *items);
    *m = (struct string_map){ items, len, len };
    return true;
}

bool
string_map_del(struct string_map *m, struct arena *a, const char *key)
{
    uint32_t at = map_position(m, key);

    if (at >= m->len || strcmp(m->items[at].key, key) != 0)
        return false;
    uint32_t len = m->len - 1;
    struct string_map_entry *items = arena_alloc(a, (len + 1) * sizeof *items);
    memcpy(items, m->items, at * sizeof *items);
    memcpy(items + at, m->items + at + 1, (len - at) * sizeof *items);
    *m = (struct string_map){ items, len, len };
    return true;
}

bool
string_slice_has(const struct string_slice *l, const char *s)
{
    for (uint32_t i = 0; i < l->len; i++)
        if (str_eq(l->items[i], s))
            return true;
    return false;
}

void
string_slice_add(struct string_slice *l, struct arena *a, const char *s)
{
    const char **items = arena_alloc(a, (l->len + 1) * sizeof *items);

    if (l->len > 0)
        memcpy(items, l->items, l->len * sizeof *items);
    items[l->len] = arena_strdup(a, str_safe(s));
    *l = (struct string_slice){ items, l->len + 1, l->len + 1 };
}

bool
string_slice_del(struct string_slice *l, struct arena *a, const char *s)
{
    const char **items;
    uint32_t n = 0;

    if (!string_slice_has(l, s))
        return false;
    items = arena_alloc(a, l->len * sizeof *items);
    for (uint32_t i = 0; i < l->len; i++)
        if (!str_eq(l->items[i], s))
            items[n++] = l->items[i];
    *l = (struct string_slice){ items, n, n };
    return true;
}

/* ---- metadata ---- */

bool
meta_add_finalizer(struct object_meta *m, struct arena *a, const char *name)
{
    if (meta_has_finalizer(m, name))
        return false;
    string_slice_add(&m->finalizers, a, name);
    return true;
}

bool
meta_del_finalizer(struct object_meta *m, struct arena *a, const char *name)
{
    return string_slice_del(&m->finalizers, a, name);
}

const struct owner_reference *
meta_controller(const struct object_meta *m)
{
    for (uint32_t i = 0; i < m->owner_references.len; i++) {
        const struct owner_reference *ref = &m->owner_references.items[i];
        if (ref->controller && *ref->controller)
            return ref;
    }
    return NULL;
}

const struct owner_reference *
meta_owner(const struct object_meta *m, const char *uid)
{
    for (uint32_t i = 0; i < m->owner_references.len; i++)
        if (str_eq(m->owner_references.items[i].uid, uid))
            return &m->owner_references.items[i];
    return NULL;
}

bool
meta_controlled_by(const struct object_meta *m, const char *uid)
{
    const struct owner_reference *ref = meta_controller(m);

    return ref && str_eq(ref->uid, uid);
}

struct owner_reference
owner_ref_to(const struct api_kind *kind, const struct object_meta *owner, struct arena *a)
{
    struct owner_reference ref = {
        .api_version = api_kind_api_version(kind),
        .kind = kind->kind,
        .name = arena_strdup(a, owner->name),
        .uid = arena_strdup(a, owner->uid),
        .controller = arena_alloc(a, sizeof(bool)),
        .block_owner_deletion = arena_alloc(a, sizeof(bool)),
    };

    *ref.controller = true;
    *ref.block_owner_deletion = true;
    return ref;
}

void
meta_add_owner(struct object_meta *m, struct arena *a, const struct owner_reference *ref)
{
    struct owner_reference_slice *l = &m->owner_references;
    struct owner_reference *items = arena_alloc(a, (l->len + 1) * sizeof *items);

    if (l->len > 0)
        memcpy(items, l->items, l->len * sizeof *items);
    *l = (struct owner_reference_slice){ items, l->len, l->len + 1 };
    for (uint32_t i = 0; i < l->len; i++)
        if (str_eq(items[i].uid, ref->uid)) {
            items[i] = *ref;
            return;
        }
    items[l->len++] = *ref;
}

bool
meta_del_owner(struct object_meta *m, struct arena *a, const char *uid)
{
    struct owner_reference_slice *l = &m->owner_references;
    uint32_t n = 0;

    if (!meta_owner(m, uid))
        return false;
    struct owner_reference *items = arena_alloc(a, l->len * sizeof *items);
    for (uint32_t i = 0; i < l->len; i++)
        if (!str_eq(l->items[i].uid, uid))
            items[n++] = l->items[i];
    *l = (struct owner_reference_slice){ items, n, n };
    return true;
}

/* ---- conditions ---- */

const struct pod_condition *
pod_condition_find(const struct pod_status *s, const char *type)
{
    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (str_eq(s->conditions.items[i].type, type))
            return &s->conditions.items[i];
    return NULL;
}

const struct node_condition *
node_condition_find(const struct node_status *s, const char *type)
{
    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (str_eq(s->conditions.items[i].type, type))
            return &s->conditions.items[i];
    return NULL;
}

const struct condition *
condition_find(const struct condition_slice *l, const char *type)
{
    for (uint32_t i = 0; i < l->len; i++)
        if (str_eq(l->items[i].type, type))
            return &l->items[i];
    return NULL;
}

bool
pod_condition_true(const struct pod_status *s, const char *type)
{
    const struct pod_condition *c = pod_condition_find(s, type);

    return c && str_eq(c->status, "True");
}

bool
pod_condition_set(struct pod_status *s, struct arena *a, const char *type, const char *status, const char *reason,
                  const char *message, struct api_time now)
{
    struct pod_condition_slice *l = &s->conditions;
    const struct pod_condition *old = pod_condition_find(s, type);
    uint32_t at = old ? (uint32_t)(old - l->items) : l->len, len = l->len + !old;

    if (old && str_eq(old->status, status) && str_eq(old->reason, reason) && str_eq(old->message, message))
        return false;
    struct pod_condition *items = arena_alloc(a, len * sizeof *items);
    if (l->len > 0)
        memcpy(items, l->items, l->len * sizeof *items);
    if (!old || !str_eq(old->status, status))
        items[at].last_transition_time = now;
    items[at].type = arena_strdup(a, type);
    items[at].status = arena_strdup(a, status);
    items[at].reason = arena_strdup(a, reason);
    items[at].message = arena_strdup(a, message);
    *l = (struct pod_condition_slice){ items, len, len };
    return true;
}

bool
condition_set(struct condition_slice *l, struct arena *a, const char *type, const char *status, const char *reason,
              const char *message, int64_t generation, struct api_time now)
{
    const struct condition *old = condition_find(l, type);
    uint32_t at = old ? (uint32_t)(old - l->items) : l->len, len = l->len + !old;

    if (old && str_eq(old->status, status) && str_eq(old->reason, reason) && str_eq(old->message, message) &&
        old->observed_generation == generation)
        return false;
    struct condition *items = arena_alloc(a, len * sizeof *items);
    if (l->len > 0)
        memcpy(items, l->items, l->len * sizeof *items);
    if (!old || !str_eq(old->status, status))
        items[at].last_transition_time = now;
    items[at].type = arena_strdup(a, type);
    items[at].status = arena_strdup(a, status);
    items[at].reason = arena_strdup(a, reason);
    items[at].message = arena_strdup(a, message);
    items[at].observed_generation = generation;
    *l = (struct condition_slice){ items, len, len };
    return true;
}

/* ---- pods ---- */

bool
pod_ready(const struct pod *pod)
{
    return pod_condition_true(&pod->status, "Ready");
}

struct api_time
pod_ready_since(const struct pod *pod)
{
    const struct pod_condition *c = pod_condition_find(&pod->status, "Ready");

    return c && str_eq(c->status, "True") ? c->last_transition_time : (struct api_time){ 0 };
}

bool
pod_available(const struct pod *pod, int32_t min_ready_seconds, struct api_time now)
{
    struct api_time since = pod_ready_since(pod);

    if (!pod_ready(pod))
        return false;
    if (min_ready_seconds == 0)
        return true;
    since.sec += min_ready_seconds;
    return !api_time_is_zero(pod_ready_since(pod)) && api_time_cmp(since, now) <= 0;
}

bool
pod_terminal(const struct pod *pod)
{
    return str_eq(pod->status.phase, "Succeeded") || str_eq(pod->status.phase, "Failed");
}

bool
pod_active(const struct pod *pod)
{
    return !pod_terminal(pod) && !meta_deleting(&pod->metadata);
}

bool
container_is_sidecar(const struct container *init)
{
    return str_eq(init->restart_policy, "Always");
}

bool
pod_is_mirror(const struct pod *pod)
{
    return meta_annotation(&pod->metadata, "kubernetes.io/config.mirror") != NULL;
}

/* ---- resources ---- */

static struct quantity_map_entry *
find_quantity(const struct quantity_map *m, const char *name)
{
    uint32_t low = 0, high = m->len;

    while (low < high) { /* maps are sorted by key */
        uint32_t mid = low + (high - low) / 2;
        int cmp = strcmp(m->items[mid].key, name);
        if (cmp == 0)
            return &m->items[mid];
        if (cmp < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

struct quantity
quantity_map_get(const struct quantity_map *m, const char *name)
{
    const struct quantity_map_entry *e = find_quantity(m, name);

    return e ? e->value : (struct quantity){ 0 };
}

bool
quantity_map_has(const struct quantity_map *m, const char *name)
{
    return find_quantity(m, name) != NULL;
}

void
quantity_map_set(struct quantity_map *m, struct arena *a, const char *name, struct quantity q)
{
    uint32_t at = 0;

    while (at < m->len && strcmp(m->items[at].key, name) < 0)
        at++;
    bool present = at < m->len && strcmp(m->items[at].key, name) == 0;
    uint32_t len = m->len + !present;
    struct quantity_map_entry *items = arena_alloc(a, len * sizeof *items);
    if (at > 0)
        memcpy(items, m->items, at * sizeof *items);
    items[at] = (struct quantity_map_entry){ name, q };
    if (len > at + 1)
        memcpy(items + at + 1, m->items + at + present, (len - at - 1) * sizeof *items);
    *m = (struct quantity_map){ items, len, len };
}

void
quantity_map_add(struct quantity_map *sum, const struct quantity_map *m, struct arena *a)
{
    for (uint32_t i = 0; i < m->len; i++) {
        const struct quantity_map_entry *have = find_quantity(sum, m->items[i].key);
        quantity_map_set(sum, a, m->items[i].key,
                         have ? quantity_add(have->value, m->items[i].value, a) : m->items[i].value);
    }
}

void
quantity_map_max(struct quantity_map *max, const struct quantity_map *m, struct arena *a)
{
    for (uint32_t i = 0; i < m->len; i++) {
        const struct quantity_map_entry *have = find_quantity(max, m->items[i].key);
        if (!have || quantity_cmp(m->items[i].value, have->value) > 0)
            quantity_map_set(max, a, m->items[i].key, m->items[i].value);
    }
}

static const struct quantity_map *
resources_of(const struct resource_requirements *r, bool limits)
{
    return limits ? &r->limits : &r->requests;
}

/* The init phase runs one container at a time, beside the sidecars started before it. */
static struct quantity_map
aggregate(const struct pod_spec *spec, bool limits, struct arena *a)
{
    struct quantity_map sum = { 0 }, sidecars = { 0 }, largest = { 0 };

    for (uint32_t i = 0; i < spec->containers.len; i++)
        quantity_map_add(&sum, resources_of(&spec->containers.items[i].resources, limits), a);
    for (uint32_t i = 0; i < spec->init_containers.len; i++) {
        const struct container *c = &spec->init_containers.items[i];
        const struct quantity_map *own = resources_of(&c->resources, limits);
        if (container_is_sidecar(c)) {
            quantity_map_add(&sum, own, a);
            quantity_map_add(&sidecars, own, a);
            quantity_map_max(&largest, &sidecars, a);
        } else {
            struct quantity_map phase = sidecars;
            quantity_map_add(&phase, own, a);
            quantity_map_max(&largest, &phase, a);
        }
    }
    quantity_map_max(&sum, &largest, a);
    return sum;
}

static bool
pod_level_resource(const char *name)
{
    return strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0 || str_has_prefix(name, "hugepages-");
}

static struct quantity_map
pod_resources(const struct pod_spec *spec, bool limits, struct arena *a)
{
    struct quantity_map sum = aggregate(spec, limits, a);

    if (spec->resources) {
        const struct quantity_map *own = resources_of(spec->resources, limits);
        for (uint32_t i = 0; i < own->len; i++)
            if (pod_level_resource(own->items[i].key))
                quantity_map_set(&sum, a, own->items[i].key, own->items[i].value);
    }
    for (uint32_t i = 0; i < spec->overhead.len; i++) {
        const struct quantity_map_entry *e = &spec->overhead.items[i], *have = find_quantity(&sum, e->key);
        if (have)
            quantity_map_set(&sum, a, e->key, quantity_add(have->value, e->value, a));
        else if (!limits)
            quantity_map_set(&sum, a, e->key, e->value);
    }
    return sum;
}

struct quantity_map
pod_requests(const struct pod_spec *spec, struct arena *a)
{
    return pod_resources(spec, false, a);
}

struct quantity_map
pod_limits(const struct pod_spec *spec, struct arena *a)
{
    return pod_resources(spec, true, a);
}

/* Sums of cpu and memory over all containers, as QoS sees them. */
struct qos_sums {
    struct quantity requests[2], limits[2];
    bool has_request[2], has_limit[2];
    bool guaranteed;
};

static void
qos_count(struct qos_sums *q, const struct resource_requirements *r, struct arena *a)
{
    static const char *const names[2] = { "cpu", "memory" };

    for (int i = 0; i < 2; i++) {
        struct quantity request = quantity_map_get(&r->requests, names[i]), limit = quantity_map_get(&r->limits, names[i]);
        if (quantity_sign(request) > 0) {
            q->requests[i] = quantity_add(q->requests[i], request, a);
            q->has_request[i] = true;
        }
        if (quantity_sign(limit) > 0) {
            q->limits[i] = quantity_add(q->limits[i], limit, a);
            q->has_limit[i] = true;
        } else
            q->guaranteed = false;
    }
}

const char *
pod_qos(const struct pod_spec *spec)
{
    AUTO(arena) *a = arena_new(512);
    struct qos_sums q = { .guaranteed = true };
    const struct resource_requirements *own = spec->resources;

    if (own && (own->requests.len > 0 || own->limits.len > 0))
        qos_count(&q, own, a);
    else {
        for (uint32_t i = 0; i < spec->containers.len; i++)
            qos_count(&q, &spec->containers.items[i].resources, a);
        for (uint32_t i = 0; i < spec->init_containers.len; i++)
            qos_count(&q, &spec->init_containers.items[i].resources, a);
    }
    if (!q.has_request[0] && !q.has_request[1] && !q.has_limit[0] && !q.has_limit[1])
        return "BestEffort";
    for (int i = 0; i < 2; i++) {
        if (q.has_request[i] != q.has_limit[i])
            q.guaranteed = false;
        if (q.has_request[i] && (!q.has_limit[i] || quantity_cmp(q.requests[i], q.limits[i]) != 0))
            q.guaranteed = false;
    }
    return q.guaranteed ? "Guaranteed" : "Burstable";
}
