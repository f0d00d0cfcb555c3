// SPDX-License-Identifier: Apache-2.0
#include "kubelet/server/query.h"

static int
hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *
query_decode(const char *s, size_t len, bool plus)
{
    char *out = xmalloc(len + 1), *to = out;

    for (size_t i = 0; i < len; i++) {
        if (s[i] == '%' && i + 2 < len && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
            *to++ = (char)(hex(s[i + 1]) * 16 + hex(s[i + 2]));
            i += 2;
        } else {
            *to++ = plus && s[i] == '+' ? ' ' : s[i];
        }
    }
    *to = '\0';
    return out;
}

/* Goes on behind *at; false at the end.  Gives the value's place when the name fits, else NULL. */
static bool
next_pair(const char **at, const char *name, const char **ret_value, size_t *ret_len)
{
    const char *p = *at, *end;
    const char *eq;
    size_t n = strlen(name);

    if (!*p)
        return false;
    end = p + strcspn(p, "&");
    eq = memchr(p, '=', (size_t)(end - p));
    *ret_value = NULL;
    if ((size_t)((eq ? eq : end) - p) == n && !strncmp(p, name, n)) {
        *ret_value = eq ? eq + 1 : end;
        *ret_len = (size_t)(end - *ret_value);
    }
    *at = *end ? end + 1 : end;
    return true;
}

char *
query_value(const char *query, const char *name)
{
    const char *at = str_safe(query), *value;
    size_t len;

    while (next_pair(&at, name, &value, &len))
        if (value)
            return query_decode(value, len, true);
    return NULL;
}

void
query_values(const char *query, const char *name, struct strlist *ret)
{
    const char *at = str_safe(query), *value;
    size_t len;

    while (next_pair(&at, name, &value, &len))
        if (value)
            strlist_add_take(ret, query_decode(value, len, true));
}

bool
query_flag(const char *query, const char *name)
{
    AUTO_FREE char *v = query_value(query, name);

    return v && (!strcmp(v, "1") || !strcmp(v, "true"));
}

void
path_parts(const char *path, struct strlist *ret)
{
    while (*path) {
        size_t n;

        path += *path == '/';
        n = strcspn(path, "/");
        if (n)
            strlist_add_take(ret, query_decode(path, n, false));
        path += n;
    }
}
