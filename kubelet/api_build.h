// SPDX-License-Identifier: Apache-2.0
/* api_build.h - small tools to fill generated structs in an arena: slices, maps, pointers.  Pure. */
#ifndef CKUBE_KUBELET_API_BUILD_H
#define CKUBE_KUBELET_API_BUILD_H

#include <string.h>

#include "common/api/meta.h"
#include "common/api/type.h"
#include "common/base/arena.h"
#include "common/base/str.h"

/* Appends one zeroed item to any generated slice and gives its address. */
#define SLICE_ADD(a, sl) (slice_grow_((a), (void **)&(sl)->items, &(sl)->len, &(sl)->cap, sizeof *(sl)->items), &(sl)->items[(sl)->len - 1])

static inline void
slice_grow_(struct arena *a, void **items, uint32_t *len, uint32_t *cap, size_t size)
{
    if (*len == *cap) {
        uint32_t more = *cap ? *cap * 2 : 4;

        *items = arena_grow(a, *items, *cap * size, more * size);
        *cap = more;
    }
    memset((char *)*items + *len * size, 0, size);
    (*len)++;
}

static inline const struct quantity *
quantity_map_value(const struct quantity_map *m, const char *key)
{
    for (uint32_t i = 0; i < m->len; i++)
        if (strcmp(m->items[i].key, key) == 0)
            return &m->items[i].value;
    return NULL;
}

/* A pointer to a copy: for *bool, *int64 fields. */
#define ARENA_PTR(a, type, v)                                                                      \
    ({                                                                                             \
        type value_ = (v);                                                                         \
        (type *)arena_memdup((a), &value_, sizeof value_);                                         \
    })

#endif
