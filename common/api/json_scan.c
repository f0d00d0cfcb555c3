// SPDX-License-Identifier: Apache-2.0
#include "common/api/json_scan.h"

#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/api/codec.h"

/* First byte at or after p that ends or complicates a string: quote, backslash, control, not ASCII. */
static inline const char *
plain_end(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(' ');
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* the signed compare finds bytes over 0x7f too */
        __m128i odd = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                                   _mm_cmplt_epi8(v, space));
        unsigned mask = (unsigned)_mm_movemask_epi8(odd);
        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p != '"' && *p != '\\' && (signed char)*p >= ' ')
        p++;
    return p;
}

static bool
is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* At the byte after a backslash. */
static bool
skip_escape(struct json_scan *s)
{
    if (s->p == s->end)
        return json_scan_fail(s, "in string escape code");
    char c = *s->p;
    if (c == 'u') {
        s->p++;
        for (int i = 0; i < 4; i++, s->p++)
            if (s->p == s->end || !is_hex(*s->p))
                return json_scan_fail(s, "in \\u hexadecimal character escape");
        return true;
    }
    if (!c || !strchr("\"\\/bfnrt", c))
        return json_scan_fail(s, "in string escape code");
    s->p++;
    return true;
}

bool
json_scan_string(struct json_scan *s, struct json_text *ret)
{
    const char *start = ++s->p;

    ret->plain = true;
    for (;;) {
        s->p = plain_end(s->p, s->end);
        if (s->p == s->end)
            return json_scan_fail(s, "in string literal");
        if (*s->p == '"')
            break;
        ret->plain = false;
        if (*s->p == '\\') {
            s->p++;
            if (!skip_escape(s))
                return false;
        } else if ((unsigned char)*s->p < ' ') {
            return json_scan_fail(s, "in string literal");
        } else {
            s->p++;
        }
    }
    ret->s = start;
    ret->len = (size_t)(s->p++ - start);
    return true;
}

static bool
scan_digits(struct json_scan *s, const char *problem)
{
    if (s->p == s->end || *s->p < '0' || *s->p > '9')
        return json_scan_fail(s, problem);
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return true;
}

bool
json_scan_number(struct json_scan *s, struct json_text *ret)
{
    ret->s = s->p;
    ret->plain = ret->integer = true;
    if (*s->p == '-')
        s->p++;
    if (s->p < s->end && *s->p == '0')
        s->p++;
    else if (!scan_digits(s, "in numeric literal"))
        return false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        ret->integer = false;
        if (!scan_digits(s, "after decimal point in numeric literal"))
            return false;
    }
    if (s->p < s->end && (*s->p | 0x20) == 'e') {
        s->p++;
        ret->integer = false;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (!scan_digits(s, "in exponent of numeric literal"))
            return false;
    }
    ret->len = (size_t)(s->p - ret->s);
    return true;
}

/* What is missing at each byte of a literal after its first. */
static const struct {
    const char *word;
    const char *problems[5];
} literals[] = {
    { "true", { "", "in literal true (expecting 'r')", "in literal true (expecting 'u')", "in literal true (expecting 'e')" } },
    { "false",
      { "", "in literal false (expecting 'a')", "in literal false (expecting 'l')", "in literal false (expecting 's')",
        "in literal false (expecting 'e')" } },
    { "null", { "", "in literal null (expecting 'u')", "in literal null (expecting 'l')", "in literal null (expecting 'l')" } },
};

bool
json_scan_literal(struct json_scan *s)
{
    size_t i = *s->p == 't' ? 0 : *s->p == 'f' ? 1 : 2;
    const char *word = literals[i].word;

    for (size_t at = 0; word[at]; at++, s->p++)
        if (s->p == s->end || *s->p != word[at])
            return json_scan_fail(s, literals[i].problems[at]);
    return true;
}

bool
json_enter(struct json_scan *s, char close)
{
    s->p++;
    if (++s->depth > CODEC_MAX_DEPTH)
        return json_scan_fail(s, "exceeded max depth");
    if (json_peek(s) == close) {
        s->p++;
        s->depth--;
        return false;
    }
    return true;
}

bool
json_next(struct json_scan *s, char close)
{
    char c = json_peek(s);

    if (c == ',') {
        s->p++;
        return true;
    }
    if (c == close) {
        s->p++;
        s->depth--;
        return false;
    }
    return json_scan_fail(s, close == '}' ? "after object key:value pair" : "after array element");
}

