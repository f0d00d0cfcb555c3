// SPDX-License-Identifier: Apache-2.0
/* The core group but pods, services and storage. */
#include <jansson.h>
#include <string.h>

#include "apiserver/registry/validate_kinds.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"

#define MAX_DATA (1024u * 1024)

/* ---- namespaces ---- */

void
namespace_create(struct findings *f, const void *body)
{
    const struct namespace *ns = body;

    for (uint32_t i = 0; i < ns->spec.finalizers.len; i++)
        check_finalizer_name(f, AT(AT(NULL, "spec"), "finalizers"), ns->spec.finalizers.items[i]);
}

void
namespace_update(struct findings *f, const void *body, const void *old)
{
}

void
namespace_status(struct findings *f, const void *body, const void *old)
{
    const struct namespace *ns = body;
    const struct path *p = AT(AT(NULL, "status"), "Phase");

    if (!meta_deleting(&ns->metadata)) {
        if (!str_eq(ns->status.phase, "Active"))
            find_invalid(f, p, ns->status.phase, "may only be 'Active' if `deletionTimestamp` is empty");
    } else if (!str_eq(ns->status.phase, "Terminating"))
        find_invalid(f, p, ns->status.phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
}

void
namespace_finalize(struct findings *f, const void *body, const void *old)
{
    const struct namespace *ns = body;

    for (uint32_t i = 0; i < ns->spec.finalizers.len; i++)
        check_finalizer_name(f, AT_INDEX(AT(AT(NULL, "spec"), "finalizers"), i), ns->spec.finalizers.items[i]);
}

/* ---- nodes ---- */

static void
check_taints(struct findings *f, const struct path *p, const struct taint_slice *taints)
{
    AUTO_INDEX pairs = { 0 };

    for (uint32_t i = 0; i < taints->len; i++) {
        const struct taint *t = &taints->items[i];
        const struct path *at = AT_INDEX(p, i);
        const char *why[NAME_MAX_ERRORS];
        check_label_key(f, AT(at, "key"), t->key);
        unsigned n = name_check(NAME_LABEL_VALUE, t->value, why);
        if (n > 0)
            find_invalid(f, AT(at, "value"), t->value, "%s%s%s", why[0], n > 1 ? ";" : "", n > 1 ? why[1] : "");
        check_taint_effect(f, AT(at, "effect"), t->effect, false);
        AUTO_FREE char *pair = xasprintf("%s:%s", str_safe(t->effect), str_safe(t->key));
        if (name_index_add(&pairs, pair, t)) {
            AUTO_SBUF json = { 0 };
            json_encode(&api_type_taint, t, &json);
            find_duplicate_raw(f, at, sbuf_str(&json), "taints must be unique by key and effect pair");
        }
    }
}

static void
check_node_resources(struct findings *f, const struct node_status *s)
{
    const struct path *p = AT(NULL, "status");

    for (uint32_t i = 0; i < s->capacity.len; i++)
        check_quantity_value(f, AT(AT(p, "capacity"), s->capacity.items[i].key), s->capacity.items[i].key,
                             s->capacity.items[i].value);
    for (uint32_t i = 0; i < s->allocatable.len; i++)
        check_quantity_value(f, AT(AT(p, "allocatable"), s->allocatable.items[i].key), s->allocatable.items[i].key,
                             s->allocatable.items[i].value);
}

static void
check_pod_cidrs(struct findings *f, const struct path *p, const struct string_slice *cidrs)
{
    unsigned v4 = 0, bits;
    struct api_ip ip;

    for (uint32_t i = 0; i < cidrs->len; i++) {
        check_cidr(f, AT_INDEX(p, i), cidrs->items[i]);
        if (api_cidr_parse(cidrs->items[i], &ip, &bits) && api_ip_is_v4(&ip))
            v4++;
    }
    if (cidrs->len > 1 && (v4 != 1 || cidrs->len > 2))
        find_invalid_list(f, p, cidrs, "may specify no more than one CIDR for each IP family");
    for (uint32_t i = 0; i < cidrs->len; i++)
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(cidrs->items[k], cidrs->items[i])) {
                find_duplicate(f, AT_INDEX(p, i), cidrs->items[i]);
                break;
            }
}

