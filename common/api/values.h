// SPDX-License-Identifier: Apache-2.0
/* values.h - the scalar types of the API that are more than a number or a string.  Pure, any thread. */
#ifndef CKUBE_API_VALUES_H
#define CKUBE_API_VALUES_H

#include "common/api/type.h"
#include "common/base/arena.h"
#include "common/base/kerr.h"
#include "common/base/sbuf.h"

/* --- resource.Quantity: exact decimal, kept as its canonical text ("1500m", "1Gi") --- */
/* Parses and canonicalises as upstream's ParseQuantity + String do (suffix family kept: decimal SI, binary SI,
 * exponent).  Bad text: KERR_BAD_REQUEST with upstream's message ("quantities must match the regular expression ..."). */
struct kerr *quantity_parse(const char *s, size_t len, struct arena *a, struct quantity *ret) MUST_CHECK;
/* Rounded up, saturating at the int64 limits, as upstream's Value() and MilliValue(). */
int64_t quantity_value(struct quantity q);
int64_t quantity_milli(struct quantity q);
int quantity_cmp(struct quantity a, struct quantity b); /* exact */
int quantity_sign(struct quantity q);
struct quantity quantity_add(struct quantity a, struct quantity b, struct arena *arena); /* exact; format of a, of b if a is zero */
struct quantity quantity_sub(struct quantity a, struct quantity b, struct arena *arena);
enum quantity_format { QUANTITY_DECIMAL_SI, QUANTITY_BINARY_SI, QUANTITY_DECIMAL_EXPONENT };
struct quantity quantity_from_i64(int64_t n, enum quantity_format format, struct arena *arena);
struct quantity quantity_from_milli(int64_t n, struct arena *arena);
/* To a multiple of 10^scale, away from zero: quantity_round_up(q, -3, a) as defaulting does for resource lists. */
struct quantity quantity_round_up(struct quantity q, int32_t scale, struct arena *arena);
const char *quantity_text(struct quantity q); /* "0" for the zero struct */

/* --- Time --- */
#define API_TIME_UNIX_EPOCH 62135596800ll /* 1970-01-01 in seconds since year 1 */
static inline bool api_time_is_zero(struct api_time t)
{
    return t.sec == 0 && t.nsec == 0;
}
static inline int64_t api_time_unix(struct api_time t)
{
    return t.sec - API_TIME_UNIX_EPOCH;
}
static inline struct api_time api_time_from_unix(int64_t sec)
{
    return (struct api_time){ sec + API_TIME_UNIX_EPOCH, 0 };
}
static inline struct api_time api_time_from_unix_us(int64_t us)
{
    int64_t sec = us / 1000000 - (us % 1000000 < 0);
    return (struct api_time){ sec + API_TIME_UNIX_EPOCH, (int32_t)(us - sec * 1000000) * 1000 };
}
static inline int64_t api_time_unix_us(struct api_time t)
{
    return api_time_unix(t) * 1000000 + t.nsec / 1000;
}
static inline int api_time_cmp(struct api_time a, struct api_time b)
{
    if (a.sec != b.sec)
        return a.sec < b.sec ? -1 : 1;
    return a.nsec < b.nsec ? -1 : a.nsec > b.nsec;
}
/* RFC 3339 with any offset and fraction, as Go's time.Parse(time.RFC3339); 0 or -EINVAL. */
int api_time_parse(const char *s, size_t len, struct api_time *ret);
void api_time_format(struct api_time t, struct sbuf *out);       /* 2006-01-02T15:04:05Z */
void api_time_format_micro(struct api_time t, struct sbuf *out); /* 2006-01-02T15:04:05.000000Z */

/* --- Duration: Go's text form --- */
void api_duration_format(struct api_duration d, struct sbuf *out); /* "1m30s", "0s" */

/* --- IntOrString --- */
static inline struct int_or_string int_or_string_num(int32_t n)
{
    return (struct int_or_string){ NULL, n };
}
/* Percent strings of `total`, rounded up or down; a plain number is itself.  -EINVAL for other strings. */
int int_or_string_scaled(struct int_or_string v, int32_t total, bool round_up, int32_t *ret);
bool int_or_string_is_percent(struct int_or_string v); /* a string of digits and '%' */
bool int_or_string_eq(struct int_or_string a, struct int_or_string b);

#endif
