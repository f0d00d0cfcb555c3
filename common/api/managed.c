// SPDX-License-Identifier: Apache-2.0
/* managed.c - entries of metadata.managedFields and the rules that move fields between them.
 * An update gives every field it changed to its manager; an apply owns what it mentions, conflicts with who owns what it
 * changes, and removes what it no longer mentions and nobody else owns. */
#include "common/api/managed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/api/codec.h"
#include "common/api/field_diff.h"
#include "common/api/json_scan.h"
#include "common/api/values.h"

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"
#define LAST_APPLIED_MAX (256 * 1024) /* all annotations together */

struct entry {
    const char *manager, *api_version, *subresource;
    bool applied;
    bool has_time;
    struct api_time time;
    struct field_set *set;
};

struct entries {
    struct entry *items;
    uint32_t len, cap;
};

static const char *const stripped[] = { /* never owned by anybody */
    "apiVersion", "kind", "metadata", "metadata.name", "metadata.namespace", "metadata.creationTimestamp", "metadata.selfLink",
    "metadata.uid", "metadata.clusterName", "metadata.generation", "metadata.managedFields", "metadata.resourceVersion",
    "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds",
};

static bool entries_decode(struct arena *a, const struct managed_fields_entry_slice *from, struct entries *ret);
static void entries_encode(struct arena *scratch, struct arena *a, struct entries *e, struct managed_fields_entry_slice *ret);
static bool entries_equal_but_time(const struct managed_fields_entry_slice *a, const struct managed_fields_entry_slice *b);
static struct entry *entries_find(struct entries *e, bool applied, const struct managed_request *req);
static struct entry *entries_add(struct arena *a, struct entries *e);
static void entries_drop_empty(struct entries *e);
static void entries_drop_unknown(struct entries *e, const struct api_kind *kind);
static void entries_cap(struct arena *a, struct entries *e);
static void entries_take(struct arena *a, struct entries *e, const struct field_diff *d, const struct entry *but);
static void update_entries(struct arena *a, struct entries *e, const struct field_diff *d, const struct managed_request *req);
static void diff_clean(struct arena *a, struct field_diff *d, const struct managed_request *req);
static struct field_set *strip_set(struct arena *a);
static struct field_set *reset_set(struct arena *a, const struct managed_request *req);
static const char *manager_of(const struct managed_request *req);
static bool is_reset(const struct managed_fields_entry_slice *s);

/* --- updates --- */

/* Decides whose entries count: the request's own when it may bring any and they can be read, else the old object's. */
static void
choose_entries(struct arena *a, const struct managed_fields_entry_slice *old, const struct managed_fields_entry_slice *mine,
               const struct managed_request *req, struct entries *ret)
{
    *ret = (struct entries){ 0 };
    if (str_empty(req->subresource)) {
        if (is_reset(mine))
            return;
        if (!(old && mine->len == old->len && entries_equal_but_time(mine, old)) && entries_decode(a, mine, ret) && ret->len)
            return;
    }
    if (!old || !entries_decode(a, old, ret))
        *ret = (struct entries){ 0 };
}

/* No field changed, and the request brings no managedFields of its own: the old ones stay, unread. */
static bool
keeps_entries(const struct managed_fields_entry_slice *old, const struct managed_fields_entry_slice *mine, const struct managed_request *req)
{
    if (!old || !old->len)
        return false;
    return !str_empty(req->subresource) || (!mine->items && !mine->len) || entries_equal_but_time(mine, old);
}

static void
entries_copy(struct arena *a, const struct managed_fields_entry_slice *from, struct managed_fields_entry_slice *to)
{
    static const struct api_field field = { .json = "x", .value = API_MESSAGE, .shape = API_LIST, .type = &api_type_managed_fields_entry };
    static const struct api_type list = { .name = "list", .fields = &field, .nfields = 1, .size = sizeof(*to) };

    api_copy(&list, a, from, to);
}

