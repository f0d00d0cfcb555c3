// SPDX-License-Identifier: Apache-2.0
/* JSON straight into the structs of the tables, in one pass and without a tree between.
 * As Go's decoder does, a wrong type is remembered (the first one), its value skipped, and the walk goes on, so that
 * broken syntax further on is what gets reported; strict findings are collected on the way.
 * Lists and maps are gathered on a scratch stack and moved to the arena at their exact size. */
#include "common/api/codec.h"

#include <errno.h>
#include <math.h>

#include "common/api/json_scan.h"
#include "common/api/object_impl.h"
#include "common/api/values.h"
#include "common/base/base64.h"

enum { FINDINGS_MAX = 100, SCRATCH_FIRST = 8192, SEEN_WORDS = 4 };
enum { ITEMS_BASE = 1 << 20, ITEMS_PER_BYTE = 32 };

/* Where we are, for messages; one per struct, list and map on the way down, on the C stack. */
struct frame {
    struct frame *up;
    const struct api_type *type; /* the struct whose field `name` is; NULL in lists and maps */
    const char *name;            /* field name or map key as in the text; NULL in lists */
    size_t name_len;
    uint32_t index;
};

struct scratch {
    struct scratch *below;
    size_t size, used;
    char data[] __attribute__((aligned(8)));
};

struct decoder {
    struct json_scan s;
    struct arena *arena;
    struct codec_report *report; /* NULL when nothing is to be collected */
    struct frame *frame;
    struct kerr *saved; /* the first wrong type */
    struct scratch *top;
    struct scratch *spare;
    size_t items_left; /* bytes that list items and map entries may still take: three bytes of JSON can ask for 400 */
    struct sbuf text; /* unescaped strings, raw JSON */
    union {
        struct scratch first;
        char room[sizeof(struct scratch) + SCRATCH_FIRST];
    };
};

static bool decode_struct(struct decoder *d, const struct api_type *t, void *body);
static bool decode_value(struct decoder *d, const struct api_field *f, void *at);

/* What a list without items points to: not NULL, as Go tells empty from nil. */
static const uint64_t no_items;

/* ---- messages ---- */

/* spec.containers[0].ports; fields_only leaves out indexes and map keys. */
static void
add_path(const struct frame *fr, bool fields_only, struct sbuf *out)
{
    if (!fr)
        return;
    add_path(fr->up, fields_only, out);
    if (!fr->name && !fields_only)
        sbuf_addf(out, "[%u]", fr->index);
    if (!fr->name || (fields_only && !fr->type))
        return;
    if (out->len)
        sbuf_addc(out, '.');
    sbuf_add(out, fr->name, fr->name_len);
}

/* "v1.": Go's package of a type of ours is the last part of its OpenAPI package. */
static void
add_package(const struct api_type *t, struct sbuf *out)
{
    const char *end = t && t->openapi ? strrchr(t->openapi, '.') : NULL;
    const char *from = end;

    while (from && from > t->openapi && from[-1] != '.')
        from--;
    if (from)
        sbuf_add(out, from, (size_t)(end - from) + 1);
}

static void
add_go_type(const struct decoder *d, const struct api_field *f, bool element, struct sbuf *out)
{
    static const char *const names[] = {
        [API_BOOL] = "bool",
        [API_I32] = "int32",
        [API_I64] = "int64",
        [API_U32] = "uint32",
        [API_U64] = "uint64",
        [API_F64] = "float64",
        [API_STRING] = "string",
        [API_BYTES] = "[]uint8",
        [API_QUANTITY] = "resource.Quantity",
        [API_TIME] = "v1.Time",
        [API_MICRO_TIME] = "v1.MicroTime",
        [API_DURATION] = "v1.Duration",
        [API_INT_OR_STRING] = "intstr.IntOrString",
        [API_RAW] = "runtime.RawExtension",
        [API_FIELDS_V1] = "v1.FieldsV1",
        [API_STRINGS] = "[]string",
    };

    if (!element && f->shape == API_LIST)
        sbuf_adds(out, "[]");
    if (!element && f->shape == API_MAP)
        sbuf_adds(out, "map[string]");
    if (f->value == API_MESSAGE) {
        add_package(f->type, out);
        sbuf_adds(out, f->type->name);
    } else if (f->value == API_STRING && f->enumeration) {
        const struct frame *fr = d->frame;
        while (fr && !fr->type)
            fr = fr->up;
        add_package(fr ? fr->type : NULL, out);
        sbuf_adds(out, f->enumeration->name);
    } else {
        sbuf_adds(out, names[f->value]);
    }
}

