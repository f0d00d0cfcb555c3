// SPDX-License-Identifier: Apache-2.0
/* Protobuf, deep copy, equality and static defaults over every kind: first on objects filled from the tables, then on
 * upstream's own reference objects (skipped when ../shared is not there). */
#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/api/codec.h"
#include "common/api/values.h"
#include "common/api/walk.h"
#include "common/base/file.h"

#define REFERENCE "/work/shared/reference/roundtrip"

static void fill(const struct api_type *t, struct arena *a, void *body, unsigned depth, unsigned *seed);

static void
fill_value(const struct api_field *f, struct arena *a, void *at, unsigned depth, unsigned *seed)
{
    unsigned n = (*seed)++;

    switch ((enum api_value)f->value) {
    case API_BOOL: *(bool *)at = true; break;
    case API_I32: *(int32_t *)at = n % 3 ? (int32_t)n : -(int32_t)n; break;
    case API_U32: *(uint32_t *)at = n; break;
    case API_I64: *(int64_t *)at = (int64_t)n << 33; break;
    case API_U64: *(uint64_t *)at = n; break;
    case API_F64: *(double *)at = n + 0.5; break;
    case API_STRING: *(const char **)at = arena_printf(a, "text-%u", n); break;
    case API_BYTES: *(struct api_bytes *)at = (struct api_bytes){ (uint8_t *)arena_strdup(a, "a\xff\x01"), 3 }; break;
    case API_QUANTITY: ((struct quantity *)at)->text = arena_printf(a, "%u", 2 * n + 1); break; /* canonical */
    case API_TIME: *(struct api_time *)at = api_time_from_unix(1000000 + n); break;
    case API_MICRO_TIME: *(struct api_time *)at = api_time_from_unix_us(1000000000ll + n); break;
    case API_DURATION: ((struct api_duration *)at)->ns = (int64_t)n * 1000000000; break;
    case API_INT_OR_STRING:
        *(struct int_or_string *)at = n % 2 ? (struct int_or_string){ NULL, (int32_t)n } : (struct int_or_string){ arena_printf(a, "%u%%", n), 0 };
        break;
    case API_RAW:
    case API_FIELDS_V1: *(struct api_raw *)at = (struct api_raw){ arena_strdup(a, "{\"f:x\":{}}"), 10 }; break;
    case API_STRINGS: {
        struct api_list *l = at;
        l->items = arena_alloc(a, 2 * sizeof(char *));
        l->len = l->cap = 2;
        ((const char **)l->items)[0] = arena_printf(a, "v%u", n);
        ((const char **)l->items)[1] = "";
        break;
    }
    case API_MESSAGE: fill(f->type, a, at, depth + 1, seed); break;
    }
}

static void
fill(const struct api_type *t, struct arena *a, void *body, unsigned depth, unsigned *seed)
{
    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        void *at = walk_field(f, body);
        bool map = f->shape == API_MAP;
        if (f->proto == 0 || (depth > 14 && (f->shape != API_ONE)) || (f->type && depth > 14))
            continue;
        if (depth > 5 && f->type == t) /* recursive schemas */
            continue;
        if (f->shape == API_ONE) {
            fill_value(f, a, at, depth, seed);
        } else if (f->shape == API_PTR) {
            if (f->value != API_STRING)
                *(void **)at = arena_alloc(a, api_value_size(f));
            fill_value(f, a, f->value == API_STRING ? at : *(void **)at, depth, seed);
        } else {
            struct api_list *l = at;
            uint32_t size = map ? api_entry_size(f) : api_value_size(f), n = depth > 4 ? 1 : 2;
            l->items = arena_alloc(a, (size_t)n * size);
            l->len = l->cap = n;
            for (uint32_t k = 0; k < n; k++) {
                void *item = walk_item(l, size, k);
                if (map)
                    *(const char **)item = arena_printf(a, "key%u", k);
                fill_value(f, a, map ? walk_entry_value(item) : item, depth, seed);
            }
        }
    }
}

/* JSONSchemaProps holds itself in a dozen places: a full one is too large for a test. */
static bool
too_deep(const struct api_kind *k)
{
    return strcmp(k->kind, "CustomResourceDefinition") == 0;
}

