// SPDX-License-Identifier: Apache-2.0
/* Whole documents: an object that names its kind, and lists of objects. */
#include "common/api/codec.h"

#include <assert.h>

#include "common/api/json_scan.h"
#include "common/api/object_impl.h"

/* What a decoded object takes beside its struct, per byte of JSON: enough for most in one chunk, what is over goes into
 * small ones. */
static struct arena *
arena_for(const struct api_kind *kind, size_t len)
{
    return arena_new_stepped(kind->type->size + len / 2 + len / 8, 256 + len / 16);
}

/* kind and apiVersion of a document, as far as they are there. */
struct head {
    char *api_version, *kind;
};

static void
head_done(struct head *h)
{
    free(h->api_version);
    free(h->kind);
}

static void
take_text(struct json_scan *s, char **ret)
{
    struct json_text t;

    if (json_peek(s) != '"') {
        json_skip_value(s);
        return;
    }
    if (!json_scan_string(s, &t))
        return;
    free(*ret);
    *ret = xmalloc(JSON_UNESCAPED_MAX(t.len) + 1);
    (*ret)[json_unescape(t.s, t.len, *ret)] = '\0';
}

/* Stops as soon as both are found; what follows is checked by the decoder. */
static struct kerr *
read_head(const char *json, size_t len, struct head *ret)
{
    struct json_scan s = json_scan_init(json, len);
    struct json_text key;

    if (json_peek(&s) != '{') {
        if (!json_skip_value(&s))
            return json_scan_error(&s);
        return kerr_new(KERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type struct { APIVersion string; Kind string }",
                        *s.start == '[' ? "array" : "value");
    }
    if (json_enter(&s, '}'))
        do {
            if (!json_scan_key(&s, &key))
                break;
            if (json_text_eq(&key, "apiVersion"))
                take_text(&s, &ret->api_version);
            else if (json_text_eq(&key, "kind"))
                take_text(&s, &ret->kind);
            else
                json_skip_value(&s);
        } while (!s.problem && !(ret->api_version && ret->kind) && json_next(&s, '}'));
    return s.problem ? json_scan_error(&s) : NULL;
}

/* The start of the document, for messages. */
static char *
summary(const char *json, size_t len)
{
    enum { SHOWN = 30 };

    if (!len)
        return xstrdup("<empty>");
    return xasprintf("%.*s%s", (int)(len < SHOWN ? len : SHOWN), json, len > SHOWN ? " ..." : "");
}

static struct kerr *
kind_of_head(const struct head *h, const char *json, size_t len, const struct api_kind **ret)
{
    if (str_empty(h->kind)) {
        AUTO_FREE char *text = summary(json, len);
        return kerr_new(KERR_BAD_REQUEST, "Object 'Kind' is missing in '%s'", text);
    }
    if (str_empty(h->api_version)) {
        AUTO_FREE char *text = summary(json, len);
        return kerr_new(KERR_BAD_REQUEST, "Object 'apiVersion' is missing in '%s'", text);
    }
    *ret = api_kind_find(h->api_version, h->kind);
    if (!*ret)
        return kerr_new(KERR_BAD_REQUEST, "no kind \"%s\" is registered for version \"%s\"", h->kind, h->api_version);
    return NULL;
}

/* A document for a known kind may leave kind and apiVersion out, but not name others. */
static struct kerr *
check_head(const struct head *h, const struct api_kind *kind)
{
    const char *named = str_or(h->kind, kind->kind);
    const char *version = str_or(h->api_version, api_kind_api_version(kind));

    if (api_kind_find(version, named) == kind)
        return NULL;
    if (!str_eq(version, api_kind_api_version(kind)))
        return kerr_new(KERR_BAD_REQUEST, "the API version in the data (%s) does not match the expected API version (%s)",
                        version, api_kind_api_version(kind));
    return kerr_new(KERR_BAD_REQUEST, "%s in version \"%s\" cannot be handled as a %s: unknown conversion", named,
                    kind->version, kind->kind);
}

struct kerr *
object_decode_json(const char *json, size_t len, const struct api_kind *kind, struct codec_report *report,
                   struct object **ret)
{
    struct head h = { 0 };
    struct kerr *err = read_head(json, len, &h);

