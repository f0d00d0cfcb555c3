// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "apiserver/registry/validate_parts.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"

struct name_slot {
    uint64_t hash;
    const char *key; /* NULL: free */
    const void *value;
};

void
name_index_done(struct name_index *ix)
{
    free(ix->slots);
    arena_free(ix->keys);
    *ix = (struct name_index){ 0 };
}

static struct name_slot *
find_slot(const struct name_index *ix, const char *key, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (ix->cap - 1);

    while (ix->slots[i].key && (ix->slots[i].hash != hash || strcmp(ix->slots[i].key, key) != 0))
        i = (i + 1) & (ix->cap - 1);
    return &ix->slots[i];
}

static void
grow_index(struct name_index *ix)
{
    struct name_index bigger = { .cap = ix->cap ? ix->cap * 2 : 16, .len = ix->len, .keys = ix->keys };

    bigger.slots = xcalloc(bigger.cap, sizeof *bigger.slots);
    for (uint32_t i = 0; i < ix->cap; i++)
        if (ix->slots[i].key)
            *find_slot(&bigger, ix->slots[i].key, ix->slots[i].hash) = ix->slots[i];
    free(ix->slots);
    *ix = bigger;
}

const void *
name_index_add(struct name_index *ix, const char *key, const void *value)
{
    key = str_safe(key);
    uint64_t hash = hash64(key, strlen(key));

    if (ix->len * 2 >= ix->cap)
        grow_index(ix);
    struct name_slot *slot = find_slot(ix, key, hash);
    if (slot->key)
        return slot->value;
    if (!ix->keys)
        ix->keys = arena_new(256);
    *slot = (struct name_slot){ hash, arena_strdup(ix->keys, key), value };
    ix->len++;
    return NULL;
}

const void *
name_index_get(const struct name_index *ix, const char *key)
{
    key = str_safe(key);
    return ix->len ? find_slot(ix, key, hash64(key, strlen(key)))->value : NULL;
}

void
check_unique(struct findings *f, const struct path *p, struct name_index *ix, const char *key, bool skip_empty)
{
    if (skip_empty && str_empty(key))
        return;
    if (name_index_add(ix, key, ix))
        find_duplicate(f, p, key);
}

void
check_name(struct findings *f, const struct path *p, enum name_rule rule, const char *value)
{
    const char *why[NAME_MAX_ERRORS];
    unsigned n = name_check(rule, value, why);

    for (unsigned i = 0; i < n; i++)
        find_invalid(f, p, value, "%s", why[i]);
}

void
check_optional_name(struct findings *f, const struct path *p, enum name_rule rule, const char *value)
{
    if (!str_empty(value))
        check_name(f, p, rule, value);
}

void
check_required_name(struct findings *f, const struct path *p, enum name_rule rule, const char *value)
{
    if (check_required(f, p, value))
        check_name(f, p, rule, value);
}

bool
check_required(struct findings *f, const struct path *p, const char *value)
{
    if (str_empty(value))
        find_required(f, p, "");
    return !str_empty(value);
}

void
check_nonnegative(struct findings *f, const struct path *p, int64_t value)
{
    if (value < 0)
        find_invalid_int(f, p, value, NEGATIVE_MSG);
}

void
check_nonnegative_ptr(struct findings *f, const struct path *p, const int32_t *value)
{
    if (value)
        check_nonnegative(f, p, *value);
}

void
check_range(struct findings *f, const struct path *p, int64_t value, int64_t min, int64_t max)
{
    if (value < min || value > max)
        find_invalid_int(f, p, value, "must be between %lld and %lld, inclusive", (long long)min, (long long)max);
}

void
check_port(struct findings *f, const struct path *p, int32_t value)
{
    check_range(f, p, value, 1, 65535);
}

void
check_port_or_name(struct findings *f, const struct path *p, struct int_or_string value)
{
    if (value.str)
        check_name(f, p, NAME_PORT, value.str);
    else
        check_port(f, p, value.num);
}

bool
is_one_of(const char *value, const char *const *allowed)
{
    for (; *allowed; allowed++)
        if (str_eq(value, *allowed))
            return true;
    return false;
}

void
check_enum(struct findings *f, const struct path *p, const char *value, const char *const *allowed, bool required)
{
    if (str_empty(value)) {
        if (required)
            find_required(f, p, "");
        return;
    }
    if (!is_one_of(value, allowed))
        find_unsupported(f, p, value, allowed);
}

void
check_protocol(struct findings *f, const struct path *p, const char *value)
{
    static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };

    check_enum(f, p, value, protocols, true);
}

