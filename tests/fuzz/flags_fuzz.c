// SPDX-License-Identifier: Apache-2.0
/* Words of a command line, one per line of the input. */
#include <stddef.h>
#include <stdint.h>

#include "common/daemon/flags.h"

#define MAX_WORDS 64

struct options {
    bool b;
    char *s, *ip;
    int32_t i;
    int64_t d;
    double f;
    struct strlist list, array, cidrs;
    struct flag_map map, bools;
};

static const struct flag table[] = {
    { "b", FLAG_BOOL, offsetof(struct options, b), NULL, "b", .shorthand = "b" },
    { "s", FLAG_STRING, offsetof(struct options, s), "x", "s", .shorthand = "s" },
    { "ip", FLAG_IP, offsetof(struct options, ip), NULL, "ip" },
    { "i", FLAG_I32, offsetof(struct options, i), "1", "i" },
    { "d", FLAG_DURATION, offsetof(struct options, d), "1s", "d" },
    { "f", FLAG_FLOAT, offsetof(struct options, f), NULL, "f" },
    { "list", FLAG_STRINGS, offsetof(struct options, list), "a,b", "list" },
    { "array", FLAG_STRING_ARRAY, offsetof(struct options, array), NULL, "array" },
    { "cidrs", FLAG_CIDRS, offsetof(struct options, cidrs), NULL, "cidrs" },
    { "map", FLAG_MAP, offsetof(struct options, map), NULL, "map" },
    { "bools", FLAG_BOOL_MAP, offsetof(struct options, bools), NULL, "bools" },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = xstrndup((const char *)data, size);
    AUTO_STRLIST words = { 0 };
    struct options o = { 0 };
    AUTO_SBUF out = { 0 };

    strlist_add(&words, "daemon");
    strlist_split(&words, text, '\n');
    struct flags *fs = flags_new("daemon", "fuzz");
    flags_add(fs, "All", table, ARRAY_LEN(table), &o);
    flags_add_known_removed(fs);
    kerr_free(flags_parse(fs, (int)(words.len < MAX_WORDS ? words.len : MAX_WORDS), words.items));
    flags_values(fs, &out);
    flags_help(fs, &out);
    flags_free(fs);
    return 0;
}
