// SPDX-License-Identifier: Apache-2.0
#include "kubelet/server/log_format.h"

#include "common/base/str.h"

void
log_filter_init(struct log_filter *f, const struct log_options *o)
{
    *f = (struct log_filter){ .o = o, .left = o->limit_bytes };
}

/* The word up to the next space; moves *at behind it. */
static bool
word(const char **at, const char *end, const char **ret, size_t *ret_len)
{
    const char *space = memchr(*at, ' ', (size_t)(end - *at));

    if (!space)
        return false;
    *ret = *at;
    *ret_len = (size_t)(space - *at);
    *at = space + 1;
    return true;
}

static void
add(struct log_filter *f, struct sbuf *out, const char *s, size_t len)
{
    if (f->left >= 0 && len > (size_t)f->left)
        len = (size_t)f->left;
    sbuf_add(out, s, len);
    if (f->left >= 0)
        f->left -= (int64_t)len;
}

bool
log_filter_line(struct log_filter *f, const char *line, size_t len, struct sbuf *out)
{
    const char *at = line, *end = line + len, *when, *stream, *tag;
    size_t nwhen, nstream, ntag;
    struct api_time t;
    bool part;

    if (!word(&at, end, &when, &nwhen) || !word(&at, end, &stream, &nstream))
        return true; /* not a line of ours: left out, as upstream */
    if (!word(&at, end, &tag, &ntag)) { /* an empty text may come without the last space */
        tag = at;
        ntag = (size_t)(end - at);
        at = end;
    }
    if (f->o->stream[0] && (strlen(f->o->stream) != nstream || strncmp(f->o->stream, stream, nstream) != 0))
        return true;
    if (f->o->has_since && !api_time_parse(when, nwhen, &t) && api_time_cmp(t, f->o->since) < 0)
        return true;
    part = ntag && *tag == 'P';
    if (f->o->timestamps && !f->partial) {
        add(f, out, when, nwhen);
        add(f, out, " ", 1);
    }
    add(f, out, at, (size_t)(end - at));
    if (!part)
        add(f, out, "\n", 1);
    f->partial = part;
    return f->left != 0;
}

size_t
log_tail_offset(const char *text, size_t len, int64_t n)
{
    size_t at = len;

    if (n < 0)
        return 0;
    if (n == 0)
        return len;
    if (at && text[at - 1] == '\n')
        at--;
    while (at > 0) {
        if (text[at - 1] == '\n' && --n == 0)
            return at;
        at--;
    }
    return 0;
}
