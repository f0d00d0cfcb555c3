// SPDX-License-Identifier: Apache-2.0
#include "common/api/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void
check_json(const char *yaml, const char *want)
{
    AUTO_SBUF out = { 0 };
    struct kerr *err = yaml_to_json(yaml, strlen(yaml), NULL, &out);

    if (err)
        fail_msg("%s: %s", yaml, err->message);
    assert_string_equal(sbuf_str(&out), want);
}

static void
check_refused(const char *yaml, size_t len, const char *part)
{
    AUTO_SBUF out = { 0 };
    AUTO(kerr) *err = yaml_to_json(yaml, len, NULL, &out);

    if (!err)
        fail_msg("accepted: %.60s -> %.60s", yaml, sbuf_str(&out));
    if (!strstr(err->message, part))
        fail_msg("%s\nnot in: %s", part, err->message);
    assert_int_equal(out.len, 0);
}

static void
scalars_by_yaml_1_1(void **state)
{
    static const struct {
        const char *yaml, *json;
    } want[] = {
        { "", "null" }, { "~", "null" }, { "null", "null" }, { "Null", "null" }, { "nUll", "\"nUll\"" },
        { "yes", "true" }, { "No", "false" }, { "on", "true" }, { "OFF", "false" }, { "y", "true" }, { "n", "false" }, { "yES", "\"yES\"" },
        { "true", "true" }, { "'true'", "\"true\"" }, { "\"1\"", "\"1\"" },
        { "0", "0" }, { "-0", "0" }, { "+12", "12" }, { "1_000", "1000" }, { "0644", "420" }, { "0o644", "420" }, { "0x1F", "31" }, { "-0x1f", "-31" },
        { "0b101", "5" }, { "08", "8" }, { "0x", "\"0x\"" }, { "0xg", "\"0xg\"" }, { "0x0x1", "\"0x0x1\"" }, { "1e3", "1000" }, { "1.0", "1" }, { "1.50", "1.5" }, { ".5", "0.5" }, { "1.", "1" },
        { "1e", "\"1e\"" }, { "1.2.3", "\"1.2.3\"" }, { "-", "[null]" }, { "--", "\"--\"" }, { "+", "\"+\"" }, { ".", "\".\"" },
        { "9223372036854775807", "9223372036854775807" }, { "18446744073709551615", "18446744073709551615" },
        { "-9223372036854775808", "-9223372036854775808" }, { "18446744073709551616", "18446744073709552000" }, { "1e400", "\"1e400\"" },
        { "2001-01-01", "\"2001-01-01\"" }, { "2001-01-01T00:00:00Z", "\"2001-01-01T00:00:00Z\"" }, { "1:30", "\"1:30\"" },
        { "!!str 12", "\"12\"" }, { "!!int '12'", "12" }, { "!!float 12", "12" }, { "!!bool 'yes'", "true" }, { "!mine 12", "\"12\"" },
        { "! 12", "\"12\"" }, { "!!binary aGk=", "\"hi\"" }, { "\"a\\0b\\x41\"", "\"a\\u0000bA\"" },
        { "a <b> & c", "\"a \\u003cb\\u003e \\u0026 c\"" },
    };

    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        check_json(want[i].yaml, want[i].json);
}

static void
collections(void **state)
{
    check_json("b: 1\na: [x, {q: z}]\n", "{\"a\":[\"x\",{\"q\":\"z\"}],\"b\":1}");
    check_json("y: 1\n", "{\"true\":1}"); /* as upstream, sadly */
    check_json("1: a\ntrue: b\n1.5: c\n0x10: d\n", "{\"1\":\"a\",\"1.5\":\"c\",\"16\":\"d\",\"true\":\"b\"}");
    check_json("a: |\n  x\n  y\nb: >\n  p\n  q\nc: >-\n  r\n", "{\"a\":\"x\\ny\\n\",\"b\":\"p q\\n\",\"c\":\"r\"}");
    check_json("{\"a\": [1, 2.5, \"\\u00e9\\/\", null], \"b\": {}}", "{\"a\":[1,2.5,\"\xc3\xa9/\",null],\"b\":{}}");
    check_json("# only a comment\n", "null");
    check_json("a: 1\n---\nb: 2\n", "{\"a\":1}");
    check_json("a:\nb:\n- \n", "{\"a\":null,\"b\":[null]}");
}