void
managed_fields_update(const struct object *old, struct object *new_obj, const struct managed_request *req)
{
    const struct api_type *type = object_kind(new_obj)->type;
    struct object_meta *meta = object_meta(new_obj), *old_meta = old ? object_meta(old) : NULL;
    const struct managed_fields_entry_slice *before = old_meta ? &old_meta->managed_fields : NULL;
    AUTO(arena) *a = NULL;
    struct managed_fields_entry_slice mine;
    struct entries entries;
    struct field_diff d;
    const void *from;

    if (!meta)
        return;
    a = arena_new(16 * 1024);
    mine = meta->managed_fields;
    meta->managed_fields = (struct managed_fields_entry_slice){ 0 };
    from = old ? object_body(old) : arena_alloc(a, type->size);
    field_diff_structs(a, type, from, object_body(new_obj), &d);
    diff_clean(a, &d, req);
    if (!d.removed && !d.modified && !d.added && keeps_entries(before, &mine, req)) {
        entries_copy(object_arena(new_obj), before, &meta->managed_fields);
        return;
    }
    choose_entries(a, before, &mine, req, &entries);
    if (!entries.len && old_meta && !str_empty(old_meta->uid))
        return; /* not tracked from its creation on: not tracked now */
    entries_drop_unknown(&entries, object_kind(new_obj));
    update_entries(a, &entries, &d, req);
    entries_encode(a, object_arena(new_obj), &entries, &meta->managed_fields);
}

void
managed_fields_keep_times(const struct object *old, struct object *new_obj)
{
    const struct object_meta *before = object_meta(old);
    struct object_meta *meta = object_meta(new_obj);
    struct managed_fields_entry_slice mine;

    if (!meta || !before || object_kind(old) != object_kind(new_obj) || !entries_equal_but_time(&before->managed_fields, &meta->managed_fields))
        return;
    mine = meta->managed_fields;
    meta->managed_fields = before->managed_fields;
    if (api_equal(object_kind(old)->type, object_body(old), object_body(new_obj)))
        entries_copy(object_arena(new_obj), &before->managed_fields, &meta->managed_fields);
    else
        meta->managed_fields = mine;
}

static void
update_entries(struct arena *a, struct entries *e, const struct field_diff *d, const struct managed_request *req)
{
    struct field_set *taken = field_set_union(a, d->modified, d->added);
    struct entry *self;

    entries_take(a, e, d, NULL);
    if (!field_set_empty(taken)) {
        self = entries_find(e, false, req);
        if (!self) {
            self = entries_add(a, e);
            self->manager = manager_of(req);
            self->api_version = req->api_version;
            self->subresource = req->subresource;
        }
        self->set = field_set_union(a, self->set, taken);
        self->has_time = true;
        self->time = req->now;
    }
    entries_drop_empty(e);
    entries_cap(a, e);
}

/* Every entry but one loses what was changed or removed. */
static void
entries_take(struct arena *a, struct entries *e, const struct field_diff *d, const struct entry *but)
{
    for (uint32_t i = 0; i < e->len; i++) {
        struct entry *entry = &e->items[i];
        if (entry == but)
            continue;
        entry->set = field_set_difference(a, entry->set, d->modified);
        entry->set = field_set_difference(a, entry->set, d->added);
        entry->set = field_set_difference(a, entry->set, d->removed);
    }
}

static void
diff_clean(struct arena *a, struct field_diff *d, const struct managed_request *req)
{
    struct field_set *strip = strip_set(a), *reset = reset_set(a, req);
    struct field_set **sets[] = { &d->removed, &d->modified, &d->added };

    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        *sets[i] = field_set_recursive_difference(a, field_set_difference(a, *sets[i], strip), reset);
}

static struct field_set *
strip_set(struct arena *a)
{
    struct field_set *s = field_set_new(a);

    for (size_t i = 0; i < ARRAY_LEN(stripped); i++)
        field_set_add_path(a, s, stripped[i]);
    return s;
}

static struct field_set *
reset_set(struct arena *a, const struct managed_request *req)
{
    struct field_set *s = NULL;

    for (const char *const *path = req->reset_fields; path && *path; path++) {
        if (!s)
            s = field_set_new(a);
        field_set_add_path(a, s, *path);
    }
    return s;
}

static const char *
manager_of(const struct managed_request *req)
{
    return str_or(req->manager, "unknown");
}

/* [] or [{}]: the user asks to forget all. */
static bool
is_reset(const struct managed_fields_entry_slice *s)
{
    static const struct managed_fields_entry nothing;

    if (s->len == 0)
        return s->items != NULL;
    return s->len == 1 && api_equal(&api_type_managed_fields_entry, &s->items[0], &nothing);
}

