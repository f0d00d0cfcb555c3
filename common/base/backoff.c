// SPDX-License-Identifier: Apache-2.0
#include "common/base/backoff.h"

uint64_t
backoff_next_ms(struct backoff *b, const struct backoff_policy *policy, struct rng *rng)
{
    uint64_t wait = policy->initial_ms;

    for (unsigned i = 0; i < b->failures && wait < policy->max_ms; i++)
        wait *= 2;
    if (wait > policy->max_ms)
        wait = policy->max_ms;
    b->failures++;
    uint64_t spread = wait * policy->jitter_percent / 100;
    return spread ? wait + rng_below(rng, spread + 1) : wait;
}
