// SPDX-License-Identifier: Apache-2.0
/* policy, autoscaling, scheduling, coordination, events, certificates, node, admissionregistration, flowcontrol,
 * authentication. */
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "apiserver/registry/validate_kinds.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"

#define HIGHEST_USER_PRIORITY 1000000000

/* ---- disruption budgets ---- */

void
pod_disruption_budget_create(struct findings *f, const void *body)
{
    static const char *const policies[] = { "AlwaysAllow", "IfHealthyBudget", NULL };
    const struct pod_disruption_budget_spec *s = &((const struct pod_disruption_budget *)body)->spec;
    const struct path *p = AT(NULL, "spec");

    if (s->min_available && s->max_unavailable)
        find_invalid_struct(f, p, &api_type_pod_disruption_budget_spec, s,
                            "minAvailable and maxUnavailable cannot be both set");
    check_positive_percent_or_int(f, AT(p, "minAvailable"), s->min_available);
    check_at_most_100_percent(f, AT(p, "minAvailable"), s->min_available);
    check_positive_percent_or_int(f, AT(p, "maxUnavailable"), s->max_unavailable);
    check_at_most_100_percent(f, AT(p, "maxUnavailable"), s->max_unavailable);
    check_label_selector(f, AT(p, "selector"), s->selector);
    if (s->unhealthy_pod_eviction_policy && !is_one_of(s->unhealthy_pod_eviction_policy, policies))
        find_unsupported(f, AT(p, "unhealthyPodEvictionPolicy"), s->unhealthy_pod_eviction_policy, policies);
}

void
pod_disruption_budget_status(struct findings *f, const void *body, const void *old)
{
    const struct pod_disruption_budget_status *s = &((const struct pod_disruption_budget *)body)->status;
    const struct path *p = AT(NULL, "status");

    check_conditions(f, AT(p, "conditions"), &s->conditions);
    check_nonnegative(f, AT(p, "disruptionsAllowed"), s->disruptions_allowed);
    check_nonnegative(f, AT(p, "currentHealthy"), s->current_healthy);
    check_nonnegative(f, AT(p, "desiredHealthy"), s->desired_healthy);
    check_nonnegative(f, AT(p, "expectedPods"), s->expected_pods);
}

/* ---- autoscalers ---- */

static void
check_scale_bounds(struct findings *f, const struct path *p, const char *kind, const char *name, const int32_t *min, int32_t max)
{
    check_required_name(f, AT(AT(p, "scaleTargetRef"), "kind"), NAME_PATH_SEGMENT, kind);
    check_required_name(f, AT(AT(p, "scaleTargetRef"), "name"), NAME_PATH_SEGMENT, name);
    if (min && *min < 1)
        find_invalid_int(f, AT(p, "minReplicas"), *min, "must be greater than or equal to 1");
    if (max < 1)
        find_invalid_int(f, AT(p, "maxReplicas"), max, "must be greater than 0");
    if (min && max < *min)
        find_invalid_int(f, AT(p, "maxReplicas"), max, "must be greater than or equal to `minReplicas`");
}

void
hpa_v1_create(struct findings *f, const void *body)
{
    const struct autoscaling_v1_horizontal_pod_autoscaler_spec *s =
        &((const struct autoscaling_v1_horizontal_pod_autoscaler *)body)->spec;
    const struct path *p = AT(NULL, "spec");

    check_scale_bounds(f, p, s->scale_target_ref.kind, s->scale_target_ref.name, s->min_replicas, s->max_replicas);
    if (s->target_cpu_utilization_percentage && *s->target_cpu_utilization_percentage < 1)
        find_invalid_int(f, AT(p, "targetCPUUtilizationPercentage"), *s->target_cpu_utilization_percentage,
                         "must be greater than 0");
}

