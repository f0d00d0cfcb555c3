// SPDX-License-Identifier: Apache-2.0
/* The texts of upstream's field errors: "<type>: <value>: <detail>". */
#include "apiserver/registry/field_path.h"

#include "common/api/codec.h"

void
path_print(const struct path *p, struct sbuf *out)
{
    if (!p)
        return;
    path_print(p->up, out);
    if (!p->name)
        sbuf_addf(out, "[%u]", p->index);
    else if (p->key)
        sbuf_addf(out, "[%s]", p->name);
    else {
        if (p->up && out->len > 0)
            sbuf_addc(out, '.');
        sbuf_adds(out, p->name);
    }
}

unsigned
findings_count(const struct findings *f)
{
    return f->err ? f->err->ncauses + f->dropped : 0;
}

static void
add(struct findings *f, const struct path *p, const char *type, const struct sbuf *body)
{
    AUTO_SBUF field = { 0 };

    if (findings_count(f) >= FINDINGS_MAX) {
        f->dropped++;
        return;
    }
    if (!f->err)
        f->err = kerr_new(KERR_INVALID, "%s", "");
    path_print(p, &field);
    kerr_add_cause(f->err, type, sbuf_str(&field), "%s", sbuf_str(body));
}

static void
add_detail(struct sbuf *body, const char *detail)
{
    if (detail && *detail) {
        sbuf_adds(body, ": ");
        sbuf_adds(body, detail);
    }
}

static void
add_detail_vf(struct sbuf *body, const char *fmt, va_list ap)
{
    if (*fmt) {
        sbuf_adds(body, ": ");
        sbuf_addvf(body, fmt, ap);
    }
}

void
find_required(struct findings *f, const struct path *p, const char *detail)
{
    AUTO_SBUF body = { 0 };

    sbuf_adds(&body, "Required value");
    add_detail(&body, detail);
    add(f, p, "FieldValueRequired", &body);
}

void
find_invalid(struct findings *f, const struct path *p, const char *value, const char *detail_fmt, ...)
{
    AUTO_SBUF body = { 0 };
    va_list ap;

    sbuf_adds(&body, "Invalid value: ");
    sbuf_add_quoted(&body, value);
    va_start(ap, detail_fmt);
    add_detail_vf(&body, detail_fmt, ap);
    va_end(ap);
    add(f, p, "FieldValueInvalid", &body);
}

void
find_invalid_int(struct findings *f, const struct path *p, int64_t value, const char *detail_fmt, ...)
{
    AUTO_SBUF body = { 0 };
    va_list ap;

    sbuf_addf(&body, "Invalid value: %lld", (long long)value);
    va_start(ap, detail_fmt);
    add_detail_vf(&body, detail_fmt, ap);
    va_end(ap);
    add(f, p, "FieldValueInvalid", &body);
}

void
find_invalid_raw(struct findings *f, const struct path *p, const char *json, const char *detail)
{
    AUTO_SBUF body = { 0 };

    sbuf_addf(&body, "Invalid value: %s", json);
    add_detail(&body, detail);
    add(f, p, "FieldValueInvalid", &body);
}

void
find_invalid_bool(struct findings *f, const struct path *p, bool value, const char *detail)
{
    find_invalid_raw(f, p, value ? "true" : "false", detail);
}

void
find_invalid_null(struct findings *f, const struct path *p, const char *detail)
{
    find_invalid_raw(f, p, "null", detail);
}

void
find_invalid_struct(struct findings *f, const struct path *p, const struct api_type *type, const void *value, const char *detail)
{
    AUTO_SBUF json = { 0 };

    if (value)
        json_encode(type, value, &json);
    find_invalid_raw(f, p, value ? sbuf_str(&json) : "null", detail);
}

