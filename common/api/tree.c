// SPDX-License-Identifier: Apache-2.0
#include "common/api/tree.h"

#include <math.h>
#include <stdio.h>

#include "common/api/codec.h"

static void dump(const json_t *tree, bool sorted, struct sbuf *out);
static void dump_object(const json_t *tree, bool sorted, struct sbuf *out);
static void dump_array(const json_t *tree, bool sorted, struct sbuf *out);
static void dump_member(const char *key, const json_t *value, bool sorted, struct sbuf *out);
static void dump_real(double v, struct sbuf *out);

struct kerr *
tree_load(const char *json, size_t len, json_t **ret)
{
    AUTO_JSON *tree = NULL;
    json_error_t error;

    tree = json_loadb(json, len, JSON_DECODE_ANY, &error);
    if (!tree && json_error_code(&error) == json_error_numeric_overflow) /* beyond int64: a float, as in Go */
        tree = json_loadb(json, len, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error);
    if (!tree)
        return kerr_new(KERR_BAD_REQUEST, "invalid JSON at line %d, column %d: %s", error.line, error.column, error.text);
    if (tree_depth(tree) > CODEC_MAX_DEPTH)
        return kerr_new(KERR_BAD_REQUEST, "JSON is nested more than %d levels deep", CODEC_MAX_DEPTH);
    *ret = steal_ptr(tree);
    return NULL;
}

void
tree_dump(const json_t *tree, struct sbuf *out)
{
    dump(tree, false, out);
}

void
tree_dump_sorted(const json_t *tree, struct sbuf *out)
{
    dump(tree, true, out);
}

static void
dump(const json_t *tree, bool sorted, struct sbuf *out)
{
    switch (json_typeof(tree)) {
    case JSON_OBJECT:
        dump_object(tree, sorted, out);
        break;
    case JSON_ARRAY:
        dump_array(tree, sorted, out);
        break;
    case JSON_STRING:
        json_add_string(out, json_string_value(tree));
        break;
    case JSON_INTEGER:
        sbuf_add_i64(out, json_integer_value(tree));
        break;
    case JSON_REAL:
        dump_real(json_real_value(tree), out);
        break;
    case JSON_TRUE:
        sbuf_adds(out, "true");
        break;
    case JSON_FALSE:
        sbuf_adds(out, "false");
        break;
    case JSON_NULL:
        sbuf_adds(out, "null");
        break;
    }
}

static int
name_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
dump_object(const json_t *tree, bool sorted, struct sbuf *out)
{
    size_t n = json_object_size(tree), i = 0;
    AUTO_FREE const char **names = sorted ? xcalloc(n + 1, sizeof(*names)) : NULL;
    const char *key;
    json_t *value;

    sbuf_addc(out, '{');
    json_object_foreach((json_t *)(uintptr_t)tree, key, value)
    {
        if (sorted) {
            names[i++] = key;
            continue;
        }
        if (i++ > 0)
            sbuf_addc(out, ',');
        dump_member(key, value, sorted, out);
    }
    if (sorted)
        qsort(names, n, sizeof(*names), name_cmp);
    for (i = 0; sorted && i < n; i++) {
        if (i > 0)
            sbuf_addc(out, ',');
        dump_member(names[i], json_object_get(tree, names[i]), sorted, out);
    }
    sbuf_addc(out, '}');
}

static void
dump_member(const char *key, const json_t *value, bool sorted, struct sbuf *out)
{
    json_add_string(out, key);
    sbuf_addc(out, ':');
    dump(value, sorted, out);
}

static void
dump_array(const json_t *tree, bool sorted, struct sbuf *out)
{
    size_t n = json_array_size(tree);

    sbuf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            sbuf_addc(out, ',');
        dump(json_array_get(tree, i), sorted, out);
    }
    sbuf_addc(out, ']');
}

/* The fewest digits that read back as the same number. */
static void
dump_real(double v, struct sbuf *out)
{
    char text[40];

    if (v == floor(v) && fabs(v) < 1e15) {
        sbuf_add_i64(out, (int64_t)v);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    sbuf_adds(out, text);
}

unsigned
tree_depth(const json_t *tree)
{
    unsigned deepest = 0, depth;
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_object(tree)) {
        json_object_foreach((json_t *)(uintptr_t)tree, key, value)
        {
            depth = tree_depth(value);
            deepest = depth > deepest ? depth : deepest;
        }
    } else if (json_is_array(tree)) {
        json_array_foreach((json_t *)(uintptr_t)tree, i, value)
        {
            depth = tree_depth(value);
            deepest = depth > deepest ? depth : deepest;
        }
    }
    return deepest + 1;
}

size_t
tree_size(const json_t *tree)
{
    const char *key;
    json_t *value;
    size_t i, size = 2;

    switch (json_typeof(tree)) {
    case JSON_OBJECT:
        json_object_foreach((json_t *)(uintptr_t)tree, key, value)
            size += strlen(key) + 4 + tree_size(value);
        return size;
    case JSON_ARRAY:
        json_array_foreach((json_t *)(uintptr_t)tree, i, value)
            size += 1 + tree_size(value);
        return size;
    case JSON_STRING:
        return json_string_length(tree) + 2;
    default:
        return 5;
    }
}

static const struct {
    const char *json, *go;
} type_names[] = {
    [JSON_OBJECT] = { "object", "map[string]interface {}" },
    [JSON_ARRAY] = { "array", "[]interface {}" },
    [JSON_STRING] = { "string", "string" },
    [JSON_INTEGER] = { "number", "int64" },
    [JSON_REAL] = { "number", "float64" },
    [JSON_TRUE] = { "bool", "bool" },
    [JSON_FALSE] = { "bool", "bool" },
    [JSON_NULL] = { "null", "<nil>" },
};

const char *
tree_json_name(const json_t *tree)
{
    return type_names[json_typeof(tree)].json;
}

const char *
tree_go_type(const json_t *tree)
{
    return type_names[json_typeof(tree)].go;
}

const char *
tree_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}
