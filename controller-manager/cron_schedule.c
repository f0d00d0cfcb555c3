// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/cron_schedule.h"

#include "common/base/str.h"
#include "controller-manager/time_zone.h"

#define DAY_S 86400
#define MAX_DAYS (5 * 366)

/* --- the calendar (proleptic Gregorian, eras of 400 years) --- */

int64_t
civil_days(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

struct civil
civil_from(int64_t seconds)
{
    int64_t days = seconds / DAY_S - (seconds % DAY_S < 0), rest = seconds - days * DAY_S, z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
    int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365, of_year = of_era - (365 * years + years / 4 - years / 100);
    int64_t m = (5 * of_year + 2) / 153;
    struct civil c = { .day = (int)(of_year - (153 * m + 2) / 5 + 1), .month = (int)(m < 10 ? m + 3 : m - 9), .hour = (int)(rest / 3600),
                       .minute = (int)(rest / 60 % 60), .second = (int)(rest % 60), .weekday = (int)(((days + 4) % 7 + 7) % 7) };

    c.year = years + era * 400 + (c.month <= 2);
    return c;
}

/* --- parsing --- */

struct field {
    const char *what;
    int min, max;
    const char *names; /* three letters each, the first is number min */
};
static const struct field fields[] = {
    { "minute", 0, 59, NULL },
    { "hour", 0, 23, NULL },
    { "day of month", 1, 31, NULL },
    { "month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec" },
    { "day of week", 0, 6, "sunmontuewedthufrisat" },
};

static struct kerr *
parse_number(const struct field *f, const char *text, int *ret)
{
    AUTO_FREE char *low = str_lower(text);
    int32_t n;

    for (int i = 0; f->names && strlen(low) == 3 && i <= f->max - f->min; i++)
        if (strncmp(f->names + 3 * i, low, 3) == 0) {
            *ret = f->min + i;
            return NULL;
        }
    if (str_empty(text) || parse_i32(text, &n) || n < 0)
        return kerr_new(KERR_INVALID, "failed to parse int from %s", text);
    *ret = n;
    return NULL;
}

/* number | number-number | * | ?, each with /step */
static struct kerr *
parse_range(const struct field *f, const char *text, uint64_t *bits, bool *any)
{
    AUTO_FREE char *copy = xstrdup(text);
    char *slash = strchr(copy, '/'), *dash;
    int first, last, step = 1;
    struct kerr *err;

    if (slash)
        *slash++ = '\0';
    dash = strchr(copy, '-');
    if (dash)
        *dash++ = '\0';
    bool star = str_eq(copy, "*") || str_eq(copy, "?");
    if (star && dash)
        return kerr_new(KERR_INVALID, "too many hyphens: %s", text);
    first = f->min;
    last = f->max;
    err = star ? NULL : parse_number(f, copy, &first);
    if (!err && dash)
        err = parse_number(f, dash, &last);
    else if (!star && !slash)
        last = first;
    if (!err && slash)
        err = parse_number(&(struct field){ f->what, 0, 0, NULL }, slash, &step);
    if (err)
        return err;
    if (first < f->min)
        return kerr_new(KERR_INVALID, "beginning of range (%d) below minimum (%d): %s", first, f->min, text);
    if (last > f->max)
        return kerr_new(KERR_INVALID, "end of range (%d) above maximum (%d): %s", last, f->max, text);
    if (first > last)
        return kerr_new(KERR_INVALID, "beginning of range (%d) beyond end of range (%d): %s", first, last, text);
    if (step == 0)
        return kerr_new(KERR_INVALID, "step of range should be a positive number: %s", text);
    for (int i = first; i <= last; i += step)
        *bits |= 1ull << i;
    *any = *any || (star && step == 1);
    return NULL;
}

static struct kerr *
parse_field(const struct field *f, const char *text, uint64_t *bits, bool *any)
{
    AUTO_STRLIST parts = { 0 };

    strlist_split(&parts, text, ',');
    *bits = 0;
    *any = false;
    for (size_t i = 0; i < parts.len; i++) {
        struct kerr *err = parse_range(f, parts.items[i], bits, any);
        if (err)
            return kerr_wrap(err, "%s", f->what);
    }
    return NULL;
}

static struct kerr *
parse_fields(const char *text, struct cron_schedule *s)
{
    uint64_t *const bits[] = { &s->minute, &s->hour, &s->day, &s->month, &s->weekday };
    AUTO_FREE char *copy = xstrdup(text);
    char *save = NULL;
    bool any[5] = { false };
    size_t n = 0;

    for (char *word = strtok_r(copy, " \t\n", &save); word; word = strtok_r(NULL, " \t\n", &save), n++) {
        struct kerr *err = n < 5 ? parse_field(&fields[n], word, bits[n], &any[n]) : NULL;
        if (err)
            return err;
    }
    if (n != 5)
        return kerr_new(KERR_INVALID, "expected exactly 5 fields, found %zu: [%s]", n, text);
    s->any_day = any[2];
    s->any_weekday = any[4];
    return NULL;
}

static struct kerr *
parse_name(const char *text, struct cron_schedule *s)
{
    static const struct {
        const char *name, *fields;
    } names[] = {
        { "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" }, { "@weekly", "0 0 * * 0" },
        { "@daily", "0 0 * * *" },  { "@midnight", "0 0 * * *" }, { "@hourly", "0 * * * *" },
    };
    int64_t ns;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(text, names[i].name))
            return parse_fields(names[i].fields, s);
    if (!str_has_prefix(text, "@every "))
        return kerr_new(KERR_INVALID, "unrecognized descriptor: %s", text);
    if (parse_duration_ns(text + strlen("@every "), &ns))
        return kerr_new(KERR_INVALID, "failed to parse duration %s", text);
    s->every_s = ns < 1000000000 ? 1 : ns / 1000000000;
    return NULL;
}