static void
check_target(struct findings *f, const struct path *p, const struct metric_target *t, bool utilization_allowed)
{
    static const char *const types[] = { "AverageValue", "Utilization", "Value", NULL };

    if (str_empty(t->type))
        find_required(f, AT(p, "type"), "must specify a metric target type");
    else if (!is_one_of(t->type, types))
        find_invalid(f, AT(p, "type"), t->type, "must be either Utilization, Value, or AverageValue");
    if (t->value && quantity_sign(*t->value) != 1)
        find_invalid(f, AT(p, "value"), quantity_text(*t->value), "must be positive");
    if (t->average_value && quantity_sign(*t->average_value) != 1)
        find_invalid(f, AT(p, "averageValue"), quantity_text(*t->average_value), "must be positive");
    if (t->average_utilization && *t->average_utilization < 1)
        find_invalid_int(f, AT(p, "averageUtilization"), *t->average_utilization, "must be greater than 0");
    if (utilization_allowed && !t->average_utilization && !t->average_value)
        find_required(f, AT(p, "averageUtilization"), "must set either a target raw value or a target utilization");
    if (utilization_allowed && t->average_utilization && t->average_value)
        find_forbidden(f, AT(p, "averageValue"), "may not set both a target raw value and a target utilization");
}

static void
check_metric_id(struct findings *f, const struct path *p, const struct metric_identifier *m)
{
    check_required_name(f, AT(p, "name"), NAME_PATH_SEGMENT, m->name);
    check_label_selector(f, AT(p, "selector"), m->selector);
}

static void
check_metric(struct findings *f, const struct path *p, const struct metric_spec *m)
{
    static const char *const types[] = { "ContainerResource", "External", "Object", "Pods", "Resource", NULL };
    const struct {
        const char *type, *field;
        bool set;
    } sources[] = { { "Object", "object", m->object },
                    { "External", "external", m->external },
                    { "Pods", "pods", m->pods },
                    { "Resource", "resource", m->resource },
                    { "ContainerResource", "containerResource", m->container_resource } };

    if (str_empty(m->type))
        find_required(f, AT(p, "type"), "must specify a metric source type");
    if (!is_one_of(m->type, types))
        find_unsupported(f, AT(p, "type"), m->type, types);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        bool mine = str_eq(sources[i].type, m->type);
        if (mine && !sources[i].set)
            find_required(f, AT(p, sources[i].field), "must populate information for the given metric source");
        if (!mine && sources[i].set)
            find_forbidden(f, AT(p, sources[i].field), "must populate the given metric source only");
    }
    if (m->object) {
        check_metric_id(f, AT(AT(p, "object"), "metric"), &m->object->metric);
        check_required(f, AT(AT(AT(p, "object"), "describedObject"), "kind"), m->object->described_object.kind);
        check_required(f, AT(AT(AT(p, "object"), "describedObject"), "name"), m->object->described_object.name);
        check_target(f, AT(AT(p, "object"), "target"), &m->object->target, false);
    }
    if (m->external) {
        check_metric_id(f, AT(AT(p, "external"), "metric"), &m->external->metric);
        check_target(f, AT(AT(p, "external"), "target"), &m->external->target, false);
    }
    if (m->pods) {
        check_metric_id(f, AT(AT(p, "pods"), "metric"), &m->pods->metric);
        check_target(f, AT(AT(p, "pods"), "target"), &m->pods->target, false);
    }
    if (m->resource) {
        if (str_empty(m->resource->name))
            find_required(f, AT(AT(p, "resource"), "name"), "must specify a resource name");
        check_target(f, AT(AT(p, "resource"), "target"), &m->resource->target, true);
    }
    if (m->container_resource) {
        if (str_empty(m->container_resource->name))
            find_required(f, AT(AT(p, "containerResource"), "name"), "must specify a resource name");
        if (str_empty(m->container_resource->container))
            find_required(f, AT(AT(p, "containerResource"), "container"), "must specify a container");
        check_target(f, AT(AT(p, "containerResource"), "target"), &m->container_resource->target, true);
    }
}

