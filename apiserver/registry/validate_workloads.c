// SPDX-License-Identifier: Apache-2.0
/* The apps group. */
#include <string.h>

#include "apiserver/registry/validate_kinds.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/selector.h"
#include "common/api/values.h"

static void
check_selector_matches(struct findings *f, const struct path *p, const struct pod_template_spec *t,
                       const struct label_selector *selector, bool empty_is_fine)
{
    AUTO(arena) *a = arena_new(512);
    struct label_query *q;
    AUTO(kerr) *err = label_query_from(selector, a, &q);

    if (err || (empty_is_fine && label_query_empty(q)) || label_query_matches(q, &t->metadata.labels))
        return;
    find_invalid_map(f, AT(AT(p, "metadata"), "labels"), &t->metadata.labels, "`selector` does not match template `labels`");
}

void
check_workload_template(struct findings *f, const struct path *p, const struct pod_template_spec *t,
                        const struct label_selector *selector, const char *what)
{
    static const char *const always[] = { "Always", NULL };

    check_selector_matches(f, p, t, selector, true);
    check_pod_template(f, p, t);
    if (!str_eq(t->spec.restart_policy, "Always"))
        find_unsupported(f, AT(AT(p, "spec"), "restartPolicy"), t->spec.restart_policy, always);
    if (t->spec.active_deadline_seconds)
        find_forbidden(f, AT(AT(p, "spec"), "activeDeadlineSeconds"), "activeDeadlineSeconds in %s is not Supported", what);
}

/* Deployments and replica sets say "deployment" both, as upstream does. */
static void
check_workload_selector(struct findings *f, const struct path *p, const struct label_selector *selector, const char *what)
{
    if (!selector) {
        find_required(f, p, "");
        return;
    }
    check_label_selector(f, p, selector);
    if (label_selector_is_empty(selector)) {
        AUTO_FREE char *detail = xasprintf("empty selector is invalid for %s", what);
        find_invalid_struct(f, p, &api_type_label_selector, selector, detail);
    }
}

static void
find_invalid_int_or_string(struct findings *f, const struct path *p, const struct int_or_string *v, const char *detail)
{
    if (!v)
        find_invalid_null(f, p, detail);
    else if (v->str)
        find_invalid(f, p, v->str, "%s", detail);
    else
        find_invalid_int(f, p, v->num, "%s", detail);
}

static void
find_bad_strategy(struct findings *f, const struct path *p, const char *type, const char *supported)
{
    AUTO_SBUF json = { 0 };

    sbuf_adds(&json, "{\"type\":");
    json_add_string(&json, type);
    sbuf_adds(&json, "}");
    AUTO_FREE char *detail = xasprintf("supported values: %s", supported);
    find_unsupported_raw(f, p, sbuf_str(&json), detail);
}

static void
check_rolling_deployment(struct findings *f, const struct path *p, const struct rolling_update_deployment *r)
{
    check_positive_percent_or_int(f, AT(p, "maxUnavailable"), r->max_unavailable);
    check_positive_percent_or_int(f, AT(p, "maxSurge"), r->max_surge);
    if (int_or_string_is_zero(r->max_unavailable) && int_or_string_is_zero(r->max_surge))
        find_invalid_int_or_string(f, AT(p, "maxUnavailable"), r->max_unavailable, "may not be 0 when `maxSurge` is 0");
    check_at_most_100_percent(f, AT(p, "maxUnavailable"), r->max_unavailable);
}

