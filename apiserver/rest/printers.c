// SPDX-License-Identifier: Apache-2.0
#include "apiserver/rest/printers.h"

#include <string.h>

#include "apiserver/rest/printers_table.h"
#include "common/api/codec.h"
#include "common/api/values.h"

static void
separate(struct sbuf *cells)
{
    /* Cells follow an opening bracket or another cell. */
    if (cells->len && cells->s[cells->len - 1] != '[')
        sbuf_addc(cells, ',');
}

void
cell_string(struct sbuf *cells, const char *s)
{
    separate(cells);
    json_add_string(cells, str_safe(s));
}

void
cell_int(struct sbuf *cells, int64_t n)
{
    separate(cells);
    sbuf_add_i64(cells, n);
}

void
cell_bool(struct sbuf *cells, bool b)
{
    separate(cells);
    sbuf_adds(cells, b ? "true" : "false");
}

void
cell_null(struct sbuf *cells)
{
    separate(cells);
    sbuf_adds(cells, "null");
}

/* The steps of k8s.io/apimachinery/pkg/util/duration.HumanDuration. */
void
human_duration(int64_t s, struct sbuf *out)
{
    int64_t m = s / 60, h = m / 60, d = h / 24, y = d / 365;

    if (s < -1)
        sbuf_adds(out, "<invalid>");
    else if (s < 0)
        sbuf_adds(out, "0s");
    else if (s < 120)
        sbuf_addf(out, "%llds", (long long)s);
    else if (m < 10 && s % 60)
        sbuf_addf(out, "%lldm%llds", (long long)m, (long long)(s % 60));
    else if (m < 180)
        sbuf_addf(out, "%lldm", (long long)m);
    else if (h < 8 && m % 60)
        sbuf_addf(out, "%lldh%lldm", (long long)h, (long long)(m % 60));
    else if (h < 48)
        sbuf_addf(out, "%lldh", (long long)h);
    else if (h < 192 && h % 24)
        sbuf_addf(out, "%lldd%lldh", (long long)d, (long long)(h % 24));
    else if (d < 365 * 2)
        sbuf_addf(out, "%lldd", (long long)d);
    else if (d < 365 * 8 && d % 365)
        sbuf_addf(out, "%lldy%lldd", (long long)y, (long long)(d % 365));
    else
        sbuf_addf(out, "%lldy", (long long)y);
}

void
cell_age(struct sbuf *cells, struct api_time since, int64_t now_s)
{
    AUTO_SBUF text = { 0 };

    if (api_time_is_zero(since))
        sbuf_adds(&text, "<unknown>");
    else
        human_duration(now_s - api_time_unix(since), &text);
    cell_string(cells, sbuf_str(&text));
}

static void
plain_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    cell_string(cells, object_name(obj));
    cell_age(cells, object_meta(obj)->creation_timestamp, now_s);
}

static const struct print_column plain_columns[] = {
    { "Name", "string", "name", "The name of the object, unique in its namespace.", 0 },
    { "Age", "string", "", "How long ago the object was created.", 0 },
};
static const struct printer plain = { "", "", plain_columns, ARRAY_LEN(plain_columns), plain_row };

static const struct printer *
find(const struct printer *rows, size_t n, const struct api_kind *kind)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].kind, kind->kind) == 0 && strcmp(rows[i].group, kind->group) == 0)
            return &rows[i];
    return NULL;
}

const struct printer *
printer_of(const struct api_kind *kind)
{
    const struct printer *p = find(printers_core, printers_core_len, kind);

    if (!p)
        p = find(printers_more, printers_more_len, kind);
    return p ? p : &plain;
}
