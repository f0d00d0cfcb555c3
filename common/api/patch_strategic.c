// SPDX-License-Identifier: Apache-2.0
/* patch_strategic.c - strategic merge patch.
 *
 * Objects merge member by member.  A list whose row has patchStrategy=merge merges too: objects by their merge key,
 * scalars as a set; any other list is replaced.  Directives inside the patch:
 *   "$patch": "replace" | "delete" | "merge"     for the object (or, in an item, for the list) it stands in
 *   "$retainKeys": [names]                       other members of the object are removed
 *   "$deleteFromPrimitiveList/x": [values]       taken out of the list x
 *   "$setElementOrder/x": [keys]                 the order of the list x
 * Order of a merged list: that of $setElementOrder (else of the patch) for the items named there; items only the server
 * has stay where they were relative to those. */
#include "common/api/codec.h"
#include "common/api/patch.h"
#include "common/base/str.h"

#define PATCH_DIRECTIVE "$patch"
#define RETAIN_KEYS "$retainKeys"
#define DELETE_FROM "$deleteFromPrimitiveList"
#define SET_ORDER "$setElementOrder"
#define MAX_QUOTED 300 /* bytes of a patch in a message */

/* What is known of the members of an object: a struct's rows, or one row for all values of a map, or nothing. */
struct view {
    const struct api_type *type;
    const struct api_field *map;
};

struct member {
    const struct api_field *field; /* NULL: unknown */
    struct view inner;             /* of an object value, or of a list's items */
    bool merge_list, replace_object;
    const char *merge_key; /* NULL: scalars */
};

static struct kerr *merge_object(json_t *original, json_t *patch, struct view view, json_t **ret) MUST_CHECK;
static struct kerr *merge_member(json_t *original, const char *key, json_t *value, struct view view) MUST_CHECK;
static struct kerr *merge_list(json_t *original, json_t *patch, const struct member *m, json_t **ret) MUST_CHECK;
static struct kerr *merge_scalars(json_t *original, json_t *patch, const struct member *m, json_t **ret) MUST_CHECK;
static struct kerr *merge_items(json_t *original, json_t *patch, const struct member *m, json_t **ret) MUST_CHECK;
static struct kerr *take_list_directives(json_t **original, json_t *patch, const char *merge_key, json_t **ret_rest) MUST_CHECK;
static struct kerr *retain_keys(json_t *original, json_t *patch) MUST_CHECK;
static struct kerr *apply_orders(json_t *original, json_t *patch, struct view view) MUST_CHECK;
static struct kerr *apply_order(json_t *original, json_t *patch, const char *list_key, json_t *order, struct view view) MUST_CHECK;
static json_t *server_order(const json_t *mine, const json_t *theirs, const struct member *m);
static struct kerr *check_order(const json_t *patch_list, json_t *order, const char *merge_key) MUST_CHECK;
static json_t *delete_from(json_t *list, json_t *values);
static json_t *without_directives(json_t *value);
static void discard_nulls(json_t *value);
static struct kerr *order_items(json_t *merged, json_t *by, json_t *server_order, const char *merge_key, json_t **ret) MUST_CHECK;
static struct kerr *element_type(const json_t *a, const json_t *b, json_type *ret) MUST_CHECK;
static struct kerr *no_merge_key(const json_t *item, const char *merge_key) MUST_CHECK;
static struct member member_of(struct view view, const char *key);
static char *scalar_id(const json_t *v);
static char *item_id(const json_t *item, const char *merge_key);
static json_t *index_of(const json_t *list, const char *merge_key);
static const char *list_name(const char *key, const char *directive);
static json_type type_class(const json_t *v);
static struct kerr *unknown_directive(const json_t *directive, const json_t *where) MUST_CHECK;
static struct kerr *order_mismatch(const json_t *list, const json_t *order) MUST_CHECK;
static struct kerr *in_place(struct kerr *err, const char *where) MUST_CHECK;

