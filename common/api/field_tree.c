// SPDX-License-Identifier: Apache-2.0
/* field_tree.c - structured merge on JSON trees: ownership, difference, merge, removal, with whatever schema there is. */
#include <string.h>

#include "common/api/field_diff.h"
#include "common/base/str.h"

static enum merge_kind kind_of(struct merge_schema s, const json_t *v);
static enum merge_kind kind_of_pair(struct merge_schema s, const json_t *l, const json_t *r);
static enum merge_member member_of(struct merge_schema s, const char *name, struct merge_schema *ret);
static struct merge_schema item_of(struct merge_schema s);
static bool is_empty(const json_t *v);
static struct field_set *set_below(struct arena *a, struct merge_schema s, const json_t *v, bool *ret_self);
static void set_add(struct arena *a, struct field_set **set, const struct field_elem *e, bool member, struct field_set *kids);
static void diff_below(struct arena *a, struct merge_schema s, const json_t *l, const json_t *r, const struct field_elem *e, struct field_diff *level);
static void diff_members(struct arena *a, struct merge_schema s, const json_t *l, const json_t *r, struct field_diff *kids);
static void diff_items(struct arena *a, struct merge_schema s, const json_t *l, const json_t *r, struct field_diff *kids);
static void diff_run(struct arena *a, struct merge_schema item, const struct keyed *l, uint32_t nl, const struct keyed *r, uint32_t nr, struct field_diff *kids);
static json_t *merge_members(struct merge_schema s, json_t *l, json_t *r);
static json_t *merge_items(struct merge_schema s, json_t *l, json_t *r);
static json_t *remove_members(struct merge_schema s, json_t *v, const struct field_set *doomed);
static json_t *remove_items(struct merge_schema s, json_t *v, const struct field_set *doomed);
static void validate(struct merge_schema s, const json_t *v, struct sbuf *path, struct strlist *problems);
static void validate_members(struct merge_schema s, const json_t *v, struct sbuf *path, struct strlist *problems);
static void validate_items(struct merge_schema s, const json_t *v, struct sbuf *path, struct strlist *problems);
static uint32_t key_items(struct arena *a, struct merge_schema s, const json_t *list, struct keyed **ret);
static bool elem_of(struct arena *a, struct merge_schema s, const json_t *item, struct field_elem *ret, struct sbuf *problem);
static bool elem_of_keys(struct arena *a, struct merge_schema s, const json_t *item, struct field_elem *ret, struct sbuf *problem);
static struct field_scalar scalar_of(const json_t *v);
static struct field_scalar scalar_of_text(struct arena *a, const char *json);

/* --- schema --- */

static enum merge_kind
kind_of(struct merge_schema s, const json_t *v)
{
    enum merge_kind kind = s.ops ? s.ops->kind(s) : MERGE_DEDUCED;

    if (kind == MERGE_DEDUCED)
        kind = json_is_object(v) ? MERGE_OBJECT : MERGE_LEAF;
    if (!v || json_is_null(v))
        return kind;
    if (kind == MERGE_OBJECT && !json_is_object(v))
        return MERGE_LEAF; /* a wrong type: the decoder will say so */
    if ((kind == MERGE_LIST_MAP || kind == MERGE_LIST_SET) && !json_is_array(v))
        return MERGE_LEAF;
    return kind;
}

/* Deduced from both: an object and a scalar are leaves to each other. */
static enum merge_kind
kind_of_pair(struct merge_schema s, const json_t *l, const json_t *r)
{
    const json_t *v = l && !json_is_null(l) ? l : r;
    enum merge_kind kind = kind_of(s, v ? v : l);

    return l && r && !json_is_null(l) && !json_is_null(r) && kind_of(s, r) != kind ? MERGE_LEAF : kind;
}

static enum merge_member
member_of(struct merge_schema s, const char *name, struct merge_schema *ret)
{
    *ret = (struct merge_schema){ 0 };
    return s.ops ? s.ops->member(s, name, ret) : MERGE_FREE;
}

static struct merge_schema
item_of(struct merge_schema s)
{
    return s.ops ? s.ops->item(s) : s;
}

