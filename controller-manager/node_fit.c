// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/node_fit.h"

/* --- affinity --- */

static bool
requirement_holds(const struct node_selector_requirement *r, const char *value)
{
    bool listed = value && string_slice_has(&r->values, value);
    int64_t have, want;

    if (str_eq(r->operator, "In"))
        return listed;
    if (str_eq(r->operator, "NotIn"))
        return !listed;
    if (str_eq(r->operator, "Exists"))
        return value;
    if (str_eq(r->operator, "DoesNotExist"))
        return !value;
    if (!value || r->values.len != 1 || parse_i64(value, &have) || parse_i64(r->values.items[0], &want))
        return false;
    return str_eq(r->operator, "Gt") ? have > want : str_eq(r->operator, "Lt") && have < want;
}

/* A term without any requirement matches no node. */
static bool
term_holds(const struct node_selector_term *t, const struct node *node)
{
    if (t->match_expressions.len + t->match_fields.len == 0)
        return false;
    for (uint32_t i = 0; i < t->match_expressions.len; i++)
        if (!requirement_holds(&t->match_expressions.items[i], string_map_get(&node->metadata.labels, t->match_expressions.items[i].key)))
            return false;
    for (uint32_t i = 0; i < t->match_fields.len; i++)
        if (!str_eq(t->match_fields.items[i].key, "metadata.name") || !requirement_holds(&t->match_fields.items[i], node->metadata.name))
            return false;
    return true;
}

bool
node_fits_affinity(const struct pod_spec *pod, const struct node *node)
{
    const struct node_affinity *a = pod->affinity ? pod->affinity->node_affinity : NULL;
    const struct node_selector *s = a ? a->required_during_scheduling_ignored_during_execution : NULL;

    if (!label_map_contains(&node->metadata.labels, &pod->node_selector))
        return false;
    for (uint32_t i = 0; s && i < s->node_selector_terms.len; i++)
        if (term_holds(&s->node_selector_terms.items[i], node))
            return true;
    return !s;
}

/* --- taints --- */

static bool
tolerates(const struct toleration *t, const struct taint *taint)
{
    if (!str_empty(t->effect) && !str_eq(t->effect, taint->effect))
        return false;
    if (!str_empty(t->key) && !str_eq(t->key, taint->key))
        return false;
    if (str_eq(t->operator, "Exists"))
        return true;
    return (str_empty(t->operator) || str_eq(t->operator, "Equal")) && !str_empty(t->key) && str_eq(t->value, taint->value);
}

bool
node_taints_tolerated(const struct pod_spec *pod, const struct node *node, const char *effect)
{
    for (uint32_t i = 0; i < node->spec.taints.len; i++) {
        bool fine = !str_eq(node->spec.taints.items[i].effect, effect);
        for (uint32_t k = 0; !fine && k < pod->tolerations.len; k++)
            fine = tolerates(&pod->tolerations.items[k], &node->spec.taints.items[i]);
        if (!fine)
            return false;
    }
    return true;
}