/* --- apply --- */

struct apply {
    struct arena *a; /* for sets; they point into the trees */
    struct merge_schema schema;
    const struct managed_request *req;
    json_t *empty;   /* what a new object is compared with */
    json_t *live;    /* without managedFields */
    json_t *applied;
    struct entries entries;
    struct entry *self;
    struct field_set *last; /* what this manager applied before */
    json_t *merged;
};

static struct kerr *apply_check(const struct apply *ap) MUST_CHECK;
static struct kerr *apply_validate(const struct apply *ap) MUST_CHECK;
static void apply_before_first(struct apply *ap);
static void apply_prune(struct apply *ap);
static struct kerr *apply_conflicts(struct apply *ap, const struct field_diff *d) MUST_CHECK;
static struct field_set *allowed_by_last_applied(struct apply *ap);
static void sync_last_applied(struct apply *ap);
static json_t *without_managed_fields(const json_t *tree);
static struct kerr *run_apply(struct apply *ap) MUST_CHECK;
static struct kerr *tree_entries(struct arena *a, const json_t *tree, struct managed_fields_entry_slice *ret) MUST_CHECK;
static json_t *entries_to_tree(const struct managed_fields_entry_slice *s);
static void set_managed_fields(json_t *tree, const struct managed_fields_entry_slice *s);
static struct kerr *apply_tree(const struct api_kind *kind, struct merge_schema schema, json_t *empty, const json_t *live,
                               const json_t *applied, const struct managed_request *req, json_t **ret) MUST_CHECK;

struct kerr *
managed_fields_apply(const struct api_kind *kind, const struct object *live, const json_t *applied,
                     const struct managed_request *req, struct object **ret)
{
    AUTO(object) *fresh = object_new(kind);
    AUTO_JSON *empty = NULL;
    AUTO_JSON *tree = NULL;
    AUTO_JSON *merged = NULL;
    AUTO_SBUF text = { 0 };
    struct kerr *err;

    object_encode_json(fresh, &text);
    err = tree_load(text.s, text.len, &empty);
    if (!err && live) {
        sbuf_clear(&text);
        object_encode_json(live, &text);
        err = tree_load(text.s, text.len, &tree);
    }
    if (!err)
        err = apply_tree(kind, merge_schema_of_type(kind->type), empty, tree, applied, req, &merged);
    if (err)
        return err;
    sbuf_clear(&text);
    tree_dump(merged, &text);
    err = object_decode_json(text.s, text.len, kind, NULL, ret);
    if (!err && live)
        managed_fields_keep_times(live, *ret);
    return err;
}

struct kerr *
managed_fields_apply_tree(struct merge_schema schema, const json_t *live, const json_t *applied,
                          const struct managed_request *req, json_t **ret)
{
    AUTO_JSON *empty = json_object();

    return apply_tree(NULL, schema, empty, live, applied, req, ret);
}

/* kind NULL: a custom resource. */
static struct kerr *
apply_tree(const struct api_kind *kind, struct merge_schema schema, json_t *empty, const json_t *live, const json_t *applied,
           const struct managed_request *req, json_t **ret)
{
    AUTO(arena) *a = arena_new(32 * 1024);
    AUTO_JSON *live_clean = live ? without_managed_fields(live) : NULL;
    struct apply ap = { .a = a, .schema = schema, .req = req, .empty = empty, .live = live_clean ? live_clean : empty,
                        .applied = (json_t *)(uintptr_t)applied };
    struct managed_fields_entry_slice before = { 0 }, after = { 0 };
    struct kerr *err;

    err = apply_check(&ap);
    if (!err)
        err = apply_validate(&ap);
    if (!err && live)
        err = tree_entries(a, live, &before);
    if (err)
        return err;
    if (!entries_decode(a, &before, &ap.entries))
        return kerr_new(KERR_INTERNAL, "failed to decode managed fields");
    entries_drop_unknown(&ap.entries, kind);
    if (live && !ap.entries.len)
        apply_before_first(&ap);
    err = run_apply(&ap);
    if (!err) {
        sync_last_applied(&ap);
        entries_encode(a, a, &ap.entries, &after);
        if (json_equal(ap.merged, ap.live) && entries_equal_but_time(&before, &after))
            after = before; /* nothing happened: the times stay too, so that nothing is written */
        set_managed_fields(ap.merged, &after);
        *ret = steal_ptr(ap.merged);
    }
    json_decref(ap.merged);
    return err;
}