bool
json_scan_key(struct json_scan *s, struct json_text *ret)
{
    if (json_peek(s) != '"')
        return json_scan_fail(s, "looking for beginning of object key string");
    if (!json_scan_string(s, ret))
        return false;
    if (json_peek(s) != ':')
        return json_scan_fail(s, "after object key");
    s->p++;
    return true;
}

bool
json_scan_end(struct json_scan *s)
{
    if (json_peek(s) == '\0' && s->p == s->end)
        return true;
    return json_scan_fail(s, "after top-level value");
}

bool
json_skip_value(struct json_scan *s)
{
    struct json_text text;

    switch (json_peek(s)) {
    case '"':
        return json_scan_string(s, &text);
    case 't':
    case 'f':
    case 'n':
        return json_scan_literal(s);
    case '{':
        if (json_enter(s, '}'))
            do {
                if (!json_scan_key(s, &text) || !json_skip_value(s))
                    return false;
            } while (json_next(s, '}'));
        return !s->problem;
    case '[':
        if (json_enter(s, ']'))
            do {
                if (!json_skip_value(s))
                    return false;
            } while (json_next(s, ']'));
        return !s->problem;
    case '-':
    case '0' ... '9':
        return json_scan_number(s, &text);
    default:
        return json_scan_fail(s, "looking for beginning of value");
    }
}

/* ---- strings ---- */

static unsigned
hex4(const char *s)
{
    unsigned v = 0;

    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)s[i];
        v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

static char *
put_rune(char *w, unsigned r)
{
    if (r < 0x80) {
        *w++ = (char)r;
    } else if (r < 0x800) {
        *w++ = (char)(0xc0 | r >> 6);
        *w++ = (char)(0x80 | (r & 63));
    } else if (r < 0x10000) {
        *w++ = (char)(0xe0 | r >> 12);
        *w++ = (char)(0x80 | (r >> 6 & 63));
        *w++ = (char)(0x80 | (r & 63));
    } else {
        *w++ = (char)(0xf0 | r >> 18);
        *w++ = (char)(0x80 | (r >> 12 & 63));
        *w++ = (char)(0x80 | (r >> 6 & 63));
        *w++ = (char)(0x80 | (r & 63));
    }
    return w;
}

size_t
utf8_sequence(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned c = u[0];

    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4 || len < 2)
        return 0;
    if (c < 0xe0)
        return (u[1] & 0xc0) == 0x80 ? 2 : 0;
    /* the second byte's range shuts out overlong forms, surrogates and what is over U+10FFFF */
    unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (u[1] < low || u[1] > high || len < 3 || (u[2] & 0xc0) != 0x80)
        return 0;
    if (c < 0xf0)
        return 3;
    return len >= 4 && (u[3] & 0xc0) == 0x80 ? 4 : 0;
}

/* At "\uXXXX" (already checked); joins surrogate pairs.  Returns how much it read. */
static size_t
read_u_escape(const char *s, size_t len, unsigned *ret)
{
    unsigned r = hex4(s + 2);

    *ret = r;
    if (r < 0xd800 || r > 0xdfff)
        return 6;
    *ret = 0xfffd;
    if (r < 0xdc00 && len >= 12 && s[6] == '\\' && s[7] == 'u') {
        unsigned low = hex4(s + 8);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *ret = 0x10000 + ((r - 0xd800) << 10 | (low - 0xdc00));
            return 12;
        }
    }
    return 6;
}

static char
simple_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

size_t
json_unescape(const char *s, size_t len, char *ret)
{
    const char *end = s + len;
    char *w = ret;

    while (s < end) {
        const char *run = plain_end(s, end);
        memcpy(w, s, (size_t)(run - s));
        w += run - s;
        if ((s = run) == end)
            break;
        if (*s == '\\') {
            unsigned r;
            if (s[1] == 'u') {
                s += read_u_escape(s, (size_t)(end - s), &r);
                w = put_rune(w, r);
            } else {
                *w++ = simple_escape(s[1]);
                s += 2;
            }
            continue;
        }
        size_t n = utf8_sequence(s, (size_t)(end - s));
        if (n) {
            memcpy(w, s, n);
            w += n;
            s += n;
        } else {
            w = put_rune(w, 0xfffd);
            s++;
        }
    }
    return (size_t)(w - ret);
}

