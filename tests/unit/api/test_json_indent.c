// SPDX-License-Identifier: Apache-2.0
/* JSON for people. */
#include "common/api/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const struct {
    const char *in, *out;
} rows[] = {
    { "{}", "{}" },
    { "[]", "[]" },
    { "{\"a\":1}", "{\n  \"a\": 1\n}" },
    { "{\"a\":[1,{\"b\":{}}],\"c\":\"x\"}", "{\n  \"a\": [\n    1,\n    {\n      \"b\": {}\n    }\n  ],\n  \"c\": \"x\"\n}" },
    { " { \"a\" : [ ] }\n", "{\n  \"a\": []\n}" },
    { "\"{\\\"not\\\": [a,b]}\"", "\"{\\\"not\\\": [a,b]}\"" },
    { "\"ends\\", "\"ends\\" }, /* what is no JSON comes out somehow, inside its bounds */
    { "}}]", "\n}\n}\n]" },
    { "", "" },
};

static void
indents(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_SBUF out = { 0 };
        AUTO_FREE char *exact = xmemdup(rows[i].in, strlen(rows[i].in)); /* no byte behind it: ASan watches */
        json_indent(exact, strlen(rows[i].in), &out);
        assert_string_equal(sbuf_str(&out), rows[i].out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(indents) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