struct kerr *
patch_strategic(const struct api_type *t, json_t *original_taken, json_t *patch, json_t **ret)
{
    AUTO_JSON *original = original_taken;

    if (!json_is_object(patch))
        return kerr_new(KERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type map[string]interface {}", tree_json_name(patch));
    if (!json_is_object(original))
        return kerr_new(KERR_BAD_REQUEST, "invalid JSON document");
    return merge_object(original, patch, (struct view){ .type = t }, ret);
}

/* --- objects --- */

/* *ret is a new reference: `original`, changed, or what replaces it. */
static struct kerr *
merge_object(json_t *original, json_t *patch, struct view view, json_t **ret)
{
    const json_t *directive = json_object_get(patch, PATCH_DIRECTIVE);
    struct kerr *err;
    const char *key;
    json_t *value;
    void *next;

    if (directive) {
        const char *what = json_string_value(directive);
        if (str_eq(what, "replace")) {
            json_object_del(patch, PATCH_DIRECTIVE);
            *ret = json_incref(patch);
            return NULL;
        }
        if (str_eq(what, "delete")) {
            *ret = json_object();
            return NULL;
        }
        return unknown_directive(directive, patch);
    }
    err = retain_keys(original, patch);
    if (!err)
        err = apply_orders(original, patch, view);
    if (err)
        return err;
    json_object_foreach_safe(patch, next, key, value)
    {
        err = merge_member(original, key, value, view);
        if (err)
            return err;
    }
    *ret = json_incref(original);
    return NULL;
}

static struct kerr *
merge_member(json_t *original, const char *key, json_t *value, struct view view)
{
    bool deletion = str_has_prefix(key, DELETE_FROM);
    json_t *mine, *merged = NULL;
    struct member m;
    struct kerr *err;

    if (deletion) {
        key = list_name(key, DELETE_FROM);
        if (!key)
            return kerr_new(KERR_BAD_REQUEST, "invalid patch format of primitive list");
    }
    if (json_is_null(value)) {
        json_object_del(original, key);
        return NULL;
    }
    mine = json_object_get(original, key);
    if (!mine || type_class(mine) != type_class(value) || !(json_is_object(value) || json_is_array(value))) {
        if (deletion)
            return NULL;
        discard_nulls(value);
        merged = without_directives(value);
        if (merged)
            json_object_set_new(original, key, merged);
        else
            json_object_del(original, key);
        return NULL;
    }

    m = member_of(view, key);
    if (json_is_object(value)) {
        if (m.replace_object)
            merged = json_incref(value);
        else if ((err = merge_object(mine, value, m.inner, &merged)))
            return in_place(err, key);
    } else if (!m.merge_list) {
        merged = deletion ? json_incref(mine) : json_incref(value);
    } else if (deletion) {
        merged = delete_from(mine, value);
    } else if ((err = merge_list(mine, value, &m, &merged))) {
        return in_place(err, key);
    }
    json_object_set_new(original, key, merged);
    return NULL;
}

/* Members not listed go; what the patch sets must be listed. */
static struct kerr *
retain_keys(json_t *original, json_t *patch)
{
    AUTO_JSON *keep = json_incref(json_object_get(patch, RETAIN_KEYS));
    AUTO_JSON *names = NULL;
    const char *key;
    json_t *value;
    void *next;
    size_t i;

    if (!keep)
        return NULL;
    json_object_del(patch, RETAIN_KEYS);
    if (!json_is_array(keep))
        return kerr_new(KERR_BAD_REQUEST, "invalid patch format of retainKeys");
    names = json_object();
    json_array_foreach(keep, i, value)
    {
        if (json_is_string(value))
            json_object_set_new(names, json_string_value(value), json_true());
    }
    json_object_foreach(patch, key, value)
    {
        if (!json_is_null(value) && !str_has_prefix(key, DELETE_FROM) && !str_has_prefix(key, SET_ORDER) && !json_object_get(names, key))
            return kerr_new(KERR_BAD_REQUEST, "invalid patch format of retainKeys");
    }
    json_object_foreach_safe(original, next, key, value)
    {
        if (!json_object_get(names, key))
            json_object_del(original, key);
    }
    return NULL;
}

/* --- lists --- */

static struct kerr *
merge_list(json_t *original, json_t *patch, const struct member *m, json_t **ret)
{
    json_type type;
    struct kerr *err;

    if (json_array_size(original) == 0 && json_array_size(patch) == 0) {
        *ret = json_incref(original);
        return NULL;
    }
    err = element_type(original, patch, &type);
    if (err)
        return err;
    return type == JSON_OBJECT ? merge_items(original, patch, m, ret) : merge_scalars(original, patch, m, ret);
}

/* A set: what is new comes in, each value once. */
static struct kerr *
merge_scalars(json_t *original, json_t *patch, const struct member *m, json_t **ret)
{
    AUTO_JSON *merged = json_array();
    AUTO_JSON *seen = json_object();
    const json_t *lists[] = { original, patch };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < json_array_size(lists[l]); i++) {
            json_t *v = json_array_get(lists[l], i);
            AUTO_FREE char *id = scalar_id(v);
            if (json_object_get(seen, id))
                continue;
            json_object_set_new(seen, id, json_true());
            json_array_append(merged, v);
        }
    }
    return order_items(merged, patch, original, NULL, ret);
}

