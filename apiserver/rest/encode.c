// SPDX-License-Identifier: Apache-2.0
#include "apiserver/rest/encode.h"

#include <stdio.h>
#include <string.h>

#include "apiserver/registry/convert.h"
#include "apiserver/rest/printers.h"
#include "common/api/codec.h"
#include "common/base/clock.h"

bool
encode_is_plain(const struct media *m, const struct resource *res)
{
    return m->format == MEDIA_JSON && m->as == AS_ITSELF && res->stored_kind == res->kind;
}

static struct kerr *
decode(const struct resource *res, const struct record *rec, struct object **ret)
{
    AUTO(object) *obj = NULL;
    struct kerr *err;

    if (rec->broken)
        return kerr_new(KERR_INTERNAL, "the stored object %s cannot be decoded", rec->key);
    err = object_decode_json(rec->json, rec->json_len, res->stored_kind, NULL, &obj);
    if (err)
        return kerr_wrap(err, "stored object %s", rec->key);
    return convert_object(steal_ptr(obj), res->kind, ret);
}

/* --- metadata alone --- */

static struct object *
partial_of(const struct object *obj)
{
    struct object *out = object_new_of("meta.k8s.io/v1", "PartialObjectMetadata");
    const struct object_meta *meta = object_meta(obj);

    if (meta)
        api_copy(&api_type_object_meta, object_arena(out), meta, &OBJECT_BODY(out, partial_object_metadata)->metadata);
    return out;
}

/* --- tables --- */

static const char *
meta_version(const struct media *m)
{
    return m->as_v1beta1 ? "v1beta1" : "v1";
}

static void
add_columns(const struct printer *p, struct sbuf *out)
{
    sbuf_adds(out, "[");
    for (size_t i = 0; i < p->ncolumns; i++) {
        const struct print_column *c = &p->columns[i];
        sbuf_addf(out, "%s{\"name\":\"%s\",\"type\":\"%s\",\"format\":\"%s\",\"description\":", i ? "," : "", c->name, c->type, c->format);
        json_add_string(out, str_safe(c->description));
        sbuf_addf(out, ",\"priority\":%d}", c->priority);
    }
    sbuf_adds(out, "]");
}

static void
add_row_object(const struct media *m, const struct object *obj, const char *include_object, struct sbuf *out)
{
    if (str_eq(include_object, "None")) {
        sbuf_adds(out, "null");
    } else if (str_eq(include_object, "Object")) {
        object_encode_json(obj, out);
    } else {
        AUTO(object) *partial = partial_of(obj);
        AUTO_SBUF text = { 0 };
        object_encode_json(partial, &text);
        if (m->as_v1beta1) {
            /* the same document under its older name */
            OBJECT_BODY(partial, partial_object_metadata)->type_meta.api_version = "meta.k8s.io/v1beta1";
            sbuf_clear(&text);
            json_encode(&api_type_partial_object_metadata, object_body(partial), &text);
        }
        sbuf_add(out, sbuf_str(&text), text.len);
    }
}

static struct kerr *
add_row(const struct media *m, const struct resource *res, const struct record *rec, const char *include_object, struct sbuf *out)
{
    AUTO(object) *obj = NULL;
    struct kerr *err = decode(res, rec, &obj);

    if (err)
        return err;
    sbuf_adds(out, "{\"cells\":[");
    printer_of(res->kind)->row(obj, clock_wall_s(), out);
    sbuf_adds(out, "],\"object\":");
    add_row_object(m, obj, include_object, out);
    sbuf_addc(out, '}');
    return NULL;
}

static void
table_head(const struct media *m, const struct list_head_out *head, const struct resource *res, bool columns, struct sbuf *out)
{
    sbuf_addf(out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/%s\",\"metadata\":{", meta_version(m));
    if (head) {
        sbuf_addf(out, "\"resourceVersion\":\"%lld\"", (long long)head->revision);
        if (!str_empty(head->continue_token)) {
            sbuf_adds(out, ",\"continue\":");
            json_add_string(out, head->continue_token);
        }
        if (head->remaining >= 0)
            sbuf_addf(out, ",\"remainingItemCount\":%lld", (long long)head->remaining);
    }
    sbuf_adds(out, "},\"columnDefinitions\":");
    if (columns)
        add_columns(printer_of(res->kind), out);
    else
        sbuf_adds(out, "null");
    sbuf_adds(out, ",\"rows\":[");
}

/* --- one object --- */

