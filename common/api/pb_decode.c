// SPDX-License-Identifier: Apache-2.0
/* pb_decode.c - protobuf to structs.
 * Survives any bytes: every length is checked against its enclosing message, nesting is bounded, unknown fields are
 * skipped, fields may come in any order and repeat (the last one wins, messages merge), lists may come packed or not.
 * UTF-8 is not checked, as upstream does not; a NUL inside a string is refused, because our strings end at one. */
#include <string.h>

#include "common/api/codec.h"
#include "common/api/pb_wire.h"
#include "common/api/values.h"
#include "common/api/walk.h"

struct reader {
    const uint8_t *at, *end;
};

struct decoder {
    struct arena *arena;
    unsigned depth;
    size_t items_left;           /* bytes that list items and messages behind pointers may still take */
    const struct api_type *type; /* being decoded, for messages */
    const struct api_field *field;
};

struct token { /* one field on the wire */
    uint32_t number;
    enum pb_wire wire;
    uint64_t n;           /* PB_VARINT, PB_FIXED64, PB_FIXED32 */
    struct reader bytes;  /* PB_BYTES */
};

#define MAX_LIST_LEN (1u << 26) /* items; a message of wire size bounds it long before */

/* Two bytes on the wire can ask for an item of 400 bytes; real objects stay far below this (json_decode.c has the same). */
enum { ITEMS_BASE = 1 << 20, ITEMS_PER_BYTE = 32 };
static const char too_big[] = "exceeded max decoded size";
static bool afford(struct decoder *d, size_t size);

static struct kerr *decode_message(struct decoder *d, const struct api_type *t, struct reader r, void *body) MUST_CHECK;
static struct kerr *decode_message_(struct decoder *d, const struct api_type *t, struct reader r, void *body) MUST_CHECK;
static const struct api_field *find_field(const struct api_type *t, uint32_t number, uint16_t *hint);
static struct kerr *decode_field(struct decoder *d, const struct api_field *f, const struct token *tok,
                                 const struct reader *rest, void *at, bool *unsorted) MUST_CHECK;
static struct kerr *decode_list_item(struct decoder *d, const struct api_field *f, const struct token *tok,
                                     const struct reader *rest, struct api_list *l) MUST_CHECK;
static struct kerr *decode_packed(struct decoder *d, const struct api_field *f, struct reader r, struct api_list *l) MUST_CHECK;
static struct kerr *decode_entry(struct decoder *d, const struct api_field *f, const struct token *tok,
                                 const struct reader *rest, struct api_list *l, bool *unsorted) MUST_CHECK;
static struct kerr *decode_value(struct decoder *d, const struct api_field *f, const struct token *tok, void *at) MUST_CHECK;
static struct kerr *decode_wrapped(struct decoder *d, const struct api_field *f, struct reader r, void *at) MUST_CHECK;
static struct kerr *take_wrapped(struct decoder *d, const struct api_field *f, const struct token *tok, void *at) MUST_CHECK;
static void finish_wrapped(const struct api_field *f, bool seen, void *at);
static struct kerr *take_string(struct decoder *d, struct reader r, const char **ret) MUST_CHECK;
/* NULL: over the bound. */
static void *list_append(struct decoder *d, struct api_list *l, uint32_t item_size, const struct token *tok, const struct reader *rest);
static void sort_maps(struct decoder *d, const struct api_type *t, void *body);
static void sort_map(struct decoder *d, struct api_list *l, uint32_t size);
static bool read_token(struct reader *r, struct token *ret);
static bool skip_group(struct reader *r, uint32_t number);
static bool read_varint(struct reader *r, uint64_t *ret);
static bool read_fixed(struct reader *r, unsigned size, uint64_t *ret);
static struct kerr *broken(const struct decoder *d, const char *what) MUST_CHECK;

