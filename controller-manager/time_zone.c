// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/time_zone.h"

#include <ctype.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "controller-manager/cron_schedule.h"

#define DAY_S 86400

struct rule { /* when daylight saving begins or ends: the POSIX forms Mm.w.d, Jn and n */
    char kind;
    int month, week, day;
    int64_t time_s;
};
struct time_zone {
    size_t n;
    int64_t *at;      /* transitions, ascending */
    int64_t *offset;  /* from then on */
    int64_t first;    /* before the first */
    bool has_rules, has_dst; /* after the last transition */
    int64_t std, dst;
    struct rule begin, end;
};

void
time_zone_free(struct time_zone *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->offset);
    free(z);
}

/* --- the text at the end of the file: "CET-1CEST,M3.5.0,M10.5.0/3" --- */

static const char *
skip_name(const char *s)
{
    if (*s == '<') {
        while (*s && *s != '>')
            s++;
        return *s ? s + 1 : s;
    }
    while (isalpha((unsigned char)*s))
        s++;
    return s;
}

static int
number(const char **s)
{
    int n = 0;

    while (isdigit((unsigned char)**s) && n < 10000)
        n = n * 10 + *(*s)++ - '0';
    return n;
}

/* [+-]hh[:mm[:ss]] */
static int64_t
duration(const char **s)
{
    int64_t sign = **s == '-' ? -1 : 1, total, unit = 3600;

    if (**s == '-' || **s == '+')
        ++*s;
    total = (int64_t)number(s) * unit;
    while (**s == ':' && unit > 1) {
        ++*s;
        unit /= 60;
        total += (int64_t)number(s) * unit;
    }
    return sign * total;
}

static struct rule
parse_rule(const char **s)
{
    struct rule r = { .kind = 'n', .time_s = 2 * 3600 };

    if (**s == 'M' || **s == 'J')
        r.kind = *(*s)++;
    if (r.kind == 'M') {
        r.month = number(s);
        *s += **s == '.';
        r.week = number(s);
        *s += **s == '.';
    }
    r.day = number(s);
    if (**s == '/') {
        ++*s;
        r.time_s = duration(s);
    }
    return r;
}

static void
parse_rules(struct time_zone *z, const char *s)
{
    const char *at = skip_name(s);

    if (at == s)
        return;
    z->has_rules = true;
    z->std = -duration(&at);
    z->dst = z->std + 3600;
    s = at;
    at = skip_name(s);
    if (at == s)
        return;
    if (*at && *at != ',')
        z->dst = -duration(&at);
    if (*at != ',')
        return;
    at++;
    z->begin = parse_rule(&at);
    if (*at != ',')
        return;
    at++;
    z->end = parse_rule(&at);
    z->has_dst = true;
}

/* Local seconds since 1970 at which the rule applies in that year. */
static int64_t
rule_time(const struct rule *r, int64_t year)
{
    int64_t first = civil_days(year, 1, 1), day;
    bool leap = civil_days(year + 1, 1, 1) - first == 366;

    if (r->kind == 'M') {
        int64_t month = civil_days(year, r->month, 1), weekday = ((month + 4) % 7 + 7) % 7;
        int64_t next = r->month == 12 ? civil_days(year + 1, 1, 1) : civil_days(year, r->month + 1, 1);
        day = month + (r->day - weekday + 7) % 7 + 7 * (int64_t)(r->week - 1);
        while (day >= next)
            day -= 7;
    } else if (r->kind == 'J') {
        day = first + r->day - 1 + (leap && r->day >= 60);
    } else {
        day = first + r->day;
    }
    return day * DAY_S + r->time_s;
}

static int64_t
by_rules(const struct time_zone *z, int64_t unix_s)
{
    struct civil c = civil_from(unix_s + z->std);

    if (!z->has_dst)
        return z->std;
    int64_t begin = rule_time(&z->begin, c.year) - z->std, end = rule_time(&z->end, c.year) - z->dst;
    bool in = begin < end ? unix_s >= begin && unix_s < end : unix_s >= begin || unix_s < end;
    return in ? z->dst : z->std;
}

