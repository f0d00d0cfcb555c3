// SPDX-License-Identifier: Apache-2.0
#include "common/api/selector.h"

#include <string.h>

#include "api_types.h"
#include "common/api/names.h"
#include "common/base/str.h"

enum token {
    TOKEN_END,
    TOKEN_CLOSE,
    TOKEN_COMMA,
    TOKEN_NOT,
    TOKEN_DOUBLE_EQUALS,
    TOKEN_EQUALS,
    TOKEN_GREATER,
    TOKEN_WORD,
    TOKEN_IN,
    TOKEN_LESS,
    TOKEN_NOT_EQUALS,
    TOKEN_NOT_IN,
    TOKEN_OPEN,
};

static const struct {
    const char *text;
    enum token token;
} symbols[] = { /* longer ones first */
    { "==", TOKEN_DOUBLE_EQUALS }, { "!=", TOKEN_NOT_EQUALS }, { "=", TOKEN_EQUALS }, { "!", TOKEN_NOT },
    { "(", TOKEN_OPEN },           { ")", TOKEN_CLOSE },       { ",", TOKEN_COMMA },  { ">", TOKEN_GREATER },
    { "<", TOKEN_LESS },
};

static const char *const op_texts[] = {
    [LABEL_IN] = " in ",      [LABEL_NOT_IN] = " notin ", [LABEL_EQUALS] = "=", [LABEL_DOUBLE_EQUALS] = "==",
    [LABEL_NOT_EQUALS] = "!=", [LABEL_EXISTS] = "",        [LABEL_NOT_EXISTS] = "", [LABEL_GREATER] = ">",
    [LABEL_LESS] = "<",
};

struct scanned {
    enum token token;
    const char *at; /* the literal; "" at the end */
    size_t len;
};

struct parser {
    const char *p;
    struct scanned now; /* the next token, looked at but not taken */
    struct arena *arena;
};

/* A list that grows in the arena. */
struct words {
    const char **items;
    uint32_t len, cap;
};

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_symbol(char c)
{
    return c && strchr("=!(),<>", c);
}

static void
scan(struct parser *ps)
{
    const char *p = ps->p;

    while (is_space(*p))
        p++;
    ps->now = (struct scanned){ .token = TOKEN_END, .at = p };
    if (is_symbol(*p)) {
        for (size_t i = 0; i < ARRAY_LEN(symbols); i++)
            if (str_has_prefix(p, symbols[i].text)) {
                ps->now.token = symbols[i].token;
                ps->now.len = strlen(symbols[i].text);
                break;
            }
    } else if (*p) {
        size_t len = 0;
        while (p[len] && !is_symbol(p[len]) && !is_space(p[len]))
            len++;
        ps->now.len = len;
        ps->now.token = len == 2 && memcmp(p, "in", 2) == 0      ? TOKEN_IN
                        : len == 5 && memcmp(p, "notin", 5) == 0 ? TOKEN_NOT_IN
                                                                 : TOKEN_WORD;
    }
    ps->p = p + ps->now.len;
}

static struct scanned
take(struct parser *ps)
{
    struct scanned t = ps->now;

    if (t.token != TOKEN_END)
        scan(ps);
    return t;
}

/* "in" and "notin" are ordinary words wherever no operator may stand. */
static bool
is_word(enum token t)
{
    return t == TOKEN_WORD || t == TOKEN_IN || t == TOKEN_NOT_IN;
}

static struct kerr *
unexpected(struct scanned t, const char *expected)
{
    return kerr_new(KERR_BAD_REQUEST, "found '%.*s'%s", (int)t.len, t.at, expected);
}

static void
words_add(struct words *w, struct arena *a, const char *s)
{
    if (w->len == w->cap) {
        uint32_t cap = w->cap ? w->cap * 2 : 2;
        w->items = arena_grow(a, w->items, w->cap * sizeof *w->items, cap * sizeof *w->items);
        w->cap = cap;
    }
    w->items[w->len++] = s;
}

static int
cmp_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
words_sort_unique(struct words *w)
{
    uint32_t n = 0;

    if (w->len < 2)
        return;
    qsort(w->items, w->len, sizeof *w->items, cmp_words);
    for (uint32_t i = 0; i < w->len; i++)
        if (n == 0 || strcmp(w->items[n - 1], w->items[i]) != 0)
            w->items[n++] = w->items[i];
    w->len = n;
}

