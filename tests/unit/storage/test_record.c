// SPDX-License-Identifier: Apache-2.0
/* Records (splicing, labels, fields), the tree of records with its snapshots, continue tokens. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apiserver/storage/continue_token.h"
#include "apiserver/storage/record_tree.h"
#include "common/base/rng.h"
#include "common/base/str.h"

static const struct store_field fields[] = {
    { "spec.nodeName", NULL, NULL, NULL },
    { "spec.hostNetwork", NULL, NULL, "false" },
    { "source", "reportingComponent", "source.component", NULL },
    { "name", "metadata.name", NULL, NULL },
};
static const struct record_shape shape = { true, fields, 4 };

static struct record *
make(const char *json, int64_t revision)
{
    struct record *rec = NULL;

    assert_null(record_new(&shape, "ns/x", json, strlen(json), revision, &rec));
    return rec;
}

static void
check_splice(const char *stored, const char *want)
{
    AUTO(record) *rec = make(stored, 7);
    AUTO_FREE char *back = NULL;
    size_t len;

    assert_string_equal(rec->json, want);
    assert_int_equal(rec->json_len, strlen(want));
    assert_int_equal(rec->json[-1], ',');
    assert_null(record_stored_form(rec->json, rec->json_len, &back, &len));
    assert_true(record_same_stored(rec, back, len));
    assert_false(record_same_stored(rec, back, len - 1));
    /* the same object again at another revision */
    AUTO(record) *later = record_at_revision(rec, &shape, 12345);
    assert_non_null(strstr(later->json, "\"resourceVersion\":\"12345\""));
    assert_null(strstr(later->json, "\"7\""));
    assert_int_equal(later->json_len, rec->json_len + 4);
}

static void
test_splice(void **state)
{
    check_splice("{\"metadata\":{\"name\":\"x\",\"uid\":\"u\",\"generation\":1},\"spec\":{}}",
                 "{\"metadata\":{\"name\":\"x\",\"uid\":\"u\",\"resourceVersion\":\"7\",\"generation\":1},\"spec\":{}}");
    check_splice("{\"metadata\":{\"name\":\"x\"}}\n", "{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"7\"}}");
    check_splice("{\"metadata\":{}}", "{\"metadata\":{\"resourceVersion\":\"7\"}}");
    check_splice("{\"metadata\":{\"labels\":{}}}", "{\"metadata\":{\"resourceVersion\":\"7\",\"labels\":{}}}");
    check_splice("{\"metadata\":{\"resourceVersion\":\"99\"}}", "{\"metadata\":{\"resourceVersion\":\"7\"}}");
    check_splice("{\"metadata\":{\"resourceVersion\":\"99\",\"name\":\"x\"}}", "{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"7\"}}");
    check_splice("{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"99\"}}", "{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"7\"}}");
    check_splice("{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"99\",\"uid\":\"u\"}}",
                 "{\"metadata\":{\"name\":\"x\",\"uid\":\"u\",\"resourceVersion\":\"7\"}}");
    check_splice("{\"metadata\":{\"generation\":1,\"resourceVersion\":\"99\"}}", "{\"metadata\":{\"resourceVersion\":\"7\",\"generation\":1}}");
}

static void
test_peek(void **state)
{
    AUTO(record) *rec = make("{\"spec\":{\"nodeName\":\"n\\u00e9\",\"hostNetwork\":true,\"x\":{\"nodeName\":\"no\"}},\"source\":{\"component\":\"sched\"},"
                             "\"metadata\":{\"labels\":{\"z\":\"1\",\"a\":\"\\\"q\\\"\",\"m\":\"\"},\"uid\":\"U\",\"annotations\":{\"labels\":\"no\"}}}", 1);
    AUTO(record) *bare = make("{\"metadata\":{\"labels\":null}}", 1);

    assert_string_equal(rec->ns, "ns");
    assert_string_equal(rec->name, "x");
    assert_string_equal(rec->uid, "U");
    assert_int_equal(rec->labels.len, 3);
    assert_string_equal(rec->labels.items[0].key, "a");
    assert_string_equal(rec->labels.items[0].value, "\"q\"");
    assert_string_equal(rec->labels.items[2].key, "z");
    assert_string_equal(record_field(rec, &shape, "spec.nodeName"), "n\xc3\xa9");
    assert_string_equal(record_field(rec, &shape, "spec.hostNetwork"), "true");
    assert_string_equal(record_field(rec, &shape, "source"), "sched");
    assert_string_equal(record_field(rec, &shape, "name"), "x");
    assert_string_equal(record_field(rec, &shape, "metadata.namespace"), "ns");
    assert_null(record_field(rec, &shape, "spec.other"));
    assert_int_equal(bare->labels.len, 0);
    assert_string_equal(bare->fields[1], "false");
    assert_string_equal(bare->uid, "");
}

static void
test_broken(void **state)
{
    static const char *const bad[] = { "", "no", "[]", "{\"metadata\":1}", "{\"metadata\":{\"labels\":{\"a\"}}}", "{} x", "{\"a\":\"\\", "{\"a\":1" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct record *rec = NULL;
        struct kerr *err = record_new(&shape, "ns/x", bad[i], strlen(bad[i]), 1, &rec);

        if (!err)
            fail_msg("accepted %s", bad[i]);
        kerr_free(err);
    }
    AUTO(record) *rec = record_new_broken(&shape, "ns/x", "junk", 4, 5);
    assert_true(rec->broken);
    assert_string_equal(rec->ns, "ns");
    assert_string_equal(rec->fields[3], "");
}

