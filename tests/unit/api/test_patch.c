// SPDX-License-Identifier: Apache-2.0
/* Runs every folder of tests/golden/patch (<kind>-<what>/{original,patch,expected}.json, or error.txt "<code> <message>"
 * in place of expected.json), and what does not fit in a file. */
#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/api/object.h"
#include "common/api/patch.h"
#include "common/base/file.h"
#include "common/base/str.h"

#define GOLDEN "tests/golden/patch"

static const struct api_type *
type_of(const char *json)
{
    AUTO_JSON *tree = json_loads(json, 0, NULL);
    const struct api_kind *k = api_kind_find(tree_string(tree, "apiVersion"), tree_string(tree, "kind"));

    return k ? k->type : NULL;
}

static char *
read_part(const char *name, const char *part)
{
    AUTO_FREE char *path = xasprintf("%s/%s/%s", GOLDEN, name, part);
    char *text = NULL;

    if (!file_exists(path))
        return NULL;
    assert_null(file_read(path, 1 << 20, &text, NULL));
    return text;
}

static bool
run_case(const char *name)
{
    enum patch_kind kind = str_has_prefix(name, "json-") ? PATCH_JSON : str_has_prefix(name, "merge-") ? PATCH_MERGE : PATCH_STRATEGIC;
    AUTO_FREE char *original = read_part(name, "original.json");
    AUTO_FREE char *patch = read_part(name, "patch.json");
    AUTO_FREE char *expected = read_part(name, "expected.json");
    AUTO_FREE char *error = read_part(name, "error.txt");
    AUTO_SBUF got = { 0 };
    AUTO_JSON *want = expected ? json_loads(expected, JSON_DECODE_ANY, NULL) : NULL;
    AUTO_JSON *have = NULL;
    struct kerr *err;

    assert_non_null(original);
    assert_non_null(patch);
    assert_true(want || error);
    err = patch_apply_bytes(type_of(original), kind, original, strlen(original), patch, strlen(patch), &got);
    if (err) {
        AUTO_FREE char *text = xasprintf("%d %s\n", err->http_code, err->message);
        bool ok = error && strcmp(text, error) == 0;
        if (!ok)
            print_error("%s: %s   want: %s", name, text, error ? error : "no error\n");
        kerr_free(err);
        return ok;
    }
    have = json_loads(sbuf_str(&got), JSON_DECODE_ANY, NULL);
    if (!want || !json_equal(want, have)) {
        print_error("%s: %s\n", name, sbuf_str(&got));
        return false;
    }
    return true;
}

static void
golden_cases(void **state)
{
    DIR *dir = opendir(GOLDEN);
    struct dirent *d;
    unsigned run = 0, bad = 0;

    assert_non_null(dir);
    while ((d = readdir(dir))) {
        if (d->d_name[0] == '.')
            continue;
        bad += !run_case(d->d_name);
        run++;
    }
    closedir(dir);
    assert_int_equal(bad, 0);
    assert_true(run > 50);
}

static void
content_types(void **state)
{
    assert_int_equal(patch_kind_from("application/json-patch+json"), PATCH_JSON);
    assert_int_equal(patch_kind_from("application/merge-patch+json; charset=utf-8"), PATCH_MERGE);
    assert_int_equal(patch_kind_from("Application/Strategic-Merge-Patch+JSON"), PATCH_STRATEGIC);
    assert_int_equal(patch_kind_from("application/apply-patch+yaml"), PATCH_APPLY);
    assert_int_equal(patch_kind_from("application/json"), PATCH_NONE);
    assert_int_equal(patch_kind_from(NULL), PATCH_NONE);
}

static struct kerr *
patch_text(enum patch_kind kind, const char *original, const char *patch, struct sbuf *out)
{
    return patch_apply_bytes(NULL, kind, original, strlen(original), patch, strlen(patch), out);
}

static void
bounds(void **state)
{
    AUTO_SBUF patch = { 0 };
    AUTO_SBUF out = { 0 };
    struct kerr *err;

    /* operations */
    for (int i = 0; i <= PATCH_MAX_OPERATIONS; i++)
        sbuf_adds(&patch, i ? ",{\"op\":\"test\",\"path\":\"/a\",\"value\":1}" : "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1}");
    sbuf_addc(&patch, ']');
    err = patch_text(PATCH_JSON, "{\"a\":1}", sbuf_str(&patch), &out);
    assert_int_equal(err->http_code, 413);
    assert_string_equal(err->message, "The allowed maximum operations in a JSON patch is 10000, got 10001");
    kerr_free(err);

    /* copies that double the document each time */
    sbuf_clear(&patch);
    for (int i = 0; i < 60; i++)
        sbuf_addf(&patch, "%s{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/a/x%d\"}", i ? "," : "[", i);
    sbuf_addc(&patch, ']');
    err = patch_text(PATCH_JSON, "{\"a\":{\"b\":\"0123456789\"}}", sbuf_str(&patch), &out);
    assert_int_equal(err->http_code, 422);
    kerr_free(err);

    /* nesting */
    sbuf_clear(&patch);
    for (int i = 0; i < 100000; i++)
        sbuf_addc(&patch, '[');
    err = patch_text(PATCH_MERGE, "{}", sbuf_str(&patch), &out);
    assert_int_equal(err->http_code, 400);
    kerr_free(err);
    sbuf_clear(&patch);
    for (int i = 0; i < 1000; i++)
        sbuf_addf(&patch, "%s{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"},{\"op\":\"add\",\"path\":\"/a\",\"value\":{}},{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/a/x\"}", i ? "," : "[");
    sbuf_addc(&patch, ']');
    err = patch_text(PATCH_JSON, "{\"a\":1}", sbuf_str(&patch), &out);
    assert_int_equal(err->http_code, 422);
    kerr_free(err);
}

static void
without_a_schema(void **state)
{
    AUTO_SBUF out = { 0 };
    struct kerr *err = patch_text(PATCH_STRATEGIC, "{}", "{}", &out);

    assert_int_equal(err->http_code, 415);
    kerr_free(err);
}

static void
text_of_trees(void **state)
{
    static const char *const same[] = { "{\"b\":1,\"a\":[1,-2,true,null,\"x\\u003cy\\n\"]}", "0.1", "1e+300", "-1.5", "1e+20", "{}", "[]", "\"\"" };

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        AUTO_JSON *tree = NULL;
        AUTO_SBUF out = { 0 };
        assert_null(tree_load(same[i], strlen(same[i]), &tree));
        tree_dump(tree, &out);
        assert_string_equal(sbuf_str(&out), same[i]);
    }
    AUTO_JSON *tree = NULL;
    AUTO_SBUF out = { 0 };
    static const char mixed[] = "{\"b\":{\"d\":1.0,\"c\":2},\"a\":3}";
    assert_null(tree_load(mixed, strlen(mixed), &tree));
    tree_dump_sorted(tree, &out);
    assert_string_equal(sbuf_str(&out), "{\"a\":3,\"b\":{\"c\":2,\"d\":1}}");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_cases), cmocka_unit_test(content_types), cmocka_unit_test(bounds),
        cmocka_unit_test(without_a_schema), cmocka_unit_test(text_of_trees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
