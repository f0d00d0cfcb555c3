// SPDX-License-Identifier: Apache-2.0
#include "apiserver/http/request_info.h"

#include <string.h>
#include <strings.h>

#include "common/base/str.h"

enum { SEGMENTS_MAX = 64 };

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: bad encoding, or an encoded NUL. */
static char *
decode(struct arena *a, const char *s, size_t len, bool plus_is_space)
{
    char *out = arena_alloc_bytes(a, len + 1), *p = out;

    for (size_t i = 0; i < len; i++) {
        if (s[i] == '%') {
            int hi = i + 2 < len ? hex(s[i + 1]) : -1, lo = i + 2 < len ? hex(s[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                return NULL;
            *p++ = (char)(hi << 4 | lo);
            i += 2;
        } else {
            *p++ = plus_is_space && s[i] == '+' ? ' ' : s[i];
        }
    }
    *p = '\0';
    return out;
}

static struct kerr *
parse_query(struct arena *a, const char *query, struct request_info *ret)
{
    struct request_param *params = NULL;
    unsigned n = 0;

    for (const char *at = str_safe(query); *at;) {
        size_t len = strcspn(at, "&");
        size_t key_len = strcspn(at, "=&");
        if (len > 0) {
            if (n == REQUEST_PARAMS_MAX)
                return kerr_new(KERR_BAD_REQUEST, "too many query parameters");
            size_t old = n * sizeof *params;
            params = arena_grow(a, params, old, old + sizeof *params);
            params[n].key = decode(a, at, key_len, true);
            params[n].value = key_len < len ? decode(a, at + key_len + 1, len - key_len - 1, true) : "";
            if (!params[n].key || !params[n].value)
                return kerr_new(KERR_BAD_REQUEST, "invalid URL escape in the query string");
            n++;
        }
        at += len + (at[len] == '&');
    }
    ret->params = params;
    ret->nparams = n;
    return NULL;
}

static const struct {
    const char *method, *one, *many;
} verbs[] = {
    { "GET", "get", "list" },      { "HEAD", "get", "list" },    { "POST", "create", "create" },
    { "PUT", "update", "update" }, { "PATCH", "patch", "patch" }, { "DELETE", "delete", "deletecollection" },
};

static const char *
verb_of(struct arena *a, const char *method, bool has_name, bool is_resource)
{
    for (size_t i = 0; is_resource && i < ARRAY_LEN(verbs); i++)
        if (strcmp(verbs[i].method, method) == 0)
            return has_name ? verbs[i].one : verbs[i].many;
    AUTO_FREE char *lower = str_lower(method);
    return arena_strdup(a, lower);
}

/* Names that may stand in a path (apimachinery's path validation). */
static bool
name_fits_path(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strpbrk(name, "/%");
}

/* Lists that select one object by its name are authorized as that object (upstream's requestinfo). */
static void
name_from_selector(struct arena *a, struct request_info *info)
{
    static const char field[] = "metadata.name=";

    for (const char *at = str_safe(request_param(info, "fieldSelector")); *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        if (strncmp(at, field, strlen(field)) == 0) {
            const char *value = at + strlen(field) + (at[strlen(field)] == '=');
            const char *name = arena_strndup(a, value, (size_t)(at + len - value));
            if (name_fits_path(name))
                info->name = name;
            return;
        }
        at += len;
    }
}

struct segments { /* decoded one by one, so that an encoded slash stays in its segment */
    char *text[SEGMENTS_MAX];
    const char *behind[SEGMENTS_MAX]; /* the rest of the path as it came */
    unsigned n;                       /* a longer path has its tail in the last `behind` */
};

static bool
split_path(struct arena *a, const char *path, struct segments *ret)
{
    ret->n = 0;
    for (const char *at = path + strspn(path, "/"); *at && ret->n < SEGMENTS_MAX; at += strspn(at, "/")) {
        size_t len = strcspn(at, "/");
        char *text = decode(a, at, len, false);
        if (!text)
            return false;
        at += len;
        ret->behind[ret->n] = at;
        ret->text[ret->n++] = text;
    }
    return true;
}

static void
split_resource(struct arena *a, const char *method, const struct segments *s, unsigned at, struct request_info *info)
{
    char *const *seg = s->text;
    unsigned n = s->n;
    bool watch_prefix = at < n && strcmp(seg[at], "watch") == 0 && n > at + 1;
    bool proxy_prefix = at < n && strcmp(seg[at], "proxy") == 0 && n > at + 1;

    if (watch_prefix || proxy_prefix)
        at++;
    if (at + 1 < n && strcmp(seg[at], "namespaces") == 0) {
        info->ns = seg[at + 1];
        /* /namespaces/x and its own subresources are about the namespace; anything else lies in it */
        if (at + 2 < n && strcmp(seg[at + 2], "status") != 0 && strcmp(seg[at + 2], "finalize") != 0)
            at += 2;
    }
    info->is_resource = true;
    info->resource = seg[at];
    info->name = at + 1 < n ? seg[at + 1] : "";
    info->subresource = at + 2 < n ? seg[at + 2] : "";
    /* What follows a proxy subresource is passed on as it came. */
    info->rest = strcmp(info->subresource, "proxy") == 0 ? s->behind[at + 2] : "";
    info->verb = verb_of(a, method, *info->name, true);
    if (proxy_prefix)
        info->verb = "proxy";
    bool watching = watch_prefix || (str_eq(info->verb, "list") && request_param_bool(info, "watch"));
    if (str_eq(info->verb, "list") || str_eq(info->verb, "deletecollection") || watching) {
        if (!*info->name)
            name_from_selector(a, info);
    }
    if (watching)
        info->verb = "watch";
}

struct kerr *
request_info_parse(struct arena *a, const char *method, const char *path, const char *query, struct request_info *ret)
{
    struct request_info info = { .api_prefix = "", .api_group = "", .api_version = "", .ns = "", .resource = "",
                                 .subresource = "", .name = "", .rest = "" };
    struct segments s;
    struct kerr *err = parse_query(a, query, &info);

    if (err)
        return err;
    info.path = decode(a, path, strlen(path), false);
    if (!info.path)
        return kerr_new(KERR_BAD_REQUEST, "invalid URL escape in the path");
    info.has_trailing_slash = str_has_suffix(path, "/");
    if (!split_path(a, path, &s))
        return kerr_new(KERR_BAD_REQUEST, "invalid URL escape in the path");
    char *const *seg = s.text;
    unsigned n = s.n;
    info.verb = verb_of(a, method, false, false);
    if (n >= 1 && (strcmp(seg[0], "api") == 0 || strcmp(seg[0], "apis") == 0)) {
        bool core = strcmp(seg[0], "api") == 0;
        unsigned version_at = core ? 1 : 2;
        info.api_prefix = core ? "api" : "apis";
        if (!core && n > 1)
            info.api_group = seg[1];
        if (n > version_at)
            info.api_version = seg[version_at];
        if (n > version_at + 1)
            split_resource(a, method, &s, version_at + 1, &info);
    }
    *ret = info;
    return NULL;
}

const char *
request_param(const struct request_info *info, const char *key)
{
    for (unsigned i = 0; i < info->nparams; i++)
        if (strcmp(info->params[i].key, key) == 0)
            return info->params[i].value;
    return NULL;
}

bool
request_param_bool(const struct request_info *info, const char *key)
{
    const char *value = request_param(info, key);

    /* An empty value ("?watch") counts as given and true, as in apimachinery's conversion. */
    return value && strcmp(value, "0") != 0 && strcasecmp(value, "false") != 0;
}
