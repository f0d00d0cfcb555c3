// SPDX-License-Identifier: Apache-2.0
/* json_cursor.h - a cursor over JSON bytes that finds a few values and skips the rest at memory speed.  No tree, no copies.
 *
 *   struct json_cursor c = json_cursor_of(bytes, len);
 *   if (cursor_enter_object(&c))
 *       while (cursor_next_member(&c, &name))
 *           if (span_is(name, "rev")) rev = cursor_i64(&c); else cursor_skip(&c, NULL);
 *   if (c.bad) ...                       // once broken, every call fails: check at the end
 *
 * It checks structure only as far as it has to; real decoding is common/api's.  Any thread. */
#ifndef CKUBE_APISERVER_JSON_CURSOR_H
#define CKUBE_APISERVER_JSON_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/sbuf.h"

struct json_cursor {
    const char *p, *end;
    bool bad;
    bool fresh; /* just entered an object or array: no comma expected */
};
struct json_span { /* of a string: between the quotes, still escaped; else the value's text */
    const char *s;
    size_t len;
    bool is_string;
};

static inline struct json_cursor json_cursor_of(const char *json, size_t len)
{
    return (struct json_cursor){ json, json + len, false, false };
}
static inline bool span_is(struct json_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.s, text, span.len) == 0;
}

char cursor_peek(struct json_cursor *c); /* first byte of the next value, 0 at the end */
bool cursor_enter_object(struct json_cursor *c); /* false: no object (nothing consumed, not bad) */
bool cursor_next_member(struct json_cursor *c, struct json_span *ret_name); /* false: object is over, or bad */
bool cursor_enter_array(struct json_cursor *c);
bool cursor_next_element(struct json_cursor *c); /* false: array is over, or bad */
bool cursor_skip(struct json_cursor *c, struct json_span *ret); /* any value; ret may be NULL */
int64_t cursor_i64(struct json_cursor *c); /* number, or number in quotes (protobuf's JSON form of int64); else bad */
bool cursor_bool(struct json_cursor *c);   /* anything but true is false */
bool cursor_at_end(struct json_cursor *c); /* only white space is left */

/* Appends the text of a span without its escapes, as UTF-8. false: a broken escape, or a NUL. */
bool span_unescape(struct json_span span, struct sbuf *out);

#endif
