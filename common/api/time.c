// SPDX-License-Identifier: Apache-2.0
#include "common/api/values.h"

#include <errno.h>

#define DAY_S 86400ll

/* Days since 0001-01-01 of the proleptic Gregorian calendar; any year from 0. */
static int64_t
days_from_date(int year, int month, int day)
{
    static const short before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    int64_t y = (int64_t)year - 1;
    /* Divisions round down; y is -1 at the least. */
    int64_t leaps = y < 0 ? -1 : y / 4 - y / 100 + y / 400;

    return y * 365 + leaps + before[month - 1] + (leap && month > 2) + day - 1;
}

static void
date_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    /* Count from 1 March of year 0: then leap days come last in each cycle. */
    int64_t z = days + 306;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *ret_day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *ret_month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret_year = yoe + era * 400 + (*ret_month <= 2);
}

static int
days_in_month(int year, int month)
{
    static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (leap && month == 2);
}

/* Exactly n digits, then the byte `after` unless that is 0. */
static bool
take(const char **s, const char *end, int n, char after, int *ret)
{
    int value = 0;

    if (end - *s < n + (after != 0))
        return false;
    for (; n > 0; n--, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        value = value * 10 + (**s - '0');
    }
    if (after && *(*s)++ != after)
        return false;
    *ret = value;
    return true;
}

static bool
take_fraction(const char **s, const char *end, int32_t *ret_nsec)
{
    int32_t nsec = 0, unit = 100000000;
    const char *p = *s + 1;

    if (p == end || *p < '0' || *p > '9')
        return false;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        nsec += (*p - '0') * unit;
        unit /= 10;
    }
    *s = p;
    *ret_nsec = nsec;
    return true;
}

static bool
take_zone(const char **s, const char *end, int *ret_offset_s)
{
    int hours, minutes;

    if (*s == end)
        return false;
    char sign = *(*s)++;
    if (sign == 'Z') {
        *ret_offset_s = 0;
        return true;
    }
    if ((sign != '+' && sign != '-') || !take(s, end, 2, ':', &hours) || !take(s, end, 2, 0, &minutes))
        return false;
    if (hours > 24 || minutes > 60)
        return false;
    *ret_offset_s = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return true;
}

int
api_time_parse(const char *s, size_t len, struct api_time *ret)
{
    const char *end = s + len;
    int year, month, day, hour, minute, second, offset_s;
    int32_t nsec = 0;

    if (!take(&s, end, 4, '-', &year) || !take(&s, end, 2, '-', &month) || !take(&s, end, 2, 'T', &day) ||
        !take(&s, end, 2, ':', &hour) || !take(&s, end, 2, ':', &minute) || !take(&s, end, 2, 0, &second))
        return -EINVAL;
    if (s < end && (*s == '.' || *s == ',') && !take_fraction(&s, end, &nsec))
        return -EINVAL;
    if (!take_zone(&s, end, &offset_s) || s != end)
        return -EINVAL;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 59)
        return -EINVAL;
    ret->sec = days_from_date(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - offset_s;
    ret->nsec = nsec;
    return 0;
}

static void
format_seconds(struct api_time t, struct sbuf *out)
{
    int64_t days = t.sec / DAY_S, rest = t.sec % DAY_S, year;
    int month, day;

    if (rest < 0) {
        rest += DAY_S;
        days--;
    }
    date_from_days(days, &year, &month, &day);
    sbuf_addf(out, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)year, month, day, (int)(rest / 3600),
              (int)(rest / 60 % 60), (int)(rest % 60));
}

void
api_time_format(struct api_time t, struct sbuf *out)
{
    format_seconds(t, out);
    sbuf_addc(out, 'Z');
}

void
api_time_format_micro(struct api_time t, struct sbuf *out)
{
    format_seconds(t, out);
    sbuf_addf(out, ".%06dZ", (int)(t.nsec / 1000));
}
