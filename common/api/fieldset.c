// SPDX-License-Identifier: Apache-2.0
#include "common/api/fieldset.h"

#include <stdlib.h>
#include <string.h>

#include "common/api/codec.h"
#include "common/api/json_scan.h"
#include "common/base/str.h"

struct reader {
    struct arena *arena;
    struct json_scan scan;
    struct kerr *err;
};

static int scalar_cmp(const struct field_scalar *a, const struct field_scalar *b);
static int scalar_rank(enum field_scalar_kind kind);
static int keys_cmp(const struct field_elem *a, const struct field_elem *b);
static uint32_t lower_bound(const struct field_set *s, const struct field_elem *e);
static void append(struct arena *a, struct field_set *s, const struct field_node *n);
static struct field_set *difference(struct arena *a, const struct field_set *x, const struct field_set *y, bool recursive);
static void each(const struct field_set *s, struct sbuf *path, void (*fn)(const char *path, void *arg), void *arg);
static void scalar_text(const struct field_scalar *v, struct sbuf *out);
static void encode_members(const struct field_set *s, bool self, struct sbuf *out);
static void encode_elem(const struct field_elem *e, struct sbuf *scratch, struct sbuf *out);
static void encode_scalar(const struct field_scalar *v, struct sbuf *out);
static struct field_set *read_set(struct reader *r, bool *ret_member);
static bool read_elem(struct reader *r, const char *text, size_t len, struct field_elem *ret);
static bool read_keys(struct reader *r, const char *text, size_t len, struct field_elem *ret);
static bool read_scalar(struct arena *a, struct json_scan *s, struct field_scalar *ret);
static char *text_in(struct arena *a, const struct json_text *t, size_t *ret_len);

/* --- elements --- */

int
field_elem_cmp(const struct field_elem *a, const struct field_elem *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case FIELD_NAME:
        return a->name == b->name ? 0 : strcmp(a->name, b->name);
    case FIELD_KEYS:
        return keys_cmp(a, b);
    case FIELD_VALUE:
        return scalar_cmp(&a->value, &b->value);
    case FIELD_INDEX:
        return a->index < b->index ? -1 : a->index > b->index;
    }
    return 0;
}

static int
keys_cmp(const struct field_elem *a, const struct field_elem *b)
{
    for (uint32_t i = 0; i < a->nkeys && i < b->nkeys; i++) {
        int cmp = strcmp(a->keys[i].name, b->keys[i].name);
        if (!cmp)
            cmp = scalar_cmp(&a->keys[i].value, &b->keys[i].value);
        if (cmp)
            return cmp;
    }
    return a->nkeys < b->nkeys ? -1 : a->nkeys > b->nkeys;
}

/* Numbers, then strings, booleans, null. */
static int
scalar_cmp(const struct field_scalar *a, const struct field_scalar *b)
{
    int ra = scalar_rank(a->kind), rb = scalar_rank(b->kind);

    if (ra != rb)
        return ra < rb ? -1 : 1;
    switch (a->kind) {
    case FIELD_INT:
    case FIELD_REAL:
        if (a->kind == FIELD_INT && b->kind == FIELD_INT)
            return a->i < b->i ? -1 : a->i > b->i;
        double x = a->kind == FIELD_INT ? (double)a->i : a->r, y = b->kind == FIELD_INT ? (double)b->i : b->r;
        return x < y ? -1 : x > y;
    case FIELD_STRING:
        return strcmp(a->s, b->s);
    case FIELD_BOOL:
        return (int)a->b - (int)b->b;
    case FIELD_NULL:
        break;
    }
    return 0;
}

static int
scalar_rank(enum field_scalar_kind kind)
{
    static const int rank[] = { [FIELD_INT] = 0, [FIELD_REAL] = 0, [FIELD_STRING] = 1, [FIELD_BOOL] = 2, [FIELD_NULL] = 3 };

    return rank[kind];
}

