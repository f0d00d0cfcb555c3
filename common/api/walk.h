// SPDX-License-Identifier: Apache-2.0
/* walk.h - the few steps every table walker takes: from a struct to a field, from a list to an item.
 * Private to common/api (copy.c, equal.c, default_static.c, pb_*.c, managed_*.c). */
#ifndef CKUBE_API_WALK_H
#define CKUBE_API_WALK_H

#include "common/api/type.h"

static inline void *
walk_field(const struct api_field *f, const void *body)
{
    return (char *)(uintptr_t)body + f->offset;
}
static inline void *
walk_item(const struct api_list *l, uint32_t item_size, uint32_t i)
{
    return (char *)l->items + (size_t)item_size * i;
}
static inline const char *
walk_key(const void *entry)
{
    const char *key = *(const char *const *)entry;
    return key ? key : "";
}
static inline void *
walk_entry_value(const void *entry)
{
    return (char *)(uintptr_t)entry + API_ENTRY_VALUE;
}

/* The JSON encoder's rule: is the field, whose value is at `at`, left out of its object? (json_encode.c) */
bool json_field_left_out(const struct api_field *f, const void *at);

#endif
