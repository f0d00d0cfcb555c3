// SPDX-License-Identifier: Apache-2.0
/* A cron schedule up to the first NUL, and a zoneinfo file behind it: whatever they are, the next time is found in bounded time. */
#include "common/base/str.h"
#include "controller-manager/cron_schedule.h"
#include "controller-manager/time_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    AUTO_FREE char *text = xstrndup((const char *)data, nul ? (size_t)(nul - data) : size);
    AUTO(time_zone) *z = NULL;
    struct cron_schedule s;

    AUTO(kerr) *zone_err = nul ? time_zone_parse((const char *)nul + 1, size - (size_t)(nul - data) - 1, &z) : NULL;
    AUTO(kerr) *err = cron_schedule_parse(text, &s);
    if (!err) {
        int64_t next = cron_schedule_next(&s, z, 1767225600);
        if (next && next <= 1767225600)
            __builtin_trap();
    }
    return 0;
}