void
node_create(struct findings *f, const void *body)
{
    const struct node *node = body;

    check_taints(f, AT(AT(NULL, "metadata"), "taints"), &node->spec.taints);
    check_node_resources(f, &node->status);
    check_pod_cidrs(f, AT(AT(NULL, "spec"), "podCIDRs"), &node->spec.pod_cidrs);
}

void
node_update(struct findings *f, const void *body, const void *old_body)
{
    const struct node *node = body, *old = old_body;
    const struct path *spec = AT(NULL, "spec");
    const struct node_address_slice *addresses = &node->status.addresses;
    AUTO_INDEX seen = { 0 };

    check_node_resources(f, &node->status);
    for (uint32_t i = 0; i < addresses->len; i++) {
        AUTO_SBUF json = { 0 };
        json_encode(&api_type_node_address, &addresses->items[i], &json);
        if (name_index_add(&seen, sbuf_str(&json), addresses))
            find_duplicate_raw(f, AT_INDEX(AT(AT(NULL, "status"), "addresses"), i), sbuf_str(&json), "");
    }
    if (old->spec.pod_cidrs.len > 0 && !slices_equal(&node->spec.pod_cidrs, &old->spec.pod_cidrs))
        find_forbidden(f, AT(spec, "podCIDRs"), "node updates may not change podCIDR except from \"\" to valid");
    else if (old->spec.pod_cidrs.len == 0)
        check_pod_cidrs(f, AT(spec, "podCIDRs"), &node->spec.pod_cidrs);
    if (!str_empty(old->spec.provider_id) && !str_eq(old->spec.provider_id, node->spec.provider_id))
        find_forbidden(f, AT(spec, "providerID"), "node updates may not change providerID except from \"\" to valid");
    check_taints(f, AT(AT(NULL, "metadata"), "taints"), &node->spec.taints);
    if (!str_eq(old->spec.external_id, node->spec.external_id))
        find_forbidden(f, AT(spec, "externalID"), "may not be updated");
}

/* ---- ConfigMaps and Secrets ---- */