static void
every_kind_round_trips(void **state)
{
    unsigned tested = 0;

    for (size_t i = 0; i < api_kinds_len; i++) {
        const struct api_kind *k = &api_kinds[i];
        unsigned seed = 1;
        if (too_deep(k))
            continue;
        AUTO(object) *obj = object_new(k);
        AUTO(object) *back = NULL;
        AUTO(object) *copy = NULL;
        AUTO_SBUF pb = { 0 };
        AUTO_SBUF again = { 0 };
        fill(k->type, object_arena(obj), object_body(obj), 0, &seed);
        object_encode_pb(obj, &pb);
        struct kerr *err = object_decode_pb(pb.s, pb.len, k, &back);
        if (err)
            fail_msg("%s: %s", k->kind, err->message);
        if (!api_equal(k->type, object_body(obj), object_body(back)))
            fail_msg("%s: not equal after protobuf", k->kind);
        object_encode_pb(back, &again);
        assert_int_equal(pb.len, again.len);
        assert_memory_equal(pb.s, again.s, pb.len);
        copy = object_copy(back);
        object_unref(steal_ptr(back)); /* the copy must not lean on it */
        assert_true(api_equal(k->type, object_body(obj), object_body(copy)));
        tested++;
    }
    assert_true(tested > 50);
}

/* Every single change must be seen. */
static void
equal_sees_each_field(void **state)
{
    const struct api_kind *k = api_kind_find("v1", "Pod");
    AUTO(object) *obj = object_new(k);
    AUTO_SBUF pb = { 0 };
    unsigned seen = 0;

    unsigned seed = 1;
    fill(k->type, object_arena(obj), object_body(obj), 0, &seed);
    pb_encode(k->type, object_body(obj), &pb);
    for (uint16_t i = 0; i < api_type_pod_spec.nfields; i++) {
        const struct api_field *f = &api_type_pod_spec.fields[i];
        AUTO(object) *copy = object_copy(obj);
        struct pod *pod = OBJECT_BODY(copy, pod);
        memset(walk_field(f, &pod->spec), 0, f->shape == API_ONE ? api_value_size(f) : f->shape == API_PTR ? 8 : sizeof(struct api_list));
        assert_false(api_equal(k->type, object_body(obj), object_body(copy)));
        seen++;
    }
    assert_true(seen > 35);
}

static void
equal_is_semantic(void **state)
{
    AUTO(object) *a = object_new_of("v1", "Pod");
    AUTO(object) *b = object_new_of("v1", "Pod");
    struct pod *pa = OBJECT_BODY(a, pod), *pb = OBJECT_BODY(b, pod);

    pa->metadata.name = "";
    pb->metadata.name = NULL;
    pa->spec.containers.items = arena_alloc(object_arena(a), 8);
    assert_true(api_equal(&api_type_pod, pa, pb));
    pa->spec.overhead.items = arena_alloc(object_arena(a), sizeof(struct quantity_map_entry));
    pb->spec.overhead.items = arena_alloc(object_arena(b), sizeof(struct quantity_map_entry));
    pa->spec.overhead.len = pb->spec.overhead.len = 1;
    pa->spec.overhead.items[0] = (struct quantity_map_entry){ "cpu", { "1000m" } };
    pb->spec.overhead.items[0] = (struct quantity_map_entry){ "cpu", { "1" } };
    assert_true(api_equal(&api_type_pod, pa, pb));
    pb->spec.overhead.items[0].value.text = "1001m";
    assert_false(api_equal(&api_type_pod, pa, pb));
}

static void
check_defaults(const struct api_type *t, unsigned *count)
{
    AUTO(arena) *a = arena_new(0);
    void *body = arena_alloc(a, t->size);
    AUTO_SBUF out = { 0 };

    api_default_static(t, a, body);
    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        void *at = walk_field(f, body);
        if (!f->def)
            continue;
        (*count)++;
        if (f->shape == API_PTR) {
            assert_non_null(*(void **)at);
            at = api_ptr_target(f, at);
        }
        if (f->value == API_STRING && strcmp(f->def, "\"\"") != 0) {
            assert_int_equal(strlen(*(const char **)at) + 2, strlen(f->def));
            assert_memory_equal(*(const char **)at, f->def + 1, strlen(f->def) - 2);
        } else if (f->value == API_BOOL) {
            assert_int_equal(*(bool *)at, strcmp(f->def, "true") == 0);
        } else if (f->value == API_I32) {
            assert_int_equal(*(int32_t *)at, atoi(f->def));
        } else if (f->value != API_STRING) {
            fail_msg("%s.%s: default %s of a kind of value this test does not know", t->name, f->json, f->def);
        }
    }
}