bool
json_text_eq(const struct json_text *t, const char *s)
{
    size_t len = strlen(s);

    if (t->plain)
        return t->len == len && memcmp(t->s, s, len) == 0;
    if (t->len > len * 6)
        return false;
    char buf[JSON_UNESCAPED_MAX(6 * 64)];
    return len <= 64 && json_unescape(t->s, t->len, buf) == len && memcmp(buf, s, len) == 0;
}

/* ---- compacting ---- */

static bool
needs_html_escape(const char *p, const char *end)
{
    return *p == '<' || *p == '>' || *p == '&' ||
           ((unsigned char)*p == 0xe2 && end - p >= 3 && (unsigned char)p[1] == 0x80 && ((unsigned char)p[2] & 0xfe) == 0xa8);
}

static void
add_html_escaped(const char *s, size_t len, struct sbuf *out)
{
    const char *end = s + len, *run = s;

    for (const char *p = s; p < end; p++) {
        if (!needs_html_escape(p, end))
            continue;
        sbuf_add(out, run, (size_t)(p - run));
        if ((unsigned char)*p == 0xe2) {
            sbuf_addf(out, "\\u202%c", (unsigned char)p[2] == 0xa8 ? '8' : '9');
            p += 2;
        } else {
            sbuf_addf(out, "\\u00%02x", (unsigned)*p);
        }
        run = p + 1;
    }
    sbuf_add(out, run, (size_t)(end - run));
}

static bool
is_json_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* At the opening quote of a valid string: the byte after the closing one. */
static const char *
string_end(const char *p)
{
    for (p++; *p != '"'; p++)
        p += *p == '\\';
    return p + 1;
}

bool
json_valid(const char *json, size_t len)
{
    struct json_scan s = json_scan_init(json, len);

    return json_skip_value(&s) && json_scan_end(&s);
}

void
json_compact_valid(const char *json, size_t len, bool html, struct sbuf *out)
{
    const char *p = json, *end = json + len;

    sbuf_reserve(out, len);
    while (p < end) {
        if (is_json_space(*p)) {
            p++;
            continue;
        }
        const char *run = p;
        if (*p == '"') {
            p = string_end(p);
            if (html) {
                add_html_escaped(run, (size_t)(p - run), out);
                continue;
            }
        } else {
            while (p < end && *p != '"' && !is_json_space(*p))
                p++;
        }
        sbuf_add(out, run, (size_t)(p - run));
    }
}

bool
json_compact(const char *json, size_t len, bool html, struct sbuf *out)
{
    if (!json_valid(json, len))
        return false;
    json_compact_valid(json, len, html, out);
    return true;
}

/* ---- messages ---- */

void
json_add_go_quoted(struct sbuf *out, const char *s, size_t len)
{
    static const char names[] = "abtnvfr"; /* of 7..13 */
    const char *end = s + len;

    sbuf_addc(out, '"');
    while (s < end) {
        unsigned char c = (unsigned char)*s;
        size_t n = utf8_sequence(s, (size_t)(end - s));
        if (c == '"' || c == '\\')
            sbuf_addf(out, "\\%c", c);
        else if (c >= 7 && c <= 13)
            sbuf_addf(out, "\\%c", names[c - 7]);
        else if (c < ' ' || c == 0x7f || !n)
            sbuf_addf(out, "\\x%02x", c);
        else
            sbuf_add(out, s, n);
        s += n ? n : 1;
    }
    sbuf_addc(out, '"');
}

struct kerr *
json_scan_error(const struct json_scan *s)
{
    AUTO_SBUF what = { 0 };

    if (s->problem && str_has_prefix(s->problem, "exceeded "))
        return kerr_new(KERR_BAD_REQUEST, "%s", s->problem);
    if (s->p >= s->end)
        return kerr_new(KERR_BAD_REQUEST, "unexpected end of JSON input");
    if (*s->p == '\'')
        sbuf_adds(&what, "'\\''");
    else if (*s->p == '"')
        sbuf_adds(&what, "'\"'");
    else {
        json_add_go_quoted(&what, s->p, 1);
        what.s[0] = what.s[what.len - 1] = '\'';
    }
    return kerr_new(KERR_BAD_REQUEST, "invalid character %s %s", what.s, s->problem ? s->problem : "in JSON");
}