/* Maps are sorted by key. */
static const struct api_bytes *
bytes_map_get(const struct bytes_map *m, const char *key)
{
    uint32_t low = 0, high = m->len;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int cmp = strcmp(m->items[mid].key, key);
        if (cmp == 0)
            return &m->items[mid].value;
        if (cmp < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool
bytes_map_has(const struct bytes_map *m, const char *key)
{
    return bytes_map_get(m, key) != NULL;
}

static bool
bytes_maps_equal(const struct bytes_map *a, const struct bytes_map *b)
{
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++) {
        const struct api_bytes *other = bytes_map_get(b, a->items[i].key), *mine = &a->items[i].value;
        if (!other || other->len != mine->len || (mine->len > 0 && memcmp(mine->data, other->data, mine->len) != 0))
            return false;
    }
    return true;
}

void
config_map_create(struct findings *f, const void *body)
{
    const struct config_map *cm = body;
    uint64_t size = 0;

    for (uint32_t i = 0; i < cm->data.len; i++) {
        const char *key = cm->data.items[i].key;
        const struct path *at = AT_KEY(AT(NULL, "data"), key);
        check_name(f, at, NAME_CONFIG_KEY, key);
        if (bytes_map_has(&cm->binary_data, key))
            find_invalid(f, at, key, "duplicate of key present in binaryData");
        size += strlen(str_safe(cm->data.items[i].value));
    }
    for (uint32_t i = 0; i < cm->binary_data.len; i++) {
        const char *key = cm->binary_data.items[i].key;
        check_name(f, AT_KEY(AT(NULL, "binaryData"), key), NAME_CONFIG_KEY, key);
        size += cm->binary_data.items[i].value.len;
    }
    if (size > MAX_DATA)
        find_too_long(f, AT(NULL, ""), MAX_DATA);
}

static bool
is_true(const bool *b)
{
    return b && *b;
}

void
config_map_update(struct findings *f, const void *body, const void *old_body)
{
    static const char msg[] = "field is immutable when `immutable` is set";
    const struct config_map *cm = body, *old = old_body;

    if (is_true(old->immutable)) {
        if (!is_true(cm->immutable))
            find_forbidden(f, AT(NULL, "immutable"), "%s", msg);
        if (!maps_equal(&cm->data, &old->data))
            find_forbidden(f, AT(NULL, "data"), "%s", msg);
        if (!bytes_maps_equal(&cm->binary_data, &old->binary_data))
            find_forbidden(f, AT(NULL, "binaryData"), "%s", msg);
    }
    config_map_create(f, body);
}

static void
check_json_object(struct findings *f, const struct path *p, const struct api_bytes *bytes)
{
    json_error_t error;

    if (!bytes) {
        find_required(f, p, "");
        return;
    }
    json_t *doc = json_loadb((const char *)bytes->data, bytes->len, 0, &error);
    if (!json_is_object(doc))
        find_invalid(f, p, "<secret contents redacted>", "%s", doc ? "not a JSON object" : "unexpected end of JSON input");
    json_decref(doc);
}

void
secret_create(struct findings *f, const void *body)
{
    /* What a type cannot do without; the message of each key is "Required value". */
    static const struct {
        const char *type, *keys[2];
        bool any; /* one of the keys is enough */
    } types[] = {
        { "kubernetes.io/tls", { "tls.crt", "tls.key" }, false },
        { "kubernetes.io/ssh-auth", { "ssh-privatekey", NULL }, false },
        { "kubernetes.io/basic-auth", { "username", "password" }, true },
    };
    const struct secret *s = body;
    const struct path *data = AT(NULL, "data");
    uint64_t size = 0;

    for (uint32_t i = 0; i < s->data.len; i++) {
        check_name(f, AT_KEY(data, s->data.items[i].key), NAME_CONFIG_KEY, s->data.items[i].key);
        size += s->data.items[i].value.len;
    }
    if (size > MAX_DATA)
        find_too_long(f, data, MAX_DATA);
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        if (!str_eq(s->type, types[t].type))
            continue;
        bool one = bytes_map_has(&s->data, types[t].keys[0]) || (types[t].keys[1] && bytes_map_has(&s->data, types[t].keys[1]));
        for (size_t k = 0; k < 2 && types[t].keys[k]; k++)
            if (types[t].any ? !one : !bytes_map_has(&s->data, types[t].keys[k]))
                find_required(f, AT_KEY(data, types[t].keys[k]), "");
    }
    if (str_eq(s->type, "kubernetes.io/service-account-token") &&
        str_empty(meta_annotation(&s->metadata, "kubernetes.io/service-account.name")))
        find_required(f, AT_KEY(AT(AT(NULL, "metadata"), "annotations"), "kubernetes.io/service-account.name"), "");
    if (str_eq(s->type, "kubernetes.io/dockercfg"))
        check_json_object(f, AT_KEY(data, ".dockercfg"), bytes_map_get(&s->data, ".dockercfg"));
    if (str_eq(s->type, "kubernetes.io/dockerconfigjson"))
        check_json_object(f, AT_KEY(data, ".dockerconfigjson"), bytes_map_get(&s->data, ".dockerconfigjson"));
}

void
secret_update(struct findings *f, const void *body, const void *old_body)
{
    static const char msg[] = "field is immutable when `immutable` is set";
    const struct secret *s = body, *old = old_body;

    check_str_immutable(f, AT(NULL, "type"), s->type, old->type);
    if (is_true(old->immutable)) {
        if (!is_true(s->immutable))
            find_forbidden(f, AT(NULL, "immutable"), "%s", msg);
        if (!bytes_maps_equal(&s->data, &old->data))
            find_forbidden(f, AT(NULL, "data"), "%s", msg);
    }
    secret_create(f, body);
}

/* ---- replication controllers ---- */