void
field_elem_text(const struct field_elem *e, struct sbuf *out)
{
    switch (e->kind) {
    case FIELD_NAME:
        sbuf_addc(out, '.');
        sbuf_adds(out, e->name);
        return;
    case FIELD_KEYS:
        sbuf_addc(out, '[');
        for (uint32_t i = 0; i < e->nkeys; i++) {
            sbuf_addf(out, "%s%s=", i ? "," : "", e->keys[i].name);
            scalar_text(&e->keys[i].value, out);
        }
        sbuf_addc(out, ']');
        return;
    case FIELD_VALUE:
        sbuf_adds(out, "[=");
        scalar_text(&e->value, out);
        sbuf_addc(out, ']');
        return;
    case FIELD_INDEX:
        sbuf_addf(out, "[%lld]", (long long)e->index);
        return;
    }
}

static void
scalar_text(const struct field_scalar *v, struct sbuf *out)
{
    if (v->kind == FIELD_STRING)
        json_add_go_quoted(out, v->s, strlen(v->s));
    else
        encode_scalar(v, out);
}

/* --- building --- */

struct field_set *
field_set_new(struct arena *a)
{
    return ARENA_NEW(a, struct field_set);
}

struct field_node *
field_set_at(struct arena *a, struct field_set *s, const struct field_elem *e)
{
    struct field_node fresh = { .elem = *e };
    uint32_t at = s->len;

    if (at > 0) { /* mostly in order */
        int cmp = field_elem_cmp(&s->items[at - 1].elem, e);
        if (cmp == 0)
            return &s->items[at - 1];
        if (cmp > 0) {
            at = lower_bound(s, e);
            if (field_elem_cmp(&s->items[at].elem, e) == 0)
                return &s->items[at];
        }
    }
    append(a, s, &fresh);
    memmove(&s->items[at + 1], &s->items[at], (s->len - 1 - at) * sizeof(fresh));
    s->items[at] = fresh;
    return &s->items[at];
}

