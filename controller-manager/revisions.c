// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/revisions.h"

#include "common/api/codec.h"
#include "common/api/tree.h"

static int64_t
number_of(const struct object *revision)
{
    return OBJECT_BODY(revision, controller_revision)->revision;
}

static int
revision_cmp(const void *pa, const void *pb)
{
    const struct object *a = *(struct object *const *)pa, *b = *(struct object *const *)pb;

    if (number_of(a) != number_of(b))
        return number_of(a) < number_of(b) ? -1 : 1;
    return object_created_cmp(a, b);
}

void
revisions_sort(struct object_list *l)
{
    if (l->len)
        qsort(l->items, l->len, sizeof *l->items, revision_cmp);
}

struct kerr *
revision_template(const struct object *revision, struct arena *a, struct pod_template_spec *ret)
{
    const struct api_raw *data = &OBJECT_BODY(revision, controller_revision)->data;
    AUTO_SBUF text = { 0 };
    json_t *tree = NULL;
    struct kerr *err = tree_load(data->json ? data->json : "{}", data->json ? data->len : 2, &tree);

    if (err)
        return kerr_wrap(err, "ControllerRevision %s", object_name(revision));
    const json_t *t = json_object_get(json_object_get(tree, "spec"), "template");
    if (t)
        tree_dump(t, &text);
    else
        sbuf_adds(&text, "{}");
    json_decref(tree);
    *ret = (struct pod_template_spec){ 0 };
    return kerr_wrap(json_decode(&api_type_pod_template_spec, a, text.s, text.len, NULL, ret), "ControllerRevision %s", object_name(revision));
}

bool
revision_is_of(const struct object *revision, const struct pod_template_spec *t)
{
    AUTO(arena) *a = arena_new(0);
    struct pod_template_spec own;
    AUTO(kerr) *err = revision_template(revision, a, &own);

    return !err && api_equal(&api_type_pod_template_spec, &own, t);
}

static struct api_raw
data_of(const struct pod_template_spec *t, struct arena *a)
{
    AUTO_SBUF json = { 0 };
    AUTO_SBUF all = { 0 };

    json_encode(&api_type_pod_template_spec, t, &json);
    sbuf_addf(&all, "{\"spec\":{\"template\":{\"$patch\":\"replace\"%s%s}}", json.len > 2 ? "," : "", sbuf_str(&json) + 1);
    return (struct api_raw){ arena_strdup(a, all.s), (uint32_t)all.len };
}

struct object *
revision_new(const struct object *owner, const struct pod_template_spec *t, const char *hash, const char *hash_label, int64_t number)
{
    struct object *obj = object_new_of("apps/v1", "ControllerRevision");
    struct arena *a = object_arena(obj);
    struct controller_revision *r = object_body(obj);
    struct owner_reference ref = owner_ref_to(object_kind(owner), object_meta(owner), a);
    struct pod_template_spec copy;
    struct object_meta owner_meta;

    api_copy(&api_type_pod_template_spec, a, t, &copy);
    api_copy(&api_type_object_meta, a, object_meta(owner), &owner_meta);
    r->metadata.name = arena_printf(a, "%s-%s", object_name(owner), hash);
    r->metadata.namespace = arena_strdup(a, object_namespace(owner));
    r->metadata.labels = copy.metadata.labels;
    r->metadata.annotations = owner_meta.annotations;
    string_map_set(&r->metadata.labels, a, hash_label, hash);
    meta_add_owner(&r->metadata, a, &ref);
    r->data = data_of(t, a);
    r->revision = number;
    return obj;
}

static bool
name_is_taken(const struct object_list *history, const char *owner, const char *hash)
{
    AUTO_FREE char *name = xasprintf("%s-%s", owner, hash);

    for (size_t i = 0; i < history->len; i++)
        if (str_eq(object_name(history->items[i]), name))
            return true;
    return false;
}

static struct object *
create(struct object_list *history, const struct object *owner, const struct pod_template_spec *t, const char *hash_label, int32_t *collisions,
       int64_t number, struct plan *plan)
{
    char *hash = pod_template_hash(t, *collisions ? collisions : NULL);

    while (name_is_taken(history, object_name(owner), hash)) {
        ++*collisions;
        free(hash);
        hash = pod_template_hash(t, collisions);
    }
    struct object *obj = revision_new(owner, t, hash, hash_label, number);
    plan_create(plan, object_ref(obj), "no revision has this pod template")->flags = ACTION_IGNORE_EXISTS; /* a copy that lags */
    object_list_ref(history, obj);
    free(hash);
    return obj;
}

struct object *
revision_for(struct object_list *history, const struct object *owner, const struct pod_template_spec *t, const char *hash_label,
             int32_t *collisions, struct plan *plan)
{
    int64_t number = history->len ? number_of(history->items[history->len - 1]) + 1 : 1;

    for (size_t i = history->len; i-- > 0;) {
        if (!revision_is_of(history->items[i], t))
            continue;
        if (i + 1 == history->len)
            return object_ref(history->items[i]);
        struct object *copy = object_copy(history->items[i]); /* a rollback: the old one becomes the newest */
        OBJECT_BODY(copy, controller_revision)->revision = number;
        plan_update(plan, object_ref(copy), "its pod template is wanted again");
        object_unref(history->items[i]);
        history->items[i] = object_ref(copy);
        revisions_sort(history);
        return copy;
    }
    return create(history, owner, t, hash_label, collisions, number, plan);
}

void
revisions_trim(const struct object_list *history, int32_t limit, bool (*live)(const struct object *revision, void *arg), void *arg, struct plan *plan)
{
    int64_t surplus = -(int64_t)limit;

    for (size_t i = 0; i < history->len; i++)
        surplus += !live(history->items[i], arg);
    for (size_t i = 0; i < history->len && surplus > 0; i++) {
        if (live(history->items[i], arg))
            continue;
        plan_delete(plan, history->items[i], "more old revisions than revisionHistoryLimit");
        surplus--;
    }
}
