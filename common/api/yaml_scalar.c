// SPDX-License-Identifier: Apache-2.0
#include "common/api/yaml_scalar.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static const struct {
    const char *text;
    enum yaml_meaning meaning;
    bool yes;
    double number;
} words[] = {
    { "y", YAML_BOOL, true, 0 },       { "Y", YAML_BOOL, true, 0 },        { "yes", YAML_BOOL, true, 0 },
    { "Yes", YAML_BOOL, true, 0 },     { "YES", YAML_BOOL, true, 0 },      { "true", YAML_BOOL, true, 0 },
    { "True", YAML_BOOL, true, 0 },    { "TRUE", YAML_BOOL, true, 0 },     { "on", YAML_BOOL, true, 0 },
    { "On", YAML_BOOL, true, 0 },      { "ON", YAML_BOOL, true, 0 },       { "n", YAML_BOOL, false, 0 },
    { "N", YAML_BOOL, false, 0 },      { "no", YAML_BOOL, false, 0 },      { "No", YAML_BOOL, false, 0 },
    { "NO", YAML_BOOL, false, 0 },     { "false", YAML_BOOL, false, 0 },   { "False", YAML_BOOL, false, 0 },
    { "FALSE", YAML_BOOL, false, 0 },  { "off", YAML_BOOL, false, 0 },     { "Off", YAML_BOOL, false, 0 },
    { "OFF", YAML_BOOL, false, 0 },    { "", YAML_NULL, false, 0 },        { "~", YAML_NULL, false, 0 },
    { "null", YAML_NULL, false, 0 },   { "Null", YAML_NULL, false, 0 },    { "NULL", YAML_NULL, false, 0 },
    { ".nan", YAML_FLOAT, false, NAN }, { ".NaN", YAML_FLOAT, false, NAN }, { ".NAN", YAML_FLOAT, false, NAN },
    { ".inf", YAML_FLOAT, false, INFINITY },   { ".Inf", YAML_FLOAT, false, INFINITY },
    { ".INF", YAML_FLOAT, false, INFINITY },   { "+.inf", YAML_FLOAT, false, INFINITY },
    { "+.Inf", YAML_FLOAT, false, INFINITY },  { "+.INF", YAML_FLOAT, false, INFINITY },
    { "-.inf", YAML_FLOAT, false, -INFINITY }, { "-.Inf", YAML_FLOAT, false, -INFINITY },
    { "-.INF", YAML_FLOAT, false, -INFINITY },
};

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- dates: 2006-1-2, 2006-1-2T15:4:5.9Z, 2006-1-2 15:4:5 ---- */

static bool
take_number(const char **p, int max_digits, int low, int high, int *ret)
{
    int v = 0, n = 0;

    for (; n < max_digits && is_digit(**p); n++, ++*p)
        v = v * 10 + (**p - '0');
    *ret = v;
    return n > 0 && v >= low && v <= high;
}

static bool
take_char(const char **p, char c)
{
    return **p == c && ++*p;
}

