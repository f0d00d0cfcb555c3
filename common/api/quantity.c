// SPDX-License-Identifier: Apache-2.0
/* A quantity in arithmetic is mag * 10^scale with mag an unsigned 128-bit integer without trailing decimal zeros.
 * Parsing rounds away from zero at 10^-9; 38 digits are exact; what does not fit is refused.
 * Sums past 38 digits saturate.
 * Binary suffixes are powers of two times the number, which is exact in that form too. */
#include "common/api/values.h"

#include <string.h>

#define QTY_MAX_LEN 256
#define QTY_MAX_EXPONENT 100000
#define QTY_MAX_SCALE 99000 /* of the value; sums stop there */
#define QTY_NANO (-9)
#define QTY_KEEP_DIGITS 18 /* upstream's limit of its int64 form; up to it canonical input text is kept as is */

static const char err_format[] =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
static const char err_numeric[] = "unable to parse numeric part of quantity";
static const char err_suffix[] = "unable to parse quantity's suffix";

typedef unsigned __int128 u128;
#define U128_MAX ((u128)-1)
#define QTY_MAG_LIMIT ((u128)10000000000000000000ull * 10000000000000000000ull) /* 10^38: 38 digits are exact */

struct number {
    u128 mag;
    int32_t scale;
    bool negative;
    enum quantity_format format;
};

struct suffix {
    int base; /* 10 or 2 */
    int32_t exponent;
    enum quantity_format format;
};

/* The text cut at its joints. */
struct parts {
    const char *digits, *fraction, *suffix;
    size_t ndigits, nfraction, nsuffix;
    bool negative;
};

static const struct {
    const char *text;
    struct suffix means;
} suffixes[] = {
    { "", { 10, 0, QUANTITY_DECIMAL_SI } },   { "m", { 10, -3, QUANTITY_DECIMAL_SI } },
    { "Mi", { 2, 20, QUANTITY_BINARY_SI } },  { "Gi", { 2, 30, QUANTITY_BINARY_SI } },
    { "Ki", { 2, 10, QUANTITY_BINARY_SI } },  { "Ti", { 2, 40, QUANTITY_BINARY_SI } },
    { "Pi", { 2, 50, QUANTITY_BINARY_SI } },  { "Ei", { 2, 60, QUANTITY_BINARY_SI } },
    { "n", { 10, -9, QUANTITY_DECIMAL_SI } }, { "u", { 10, -6, QUANTITY_DECIMAL_SI } },
    { "k", { 10, 3, QUANTITY_DECIMAL_SI } },  { "M", { 10, 6, QUANTITY_DECIMAL_SI } },
    { "G", { 10, 9, QUANTITY_DECIMAL_SI } },  { "T", { 10, 12, QUANTITY_DECIMAL_SI } },
    { "P", { 10, 15, QUANTITY_DECIMAL_SI } }, { "E", { 10, 18, QUANTITY_DECIMAL_SI } },
};

static const char *parse(const char *s, size_t len, struct number *ret, bool *ret_canonical);
static size_t format(struct number n, char ret[64]);
static struct number read_text(struct quantity q);
static struct quantity store(struct number n, struct arena *a);

struct kerr *
quantity_parse(const char *s, size_t len, struct arena *a, struct quantity *ret)
{
    struct number n;
    bool canonical = false;

    while (len > 0 && strchr(" \t\r\n", s[0]))
        s++, len--;
    while (len > 0 && strchr(" \t\r\n", s[len - 1]))
        len--;
    const char *why = parse(s, len, &n, &canonical);
    if (why)
        return kerr_new(KERR_BAD_REQUEST, "%s", why);
    *ret = canonical ? (struct quantity){ arena_strndup(a, s, len) } : store(n, a);
    return NULL;
}

static inline bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t
span_digits(const char *s, size_t len)
{
    size_t n = 0;

    while (n < len && is_digit(s[n]))
        n++;
    return n;
}

/* Upstream's scanner: sign, leading zeros, digits, point, digits, suffix letters, sign, digits. */
static bool
cut(const char *s, size_t len, struct parts *p)
{
    size_t at = 0;

    *p = (struct parts){ .digits = "", .fraction = "", .suffix = "" };
    if (at < len && (s[at] == '-' || s[at] == '+'))
        p->negative = s[at++] == '-';
    while (at < len && s[at] == '0')
        at++;
    p->digits = s + at;
    p->ndigits = span_digits(s + at, len - at);
    at += p->ndigits;
    if (at < len && s[at] == '.') {
        at++;
        p->fraction = s + at;
        p->nfraction = span_digits(s + at, len - at);
        at += p->nfraction;
    }
    p->suffix = s + at;
    p->nsuffix = len - at;
    while (at < len && s[at] && strchr("eEinumkKMGTP", s[at]))
        at++;
    if (at < len && (s[at] == '-' || s[at] == '+'))
        at++;
    at += span_digits(s + at, len - at);
    return at == len;
}

