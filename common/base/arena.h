// SPDX-License-Identifier: Apache-2.0
/* arena.h - memory that is freed all at once: one arena per decoded object or per request.
 * Pointers stay valid until arena_free().  One thread at a time; no locks. */
#ifndef CKUBE_BASE_ARENA_H
#define CKUBE_BASE_ARENA_H

#include <stddef.h>

#include "common/base/mem.h"

struct arena;

struct arena *arena_new(size_t first_size) MUST_CHECK; /* bytes of the first chunk; 0 = default */
struct arena *arena_new_stepped(size_t first_size, size_t step) MUST_CHECK; /* later chunks: `step` bytes each, not doubling */
void arena_free(struct arena *a);                      /* NULL is fine */
DEFINE_AUTO(arena)

void *arena_alloc(struct arena *a, size_t size);  /* zeroed, 8-byte aligned */
void *arena_alloc_raw(struct arena *a, size_t size); /* not zeroed, 8-byte aligned */
char *arena_alloc_bytes(struct arena *a, size_t size); /* not zeroed, no alignment: for strings */
/* Grows an array to `new_size` bytes; in place when it is the newest block, else copies. New part zeroed. */
void *arena_grow(struct arena *a, void *old, size_t old_size, size_t new_size);

char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t len);
void *arena_memdup(struct arena *a, const void *p, size_t size);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

size_t arena_size(const struct arena *a); /* bytes held from the heap, for accounting */

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

#endif