void
replication_controller_create(struct findings *f, const void *body)
{
    const struct replication_controller_spec *s = &((const struct replication_controller *)body)->spec;
    const struct path *p = AT(NULL, "spec");
    struct label_selector selector = { .match_labels = s->selector };

    check_nonnegative(f, AT(p, "minReadySeconds"), s->min_ready_seconds);
    if (s->selector.len == 0)
        find_required(f, AT(p, "selector"), "");
    check_nonnegative_ptr(f, AT(p, "replicas"), s->replicas);
    if (!s->template)
        find_required(f, AT(p, "template"), "");
    else
        check_workload_template(f, AT(p, "template"), s->template, &selector, "ReplicationController");
}

void
replication_controller_status(struct findings *f, const void *body, const void *old)
{
    const struct replication_controller_status *s = &((const struct replication_controller *)body)->status;
    const struct path *p = AT(NULL, "status");
    const struct {
        const char *field;
        int32_t value;
    } parts[] = { { "fullyLabeledReplicas", s->fully_labeled_replicas },
                  { "readyReplicas", s->ready_replicas },
                  { "availableReplicas", s->available_replicas } };

    check_nonnegative(f, AT(p, "replicas"), s->replicas);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        check_nonnegative(f, AT(p, parts[i].field), parts[i].value);
        if (parts[i].value > s->replicas)
            find_invalid_int(f, AT(p, parts[i].field), parts[i].value, "cannot be greater than status.replicas");
    }
    check_nonnegative(f, AT(p, "observedGeneration"), s->observed_generation);
    if (s->available_replicas > s->ready_replicas)
        find_invalid_int(f, AT(p, "availableReplicas"), s->available_replicas, "cannot be greater than readyReplicas");
}

/* ---- limits and quotas ---- */

static void
check_limit_name(struct findings *f, const struct path *p, const char *type, const char *name)
{
    if (str_eq(type, "Pod") || str_eq(type, "Container"))
        check_container_resource_name(f, p, name);
    else
        check_resource_name(f, p, name);
}

/* `low` must not be above `high` where both name the resource; the finding is at list[key]. */
static void
check_order(struct findings *f, const struct path *item, const char *list, const struct quantity_map *low, const char *low_what,
            const struct quantity_map *high, const char *high_what, bool blame_low)
{
    for (uint32_t i = 0; i < low->len; i++) {
        const char *key = low->items[i].key;
        struct quantity l = low->items[i].value, h = quantity_map_get(high, key);
        if (quantity_map_has(high, key) && quantity_cmp(l, h) > 0)
            find_invalid(f, AT_KEY(AT(item, list), key), quantity_text(blame_low ? l : h), "%s %s is greater than %s %s",
                         low_what, quantity_text(l), high_what, quantity_text(h));
    }
}

static void
check_ratios(struct findings *f, const struct path *item, const struct limit_range_item *l)
{
    for (uint32_t i = 0; i < l->max_limit_request_ratio.len; i++) {
        const char *key = l->max_limit_request_ratio.items[i].key;
        struct quantity ratio = l->max_limit_request_ratio.items[i].value;
        const struct path *at = AT_KEY(AT(item, "maxLimitRequestRatio"), key);
        if (quantity_milli(ratio) < 1000)
            find_invalid(f, at, quantity_text(ratio), "ratio %s is less than 1", quantity_text(ratio));
        if (!quantity_map_has(&l->min, key) || !quantity_map_has(&l->max, key))
            continue;
        double min = (double)quantity_milli(quantity_map_get(&l->min, key));
        double max = (double)quantity_milli(quantity_map_get(&l->max, key));
        if (min > 0 && (double)quantity_milli(ratio) / 1000 > max / min)
            find_invalid(f, at, quantity_text(ratio), "ratio %s is greater than max/min = %f", quantity_text(ratio), max / min);
    }
}