static bool
is_empty(const json_t *v) /* absent, null or without content */
{
    return !v || json_is_null(v) || (json_is_object(v) && json_object_size(v) == 0) || (json_is_array(v) && json_array_size(v) == 0);
}

/* --- what is mentioned --- */

struct field_set *
field_set_of_tree(struct arena *a, struct merge_schema schema, const json_t *tree)
{
    bool self;

    return set_below(a, schema, tree, &self);
}

/* *ret_self: the place itself is a leaf. */
static struct field_set *
set_below(struct arena *a, struct merge_schema s, const json_t *v, bool *ret_self)
{
    enum merge_kind kind = kind_of(s, v);
    struct field_set *set = NULL;
    const char *name;
    struct keyed *items;
    json_t *member;
    uint32_t n;
    bool self;

    *ret_self = kind == MERGE_LEAF;
    if (kind == MERGE_LEAF || json_is_null(v))
        return NULL;
    if (kind == MERGE_OBJECT) {
        json_object_foreach((json_t *)(uintptr_t)v, name, member)
        {
            struct merge_schema child;
            enum merge_member known = member_of(s, name, &child);
            struct field_elem e = field_elem_name(name);
            struct field_set *kids = set_below(a, child, member, &self);
            self |= known != MERGE_DECLARED || json_is_null(member) || (json_is_object(member) && is_empty(member));
            set_add(a, &set, &e, self, kids);
        }
        return set;
    }
    n = key_items(a, s, v, &items);
    for (uint32_t i = 0, run; i < n; i += run) {
        run = keyed_run(items + i, n - i); /* duplicates: the key alone */
        set_add(a, &set, &items[i].elem, true, run > 1 ? NULL : set_below(a, item_of(s), items[i].item, &self));
    }
    return set;
}

static void
set_add(struct arena *a, struct field_set **set, const struct field_elem *e, bool member, struct field_set *kids)
{
    struct field_node *n;

    if (!member && !kids)
        return;
    if (!*set)
        *set = field_set_new(a);
    n = field_set_at(a, *set, e);
    n->member = member;
    n->kids = kids;
}

struct field_set *
field_set_with_named(struct arena *a, struct merge_schema schema, const struct field_set *s)
{
    struct field_set *out;

    if (!s)
        return NULL;
    out = field_set_new(a);
    out->items = arena_alloc(a, s->len * sizeof(*s->items));
    out->cap = s->len;
    for (uint32_t i = 0; i < s->len; i++) {
        struct field_node n = s->items[i];
        struct merge_schema child = { 0 };
        if (n.elem.kind == FIELD_NAME)
            n.member |= n.kids && member_of(schema, n.elem.name, &child) == MERGE_DECLARED;
        else
            child = item_of(schema);
        n.kids = field_set_with_named(a, child, n.kids);
        out->items[out->len++] = n;
    }
    return out;
}

/* --- difference --- */

void
field_diff_trees(struct arena *a, struct merge_schema schema, const json_t *from, const json_t *to, struct field_diff *ret)
{
    *ret = (struct field_diff){ 0 };
    if (kind_of_pair(schema, from, to) == MERGE_OBJECT)
        diff_members(a, schema, from, to, ret);
}

/* l, r NULL: absent. */
static void
diff_below(struct arena *a, struct merge_schema s, const json_t *l, const json_t *r, const struct field_elem *e, struct field_diff *level)
{
    enum merge_kind kind = kind_of_pair(s, l, r);
    struct field_diff kids = { 0 };

    if (kind == MERGE_LEAF && l && r && !json_is_null(l) && !json_is_null(r) && json_is_object(l) != json_is_object(r) && !s.ops) {
        bool self; /* deduced: the members of the one are gone, or those of the other are new */
        kids.removed = set_below(a, s, l, &self);
        kids.added = set_below(a, s, r, &self);
        field_diff_hang(a, level, e, &kids);
    }
    if (kind == MERGE_LEAF || (is_empty(l) && is_empty(r))) {
        if (!l)
            field_diff_mark(a, &level->added, e);
        else if (!r)
            field_diff_mark(a, &level->removed, e);
        else if (!json_equal(l, r))
            field_diff_mark(a, &level->modified, e);
        return;
    }
    if (kind == MERGE_OBJECT)
        diff_members(a, s, l, r, &kids);
    else
        diff_items(a, s, l, r, &kids);
    field_diff_hang(a, level, e, &kids);
    if (!l)
        field_diff_mark(a, &level->added, e);
    else if (!r)
        field_diff_mark(a, &level->removed, e);
}

