// SPDX-License-Identifier: Apache-2.0
/* Jobs and cron jobs. */
#include <string.h>
#include <strings.h>

#include "apiserver/registry/validate_kinds.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/selector.h"
#include "common/api/values.h"

#define MAX_INDEXED_PARALLELISM 100000
#define MAX_RULES 20

static void
check_exit_codes(struct findings *f, const struct path *p, const struct pod_failure_policy_on_exit_codes_requirement *r,
                 const struct pod_spec *spec)
{
    static const char *const operators[] = { "In", "NotIn", NULL };
    bool known = !r->container_name;

    if (!is_one_of(r->operator, operators))
        find_unsupported(f, AT(p, "operator"), r->operator, operators);
    for (uint32_t i = 0; i < spec->containers.len; i++)
        known = known || str_eq(spec->containers.items[i].name, r->container_name);
    for (uint32_t i = 0; i < spec->init_containers.len; i++)
        known = known || str_eq(spec->init_containers.items[i].name, r->container_name);
    if (!known)
        find_invalid(f, AT(p, "containerName"), r->container_name, "must be one of the container or initContainer names in the pod template");
    if (r->values.len == 0)
        find_required(f, AT(p, "values"), "at least one value is required");
    else if (r->values.len > 255)
        find_too_many(f, AT(p, "values"), r->values.len, 255);
    for (uint32_t i = 0; i < r->values.len; i++) {
        if (str_eq(r->operator, "In") && r->values.items[i] == 0)
            find_invalid_int(f, AT_INDEX(AT(p, "values"), i), 0, "must not be 0 for the In operator");
        for (uint32_t k = 0; k < i; k++)
            if (r->values.items[k] == r->values.items[i]) {
                find_duplicate_int(f, AT_INDEX(AT(p, "values"), i), r->values.items[i]);
                break;
            }
    }
}

static void
check_failure_policy(struct findings *f, const struct path *p, const struct job_spec *s)
{
    static const char *const actions[] = { "Count", "FailIndex", "FailJob", "Ignore", NULL };
    static const char *const statuses[] = { "False", "True", "Unknown", NULL };

    if (!s->pod_failure_policy)
        return;
    p = AT(p, "rules");
    if (s->pod_failure_policy->rules.len > MAX_RULES)
        find_too_many(f, p, s->pod_failure_policy->rules.len, MAX_RULES);
    for (uint32_t i = 0; i < s->pod_failure_policy->rules.len; i++) {
        const struct pod_failure_policy_rule *r = &s->pod_failure_policy->rules.items[i];
        const struct path *at = AT_INDEX(p, i);
        check_enum(f, AT(at, "action"), r->action, actions, true);
        if (str_eq(r->action, "FailIndex") && !s->backoff_limit_per_index)
            find_invalid(f, AT(at, "action"), r->action, "requires the backoffLimitPerIndex to be set");
        if (r->on_exit_codes && r->on_pod_conditions.len > 0)
            find_invalid(f, at, "<nil>", "specifying both OnExitCodes and OnPodConditions is not supported");
        if (!r->on_exit_codes && r->on_pod_conditions.len == 0)
            find_invalid(f, at, "<nil>", "specifying one of OnExitCodes and OnPodConditions is required");
        if (r->on_exit_codes)
            check_exit_codes(f, AT(at, "onExitCodes"), r->on_exit_codes, &s->template.spec);
        for (uint32_t c = 0; c < r->on_pod_conditions.len; c++) {
            const struct path *cond = AT_INDEX(AT(at, "onPodConditions"), c);
            check_label_key(f, AT(cond, "type"), r->on_pod_conditions.items[c].type);
            if (!is_one_of(r->on_pod_conditions.items[c].status, statuses))
                find_unsupported(f, AT(cond, "status"), r->on_pod_conditions.items[c].status, statuses);
        }
    }
}

