// SPDX-License-Identifier: Apache-2.0
#include "apiserver/storage/json_cursor.h"

static void
skip_space(struct json_cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\r' || *c->p == '\t'))
        c->p++;
}

static bool
fail(struct json_cursor *c)
{
    c->bad = true;
    c->p = c->end;
    return false;
}

char
cursor_peek(struct json_cursor *c)
{
    skip_space(c);
    return c->p < c->end ? *c->p : 0;
}

/* At the opening quote; leaves the cursor behind the closing one. */
static bool
string_span(struct json_cursor *c, struct json_span *ret)
{
    const char *start, *quote;

    if (c->p >= c->end || *c->p != '"')
        return fail(c);
    start = c->p + 1;
    for (const char *at = start;;) {
        const char *slash;

        quote = memchr(at, '"', (size_t)(c->end - at));
        if (!quote)
            return fail(c);
        slash = memchr(at, '\\', (size_t)(quote - at));
        if (!slash)
            break;
        if (slash + 2 > c->end)
            return fail(c);
        at = slash + 2; /* may be behind `quote` when that one was escaped */
    }
    c->p = quote + 1;
    if (ret)
        *ret = (struct json_span){ start, (size_t)(quote - start), true };
    return true;
}

bool
cursor_enter_object(struct json_cursor *c)
{
    if (cursor_peek(c) != '{')
        return false;
    c->p++;
    c->fresh = true;
    return true;
}

bool
cursor_enter_array(struct json_cursor *c)
{
    if (cursor_peek(c) != '[')
        return false;
    c->p++;
    c->fresh = true;
    return true;
}

/* Before the next member or element: consumes the comma, or the closing bracket and says false. */
static bool
more(struct json_cursor *c, char close)
{
    char at = cursor_peek(c);

    if (c->bad)
        return false;
    if (at == close) {
        c->p++;
        c->fresh = false;
        return false;
    }
    if (!c->fresh) {
        if (at != ',')
            return fail(c);
        c->p++;
        skip_space(c);
    }
    c->fresh = false;
    return true;
}

bool
cursor_next_member(struct json_cursor *c, struct json_span *ret_name)
{
    if (!more(c, '}') || !string_span(c, ret_name))
        return false;
    if (cursor_peek(c) != ':')
        return fail(c);
    c->p++;
    skip_space(c);
    return true;
}

bool
cursor_next_element(struct json_cursor *c)
{
    return more(c, ']');
}

static bool
skip_compound(struct json_cursor *c)
{
    size_t depth = 0;

    while (c->p < c->end) {
        switch (*c->p) {
        case '{':
        case '[':
            depth++;
            c->p++;
            break;
        case '}':
        case ']':
            c->p++;
            if (--depth == 0)
                return true;
            break;
        case '"':
            if (!string_span(c, NULL))
                return false;
            break;
        default:
            c->p++;
        }
    }
    return fail(c);
}

static bool
skip_scalar(struct json_cursor *c)
{
    const char *start = c->p;

    while (c->p < c->end && !strchr(",]} \n\r\t:\"[{", *c->p))
        c->p++;
    return c->p > start ? true : fail(c);
}

bool
cursor_skip(struct json_cursor *c, struct json_span *ret)
{
    const char *start;
    bool good;

    skip_space(c);
    start = c->p;
    c->fresh = false;
    if (start >= c->end)
        return fail(c);
    if (*start == '"')
        return string_span(c, ret);
    good = *start == '{' || *start == '[' ? skip_compound(c) : skip_scalar(c);
    if (good && ret)
        *ret = (struct json_span){ start, (size_t)(c->p - start), false };
    return good;
}

