// SPDX-License-Identifier: Apache-2.0
/* equal.c - semantic equality of two structs of one type, as upstream's equality.Semantic sees it. */
#include <string.h>

#include "common/api/codec.h"
#include "common/api/values.h"
#include "common/api/walk.h"

static bool field_equal(const struct api_field *f, const void *a, const void *b);
static bool list_equal(const struct api_field *f, const struct api_list *a, const struct api_list *b);
static bool value_equal(const struct api_field *f, const void *a, const void *b);
static bool bytes_equal(const void *a, uint32_t alen, const void *b, uint32_t blen);
static bool strings_equal(const struct api_list *a, const struct api_list *b);
static bool int_or_string_equal(const struct int_or_string *a, const struct int_or_string *b);

bool
api_equal(const struct api_type *t, const void *a, const void *b)
{
    if (a == b)
        return true;
    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        if (!field_equal(f, walk_field(f, a), walk_field(f, b)))
            return false;
    }
    return true;
}

static bool
field_equal(const struct api_field *f, const void *a, const void *b)
{
    switch ((enum api_shape)f->shape) {
    case API_ONE:
        return value_equal(f, a, b);
    case API_PTR: {
        const void *pa = api_ptr_target(f, a), *pb = api_ptr_target(f, b);
        if (!pa || !pb)
            return pa == pb;
        return value_equal(f, pa, pb);
    }
    case API_LIST:
    case API_MAP:
        return list_equal(f, a, b);
    }
    return false;
}

static bool
list_equal(const struct api_field *f, const struct api_list *a, const struct api_list *b)
{
    bool map = f->shape == API_MAP;
    uint32_t size;

    if (a->len != b->len)
        return false;
    if (a->items == b->items)
        return true;
    size = map ? api_entry_size(f) : api_value_size(f);
    for (uint32_t i = 0; i < a->len; i++) {
        const void *ia = walk_item(a, size, i), *ib = walk_item(b, size, i);
        if (map) {
            if (strcmp(walk_key(ia), walk_key(ib)) != 0)
                return false;
            ia = walk_entry_value(ia);
            ib = walk_entry_value(ib);
        }
        if (!value_equal(f, ia, ib))
            return false;
    }
    return true;
}

#define SAME(type) (*(const type *)a == *(const type *)b)

static bool
value_equal(const struct api_field *f, const void *a, const void *b)
{
    switch ((enum api_value)f->value) {
    case API_BOOL:
        return SAME(bool);
    case API_I32:
    case API_U32:
        return SAME(uint32_t);
    case API_I64:
    case API_U64:
        return SAME(uint64_t);
    case API_F64:
        return SAME(double);
    case API_STRING: {
        const char *sa = *(const char *const *)a, *sb = *(const char *const *)b;
        return sa == sb || str_eq(sa, sb);
    }
    case API_BYTES: {
        const struct api_bytes *ba = a, *bb = b;
        return bytes_equal(ba->data, ba->len, bb->data, bb->len);
    }
    case API_QUANTITY: {
        const struct quantity *qa = a, *qb = b;
        return qa->text == qb->text || str_eq(qa->text, qb->text) || quantity_cmp(*qa, *qb) == 0;
    }
    case API_TIME:
    case API_MICRO_TIME:
        return api_time_cmp(*(const struct api_time *)a, *(const struct api_time *)b) == 0;
    case API_DURATION:
        return SAME(int64_t);
    case API_INT_OR_STRING:
        return int_or_string_equal(a, b);
    case API_RAW:
    case API_FIELDS_V1: {
        const struct api_raw *ra = a, *rb = b;
        return bytes_equal(ra->json, ra->len, rb->json, rb->len);
    }
    case API_STRINGS:
        return strings_equal(a, b);
    case API_MESSAGE:
        return api_equal(f->type, a, b);
    }
    return false;
}

static bool
bytes_equal(const void *a, uint32_t alen, const void *b, uint32_t blen)
{
    return alen == blen && (alen == 0 || a == b || memcmp(a, b, alen) == 0);
}

static bool
strings_equal(const struct api_list *a, const struct api_list *b)
{
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!str_eq(((const char *const *)a->items)[i], ((const char *const *)b->items)[i]))
            return false;
    return true;
}

static bool
int_or_string_equal(const struct int_or_string *a, const struct int_or_string *b)
{
    if (!a->str || !b->str)
        return a->str == b->str && a->num == b->num;
    return strcmp(a->str, b->str) == 0;
}
