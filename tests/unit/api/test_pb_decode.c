// SPDX-License-Identifier: Apache-2.0
/* Protobuf that no honest peer sends.  Good messages are in test_roundtrip.c. */
#include "common/api/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/api/pb_wire.h"

enum { SPEC = 2, CONTAINERS = 2 }; /* field numbers of Pod and PodSpec */

static void
add_varint(struct sbuf *b, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        sbuf_addc(b, (char)(n | 0x80));
    sbuf_addc(b, (char)n);
}

static void
add_bytes(struct sbuf *b, unsigned field, const struct sbuf *content)
{
    add_varint(b, field << 3 | 2);
    add_varint(b, content->len);
    sbuf_add(b, sbuf_str(content), content->len);
}

static struct kerr *
decode_pod(const struct sbuf *raw, uint32_t *ret_containers)
{
    AUTO_SBUF whole = { 0 };
    struct object *obj = NULL;

    sbuf_add(&whole, PB_MAGIC, PB_MAGIC_LEN);
    sbuf_add(&whole, "\x0a\x09\x0a\x02v1\x12\x03Pod", 11);
    add_bytes(&whole, 2, raw);
    struct kerr *err = object_decode_pb(whole.s, whole.len, NULL, &obj);
    if (!err)
        *ret_containers = OBJECT_BODY(obj, pod)->spec.containers.len;
    object_unref(obj);
    return err;
}

static struct kerr *
pod_with_empty_containers(unsigned n, bool broken_up, uint32_t *ret)
{
    AUTO_SBUF spec = { 0 };
    AUTO_SBUF pod = { 0 };

    for (unsigned i = 0; i < n; i++) {
        sbuf_add(&spec, "\x12\x00", 2);
        if (broken_up) /* restartPolicy in between, so that the run cannot be counted ahead */
            sbuf_add(&spec, "\x1a\x00", 2);
    }
    add_bytes(&pod, SPEC, &spec);
    return decode_pod(&pod, ret);
}

static void
amplification_is_bounded(void **state)
{
    uint32_t n = 0;
    AUTO(kerr) *few = pod_with_empty_containers(200, false, &n);
    assert_null(few);
    assert_int_equal(n, 200);
    for (int broken_up = 0; broken_up < 2; broken_up++) {
        AUTO(kerr) *err = pod_with_empty_containers(1500000, broken_up, &n);
        assert_non_null(err);
        assert_non_null(strstr(err->message, "exceeded max decoded size"));
    }
}

/* Ten real containers with pointers behind them, over and over, stay possible. */
static void
honest_lists_are_not_bounded(void **state)
{
    AUTO_SBUF container = { 0 };
    AUTO_SBUF spec = { 0 };
    AUTO_SBUF pod = { 0 };
    uint32_t n = 0;

    sbuf_add(&container, "\x0a\x06worker\x12\x1fregistry.example/team/worker:1.0", 2 + 6 + 2 + 31);
    for (int i = 0; i < 20000; i++)
        add_bytes(&spec, CONTAINERS, &container);
    add_bytes(&pod, SPEC, &spec);
    AUTO(kerr) *err = decode_pod(&pod, &n);
    if (err)
        fail_msg("%s", err->message);
    assert_int_equal(n, 20000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(amplification_is_bounded), cmocka_unit_test(honest_lists_are_not_bounded) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