static struct kerr *
apply_check(const struct apply *ap)
{
    const char *version = tree_string(ap->applied, "apiVersion");

    if (!json_is_object(ap->applied))
        return kerr_new(KERR_BAD_REQUEST, "error decoding YAML: the applied configuration is no object");
    if (!str_eq(version, ap->req->api_version))
        return kerr_new(KERR_BAD_REQUEST, "Incorrect version specified in apply patch. Specified patch version: %s, expected: %s",
                        str_safe(version), ap->req->api_version);
    json_t *managed = json_object_get(json_object_get(ap->applied, "metadata"), "managedFields");
    if (managed && !json_is_null(managed))
        return kerr_new(KERR_BAD_REQUEST, "metadata.managedFields must be nil");
    return NULL;
}

static struct kerr *
apply_validate(const struct apply *ap)
{
    const json_t *meta = json_object_get(ap->applied, "metadata");
    AUTO_STRLIST problems = { 0 };
    AUTO_SBUF text = { 0 };

    field_tree_validate(ap->schema, ap->applied, &problems);
    if (!problems.len)
        return NULL;
    sbuf_adds(&text, problems.len == 1 ? problems.items[0] : "errors:");
    for (size_t i = 0; problems.len > 1 && i < problems.len; i++)
        sbuf_addf(&text, "\n  %s", problems.items[i]);
    /* upstream's is a plain error, hence 500 without a reason */
    return kerr_new(KERR_UNKNOWN, "failed to create typed patch object (%s/%s; %s, Kind=%s): %s", str_safe(tree_string(meta, "namespace")),
                    str_safe(tree_string(meta, "name")), ap->req->api_version, str_safe(tree_string(ap->applied, "kind")), sbuf_str(&text));
}

/* The object was made before anybody was tracked: what it holds now belongs to "before-first-apply". */
static void
apply_before_first(struct apply *ap)
{
    struct managed_request req = *ap->req;
    struct field_diff d;

    req.manager = "before-first-apply";
    field_diff_trees(ap->a, ap->schema, ap->empty, ap->live, &d);
    diff_clean(ap->a, &d, &req);
    update_entries(ap->a, &ap->entries, &d, &req);
}

static struct kerr *
run_apply(struct apply *ap)
{
    struct field_set *set = field_set_of_tree(ap->a, ap->schema, ap->applied);
    struct field_diff d;
    struct kerr *err;

    ap->merged = field_tree_merge(ap->schema, ap->live, ap->applied);
    ap->self = entries_find(&ap->entries, true, ap->req);
    ap->last = ap->self ? ap->self->set : NULL;
    if (!ap->self) {
        ap->self = entries_add(ap->a, &ap->entries);
        ap->self->manager = manager_of(ap->req);
        ap->self->subresource = ap->req->subresource;
        ap->self->applied = true;
    }
    ap->self->api_version = ap->req->api_version;
    ap->self->set = field_set_recursive_difference(ap->a, set, reset_set(ap->a, ap->req));
    ap->self->has_time = true;
    ap->self->time = ap->req->now;
    apply_prune(ap);

    field_diff_trees(ap->a, ap->schema, ap->live, ap->merged, &d);
    struct field_set *reset = reset_set(ap->a, ap->req);
    d.removed = field_set_recursive_difference(ap->a, d.removed, reset);
    d.modified = field_set_recursive_difference(ap->a, d.modified, reset);
    d.added = field_set_recursive_difference(ap->a, d.added, reset);
    if (!ap->req->force && (err = apply_conflicts(ap, &d)))
        return err;
    entries_take(ap->a, &ap->entries, &d, ap->self);
    ap->self->set = field_set_difference(ap->a, ap->self->set, strip_set(ap->a));
    entries_drop_empty(&ap->entries);
    return NULL;
}

