// SPDX-License-Identifier: Apache-2.0
#include "apiserver/storage/continue_token.h"

#include <inttypes.h>

#include "apiserver/storage/json_cursor.h"
#include "common/base/base64.h"
#include "common/base/str.h"

#define TOKEN_MAX 8192

static void
add_escaped(struct sbuf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            sbuf_addf(out, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            sbuf_addf(out, "\\u%04x", (unsigned char)*s);
        else
            sbuf_addc(out, *s);
    }
}

char *
continue_token_make(int64_t revision, const char *last_key)
{
    AUTO_SBUF json = { 0 };
    struct sbuf token = { 0 };

    sbuf_addf(&json, "{\"v\":\"meta.k8s.io/v1\",\"rv\":%" PRId64 ",\"start\":\"", revision);
    add_escaped(&json, last_key);
    sbuf_adds(&json, "\\u0000\"}");
    base64url_encode(json.s, json.len, &token);
    return sbuf_steal(&token);
}

/* As path.Clean would leave it: no empty, "." or ".." parts. */
static bool
is_clean(const char *key)
{
    const char *at = *key == '/' ? key + 1 : key;

    for (;;) {
        size_t len = strcspn(at, "/");

        if (len == 0 || (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        if (!at[len])
            return true;
        at += len + 1;
    }
}

/* The NUL of upstream's "start" is written as an escape; it must be the last character. */
static bool
take_start(struct json_span span, char **ret_start, bool *ret_after)
{
    AUTO_SBUF text = { 0 };

    *ret_after = span.len >= 6 && memcmp(span.s + span.len - 6, "\\u0000", 6) == 0;
    if (*ret_after)
        span.len -= 6;
    if (!span_unescape(span, &text))
        return false;
    free(*ret_start);
    *ret_start = sbuf_steal(&text);
    return true;
}

static bool
read_token(const char *json, size_t len, struct json_span *ret_version, int64_t *ret_revision, char **ret_start, bool *ret_after)
{
    struct json_cursor c = json_cursor_of(json, len);
    struct json_span name, span;
    bool good = true;

    if (!cursor_enter_object(&c))
        return false;
    while (cursor_next_member(&c, &name)) {
        if (span_is(name, "v"))
            good &= cursor_skip(&c, ret_version);
        else if (span_is(name, "rv"))
            *ret_revision = cursor_i64(&c);
        else if (span_is(name, "start"))
            good &= cursor_skip(&c, &span) && span.is_string && take_start(span, ret_start, ret_after);
        else
            cursor_skip(&c, NULL);
    }
    return good && cursor_at_end(&c);
}

struct kerr *
continue_token_read(const char *token, int64_t *ret_revision, char **ret_start, bool *ret_after)
{
    size_t len = strlen(token);
    ssize_t json_len = -1;
    AUTO_FREE char *json = NULL;
    AUTO_FREE char *start = NULL;
    struct json_span version = { "", 0, true };
    int64_t revision = 0;
    bool after = false;

    if (len <= TOKEN_MAX) {
        json = xmalloc(BASE64_DECODED_MAX(len) + 1);
        json_len = base64url_decode(token, len, (uint8_t *)json);
    }
    if (json_len < 0 || !read_token(json, (size_t)json_len, &version, &revision, &start, &after))
        return kerr_new(KERR_BAD_REQUEST, "continue key is not valid: illegal base64 data or JSON in the token");
    if (!span_is(version, "meta.k8s.io/v1"))
        return kerr_new(KERR_BAD_REQUEST, "continue key is not valid: server does not recognize this encoded version %.*s",
                        (int)version.len, version.s);
    if (revision == 0)
        return kerr_new(KERR_BAD_REQUEST,
                        "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
    if (str_empty(start))
        return kerr_new(KERR_BAD_REQUEST, "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)");
    if (!is_clean(start))
        return kerr_new(KERR_BAD_REQUEST, "continue key is not valid: %s", start);
    *ret_revision = revision;
    *ret_start = xstrdup(*start == '/' ? start + 1 : start);
    *ret_after = after;
    return NULL;
}
