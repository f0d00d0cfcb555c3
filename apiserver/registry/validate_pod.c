// SPDX-License-Identifier: Apache-2.0
/* Pods: creation, the few changes that are allowed, status, and the subresources that write the spec. */
#include <string.h>

#include "apiserver/registry/validate_kinds.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"

#define MIRROR_KEY "kubernetes.io/config.mirror"
#define APPARMOR_KEY "container.apparmor.security.beta.kubernetes.io/"

static void
check_image_spaces(const struct container *c, const struct path *p, void *arg)
{
    const char *image = str_safe(c->image);
    size_t len = strlen(image);

    if (len > 0 && (strchr(" \t\r\n\v\f", image[0]) || strchr(" \t\r\n\v\f", image[len - 1])))
        find_invalid(arg, AT(p, "image"), image, "must not have leading or trailing whitespace");
}

/* Metadata was checked by the caller. */
static void
check_pod(struct findings *f, const struct pod *pod)
{
    const struct path *spec_path = AT(NULL, "spec");
    const struct pod_spec *spec = &pod->spec;

    check_pod_annotations(f, AT(AT(NULL, "metadata"), "annotations"), &pod->metadata.annotations, spec);
    check_pod_spec(f, spec_path, spec, &pod->metadata);
    for (uint32_t v = 0; str_empty(spec->service_account_name) && v < spec->volumes.len; v++) {
        const struct projected_volume_source *pr = spec->volumes.items[v].volume_source.projected;
        for (uint32_t s = 0; pr && s < pr->sources.len; s++)
            if (pr->sources.items[s].service_account_token)
                find_forbidden(f,
                               AT(AT_INDEX(AT(AT(AT_INDEX(AT(spec_path, "volumes"), v), "projected"), "sources"), s),
                                  "serviceAccountToken"),
                               "must not be specified when serviceAccountName is not set");
    }
    each_container(spec, spec_path, check_image_spaces, f);
}

void
pod_create(struct findings *f, const void *body)
{
    const struct pod *pod = body;
    const struct path *spec_path = AT(NULL, "spec");

    check_pod(f, pod);
    if (pod->spec.ephemeral_containers.len > 0)
        find_forbidden(f, AT(spec_path, "ephemeralContainers"), "cannot be set on create");
    if (!str_empty(pod->spec.node_name) && pod->spec.scheduling_gates.len > 0)
        find_forbidden(f, AT(spec_path, "nodeName"), "cannot be set until all schedulingGates have been cleared");
    check_security_annotations(f, spec_path, &pod->metadata.annotations, &pod->spec);
}

void
pod_template_create(struct findings *f, const void *body)
{
    const struct pod_template *t = body;

    check_pod_template(f, AT(NULL, "template"), &t->template);
}

void
binding_create(struct findings *f, const void *body)
{
    const struct binding *b = body;
    static const char *const kinds[] = { "Node", "<empty>", NULL };

    if (!str_empty(b->target.kind) && !str_eq(b->target.kind, "Node"))
        find_unsupported(f, AT(AT(NULL, "target"), "kind"), b->target.kind, kinds);
    check_required(f, AT(AT(NULL, "target"), "name"), b->target.name);
}

/* Mirror and AppArmor annotations stay as they were made. */
static void
check_annotation_changes(struct findings *f, const struct pod *pod, const struct pod *old)
{
    const struct string_map *now = &pod->metadata.annotations, *before = &old->metadata.annotations;
    const struct path *p = AT(AT(NULL, "metadata"), "annotations");

    for (uint32_t i = 0; i < before->len; i++) {
        const char *key = before->items[i].key, *value = string_map_get(now, key);
        if (value && str_eq(value, before->items[i].value))
            continue;
        if (str_has_prefix(key, APPARMOR_KEY))
            find_forbidden(f, AT_KEY(p, key), "may not remove or update AppArmor annotations");
        if (strcmp(key, MIRROR_KEY) == 0)
            find_forbidden(f, AT_KEY(p, key), "may not remove or update mirror pod annotation");
    }
    for (uint32_t i = 0; i < now->len; i++) {
        const char *key = now->items[i].key;
        if (string_map_get(before, key))
            continue;
        if (str_has_prefix(key, APPARMOR_KEY))
            find_forbidden(f, AT_KEY(p, key), "may not add AppArmor annotations");
        if (strcmp(key, MIRROR_KEY) == 0)
            find_forbidden(f, AT_KEY(p, key), "may not add mirror pod annotation");
    }
}