/* Takes err. */
static void
save_error(struct decoder *d, struct kerr *err)
{
    if (d->saved)
        kerr_free(err);
    else
        d->saved = err;
}

static const char *
kind_of_value(char c)
{
    switch (c) {
    case '"':
        return "string";
    case '{':
        return "object";
    case '[':
        return "array";
    case 't':
    case 'f':
        return "bool";
    default:
        return "number";
    }
}

static void
save_type_error(struct decoder *d, const char *what, const char *type)
{
    AUTO_SBUF path = { 0 };
    const struct frame *fr = d->frame;

    if (d->saved)
        return;
    while (fr && !fr->type)
        fr = fr->up;
    add_path(d->frame, true, &path);
    if (fr)
        save_error(d, kerr_new(KERR_BAD_REQUEST, "json: cannot unmarshal %s into Go struct field %s.%s of type %s", what,
                               fr->type->name, sbuf_str(&path), type));
    else
        save_error(d, kerr_new(KERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type %s", what, type));
}

/* The value at hand does not fit field f (or its elements): remember, step over it. */
static bool
wrong_type(struct decoder *d, const struct api_field *f, bool element)
{
    AUTO_SBUF type = { 0 };
    const char *what = kind_of_value(json_peek(&d->s));

    if (!json_skip_value(&d->s))
        return false;
    add_go_type(d, f, element, &type);
    save_type_error(d, what, sbuf_str(&type));
    return true;
}

static bool
wrong_number(struct decoder *d, const struct api_field *f, const struct json_text *number)
{
    AUTO_SBUF type = { 0 };
    AUTO_FREE char *what = xasprintf("number %.*s", (int)(number->len < 64 ? number->len : 64), number->s);

    if (f->value == API_INT_OR_STRING)
        sbuf_adds(&type, "int32");
    else
        add_go_type(d, f, true, &type);
    save_type_error(d, what, sbuf_str(&type));
    return true;
}

static void
add_finding(struct decoder *d, const char *what, const char *key, size_t len)
{
    AUTO_SBUF path = { 0 };
    AUTO_SBUF text = { 0 };

    if (d->report->findings.len >= FINDINGS_MAX)
        return;
    add_path(d->frame, false, &path);
    if (path.len)
        sbuf_addc(&path, '.');
    sbuf_add(&path, key, len);
    sbuf_addf(&text, "%s field ", what);
    json_add_go_quoted(&text, sbuf_str(&path), path.len);
    if (!strlist_has(&d->report->findings, text.s))
        strlist_add(&d->report->findings, text.s);
}

/* ---- lists under construction ---- */

struct gather {
    struct scratch *chunk;
    size_t start; /* of the items in the chunk */
    uint32_t len;
    uint32_t item_size;
    bool own_chunk;
};

static struct gather
gather_begin(struct decoder *d, uint32_t item_size)
{
    return (struct gather){ .chunk = d->top, .start = d->top->used, .item_size = item_size };
}

static void
drop_chunk(struct decoder *d, struct scratch *c)
{
    if (d->spare && d->spare->size >= c->size) {
        free(c);
        return;
    }
    free(d->spare);
    d->spare = c;
}

/* More room, in a chunk of its own; only this list's items move, nobody else points at them. */
static void
gather_grow(struct decoder *d, struct gather *g)
{
    size_t held = (size_t)g->len * g->item_size;
    size_t need = 2 * (held + g->item_size) + SCRATCH_FIRST;
    struct scratch *old = g->chunk;
    struct scratch *c = d->spare;

    if (c && c->size >= need) {
        d->spare = NULL;
    } else {
        c = xmalloc(sizeof *c + need);
        c->size = need;
    }
    memcpy(c->data, old->data + g->start, held);
    c->used = held;
    c->below = g->own_chunk ? old->below : old;
    old->used = g->start;
    if (g->own_chunk)
        drop_chunk(d, old);
    d->top = g->chunk = c;
    g->start = 0;
    g->own_chunk = true;
}

/* A zeroed item at the end. It stays where it is until the next one is asked for. */
static void *
gather_add(struct decoder *d, struct gather *g)
{
    if (d->items_left < g->item_size)
        json_scan_fail(&d->s, "exceeded max decoded size");
    else
        d->items_left -= g->item_size;
    if (g->chunk->size - g->chunk->used < g->item_size + 8u)
        gather_grow(d, g);
    char *item = g->chunk->data + g->chunk->used;
    g->chunk->used += g->item_size;
    g->len++;
    return memset(item, 0, g->item_size);
}

static void *
gather_items(const struct gather *g)
{
    return g->chunk->data + g->start;
}

static void
gather_end(struct decoder *d, struct gather *g, bool keep, struct api_list *ret)
{
    if (keep) {
        ret->len = ret->cap = g->len;
        ret->items = g->len ? arena_memdup(d->arena, gather_items(g), (size_t)g->len * g->item_size) : (void *)&no_items;
    }
    g->chunk->used = g->start;
    if (g->own_chunk) {
        d->top = g->chunk->below;
        drop_chunk(d, g->chunk);
    }
}

/* Items smaller than 8 bytes leave the next list's start unaligned. */
static struct gather
gather_begin_aligned(struct decoder *d, uint32_t item_size)
{
    d->top->used = (d->top->used + 7) & ~(size_t)7;
    return gather_begin(d, item_size);
}

/* ---- scalars ---- */

/* The string's text without escapes; valid until the next call. */
static void
plain_text(struct decoder *d, struct json_text *t)
{
    if (t->plain)
        return;
    sbuf_clear(&d->text);
    sbuf_reserve(&d->text, JSON_UNESCAPED_MAX(t->len));
    t->len = d->text.len = json_unescape(t->s, t->len, d->text.s);
    t->s = d->text.s;
}

static const char *
known_value(const struct api_enum *e, const struct json_text *t)
{
    for (unsigned i = 0; i < e->nvalues; i++)
        if (strncmp(e->values[i], t->s, t->len) == 0 && !e->values[i][t->len])
            return e->values[i];
    return NULL;
}

/* The string at hand, in the arena (or a constant). */
static bool
decode_string(struct decoder *d, const struct api_field *f, const char **ret)
{
    struct json_text t;

    if (!json_scan_string(&d->s, &t))
        return false;
    if (!t.plain) {
        plain_text(d, &t);
        if (memchr(t.s, '\0', t.len)) {
            save_type_error(d, "string with a NUL character", "string");
            return true;
        }
    }
    const char *known = t.len && f && f->enumeration ? known_value(f->enumeration, &t) : NULL;
    *ret = known ? known : t.len ? arena_strndup(d->arena, t.s, t.len) : "";
    return true;
}

/* Digits of a checked literal; false when it is no integer of that range. */
static bool
to_i64(const struct json_text *t, int64_t *ret)
{
    bool negative = *t->s == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    uint64_t v = 0;

    if (!t->integer || t->len > 20)
        return false;
    for (size_t i = negative; i < t->len; i++) {
        unsigned c = (unsigned)(t->s[i] - '0');
        if (v > (limit - c) / 10)
            return false;
        v = v * 10 + c;
    }
    *ret = (int64_t)(negative ? 0 - v : v);
    return true;
}

static bool
to_u64(const struct json_text *t, uint64_t *ret)
{
    uint64_t v = 0;

    if (!t->integer || *t->s == '-' || t->len > 20)
        return false;
    for (size_t i = 0; i < t->len; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (unsigned)(t->s[i] - '0'), &v))
            return false;
    *ret = v;
    return true;
}

static bool
decode_number(struct decoder *d, const struct api_field *f, void *at)
{
    struct json_text t;
    int64_t n = 0;
    uint64_t u = 0;

    if (!json_scan_number(&d->s, &t))
        return false;
    switch (f->value) {
    case API_I32:
    case API_INT_OR_STRING:
        if (!to_i64(&t, &n) || n < INT32_MIN || n > INT32_MAX)
            return wrong_number(d, f, &t);
        if (f->value == API_I32)
            *(int32_t *)at = (int32_t)n;
        else
            *(struct int_or_string *)at = (struct int_or_string){ NULL, (int32_t)n };
        return true;
    case API_I64:
        return to_i64(&t, at) || wrong_number(d, f, &t);
    case API_U32:
        if (!to_u64(&t, &u) || u > UINT32_MAX)
            return wrong_number(d, f, &t);
        *(uint32_t *)at = (uint32_t)u;
        return true;
    case API_U64:
        return to_u64(&t, at) || wrong_number(d, f, &t);
    default: {
        AUTO_FREE char *text = xstrndup(t.s, t.len);
        double v = strtod(text, NULL);
        if (isinf(v))
            return wrong_number(d, f, &t);
        *(double *)at = v;
        return true;
    }
    }
}

static bool
decode_bytes(struct decoder *d, struct api_bytes *ret)
{
    struct json_text t;
    size_t bad = 0;

    if (!json_scan_string(&d->s, &t))
        return false;
    plain_text(d, &t);
    uint8_t *data = (uint8_t *)arena_alloc_bytes(d->arena, BASE64_DECODED_MAX(t.len) + 1);
    ssize_t len = base64_decode(t.s, t.len, data, &bad);
    if (len < 0)
        save_error(d, kerr_new(KERR_BAD_REQUEST, "illegal base64 data at input byte %zu", bad));
    else
        *ret = (struct api_bytes){ data, (uint32_t)len };
    return true;
}

/* Strings are given without their quotes; other values as they stand, for parse_x() to refuse or take. */
static bool
own_parser_text(struct decoder *d, struct json_text *ret)
{
    json_peek(&d->s);
    const char *start = d->s.p;
    if (start < d->s.end && *start == '"') {
        if (!json_scan_string(&d->s, ret))
            return false;
        plain_text(d, ret);
        return true;
    }
    if (!json_skip_value(&d->s))
        return false;
    *ret = (struct json_text){ .s = start, .len = (size_t)(d->s.p - start), .plain = true };
    return true;
}

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
decode_quantity(struct decoder *d, struct quantity *ret)
{
    struct json_text t;

    if (!own_parser_text(d, &t))
        return false;
    while (t.len && is_space(t.s[t.len - 1]))
        t.len--;
    while (t.len && is_space(*t.s))
        t.s++, t.len--;
    struct kerr *err = quantity_parse(t.s, t.len, d->arena, ret);
    if (err)
        save_error(d, err);
    return true;
}

/* Go's complaint: the rest of the text and the part of the layout it should have been. */
static struct kerr *
time_error(const struct json_text *t, const char *layout)
{
    static const char *const parts[] = { "2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05", "Z07:00" };
    AUTO_SBUF text = { 0 };
    AUTO_SBUF rest = { 0 };
    const char *at = t->s, *end = t->s + t->len;
    size_t i = 0;

    for (bool fits = true; i < ARRAY_LEN(parts) - 1; i++) {
        size_t len = strlen(parts[i]);
        for (size_t j = 0; j < len && fits; j++)
            fits = at + j < end && (len == 1 ? at[j] == *parts[i] : at[j] >= '0' && at[j] <= '9');
        if (!fits)
            break;
        at += len;
    }
    json_add_go_quoted(&text, t->s, t->len < 64 ? t->len : 64);
    json_add_go_quoted(&rest, at, end - at < 64 ? (size_t)(end - at) : 64);
    return kerr_new(KERR_BAD_REQUEST, "parsing time %s as \"%s\": cannot parse %s as \"%s\"", text.s, layout, rest.s, parts[i]);
}

static bool
decode_time(struct decoder *d, const struct api_field *f, struct api_time *ret)
{
    struct json_text t;

    if (!json_scan_string(&d->s, &t))
        return false;
    plain_text(d, &t);
    if (api_time_parse(t.s, t.len, ret) != 0)
        save_error(d, time_error(&t, f->value == API_TIME ? "2006-01-02T15:04:05Z07:00" : "2006-01-02T15:04:05.000000Z07:00"));
    else if (f->value == API_TIME)
        ret->nsec = 0; /* metav1.Time carries seconds only */
    return true;
}

static bool
decode_duration(struct decoder *d, struct api_duration *ret)
{
    struct json_text t;

    if (!json_scan_string(&d->s, &t))
        return false;
    plain_text(d, &t);
    AUTO_FREE char *text = xstrndup(t.s, t.len);
    if (parse_duration_ns(text, &ret->ns) != 0) {
        AUTO_SBUF quoted = { 0 };
        json_add_go_quoted(&quoted, t.s, t.len < 64 ? t.len : 64);
        save_error(d, kerr_new(KERR_BAD_REQUEST, "time: invalid duration %s", quoted.s));
    }
    return true;
}

static bool
decode_raw(struct decoder *d, struct api_raw *ret)
{
    json_peek(&d->s);
    const char *start = d->s.p;

    if (!json_skip_value(&d->s))
        return false;
    sbuf_clear(&d->text);
    json_compact_valid(start, (size_t)(d->s.p - start), false, &d->text);
    *ret = (struct api_raw){ arena_strndup(d->arena, sbuf_str(&d->text), d->text.len), (uint32_t)d->text.len };
    return true;
}

/* ---- lists, maps, structs ---- */

static bool
decode_items(struct decoder *d, const struct api_field *f, bool strings, struct api_list *ret)
{
    struct frame fr = { .up = d->frame };
    struct gather g = gather_begin_aligned(d, strings ? sizeof(char *) : api_value_size(f));

    d->frame = &fr;
    if (json_enter(&d->s, ']'))
        do {
            void *item = gather_add(d, &g);
            char c = json_peek(&d->s);
            fr.index = g.len - 1;
            if (c == 'n')
                json_scan_literal(&d->s);
            else if (!strings)
                decode_value(d, f, item);
            else if (c == '"')
                decode_string(d, f, item);
            else
                wrong_type(d, &(struct api_field){ .value = API_STRING }, true);
        } while (!d->s.problem && json_next(&d->s, ']'));
    d->frame = fr.up;
    gather_end(d, &g, !d->s.problem, ret);
    return !d->s.problem;
}

static bool
decode_list(struct decoder *d, const struct api_field *f, struct api_list *ret)
{
    return json_peek(&d->s) == '[' ? decode_items(d, f, false, ret) : wrong_type(d, f, false);
}

struct map_order {
    const char *key;
    uint32_t index;
};

static int
map_order_cmp(const void *a, const void *b)
{
    const struct map_order *x = a, *y = b;
    int c = strcmp(x->key, y->key);

    return c ? c : x->index < y->index ? -1 : 1;
}

/* Sorts by key; of equal keys the last in the text stays, the others are reported. */
static void
sort_map(struct decoder *d, struct gather *g)
{
    struct map_order *order = xreallocarray(NULL, g->len, sizeof *order);
    char *items = gather_items(g);
    char *sorted = xmalloc((size_t)g->len * g->item_size);
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->len; i++)
        order[i] = (struct map_order){ *(const char **)(void *)(items + (size_t)i * g->item_size), i };
    qsort(order, g->len, sizeof *order, map_order_cmp);
    for (uint32_t i = 0; i < g->len; i++) {
        if (i + 1 < g->len && strcmp(order[i].key, order[i + 1].key) == 0) {
            if (d->report)
                add_finding(d, "duplicate", order[i].key, strlen(order[i].key));
            continue;
        }
        memcpy(sorted + (size_t)n++ * g->item_size, items + (size_t)order[i].index * g->item_size, g->item_size);
    }
    memcpy(items, sorted, (size_t)n * g->item_size);
    g->chunk->used -= (size_t)(g->len - n) * g->item_size;
    g->len = n;
    free(sorted);
    free(order);
}

