// SPDX-License-Identifier: Apache-2.0
#include "apiserver/storage/etcd_frame.h"

#include "common/base/base64.h"

/* --- splitter --- */

void
splitter_done(struct frame_splitter *s)
{
    sbuf_done(&s->element_bytes);
    sbuf_done(&s->envelope);
}

void
splitter_reset(struct frame_splitter *s)
{
    s->element_bytes.len = 0;
    s->envelope.len = 0;
    s->depth = 0;
    s->in_string = s->escaped = s->in_array = s->matched = false;
}

static bool
inside_element(const struct frame_splitter *s)
{
    return s->in_array && s->depth > s->level + 1;
}

static struct kerr *
keep(struct frame_splitter *s, const char *p, size_t len)
{
    bool element = inside_element(s);
    struct sbuf *to = element ? &s->element_bytes : &s->envelope;

    if (to->len + len > (element ? s->max_element : s->max_envelope))
        return kerr_new(KERR_INTERNAL, "etcd's answer holds %s of more than %zu bytes", element ? "an entry" : "a head",
                        element ? s->max_element : s->max_envelope);
    sbuf_add(to, p, len);
    return NULL;
}

/* In a string: everything up to its closing quote, or to the end of the bytes. */
static struct kerr *
feed_string(struct frame_splitter *s, const char **p, const char *end)
{
    const char *start = *p, *at = start;

    if (s->escaped) {
        at++;
        s->escaped = false;
    }
    while (at < end && s->in_string) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        const char *slash = memchr(at, '\\', (size_t)((quote ? quote : end) - at));

        if (slash) {
            s->escaped = slash + 2 > end;
            at = s->escaped ? end : slash + 2;
        } else if (quote) {
            at = quote + 1;
            s->in_string = false;
        } else {
            at = end;
        }
    }
    *p = at;
    return keep(s, start, (size_t)(at - start));
}

/* After a ':' at `level`: was the member's name the array's? */
static bool
names_array(const struct frame_splitter *s)
{
    size_t len = strlen(s->array);

    return s->envelope.len == s->string_at + len + 2 && memcmp(s->envelope.s + s->string_at + 1, s->array, len) == 0;
}

static struct kerr *
end_of_element(struct frame_splitter *s)
{
    struct kerr *err = s->element(sbuf_str(&s->element_bytes), s->element_bytes.len, s->arg);

    s->element_bytes.len = 0;
    if (s->element_bytes.cap > 1 << 20) /* one huge object does not stay with us */
        sbuf_done(&s->element_bytes);
    return err;
}

static struct kerr *
end_of_document(struct frame_splitter *s)
{
    struct kerr *err = s->document(sbuf_str(&s->envelope), s->envelope.len, s->arg);

    splitter_reset(s);
    return err;
}

static struct kerr *
open_bracket(struct frame_splitter *s, char c)
{
    if (s->matched && c == '[' && s->depth == s->level && !s->in_array) {
        struct kerr *err = keep(s, "[", 1);

        s->in_array = true;
        s->matched = false;
        s->depth++;
        return err;
    }
    s->matched = false;
    s->depth++; /* first, so that an element's own bracket counts as inside */
    return keep(s, &c, 1);
}

static struct kerr *
close_bracket(struct frame_splitter *s, char c)
{
    struct kerr *err;
    bool was_inside = inside_element(s);

    if (s->depth == 0)
        return kerr_new(KERR_INTERNAL, "etcd's answer is no JSON object");
    err = keep(s, &c, 1);
    s->depth--;
    if (err)
        return err;
    if (was_inside && s->depth == s->level + 1)
        return end_of_element(s);
    if (s->in_array && s->depth == s->level)
        s->in_array = false;
    return s->depth == 0 ? end_of_document(s) : NULL;
}

static struct kerr *
feed_char(struct frame_splitter *s, char c)
{
    switch (c) {
    case '"':
        if (s->depth == s->level && !s->in_array)
            s->string_at = s->envelope.len;
        s->in_string = true;
        return keep(s, &c, 1);
    case '{':
    case '[':
        return open_bracket(s, c);
    case '}':
    case ']':
        return close_bracket(s, c);
    case ' ':
    case '\n':
    case '\r':
    case '\t':
        return NULL;
    case ':':
        s->matched = s->depth == s->level && !s->in_array && s->envelope.len && names_array(s);
        return keep(s, &c, 1);
    case ',':
        return s->in_array && !inside_element(s) ? NULL : keep(s, &c, 1);
    default:
        if (s->depth == 0)
            return kerr_new(KERR_INTERNAL, "etcd's answer is no JSON object");
        return keep(s, &c, 1);
    }
}

