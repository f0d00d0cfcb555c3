// SPDX-License-Identifier: Apache-2.0
#include "apiserver/storage/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "apiserver/storage/json_cursor.h"
#include "common/base/str.h"

#define LABELS_MAX 10000

/* What one pass over the JSON finds.  Strings lie in `text`, each with a NUL, named by their offsets; 0 is "". */
struct peek {
    const struct record_shape *shape;
    struct sbuf text;
    size_t uid;
    size_t field[RECORD_FIELDS_MAX], fallback[RECORD_FIELDS_MAX];
    struct label_at {
        size_t key, value;
    } *labels;
    size_t nlabels, labels_cap;
    const char *metadata;          /* behind its '{' */
    const char *anchor;            /* end of the member after which resourceVersion belongs */
    const char *rv_from, *rv_to;   /* the resourceVersion that is there, with one comma */
    bool metadata_others;          /* has members beside resourceVersion */
};

static void
peek_done(struct peek *pk)
{
    sbuf_done(&pk->text);
    free(pk->labels);
}

/* --- the pass --- */

static size_t
keep_text(struct peek *pk, struct json_cursor *c, struct json_span span)
{
    size_t at = pk->text.len;

    if (!span.is_string && (span_is(span, "null") || *span.s == '{' || *span.s == '['))
        return 0;
    if (span.is_string ? !span_unescape(span, &pk->text) : (sbuf_add(&pk->text, span.s, span.len), false))
        c->bad = true;
    sbuf_addc(&pk->text, 0);
    return at;
}

static void
peek_labels(struct peek *pk, struct json_cursor *c)
{
    struct json_span name, value;

    if (!cursor_enter_object(c)) {
        cursor_skip(c, NULL);
        return;
    }
    while (cursor_next_member(c, &name) && cursor_skip(c, &value)) {
        if (pk->nlabels == pk->labels_cap) {
            if (pk->nlabels >= LABELS_MAX) {
                c->bad = true;
                return;
            }
            pk->labels_cap = pk->labels_cap ? pk->labels_cap * 2 : 8;
            pk->labels = xreallocarray(pk->labels, pk->labels_cap, sizeof(*pk->labels));
        }
        pk->labels[pk->nlabels].key = keep_text(pk, c, name);
        pk->labels[pk->nlabels++].value = keep_text(pk, c, value);
    }
}

/* Members that Go writes before resourceVersion. */
static bool
is_before_rv(struct json_span name)
{
    static const char *const before[] = { "name", "generateName", "namespace", "selfLink", "uid" };

    for (size_t i = 0; i < ARRAY_LEN(before); i++)
        if (span_is(name, before[i]))
            return true;
    return false;
}

/* The member with its comma: the one behind it, or as the last member the one before it. */
static void
note_rv(struct peek *pk, struct json_cursor *c, const char *start, const char *previous_end)
{
    pk->rv_from = start;
    pk->rv_to = c->p;
    if (cursor_peek(c) == ',') {
        pk->rv_to = c->p + 1;
    } else if (previous_end) {
        pk->rv_from = previous_end;
    }
}

static void
peek_metadata_member(struct peek *pk, struct json_cursor *c, struct json_span name, const char *previous_end)
{
    struct json_span value;

    if (span_is(name, "labels")) {
        peek_labels(pk, c);
    } else if (span_is(name, "uid")) {
        if (cursor_skip(c, &value))
            pk->uid = keep_text(pk, c, value);
    } else if (span_is(name, "resourceVersion")) {
        if (cursor_skip(c, NULL))
            note_rv(pk, c, name.s - 1, previous_end);
        return;
    } else {
        cursor_skip(c, NULL);
    }
    pk->metadata_others = true;
    if (is_before_rv(name))
        pk->anchor = c->p;
}

static void
peek_metadata(struct peek *pk, struct json_cursor *c)
{
    struct json_span name;
    const char *previous_end = NULL;

    if (!cursor_enter_object(c)) {
        c->bad = true;
        return;
    }
    pk->metadata = c->p;
    while (cursor_next_member(c, &name)) {
        peek_metadata_member(pk, c, name, previous_end);
        previous_end = c->p;
    }
}