/* The key at hand in the arena; "" when it cannot be kept. */
static bool
decode_map_key(struct decoder *d, struct frame *fr, const char **ret)
{
    struct json_text t;

    if (!json_scan_key(&d->s, &t))
        return false;
    plain_text(d, &t);
    *ret = t.len ? arena_strndup(d->arena, t.s, t.len) : "";
    fr->name = *ret;
    fr->name_len = t.len;
    if (!t.plain && memchr(t.s, '\0', t.len))
        save_type_error(d, "object key with a NUL character", "string");
    return true;
}

static bool
decode_map(struct decoder *d, const struct api_field *f, struct api_list *ret)
{
    if (json_peek(&d->s) != '{')
        return wrong_type(d, f, false);
    struct frame fr = { .up = d->frame };
    struct gather g = gather_begin_aligned(d, api_entry_size(f));
    const char *last = NULL;
    bool sorted = true;
    if (json_enter(&d->s, '}'))
        do {
            char *entry = gather_add(d, &g);
            const char **key = (const char **)(void *)entry;
            d->frame = fr.up;
            if (!decode_map_key(d, &fr, key))
                break;
            d->frame = &fr;
            sorted = sorted && (!last || strcmp(last, *key) < 0);
            last = *key;
            if (json_peek(&d->s) == 'n')
                json_scan_literal(&d->s);
            else
                decode_value(d, f, entry + API_ENTRY_VALUE);
        } while (!d->s.problem && json_next(&d->s, '}'));
    d->frame = fr.up;
    if (!sorted && !d->s.problem)
        sort_map(d, &g);
    gather_end(d, &g, !d->s.problem, ret);
    return !d->s.problem;
}