static void
check_scaling_rules(struct findings *f, const struct path *p, const struct hpa_scaling_rules *r)
{
    static const char *const selects[] = { "Disabled", "Max", "Min", NULL }, *const kinds[] = { "Percent", "Pods", NULL };

    if (!r)
        return;
    check_nonnegative_ptr(f, AT(p, "stabilizationWindowSeconds"), r->stabilization_window_seconds);
    if (r->stabilization_window_seconds && *r->stabilization_window_seconds > 3600)
        find_invalid_int(f, AT(p, "stabilizationWindowSeconds"), *r->stabilization_window_seconds,
                         "must be less than or equal to 3600");
    if (r->select_policy && !is_one_of(r->select_policy, selects))
        find_unsupported(f, AT(p, "selectPolicy"), r->select_policy, selects);
    if (r->policies.len == 0)
        find_required(f, AT(p, "policies"), "must specify at least one Policy");
    for (uint32_t i = 0; i < r->policies.len; i++) {
        const struct hpa_scaling_policy *pol = &r->policies.items[i];
        const struct path *at = AT_INDEX(AT(p, "policies"), i);
        if (!is_one_of(pol->type, kinds))
            find_unsupported(f, AT(at, "type"), pol->type, kinds);
        if (pol->value <= 0)
            find_invalid_int(f, AT(at, "value"), pol->value, "must be greater than zero");
        if (pol->period_seconds <= 0)
            find_invalid_int(f, AT(at, "periodSeconds"), pol->period_seconds, "must be greater than zero");
        else if (pol->period_seconds > 1800)
            find_invalid_int(f, AT(at, "periodSeconds"), pol->period_seconds, "must be less than or equal to 1800");
    }
}

void
hpa_create(struct findings *f, const void *body)
{
    const struct horizontal_pod_autoscaler_spec *s = &((const struct horizontal_pod_autoscaler *)body)->spec;
    const struct path *p = AT(NULL, "spec");

    check_scale_bounds(f, p, s->scale_target_ref.kind, s->scale_target_ref.name, s->min_replicas, s->max_replicas);
    for (uint32_t i = 0; i < s->metrics.len; i++)
        check_metric(f, AT_INDEX(AT(p, "metrics"), i), &s->metrics.items[i]);
    if (s->behavior) {
        check_scaling_rules(f, AT(AT(p, "behavior"), "scaleUp"), s->behavior->scale_up);
        check_scaling_rules(f, AT(AT(p, "behavior"), "scaleDown"), s->behavior->scale_down);
    }
}

/* ---- priority classes ---- */

void
priority_class_create(struct findings *f, const void *body)
{
    static const char *const policies[] = { "Never", "PreemptLowerPriority", NULL };
    static const struct {
        const char *name;
        int32_t value;
    } system[] = { { "system-node-critical", 2000001000 }, { "system-cluster-critical", 2000000000 } };
    const struct priority_class *pc = body;

    if (str_has_prefix(pc->metadata.name, "system-")) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(system); i++)
            known = known || (str_eq(system[i].name, pc->metadata.name) && system[i].value == pc->value && !pc->global_default);
        if (!known)
            find_forbidden(f, AT(AT(NULL, "metadata"), "name"),
                           "priority class names with 'system-' prefix are reserved for system use only. error: %s is not a "
                           "known system priority class",
                           pc->metadata.name);
    } else if (pc->value > HIGHEST_USER_PRIORITY)
        find_forbidden(f, AT(NULL, "value"), "maximum allowed value of a user defined priority is %d", HIGHEST_USER_PRIORITY);
    if (pc->preemption_policy)
        check_enum(f, AT(NULL, "preemptionPolicy"), pc->preemption_policy, policies, true);
}

void
priority_class_update(struct findings *f, const void *body, const void *old_body)
{
    const struct priority_class *pc = body, *old = old_body;

    if (pc->value != old->value)
        find_forbidden(f, AT(NULL, "Value"), "may not be changed in an update.");
    check_str_immutable(f, AT(NULL, "preemptionPolicy"), pc->preemption_policy, old->preemption_policy);
}

/* ---- leases, events ---- */

void
lease_create(struct findings *f, const void *body)
{
    static const char *const strategies[] = { "OldestEmulationVersion", NULL };
    const struct lease_spec *s = &((const struct lease *)body)->spec;
    const struct path *p = AT(NULL, "spec");

    if (s->lease_duration_seconds && *s->lease_duration_seconds <= 0)
        find_invalid_int(f, AT(p, "leaseDurationSeconds"), *s->lease_duration_seconds, "must be greater than 0");
    if (s->lease_transitions && *s->lease_transitions < 0)
        find_invalid_int(f, AT(p, "leaseTransitions"), *s->lease_transitions, "must be greater than or equal to 0");
    if (s->strategy && !is_one_of(s->strategy, strategies) && !strchr(s->strategy, '/'))
        find_invalid(f, AT(p, "strategy"), s->strategy,
                     "unrecognized strategy, must be one of the supported strategies or a domain-prefixed key");
}