/* Adds "path: Invalid value: "x": why; why"; errors are counted, so that several stand in brackets. */
static void
add_invalid(struct sbuf *out, unsigned *n, const char *path, const char *value, const char *const *why, unsigned nwhy)
{
    if ((*n)++)
        sbuf_adds(out, ", ");
    sbuf_addf(out, "%s: Invalid value: ", path);
    sbuf_add_quoted(out, value);
    for (unsigned i = 0; i < nwhy; i++)
        sbuf_addf(out, "%s%s", i ? "; " : ": ", why[i]);
}

static void
add_invalid_list(struct sbuf *out, unsigned *n, const char *const *values, uint32_t len, const char *why)
{
    if ((*n)++)
        sbuf_adds(out, ", ");
    sbuf_adds(out, "values: Invalid value: [");
    for (uint32_t i = 0; i < len; i++) {
        if (i)
            sbuf_addc(out, ',');
        sbuf_add_quoted(out, values[i]);
    }
    sbuf_addf(out, "]: %s", why);
}

static struct kerr *
check_key(const char *key, const char *path)
{
    const char *why[NAME_MAX_ERRORS];
    unsigned nwhy = name_check(NAME_QUALIFIED, key, why), n = 0;
    AUTO_SBUF text = { 0 };

    if (nwhy == 0)
        return NULL;
    add_invalid(&text, &n, path, key, why, nwhy);
    return kerr_new(KERR_BAD_REQUEST, "%s", sbuf_str(&text));
}

static bool
parse_label_number(const char *s, int64_t *ret)
{
    return parse_i64(*s == '+' ? s + 1 : s, ret) == 0;
}

/* The rules of upstream's NewRequirement. */
static struct kerr *
check_requirement(const struct label_requirement *r)
{
    const char *why[NAME_MAX_ERRORS], *count_why = NULL;
    AUTO_SBUF text = { 0 };
    unsigned n = 0, nwhy;
    int64_t number;

    nwhy = name_check(NAME_QUALIFIED, r->key, why);
    if (nwhy)
        add_invalid(&text, &n, "key", r->key, why, nwhy);
    switch (r->op) {
    case LABEL_IN:
    case LABEL_NOT_IN:
        count_why = r->nvalues == 0 ? "for 'in', 'notin' operators, values set can't be empty" : NULL;
        break;
    case LABEL_EQUALS:
    case LABEL_DOUBLE_EQUALS:
    case LABEL_NOT_EQUALS:
        count_why = r->nvalues != 1 ? "exact-match compatibility requires one single value" : NULL;
        break;
    case LABEL_EXISTS:
    case LABEL_NOT_EXISTS:
        count_why = r->nvalues != 0 ? "values set must be empty for exists and does not exist" : NULL;
        break;
    case LABEL_GREATER:
    case LABEL_LESS:
        count_why = r->nvalues != 1 ? "for 'Gt', 'Lt' operators, exactly one value is required" : NULL;
        break;
    }
    if (count_why)
        add_invalid_list(&text, &n, r->values, r->nvalues, count_why);
    for (uint32_t i = 0; i < r->nvalues; i++) {
        AUTO_SBUF path = { 0 };
        sbuf_addf(&path, "values[%u]", i);
        if ((r->op == LABEL_GREATER || r->op == LABEL_LESS) && !parse_label_number(r->values[i], &number)) {
            const char *integer = "for 'Gt', 'Lt' operators, the value must be an integer";
            add_invalid(&text, &n, sbuf_str(&path), r->values[i], &integer, 1);
        }
        nwhy = name_check(NAME_LABEL_VALUE, r->values[i], why);
        sbuf_addf(&path, "[%s]", r->key);
        if (nwhy)
            add_invalid(&text, &n, sbuf_str(&path), r->values[i], why, nwhy);
    }
    if (n == 0)
        return NULL;
    return kerr_new(KERR_BAD_REQUEST, n > 1 ? "[%s]" : "%s", sbuf_str(&text));
}