/* Removes what this manager applied before and does not now, unless somebody else owns it. */
static void
apply_prune(struct apply *ap)
{
    struct arena *a = ap->a;
    struct field_set *last, *managed = NULL, *merged_set, *pruned_set, *gone;
    json_t *pruned, *again, *left;

    if (field_set_empty(ap->last))
        return;
    last = field_set_with_named(a, ap->schema, ap->last);
    pruned = field_tree_remove(ap->schema, ap->merged, last);
    for (uint32_t i = 0; i < ap->entries.len; i++)
        managed = field_set_union(a, managed, ap->entries.items[i].set);
    merged_set = field_set_with_named(a, ap->schema, field_set_of_tree(a, ap->schema, ap->merged));

    /* back comes what any manager owns ... */
    pruned_set = field_set_with_named(a, ap->schema, field_set_of_tree(a, ap->schema, pruned));
    gone = field_set_difference(a, merged_set, field_set_union(a, pruned_set, field_set_with_named(a, ap->schema, managed)));
    again = field_tree_remove(ap->schema, ap->merged, gone);

    /* ... and what fell with its parent, but was never this manager's */
    pruned_set = field_set_with_named(a, ap->schema, field_set_of_tree(a, ap->schema, again));
    gone = field_set_intersection(a, field_set_difference(a, merged_set, pruned_set), last);
    left = field_tree_remove(ap->schema, ap->merged, gone);
    json_decref(pruned); /* the sets above point into these trees, and end here */
    json_decref(again);
    json_decref(ap->merged);
    ap->merged = left;
}

/* --- conflicts --- */

struct conflict_list {
    struct kerr *err;
    struct sbuf *lines;
    const char *who;
    uint32_t count;
    char *only; /* the path, when there is one */
};

static void
add_conflict(const char *path, void *arg)
{
    struct conflict_list *c = arg;

    kerr_add_cause(c->err, "FieldManagerConflict", path, "conflict with %s", c->who);
    sbuf_addf(c->lines, "\n- %s", path);
    if (!c->only)
        c->only = xstrdup(path);
    c->count++;
}

static char *
describe_manager(const struct entry *e)
{
    AUTO_SBUF s = { 0 };

    json_add_go_quoted(&s, e->manager, strlen(e->manager));
    if (!str_empty(e->subresource)) {
        sbuf_adds(&s, " with subresource ");
        json_add_go_quoted(&s, e->subresource, strlen(e->subresource));
    }
    if (!e->applied)
        sbuf_addf(&s, " using %s", e->api_version);
    return sbuf_steal(&s);
}

static int
entry_by_name_cmp(const void *x, const void *y)
{
    const struct entry *a = *(struct entry *const *)x, *b = *(struct entry *const *)y;
    int cmp = strcmp(a->manager, b->manager);

    if (!cmp)
        cmp = (int)b->applied - (int)a->applied;
    return cmp ? cmp : strcmp(str_safe(a->api_version), str_safe(b->api_version));
}

/* What others own and this apply changes.  For kubectl, fields that its client-side apply set do not count. */
static struct kerr *
apply_conflicts(struct apply *ap, const struct field_diff *d)
{
    struct field_set *changed = field_set_union(ap->a, d->modified, d->added), *allowed = NULL, *found;
    struct entry **order = arena_alloc(ap->a, (ap->entries.len + 1) * sizeof(*order));
    struct conflict_list list = { .err = kerr_new(KERR_CONFLICT, "%s", "") };
    AUTO_SBUF lines = { 0 };
    AUTO_FREE char *last_who = NULL;
    struct kerr *err = list.err;

    for (uint32_t i = 0; i < ap->entries.len; i++)
        order[i] = &ap->entries.items[i];
    qsort(order, ap->entries.len, sizeof(*order), entry_by_name_cmp);
    if (str_eq(ap->req->manager, "kubectl"))
        allowed = allowed_by_last_applied(ap);
    list.lines = &lines;
    for (uint32_t i = 0; i < ap->entries.len; i++) {
        if (order[i] == ap->self)
            continue;
        found = field_set_difference(ap->a, field_set_intersection(ap->a, order[i]->set, changed), allowed);
        if (field_set_empty(found))
            continue;
        AUTO_FREE char *who = describe_manager(order[i]);
        list.who = who;
        sbuf_addf(&lines, "%sconflicts with %s:", lines.len ? "\n" : "", who);
        field_set_each(found, add_conflict, &list);
        free(last_who);
        last_who = xstrdup(who);
    }
    if (!list.count) {
        kerr_free(err);
        return NULL;
    }
    free(err->message);
    if (list.count == 1)
        err->message = xasprintf("Apply failed with 1 conflict: conflict with %s: %s", last_who, list.only);
    else
        err->message = xasprintf("Apply failed with %u conflicts: %s", list.count, sbuf_str(&lines));
    free(list.only);
    return err;
}