void
events_event_create(struct findings *f, const void *body)
{
    const struct events_event *e = body;
    static const char *const types[] = { "Normal", "Warning", NULL };
    const char *about = str_safe(e->regarding.namespace), *own = str_safe(e->metadata.namespace);

    if (*about ? strcmp(about, own) != 0 : strcmp(own, "default") != 0 && strcmp(own, "kube-system") != 0)
        find_invalid(f, AT(AT(NULL, "regarding"), "namespace"), about, "does not match event.namespace");
    if (api_time_is_zero(e->event_time)) {
        find_required(f, AT(NULL, "eventTime"), "");
        return;
    }
    if (check_required(f, AT(NULL, "reportingController"), e->reporting_controller))
        check_label_key(f, AT(NULL, "reportingController"), e->reporting_controller);
    check_required(f, AT(NULL, "reportingInstance"), e->reporting_instance);
    if (strlen(str_safe(e->reporting_instance)) > 128)
        find_too_long(f, AT(NULL, "reportingInstance"), 128);
    check_required(f, AT(NULL, "action"), e->action);
    if (strlen(str_safe(e->action)) > 128)
        find_too_long(f, AT(NULL, "action"), 128);
    check_required(f, AT(NULL, "reason"), e->reason);
    if (strlen(str_safe(e->reason)) > 128)
        find_too_long(f, AT(NULL, "reason"), 128);
    if (strlen(str_safe(e->note)) > 1024)
        find_too_long(f, AT(NULL, "note"), 1024);
    check_enum(f, AT(NULL, "type"), e->type, types, true);
}

/* ---- certificate signing requests ---- */

static const char *
csr_request_error(const struct api_bytes *request)
{
    const char *why = NULL;
    BIO *bio = BIO_new_mem_buf(request->data, (int)request->len);
    X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);

    if (!req)
        why = "PEM block type must be CERTIFICATE REQUEST";
    X509_REQ_free(req);
    BIO_free(bio);
    return why;
}

/* "kubernetes.io/kube-apiserver-client": a domain and a path. */
static void
check_signer(struct findings *f, const struct path *p, const char *name)
{
    const char *slash = strchr(str_safe(name), '/');

    if (!check_required(f, p, name))
        return;
    if (!slash || strchr(slash + 1, '/')) {
        find_invalid(f, p, name,
                     "must be a fully qualified domain and path of the form 'example.com/signer-name'");
        return;
    }
    AUTO_FREE char *domain = xstrndup(name, (size_t)(slash - name));
    check_name(f, p, NAME_DNS_SUBDOMAIN, domain);
    if (!strchr(domain, '.'))
        find_invalid(f, p, domain, "should be a domain with at least two segments separated by dots");
    check_name(f, p, NAME_DNS_SUBDOMAIN, slash + 1);
}

static void
check_csr_conditions(struct findings *f, const struct certificate_signing_request *csr)
{
    static const char *const settled[] = { "Approved", "Denied", "Failed", NULL };
    static const char *const statuses[] = { "False", "True", "Unknown", NULL };
    const struct certificate_signing_request_condition_slice *l = &csr->status.conditions;
    const struct path *p = AT(AT(NULL, "status"), "conditions");
    bool approved = false, denied = false;

    for (uint32_t i = 0; i < l->len; i++) {
        const struct certificate_signing_request_condition *c = &l->items[i];
        const struct path *at = AT_INDEX(p, i);
        check_required(f, AT(at, "type"), c->type);
        check_enum(f, AT(at, "status"), c->status, statuses, true);
        if (is_one_of(c->type, settled) && !str_empty(c->status) && !str_eq(c->status, "True")) {
            static const char *const only[] = { "True", NULL };
            find_unsupported(f, AT(at, "status"), c->status, only);
        }
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(l->items[k].type, c->type)) {
                find_duplicate(f, AT(at, "type"), c->type);
                break;
            }
        approved = approved || str_eq(c->type, "Approved");
        denied = denied || str_eq(c->type, "Denied");
        if (approved && denied)
            find_invalid(f, AT(at, "type"), c->type, "Approved and Denied conditions are mutually exclusive");
    }
}