/* What stands between the parentheses: words and commas, empty ones count as "". */
static struct kerr *
parse_list(struct parser *ps, struct words *ret)
{
    for (;;) {
        struct scanned t = take(ps);
        if (is_word(t.token)) {
            words_add(ret, ps->arena, arena_strndup(ps->arena, t.at, t.len));
            if (ps->now.token == TOKEN_CLOSE)
                return NULL;
            if (ps->now.token != TOKEN_COMMA)
                return unexpected(ps->now, ", expected: ',' or ')'");
        } else if (t.token == TOKEN_COMMA) {
            if (ret->len == 0)
                words_add(ret, ps->arena, "");
            if (ps->now.token == TOKEN_CLOSE) {
                words_add(ret, ps->arena, "");
                return NULL;
            }
            if (ps->now.token == TOKEN_COMMA)
                words_add(ret, ps->arena, "");
        } else
            return unexpected(t, ", expected: ',', or identifier");
    }
}

static struct kerr *
parse_values(struct parser *ps, struct words *ret)
{
    struct kerr *err;
    struct scanned t = take(ps);

    if (t.token != TOKEN_OPEN)
        return unexpected(t, " expected: '('");
    struct scanned first = ps->now;
    if (first.token == TOKEN_CLOSE) {
        take(ps);
        words_add(ret, ps->arena, "");
        return NULL;
    }
    if (!is_word(first.token) && first.token != TOKEN_COMMA)
        return unexpected(first, ", expected: ',', ')' or identifier");
    err = parse_list(ps, ret);
    if (err)
        return err;
    if (take(ps).token != TOKEN_CLOSE)
        return unexpected(first, ", expected: ')'");
    words_sort_unique(ret);
    return NULL;
}

static struct kerr *
parse_exact_value(struct parser *ps, struct words *ret)
{
    if (ps->now.token == TOKEN_END || ps->now.token == TOKEN_COMMA) {
        words_add(ret, ps->arena, "");
        return NULL;
    }
    struct scanned t = take(ps);
    if (!is_word(t.token))
        return unexpected(t, ", expected: identifier");
    words_add(ret, ps->arena, arena_strndup(ps->arena, t.at, t.len));
    return NULL;
}

static struct kerr *
parse_operator(struct parser *ps, enum label_op *ret)
{
    struct scanned t = take(ps);

    switch (t.token) {
    case TOKEN_IN:
        *ret = LABEL_IN;
        return NULL;
    case TOKEN_NOT_IN:
        *ret = LABEL_NOT_IN;
        return NULL;
    case TOKEN_EQUALS:
        *ret = LABEL_EQUALS;
        return NULL;
    case TOKEN_DOUBLE_EQUALS:
        *ret = LABEL_DOUBLE_EQUALS;
        return NULL;
    case TOKEN_NOT_EQUALS:
        *ret = LABEL_NOT_EQUALS;
        return NULL;
    case TOKEN_GREATER:
        *ret = LABEL_GREATER;
        return NULL;
    case TOKEN_LESS:
        *ret = LABEL_LESS;
        return NULL;
    default:
        return unexpected(t, ", expected: in, notin, =, ==, !=, gt, lt");
    }
}

static struct kerr *
parse_requirement(struct parser *ps, struct label_requirement *ret)
{
    struct kerr *err;
    struct words values = { 0 };
    bool negated = ps->now.token == TOKEN_NOT;

    if (negated)
        take(ps);
    struct scanned t = take(ps);
    if (!is_word(t.token))
        return unexpected(t, ", expected: identifier");
    *ret = (struct label_requirement){ .key = arena_strndup(ps->arena, t.at, t.len) };
    err = check_key(ret->key, "<nil>");
    if (err)
        return err;
    if (negated)
        ret->op = LABEL_NOT_EXISTS;
    else if (ps->now.token == TOKEN_END || ps->now.token == TOKEN_COMMA)
        ret->op = LABEL_EXISTS;
    else {
        err = parse_operator(ps, &ret->op);
        if (!err)
            err = ret->op == LABEL_IN || ret->op == LABEL_NOT_IN ? parse_values(ps, &values)
                                                                 : parse_exact_value(ps, &values);
        if (err)
            return err;
    }
    ret->values = values.items;
    ret->nvalues = values.len;
    return check_requirement(ret);
}

