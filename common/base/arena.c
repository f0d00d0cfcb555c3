// SPDX-License-Identifier: Apache-2.0
#include "common/base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_DEFAULT = 1024, CHUNK_MAX = 64 * 1024 };

/* Two bump pointers in each chunk: aligned blocks grow from the front, strings from the back,
 * so that strings cost no padding. */
struct chunk {
    struct chunk *next;
    size_t size; /* payload bytes */
    char data[] __attribute__((aligned(8)));
};

struct arena {
    struct chunk *chunks; /* newest first */
    char *front;
    char *back;
    size_t held;
    size_t next_size;
    size_t step; /* of every chunk after the first; 0 = doubling */
};

static void
add_chunk(struct arena *a, size_t need)
{
    size_t size = a->next_size;

    if (size < need)
        size = (need + 7) & ~(size_t)7;
    struct chunk *c = xmalloc(sizeof *c + size);
    c->next = a->chunks;
    c->size = size;
    a->chunks = c;
    a->front = c->data;
    a->back = c->data + size;
    a->held += sizeof *c + size;
    if (a->step)
        a->next_size = a->step;
    else if (a->next_size < CHUNK_MAX)
        a->next_size *= 2;
}

struct arena *
arena_new(size_t first_size)
{
    struct arena *a = XNEW(struct arena);

    a->next_size = first_size ? (first_size + 7) & ~(size_t)7 : FIRST_DEFAULT;
    a->held = sizeof *a;
    return a;
}

struct arena *
arena_new_stepped(size_t first_size, size_t step)
{
    struct arena *a = arena_new(first_size);

    a->step = (step + 7) & ~(size_t)7;
    return a;
}

void
arena_free(struct arena *a)
{
    if (!a)
        return;
    for (struct chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(a);
}

void *
arena_alloc_raw(struct arena *a, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    if ((size_t)(a->back - a->front) < size || !a->chunks)
        add_chunk(a, size);
    void *p = a->front;
    a->front += size;
    return p;
}

void *
arena_alloc(struct arena *a, size_t size)
{
    return memset(arena_alloc_raw(a, size), 0, size);
}

char *
arena_alloc_bytes(struct arena *a, size_t size)
{
    if ((size_t)(a->back - a->front) < size || !a->chunks)
        add_chunk(a, size);
    a->back -= size;
    return a->back;
}

void *
arena_grow(struct arena *a, void *old, size_t old_size, size_t new_size)
{
    size_t old_aligned = (old_size + 7) & ~(size_t)7;
    size_t new_aligned = (new_size + 7) & ~(size_t)7;

    if (old && (char *)old + old_aligned == a->front &&
        (size_t)(a->back - a->front) >= new_aligned - old_aligned) {
        a->front += new_aligned - old_aligned;
        memset((char *)old + old_size, 0, new_size - old_size);
        return old;
    }
    char *p = arena_alloc_raw(a, new_size);
    if (old_size)
        memcpy(p, old, old_size);
    memset(p + old_size, 0, new_size - old_size);
    return p;
}

char *
arena_strndup(struct arena *a, const char *s, size_t len)
{
    char *p = arena_alloc_bytes(a, len + 1);

    memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

void *
arena_memdup(struct arena *a, const void *p, size_t size)
{
    void *copy = arena_alloc_raw(a, size);

    if (size)
        memcpy(copy, p, size);
    return copy;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        abort();
    char *p = arena_alloc_bytes(a, (size_t)len + 1);
    vsnprintf(p, (size_t)len + 1, fmt, again);
    va_end(again);
    return p;
}

size_t
arena_size(const struct arena *a)
{
    return a->held;
}