/* --- hand-over from kubectl's client-side apply --- */

static const char *
last_applied_of(const json_t *tree)
{
    return tree_string(json_object_get(json_object_get(tree, "metadata"), "annotations"), LAST_APPLIED);
}

/* What the annotation set and the object still holds unchanged; NULL: nothing. */
static struct field_set *
allowed_by_last_applied(struct apply *ap)
{
    const char *text = last_applied_of(ap->live);
    AUTO_STRLIST problems = { 0 };
    AUTO_JSON *last = NULL;
    struct field_set *set, *copy = NULL;
    struct field_diff d;
    struct kerr *err;
    AUTO_SBUF out = { 0 };

    if (str_empty(text))
        return NULL;
    err = tree_load(text, strlen(text), &last);
    if (err) {
        kerr_free(err);
        return NULL;
    }
    if (!json_is_object(last) || !str_eq(tree_string(last, "apiVersion"), ap->req->api_version))
        return NULL;
    field_tree_validate(ap->schema, last, &problems);
    if (problems.len)
        return NULL;
    set = field_set_of_tree(ap->a, ap->schema, last);
    field_diff_trees(ap->a, ap->schema, last, ap->live, &d);
    set = field_set_difference(ap->a, set, d.modified);
    set = field_set_difference(ap->a, set, d.added);
    set = field_set_difference(ap->a, set, d.removed);
    field_set_encode(set, &out); /* the set points into `last`: take it out of there */
    err = field_set_decode(ap->a, out.s, out.len, &copy);
    kerr_free(err);
    return copy;
}

/* A member that is only ours to change. */
static json_t *
own_member(json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key), *copy = json_is_object(v) ? json_copy(v) : json_object();

    json_object_set_new(object, key, copy);
    return copy;
}

/* kubectl keeps its annotation up to date for older kubectls. */
static void
sync_last_applied(struct apply *ap)
{
    AUTO_JSON *config = NULL;
    AUTO_SBUF text = { 0 };
    json_t *annotations, *v;
    const char *key;
    size_t total = 0;

    if (!str_eq(ap->req->manager, "kubectl") || str_empty(last_applied_of(ap->merged)))
        return;
    config = json_copy(ap->applied);
    if (json_object_get(json_object_get(config, "metadata"), "annotations"))
        json_object_del(own_member(own_member(config, "metadata"), "annotations"), LAST_APPLIED);
    tree_dump_sorted(config, &text);
    sbuf_addc(&text, '\n');
    annotations = own_member(own_member(ap->merged, "metadata"), "annotations");
    json_object_set_new(annotations, LAST_APPLIED, json_string(sbuf_str(&text)));
    json_object_foreach(annotations, key, v)
        total += strlen(key) + json_string_length(v);
    if (total > LAST_APPLIED_MAX)
        json_object_del(annotations, LAST_APPLIED);
}

/* --- trees of custom resources --- */

void
managed_fields_update_tree(struct merge_schema schema, const json_t *old, json_t *new_tree, const struct managed_request *req)
{
    AUTO(arena) *a = arena_new(16 * 1024);
    AUTO_JSON *old_clean = old ? without_managed_fields(old) : NULL;
    AUTO_JSON *new_clean = without_managed_fields(new_tree);
    AUTO_JSON *empty = json_pack("{s:s*,s:s*}", "apiVersion", tree_string(new_tree, "apiVersion"), "kind", tree_string(new_tree, "kind"));
    struct managed_fields_entry_slice before = { 0 }, mine = { 0 }, after = { 0 };
    struct entries entries;
    struct field_diff d;

    if (!json_is_object(json_object_get(new_tree, "metadata")))
        return;
    if (old)
        kerr_free(tree_entries(a, old, &before)); /* unreadable ones count as none */
    kerr_free(tree_entries(a, new_tree, &mine));
    field_diff_trees(a, schema, old_clean ? old_clean : empty, new_clean, &d);
    diff_clean(a, &d, req);
    choose_entries(a, old ? &before : NULL, &mine, req, &entries);
    if (entries.len || !old || str_empty(tree_string(json_object_get(old, "metadata"), "uid"))) {
        update_entries(a, &entries, &d, req);
        entries_encode(a, a, &entries, &after);
    }
    set_managed_fields(new_tree, &after);
}