static void
query_add(struct label_query *q, uint32_t *cap, struct arena *a, const struct label_requirement *r)
{
    if (q->len == *cap) {
        uint32_t grown = *cap ? *cap * 2 : 4;
        q->items = arena_grow(a, q->items, *cap * sizeof *q->items, grown * sizeof *q->items);
        *cap = grown;
    }
    q->items[q->len++] = *r;
}

static int
cmp_requirements(const void *a, const void *b)
{
    const struct label_requirement *x = a, *y = b;
    int cmp = strcmp(x->key, y->key);

    if (cmp)
        return cmp;
    if (x->op != y->op)
        return x->op < y->op ? -1 : 1;
    for (uint32_t i = 0; i < x->nvalues && i < y->nvalues; i++) {
        cmp = strcmp(x->values[i], y->values[i]);
        if (cmp)
            return cmp;
    }
    return (x->nvalues > y->nvalues) - (x->nvalues < y->nvalues);
}

static void
query_sort(struct label_query *q)
{
    if (q->len > 1)
        qsort(q->items, q->len, sizeof *q->items, cmp_requirements);
}

struct kerr *
label_query_parse(const char *text, struct arena *a, struct label_query **ret)
{
    struct parser ps = { .p = str_safe(text), .arena = a };
    struct label_query *q = ARENA_NEW(a, struct label_query);
    uint32_t cap = 0;

    scan(&ps);
    while (ps.now.token != TOKEN_END) {
        struct label_requirement r;
        struct kerr *err;

        if (!is_word(ps.now.token) && ps.now.token != TOKEN_NOT)
            return unexpected(ps.now, ", expected: !, identifier, or 'end of string'");
        err = parse_requirement(&ps, &r);
        if (err)
            return kerr_wrap(err, "unable to parse requirement");
        query_add(q, &cap, a, &r);
        struct scanned t = take(&ps);
        if (t.token == TOKEN_END)
            break;
        if (t.token != TOKEN_COMMA)
            return unexpected(t, ", expected: ',' or 'end of string'");
        if (!is_word(ps.now.token) && ps.now.token != TOKEN_NOT)
            return unexpected(ps.now, ", expected: identifier after ','");
    }
    query_sort(q);
    *ret = q;
    return NULL;
}

static bool
op_from_api(const char *name, enum label_op *ret)
{
    static const struct {
        const char *name;
        enum label_op op;
    } ops[] = {
        { "In", LABEL_IN }, { "NotIn", LABEL_NOT_IN }, { "Exists", LABEL_EXISTS }, { "DoesNotExist", LABEL_NOT_EXISTS },
    };

    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (str_eq(name, ops[i].name)) {
            *ret = ops[i].op;
            return true;
        }
    return false;
}

struct kerr *
label_query_from(const struct label_selector *selector, struct arena *a, struct label_query **ret)
{
    struct label_query *q = ARENA_NEW(a, struct label_query);
    uint32_t cap = 0;
    struct kerr *err;

    if (!selector)
        q->nothing = true;
    for (uint32_t i = 0; selector && i < selector->match_labels.len; i++) {
        const struct string_map_entry *e = &selector->match_labels.items[i];
        struct label_requirement r = { .key = arena_strdup(a, str_safe(e->key)), .op = LABEL_EQUALS, .nvalues = 1 };
        r.values = arena_alloc(a, sizeof *r.values);
        r.values[0] = arena_strdup(a, str_safe(e->value));
        err = check_requirement(&r);
        if (err)
            return err;
        query_add(q, &cap, a, &r);
    }
    for (uint32_t i = 0; selector && i < selector->match_expressions.len; i++) {
        const struct label_selector_requirement *e = &selector->match_expressions.items[i];
        struct label_requirement r = { .key = arena_strdup(a, str_safe(e->key)), .nvalues = e->values.len };
        if (!op_from_api(e->operator, &r.op)) {
            AUTO_SBUF quoted = { 0 };
            sbuf_add_quoted(&quoted, e->operator);
            return kerr_new(KERR_BAD_REQUEST, "%s is not a valid label selector operator", sbuf_str(&quoted));
        }
        r.values = arena_alloc(a, (r.nvalues + 1) * sizeof *r.values);
        for (uint32_t v = 0; v < r.nvalues; v++)
            r.values[v] = arena_strdup(a, str_safe(e->values.items[v]));
        err = check_requirement(&r);
        if (err)
            return err;
        query_add(q, &cap, a, &r);
    }
    query_sort(q);
    *ret = q;
    return NULL;
}