struct envelope {
    const char *api_version, *kind;
    struct reader raw;
    const char *content_encoding, *content_type;
};
static struct kerr *read_envelope(struct decoder *d, const void *data, size_t len, struct envelope *ret) MUST_CHECK;
static struct kerr *read_type_meta(struct decoder *d, struct reader r, struct envelope *ret) MUST_CHECK;
static struct kerr *read_list_meta(struct decoder *d, struct reader r, struct list_head_info *ret) MUST_CHECK;
static struct kerr *read_list(struct decoder *d, struct reader r, const struct api_kind *item_kind,
                              void (*item_fn)(struct object *obj, void *arg), void *arg, struct list_head_info *ret) MUST_CHECK;
static struct kerr *check_kind(const struct envelope *env, const struct api_kind **kind) MUST_CHECK;
static char *reader_strdup(struct reader r);

struct kerr *
pb_decode(const struct api_type *t, struct arena *a, const void *data, size_t len, void *body)
{
    struct decoder d = { .arena = a, .items_left = ITEMS_BASE + ITEMS_PER_BYTE * len };

    if (!data)
        data = "";
    return decode_message(&d, t, (struct reader){ data, (const uint8_t *)data + len }, body);
}

struct kerr *
object_decode_pb(const void *data, size_t len, const struct api_kind *kind, struct object **ret)
{
    AUTO(arena) *scratch = arena_new(256);
    struct decoder d = { .arena = scratch };
    struct envelope env = { 0 };
    AUTO(object) *obj = NULL;
    struct kerr *err;

    err = read_envelope(&d, data, len, &env);
    if (!err)
        err = check_kind(&env, &kind);
    if (err)
        return err;
    if (str_eq(env.content_type, "application/json"))
        return object_decode_json((const char *)env.raw.at, (size_t)(env.raw.end - env.raw.at), kind, NULL, ret);

    obj = object_new(kind);
    err = pb_decode(kind->type, object_arena(obj), env.raw.at, (size_t)(env.raw.end - env.raw.at), object_body(obj));
    if (err)
        return err;
    *ret = steal_ptr(obj);
    return NULL;
}

struct kerr *
list_decode_pb(const void *data, size_t len, const struct api_kind *item_kind,
               void (*item_fn)(struct object *obj, void *arg), void *arg, struct list_head_info *ret)
{
    AUTO(arena) *scratch = arena_new(256);
    struct decoder d = { .arena = scratch };
    struct envelope env = { 0 };
    struct list_head_info info = { .remaining_item_count = -1 };
    struct kerr *err;

    err = read_envelope(&d, data, len, &env);
    if (!err)
        err = read_list(&d, env.raw, item_kind, item_fn, arg, &info);
    if (err) {
        list_head_info_done(&info);
        return err;
    }
    *ret = info;
    return NULL;
}

/* --- envelope and lists --- */

