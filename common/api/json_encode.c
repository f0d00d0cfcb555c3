// SPDX-License-Identifier: Apache-2.0
/* Structs of the tables to JSON, byte for byte as Go's encoding/json writes the same values. */
#include "common/api/codec.h"

#include <math.h>
#include <stdio.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/api/json_scan.h"
#include "common/api/values.h"
#include "common/api/walk.h"
#include "common/base/base64.h"

static void encode_fields(const struct api_type *t, const char *body, struct sbuf *out);
static void encode_value(const struct api_field *f, const void *at, struct sbuf *out);

/* ---- bytes; the NUL after them is set once at the end ---- */

static inline char *
room(struct sbuf *b, size_t n)
{
    if (b->cap > b->len + n && !b->max)
        return b->s + b->len;
    return sbuf_reserve(b, n) ? b->s + b->len : NULL;
}

static inline void
put(struct sbuf *b, const char *s, size_t len)
{
    char *w = room(b, len);

    if (w) {
        memcpy(w, s, len);
        b->len += len;
    }
}
#define PUT(b, literal) put((b), (literal), sizeof(literal) - 1)

static inline void
putc_(struct sbuf *b, char c)
{
    char *w = room(b, 1);

    if (w) {
        *w = c;
        b->len++;
    }
}

static void
put_u64(struct sbuf *b, uint64_t n, bool negative)
{
    char buf[24];
    char *p = buf + sizeof buf;

    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    if (negative)
        *--p = '-';
    put(b, p, (size_t)(buf + sizeof buf - p));
}

static void
put_i64(struct sbuf *b, int64_t n)
{
    put_u64(b, n < 0 ? 0 - (uint64_t)n : (uint64_t)n, n < 0);
}

/* ---- strings ---- */

static inline bool
is_special(unsigned char c)
{
    return c < ' ' || c >= 0x80 || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&';
}

/* First byte at or after p that Go would not write as it is (or might not). */
static inline const char *
special_at(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');
    const __m128i amp = _mm_set1_epi8('&');
    const __m128i angle = _mm_set1_epi8('>');
    const __m128i two = _mm_set1_epi8(2);
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash));
        odd = _mm_or_si128(odd, _mm_cmplt_epi8(v, space));
        odd = _mm_or_si128(odd, _mm_cmpeq_epi8(v, amp));
        odd = _mm_or_si128(odd, _mm_cmpeq_epi8(_mm_or_si128(v, two), angle)); /* '<' | 2 == '>' */
        unsigned mask = (unsigned)_mm_movemask_epi8(odd);
        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && !is_special((unsigned char)*p))
        p++;
    return p;
}

