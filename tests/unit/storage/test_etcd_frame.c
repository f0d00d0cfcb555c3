// SPDX-License-Identifier: Apache-2.0
/* The gateway's JSON: split while it streams in pieces of any size, and read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apiserver/storage/etcd_frame.h"
#include "common/base/base64.h"

struct seen {
    struct sbuf text; /* elements as "E<json>;", documents as "D<envelope>;" */
    const char *refuse;
};

static struct kerr *
on_element(const char *json, size_t len, void *arg)
{
    struct seen *s = arg;

    sbuf_addf(&s->text, "E%.*s;", (int)len, json);
    return s->refuse ? kerr_new(KERR_INTERNAL, "%s", s->refuse) : NULL;
}

static struct kerr *
on_document(const char *json, size_t len, void *arg)
{
    struct seen *s = arg;

    sbuf_addf(&s->text, "D%.*s;", (int)len, json);
    return NULL;
}

static struct kerr *
split(const char *bytes, size_t piece, struct frame_splitter *sp)
{
    size_t len = strlen(bytes);

    for (size_t at = 0; at < len; at += piece) {
        struct kerr *err = splitter_feed(sp, bytes + at, len - at < piece ? len - at : piece);
        if (err)
            return err;
    }
    return NULL;
}

static struct frame_splitter
splitter(const char *array, unsigned level, struct seen *seen)
{
    return (struct frame_splitter){ .array = array, .level = level, .max_element = 1000, .max_envelope = 1000,
                                    .element = on_element, .document = on_document, .arg = seen };
}

static void
check_split(const char *bytes, const char *array, unsigned level, const char *want)
{
    for (size_t piece = 1; piece < 60; piece++) {
        struct seen seen = { 0 };
        struct frame_splitter sp = splitter(array, level, &seen);

        assert_null(split(bytes, piece, &sp));
        assert_string_equal(sbuf_str(&seen.text), want);
        sbuf_done(&seen.text);
        splitter_done(&sp);
    }
}

static void
test_split(void **state)
{
    check_split("{\"header\":{\"revision\":\"5\"},\"kvs\":[{\"key\":\"YQ==\"},{\"key\":\"Yg==\"}],\"count\":\"2\"}", "kvs", 1,
                "E{\"key\":\"YQ==\"};E{\"key\":\"Yg==\"};D{\"header\":{\"revision\":\"5\"},\"kvs\":[],\"count\":\"2\"};");
    check_split("{\"result\":{\"created\":true}}\n{\"result\":{\"events\":[{\"kv\":{\"a\":[1,{}]}}]}}\n", "events", 2,
                "D{\"result\":{\"created\":true}};E{\"kv\":{\"a\":[1,{}]}};D{\"result\":{\"events\":[]}};");
    /* Brackets, quotes and the array's name inside of strings; the name as a value, at another depth, twice. */
    check_split("{\"a\":\"}]\\\"{\\\\\",\"b\":\"kvs\",\"c\":{\"kvs\":[{}]},\"kvs\":[{\"x\":\"[\\\"]\"}]}", "kvs", 1,
                "E{\"x\":\"[\\\"]\"};D{\"a\":\"}]\\\"{\\\\\",\"b\":\"kvs\",\"c\":{\"kvs\":[{}]},\"kvs\":[]};");
    check_split("{ \"kvs\" : [ ] }", "kvs", 1, "D{\"kvs\":[]};");
}

static void
expect_refused(const char *bytes)
{
    struct seen seen = { 0 };
    struct frame_splitter sp = splitter("kvs", 1, &seen);
    struct kerr *err = split(bytes, 7, &sp);

    assert_non_null(err);
    kerr_free(err);
    sbuf_done(&seen.text);
    splitter_done(&sp);
}

static void
test_split_refuses(void **state)
{
    AUTO_SBUF huge = { 0 };

    expect_refused("]");
    expect_refused("nonsense");
    expect_refused("\"text\"");
    sbuf_adds(&huge, "{\"kvs\":[{\"value\":\"");
    for (int i = 0; i < 2000; i++)
        sbuf_addc(&huge, 'A');
    expect_refused(huge.s);
    huge.len = 0;
    sbuf_adds(&huge, "{\"x\":\"");
    for (int i = 0; i < 2000; i++)
        sbuf_addc(&huge, 'A');
    expect_refused(huge.s);

    struct seen seen = { .refuse = "enough" };
    struct frame_splitter sp = splitter("kvs", 1, &seen);
    struct kerr *err = split("{\"kvs\":[{},{}]}", 100, &sp);
    assert_non_null(err);
    assert_string_equal(err->message, "enough");
    assert_string_equal(seen.text.s, "E{};");
    kerr_free(err);
    sbuf_done(&seen.text);
    splitter_done(&sp);
}

