// SPDX-License-Identifier: Apache-2.0
/* --token-auth-file: CSV of token,user,uid and optionally "group1,group2" in quotes. */
#include <string.h>

#include "apiserver/authn/authn_internal.h"
#include "common/base/file.h"
#include "common/base/sbuf.h"

enum { FILE_MAX = 4 << 20 };

bool
same_secret(const char *a, const char *b, size_t len)
{
    unsigned char differ = 0;

    for (size_t i = 0; i < len; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

/* One CSV field; "" inside quotes is a quote.  Leaves *at behind the comma, or at the end of the line. */
static char *
field(const char **at)
{
    struct sbuf b = { 0 };
    const char *p = *at;

    p += strspn(p, " \t");
    if (*p == '"') {
        for (p++; *p && *p != '\n' && !(*p == '"' && p[1] != '"'); p++) {
            if (*p == '"')
                p++;
            sbuf_addc(&b, *p);
        }
        if (*p == '"')
            p++;
        p += strcspn(p, ",\n");
    } else {
        size_t len = strcspn(p, ",\n");
        size_t keep = len;
        while (keep && (p[keep - 1] == '\r' || p[keep - 1] == ' '))
            keep--;
        sbuf_add(&b, p, keep);
        p += len;
    }
    *at = p + (*p == ',');
    return sbuf_steal(&b);
}

static void
token_done(struct static_token *t)
{
    free(t->token);
    free(t->user);
    free(t->uid);
    strlist_done(&t->groups);
}

static void
read_line(const char *line, struct static_token *t)
{
    *t = (struct static_token){ 0 };
    t->token = field(&line);
    t->user = field(&line);
    t->uid = field(&line);
    AUTO_FREE char *groups = field(&line);
    strlist_split(&t->groups, groups, ',');
}

struct kerr *
token_file_read(const char *path, struct static_token **ret, size_t *ret_n)
{
    AUTO_FREE char *text = NULL;
    struct static_token *list = NULL;
    size_t n = 0, number = 0;
    struct kerr *err = file_read(path, FILE_MAX, &text, NULL);

    if (err)
        return kerr_wrap(err, "--token-auth-file");
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        struct static_token t;
        number++;
        if (*line == '\n' || *line == '#' || *line == '\r')
            continue;
        read_line(line, &t);
        if (str_empty(t.token) || str_empty(t.user)) {
            token_done(&t);
            token_file_free(list, n);
            return kerr_new(KERR_BAD_REQUEST, "--token-auth-file %s: line %zu needs token, user name and user uid", path, number);
        }
        list = xreallocarray(list, n + 1, sizeof *list);
        list[n++] = t;
    }
    *ret = list;
    *ret_n = n;
    return NULL;
}

void
token_file_free(struct static_token *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++)
        token_done(&tokens[i]);
    free(tokens);
}
