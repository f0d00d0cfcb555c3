// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authn/authn_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/sbuf.h"

static const struct {
    const char *text, *want; /* token|user|uid|group,group; ... */
} rows[] = {
    { "", "" },
    { "t1,alice,1\n", "t1|alice|1|;" },
    { "t1,alice,1", "t1|alice|1|;" },
    { "t1,alice,1\r\nt2,bob,2\r\n", "t1|alice|1|;t2|bob|2|;" },
    { "t1,alice,1,\"system:masters,dev\"\n", "t1|alice|1|system:masters,dev;" },
    { "t1,alice,1,dev\n", "t1|alice|1|dev;" },
    { "# who\n\nt1,alice,1\n", "t1|alice|1|;" },
    { "\"t,1\",\"a \"\"b\"\"\",1\n", "t,1|a \"b\"|1|;" },
    { "t1, alice,1\n", "t1|alice|1|;" },
};

static struct kerr *
read_text(const char *text, struct static_token **ret, size_t *n)
{
    char path[] = "/tmp/ckube-tokens-XXXXXX";
    int fd = mkstemp(path);

    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct kerr *err = token_file_read(path, ret, n);
    unlink(path);
    return err;
}

static void
good_files(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct static_token *list = NULL;
        AUTO_SBUF got = { 0 };
        size_t n = 0;
        AUTO(kerr) *err = read_text(rows[i].text, &list, &n);

        if (err)
            fail_msg("row %zu: %s", i, err->message);
        for (size_t k = 0; k < n; k++) {
            sbuf_addf(&got, "%s|%s|%s|", list[k].token, list[k].user, str_safe(list[k].uid));
            for (size_t g = 0; g < list[k].groups.len; g++)
                sbuf_addf(&got, "%s%s", g ? "," : "", list[k].groups.items[g]);
            sbuf_addc(&got, ';');
        }
        token_file_free(list, n);
        assert_string_equal(sbuf_str(&got), rows[i].want);
    }
}

static void
bad_files(void **state)
{
    static const char *const bad[] = { "t1\n", "t1,\n", ",alice,1\n", "good,alice,1\nt1\n" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct static_token *list = NULL;
        size_t n = 0;
        AUTO(kerr) *err = read_text(bad[i], &list, &n);
        assert_non_null(err);
        assert_non_null(strstr(err->message, i == 3 ? "line 2" : "line 1"));
        assert_null(list);
    }
    struct static_token *list = NULL;
    size_t n = 0;
    AUTO(kerr) *err = token_file_read("/nonexistent/tokens", &list, &n);
    assert_non_null(strstr(err->message, "--token-auth-file"));
}

static void
secrets(void **state)
{
    assert_true(same_secret("abc", "abc", 3));
    assert_false(same_secret("abc", "abd", 3));
    assert_false(same_secret("xbc", "abc", 3));
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(good_files), cmocka_unit_test(bad_files), cmocka_unit_test(secrets) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
