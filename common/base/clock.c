// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.h"

#include <errno.h>
#include <time.h>

static int64_t
read_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

uint64_t
clock_mono_us(void)
{
    return (uint64_t)read_us(CLOCK_MONOTONIC) + 1000;
}

uint64_t
clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t
clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t
clock_wall_s(void)
{
    return clock_wall_us() / 1000000;
}

void
clock_sleep_ms(uint64_t ms)
{
    struct timespec left = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}
