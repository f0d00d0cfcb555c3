// SPDX-License-Identifier: Apache-2.0
#include "common/client/leader.h"

#include <string.h>

#include "common/base/str.h"

enum leader_step
leader_decide(const struct leader_record *seen, uint64_t observed_ms, const char *identity, int64_t duration_ms, uint64_t now_ms,
              int64_t now_us, struct leader_record *ret_next)
{
    struct leader_record next = { .duration_s = (int32_t)(duration_ms / 1000), .acquire_us = now_us, .renew_us = now_us, .exists = true };
    bool ours = seen->exists && str_eq(seen->holder, identity);

    memcpy(next.holder, identity, strnlen(identity, sizeof next.holder - 1));
    if (!seen->exists) {
        *ret_next = next;
        return LEADER_CREATE;
    }
    /* The holder's own duration counts, and our clock since we saw its last sign: clocks of two machines are not compared. */
    int64_t holds_ms = seen->duration_s > 0 ? (int64_t)seen->duration_s * 1000 : duration_ms;
    if (!ours && seen->holder[0] && observed_ms + (uint64_t)holds_ms > now_ms)
        return LEADER_WAIT;
    next.acquire_us = ours ? seen->acquire_us : now_us;
    next.transitions = ours ? seen->transitions : seen->transitions + 1;
    *ret_next = next;
    return ours ? LEADER_RENEW : LEADER_TAKE;
}
