// SPDX-License-Identifier: Apache-2.0
/* What a pod says about where it may run: affinity, tolerations, spreading, gates. */
#include <string.h>

#include "apiserver/registry/validate_parts.h"
#include "common/api/meta.h"

static void
check_node_expression(struct findings *f, const struct path *p, const struct node_selector_requirement *r, bool check_values)
{
    static const char *const sets[] = { "In", "NotIn", NULL }, *const unary[] = { "Exists", "DoesNotExist", NULL };
    static const char *const numbers[] = { "Gt", "Lt", NULL };

    if (is_one_of(r->operator, sets)) {
        if (r->values.len == 0)
            find_required(f, AT(p, "values"), "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (is_one_of(r->operator, unary)) {
        if (r->values.len > 0)
            find_forbidden(f, AT(p, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else if (is_one_of(r->operator, numbers)) {
        if (r->values.len != 1)
            find_required(f, AT(p, "values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
    } else
        find_invalid(f, AT(p, "operator"), r->operator, "not a valid selector operator");
    check_label_key(f, AT(p, "key"), r->key);
    for (uint32_t i = 0; check_values && i < r->values.len; i++)
        check_name(f, AT_INDEX(AT(p, "values"), i), NAME_LABEL_VALUE, r->values.items[i]);
}

static void
check_node_field(struct findings *f, const struct path *p, const struct node_selector_requirement *r)
{
    static const char *const sets[] = { "In", "NotIn", NULL };

    if (!is_one_of(r->operator, sets))
        find_invalid(f, AT(p, "operator"), r->operator, "not a valid selector operator");
    else if (r->values.len != 1)
        find_required(f, AT(p, "values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
    if (!str_eq(r->key, "metadata.name")) {
        find_invalid(f, AT(p, "key"), r->key, "not a valid field selector key");
        return;
    }
    for (uint32_t i = 0; i < r->values.len; i++)
        check_name(f, AT_INDEX(AT(p, "values"), i), NAME_DNS_SUBDOMAIN, r->values.items[i]);
}

static void
check_node_term(struct findings *f, const struct path *p, const struct node_selector_term *t, bool check_values)
{
    for (uint32_t i = 0; i < t->match_expressions.len; i++)
        check_node_expression(f, AT_INDEX(AT(p, "matchExpressions"), i), &t->match_expressions.items[i], check_values);
    for (uint32_t i = 0; i < t->match_fields.len; i++)
        check_node_field(f, AT_INDEX(AT(p, "matchFields"), i), &t->match_fields.items[i]);
}

void
check_node_selector(struct findings *f, const struct path *p, const struct node_selector *s)
{
    const struct path *at = AT(p, "nodeSelectorTerms");

    if (s->node_selector_terms.len == 0)
        find_required(f, at, "must have at least one node selector term");
    for (uint32_t i = 0; i < s->node_selector_terms.len; i++)
        check_node_term(f, AT_INDEX(at, i), &s->node_selector_terms.items[i], true);
}

static void
check_node_affinity(struct findings *f, const struct path *p, const struct node_affinity *na)
{
    const struct preferred_scheduling_term_slice *preferred = &na->preferred_during_scheduling_ignored_during_execution;

    if (na->required_during_scheduling_ignored_during_execution)
        check_node_selector(f, AT(p, "requiredDuringSchedulingIgnoredDuringExecution"),
                            na->required_during_scheduling_ignored_during_execution);
    for (uint32_t i = 0; i < preferred->len; i++) {
        const struct path *at = AT_INDEX(AT(p, "preferredDuringSchedulingIgnoredDuringExecution"), i);
        if (preferred->items[i].weight <= 0 || preferred->items[i].weight > 100)
            find_invalid_int(f, AT(at, "weight"), preferred->items[i].weight, "must be in the range 1-100");
        check_node_term(f, AT(at, "preference"), &preferred->items[i].preference, false);
    }
}

static void
check_keys(struct findings *f, const struct path *p, const struct string_slice *keys, const struct label_selector *selector)
{
    if (keys->len == 0)
        return;
    if (!selector) {
        find_forbidden(f, p, "must not be specified when labelSelector is not set");
        return;
    }
    for (uint32_t i = 0; i < keys->len; i++)
        check_label_key(f, AT_INDEX(p, i), keys->items[i]);
}

static bool
selector_names(const struct label_selector *s, uint32_t expressions, const char *key)
{
    if (string_map_get(&s->match_labels, key))
        return true;
    for (uint32_t i = 0; i < expressions; i++)
        if (str_eq(s->match_expressions.items[i].key, key))
            return true;
    return false;
}

static void
check_match_label_keys(struct findings *f, const struct path *p, const struct pod_affinity_term *t)
{
    check_keys(f, AT(p, "matchLabelKeys"), &t->match_label_keys, t->label_selector);
    check_keys(f, AT(p, "mismatchLabelKeys"), &t->mismatch_label_keys, t->label_selector);
    /* By now the key's own expression was added to the selector: a second one is the user's. */
    for (uint32_t e = 0; t->label_selector && e < t->label_selector->match_expressions.len; e++) {
        const char *key = t->label_selector->match_expressions.items[e].key;
        for (uint32_t i = 0; i < t->match_label_keys.len; i++)
            if (str_eq(t->match_label_keys.items[i], key) && selector_names(t->label_selector, e, str_safe(key)))
                find_invalid(f, AT_INDEX(p, i), key, "exists in both matchLabelKeys and labelSelector");
    }
    for (uint32_t i = 0; i < t->match_label_keys.len; i++)
        if (string_slice_has(&t->mismatch_label_keys, t->match_label_keys.items[i]))
            find_invalid(f, AT_INDEX(AT(p, "matchLabelKeys"), i), t->match_label_keys.items[i],
                         "exists in both matchLabelKeys and mismatchLabelKeys");
}

static void
check_pod_term(struct findings *f, const struct path *p, const struct pod_affinity_term *t)
{
    check_label_selector(f, AT(p, "labelSelector"), t->label_selector);
    check_label_selector(f, AT(p, "namespaceSelector"), t->namespace_selector);
    for (uint32_t i = 0; i < t->namespaces.len; i++)
        check_name(f, AT(p, "namespace"), NAME_DNS_LABEL, t->namespaces.items[i]);
    check_match_label_keys(f, p, t);
    if (str_empty(t->topology_key))
        find_required(f, AT(p, "topologyKey"), "can not be empty");
    check_label_key(f, AT(p, "topologyKey"), t->topology_key);
}

static void
check_pod_terms(struct findings *f, const struct path *p, const struct pod_affinity_term_slice *required,
                const struct weighted_pod_affinity_term_slice *preferred)
{
    for (uint32_t i = 0; i < required->len; i++)
        check_pod_term(f, AT_INDEX(AT(p, "requiredDuringSchedulingIgnoredDuringExecution"), i), &required->items[i]);
    for (uint32_t i = 0; i < preferred->len; i++) {
        const struct path *at = AT_INDEX(AT(p, "preferredDuringSchedulingIgnoredDuringExecution"), i);
        if (preferred->items[i].weight <= 0 || preferred->items[i].weight > 100)
            find_invalid_int(f, AT(at, "weight"), preferred->items[i].weight, "must be in the range 1-100");
        check_pod_term(f, AT(at, "podAffinityTerm"), &preferred->items[i].pod_affinity_term);
    }
}

static void
check_affinity(struct findings *f, const struct path *p, const struct affinity *a)
{
    if (a->node_affinity)
        check_node_affinity(f, AT(p, "nodeAffinity"), a->node_affinity);
    if (a->pod_affinity)
        check_pod_terms(f, AT(p, "podAffinity"), &a->pod_affinity->required_during_scheduling_ignored_during_execution,
                        &a->pod_affinity->preferred_during_scheduling_ignored_during_execution);
    if (a->pod_anti_affinity)
        check_pod_terms(f, AT(p, "podAntiAffinity"),
                        &a->pod_anti_affinity->required_during_scheduling_ignored_during_execution,
                        &a->pod_anti_affinity->preferred_during_scheduling_ignored_during_execution);
}

void
check_taint_effect(struct findings *f, const struct path *p, const char *effect, bool allow_empty)
{
    static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };

    check_enum(f, p, effect, effects, !allow_empty);
}

static void
check_joined(struct findings *f, const struct path *p, enum name_rule rule, const char *value)
{
    const char *why[NAME_MAX_ERRORS];
    unsigned n = name_check(rule, value, why);
    AUTO_SBUF all = { 0 };

    for (unsigned i = 0; i < n; i++)
        sbuf_addf(&all, "%s%s", i ? ";" : "", why[i]);
    if (n)
        find_invalid(f, p, value, "%s", sbuf_str(&all));
}

void
check_tolerations(struct findings *f, const struct path *p, const struct toleration_slice *tolerations)
{
    static const char *const operators[] = { "Equal", "Exists", NULL };

    for (uint32_t i = 0; i < tolerations->len; i++) {
        const struct toleration *t = &tolerations->items[i];
        const struct path *at = AT_INDEX(p, i);
        check_optional_name(f, AT(at, "key"), NAME_QUALIFIED, t->key);
        if (str_empty(t->key) && !str_eq(t->operator, "Exists"))
            find_invalid(f, AT(at, "operator"), t->operator,
                         "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
        if (t->toleration_seconds && !str_eq(t->effect, "NoExecute"))
            find_invalid(f, AT(at, "effect"), t->effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        if (str_empty(t->operator) || str_eq(t->operator, "Equal"))
            check_joined(f, AT(at, "operator"), NAME_LABEL_VALUE, t->value);
        else if (str_eq(t->operator, "Exists")) {
            if (!str_empty(t->value))
                find_invalid(f, AT(at, "operator"), t->value, "value must be empty when `operator` is 'Exists'");
        } else
            find_unsupported(f, AT(at, "operator"), t->operator, operators);
        check_taint_effect(f, AT(at, "effect"), t->effect, true);
    }
}

static void
check_spread_keys(struct findings *f, const struct path *p, const struct topology_spread_constraint *c)
{
    if (c->match_label_keys.len == 0)
        return;
    if (!c->label_selector)
        find_forbidden(f, p, "must not be specified when labelSelector is not set");
    for (uint32_t i = 0; i < c->match_label_keys.len; i++) {
        const char *key = c->match_label_keys.items[i];
        check_label_key(f, AT_INDEX(p, i), key);
        if (c->label_selector && selector_names(c->label_selector, c->label_selector->match_expressions.len, str_safe(key)))
            find_invalid(f, AT_INDEX(p, i), key, "exists in both matchLabelKeys and labelSelector");
    }
}

static void
check_spread(struct findings *f, const struct path *p, const struct topology_spread_constraint_slice *list)
{
    static const char *const actions[] = { "DoNotSchedule", "ScheduleAnyway", NULL };
    static const char *const policies[] = { "Honor", "Ignore", NULL };
    AUTO_INDEX pairs = { 0 };

    for (uint32_t i = 0; i < list->len; i++) {
        const struct topology_spread_constraint *c = &list->items[i];
        const struct path *at = AT_INDEX(p, i);
        if (c->max_skew <= 0)
            find_invalid_int(f, AT(at, "maxSkew"), c->max_skew, NOT_POSITIVE_MSG);
        if (str_empty(c->topology_key))
            find_required(f, AT(at, "topologyKey"), "can not be empty");
        if (!is_one_of(c->when_unsatisfiable, actions))
            find_unsupported(f, AT(at, "whenUnsatisfiable"), c->when_unsatisfiable, actions);
        AUTO_FREE char *pair = xasprintf("{%s, %s}", str_safe(c->topology_key), str_safe(c->when_unsatisfiable));
        check_unique(f, AT(at, "{topologyKey, whenUnsatisfiable}"), &pairs, pair, false);
        if (c->min_domains && *c->min_domains <= 0)
            find_invalid_int(f, AT(at, "minDomains"), *c->min_domains, NOT_POSITIVE_MSG);
        if (c->min_domains && !str_eq(c->when_unsatisfiable, "DoNotSchedule"))
            find_invalid_int(f, AT(at, "minDomains"), *c->min_domains,
                             "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not %s",
                             str_safe(c->when_unsatisfiable));
        if (c->node_affinity_policy && !is_one_of(c->node_affinity_policy, policies))
            find_unsupported(f, AT(at, "nodeAffinityPolicy"), c->node_affinity_policy, policies);
        if (c->node_taints_policy && !is_one_of(c->node_taints_policy, policies))
            find_unsupported(f, AT(at, "nodeTaintsPolicy"), c->node_taints_policy, policies);
        check_spread_keys(f, AT(at, "matchLabelKeys"), c);
        check_label_selector(f, AT(at, "labelSelector"), c->label_selector);
    }
}

static void
check_gates(struct findings *f, const struct path *p, const struct pod_scheduling_gate_slice *gates)
{
    AUTO_INDEX names = { 0 };

    for (uint32_t i = 0; i < gates->len; i++) {
        check_label_key(f, AT_INDEX(p, i), gates->items[i].name);
        check_unique(f, AT_INDEX(p, i), &names, gates->items[i].name, false);
    }
}

void
check_pod_scheduling(struct findings *f, const struct path *spec_path, const struct pod_spec *spec)
{
    check_labels(f, AT(spec_path, "nodeSelector"), &spec->node_selector);
    if (spec->affinity)
        check_affinity(f, AT(spec_path, "affinity"), spec->affinity);
    check_gates(f, AT(spec_path, "schedulingGates"), &spec->scheduling_gates);
    check_spread(f, AT(spec_path, "topologySpreadConstraints"), &spec->topology_spread_constraints);
    check_tolerations(f, AT(spec_path, "tolerations"), &spec->tolerations);
}
