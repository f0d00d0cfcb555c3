// SPDX-License-Identifier: Apache-2.0
/* patch_merge.c - RFC 7386: objects merge, null removes, everything else replaces. */
#include "common/api/patch.h"

static void merge_object(json_t *original, json_t *patch);
static void prune_nulls(json_t *tree);

struct kerr *
patch_merge(json_t *original_taken, json_t *patch, json_t **ret)
{
    AUTO_JSON *original = original_taken;

    if (!json_is_object(patch) || !json_is_object(original))
        return kerr_new(KERR_BAD_REQUEST, "Invalid JSON Patch");
    merge_object(original, patch);
    *ret = steal_ptr(original);
    return NULL;
}

static void
merge_object(json_t *original, json_t *patch)
{
    const char *key;
    json_t *value, *mine;

    json_object_foreach(patch, key, value)
    {
        mine = json_object_get(original, key);
        if (json_is_null(value)) {
            json_object_del(original, key);
        } else if (json_is_object(value) && json_is_object(mine)) {
            merge_object(mine, value);
        } else {
            prune_nulls(value);
            json_object_set(original, key, value);
        }
    }
}

/* A new object holds no members that the patch says are absent. */
static void
prune_nulls(json_t *tree)
{
    const char *key;
    json_t *value;
    void *next;
    size_t i;

    if (json_is_object(tree)) {
        json_object_foreach_safe(tree, next, key, value)
        {
            if (json_is_null(value))
                json_object_del(tree, key);
            else
                prune_nulls(value);
        }
    } else if (json_is_array(tree)) {
        json_array_foreach(tree, i, value)
            prune_nulls(value);
    }
}