static bool
decode_value(struct decoder *d, const struct api_field *f, void *at)
{
    char c = json_peek(&d->s);

    switch ((enum api_value)f->value) {
    case API_MESSAGE:
        if (c == '{' || f->type->flags & (API_TYPE_SCHEMA_OR_ARRAY | API_TYPE_SCHEMA_OR_BOOL | API_TYPE_SCHEMA_OR_STRINGS))
            return decode_struct(d, f->type, at);
        break;
    case API_STRING:
        if (c == '"')
            return decode_string(d, f, at);
        break;
    case API_BOOL:
        if (c == 't' || c == 'f') {
            *(bool *)at = c == 't';
            return json_scan_literal(&d->s);
        }
        break;
    case API_INT_OR_STRING:
        if (c == '"')
            return decode_string(d, NULL, &((struct int_or_string *)at)->str);
        /* fall through */
    case API_I32:
    case API_I64:
    case API_U32:
    case API_U64:
    case API_F64:
        if (c == '-' || (c >= '0' && c <= '9'))
            return decode_number(d, f, at);
        break;
    case API_BYTES:
        if (c == '"')
            return decode_bytes(d, at);
        break;
    case API_QUANTITY:
        return decode_quantity(d, at);
    case API_TIME:
    case API_MICRO_TIME:
        if (c == '"')
            return decode_time(d, f, at);
        break;
    case API_DURATION:
        if (c == '"')
            return decode_duration(d, at);
        break;
    case API_RAW:
    case API_FIELDS_V1:
        return decode_raw(d, at);
    case API_STRINGS:
        if (c == '[')
            return decode_items(d, f, true, at);
        break;
    }
    return wrong_type(d, f, true);
}

