// SPDX-License-Identifier: Apache-2.0
/* pb_encode.c - structs to protobuf, byte for byte as gogo's generated code writes them.
 *
 * Written from the last byte to the first: a nested message's length is then known when its header is due, so one
 * pass is enough and nothing is measured beforehand.  Within a message, fields ascend by number.
 *   proto2 (the API): scalars and structs that are no pointers are always written, nil pointers and lists never.
 *   proto3 (CRI): zero scalars are left out, lists of numbers are packed where the row says so. */
#include "common/api/codec.h"
#include "common/api/object_impl.h"
#include "common/api/pb_wire.h"
#include "common/api/values.h"
#include "common/api/walk.h"

struct back { /* the last `len` bytes of s[0..cap) are written; more goes in front */
    uint8_t *s;
    size_t len, cap;
};

#define BACK_FIRST_CAP 4096
#define MAX_FIELDS 128 /* of one message; the largest has 44, a test watches it */

static void put_message(struct back *b, const struct api_type *t, const void *body);
static uint16_t order_by_number(const struct api_type *t, const void *body, uint16_t *order);
static bool field_is_written(const struct api_type *t, const struct api_field *f, const void *at);
static bool scalar_is_zero(const struct api_field *f, const void *at);
static void put_field(struct back *b, const struct api_type *t, const struct api_field *f, const void *at);
static void put_list(struct back *b, const struct api_field *f, const struct api_list *l);
static void put_map(struct back *b, const struct api_field *f, const struct api_list *l);
static void put_value(struct back *b, const struct api_field *f, uint32_t number, const void *at);
static bool put_scalar(struct back *b, const struct api_field *f, const void *at);
static void put_content(struct back *b, const struct api_field *f, const void *at);
static void put_time(struct back *b, struct api_time t, bool micro);
static void put_int_or_string(struct back *b, const struct int_or_string *v);
static void put_strings(struct back *b, uint32_t number, const struct api_list *l);
static void put_blob(struct back *b, uint32_t number, const void *p, size_t len);
static void put_string(struct back *b, uint32_t number, const char *s);
static void put_header(struct back *b, uint32_t number, size_t mark);
static void put_tag(struct back *b, uint32_t number, enum pb_wire wire);
static void put_varint(struct back *b, uint64_t v);
static void put_bytes(struct back *b, const void *p, size_t len);
static void back_grow(struct back *b, size_t more);
static void back_finish(struct back *b, struct sbuf *out);

static inline uint8_t *
back_take(struct back *b, size_t len)
{
    if (b->cap - b->len < len)
        back_grow(b, len);
    b->len += len;
    return b->s + b->cap - b->len;
}

void
pb_encode(const struct api_type *t, const void *body, struct sbuf *out)
{
    struct back b = { 0 };

    put_message(&b, t, body);
    back_finish(&b, out);
}

/* The envelope around what is written: runtime.Unknown, whose raw part began at mark. */
static void
put_envelope(struct back *b, size_t mark, const char *api_version, const char *kind)
{
    put_header(b, PB_UNKNOWN_RAW, mark);
    mark = b->len;
    put_string(b, PB_TYPE_META_KIND, kind);
    put_string(b, PB_TYPE_META_API_VERSION, api_version);
    put_header(b, PB_UNKNOWN_TYPE_META, mark);
    put_bytes(b, PB_MAGIC, PB_MAGIC_LEN);
}

void
object_encode_pb(const struct object *obj, struct sbuf *out)
{
    const struct api_kind *kind = object_kind(obj);
    bool named = object_type_meta(kind->type, object_body(obj)) != NULL; /* WatchEvent has no TypeMeta */
    struct back b = { 0 };
    size_t mark;

    put_string(&b, PB_UNKNOWN_CONTENT_TYPE, "");
    put_string(&b, PB_UNKNOWN_CONTENT_ENCODING, "");
    mark = b.len;
    put_message(&b, kind->type, object_body(obj));
    put_envelope(&b, mark, named ? api_kind_api_version(kind) : "", named ? kind->kind : "");
    back_finish(&b, out);
}

void
list_encode_pb(const struct api_kind *item_kind, const struct list_head_info *head, const struct pb_item *items, size_t n,
               struct sbuf *out)
{
    AUTO_FREE char *kind = xasprintf("%sList", item_kind->kind);
    struct back b = { 0 };
    size_t raw, mark;

    put_string(&b, PB_UNKNOWN_CONTENT_TYPE, "");
    put_string(&b, PB_UNKNOWN_CONTENT_ENCODING, "");
    raw = b.len;
    while (n-- > 0)
        put_blob(&b, PB_LIST_ITEMS, items[n].data, items[n].len);
    mark = b.len;
    if (head->remaining_item_count >= 0) {
        put_varint(&b, (uint64_t)head->remaining_item_count);
        put_tag(&b, PB_LIST_META_REMAINING, PB_VARINT);
    }
    put_string(&b, PB_LIST_META_CONTINUE, head->continue_token);
    put_string(&b, PB_LIST_META_RESOURCE_VERSION, head->resource_version);
    put_string(&b, PB_LIST_META_SELF_LINK, "");
    put_header(&b, PB_LIST_META, mark);
    put_envelope(&b, raw, api_kind_api_version(item_kind), kind);
    back_finish(&b, out);
}