/* Does member `name` continue the dotted path at segment `depth`?  2: and ends it. */
static int
path_step(const char *path, unsigned depth, struct json_span name)
{
    const char *seg = path;
    size_t len;

    for (; depth; depth--) {
        seg = strchr(seg, '.');
        if (!seg)
            return 0;
        seg++;
    }
    len = strcspn(seg, ".");
    if (len != name.len || memcmp(seg, name.s, len) != 0)
        return 0;
    return seg[len] ? 1 : 2;
}

static void peek_value(struct peek *pk, struct json_cursor *c, struct json_span name, uint32_t here, uint32_t here_fb, unsigned depth);

static void
peek_object(struct peek *pk, struct json_cursor *c, uint32_t here, uint32_t here_fb, unsigned depth)
{
    struct json_span name;

    if (!cursor_enter_object(c)) {
        cursor_skip(c, NULL);
        return;
    }
    while (cursor_next_member(c, &name)) {
        if (depth == 0 && span_is(name, "metadata"))
            peek_metadata(pk, c);
        else
            peek_value(pk, c, name, here, here_fb, depth);
    }
}

/* The value of member `name`, with the sets of rows (one bit each) whose path led here. */
static void
peek_value(struct peek *pk, struct json_cursor *c, struct json_span name, uint32_t here, uint32_t here_fb, unsigned depth)
{
    uint32_t deeper = 0, deeper_fb = 0, end = 0, end_fb = 0;

    for (uint32_t i = 0; i < pk->shape->nfields; i++) {
        const struct store_field *f = &pk->shape->fields[i];
        int step = here >> i & 1 ? path_step(f->path ? f->path : f->name, depth, name) : 0;
        int step_fb = here_fb >> i & 1 ? path_step(f->fallback, depth, name) : 0;

        deeper |= (uint32_t)(step == 1) << i;
        end |= (uint32_t)(step == 2) << i;
        deeper_fb |= (uint32_t)(step_fb == 1) << i;
        end_fb |= (uint32_t)(step_fb == 2) << i;
    }
    if ((deeper | deeper_fb) && depth + 1 < RECORD_PATH_MAX && cursor_peek(c) == '{') {
        peek_object(pk, c, deeper, deeper_fb, depth + 1);
    } else if (end | end_fb) {
        struct json_span value;
        size_t at = cursor_skip(c, &value) ? keep_text(pk, c, value) : 0;

        for (uint32_t i = 0; i < pk->shape->nfields; i++) {
            if (end >> i & 1)
                pk->field[i] = at;
            if (end_fb >> i & 1)
                pk->fallback[i] = at;
        }
    } else {
        cursor_skip(c, NULL);
    }
}

static bool
peek(struct peek *pk, const char *json, size_t len)
{
    struct json_cursor c = json_cursor_of(json, len);
    uint32_t all = (uint32_t)((1ull << pk->shape->nfields) - 1), fallbacks = 0;

    for (uint32_t i = 0; i < pk->shape->nfields; i++)
        fallbacks |= (uint32_t)(pk->shape->fields[i].fallback != NULL) << i;
    sbuf_addc(&pk->text, 0); /* offset 0 is "" */
    if (cursor_peek(&c) != '{')
        return false;
    peek_object(pk, &c, all, fallbacks, 0);
    return cursor_at_end(&c) && !c.bad;
}

/* --- building --- */

struct parts { /* the new JSON: seg 0, seg 1, resourceVersion, seg 2, seg 3 */
    const char *seg[4];
    size_t len[4];
    char rv[48];
    size_t rv_len;
};

static void
set_seg(struct parts *parts, int i, const char *from, const char *to)
{
    parts->seg[i] = from;
    parts->len[i] = (size_t)(to - from);
}

/* Cuts the old resourceVersion out and finds the place of the new one.  revision 0: none. */
static void
plan_parts(const struct peek *pk, const char *json, size_t len, int64_t revision, struct parts *ret)
{
    const char *end = json + len, *at = pk->anchor ? pk->anchor : pk->metadata ? pk->metadata : end;
    const char *cut_from = pk->rv_from ? pk->rv_from : end, *cut_to = pk->rv_from ? pk->rv_to : end;
    bool cut_first = cut_from < at;

    memset(ret, 0, sizeof(*ret));
    if (at < end && revision > 0)
        ret->rv_len = (size_t)snprintf(ret->rv, sizeof(ret->rv), "%s\"resourceVersion\":\"%" PRId64 "\"%s", pk->anchor ? "," : "",
                                       revision, !pk->anchor && pk->metadata_others ? "," : "");
    set_seg(ret, 0, json, cut_first ? cut_from : at);
    set_seg(ret, 1, cut_first ? cut_to : at, at);
    set_seg(ret, 2, at, cut_first ? end : cut_from);
    set_seg(ret, 3, cut_first ? end : cut_to, end);
}