/* False: nothing below can be compared. */
static bool
check_same_containers(struct findings *f, const struct path *p, const struct container_slice *now, const struct container_slice *old)
{
    if (now->len == old->len)
        return true;
    find_forbidden(f, p, "pod updates may not add or remove containers");
    return false;
}

static bool
check_deadline_change(struct findings *f, const struct path *p, const int64_t *now, const int64_t *old)
{
    if (!now) {
        if (old)
            find_invalid_null(f, p, "must not update from a positive integer to nil value");
        return true;
    }
    if (*now < 0 || *now > INT32_MAX) {
        find_invalid_int(f, p, *now, "must be between 0 and 2147483647, inclusive");
        return false;
    }
    if (old && *old < *now) {
        find_invalid_int(f, p, *now, "must be less than or equal to previous value");
        return false;
    }
    return true;
}

static bool
same_but_seconds(const struct toleration *a, const struct toleration *b)
{
    return str_eq(a->key, b->key) && str_eq(a->operator, b->operator) && str_eq(a->value, b->value) &&
           str_eq(a->effect, b->effect);
}

static void
check_toleration_changes(struct findings *f, const struct path *p, const struct toleration_slice *now,
                         const struct toleration_slice *old)
{
    for (uint32_t i = 0; i < old->len; i++) {
        bool kept = false;
        for (uint32_t k = 0; k < now->len && !kept; k++)
            kept = same_but_seconds(&old->items[i], &now->items[k]);
        if (!kept) {
            find_forbidden(f, p, "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    }
}

static void
check_gate_changes(struct findings *f, const struct path *p, const struct pod_scheduling_gate_slice *now,
                   const struct pod_scheduling_gate_slice *old)
{
    for (uint32_t i = 0; i < now->len; i++) {
        bool known = false;
        for (uint32_t k = 0; k < old->len && !known; k++)
            known = str_eq(old->items[k].name, now->items[i].name);
        if (!known)
            find_forbidden(f, AT(AT_INDEX(p, i), "name"), "only deletion is allowed, but found new scheduling gate '%s'",
                           str_safe(now->items[i].name));
    }
}

static bool
requirements_start_with(const struct node_selector_requirement_slice *now, const struct node_selector_requirement_slice *old)
{
    if (now->len < old->len)
        return false;
    for (uint32_t i = 0; i < old->len; i++)
        if (!api_equal(&api_type_node_selector_requirement, &now->items[i], &old->items[i]))
            return false;
    return true;
}

static bool
term_only_grew(const struct node_selector_term *now, const struct node_selector_term *old)
{
    if (old->match_expressions.len + old->match_fields.len == 0)
        return now->match_expressions.len + now->match_fields.len == 0;
    return requirements_start_with(&now->match_expressions, &old->match_expressions) &&
           requirements_start_with(&now->match_fields, &old->match_fields);
}

static const struct node_selector *
required_terms(const struct pod_spec *spec)
{
    const struct node_affinity *na = spec->affinity ? spec->affinity->node_affinity : NULL;

    return na ? na->required_during_scheduling_ignored_during_execution : NULL;
}

/* Gated pods may be steered: node selector and required node affinity may get narrower. */
static void
check_gated_changes(struct findings *f, const struct pod_spec *now, const struct pod_spec *old)
{
    const struct path *spec_path = AT(NULL, "spec");
    const struct node_selector *was = required_terms(old), *is = required_terms(now);

    if (!label_map_contains(&now->node_selector, &old->node_selector))
        find_invalid_map(f, AT(spec_path, "nodeSelector"), &now->node_selector,
                         "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    if (!was || was->node_selector_terms.len == 0)
        return;
    const struct path *p = AT(AT(AT(AT(spec_path, "affinity"), "nodeAffinity"),
                                 "requiredDuringSchedulingIgnoredDuringExecution"), "nodeSelectorTerms");
    if (!is || is->node_selector_terms.len != was->node_selector_terms.len) {
        find_invalid_struct(f, p, &api_type_node_selector, is,
                            "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
        return;
    }
    for (uint32_t i = 0; i < was->node_selector_terms.len; i++)
        if (!term_only_grew(&is->node_selector_terms.items[i], &was->node_selector_terms.items[i]))
            find_invalid_struct(f, AT_INDEX(p, i), &api_type_node_selector_term, &is->node_selector_terms.items[i],
                                "only additions are allowed (no mutations or deletions)");
}

/* The list with the images of `old`: what else differs is a forbidden change. */
static struct container_slice
with_old_images(const struct container_slice *now, const struct container_slice *old, struct arena *a)
{
    struct container_slice copy = *now;

    copy.items = arena_memdup(a, now->items, now->len * sizeof *now->items);
    for (uint32_t i = 0; i < copy.len; i++)
        copy.items[i].image = old->items[i].image;
    return copy;
}

static void
forget_node_affinity_change(struct pod_spec *munged, const struct pod_spec *old, struct arena *a)
{
    struct affinity *mine;
    struct node_affinity *was = old->affinity ? old->affinity->node_affinity : NULL;

    if (!munged->affinity && !was)
        return;
    mine = arena_alloc(a, sizeof *mine);
    if (munged->affinity)
        *mine = *munged->affinity;
    mine->node_affinity = was;
    bool empty = !mine->node_affinity && !mine->pod_affinity && !mine->pod_anti_affinity;
    munged->affinity = empty && !old->affinity ? NULL : mine;
}

static void
check_rest_unchanged(struct findings *f, const struct pod_spec *now, const struct pod_spec *old)
{
    AUTO(arena) *a = arena_new(0);
    struct pod_spec munged = *now;
    const int64_t *grace = old->termination_grace_period_seconds;

    munged.containers = with_old_images(&now->containers, &old->containers, a);
    munged.init_containers = with_old_images(&now->init_containers, &old->init_containers, a);
    munged.active_deadline_seconds = old->active_deadline_seconds;
    munged.scheduling_gates = old->scheduling_gates;
    munged.tolerations = old->tolerations;
    if (grace && *grace < 0 && munged.termination_grace_period_seconds && *munged.termination_grace_period_seconds == 1)
        munged.termination_grace_period_seconds = old->termination_grace_period_seconds;
    if (old->scheduling_gates.len > 0) {
        check_gated_changes(f, now, old);
        munged.node_selector = old->node_selector;
        forget_node_affinity_change(&munged, old, a);
    }
    if (api_equal(&api_type_pod_spec, &munged, old))
        return;
    AUTO_SBUF changed = { 0 };
    add_changed_fields(&changed, "spec.", &api_type_pod_spec, &munged, old);
    find_forbidden(f, AT(NULL, "spec"),
                   "pod updates may not change fields other than "
                   "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
                   "`spec.tolerations` (only additions to existing tolerations),"
                   "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
                   "changed: %s",
                   sbuf_str(&changed));
}

void
pod_update(struct findings *f, const void *body, const void *old_body)
{
    const struct pod *pod = body, *old = old_body;
    const struct path *spec_path = AT(NULL, "spec");

    check_pod(f, pod);
    check_annotation_changes(f, pod, old);
    if (!check_same_containers(f, AT(spec_path, "containers"), &pod->spec.containers, &old->spec.containers) ||
        !check_same_containers(f, AT(spec_path, "initContainers"), &pod->spec.init_containers, &old->spec.init_containers))
        return;
    if (!check_deadline_change(f, AT(spec_path, "activeDeadlineSeconds"), pod->spec.active_deadline_seconds,
                               old->spec.active_deadline_seconds))
        return;
    check_toleration_changes(f, AT(spec_path, "tolerations"), &pod->spec.tolerations, &old->spec.tolerations);
    check_gate_changes(f, AT(spec_path, "schedulingGates"), &pod->spec.scheduling_gates, &old->spec.scheduling_gates);
    if (!api_equal(&api_type_pod_spec, &pod->spec, &old->spec))
        check_rest_unchanged(f, &pod->spec, &old->spec);
}

/* ---- status ---- */

static const struct container *
container_named(const struct container_slice *l, const char *name)
{
    for (uint32_t i = 0; i < l->len; i++)
        if (str_eq(l->items[i].name, name))
            return &l->items[i];
    return NULL;
}

/* A container that ended for good does not come back. */
static void
check_transitions(struct findings *f, const struct path *p, const struct container_status_slice *now,
                  const struct container_status_slice *old, const char *restart_policy, const struct container_slice *specs)
{
    for (uint32_t i = 0; i < old->len; i++) {
        const struct container_status *was = &old->items[i];
        const struct container *c = specs ? container_named(specs, was->name) : NULL;
        const char *policy = c && c->restart_policy ? c->restart_policy : restart_policy;
        if (!was->state.terminated || str_eq(policy, "Always") || (c && c->restart_policy_rules.len > 0))
            continue;
        if (was->state.terminated->exit_code != 0 && str_eq(policy, "OnFailure"))
            continue;
        for (uint32_t k = 0; k < now->len; k++)
            if (str_eq(now->items[k].name, was->name) && !now->items[k].state.terminated)
                find_forbidden(f, AT(AT_INDEX(p, i), "state"), "may not be transitioned to non-terminated state");
    }
}

/* At most one address of each family. */
static void
check_address_pair(struct findings *f, const struct path *p, const char *const *ips, uint32_t len, const char *json)
{
    unsigned v4 = 0, v6 = 0;

    for (uint32_t i = 0; i < len; i++) {
        struct api_ip ip;
        if (check_ip_ok(f, AT_INDEX(p, i), ips[i]) && api_ip_parse(ips[i], &ip))
            *(api_ip_is_v4(&ip) ? &v4 : &v6) += 1;
    }
    if (len < 2)
        return;
    if (v4 != 1 || v6 != 1 || len > 2)
        find_invalid_raw(f, p, json, "may specify no more than one IP for each IP family");
    for (uint32_t i = 0; i < len; i++)
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(ips[i], ips[k])) {
                AUTO_SBUF one = { 0 };
                sbuf_adds(&one, "{\"ip\":");
                json_add_string(&one, ips[i]);
                sbuf_addc(&one, '}');
                find_duplicate_raw(f, AT_INDEX(p, i), sbuf_str(&one), "");
                break;
            }
}

/* Both lists are arrays of structs with one string. */
_Static_assert(sizeof(struct pod_ip) == sizeof(char *) && sizeof(struct host_ip) == sizeof(char *), "one string each");

static void
check_status_addresses(struct findings *f, const struct path *p, const struct pod_status *s)
{
    AUTO_SBUF json = { 0 };
    const struct {
        const char *field;
        const void *items;
        uint32_t len;
    } lists[] = { { "podIPs", s->pod_ips.items, s->pod_ips.len }, { "hostIPs", s->host_ips.items, s->host_ips.len } };

    if (s->host_ips.len > 0 && !str_eq(s->host_ip, s->host_ips.items[0].ip))
        find_invalid(f, AT(AT_INDEX(AT(p, "hostIPs"), 0), "ip"), s->host_ips.items[0].ip, "must be equal to `hostIP`");
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        const char *const *ips = lists[l].items;
        sbuf_clear(&json);
        sbuf_addc(&json, '[');
        for (uint32_t i = 0; i < lists[l].len; i++) {
            sbuf_adds(&json, i ? ",{\"ip\":" : "{\"ip\":");
            json_add_string(&json, ips[i]);
            sbuf_addc(&json, '}');
        }
        sbuf_addc(&json, ']');
        check_address_pair(f, AT(p, lists[l].field), ips, lists[l].len, sbuf_str(&json));
    }
}

static void
check_claim_statuses(struct findings *f, const struct path *p, const struct pod *pod)
{
    const struct pod_resource_claim_status_slice *l = &pod->status.resource_claim_statuses;

    for (uint32_t i = 0; i < l->len; i++) {
        const struct path *at = AT_INDEX(p, i);
        bool known = false;
        for (uint32_t k = 0; k < pod->spec.resource_claims.len; k++)
            known = known || str_eq(pod->spec.resource_claims.items[k].name, l->items[i].name);
        if (!known)
            find_invalid(f, AT(at, "name"), l->items[i].name, "must match the name of an entry in `spec.resourceClaims`");
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(l->items[k].name, l->items[i].name)) {
                find_duplicate(f, AT(at, "name"), l->items[i].name);
                break;
            }
        if (l->items[i].resource_claim_name)
            check_name(f, AT(at, "name"), NAME_DNS_SUBDOMAIN, l->items[i].resource_claim_name);
    }
}

static void
check_status_users(struct findings *f, const struct path *p, const struct container_status_slice *l)
{
    for (uint32_t i = 0; i < l->len; i++) {
        const struct linux_container_user *user = l->items[i].user ? l->items[i].user->linux : NULL;
        const struct path *at = AT(AT_INDEX(p, i), "linux");
        if (!user)
            continue;
        check_user_id(f, AT(at, "uid"), &user->uid);
        check_user_id(f, AT(at, "gid"), &user->gid);
        for (uint32_t g = 0; g < user->supplemental_groups.len; g++)
            check_user_id(f, AT_INDEX(AT(at, "supplementalGroups"), g), &user->supplemental_groups.items[g]);
    }
}

void
pod_status(struct findings *f, const void *body, const void *old_body)
{
    static const char *const system_conditions[] = { "PodScheduled", "Ready", "Initialized", NULL };
    const struct pod *pod = body, *old = old_body;
    const struct pod_status *s = &pod->status, *was = &old->status;
    const struct path *p = AT(NULL, "status");

    check_annotation_changes(f, pod, old);
    for (uint32_t i = 0; i < s->conditions.len; i++)
        if (!is_one_of(s->conditions.items[i].type, system_conditions))
            check_label_key(f, AT(AT_INDEX(AT(AT(NULL, "metadata"), "conditions"), i), "Type"), s->conditions.items[i].type);
    if (!str_eq(pod->spec.node_name, old->spec.node_name))
        find_forbidden(f, AT(p, "nodeName"), "may not be changed directly");
    if (!str_eq(s->nominated_node_name, was->nominated_node_name))
        check_optional_name(f, AT(p, "nominatedNodeName"), NAME_DNS_SUBDOMAIN, s->nominated_node_name);
    if (!str_empty(was->qos_class))
        check_str_immutable(f, AT(p, "qosClass"), s->qos_class, was->qos_class);
    check_transitions(f, AT(p, "containerStatuses"), &s->container_statuses, &was->container_statuses,
                      old->spec.restart_policy, &old->spec.containers);
    check_transitions(f, AT(p, "initContainerStatuses"), &s->init_container_statuses, &was->init_container_statuses,
                      old->spec.restart_policy, &old->spec.init_containers);
    check_transitions(f, AT(p, "ephemeralContainerStatuses"), &s->ephemeral_container_statuses,
                      &was->ephemeral_container_statuses, "Never", NULL);
    check_claim_statuses(f, AT(p, "resourceClaimStatuses"), pod);
    check_status_addresses(f, p, s);
    check_status_users(f, AT(p, "containerStatuses"), &s->container_statuses);
    check_status_users(f, AT(p, "initContainerStatuses"), &s->init_container_statuses);
    check_status_users(f, AT(p, "ephemeralContainerStatuses"), &s->ephemeral_container_statuses);
}

/* ---- subresources ---- */

void
pod_ephemeral_containers(struct findings *f, const void *body, const void *old_body)
{
    const struct pod *pod = body, *old = old_body;
    const struct path *p = AT(AT(NULL, "spec"), "ephemeralContainers");
    const struct ephemeral_container_slice *now = &pod->spec.ephemeral_containers, *was = &old->spec.ephemeral_containers;

    if (pod_is_mirror(old)) {
        find_forbidden(f, AT(NULL, ""), "static pods do not support ephemeral containers");
        return;
    }
    check_pod(f, pod);
    check_annotation_changes(f, pod, old);
    for (uint32_t i = 0; i < was->len; i++) {
        const char *name = str_safe(was->items[i].ephemeral_container_common.name);
        const struct ephemeral_container *kept = NULL;
        for (uint32_t k = 0; k < now->len; k++)
            if (str_eq(now->items[k].ephemeral_container_common.name, name))
                kept = &now->items[k];
        if (!kept)
            find_forbidden(f, p, "existing ephemeral containers \"%s\" may not be removed\n", name);
        else if (!api_equal(&api_type_ephemeral_container, kept, &was->items[i]))
            find_forbidden(f, p, "existing ephemeral containers \"%s\" may not be changed\n", name);
    }
}

static bool
names_missing(const struct quantity_map *now, const struct quantity_map *old)
{
    for (uint32_t i = 0; i < old->len; i++)
        if (!quantity_map_has(now, old->items[i].key))
            return true;
    return false;
}

static void
check_container_resize(struct findings *f, const struct path *p, const struct container *now, const struct container *old)
{
    const struct quantity_map *limits = &now->resources.limits, *old_limits = &old->resources.limits;
    const char *policy = "NotRequired";

    if (names_missing(&now->resources.requests, &old->resources.requests))
        find_forbidden(f, AT(p, "requests"), "resource requests cannot be removed");
    if (names_missing(limits, old_limits))
        find_forbidden(f, AT(p, "limits"), "resource limits cannot be removed");
    for (uint32_t i = 0; i < now->resize_policy.len; i++)
        if (str_eq(now->resize_policy.items[i].resource_name, "memory"))
            policy = now->resize_policy.items[i].restart_policy;
    if (str_eq(policy, "NotRequired") && quantity_map_has(limits, "memory") && !quantity_map_has(old_limits, "memory"))
        find_forbidden(f, AT_KEY(AT(p, "limits"), "memory"),
                       "memory limits cannot be added unless resizePolicy is RestartContainer");
}

/* cpu and memory as they were: the rest must be equal. */
static void
restore_cpu_and_memory(struct quantity_map *now, const struct quantity_map *old, struct arena *a)
{
    static const char *const names[] = { "cpu", "memory" };
    struct quantity_map kept = { 0 };

    for (uint32_t i = 0; i < now->len; i++)
        if (strcmp(now->items[i].key, "cpu") != 0 && strcmp(now->items[i].key, "memory") != 0)
            quantity_map_set(&kept, a, now->items[i].key, now->items[i].value);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (quantity_map_has(old, names[i]))
            quantity_map_set(&kept, a, names[i], quantity_map_get(old, names[i]));
    *now = kept;
}

static void
resize_list(struct findings *f, const char *field, struct container_slice *munged, const struct container_slice *old, bool init,
            struct arena *a)
{
    const struct path *spec_path = AT(NULL, "spec");

    munged->items = arena_memdup(a, munged->items, munged->len * sizeof *munged->items);
    for (uint32_t i = 0; i < munged->len; i++) {
        struct container *c = &munged->items[i];
        bool resizable = !init || container_is_sidecar(&old->items[i]);
        if (resizable) {
            check_container_resize(f, AT(AT_INDEX(AT(spec_path, field), i), "resources"), c, &old->items[i]);
            restore_cpu_and_memory(&c->resources.limits, &old->items[i].resources.limits, a);
            restore_cpu_and_memory(&c->resources.requests, &old->items[i].resources.requests, a);
        }
        if (!api_equal(&api_type_container, c, &old->items[i]))
            find_forbidden(f, spec_path, "%s",
                           !init       ? "only cpu and memory resources are mutable"
                           : resizable ? "only cpu and memory resources for sidecar containers are mutable"
                                       : "resources for non-sidecar init containers are immutable");
    }
}

void
pod_resize(struct findings *f, const void *body, const void *old_body)
{
    const struct pod *pod = body, *old = old_body;
    const struct path *spec_path = AT(NULL, "spec");
    AUTO(arena) *a = arena_new(0);
    struct pod_spec munged = pod->spec;

    if (pod_is_mirror(old)) {
        find_forbidden(f, AT(NULL, ""), "static pods cannot be resized");
        return;
    }
    if (old->spec.os && str_eq(old->spec.os->name, "windows")) {
        find_forbidden(f, AT(NULL, ""), "windows pods cannot be resized");
        return;
    }
    check_pod(f, pod);
    if (!check_same_containers(f, AT(spec_path, "containers"), &pod->spec.containers, &old->spec.containers) ||
        !check_same_containers(f, AT(spec_path, "initContainers"), &pod->spec.init_containers, &old->spec.init_containers))
        return;
    const char *qos = str_or(old->status.qos_class, pod_qos(&old->spec));
    if (!str_eq(qos, pod_qos(&pod->spec)))
        find_invalid(f, spec_path, qos, "Pod QOS Class may not change as a result of resizing");
    resize_list(f, "initContainers", &munged.init_containers, &old->spec.init_containers, true, a);
    resize_list(f, "containers", &munged.containers, &old->spec.containers, false, a);
    if (!f->err && !api_equal(&api_type_pod_spec, &munged, &old->spec))
        find_forbidden(f, spec_path, "only cpu and memory resources are mutable");
}
