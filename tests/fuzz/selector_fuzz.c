// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a label and as a field selector: refused, or printed to a form that parses to itself. */
#include <stdint.h>
#include <string.h>

#include "common/api/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
get_nothing(const void *arg, const char *field)
{
    return NULL;
}

static void
must(bool ok)
{
    if (!ok)
        __builtin_trap();
}

static void
try_labels(const char *text, struct arena *a)
{
    struct label_query *q, *again;
    struct string_map none = { 0 };
    AUTO_SBUF first = { 0 };
    AUTO_SBUF second = { 0 };
    AUTO(kerr) *err = label_query_parse(text, a, &q);

    if (err)
        return;
    label_query_print(q, &first);
    struct kerr *must_not = label_query_parse(sbuf_str(&first), a, &again);
    must(!must_not);
    label_query_print(again, &second);
    must(strcmp(sbuf_str(&first), sbuf_str(&second)) == 0);
    must(label_query_matches(q, &none) == label_query_matches(again, &none));
}

static void
try_fields(const char *text, struct arena *a)
{
    struct field_query *q, *again;
    AUTO_SBUF printed = { 0 };
    AUTO(kerr) *err = field_query_parse(text, a, &q);

    if (err)
        return;
    field_query_print(q, &printed);
    struct kerr *must_not = field_query_parse(sbuf_str(&printed), a, &again);
    must(!must_not && again->len == q->len);
    must(field_query_matches(q, get_nothing, NULL) == field_query_matches(again, get_nothing, NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) *a = arena_new(0);
    char *text = arena_strndup(a, (const char *)data, size);

    try_labels(text, a);
    try_fields(text, a);
    return 0;
}
