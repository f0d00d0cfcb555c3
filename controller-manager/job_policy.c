// SPDX-License-Identifier: Apache-2.0
/* job_policy.c - what the end of a pod means to its job: podFailurePolicy, successPolicy, back-off. */
#include "common/api/values.h"
#include "controller-manager/job.h"

/* --- one pod --- */

int32_t
job_pod_index(const struct pod *pod)
{
    int32_t n;

    if (parse_i32(str_safe(meta_annotation(&pod->metadata, JOB_INDEX)), &n) || n < 0)
        return -1;
    return n;
}

bool
job_replaces_failed_only(const struct job *j)
{
    if (!str_empty(j->spec.pod_replacement_policy))
        return str_eq(j->spec.pod_replacement_policy, "Failed");
    return j->spec.pod_failure_policy != NULL;
}

/* A pod that is being deleted counts as failed: one that never reaches a node would never get the phase. */
bool
job_pod_failed(const struct job *j, const struct pod *pod)
{
    if (str_eq(pod->status.phase, "Failed"))
        return true;
    if (job_replaces_failed_only(j))
        return false;
    return meta_deleting(&pod->metadata) && !str_eq(pod->status.phase, "Succeeded");
}

/* The latest end of the containers that count; false: one of them has not ended. */
static bool
latest_end(const struct container_status_slice *l, const struct pod *pod, bool sidecars_only, struct api_time *latest)
{
    for (uint32_t i = 0; i < l->len; i++) {
        const struct container_status *s = &l->items[i];
        bool counts = !sidecars_only;
        for (uint32_t k = 0; !counts && k < pod->spec.init_containers.len; k++)
            counts = str_eq(pod->spec.init_containers.items[k].name, s->name) && container_is_sidecar(&pod->spec.init_containers.items[k]);
        if (!counts)
            continue;
        if (!s->state.terminated || api_time_is_zero(s->state.terminated->finished_at))
            return false;
        if (api_time_cmp(*latest, s->state.terminated->finished_at) < 0)
            *latest = s->state.terminated->finished_at;
    }
    return true;
}

struct api_time
job_pod_finish_time(const struct pod *pod)
{
    const struct pod_condition *ready = pod_condition_find(&pod->status, "Ready");
    struct api_time t = { 0 };

    if (latest_end(&pod->status.container_statuses, pod, false, &t) && latest_end(&pod->status.init_container_statuses, pod, true, &t) &&
        !api_time_is_zero(t))
        return t;
    if (ready && str_eq(ready->status, "False") && !api_time_is_zero(ready->last_transition_time))
        return ready->last_transition_time;
    if (!pod->metadata.deletion_timestamp)
        return pod->metadata.creation_timestamp;
    t = *pod->metadata.deletion_timestamp;
    t.sec -= i64_or(pod->metadata.deletion_grace_period_seconds, 0);
    return t;
}

void
job_patch_finalizer(struct plan *plan, const struct object *pod, unsigned batch)
{
    struct action *a = plan_patch(plan, object_kind(pod), object_namespace(pod), object_name(pod), REST_PATCH_STRATEGIC, NULL,
                                  "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"" JOB_FINALIZER "\"]}}", "the job is done with it");
    a->flags = ACTION_IGNORE_NOT_FOUND | ACTION_GO_ON;
    a->batch = batch;
}

/* --- podFailurePolicy --- */

static const struct container_status *
match_exit_code(const struct container_status_slice *l, const struct pod_failure_policy_on_exit_codes_requirement *want)
{
    for (uint32_t i = 0; i < l->len; i++) {
        const struct container_status *s = &l->items[i];
        const struct container_state_terminated *end = s->state.terminated;
        bool listed = false;
        if (!end || end->exit_code == 0 || (!str_empty(want->container_name) && !str_eq(want->container_name, s->name)))
            continue;
        for (uint32_t k = 0; k < want->values.len; k++)
            listed = listed || want->values.items[k] == end->exit_code;
        if (listed ? str_eq(want->operator, "In") : str_eq(want->operator, "NotIn"))
            return s;
    }
    return NULL;
}