struct kerr *
cron_schedule_parse(const char *text, struct cron_schedule *ret)
{
    struct cron_schedule s = { 0 };
    struct kerr *err;

    if (str_empty(text))
        return kerr_new(KERR_INVALID, "empty spec string");
    err = *text == '@' ? parse_name(text, &s) : parse_fields(text, &s);
    if (!err)
        *ret = s;
    return err;
}

/* --- the next time --- */

static bool
day_matches(const struct cron_schedule *s, const struct civil *c)
{
    bool day = s->day >> c->day & 1, weekday = s->weekday >> c->weekday & 1;

    return s->any_day || s->any_weekday ? day && weekday : day || weekday;
}

/* The instant at which the local midnight of that day is. */
static int64_t
midnight(const struct time_zone *z, int64_t day)
{
    int64_t local = day * DAY_S, guess = local - time_zone_offset_s(z, local);

    return local - time_zone_offset_s(z, guess);
}

int64_t
cron_schedule_next(const struct cron_schedule *s, const struct time_zone *z, int64_t after)
{
    if (s->every_s)
        return after + s->every_s;
    int64_t t = (after - (after % 60 + 60) % 60) + 60;
    for (int64_t days = 0; days < MAX_DAYS;) {
        int64_t offset = time_zone_offset_s(z, t);
        struct civil c = civil_from(t + offset);
        if (!(s->month >> c.month & 1) || !day_matches(s, &c)) {
            int64_t next = midnight(z, civil_days(c.year, c.month, c.day) + 1);
            t = next > t ? next : t + 3600;
            days++;
        } else if (!(s->hour >> c.hour & 1)) {
            t += 3600 - c.minute * 60 - c.second;
        } else if (!(s->minute >> c.minute & 1)) {
            t += 60 - c.second;
        } else {
            return t;
        }
        days += s->hour == 0 || s->minute == 0;
    }
    return 0;
}