struct kerr *
splitter_feed(struct frame_splitter *s, const char *bytes, size_t len)
{
    const char *p = bytes, *end = bytes + len;

    while (p < end) {
        struct kerr *err = s->in_string ? feed_string(s, &p, end) : feed_char(s, *p++);

        if (err)
            return err;
        if (s->in_string && s->depth == 0)
            return kerr_new(KERR_INTERNAL, "etcd's answer is no JSON object");
    }
    return NULL;
}

/* --- messages --- */

static struct kerr *
malformed(const char *what, const char *json, size_t len)
{
    return kerr_new(KERR_INTERNAL, "etcd's gateway sent %s that is malformed: %.*s", what, (int)(len < 120 ? len : 120), json);
}

static bool
decode_into(struct sbuf *memory, struct json_span span, size_t *ret_at, size_t *ret_len)
{
    ssize_t len;

    if (!sbuf_reserve(memory, BASE64_DECODED_MAX(span.len) + 1))
        return false;
    *ret_at = memory->len;
    len = base64_decode(span.s, span.len, (uint8_t *)memory->s + memory->len, NULL);
    if (len < 0)
        return false;
    *ret_len = (size_t)len;
    memory->len += (size_t)len;
    sbuf_addc(memory, 0);
    return true;
}

struct kv_member {
    const char *name;
    size_t offset;
};
static const struct kv_member kv_numbers[] = {
    { "create_revision", offsetof(struct etcd_kv, create_revision) },
    { "mod_revision", offsetof(struct etcd_kv, mod_revision) },
    { "version", offsetof(struct etcd_kv, version) },
    { "lease", offsetof(struct etcd_kv, lease) },
};

static void
read_kv_number(struct json_cursor *c, struct json_span name, struct etcd_kv *kv)
{
    for (size_t i = 0; i < ARRAY_LEN(kv_numbers); i++) {
        if (span_is(name, kv_numbers[i].name)) {
            *(int64_t *)((char *)kv + kv_numbers[i].offset) = cursor_i64(c);
            return;
        }
    }
    cursor_skip(c, NULL);
}

/* The cursor is at the object. */
static bool
scan_kv(struct json_cursor *c, struct sbuf *memory, struct etcd_kv *ret, struct json_span *value64)
{
    struct json_span name, key = { 0 }, value = { 0 };
    size_t key_at = 0, value_at = 0;

    memset(ret, 0, sizeof(*ret));
    if (!cursor_enter_object(c))
        return false;
    while (cursor_next_member(c, &name)) {
        if (span_is(name, "key"))
            cursor_skip(c, &key);
        else if (span_is(name, "value"))
            cursor_skip(c, &value);
        else
            read_kv_number(c, name, ret);
    }
    memory->len = 0;
    if (c->bad || !decode_into(memory, key, &key_at, &ret->key_len))
        return false;
    if (value64)
        *value64 = value;
    else if (!decode_into(memory, value, &value_at, &ret->value_len))
        return false;
    ret->key = memory->s + key_at;
    ret->value = value64 ? NULL : memory->s + value_at;
    return true;
}

struct kerr *
frame_read_kv(const char *json, size_t len, struct sbuf *memory, struct etcd_kv *ret, struct json_span *value64)
{
    struct json_cursor c = json_cursor_of(json, len);

    return scan_kv(&c, memory, ret, value64) ? NULL : malformed("a key", json, len);
}

struct kerr *
frame_read_event(const char *json, size_t len, struct sbuf *memory, struct etcd_watch_event *ret)
{
    struct json_cursor c = json_cursor_of(json, len);
    struct json_span name, value64 = { 0 };
    bool have_kv = false;

    memset(ret, 0, sizeof(*ret));
    if (!cursor_enter_object(&c))
        return malformed("an event", json, len);
    while (cursor_next_member(&c, &name)) {
        struct json_span type;

        if (span_is(name, "kv"))
            have_kv = scan_kv(&c, memory, &ret->kv, &value64);
        else if (span_is(name, "type"))
            ret->deleted = cursor_skip(&c, &type) && span_is(type, "DELETE");
        else
            cursor_skip(&c, NULL);
    }
    if (c.bad || !have_kv || ret->kv.mod_revision <= 0)
        return malformed("an event", json, len);
    ret->revision = ret->kv.mod_revision;
    ret->value64 = value64.s;
    ret->value64_len = value64.len;
    return NULL;
}

static void
copy_text(struct json_span span, char *to, size_t size)
{
    AUTO_SBUF text = { .max = size - 1 };

    if (!span_unescape(span, &text) && !text.len)
        return;
    memcpy(to, sbuf_str(&text), text.len < size ? text.len : size - 1);
    to[text.len < size ? text.len : size - 1] = 0;
}

static void
read_header(struct json_cursor *c, struct frame_envelope *ret)
{
    struct json_span name;

    if (!cursor_enter_object(c)) {
        cursor_skip(c, NULL);
        return;
    }
    while (cursor_next_member(c, &name)) {
        if (span_is(name, "revision"))
            ret->revision = cursor_i64(c);
        else if (span_is(name, "cluster_id"))
            ret->cluster_id = (uint64_t)cursor_i64(c);
        else
            cursor_skip(c, NULL);
    }
}