static struct kerr *
read_envelope(struct decoder *d, const void *data, size_t len, struct envelope *ret)
{
    struct reader r = { data, (const uint8_t *)data + len };
    struct token tok;
    struct kerr *err = NULL;

    ret->raw.at = ret->raw.end = (const uint8_t *)"";
    if (len < PB_MAGIC_LEN || memcmp(data, PB_MAGIC, PB_MAGIC_LEN) != 0)
        return kerr_new(KERR_BAD_REQUEST, "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
    r.at += PB_MAGIC_LEN;
    while (r.at < r.end && !err) {
        if (!read_token(&r, &tok))
            return broken(d, "unexpected EOF or illegal tag in the envelope (runtime.Unknown)");
        if (tok.wire != PB_BYTES)
            continue;
        switch (tok.number) {
        case PB_UNKNOWN_TYPE_META:
            err = read_type_meta(d, tok.bytes, ret);
            break;
        case PB_UNKNOWN_RAW:
            ret->raw = tok.bytes;
            break;
        case PB_UNKNOWN_CONTENT_ENCODING:
            err = take_string(d, tok.bytes, &ret->content_encoding);
            break;
        case PB_UNKNOWN_CONTENT_TYPE:
            err = take_string(d, tok.bytes, &ret->content_type);
            break;
        }
    }
    if (!err && !str_empty(ret->content_encoding))
        err = kerr_new(KERR_BAD_REQUEST, "unable to decode protobuf: content encoding \"%s\" is not supported", ret->content_encoding);
    return err;
}

static struct kerr *
read_type_meta(struct decoder *d, struct reader r, struct envelope *ret)
{
    struct token tok;
    struct kerr *err = NULL;

    while (r.at < r.end && !err) {
        if (!read_token(&r, &tok))
            return broken(d, "unexpected EOF or illegal tag in TypeMeta");
        if (tok.wire == PB_BYTES && tok.number == PB_TYPE_META_API_VERSION)
            err = take_string(d, tok.bytes, &ret->api_version);
        else if (tok.wire == PB_BYTES && tok.number == PB_TYPE_META_KIND)
            err = take_string(d, tok.bytes, &ret->kind);
    }
    return err;
}

/* The wanted kind rules; what the data says must not contradict it. */
static struct kerr *
check_kind(const struct envelope *env, const struct api_kind **kind)
{
    if (!*kind) {
        *kind = api_kind_find(str_safe(env->api_version), str_safe(env->kind));
        if (*kind)
            return NULL;
        return kerr_new(KERR_BAD_REQUEST, "no kind \"%s\" is registered for version \"%s\"", str_safe(env->kind), str_safe(env->api_version));
    }
    if (api_kind_find(str_or(env->api_version, api_kind_api_version(*kind)), str_or(env->kind, (*kind)->kind)) != *kind)
        return kerr_new(KERR_BAD_REQUEST, "%s in version \"%s\" cannot be handled as a %s", str_safe(env->kind),
                        str_safe(env->api_version), (*kind)->kind);
    return NULL;
}

static struct kerr *
read_list(struct decoder *d, struct reader r, const struct api_kind *item_kind,
          void (*item_fn)(struct object *obj, void *arg), void *arg, struct list_head_info *ret)
{
    struct token tok;

    while (r.at < r.end) {
        struct kerr *err = NULL;
        if (!read_token(&r, &tok))
            return broken(d, "unexpected EOF or illegal tag in the list");
        if (tok.wire != PB_BYTES)
            continue;
        if (tok.number == PB_LIST_META) {
            err = read_list_meta(d, tok.bytes, ret);
        } else if (tok.number == PB_LIST_ITEMS) {
            struct object *obj = object_new(item_kind);
            err = pb_decode(item_kind->type, object_arena(obj), tok.bytes.at, (size_t)(tok.bytes.end - tok.bytes.at), object_body(obj));
            if (err)
                object_unref(obj);
            else
                item_fn(obj, arg);
        }
        if (err)
            return err;
    }
    return NULL;
}

static struct kerr *
read_list_meta(struct decoder *d, struct reader r, struct list_head_info *ret)
{
    struct token tok;

    while (r.at < r.end) {
        if (!read_token(&r, &tok))
            return broken(d, "unexpected EOF or illegal tag in ListMeta");
        if (tok.number == PB_LIST_META_REMAINING && tok.wire == PB_VARINT) {
            ret->remaining_item_count = (int64_t)tok.n;
        } else if (tok.wire == PB_BYTES &&
                   (tok.number == PB_LIST_META_RESOURCE_VERSION || tok.number == PB_LIST_META_CONTINUE)) {
            char **at = tok.number == PB_LIST_META_CONTINUE ? &ret->continue_token : &ret->resource_version;
            free(*at);
            *at = reader_strdup(tok.bytes);
        }
    }
    return NULL;
}

/* --- messages --- */

static struct kerr *
decode_message(struct decoder *d, const struct api_type *t, struct reader r, void *body)
{
    const struct api_type *outer_type = d->type;
    const struct api_field *outer_field = d->field;
    struct kerr *err;

    if (d->depth >= CODEC_MAX_DEPTH)
        return broken(d, "nested too deeply");
    d->depth++;
    d->type = t;
    d->field = NULL;
    err = decode_message_(d, t, r, body);
    d->depth--;
    d->type = outer_type;
    d->field = outer_field;
    return err;
}

static struct kerr *
decode_message_(struct decoder *d, const struct api_type *t, struct reader r, void *body)
{
    uint16_t hint = 0;
    bool unsorted = false;
    struct token tok;

    while (r.at < r.end) {
        struct kerr *err;
        d->field = NULL;
        if (!read_token(&r, &tok))
            return broken(d, "unexpected EOF, illegal tag or wire type");
        d->field = find_field(t, tok.number, &hint);
        if (!d->field)
            continue;
        err = decode_field(d, d->field, &tok, &r, walk_field(d->field, body), &unsorted);
        if (err)
            return err;
    }
    if (unsorted)
        sort_maps(d, t, body);
    return NULL;
}

/* Looks on from the field found before: numbers mostly come in the order of the rows. */
static const struct api_field *
find_field(const struct api_type *t, uint32_t number, uint16_t *hint)
{
    for (uint16_t n = 0, i = *hint; n < t->nfields; n++, i++) {
        if (i >= t->nfields)
            i = 0;
        if (t->fields[i].proto == number) {
            *hint = i;
            return &t->fields[i];
        }
    }
    return NULL;
}

static struct kerr *
decode_field(struct decoder *d, const struct api_field *f, const struct token *tok, const struct reader *rest, void *at,
             bool *unsorted)
{
    switch ((enum api_shape)f->shape) {
    case API_ONE:
        return decode_value(d, f, tok, at);
    case API_PTR: {
        void **p = at;
        if (f->value == API_STRING)
            return decode_value(d, f, tok, at);
        if (!*p && !afford(d, api_value_size(f)))
            return broken(d, too_big);
        if (!*p)
            *p = arena_alloc(d->arena, api_value_size(f));
        return decode_value(d, f, tok, *p);
    }
    case API_LIST:
        if (tok->wire == PB_BYTES && pb_wire_of(f) != PB_BYTES)
            return decode_packed(d, f, tok->bytes, at);
        return decode_list_item(d, f, tok, rest, at);
    case API_MAP:
        return decode_entry(d, f, tok, rest, at, unsorted);
    }
    return NULL;
}

static struct kerr *
decode_list_item(struct decoder *d, const struct api_field *f, const struct token *tok, const struct reader *rest,
                 struct api_list *l)
{
    void *item = list_append(d, l, api_value_size(f), tok, rest);

    return item ? decode_value(d, f, tok, item) : broken(d, too_big);
}

static struct kerr *
decode_packed(struct decoder *d, const struct api_field *f, struct reader r, struct api_list *l)
{
    struct token tok = { .wire = pb_wire_of(f) };

    while (r.at < r.end) {
        struct kerr *err;
        bool ok = tok.wire == PB_VARINT ? read_varint(&r, &tok.n) : read_fixed(&r, 8, &tok.n);
        if (!ok)
            return broken(d, "unexpected EOF in a packed list");
        void *item = list_append(d, l, api_value_size(f), NULL, NULL);
        err = item ? decode_value(d, f, &tok, item) : broken(d, too_big);
        if (err)
            return err;
    }
    return NULL;
}

static struct kerr *
decode_entry(struct decoder *d, const struct api_field *f, const struct token *tok, const struct reader *rest,
             struct api_list *l, bool *unsorted)
{
    uint32_t size = api_entry_size(f);
    struct reader r = tok->bytes;
    const char *key = "";
    struct token part;
    void *entry;

    if (tok->wire != PB_BYTES)
        return broken(d, "wrong wire type of a map entry");
    entry = list_append(d, l, size, tok, rest);
    if (!entry)
        return broken(d, too_big);
    while (r.at < r.end) {
        struct kerr *err = NULL;
        if (!read_token(&r, &part))
            return broken(d, "unexpected EOF or illegal tag in a map entry");
        if (part.number == PB_MAP_KEY)
            err = part.wire == PB_BYTES ? take_string(d, part.bytes, &key) : broken(d, "wrong wire type of a map key");
        else if (part.number == PB_MAP_VALUE)
            err = decode_value(d, f, &part, walk_entry_value(entry));
        if (err)
            return err;
    }
    *(const char **)entry = key;
    if (l->len > 1 && strcmp(walk_key((char *)entry - size), key) >= 0)
        *unsorted = true;
    return NULL;
}

/* --- values --- */

static struct kerr *
decode_value(struct decoder *d, const struct api_field *f, const struct token *tok, void *at)
{
    if (tok->wire != pb_wire_of(f))
        return broken(d, "wrong wire type");
    switch ((enum api_value)f->value) {
    case API_BOOL:
        *(bool *)at = tok->n != 0;
        return NULL;
    case API_I32:
    case API_U32:
        *(uint32_t *)at = (uint32_t)tok->n;
        return NULL;
    case API_I64:
    case API_U64:
    case API_F64:
        memcpy(at, &tok->n, 8);
        return NULL;
    case API_STRING:
        return take_string(d, tok->bytes, at);
    case API_BYTES: {
        struct api_bytes *b = at;
        b->len = (uint32_t)(tok->bytes.end - tok->bytes.at);
        b->data = arena_memdup(d->arena, tok->bytes.at, b->len);
        return NULL;
    }
    case API_MESSAGE:
        return decode_message(d, f->type, tok->bytes, at);
    default:
        return decode_wrapped(d, f, tok->bytes, at);
    }
}

/* Values that are small messages of their own on the wire: Quantity, Time, IntOrString, ... */
static struct kerr *
decode_wrapped(struct decoder *d, const struct api_field *f, struct reader r, void *at)
{
    bool seen = r.at < r.end;
    struct token tok;

    if (f->value == API_TIME || f->value == API_MICRO_TIME) /* no merging: this value replaces an earlier one */
        *(struct api_time *)at = seen ? api_time_from_unix(0) : (struct api_time){ 0 };
    else if (f->value == API_STRINGS && !((struct api_list *)at)->items)
        ((struct api_list *)at)->items = arena_alloc(d->arena, 8);
    while (r.at < r.end) {
        struct kerr *err;
        if (!read_token(&r, &tok))
            return broken(d, "unexpected EOF or illegal tag");
        err = take_wrapped(d, f, &tok, at);
        if (err)
            return err;
    }
    finish_wrapped(f, seen, at);
    return NULL;
}

static struct kerr *
take_wrapped(struct decoder *d, const struct api_field *f, const struct token *tok, void *at)
{
    bool is_text = tok->number == PB_WRAPPED && tok->wire == PB_BYTES;

    switch ((enum api_value)f->value) {
    case API_QUANTITY: {
        const char *text = "";
        struct kerr *err;
        if (!is_text)
            return NULL;
        err = take_string(d, tok->bytes, &text);
        if (err)
            return err;
        return quantity_parse(text, strlen(text), d->arena, at);
    }
    case API_TIME: /* whole seconds only, as upstream reads it */
    case API_MICRO_TIME: {
        struct api_time *t = at;
        if (tok->number == PB_TIME_SECONDS && tok->wire == PB_VARINT)
            t->sec = (int64_t)(tok->n + (uint64_t)API_TIME_UNIX_EPOCH);
        else if (tok->number == PB_TIME_NANOS && tok->wire == PB_VARINT && f->value == API_MICRO_TIME)
            t->nsec = (int32_t)(tok->n % 1000000000u / 1000 * 1000);
        return NULL;
    }
    case API_DURATION:
        if (tok->number == PB_WRAPPED && tok->wire == PB_VARINT)
            ((struct api_duration *)at)->ns = (int64_t)tok->n;
        return NULL;
    case API_INT_OR_STRING: {
        struct int_or_string *v = at;
        if (tok->number == PB_INT_OR_STRING_TYPE && tok->wire == PB_VARINT)
            v->str = tok->n ? str_safe(v->str) : NULL;
        else if (tok->number == PB_INT_OR_STRING_INT && tok->wire == PB_VARINT)
            v->num = (int32_t)tok->n;
        else if (tok->number == PB_INT_OR_STRING_STR && tok->wire == PB_BYTES && v->str)
            return take_string(d, tok->bytes, &v->str);
        return NULL;
    }
    case API_RAW:
    case API_FIELDS_V1:
        if (is_text) {
            struct api_raw *raw = at;
            raw->len = (uint32_t)(tok->bytes.end - tok->bytes.at);
            raw->json = arena_strndup(d->arena, (const char *)tok->bytes.at, raw->len);
        }
        return NULL;
    case API_STRINGS:
        if (!is_text)
            return NULL;
        const char **item = list_append(d, at, sizeof(char *), NULL, NULL);
        return item ? take_string(d, tok->bytes, item) : broken(d, too_big);
    default:
        return NULL;
    }
}

static void
finish_wrapped(const struct api_field *f, bool seen, void *at)
{
    if (f->value == API_INT_OR_STRING && seen && ((struct int_or_string *)at)->str)
        ((struct int_or_string *)at)->num = 0;
}

static struct kerr *
take_string(struct decoder *d, struct reader r, const char **ret)
{
    size_t len = (size_t)(r.end - r.at);

    if (len == 0) {
        *ret = "";
        return NULL;
    }
    if (memchr(r.at, 0, len))
        return broken(d, "string with a NUL character");
    *ret = arena_strndup(d->arena, (const char *)r.at, len);
    return NULL;
}

/* --- lists and maps --- */

/* How many more items of the same list follow at once; so that a list grows once, by the right amount. */
static uint32_t
count_run(const struct token *first, struct reader r)
{
    struct token tok;
    uint32_t n = 0;

    while (r.at < r.end && n < MAX_LIST_LEN && read_token(&r, &tok) && tok.number == first->number && tok.wire == first->wire)
        n++;
    return n;
}

static bool
afford(struct decoder *d, size_t size)
{
    if (d->items_left < size)
        return false;
    d->items_left -= size;
    return true;
}

static void *
list_append(struct decoder *d, struct api_list *l, uint32_t item_size, const struct token *tok, const struct reader *rest)
{
    if (l->len == l->cap) {
        uint32_t more = tok ? 1 + count_run(tok, *rest) : 4;
        uint32_t cap = l->cap + (more > l->cap / 2 ? more : l->cap / 2);
        if (!afford(d, (size_t)(cap - l->cap) * item_size))
            return NULL;
        l->items = arena_grow(d->arena, l->items, (size_t)l->cap * item_size, (size_t)cap * item_size);
        l->cap = cap;
    }
    return walk_item(l, item_size, l->len++);
}

static void
sort_maps(struct decoder *d, const struct api_type *t, void *body)
{
    for (uint16_t i = 0; i < t->nfields; i++)
        if (t->fields[i].shape == API_MAP)
            sort_map(d, walk_field(&t->fields[i], body), api_entry_size(&t->fields[i]));
}

static int
entry_ptr_cmp(const void *a, const void *b)
{
    const void *ea = *(void *const *)a, *eb = *(void *const *)b;
    int cmp = strcmp(walk_key(ea), walk_key(eb));

    return cmp ? cmp : (ea < eb ? -1 : ea > eb);
}

/* By key; of equal keys the last one stays. */
static void
sort_map(struct decoder *d, struct api_list *l, uint32_t size)
{
    AUTO_FREE const void **order = NULL;
    uint32_t n = 0;
    char *sorted;

    if (l->len < 2)
        return;
    order = xcalloc(l->len, sizeof(*order));
    for (uint32_t i = 0; i < l->len; i++)
        order[i] = walk_item(l, size, i);
    qsort(order, l->len, sizeof(*order), entry_ptr_cmp);
    sorted = arena_alloc(d->arena, (size_t)l->len * size);
    for (uint32_t i = 0; i < l->len; i++) {
        if (i + 1 < l->len && strcmp(walk_key(order[i]), walk_key(order[i + 1])) == 0)
            continue;
        memcpy(sorted + (size_t)n++ * size, order[i], size);
    }
    l->items = sorted;
    l->cap = l->len;
    l->len = n;
}

/* --- the wire --- */

static bool
read_token(struct reader *r, struct token *ret)
{
    uint64_t tag;

    if (!read_varint(r, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
        return false;
    ret->number = (uint32_t)(tag >> 3);
    ret->wire = (enum pb_wire)(tag & 7);
    switch (ret->wire) {
    case PB_VARINT:
        return read_varint(r, &ret->n);
    case PB_FIXED64:
        return read_fixed(r, 8, &ret->n);
    case PB_FIXED32:
        return read_fixed(r, 4, &ret->n);
    case PB_BYTES: {
        uint64_t len;
        if (!read_varint(r, &len) || len > (uint64_t)(r->end - r->at) || len > INT32_MAX)
            return false;
        ret->bytes = (struct reader){ r->at, r->at + len };
        r->at += len;
        return true;
    }
    case PB_GROUP:
        return skip_group(r, ret->number);
    default:
        return false;
    }
}

/* Groups are long dead, but legal unknown fields.  Counts nesting, does not recurse. */
static bool
skip_group(struct reader *r, uint32_t number)
{
    unsigned depth = 1;
    uint64_t tag, n;

    while (depth > 0) {
        if (!read_varint(r, &tag) || tag >> 3 == 0)
            return false;
        switch (tag & 7) {
        case PB_GROUP:
            if (++depth > CODEC_MAX_DEPTH)
                return false;
            break;
        case PB_GROUP_END:
            if (--depth == 0 && tag >> 3 != number)
                return false;
            break;
        case PB_VARINT:
            if (!read_varint(r, &n))
                return false;
            break;
        case PB_FIXED64:
            if (!read_fixed(r, 8, &n))
                return false;
            break;
        case PB_FIXED32:
            if (!read_fixed(r, 4, &n))
                return false;
            break;
        case PB_BYTES:
            if (!read_varint(r, &n) || n > (uint64_t)(r->end - r->at))
                return false;
            r->at += n;
            break;
        default:
            return false;
        }
    }
    return true;
}

static bool
read_varint(struct reader *r, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t c = *r->at++;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool
read_fixed(struct reader *r, unsigned size, uint64_t *ret)
{
    uint64_t v = 0;

    if ((size_t)(r->end - r->at) < size)
        return false;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)r->at[i] << (8 * i);
    r->at += size;
    *ret = v;
    return true;
}

static char *
reader_strdup(struct reader r)
{
    return xstrndup((const char *)r.at, (size_t)(r.end - r.at));
}

static struct kerr *
broken(const struct decoder *d, const char *what)
{
    if (d->type && d->field)
        return kerr_new(KERR_BAD_REQUEST, "proto: %s.%s: %s", d->type->name, str_or(d->field->json, "(inlined)"), what);
    if (d->type)
        return kerr_new(KERR_BAD_REQUEST, "proto: %s: %s", d->type->name, what);
    return kerr_new(KERR_BAD_REQUEST, "proto: %s", what);
}