static void
check_deployment_strategy(struct findings *f, const struct path *p, const struct deployment_strategy *s)
{
    if (str_eq(s->type, "Recreate")) {
        if (s->rolling_update)
            find_forbidden(f, AT(p, "rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'");
    } else if (!str_eq(s->type, "RollingUpdate"))
        find_bad_strategy(f, p, s->type, "\"Recreate\", \"RollingUpdate\"");
    else if (!s->rolling_update)
        find_required(f, AT(p, "rollingUpdate"), "this should be defaulted and never be nil");
    else
        check_rolling_deployment(f, AT(p, "rollingUpdate"), s->rolling_update);
}

void
deployment_create(struct findings *f, const void *body)
{
    const struct deployment_spec *s = &((const struct deployment *)body)->spec;
    const struct path *p = AT(NULL, "spec");

    check_nonnegative_ptr(f, AT(p, "replicas"), s->replicas);
    check_workload_selector(f, AT(p, "selector"), s->selector, "deployment");
    check_workload_template(f, AT(p, "template"), &s->template, s->selector, "ReplicaSet");
    check_deployment_strategy(f, AT(p, "strategy"), &s->strategy);
    check_nonnegative(f, AT(p, "minReadySeconds"), s->min_ready_seconds);
    check_nonnegative_ptr(f, AT(p, "revisionHistoryLimit"), s->revision_history_limit);
    check_nonnegative_ptr(f, AT(p, "progressDeadlineSeconds"), s->progress_deadline_seconds);
    if (s->progress_deadline_seconds && *s->progress_deadline_seconds <= s->min_ready_seconds)
        find_invalid_int(f, AT(p, "progressDeadlineSeconds"), *s->progress_deadline_seconds,
                         "must be greater than minReadySeconds");
}

void
deployment_update(struct findings *f, const void *body, const void *old)
{
    const struct deployment *now = body, *was = old;

    deployment_create(f, body);
    check_struct_immutable(f, AT(AT(NULL, "spec"), "selector"), &api_type_label_selector, now->spec.selector,
                           was->spec.selector);
}

/* Counts in a status: none below zero, parts not above the whole. */
struct count {
    const char *field;
    int64_t value;
    bool part; /* of replicas */
};

static void
check_counts(struct findings *f, const struct count *counts, size_t n, int64_t replicas)
{
    const struct path *p = AT(NULL, "status");

    for (size_t i = 0; i < n; i++)
        check_nonnegative(f, AT(p, counts[i].field), counts[i].value);
    for (size_t i = 0; i < n; i++)
        if (counts[i].part && counts[i].value > replicas)
            find_invalid_int(f, AT(p, counts[i].field), counts[i].value, "cannot be greater than status.replicas");
}

static void
check_available(struct findings *f, int32_t available, int32_t ready)
{
    if (available > ready)
        find_invalid_int(f, AT(AT(NULL, "status"), "availableReplicas"), available, "cannot be greater than readyReplicas");
}

static void
check_collisions(struct findings *f, const int32_t *now, const int32_t *old)
{
    const struct path *p = AT(AT(NULL, "status"), "collisionCount");

    check_nonnegative_ptr(f, p, now);
    if (old && (!now || *now < *old))
        find_invalid_int(f, p, now ? *now : 0, "cannot be decremented");
}

void
deployment_status(struct findings *f, const void *body, const void *old)
{
    const struct deployment_status *s = &((const struct deployment *)body)->status;
    const struct count counts[] = {
        { "observedGeneration", s->observed_generation, false }, { "replicas", s->replicas, false },
        { "updatedReplicas", s->updated_replicas, true },        { "readyReplicas", s->ready_replicas, true },
        { "availableReplicas", s->available_replicas, true },    { "unavailableReplicas", s->unavailable_replicas, false },
    };

    check_counts(f, counts, ARRAY_LEN(counts), s->replicas);
    check_available(f, s->available_replicas, s->ready_replicas);
    check_collisions(f, s->collision_count, ((const struct deployment *)old)->status.collision_count);
}

void
replica_set_create(struct findings *f, const void *body)
{
    const struct replica_set_spec *s = &((const struct replica_set *)body)->spec;
    const struct path *p = AT(NULL, "spec");

    check_nonnegative_ptr(f, AT(p, "replicas"), s->replicas);
    check_nonnegative(f, AT(p, "minReadySeconds"), s->min_ready_seconds);
    check_workload_selector(f, AT(p, "selector"), s->selector, "deployment");
    check_workload_template(f, AT(p, "template"), &s->template, s->selector, "ReplicaSet");
}

void
replica_set_update(struct findings *f, const void *body, const void *old)
{
    const struct replica_set *now = body, *was = old;

    replica_set_create(f, body);
    check_struct_immutable(f, AT(AT(NULL, "spec"), "selector"), &api_type_label_selector, now->spec.selector,
                           was->spec.selector);
}

void
replica_set_status(struct findings *f, const void *body, const void *old)
{
    const struct replica_set_status *s = &((const struct replica_set *)body)->status;
    const struct count counts[] = {
        { "replicas", s->replicas, false },
        { "fullyLabeledReplicas", s->fully_labeled_replicas, true },
        { "readyReplicas", s->ready_replicas, true },
        { "availableReplicas", s->available_replicas, true },
        { "observedGeneration", s->observed_generation, false },
    };

    check_counts(f, counts, ARRAY_LEN(counts), s->replicas);
    check_available(f, s->available_replicas, s->ready_replicas);
}

static void
check_stateful_strategy(struct findings *f, const struct path *p, const struct stateful_set_update_strategy *s)
{
    const struct rolling_update_stateful_set_strategy *r = s->rolling_update;

    if (str_empty(s->type))
        find_required(f, p, "");
    else if (str_eq(s->type, "OnDelete")) {
        if (r)
            find_invalid_struct(f, AT(p, "rollingUpdate"), &api_type_rolling_update_stateful_set_strategy, r,
                                "only allowed for updateStrategy 'RollingUpdate'");
    } else if (!str_eq(s->type, "RollingUpdate"))
        find_invalid_struct(f, p, &api_type_stateful_set_update_strategy, s, "must be 'RollingUpdate' or 'OnDelete'");
    else if (r) {
        check_nonnegative_ptr(f, AT(AT(p, "rollingUpdate"), "partition"), r->partition);
        check_positive_percent_or_int(f, AT(AT(p, "rollingUpdate"), "maxUnavailable"), r->max_unavailable);
        if (int_or_string_is_zero(r->max_unavailable))
            find_invalid_int_or_string(f, AT(AT(p, "rollingUpdate"), "maxUnavailable"), r->max_unavailable, "cannot be 0");
        check_at_most_100_percent(f, AT(AT(p, "rollingUpdate"), "maxUnavailable"), r->max_unavailable);
    }
}

void
stateful_set_create(struct findings *f, const void *body)
{
    static const char *const policies[] = { "OrderedReady", "Parallel", NULL };
    static const char *const retention[] = { "Retain", "Delete", NULL };
    const struct stateful_set_spec *s = &((const struct stateful_set *)body)->spec;
    const struct stateful_set_persistent_volume_claim_retention_policy *keep = s->persistent_volume_claim_retention_policy;
    const struct path *p = AT(NULL, "spec");

    if (check_required(f, AT(p, "podManagementPolicy"), s->pod_management_policy) &&
        !is_one_of(s->pod_management_policy, policies))
        find_invalid(f, AT(p, "podManagementPolicy"), s->pod_management_policy, "must be 'OrderedReady' or 'Parallel'");
    check_stateful_strategy(f, AT(p, "updateStrategy"), &s->update_strategy);
    if (keep) {
        const struct path *at = AT(p, "persistentVolumeClaimRetentionPolicy");
        if (!is_one_of(keep->when_deleted, retention))
            find_unsupported(f, AT(at, "whenDeleted"), keep->when_deleted, retention);
        if (!is_one_of(keep->when_scaled, retention))
            find_unsupported(f, AT(at, "whenScaled"), keep->when_scaled, retention);
    }
    check_nonnegative_ptr(f, AT(p, "replicas"), s->replicas);
    check_nonnegative(f, AT(p, "minReadySeconds"), s->min_ready_seconds);
    if (s->ordinals)
        check_nonnegative(f, AT(AT(p, "ordinals"), "start"), s->ordinals->start);
    check_nonnegative_ptr(f, AT(p, "revisionHistoryLimit"), s->revision_history_limit);
    check_workload_selector(f, AT(p, "selector"), s->selector, "statefulset");

    /* The claims become volumes of the pods: mounts may name them. */
    AUTO(arena) *a = arena_new(0);
    struct pod_template_spec t = s->template;
    uint32_t n = t.spec.volumes.len;
    struct volume *volumes = arena_alloc(a, (n + s->volume_claim_templates.len + 1) * sizeof *volumes);
    if (n > 0)
        memcpy(volumes, t.spec.volumes.items, n * sizeof *volumes);
    for (uint32_t i = 0; i < s->volume_claim_templates.len; i++) {
        const char *name = s->volume_claim_templates.items[i].metadata.name;
        bool taken = false;
        for (uint32_t k = 0; k < n; k++)
            taken = taken || str_eq(volumes[k].name, name);
        if (taken || !name_ok(NAME_DNS_LABEL, name))
            continue;
        volumes[n].name = name;
        volumes[n].volume_source.persistent_volume_claim = ARENA_NEW(a, struct persistent_volume_claim_volume_source);
        volumes[n++].volume_source.persistent_volume_claim->claim_name = name;
    }
    t.spec.volumes = (struct volume_slice){ volumes, n, n };
    check_workload_template(f, AT(p, "template"), &t, s->selector, "StatefulSet");
}

void
stateful_set_update(struct findings *f, const void *body, const void *old)
{
    const struct stateful_set_spec *now = &((const struct stateful_set *)body)->spec;
    const struct stateful_set_spec *was = &((const struct stateful_set *)old)->spec;
    struct stateful_set_spec munged = *now;

    stateful_set_create(f, body);
    munged.replicas = was->replicas;
    munged.template = was->template;
    munged.update_strategy = was->update_strategy;
    munged.min_ready_seconds = was->min_ready_seconds;
    munged.ordinals = was->ordinals;
    munged.revision_history_limit = was->revision_history_limit;
    munged.persistent_volume_claim_retention_policy = was->persistent_volume_claim_retention_policy;
    if (!api_equal(&api_type_stateful_set_spec, &munged, was))
        find_forbidden(f, AT(NULL, "spec"),
                       "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                       "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                       "'minReadySeconds' are forbidden");
}

void
stateful_set_status(struct findings *f, const void *body, const void *old)
{
    const struct stateful_set_status *s = &((const struct stateful_set *)body)->status;
    const struct count counts[] = {
        { "observedGeneration", s->observed_generation, false }, { "replicas", s->replicas, false },
        { "readyReplicas", s->ready_replicas, true },            { "currentReplicas", s->current_replicas, true },
        { "updatedReplicas", s->updated_replicas, true },        { "availableReplicas", s->available_replicas, true },
    };

    check_counts(f, counts, ARRAY_LEN(counts), s->replicas);
    check_available(f, s->available_replicas, s->ready_replicas);
    check_collisions(f, s->collision_count, ((const struct stateful_set *)old)->status.collision_count);
}

static void
check_daemon_strategy(struct findings *f, const struct path *p, const struct daemon_set_update_strategy *s)
{
    const struct rolling_update_daemon_set *r = s->rolling_update;
    const struct path *at = AT(p, "rollingUpdate");

    if (str_eq(s->type, "OnDelete"))
        return;
    if (!str_eq(s->type, "RollingUpdate")) {
        find_bad_strategy(f, p, s->type, "\"RollingUpdate\", \"OnDelete\"");
        return;
    }
    if (!r) {
        find_required(f, at, "");
        return;
    }
    check_positive_percent_or_int(f, AT(at, "maxUnavailable"), r->max_unavailable);
    check_positive_percent_or_int(f, AT(at, "maxSurge"), r->max_surge);
    check_at_most_100_percent(f, AT(at, "maxUnavailable"), r->max_unavailable);
    check_at_most_100_percent(f, AT(at, "maxSurge"), r->max_surge);
    bool unavailable = r->max_unavailable && !int_or_string_is_zero(r->max_unavailable);
    bool surge = r->max_surge && !int_or_string_is_zero(r->max_surge);
    if (unavailable && surge)
        find_invalid_int_or_string(f, AT(at, "maxSurge"), r->max_surge, "may not be set when maxUnavailable is non-zero");
    if (!unavailable && !surge)
        find_required(f, AT(at, "maxUnavailable"), "cannot be 0 when maxSurge is 0");
}

void
daemon_set_create(struct findings *f, const void *body)
{
    static const char *const always[] = { "Always", NULL };
    const struct daemon_set_spec *s = &((const struct daemon_set *)body)->spec;
    const struct path *p = AT(NULL, "spec"), *t = AT(p, "template");

    check_label_selector(f, AT(p, "selector"), s->selector);
    check_selector_matches(f, t, &s->template, s->selector, false);
    if (s->selector && label_selector_is_empty(s->selector))
        find_invalid_struct(f, AT(p, "selector"), &api_type_label_selector, s->selector,
                            "empty selector is invalid for daemonset");
    check_pod_template(f, t, &s->template);
    if (!str_eq(s->template.spec.restart_policy, "Always"))
        find_unsupported(f, AT(AT(t, "spec"), "restartPolicy"), s->template.spec.restart_policy, always);
    if (s->template.spec.active_deadline_seconds)
        find_forbidden(f, AT(AT(t, "spec"), "activeDeadlineSeconds"), "activeDeadlineSeconds in DaemonSet is not Supported");
    check_nonnegative(f, AT(p, "minReadySeconds"), s->min_ready_seconds);
    check_daemon_strategy(f, AT(p, "updateStrategy"), &s->update_strategy);
    check_nonnegative_ptr(f, AT(p, "revisionHistoryLimit"), s->revision_history_limit);
}

void
daemon_set_update(struct findings *f, const void *body, const void *old)
{
    const struct daemon_set *now = body, *was = old;

    daemon_set_create(f, body);
    check_struct_immutable(f, AT(AT(NULL, "spec"), "selector"), &api_type_label_selector, now->spec.selector,
                           was->spec.selector);
}

void
daemon_set_status(struct findings *f, const void *body, const void *old)
{
    const struct daemon_set_status *s = &((const struct daemon_set *)body)->status;
    const struct count counts[] = {
        { "currentNumberScheduled", s->current_number_scheduled, false },
        { "numberMisscheduled", s->number_misscheduled, false },
        { "desiredNumberScheduled", s->desired_number_scheduled, false },
        { "numberReady", s->number_ready, false },
        { "observedGeneration", s->observed_generation, false },
        { "updatedNumberScheduled", s->updated_number_scheduled, false },
        { "numberAvailable", s->number_available, false },
        { "numberUnavailable", s->number_unavailable, false },
    };

    check_counts(f, counts, ARRAY_LEN(counts), 0);
    check_collisions(f, s->collision_count, ((const struct daemon_set *)old)->status.collision_count);
}

void
controller_revision_create(struct findings *f, const void *body)
{
    const struct controller_revision *r = body;

    if (!r->data.json)
        find_required(f, AT(NULL, "data"), "data is mandatory");
    check_nonnegative(f, AT(NULL, "revision"), r->revision);
}

void
controller_revision_update(struct findings *f, const void *body, const void *old)
{
    const struct controller_revision *now = body, *was = old;

    if (now->data.len != was->data.len || (now->data.len && memcmp(now->data.json, was->data.json, now->data.len) != 0))
        find_invalid_raw(f, AT(NULL, "data"), str_or(now->data.json, "null"), IMMUTABLE_MSG);
    controller_revision_create(f, body);
}
