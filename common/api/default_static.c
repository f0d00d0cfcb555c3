// SPDX-License-Identifier: Apache-2.0
/* default_static.c - the defaults that are one constant per field (rows with `def`).
 * Defaults that need more than the field itself are functions of the apiserver, run after these. */
#include <string.h>

#include "common/api/codec.h"
#include "common/api/values.h"
#include "common/api/walk.h"

static void default_field(const struct api_field *f, struct arena *a, void *at);
static void default_items(const struct api_field *f, struct arena *a, struct api_list *l);
static bool value_is_empty(const struct api_field *f, const void *at);
static void set_value(const struct api_field *f, struct arena *a, void *at);
static const char *def_string(const struct api_field *f, struct arena *a);

void
api_default_static(const struct api_type *t, struct arena *a, void *body)
{
    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        if (f->def || f->type)
            default_field(f, a, walk_field(f, body));
    }
}

static void
default_field(const struct api_field *f, struct arena *a, void *at)
{
    switch ((enum api_shape)f->shape) {
    case API_ONE:
        if (f->def && value_is_empty(f, at))
            set_value(f, a, at);
        if (f->type)
            api_default_static(f->type, a, at);
        break;
    case API_PTR: {
        void **p = at;
        if (f->def && !*p) {
            if (f->value != API_STRING)
                *p = arena_alloc(a, api_value_size(f));
            set_value(f, a, f->value == API_STRING ? at : *p);
        }
        if (f->type && *p)
            api_default_static(f->type, a, *p);
        break;
    }
    case API_LIST:
    case API_MAP:
        if (f->type)
            default_items(f, a, at);
        break;
    }
}

static void
default_items(const struct api_field *f, struct arena *a, struct api_list *l)
{
    bool map = f->shape == API_MAP;
    uint32_t size = map ? api_entry_size(f) : api_value_size(f);

    for (uint32_t i = 0; i < l->len; i++) {
        void *item = walk_item(l, size, i);
        api_default_static(f->type, a, map ? walk_entry_value(item) : item);
    }
}

static bool
value_is_empty(const struct api_field *f, const void *at)
{
    switch ((enum api_value)f->value) {
    case API_BOOL:
        return !*(const bool *)at;
    case API_I32:
    case API_U32:
        return *(const uint32_t *)at == 0;
    case API_I64:
    case API_U64:
    case API_DURATION:
        return *(const uint64_t *)at == 0;
    case API_F64:
        return *(const double *)at == 0;
    case API_STRING:
    case API_QUANTITY:
        return str_empty(*(const char *const *)at);
    case API_INT_OR_STRING: {
        const struct int_or_string *v = at;
        return !v->str && v->num == 0;
    }
    default: /* structs fill in their own fields */
        return false;
    }
}

/* The schema is ours: text that does not fit the field's type is a bug, found by the test that walks all rows. */
static void
set_value(const struct api_field *f, struct arena *a, void *at)
{
    int64_t n = 0;

    switch ((enum api_value)f->value) {
    case API_BOOL:
        *(bool *)at = strcmp(f->def, "true") == 0;
        return;
    case API_I32:
    case API_U32:
        (void)parse_i64(f->def, &n);
        *(int32_t *)at = (int32_t)n;
        return;
    case API_I64:
    case API_U64:
        (void)parse_i64(f->def, &n);
        *(int64_t *)at = n;
        return;
    case API_F64:
        *(double *)at = strtod(f->def, NULL);
        return;
    case API_STRING:
    case API_QUANTITY:
        *(const char **)at = def_string(f, a);
        return;
    case API_INT_OR_STRING: {
        struct int_or_string *v = at;
        if (f->def[0] == '"') {
            v->str = def_string(f, a);
        } else {
            (void)parse_i64(f->def, &n);
            v->num = (int32_t)n;
        }
        return;
    }
    default: /* API_MESSAGE "{}": the zero struct, whose own rows are walked next */
        return;
    }
}

/* The text between the quotes; defaults hold no escapes. */
static const char *
def_string(const struct api_field *f, struct arena *a)
{
    size_t len = strlen(f->def);

    return f->def[0] == '"' && len >= 2 ? arena_strndup(a, f->def + 1, len - 2) : f->def;
}
