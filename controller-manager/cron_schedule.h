// SPDX-License-Identifier: Apache-2.0
/* cron_schedule.h - "0,30 8-18 * * MON-FRI", "@daily", "@every 1h": when a CronJob is due, in a time zone.
 * As upstream's parser (robfig/cron v3 standard): five fields, names, ranges, steps; day of month and day of week are
 * joined by "or" when both are restricted.  Pure, but for reading the zone's file once. */
#ifndef CKUBE_CONTROLLER_MANAGER_CRON_SCHEDULE_H
#define CKUBE_CONTROLLER_MANAGER_CRON_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/kerr.h"

struct cron_zone; /* offsets from UTC by time */
/* "" or NULL: the machine's own (/etc/localtime, else UTC); "Etc/UTC", "Europe/Berlin": from /usr/share/zoneinfo. */
struct kerr *cron_zone_load(const char *name, struct cron_zone **ret) MUST_CHECK;
void cron_zone_free(struct cron_zone *z);
DEFINE_AUTO(cron_zone)
int64_t cron_zone_offset(const struct cron_zone *z, int64_t unix_s); /* NULL = UTC */

struct cron_schedule {
    uint64_t minutes, hours, days, months, weekdays; /* bit sets */
    bool any_day, any_weekday;                       /* written as a star */
    int64_t every_s;                                 /* @every; else 0 */
};
struct kerr *cron_parse(const char *text, struct cron_schedule *ret) MUST_CHECK;
/* The first time after `after`, or 0 when there is none within five years. */
int64_t cron_next(const struct cron_schedule *s, const struct cron_zone *z, int64_t after_unix_s);

#endif