static void
diff_members(struct arena *a, struct merge_schema s, const json_t *l, const json_t *r, struct field_diff *kids)
{
    struct merge_schema child;
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)l, name, v)
    {
        struct field_elem e = field_elem_name(name);
        member_of(s, name, &child);
        diff_below(a, child, v, json_object_get(r, name), &e, kids);
    }
    json_object_foreach((json_t *)(uintptr_t)r, name, v)
    {
        struct field_elem e = field_elem_name(name);
        if (json_object_get(l, name))
            continue;
        member_of(s, name, &child);
        diff_below(a, child, NULL, v, &e, kids);
    }
}

static void
diff_items(struct arena *a, struct merge_schema s, const json_t *l, const json_t *r, struct field_diff *kids)
{
    struct keyed *lk, *rk;
    uint32_t nl = key_items(a, s, l, &lk), nr = key_items(a, s, r, &rk), i = 0, j = 0;

    while (i < nl || j < nr) {
        int cmp = i >= nl ? 1 : j >= nr ? -1 : field_elem_cmp(&lk[i].elem, &rk[j].elem);
        uint32_t li = cmp <= 0 ? keyed_run(lk + i, nl - i) : 0, rj = cmp >= 0 ? keyed_run(rk + j, nr - j) : 0;
        diff_run(a, item_of(s), lk + i, li, rk + j, rj, kids);
        i += li;
        j += rj;
    }
}

/* Items of one key; duplicates as a whole (see field_diff_struct.c). */
static void
diff_run(struct arena *a, struct merge_schema item, const struct keyed *l, uint32_t nl, const struct keyed *r, uint32_t nr, struct field_diff *kids)
{
    const struct field_elem *e = nl ? &l->elem : &r->elem;

    if (nl <= 1 && nr <= 1) {
        diff_below(a, item, nl ? l->item : NULL, nr ? r->item : NULL, e, kids);
    } else if (nl >= 2 && nr >= 2) {
        bool equal = nl == nr;
        for (uint32_t i = 0; equal && i < nl; i++)
            equal = json_equal(l[i].item, r[i].item);
        if (!equal)
            field_diff_mark(a, &kids->modified, e);
    } else if (nl >= 2) {
        if (nr)
            diff_below(a, item, NULL, r->item, e, kids);
        field_diff_mark(a, &kids->removed, e);
    } else {
        if (nl)
            diff_below(a, item, l->item, NULL, e, kids);
        field_diff_mark(a, &kids->added, e);
    }
}

/* --- merge: nothing is removed, the applied value wins at leaves --- */

json_t *
field_tree_merge(struct merge_schema schema, json_t *live, json_t *applied)
{
    enum merge_kind kind;

    if (!live || !applied)
        return json_incref(live ? live : applied);
    kind = kind_of_pair(schema, live, applied);
    if (kind == MERGE_LEAF || (is_empty(live) && is_empty(applied)))
        return json_incref(applied);
    if (is_empty(applied)) /* null or nothing applied to something: it stays */
        return json_incref(live);
    return kind == MERGE_OBJECT ? merge_members(schema, live, applied) : merge_items(schema, live, applied);
}

static json_t *
merge_members(struct merge_schema s, json_t *l, json_t *r)
{
    json_t *out = json_object(), *v;
    struct merge_schema child;
    const char *name;

    json_object_foreach(l, name, v)
    {
        member_of(s, name, &child);
        json_object_set_new(out, name, field_tree_merge(child, v, json_object_get(r, name)));
    }
    json_object_foreach(r, name, v)
    {
        if (!json_object_get(out, name))
            json_object_set(out, name, v);
    }
    return out;
}