static int
days_in(int year, int month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

static bool
is_clock(const char *p, bool zone)
{
    int v;

    if (!take_number(&p, 2, 0, 23, &v) || !take_char(&p, ':') || !take_number(&p, 2, 0, 59, &v) || !take_char(&p, ':') ||
        !take_number(&p, 2, 0, 59, &v))
        return false;
    if (*p == '.') {
        if (!is_digit(*++p))
            return false;
        while (is_digit(*p))
            p++;
    }
    if (!zone)
        return !*p;
    if (*p == 'Z')
        return !p[1];
    if (*p != '+' && *p != '-')
        return false;
    p++;
    return take_number(&p, 2, 0, 24, &v) && take_char(&p, ':') && take_number(&p, 2, 0, 60, &v) && !*p;
}

static bool
is_timestamp(const char *p)
{
    int year, month, day;

    for (int i = 0; i < 4; i++)
        if (!is_digit(p[i]))
            return false;
    if (!take_number(&p, 4, 0, 9999, &year) || !take_char(&p, '-') || !take_number(&p, 2, 1, 12, &month) ||
        !take_char(&p, '-') || !take_number(&p, 2, 1, 31, &day) || day > days_in(year, month))
        return false;
    if (!*p)
        return true;
    if (*p == 'T' || *p == 't')
        return is_clock(p + 1, true);
    return *p == ' ' && is_clock(p + 1, false);
}

/* ---- numbers ---- */

/* As Go's ParseInt with base 0, or ParseUint for what only that takes. */
static bool
parse_integer(const char *s, struct yaml_scalar *ret)
{
    bool sign = *s == '-' || *s == '+';
    bool negative = *s == '-';
    int base = 10;
    char *end;

    s += sign;
    if (s[0] == '0' && s[1]) {
        char c = (char)(s[1] | 0x20);
        base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
        s += base ? 2 : 1;
        base = base ? base : 8;
    }
    if (!*s || !strchr("0123456789abcdefABCDEF", *s))
        return false;
    /* strtoull takes another 0x and leaves the range to errno */
    if (base == 16 && s[0] == '0' && (s[1] | 0x20) == 'x')
        return false;
    unsigned long long v = 0;
    for (end = (char *)s; *end; end++) {
        int d = is_digit(*end) ? *end - '0' : (*end | 0x20) >= 'a' && (*end | 0x20) <= 'f' ? (*end | 0x20) - 'a' + 10 : 99;
        if (d >= base || __builtin_mul_overflow(v, (unsigned)base, &v) || __builtin_add_overflow(v, (unsigned)d, &v))
            return false;
    }
    if (sign && v > (uint64_t)INT64_MAX + negative)
        return false;
    ret->meaning = YAML_INT;
    ret->negative = negative && v;
    ret->integer = v;
    ret->number = negative ? -(double)v : (double)v;
    return true;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool
is_float(const char *s)
{
    s += *s == '-' || *s == '+';
    bool whole = is_digit(*s);
    while (is_digit(*s))
        s++;
    if (*s == '.') {
        s++;
        if (!whole && !is_digit(*s))
            return false;
        while (is_digit(*s))
            s++;
    } else if (!whole) {
        return false;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        if (!is_digit(*s))
            return false;
        while (is_digit(*s))
            s++;
    }
    return !*s;
}

static bool
parse_number(const char *s, struct yaml_scalar *ret)
{
    AUTO_FREE char *plain = xstrdup(s);
    char *w = plain;

    for (const char *p = s; *p; p++)
        if (*p != '_')
            *w++ = *p;
    *w = '\0';
    if (parse_integer(plain, ret))
        return true;
    if (!is_float(plain))
        return false;
    ret->number = strtod(plain, NULL);
    if (isinf(ret->number))
        return false;
    ret->meaning = YAML_FLOAT;
    return true;
}

struct yaml_scalar
yaml_scalar_resolve(const char *s, size_t len)
{
    struct yaml_scalar ret = { .meaning = YAML_STR };

    if (len && !strchr("+-0123456789yYnNtTfFoO~.", *s))
        return ret;
    if (memchr(s, '\0', len) || len > 400)
        return ret;
    AUTO_FREE char *text = xstrndup(s, len);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i].text, text) == 0)
            return (struct yaml_scalar){ .meaning = words[i].meaning, .yes = words[i].yes, .number = words[i].number };
    if (*text == '.') {
        if (is_float(text)) {
            ret.number = strtod(text, NULL);
            ret.meaning = isinf(ret.number) ? YAML_STR : YAML_FLOAT;
        }
    } else if (is_digit(*text) || *text == '-' || *text == '+') {
        if (is_timestamp(text))
            ret.meaning = YAML_TIMESTAMP;
        else
            parse_number(text, &ret);
    }
    return ret;
}

/* [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)? */
bool
yaml_scalar_is_base60(const char *s)
{
    unsigned parts = 0;

    s += *s == '-' || *s == '+';
    if (!is_digit(*s))
        return false;
    while (is_digit(*s) || *s == '_')
        s++;
    for (; *s == ':'; parts++) {
        s++;
        if (!is_digit(*s))
            return false;
        s += *s <= '5' && is_digit(s[1]) ? 2 : 1;
    }
    if (*s == '.')
        for (s++; is_digit(*s) || *s == '_';)
            s++;
    return parts && !*s;
}

const char *
yaml_meaning_tag(enum yaml_meaning m)
{
    static const char *const tags[] = {
        [YAML_STR] = "!!str",   [YAML_NULL] = "!!null",   [YAML_BOOL] = "!!bool",
        [YAML_INT] = "!!int",   [YAML_FLOAT] = "!!float", [YAML_TIMESTAMP] = "!!timestamp",
    };

    return tags[m];
}

void
yaml_add_float(struct sbuf *out, double v, int bits)
{
    char buf[64];
    int digits = 0;

    if (!isfinite(v)) {
        sbuf_adds(out, isnan(v) ? ".nan" : v < 0 ? "-.inf" : ".inf");
        return;
    }
    do
        snprintf(buf, sizeof buf, "%.*e", digits, v);
    while ((bits == 32 ? (double)strtof(buf, NULL) != (double)(float)v : strtod(buf, NULL) != v) && ++digits < 17);
    int exponent = (int)strtol(strchr(buf, 'e') + 1, NULL, 10);
    if (exponent >= -4 && exponent < 6)
        snprintf(buf, sizeof buf, "%.*f", digits > exponent ? digits - exponent : 0, v);
    sbuf_adds(out, buf);
}
