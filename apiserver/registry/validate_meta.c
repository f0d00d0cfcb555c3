// SPDX-License-Identifier: Apache-2.0
/* ObjectMeta, labels, annotations, selectors, conditions. */
#include <ctype.h>
#include <string.h>

#include "apiserver/registry/validate_parts.h"
#include "common/api/meta.h"
#include "common/api/values.h"

void
check_label_key(struct findings *f, const struct path *p, const char *key)
{
    check_name(f, p, NAME_QUALIFIED, key);
}

void
check_labels(struct findings *f, const struct path *p, const struct string_map *labels)
{
    for (uint32_t i = 0; i < labels->len; i++) {
        check_label_key(f, p, labels->items[i].key);
        check_name(f, p, NAME_LABEL_VALUE, labels->items[i].value);
    }
}

/* Keys are qualified names but for their case. */
void
check_annotations(struct findings *f, const struct path *p, const struct string_map *annotations)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < annotations->len; i++) {
        const char *key = annotations->items[i].key, *why[NAME_MAX_ERRORS];
        size += strlen(key) + strlen(str_safe(annotations->items[i].value));
        if (name_ok(NAME_QUALIFIED, key))
            continue;
        AUTO_FREE char *lower = str_lower(key);
        unsigned n = name_check(NAME_QUALIFIED, lower, why);
        for (unsigned k = 0; k < n; k++)
            find_invalid(f, p, key, "%s", why[k]);
    }
    if (size > NAME_ANNOTATIONS_MAX)
        find_too_long(f, p, NAME_ANNOTATIONS_MAX);
}