static bool
decode_pointer(struct decoder *d, const struct api_field *f, void **ret)
{
    if (f->value == API_STRING)
        return decode_value(d, f, ret);
    if (!*ret)
        *ret = arena_alloc(d->arena, api_value_size(f));
    return decode_value(d, f, *ret);
}

static bool
decode_field(struct decoder *d, const struct api_field *f, void *at)
{
    if (json_peek(&d->s) == 'n') { /* null is the zero value, whatever the type */
        if (f->shape == API_LIST || f->shape == API_MAP)
            *(struct api_list *)at = (struct api_list){ 0 };
        else if (f->shape == API_PTR)
            *(void **)at = NULL;
        return json_scan_literal(&d->s);
    }
    switch ((enum api_shape)f->shape) {
    case API_ONE:
        return decode_value(d, f, at);
    case API_PTR:
        return decode_pointer(d, f, at);
    case API_LIST:
        return decode_list(d, f, at);
    case API_MAP:
        return decode_map(d, f, at);
    }
    return false;
}

/* JSONSchemaPropsOrX: the schema itself, or the other form in its place. */
static bool
decode_schema_or(struct decoder *d, const struct api_type *t, char *body)
{
    char c = json_peek(&d->s);

    for (unsigned i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        if (f->value == API_BOOL && (c == '{' || c == 't'))
            *(bool *)(body + f->offset) = true;
        if ((c == '{' && f->shape == API_PTR) || (c == '[' && f->shape == API_LIST))
            return decode_field(d, f, body + f->offset);
    }
    if ((c == 't' || c == 'f') && t->flags & API_TYPE_SCHEMA_OR_BOOL)
        return json_scan_literal(&d->s);
    if (!json_skip_value(&d->s))
        return false;
    save_error(d, kerr_new(KERR_BAD_REQUEST, "%s or JSON schema expected",
                           t->flags & API_TYPE_SCHEMA_OR_BOOL ? "boolean" : "array"));
    return true;
}

