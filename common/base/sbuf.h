// SPDX-License-Identifier: Apache-2.0
/* sbuf.h - a growing byte string.  Always NUL-terminated, may hold NULs.  Zero-initialised is empty.
 * With `max` set, what would grow past it is dropped and `truncated` set: check it.  One thread. */
#ifndef CKUBE_BASE_SBUF_H
#define CKUBE_BASE_SBUF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/mem.h"

struct sbuf {
    char *s; /* NULL while empty; use sbuf_str() */
    size_t len;
    size_t cap;
    size_t max; /* bytes; 0 = no bound */
    bool truncated;
};

void sbuf_done(struct sbuf *b); /* frees the content; the struct is empty again */
static inline void auto_sbuf_(struct sbuf *b)
{
    sbuf_done(b);
}
#define AUTO_SBUF __attribute__((unused, cleanup(auto_sbuf_))) struct sbuf

bool sbuf_reserve(struct sbuf *b, size_t more); /* false: over max */
void sbuf_add(struct sbuf *b, const void *p, size_t len);
void sbuf_adds(struct sbuf *b, const char *s);
void sbuf_addf(struct sbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sbuf_addvf(struct sbuf *b, const char *fmt, va_list ap);
void sbuf_add_i64(struct sbuf *b, int64_t n);
void sbuf_add_quoted(struct sbuf *b, const char *s); /* as Go's %q writes it; NULL is "" */
static inline void sbuf_addc(struct sbuf *b, char c)
{
    if (b->len + 1 < b->cap || sbuf_reserve(b, 1)) {
        b->s[b->len++] = c;
        b->s[b->len] = '\0';
    }
}
static inline void sbuf_clear(struct sbuf *b) /* empty, memory kept */
{
    b->len = 0;
    b->truncated = false;
    if (b->s)
        b->s[0] = '\0';
}
static inline const char *sbuf_str(const struct sbuf *b)
{
    return b->s ? b->s : "";
}
char *sbuf_steal(struct sbuf *b); /* the content, never NULL, caller frees; `b` is empty again */

#endif
