// SPDX-License-Identifier: Apache-2.0
#include "apiserver/http/media.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/str.h"

#define PB "application/vnd.kubernetes.protobuf"
#define TABLE ";as=Table;v=v1;g=meta.k8s.io"

static const struct {
    const char *accept;
    bool transforms;
    int format; /* -1: not acceptable */
    enum media_as as;
    bool v1beta1;
} accepts[] = {
    { NULL, true, MEDIA_JSON, AS_ITSELF, false },
    { "", true, MEDIA_JSON, AS_ITSELF, false },
    { "*/*", true, MEDIA_JSON, AS_ITSELF, false },
    { "application/*", true, MEDIA_JSON, AS_ITSELF, false },
    { "application/json", true, MEDIA_JSON, AS_ITSELF, false },
    { "application/yaml", true, MEDIA_YAML, AS_ITSELF, false },
    { PB, true, MEDIA_PROTOBUF, AS_ITSELF, false },
    { PB ", application/json", true, MEDIA_PROTOBUF, AS_ITSELF, false },
    { "application/json, " PB, true, MEDIA_JSON, AS_ITSELF, false },
    { "application/json;q=0.5," PB ";q=0.9", true, MEDIA_PROTOBUF, AS_ITSELF, false },
    { "application/json;q=0," PB ";q=0.001", true, MEDIA_PROTOBUF, AS_ITSELF, false },
    { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true, MEDIA_JSON, AS_ITSELF, false },
    { "application/json;q=1e300", true, MEDIA_JSON, AS_ITSELF, false },
    { "application/json;q=nan", true, MEDIA_JSON, AS_ITSELF, false },
    { "application/json;q=0.5;q=x," PB ";q=0.7", true, MEDIA_JSON, AS_ITSELF, false },
    { "application/json" TABLE ", application/json", true, MEDIA_JSON, AS_TABLE, false },
    { "application/json;as=Table;v=v1beta1;g=meta.k8s.io, application/json", true, MEDIA_JSON, AS_TABLE, true },
    { "application/json" TABLE ", application/json", false, MEDIA_JSON, AS_ITSELF, false },
    { "application/json" TABLE, false, -1, 0, false },
    { PB TABLE ", application/json" TABLE, true, MEDIA_JSON, AS_TABLE, false },
    { PB ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io", true, MEDIA_PROTOBUF, AS_PARTIAL, false },
    { PB ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", true, MEDIA_PROTOBUF, AS_PARTIAL_LIST, false },
    { "application/json;as=Table;v=v2;g=meta.k8s.io,application/json", true, MEDIA_JSON, AS_ITSELF, false },
    { "application/json;as=Table;v=v1;g=other,application/yaml", true, MEDIA_YAML, AS_ITSELF, false },
    { "application/json;as=Cake;v=v1;g=meta.k8s.io", true, -1, 0, false },
    { "text/html", true, -1, 0, false },
    { "application/json;q=0", true, -1, 0, false },
    { "application/jsonx", true, -1, 0, false },
};

static void
accept_header(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(accepts); i++) {
        struct media m;
        AUTO(kerr) *err = media_accept(accepts[i].accept, accepts[i].transforms, &m);
        if ((accepts[i].format < 0) != (err != NULL))
            fail_msg("%s: %s", accepts[i].accept, err ? err->message : "is taken");
        if (err) {
            assert_int_equal(err->http_code, 406);
            continue;
        }
        if ((int)m.format != accepts[i].format || m.as != accepts[i].as || (m.as && m.as_v1beta1 != accepts[i].v1beta1))
            fail_msg("%s: format %d as %d v1beta1 %d", accepts[i].accept, m.format, m.as, m.as_v1beta1);
    }
}

static void
accept_text(void **state)
{
    struct media m;
    AUTO(kerr) *err = media_accept("text/html", true, &m);

    assert_string_equal(err->message, "only the following media types are accepted: application/json, application/yaml, " PB);
    AUTO(kerr) *none = media_accept(PB ";stream=watch;pretty=1", true, &m);
    assert_null(none);
    assert_true(m.watch_stream);
    assert_true(m.pretty);
    assert_string_equal(media_type(&m), PB ";stream=watch");
}

static const struct {
    const char *type;
    int format;
} contents[] = {
    { NULL, MEDIA_JSON }, { "", MEDIA_JSON }, { "application/json", MEDIA_JSON }, { "application/json; charset=utf-8", MEDIA_JSON },
    { "Application/JSON", MEDIA_JSON }, { "application/yaml", MEDIA_YAML }, { PB, MEDIA_PROTOBUF }, { PB ";type=x", MEDIA_PROTOBUF },
    { "text/plain", -1 }, { "*/*", -1 }, { "application/*", -1 }, { "application/json-patch+json", -1 },
};

static void
content_type_header(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
        enum media_format format;
        AUTO(kerr) *err = media_content(contents[i].type, &format);
        if ((contents[i].format < 0) != (err != NULL))
            fail_msg("%s: %s", contents[i].type, err ? err->message : "is taken");
        if (err)
            assert_int_equal(err->http_code, 415);
        else
            assert_int_equal(format, contents[i].format);
    }
}

static void
clauses(void **state)
{
    struct media_clause c;
    const char *at = " a/b ; K=\"v w\";flag;x=1 , c/d;q=0.25,";

    assert_true(media_next_clause(&at, &c));
    assert_string_equal(c.type, "a/b");
    assert_string_equal(media_param(&c, "k"), "v w");
    assert_string_equal(media_param(&c, "x"), "1");
    assert_null(media_param(&c, "flag"));
    assert_int_equal(c.q, 1000);
    assert_true(media_next_clause(&at, &c));
    assert_string_equal(c.type, "c/d");
    assert_int_equal(c.q, 250);
    assert_false(media_next_clause(&at, &c));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_header),
        cmocka_unit_test(accept_text),
        cmocka_unit_test(content_type_header),
        cmocka_unit_test(clauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