static struct kerr *
merge_items(json_t *original, json_t *patch, const struct member *m, json_t **ret)
{
    AUTO_JSON *server = json_incref(original);
    AUTO_JSON *rest = NULL;
    AUTO_JSON *merged = NULL;
    AUTO_JSON *index = NULL;
    struct kerr *err;
    json_t *item;
    size_t i;

    if (!m->merge_key)
        return kerr_new(KERR_BAD_REQUEST, "cannot merge lists without merge key for type map");
    err = take_list_directives(&server, patch, m->merge_key, &rest);
    if (err)
        return err;
    merged = json_copy(server);
    index = index_of(merged, m->merge_key);
    json_array_foreach(rest, i, item)
    {
        AUTO_FREE char *id = item_id(item, m->merge_key);
        AUTO_JSON *together = NULL;
        json_t *at;
        if (!id)
            return no_merge_key(item, m->merge_key);
        at = json_object_get(index, id);
        if (!at) {
            json_t *fresh;
            discard_nulls(item);
            fresh = without_directives(item);
            if (!fresh)
                continue;
            json_object_set_new(index, id, json_integer((json_int_t)json_array_size(merged)));
            json_array_append_new(merged, fresh);
            continue;
        }
        err = merge_object(json_array_get(merged, (size_t)json_integer_value(at)), item, m->inner, &together);
        if (err)
            return in_place(err, id + 1);
        json_array_set(merged, (size_t)json_integer_value(at), together);
    }
    return order_items(merged, rest, server, m->merge_key, ret);
}

/* Items with "$patch": delete drops the server's item of that key, replace drops all of the server's. */
static struct kerr *
take_list_directives(json_t **original, json_t *patch, const char *merge_key, json_t **ret_rest)
{
    AUTO_JSON *rest = json_array();
    AUTO_JSON *doomed = json_object();
    AUTO_JSON *kept = NULL;
    bool replace = false;
    json_t *item;
    size_t i;

    json_array_foreach(patch, i, item)
    {
        const json_t *directive = json_object_get(item, PATCH_DIRECTIVE);
        const char *what = json_string_value(directive);
        if (!directive) {
            json_array_append(rest, item);
        } else if (str_eq(what, "delete")) {
            AUTO_FREE char *id = item_id(item, merge_key);
            if (!id)
                return no_merge_key(item, merge_key);
            json_object_set_new(doomed, id, json_true());
        } else if (str_eq(what, "replace")) {
            replace = true;
        } else if (str_eq(what, "merge")) {
            return kerr_new(KERR_BAD_REQUEST, "merging lists cannot yet be specified in the patch");
        } else {
            return unknown_directive(directive, item);
        }
    }
    kept = json_array();
    if (replace) {
        json_array_extend(kept, rest);
        json_array_clear(rest);
    } else {
        json_array_foreach(*original, i, item)
        {
            AUTO_FREE char *id = item_id(item, merge_key);
            if (!id || !json_object_get(doomed, id))
                json_array_append(kept, item);
        }
    }
    json_decref(*original);
    *original = steal_ptr(kept);
    *ret_rest = steal_ptr(rest);
    return NULL;
}

static json_t *
delete_from(json_t *list, json_t *values)
{
    AUTO_JSON *doomed = index_of(values, NULL);
    json_t *left = json_array(), *v;
    size_t i;

    json_array_foreach(list, i, v)
    {
        AUTO_FREE char *id = scalar_id(v);
        if (!json_object_get(doomed, id))
            json_array_append(left, v);
    }
    return left;
}

/* --- order --- */

