// SPDX-License-Identifier: Apache-2.0
/* field_diff_struct.c - the difference of two structs, straight from the tables.
 * "Present" is what the JSON encoder would write, so that structs and trees give the same sets. */
#include <stdlib.h>
#include <string.h>

#include "common/api/codec.h"
#include "common/api/field_diff.h"
#include "common/api/values.h"
#include "common/api/walk.h"

struct side { /* one of the two values */
    bool present;
    const void *at; /* NULL: absent, or null */
};

#define MAX_KEY_COLUMNS 8

struct columns { /* the key fields of a list's items, sorted by name */
    uint32_t n;
    struct {
        const char *name;
        const struct api_field *field;
        uint32_t offset;
    } at[MAX_KEY_COLUMNS];
};

static void diff_fields(struct arena *a, const struct api_type *t, const void *l, const void *r, struct field_diff *level);
static void diff_field(struct arena *a, const struct api_field *f, const void *l, const void *r, struct field_diff *level);
static struct side side_of(const struct api_field *f, const void *body);
static void diff_leaf(struct arena *a, const struct api_field *f, struct side l, struct side r, const struct field_elem *e, struct field_diff *level);
static void diff_message(struct arena *a, const struct api_type *t, struct side l, struct side r, const struct field_elem *e, struct field_diff *level);
static void diff_map(struct arena *a, const struct api_field *f, struct side l, struct side r, const struct field_elem *e, struct field_diff *level);
static void diff_list(struct arena *a, const struct api_field *f, bool keys, struct side l, struct side r, const struct field_elem *e, struct field_diff *level);
static void diff_value(struct arena *a, const struct api_field *f, struct side l, struct side r, const struct field_elem *e, struct field_diff *level);
static void diff_run(struct arena *a, const struct api_field *f, const struct keyed *l, uint32_t nl, const struct keyed *r, uint32_t nr, struct field_diff *level);
static void close_level(struct arena *a, struct side l, struct side r, const struct field_elem *e, const struct field_diff *kids, struct field_diff *level);
static bool struct_is_empty(const struct api_type *t, const void *body);
static bool same(const struct api_field *f, const void *l, const void *r);
static uint32_t key_items(struct arena *a, const struct api_field *f, const struct columns *c, const struct api_list *l, struct keyed **ret);
static void key_columns(const struct api_field *f, struct columns *ret, struct arena *a);
static struct field_scalar scalar_at(const struct api_field *f, const void *at);

void
field_diff_structs(struct arena *a, const struct api_type *t, const void *from, const void *to, struct field_diff *ret)
{
    *ret = (struct field_diff){ 0 };
    diff_fields(a, t, from, to, ret);
}

/* l or r NULL: absent. */
static void
diff_fields(struct arena *a, const struct api_type *t, const void *l, const void *r, struct field_diff *level)
{
    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        const void *lf = l ? walk_field(f, l) : NULL, *rf = r ? walk_field(f, r) : NULL;
        if (!*f->json)
            diff_fields(a, f->type, lf, rf, level);
        else
            diff_field(a, f, lf, rf, level);
    }
}

static void
diff_field(struct arena *a, const struct api_field *f, const void *lf, const void *rf, struct field_diff *level)
{
    struct side l = side_of(f, lf), r = side_of(f, rf);
    struct field_elem e;

    if (!l.present && !r.present)
        return;
    e = field_elem_name(f->json);
    switch (merge_kind_of_field(f)) {
    case MERGE_OBJECT:
        if (f->shape == API_MAP)
            diff_map(a, f, l, r, &e, level);
        else
            diff_message(a, f->type, l, r, &e, level);
        break;
    case MERGE_LIST_MAP:
        diff_list(a, f, true, l, r, &e, level);
        break;
    case MERGE_LIST_SET:
        diff_list(a, f, false, l, r, &e, level);
        break;
    default:
        diff_leaf(a, f, l, r, &e, level);
        break;
    }
}

static struct side
side_of(const struct api_field *f, const void *at)
{
    struct side s = { 0 };

    if (!at || json_field_left_out(f, at))
        return s;
    s.present = true;
    s.at = f->shape == API_PTR ? api_ptr_target(f, at) : at;
    return s;
}

static void
diff_leaf(struct arena *a, const struct api_field *f, struct side l, struct side r, const struct field_elem *e, struct field_diff *level)
{
    if (!l.present)
        field_diff_mark(a, &level->added, e);
    else if (!r.present)
        field_diff_mark(a, &level->removed, e);
    else if (!l.at || !r.at ? l.at != r.at : !same(f, l.at, r.at))
        field_diff_mark(a, &level->modified, e);
}

static void
diff_message(struct arena *a, const struct api_type *t, struct side l, struct side r, const struct field_elem *e, struct field_diff *level)
{
    struct field_diff kids = { 0 };

    if (l.at != r.at && !((!l.at || struct_is_empty(t, l.at)) && (!r.at || struct_is_empty(t, r.at))))
        diff_fields(a, t, l.at, r.at, &kids);
    close_level(a, l, r, e, &kids, level);
}