static bool
read_exponent(const char *s, size_t len, int32_t *ret)
{
    bool negative = len > 0 && s[0] == '-';
    int64_t n = 0;

    if (len > 0 && (s[0] == '-' || s[0] == '+'))
        s++, len--;
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!is_digit(s[i]) || n > QTY_MAX_EXPONENT)
            return false;
        n = n * 10 + (s[i] - '0');
    }
    if (n > QTY_MAX_EXPONENT)
        return false;
    *ret = (int32_t)(negative ? -n : n);
    return true;
}

static bool
read_suffix(const char *s, size_t len, struct suffix *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (strlen(suffixes[i].text) == len && memcmp(suffixes[i].text, s, len) == 0) {
            *ret = suffixes[i].means;
            return true;
        }
    if (len > 1 && (s[0] == 'e' || s[0] == 'E')) {
        *ret = (struct suffix){ 10, 0, QUANTITY_DECIMAL_EXPONENT };
        return read_exponent(s + 1, len - 1, &ret->exponent);
    }
    return false;
}

static bool
append_digits(u128 *mag, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (*mag >= QTY_MAG_LIMIT / 10)
            return false;
        *mag = *mag * 10 + (unsigned)(s[i] - '0');
    }
    return true;
}

static void
normalise(struct number *n)
{
    if (n->mag == 0) {
        n->scale = 0;
        n->negative = false;
        return;
    }
    while (n->mag % 10 == 0) {
        n->mag /= 10;
        n->scale++;
    }
}

/* Away from zero to a multiple of 10^scale. */
static void
round_to(struct number *n, int32_t scale)
{
    bool lost = false;

    if (n->mag == 0)
        return;
    while (n->scale < scale) {
        lost = lost || n->mag % 10 != 0;
        n->mag /= 10;
        if (n->mag == 0) {
            n->scale = scale;
            break;
        }
        n->scale++;
    }
    n->mag += lost;
    normalise(n);
}

/* Upstream keeps the text it was given when that is (nearly) the canonical one; so "1.500" stays. */
static bool
keeps_text(const struct parts *p, const struct suffix *suffix)
{
    size_t len = p->ndigits + p->nfraction;
    size_t zeros = 0;

    if (len == 0 || len > QTY_KEEP_DIGITS)
        return false;
    if (suffix->format == QUANTITY_BINARY_SI) {
        if (p->nfraction > 0 || p->ndigits == 0)
            return false;
        /* float32(exponent)*3/10 of upstream, exact for multiples of ten */
        if (15 - (int)p->ndigits - suffix->exponent * 3 / 10 - 1 < 0)
            return false;
        return (p->digits[p->ndigits - 1] - '0') % 2 == 1 || ({
                   u128 v = 0;
                   append_digits(&v, p->digits, p->ndigits) && (v & 7) != 0;
               });
    }
    int32_t scale = suffix->exponent - (int32_t)p->nfraction;
    if (scale < QTY_NANO || scale % 3 != 0 || p->ndigits == 0)
        return false;
    for (size_t i = len; i > 0 && (i > p->ndigits ? p->fraction[i - 1 - p->ndigits] : p->digits[i - 1]) == '0'; i--)
        zeros++;
    return zeros < 3;
}