static uint32_t
lower_bound(const struct field_set *s, const struct field_elem *e)
{
    uint32_t lo = 0, hi = s->len;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (field_elem_cmp(&s->items[mid].elem, e) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void
append(struct arena *a, struct field_set *s, const struct field_node *n)
{
    if (s->len == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 8;
        s->items = arena_grow(a, s->items, s->cap * sizeof(*n), cap * sizeof(*n));
        s->cap = cap;
    }
    s->items[s->len++] = *n;
}

void
field_set_add_path(struct arena *a, struct field_set *s, const char *dotted)
{
    for (;;) {
        size_t len = strcspn(dotted, ".");
        struct field_elem e = field_elem_name(arena_strndup(a, dotted, len));
        struct field_node *n = field_set_at(a, s, &e);
        if (!dotted[len]) {
            n->member = true;
            return;
        }
        if (!n->kids)
            n->kids = field_set_new(a);
        s = n->kids;
        dotted += len + 1;
    }
}

struct field_set *
field_set_normal(struct field_set *s)
{
    return field_set_empty(s) ? NULL : s;
}

/* --- looking --- */

bool
field_set_empty(const struct field_set *s)
{
    for (uint32_t i = 0; s && i < s->len; i++)
        if (s->items[i].member || !field_set_empty(s->items[i].kids))
            return false;
    return true;
}

static bool
node_empty(const struct field_node *n)
{
    return !n->member && field_set_empty(n->kids);
}

bool
field_set_equal(const struct field_set *a, const struct field_set *b)
{
    uint32_t i = 0, j = 0, na = a ? a->len : 0, nb = b ? b->len : 0;

    if (a == b)
        return true;
    for (;;) {
        while (i < na && node_empty(&a->items[i]))
            i++;
        while (j < nb && node_empty(&b->items[j]))
            j++;
        if (i >= na || j >= nb)
            return i >= na && j >= nb;
        const struct field_node *x = &a->items[i++], *y = &b->items[j++];
        if (x->member != y->member || field_elem_cmp(&x->elem, &y->elem) != 0 || !field_set_equal(x->kids, y->kids))
            return false;
    }
}

const struct field_node *
field_set_find(const struct field_set *s, const struct field_elem *e)
{
    uint32_t at = s ? lower_bound(s, e) : 0;

    return s && at < s->len && field_elem_cmp(&s->items[at].elem, e) == 0 ? &s->items[at] : NULL;
}

void
field_set_each(const struct field_set *s, void (*fn)(const char *path, void *arg), void *arg)
{
    AUTO_SBUF path = { 0 };

    each(s, &path, fn, arg);
}

/* Members of one level first, then what is below, as upstream walks. */
static void
each(const struct field_set *s, struct sbuf *path, void (*fn)(const char *path, void *arg), void *arg)
{
    size_t len = path->len;

    for (int below = 0; below < 2; below++) {
        for (uint32_t i = 0; s && i < s->len; i++) {
            const struct field_node *n = &s->items[i];
            if (below ? !n->kids : !n->member)
                continue;
            field_elem_text(&n->elem, path);
            if (below)
                each(n->kids, path, fn, arg);
            else
                fn(sbuf_str(path), arg);
            path->len = len;
            path->s[len] = '\0';
        }
    }
}

/* --- algebra: all walk two sorted lists side by side --- */

struct field_set *
field_set_union(struct arena *a, const struct field_set *x, const struct field_set *y)
{
    uint32_t i = 0, j = 0;
    struct field_set *out;

    if (!x || !y || x == y)
        return (struct field_set *)(uintptr_t)(x ? x : y);
    out = field_set_new(a);
    while (i < x->len || j < y->len) {
        int cmp = i >= x->len ? 1 : j >= y->len ? -1 : field_elem_cmp(&x->items[i].elem, &y->items[j].elem);
        if (cmp < 0) {
            append(a, out, &x->items[i++]);
        } else if (cmp > 0) {
            append(a, out, &y->items[j++]);
        } else {
            const struct field_node *nx = &x->items[i++], *ny = &y->items[j++];
            struct field_node n = { nx->elem, nx->member || ny->member, field_set_union(a, nx->kids, ny->kids) };
            append(a, out, &n);
        }
    }
    return out;
}

struct field_set *
field_set_intersection(struct arena *a, const struct field_set *x, const struct field_set *y)
{
    struct field_set *out = NULL;
    uint32_t i = 0, j = 0;

    while (x && y && i < x->len && j < y->len) {
        const struct field_node *nx = &x->items[i], *ny = &y->items[j];
        int cmp = field_elem_cmp(&nx->elem, &ny->elem);
        i += cmp <= 0;
        j += cmp >= 0;
        if (cmp == 0) {
            struct field_node n = { nx->elem, nx->member && ny->member, field_set_intersection(a, nx->kids, ny->kids) };
            if (!n.member && !n.kids)
                continue;
            if (!out)
                out = field_set_new(a);
            append(a, out, &n);
        }
    }
    return out;
}

struct field_set *
field_set_difference(struct arena *a, const struct field_set *x, const struct field_set *y)
{
    return difference(a, x, y, false);
}

struct field_set *
field_set_recursive_difference(struct arena *a, const struct field_set *x, const struct field_set *y)
{
    return difference(a, x, y, true);
}

static struct field_set *
difference(struct arena *a, const struct field_set *x, const struct field_set *y, bool recursive)
{
    struct field_set *out = NULL;
    uint32_t j = 0;

    if (!y)
        return (struct field_set *)(uintptr_t)x;
    for (uint32_t i = 0; x && i < x->len; i++) {
        struct field_node n = x->items[i];
        while (j < y->len && field_elem_cmp(&y->items[j].elem, &n.elem) < 0)
            j++;
        if (j < y->len && field_elem_cmp(&y->items[j].elem, &n.elem) == 0) {
            const struct field_node *ny = &y->items[j];
            n.kids = recursive && ny->member ? NULL : difference(a, n.kids, ny->kids, recursive);
            n.member = n.member && !ny->member;
        }
        if (node_empty(&n))
            continue;
        if (!out)
            out = field_set_new(a);
        append(a, out, &n);
    }
    return out;
}

/* --- text --- */

void
field_set_encode(const struct field_set *s, struct sbuf *out)
{
    encode_members(s, false, out);
}

static void
encode_members(const struct field_set *s, bool self, struct sbuf *out)
{
    AUTO_SBUF scratch = { 0 };
    bool first = true;

    sbuf_addc(out, '{');
    if (self) {
        sbuf_adds(out, "\".\":{}");
        first = false;
    }
    for (uint32_t i = 0; s && i < s->len; i++) {
        const struct field_node *n = &s->items[i];
        bool has_kids = !field_set_empty(n->kids);
        if (!n->member && !has_kids)
            continue;
        if (!first)
            sbuf_addc(out, ',');
        first = false;
        encode_elem(&n->elem, &scratch, out);
        sbuf_addc(out, ':');
        if (has_kids)
            encode_members(n->kids, n->member, out);
        else
            sbuf_adds(out, "{}");
    }
    sbuf_addc(out, '}');
}

/* The element is text of its own, quoted once more as a member's name. */
static void
encode_elem(const struct field_elem *e, struct sbuf *scratch, struct sbuf *out)
{
    sbuf_clear(scratch);
    switch (e->kind) {
    case FIELD_NAME:
        sbuf_add(scratch, "f:", 2);
        sbuf_adds(scratch, e->name);
        break;
    case FIELD_KEYS:
        sbuf_add(scratch, "k:{", 3);
        for (uint32_t i = 0; i < e->nkeys; i++) {
            if (i > 0)
                sbuf_addc(scratch, ',');
            json_add_string(scratch, e->keys[i].name);
            sbuf_addc(scratch, ':');
            encode_scalar(&e->keys[i].value, scratch);
        }
        sbuf_addc(scratch, '}');
        break;
    case FIELD_VALUE:
        sbuf_add(scratch, "v:", 2);
        encode_scalar(&e->value, scratch);
        break;
    case FIELD_INDEX:
        sbuf_addf(scratch, "i:%lld", (long long)e->index);
        break;
    }
    json_add_string(out, sbuf_str(scratch));
}

static void
encode_scalar(const struct field_scalar *v, struct sbuf *out)
{
    switch (v->kind) {
    case FIELD_INT:
        sbuf_add_i64(out, v->i);
        break;
    case FIELD_REAL:
        sbuf_addf(out, "%.17g", v->r);
        break;
    case FIELD_STRING:
        json_add_string(out, v->s);
        break;
    case FIELD_BOOL:
        sbuf_adds(out, v->b ? "true" : "false");
        break;
    case FIELD_NULL:
        sbuf_adds(out, "null");
        break;
    }
}

struct kerr *
field_set_decode(struct arena *a, const char *json, size_t len, struct field_set **ret)
{
    struct reader r = { .arena = a, .scan = json_scan_init(json, len) };
    struct field_set *set;
    bool member;

    if (json_peek(&r.scan) != '{')
        return kerr_new(KERR_BAD_REQUEST, "fieldsV1: expected an object");
    set = read_set(&r, &member);
    if (!r.err && !r.scan.problem && !json_scan_end(&r.scan))
        (void)json_scan_fail(&r.scan, "after top-level value");
    if (!r.err && r.scan.problem)
        r.err = kerr_wrap(json_scan_error(&r.scan), "fieldsV1");
    if (r.err)
        return r.err;
    *ret = set;
    return NULL;
}

/* *ret_member: the place itself is a member, because it says so (".") or has nothing below.  The scanner bounds depth. */
static struct field_set *
read_set(struct reader *r, bool *ret_member)
{
    struct field_set *set = NULL;
    struct json_text key;
    bool self = false;

    if (json_peek(&r->scan) != '{') { /* tolerated below the top, as upstream skips it */
        json_skip_value(&r->scan);
        *ret_member = true;
        return NULL;
    }
    if (json_enter(&r->scan, '}')) {
        do {
            struct field_elem elem;
            struct field_set *kids;
            size_t text_len;
            bool member;
            const char *text;
            if (!json_scan_key(&r->scan, &key))
                break;
            if (key.len == 1 && key.s[0] == '.') {
                self = true;
                json_skip_value(&r->scan);
                continue;
            }
            text = text_in(r->arena, &key, &text_len);
            if (!read_elem(r, text, text_len, &elem)) { /* of a later version: dropped, as upstream does */
                if (r->err)
                    return NULL;
                json_skip_value(&r->scan);
                continue;
            }
            kids = read_set(r, &member);
            if (r->err || r->scan.problem)
                return NULL;
            if (!set)
                set = field_set_new(r->arena);
            struct field_node *n = field_set_at(r->arena, set, &elem);
            n->member = n->member || member;
            n->kids = field_set_union(r->arena, n->kids, kids);
        } while (json_next(&r->scan, '}'));
    }
    *ret_member = self || !set;
    return set;
}

/* False: unknown kind (no error) or bad (r->err). */
static bool
read_elem(struct reader *r, const char *text, size_t len, struct field_elem *ret)
{
    struct json_scan scan;
    bool ok = true;

    if (len < 2 || text[1] != ':') {
        r->err = kerr_new(KERR_BAD_REQUEST, "fieldsV1: bad path element \"%s\"", text);
        return false;
    }
    *ret = (struct field_elem){ 0 };
    switch (text[0]) {
    case 'f':
        *ret = field_elem_name(text + 2);
        break;
    case 'k':
        ok = read_keys(r, text + 2, len - 2, ret);
        break;
    case 'v':
        ret->kind = FIELD_VALUE;
        scan = json_scan_init(text + 2, len - 2);
        ok = read_scalar(r->arena, &scan, &ret->value) && json_scan_end(&scan);
        break;
    case 'i':
        ret->kind = FIELD_INDEX;
        ok = parse_i64(text + 2, &ret->index) == 0;
        break;
    default:
        return false;
    }
    if (!ok)
        r->err = kerr_new(KERR_BAD_REQUEST, "fieldsV1: bad path element \"%s\"", text);
    return ok;
}

#define MAX_KEYS 16

static bool
read_keys(struct reader *r, const char *text, size_t len, struct field_elem *ret)
{
    struct json_scan scan = json_scan_init(text, len);
    struct field_key keys[MAX_KEYS];
    struct json_text name;
    uint32_t n = 0, at;

    if (json_peek(&scan) != '{')
        return false;
    if (json_enter(&scan, '}')) {
        do {
            struct field_key key;
            size_t name_len;
            if (n == MAX_KEYS || !json_scan_key(&scan, &name))
                return false;
            key.name = text_in(r->arena, &name, &name_len);
            if (!read_scalar(r->arena, &scan, &key.value))
                return false;
            for (at = n++; at > 0 && strcmp(keys[at - 1].name, key.name) > 0; at--)
                keys[at] = keys[at - 1];
            keys[at] = key;
        } while (json_next(&scan, '}'));
    }
    ret->kind = FIELD_KEYS;
    ret->nkeys = n;
    ret->keys = arena_memdup(r->arena, keys, n * sizeof(*keys));
    return !scan.problem && json_scan_end(&scan);
}

static bool
read_scalar(struct arena *a, struct json_scan *s, struct field_scalar *ret)
{
    struct json_text t;
    size_t len;

    switch (json_peek(s)) {
    case '"':
        if (!json_scan_string(s, &t))
            return false;
        *ret = (struct field_scalar){ .kind = FIELD_STRING, .s = text_in(a, &t, &len) };
        return true;
    case 't':
    case 'f':
        *ret = (struct field_scalar){ .kind = FIELD_BOOL, .b = *s->p == 't' };
        return json_scan_literal(s);
    case 'n':
        *ret = (struct field_scalar){ .kind = FIELD_NULL };
        return json_scan_literal(s);
    default: {
        char *text;
        if (!json_scan_number(s, &t))
            return false;
        text = arena_strndup(a, t.s, t.len);
        ret->kind = FIELD_INT;
        if (!t.integer || parse_i64(text, &ret->i) < 0)
            *ret = (struct field_scalar){ .kind = FIELD_REAL, .r = strtod(text, NULL) };
        return true;
    }
    }
}

static char *
text_in(struct arena *a, const struct json_text *t, size_t *ret_len)
{
    char *s;

    if (t->plain) {
        *ret_len = t->len;
        return arena_strndup(a, t->s, t->len);
    }
    s = arena_alloc_bytes(a, JSON_UNESCAPED_MAX(t->len) + 1);
    *ret_len = json_unescape(t->s, t->len, s);
    s[*ret_len] = '\0';
    return s;
}