static void read_members(struct json_cursor *c, struct frame_envelope *ret, unsigned depth);

/* "error" is a text in unary answers and an object in streams. */
static void
read_error(struct json_cursor *c, struct frame_envelope *ret, unsigned depth)
{
    struct json_span span;

    if (cursor_peek(c) == '{' && depth < 3) {
        read_members(c, ret, depth + 1);
    } else if (cursor_skip(c, &span) && span.is_string) {
        copy_text(span, ret->error, sizeof(ret->error));
    }
}

static void
read_members(struct json_cursor *c, struct frame_envelope *ret, unsigned depth)
{
    struct json_span name, span;

    if (!cursor_enter_object(c)) {
        cursor_skip(c, NULL);
        return;
    }
    while (cursor_next_member(c, &name)) {
        if (span_is(name, "header"))
            read_header(c, ret);
        else if (span_is(name, "result") && depth == 0 && cursor_peek(c) == '{')
            read_members(c, ret, 1);
        else if (span_is(name, "error"))
            read_error(c, ret, depth);
        else if (span_is(name, "message") && cursor_peek(c) == '"' && cursor_skip(c, &span))
            copy_text(span, ret->error, sizeof(ret->error));
        else if (span_is(name, "code") || span_is(name, "grpc_code"))
            ret->code = (int)cursor_i64(c);
        else if (span_is(name, "more"))
            ret->more = cursor_bool(c);
        else if (span_is(name, "count"))
            ret->count = cursor_i64(c);
        else if (span_is(name, "created"))
            ret->created = cursor_bool(c);
        else if (span_is(name, "canceled"))
            ret->canceled = cursor_bool(c);
        else if (span_is(name, "compact_revision"))
            ret->compact_revision = cursor_i64(c);
        else if (span_is(name, "cancel_reason") && cursor_skip(c, &span))
            copy_text(span, ret->cancel_reason, sizeof(ret->cancel_reason));
        else
            cursor_skip(c, NULL);
    }
}

struct kerr *
frame_read_envelope(const char *json, size_t len, struct frame_envelope *ret)
{
    struct json_cursor c = json_cursor_of(json, len);

    memset(ret, 0, sizeof(*ret));
    if (cursor_peek(&c) != '{')
        return malformed("an answer", json, len);
    read_members(&c, ret, 0);
    return c.bad ? malformed("an answer", json, len) : NULL;
}

/* {"header":..,"kvs":[{..}],"count":"1"}: the one key of a range. */
static void
read_response_range(struct json_cursor *c, struct etcd_txn_reply *ret, struct sbuf *memory)
{
    struct json_span name;

    if (!cursor_enter_object(c)) {
        cursor_skip(c, NULL);
        return;
    }
    while (cursor_next_member(c, &name)) {
        if (!span_is(name, "kvs") || !cursor_enter_array(c)) {
            cursor_skip(c, NULL);
            continue;
        }
        while (cursor_next_element(c)) {
            if (ret->found)
                cursor_skip(c, NULL);
            else if (scan_kv(c, memory, &ret->kv, NULL))
                ret->found = true;
            else
                c->bad = true;
        }
    }
}

static void
read_responses(struct json_cursor *c, struct etcd_txn_reply *ret, struct sbuf *memory)
{
    struct json_span name;

    if (!cursor_enter_array(c)) {
        cursor_skip(c, NULL);
        return;
    }
    while (cursor_next_element(c)) {
        if (!cursor_enter_object(c)) {
            cursor_skip(c, NULL);
            continue;
        }
        while (cursor_next_member(c, &name)) {
            if (span_is(name, "response_range"))
                read_response_range(c, ret, memory);
            else
                cursor_skip(c, NULL);
        }
    }
}

struct kerr *
frame_read_txn(const char *json, size_t len, struct etcd_txn_reply *ret)
{
    struct json_cursor c = json_cursor_of(json, len);
    struct frame_envelope head = { 0 };
    AUTO_SBUF memory = { 0 };
    struct json_span name;

    memset(ret, 0, sizeof(*ret));
    if (!cursor_enter_object(&c))
        return malformed("a txn answer", json, len);
    while (cursor_next_member(&c, &name)) {
        if (span_is(name, "header"))
            read_header(&c, &head);
        else if (span_is(name, "succeeded"))
            ret->succeeded = cursor_bool(&c);
        else if (span_is(name, "responses"))
            read_responses(&c, ret, &memory);
        else
            cursor_skip(&c, NULL);
    }
    if (c.bad || head.revision <= 0)
        return malformed("a txn answer", json, len);
    ret->revision = head.revision;
    ret->memory_ = memory.s ? sbuf_steal(&memory) : NULL;
    return NULL;
}
