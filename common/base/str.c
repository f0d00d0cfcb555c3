// SPDX-License-Identifier: Apache-2.0
#include "common/base/str.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>

bool
str_has_prefix(const char *s, const char *prefix)
{
    return strncmp(str_safe(s), prefix, strlen(prefix)) == 0;
}

bool
str_has_suffix(const char *s, const char *suffix)
{
    size_t len = strlen(str_safe(s)), want = strlen(suffix);

    return len >= want && memcmp(str_safe(s) + len - want, suffix, want) == 0;
}

bool
str_field(const char *s, char sep, unsigned index, const char **ret_at, size_t *ret_len)
{
    for (; index > 0; index--) {
        s = strchr(s, sep);
        if (!s)
            return false;
        s++;
    }
    const char *end = strchr(s, sep);
    *ret_at = s;
    *ret_len = end ? (size_t)(end - s) : strlen(s);
    return true;
}

char *
str_lower(const char *s)
{
    char *copy = xstrdup(str_safe(s));

    for (char *p = copy; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return copy;
}

void
strlist_add_take(struct strlist *l, char *s)
{
    if (l->len == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 8;
        l->items = xreallocarray(l->items, l->cap, sizeof *l->items);
    }
    l->items[l->len++] = s;
}

void
strlist_add(struct strlist *l, const char *s)
{
    strlist_add_take(l, xstrdup(str_safe(s)));
}

void
strlist_split(struct strlist *l, const char *s, char sep)
{
    const char *at;
    size_t len;

    if (str_empty(s))
        return;
    for (unsigned i = 0; str_field(s, sep, i, &at, &len); i++)
        strlist_add_take(l, xstrndup(at, len));
}

bool
strlist_has(const struct strlist *l, const char *s)
{
    for (size_t i = 0; i < l->len; i++)
        if (str_eq(l->items[i], s))
            return true;
    return false;
}

void
strlist_done(struct strlist *l)
{
    for (size_t i = 0; i < l->len; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct strlist){ 0 };
}

int
parse_u64(const char *s, uint64_t *ret)
{
    uint64_t n = 0;

    if (str_empty(s))
        return -EINVAL;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
            return -ERANGE;
    }
    *ret = n;
    return 0;
}

int
parse_i64(const char *s, int64_t *ret)
{
    bool negative = s && *s == '-';
    uint64_t n;
    int rc = parse_u64(negative ? s + 1 : s, &n);

    if (rc)
        return rc;
    if (n > (uint64_t)INT64_MAX + negative)
        return -ERANGE;
    *ret = negative ? (int64_t)(0 - n) : (int64_t)n;
    return 0;
}

int
parse_i32(const char *s, int32_t *ret)
{
    int64_t n;
    int rc = parse_i64(s, &n);

    if (rc)
        return rc;
    if (n < INT32_MIN || n > INT32_MAX)
        return -ERANGE;
    *ret = (int32_t)n;
    return 0;
}

int
parse_bool(const char *s, bool *ret)
{
    static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
    static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (str_eq(s, yes[i])) {
            *ret = true;
            return 0;
        }
        if (str_eq(s, no[i])) {
            *ret = false;
            return 0;
        }
    }
    return -EINVAL;
}

static const struct {
    const char *unit;
    double ns;
} units[] = { { "ns", 1 },    { "us", 1e3 },  { "\xc2\xb5s", 1e3 }, { "\xce\xbcs", 1e3 },
              { "ms", 1e6 },  { "s", 1e9 },   { "m", 60e9 },        { "h", 3600e9 } };

int
parse_duration_ns(const char *s, int64_t *ret_ns)
{
    if (str_empty(s))
        return -EINVAL;
    bool negative = *s == '-';
    if (*s == '-' || *s == '+')
        s++;
    if (strcmp(s, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    if (!*s)
        return -EINVAL;
    __int128 total = 0;
    while (*s) {
        uint64_t whole = 0;
        double fraction = 0, scale = 0.1;
        bool digits = false;
        for (; isdigit((unsigned char)*s); s++, digits = true)
            if (__builtin_mul_overflow(whole, 10u, &whole) ||
                __builtin_add_overflow(whole, (uint64_t)(*s - '0'), &whole))
                return -ERANGE;
        if (*s == '.')
            for (s++; isdigit((unsigned char)*s); s++, scale /= 10, digits = true)
                fraction += (*s - '0') * scale;
        if (!digits)
            return -EINVAL;
        size_t unit_len = strcspn(s, "0123456789."), u;
        for (u = 0; u < ARRAY_LEN(units); u++)
            if (strlen(units[u].unit) == unit_len && memcmp(units[u].unit, s, unit_len) == 0)
                break;
        if (u == ARRAY_LEN(units))
            return -EINVAL;
        s += unit_len;
        total += (__int128)whole * (int64_t)units[u].ns + (int64_t)(fraction * units[u].ns + 0.5);
        if (total > INT64_MAX)
            return -ERANGE;
    }
    *ret_ns = negative ? -(int64_t)total : (int64_t)total;
    return 0;
}

int
parse_duration_ms(const char *s, int64_t *ret_ms)
{
    int64_t ns;
    int rc = parse_duration_ns(s, &ns);

    if (!rc)
        *ret_ms = ns / 1000000;
    return rc;
}

uint32_t
fnv32a(uint32_t hash, const void *p, size_t len)
{
    const unsigned char *at = p;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * 16777619u;
    return hash;
}

uint64_t
hash64(const void *p, size_t len)
{
    const unsigned char *at = p;
    uint64_t h = 0x9e3779b97f4a7c15ull ^ len;

    for (; len >= 8; len -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    uint64_t tail = 0;
    memcpy(&tail, at, len);
    h = (h ^ tail) * 0xc4ceb9fe1a85ec53ull;
    return h ^ (h >> 29);
}