/* Takes the $setElementOrder members out of the patch, with the lists they order. */
static struct kerr *
apply_orders(json_t *original, json_t *patch, struct view view)
{
    AUTO_STRLIST directives = { 0 };
    const char *key;
    json_t *value;

    json_object_foreach(patch, key, value)
    {
        if (str_has_prefix(key, SET_ORDER))
            strlist_add(&directives, key);
    }
    for (size_t i = 0; i < directives.len; i++) {
        AUTO_JSON *order = json_incref(json_object_get(patch, directives.items[i]));
        const char *list_key = list_name(directives.items[i], SET_ORDER);
        struct kerr *err;
        if (!json_is_array(order))
            return kerr_new(KERR_BAD_REQUEST, "expected a []interface {}, but received a %s", tree_go_type(order));
        if (!list_key)
            return kerr_new(KERR_BAD_REQUEST, "invalid patch format of setElementOrder list");
        json_object_del(patch, directives.items[i]);
        err = apply_order(original, patch, list_key, order, view);
        if (err)
            return in_place(err, list_key);
    }
    return NULL;
}

static struct kerr *
apply_order(json_t *original, json_t *patch, const char *list_key, json_t *order, struct view view)
{
    AUTO_JSON *mine = json_incref(json_object_get(original, list_key));
    AUTO_JSON *theirs = json_incref(json_object_get(patch, list_key));
    struct member m = member_of(view, list_key);
    AUTO_JSON *merged = NULL;
    json_t *ordered = NULL;
    struct kerr *err;

    if ((mine && !json_is_array(mine)) || (theirs && !json_is_array(theirs)))
        return kerr_new(KERR_BAD_REQUEST, "invalid patch format of setElementOrder list");
    if (!mine && !theirs)
        return NULL;
    err = check_order(theirs, order, m.merge_key);
    if (err)
        return err;
    if (!theirs) {
        merged = json_incref(mine);
    } else if (!mine || !m.merge_list) {
        discard_nulls(theirs);
        merged = without_directives(theirs);
    } else if ((err = merge_list(mine, theirs, &m, &merged))) {
        return err;
    }
    if (json_array_size(merged) > 0) {
        AUTO_JSON *server = server_order(mine, theirs, &m);
        err = order_items(merged, order, server, m.merge_key, &ordered);
        if (err)
            return err;
        json_object_set_new(original, list_key, ordered);
    } else {
        json_object_set(original, list_key, merged);
    }
    if (theirs)
        json_object_del(patch, list_key);
    return NULL;
}

/* The server's order that $setElementOrder counts with.  Upstream deletes and appends in the array it later looks the
 * order up in, so new items stand in the places that deleted ones left at its end. */
static json_t *
server_order(const json_t *mine, const json_t *theirs, const struct member *m)
{
    AUTO_JSON *doomed = json_object();
    AUTO_JSON *index = NULL;
    json_t *order = json_array();
    size_t left = 0;

    for (size_t i = 0; m->merge_key && i < json_array_size(theirs); i++) {
        const json_t *item = json_array_get(theirs, i);
        AUTO_FREE char *id = item_id(item, m->merge_key);
        if (id && str_eq(tree_string(item, PATCH_DIRECTIVE), "delete"))
            json_object_set_new(doomed, id, json_true());
    }
    for (size_t i = 0; i < json_array_size(mine); i++) {
        json_t *item = json_array_get(mine, i);
        AUTO_FREE char *id = item_id(item, m->merge_key);
        if (id && json_object_get(doomed, id))
            left++;
        else
            json_array_append(order, item);
    }
    index = index_of(order, m->merge_key);
    for (size_t i = 0; left > 0 && i < json_array_size(theirs); i++) {
        json_t *item = json_array_get(theirs, i);
        AUTO_FREE char *id = item_id(item, m->merge_key);
        if (!id || json_object_get(item, PATCH_DIRECTIVE) || json_object_get(index, id))
            continue;
        json_array_append(order, item);
        left--;
    }
    return order;
}

/* The items of the patch must appear in the order, and in that order. */
static struct kerr *
check_order(const json_t *patch_list, json_t *order, const char *merge_key)
{
    size_t at = 0, n = json_array_size(order);

    for (size_t i = 0; n > 0 && i < json_array_size(patch_list); i++) {
        const json_t *item = json_array_get(patch_list, i);
        AUTO_FREE char *id = NULL;
        bool found = false;
        if (json_is_object(item) && json_object_get(item, PATCH_DIRECTIVE))
            continue;
        id = item_id(item, merge_key);
        if (!id)
            return no_merge_key(item, merge_key);
        while (at < n && !found) {
            AUTO_FREE char *other = item_id(json_array_get(order, at++), merge_key);
            found = str_eq(id, other);
        }
        if (!found)
            return order_mismatch(patch_list, order);
    }
    return NULL;
}

