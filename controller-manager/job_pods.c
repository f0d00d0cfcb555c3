// SPDX-License-Identifier: Apache-2.0
/* job_pods.c - the pods a job makes, and those it takes away first. */
#include "common/api/values.h"
#include "controller-manager/job.h"

#define INDEX_ENV "JOB_COMPLETION_INDEX"
#define GENERATED_NAME_MAX 58 /* 63 less the five random characters */

/* --- new pods --- */

static void
add_index_env(struct container_slice *l, struct arena *a)
{
    struct container *items = arena_memdup(a, l->items, l->len * sizeof *items);

    for (uint32_t i = 0; i < l->len; i++) {
        struct env_var_slice *env = &items[i].env;
        bool has = false;
        for (uint32_t k = 0; k < env->len; k++)
            has = has || str_eq(env->items[k].name, INDEX_ENV);
        if (has)
            continue;
        struct env_var *vars = arena_alloc(a, (env->len + 1) * sizeof *vars);
        for (uint32_t k = 0; k < env->len; k++)
            vars[k] = env->items[k];
        vars[env->len].name = INDEX_ENV;
        vars[env->len].value_from = ARENA_NEW(a, struct env_var_source);
        vars[env->len].value_from->field_ref = ARENA_NEW(a, struct object_field_selector);
        vars[env->len].value_from->field_ref->field_path = "metadata.labels['" JOB_INDEX "']"; /* the label, since 1.31 */
        *env = (struct env_var_slice){ vars, env->len + 1, env->len + 1 };
    }
    l->items = items;
}

/* backoffLimitPerIndex: how often this index has failed goes from pod to pod. */
static void
add_failure_count(const struct job_picture *p, struct pod *pod, struct arena *a, int32_t index)
{
    const struct object *before = p->delayed ? p->delayed[index] : NULL;
    int32_t failures = 0, ignored = 0;

    if (before) {
        const struct pod *b = OBJECT_BODY(before, pod);
        if (parse_i32(str_safe(meta_annotation(&b->metadata, "batch.kubernetes.io/job-index-failure-count")), &failures))
            failures = 0;
        if (parse_i32(str_safe(meta_annotation(&b->metadata, "batch.kubernetes.io/job-index-ignored-failure-count")), &ignored))
            ignored = 0;
        if (job_pod_failure(p->j, b, a, NULL) == JOB_IGNORE)
            ignored++;
        else
            failures++;
    }
    string_map_set(&pod->metadata.annotations, a, "batch.kubernetes.io/job-index-failure-count", arena_printf(a, "%d", failures));
    if (ignored)
        string_map_set(&pod->metadata.annotations, a, "batch.kubernetes.io/job-index-ignored-failure-count", arena_printf(a, "%d", ignored));
}

struct object *
job_new_pod(const struct job_picture *p, int32_t index)
{
    const struct job *j = p->j;
    struct object *obj = pod_from_template(&j->spec.template, p->job);
    struct arena *a = object_arena(obj);
    struct pod *pod = object_body(obj);

    meta_add_finalizer(&pod->metadata, a, JOB_FINALIZER);
    if (index < 0)
        return obj;
    const char *number = arena_printf(a, "%d", index);
    add_index_env(&pod->spec.init_containers, a);
    add_index_env(&pod->spec.containers, a);
    string_map_set(&pod->metadata.annotations, a, JOB_INDEX, number);
    string_map_set(&pod->metadata.labels, a, JOB_INDEX, number);
    pod->spec.hostname = arena_printf(a, "%s-%d", j->metadata.name, index);
    int room = GENERATED_NAME_MAX - (int)strlen(number) - 2;
    pod->metadata.generate_name = arena_printf(a, "%.*s-%d-", room, j->metadata.name, index);
    if (j->spec.backoff_limit_per_index)
        add_failure_count(p, pod, a, index);
    return obj;
}

/* --- pods too many --- */

struct numbered {
    struct object *obj;
    int32_t index;
    size_t place;
};

static int
numbered_cmp(const void *pa, const void *pb)
{
    const struct numbered *a = pa, *b = pb;

    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return a->place < b->place ? -1 : 1;
}

void
job_sort_by_index(struct object_list *pods)
{
    struct numbered *n = xcalloc(pods->len + 1, sizeof *n);

    for (size_t i = 0; i < pods->len; i++)
        n[i] = (struct numbered){ pods->items[i], job_pod_index(OBJECT_BODY(pods->items[i], pod)), i };
    qsort(n, pods->len, sizeof *n, numbered_cmp);
    for (size_t i = 0; i < pods->len; i++)
        pods->items[i] = n[i].obj;
    free(n);
}

/* Of those with the same index all but the best one go; without an index, or with one too high, all. */
static void
sort_out_repeated(const struct job_picture *p, struct api_time now, struct object_list *remove, struct object_list *left)
{
    AUTO_OBJECT_LIST sorted = { 0 };

    for (size_t i = 0; i < p->active.len; i++)
        object_list_ref(&sorted, p->active.items[i]);
    job_sort_by_index(&sorted);
    for (size_t i = 0, next; i < sorted.len; i = next) {
        int32_t index = job_pod_index(OBJECT_BODY(sorted.items[i], pod));
        for (next = i + 1; next < sorted.len && job_pod_index(OBJECT_BODY(sorted.items[next], pod)) == index; next++)
            ;
        bool valid = index >= 0 && index < i32_or(p->j->spec.completions, 0);
        struct object_list same = { sorted.items + i, next - i, next - i };
        if (valid)
            pods_rank_for_deletion(&same, NULL, now);
        for (size_t k = 0; k < same.len; k++)
            object_list_ref(valid && k + 1 == same.len ? left : remove, same.items[k]);
    }
}

void
job_pods_to_remove(struct job_picture *p, size_t at_least, struct api_time now, struct object_list *ret)
{
    AUTO_OBJECT_LIST left = { 0 };

    if (str_eq(p->j->spec.completion_mode, "Indexed")) {
        sort_out_repeated(p, now, ret, &left);
    } else {
        for (size_t i = 0; i < p->active.len; i++)
            object_list_ref(&left, p->active.items[i]);
    }
    if (ret->len >= at_least)
        return;
    pods_rank_for_deletion(&left, NULL, now);
    for (size_t i = 0; i < left.len && ret->len < at_least; i++)
        object_list_ref(ret, left.items[i]);
}