static void
test_read_event(void **state)
{
    const char *put = "{\"kv\":{\"key\":\"L2E=\",\"create_revision\":\"7\",\"mod_revision\":\"9\",\"version\":\"2\",\"value\":\"aGk=\"}}";
    const char *del = "{\"type\":\"DELETE\",\"kv\":{\"key\":\"L2E=\",\"mod_revision\":\"10\"}}";
    AUTO_SBUF memory = { 0 };
    struct etcd_watch_event ev;
    struct kerr *err;
    char value[16];
    size_t len;

    assert_null(frame_read_event(put, strlen(put), &memory, &ev));
    assert_false(ev.deleted);
    assert_string_equal(ev.kv.key, "/a");
    assert_int_equal(ev.revision, 9);
    assert_int_equal(ev.kv.create_revision, 7);
    assert_int_equal(etcd_watch_value(&ev, value, &len), 0);
    assert_int_equal(len, 2);
    assert_memory_equal(value, "hi", 2);
    assert_null(frame_read_event(del, strlen(del), &memory, &ev));
    assert_true(ev.deleted);
    assert_int_equal(ev.revision, 10);
    static const char *const bad[] = { "{}", "[]", "{\"kv\":{}}", "{\"kv\":{\"key\":\"*\",\"mod_revision\":\"1\"}}",
                                       "{\"kv\":{\"key\":\"YQ==\",\"mod_revision\":\"x\"}}", "{\"kv\":{\"key\":\"YQ==\"", "" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err = frame_read_event(bad[i], strlen(bad[i]), &memory, &ev);
        assert_non_null(err);
        kerr_free(err);
    }
}

static void
test_read_envelope(void **state)
{
    struct frame_envelope env;
    const char *canceled = "{\"result\":{\"header\":{\"cluster_id\":\"14841639068965178418\",\"revision\":\"12\"},\"canceled\":true,"
                           "\"compact_revision\":\"3\"}}";
    const char *error = "{\"error\":\"etcdserver: mvcc: required revision has been compacted\",\"message\":\"same\",\"code\":11}";
    const char *stream = "{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":\"transport is closing\"}}";

    assert_null(frame_read_envelope(canceled, strlen(canceled), &env));
    assert_true(env.canceled);
    assert_int_equal(env.compact_revision, 3);
    assert_int_equal(env.revision, 12);
    assert_true(env.cluster_id == 14841639068965178418ull);
    assert_null(frame_read_envelope(error, strlen(error), &env));
    assert_int_equal(env.code, 11);
    assert_null(frame_read_envelope(stream, strlen(stream), &env));
    assert_int_equal(env.code, 14);
    assert_string_equal(env.error, "transport is closing");
}

static void
test_read_txn(void **state)
{
    const char *good = "{\"header\":{\"revision\":\"12\"},\"succeeded\":true,\"responses\":[{\"response_put\":{\"header\":{\"revision\":\"12\"}}}]}";
    const char *lost = "{\"header\":{\"revision\":\"13\"},\"responses\":[{\"response_range\":{\"header\":{},\"kvs\":[{\"key\":\"YQ==\","
                       "\"mod_revision\":\"8\",\"value\":\"Yg==\"}],\"count\":\"1\"}}]}";
    const char *absent = "{\"header\":{\"revision\":\"13\"},\"responses\":[{\"response_range\":{\"header\":{}}}]}";
    struct etcd_txn_reply reply;
    struct kerr *err;

    assert_null(frame_read_txn(good, strlen(good), &reply));
    assert_true(reply.succeeded);
    assert_int_equal(reply.revision, 12);
    etcd_txn_reply_done(&reply);
    assert_null(frame_read_txn(lost, strlen(lost), &reply));
    assert_false(reply.succeeded);
    assert_true(reply.found);
    assert_int_equal(reply.kv.mod_revision, 8);
    assert_string_equal(reply.kv.value, "b");
    etcd_txn_reply_done(&reply);
    assert_null(frame_read_txn(absent, strlen(absent), &reply));
    assert_false(reply.found);
    etcd_txn_reply_done(&reply);
    err = frame_read_txn("{\"succeeded\":true}", 18, &reply);
    assert_non_null(err);
    kerr_free(err);
}

static void
test_cursor(void **state)
{
    const char *json = "{\"a\":[1,[2,\"]\"]], \"n\":\"-5\",\"t\":true }", *escaped = "a\\u00e9\\ud83d\\ude00\\n";
    struct json_cursor c = json_cursor_of(json, strlen(json));
    struct json_span name;
    AUTO_SBUF text = { 0 };

    assert_true(cursor_enter_object(&c));
    assert_true(cursor_next_member(&c, &name) && span_is(name, "a"));
    assert_true(cursor_skip(&c, NULL));
    assert_true(cursor_next_member(&c, &name));
    assert_int_equal(cursor_i64(&c), -5);
    assert_true(cursor_next_member(&c, &name));
    assert_true(cursor_bool(&c));
    assert_false(cursor_next_member(&c, &name));
    assert_true(cursor_at_end(&c));
    assert_true(span_unescape((struct json_span){ escaped, strlen(escaped), true }, &text));
    assert_string_equal(text.s, "a\xc3\xa9\xf0\x9f\x98\x80\n");
    assert_false(span_unescape((struct json_span){ "\\u0000", 6, true }, &text));
    assert_false(span_unescape((struct json_span){ "\\x", 2, true }, &text));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),         cmocka_unit_test(test_split_refuses), cmocka_unit_test(test_read_event),
        cmocka_unit_test(test_read_envelope), cmocka_unit_test(test_read_txn),      cmocka_unit_test(test_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
