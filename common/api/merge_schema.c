// SPDX-License-Identifier: Apache-2.0
/* merge_schema.c - the tables of built-in types as a merge schema.
 * A place is a struct (type), the value of a row (field), or an item of a row's list or map (both: type = &item_of). */
#include "common/api/merge_schema.h"

#include <string.h>

#include "common/base/str.h"

static const char item_of[1];

#define SCHEMA_OR (API_TYPE_SCHEMA_OR_ARRAY | API_TYPE_SCHEMA_OR_BOOL | API_TYPE_SCHEMA_OR_STRINGS)

static enum merge_kind
kind_of_type(const struct api_type *t)
{
    return !t || t->flags & (API_TYPE_ATOMIC | SCHEMA_OR) ? MERGE_LEAF : MERGE_OBJECT;
}

/* A list without a list type follows its patch strategy, as upstream's schema conversion does; else it is atomic. */
enum merge_kind
merge_kind_of_field(const struct api_field *f)
{
    if (f->flags & API_ATOMIC)
        return MERGE_LEAF;
    switch ((enum api_shape)f->shape) {
    case API_LIST:
        if (f->flags & API_LIST_MAP)
            return MERGE_LIST_MAP;
        if (f->flags & API_LIST_SET)
            return MERGE_LIST_SET;
        if (f->flags & API_PATCH_MERGE)
            return str_empty(f->merge_key) ? MERGE_LIST_SET : MERGE_LIST_MAP;
        return MERGE_LEAF;
    case API_MAP:
        return MERGE_OBJECT;
    case API_ONE:
    case API_PTR:
        if (f->flags & API_GRANULAR)
            return MERGE_OBJECT;
        return f->value == API_MESSAGE ? kind_of_type(f->type) : MERGE_LEAF;
    }
    return MERGE_LEAF;
}

const char *
merge_keys_of_field(const struct api_field *f)
{
    return str_or(f->list_keys, str_safe(f->merge_key));
}

static enum merge_kind
table_kind(struct merge_schema s)
{
    if (s.type == item_of) {
        const struct api_field *f = s.field;
        return f->value == API_MESSAGE ? kind_of_type(f->type) : MERGE_LEAF;
    }
    return s.field ? merge_kind_of_field(s.field) : kind_of_type(s.type);
}

static enum merge_member
table_member(struct merge_schema s, const char *name, struct merge_schema *ret)
{
    const struct api_field *f = s.field;
    const struct api_type *t = f ? f->type : s.type;
    const struct api_name *found;

    if (f && f->shape == API_MAP && s.type != item_of) {
        *ret = (struct merge_schema){ s.ops, item_of, f };
        return MERGE_FREE;
    }
    found = t ? api_type_name(t, name, strlen(name)) : NULL;
    if (!found)
        return MERGE_UNKNOWN;
    *ret = (struct merge_schema){ s.ops, NULL, found->field };
    return MERGE_DECLARED;
}

static struct merge_schema
table_item(struct merge_schema s)
{
    return (struct merge_schema){ s.ops, item_of, s.field };
}

static const char *
table_keys(struct merge_schema s)
{
    return merge_keys_of_field(s.field);
}

static const char *
table_key_default(struct merge_schema item, const char *key)
{
    const struct api_field *f = item.field;
    const struct api_name *found = f->type ? api_type_name(f->type, key, strlen(key)) : NULL;

    return found ? found->field->def : NULL;
}

static const struct merge_schema_ops table_ops = {
    .kind = table_kind,
    .member = table_member,
    .item = table_item,
    .keys = table_keys,
    .key_default = table_key_default,
};

struct merge_schema
merge_schema_of_type(const struct api_type *t)
{
    return (struct merge_schema){ &table_ops, t, NULL };
}
