// SPDX-License-Identifier: Apache-2.0
/* patch_json.c - RFC 6902: a list of operations, all or nothing.
 * As upstream's library does, an index may count from the end (-1 is the last item). */
#include <errno.h>

#include "common/api/codec.h"
#include "common/api/patch.h"
#include "common/base/str.h"

struct place { /* where a pointer leads: a member of an object or an item of an array, there or not yet */
    json_t *parent; /* borrowed; NULL: the whole document */
    char *key;      /* unescaped last part */
    unsigned depth;
};

struct patcher {
    json_t *doc; /* owned */
    size_t copied;
};

static struct kerr *run_operation(struct patcher *p, json_t *op) MUST_CHECK;
static struct kerr *op_add(struct patcher *p, json_t *op) MUST_CHECK;
static struct kerr *op_remove(struct patcher *p, json_t *op) MUST_CHECK;
static struct kerr *op_replace(struct patcher *p, json_t *op) MUST_CHECK;
static struct kerr *op_move(struct patcher *p, json_t *op) MUST_CHECK;
static struct kerr *op_copy(struct patcher *p, json_t *op) MUST_CHECK;
static struct kerr *op_test(struct patcher *p, json_t *op) MUST_CHECK;
static struct kerr *find(struct patcher *p, json_t *op, const char *member, struct place *ret) MUST_CHECK;
static struct kerr *put(struct patcher *p, const struct place *at, json_t *value, bool replace) MUST_CHECK;
static json_t *place_get(struct patcher *p, const struct place *at);
static bool place_remove(const struct place *at);
static json_t *step(json_t *node, const char *key);
static bool array_index(const json_t *array, const char *key, bool may_append, size_t *ret);
static char *unescape(const char *at, size_t len);

static const struct {
    const char *name;
    struct kerr *(*run)(struct patcher *p, json_t *op);
} operations[] = {
    { "add", op_add }, { "remove", op_remove }, { "replace", op_replace },
    { "move", op_move }, { "copy", op_copy }, { "test", op_test },
};

static void
place_done(struct place *p)
{
    free(p->key);
}
#define AUTO_PLACE __attribute__((cleanup(place_done))) struct place

struct kerr *
patch_json(json_t *original_taken, json_t *patch, json_t **ret)
{
    struct patcher p = { .doc = original_taken };
    struct kerr *err = NULL;
    json_t *op;
    size_t i;

    if (!json_is_array(patch)) {
        json_decref(p.doc);
        return kerr_new(KERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type jsonpatch.Patch",
                        tree_json_name(patch));
    }
    if (json_array_size(patch) > PATCH_MAX_OPERATIONS) {
        json_decref(p.doc);
        return kerr_new(KERR_TOO_LARGE, "The allowed maximum operations in a JSON patch is %d, got %zu", PATCH_MAX_OPERATIONS,
                        json_array_size(patch));
    }
    json_array_foreach(patch, i, op)
    {
        if (!json_is_object(op))
            err = kerr_new(KERR_BAD_REQUEST, "json: cannot unmarshal %s into Go value of type jsonpatch.Operation", tree_json_name(op));
        else
            err = run_operation(&p, op);
        if (err)
            break;
    }
    if (err) {
        json_decref(p.doc);
        return err;
    }
    *ret = p.doc;
    return NULL;
}

static struct kerr *
run_operation(struct patcher *p, json_t *op)
{
    const char *name = tree_string(op, "op");

    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (str_eq(name, operations[i].name))
            return operations[i].run(p, op);
    return patch_refused("unexpected kind of operation");
}

static struct kerr *
op_add(struct patcher *p, json_t *op)
{
    json_t *value = json_object_get(op, "value");
    AUTO_PLACE at = { 0 };
    struct kerr *err = find(p, op, "path", &at);

    if (err)
        return err;
    return put(p, &at, value ? json_incref(value) : json_null(), false);
}

static struct kerr *
op_remove(struct patcher *p, json_t *op)
{
    AUTO_PLACE at = { 0 };
    struct kerr *err = find(p, op, "path", &at);

    if (err)
        return err;
    return place_remove(&at) ? NULL : patch_refused("remove: the path does not exist");
}

static struct kerr *
op_replace(struct patcher *p, json_t *op)
{
    json_t *value = json_object_get(op, "value");
    AUTO_PLACE at = { 0 };
    struct kerr *err = find(p, op, "path", &at);

    if (err)
        return err;
    if (!place_get(p, &at) && !json_is_object(at.parent)) /* a missing member is added: upstream's library is that kind */
        return patch_refused("replace: the path does not exist");
    return put(p, &at, value ? json_incref(value) : json_null(), true);
}