struct label_query *
label_query_from_map(const struct string_map *labels, struct arena *a)
{
    struct label_query *q = ARENA_NEW(a, struct label_query);

    q->items = arena_alloc(a, (labels->len + 1) * sizeof *q->items);
    for (uint32_t i = 0; i < labels->len; i++) {
        struct label_requirement *r = &q->items[q->len++];
        *r = (struct label_requirement){ .key = labels->items[i].key, .op = LABEL_EQUALS, .nvalues = 1 };
        r->values = arena_alloc(a, sizeof *r->values);
        r->values[0] = str_safe(labels->items[i].value);
    }
    query_sort(q);
    return q;
}

const char *
string_map_get(const struct string_map *m, const char *key)
{
    uint32_t low = 0, high = m->len;

    while (low < high) { /* maps are sorted by key */
        uint32_t mid = low + (high - low) / 2;
        int cmp = strcmp(m->items[mid].key, key);
        if (cmp == 0)
            return str_safe(m->items[mid].value);
        if (cmp < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool
has_value(const struct label_requirement *r, const char *value)
{
    for (uint32_t i = 0; i < r->nvalues; i++)
        if (strcmp(r->values[i], value) == 0)
            return true;
    return false;
}

static bool
requirement_matches(const struct label_requirement *r, const struct string_map *labels)
{
    const char *value = string_map_get(labels, r->key);
    int64_t have, limit;

    switch (r->op) {
    case LABEL_IN:
    case LABEL_EQUALS:
    case LABEL_DOUBLE_EQUALS:
        return value && has_value(r, value);
    case LABEL_NOT_IN:
    case LABEL_NOT_EQUALS:
        return !value || !has_value(r, value);
    case LABEL_EXISTS:
        return value != NULL;
    case LABEL_NOT_EXISTS:
        return !value;
    case LABEL_GREATER:
    case LABEL_LESS:
        if (!value || r->nvalues != 1 || !parse_label_number(value, &have) || !parse_label_number(r->values[0], &limit))
            return false;
        return r->op == LABEL_GREATER ? have > limit : have < limit;
    }
    return false;
}

bool
label_query_matches(const struct label_query *q, const struct string_map *labels)
{
    if (q->nothing)
        return false;
    for (uint32_t i = 0; i < q->len; i++)
        if (!requirement_matches(&q->items[i], labels))
            return false;
    return true;
}

bool
label_query_empty(const struct label_query *q)
{
    return !q->nothing && q->len == 0;
}

bool
label_map_contains(const struct string_map *labels, const struct string_map *selector)
{
    for (uint32_t i = 0; i < selector->len; i++) {
        const char *value = string_map_get(labels, selector->items[i].key);
        if (!value || !str_eq(value, selector->items[i].value))
            return false;
    }
    return true;
}

static void
print_requirement(const struct label_requirement *r, struct sbuf *out)
{
    bool set = r->op == LABEL_IN || r->op == LABEL_NOT_IN;

    if (r->op == LABEL_NOT_EXISTS)
        sbuf_addc(out, '!');
    sbuf_adds(out, r->key);
    sbuf_adds(out, op_texts[r->op]);
    if (set)
        sbuf_addc(out, '(');
    if (r->nvalues == 1)
        sbuf_adds(out, r->values[0]);
    else if (r->nvalues > 1) {
        const char **sorted = xreallocarray(NULL, r->nvalues, sizeof *sorted);
        memcpy(sorted, r->values, r->nvalues * sizeof *sorted);
        qsort(sorted, r->nvalues, sizeof *sorted, cmp_words);
        for (uint32_t i = 0; i < r->nvalues; i++) {
            if (i)
                sbuf_addc(out, ',');
            sbuf_adds(out, sorted[i]);
        }
        free(sorted);
    }
    if (set)
        sbuf_addc(out, ')');
}

void
label_query_print(const struct label_query *q, struct sbuf *out)
{
    for (uint32_t i = 0; i < q->len; i++) {
        if (i)
            sbuf_addc(out, ',');
        print_requirement(&q->items[i], out);
    }
}

/* ---- field selectors ---- */

/* Undoes \\, \, and \= ; other escapes and bare ',' '=' are errors. */
static struct kerr *
unescape(const char *s, struct arena *a, const char **ret)
{
    char *out = arena_alloc_bytes(a, strlen(s) + 1), *w = out;

    for (; *s; s++) {
        if (*s == '\\') {
            s++;
            if (*s != '\\' && *s != ',' && *s != '=')
                return kerr_new(KERR_BAD_REQUEST, "invalid field selector: invalid escape sequence: \\%.1s", s);
        } else if (*s == ',' || *s == '=')
            return kerr_new(KERR_BAD_REQUEST, "invalid field selector: unescaped character in value: %d", *s);
        *w++ = *s;
    }
    *w = '\0';
    *ret = out;
    return NULL;
}

static struct kerr *
parse_term(const char *selector, char *part, struct arena *a, struct field_term *ret)
{
    char *at = part;

    while (*at && *at != '=' && !(at[0] == '!' && at[1] == '='))
        at++;
    if (!*at)
        return kerr_new(KERR_BAD_REQUEST, "invalid selector: '%s'; can't understand '%s'", selector, part);
    ret->negated = *at == '!';
    ret->field = arena_strndup(a, part, (size_t)(at - part));
    at += ret->negated || at[1] == '=' ? 2 : 1;
    return unescape(at, a, &ret->value);
}

/* Cuts at commas that are not escaped. */
static void
split_terms(const char *text, struct arena *a, struct words *ret)
{
    const char *start = text;
    bool escaped = false;

    for (const char *p = text;; p++) {
        if (*p && escaped)
            escaped = false;
        else if (*p == '\\')
            escaped = true;
        else if (!*p || *p == ',') {
            if (p > start)
                words_add(ret, a, arena_strndup(a, start, (size_t)(p - start)));
            start = p + 1;
        }
        if (!*p)
            return;
    }
}

struct kerr *
field_query_parse(const char *text, struct arena *a, struct field_query **ret)
{
    struct field_query *q = ARENA_NEW(a, struct field_query);
    struct words parts = { 0 };

    split_terms(str_safe(text), a, &parts);
    if (parts.len > 1)
        qsort(parts.items, parts.len, sizeof *parts.items, cmp_words);
    q->items = arena_alloc(a, (parts.len + 1) * sizeof *q->items);
    for (uint32_t i = 0; i < parts.len; i++) {
        struct kerr *err = parse_term(str_safe(text), (char *)parts.items[i], a, &q->items[q->len]);
        if (err)
            return err;
        q->len++;
    }
    *ret = q;
    return NULL;
}

bool
field_query_matches(const struct field_query *q, const char *(*get)(const void *arg, const char *field), const void *arg)
{
    for (uint32_t i = 0; i < q->len; i++)
        if (str_eq(get(arg, q->items[i].field), q->items[i].value) == q->items[i].negated)
            return false;
    return true;
}

bool
field_query_empty(const struct field_query *q)
{
    return q->len == 0;
}

const char *
field_query_exact(const struct field_query *q, const char *field)
{
    for (uint32_t i = 0; i < q->len; i++)
        if (!q->items[i].negated && strcmp(q->items[i].field, field) == 0)
            return q->items[i].value;
    return NULL;
}

void
field_query_print(const struct field_query *q, struct sbuf *out)
{
    for (uint32_t i = 0; i < q->len; i++) {
        if (i)
            sbuf_addc(out, ',');
        sbuf_adds(out, q->items[i].field);
        sbuf_adds(out, q->items[i].negated ? "!=" : "=");
        for (const char *p = q->items[i].value; *p; p++) {
            if (*p == '\\' || *p == ',' || *p == '=')
                sbuf_addc(out, '\\');
            sbuf_addc(out, *p);
        }
    }
}