void
csr_create(struct findings *f, const void *body)
{
    static const char *const usages[] = {
        "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment",
        "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel",
        "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime",
        "server auth", "signing", "timestamping", NULL
    };
    const struct certificate_signing_request *csr = body;
    const struct certificate_signing_request_spec *s = &csr->spec;
    const struct path *p = AT(NULL, "spec");
    const char *why = csr_request_error(&s->request);
    AUTO_INDEX seen = { 0 };

    if (why)
        find_invalid(f, AT(p, "request"), "<omitted>", "%s", why);
    if (s->usages.len == 0)
        find_required(f, AT(p, "usages"), "usages must be provided");
    for (uint32_t i = 0; i < s->usages.len; i++) {
        if (!is_one_of(s->usages.items[i], usages))
            find_unsupported(f, AT_INDEX(AT(p, "usages"), i), s->usages.items[i], usages);
        check_unique(f, AT_INDEX(AT(p, "usages"), i), &seen, s->usages.items[i], false);
    }
    check_signer(f, AT(p, "signerName"), s->signer_name);
    if (s->expiration_seconds && *s->expiration_seconds < 600)
        find_invalid_int(f, AT(p, "expirationSeconds"), *s->expiration_seconds,
                         "may not specify a duration less than 600 seconds (10 minutes)");
    check_csr_conditions(f, csr);
}

static bool
csr_has(const struct certificate_signing_request *csr, const char *type)
{
    for (uint32_t i = 0; i < csr->status.conditions.len; i++)
        if (str_eq(csr->status.conditions.items[i].type, type))
            return true;
    return false;
}

void
csr_update(struct findings *f, const void *body, const void *old)
{
    csr_create(f, body);
    csr_status(f, body, old);
}

/* Approved, Denied and Failed stay once they are set; a certificate does not change. */
void
csr_status(struct findings *f, const void *body, const void *old_body)
{
    static const char *const settled[] = { "Approved", "Denied", "Failed" };
    const struct certificate_signing_request *csr = body, *old = old_body;
    const struct api_bytes *now = &csr->status.certificate, *was = &old->status.certificate;
    const struct path *p = AT(NULL, "status");

    for (size_t i = 0; i < ARRAY_LEN(settled); i++)
        if (csr_has(old, settled[i]) && !csr_has(csr, settled[i]))
            find_forbidden(f, AT(p, "conditions"), "updates may not remove a condition of type \"%s\"", settled[i]);
    if (was->len > 0 && (now->len != was->len || memcmp(now->data, was->data, was->len) != 0))
        find_forbidden(f, AT(p, "certificate"), "updates may not change or remove certificate content once set");
    check_csr_conditions(f, csr);
}

/* ---- runtime classes ---- */

void
runtime_class_create(struct findings *f, const void *body)
{
    const struct runtime_class *rc = body;

    check_name(f, AT(NULL, "handler"), NAME_DNS_LABEL, rc->handler);
    if (rc->overhead)
        check_resources(f, AT(AT(NULL, "overhead"), "podFixed"),
                        &(struct resource_requirements){ .limits = rc->overhead->pod_fixed }, NULL, false);
    if (rc->scheduling) {
        check_labels(f, AT(AT(NULL, "scheduling"), "nodeSelector"), &rc->scheduling->node_selector);
        check_tolerations(f, AT(AT(NULL, "scheduling"), "tolerations"), &rc->scheduling->tolerations);
    }
}

void
runtime_class_update(struct findings *f, const void *body, const void *old)
{
    const struct runtime_class *now = body, *was = old;

    check_str_immutable(f, AT(NULL, "handler"), now->handler, was->handler);
}

/* ---- webhook configurations ---- */

/* The two kinds share all fields but one; this is the shared view. */
struct webhook {
    const char *name, *failure_policy, *match_policy, *side_effects;
    const struct webhook_client_config *client;
    const struct rule_with_operations_slice *rules;
    const struct label_selector *namespace_selector, *object_selector;
    const int32_t *timeout_seconds;
    const struct string_slice *versions;
};

