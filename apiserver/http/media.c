// SPDX-License-Identifier: Apache-2.0
#include "apiserver/http/media.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/str.h"

static const struct {
    const char *type;
    enum media_format format;
} formats[] = {
    { "application/json", MEDIA_JSON },
    { "application/yaml", MEDIA_YAML },
    { "application/vnd.kubernetes.protobuf", MEDIA_PROTOBUF },
    { "text/yaml", MEDIA_YAML },
};

static void
copy_trimmed(char *to, size_t size, const char *from, size_t len)
{
    while (len > 0 && isspace((unsigned char)*from)) {
        from++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)from[len - 1]))
        len--;
    if (len >= 2 && from[0] == '"' && from[len - 1] == '"') {
        from++;
        len -= 2;
    }
    if (len >= size)
        len = size - 1;
    memcpy(to, from, len);
    to[len] = '\0';
}

/* "0.5" in thousandths; what is no number between 0 and 1 counts as 1. */
static int
quality(const char *text)
{
    char *end;
    double q = strtod(text, &end);

    return end == text || *end || !(q >= 0 && q <= 1) ? 1000 : (int)(q * 1000 + 0.5);
}

static void
read_param(struct media_clause *c, const char *at, size_t len)
{
    const char *eq = memchr(at, '=', len);
    int n = c->nparams;

    if (!eq || n == (int)ARRAY_LEN(c->params))
        return;
    copy_trimmed(c->params[n][0], sizeof c->params[n][0], at, (size_t)(eq - at));
    copy_trimmed(c->params[n][1], sizeof c->params[n][1], eq + 1, len - (size_t)(eq - at) - 1);
    if (strcasecmp(c->params[n][0], "q") == 0)
        c->q = quality(c->params[n][1]);
    else
        c->nparams++;
}

bool
media_next_clause(const char **at, struct media_clause *ret)
{
    const char *s = *at + strspn(*at, " ,\t");
    size_t len = strcspn(s, ",");

    if (len == 0)
        return false;
    *ret = (struct media_clause){ .q = 1000 };
    size_t part = strcspn(s, ";,");
    copy_trimmed(ret->type, sizeof ret->type, s, part);
    while (part < len) {
        const char *param = s + part + 1;
        size_t param_len = strcspn(param, ";,");
        read_param(ret, param, param_len);
        part += 1 + param_len;
    }
    *at = s + len;
    return true;
}

const char *
media_param(const struct media_clause *c, const char *name)
{
    for (int i = 0; i < c->nparams; i++)
        if (strcasecmp(c->params[i][0], name) == 0)
            return c->params[i][1];
    return NULL;
}

static bool
clause_format(const struct media_clause *c, enum media_format *ret)
{
    if (strcmp(c->type, "*/*") == 0 || strcmp(c->type, "application/*") == 0) {
        *ret = MEDIA_JSON;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcasecmp(formats[i].type, c->type) == 0) {
            *ret = formats[i].format;
            return true;
        }
    return false;
}

static bool
clause_as(const struct media_clause *c, bool transforms, struct media *m)
{
    static const struct {
        const char *kind;
        enum media_as as;
    } kinds[] = { { "Table", AS_TABLE }, { "PartialObjectMetadata", AS_PARTIAL }, { "PartialObjectMetadataList", AS_PARTIAL_LIST } };
    const char *as = media_param(c, "as"), *group = media_param(c, "g"), *version = media_param(c, "v");

    m->as = AS_ITSELF;
    if (str_empty(as))
        return true;
    if (!transforms || !str_eq(group, "meta.k8s.io") || !(str_eq(version, "v1") || str_eq(version, "v1beta1")))
        return false;
    m->as_v1beta1 = str_eq(version, "v1beta1");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].kind, as) == 0) {
            m->as = kinds[i].as;
            /* Tables have no protobuf form. */
            return m->as != AS_TABLE || m->format != MEDIA_PROTOBUF;
        }
    return false;
}

struct kerr *
media_accept(const char *accept, bool transforms, struct media *ret)
{
    struct media_clause c;
    int best_q = 0;

    *ret = (struct media){ .format = MEDIA_JSON };
    if (str_empty(accept))
        return NULL;
    for (const char *at = accept; media_next_clause(&at, &c);) {
        struct media m = { 0 };
        if (c.q <= best_q || !clause_format(&c, &m.format) || !clause_as(&c, transforms, &m))
            continue;
        m.watch_stream = str_eq(media_param(&c, "stream"), "watch");
        m.pretty = str_eq(media_param(&c, "pretty"), "1");
        *ret = m;
        best_q = c.q;
    }
    if (best_q == 0)
        return kerr_new(KERR_NOT_ACCEPTABLE, "only the following media types are accepted: application/json, application/yaml, "
                                             "application/vnd.kubernetes.protobuf");
    return NULL;
}

struct kerr *
media_content(const char *content_type, enum media_format *ret)
{
    struct media_clause c;
    const char *at = str_safe(content_type);

    *ret = MEDIA_JSON;
    if (!media_next_clause(&at, &c))
        return NULL;
    if (strchr(c.type, '*') || !clause_format(&c, ret))
        return kerr_new(KERR_UNSUPPORTED_MEDIA_TYPE,
                        "the body of the request was in an unknown format - accepted media types include: application/json, "
                        "application/yaml, application/vnd.kubernetes.protobuf");
    return NULL;
}

const char *
media_type(const struct media *m)
{
    if (m->format == MEDIA_PROTOBUF)
        return m->watch_stream ? "application/vnd.kubernetes.protobuf;stream=watch" : "application/vnd.kubernetes.protobuf";
    return m->format == MEDIA_YAML ? "application/yaml" : "application/json";
}
