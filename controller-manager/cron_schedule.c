// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/cron_schedule.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "common/base/file.h"
#include "common/base/str.h"

#define ZONE_DIR "/usr/share/zoneinfo"
#define MAX_ZONE_BYTES (1 << 20)
#define YEARS_AHEAD 5

/* --- time zones: the TZif format (RFC 8536), version 2 with 64-bit transitions --- */

struct cron_zone {
    int64_t *at;      /* transitions, rising */
    int64_t *offset;  /* seconds east of UTC from then on */
    size_t len;
    int64_t first;    /* offset before the first one */
};

void
cron_zone_free(struct cron_zone *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->offset);
    free(z);
}

int64_t
cron_zone_offset(const struct cron_zone *z, int64_t t)
{
    size_t low = 0, high = z ? z->len : 0;

    if (!z)
        return 0;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (z->at[mid] <= t)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? z->offset[low - 1] : z->first;
}

static int64_t
big_endian(const uint8_t *p, unsigned bytes)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < bytes; i++)
        n = n << 8 | p[i];
    return bytes == 4 ? (int32_t)(uint32_t)n : (int64_t)n;
}

struct tz_header {
    size_t isut, isstd, leap, times, types, chars;
};

static bool
read_header(const uint8_t *p, size_t len, struct tz_header *h)
{
    if (len < 44 || memcmp(p, "TZif", 4) != 0)
        return false;
    h->isut = (size_t)big_endian(p + 20, 4);
    h->isstd = (size_t)big_endian(p + 24, 4);
    h->leap = (size_t)big_endian(p + 28, 4);
    h->times = (size_t)big_endian(p + 32, 4);
    h->types = (size_t)big_endian(p + 36, 4);
    h->chars = (size_t)big_endian(p + 40, 4);
    return h->times < 100000 && h->types < 256 && h->chars < 100000 && h->leap < 10000 && h->isut < 256 && h->isstd < 256 && h->types > 0;
}

static bool
parse_zone(const uint8_t *p, size_t len, struct cron_zone *z)
{
    struct tz_header h;

    if (!read_header(p, len, &h) || p[4] < '2')
        return false;
    size_t skip = 44 + h.times * 5 + h.types * 6 + h.chars + h.leap * 8 + h.isstd + h.isut; /* the 32-bit part */
    if (skip > len || !read_header(p + skip, len - skip, &h))
        return false;
    const uint8_t *times = p + skip + 44, *index = times + h.times * 8, *types = index + h.times;
    if ((size_t)(types - p) + h.types * 6 > len)
        return false;
    z->at = xcalloc(h.times + 1, sizeof *z->at);
    z->offset = xcalloc(h.times + 1, sizeof *z->offset);
    z->first = big_endian(types, 4);
    for (size_t i = 0; i < h.times; i++) {
        if (index[i] >= h.types)
            return false;
        z->at[i] = big_endian(times + i * 8, 8);
        z->offset[i] = big_endian(types + index[i] * 6, 4);
    }
    z->len = h.times;
    return true;
}

struct kerr *
cron_zone_load(const char *name, struct cron_zone **ret)
{
    AUTO_FREE char *path = str_empty(name) ? xstrdup("/etc/localtime") : xasprintf(ZONE_DIR "/%s", name);
    AUTO_FREE char *data = NULL;
    AUTO(cron_zone) *z = XNEW(struct cron_zone);
    size_t len = 0;

    if (!str_empty(name) && (strstr(name, "..") || *name == '/'))
        return kerr_new(KERR_INVALID, "unknown time zone %s", name);
    if (str_eq(name, "UTC") || str_eq(name, "Etc/UTC")) {
        *ret = steal_ptr(z);
        return NULL;
    }
    struct kerr *err = file_read(path, MAX_ZONE_BYTES, &data, &len);
    if (err && str_empty(name)) { /* no zone is set: UTC */
        kerr_free(err);
        *ret = steal_ptr(z);
        return NULL;
    }
    bool good = !err && parse_zone((const uint8_t *)data, len, z);
    kerr_free(err);
    if (!good)
        return kerr_new(KERR_INVALID, "unknown time zone %s", str_or(name, path));
    *ret = steal_ptr(z);
    return NULL;
}

/* --- parsing --- */

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const day_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };

struct field {
    const char *name;
    int min, max;
    const char *const *names; /* the first stands for min */
};
static const struct field fields[] = {
    { "minute", 0, 59 }, { "hour", 0, 23 }, { "day of month", 1, 31 }, { "month", 1, 12, month_names }, { "day of week", 0, 6, day_names },
};

static bool
parse_value(const struct field *f, const char **at, int *ret)
{
    if (isdigit((unsigned char)**at)) {
        char *end;
        long n = strtol(*at, &end, 10);
        *at = end;
        *ret = n > 1000 ? 1000 : (int)n;
        return true;
    }
    for (int i = 0; f->names && f->names[i]; i++)
        if (strncasecmp(*at, f->names[i], 3) == 0 && !isalpha((unsigned char)(*at)[3])) {
            *at += 3;
            *ret = f->min + i;
            return true;
        }
    return false;
}

