// SPDX-License-Identifier: Apache-2.0
#include "apiserver/rest/read.h"

#include <event2/buffer.h>
#include <inttypes.h>

#include "apiserver/rest/component_status.h"
#include "apiserver/rest/encode.h"
#include "apiserver/rest/read_internal.h"
#include "apiserver/rest/write.h"
#include "apiserver/storage/continue_token.h"
#include "common/base/str.h"
#include "common/net/loop.h"

#define REFERENCE_FROM 1024 /* bytes: smaller records are copied, that is cheaper than a chain of tiny pieces */

/* --- parameters --- */

static struct kerr *
invalid_option(const char *field, const char *text)
{
    struct kerr *err = kerr_new(KERR_INVALID, "ListOptions.meta.k8s.io \"\" is invalid: %s: %s", field, text);

    kerr_add_cause(err, "FieldValueForbidden", field, "%s", text);
    return kerr_about(err, "meta.k8s.io", "ListOptions", NULL);
}

static struct kerr *
number_param(const struct api_request *r, const char *key, int64_t *ret)
{
    const char *text = request_param(&r->info, key);

    if (str_empty(text))
        return NULL;
    if (parse_i64(text, ret) != 0)
        return kerr_new(KERR_BAD_REQUEST, "invalid value for query parameter %s: \"%s\" is no integer", key, text);
    return NULL;
}