static void
check_webhook_client(struct findings *f, const struct path *p, const struct webhook_client_config *c)
{
    if (!c->url == !c->service) {
        find_required(f, p, "exactly one of url or service is required");
        return;
    }
    if (c->url) {
        if (!str_has_prefix(c->url, "https://"))
            find_invalid(f, AT(p, "url"), c->url,
                         "'https' is the only allowed URL scheme; desired format: https://host[/path]");
        else if (!c->url[8] || c->url[8] == '/')
            find_invalid(f, AT(p, "url"), "", "host must be specified; desired format: https://host[/path]");
        if (strpbrk(c->url, "?#"))
            find_invalid(f, AT(p, "url"), c->url, "query parameters and fragments are not permitted in the URL");
        return;
    }
    const struct path *at = AT(p, "service");
    if (str_empty(c->service->name))
        find_required(f, AT(at, "name"), "service name is required");
    if (str_empty(c->service->namespace))
        find_required(f, AT(at, "namespace"), "service namespace is required");
    if (c->service->port && (*c->service->port < 1 || *c->service->port > 65535))
        find_invalid_int(f, AT(at, "port"), *c->service->port,
                         "port is not valid: must be between 1 and 65535, inclusive");
    if (!str_empty(c->service->path) && c->service->path[0] != '/')
        find_invalid(f, AT(at, "path"), c->service->path, "must start with a '/'");
}

static void
check_webhook_rule(struct findings *f, const struct path *p, const struct rule_with_operations *r)
{
    static const char *const operations[] = { "*", "CONNECT", "CREATE", "DELETE", "UPDATE", NULL };
    static const char *const scopes[] = { "*", "Cluster", "Namespaced", NULL };
    const struct {
        const char *field;
        const struct string_slice *list;
    } required[] = { { "apiGroups", &r->rule.api_groups },
                     { "apiVersions", &r->rule.api_versions },
                     { "resources", &r->rule.resources } };

    if (r->operations.len == 0)
        find_required(f, AT(p, "operations"), "");
    if (r->operations.len > 1 && string_slice_has(&r->operations, "*"))
        find_invalid_list(f, AT(p, "operations"), &r->operations,
                          "if '*' is present, must not specify other operations");
    for (uint32_t i = 0; i < r->operations.len; i++)
        if (!is_one_of(r->operations.items[i], operations))
            find_unsupported(f, AT_INDEX(AT(p, "operations"), i), r->operations.items[i], operations);
    for (size_t i = 0; i < ARRAY_LEN(required); i++) {
        const struct path *at = AT(p, required[i].field);
        if (required[i].list->len == 0)
            find_required(f, at, "");
        for (uint32_t k = 0; k < required[i].list->len && i != 0; k++)
            if (str_empty(required[i].list->items[k]))
                find_required(f, AT_INDEX(at, k), "");
    }
    if (r->rule.scope && !is_one_of(r->rule.scope, scopes))
        find_unsupported(f, AT(p, "scope"), r->rule.scope, scopes);
}

static void
check_webhook(struct findings *f, const struct path *p, const struct webhook *w)
{
    static const char *const failures[] = { "Fail", "Ignore", NULL }, *const matches[] = { "Equivalent", "Exact", NULL };
    static const char *const effects[] = { "None", "NoneOnDryRun", NULL };
    unsigned dots = 0;

    if (check_required(f, AT(p, "name"), w->name)) {
        unsigned before = findings_count(f);
        check_name(f, AT(p, "name"), NAME_DNS_SUBDOMAIN, w->name);
        for (const char *c = w->name; *c; c++)
            dots += *c == '.';
        if (findings_count(f) == before && dots < 2)
            find_invalid(f, AT(p, "name"), w->name, "should be a domain with at least three segments separated by dots");
    }
    for (uint32_t i = 0; i < w->rules->len; i++)
        check_webhook_rule(f, AT_INDEX(AT(p, "rules"), i), &w->rules->items[i]);
    if (w->failure_policy && !is_one_of(w->failure_policy, failures))
        find_unsupported(f, AT(p, "failurePolicy"), w->failure_policy, failures);
    if (w->match_policy && !is_one_of(w->match_policy, matches))
        find_unsupported(f, AT(p, "matchPolicy"), w->match_policy, matches);
    if (!w->side_effects)
        find_required(f, AT(p, "sideEffects"), "must specify one of None, NoneOnDryRun");
    else if (!is_one_of(w->side_effects, effects))
        find_unsupported(f, AT(p, "sideEffects"), w->side_effects, effects);
    if (w->timeout_seconds && (*w->timeout_seconds < 1 || *w->timeout_seconds > 30))
        find_invalid_int(f, AT(p, "timeoutSeconds"), *w->timeout_seconds,
                         "the timeout value must be between 1 and 30 seconds");
    check_label_selector(f, AT(p, "namespaceSelector"), w->namespace_selector);
    check_label_selector(f, AT(p, "objectSelector"), w->object_selector);
    check_webhook_client(f, AT(p, "clientConfig"), w->client);
    if (w->versions->len == 0)
        find_required(f, AT(p, "admissionReviewVersions"), "must specify one of v1, v1beta1");
    else if (!string_slice_has(w->versions, "v1") && !string_slice_has(w->versions, "v1beta1"))
        find_invalid_list(f, AT(p, "admissionReviewVersions"), w->versions, "must include at least one of v1, v1beta1");
}