static bool
seen_before(uint64_t seen[SEEN_WORDS], size_t index)
{
    uint64_t bit = 1ull << (index & 63);

    if (index >= SEEN_WORDS * 64)
        return false;
    bool before = seen[index >> 6] & bit;
    seen[index >> 6] |= bit;
    return before;
}

/* One "name": value of a struct; seen is NULL when nothing is to be collected. */
static void
decode_member(struct decoder *d, struct frame *fr, void *body, uint64_t *seen)
{
    struct json_text key;

    d->frame = fr->up;
    if (!json_scan_key(&d->s, &key))
        return;
    plain_text(d, &key);
    const struct api_name *n = api_type_name(fr->type, key.s, key.len);
    if (seen && (!n || seen_before(seen, (size_t)(n - fr->type->names))))
        add_finding(d, n ? "duplicate" : "unknown", key.s, key.len);
    if (!n) {
        json_skip_value(&d->s);
        return;
    }
    fr->name = n->json;
    fr->name_len = n->len;
    d->frame = fr;
    decode_field(d, n->field, (char *)body + n->offset);
}

static bool
decode_struct(struct decoder *d, const struct api_type *t, void *body)
{
    struct frame fr = { .up = d->frame, .type = t };
    uint64_t seen[SEEN_WORDS];

    if (t->flags & (API_TYPE_SCHEMA_OR_ARRAY | API_TYPE_SCHEMA_OR_BOOL | API_TYPE_SCHEMA_OR_STRINGS))
        return decode_schema_or(d, t, body);
    if (d->report)
        memset(seen, 0, sizeof seen);
    if (json_enter(&d->s, '}'))
        do
            decode_member(d, &fr, body, d->report ? seen : NULL);
        while (!d->s.problem && json_next(&d->s, '}'));
    d->frame = fr.up;
    return !d->s.problem;
}