/* Writes the special sequence at s; returns its length in the source. */
static size_t
put_special(struct sbuf *b, const char *s, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    static const char names[] = "btn\0fr"; /* of 8..13; 11 has none */
    unsigned char c = (unsigned char)*s;

    if (c >= 0x80) {
        size_t n = utf8_sequence(s, len);
        if (!n)
            PUT(b, "\\ufffd");
        else if (n == 3 && memcmp(s, "\xe2\x80", 2) == 0 && ((unsigned char)s[2] & 0xfe) == 0xa8)
            put(b, s[2] & 1 ? "\\u2029" : "\\u2028", 6);
        else
            put(b, s, n);
        return n ? n : 1;
    }
    if (c == '"' || c == '\\')
        put(b, (char[2]){ '\\', (char)c }, 2);
    else if (c >= 8 && c <= 13 && names[c - 8])
        put(b, (char[2]){ '\\', names[c - 8] }, 2);
    else
        put(b, (char[6]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
    return 1;
}

static void
encode_text(const char *s, size_t len, struct sbuf *out)
{
    const char *end = s + len;

    if (!room(out, len + 2))
        return;
    putc_(out, '"');
    while (s < end) {
        const char *run = special_at(s, end);
        put(out, s, (size_t)(run - s));
        s = run;
        if (s < end)
            s += put_special(out, s, (size_t)(end - s));
    }
    putc_(out, '"');
}

static void
encode_string(const char *s, struct sbuf *out)
{
    s = str_safe(s);
    encode_text(s, strlen(s), out);
}

static void
terminate(struct sbuf *b)
{
    if (b->s)
        b->s[b->len] = '\0';
}

void
json_add_string(struct sbuf *out, const char *s)
{
    encode_string(s, out);
    terminate(out);
}

void
json_add_text(struct sbuf *out, const char *s, size_t len)
{
    encode_text(s, len, out);
    terminate(out);
}

/* ---- other scalars ---- */

/* Shortest text that reads back the same; Go's choice between plain and exponent form. */
static void
encode_float(double v, struct sbuf *out)
{
    char buf[400];
    double size = fabs(v);
    int digits = 0;

    if (!isfinite(v)) {
        PUT(out, "null"); /* Go has no JSON for it; no decoder of ours lets one in */
        return;
    }
    do
        snprintf(buf, sizeof buf, "%.*e", digits, v);
    while (strtod(buf, NULL) != v && ++digits < 17);
    char *e = strchr(buf, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10);
    if (size != 0 && (size < 1e-6 || size >= 1e21)) {
        if (e[1] == '-' && e[2] == '0') /* e-07 is written e-7 */
            memmove(e + 2, e + 3, strlen(e + 3) + 1);
    } else if (digits >= exponent) {
        snprintf(buf, sizeof buf, "%.*f", digits - exponent, v);
    } else { /* the digits that count, then zeros: 18446744073709552000 */
        snprintf(buf, sizeof buf, "%.0f", v);
        memset(buf + (v < 0) + digits + 1, '0', (size_t)(exponent - digits));
        AUTO_FREE char *exact = xasprintf("%.*e", digits, v);
        for (char *from = exact, *to = buf; *from != 'e'; from++)
            if (*from != '.')
                *to++ = *from;
    }
    put(out, buf, strlen(buf));
}

void
json_add_float(struct sbuf *out, double v)
{
    encode_float(v, out);
    terminate(out);
}

static void
encode_bytes(const struct api_bytes *b, struct sbuf *out)
{
    if (!b->data) {
        PUT(out, "null");
        return;
    }
    putc_(out, '"');
    char *w = room(out, BASE64_ENCODED_SIZE((size_t)b->len));
    if (w)
        out->len += base64_encode_to(b->data, b->len, w);
    putc_(out, '"');
}

static void
encode_raw(const struct api_raw *raw, struct sbuf *out)
{
    if (!raw->json || !raw->len || !json_compact(raw->json, raw->len, true, out))
        PUT(out, "null");
}

static void
encode_time(const struct api_field *f, const struct api_time *t, struct sbuf *out)
{
    if (api_time_is_zero(*t)) {
        PUT(out, "null");
        return;
    }
    putc_(out, '"');
    if (f->value == API_TIME)
        api_time_format(*t, out);
    else
        api_time_format_micro(*t, out);
    putc_(out, '"');
}

static void
encode_scalar(const struct api_field *f, const void *at, struct sbuf *out)
{
    switch ((enum api_value)f->value) {
    case API_BOOL:
        if (*(const bool *)at)
            PUT(out, "true");
        else
            PUT(out, "false");
        break;
    case API_I32:
        put_i64(out, *(const int32_t *)at);
        break;
    case API_I64:
        put_i64(out, *(const int64_t *)at);
        break;
    case API_U32:
        put_u64(out, *(const uint32_t *)at, false);
        break;
    case API_U64:
        put_u64(out, *(const uint64_t *)at, false);
        break;
    case API_F64:
        encode_float(*(const double *)at, out);
        break;
    case API_STRING:
        encode_string(*(const char *const *)at, out);
        break;
    case API_BYTES:
        encode_bytes(at, out);
        break;
    case API_QUANTITY:
        encode_string(quantity_text(*(const struct quantity *)at), out);
        break;
    case API_TIME:
    case API_MICRO_TIME:
        encode_time(f, at, out);
        break;
    case API_DURATION:
        putc_(out, '"');
        api_duration_format(*(const struct api_duration *)at, out);
        putc_(out, '"');
        break;
    case API_INT_OR_STRING: {
        const struct int_or_string *v = at;
        if (v->str)
            encode_string(v->str, out);
        else
            put_i64(out, v->num);
        break;
    }
    case API_RAW:
    case API_FIELDS_V1:
        encode_raw(at, out);
        break;
    case API_STRINGS:
    case API_MESSAGE:
        break; /* encode_value() does these */
    }
}

/* ---- lists, maps, structs ---- */

static void
encode_strings(const struct api_list *l, struct sbuf *out)
{
    const char *const *items = l->items;

    if (!items) {
        PUT(out, "null");
        return;
    }
    putc_(out, '[');
    for (uint32_t i = 0; i < l->len; i++) {
        if (i)
            putc_(out, ',');
        encode_string(items[i], out);
    }
    putc_(out, ']');
}

static void
encode_list(const struct api_field *f, const struct api_list *l, struct sbuf *out)
{
    const char *item = l->items;
    uint32_t size = api_value_size(f);

    if (!item) {
        PUT(out, "null");
        return;
    }
    putc_(out, '[');
    for (uint32_t i = 0; i < l->len; i++, item += size) {
        if (i)
            putc_(out, ',');
        encode_value(f, item, out);
    }
    putc_(out, ']');
}

static const char *
key_of(const char *entry)
{
    return str_safe(*(const char *const *)(const void *)entry);
}

static int
entry_cmp(const void *a, const void *b)
{
    return strcmp(key_of(*(const char *const *)a), key_of(*(const char *const *)b));
}

static void
encode_entry(const struct api_field *f, const char *entry, bool first, struct sbuf *out)
{
    if (!first)
        putc_(out, ',');
    encode_string(key_of(entry), out);
    putc_(out, ':');
    encode_value(f, entry + API_ENTRY_VALUE, out);
}

/* Maps are kept sorted; one that is not (built by hand) is put in order here. */
static void
encode_map(const struct api_field *f, const struct api_list *m, struct sbuf *out)
{
    const char *entries = m->items;
    size_t size = api_entry_size(f);
    bool sorted = true;

    if (!entries) {
        PUT(out, "null");
        return;
    }
    for (uint32_t i = 1; i < m->len && sorted; i++)
        sorted = strcmp(key_of(entries + (i - 1) * size), key_of(entries + i * size)) < 0;
    putc_(out, '{');
    if (sorted) {
        for (uint32_t i = 0; i < m->len; i++)
            encode_entry(f, entries + i * size, i == 0, out);
    } else {
        AUTO_FREE const char **order = xreallocarray(NULL, m->len, sizeof *order);
        for (uint32_t i = 0; i < m->len; i++)
            order[i] = entries + i * size;
        qsort(order, m->len, sizeof *order, entry_cmp);
        for (uint32_t i = 0; i < m->len; i++)
            encode_entry(f, order[i], i == 0, out);
    }
    putc_(out, '}');
}

/* JSONSchemaPropsOrX: which of its forms it is in. */
static void
encode_schema_or(const struct api_type *t, const char *body, struct sbuf *out)
{
    bool schema_first = t->fields[0].shape == API_PTR; /* there are two fields */
    const struct api_field *schema = &t->fields[!schema_first];
    const struct api_field *other = &t->fields[schema_first];
    const void *of_schema = *(const void *const *)(const void *)(body + schema->offset);
    const struct api_list *list = (const void *)(body + other->offset);
    if (other->shape == API_LIST && list->len)
        encode_list(other, list, out);
    else if (of_schema)
        encode_value(schema, of_schema, out);
    else if (other->value == API_BOOL && other->shape == API_ONE)
        encode_scalar(other, body + other->offset, out);
    else
        PUT(out, "null");
}

static void
encode_value(const struct api_field *f, const void *at, struct sbuf *out)
{
    if (f->value == API_STRINGS) {
        encode_strings(at, out);
    } else if (f->value != API_MESSAGE) {
        encode_scalar(f, at, out);
    } else if (f->type->flags & (API_TYPE_SCHEMA_OR_ARRAY | API_TYPE_SCHEMA_OR_BOOL | API_TYPE_SCHEMA_OR_STRINGS)) {
        encode_schema_or(f->type, at, out);
    } else {
        putc_(out, '{');
        encode_fields(f->type, at, out);
        putc_(out, '}');
    }
}

/* What Go's omitempty leaves out. */
static bool
is_empty(const struct api_field *f, const void *at)
{
    if (f->shape == API_PTR)
        return !*(const void *const *)at;
    if (f->shape != API_ONE)
        return !((const struct api_list *)at)->len;
    switch ((enum api_value)f->value) {
    case API_BOOL:
        return !*(const bool *)at;
    case API_I32:
    case API_U32:
        return !*(const uint32_t *)at;
    case API_I64:
    case API_U64:
        return !*(const uint64_t *)at;
    case API_F64:
        return *(const double *)at == 0;
    case API_STRING:
        return str_empty(*(const char *const *)at);
    case API_BYTES:
        return !((const struct api_bytes *)at)->len;
    case API_STRINGS:
        return !((const struct api_list *)at)->len;
    default:
        return false;
    }
}

/* What Go's omitzero leaves out as well. */
static bool
is_zero(const struct api_field *f, const char *at)
{
    if (f->shape == API_LIST || f->shape == API_MAP)
        return !((const struct api_list *)(const void *)at)->items;
    if (f->shape == API_PTR)
        return !*(const void *const *)(const void *)at;
    switch ((enum api_value)f->value) {
    case API_TIME:
    case API_MICRO_TIME:
        return api_time_is_zero(*(const struct api_time *)(const void *)at);
    case API_QUANTITY:
        return !((const struct quantity *)(const void *)at)->text;
    case API_DURATION:
        return !((const struct api_duration *)(const void *)at)->ns;
    case API_INT_OR_STRING:
        return !((const struct int_or_string *)(const void *)at)->str && !((const struct int_or_string *)(const void *)at)->num;
    case API_RAW:
    case API_FIELDS_V1:
        return !((const struct api_raw *)(const void *)at)->json;
    case API_MESSAGE:
        for (unsigned i = 0; i < f->type->nfields; i++)
            if (!is_zero(&f->type->fields[i], at + f->type->fields[i].offset))
                return false;
        return true;
    default:
        return is_empty(f, at);
    }
}

static bool
left_out(const struct api_field *f, const char *at)
{
    if (f->flags & API_JSON_HIDDEN)
        return true;
    if (f->flags & API_OMITEMPTY && is_empty(f, at))
        return true;
    return f->flags & API_OMITZERO && is_zero(f, at);
}

bool
json_field_left_out(const struct api_field *f, const void *at)
{
    return left_out(f, at);
}

static void
encode_fields(const struct api_type *t, const char *body, struct sbuf *out)
{
    for (const struct api_field *f = t->fields, *end = f + t->nfields; f < end; f++) {
        const char *at = body + f->offset;
        if (left_out(f, at))
            continue;
        if (!*f->json) {
            encode_fields(f->type, at, out);
            continue;
        }
        if (out->len && out->s[out->len - 1] != '{')
            putc_(out, ',');
        putc_(out, '"');
        put(out, f->json, strlen(f->json));
        PUT(out, "\":");
        switch ((enum api_shape)f->shape) {
        case API_ONE:
            encode_value(f, at, out);
            break;
        case API_PTR: {
            const void *target = api_ptr_target(f, at);
            if (target)
                encode_value(f, target, out);
            else
                PUT(out, "null");
            break;
        }
        case API_LIST:
            encode_list(f, (const struct api_list *)(const void *)at, out);
            break;
        case API_MAP:
            encode_map(f, (const struct api_list *)(const void *)at, out);
            break;
        }
    }
}

void
json_encode(const struct api_type *t, const void *body, struct sbuf *out)
{
    struct api_field whole = { .value = API_MESSAGE, .type = t };

    encode_value(&whole, body, out);
    terminate(out);
}
