// SPDX-License-Identifier: Apache-2.0
/* JSON to YAML as kubectl prints it: keys sorted, lists not indented, strings quoted only where they must be. */
#include "common/api/codec.h"

#include <ctype.h>
#include <yaml.h>

#include "common/api/json_scan.h"
#include "common/api/yaml_scalar.h"

struct yaml_out {
    yaml_emitter_t emitter;
    struct sbuf *out;
    struct sbuf text; /* unescaped strings */
};

struct member {
    char *key;
    size_t key_len;
    const char *value;
    size_t len;
};

static void write_json(struct yaml_out *y, const char *json, size_t len);

static int
write_out(void *arg, unsigned char *bytes, size_t size)
{
    sbuf_add(((struct yaml_out *)arg)->out, bytes, size);
    return 1;
}

static void
emit(struct yaml_out *y, yaml_event_t *ev)
{
    if (!yaml_emitter_emit(&y->emitter, ev))
        sbuf_addf(y->out, "# %s\n", y->emitter.problem ? y->emitter.problem : "cannot be written as YAML");
}

static void
emit_scalar(struct yaml_out *y, const char *s, size_t len, yaml_scalar_style_t style)
{
    yaml_event_t ev;

    if (yaml_scalar_event_initialize(&ev, NULL, NULL, (const yaml_char_t *)s, (int)len, 1, 1, style))
        emit(y, &ev);
}

static void
emit_string(struct yaml_out *y, const char *s, size_t len)
{
    yaml_scalar_style_t style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;

    if (memchr(s, '\n', len))
        style = YAML_LITERAL_SCALAR_STYLE;
    else if (yaml_scalar_resolve(s, len).meaning == YAML_STR && !yaml_scalar_is_base60(s))
        style = YAML_PLAIN_SCALAR_STYLE;
    emit_scalar(y, s, len, style);
}

static void
emit_number(struct yaml_out *y, const struct json_text *t)
{
    struct yaml_scalar v = yaml_scalar_resolve(t->s, t->len);
    AUTO_SBUF text = { 0 };

    if (v.meaning == YAML_FLOAT)
        yaml_add_float(&text, v.number, 64);
    else if (v.meaning == YAML_INT)
        sbuf_addf(&text, "%s%llu", v.negative ? "-" : "", (unsigned long long)v.integer);
    else
        sbuf_add(&text, t->s, t->len);
    emit_scalar(y, text.s, text.len, YAML_PLAIN_SCALAR_STYLE);
}

/* Upstream's order of keys: digits by their value, letters after other characters. */
static int
key_cmp(const char *a, const char *b)
{
    const unsigned char *p = (const unsigned char *)a, *q = (const unsigned char *)b;
    bool in_digits = false;

    for (; *p && *q; p++, q++) {
        if (*p == *q) {
            in_digits = isdigit(*p);
            continue;
        }
        bool pl = isalpha(*p) || *p >= 0x80, ql = isalpha(*q) || *q >= 0x80;
        if (pl && ql)
            return *p < *q ? -1 : 1;
        if (pl || ql)
            return (in_digits ? pl : ql) ? -1 : 1;
        const unsigned char *pe = p, *qe = q;
        uint64_t pn = 0, qn = 0;
        if (*p == '0' || *q == '0')
            for (const unsigned char *back = p; back > (const unsigned char *)a && isdigit(back[-1]); back--)
                if (back[-1] != '0') {
                    pn = qn = 1;
                    break;
                }
        while (isdigit(*pe))
            pn = pn * 10 + (*pe++ - '0');
        while (isdigit(*qe))
            qn = qn * 10 + (*qe++ - '0');
        if (pn != qn)
            return pn < qn ? -1 : 1;
        if (pe - p != qe - q)
            return pe - p < qe - q ? -1 : 1;
        return *p < *q ? -1 : 1;
    }
    return *p ? 1 : *q ? -1 : 0;
}