static void
diff_map(struct arena *a, const struct api_field *f, struct side l, struct side r, const struct field_elem *e, struct field_diff *level)
{
    const struct api_list none = { 0 }, *lm = l.at ? l.at : &none, *rm = r.at ? r.at : &none;
    uint32_t size = api_entry_size(f), i = 0, j = 0;
    struct field_diff kids = { 0 };

    while (i < lm->len || j < rm->len) {
        const void *le = i < lm->len ? walk_item(lm, size, i) : NULL, *re = j < rm->len ? walk_item(rm, size, j) : NULL;
        int cmp = !le ? 1 : !re ? -1 : strcmp(walk_key(le), walk_key(re));
        struct side lv = { cmp <= 0, cmp <= 0 ? walk_entry_value(le) : NULL };
        struct side rv = { cmp >= 0, cmp >= 0 ? walk_entry_value(re) : NULL };
        struct field_elem ke = field_elem_name(walk_key(cmp <= 0 ? le : re));
        diff_value(a, f, lv, rv, &ke, &kids);
        i += cmp <= 0;
        j += cmp >= 0;
    }
    close_level(a, l, r, e, &kids, level);
}

/* An entry of a map or an item of a list. */
static void
diff_value(struct arena *a, const struct api_field *f, struct side l, struct side r, const struct field_elem *e, struct field_diff *level)
{
    if (f->value == API_MESSAGE && !(f->type->flags & API_TYPE_ATOMIC))
        diff_message(a, f->type, l, r, e, level);
    else
        diff_leaf(a, f, l, r, e, level);
}

static void
diff_list(struct arena *a, const struct api_field *f, bool keys, struct side l, struct side r, const struct field_elem *e, struct field_diff *level)
{
    struct keyed *lk, *rk;
    struct columns columns = { 0 };
    struct field_diff kids = { 0 };
    uint32_t nl, nr, i = 0, j = 0;

    if (keys)
        key_columns(f, &columns, a);
    nl = key_items(a, f, &columns, l.at, &lk);
    nr = key_items(a, f, &columns, r.at, &rk);
    while (i < nl || j < nr) {
        int cmp = i >= nl ? 1 : j >= nr ? -1 : field_elem_cmp(&lk[i].elem, &rk[j].elem);
        uint32_t li = cmp <= 0 ? keyed_run(lk + i, nl - i) : 0, rj = cmp >= 0 ? keyed_run(rk + j, nr - j) : 0;
        diff_run(a, f, lk + i, li, rk + j, rj, &kids);
        i += li;
        j += rj;
    }
    close_level(a, l, r, e, &kids, level);
}

/* Items of one key.  Duplicates are compared as a whole: their key alone is the member. */
static void
diff_run(struct arena *a, const struct api_field *f, const struct keyed *l, uint32_t nl, const struct keyed *r, uint32_t nr, struct field_diff *level)
{
    const struct field_elem *e = nl ? &l->elem : &r->elem;
    struct side none = { 0 };

    if (nl <= 1 && nr <= 1) {
        diff_value(a, f, (struct side){ nl, nl ? l->item : NULL }, (struct side){ nr, nr ? r->item : NULL }, e, level);
    } else if (nl >= 2 && nr >= 2) {
        bool equal = nl == nr;
        for (uint32_t i = 0; equal && i < nl; i++)
            equal = same(f, l[i].item, r[i].item);
        if (!equal)
            field_diff_mark(a, &level->modified, e);
    } else if (nl >= 2) {
        if (nr)
            diff_value(a, f, none, (struct side){ true, r->item }, e, level);
        field_diff_mark(a, &level->removed, e);
    } else {
        if (nl)
            diff_value(a, f, (struct side){ true, l->item }, none, e, level);
        field_diff_mark(a, &level->added, e);
    }
}

static void
close_level(struct arena *a, struct side l, struct side r, const struct field_elem *e, const struct field_diff *kids, struct field_diff *level)
{
    field_diff_hang(a, level, e, kids);
    if (!l.present)
        field_diff_mark(a, &level->added, e);
    else if (!r.present)
        field_diff_mark(a, &level->removed, e);
}

static bool
struct_is_empty(const struct api_type *t, const void *body)
{
    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        const void *at = walk_field(f, body);
        if (*f->json ? !json_field_left_out(f, at) : !struct_is_empty(f->type, at))
            return false;
    }
    return true;
}

/* One value, or a whole atomic list or map. */
static bool
same(const struct api_field *f, const void *l, const void *r)
{
    struct api_field one = *f;
    struct api_type t = { .fields = &one, .nfields = 1 };

    one.offset = 0;
    if (f->shape == API_PTR || (f->shape != API_ONE && merge_kind_of_field(f) != MERGE_LEAF))
        one.shape = API_ONE; /* at the value, or at an item */
    return api_equal(&t, l, r);
}

/* --- associative lists --- */

