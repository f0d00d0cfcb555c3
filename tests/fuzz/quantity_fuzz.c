// SPDX-License-Identifier: Apache-2.0
/* Any bytes: a clear refusal, or a text that parses to the same value and obeys the arithmetic.
 * A text without suffix has lost "binary" (14062.5Ki is 14400000, which is 14400k when read again): then it stays. */
#include <stdint.h>
#include <string.h>

#include "common/api/values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok)
{
    if (!ok)
        __builtin_trap();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) *a = arena_new(0);
    struct quantity x, y, z;
    AUTO(kerr) *err = NULL;

    err = quantity_parse((const char *)data, size, a, &x);
    if (err)
        return 0;
    struct kerr *again = quantity_parse(x.text, strlen(x.text), a, &y);
    must(!again);
    must(quantity_cmp(x, y) == 0);
    again = quantity_parse(y.text, strlen(y.text), a, &z);
    must(!again && strcmp(y.text, z.text) == 0);
    must(quantity_sign(quantity_sub(x, x, a)) == 0);
    must(quantity_cmp(quantity_add(x, x, a), x) * quantity_sign(x) >= 0);
    must(quantity_cmp(quantity_round_up(x, -3, a), x) * quantity_sign(x) >= 0);
    must(quantity_value(x) == quantity_value(y) && quantity_milli(x) == quantity_milli(y));
    return 0;
}