struct slot {
    json_t *item;
    int64_t rank;   /* in `by`, or in the server's order */
    int64_t server; /* in the server's order, -1 = new */
    size_t was;
};

static int
slot_cmp(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return x->was < y->was ? -1 : x->was > y->was;
}

/* Items in `by` take its order; the others keep the server's, each placed before the first ordered item that follows it
 * on the server. */
static struct kerr *
order_items(json_t *merged, json_t *by, json_t *server_order, const char *merge_key, json_t **ret)
{
    size_t n = json_array_size(merged), nby = 0, nserver = 0, i, j;
    AUTO_FREE struct slot *ordered = xcalloc(n + 1, sizeof(*ordered));
    AUTO_FREE struct slot *servers = xcalloc(n + 1, sizeof(*servers));
    AUTO_JSON *by_index = index_of(by, merge_key);
    AUTO_JSON *server_index = index_of(server_order, merge_key);
    json_t *out;

    for (i = 0; i < n; i++) {
        json_t *item = json_array_get(merged, i), *rank, *server;
        AUTO_FREE char *id = item_id(item, merge_key);
        if (!id)
            return no_merge_key(item, merge_key);
        rank = json_object_get(by_index, id);
        server = json_object_get(server_index, id);
        struct slot s = { item, 0, server ? json_integer_value(server) : -1, i };
        s.rank = rank ? json_integer_value(rank) : server ? s.server : INT64_MAX;
        if (rank)
            ordered[nby++] = s;
        else
            servers[nserver++] = s;
    }
    qsort(ordered, nby, sizeof(*ordered), slot_cmp);
    qsort(servers, nserver, sizeof(*servers), slot_cmp);
    out = json_array();
    for (i = 0, j = 0; i < nserver || j < nby;) {
        bool take_server = j >= nby || (i < nserver && servers[i].server >= 0 && ordered[j].server >= 0 &&
                                        servers[i].server < ordered[j].server);
        json_array_append(out, take_server ? servers[i++].item : ordered[j++].item);
    }
    *ret = out;
    return NULL;
}

/* --- small parts --- */

/* A value where there was none: objects with a directive vanish whole, "$patch": "replace" too, as upstream has it.
 * NULL: nothing is left. */
static json_t *
without_directives(json_t *value)
{
    const char *key;
    json_t *v, *clean;
    void *next;
    size_t i;

    if (json_is_array(value)) {
        clean = json_array();
        json_array_foreach(value, i, v)
        {
            json_t *item = without_directives(v);
            if (item)
                json_array_append_new(clean, item);
        }
        return clean;
    }
    if (!json_is_object(value))
        return json_incref(value);
    if (json_object_get(value, PATCH_DIRECTIVE))
        return NULL;
    clean = json_object();
    json_object_foreach_safe(value, next, key, v)
    {
        json_t *member;
        if (str_eq(key, PATCH_DIRECTIVE) || str_eq(key, RETAIN_KEYS) || str_has_prefix(key, SET_ORDER) || str_has_prefix(key, DELETE_FROM))
            continue;
        member = without_directives(v);
        if (member)
            json_object_set_new(clean, key, member);
    }
    return clean;
}

static void
discard_nulls(json_t *value)
{
    const char *key;
    json_t *v;
    void *next;
    size_t i;

    if (json_is_array(value)) {
        json_array_foreach(value, i, v)
            discard_nulls(v);
    } else if (json_is_object(value)) {
        json_object_foreach_safe(value, next, key, v)
        {
            if (json_is_null(v))
                json_object_del(value, key);
            else
                discard_nulls(v);
        }
    }
}

static struct member
member_of(struct view view, const char *key)
{
    struct member m = { 0 };
    const struct api_name *name = view.type ? api_type_name(view.type, key, strlen(key)) : NULL;
    const struct api_field *f = name ? name->field : NULL;

    if (view.map) {
        m.field = view.map;
        m.inner.type = view.map->type;
        return m;
    }
    if (!f)
        return m;
    m.field = f;
    m.merge_list = (f->flags & API_PATCH_MERGE) && f->shape == API_LIST;
    m.replace_object = f->flags & API_PATCH_REPLACE;
    m.merge_key = str_empty(f->merge_key) ? NULL : f->merge_key;
    if (f->shape == API_MAP)
        m.inner.map = f;
    else if (f->type && !(f->type->flags & (API_TYPE_SCHEMA_OR_ARRAY | API_TYPE_SCHEMA_OR_BOOL | API_TYPE_SCHEMA_OR_STRINGS)))
        m.inner.type = f->type;
    return m;
}