static uint32_t
key_items(struct arena *a, const struct api_field *f, const struct columns *c, const struct api_list *l, struct keyed **ret)
{
    uint32_t size = api_value_size(f), n = l ? l->len : 0;
    struct keyed *items = n ? arena_alloc(a, n * sizeof(*items)) : NULL;

    for (uint32_t i = 0; i < n; i++) {
        const char *item = walk_item(l, size, i);
        items[i].item = item;
        items[i].was = i;
        if (!c->n) {
            items[i].elem = (struct field_elem){ .kind = FIELD_VALUE, .value = scalar_at(f, item) };
            continue;
        }
        struct field_key *keys = arena_alloc(a, c->n * sizeof(*keys));
        for (uint32_t k = 0; k < c->n; k++)
            keys[k] = (struct field_key){ c->at[k].name, scalar_at(c->at[k].field, item + c->at[k].offset) };
        items[i].elem = (struct field_elem){ .kind = FIELD_KEYS, .nkeys = c->n, .keys = keys };
    }
    keyed_sort(items, n);
    *ret = items;
    return n;
}

static void
key_columns(const struct api_field *f, struct columns *ret, struct arena *a)
{
    const char *keys = merge_keys_of_field(f), *at;
    size_t len;

    for (unsigned i = 0; ret->n < MAX_KEY_COLUMNS && str_field(keys, ',', i, &at, &len); i++) {
        const struct api_name *name = api_type_name(f->type, at, len);
        uint32_t to = ret->n;
        if (!name)
            continue;
        for (; to > 0 && strcmp(ret->at[to - 1].name, name->field->json) > 0; to--)
            ret->at[to] = ret->at[to - 1];
        ret->at[to].name = name->field->json;
        ret->at[to].field = name->field;
        ret->at[to].offset = name->offset;
        ret->n++;
    }
}

/* A key that is not set counts as its default, or as the zero value. */
static struct field_scalar
scalar_at(const struct api_field *f, const void *at)
{
    static const char zero[64];

    if (f->shape == API_PTR) {
        at = api_ptr_target(f, at);
        if (!at && !f->def)
            return (struct field_scalar){ .kind = f->value == API_STRING ? FIELD_STRING : FIELD_NULL, .s = "" };
        if (!at)
            at = zero;
    }
    switch ((enum api_value)f->value) {
    case API_BOOL:
        return (struct field_scalar){ .kind = FIELD_BOOL, .b = *(const bool *)at };
    case API_I32:
        return (struct field_scalar){ .kind = FIELD_INT, .i = *(const int32_t *)at };
    case API_U32:
        return (struct field_scalar){ .kind = FIELD_INT, .i = *(const uint32_t *)at };
    case API_I64:
    case API_U64:
        return (struct field_scalar){ .kind = FIELD_INT, .i = *(const int64_t *)at };
    case API_INT_OR_STRING: {
        const struct int_or_string *v = at;
        if (!v->str)
            return (struct field_scalar){ .kind = FIELD_INT, .i = v->num };
        return (struct field_scalar){ .kind = FIELD_STRING, .s = v->str };
    }
    case API_STRING: {
        const char *s = *(const char *const *)at;
        if (str_empty(s) && str_eq(f->def, "\"TCP\"")) /* the one default of a key upstream has: protocol */
            s = "TCP";
        return (struct field_scalar){ .kind = FIELD_STRING, .s = str_safe(s) };
    }
    default:
        return (struct field_scalar){ .kind = FIELD_NULL };
    }
}

/* --- shared with the tree walker --- */

static int
keyed_cmp(const void *x, const void *y)
{
    const struct keyed *a = x, *b = y;
    int cmp = field_elem_cmp(&a->elem, &b->elem);

    return cmp ? cmp : (a->was < b->was ? -1 : a->was > b->was);
}

void
keyed_sort(struct keyed *items, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        if (keyed_cmp(&items[i - 1], &items[i]) > 0) {
            qsort(items, n, sizeof(*items), keyed_cmp);
            return;
        }
    }
}

uint32_t
keyed_run(const struct keyed *items, uint32_t n)
{
    uint32_t run = 1;

    while (run < n && field_elem_cmp(&items[0].elem, &items[run].elem) == 0)
        run++;
    return run;
}

void
field_diff_mark(struct arena *a, struct field_set **s, const struct field_elem *e)
{
    if (!*s)
        *s = field_set_new(a);
    field_set_at(a, *s, e)->member = true;
}

static void
hang(struct arena *a, struct field_set **s, const struct field_elem *e, struct field_set *kids)
{
    if (!kids)
        return;
    if (!*s)
        *s = field_set_new(a);
    field_set_at(a, *s, e)->kids = kids;
}

void
field_diff_hang(struct arena *a, struct field_diff *d, const struct field_elem *e, const struct field_diff *kids)
{
    hang(a, &d->removed, e, kids->removed);
    hang(a, &d->modified, e, kids->modified);
    hang(a, &d->added, e, kids->added);
}
