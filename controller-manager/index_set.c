// SPDX-License-Identifier: Apache-2.0
#include "controller-manager/index_set.h"

#include <stdlib.h>

#include "common/base/sbuf.h"
#include "common/base/str.h"

static void
push(struct index_set *s, struct index_range r)
{
    if (s->len == s->cap) {
        s->items = arena_grow(s->arena, s->items, s->cap * sizeof *s->items, (s->cap + 8) * 2 * sizeof *s->items);
        s->cap = (s->cap + 8) * 2;
    }
    s->items[s->len++] = r;
}

struct index_set
index_set_parse(const char *text, int64_t limit, struct arena *a)
{
    struct index_set s = { .arena = a };

    for (const char *at = str_safe(text); *at;) {
        char *end;
        struct index_range r;
        r.first = r.last = strtoll(at, &end, 10);
        if (end == at || r.first < 0 || (s.len && r.first <= s.items[s.len - 1].last))
            break;
        if (*end == '-')
            r.last = strtoll(end + 1, &end, 10);
        if (r.first >= limit || r.last < r.first)
            break;
        r.last = r.last < limit ? r.last : limit - 1;
        push(&s, r);
        at = *end == ',' ? end + 1 : end;
        if (at == end && *at)
            break;
    }
    return s;
}

bool
index_set_has(const struct index_set *s, int64_t index)
{
    size_t low = 0, high = s->len;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->items[mid].last < index)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->len && s->items[low].first <= index;
}

void
index_set_add(struct index_set *s, int64_t index)
{
    size_t at = 0;

    if (index < 0 || index_set_has(s, index))
        return;
    while (at < s->len && s->items[at].last < index)
        at++;
    bool joins_left = at > 0 && s->items[at - 1].last + 1 == index;
    bool joins_right = at < s->len && s->items[at].first == index + 1;
    if (joins_left && joins_right) {
        s->items[at - 1].last = s->items[at].last;
        memmove(&s->items[at], &s->items[at + 1], (s->len - at - 1) * sizeof *s->items);
        s->len--;
    } else if (joins_left) {
        s->items[at - 1].last = index;
    } else if (joins_right) {
        s->items[at].first = index;
    } else {
        push(s, (struct index_range){ 0, 0 });
        memmove(&s->items[at + 1], &s->items[at], (s->len - at - 1) * sizeof *s->items);
        s->items[at] = (struct index_range){ index, index };
    }
}

int64_t
index_set_count(const struct index_set *s)
{
    int64_t n = 0;

    for (size_t i = 0; i < s->len; i++)
        n += s->items[i].last - s->items[i].first + 1;
    return n;
}

const char *
index_set_text(const struct index_set *s, struct arena *a)
{
    AUTO_SBUF out = { 0 };

    for (size_t i = 0; i < s->len; i++) {
        const struct index_range *r = &s->items[i];
        sbuf_addf(&out, "%s%lld", i ? "," : "", (long long)r->first);
        if (r->last > r->first) /* as upstream: two neighbours are "1,2", three are "1-3" */
            sbuf_addf(&out, "%c%lld", r->last == r->first + 1 ? ',' : '-', (long long)r->last);
    }
    return arena_strdup(a, sbuf_str(&out));
}