/* --- the tree, against a plain table of what should be in it --- */

#define KEYS 3000

static struct record *
key_record(unsigned key, int64_t revision)
{
    AUTO_FREE char *name = xasprintf("ns/%05u", key);
    AUTO_FREE char *json = xasprintf("{\"metadata\":{},\"spec\":{\"nodeName\":\"n%u\"}}", key % 7);
    struct record *rec = NULL;

    assert_null(record_new(&shape, name, json, strlen(json), revision, &rec));
    return rec;
}

static void
check_tree(const struct record_tree *t, const int64_t *want)
{
    struct tree_walk w;
    const struct record *rec;
    uint64_t n = 0;

    tree_walk_from(&w, t, (struct tree_pos){ "", "" });
    for (unsigned k = 0; k < KEYS; k++) {
        if (!want[k])
            continue;
        AUTO_FREE char *name = xasprintf("ns/%05u", k);
        rec = tree_walk_next(&w);
        assert_non_null(rec);
        assert_string_equal(rec->key, name);
        assert_int_equal(rec->revision, want[k]);
        if (k % 97 == 0)
            assert_int_equal(record_tree_count_before(t, (struct tree_pos){ "", name }), n);
        n++;
    }
    assert_null(tree_walk_next(&w));
    assert_int_equal(record_tree_count(t), n);
}

static void
test_tree(void **state)
{
    static int64_t now[KEYS], then[KEYS];
    struct record_tree t = { NULL, -1 }, old = { NULL, -1 };
    struct rng rng = rng_seeded(42);

    for (int64_t step = 1; step <= 60000; step++) {
        unsigned k = (unsigned)rng_below(&rng, KEYS);
        bool shrink = step / 15000 % 2; /* grow, shrink, grow, shrink */

        if (rng_below(&rng, 10) < (shrink ? 8 : 2)) {
            AUTO_FREE char *name = xasprintf("ns/%05u", k);
            struct record *gone = record_tree_remove(&t, (struct tree_pos){ "", name });

            assert_int_equal(gone ? gone->revision : 0, now[k]);
            record_unref(gone);
            now[k] = 0;
        } else {
            struct record *was = record_tree_put(&t, key_record(k, step));

            assert_int_equal(was ? was->revision : 0, now[k]);
            record_unref(was);
            now[k] = step;
        }
        if (step % 5000 == 2500) {
            record_tree_done(&old);
            old = record_tree_snapshot(&t);
            memcpy(then, now, sizeof(now));
        }
        if (step % 5000 == 0) {
            check_tree(&t, now);
            check_tree(&old, then); /* untouched by what came after */
        }
    }
    record_tree_done(&old);
    record_tree_done(&t);
}

static void
test_index(void **state)
{
    struct record_tree t = { NULL, 0 };
    struct tree_walk w;
    const struct record *rec;
    size_t n = 0;

    for (unsigned k = 0; k < 700; k++)
        record_unref(record_tree_put(&t, key_record(k, 1)));
    tree_walk_from(&w, &t, (struct tree_pos){ "n3", "" });
    while ((rec = tree_walk_next(&w)) && str_eq(rec->fields[0], "n3"))
        n++;
    assert_int_equal(n, 100);
    assert_non_null(record_tree_get(&t, (struct tree_pos){ "n3", "ns/00010" }));
    assert_null(record_tree_get(&t, (struct tree_pos){ "n4", "ns/00010" }));
    record_tree_done(&t);
}

/* --- continue tokens --- */

static void
test_tokens(void **state)
{
    AUTO_FREE char *token = continue_token_make(42, "ns/a\"b"), *start = NULL;
    int64_t revision = 0;
    bool after = false;

    assert_null(strpbrk(token, "+/="));
    assert_null(continue_token_read(token, &revision, &start, &after));
    assert_int_equal(revision, 42);
    assert_string_equal(start, "ns/a\"b");
    assert_true(after);
    /* upstream's own: {"v":"meta.k8s.io/v1","rv":2950,"start":"kube-system/pod1\u0000"} */
    free(steal_ptr(start));
    assert_null(continue_token_read("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6Mjk1MCwic3RhcnQiOiJrdWJlLXN5c3RlbS9wb2QxXHUwMDAwIn0", &revision, &start, &after));
    assert_int_equal(revision, 2950);
    assert_string_equal(start, "kube-system/pod1");

    static const char *const bad[] = {
        "x", "!!!", "e30", /* {} */
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiJhIn0",            /* rv 0 */
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIifQ",             /* no start */
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi8uLi9zZWNyZXRzIn0", /* ../../secrets */
        "eyJ2IjoibWV0YS5rOHMuaW8vdjIiLCJydiI6MSwic3RhcnQiOiJhIn0",            /* v2 */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *none = NULL;
        struct kerr *err = continue_token_read(bad[i], &revision, &none, &after);

        assert_non_null(err);
        assert_true(str_has_prefix(err->message, "continue key is not valid"));
        kerr_free(err);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splice), cmocka_unit_test(test_peek),  cmocka_unit_test(test_broken),
        cmocka_unit_test(test_tree),   cmocka_unit_test(test_index), cmocka_unit_test(test_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