static json_t *
without_managed_fields(const json_t *tree)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)tree);

    if (json_object_get(json_object_get(copy, "metadata"), "managedFields"))
        json_object_del(own_member(copy, "metadata"), "managedFields");
    return copy;
}

/* Trees meet the structs' decoder: one reader of entries is enough. */
static struct kerr *
tree_entries(struct arena *a, const json_t *tree, struct managed_fields_entry_slice *ret)
{
    json_t *list = json_object_get(json_object_get(tree, "metadata"), "managedFields");
    struct object_meta *meta;
    AUTO_SBUF text = { 0 };
    struct kerr *err;

    if (!list || json_is_null(list))
        return NULL;
    sbuf_adds(&text, "{\"managedFields\":");
    tree_dump(list, &text);
    sbuf_addc(&text, '}');
    meta = arena_alloc(a, sizeof(*meta));
    err = json_decode(&api_type_object_meta, a, text.s, text.len, NULL, meta);
    if (err)
        return kerr_wrap(err, "failed to decode managed fields");
    *ret = meta->managed_fields;
    return NULL;
}

static json_t *
entries_to_tree(const struct managed_fields_entry_slice *s)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < s->len; i++) {
        AUTO_SBUF text = { 0 };
        json_encode(&api_type_managed_fields_entry, &s->items[i], &text);
        json_array_append_new(list, json_loadb(text.s, text.len, 0, NULL));
    }
    return list;
}

static void
set_managed_fields(json_t *tree, const struct managed_fields_entry_slice *s)
{
    json_t *meta = own_member(tree, "metadata");

    if (s->len)
        json_object_set_new(meta, "managedFields", entries_to_tree(s));
    else
        json_object_del(meta, "managedFields");
}

/* --- entries --- */

/* False: not to be understood, as upstream sees it. */
static bool
entries_decode(struct arena *a, const struct managed_fields_entry_slice *from, struct entries *ret)
{
    *ret = (struct entries){ 0 };
    for (uint32_t i = 0; i < from->len; i++) {
        const struct managed_fields_entry *f = &from->items[i];
        struct entry *e = NULL;
        struct field_set *set = NULL;
        bool applied = str_eq(f->operation, "Apply");
        if ((!applied && !str_eq(f->operation, "Update")) || str_empty(f->api_version) || !str_eq(f->fields_type, "FieldsV1"))
            return false;
        if (f->fields_v1 && f->fields_v1->json) {
            struct kerr *err = field_set_decode(a, f->fields_v1->json, f->fields_v1->len, &set);
            if (err) {
                kerr_free(err);
                return false;
            }
        }
        struct managed_request same = { .manager = f->manager, .api_version = f->api_version, .subresource = f->subresource };
        e = entries_find(ret, applied, &same);
        if (!e)
            e = entries_add(a, ret);
        *e = (struct entry){ .manager = str_safe(f->manager), .api_version = f->api_version, .subresource = f->subresource,
                             .applied = applied, .has_time = f->time != NULL, .set = set };
        if (f->time)
            e->time = *f->time;
    }
    return true;
}

static int
entry_cmp(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    int64_t ta = a->has_time ? a->time.sec : 0, tb = b->has_time ? b->time.sec : 0;
    int cmp;

    if (a->applied != b->applied)
        return a->applied ? -1 : 1;
    if (ta != tb)
        return ta < tb ? -1 : 1;
    cmp = str_cmp(a->manager, b->manager);
    if (!cmp)
        cmp = str_cmp(a->api_version, b->api_version);
    return cmp ? cmp : str_cmp(a->subresource, b->subresource);
}