    if (err && kind) {
        AUTO_FREE char *text = summary(json, len);
        AUTO_FREE char *why = steal_ptr(err->message);
        err->message = xasprintf("the object provided is unrecognized (must be of type %s): couldn't get version/kind; json "
                                 "parse error: %s (%s)", kind->kind, why, text);
    } else if (err) {
        err = kerr_wrap(err, "couldn't get version/kind; json parse error");
    } else {
        err = kind ? check_head(&h, kind) : kind_of_head(&h, json, len, &kind);
    }
    head_done(&h);
    if (err)
        return err;

    assert(kind);
    struct object *obj = object_new_in(kind, arena_for(kind, len));
    err = json_decode(kind->type, object_arena(obj), json, len, report, object_body(obj));
    if (err) {
        object_unref(obj);
        return kerr_wrap(err, "%s in version \"%s\" cannot be handled as a %s", kind->kind, kind->version, kind->kind);
    }
    object_set_type_meta(kind, object_body(obj));
    *ret = obj;
    return NULL;
}

void
object_encode_json(const struct object *obj, struct sbuf *out)
{
    json_encode(object_kind(obj)->type, object_body(obj), out);
}

/* ---- lists ---- */

void
list_head_info_done(struct list_head_info *info)
{
    free(info->resource_version);
    free(info->continue_token);
    *info = (struct list_head_info){ .remaining_item_count = -1 };
}

static void
read_list_meta(struct json_scan *s, struct list_head_info *ret)
{
    struct json_text key, number;

    if (json_peek(s) != '{') {
        json_skip_value(s);
        return;
    }
    if (json_enter(s, '}'))
        do {
            if (!json_scan_key(s, &key))
                return;
            char c = json_peek(s);
            if (json_text_eq(&key, "resourceVersion")) {
                take_text(s, &ret->resource_version);
            } else if (json_text_eq(&key, "continue")) {
                take_text(s, &ret->continue_token);
            } else if (json_text_eq(&key, "remainingItemCount") && c >= '0' && c <= '9') {
                if (!json_scan_number(s, &number))
                    return;
                AUTO_FREE char *text = xstrndup(number.s, number.len);
                if (parse_i64(text, &ret->remaining_item_count) != 0)
                    ret->remaining_item_count = -1;
            } else {
                json_skip_value(s);
            }
        } while (!s->problem && json_next(s, '}'));
}

static struct kerr *
read_item(struct json_scan *s, const struct api_kind *kind, uint32_t index,
          void (*item_fn)(struct object *obj, void *arg), void *arg)
{
    json_peek(s);
    const char *start = s->p;
    if (!json_skip_value(s))
        return NULL; /* the caller reports s->problem */
    size_t len = (size_t)(s->p - start);
    struct object *obj = object_new_in(kind, arena_for(kind, len));
    struct kerr *err = json_decode(kind->type, object_arena(obj), start, len, NULL, object_body(obj));
    if (err) {
        object_unref(obj);
        return kerr_wrap(err, "%sList item %u", kind->kind, index);
    }
    object_set_type_meta(kind, object_body(obj));
    item_fn(obj, arg);
    return NULL;
}

struct kerr *
list_decode_json(const char *json, size_t len, const struct api_kind *item_kind,
                 void (*item_fn)(struct object *obj, void *arg), void *arg, struct list_head_info *ret)
{
    struct json_scan s = json_scan_init(json, len);
    struct list_head_info info = { .remaining_item_count = -1 };
    struct json_text key;
    struct kerr *err = NULL;
    uint32_t n = 0;

    if (json_peek(&s) != '{')
        json_scan_fail(&s, "looking for beginning of a list object");
    else if (json_enter(&s, '}'))
        do {
            if (!json_scan_key(&s, &key))
                break;
            bool items = json_text_eq(&key, "items") && json_peek(&s) == '[';
            if (json_text_eq(&key, "metadata"))
                read_list_meta(&s, &info);
            else if (!items)
                json_skip_value(&s);
            else if (json_enter(&s, ']'))
                do
                    err = read_item(&s, item_kind, n++, item_fn, arg);
                while (!err && !s.problem && json_next(&s, ']'));
        } while (!err && !s.problem && json_next(&s, '}'));
    if (!err && !s.problem)
        json_scan_end(&s);
    if (!err && s.problem)
        err = kerr_wrap(json_scan_error(&s), "%sList", item_kind->kind);
    if (err) {
        list_head_info_done(&info);
        return err;
    }
    *ret = info;
    return NULL;
}
