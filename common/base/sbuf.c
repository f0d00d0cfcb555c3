// SPDX-License-Identifier: Apache-2.0
#include "common/base/sbuf.h"

#include <stdio.h>

void
sbuf_done(struct sbuf *b)
{
    free(b->s);
    *b = (struct sbuf){ .max = b->max };
}

bool
sbuf_reserve(struct sbuf *b, size_t more)
{
    if (b->max && (more > b->max || b->len > b->max - more)) {
        b->truncated = true;
        return false;
    }
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap ? b->cap * 2 : 64;
    while (cap < need)
        cap *= 2;
    b->s = xrealloc(b->s, cap);
    b->cap = cap;
    b->s[b->len] = '\0';
    return true;
}

void
sbuf_add(struct sbuf *b, const void *p, size_t len)
{
    if (!len || !sbuf_reserve(b, len))
        return;
    memcpy(b->s + b->len, p, len);
    b->len += len;
    b->s[b->len] = '\0';
}

void
sbuf_adds(struct sbuf *b, const char *s)
{
    if (s)
        sbuf_add(b, s, strlen(s));
}

void
sbuf_addvf(struct sbuf *b, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    size_t room = b->cap > b->len ? b->cap - b->len : 0;
    int len = vsnprintf(room ? b->s + b->len : NULL, room, fmt, ap);
    if (len >= 0 && (size_t)len >= room) {
        if (sbuf_reserve(b, (size_t)len))
            vsnprintf(b->s + b->len, (size_t)len + 1, fmt, again);
        else
            len = 0;
    }
    va_end(again);
    if (len > 0)
        b->len += (size_t)len;
    if (b->s)
        b->s[b->len] = '\0';
}

void
sbuf_addf(struct sbuf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    sbuf_addvf(b, fmt, ap);
    va_end(ap);
}

void
sbuf_add_i64(struct sbuf *b, int64_t n)
{
    char buf[24];
    char *p = buf + sizeof buf;
    uint64_t u = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;

    do
        *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (n < 0)
        *--p = '-';
    sbuf_add(b, p, (size_t)(buf + sizeof buf - p));
}

char *
sbuf_steal(struct sbuf *b)
{
    char *s = b->s ? b->s : xstrdup("");

    b->s = NULL;
    sbuf_done(b);
    return s;
}
