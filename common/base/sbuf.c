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

/* Bytes of the UTF-8 character at s, 0 when it is malformed. */
static unsigned
utf8_len(const unsigned char *s, uint32_t *ret_code)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned len = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    uint32_t code = len == 1 ? s[0] : len ? s[0] & (0x7fu >> len) : 0;

    for (unsigned i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    if (len == 0 || code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    *ret_code = code;
    return len;
}

void
sbuf_add_quoted(struct sbuf *b, const char *s)
{
    static const char escapes[] = "abtnvfr";

    sbuf_addc(b, '"');
    while (s && *s) {
        uint32_t code = 0;
        unsigned len = utf8_len((const unsigned char *)s, &code);
        if (len == 0) {
            sbuf_addf(b, "\\x%02x", (unsigned char)*s++);
            continue;
        }
        if (code == '"' || code == '\\') {
            sbuf_addc(b, '\\');
            sbuf_addc(b, *s);
        } else if (code >= 7 && code <= 13) {
            sbuf_addc(b, '\\');
            sbuf_addc(b, escapes[code - 7]);
        } else if (code < 0x20 || code == 0x7f)
            sbuf_addf(b, "\\x%02x", code);
        else if ((code >= 0x80 && code <= 0xa0) || code == 0xad || (code >= 0x200b && code <= 0x200f) || code == 0xfeff ||
                 (code >= 0x2028 && code <= 0x202f) || (code >= 0xe000 && code <= 0xf8ff))
            sbuf_addf(b, "\\u%04x", code);
        else
            sbuf_add(b, s, len);
        s += len;
    }
    sbuf_addc(b, '"');
}
