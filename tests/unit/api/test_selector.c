// SPDX-License-Identifier: Apache-2.0
#include "common/api/selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "api_types.h"
#include "common/base/str.h"

static struct arena *arena;

static void
selectors_print_in_canonical_form(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "", "" },
        { "a=b", "a=b" },
        { " a == b ", "a==b" },
        { "z!=1,a=b", "a=b,z!=1" },
        { "x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z notin ()" },
        { "!f", "!f" },
        { "a in (b)", "a in (b)" },
        { "a in (c,b,b)", "a in (b,c)" },
        { "a>5,b<3", "a>5,b<3" },
        { "in in (in,notin)", "in in (in,notin)" },
        { "notin=in", "notin=in" },
        { "a=", "a=" },
        { "a=,b", "a=,b" },
        { "example.com/x=1", "example.com/x=1" },
        { "!a,b", "!a,b" },
        { "a in (,)", "a in ()" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct label_query *q, *again;
        AUTO_SBUF out = { 0 };
        AUTO(kerr) *err = label_query_parse(cases[i].in, arena, &q);
        if (err)
            fail_msg("'%s': %s", cases[i].in, err->message);
        label_query_print(q, &out);
        assert_string_equal(sbuf_str(&out), cases[i].out);
        struct kerr *second = label_query_parse(sbuf_str(&out), arena, &again);
        assert_null(second);
    }
}