static void
json_to_format(const struct media *m, struct sbuf *json)
{
    struct sbuf yaml = { 0 };

    if (m->format != MEDIA_YAML)
        return;
    json_to_yaml(sbuf_str(json), json->len, &yaml);
    sbuf_done(json);
    *json = yaml;
}

static struct kerr *
encode_one(const struct media *m, const struct resource *res, const struct record *rec, const char *include_object, bool columns,
           bool in_watch, struct sbuf *out)
{
    AUTO(object) *obj = NULL;
    struct kerr *err;

    if (encode_is_plain(m, res)) {
        sbuf_add(out, rec->json, rec->json_len);
        return NULL;
    }
    if (m->as == AS_TABLE) {
        const struct list_head_out head = { .revision = rec->revision, .remaining = -1 };
        table_head(m, &head, res, columns, out);
        err = add_row(m, res, rec, include_object, out);
        sbuf_adds(out, "]}");
        return err;
    }
    if (m->as == AS_PARTIAL_LIST && !in_watch)
        return kerr_new(KERR_NOT_ACCEPTABLE, "you may only request PartialObjectMetadataList for lists");
    if ((err = decode(res, rec, &obj)))
        return err;
    if (m->as != AS_ITSELF) {
        struct object *partial = partial_of(obj);
        object_unref(obj);
        obj = partial;
    }
    if (m->format == MEDIA_PROTOBUF)
        object_encode_pb(obj, out);
    else
        object_encode_json(obj, out);
    return NULL;
}

struct kerr *
encode_record(const struct media *m, const struct resource *res, const struct record *rec, struct sbuf *out)
{
    struct kerr *err = encode_one(m, res, rec, NULL, true, false, out);

    if (!err && m->format == MEDIA_JSON)
        sbuf_addc(out, '\n');
    if (!err)
        json_to_format(m, out);
    return err;
}

/* --- lists --- */

static struct kerr *
encode_table(const struct media *m, const struct resource *res, struct record *const *records, size_t n, const struct list_head_out *head,
             const char *include_object, struct sbuf *out)
{
    struct kerr *err = NULL;

    table_head(m, head, res, true, out);
    for (size_t i = 0; !err && i < n; i++) {
        if (i)
            sbuf_addc(out, ',');
        err = add_row(m, res, records[i], include_object, out);
    }
    sbuf_adds(out, "]}\n");
    return err;
}

static void
varint(struct sbuf *out, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        sbuf_addc(out, (char)(n | 0x80));
    sbuf_addc(out, (char)n);
}

static void
pb_bytes(struct sbuf *out, unsigned field, const char *data, size_t len)
{
    varint(out, field << 3 | 2);
    varint(out, len);
    sbuf_add(out, data, len);
}

static void
pb_items_free(struct pb_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free((void *)items[i].data);
    free(items);
}

static struct kerr *
encode_pb_item(const struct media *m, const struct resource *res, const struct record *rec, struct pb_item *ret)
{
    AUTO(object) *obj = NULL;
    struct sbuf part = { 0 };
    struct kerr *err = decode(res, rec, &obj);

    if (err)
        return err;
    if (m->as != AS_ITSELF) {
        AUTO(object) *partial = partial_of(obj);
        pb_encode(&api_type_partial_object_metadata, object_body(partial), &part);
    } else {
        pb_encode(res->kind->type, object_body(obj), &part);
    }
    ret->len = part.len;
    ret->data = sbuf_steal(&part);
    return NULL;
}

static struct kerr *
encode_pb_list(const struct media *m, const struct resource *res, struct record *const *records, size_t n, const struct list_head_out *head,
               struct sbuf *out)
{
    const struct api_kind *kind = m->as != AS_ITSELF ? api_kind_find("meta.k8s.io/v1", "PartialObjectMetadata") : res->kind;
    struct pb_item *items = xcalloc(n, sizeof *items);
    struct kerr *err = NULL;
    char revision[24];
    const struct list_head_info info = { revision, (char *)head->continue_token, head->remaining };

    snprintf(revision, sizeof revision, "%lld", (long long)head->revision);
    for (size_t i = 0; !err && i < n; i++)
        err = encode_pb_item(m, res, records[i], &items[i]);
    if (!err)
        list_encode_pb(kind, &info, items, n, out);
    pb_items_free(items, n);
    return err;
}

static struct kerr *
encode_json_list(const struct media *m, const struct resource *res, struct record *const *records, size_t n, const struct list_head_out *head,
                 struct sbuf *out)
{
    bool partial = m->as != AS_ITSELF;
    struct media one = *m;

