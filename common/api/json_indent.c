// SPDX-License-Identifier: Apache-2.0
#include "common/api/codec.h"

static void
new_line(struct sbuf *out, unsigned depth)
{
    sbuf_addc(out, '\n');
    for (unsigned i = 0; i < depth; i++)
        sbuf_adds(out, "  ");
}

/* The end of the string that starts at `at` (its opening quote). */
static size_t
string_end(const char *json, size_t len, size_t at)
{
    for (size_t i = at + 1; i < len; i++) {
        if (json[i] == '\\')
            i++;
        else if (json[i] == '"')
            return i + 1;
    }
    return len;
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

void
json_indent(const char *json, size_t len, struct sbuf *out)
{
    unsigned depth = 0;
    bool opened = false; /* the last thing written was a bracket that opens */

    for (size_t i = 0; i < len; i++) {
        char c = json[i];
        bool closes = c == '}' || c == ']';

        if (is_space(c))
            continue;
        if (closes && depth > 0)
            depth--;
        if (closes ? !opened : opened)
            new_line(out, depth);
        opened = c == '{' || c == '[';
        if (c == '"') {
            size_t end = string_end(json, len, i);
            sbuf_add(out, json + i, end - i);
            i = end - 1;
            continue;
        }
        sbuf_addc(out, c);
        if (opened && depth < CODEC_MAX_DEPTH)
            depth++;
        if (c == ',')
            new_line(out, depth);
        else if (c == ':')
            sbuf_addc(out, ' ');
    }
}