static char *
put(char *to, const char *from, size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

/* Writes the JSON; returns its length. */
static size_t
write_json(const struct parts *parts, char *to, uint32_t *ret_rv_at)
{
    char *start = to;

    to = put(to, parts->seg[0], parts->len[0]);
    to = put(to, parts->seg[1], parts->len[1]);
    *ret_rv_at = (uint32_t)(to - start);
    to = put(to, parts->rv, parts->rv_len);
    to = put(to, parts->seg[2], parts->len[2]);
    to = put(to, parts->seg[3], parts->len[3]);
    *to = 0;
    return (size_t)(to - start);
}

static int
label_cmp(const void *a, const void *b)
{
    return strcmp(((const struct string_map_entry *)a)->key, ((const struct string_map_entry *)b)->key);
}

static void
place_labels(struct record *rec, const struct peek *pk, struct string_map_entry *labels, const char *text)
{
    bool sorted = true;

    for (size_t i = 0; i < pk->nlabels; i++) {
        labels[i] = (struct string_map_entry){ text + pk->labels[i].key, text + pk->labels[i].value };
        sorted &= i == 0 || strcmp(labels[i - 1].key, labels[i].key) <= 0;
    }
    if (!sorted)
        qsort(labels, pk->nlabels, sizeof(*labels), label_cmp);
    rec->labels = (struct string_map){ pk->nlabels ? labels : NULL, (uint32_t)pk->nlabels, (uint32_t)pk->nlabels };
}

static const char *
field_value(const struct peek *pk, uint32_t i, const char *text)
{
    const char *value = text + pk->field[i];

    if (!*value && pk->fallback[i])
        value = text + pk->fallback[i];
    return *value ? value : text; /* text: "" */
}

/* Zero values ("false", "0") are copied in, so that records do not depend on the life of the row. */
static void
add_zero_values(struct peek *pk)
{
    for (uint32_t i = 0; i < pk->shape->nfields; i++) {
        const char *zero = pk->shape->fields[i].zero;

        if (str_empty(zero) || *(pk->text.s + pk->field[i]) || *(pk->text.s + pk->fallback[i]))
            continue;
        pk->field[i] = pk->text.len;
        sbuf_add(&pk->text, zero, strlen(zero) + 1);
    }
}

static void
place_key(struct record *rec, bool namespaced, const char *key, char *to)
{
    size_t len = strlen(key);
    const char *slash = namespaced ? strchr(key, '/') : NULL;

    memcpy(to, key, len + 1);
    rec->key = to;
    rec->name = slash ? to + (slash - key) + 1 : to;
    to += len + 1;
    if (slash) {
        memcpy(to, key, (size_t)(slash - key));
        to[slash - key] = 0;
    }
    rec->ns = slash ? to : "";
}

/* Allocates the block with everything but the JSON in place; *ret_json is where that goes. */
static struct record *
record_block(struct peek *pk, const char *key, size_t json_size, char **ret_json)
{
    size_t fields = pk->shape->nfields * sizeof(char *), labels = pk->nlabels * sizeof(struct string_map_entry);
    size_t keys = 2 * (strlen(key) + 1);
    size_t size = sizeof(struct record) + fields + labels + pk->text.len + keys + json_size + 2;
    struct record *rec = xmalloc(size);
    char *text = (char *)(rec + 1) + fields + labels;

    memset(rec, 0, sizeof(*rec));
    atomic_init(&rec->refs, 1);
    rec->size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
    rec->fields = (const char **)(rec + 1);
    memcpy(text, pk->text.s, pk->text.len);
    place_labels(rec, pk, (struct string_map_entry *)((char *)(rec + 1) + fields), text);
    rec->uid = text + pk->uid;
    place_key(rec, pk->shape->namespaced, key, text + pk->text.len);
    for (uint32_t i = 0; i < pk->shape->nfields; i++)
        rec->fields[i] = str_eq(pk->shape->fields[i].path, "metadata.name") ? rec->name : field_value(pk, i, text);
    text += pk->text.len + keys;
    *text = ','; /* see record.h */
    *ret_json = text + 1;
    return rec;
}

static size_t
trimmed(const char *json, size_t len)
{
    while (len && (json[len - 1] == '\n' || json[len - 1] == ' '))
        len--;
    return len;
}

struct kerr *
record_new(const struct record_shape *shape, const char *key, const char *json, size_t len, int64_t revision,
           struct record **ret)
{
    struct peek pk = { .shape = shape };
    struct parts parts;
    struct record *rec;
    char *to;

    len = trimmed(json, len);
    if (len > UINT32_MAX / 2 || !peek(&pk, json, len)) {
        peek_done(&pk);
        return kerr_new(KERR_INVALID, "the value of \"%s\" is no JSON object", key);
    }
    add_zero_values(&pk);
    plan_parts(&pk, json, len, revision, &parts);
    rec = record_block(&pk, key, len + parts.rv_len, &to);
    rec->revision = revision;
    rec->json = to;
    rec->rv_len = (uint32_t)parts.rv_len;
    rec->json_len = (uint32_t)write_json(&parts, to, &rec->rv_at);
    peek_done(&pk);
    *ret = rec;
    return NULL;
}

struct record *
record_new_broken(const struct record_shape *shape, const char *key, const char *value, size_t len, int64_t revision)
{
    static const struct store_field none[RECORD_FIELDS_MAX];
    struct record_shape bare = { shape->namespaced, none, shape->nfields };
    struct peek pk = { .shape = &bare };
    struct record *rec;
    char *to;

    sbuf_addc(&pk.text, 0);
    rec = record_block(&pk, key, len, &to);
    memcpy(to, value, len);
    to[len] = 0;
    rec->json = to;
    rec->json_len = (uint32_t)len;
    rec->revision = revision;
    rec->broken = true;
    peek_done(&pk);
    return rec;
}

struct record *
record_at_revision(const struct record *rec, const struct record_shape *shape, int64_t revision)
{
    struct record *copy;
    struct kerr *err;

    if (rec->broken)
        return record_new_broken(shape, rec->key, rec->json, rec->json_len, revision);
    err = record_new(shape, rec->key, rec->json, rec->json_len, revision, &copy);
    if (!err)
        return copy;
    kerr_free(err); /* cannot be: it was read before */
    return record_new_broken(shape, rec->key, rec->json, rec->json_len, revision);
}

struct record *
record_ref(const struct record *rec)
{
    struct record *r = (struct record *)rec;

    if (r)
        atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void
record_unref(const struct record *rec)
{
    struct record *r = (struct record *)rec;

    if (r && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
        free(r);
}

/* --- stored form --- */

bool
record_same_stored(const struct record *rec, const char *stored, size_t len)
{
    len = trimmed(stored, len);
    return !rec->broken && len == rec->json_len - rec->rv_len && memcmp(rec->json, stored, rec->rv_at) == 0 &&
           memcmp(rec->json + rec->rv_at + rec->rv_len, stored + rec->rv_at, len - rec->rv_at) == 0;
}

struct kerr *
record_stored_form(const char *json, size_t len, char **ret_stored, size_t *ret_len)
{
    static const struct record_shape bare = { 0 };
    struct peek pk = { .shape = &bare };
    struct parts parts;
    uint32_t at;
    char *to;

    len = trimmed(json, len);
    if (!peek(&pk, json, len) || !pk.metadata) {
        peek_done(&pk);
        return kerr_new(KERR_BAD_REQUEST, "the object to store is no JSON object with metadata");
    }
    plan_parts(&pk, json, len, 0, &parts);
    to = xmalloc(len + 1);
    *ret_len = write_json(&parts, to, &at);
    *ret_stored = to;
    peek_done(&pk);
    return NULL;
}

const char *
record_field(const struct record *rec, const struct record_shape *shape, const char *name)
{
    if (str_eq(name, "metadata.name"))
        return rec->name;
    if (str_eq(name, "metadata.namespace"))
        return shape->namespaced ? rec->ns : NULL;
    for (uint32_t i = 0; i < shape->nfields; i++)
        if (str_eq(name, shape->fields[i].name))
            return rec->fields[i];
    return NULL;
}