/* One item of a comma list: "*", "5", "1-5", "*" or a range with a step. */
static bool
parse_item(const struct field *f, const char **at, uint64_t *bits, bool *star)
{
    int from = f->min, to = f->max, step = 1;

    if (**at == '*' || **at == '?') {
        (*at)++;
        *star = true;
    } else {
        if (!parse_value(f, at, &from))
            return false;
        to = from;
        if (**at == '-') {
            (*at)++;
            if (!parse_value(f, at, &to))
                return false;
        } else if (**at == '/')
            to = f->max;
    }
    if (**at == '/') {
        const struct field digits = { 0 };
        (*at)++;
        if (!parse_value(&digits, at, &step) || step < 1)
            return false;
        *star = *star && step == 1;
    }
    if (from < f->min || to > f->max || from > to)
        return false;
    for (int i = from; i <= to; i += step)
        *bits |= 1ull << i;
    return true;
}

static struct kerr *
parse_field(const struct field *f, const char *text, size_t len, uint64_t *ret_bits, bool *ret_star)
{
    AUTO_FREE char *copy = xstrndup(text, len);
    const char *at = copy;

    *ret_bits = 0;
    *ret_star = false;
    for (;;) {
        if (!parse_item(f, &at, ret_bits, ret_star) || (*at && *at != ','))
            return kerr_new(KERR_INVALID, "bad %s field: \"%s\"", f->name, copy);
        if (!*at)
            return NULL;
        at++;
    }
}

static const char *
expand_name(const char *text)
{
    static const struct { const char *name, *means; } names[] = {
        { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" }, { "@weekly", "0 0 * * 0" },
        { "@daily", "0 0 * * *" },  { "@midnight", "0 0 * * *" }, { "@hourly", "0 * * * *" },
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(names[i].name, text))
            return names[i].means;
    return text;
}

static struct kerr *
parse_every(const char *text, struct cron_schedule *ret)
{
    int64_t ms;

    if (parse_duration_ms(text, &ms) || ms < 1000)
        return kerr_new(KERR_INVALID, "failed to parse duration @every %s", text);
    *ret = (struct cron_schedule){ .every_s = ms / 1000 };
    return NULL;
}

struct kerr *
cron_parse(const char *text, struct cron_schedule *ret)
{
    struct cron_schedule s = { 0 };
    uint64_t *bits[] = { &s.minutes, &s.hours, &s.days, &s.months, &s.weekdays };
    bool star[5];
    const char *at = expand_name(str_safe(text));
    size_t n = 0;

    if (str_has_prefix(at, "@every "))
        return parse_every(at + strlen("@every "), ret);
    if (*at == '@')
        return kerr_new(KERR_INVALID, "unrecognized descriptor: %s", at);
    for (at += strspn(at, " \t"); *at && n < 5; n++) {
        size_t len = strcspn(at, " \t");
        struct kerr *err = parse_field(&fields[n], at, len, bits[n], &star[n]);
        if (err)
            return err;
        at += len;
        at += strspn(at, " \t");
    }
    if (n != 5 || *at)
        return kerr_new(KERR_INVALID, "expected exactly 5 fields: \"%s\"", str_safe(text));
    s.any_day = star[2];
    s.any_weekday = star[4];
    *ret = s;
    return NULL;
}

/* --- the next time --- */

struct civil {
    int year, month, day, weekday, hour, minute, second;
};

static struct civil
civil_of(int64_t local)
{
    int64_t days = local / 86400 - (local % 86400 < 0), rest = local - days * 86400;
    /* days since 1970 to a date: eras of 400 years that begin in March */
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    struct civil c = { 0 };

    c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
    c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
    c.year = (int)(yoe + era * 400 + (c.month <= 2));
    c.weekday = (int)(((days + 4) % 7 + 7) % 7);
    c.hour = (int)(rest / 3600);
    c.minute = (int)(rest / 60 % 60);
    c.second = (int)(rest % 60);
    return c;
}

static bool
day_fits(const struct cron_schedule *s, const struct civil *c)
{
    bool day = s->days >> c->day & 1, weekday = s->weekdays >> c->weekday & 1;

    if (!(s->months >> c->month & 1))
        return false;
    return s->any_day || s->any_weekday ? day && weekday : day || weekday;
}

int64_t
cron_next(const struct cron_schedule *s, const struct cron_zone *z, int64_t after)
{
    int64_t t = after + 60 - ((after % 60) + 60) % 60, end = after + (int64_t)YEARS_AHEAD * 366 * 86400;

    if (s->every_s)
        return after + s->every_s;
    while (t < end) {
        struct civil c = civil_of(t + cron_zone_offset(z, t));
        if (!day_fits(s, &c))
            t += (24 - c.hour) * 3600 - c.minute * 60 - c.second;
        else if (!(s->hours >> c.hour & 1))
            t += (60 - c.minute) * 60 - c.second;
        else if (!(s->minutes >> c.minute & 1))
            t += 60 - c.second;
        else
            return t;
    }
    return 0;
}