    one.format = MEDIA_JSON;
    one.as = partial ? AS_PARTIAL : AS_ITSELF;
    sbuf_addf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"%lld\"",
              partial ? "PartialObjectMetadataList" : res->list_kind,
              !partial ? api_kind_api_version(res->kind) : m->as_v1beta1 ? "meta.k8s.io/v1beta1" : "meta.k8s.io/v1", (long long)head->revision);
    if (!str_empty(head->continue_token)) {
        sbuf_adds(out, ",\"continue\":");
        json_add_string(out, head->continue_token);
    }
    if (head->remaining >= 0)
        sbuf_addf(out, ",\"remainingItemCount\":%lld", (long long)head->remaining);
    sbuf_adds(out, "},\"items\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            sbuf_addc(out, ',');
        struct kerr *err = encode_one(&one, res, records[i], NULL, false, false, out);
        if (err)
            return err;
    }
    sbuf_adds(out, "]}\n");
    return NULL;
}

struct kerr *
encode_list(const struct media *m, const struct resource *res, struct record *const *records, size_t n, const struct list_head_out *head,
            const char *include_object, struct sbuf *out)
{
    struct kerr *err;

    if (m->as == AS_PARTIAL)
        return kerr_new(KERR_NOT_ACCEPTABLE, "you may only request PartialObjectMetadata for single objects");
    if (m->as == AS_TABLE)
        err = encode_table(m, res, records, n, head, include_object, out);
    else if (m->format == MEDIA_PROTOBUF)
        return encode_pb_list(m, res, records, n, head, out);
    else
        err = encode_json_list(m, res, records, n, head, out);
    if (!err)
        json_to_format(m, out);
    return err;
}

/* --- watch --- */

struct kerr *
encode_watch_object(const struct media *m, const struct resource *res, const struct record *rec, bool first, const char *include_object,
                    struct sbuf *out)
{
    return encode_one(m, res, rec, include_object, first, true, out);
}

void
encode_watch_frame(const struct media *m, const char *type, const struct sbuf *object, struct sbuf *out)
{
    if (m->format != MEDIA_PROTOBUF) {
        sbuf_addf(out, "{\"type\":\"%s\",\"object\":", type);
        sbuf_add(out, sbuf_str(object), object->len);
        sbuf_adds(out, "}\n");
        return;
    }
    /* WatchEvent {1: type, 2: RawExtension {1: raw}}, four bytes of length before each (big endian), no envelope of its own */
    AUTO_SBUF raw = { 0 };
    AUTO_SBUF event = { 0 };
    pb_bytes(&raw, 1, sbuf_str(object), object->len);
    pb_bytes(&event, 1, type, strlen(type));
    pb_bytes(&event, 2, sbuf_str(&raw), raw.len);
    const unsigned char len[4] = { (unsigned char)(event.len >> 24), (unsigned char)(event.len >> 16), (unsigned char)(event.len >> 8),
                                   (unsigned char)event.len };
    sbuf_add(out, len, sizeof len);
    sbuf_add(out, sbuf_str(&event), event.len);
}

struct kerr *
encode_bookmark(const struct media *m, const struct resource *res, int64_t revision, bool initial_end, struct sbuf *out)
{
    bool partial = m->as == AS_PARTIAL || m->as == AS_PARTIAL_LIST;
    const struct api_kind *kind = partial ? api_kind_find("meta.k8s.io/v1", "PartialObjectMetadata") : res->kind;
    AUTO(object) *obj = object_new(kind);
    struct arena *a = object_arena(obj);
    struct object_meta *meta = object_meta(obj);

    meta->resource_version = arena_printf(a, "%lld", (long long)revision);
    if (initial_end) {
        struct string_map_entry *e = ARENA_NEW(a, struct string_map_entry);
        *e = (struct string_map_entry){ "k8s.io/initial-events-end", "true" };
        meta->annotations = (struct string_map){ e, 1, 1 };
    }
    if (m->as == AS_TABLE) {
        const struct list_head_out head = { .revision = revision, .remaining = -1 };
        table_head(m, &head, res, false, out);
        if (initial_end) { /* the annotation travels on a row's object, as upstream does it */
            sbuf_adds(out, "{\"cells\":null,\"object\":");
            add_row_object(m, obj, "Metadata", out);
            sbuf_addc(out, '}');
        }
        sbuf_adds(out, "]}");
    } else if (m->format == MEDIA_PROTOBUF) {
        object_encode_pb(obj, out);
    } else {
        object_encode_json(obj, out);
    }
    return NULL;
}
