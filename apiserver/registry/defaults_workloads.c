// SPDX-License-Identifier: Apache-2.0
/* apps and batch. */
#include "apiserver/registry/defaults.h"
#include "apiserver/registry/defaults_parts.h"
#include "common/api/values.h"

#define QUARTER ((struct int_or_string){ .str = "25%" })

void
defaults_deployment(struct arena *a, void *body)
{
    struct deployment *d = body;
    struct deployment_strategy *s = &d->spec.strategy;

    default_i32(&d->spec.replicas, a, 1);
    default_str(&s->type, "RollingUpdate");
    if (str_eq(s->type, "RollingUpdate")) {
        DEFAULT_STRUCT(s->rolling_update, a);
        default_int_or_string(&s->rolling_update->max_unavailable, a, QUARTER);
        default_int_or_string(&s->rolling_update->max_surge, a, QUARTER);
    }
    default_i32(&d->spec.revision_history_limit, a, 10);
    default_i32(&d->spec.progress_deadline_seconds, a, 600);
    defaults_pod_template(&d->spec.template, a);
}

void
defaults_replica_set(struct arena *a, void *body)
{
    struct replica_set *rs = body;

    default_i32(&rs->spec.replicas, a, 1);
    defaults_pod_template(&rs->spec.template, a);
}

void
defaults_stateful_set(struct arena *a, void *body)
{
    struct stateful_set *set = body;
    struct stateful_set_spec *s = &set->spec;

    default_str(&s->pod_management_policy, "OrderedReady");
    if (str_empty(s->update_strategy.type)) {
        s->update_strategy.type = "RollingUpdate";
        DEFAULT_STRUCT(s->update_strategy.rolling_update, a);
    }
    if (str_eq(s->update_strategy.type, "RollingUpdate") && s->update_strategy.rolling_update)
        default_i32(&s->update_strategy.rolling_update->partition, a, 0);
    DEFAULT_STRUCT(s->persistent_volume_claim_retention_policy, a);
    default_str(&s->persistent_volume_claim_retention_policy->when_deleted, "Retain");
    default_str(&s->persistent_volume_claim_retention_policy->when_scaled, "Retain");
    default_i32(&s->replicas, a, 1);
    default_i32(&s->revision_history_limit, a, 10);
    defaults_pod_template(&s->template, a);
    for (uint32_t i = 0; i < s->volume_claim_templates.len; i++) {
        struct persistent_volume_claim *pvc = &s->volume_claim_templates.items[i];
        default_pvc(pvc, a);
        pvc->type_meta.api_version = "v1";
        pvc->type_meta.kind = "PersistentVolumeClaim";
    }
}

void
defaults_daemon_set(struct arena *a, void *body)
{
    struct daemon_set *ds = body;
    struct daemon_set_update_strategy *s = &ds->spec.update_strategy;

    default_str(&s->type, "RollingUpdate");
    if (str_eq(s->type, "RollingUpdate")) {
        DEFAULT_STRUCT(s->rolling_update, a);
        default_int_or_string(&s->rolling_update->max_unavailable, a, int_or_string_num(1));
        default_int_or_string(&s->rolling_update->max_surge, a, int_or_string_num(0));
    }
    default_i32(&ds->spec.revision_history_limit, a, 10);
    defaults_pod_template(&ds->spec.template, a);
}

/* What job templates of cron jobs get too. */
static void
default_failure_policy(struct pod_failure_policy *policy)
{
    for (uint32_t i = 0; policy && i < policy->rules.len; i++) {
        struct pod_failure_policy_rule *rule = &policy->rules.items[i];
        for (uint32_t c = 0; c < rule->on_pod_conditions.len; c++)
            default_ptr_str(&rule->on_pod_conditions.items[c].status, "True");
    }
}

void
defaults_job(struct arena *a, void *body)
{
    struct job *j = body;
    struct job_spec *s = &j->spec;

    if (!s->completions && !s->parallelism)
        default_i32(&s->completions, a, 1);
    default_i32(&s->parallelism, a, 1);
    default_i32(&s->backoff_limit, a, s->backoff_limit_per_index ? INT32_MAX : 6);
    if (j->metadata.labels.len == 0)
        j->metadata.labels = s->template.metadata.labels;
    default_ptr_str(&s->completion_mode, "NonIndexed");
    default_bool(&s->suspend, a, false);
    default_bool(&s->manual_selector, a, false);
    default_ptr_str(&s->pod_replacement_policy, s->pod_failure_policy ? "Failed" : "TerminatingOrFailed");
    default_failure_policy(s->pod_failure_policy);
    defaults_pod_template(&s->template, a);
}

void
defaults_cron_job(struct arena *a, void *body)
{
    struct cron_job *cj = body;

    default_str(&cj->spec.concurrency_policy, "Allow");
    default_bool(&cj->spec.suspend, a, false);
    default_i32(&cj->spec.successful_jobs_history_limit, a, 3);
    default_i32(&cj->spec.failed_jobs_history_limit, a, 1);
    default_failure_policy(cj->spec.job_template.spec.pod_failure_policy);
    defaults_pod_template(&cj->spec.job_template.spec.template, a);
}