/* NULL on success, else the message. */
static const char *
parse(const char *s, size_t len, struct number *ret, bool *ret_canonical)
{
    static const u128 binary_max = INT64_MAX;
    struct parts p;
    struct suffix suffix;
    struct number n = { 0 };

    if (len == 0)
        return err_format;
    if (len > QTY_MAX_LEN)
        return err_numeric;
    if (!cut(s, len, &p))
        return err_format;
    if (!read_suffix(p.suffix, p.nsuffix, &suffix))
        return err_suffix;
    n.negative = p.negative;
    n.format = suffix.format;
    /* Digits far behind the point only matter for rounding up: fold them into one. */
    size_t keep = p.nfraction > 30 ? 30 : p.nfraction;
    if (!append_digits(&n.mag, p.digits, p.ndigits))
        return err_numeric;
    size_t used = 0;
    while (used < keep && append_digits(&n.mag, p.fraction + used, 1))
        used++;
    bool lost = false;
    for (size_t i = used; i < p.nfraction; i++)
        lost = lost || p.fraction[i] != '0';
    if (lost && used < 12)
        return err_numeric; /* more digits than we can hold exactly */
    n.scale = -(int32_t)used;
    if (lost)
        n.mag += 1;
    if (suffix.base == 10)
        n.scale += suffix.exponent;
    else {
        normalise(&n);
        if (n.mag >= QTY_MAG_LIMIT >> suffix.exponent) {
            if (n.scale < 0)
                return err_numeric;
            n.mag = (u128)binary_max + 1; /* capped below */
            n.scale = 0;
        } else
            n.mag <<= suffix.exponent;
    }
    normalise(&n);
    if (n.scale > QTY_MAX_SCALE)
        return err_numeric;
    round_to(&n, QTY_NANO);
    if (n.format == QUANTITY_BINARY_SI) {
        struct number whole = n;
        round_to(&whole, 0);
        bool over = whole.mag > binary_max;
        for (int32_t i = 0; i < whole.scale && !over; i++)
            over = (whole.mag *= 10) > binary_max;
        if (over) {
            n.mag = binary_max;
            n.scale = 0;
            normalise(&n);
        }
        if (n.mag != 0 && n.scale < 0) {
            u128 unit = 1;
            for (int32_t i = n.scale; i < 0; i++)
                unit *= 10;
            if (n.mag < unit)
                n.format = QUANTITY_DECIMAL_SI;
        }
    }
    *ret_canonical = (len == 1 && s[0] == '0') || (n.mag != 0 && keeps_text(&p, &suffix));
    *ret = n;
    return NULL;
}

/* mag * 10^scale as an integer; false when that is no integer or does not fit. */
static bool
as_integer(struct number n, u128 *ret)
{
    if (n.scale < 0)
        return false;
    for (; n.scale > 0; n.scale--) {
        if (n.mag > U128_MAX / 10)
            return false;
        n.mag *= 10;
    }
    *ret = n.mag;
    return true;
}

static size_t
put_number(char *out, u128 mag, bool negative)
{
    char buf[40];
    size_t len = 0, at = 0;

    do {
        buf[len++] = (char)('0' + (int)(mag % 10));
        mag /= 10;
    } while (mag);
    if (negative)
        out[at++] = '-';
    while (len > 0)
        out[at++] = buf[--len];
    out[at] = '\0';
    return at;
}

static size_t
format_binary(struct number n, u128 whole, char *out)
{
    static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    unsigned unit = 0;

    while (unit + 1 < ARRAY_LEN(units) && whole % 1024 == 0) {
        whole /= 1024;
        unit++;
    }
    size_t len = put_number(out, whole, n.negative), more = strlen(units[unit]);
    memcpy(out + len, units[unit], more + 1);
    return len + more;
}

static size_t
format(struct number n, char ret[64])
{
    static const char units[] = "num\0kMGTPE";
    u128 whole = 0;

    normalise(&n);
    if (n.mag == 0)
        return put_number(ret, 0, false);
    if (n.format == QUANTITY_BINARY_SI && as_integer(n, &whole) && whole >= 1024)
        return format_binary(n, whole, ret);

    while (n.scale % 3 != 0 || (n.format != QUANTITY_DECIMAL_EXPONENT && n.scale > 18)) {
        if (n.mag >= QTY_MAG_LIMIT / 10) { /* cannot be written that way: leave the exponent form */
            n.format = QUANTITY_DECIMAL_EXPONENT;
            break;
        }
        n.mag *= 10;
        n.scale--;
    }
    size_t len = put_number(ret, n.mag, n.negative);
    if (n.scale == 0)
        return len;
    if (n.format == QUANTITY_DECIMAL_EXPONENT || n.scale < QTY_NANO) {
        struct number exponent = { .mag = (u128)(n.scale < 0 ? -(int64_t)n.scale : n.scale), .negative = n.scale < 0 };
        ret[len++] = 'e';
        return len + put_number(ret + len, exponent.mag, exponent.negative);
    }
    ret[len++] = units[n.scale / 3 + 3];
    ret[len] = '\0';
    return len;
}

static struct quantity
store(struct number n, struct arena *a)
{
    char text[64];

    normalise(&n);
    if (n.scale > QTY_MAX_SCALE)
        n.scale = QTY_MAX_SCALE;
    size_t len = format(n, text);

    return (struct quantity){ arena_strndup(a, text, len) };
}