static void
check_selector_requirement(struct findings *f, const struct path *p, const struct label_selector_requirement *r)
{
    static const char *const with_values[] = { "In", "NotIn", NULL }, *const without[] = { "Exists", "DoesNotExist", NULL };

    if (is_one_of(r->operator, with_values)) {
        if (r->values.len == 0)
            find_required(f, AT(p, "values"), "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (is_one_of(r->operator, without)) {
        if (r->values.len > 0)
            find_forbidden(f, AT(p, "values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else
        find_invalid(f, AT(p, "operator"), r->operator, "not a valid selector operator");
    check_label_key(f, AT(p, "key"), r->key);
    for (uint32_t i = 0; i < r->values.len; i++)
        check_name(f, AT_INDEX(AT(p, "values"), i), NAME_LABEL_VALUE, r->values.items[i]);
}

void
check_label_selector(struct findings *f, const struct path *p, const struct label_selector *selector)
{
    if (!selector)
        return;
    check_labels(f, AT(p, "matchLabels"), &selector->match_labels);
    for (uint32_t i = 0; i < selector->match_expressions.len; i++)
        check_selector_requirement(f, AT_INDEX(AT(p, "matchExpressions"), i), &selector->match_expressions.items[i]);
}

bool
label_selector_is_empty(const struct label_selector *selector)
{
    return selector->match_labels.len + selector->match_expressions.len == 0;
}

static bool
is_standard_finalizer(const char *name)
{
    static const char *const standard[] = { "kubernetes", "orphan", "foregroundDeletion", NULL };

    return is_one_of(name, standard);
}

static void
check_finalizer_is_known(struct findings *f, const struct path *p, const char *name)
{
    if (!strchr(str_safe(name), '/') && !is_standard_finalizer(name))
        find_invalid(f, p, name, "name is neither a standard finalizer name nor is it fully qualified");
}

void
check_finalizer_name(struct findings *f, const struct path *p, const char *name)
{
    check_name(f, p, NAME_QUALIFIED, name);
    check_finalizer_is_known(f, p, name);
}

static void
check_finalizers(struct findings *f, const struct path *p, const struct string_slice *finalizers)
{
    for (uint32_t i = 0; i < finalizers->len; i++)
        check_name(f, p, NAME_QUALIFIED, finalizers->items[i]);
    if (string_slice_has(finalizers, "orphan") && string_slice_has(finalizers, "foregroundDeletion"))
        find_invalid_list(f, p, finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
}

static void
check_owner(struct findings *f, const struct path *p, const struct owner_reference *ref)
{
    const char *slash = strrchr(str_safe(ref->api_version), '/');

    if (str_empty(slash ? slash + 1 : ref->api_version))
        find_invalid(f, AT(p, "apiVersion"), ref->api_version, "version must not be empty");
    if (str_empty(ref->kind))
        find_invalid(f, AT(p, "kind"), ref->kind, "must not be empty");
    if (str_empty(ref->name))
        find_invalid(f, AT(p, "name"), ref->name, "must not be empty");
    if (str_empty(ref->uid))
        find_invalid(f, AT(p, "uid"), ref->uid, "must not be empty");
    if (str_eq(ref->api_version, "v1") && str_eq(ref->kind, "Event"))
        find_invalid_struct(f, p, &api_type_owner_reference, ref, "/v1, Kind=Event is disallowed from being an owner");
}

static void
check_owners(struct findings *f, const struct path *p, const struct owner_reference_slice *owners)
{
    const struct owner_reference *first = NULL;

    for (uint32_t i = 0; i < owners->len; i++) {
        const struct owner_reference *ref = &owners->items[i];
        check_owner(f, p, ref);
        if (!ref->controller || !*ref->controller)
            continue;
        if (first) {
            AUTO_SBUF text = { 0 };
            sbuf_addf(&text,
                      "Only one reference can have Controller set to true. Found \"true\" in references for %s/%s and "
                      "%s/%s",
                      str_safe(first->kind), str_safe(first->name), str_safe(ref->kind), str_safe(ref->name));
            find_invalid_struct(f, p, &api_type_owner_reference, ref, sbuf_str(&text));
        } else
            first = ref;
    }
}

static void
check_manager(struct findings *f, const struct path *p, const char *manager)
{
    if (strlen(str_safe(manager)) > 128)
        find_too_long(f, p, 128);
    for (const char *c = str_safe(manager); *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            find_invalid(f, p, manager, "invalid character U+%04X (at position %u)", (unsigned char)*c,
                         (unsigned)(c - manager));
}

static void
check_managed_fields(struct findings *f, const struct path *p, const struct managed_fields_entry_slice *list)
{
    for (uint32_t i = 0; i < list->len; i++) {
        const struct managed_fields_entry *e = &list->items[i];
        const struct path *at = AT_INDEX(p, i);
        if (!str_eq(e->operation, "Apply") && !str_eq(e->operation, "Update"))
            find_invalid(f, AT(at, "operation"), e->operation, "must be `Apply` or `Update`");
        if (!str_empty(e->fields_type) && !str_eq(e->fields_type, "FieldsV1"))
            find_invalid(f, AT(at, "fieldsType"), e->fields_type, "must be `FieldsV1`");
        check_manager(f, AT(at, "manager"), e->manager);
        if (strlen(str_safe(e->subresource)) > 256)
            find_too_long(f, AT(at, "subresource"), 256);
    }
}

static void
check_known_finalizers(struct findings *f, const struct path *p, const struct string_slice *finalizers)
{
    for (uint32_t i = 0; i < finalizers->len; i++)
        check_finalizer_is_known(f, AT_INDEX(p, i), finalizers->items[i]);
}

void
check_meta_create(struct findings *f, const struct object_meta *m, bool namespaced, enum name_rule rule)
{
    const struct path *p = AT(NULL, "metadata");
    const char *why[NAME_MAX_ERRORS];

    if (!str_empty(m->generate_name)) {
        unsigned n = name_check_prefix(rule, m->generate_name, why);
        for (unsigned i = 0; i < n; i++)
            find_invalid(f, AT(p, "generateName"), m->generate_name, "%s", why[i]);
    }
    if (str_empty(m->name))
        find_required(f, AT(p, "name"), "name or generateName is required");
    else
        check_name(f, AT(p, "name"), rule, m->name);
    if (namespaced)
        check_required_name(f, AT(p, "namespace"), NAME_DNS_LABEL, m->namespace);
    else if (!str_empty(m->namespace))
        find_forbidden(f, AT(p, "namespace"), "not allowed on this type");
    check_nonnegative(f, AT(p, "generation"), m->generation);
    check_labels(f, AT(p, "labels"), &m->labels);
    check_annotations(f, AT(p, "annotations"), &m->annotations);
    check_owners(f, AT(p, "ownerReferences"), &m->owner_references);
    check_finalizers(f, AT(p, "finalizers"), &m->finalizers);
    check_managed_fields(f, AT(p, "managedFields"), &m->managed_fields);
    check_known_finalizers(f, AT(p, "finalizers"), &m->finalizers);
}

static void
check_no_new_finalizers(struct findings *f, const struct path *p, const struct string_slice *now, const struct string_slice *old)
{
    AUTO_SBUF extra = { 0 };

    for (uint32_t i = 0; i < now->len; i++)
        if (!string_slice_has(old, now->items[i])) {
            sbuf_adds(&extra, extra.len ? ", " : "");
            sbuf_add_quoted(&extra, now->items[i]);
        }
    if (extra.len)
        find_forbidden(f, p,
                       "no new finalizers can be added if the object is being deleted, found new finalizers []string{%s}",
                       sbuf_str(&extra));
}

static void
check_time_immutable(struct findings *f, const struct path *p, const struct api_time *now, const struct api_time *old)
{
    AUTO_SBUF json = { 0 };

    if (now == old || (now && old && api_time_cmp(*now, *old) == 0))
        return;
    if (!now || api_time_is_zero(*now)) {
        find_invalid_null(f, p, IMMUTABLE_MSG);
        return;
    }
    sbuf_addc(&json, '"');
    api_time_format(*now, &json);
    sbuf_addc(&json, '"');
    find_invalid_raw(f, p, sbuf_str(&json), IMMUTABLE_MSG);
}

void
check_meta_update(struct findings *f, const struct object_meta *m, const struct object_meta *old)
{
    const struct path *p = AT(NULL, "metadata");
    const int64_t *grace = m->deletion_grace_period_seconds, *old_grace = old->deletion_grace_period_seconds;

    if (old->deletion_timestamp)
        check_no_new_finalizers(f, AT(p, "finalizers"), &m->finalizers, &old->finalizers);
    if (str_empty(m->resource_version))
        find_invalid(f, AT(p, "resourceVersion"), "", "must be specified for an update");
    if (m->generation < old->generation)
        find_invalid_int(f, AT(p, "generation"), m->generation, "must not be decremented");
    check_str_immutable(f, AT(p, "name"), m->name, old->name);
    check_str_immutable(f, AT(p, "namespace"), m->namespace, old->namespace);
    check_str_immutable(f, AT(p, "uid"), m->uid, old->uid);
    check_time_immutable(f, AT(p, "creationTimestamp"), &m->creation_timestamp, &old->creation_timestamp);
    check_time_immutable(f, AT(p, "deletionTimestamp"), m->deletion_timestamp, old->deletion_timestamp);
    if (!grace != !old_grace || (grace && *grace != *old_grace)) {
        if (grace)
            find_invalid_int(f, AT(p, "deletionGracePeriodSeconds"), *grace, IMMUTABLE_MSG);
        else
            find_invalid_null(f, AT(p, "deletionGracePeriodSeconds"), IMMUTABLE_MSG);
    }
    check_labels(f, AT(p, "labels"), &m->labels);
    check_annotations(f, AT(p, "annotations"), &m->annotations);
    check_owners(f, AT(p, "ownerReferences"), &m->owner_references);
    check_finalizers(f, AT(p, "finalizers"), &m->finalizers);
    check_managed_fields(f, AT(p, "managedFields"), &m->managed_fields);
    check_known_finalizers(f, AT(p, "finalizers"), &m->finalizers);
}

void
check_conditions(struct findings *f, const struct path *p, const struct condition_slice *conditions)
{
    static const char *const statuses[] = { "False", "True", "Unknown", NULL };

    for (uint32_t i = 0; i < conditions->len; i++) {
        const struct condition *c = &conditions->items[i];
        const struct path *at = AT_INDEX(p, i);
        if (condition_find(conditions, c->type) != c)
            find_duplicate(f, AT(at, "type"), c->type);
        check_label_key(f, AT(at, "type"), c->type);
        if (!is_one_of(c->status, statuses))
            find_unsupported(f, AT(at, "status"), c->status, statuses);
        if (c->observed_generation < 0)
            find_invalid_int(f, AT(at, "observedGeneration"), c->observed_generation, "must be greater than or equal to zero");
        if (api_time_is_zero(c->last_transition_time))
            find_required(f, AT(at, "lastTransitionTime"), "must be set");
        if (str_empty(c->reason))
            find_required(f, AT(at, "reason"), "must be set");
        else {
            check_name(f, AT(at, "reason"), NAME_CONDITION_REASON, c->reason);
            if (strlen(c->reason) > 1024)
                find_too_long(f, AT(at, "reason"), 1024);
        }
        if (strlen(str_safe(c->message)) > 32 * 1024)
            find_too_long(f, AT(at, "message"), 32 * 1024);
    }
}
