// SPDX-License-Identifier: Apache-2.0
/* copy.c - deep copy: the struct's bytes first, then every pointer in it is replaced by a copy. */
#include <string.h>

#include "common/api/codec.h"
#include "common/api/walk.h"

static void copy_pointers(const struct api_type *t, struct arena *a, void *body);
static void copy_field(const struct api_field *f, struct arena *a, void *at);
static void copy_value(const struct api_field *f, struct arena *a, void *at);
static void copy_list(const struct api_field *f, struct arena *a, struct api_list *l);
static void copy_strings(struct arena *a, struct api_list *l);
static void *copy_items(struct arena *a, struct api_list *l, uint32_t item_size);
static bool value_is_flat(const struct api_field *f);

void
api_copy(const struct api_type *t, struct arena *a, const void *from, void *to)
{
    memcpy(to, from, t->size);
    copy_pointers(t, a, to);
}

/* `body` holds a shallow copy: its pointers still lead to the original. */
static void
copy_pointers(const struct api_type *t, struct arena *a, void *body)
{
    for (uint16_t i = 0; i < t->nfields; i++)
        copy_field(&t->fields[i], a, walk_field(&t->fields[i], body));
}

static void
copy_field(const struct api_field *f, struct arena *a, void *at)
{
    switch ((enum api_shape)f->shape) {
    case API_ONE:
        copy_value(f, a, at);
        break;
    case API_PTR: {
        void **p = at;
        if (!*p)
            break;
        if (f->value == API_STRING) {
            copy_value(f, a, at);
            break;
        }
        *p = arena_memdup(a, *p, api_value_size(f));
        copy_value(f, a, *p);
        break;
    }
    case API_LIST:
    case API_MAP:
        copy_list(f, a, at);
        break;
    }
}

static void
copy_list(const struct api_field *f, struct arena *a, struct api_list *l)
{
    bool map = f->shape == API_MAP;
    uint32_t size = map ? api_entry_size(f) : api_value_size(f);

    if (!l->items)
        return;
    l->items = copy_items(a, l, size);
    if (!map && value_is_flat(f))
        return;
    for (uint32_t i = 0; i < l->len; i++) {
        void *item = walk_item(l, size, i);
        if (map) {
            *(const char **)item = arena_strdup(a, walk_key(item));
            item = walk_entry_value(item);
        }
        copy_value(f, a, item);
    }
}

static void
copy_value(const struct api_field *f, struct arena *a, void *at)
{
    switch ((enum api_value)f->value) {
    case API_STRING:
    case API_QUANTITY: {
        const char **s = at; /* struct quantity is one string */
        *s = arena_strdup(a, *s);
        break;
    }
    case API_BYTES: {
        struct api_bytes *b = at;
        if (b->data)
            b->data = arena_memdup(a, b->data, b->len);
        break;
    }
    case API_RAW:
    case API_FIELDS_V1: {
        struct api_raw *r = at;
        if (r->json)
            r->json = arena_strndup(a, r->json, r->len);
        break;
    }
    case API_INT_OR_STRING: {
        struct int_or_string *v = at;
        v->str = arena_strdup(a, v->str);
        break;
    }
    case API_STRINGS:
        copy_strings(a, at);
        break;
    case API_MESSAGE:
        copy_pointers(f->type, a, at);
        break;
    default: /* numbers and times */
        break;
    }
}

static void
copy_strings(struct arena *a, struct api_list *l)
{
    if (!l->items)
        return;
    l->items = copy_items(a, l, sizeof(char *));
    for (uint32_t i = 0; i < l->len; i++) {
        const char **s = walk_item(l, sizeof(char *), i);
        *s = arena_strdup(a, *s);
    }
}

/* A list that is empty but not nil stays so. */
static void *
copy_items(struct arena *a, struct api_list *l, uint32_t item_size)
{
    size_t size = (size_t)item_size * l->len;

    l->cap = l->len;
    return size ? arena_memdup(a, l->items, size) : arena_alloc(a, 8);
}

static bool
value_is_flat(const struct api_field *f)
{
    switch ((enum api_value)f->value) {
    case API_BOOL:
    case API_I32:
    case API_I64:
    case API_U32:
    case API_U64:
    case API_F64:
    case API_TIME:
    case API_MICRO_TIME:
    case API_DURATION:
        return true;
    default:
        return false;
    }
}
