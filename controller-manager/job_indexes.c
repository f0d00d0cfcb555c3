// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/job_indexes.h"

#include "common/base/sbuf.h"
#include "common/base/str.h"

static void
append(struct index_set *s, struct index_span span)
{
    struct index_span *last = s->len ? &s->items[s->len - 1] : NULL;

    if (!last || span.first > last->last + 1)
        s->items[s->len++] = span;
    else if (last->last < span.last)
        last->last = span.last;
}

static bool
parse_span(const char *text, size_t len, struct index_span *ret)
{
    char part[32];
    char *dash;

    if (len == 0 || len >= sizeof part)
        return false;
    memcpy(part, text, len);
    part[len] = '\0';
    dash = strchr(part, '-');
    if (dash)
        *dash = '\0';
    if (parse_i32(part, &ret->first) || ret->first < 0)
        return false;
    ret->last = ret->first;
    return !dash || (parse_i32(dash + 1, &ret->last) == 0 && ret->last >= ret->first);
}

struct index_set
index_set_parse(const char *text, int32_t end, struct arena *a)
{
    struct index_set s = { 0 };
    const char *at;
    size_t len, commas = 0;

    for (at = str_safe(text); *at; at++)
        commas += *at == ',';
    s.items = arena_alloc(a, (commas + 1) * sizeof *s.items);
    for (unsigned i = 0; i <= commas && str_field(str_safe(text), ',', 0, &at, &len); i++) {
        struct index_span span;
        text = at[len] ? at + len + 1 : "";
        if (!parse_span(at, len, &span))
            continue;
        if (span.first >= end)
            break;
        if (span.last >= end)
            span.last = end - 1;
        append(&s, span);
    }
    return s;
}

struct index_set
index_set_with(struct index_set s, const int32_t *sorted, size_t n, struct arena *a)
{
    struct index_set out = { arena_alloc(a, (s.len + n + 1) * sizeof *out.items), 0 };
    size_t i = 0, j = 0;

    while (i < s.len || j < n) {
        if (j == n || (i < s.len && s.items[i].first < sorted[j])) {
            append(&out, s.items[i++]);
        } else {
            append(&out, (struct index_span){ sorted[j], sorted[j] });
            j++;
        }
    }
    return out;
}

bool
index_set_has(struct index_set s, int32_t index)
{
    size_t lo = 0, hi = s.len;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s.items[mid].last >= index)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo < s.len && s.items[lo].first <= index;
}

int64_t
index_set_total(struct index_set s)
{
    int64_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += (int64_t)s.items[i].last - s.items[i].first + 1;
    return n;
}

int64_t
index_set_overlap(struct index_set x, struct index_set y)
{
    int64_t n = 0;

    for (size_t i = 0, j = 0; i < x.len && j < y.len;) {
        int32_t first = x.items[i].first > y.items[j].first ? x.items[i].first : y.items[j].first;
        int32_t last = x.items[i].last < y.items[j].last ? x.items[i].last : y.items[j].last;
        if (last >= first)
            n += (int64_t)last - first + 1;
        if (x.items[i].last < y.items[j].last)
            i++;
        else
            j++;
    }
    return n;
}

char *
index_set_text(struct index_set s, struct arena *a)
{
    AUTO_SBUF text = { 0 };

    for (size_t i = 0; i < s.len; i++) {
        struct index_span span = s.items[i];
        sbuf_addf(&text, "%s%d", i ? "," : "", span.first);
        if (span.last > span.first)
            sbuf_addf(&text, "%c%d", span.last == span.first + 1 ? ',' : '-', span.last);
    }
    return arena_strdup(a, sbuf_str(&text));
}

size_t
index_set_missing(struct index_set s, int32_t end, int32_t *ret, size_t max)
{
    size_t n = 0;
    int32_t at = 0;

    for (size_t i = 0; i <= s.len; i++) {
        int32_t until = i < s.len && s.items[i].first < end ? s.items[i].first : end;
        while (at < until && n < max)
            ret[n++] = at++;
        if (n == max || i == s.len || s.items[i].last >= end - 1)
            break;
        if (at <= s.items[i].last)
            at = s.items[i].last + 1;
    }
    return n;
}
