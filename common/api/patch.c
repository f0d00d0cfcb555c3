// SPDX-License-Identifier: Apache-2.0
#include "common/api/patch.h"

#include "common/base/klog.h"
#include "common/base/str.h"

static const char *const content_types[] = {
    [PATCH_JSON] = "application/json-patch+json",
    [PATCH_MERGE] = "application/merge-patch+json",
    [PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
    [PATCH_APPLY] = "application/apply-patch+yaml",
};

enum patch_kind
patch_kind_from(const char *content_type)
{
    size_t len = strcspn(str_safe(content_type), "; \t");

    for (size_t i = 1; i < ARRAY_LEN(content_types); i++)
        if (strlen(content_types[i]) == len && strncasecmp(content_types[i], str_safe(content_type), len) == 0)
            return (enum patch_kind)i;
    return PATCH_NONE;
}

const char *
patch_kind_content_type(enum patch_kind kind)
{
    return str_safe(content_types[kind]);
}

struct kerr *
patch_apply(const struct api_type *t, enum patch_kind kind, json_t *original_taken, const char *patch, size_t len, json_t **ret)
{
    AUTO_JSON *original = original_taken;
    AUTO_JSON *tree = NULL;
    struct kerr *err;

    if (kind == PATCH_STRATEGIC && !t)
        return kerr_new(KERR_UNSUPPORTED_MEDIA_TYPE, "the body of the request was in an unknown format - accepted media types "
                                                     "include: application/json-patch+json, application/merge-patch+json, "
                                                     "application/apply-patch+yaml");
    err = tree_load(patch, len, &tree);
    if (err)
        return kerr_wrap(err, "error decoding patch");
    switch (kind) {
    case PATCH_JSON:
        return patch_json(steal_ptr(original), tree, ret);
    case PATCH_MERGE:
        return patch_merge(steal_ptr(original), tree, ret);
    case PATCH_STRATEGIC:
        return patch_strategic(t, steal_ptr(original), tree, ret);
    default:
        return kerr_new(KERR_UNSUPPORTED_MEDIA_TYPE, "unknown kind of patch");
    }
}

struct kerr *
patch_apply_bytes(const struct api_type *t, enum patch_kind kind, const char *original, size_t original_len, const char *patch,
                  size_t patch_len, struct sbuf *ret_json)
{
    AUTO_JSON *tree = NULL;
    AUTO_JSON *patched = NULL;
    struct kerr *err;

    err = tree_load(original, original_len, &tree);
    if (!err)
        err = patch_apply(t, kind, steal_ptr(tree), patch, patch_len, &patched);
    if (err)
        return err;
    tree_dump(patched, ret_json);
    return NULL;
}

struct kerr *
patch_refused(const char *why)
{
    log_v(4, "patch refused", "why", why);
    return kerr_new(KERR_INVALID, "the server rejected our request due to an error in our request");
}
