// SPDX-License-Identifier: Apache-2.0
/* backoff.h - how long to wait after the n-th failure.  Pure: no clock inside. */
#ifndef CKUBE_BASE_BACKOFF_H
#define CKUBE_BASE_BACKOFF_H

#include <stdint.h>

#include "common/base/rng.h"

struct backoff_policy {
    uint64_t initial_ms;
    uint64_t max_ms;
    unsigned jitter_percent; /* adds 0..this share, at random */
};

struct backoff {
    unsigned failures;
};

/* The wait before the next try; counts one failure. */
uint64_t backoff_next_ms(struct backoff *b, const struct backoff_policy *policy, struct rng *rng);
static inline void backoff_reset(struct backoff *b)
{
    b->failures = 0;
}

#endif