struct order { /* an item by its place, with its partner on the other side */
    const struct keyed *self, *other;
    bool duplicate;
};

/* Finds the partners: order[was] for each side. */
static void
pair_up(const struct keyed *l, uint32_t nl, const struct keyed *r, uint32_t nr, struct order *lo, struct order *ro)
{
    uint32_t i = 0, j = 0;

    while (i < nl || j < nr) {
        int cmp = i >= nl ? 1 : j >= nr ? -1 : field_elem_cmp(&l[i].elem, &r[j].elem);
        uint32_t li = cmp <= 0 ? keyed_run(l + i, nl - i) : 0, rj = cmp >= 0 ? keyed_run(r + j, nr - j) : 0;
        for (uint32_t k = 0; k < li; k++)
            lo[l[i + k].was] = (struct order){ &l[i + k], rj ? &r[j] : NULL, li > 1 };
        for (uint32_t k = 0; k < rj; k++)
            ro[r[j + k].was] = (struct order){ &r[j + k], li ? &l[i] : NULL, li > 1 };
        i += li;
        j += rj;
    }
}

/* Live items that are not applied keep their places; shared and new ones come in the applied order. */
static json_t *
merge_items(struct merge_schema s, json_t *l, json_t *r)
{
    AUTO(arena) *a = arena_new(0);
    struct merge_schema item = item_of(s);
    struct keyed *lk, *rk;
    uint32_t nl = key_items(a, s, l, &lk), nr = key_items(a, s, r, &rk), i = 0, j = 0, shared = 0;
    struct order *lo = arena_alloc(a, (json_array_size(l) + 1) * sizeof(*lo));
    struct order *ro = arena_alloc(a, (json_array_size(r) + 1) * sizeof(*ro));
    uint32_t llen = (uint32_t)json_array_size(l), rlen = (uint32_t)json_array_size(r);
    bool *merged = arena_alloc(a, rlen + 1);
    json_t *out = json_array();

    pair_up(lk, nl, rk, nr, lo, ro);
    while (i < llen || j < rlen) {
        const struct order *le = i < llen ? &lo[i] : NULL, *re = j < rlen ? &ro[j] : NULL;
        if (le && !le->self) { /* without its keys: kept where it is */
            json_array_append(out, json_array_get(l, i++));
            continue;
        }
        if (re && !re->self) {
            j++;
            continue;
        }
        while (shared < rlen && (!ro[shared].other || merged[shared]))
            shared++;
        bool same = le && re && le->other == re->self;
        if (!same && le && re && le->other && shared < rlen && le->other != ro[shared].self) {
            i++; /* shared, but not the next one in the applied order */
            continue;
        }
        if (!same && le && !le->other) {
            json_array_append(out, json_array_get(l, i++));
            continue;
        }
        if (le && (same || !re || merged[le->other->was]))
            i++;
        if (re) {
            json_t *mine = re->other && !re->duplicate ? (json_t *)(uintptr_t)re->other->item : NULL;
            json_array_append_new(out, field_tree_merge(item, mine, json_array_get(r, j)));
            merged[j++] = true;
        }
    }
    return out;
}

/* --- removal --- */

json_t *
field_tree_remove(struct merge_schema schema, json_t *tree, const struct field_set *doomed)
{
    json_t *left = doomed ? remove_members(schema, tree, doomed) : json_incref(tree);

    return left ? left : json_object();
}

/* NULL: nothing is left. */
static json_t *
remove_below(struct merge_schema s, json_t *v, const struct field_set *doomed)
{
    if (!doomed || is_empty(v))
        return json_incref(v);
    switch (kind_of(s, v)) {
    case MERGE_OBJECT:
        return remove_members(s, v, doomed);
    case MERGE_LIST_MAP:
    case MERGE_LIST_SET:
        return remove_items(s, v, doomed);
    default:
        return json_incref(v);
    }
}

