// SPDX-License-Identifier: Apache-2.0
/* The OpenAPI documents hang together: valid JSON, every $ref leads somewhere, every served kind has its schema and verbs. */
#include "apiserver/discovery/openapi_doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <jansson.h>
#include <cmocka.h>

#include "apiserver/registry/resource.h"

static struct storage *storage; /* never started: only the table of resources is wanted */

static json_t *
parse(const struct sbuf *b, const char *what)
{
    json_error_t err;
    json_t *tree = json_loadb(b->s, b->len, JSON_REJECT_DUPLICATES, &err);

    if (!tree)
        fail_msg("%s: %s at byte %d", what, err.text, err.position);
    return tree;
}

static unsigned
check_refs(json_t *at, json_t *schemas, const char *prefix)
{
    unsigned n = 0;
    const char *key;
    json_t *value;
    size_t i;

    json_array_foreach(at, i, value)
        n += check_refs(value, schemas, prefix);
    json_object_foreach(at, key, value) {
        if (strcmp(key, "$ref") == 0 && json_is_string(value)) {
            const char *ref = json_string_value(value);
            if (!str_has_prefix(ref, prefix) || !json_object_get(schemas, ref + strlen(prefix)))
                fail_msg("%s leads nowhere", ref);
            n++;
        } else {
            n += check_refs(value, schemas, prefix);
        }
    }
    return n;
}

static bool
has_kind(json_t *schemas, const struct api_kind *k)
{
    const char *name;
    json_t *schema, *gvk;
    size_t i;

    json_object_foreach(schemas, name, schema)
        json_array_foreach(json_object_get(schema, "x-kubernetes-group-version-kind"), i, gvk)
            if (str_eq(json_string_value(json_object_get(gvk, "kind")), k->kind) && str_eq(json_string_value(json_object_get(gvk, "group")), k->group) &&
                str_eq(json_string_value(json_object_get(gvk, "version")), k->version))
                return true;
    return false;
}

static json_t *
path_of(json_t *paths, const struct resource *r)
{
    const struct api_kind *k = r->kind;
    AUTO_FREE char *path = xasprintf("%s%s/%s%s/%s%s", *k->group ? "/apis/" : "/api", k->group, k->version, k->namespaced ? "/namespaces/{namespace}" : "",
                                     k->plural, r->store ? "/{name}" : "");

    return json_object_get(paths, path);
}

static void
check_resource(json_t *paths, json_t *schemas, const struct resource *r)
{
    json_t *path = path_of(paths, r);

    if (!has_kind(schemas, r->kind))
        fail_msg("%s %s has no schema with its group, version and kind", r->kind->group, r->kind->kind);
    if (!path)
        fail_msg("%s %s has no path", r->kind->group, r->kind->plural);
    if (!!(r->verbs & VERB_GET) != !!json_object_get(path, "get") || !!(r->verbs & VERB_PATCH) != !!json_object_get(path, "patch"))
        fail_msg("%s %s: verbs differ", r->kind->group, r->kind->plural);
}

static void
v2(void **state)
{
    AUTO_SBUF b = { 0 };

    openapi_write_v2(&b);
    json_t *doc = parse(&b, "v2"), *schemas = json_object_get(doc, "definitions");
    assert_string_equal(json_string_value(json_object_get(doc, "swagger")), "2.0");
    assert_true(check_refs(doc, schemas, "#/definitions/") > 1000);
    for (size_t i = 0; i < resources_count(); i++)
        check_resource(json_object_get(doc, "paths"), schemas, resource_at(i));
    json_decref(doc);
}

static void
v3(void **state)
{
    for (size_t i = 0; i < resources_count(); i++) {
        const struct resource *r = resource_at(i);
        AUTO_SBUF b = { 0 };
        openapi_write_v3(r->kind->group, r->kind->version, &b);
        json_t *doc = parse(&b, r->kind->group), *schemas = json_object_get(json_object_get(doc, "components"), "schemas");
        assert_string_equal(json_string_value(json_object_get(doc, "openapi")), "3.0.0");
        assert_true(check_refs(doc, schemas, "#/components/schemas/") > 10);
        check_resource(json_object_get(doc, "paths"), schemas, r);
        json_decref(doc);
    }
}

/* Walks protobuf fields; fails on anything that does not add up.  Counts fields by number at this level. */
static bool
pb_fields(const uint8_t *at, const uint8_t *end, unsigned count[64])
{
    while (at < end) {
        uint64_t n[2] = { 0 };
        for (int k = 0; k < 2; k++) { /* tag and length */
            int shift = 0;
            do {
                if (at == end || shift > 63)
                    return false;
                n[k] |= (uint64_t)(*at & 0x7f) << shift;
                shift += 7;
            } while (*at++ & 0x80);
        }
        if ((n[0] & 7) != 2 || n[0] >> 3 >= 64 || n[1] > (size_t)(end - at))
            return false;
        count[n[0] >> 3]++;
        at += n[1];
    }
    return true;
}

static void
v2_protobuf(void **state)
{
    AUTO_SBUF json = { 0 };
    AUTO_SBUF pb = { 0 };
    unsigned count[64] = { 0 };

    openapi_write_v2(&json);
    AUTO(kerr) *err = openapi_v2_to_protobuf(&json, &pb);
    assert_null(err);
    assert_true(pb.len > 100000);
    assert_true(pb_fields((const uint8_t *)pb.s, (const uint8_t *)pb.s + pb.len, count));
    /* gnostic.openapi.v2.Document: swagger, info, paths, definitions */
    assert_int_equal(count[1], 1);
    assert_int_equal(count[2], 1);
    assert_int_equal(count[8], 1);
    assert_int_equal(count[9], 1);
}

static void
resources_are_unique(void **state)
{
    for (size_t i = 0; i < resources_count(); i++) {
        const struct resource *r = resource_at(i);
        assert_ptr_equal(resource_find(r->kind->group, r->kind->version, r->kind->plural), r);
        assert_ptr_equal(resource_of_kind(r->kind), r);
        assert_non_null(r->strategy);
        for (size_t s = 0; s < r->nsubresources; s++)
            assert_ptr_equal(resource_subresource(r, r->subresources[s].name), &r->subresources[s]);
    }
    assert_true(resources_count() > 30);
}

static int
setup(void **state)
{
    const struct storage_config config = { 0 };

    storage = storage_new(&config);
    resources_start(storage, 3600);
    return 0;
}

static int
teardown(void **state)
{
    resources_stop();
    storage_free(storage);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(resources_are_unique), cmocka_unit_test(v2), cmocka_unit_test(v3), cmocka_unit_test(v2_protobuf) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