static const struct pod_condition *
match_condition(const struct pod_status *status, const struct pod_failure_policy_on_pod_conditions_pattern_slice *want)
{
    for (uint32_t i = 0; i < status->conditions.len; i++)
        for (uint32_t k = 0; k < want->len; k++)
            if (str_eq(status->conditions.items[i].type, want->items[k].type) && str_eq(status->conditions.items[i].status, want->items[k].status))
                return &status->conditions.items[i];
    return NULL;
}

/* NULL: the rule is not about this pod. Else what it matched, as the message says it. */
static char *
match_rule(const struct pod_failure_policy_rule *rule, uint32_t index, const struct pod *pod, struct arena *a)
{
    if (rule->on_exit_codes) {
        const struct container_status *s = match_exit_code(&pod->status.container_statuses, rule->on_exit_codes);
        s = s ? s : match_exit_code(&pod->status.init_container_statuses, rule->on_exit_codes);
        return s ? arena_printf(a, "Container %s for pod %s/%s failed with exit code %d matching %s rule at index %u", s->name,
                                pod->metadata.namespace, pod->metadata.name, s->state.terminated->exit_code, rule->action, index)
                 : NULL;
    }
    const struct pod_condition *c = match_condition(&pod->status, &rule->on_pod_conditions);
    return c ? arena_printf(a, "Pod %s/%s has condition %s matching %s rule at index %u", pod->metadata.namespace, pod->metadata.name, c->type,
                            rule->action, index)
             : NULL;
}

enum job_failure
job_pod_failure(const struct job *j, const struct pod *pod, struct arena *a, char **ret_message)
{
    static const struct {
        const char *action;
        enum job_failure means;
    } actions[] = { { "FailJob", JOB_FAIL }, { "FailIndex", JOB_FAIL_INDEX }, { "Ignore", JOB_IGNORE }, { "Count", JOB_COUNT } };
    const struct pod_failure_policy *policy = j->spec.pod_failure_policy;

    for (uint32_t i = 0; policy && i < policy->rules.len; i++) {
        char *message = match_rule(&policy->rules.items[i], i, pod, a);
        for (size_t k = 0; message && k < ARRAY_LEN(actions); k++) {
            if (!str_eq(policy->rules.items[i].action, actions[k].action))
                continue;
            if (ret_message)
                *ret_message = message;
            return actions[k].means;
        }
    }
    return JOB_COUNT;
}

/* --- successPolicy --- */

bool
job_success_policy_met(const struct job *j, struct index_set succeeded, struct arena *a, char **ret_message)
{
    const struct success_policy *policy = j->spec.success_policy;

    for (uint32_t i = 0; policy && succeeded.len && i < policy->rules.len; i++) {
        const struct success_policy_rule *rule = &policy->rules.items[i];
        bool met;
        if (!str_empty(rule->succeeded_indexes)) {
            struct index_set want = index_set_parse(rule->succeeded_indexes, i32_or(j->spec.completions, 0), a);
            int64_t have = index_set_overlap(want, succeeded);
            met = want.len && (have == index_set_total(want) || (rule->succeeded_count && have >= *rule->succeeded_count));
        } else {
            met = rule->succeeded_count && index_set_total(succeeded) >= *rule->succeeded_count;
        }
        if (met) {
            *ret_message = arena_printf(a, "Matched rules at index %u", i);
            return true;
        }
    }
    return false;
}

/* --- back-off --- */

uint64_t
job_backoff_left_ms(struct job_backoff b, struct api_time now)
{
    int64_t wait_us = JOB_BACKOFF_S * 1000000ll, passed_us = api_time_unix_us(now) - api_time_unix_us(b.last_failure);

    if (b.failures <= 0)
        return 0;
    for (int32_t i = 1; i < b.failures && wait_us < JOB_BACKOFF_MAX_S * 1000000ll; i++)
        wait_us *= 2;
    if (wait_us > JOB_BACKOFF_MAX_S * 1000000ll)
        wait_us = JOB_BACKOFF_MAX_S * 1000000ll;
    return passed_us >= wait_us ? 0 : (uint64_t)(wait_us - passed_us) / 1000 + 1;
}
