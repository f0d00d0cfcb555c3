// SPDX-License-Identifier: Apache-2.0
/* patch.h - the three patch formats over JSON trees: JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge
 * patch, whose merge keys and strategies come from the rows of the type.  (Server-side apply: managed.h.)
 * Called by the apiserver's PATCH; the result is decoded, defaulted and validated like any new object.
 * Errors carry upstream's codes and texts: a patch that cannot be read is 400, one that cannot be applied 422.
 * Pure, any thread. */
#ifndef CKUBE_API_PATCH_H
#define CKUBE_API_PATCH_H

#include "common/api/tree.h"
#include "common/api/type.h"

enum patch_kind { PATCH_NONE, PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY };

#define PATCH_MAX_OPERATIONS 10000            /* of one JSON patch */
#define PATCH_MAX_COPY_BYTES (3 * 1024 * 1024) /* what "copy" operations of one JSON patch may add up to */

/* "application/merge-patch+json; charset=utf-8" -> PATCH_MERGE; PATCH_NONE when it is no patch's type. */
enum patch_kind patch_kind_from(const char *content_type);
const char *patch_kind_content_type(enum patch_kind kind);

/* `original` is taken and may be changed in any way; *ret is the patched tree.  `t` NULL: no schema (custom resources;
 * a strategic merge patch is then refused with 415, as upstream does). */
struct kerr *patch_apply(const struct api_type *t, enum patch_kind kind, json_t *original, const char *patch, size_t len,
                         json_t **ret) MUST_CHECK;
/* The same from bytes to bytes. */
struct kerr *patch_apply_bytes(const struct api_type *t, enum patch_kind kind, const char *original, size_t original_len,
                               const char *patch, size_t patch_len, struct sbuf *ret_json) MUST_CHECK;

/* One each; `patch` may be changed too. Parts of patch_apply(). */
struct kerr *patch_json(json_t *original, json_t *patch, json_t **ret) MUST_CHECK;
struct kerr *patch_merge(json_t *original, json_t *patch, json_t **ret) MUST_CHECK;
struct kerr *patch_strategic(const struct api_type *t, json_t *original, json_t *patch, json_t **ret) MUST_CHECK;
/* 422 with upstream's text, which hides the reason; `why` goes to the log at debug level. */
struct kerr *patch_refused(const char *why) MUST_CHECK;

#endif
