// SPDX-License-Identifier: Apache-2.0
#include "common/api/values.h"

#include <errno.h>
#include <string.h>

#include "common/base/str.h"

int
int_or_string_scaled(struct int_or_string v, int32_t total, bool round_up, int32_t *ret)
{
    char digits[16];
    int32_t percent;

    if (!v.str) {
        *ret = v.num;
        return 0;
    }
    size_t len = strlen(v.str);
    if (len < 2 || len > sizeof digits || v.str[len - 1] != '%')
        return -EINVAL;
    const char *from = v.str[0] == '+' ? v.str + 1 : v.str;
    size_t ndigits = len - 1 - (size_t)(from - v.str);
    memcpy(digits, from, ndigits);
    digits[ndigits] = '\0';
    if (parse_i32(digits, &percent))
        return -EINVAL;

    int64_t product = (int64_t)percent * total;
    int64_t n = product / 100;
    if (product % 100 != 0) {
        if (round_up && product > 0)
            n++;
        if (!round_up && product < 0)
            n--;
    }
    *ret = n > INT32_MAX ? INT32_MAX : n < INT32_MIN ? INT32_MIN : (int32_t)n;
    return 0;
}

bool
int_or_string_is_percent(struct int_or_string v)
{
    size_t len = v.str ? strlen(v.str) : 0;

    if (len < 2 || v.str[len - 1] != '%')
        return false;
    for (size_t i = 0; i + 1 < len; i++)
        if (v.str[i] < '0' || v.str[i] > '9')
            return false;
    return true;
}

bool
int_or_string_eq(struct int_or_string a, struct int_or_string b)
{
    if (!a.str || !b.str)
        return !a.str && !b.str && a.num == b.num;
    return strcmp(a.str, b.str) == 0;
}
