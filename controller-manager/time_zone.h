// SPDX-License-Identifier: Apache-2.0
/* time_zone.h - the offset of a time zone at an instant, from the system's zoneinfo files (RFC 8536), without touching TZ of
 * the process, which all threads share.  A zone is immutable: any thread. */
#ifndef CKUBE_CONTROLLER_MANAGER_TIME_ZONE_H
#define CKUBE_CONTROLLER_MANAGER_TIME_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/kerr.h"

struct time_zone;

struct kerr *time_zone_load(const char *name, struct time_zone **ret) MUST_CHECK; /* "Europe/Berlin"; "", "UTC": UTC */
struct kerr *time_zone_parse(const char *data, size_t len, struct time_zone **ret) MUST_CHECK; /* the content of a zoneinfo file */
void time_zone_free(struct time_zone *z);
DEFINE_AUTO(time_zone)
int64_t time_zone_offset_s(const struct time_zone *z, int64_t unix_s); /* east of UTC; NULL = UTC */

#endif