static void
defaults_of_all_rows(void **state)
{
    static const struct api_type *seen[2000];
    unsigned nseen = 0, count = 0;

    for (size_t i = 0; i < api_kinds_len; i++)
        seen[nseen++] = api_kinds[i].type;
    for (unsigned i = 0; i < nseen; i++) {
        check_defaults(seen[i], &count);
        assert_true(seen[i]->nfields < 128); /* MAX_FIELDS of pb_encode.c */
        for (uint16_t j = 0; j < seen[i]->nfields; j++) {
            const struct api_type *t = seen[i]->fields[j].type;
            bool known = !t;
            for (unsigned k = 0; k < nseen && !known; k++)
                known = seen[k] == t;
            if (!known)
                seen[nseen++] = t;
        }
    }
    assert_true(count > 5);
}

static void
defaults_leave_what_is_set(void **state)
{
    AUTO(object) *obj = NULL;
    static const char json[] = "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"spec\":{\"ports\":[{\"port\":1},{\"port\":2,\"protocol\":\"UDP\"}]}}";

    assert_null(object_decode_json(json, strlen(json), NULL, NULL, &obj));
    api_default_static(&api_type_service, object_arena(obj), object_body(obj));
    struct service *svc = OBJECT_BODY(obj, service);
    assert_string_equal(svc->spec.ports.items[0].protocol, "TCP");
    assert_string_equal(svc->spec.ports.items[1].protocol, "UDP");
}

/* --- upstream's objects --- */

static void
reference_objects(void **state)
{
    DIR *dir = opendir(REFERENCE);
    struct dirent *entry;
    unsigned tested = 0, bad = 0;

    if (!dir)
        skip();
    while ((entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);
        if (n < 5 || strcmp(entry->d_name + n - 5, ".json") != 0)
            continue;
        AUTO_FREE char *json_path = xasprintf("%s/%s", REFERENCE, entry->d_name);
        AUTO_FREE char *pb_path = xasprintf("%s/%.*s.pb", REFERENCE, (int)n - 5, entry->d_name);
        AUTO_SBUF json = { 0 };
        AUTO_SBUF pb = { 0 };
        AUTO_SBUF out = { 0 };
        AUTO_SBUF json1 = { 0 };
        AUTO_SBUF json2 = { 0 };
        AUTO(object) *a = NULL;
        AUTO(object) *b = NULL;
        struct kerr *err;
        assert_null(file_read(json_path, 1 << 20, &json.s, &json.len));
        assert_null(file_read(pb_path, 1 << 20, &pb.s, &pb.len));
        const struct api_kind *kind = strstr(entry->d_name, "WatchEvent") ? api_kind_find("v1", "WatchEvent") : NULL; /* without TypeMeta */
        err = object_decode_json(json.s, json.len, kind, NULL, &a);
        if (err) {
            print_error("%s: %s\n", entry->d_name, err->message);
            kerr_free(err);
            bad++;
            continue;
        }
        object_encode_pb(a, &out);
        if (out.len != pb.len || memcmp(out.s, pb.s, pb.len) != 0) {
            size_t at = 0;
            while (at < out.len && at < pb.len && out.s[at] == pb.s[at])
                at++;
            print_error("%s: protobuf differs at byte %zu (%zu, want %zu)\n", entry->d_name, at, out.len, pb.len);
            bad++;
        }
        err = object_decode_pb(pb.s, pb.len, kind, &b);
        if (err) {
            print_error("%s: %s\n", entry->d_name, err->message);
            kerr_free(err);
            bad++;
            continue;
        }
        object_encode_json(a, &json1);
        object_encode_json(b, &json2);
        if (strcmp(sbuf_str(&json1), sbuf_str(&json2)) != 0) {
            print_error("%s: JSON from protobuf differs:\n%s\n%s\n", entry->d_name, sbuf_str(&json1), sbuf_str(&json2));
            bad++;
        }
        if (!api_equal(object_kind(a)->type, object_body(a), object_body(b))) {
            print_error("%s: not equal\n", entry->d_name);
            bad++;
        }
        tested++;
    }
    closedir(dir);
    assert_int_equal(bad, 0);
    assert_true(tested > 30);
}

