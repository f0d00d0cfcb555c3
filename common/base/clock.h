// SPDX-License-Identifier: Apache-2.0
/* clock.h - the two clocks.  Deciding code takes now_ms as an argument and never calls these. */
#ifndef CKUBE_BASE_CLOCK_H
#define CKUBE_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void);  /* monotonic, never 0: timeouts, back-off */
uint64_t clock_mono_us(void);
int64_t clock_wall_s(void);    /* seconds since 1970: object timestamps */
int64_t clock_wall_us(void);
void clock_sleep_ms(uint64_t ms); /* tests and start-up waits only */

#endif