int64_t
cursor_i64(struct json_cursor *c)
{
    struct json_span span;
    uint64_t n = 0;
    size_t i = 0;
    bool negative;

    if (!cursor_skip(c, &span))
        return 0;
    negative = span.len && span.s[0] == '-';
    i = negative;
    if (i == span.len || span.len > 20) {
        fail(c);
        return 0;
    }
    for (; i < span.len; i++) {
        unsigned digit = (unsigned char)span.s[i] - '0';

        if (digit > 9 || n > (UINT64_MAX - digit) / 10) {
            fail(c);
            return 0;
        }
        n = n * 10 + digit;
    }
    return negative ? (int64_t)(0 - n) : (int64_t)n; /* etcd's uint64 ids and leases wrap on purpose */
}

bool
cursor_bool(struct json_cursor *c)
{
    struct json_span span;

    return cursor_skip(c, &span) && !span.is_string && span_is(span, "true");
}

bool
cursor_at_end(struct json_cursor *c)
{
    return !c->bad && cursor_peek(c) == 0 && c->p >= c->end;
}

static int
hex4(const char *s)
{
    int n = 0;

    for (int i = 0; i < 4; i++) {
        int d = s[i] >= '0' && s[i] <= '9'   ? s[i] - '0'
                : s[i] >= 'a' && s[i] <= 'f' ? s[i] - 'a' + 10
                : s[i] >= 'A' && s[i] <= 'F' ? s[i] - 'A' + 10
                                             : -1;
        if (d < 0)
            return -1;
        n = n * 16 + d;
    }
    return n;
}

static void
add_utf8(struct sbuf *out, uint32_t cp)
{
    if (cp < 0x80) {
        sbuf_addc(out, (char)cp);
    } else if (cp < 0x800) {
        sbuf_addc(out, (char)(0xc0 | cp >> 6));
        sbuf_addc(out, (char)(0x80 | (cp & 0x3f)));
    } else if (cp < 0x10000) {
        sbuf_addc(out, (char)(0xe0 | cp >> 12));
        sbuf_addc(out, (char)(0x80 | (cp >> 6 & 0x3f)));
        sbuf_addc(out, (char)(0x80 | (cp & 0x3f)));
    } else {
        sbuf_addc(out, (char)(0xf0 | cp >> 18));
        sbuf_addc(out, (char)(0x80 | (cp >> 12 & 0x3f)));
        sbuf_addc(out, (char)(0x80 | (cp >> 6 & 0x3f)));
        sbuf_addc(out, (char)(0x80 | (cp & 0x3f)));
    }
}

/* `at` is behind "\u"; returns the bytes consumed from there, 0 when broken. */
static size_t
unescape_unicode(const char *at, size_t left, struct sbuf *out)
{
    int hi, lo;

    if (left < 4 || (hi = hex4(at)) <= 0)
        return 0;
    if (hi >= 0xd800 && hi < 0xdc00 && left >= 10 && at[4] == '\\' && at[5] == 'u' && (lo = hex4(at + 6)) >= 0xdc00 && lo < 0xe000) {
        add_utf8(out, 0x10000 + (((uint32_t)hi - 0xd800) << 10 | ((uint32_t)lo - 0xdc00)));
        return 10;
    }
    add_utf8(out, hi >= 0xd800 && hi < 0xe000 ? 0xfffd : (uint32_t)hi); /* a lone surrogate, as Go reads it */
    return 4;
}

bool
span_unescape(struct json_span span, struct sbuf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = span.s, *end = span.s + span.len;

    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        const char *which;

        if (memchr(at, 0, (size_t)((slash ? slash : end) - at)))
            return false;
        sbuf_add(out, at, (size_t)((slash ? slash : end) - at));
        if (!slash)
            return true;
        if (slash + 1 >= end)
            return false;
        at = slash + 2;
        if (slash[1] == 'u') {
            size_t used = unescape_unicode(at, (size_t)(end - at), out);

            if (!used)
                return false;
            at += used;
        } else if (slash[1] && (which = strchr(from, slash[1]))) {
            sbuf_addc(out, to[which - from]);
        } else {
            return false;
        }
    }
    return true;
}