static void
entries_encode(struct arena *scratch, struct arena *a, struct entries *e, struct managed_fields_entry_slice *ret)
{
    AUTO_SBUF text = { 0 };

    *ret = (struct managed_fields_entry_slice){ 0 };
    if (!e->len)
        return;
    qsort(e->items, e->len, sizeof(*e->items), entry_cmp);
    ret->items = arena_alloc(a, e->len * sizeof(*ret->items));
    ret->len = ret->cap = e->len;
    for (uint32_t i = 0; i < e->len; i++) {
        const struct entry *from = &e->items[i];
        struct managed_fields_entry *to = &ret->items[i];
        to->manager = arena_strdup(a, from->manager);
        to->operation = from->applied ? "Apply" : "Update";
        to->api_version = arena_strdup(a, from->api_version);
        to->subresource = str_empty(from->subresource) ? NULL : arena_strdup(a, from->subresource);
        to->fields_type = "FieldsV1";
        if (from->has_time) {
            to->time = ARENA_NEW(a, struct api_time);
            to->time->sec = from->time.sec; /* whole seconds, as everywhere in metadata */
        }
        sbuf_clear(&text);
        field_set_encode(from->set, &text);
        to->fields_v1 = ARENA_NEW(a, struct api_raw);
        to->fields_v1->json = arena_strndup(a, text.s, text.len);
        to->fields_v1->len = (uint32_t)text.len;
    }
}

static bool
entries_equal_but_time(const struct managed_fields_entry_slice *a, const struct managed_fields_entry_slice *b)
{
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++) {
        struct managed_fields_entry x = a->items[i], y = b->items[i];
        x.time = y.time = NULL;
        if (!api_equal(&api_type_managed_fields_entry, &x, &y))
            return false;
    }
    return true;
}

/* Appliers keep their entry across versions. */
static struct entry *
entries_find(struct entries *e, bool applied, const struct managed_request *req)
{
    for (uint32_t i = 0; i < e->len; i++) {
        struct entry *entry = &e->items[i];
        if (entry->applied == applied && str_eq(entry->manager, manager_of(req)) && str_eq(entry->subresource, req->subresource) &&
            (applied || str_eq(entry->api_version, req->api_version)))
            return entry;
    }
    return NULL;
}

static struct entry *
entries_add(struct arena *a, struct entries *e)
{
    if (e->len == e->cap) {
        uint32_t cap = e->cap ? e->cap * 2 : 8;
        e->items = arena_grow(a, e->items, e->cap * sizeof(*e->items), cap * sizeof(*e->items));
        e->cap = cap;
    }
    e->items[e->len] = (struct entry){ 0 };
    return &e->items[e->len++];
}

static void
entries_drop_empty(struct entries *e)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < e->len; i++)
        if (!field_set_empty(e->items[i].set))
            e->items[n++] = e->items[i];
    e->len = n;
}

/* Entries of versions the kind does not have (any more). */
static void
entries_drop_unknown(struct entries *e, const struct api_kind *kind)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < e->len; i++)
        if (!kind || api_kind_find(e->items[i].api_version, kind->kind))
            e->items[n++] = e->items[i];
    e->len = n;
}

/* The oldest updates of one version are merged into one entry until there are few enough. */
static void
entries_cap(struct arena *a, struct entries *e)
{
    static const char ancient[] = "ancient-changes";
    uint32_t updates = 0, i;

    for (i = 0; i < e->len; i++)
        updates += !e->items[i].applied;
    if (updates <= MANAGED_MAX_UPDATERS)
        return;
    qsort(e->items, e->len, sizeof(*e->items), entry_cmp); /* appliers first, then updates by age */
    for (i = e->len - updates; i < e->len && updates > MANAGED_MAX_UPDATERS; i++) {
        struct entry *old = &e->items[i], *first = NULL;
        for (uint32_t j = 0; j < i && !first; j++)
            if (!e->items[j].applied && e->items[j].set && str_eq(e->items[j].api_version, old->api_version))
                first = &e->items[j];
        if (!first)
            continue;
        first->manager = ancient;
        first->subresource = NULL;
        first->set = field_set_union(a, old->set, first->set);
        first->has_time = old->has_time;
        first->time = old->time;
        old->set = NULL;
        updates--;
    }
    entries_drop_empty(e);
}