static struct kerr *
read_resource_version(const struct api_request *r, struct read_options *o)
{
    const char *text = request_param(&r->info, "resourceVersion");
    uint64_t n = 0;

    o->rv_given = !str_empty(text);
    if (o->rv_given && (parse_u64(text, &n) != 0 || n > INT64_MAX))
        return kerr_new(KERR_BAD_REQUEST, "resourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": invalid syntax", text, text);
    o->resource_version = (int64_t)n;
    return NULL;
}

static struct kerr *
read_match(const struct api_request *r, struct read_options *o)
{
    const char *text = request_param(&r->info, "resourceVersionMatch");

    o->match_given = !str_empty(text);
    if (!o->match_given)
        return NULL;
    if (str_eq(text, "NotOlderThan"))
        o->match = STORE_RV_NOT_OLDER;
    else if (str_eq(text, "Exact"))
        o->match = STORE_RV_EXACT;
    else
        return invalid_option("resourceVersionMatch", "Unsupported value: supported values: \"Exact\", \"NotOlderThan\", \"\"");
    return NULL;
}

/* Upstream's rules of which parameters go together. */
static struct kerr *
check_list_options(const struct read_options *o)
{
    if (o->send_initial >= 0)
        return invalid_option("sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list");
    if (!o->match_given)
        return NULL;
    if (!o->rv_given)
        return invalid_option("resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (*o->continue_token)
        return invalid_option("resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden when continue is provided");
    if (o->match == STORE_RV_EXACT && o->resource_version == 0)
        return invalid_option("resourceVersionMatch",
                              "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    return NULL;
}

static struct kerr *
check_watch_options(const struct read_options *o)
{
    if (o->send_initial >= 0 && o->match != STORE_RV_NOT_OLDER)
        return invalid_option("resourceVersionMatch",
                              "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    if (o->match_given && o->send_initial < 0)
        return invalid_option("resourceVersionMatch",
                              "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
    if (*o->continue_token)
        return invalid_option("continue", "Forbidden: continue is forbidden for watch");
    return NULL;
}

struct kerr *
read_options_of(const struct api_request *r, bool watch, struct read_options *ret)
{
    const char *initial = request_param(&r->info, "sendInitialEvents");
    struct kerr *err;

    *ret = (struct read_options){ .continue_token = str_safe(request_param(&r->info, "continue")),
                                  .bookmarks = request_param_bool(&r->info, "allowWatchBookmarks"),
                                  .send_initial = initial ? request_param_bool(&r->info, "sendInitialEvents") : -1 };
    err = read_resource_version(r, ret);
    if (!err)
        err = read_match(r, ret);
    if (!err)
        err = number_param(r, "limit", &ret->limit);
    if (!err)
        err = number_param(r, "timeoutSeconds", &ret->timeout_s);
    if (!err && ret->limit < 0)
        ret->limit = 0;
    if (!err)
        err = watch ? check_watch_options(ret) : check_list_options(ret);
    if (!err && !watch && ret->limit && !ret->match_given && ret->resource_version && !*ret->continue_token)
        ret->match = STORE_RV_EXACT; /* upstream's legacy rule: a limit with a revision means exactly that one */
    return err;
}

/* --- selectors --- */

struct field_source {
    const struct record *rec;
    const struct record_shape *shape;
};

static const char *
field_of(const void *arg, const char *field)
{
    const struct field_source *src = arg;

    return record_field(src->rec, src->shape, field);
}

static bool
selection_matches(const struct record *rec, const void *ctx)
{
    const struct selection *sel = ctx;
    struct field_source src = { rec, sel->shape };

    return (!sel->labels || label_query_matches(sel->labels, &rec->labels)) &&
           (!sel->fields || field_query_matches(sel->fields, field_of, &src));
}

static struct kerr *
check_fields(const struct api_request *r, const struct field_query *q)
{
    const struct record_shape *shape = &r->resource->storage.shape;

    for (uint32_t i = 0; i < q->len; i++) {
        const char *field = q->items[i].field;
        bool known = str_eq(field, "metadata.name") || str_eq(field, "metadata.namespace");

        for (uint32_t k = 0; !known && k < shape->nfields; k++)
            known = str_eq(field, shape->fields[k].name);
        if (!known && shape->nfields)
            return kerr_new(KERR_BAD_REQUEST, "field label not supported: %s", field);
        if (!known)
            return kerr_new(KERR_BAD_REQUEST, "\"%s\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", field);
    }
    return NULL;
}

/* What the store can look up by itself. */
static void
narrow(const struct api_request *r, const struct field_query *q, struct record_filter *f)
{
    const struct record_shape *shape = &r->resource->storage.shape;
    int index = store_resource(r->resource->store)->index_field;

    f->name = str_or(f->name, field_query_exact(q, "metadata.name"));
    if (str_empty(f->ns) && shape->namespaced)
        f->ns = field_query_exact(q, "metadata.namespace");
    if (index >= 0 && (uint32_t)index < shape->nfields)
        f->index_value = field_query_exact(q, shape->fields[index].name);
}

struct kerr *
read_filter(struct api_request *r, struct record_filter *ret)
{
    const char *labels = request_param(&r->info, "labelSelector"), *fields = request_param(&r->info, "fieldSelector");
    struct selection *sel = ARENA_NEW(r->arena, struct selection);
    struct kerr *err;

    *ret = (struct record_filter){ .ns = r->resource->kind->namespaced ? r->info.ns : NULL, .name = r->info.name };
    sel->shape = &r->resource->storage.shape;
    if (!str_empty(labels)) {
        err = label_query_parse(labels, r->arena, &sel->labels);
        if (err)
            return err;
        if (label_query_empty(sel->labels))
            sel->labels = NULL;
    }
    if (!str_empty(fields)) {
        err = field_query_parse(fields, r->arena, &sel->fields);
        if (!err)
            err = check_fields(r, sel->fields);
        if (err)
            return err;
        narrow(r, sel->fields, ret);
        if (field_query_empty(sel->fields))
            sel->fields = NULL;
    }
    if (sel->labels || sel->fields) {
        ret->match = selection_matches;
        ret->ctx = sel;
    }
    return NULL;
}

/* --- waiting until memory is new enough --- */

struct wait_state {
    struct api_request *r;
    void (*next)(struct api_request *r, void *arg);
    void *arg;
    void (*give_up)(void *arg);
    struct kerr *err;
};

static void
after_wait(void *arg)
{
    struct wait_state *w = arg;
    struct wait_state now = *w;

    free(w);
    if (now.err) {
        if (now.give_up)
            now.give_up(now.arg);
        request_fail(now.r, now.err);
    } else {
        now.next(now.r, now.arg);
    }
}

/* On a storage thread, or at once. */
static void
on_new_enough(void *arg, struct kerr *err)
{
    struct wait_state *w = arg;

    w->err = err;
    loop_post(http_stream_loop(w->r->stream), after_wait, w);
}

void
read_when_new_enough(struct api_request *r, int64_t revision, void (*next)(struct api_request *r, void *arg), void *arg,
                     void (*give_up)(void *arg))
{
    struct wait_state *w;

    if (revision > 0 && storage_revision(r->srv->storage) >= revision) {
        next(r, arg);
        return;
    }
    w = XNEW(struct wait_state);
    *w = (struct wait_state){ r, next, arg, give_up, NULL };
    if (revision > 0)
        storage_when_reached(r->srv->storage, revision, on_new_enough, w);
    else
        storage_when_fresh(r->srv->storage, on_new_enough, w);
}

/* --- answers --- */

static void
unref_record(const void *data, size_t len, void *arg)
{
    record_unref(arg);
}

void
read_add_record(struct evbuffer *out, const struct record *rec, bool comma)
{
    const char *from = rec->json - comma;
    size_t len = rec->json_len + comma;

    if (len < REFERENCE_FROM || evbuffer_add_reference(out, from, len, unref_record, record_ref(rec)) != 0)
        evbuffer_add(out, from, len);
}

static void
reply_buffer(struct api_request *r, struct evbuffer *body)
{
    struct http_header headers[REQUEST_HEADERS_MAX];
    size_t n = request_headers(r, media_type(&r->media), headers);

    r->code = 200;
    if (r->media.pretty || request_param_bool(&r->info, "pretty")) { /* for people, who can wait for the copy */
        AUTO_SBUF text = { 0 };

        sbuf_add(&text, (const char *)evbuffer_pullup(body, -1), evbuffer_get_length(body));
        request_prettify(r, media_type(&r->media), &text);
        evbuffer_drain(body, evbuffer_get_length(body));
        evbuffer_add(body, text.s, text.len);
    }
    http_reply_buffer(r->stream, 200, headers, n, body);
    request_done(r);
}

static void
reply_encoded(struct api_request *r, struct kerr *err, struct sbuf *body)
{
    if (!err) {
        request_reply(r, 200, media_type(&r->media), body);
        return;
    }
    sbuf_done(body);
    request_fail(r, err);
}

/* Takes rec. */
static void
reply_record(struct api_request *r, struct record *rec)
{
    struct sbuf body = { 0 };

    if (rec->broken) {
        struct kerr *err = kerr_new(KERR_INTERNAL, "unable to decode the stored value of %s \"%s\": it is no object", r->info.resource, rec->key);

        record_unref(rec);
        request_fail(r, err);
    } else if (encode_is_plain(&r->media, r->resource)) {
        struct evbuffer *out = evbuffer_new();

        read_add_record(out, rec, false);
        evbuffer_add_reference(out, "\n", 1, NULL, NULL);
        record_unref(rec);
        reply_buffer(r, out);
    } else {
        struct kerr *err = encode_record(&r->media, r->resource, rec, &body);

        record_unref(rec);
        reply_encoded(r, err, &body);
    }
}

static void
add_list_head(const struct api_request *r, const struct list_head_out *head, struct sbuf *out)
{
    const struct api_kind *k = r->resource->kind;

    sbuf_addf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"%" PRId64 "\"", r->resource->list_kind,
              api_kind_api_version(k), head->revision);
    if (!str_empty(head->continue_token))
        sbuf_addf(out, ",\"continue\":\"%s\"", head->continue_token);
    if (head->remaining >= 0 && !str_empty(head->continue_token))
        sbuf_addf(out, ",\"remainingItemCount\":%" PRId64, head->remaining);
    sbuf_adds(out, "},\"items\":[");
}

static void
reply_list(struct api_request *r, struct record *const *items, size_t n, const struct list_head_out *head)
{
    struct sbuf text = { 0 };

    if (encode_is_plain(&r->media, r->resource)) {
        struct evbuffer *out = evbuffer_new();

        add_list_head(r, head, &text);
        evbuffer_add(out, text.s, text.len);
        sbuf_done(&text);
        for (size_t i = 0; i < n; i++)
            read_add_record(out, items[i], i > 0);
        evbuffer_add_reference(out, "]}\n", 3, NULL, NULL);
        reply_buffer(r, out);
    } else {
        struct kerr *err = encode_list(&r->media, r->resource, items, n, head, str_safe(request_param(&r->info, "includeObject")), &text);

        reply_encoded(r, err, &text);
    }
}

/* --- get --- */

static struct kerr *
not_stored(const struct api_request *r)
{
    return kerr_not_found(r->info.api_group, r->info.resource, r->info.name);
}

static void
get_now(struct api_request *r, void *arg)
{
    struct record *rec = store_get(r->resource->store, r->info.ns, r->info.name);

    if (!rec)
        request_fail(r, not_stored(r));
    else if (r->subresource && str_eq(r->subresource->name, "scale"))
        write_sub_get_scale(r, rec);
    else
        reply_record(r, rec);
}

/* From here: etcd's now unless the client is content with less. */
static void
run_when_asked(struct api_request *r, const struct read_options *o, void (*next)(struct api_request *r, void *arg), void *arg)
{
    if (o->rv_given && o->resource_version == 0 && storage_ready(r->srv->storage))
        next(r, arg);
    else
        read_when_new_enough(r, o->resource_version, next, arg, NULL);
}

void
rest_read_get(struct api_request *r)
{
    struct read_options o = { .continue_token = "" };
    struct kerr *err;

    if (!r->resource->store) { /* the only kind that can be read and is not stored */
        component_status_read(r);
        return;
    }
    err = read_resource_version(r, &o);
    if (err)
        request_fail(r, err);
    else
        run_when_asked(r, &o, get_now, NULL);
}

/* --- list --- */

struct list_read { /* in the request's arena */
    struct store_list_opts opts;
};

static void
answer_list(struct api_request *r, struct store_list *l)
{
    struct list_head_out head = { l->revision, l->continue_token, l->remaining };

    reply_list(r, l->items, l->len, &head);
    store_list_done(l);
}

struct old_list_job {
    struct api_request *r;
    struct list_read *lr;
};

static void
list_from_etcd(void *arg) /* on a writer thread */
{
    struct old_list_job job = *(struct old_list_job *)arg;
    struct store_list l;
    struct kerr *err;

    free(arg);
    err = store_list_old(job.r->resource->store, &job.lr->opts, &l);
    if (err)
        request_fail(job.r, err);
    else
        answer_list(job.r, &l);
}

static void
list_now(struct api_request *r, void *arg)
{
    struct list_read *lr = arg;
    struct store_list l;
    bool old = false;
    struct kerr *err = store_get_list(r->resource->store, &lr->opts, &l, &old);

    if (err) {
        request_fail(r, err);
    } else if (!old) {
        answer_list(r, &l);
    } else {
        struct old_list_job *job = XNEW(struct old_list_job);

        *job = (struct old_list_job){ r, lr };
        if (pool_submit(r->srv->writers, list_from_etcd, job) != 0) {
            free(job);
            request_fail(r, kerr_retry_after(kerr_new(KERR_TOO_MANY_REQUESTS, "too many requests, please try again later"), 1));
        }
    }
}

/* The revision a token asks for; 0: now. */
static int64_t
token_revision(const char *token)
{
    AUTO_FREE char *start = NULL;
    int64_t revision = 0;
    bool after;

    if (*token)
        kerr_free(continue_token_read(token, &revision, &start, &after)); /* a bad one is told by the list itself */
    return revision > 0 ? revision : 0;
}

void
rest_read_list(struct api_request *r)
{
    struct list_read *lr = ARENA_NEW(r->arena, struct list_read);
    struct read_options o;
    struct kerr *err;

    if (!r->resource->store) {
        component_status_read(r);
        return;
    }
    err = read_options_of(r, false, &o);
    if (!err)
        err = read_filter(r, &lr->opts.filter);
    if (err) {
        request_fail(r, err);
        return;
    }
    lr->opts.limit = o.limit;
    lr->opts.continue_token = o.continue_token;
    lr->opts.resource_version = o.resource_version;
    lr->opts.match = o.match;
    if (*o.continue_token)
        read_when_new_enough(r, token_revision(o.continue_token), list_now, lr, NULL);
    else
        run_when_asked(r, &o, list_now, lr);
}

/* --- for the write path --- */

static struct kerr *
collect(struct store *s, const struct record_filter *filter, struct record ***ret, size_t *ret_n)
{
    struct store_list_opts opts = { .filter = *filter };
    struct store_list l;
    bool old;
    struct kerr *err = store_get_list(s, &opts, &l, &old);

    if (err)
        return err;
    *ret = l.items;
    *ret_n = l.len;
    return NULL;
}

struct kerr *
rest_read_collect(struct api_request *r, struct record ***ret, size_t *ret_n)
{
    struct record_filter filter;
    struct kerr *err;

    if (!r->resource->store)
        return not_stored(r);
    err = read_filter(r, &filter);
    if (!err)
        err = storage_wait_fresh(r->srv->storage);
    return err ? err : collect(r->resource->store, &filter, ret, ret_n);
}

void
rest_read_answer_one(struct api_request *r, struct record *rec)
{
    reply_record(r, rec);
}

void
rest_read_answer_collected(struct api_request *r, struct record *const *list, size_t n)
{
    struct list_head_out head = { storage_revision(r->srv->storage), NULL, -1 };

    reply_list(r, list, n, &head);
}

struct kerr *
rest_read_records(const struct resource *res, const struct record_filter *filter, struct record ***ret, size_t *ret_n)
{
    return collect(res->store, filter, ret, ret_n);
}
