// SPDX-License-Identifier: Apache-2.0
/* cron_schedule.h - the five cron fields, with names, ranges, steps, and @hourly, @daily, @weekly, @monthly, @yearly,
 * @every 1h30m; the same as upstream reads them (github.com/robfig/cron).  Pure. */
#ifndef CKUBE_CONTROLLER_MANAGER_CRON_SCHEDULE_H
#define CKUBE_CONTROLLER_MANAGER_CRON_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"

struct time_zone;

struct cron_schedule {
    uint64_t minute, hour, day, month, weekday; /* bit n: at n */
    bool any_day, any_weekday; /* "*": then only the other of the two counts; else either does */
    int64_t every_s;           /* @every; 0 = the fields */
};

struct kerr *cron_schedule_parse(const char *text, struct cron_schedule *ret) MUST_CHECK;
/* The first time after that instant; 0: none within five years (as 30 February). */
int64_t cron_schedule_next(const struct cron_schedule *s, const struct time_zone *z, int64_t after_unix_s);

/* --- the calendar --- */
struct civil {
    int64_t year;
    int month, day, hour, minute, second, weekday; /* 1-12, 1-31, ...; Sunday is 0 */
};
int64_t civil_days(int64_t year, int month, int day); /* since 1970-01-01 */
struct civil civil_from(int64_t seconds);

#endif