void
validating_webhooks_create(struct findings *f, const void *body)
{
    const struct validating_webhook_slice *l = &((const struct validating_webhook_configuration *)body)->webhooks;
    AUTO_INDEX names = { 0 };

    for (uint32_t i = 0; i < l->len; i++) {
        const struct validating_webhook *w = &l->items[i];
        const struct path *p = AT_INDEX(AT(NULL, "webhooks"), i);
        struct webhook view = { w->name, w->failure_policy, w->match_policy, w->side_effects, &w->client_config, &w->rules,
                                w->namespace_selector, w->object_selector, w->timeout_seconds,
                                &w->admission_review_versions };
        check_webhook(f, p, &view);
        check_unique(f, AT(p, "name"), &names, w->name, true);
    }
}

void
mutating_webhooks_create(struct findings *f, const void *body)
{
    static const char *const reinvocations[] = { "IfNeeded", "Never", NULL };
    const struct mutating_webhook_slice *l = &((const struct mutating_webhook_configuration *)body)->webhooks;
    AUTO_INDEX names = { 0 };

    for (uint32_t i = 0; i < l->len; i++) {
        const struct mutating_webhook *w = &l->items[i];
        const struct path *p = AT_INDEX(AT(NULL, "webhooks"), i);
        struct webhook view = { w->name, w->failure_policy, w->match_policy, w->side_effects, &w->client_config, &w->rules,
                                w->namespace_selector, w->object_selector, w->timeout_seconds,
                                &w->admission_review_versions };
        check_webhook(f, p, &view);
        if (w->reinvocation_policy && !is_one_of(w->reinvocation_policy, reinvocations))
            find_unsupported(f, AT(p, "reinvocationPolicy"), w->reinvocation_policy, reinvocations);
        check_unique(f, AT(p, "name"), &names, w->name, true);
    }
}

/* ---- flow control ---- */