static void
put_message(struct back *b, const struct api_type *t, const void *body)
{
    uint16_t order[MAX_FIELDS];
    uint16_t n = order_by_number(t, body, order);

    while (n > 0) {
        const struct api_field *f = &t->fields[order[--n]];
        put_field(b, t, f, walk_field(f, body));
    }
}

/* Indexes of the fields to write.  Rows are in Go's order, which is nearly the numbers' order: insertion is cheap. */
static uint16_t
order_by_number(const struct api_type *t, const void *body, uint16_t *order)
{
    uint16_t n = 0, at;

    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        if (f->proto == 0 || !field_is_written(t, f, walk_field(f, body)))
            continue;
        for (at = n++; at > 0 && t->fields[order[at - 1]].proto > f->proto; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return n;
}

static bool
field_is_written(const struct api_type *t, const struct api_field *f, const void *at)
{
    switch ((enum api_shape)f->shape) {
    case API_ONE:
        if (t->flags & API_TYPE_PROTO3)
            return !scalar_is_zero(f, at);
        switch ((enum api_value)f->value) { /* Go's named slices can be nil without a pointer */
        case API_BYTES:
            return ((const struct api_bytes *)at)->data != NULL;
        case API_STRINGS:
            return ((const struct api_list *)at)->items != NULL;
        default:
            return true;
        }
    case API_PTR:
        return *(void *const *)at != NULL;
    case API_LIST:
    case API_MAP:
        return ((const struct api_list *)at)->len > 0;
    }
    return false;
}

static bool
scalar_is_zero(const struct api_field *f, const void *at)
{
    switch ((enum api_value)f->value) {
    case API_BOOL:
        return !*(const bool *)at;
    case API_I32:
    case API_U32:
        return *(const uint32_t *)at == 0;
    case API_I64:
    case API_U64:
        return *(const uint64_t *)at == 0;
    case API_F64:
        return *(const double *)at == 0;
    case API_STRING:
        return str_empty(*(const char *const *)at);
    case API_BYTES:
        return ((const struct api_bytes *)at)->len == 0;
    default:
        return false;
    }
}

static void
put_field(struct back *b, const struct api_type *t, const struct api_field *f, const void *at)
{
    switch ((enum api_shape)f->shape) {
    case API_ONE:
        put_value(b, f, f->proto, at);
        break;
    case API_PTR:
        put_value(b, f, f->proto, api_ptr_target(f, at));
        break;
    case API_LIST:
        put_list(b, f, at);
        break;
    case API_MAP:
        put_map(b, f, at);
        break;
    }
}

static void
put_list(struct back *b, const struct api_field *f, const struct api_list *l)
{
    bool packed = (f->flags & API_PROTO_PACKED) && pb_wire_of(f) != PB_BYTES;
    uint32_t size = api_value_size(f);
    size_t mark = b->len;

    for (uint32_t i = l->len; i-- > 0;) {
        if (packed)
            put_scalar(b, f, walk_item(l, size, i));
        else
            put_value(b, f, f->proto, walk_item(l, size, i));
    }
    if (packed)
        put_header(b, f->proto, mark);
}

static void
put_map(struct back *b, const struct api_field *f, const struct api_list *l)
{
    uint32_t size = api_entry_size(f);

    for (uint32_t i = l->len; i-- > 0;) {
        const void *entry = walk_item(l, size, i), *value = walk_entry_value(entry);
        size_t mark = b->len;
        if (f->value != API_BYTES || ((const struct api_bytes *)value)->data)
            put_value(b, f, PB_MAP_VALUE, value);
        put_string(b, PB_MAP_KEY, walk_key(entry));
        put_header(b, f->proto, mark);
    }
}

/* One value with its tag in front. */
static void
put_value(struct back *b, const struct api_field *f, uint32_t number, const void *at)
{
    size_t mark = b->len;

    if (put_scalar(b, f, at)) {
        put_tag(b, number, pb_wire_of(f));
    } else {
        put_content(b, f, at);
        put_header(b, number, mark);
    }
}

/* False: it is no scalar, nothing is written. */
static bool
put_scalar(struct back *b, const struct api_field *f, const void *at)
{
    switch ((enum api_value)f->value) {
    case API_BOOL:
        put_varint(b, *(const bool *)at);
        return true;
    case API_I32: /* negative numbers take ten bytes, as in Go */
        put_varint(b, (uint64_t)(int64_t) * (const int32_t *)at);
        return true;
    case API_U32:
        put_varint(b, *(const uint32_t *)at);
        return true;
    case API_I64:
    case API_U64:
        put_varint(b, *(const uint64_t *)at);
        return true;
    case API_F64: {
        uint64_t bits;
        uint8_t *p = back_take(b, 8);
        memcpy(&bits, at, 8);
        for (int i = 0; i < 8; i++)
            p[i] = (uint8_t)(bits >> (8 * i));
        return true;
    }
    default:
        return false;
    }
}

static void
put_content(struct back *b, const struct api_field *f, const void *at)
{
    switch ((enum api_value)f->value) {
    case API_STRING: {
        const char *s = str_safe(*(const char *const *)at);
        put_bytes(b, s, strlen(s));
        break;
    }
    case API_BYTES: {
        const struct api_bytes *v = at;
        put_bytes(b, v->data, v->len);
        break;
    }
    case API_QUANTITY:
        put_string(b, PB_WRAPPED, quantity_text(*(const struct quantity *)at));
        break;
    case API_TIME:
        put_time(b, *(const struct api_time *)at, false);
        break;
    case API_MICRO_TIME:
        put_time(b, *(const struct api_time *)at, true);
        break;
    case API_DURATION:
        put_varint(b, (uint64_t)((const struct api_duration *)at)->ns);
        put_tag(b, PB_WRAPPED, PB_VARINT);
        break;
    case API_INT_OR_STRING:
        put_int_or_string(b, at);
        break;
    case API_RAW:
    case API_FIELDS_V1: {
        const struct api_raw *r = at;
        if (r->json)
            put_blob(b, PB_WRAPPED, r->json, r->len);
        break;
    }
    case API_STRINGS:
        put_strings(b, PB_WRAPPED, at);
        break;
    case API_MESSAGE:
        put_message(b, f->type, at);
        break;
    default: /* scalars: put_scalar() took them */
        break;
    }
}

/* The unset time is an empty message.  Time carries whole seconds only, MicroTime whole microseconds. */
static void
put_time(struct back *b, struct api_time t, bool micro)
{
    if (api_time_is_zero(t))
        return;
    put_varint(b, micro ? (uint64_t)(t.nsec / 1000 * 1000) : 0);
    put_tag(b, PB_TIME_NANOS, PB_VARINT);
    put_varint(b, (uint64_t)api_time_unix(t));
    put_tag(b, PB_TIME_SECONDS, PB_VARINT);
}

static void
put_int_or_string(struct back *b, const struct int_or_string *v)
{
    put_string(b, PB_INT_OR_STRING_STR, v->str);
    put_varint(b, (uint64_t)(int64_t)(v->str ? 0 : v->num));
    put_tag(b, PB_INT_OR_STRING_INT, PB_VARINT);
    put_varint(b, v->str != NULL);
    put_tag(b, PB_INT_OR_STRING_TYPE, PB_VARINT);
}

static void
put_strings(struct back *b, uint32_t number, const struct api_list *l)
{
    for (uint32_t i = l->len; i-- > 0;)
        put_string(b, number, ((const char *const *)l->items)[i]);
}

static void
put_string(struct back *b, uint32_t number, const char *s)
{
    put_blob(b, number, str_safe(s), strlen(str_safe(s)));
}

static void
put_blob(struct back *b, uint32_t number, const void *p, size_t len)
{
    size_t mark = b->len;

    put_bytes(b, p, len);
    put_header(b, number, mark);
}

/* Tag and length of what was written since `mark`. */
static void
put_header(struct back *b, uint32_t number, size_t mark)
{
    put_varint(b, b->len - mark);
    put_tag(b, number, PB_BYTES);
}

static void
put_tag(struct back *b, uint32_t number, enum pb_wire wire)
{
    put_varint(b, (uint64_t)number << 3 | wire);
}

static void
put_varint(struct back *b, uint64_t v)
{
    uint8_t *p;
    size_t n = 1;

    for (uint64_t rest = v >> 7; rest; rest >>= 7)
        n++;
    p = back_take(b, n);
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p = (uint8_t)v;
}

static void
put_bytes(struct back *b, const void *p, size_t len)
{
    if (len)
        memcpy(back_take(b, len), p, len);
}

static void
back_grow(struct back *b, size_t more)
{
    size_t cap = b->cap ? b->cap : BACK_FIRST_CAP;
    uint8_t *s;

    while (cap - b->len < more)
        cap *= 2;
    s = xmalloc(cap);
    if (b->len)
        memcpy(s + cap - b->len, b->s + b->cap - b->len, b->len);
    free(b->s);
    b->s = s;
    b->cap = cap;
}

static void
back_finish(struct back *b, struct sbuf *out)
{
    if (b->len)
        sbuf_add(out, b->s + b->cap - b->len, b->len);
    free(b->s);
}