static void
anchors_and_merge_keys(void **state)
{
    check_json("a: &x {p: 1, q: 2}\nb: *x\nc:\n  <<: *x\n  q: 3\n", "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"p\":1,\"q\":2},\"c\":{\"p\":1,\"q\":3}}");
    check_json("l: [&a {x: 1, w: 1}, &b {x: 2, z: 2}]\nm: {<<: [*a, *b]}\n", "{\"l\":[{\"w\":1,\"x\":1},{\"x\":2,\"z\":2}],\"m\":{\"w\":1,\"x\":1,\"z\":2}}");
    check_json("a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}");
    check_json("'<<': 1\n", "{\"\\u003c\\u003c\":1}");
    check_refused("a: *nope\n", 9, "unknown anchor 'nope' referenced");
    check_refused("a: &x [*x]\n", 11, "anchor 'x' value contains itself");
    check_refused("a: {<<: 1}\n", 11, "map merge requires map or sequence of maps as the value");
}

static void
errors_name_the_line(void **state)
{
    check_refused("a: b: c\n", 8, "error converting YAML to JSON: yaml: mapping values are not allowed in this context");
    check_refused("a: 1\nb: c: d\n", 13, "yaml: line 2: mapping values are not allowed in this context");
    check_refused("a: [1\n", 6, "yaml: line ");
    check_refused("a: \"x\n", 6, "unexpected end of stream");
    check_refused("a:\n\t- b\n", 8, "found character that cannot start any token");
    check_refused("? [a]\n: b\n", 10, "invalid map key");
    check_refused("~: b\n", 5, "unsupported map key");
    check_refused("!!int abc", 9, "cannot decode !!str `abc` as a !!int");
    check_refused("a: .nan\n", 8, "json: unsupported value: NaN");
    check_refused("a: \xff\n", 5, "yaml: ");
}

static void
duplicates_are_reported(void **state)
{
    static const char yaml[] = "a: 1\nm:\n  x: 1\n  z: 2\n  x: 3\na: 2\n";
    struct codec_report report = { .collect = true };
    AUTO_SBUF out = { 0 };

    assert_null(yaml_to_json(yaml, strlen(yaml), &report, &out));
    assert_string_equal(out.s, "{\"a\":2,\"m\":{\"x\":3,\"z\":2}}");
    assert_int_equal(report.findings.len, 1);
    assert_string_equal(report.findings.items[0], "error converting YAML to JSON: yaml: unmarshal errors:\n"
                                                  "  line 6: key \"a\" already set in map\n  line 5: key \"x\" already set in map");
    strlist_done(&report.findings);
}