static void
check_limit_item(struct findings *f, const struct path *p, const struct limit_range_item *l)
{
    static const char *const types[] = { "Pod", "Container", "PersistentVolumeClaim", NULL };
    const struct {
        const char *name;
        const struct quantity_map *list;
    } lists[] = { { "max", &l->max },
                  { "min", &l->min },
                  { "default", &l->default_ },
                  { "defaultRequest", &l->default_request },
                  { "maxLimitRequestRatio", &l->max_limit_request_ratio } };
    bool pod = str_eq(l->type, "Pod");
    unsigned before = findings_count(f);

    check_label_key(f, AT(p, "type"), l->type);
    if (findings_count(f) == before && !strchr(str_safe(l->type), '/') && !is_one_of(l->type, types))
        find_invalid(f, AT(p, "type"), l->type, "must be a standard limit type or fully qualified");
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (pod && lists[i].list->len > 0 && str_has_prefix(lists[i].name, "default")) {
            find_forbidden(f, AT(p, lists[i].name), "may not be specified when `type` is 'Pod'");
            continue;
        }
        for (uint32_t k = 0; k < lists[i].list->len; k++)
            check_limit_name(f, AT_KEY(AT(p, lists[i].name), lists[i].list->items[k].key), l->type,
                             lists[i].list->items[k].key);
    }
    if (str_eq(l->type, "PersistentVolumeClaim") && !quantity_map_has(&l->min, "storage") &&
        !quantity_map_has(&l->max, "storage"))
        find_required(f, AT(p, "limits"), "either minimum or maximum storage value is required, but neither was provided");
    check_order(f, p, "min", &l->min, "min value", &l->max, "max value", true);
    if (pod)
        return;
    check_order(f, p, "defaultRequest", &l->min, "min value", &l->default_request, "default request value", false);
    check_order(f, p, "defaultRequest", &l->default_request, "default request value", &l->max, "max value", true);
    check_order(f, p, "defaultRequest", &l->default_request, "default request value", &l->default_, "default limit value", true);
    check_order(f, p, "default", &l->min, "min value", &l->default_, "default value", true);
    check_order(f, p, "default", &l->default_, "default value", &l->max, "max value", false);
}

void
limit_range_create(struct findings *f, const void *body)
{
    const struct limit_range_item_slice *l = &((const struct limit_range *)body)->spec.limits;

    for (uint32_t i = 0; i < l->len; i++) {
        const struct path *p = AT_INDEX(AT(AT(NULL, "spec"), "limits"), i);
        check_limit_item(f, p, &l->items[i]);
        check_ratios(f, p, &l->items[i]);
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(l->items[k].type, l->items[i].type)) {
                find_duplicate(f, AT(p, "type"), l->items[i].type);
                break;
            }
    }
}

static const char *const quota_scopes[] = { "Terminating",    "NotTerminating", "BestEffort",
                                            "NotBestEffort",  "PriorityClass",  "CrossNamespacePodAffinity",
                                            "VolumeAttributesClass", NULL };

static bool
scope_fits(const char *scope, const char *resource)
{
    static const char *const pod_resources[] = { "cpu", "memory", "limits.cpu", "limits.memory", "pods", "requests.cpu",
                                                 "requests.memory", "ephemeral-storage", "requests.ephemeral-storage",
                                                 "limits.ephemeral-storage", NULL };

    if (str_eq(scope, "BestEffort"))
        return str_eq(resource, "pods");
    if (str_eq(scope, "VolumeAttributesClass"))
        return str_eq(resource, "persistentvolumeclaims") || str_eq(resource, "requests.storage");
    return is_one_of(resource, pod_resources);
}

static void
check_scope(struct findings *f, const struct path *p, const char *scope, const struct resource_quota_spec *s)
{
    if (!is_one_of(scope, quota_scopes))
        find_invalid_list(f, p, &s->scopes, "unsupported scope");
    for (uint32_t i = 0; i < s->hard.len; i++)
        if (resource_is_standard_quota(s->hard.items[i].key) && !scope_fits(scope, s->hard.items[i].key))
            find_invalid_list(f, p, &s->scopes, "unsupported scope applied to resource");
}