static void
check_success_policy(struct findings *f, const struct path *p, const struct job_spec *s)
{
    if (!s->success_policy)
        return;
    if (!str_eq(s->completion_mode, "Indexed"))
        find_invalid_struct(f, p, &api_type_success_policy, s->success_policy, "requires indexed completion mode");
    if (s->success_policy->rules.len == 0)
        find_required(f, AT(p, "rules"), "at least one rules must be specified when the successPolicy is specified");
    else if (s->success_policy->rules.len > MAX_RULES)
        find_too_many(f, AT(p, "rules"), s->success_policy->rules.len, MAX_RULES);
    for (uint32_t i = 0; i < s->success_policy->rules.len; i++) {
        const struct success_policy_rule *r = &s->success_policy->rules.items[i];
        const struct path *at = AT_INDEX(AT(p, "rules"), i);
        if (!r->succeeded_count && !r->succeeded_indexes)
            find_required(f, at, "at least one of succeededCount or succeededIndexes must be specified");
        check_nonnegative_ptr(f, AT(at, "succeededCount"), r->succeeded_count);
    }
}

static void
check_index_limits(struct findings *f, const struct path *p, const struct job_spec *s)
{
    static const char *const modes[] = { "NonIndexed", "Indexed", NULL };
    bool indexed = str_eq(s->completion_mode, "Indexed");

    check_nonnegative_ptr(f, AT(p, "backoffLimitPerIndex"), s->backoff_limit_per_index);
    check_nonnegative_ptr(f, AT(p, "maxFailedIndexes"), s->max_failed_indexes);
    if (s->max_failed_indexes && !s->backoff_limit_per_index)
        find_required(f, AT(p, "backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    if (s->completion_mode && !is_one_of(s->completion_mode, modes))
        find_unsupported(f, AT(p, "completionMode"), s->completion_mode, modes);
    if (indexed) {
        if (!s->completions)
            find_required(f, AT(p, "completions"), "when completion mode is Indexed");
        if (s->parallelism && *s->parallelism > MAX_INDEXED_PARALLELISM)
            find_invalid_int(f, AT(p, "parallelism"), *s->parallelism,
                             "must be less than or equal to 100000 when completion mode is Indexed");
        if (s->max_failed_indexes && s->completions && *s->max_failed_indexes > *s->completions)
            find_invalid_int(f, AT(p, "maxFailedIndexes"), *s->max_failed_indexes, "must be less than or equal to completions");
        return;
    }
    if (s->backoff_limit_per_index)
        find_invalid_int(f, AT(p, "backoffLimitPerIndex"), *s->backoff_limit_per_index, "requires indexed completion mode");
    if (s->max_failed_indexes)
        find_invalid_int(f, AT(p, "maxFailedIndexes"), *s->max_failed_indexes, "requires indexed completion mode");
}

static void
check_job_restart(struct findings *f, const struct path *p, const struct job_spec *s)
{
    static const char *const policies[] = { "OnFailure", "Never", NULL };
    const char *policy = s->template.spec.restart_policy;

    if (str_empty(policy) || str_eq(policy, "Always"))
        find_required(f, p, "valid values: \"OnFailure\", \"Never\"");
    else if (!is_one_of(policy, policies))
        find_unsupported(f, p, policy, policies);
    if (s->pod_failure_policy && !str_eq(policy, "Never"))
        find_invalid(f, p, policy, "only \"Never\" is supported when podFailurePolicy is specified");
}

/* What templates of cron jobs are checked for too. */
static void
check_job_spec(struct findings *f, const struct path *p, const struct job_spec *s)
{
    static const char *const replacement[] = { "Failed", "TerminatingOrFailed", NULL };

    check_nonnegative_ptr(f, AT(p, "parallelism"), s->parallelism);
    check_nonnegative_ptr(f, AT(p, "completions"), s->completions);
    if (s->active_deadline_seconds)
        check_nonnegative(f, AT(p, "activeDeadlineSeconds"), *s->active_deadline_seconds);
    check_nonnegative_ptr(f, AT(p, "backoffLimit"), s->backoff_limit);
    check_nonnegative_ptr(f, AT(p, "ttlSecondsAfterFinished"), s->ttl_seconds_after_finished);
    check_index_limits(f, p, s);
    if (s->managed_by) {
        const char *slash = strchr(s->managed_by, '/');
        if (!slash || slash == s->managed_by || !slash[1])
            find_invalid(f, AT(p, "managedBy"), s->managed_by, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        if (strlen(s->managed_by) > 63)
            find_too_long(f, AT(p, "managedBy"), 63);
    }
    check_failure_policy(f, AT(p, "podFailurePolicy"), s);
    check_success_policy(f, AT(p, "successPolicy"), s);
    if (s->pod_replacement_policy) {
        if (!is_one_of(s->pod_replacement_policy, replacement))
            find_unsupported(f, AT(p, "podReplacementPolicy"), s->pod_replacement_policy, replacement);
        else if (s->pod_failure_policy && !str_eq(s->pod_replacement_policy, "Failed")) {
            static const char *const only[] = { "Failed", NULL };
            find_unsupported(f, AT(p, "podReplacementPolicy"), s->pod_replacement_policy, only);
        }
    }
    check_pod_template(f, AT(p, "template"), &s->template);
    check_job_restart(f, AT(AT(AT(p, "template"), "spec"), "restartPolicy"), s);
}

/* The labels that a generated selector picks; the strategy put them on the template. */
static void
check_generated_selector(struct findings *f, const struct job *j)
{
    const struct path *labels = AT(AT(AT(AT(NULL, "spec"), "template"), "metadata"), "labels");
    const struct {
        const char *key, *value;
    } wanted[] = { { "batch.kubernetes.io/controller-uid", j->metadata.uid }, { "batch.kubernetes.io/job-name", j->metadata.name } };

    if ((j->spec.manual_selector && *j->spec.manual_selector) || !j->spec.selector)
        return;
    if (str_empty(j->metadata.uid))
        find_required(f, AT(AT(NULL, "metadata"), "uid"), "");
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        const char *have = string_map_get(&j->spec.template.metadata.labels, wanted[i].key);
        AUTO_FREE char *must = xasprintf("must be '%s'", str_safe(wanted[i].value));
        if (!have)
            find_required(f, AT_KEY(labels, wanted[i].key), must);
        else if (!str_eq(have, wanted[i].value))
            find_invalid_map(f, AT_KEY(labels, wanted[i].key), &j->spec.template.metadata.labels, must);
    }
}

static void
check_job_selector(struct findings *f, const struct path *p, const struct job_spec *s)
{
    AUTO(arena) *a = arena_new(512);
    struct label_query *q;

    if (!s->selector)
        find_required(f, AT(p, "selector"), "");
    else
        check_label_selector(f, AT(p, "selector"), s->selector);
    AUTO(kerr) *err = label_query_from(s->selector, a, &q);
    if (!err && !label_query_matches(q, &s->template.metadata.labels))
        find_invalid_map(f, AT(AT(AT(p, "template"), "metadata"), "labels"), &s->template.metadata.labels,
                         "`selector` does not match template `labels`");
}

void
job_create(struct findings *f, const void *body)
{
    const struct job *j = body;
    const struct path *p = AT(NULL, "spec");

    check_generated_selector(f, j);
    check_job_spec(f, p, &j->spec);
    check_job_selector(f, p, &j->spec);
    if (str_eq(j->spec.completion_mode, "Indexed") && j->spec.completions && *j->spec.completions > 0) {
        AUTO_FREE char *host = xasprintf("%s-%d", str_safe(j->metadata.name), *j->spec.completions - 1);
        if (!name_ok(NAME_DNS_LABEL, host))
            find_invalid(f, AT(AT(NULL, "metadata"), "name"), j->metadata.name,
                         "will not able to create pod with invalid DNS label: %s", host);
    }
}

static bool
same_i32(const int32_t *a, const int32_t *b)
{
    return !a == !b && (!a || *a == *b);
}

static void
check_i32_immutable(struct findings *f, const struct path *p, const int32_t *now, const int32_t *old, const char *why)
{
    if (same_i32(now, old))
        return;
    if (now)
        find_invalid_int(f, p, *now, "%s", why);
    else
        find_invalid_null(f, p, why);
}

/* A job that never started may still be told where to run. */
static void
check_job_template_unchanged(struct findings *f, const struct path *p, const struct job *now, const struct job *old)
{
    struct pod_template_spec munged = now->spec.template;
    const struct pod_template_spec *was = &old->spec.template;
    bool open = old->spec.suspend && *old->spec.suspend && !old->status.start_time;
    struct affinity mine = { 0 };

    if (open) {
        munged.metadata.labels = was->metadata.labels;
        munged.metadata.annotations = was->metadata.annotations;
        munged.spec.node_selector = was->spec.node_selector;
        munged.spec.tolerations = was->spec.tolerations;
        munged.spec.scheduling_gates = was->spec.scheduling_gates;
        if (munged.spec.affinity)
            mine = *munged.spec.affinity;
        mine.node_affinity = was->spec.affinity ? was->spec.affinity->node_affinity : NULL;
        bool empty = !mine.node_affinity && !mine.pod_affinity && !mine.pod_anti_affinity;
        munged.spec.affinity = empty && !was->spec.affinity ? NULL : &mine;
    }
    if (!api_equal(&api_type_pod_template_spec, &munged, was))
        find_invalid_struct(f, p, &api_type_pod_template_spec, &now->spec.template, IMMUTABLE_MSG);
}

void
job_update(struct findings *f, const void *body, const void *old_body)
{
    const struct job *j = body, *old = old_body;
    const struct job_spec *s = &j->spec, *was = &old->spec;
    const struct path *p = AT(NULL, "spec");

    check_job_spec(f, p, s);
    check_job_selector(f, p, s);
    if (!same_i32(s->completions, was->completions)) {
        if (!str_eq(s->completion_mode, "Indexed"))
            check_i32_immutable(f, AT(p, "completions"), s->completions, was->completions, IMMUTABLE_MSG);
        else if (!same_i32(s->completions, s->parallelism))
            check_i32_immutable(f, AT(p, "completions"), s->completions, was->completions,
                                "can only be modified in tandem with spec.parallelism");
    }
    check_struct_immutable(f, AT(p, "selector"), &api_type_label_selector, s->selector, was->selector);
    check_job_template_unchanged(f, AT(p, "template"), j, old);
    check_str_immutable(f, AT(p, "completionMode"), s->completion_mode, was->completion_mode);
    check_struct_immutable(f, AT(p, "podFailurePolicy"), &api_type_pod_failure_policy, s->pod_failure_policy,
                           was->pod_failure_policy);
    check_i32_immutable(f, AT(p, "backoffLimitPerIndex"), s->backoff_limit_per_index, was->backoff_limit_per_index,
                        IMMUTABLE_MSG);
    check_str_immutable(f, AT(p, "managedBy"), s->managed_by, was->managed_by);
    check_struct_immutable(f, AT(p, "successPolicy"), &api_type_success_policy, s->success_policy, was->success_policy);
}

void
job_status(struct findings *f, const void *body, const void *old)
{
    const struct job_status *s = &((const struct job *)body)->status;
    const struct path *p = AT(NULL, "status");

    check_nonnegative(f, AT(p, "active"), s->active);
    check_nonnegative(f, AT(p, "succeeded"), s->succeeded);
    check_nonnegative(f, AT(p, "failed"), s->failed);
    check_nonnegative_ptr(f, AT(p, "ready"), s->ready);
    check_nonnegative_ptr(f, AT(p, "terminating"), s->terminating);
}

/* ---- cron jobs ---- */

static const struct cron_field {
    int min, max;
    const char *names; /* three letters each, from `min` */
} cron_fields[5] = {
    { 0, 59, NULL }, { 0, 23, NULL }, { 1, 31, NULL }, { 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec" }, { 0, 6, "sunmontuewedthufrisat" },
};

static bool
cron_number(const char **at, const struct cron_field *field, int *ret)
{
    const char *p = *at;
    int n = 0;

    if (field->names && p[0] && p[1] && p[2])
        for (int i = 0; field->names[i * 3]; i++)
            if (strncasecmp(field->names + (size_t)i * 3, p, 3) == 0) {
                *at = p + 3;
                *ret = field->min + i;
                return true;
            }
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9' && n < 10000; p++)
        n = n * 10 + (*p - '0');
    *at = p;
    *ret = n;
    return true;
}

/* "*" or "?", n, n-m, each with "/step", joined by commas.  NULL when fine, else what is wrong (to free). */
static char *
cron_field_error(const char *text, const struct cron_field *field)
{
    const char *p = text;

    for (;;) {
        int low = field->min, high = field->max, step = 1;
        if (*p == '*' || *p == '?')
            p++;
        else {
            if (!cron_number(&p, field, &low))
                return xasprintf("failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", p, p);
            high = low;
            if (*p == '-') {
                p++;
                if (!cron_number(&p, field, &high))
                    return xasprintf("failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", p, p);
            } else if (*p == '/')
                high = field->max;
        }
        if (*p == '/') {
            const struct cron_field plain = { 0, 10000, NULL };
            p++;
            if (!cron_number(&p, &plain, &step))
                return xasprintf("failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", p, p);
        }
        if (low < field->min)
            return xasprintf("beginning of range (%d) below minimum (%d): %s", low, field->min, text);
        if (high > field->max)
            return xasprintf("end of range (%d) above maximum (%d): %s", high, field->max, text);
        if (low > high)
            return xasprintf("beginning of range (%d) beyond end of range (%d): %s", low, high, text);
        if (step == 0)
            return xasprintf("step of range should be a positive number: %s", text);
        if (*p == '\0')
            return NULL;
        if (*p++ != ',')
            return xasprintf("failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", text, text);
    }
}

static char *
cron_error(const char *schedule)
{
    static const char *const names[] = { "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", NULL };
    AUTO_STRLIST parts = { 0 }, fields = { 0 };
    int64_t ns;

    if (schedule[0] == '@') {
        if (is_one_of(schedule, names))
            return NULL;
        if (str_has_prefix(schedule, "@every "))
            return parse_duration_ns(schedule + 7, &ns) ? xasprintf("failed to parse duration %s", schedule) : NULL;
        return xasprintf("unrecognized descriptor: %s", schedule);
    }
    strlist_split(&parts, schedule, ' ');
    for (size_t i = 0; i < parts.len; i++)
        if (*parts.items[i])
            strlist_add(&fields, parts.items[i]);
    if (fields.len != 5) {
        AUTO_SBUF list = { 0 };
        for (size_t i = 0; i < fields.len; i++)
            sbuf_addf(&list, "%s%s", i ? " " : "", fields.items[i]);
        return xasprintf("expected exactly 5 fields, found %zu: [%s]", fields.len, sbuf_str(&list));
    }
    for (size_t i = 0; i < 5; i++) {
        char *error = cron_field_error(fields.items[i], &cron_fields[i]);
        if (error)
            return error;
    }
    return NULL;
}

void
cron_job_create(struct findings *f, const void *body)
{
    static const char *const policies[] = { "Allow", "Forbid", "Replace", NULL };
    static const char *const manual[] = { "nil", "false", NULL };
    const struct cron_job *cj = body;
    const struct cron_job_spec *s = &cj->spec;
    const struct path *p = AT(NULL, "spec"), *t = AT(AT(p, "jobTemplate"), "spec");

    if (strlen(str_safe(cj->metadata.name)) > 52)
        find_invalid(f, AT(AT(NULL, "metadata"), "name"), cj->metadata.name, "must be no more than 52 characters");
    if (check_required(f, AT(p, "schedule"), s->schedule)) {
        AUTO_FREE char *error = cron_error(s->schedule);
        if (strstr(s->schedule, "TZ"))
            find_invalid(f, AT(p, "schedule"), s->schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
        else if (error)
            find_invalid(f, AT(p, "schedule"), s->schedule, "%s", error);
    }
    if (s->time_zone && !*s->time_zone)
        find_invalid(f, AT(p, "timeZone"), "", "must be nil or non-empty string");
    else if (s->time_zone && strcasecmp(s->time_zone, "local") == 0)
        find_invalid(f, AT(p, "timeZone"), s->time_zone,
                     "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    else if (has_backstep(s->time_zone) || str_has_prefix(s->time_zone, "/"))
        find_invalid(f, AT(p, "timeZone"), s->time_zone, "unknown time zone %s", s->time_zone);
    if (s->starting_deadline_seconds)
        check_nonnegative(f, AT(p, "startingDeadlineSeconds"), *s->starting_deadline_seconds);
    check_enum(f, AT(p, "concurrencyPolicy"), s->concurrency_policy, policies, true);
    check_nonnegative_ptr(f, AT(p, "successfulJobsHistoryLimit"), s->successful_jobs_history_limit);
    check_nonnegative_ptr(f, AT(p, "failedJobsHistoryLimit"), s->failed_jobs_history_limit);
    check_job_spec(f, t, &s->job_template.spec);
    if (s->job_template.spec.selector)
        find_invalid_struct(f, AT(t, "selector"), &api_type_label_selector, s->job_template.spec.selector,
                            "`selector` will be auto-generated");
    if (s->job_template.spec.manual_selector && *s->job_template.spec.manual_selector)
        find_unsupported(f, AT(t, "manualSelector"), "true", manual);
}

void
cron_job_update(struct findings *f, const void *body, const void *old)
{
    cron_job_create(f, body);
}