void
find_invalid_list(struct findings *f, const struct path *p, const struct string_slice *value, const char *detail_fmt, ...)
{
    AUTO_SBUF body = { 0 };
    va_list ap;

    sbuf_adds(&body, "Invalid value: ");
    sbuf_adds(&body, value->items ? "[" : "null");
    for (uint32_t i = 0; i < value->len; i++) {
        if (i)
            sbuf_addc(&body, ',');
        json_add_string(&body, value->items[i]);
    }
    if (value->items)
        sbuf_addc(&body, ']');
    va_start(ap, detail_fmt);
    add_detail_vf(&body, detail_fmt, ap);
    va_end(ap);
    add(f, p, "FieldValueInvalid", &body);
}

void
find_invalid_map(struct findings *f, const struct path *p, const struct string_map *value, const char *detail)
{
    AUTO_SBUF json = { 0 };

    sbuf_adds(&json, value->items ? "{" : "null");
    for (uint32_t i = 0; i < value->len; i++) {
        if (i)
            sbuf_addc(&json, ',');
        json_add_string(&json, value->items[i].key);
        sbuf_addc(&json, ':');
        json_add_string(&json, value->items[i].value);
    }
    if (value->items)
        sbuf_addc(&json, '}');
    find_invalid_raw(f, p, sbuf_str(&json), detail);
}

void
find_unsupported(struct findings *f, const struct path *p, const char *value, const char *const *supported)
{
    AUTO_SBUF body = { 0 };

    sbuf_adds(&body, "Unsupported value: ");
    sbuf_add_quoted(&body, value);
    for (unsigned i = 0; supported[i]; i++) {
        sbuf_adds(&body, i ? ", " : ": supported values: ");
        sbuf_add_quoted(&body, supported[i]);
    }
    add(f, p, "FieldValueNotSupported", &body);
}

void
find_unsupported_raw(struct findings *f, const struct path *p, const char *json, const char *detail)
{
    AUTO_SBUF body = { 0 };

    sbuf_addf(&body, "Unsupported value: %s", json);
    add_detail(&body, detail);
    add(f, p, "FieldValueNotSupported", &body);
}

void
find_duplicate_raw(struct findings *f, const struct path *p, const char *json, const char *detail)
{
    AUTO_SBUF body = { 0 };

    sbuf_addf(&body, "Duplicate value: %s", json);
    add_detail(&body, detail);
    add(f, p, "FieldValueDuplicate", &body);
}

void
find_duplicate(struct findings *f, const struct path *p, const char *value)
{
    AUTO_SBUF quoted = { 0 };

    sbuf_add_quoted(&quoted, value);
    find_duplicate_raw(f, p, sbuf_str(&quoted), "");
}

void
find_duplicate_int(struct findings *f, const struct path *p, int64_t value)
{
    AUTO_SBUF number = { 0 };

    sbuf_add_i64(&number, value);
    find_duplicate_raw(f, p, sbuf_str(&number), "");
}

void
find_not_found(struct findings *f, const struct path *p, const char *value, const char *detail)
{
    AUTO_SBUF body = { 0 };

    sbuf_adds(&body, "Not found: ");
    sbuf_add_quoted(&body, value);
    add_detail(&body, detail);
    add(f, p, "FieldValueNotFound", &body);
}

void
find_forbidden(struct findings *f, const struct path *p, const char *detail_fmt, ...)
{
    AUTO_SBUF body = { 0 };
    va_list ap;

    sbuf_adds(&body, "Forbidden");
    va_start(ap, detail_fmt);
    add_detail_vf(&body, detail_fmt, ap);
    va_end(ap);
    add(f, p, "FieldValueForbidden", &body);
}

void
find_too_long(struct findings *f, const struct path *p, uint32_t max_bytes)
{
    AUTO_SBUF body = { 0 };

    sbuf_addf(&body, "Too long: may not be more than %u byte%s", max_bytes, max_bytes == 1 ? "" : "s");
    add(f, p, "FieldValueTooLong", &body);
}

void
find_too_many(struct findings *f, const struct path *p, uint32_t have, uint32_t max)
{
    AUTO_SBUF body = { 0 };

    sbuf_addf(&body, "Too many: %u: must have at most %u item%s", have, max, max == 1 ? "" : "s");
    add(f, p, "FieldValueTooMany", &body);
}