static int
member_cmp(const void *a, const void *b)
{
    return key_cmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static void
write_members(struct yaml_out *y, struct json_scan *s)
{
    struct member *members = NULL;
    size_t n = 0, cap = 0;

    if (json_enter(s, '}'))
        do {
            struct json_text key;
            if (!json_scan_key(s, &key))
                break;
            json_peek(s);
            const char *value = s->p;
            if (!json_skip_value(s))
                break;
            if (n == cap) {
                cap = cap ? cap * 2 : 16;
                members = xreallocarray(members, cap, sizeof *members);
            }
            char *text = xmalloc(JSON_UNESCAPED_MAX(key.len) + 1);
            size_t len = json_unescape(key.s, key.len, text);
            text[len] = '\0';
            members[n++] = (struct member){ text, len, value, (size_t)(s->p - value) };
        } while (json_next(s, '}'));
    if (n)
        qsort(members, n, sizeof *members, member_cmp);
    for (size_t i = 0; i < n; i++) {
        emit_string(y, members[i].key, members[i].key_len);
        write_json(y, members[i].value, members[i].len);
        free(members[i].key);
    }
    free(members);
}

static void
write_object(struct yaml_out *y, struct json_scan *s)
{
    yaml_event_t ev;

    if (yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE))
        emit(y, &ev);
    write_members(y, s);
    if (yaml_mapping_end_event_initialize(&ev))
        emit(y, &ev);
}

static void
write_array(struct yaml_out *y, struct json_scan *s)
{
    yaml_event_t ev;

    if (yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE))
        emit(y, &ev);
    if (json_enter(s, ']'))
        do {
            json_peek(s);
            const char *value = s->p;
            if (!json_skip_value(s))
                break;
            write_json(y, value, (size_t)(s->p - value));
        } while (json_next(s, ']'));
    if (yaml_sequence_end_event_initialize(&ev))
        emit(y, &ev);
}

static void
write_json(struct yaml_out *y, const char *json, size_t len)
{
    struct json_scan s = json_scan_init(json, len);
    struct json_text t;

    switch (json_peek(&s)) {
    case '{':
        write_object(y, &s);
        break;
    case '[':
        write_array(y, &s);
        break;
    case '"':
        json_scan_string(&s, &t);
        sbuf_clear(&y->text);
        sbuf_reserve(&y->text, JSON_UNESCAPED_MAX(t.len) + 1);
        y->text.len = json_unescape(t.s, t.len, y->text.s);
        y->text.s[y->text.len] = '\0';
        emit_string(y, y->text.s, y->text.len);
        break;
    case 't':
    case 'f':
    case 'n':
        json_scan_literal(&s);
        emit_scalar(y, json, (size_t)(s.p - json), YAML_PLAIN_SCALAR_STYLE);
        break;
    default:
        json_scan_number(&s, &t);
        emit_number(y, &t);
    }
}

void
json_to_yaml(const char *json, size_t len, struct sbuf *out)
{
    struct yaml_out y = { .out = out };
    AUTO_SBUF compact = { 0 };
    yaml_event_t ev;

    if (!json_compact(json, len, false, &compact))
        return; /* not JSON: nothing to say in YAML */
    if (!yaml_emitter_initialize(&y.emitter))
        abort(); /* out of memory */
    yaml_emitter_set_output(&y.emitter, write_out, &y);
    yaml_emitter_set_unicode(&y.emitter, 1);
    if (yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING))
        emit(&y, &ev);
    if (yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1))
        emit(&y, &ev);
    write_json(&y, compact.s, compact.len);
    if (yaml_document_end_event_initialize(&ev, 1))
        emit(&y, &ev);
    y.emitter.open_ended = 0; /* no "..." at the end, as upstream */
    if (yaml_stream_end_event_initialize(&ev))
        emit(&y, &ev);
    yaml_emitter_delete(&y.emitter);
    sbuf_done(&y.text);
}