/* ---- entry points ---- */

static void
decoder_done(struct decoder *d)
{
    while (d->top != &d->first) {
        struct scratch *below = d->top->below;
        free(d->top);
        d->top = below;
    }
    free(d->spare);
    sbuf_done(&d->text);
    kerr_free(d->saved);
}

static void
decoder_init(struct decoder *d, struct arena *a, const char *json, size_t len, struct codec_report *report)
{
    d->s = json_scan_init(json, len);
    d->arena = a;
    d->report = report && report->collect ? report : NULL;
    d->frame = NULL;
    d->saved = NULL;
    d->top = &d->first;
    d->spare = NULL;
    d->items_left = ITEMS_BASE + ITEMS_PER_BYTE * len;
    d->text = (struct sbuf){ 0 };
    d->first.below = NULL;
    d->first.size = SCRATCH_FIRST;
    d->first.used = 0;
}

struct kerr *
json_decode(const struct api_type *t, struct arena *a, const char *json, size_t len, struct codec_report *report,
            void *body)
{
    struct decoder d;
    struct api_field whole = { .value = API_MESSAGE, .type = t };

    decoder_init(&d, a, json, len, report);
    if (json_peek(&d.s) == 'n' ? json_scan_literal(&d.s) : decode_value(&d, &whole, body))
        json_scan_end(&d.s);
    struct kerr *err = d.s.problem ? json_scan_error(&d.s) : steal_ptr(d.saved);
    decoder_done(&d);
    return err;
}
