// SPDX-License-Identifier: Apache-2.0
/* Upstream's fully populated objects: JSON -> struct -> JSON gives the same bytes, JSON -> protobuf the .pb beside it,
 * and back.  They live outside the project (CKUBE_SHARED, ../shared); skipped when absent. */
#include "common/api/codec.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/api/json_scan.h"

static char *folder;
static unsigned compared;

static void
read_file(const char *path, struct sbuf *ret)
{
    char buf[65536];
    size_t n;
    FILE *f = fopen(path, "rb");

    if (!f)
        fail_msg("cannot open %s", path);
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        sbuf_add(ret, buf, n);
    fclose(f);
}

/* group.version.Kind.json; the core group is called so. */
static const struct api_kind *
kind_of_file(const char *name)
{
    AUTO_FREE char *group = xstrdup(name);
    char *version = strstr(group, ".v1.");

    assert_non_null(version);
    *version = '\0';
    AUTO_FREE char *kind = xstrndup(version + 4, strcspn(version + 4, "."));
    AUTO_FREE char *api_version = str_eq(group, "core") ? xstrdup("v1") : xasprintf("%s/v1", group);
    const struct api_kind *k = api_kind_find(api_version, kind);
    if (!k)
        fail_msg("no kind for %s", name);
    return k;
}

static void
must(const char *name, struct kerr *err)
{
    if (err)
        fail_msg("%s: %s", name, err->message);
}

static void
check_json(const char *name, const struct object *obj, const struct sbuf *want)
{
    AUTO_SBUF got = { 0 };
    size_t at = 0;

    object_encode_json(obj, &got);
    while (at < got.len && got.s[at] == want->s[at])
        at++;
    if (got.len != want->len || at < got.len)
        fail_msg("%s: byte %zu: want ...%.80s got ...%.80s", name, at, want->s + (at > 20 ? at - 20 : 0),
                 got.s + (at > 20 ? at - 20 : 0));
}

static void
check_yaml(const char *name, const struct sbuf *json)
{
    AUTO_SBUF yaml = { 0 };
    AUTO_SBUF back = { 0 };
    AUTO_SBUF again = { 0 };

    json_to_yaml(json->s, json->len, &yaml);
    must(name, yaml_to_json(yaml.s, yaml.len, NULL, &back));
    json_to_yaml(back.s, back.len, &again);
    assert_string_equal(yaml.s, again.s);
}

static void
check_one(const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/%s", folder, name);
    AUTO_SBUF text = { 0 };
    AUTO_SBUF want = { 0 };
    AUTO_SBUF pb = { 0 };
    AUTO_SBUF got_pb = { 0 };
    AUTO(object) *obj = NULL;
    AUTO(object) *of_pb = NULL;
    const struct api_kind *kind = kind_of_file(name);
    struct codec_report report = { .collect = true };

    read_file(path, &text);
    assert_true(json_compact(text.s, text.len, true, &want));
    must(name, object_decode_json(text.s, text.len, kind, &report, &obj));
    if (report.findings.len)
        fail_msg("%s: %s", name, report.findings.items[0]);
    strlist_done(&report.findings);
    check_json(name, obj, &want);
    check_yaml(name, &want);
    AUTO(object) *copy = object_copy(obj);
    assert_true(api_equal(kind->type, object_body(obj), object_body(copy)));
    check_json(name, copy, &want);

    strcpy(path + strlen(path) - 4, "pb");
    read_file(path, &pb);
    must(name, object_decode_pb(pb.s, pb.len, kind, &of_pb));
    check_json(name, of_pb, &want);
    assert_true(api_equal(kind->type, object_body(obj), object_body(of_pb)));
    object_encode_pb(obj, &got_pb);
    /* WatchEvent travels without kind and apiVersion upstream; its object is a message of its own there */
    if (!str_eq(kind->kind, "WatchEvent") && (got_pb.len != pb.len || memcmp(got_pb.s, pb.s, pb.len) != 0))
        fail_msg("%s: protobuf differs", name);
    compared++;
}

static void
reference_objects_survive(void **state)
{
    DIR *dir = opendir(folder);

    if (!dir) {
        print_message("no %s\n", folder);
        skip();
    }
    for (struct dirent *e; (e = readdir(dir));)
        if (str_has_suffix(e->d_name, ".json"))
            check_one(e->d_name);
    closedir(dir);
    assert_true(compared >= 30);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reference_objects_survive) };
    const char *const places[] = { getenv("CKUBE_SHARED"), "../shared", "../../shared" };
    DIR *dir = NULL;

    for (size_t i = 0; i < ARRAY_LEN(places) && !dir; i++) {
        if (!places[i])
            continue;
        free(folder);
        folder = xasprintf("%s/reference/roundtrip", places[i]);
        dir = opendir(folder);
    }
    if (!dir) {
        free(folder);
        printf("the reference objects are not here (CKUBE_SHARED, ../shared)\n");
        return 77;
    }
    closedir(dir);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(folder);
    return rc;
}
