// SPDX-License-Identifier: Apache-2.0
#include "common/api/values.h"

#define US_NS 1000ull
#define MS_NS 1000000ull
#define SEC_NS 1000000000ull

/* n/unit with as many fraction digits as it needs. */
static void
add_fraction(struct sbuf *out, uint64_t n, uint64_t unit)
{
    char digits[12];
    int len = 0;

    sbuf_add_i64(out, (int64_t)(n / unit));
    uint64_t rest = n % unit;
    if (rest == 0)
        return;
    for (uint64_t place = unit / 10; rest > 0 && place > 0; place /= 10) {
        digits[len++] = (char)('0' + rest / place);
        rest %= place;
    }
    sbuf_addc(out, '.');
    sbuf_add(out, digits, (size_t)len);
}

void
api_duration_format(struct api_duration d, struct sbuf *out)
{
    uint64_t n = d.ns < 0 ? 0 - (uint64_t)d.ns : (uint64_t)d.ns;

    if (n == 0) {
        sbuf_adds(out, "0s");
        return;
    }
    if (d.ns < 0)
        sbuf_addc(out, '-');
    if (n < SEC_NS) {
        bool us = n >= US_NS, ms = n >= MS_NS;
        add_fraction(out, n, ms ? MS_NS : us ? US_NS : 1);
        sbuf_adds(out, ms ? "ms" : us ? "\u00b5s" : "ns");
        return;
    }
    uint64_t minutes = n / (60 * SEC_NS), hours = minutes / 60;
    if (hours > 0)
        sbuf_addf(out, "%lluh", (unsigned long long)hours);
    if (minutes > 0)
        sbuf_addf(out, "%llum", (unsigned long long)(minutes % 60));
    add_fraction(out, n % (60 * SEC_NS), SEC_NS);
    sbuf_addc(out, 's');
}
