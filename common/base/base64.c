// SPDX-License-Identifier: Apache-2.0
#include "common/base/base64.h"

#include <errno.h>

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t
encode(const uint8_t *p, size_t size, const char *digits, bool pad, char *ret)
{
    char *w = ret;

    for (; size >= 3; p += 3, size -= 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        *w++ = digits[v >> 18];
        *w++ = digits[v >> 12 & 63];
        *w++ = digits[v >> 6 & 63];
        *w++ = digits[v & 63];
    }
    if (size) {
        uint32_t v = (uint32_t)p[0] << 16 | (size == 2 ? (uint32_t)p[1] << 8 : 0);
        *w++ = digits[v >> 18];
        *w++ = digits[v >> 12 & 63];
        if (size == 2)
            *w++ = digits[v >> 6 & 63];
        for (size_t i = size; pad && i < 3; i++)
            *w++ = '=';
    }
    return (size_t)(w - ret);
}

size_t
base64_encode_to(const void *p, size_t size, char *ret)
{
    return encode(p, size, std_digits, true, ret);
}

static void
encode_into(const void *p, size_t size, const char *digits, bool pad, struct sbuf *out)
{
    if (!size || !sbuf_reserve(out, BASE64_ENCODED_SIZE(size)))
        return;
    out->len += encode(p, size, digits, pad, out->s + out->len);
    out->s[out->len] = '\0';
}

void
base64_encode(const void *p, size_t size, struct sbuf *out)
{
    encode_into(p, size, std_digits, true, out);
}

void
base64url_encode(const void *p, size_t size, struct sbuf *out)
{
    encode_into(p, size, url_digits, false, out);
}

/* Value of a digit, or -1. */
static int
digit(unsigned char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

static ssize_t
decode(const char *s, size_t len, bool url, uint8_t *ret, size_t *ret_bad)
{
    uint8_t *w = ret;
    uint32_t bits = 0;
    unsigned have = 0; /* digits in `bits` */
    unsigned pads = 0;
    size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '\r' || c == '\n')
            continue;
        if (c == '=' && !url) {
            if (have < 2 || have + ++pads > 4)
                goto bad;
            continue;
        }
        int v = pads ? -1 : digit(c, url);
        if (v < 0)
            goto bad;
        bits = bits << 6 | (uint32_t)v;
        if (++have == 4) {
            *w++ = (uint8_t)(bits >> 16);
            *w++ = (uint8_t)(bits >> 8);
            *w++ = (uint8_t)bits;
            have = 0;
        }
    }
    if (have == 1 || (have && !url && have + pads != 4))
        goto bad;
    if (have >= 2)
        *w++ = (uint8_t)(have == 2 ? bits >> 4 : bits >> 10);
    if (have == 3)
        *w++ = (uint8_t)(bits >> 2);
    return w - ret;
bad:
    if (ret_bad)
        *ret_bad = i;
    return -EINVAL;
}

ssize_t
base64_decode(const char *s, size_t len, uint8_t *ret, size_t *ret_bad)
{
    return decode(s, len, false, ret, ret_bad);
}

ssize_t
base64url_decode(const char *s, size_t len, uint8_t *ret)
{
    return decode(s, len, true, ret, NULL);
}