static void
check_scope_selector(struct findings *f, const struct path *p, const struct resource_quota_spec *s)
{
    static const char *const sets[] = { "In", "NotIn", NULL }, *const unary[] = { "Exists", "DoesNotExist", NULL };

    for (uint32_t i = 0; s->scope_selector && i < s->scope_selector->match_expressions.len; i++) {
        const struct scoped_resource_selector_requirement *r = &s->scope_selector->match_expressions.items[i];
        if (!is_one_of(r->scope_name, quota_scopes))
            find_invalid(f, AT(p, "scopeName"), r->scope_name, "unsupported scope");
        for (uint32_t k = 0; k < s->hard.len; k++)
            if (resource_is_standard_quota(s->hard.items[k].key) && !scope_fits(r->scope_name, s->hard.items[k].key))
                find_invalid_struct(f, p, &api_type_scope_selector, s->scope_selector,
                                    "unsupported scope applied to resource");
        if (!str_eq(r->scope_name, "PriorityClass") && !str_eq(r->scope_name, "VolumeAttributesClass") &&
            !str_eq(r->operator, "Exists"))
            find_invalid(f, AT(p, "operator"), r->operator,
                         "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                         "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
                         "ResourceQuotaScopeCrossNamespacePodAffinity");
        if (is_one_of(r->operator, sets)) {
            if (r->values.len == 0)
                find_required(f, AT(p, "values"),
                              "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
        } else if (is_one_of(r->operator, unary)) {
            if (r->values.len > 0)
                find_invalid_list(f, AT(p, "values"), &r->values,
                                  "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
        } else
            find_invalid(f, AT(p, "operator"), r->operator, "not a valid selector operator");
    }
}

static void
check_quota_list(struct findings *f, const struct path *p, const struct quantity_map *list)
{
    for (uint32_t i = 0; i < list->len; i++) {
        const struct path *at = AT_KEY(p, list->items[i].key);
        check_quota_resource_name(f, at, list->items[i].key);
        check_quantity_value(f, at, list->items[i].key, list->items[i].value);
    }
}

void
resource_quota_create(struct findings *f, const void *body)
{
    const struct resource_quota *q = body;
    const struct path *p = AT(NULL, "spec"), *scopes = AT(p, "scopes");
    const struct string_slice *s = &q->spec.scopes;

    check_quota_list(f, AT(p, "hard"), &q->spec.hard);
    for (uint32_t i = 0; i < s->len; i++)
        check_scope(f, scopes, s->items[i], &q->spec);
    if ((string_slice_has(s, "BestEffort") && string_slice_has(s, "NotBestEffort")) ||
        (string_slice_has(s, "Terminating") && string_slice_has(s, "NotTerminating")))
        find_invalid_list(f, scopes, s, "conflicting scopes");
    check_scope_selector(f, AT(AT(p, "scopeSelector"), "matchExpressions"), &q->spec);
    check_quota_list(f, AT(AT(NULL, "status"), "hard"), &q->status.hard);
    check_quota_list(f, AT(AT(NULL, "status"), "used"), &q->status.used);
}

void
resource_quota_update(struct findings *f, const void *body, const void *old_body)
{
    const struct resource_quota *q = body, *old = old_body;
    bool same = q->spec.scopes.len == old->spec.scopes.len;

    resource_quota_create(f, body);
    for (uint32_t i = 0; i < q->spec.scopes.len; i++)
        same = same && string_slice_has(&old->spec.scopes, q->spec.scopes.items[i]);
    if (!same)
        find_invalid_list(f, AT(AT(NULL, "spec"), "scopes"), &q->spec.scopes, IMMUTABLE_MSG);
}

/* ---- events ---- */

void
event_create(struct findings *f, const void *body)
{
    const struct core_event *e = body;
    const char *about = str_safe(e->involved_object.namespace), *own = str_safe(e->metadata.namespace);

    if (*about ? strcmp(about, own) != 0 : *own && strcmp(own, "default") != 0)
        find_invalid(f, AT(AT(NULL, "involvedObject"), "namespace"), about, "does not match event.namespace");
}