#define KEY_TEXT                                                                                                       \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " \
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "                                      \
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define VALUE_TEXT                                                                                                     \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and " \
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "   \
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static void
bad_selectors_say_why(void **state)
{
    static const struct {
        const char *in, *why;
    } cases[] = {
        { "a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt" },
        { "a=b=c", "found '=', expected: ',' or 'end of string'" },
        { "a,", "found '', expected: identifier after ','" },
        { ",a", "found ',', expected: !, identifier, or 'end of string'" },
        { "!", "unable to parse requirement: found '', expected: identifier" },
        { "a in", "unable to parse requirement: found '' expected: '('" },
        { "a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier" },
        { "a in (b", "unable to parse requirement: found '', expected: ',' or ')'" },
        { "a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'" },
        { "a==(", "unable to parse requirement: found '(', expected: identifier" },
        { "!a=b", "found '=', expected: ',' or 'end of string'" },
        { "a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value "
                 "must be an integer" },
        { "-a", "unable to parse requirement: <nil>: Invalid value: \"-a\": name part " KEY_TEXT },
        { "a=-b", "unable to parse requirement: values[0][a]: Invalid value: \"-b\": " VALUE_TEXT },
        { "a/b/c", "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key " KEY_TEXT
                   " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct label_query *q;
        AUTO(kerr) *err = label_query_parse(cases[i].in, arena, &q);
        if (!err)
            fail_msg("'%s' passed", cases[i].in);
        assert_string_equal(err->message, cases[i].why);
        assert_int_equal(err->reason, KERR_BAD_REQUEST);
    }
}

static void
selectors_match(void **state)
{
    struct string_map_entry entries[] = { { "app", "web" }, { "n", "7" }, { "tier", "" } };
    struct string_map labels = { entries, 3, 3 };
    static const struct {
        const char *selector;
        bool want;
    } cases[] = {
        { "", true },           { "app=web", true },      { "app=db", false },        { "app!=db", true },
        { "app in (db,web)", true }, { "app notin (db,web)", false }, { "x notin (a)", true }, { "x!=a", true },
        { "x", false },         { "!x", true },           { "tier", true },           { "tier=", true },
        { "n>6", true },        { "n>7", false },         { "n<8", true },            { "app>1", false },
        { "x<3", false },       { "app=web,n=7", true },  { "app=web,n=8", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct label_query *q;
        AUTO(kerr) *err = label_query_parse(cases[i].selector, arena, &q);
        assert_null(err);
        if (label_query_matches(q, &labels) != cases[i].want)
            fail_msg("'%s'", cases[i].selector);
    }
}

static void
nil_selects_nothing_and_empty_all(void **state)
{
    struct string_map_entry label = { "app", "web" };
    struct string_map labels = { &label, 1, 1 };
    struct label_selector empty = { 0 };
    const char *values[] = { "web", "db" };
    struct label_selector_requirement expr = { .key = "app", .operator = "In", .values = { values, 2, 2 } };
    struct label_selector full = { .match_labels = { &label, 1, 1 }, .match_expressions = { &expr, 1, 1 } };
    struct label_query *q;
    AUTO_SBUF out = { 0 };

    assert_null(label_query_from(NULL, arena, &q));
    assert_false(label_query_matches(q, &labels));
    assert_false(label_query_empty(q));
    assert_null(label_query_from(&empty, arena, &q));
    assert_true(label_query_matches(q, &labels));
    assert_true(label_query_empty(q));
    assert_null(label_query_from(&full, arena, &q));
    assert_true(label_query_matches(q, &labels));
    label_query_print(q, &out);
    assert_string_equal(sbuf_str(&out), "app in (db,web),app=web");
    expr.operator = "Gt";
    AUTO(kerr) *err = label_query_from(&full, arena, &q);
    assert_string_equal(err->message, "\"Gt\" is not a valid label selector operator");
    assert_true(label_map_contains(&labels, &full.match_labels));
    label.value = "db";
    assert_true(label_query_matches(label_query_from_map(&labels, arena), &labels));
}

static const char *
get_field(const void *arg, const char *field)
{
    return strcmp(field, "metadata.name") == 0 ? "a,b" : strcmp(field, "spec.nodeName") == 0 ? "n1" : NULL;
}

static void
field_selectors_work(void **state)
{
    static const struct {
        const char *in, *printed, *error;
        bool match;
    } cases[] = {
        { "", "", NULL, true },
        { "spec.nodeName=n1", "spec.nodeName=n1", NULL, true },
        { "spec.nodeName==n1,status.phase!=x", "spec.nodeName=n1,status.phase!=x", NULL, true },
        { "status.phase!=", "status.phase!=", NULL, false },
        { "metadata.name=a\\,b", "metadata.name=a\\,b", NULL, true },
        { "metadata.name=a\\x", NULL, "invalid field selector: invalid escape sequence: \\x", false },
        { "metadata.name=a\\", NULL, "invalid field selector: invalid escape sequence: \\", false },
        { "metadata.name=a=b", NULL, "invalid field selector: unescaped character in value: 61", false },
        { "x", NULL, "invalid selector: 'x'; can't understand 'x'", false },
        { "a=b,,c=d", "a=b,c=d", NULL, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct field_query *q;
        AUTO_SBUF out = { 0 };
        AUTO(kerr) *err = field_query_parse(cases[i].in, arena, &q);
        if (cases[i].error) {
            assert_non_null(err);
            assert_string_equal(err->message, cases[i].error);
            continue;
        }
        assert_null(err);
        field_query_print(q, &out);
        assert_string_equal(sbuf_str(&out), cases[i].printed);
        assert_int_equal(field_query_matches(q, get_field, NULL), cases[i].match);
    }
    struct field_query *q;
    assert_null(field_query_parse("spec.nodeName=n1,a!=b", arena, &q));
    assert_string_equal(field_query_exact(q, "spec.nodeName"), "n1");
    assert_null(field_query_exact(q, "a"));
}

static int
setup(void **state)
{
    arena = arena_new(0);
    return 0;
}

static int
teardown(void **state)
{
    arena_free(arena);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selectors_print_in_canonical_form), cmocka_unit_test(bad_selectors_say_why),
        cmocka_unit_test(selectors_match),                   cmocka_unit_test(nil_selects_nothing_and_empty_all),
        cmocka_unit_test(field_selectors_work),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
