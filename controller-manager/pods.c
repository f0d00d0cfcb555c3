// SPDX-License-Identifier: Apache-2.0
/* pods.c - pods out of templates, the hash of a template, and which pods to delete first. */
#include "common/api/codec.h"
#include "common/api/values.h"
#include "controller-manager/controller.h"

/* --- templates --- */

struct object *
pod_from_template(const struct pod_template_spec *t, const struct object *owner)
{
    struct object *obj = object_new_of("v1", "Pod");
    struct arena *a = object_arena(obj);
    struct pod *pod = object_body(obj);
    struct object_meta *meta = &pod->metadata;
    struct pod_template_spec copy;
    struct owner_reference ref = owner_ref_to(object_kind(owner), object_meta(owner), a);

    api_copy(&api_type_pod_template_spec, a, t, &copy);
    meta->generate_name = arena_printf(a, "%s-", object_name(owner));
    meta->namespace = arena_strdup(a, object_namespace(owner));
    meta->labels = copy.metadata.labels;
    meta->annotations = copy.metadata.annotations;
    meta->finalizers = copy.metadata.finalizers;
    meta_add_owner(meta, a, &ref);
    pod->spec = copy.spec;
    return obj;
}

char *
safe_encode(uint32_t hash)
{
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789"; /* upstream's: no vowels, no look-alikes */
    char *text = xasprintf("%u", hash);

    for (char *p = text; *p; p++)
        *p = alphabet[(unsigned char)*p % (sizeof alphabet - 1)];
    return text;
}

char *
pod_template_hash(const struct pod_template_spec *t, const int32_t *collision_count)
{
    AUTO_SBUF json = { 0 };

    json_encode(&api_type_pod_template_spec, t, &json);
    uint32_t hash = fnv32a(FNV32_INIT, sbuf_str(&json), json.len);
    if (collision_count) {
        uint32_t n = (uint32_t)*collision_count;
        uint8_t bytes[8] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24) };
        hash = fnv32a(hash, bytes, sizeof bytes);
    }
    return safe_encode(hash);
}

/* --- deletion order --- */

struct ranked {
    struct object *obj;
    const struct pod *pod;
    bool ready;
    int phase;
    int64_t cost;
    uint32_t neighbours; /* pods of the same workload on this pod's node */
    int ready_age, age;  /* log2 of the age: pods of about the same age are equal */
    int32_t restarts;
};

static int
phase_order(const char *phase)
{
    return str_eq(phase, "Running") ? 2 : str_eq(phase, "Unknown") ? 1 : 0;
}

static int
log_age(struct api_time since, struct api_time now)
{
    int64_t ns = (now.sec - since.sec) * 1000000000 + now.nsec - since.nsec;

    return api_time_is_zero(since) || ns <= 0 ? -1 : 63 - __builtin_clzll((unsigned long long)ns);
}

static int32_t
max_restarts(const struct pod *pod)
{
    int32_t most = 0;

    for (uint32_t i = 0; i < pod->status.container_statuses.len; i++)
        if (pod->status.container_statuses.items[i].restart_count > most)
            most = pod->status.container_statuses.items[i].restart_count;
    return most;
}

static int
ranked_cmp(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    bool placed_a = !str_empty(a->pod->spec.node_name), placed_b = !str_empty(b->pod->spec.node_name);

    if (placed_a != placed_b)
        return placed_a ? 1 : -1;
    if (a->phase != b->phase)
        return a->phase - b->phase;
    if (a->ready != b->ready)
        return a->ready ? 1 : -1;
    if (a->cost != b->cost)
        return a->cost < b->cost ? -1 : 1;
    if (a->neighbours != b->neighbours)
        return a->neighbours > b->neighbours ? -1 : 1;
    if (a->ready && a->ready_age != b->ready_age)
        return a->ready_age - b->ready_age;
    if (a->restarts != b->restarts)
        return a->restarts > b->restarts ? -1 : 1;
    if (a->age != b->age)
        return a->age - b->age;
    return str_cmp(a->pod->metadata.uid, b->pod->metadata.uid);
}

static int64_t
deletion_cost(const struct pod *pod)
{
    int32_t cost = 0;

    if (parse_i32(str_safe(meta_annotation(&pod->metadata, "controller.kubernetes.io/pod-deletion-cost")), &cost))
        return 0;
    return cost;
}

static uint32_t
count_on_node(const struct object_list *related, const char *node)
{
    uint32_t n = 0;

    for (size_t i = 0; related && i < related->len; i++) {
        const struct pod *pod = OBJECT_BODY(related->items[i], pod);
        n += pod_active(pod) && str_eq(pod->spec.node_name, node);
    }
    return n;
}

void
pods_rank_for_deletion(struct object_list *pods, const struct object_list *related, struct api_time now)
{
    struct ranked *ranked = xcalloc(pods->len + 1, sizeof *ranked);

    for (size_t i = 0; i < pods->len; i++) {
        const struct pod *pod = OBJECT_BODY(pods->items[i], pod);
        ranked[i] = (struct ranked){
            .obj = pods->items[i], .pod = pod, .ready = pod_ready(pod), .phase = phase_order(pod->status.phase),
            .cost = deletion_cost(pod), .neighbours = count_on_node(related, pod->spec.node_name),
            .ready_age = log_age(pod_ready_since(pod), now), .age = log_age(pod->metadata.creation_timestamp, now),
            .restarts = max_restarts(pod),
        };
    }
    qsort(ranked, pods->len, sizeof *ranked, ranked_cmp);
    for (size_t i = 0; i < pods->len; i++)
        pods->items[i] = ranked[i].obj;
    free(ranked);
}