static void
laughter_is_bounded(void **state)
{
    AUTO_SBUF yaml = { 0 };

    sbuf_adds(&yaml, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; i++) {
        sbuf_addf(&yaml, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            sbuf_addf(&yaml, "%s*a%d", j ? "," : "", i - 1);
        sbuf_adds(&yaml, "]\n");
    }
    check_refused(yaml.s, yaml.len, "excessive aliasing");

    sbuf_clear(&yaml); /* one long text, many times */
    sbuf_adds(&yaml, "t: &t ");
    for (int i = 0; i < 1000000; i++)
        sbuf_addc(&yaml, 'x');
    sbuf_adds(&yaml, "\nl: [");
    for (int i = 0; i < 500; i++)
        sbuf_adds(&yaml, "*t,");
    sbuf_adds(&yaml, "]\n");
    check_refused(yaml.s, yaml.len, "excessive aliasing");

    sbuf_clear(&yaml); /* merges of merges */
    sbuf_adds(&yaml, "a0: &a0 {k: 1, l: 2}\n");
    for (int i = 1; i < 40; i++)
        sbuf_addf(&yaml, "a%d: &a%d {<<: [*a%d, *a%d, *a%d]}\n", i, i, i - 1, i - 1, i - 1);
    check_refused(yaml.s, yaml.len, "excessive aliasing");
}

static void
nesting_is_bounded(void **state)
{
    AUTO_SBUF yaml = { 0 };

    for (int i = 0; i < 5000; i++)
        sbuf_addc(&yaml, '[');
    check_refused(yaml.s, yaml.len, "depth");

    sbuf_clear(&yaml); /* by aliases */
    sbuf_adds(&yaml, "- &a0 [x]\n");
    for (int i = 1; i < 3000; i++)
        sbuf_addf(&yaml, "- &a%d [*a%d]\n", i, i - 1);
    check_refused(yaml.s, yaml.len, "yaml: "); /* depth or aliasing, whichever strikes first */
}

static struct kerr *
collect(const char *json, size_t len, void *arg)
{
    sbuf_add(arg, json, len);
    sbuf_addc(arg, ';');
    return NULL;
}

static struct kerr *
refuse(const char *json, size_t len, void *arg)
{
    ++*(int *)arg;
    return kerr_new(KERR_CONFLICT, "enough");
}

static void
streams_of_documents(void **state)
{
    static const char yaml[] = "# top\n---\na: 1\n---\n# nothing\n---\n- b\n...\n---\nx\n";
    AUTO_SBUF seen = { 0 };
    int calls = 0;

    assert_null(yaml_each_document(yaml, strlen(yaml), collect, &seen));
    assert_string_equal(seen.s, "{\"a\":1};[\"b\"];\"x\";");
    AUTO(kerr) *err = yaml_each_document(yaml, strlen(yaml), refuse, &calls);
    assert_int_equal(err->reason, KERR_CONFLICT);
    assert_int_equal(calls, 1);
    sbuf_clear(&seen);
    assert_null(yaml_each_document("", 0, collect, &seen));
    assert_int_equal(seen.len, 0);
    kerr_free(err);
    err = yaml_each_document("a: 1\n---\nb: [\n", 14, collect, &seen);
    assert_non_null(err);
    assert_string_equal(seen.s, "{\"a\":1};");
}

static void
check_yaml(const char *json, const char *want)
{
    AUTO_SBUF out = { 0 };

    json_to_yaml(json, strlen(json), &out);
    assert_string_equal(sbuf_str(&out), want);
}

static void
yaml_as_kubectl_prints_it(void **state)
{
    check_yaml("{\"b\":[{\"x\":1,\"a\":null},[1,[]]],\"a\":{},\"a10\":1,\"a9\":2,\"s\":\"plain\"}",
               "a: {}\na9: 2\na10: 1\nb:\n- a: null\n  x: 1\n- - 1\n  - []\ns: plain\n");
    check_yaml("[\"yes\",\"\",\"1\",\"1.5\",\"1e3\",\"0x1\",\"null\",\"~\",\"2001-01-01\",\"2020-01-02T03:04:05Z\",\"1:30\",\"y\",\"2001-13-01\",\"10.0.0.1\"]",
               "- \"yes\"\n- \"\"\n- \"1\"\n- \"1.5\"\n- \"1e3\"\n- \"0x1\"\n- \"null\"\n- \"~\"\n- \"2001-01-01\"\n- \"2020-01-02T03:04:05Z\"\n- \"1:30\"\n- \"y\"\n- 2001-13-01\n- 10.0.0.1\n");
    check_yaml("[\"a: b\",\"- x\",\"#c\",\"it's\",\"a #b\",\" lead\",\"{x}\",\"*a\",\"\\u003cx>\",\"\\u00e9\",\"@x\",\"a\\tb\"]",
               "- 'a: b'\n- '- x'\n- '#c'\n- it's\n- 'a #b'\n- ' lead'\n- '{x}'\n- '*a'\n- <x>\n- \xc3\xa9\n- '@x'\n- \"a\\tb\"\n");
    check_yaml("{\"t\":\"line\\nmore\\n\",\"u\":\"x\\ny\",\"v\":\"  in\\n\"}", "t: |\n  line\n  more\nu: |-\n  x\n  y\nv: |2\n    in\n");
    check_yaml("[true,false,1.50,1e6,100000,-0.00001,18446744073709551615]", "- true\n- false\n- 1.5\n- 1e+06\n- 100000\n- -1e-05\n- 18446744073709551615\n");
    check_yaml("\"x\"", "x\n");
    check_yaml("{broken", "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_by_yaml_1_1),   cmocka_unit_test(collections),
        cmocka_unit_test(anchors_and_merge_keys), cmocka_unit_test(errors_name_the_line),
        cmocka_unit_test(duplicates_are_reported), cmocka_unit_test(laughter_is_bounded),
        cmocka_unit_test(nesting_is_bounded),    cmocka_unit_test(streams_of_documents),
        cmocka_unit_test(yaml_as_kubectl_prints_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