/* What the quantity holds passed quantity_parse(); anything else counts as 0. */
static struct number
read_text(struct quantity q)
{
    struct number n = { 0 };
    bool canonical;

    if (q.text && parse(q.text, strlen(q.text), &n, &canonical))
        n = (struct number){ 0 };
    return n;
}

static int64_t
scaled(struct quantity q, int32_t scale)
{
    struct number n = read_text(q);
    u128 whole = 0;

    round_to(&n, scale);
    n.scale -= scale;
    bool fits = as_integer(n, &whole);
    if (n.negative)
        return !fits || whole > (u128)INT64_MAX + 1 ? INT64_MIN : (int64_t)(0 - (uint64_t)whole);
    return !fits || whole > INT64_MAX ? INT64_MAX : (int64_t)whole;
}

int64_t
quantity_value(struct quantity q)
{
    return scaled(q, 0);
}

int64_t
quantity_milli(struct quantity q)
{
    return scaled(q, -3);
}

/* Brings both to the lower scale; false when that does not fit, which means the other is far bigger. */
static bool
align(struct number *a, struct number *b)
{
    struct number *high = a->scale > b->scale ? a : b, *low = high == a ? b : a;

    if (high->mag == 0)
        high->scale = low->scale;
    if (low->mag == 0)
        low->scale = high->scale;
    while (high->scale > low->scale) {
        if (high->mag >= QTY_MAG_LIMIT / 10)
            return false;
        high->mag *= 10;
        high->scale--;
    }
    return true;
}

static int
cmp_magnitude(struct number a, struct number b)
{
    if (a.mag == 0 || b.mag == 0)
        return (a.mag != 0) - (b.mag != 0);
    if (!align(&a, &b))
        return a.scale > b.scale ? 1 : -1;
    return a.mag < b.mag ? -1 : a.mag > b.mag;
}

int
quantity_cmp(struct quantity a, struct quantity b)
{
    if (a.text && b.text && strcmp(a.text, b.text) == 0)
        return 0;
    struct number x = read_text(a), y = read_text(b);
    if (x.negative != y.negative)
        return x.negative ? -1 : 1;
    return x.negative ? cmp_magnitude(y, x) : cmp_magnitude(x, y);
}

int
quantity_sign(struct quantity q)
{
    struct number n = read_text(q);

    if (n.mag == 0)
        return 0;
    return n.negative ? -1 : 1;
}

static struct quantity
add(struct number x, struct number y, struct arena *arena)
{
    struct number sum = { .format = x.mag == 0 ? y.format : x.format };

    if (!align(&x, &y)) { /* out of the exact range: the bigger one stands */
        struct number *bigger = cmp_magnitude(x, y) >= 0 ? &x : &y;
        bigger->format = sum.format;
        return store(*bigger, arena);
    }
    sum.scale = x.scale;
    if (x.negative == y.negative) {
        sum.negative = x.negative;
        sum.mag = x.mag + y.mag; /* align() keeps both below 10^38 */
        if (sum.mag >= QTY_MAG_LIMIT)
            sum.mag = QTY_MAG_LIMIT - 1;
    } else {
        struct number *bigger = x.mag >= y.mag ? &x : &y;
        sum.negative = bigger->negative;
        sum.mag = x.mag >= y.mag ? x.mag - y.mag : y.mag - x.mag;
    }
    normalise(&sum);
    return store(sum, arena);
}

struct quantity
quantity_add(struct quantity a, struct quantity b, struct arena *arena)
{
    return add(read_text(a), read_text(b), arena);
}

struct quantity
quantity_sub(struct quantity a, struct quantity b, struct arena *arena)
{
    struct number y = read_text(b);

    y.negative = y.mag != 0 && !y.negative;
    return add(read_text(a), y, arena);
}

struct quantity
quantity_round_up(struct quantity q, int32_t scale, struct arena *arena)
{
    struct number n = read_text(q), rounded = n;

    round_to(&rounded, scale);
    return store(rounded, arena);
}

struct quantity
quantity_from_i64(int64_t n, enum quantity_format fmt, struct arena *arena)
{
    return store((struct number){ .mag = n < 0 ? 0 - (uint64_t)n : (uint64_t)n, .negative = n < 0, .format = fmt }, arena);
}

struct quantity
quantity_from_milli(int64_t n, struct arena *arena)
{
    struct number num = { .mag = n < 0 ? 0 - (uint64_t)n : (uint64_t)n, .scale = -3, .negative = n < 0 };

    return store(num, arena);
}

const char *
quantity_text(struct quantity q)
{
    return q.text ? q.text : "0";
}