/* --- bad protobuf --- */

static void
refuses(const char *what, const void *data, size_t len)
{
    AUTO(arena) *a = arena_new(0);
    void *body = arena_alloc(a, api_type_pod.size);
    struct kerr *err = pb_decode(&api_type_pod, a, data, len, body);

    if (!err)
        fail_msg("accepted: %s", what);
    assert_int_equal(err->reason, KERR_BAD_REQUEST);
    kerr_free(err);
}

static void
bad_protobuf(void **state)
{
    AUTO(object) *obj = NULL;
    AUTO(arena) *a = arena_new(0);
    struct pod *pod = arena_alloc(a, api_type_pod.size);
    char deep[2000];
    struct kerr *err;

    refuses("length past the end", "\x0a\x05\x0a", 3);
    refuses("no end of varint", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    refuses("field number 0", "\x02\x00", 2);
    refuses("wrong wire type of metadata", "\x08\x01", 2);
    refuses("NUL in the name", "\x0a\x05\x0a\x03" "a\0b", 7);
    refuses("end of a group without one", "\x0c", 1);
    refuses("wire type 7", "\x0f", 1);
    err = object_decode_pb("{\"kind\"", 7, NULL, &obj);
    assert_string_equal(err->message, "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
    kerr_free(err);

    /* unknown fields of every wire type, groups too, are skipped; order does not matter */
    static const char odd[] = "\xf8\x07\x05\xfb\x07\x08\x01\xfc\x07\xf9\x07" "12345678\xfd\x07" "1234\x0a\x03\x0a\x01x";
    assert_null(pb_decode(&api_type_pod, a, odd, sizeof(odd) - 1, pod));
    assert_string_equal(pod->metadata.name, "x");

    /* nested lengths: a schema that holds itself 250 times */
    size_t at = sizeof(deep);
    for (int i = 0; i < 250; i++) {
        size_t len = sizeof(deep) - at;
        if (len >= 128)
            deep[--at] = (char)(len >> 7);
        deep[--at] = (char)(len >= 128 ? (len & 0x7f) | 0x80 : len);
        deep[--at] = (char)0xda; /* field 27 `not` */
        char swap = deep[at];
        deep[at] = 0x01;
        deep[--at] = swap;
    }
    AUTO(arena) *b = arena_new(0);
    void *schema = arena_alloc(b, api_type_json_schema_props.size);
    err = pb_decode(&api_type_json_schema_props, b, deep + at, sizeof(deep) - at, schema);
    kerr_free(err); /* refused or skipped: no crash */
}

static void
maps_come_in_any_order(void **state)
{
    /* labels are field 11: {b:2} {a:1} {b:3} */
    static const char meta[] = "\x5a\x06\x0a\x01" "b\x12\x01" "2\x5a\x06\x0a\x01" "a\x12\x01" "1\x5a\x06\x0a\x01" "b\x12\x01" "3";
    AUTO(arena) *a = arena_new(0);
    struct object_meta *m = arena_alloc(a, api_type_object_meta.size);

    assert_null(pb_decode(&api_type_object_meta, a, meta, sizeof(meta) - 1, m));
    assert_int_equal(m->labels.len, 2);
    assert_string_equal(m->labels.items[0].key, "a");
    assert_string_equal(m->labels.items[1].value, "3");
}

static void
take_item(struct object *obj, void *arg)
{
    struct sbuf *names = arg;

    sbuf_addf(names, "%s,", object_name(obj));
    object_unref(obj);
}

static void
lists(void **state)
{
    AUTO_SBUF raw = { 0 };
    AUTO_SBUF all = { 0 };
    AUTO_SBUF names = { 0 };
    struct list_head_info info;

    sbuf_add(&raw, "\x0a\x07\x12\x01" "7\x1a\x00 \x05", 9);
    for (int i = 0; i < 3; i++)
        sbuf_addf(&raw, "\x12\x05\x0a\x03\x0a\x01%c", 'a' + i);
    sbuf_add(&all, "k8s\0\x0a\x0d\x0a\x02v1\x12\x07PodList\x12", 20);
    sbuf_addc(&all, (char)raw.len);
    sbuf_add(&all, raw.s, raw.len);
    assert_null(list_decode_pb(all.s, all.len, api_kind_find("v1", "Pod"), take_item, &names, &info));
    assert_string_equal(sbuf_str(&names), "a,b,c,");
    assert_string_equal(info.resource_version, "7");
    assert_int_equal(info.remaining_item_count, 5);
    list_head_info_done(&info);
}

static void
lists_go_out_as_they_came_in(void **state)
{
    struct list_head_info head = { .resource_version = "42", .continue_token = "tok", .remaining_item_count = 7 }, back;
    struct pb_item items[3];
    struct sbuf bodies[3] = { 0 };
    AUTO_SBUF all = { 0 };
    AUTO_SBUF names = { 0 };

    for (int i = 0; i < 3; i++) {
        AUTO(object) *obj = object_new_of("v1", "Pod");
        object_meta(obj)->name = (const char *[]){ "x", "y", "z" }[i];
        pb_encode(&api_type_pod, object_body(obj), &bodies[i]);
        items[i] = (struct pb_item){ bodies[i].s, bodies[i].len };
    }
    list_encode_pb(api_kind_find("v1", "Pod"), &head, items, 3, &all);
    assert_memory_equal(all.s, "k8s\0\x0a\x0d\x0a\x02v1\x12\x07PodList\x12", 20);
    assert_null(list_decode_pb(all.s, all.len, api_kind_find("v1", "Pod"), take_item, &names, &back));
    assert_string_equal(sbuf_str(&names), "x,y,z,");
    assert_string_equal(back.resource_version, "42");
    assert_string_equal(back.continue_token, "tok");
    assert_int_equal(back.remaining_item_count, 7);
    list_head_info_done(&back);
    for (int i = 0; i < 3; i++)
        sbuf_done(&bodies[i]);
}

/* proto3: nothing that is zero, maps, nested messages; then the same from packed and from plain lists. */
static void
cri_messages(void **state)
{
    AUTO(arena) *a = arena_new(0);
    AUTO_SBUF pb = { 0 };
    struct cri_pod_sandbox_metadata meta = { .name = "p", .namespace = "n" };
    struct string_map_entry label = { "k", "" };
    struct cri_pod_sandbox_config c = { .metadata = &meta, .hostname = "", .labels = { &label, 1, 1 } }, *back;
    static const char want[] = "\x0a\x06\x0a\x01p\x1a\x01n\x32\x05\x0a\x01k\x12\x00";

    pb_encode(&api_type_cri_pod_sandbox_config, &c, &pb);
    assert_int_equal(pb.len, sizeof(want) - 1);
    assert_memory_equal(pb.s, want, pb.len);
    back = arena_alloc(a, sizeof(*back));
    assert_null(pb_decode(&api_type_cri_pod_sandbox_config, a, pb.s, pb.len, back));
    assert_true(api_equal(&api_type_cri_pod_sandbox_config, &c, back));

    /* supplemental_groups = 5: once packed {1,300}, once not */
    static const char groups[] = "\x2a\x03\x01\xac\x02\x28\x07";
    struct cri_linux_sandbox_security_context *sc = arena_alloc(a, sizeof(*sc));
    assert_null(pb_decode(&api_type_cri_linux_sandbox_security_context, a, groups, sizeof(groups) - 1, sc));
    assert_int_equal(sc->supplemental_groups.len, 3);
    assert_int_equal(sc->supplemental_groups.items[1], 300);
    assert_int_equal(sc->supplemental_groups.items[2], 7);
    sbuf_clear(&pb);
    pb_encode(&api_type_cri_linux_sandbox_security_context, sc, &pb);
    assert_int_equal(pb.len, 6); /* one packed list */
    assert_memory_equal(pb.s, "\x2a\x04\x01\xac\x02\x07", 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_round_trips), cmocka_unit_test(equal_sees_each_field),
        cmocka_unit_test(equal_is_semantic),      cmocka_unit_test(defaults_of_all_rows),
        cmocka_unit_test(defaults_leave_what_is_set), cmocka_unit_test(reference_objects),
        cmocka_unit_test(bad_protobuf),           cmocka_unit_test(maps_come_in_any_order),
        cmocka_unit_test(lists), cmocka_unit_test(lists_go_out_as_they_came_in), cmocka_unit_test(cri_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
