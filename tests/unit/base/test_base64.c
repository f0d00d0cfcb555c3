// SPDX-License-Identifier: Apache-2.0
#include "common/base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* RFC 4648 section 10 */
static const struct {
    const char *plain, *coded, *url;
} vectors[] = {
    { "", "", "" },
    { "f", "Zg==", "Zg" },
    { "fo", "Zm8=", "Zm8" },
    { "foo", "Zm9v", "Zm9v" },
    { "foob", "Zm9vYg==", "Zm9vYg" },
    { "fooba", "Zm9vYmE=", "Zm9vYmE" },
    { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
    { "\xfb\xff\xfe", "+//+", "-__-" },
};

static void
known_vectors(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        AUTO_SBUF out = { 0 };
        uint8_t back[16];

        base64_encode(vectors[i].plain, strlen(vectors[i].plain), &out);
        assert_string_equal(sbuf_str(&out), vectors[i].coded);
        assert_int_equal(base64_decode(out.s, out.len, back, NULL), strlen(vectors[i].plain));
        assert_memory_equal(back, vectors[i].plain, strlen(vectors[i].plain));
        sbuf_clear(&out);
        base64url_encode(vectors[i].plain, strlen(vectors[i].plain), &out);
        assert_string_equal(sbuf_str(&out), vectors[i].url);
        assert_int_equal(base64url_decode(vectors[i].url, strlen(vectors[i].url), back), strlen(vectors[i].plain));
    }
}

static void
bad_text_is_refused(void **state)
{
    static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zm9v=", "Zg==Zg==", "Zm-v", "Zm9v Zg==" };
    uint8_t out[32];
    size_t at = 99;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_true(base64_decode(bad[i], strlen(bad[i]), out, NULL) < 0);
    assert_true(base64_decode("Zm9v!m", 6, out, &at) < 0);
    assert_int_equal(at, 4);
    assert_true(base64url_decode("Zm+v", 4, out) < 0);
    assert_int_equal(base64_decode("Zm\n9v\r\n", 7, out, NULL), 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(known_vectors), cmocka_unit_test(bad_text_is_refused) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