/* Type and value as text, so that 1, "1" and true differ.  NULL: not a scalar. */
static char *
scalar_id(const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_STRING:
        return xasprintf("s%s", json_string_value(v));
    case JSON_INTEGER:
        return xasprintf("i%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        return xasprintf("r%.17g", json_real_value(v));
    case JSON_TRUE:
        return xstrdup("btrue");
    case JSON_FALSE:
        return xstrdup("bfalse");
    case JSON_NULL:
        return xstrdup("n");
    default:
        return xstrdup("?");
    }
}

/* NULL: an object without its merge key. */
static char *
item_id(const json_t *item, const char *merge_key)
{
    const json_t *key;

    if (!merge_key)
        return scalar_id(item);
    key = json_object_get(item, merge_key);
    return key ? scalar_id(key) : NULL;
}

/* id -> position; the first of equals. */
static json_t *
index_of(const json_t *list, const char *merge_key)
{
    json_t *index = json_object();

    for (size_t i = 0; i < json_array_size(list); i++) {
        AUTO_FREE char *id = item_id(json_array_get(list, i), merge_key);
        if (id && !json_object_get(index, id))
            json_object_set_new(index, id, json_integer((json_int_t)i));
    }
    return index;
}

/* All of one type, and no lists. */
static struct kerr *
element_type(const json_t *a, const json_t *b, json_type *ret)
{
    const json_t *lists[] = { a, b };
    bool known = false;

    *ret = JSON_NULL;
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < json_array_size(lists[l]); i++) {
            json_type type = type_class(json_array_get(lists[l], i));
            if (known && type != *ret)
                return kerr_new(KERR_BAD_REQUEST, "list element types are not identical");
            if (type == JSON_ARRAY)
                return patch_refused("lists of lists are not supported");
            *ret = type;
            known = true;
        }
    }
    return NULL;
}

static json_type
type_class(const json_t *v)
{
    return json_is_false(v) ? JSON_TRUE : json_typeof(v);
}

/* "$setElementOrder/containers" -> "containers"; NULL when it has no such form. */
static const char *
list_name(const char *key, const char *directive)
{
    size_t len = strlen(directive);

    return key[len] == '/' && key[len + 1] ? key + len + 1 : NULL;
}

static struct kerr *
no_merge_key(const json_t *item, const char *merge_key)
{
    AUTO_SBUF text = { .max = MAX_QUOTED };

    tree_dump(item, &text);
    return kerr_new(KERR_BAD_REQUEST, "map: %s does not contain declared merge key: %s", sbuf_str(&text), str_safe(merge_key));
}

/* Says where a patch is wrong; upstream's one sentence for 422 stays as it is. */
static struct kerr *
in_place(struct kerr *err, const char *where)
{
    return err->reason == KERR_INVALID ? err : kerr_wrap(err, "%s", where);
}

static struct kerr *
unknown_directive(const json_t *directive, const json_t *where)
{
    AUTO_SBUF what = { .max = MAX_QUOTED };
    AUTO_SBUF text = { .max = MAX_QUOTED };

    if (json_is_string(directive))
        sbuf_adds(&what, json_string_value(directive));
    else
        tree_dump(directive, &what);
    tree_dump(where, &text);
    return kerr_new(KERR_BAD_REQUEST, "unknown patch type: %s in map: %s", sbuf_str(&what), sbuf_str(&text));
}

static struct kerr *
order_mismatch(const json_t *list, const json_t *order)
{
    AUTO_SBUF have = { .max = MAX_QUOTED };
    AUTO_SBUF want = { .max = MAX_QUOTED };

    tree_dump(list, &have);
    tree_dump(order, &want);
    return kerr_new(KERR_BAD_REQUEST, "The order in patch list:\n%s\n doesn't match %s list:\n%s\n", sbuf_str(&have), SET_ORDER,
                    sbuf_str(&want));
}