static struct kerr *
op_move(struct patcher *p, json_t *op)
{
    AUTO_PLACE from = { 0 };
    AUTO_PLACE to = { 0 };
    AUTO_JSON *value = NULL;
    const char *from_path = tree_string(op, "from"), *to_path = tree_string(op, "path");
    struct kerr *err = find(p, op, "from", &from);

    if (err)
        return err;
    value = json_incref(place_get(p, &from));
    if (!value || !from.parent)
        return patch_refused("move: nothing at 'from'");
    if (str_has_prefix(to_path, from_path) && to_path[strlen(from_path)] == '/')
        return patch_refused("move: a value cannot move into itself");
    place_remove(&from);
    err = find(p, op, "path", &to); /* after the removal: indexes may have moved */
    if (err)
        return err;
    return put(p, &to, steal_ptr(value), false);
}

static struct kerr *
op_copy(struct patcher *p, json_t *op)
{
    AUTO_PLACE from = { 0 };
    AUTO_PLACE to = { 0 };
    json_t *value;
    struct kerr *err = find(p, op, "from", &from);

    if (!err)
        err = find(p, op, "path", &to);
    if (err)
        return err;
    value = place_get(p, &from);
    if (!value)
        return patch_refused("copy: nothing at 'from'");
    p->copied += tree_size(value);
    if (p->copied > PATCH_MAX_COPY_BYTES)
        return patch_refused("copy: too much is copied");
    return put(p, &to, json_deep_copy(value), false);
}

static struct kerr *
op_test(struct patcher *p, json_t *op)
{
    json_t *want = json_object_get(op, "value"), *got;
    AUTO_PLACE at = { 0 };
    struct kerr *err = find(p, op, "path", &at);

    if (err)
        return err;
    got = place_get(p, &at);
    if (!got ? (want && !json_is_null(want)) : !(want ? json_equal(got, want) : json_is_null(got)))
        return patch_refused("test: the value differs");
    return NULL;
}

/* --- pointers --- */

/* All but the last part must exist. */
static struct kerr *
find(struct patcher *p, json_t *op, const char *member, struct place *ret)
{
    const char *path = tree_string(op, member), *next;
    json_t *node = p->doc;

    if (!path || (*path && *path != '/'))
        return patch_refused("bad or missing JSON pointer");
    ret->depth = 1;
    if (!*path)
        return NULL; /* the whole document */
    for (path++; (next = strchr(path, '/')); path = next + 1) {
        AUTO_FREE char *key = unescape(path, (size_t)(next - path));
        node = step(node, key);
        if (!node || ++ret->depth > CODEC_MAX_DEPTH)
            return patch_refused("the path does not exist");
    }
    if (!json_is_object(node) && !json_is_array(node))
        return patch_refused("the path leads through a scalar");
    ret->parent = node;
    ret->key = unescape(path, strlen(path));
    return NULL;
}

static json_t *
step(json_t *node, const char *key)
{
    size_t i;

    if (json_is_object(node))
        return json_object_get(node, key);
    return json_is_array(node) && array_index(node, key, false, &i) ? json_array_get(node, i) : NULL;
}

static json_t *
place_get(struct patcher *p, const struct place *at)
{
    return at->parent ? step(at->parent, at->key) : p->doc;
}

static bool
place_remove(const struct place *at)
{
    size_t i;

    if (json_is_object(at->parent))
        return json_object_del(at->parent, at->key) == 0;
    return json_is_array(at->parent) && array_index(at->parent, at->key, false, &i) && json_array_remove(at->parent, i) == 0;
}

/* Takes `value`. */
static struct kerr *
put(struct patcher *p, const struct place *at, json_t *value, bool replace)
{
    int rc;
    size_t i;

    if (tree_depth(value) + at->depth > CODEC_MAX_DEPTH) {
        json_decref(value);
        return patch_refused("nested too deeply");
    }
    if (!at->parent) {
        json_decref(p->doc);
        p->doc = value;
        return NULL;
    }
    if (json_is_object(at->parent)) {
        rc = json_object_set_new(at->parent, at->key, value);
    } else if (!array_index(at->parent, at->key, !replace, &i)) {
        json_decref(value);
        rc = -1;
    } else {
        rc = replace ? json_array_set_new(at->parent, i, value) : json_array_insert_new(at->parent, i, value);
    }
    return rc == 0 ? NULL : patch_refused("no such index in the array");
}

static bool
array_index(const json_t *array, const char *key, bool may_append, size_t *ret)
{
    int64_t n, len = (int64_t)json_array_size(array), end = may_append ? len : len - 1;

    if (may_append && strcmp(key, "-") == 0) {
        *ret = (size_t)len;
        return true;
    }
    if (parse_i64(key, &n) < 0)
        return false;
    if (n < 0)
        n += end + 1;
    if (n < 0 || n > end)
        return false;
    *ret = (size_t)n;
    return true;
}

/* ~1 is '/', ~0 is '~'. */
static char *
unescape(const char *at, size_t len)
{
    char *key = xmalloc(len + 1), *out = key;

    for (size_t i = 0; i < len; i++) {
        if (at[i] == '~' && i + 1 < len && (at[i + 1] == '0' || at[i + 1] == '1'))
            *out++ = at[++i] == '0' ? '~' : '/';
        else
            *out++ = at[i];
    }
    *out = '\0';
    return key;
}