/* --- the file --- */

static int64_t
big_endian(const char *p, unsigned bytes)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < bytes; i++)
        n = n << 8 | (uint8_t)p[i];
    return bytes == 4 ? (int32_t)(uint32_t)n : (int64_t)n;
}

struct header {
    uint64_t isut, isstd, leap, time, type, chars;
};

static bool
read_header(const char *p, size_t len, struct header *h)
{
    if (len < 44 || memcmp(p, "TZif", 4) != 0)
        return false;
    uint64_t *const fields[] = { &h->isut, &h->isstd, &h->leap, &h->time, &h->type, &h->chars };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        *fields[i] = (uint64_t)(uint32_t)big_endian(p + 20 + 4 * i, 4);
    return true;
}

static uint64_t
block_size(const struct header *h, unsigned time_size)
{
    return h->time * time_size + h->time + h->type * 6 + h->chars + h->leap * (time_size + 4) + h->isstd + h->isut;
}

static bool
read_block(struct time_zone *z, const char *p, const struct header *h)
{
    const char *index = p + h->time * 8, *types = index + h->time;

    if (h->type == 0)
        return false;
    z->n = (size_t)h->time;
    z->at = xcalloc(z->n + 1, sizeof *z->at);
    z->offset = xcalloc(z->n + 1, sizeof *z->offset);
    z->first = big_endian(types, 4);
    for (size_t i = 0; i < z->n; i++) {
        uint8_t type = (uint8_t)index[i];
        if (type >= h->type)
            return false;
        z->at[i] = big_endian(p + 8 * i, 8);
        z->offset[i] = big_endian(types + 6 * type, 4);
    }
    return true;
}

struct kerr *
time_zone_parse(const char *data, size_t len, struct time_zone **ret)
{
    AUTO(time_zone) *z = XNEW(struct time_zone);
    struct header h;

    if (!read_header(data, len, &h) || data[4] < '2' || block_size(&h, 4) > len - 44)
        return kerr_new(KERR_INVALID, "not a time zone file of version 2 or later");
    size_t at = 44 + (size_t)block_size(&h, 4);
    if (!read_header(data + at, len - at, &h) || block_size(&h, 8) > len - at - 44 || !read_block(z, data + at + 44, &h))
        return kerr_new(KERR_INVALID, "a damaged time zone file");
    at += 44 + (size_t)block_size(&h, 8);
    const char *end = at < len && data[at] == '\n' ? memchr(data + at + 1, '\n', len - at - 1) : NULL;
    if (end) {
        AUTO_FREE char *text = xstrndup(data + at + 1, (size_t)(end - data) - at - 1);
        parse_rules(z, text);
    }
    *ret = z;
    z = NULL;
    return NULL;
}

struct kerr *
time_zone_load(const char *name, struct time_zone **ret)
{
    AUTO_FREE char *data = NULL;
    size_t len;

    if (str_empty(name) || str_eq(name, "UTC") || str_eq(name, "Etc/UTC")) {
        *ret = XNEW(struct time_zone);
        return NULL;
    }
    if (*name == '/' || strstr(name, "..") || strchr(name, '\\'))
        return kerr_new(KERR_INVALID, "unknown time zone %s", name);
    AUTO_FREE char *path = xasprintf("/usr/share/zoneinfo/%s", name);
    AUTO(kerr) *err = file_read(path, 1 << 20, &data, &len);
    if (err)
        return kerr_new(KERR_INVALID, "unknown time zone %s", name);
    return kerr_wrap(time_zone_parse(data, len, ret), "time zone %s", name);
}

int64_t
time_zone_offset_s(const struct time_zone *z, int64_t unix_s)
{
    size_t lo = 0, hi = z ? z->n : 0;

    if (!z)
        return 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (z->at[mid] <= unix_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == z->n && z->has_rules)
        return by_rules(z, unix_s);
    return lo == 0 ? z->first : z->offset[lo - 1];
}