bool
check_ip_ok(struct findings *f, const struct path *p, const char *value)
{
    struct api_ip ip;

    if (api_ip_parse(value, &ip))
        return true;
    find_invalid(f, p, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    return false;
}

void
check_ip(struct findings *f, const struct path *p, const char *value)
{
    (void)check_ip_ok(f, p, value);
}

void
check_non_special_ip(struct findings *f, const struct path *p, const char *value)
{
    static const uint8_t zero[16], one[16] = { [15] = 1 };
    struct api_ip ip;

    if (!api_ip_parse(value, &ip)) {
        find_invalid(f, p, value, "must be a valid IP address");
        return;
    }
    const uint8_t *b = ip.bytes, *v4 = b + 12;
    bool is_v4 = api_ip_is_v4(&ip);
    if (is_v4 ? memcmp(v4, zero, 4) == 0 : memcmp(b, zero, 16) == 0)
        find_invalid(f, p, value, "may not be unspecified (%s)", value);
    if (is_v4 ? v4[0] == 127 : memcmp(b, one, 16) == 0)
        find_invalid(f, p, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    if (is_v4 ? v4[0] == 169 && v4[1] == 254 : b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
        find_invalid(f, p, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    if (is_v4 ? v4[0] == 224 && v4[1] == 0 && v4[2] == 0 : b[0] == 0xff && (b[1] & 0x0f) == 0x02)
        find_invalid(f, p, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

void
check_cidr(struct findings *f, const struct path *p, const char *value)
{
    struct api_ip ip;
    unsigned bits;

    if (!api_cidr_parse(value, &ip, &bits))
        find_invalid(f, p, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
}

void
check_user_id(struct findings *f, const struct path *p, const int64_t *id)
{
    if (id)
        check_range(f, p, *id, 0, UINT32_MAX);
}

void
check_positive_percent_or_int(struct findings *f, const struct path *p, const struct int_or_string *v)
{
    if (!v)
        return;
    if (v->str)
        check_name(f, p, NAME_PERCENT, v->str);
    else
        check_nonnegative(f, p, v->num);
}

void
check_at_most_100_percent(struct findings *f, const struct path *p, const struct int_or_string *v)
{
    int32_t percent;

    if (v && v->str && int_or_string_is_percent(*v) && (int_or_string_scaled(*v, 100, true, &percent) || percent > 100))
        find_invalid(f, p, v->str, "must not be greater than 100%%");
}

bool
int_or_string_is_zero(const struct int_or_string *v)
{
    int32_t n;

    return v && int_or_string_scaled(*v, 100, true, &n) == 0 && n == 0;
}

bool
has_backstep(const char *value)
{
    const char *part;
    size_t len;

    for (unsigned i = 0; str_field(str_safe(value), '/', i, &part, &len); i++)
        if (len == 2 && memcmp(part, "..", 2) == 0)
            return true;
    return false;
}

void
check_no_backsteps(struct findings *f, const struct path *p, const char *value)
{
    if (has_backstep(value))
        find_invalid(f, p, value, "must not contain '..'");
}

void
check_relative_path(struct findings *f, const struct path *p, const char *value)
{
    if (str_has_prefix(value, "/"))
        find_invalid(f, p, value, "must be a relative path");
    check_no_backsteps(f, p, value);
}

void
check_local_path(struct findings *f, const struct path *p, const char *value)
{
    check_relative_path(f, p, value);
    if (str_has_prefix(value, "..") && !str_has_prefix(value, "../"))
        find_invalid(f, p, value, "must not start with '..'");
}

void
check_str_immutable(struct findings *f, const struct path *p, const char *now, const char *old)
{
    if (!str_eq(now, old))
        find_invalid(f, p, now, IMMUTABLE_MSG);
}

void
check_struct_immutable(struct findings *f, const struct path *p, const struct api_type *t, const void *now, const void *old)
{
    if (!now && !old)
        return;
    if (!now || !old || !api_equal(t, now, old))
        find_invalid_struct(f, p, t, now, IMMUTABLE_MSG);
}

bool
slices_equal(const struct string_slice *a, const struct string_slice *b)
{
    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!str_eq(a->items[i], b->items[i]))
            return false;
    return true;
}

bool
maps_equal(const struct string_map *a, const struct string_map *b)
{
    return a->len == b->len && label_map_contains(a, b);
}

/* Bytes that one row takes in the struct. */
static size_t
row_size(const struct api_field *row)
{
    if (row->shape == API_ONE)
        return api_value_size(row);
    return row->shape == API_PTR ? sizeof(void *) : sizeof(struct api_list);
}

void
add_changed_fields(struct sbuf *out, const char *prefix, const struct api_type *t, const void *now, const void *old)
{
    AUTO_FREE char *mixed = xmalloc(t->size);
    bool any = false;

    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *row = &t->fields[i];
        if (!row->json || !*row->json)
            continue;
        memcpy(mixed, old, t->size);
        memcpy(mixed + row->offset, (const char *)now + row->offset, row_size(row));
        if (api_equal(t, mixed, old))
            continue;
        sbuf_addf(out, "%s`%s%s`", any ? ", " : "", prefix, row->json);
        any = true;
    }
}