void
flow_schema_create(struct findings *f, const void *body)
{
    static const char *const kinds[] = { "Group", "ServiceAccount", "User", NULL }, *const methods[] = { "ByNamespace", "ByUser", NULL };
    const struct flow_schema_spec *s = &((const struct flow_schema *)body)->spec;
    const struct path *p = AT(NULL, "spec");

    if (s->matching_precedence <= 0)
        find_invalid_int(f, AT(p, "matchingPrecedence"), s->matching_precedence, "must be a positive value");
    if (s->matching_precedence > 10000)
        find_invalid_int(f, AT(p, "matchingPrecedence"), s->matching_precedence, "must not be greater than 10000");
    check_required_name(f, AT(AT(p, "priorityLevelConfiguration"), "name"), NAME_DNS_SUBDOMAIN,
                        s->priority_level_configuration.name);
    if (s->distinguisher_method && !is_one_of(s->distinguisher_method->type, methods))
        find_unsupported(f, AT(p, "distinguisherMethod"), s->distinguisher_method->type, methods);
    for (uint32_t i = 0; i < s->rules.len; i++) {
        const struct policy_rules_with_subjects *r = &s->rules.items[i];
        const struct path *at = AT_INDEX(AT(p, "rules"), i);
        if (r->subjects.len == 0)
            find_required(f, AT(at, "subjects"), "subjects must contain at least one value");
        for (uint32_t k = 0; k < r->subjects.len; k++)
            if (!is_one_of(r->subjects.items[k].kind, kinds))
                find_unsupported(f, AT(AT_INDEX(AT(at, "subjects"), k), "kind"), r->subjects.items[k].kind, kinds);
        if (r->resource_rules.len + r->non_resource_rules.len == 0)
            find_required(f, at, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
}

void
priority_level_create(struct findings *f, const void *body)
{
    static const char *const types[] = { "Exempt", "Limited", NULL }, *const responses[] = { "Queue", "Reject", NULL };
    const struct priority_level_configuration_spec *s = &((const struct priority_level_configuration *)body)->spec;
    const struct path *p = AT(NULL, "spec"), *at = AT(p, "limited");
    const struct limited_priority_level_configuration *l = s->limited;

    if (!is_one_of(s->type, types)) {
        find_unsupported(f, AT(p, "type"), s->type, types);
        return;
    }
    if (str_eq(s->type, "Exempt") && l)
        find_forbidden(f, at, "must be nil if the type is not Limited");
    if (!str_eq(s->type, "Limited"))
        return;
    if (s->exempt)
        find_forbidden(f, AT(p, "exempt"), "must be nil if the type is Limited");
    if (!l) {
        find_required(f, at, "must not be empty when type is Limited");
        return;
    }
    check_nonnegative_ptr(f, AT(at, "nominalConcurrencyShares"), l->nominal_concurrency_shares);
    if (l->lendable_percent)
        check_range(f, AT(at, "lendablePercent"), *l->lendable_percent, 0, 100);
    check_nonnegative_ptr(f, AT(at, "borrowingLimitPercent"), l->borrowing_limit_percent);
    if (!is_one_of(l->limit_response.type, responses))
        find_unsupported(f, AT(AT(at, "limitResponse"), "type"), l->limit_response.type, responses);
    else if (str_eq(l->limit_response.type, "Queue") && !l->limit_response.queuing)
        find_required(f, AT(AT(at, "limitResponse"), "queuing"), "must not be empty if limit response type is Limited");
}

/* ---- token requests ---- */

void
token_request_create(struct findings *f, const void *body)
{
    const struct token_request_spec *s = &((const struct token_request *)body)->spec;
    const struct path *p = AT(AT(NULL, "spec"), "expirationSeconds");

    if (s->expiration_seconds && *s->expiration_seconds < 600)
        find_invalid_int(f, p, *s->expiration_seconds, "may not specify a duration less than 10 minutes");
    if (s->expiration_seconds && *s->expiration_seconds > 1ll << 32)
        find_invalid_int(f, p, *s->expiration_seconds, "may not specify a duration larger than 2^32 seconds");
}

/* ---- access reviews ---- */

static void
check_asked(struct findings *f, const struct path *spec, const struct resource_attributes *resource,
            const struct non_resource_attributes *other)
{
    if (resource && other)
        find_invalid_struct(f, AT(spec, "nonResourceAttributes"), &api_type_non_resource_attributes, other,
                            "cannot be specified in combination with resourceAttributes");
    if (!resource && !other)
        find_invalid_null(f, AT(spec, "resourceAttributes"),
                          "exactly one of nonResourceAttributes or resourceAttributes must be specified");
}

static void
check_access_review(struct findings *f, const struct path *spec, const struct subject_access_review_spec *s)
{
    check_asked(f, spec, s->resource_attributes, s->non_resource_attributes);
    if (str_empty(s->user) && !s->groups.len)
        find_invalid(f, AT(spec, "user"), "", "at least one of user or group must be specified");
}

void
access_review_create(struct findings *f, const void *body)
{
    check_access_review(f, AT(NULL, "spec"), &((const struct subject_access_review *)body)->spec);
}

void
self_access_review_create(struct findings *f, const void *body)
{
    const struct self_subject_access_review *r = body;

    check_asked(f, AT(NULL, "spec"), r->spec.resource_attributes, r->spec.non_resource_attributes);
}

void
local_access_review_create(struct findings *f, const void *body)
{
    const struct local_subject_access_review *r = body;
    const struct path *spec = AT(NULL, "spec");
    const struct resource_attributes *resource = r->spec.resource_attributes;

    check_access_review(f, spec, &r->spec);
    if (resource && !str_eq(str_safe(resource->namespace), str_safe(r->metadata.namespace)))
        find_invalid(f, AT(AT(spec, "resourceAttributes"), "namespace"), str_safe(resource->namespace),
                     "must match metadata.namespace");
    if (r->spec.non_resource_attributes)
        find_invalid_struct(f, AT(spec, "nonResourceAttributes"), &api_type_non_resource_attributes,
                            r->spec.non_resource_attributes, "disallowed on this kind of request");
}
