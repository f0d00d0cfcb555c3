// SPDX-License-Identifier: Apache-2.0
/* json_scan.h - walks JSON text byte by byte: white space, strings, numbers, skipping, compacting.
 * The ground under json_decode.c, yaml.c, status.c and whoever looks into raw JSON.  No memory of its own, any thread.
 * A function that returns false has left the reason in the scanner; turn it into an error with json_scan_error(). */
#ifndef CKUBE_API_JSON_SCAN_H
#define CKUBE_API_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/kerr.h"
#include "common/base/sbuf.h"

struct json_scan {
    const char *start, *p, *end;
    const char *problem; /* Go's words after the character: "looking for beginning of value" */
    int depth;
};

/* The text between the quotes, still escaped; or a number's literal. */
struct json_text {
    const char *s;
    size_t len;
    bool plain; /* printable ASCII without escapes: may be used as it is */
    bool integer;
};

static inline struct json_scan
json_scan_init(const char *json, size_t len)
{
    return (struct json_scan){ .start = json, .p = json, .end = json + len };
}

static inline bool
json_scan_fail(struct json_scan *s, const char *problem)
{
    if (!s->problem)
        s->problem = problem;
    return false;
}

/* The next byte after white space; NUL at the end (and for a NUL byte, which nothing accepts). */
static inline char
json_peek(struct json_scan *s)
{
    while (s->p < s->end) {
        char c = *s->p;
        if ((unsigned char)c > ' ')
            return c;
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            return '\0';
        s->p++;
    }
    return '\0';
}

/* Each expects the value's first byte at s->p. */
bool json_scan_string(struct json_scan *s, struct json_text *ret);
bool json_scan_number(struct json_scan *s, struct json_text *ret);
bool json_scan_literal(struct json_scan *s); /* at t, f or n: true, false, null */
bool json_skip_value(struct json_scan *s);                     /* leading white space allowed */

/* To walk an object or array, check s->problem after:
 *   if (json_enter(s, '}'))
 *       do { json_scan_key(); the value } while (json_next(s, '}')); */
bool json_enter(struct json_scan *s, char close);
bool json_next(struct json_scan *s, char close);
bool json_scan_key(struct json_scan *s, struct json_text *ret); /* "key" and the colon */
bool json_scan_end(struct json_scan *s);                        /* nothing but white space left */

/* Writes the unescaped UTF-8 (bad sequences become U+FFFD, as Go does); room for JSON_UNESCAPED_MAX(len) bytes.
 * Returns its length. */
#define JSON_UNESCAPED_MAX(len) ((len) * 3)
size_t json_unescape(const char *s, size_t len, char *ret);
bool json_text_eq(const struct json_text *t, const char *s); /* s: plain ASCII */

/* Bytes of the valid UTF-8 sequence at s (len > 0), or 0. */
size_t utf8_sequence(const char *s, size_t len);

/* Appends the value without white space between tokens; html: also escapes < > & U+2028 U+2029 as Go's encoder does.
 * False, and nothing appended, when it is no JSON value. */
bool json_compact(const char *json, size_t len, bool html, struct sbuf *out);
void json_compact_valid(const char *json, size_t len, bool html, struct sbuf *out); /* the same, known to be valid */
bool json_valid(const char *json, size_t len);

/* In json_encode.c: as the encoder writes them. */
void json_add_text(struct sbuf *out, const char *s, size_t len); /* quoted, escaped; may hold NULs */
void json_add_float(struct sbuf *out, double v);

/* "invalid character 'x' looking for beginning of value", "unexpected end of JSON input" */
struct kerr *json_scan_error(const struct json_scan *s) MUST_CHECK;
void json_add_go_quoted(struct sbuf *out, const char *s, size_t len); /* as Go's strconv.Quote */

#endif