static json_t *
remove_members(struct merge_schema s, json_t *v, const struct field_set *doomed)
{
    json_t *out = json_object(), *member;
    struct merge_schema child;
    const char *name;

    json_object_foreach(v, name, member)
    {
        struct field_elem e = field_elem_name(name);
        const struct field_node *n = field_set_find(doomed, &e);
        json_t *left;
        if (n && n->member)
            continue;
        member_of(s, name, &child);
        left = remove_below(child, member, n ? n->kids : NULL);
        if (left)
            json_object_set_new(out, name, left);
    }
    if (json_object_size(out) == 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

static json_t *
remove_items(struct merge_schema s, json_t *v, const struct field_set *doomed)
{
    AUTO(arena) *a = arena_new(0);
    json_t *out = json_array(), *item;
    size_t i;

    json_array_foreach(v, i, item)
    {
        struct field_elem e;
        const struct field_node *n = elem_of(a, s, item, &e, NULL) ? field_set_find(doomed, &e) : NULL;
        json_t *left;
        if (n && n->member)
            continue;
        left = remove_below(item_of(s), item, n ? n->kids : NULL);
        if (left)
            json_array_append_new(out, left);
    }
    if (json_array_size(out) == 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

/* --- validation --- */

void
field_tree_validate(struct merge_schema schema, const json_t *tree, struct strlist *problems)
{
    AUTO_SBUF path = { 0 };

    validate(schema, tree, &path, problems);
}

#define MAX_PROBLEMS 100

static void
validate(struct merge_schema s, const json_t *v, struct sbuf *path, struct strlist *problems)
{
    if (json_is_null(v) || problems->len >= MAX_PROBLEMS)
        return;
    switch (s.ops ? s.ops->kind(s) : MERGE_LEAF) {
    case MERGE_OBJECT:
        if (json_is_object(v))
            validate_members(s, v, path, problems);
        else
            strlist_add_take(problems, xasprintf("%s: expected map, got &{%s}", sbuf_str(path), tree_go_type(v)));
        return;
    case MERGE_LIST_MAP:
    case MERGE_LIST_SET:
        if (json_is_array(v))
            validate_items(s, v, path, problems);
        else
            strlist_add_take(problems, xasprintf("%s: expected list, got &{%s}", sbuf_str(path), tree_go_type(v)));
        return;
    default:
        return;
    }
}

static void
validate_members(struct merge_schema s, const json_t *v, struct sbuf *path, struct strlist *problems)
{
    size_t len = path->len;
    struct merge_schema child;
    const char *name;
    json_t *member;

    json_object_foreach((json_t *)(uintptr_t)v, name, member)
    {
        enum merge_member known = member_of(s, name, &child);
        sbuf_addf(path, ".%s", name);
        if (known == MERGE_UNKNOWN)
            strlist_add_take(problems, xasprintf("%s: field not declared in schema", sbuf_str(path)));
        else
            validate(child, member, path, problems);
        path->len = len;
        path->s[len] = '\0';
    }
}

static void
validate_items(struct merge_schema s, const json_t *v, struct sbuf *path, struct strlist *problems)
{
    AUTO(arena) *a = arena_new(0);
    size_t len = path->len, i;
    struct keyed *items;
    uint32_t n = key_items(a, s, v, &items);
    json_t *item;

    json_array_foreach((json_t *)(uintptr_t)v, i, item)
    {
        AUTO_SBUF problem = { 0 };
        struct field_elem e;
        if (!elem_of(a, s, item, &e, &problem)) {
            strlist_add_take(problems, xasprintf("%s: element %zu: %s", sbuf_str(path), i, sbuf_str(&problem)));
            continue;
        }
        field_elem_text(&e, path);
        validate(item_of(s), item, path, problems);
        path->len = len;
        path->s[len] = '\0';
    }
    for (uint32_t k = 0, run; k < n; k += run) {
        run = keyed_run(items + k, n - k);
        if (run > 1) {
            AUTO_SBUF key = { 0 };
            field_elem_text(&items[k].elem, &key);
            strlist_add_take(problems, xasprintf("%s: duplicate entries for key %s", sbuf_str(path), sbuf_str(&key)));
        }
    }
}

/* --- items of associative lists --- */

/* Sorted; items without a key are left out. */
static uint32_t
key_items(struct arena *a, struct merge_schema s, const json_t *list, struct keyed **ret)
{
    size_t len = json_array_size(list);
    struct keyed *items = len ? arena_alloc(a, len * sizeof(*items)) : NULL;
    uint32_t n = 0;

    for (size_t i = 0; i < len; i++) {
        const json_t *item = json_array_get(list, i);
        if (!elem_of(a, s, item, &items[n].elem, NULL))
            continue;
        items[n].item = item;
        items[n++].was = (uint32_t)i;
    }
    keyed_sort(items, n);
    *ret = items;
    return n;
}

/* False: the item has no identity; why is appended to problem, when there is one. */
static bool
elem_of(struct arena *a, struct merge_schema s, const json_t *item, struct field_elem *ret, struct sbuf *problem)
{
    AUTO_SBUF ignored = { 0 };

    if (!problem)
        problem = &ignored;
    if (kind_of(s, NULL) == MERGE_LIST_MAP)
        return elem_of_keys(a, s, item, ret, problem);
    if (json_is_object(item))
        sbuf_adds(problem, "associative list without keys has an element that's a map type");
    else if (json_is_array(item))
        sbuf_adds(problem, "not supported: associative list with lists as elements");
    else if (json_is_null(item))
        sbuf_adds(problem, "associative list without keys has an element that's an explicit null");
    else
        *ret = (struct field_elem){ .kind = FIELD_VALUE, .value = scalar_of(item) };
    return problem->len == 0;
}

static bool
elem_of_keys(struct arena *a, struct merge_schema s, const json_t *item, struct field_elem *ret, struct sbuf *problem)
{
    const char *names = s.ops->keys(s), *at;
    struct merge_schema inner = item_of(s);
    struct field_key *keys;
    uint32_t n = 1, to;
    size_t len;

    if (!json_is_object(item)) {
        sbuf_adds(problem, json_is_null(item) ? "associative list with keys may not have a null element"
                                              : "associative list with keys may not have non-map elements");
        return false;
    }
    for (const char *c = names; *c; c++)
        n += *c == ',';
    keys = arena_alloc(a, n * sizeof(*keys));
    n = 0;
    for (unsigned i = 0; str_field(names, ',', i, &at, &len); i++) {
        struct field_key key = { .name = arena_strndup(a, at, len) };
        const json_t *v = json_object_get(item, key.name);
        const char *def = v ? NULL : s.ops->key_default(inner, key.name);
        if (!v && !def) {
            sbuf_addf(problem, "associative list with keys has an element that omits key field \"%s\" (and doesn't have default value)", key.name);
            return false;
        }
        key.value = v ? scalar_of(v) : scalar_of_text(a, def);
        for (to = n++; to > 0 && strcmp(keys[to - 1].name, key.name) > 0; to--)
            keys[to] = keys[to - 1];
        keys[to] = key;
    }
    *ret = (struct field_elem){ .kind = FIELD_KEYS, .nkeys = n, .keys = keys };
    return true;
}

static struct field_scalar
scalar_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        return (struct field_scalar){ .kind = FIELD_STRING, .s = json_string_value(v) };
    case JSON_INTEGER:
        return (struct field_scalar){ .kind = FIELD_INT, .i = json_integer_value(v) };
    case JSON_REAL:
        return (struct field_scalar){ .kind = FIELD_REAL, .r = json_real_value(v) };
    case JSON_TRUE:
    case JSON_FALSE:
        return (struct field_scalar){ .kind = FIELD_BOOL, .b = json_is_true(v) };
    default:
        return (struct field_scalar){ .kind = FIELD_NULL };
    }
}

static struct field_scalar
scalar_of_text(struct arena *a, const char *json)
{
    AUTO_JSON *v = json_loads(json, JSON_DECODE_ANY, NULL);
    struct field_scalar s = v ? scalar_of(v) : (struct field_scalar){ 0 };

    if (s.kind == FIELD_STRING)
        s.s = arena_strdup(a, s.s);
    return s;
}
