// SPDX-License-Identifier: Apache-2.0
/* First byte: the kind of patch; then the original, a NUL, the patch.  Field sets are fuzzed on the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "common/api/codec.h"
#include "common/api/fieldset.h"
#include "common/api/managed.h"
#include "common/api/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
fuzz_set(const char *text, size_t len)
{
    AUTO(arena) *a = arena_new(0);
    struct field_set *s = NULL, *again = NULL;
    AUTO_SBUF out = { 0 };
    struct kerr *err = field_set_decode(a, text, len, &s);

    if (!err) {
        field_set_encode(s, &out);
        err = field_set_decode(a, out.s, out.len, &again);
        if (!err && (field_set_difference(a, s, again) || field_set_difference(a, again, s)))
            abort();
    }
    kerr_free(err);
}

static void
fuzz_apply(const struct api_type *t, const char *live, size_t live_len, const char *config, size_t config_len)
{
    struct managed_request req = { .manager = "kubectl", .api_version = "v1", .now = { 1, 0 } };
    json_t *l = NULL, *c = NULL, *merged = NULL;

    kerr_free(tree_load(live, live_len, &l));
    kerr_free(tree_load(config, config_len, &c));
    if (json_is_object(l) && json_is_object(c)) {
        kerr_free(managed_fields_apply_tree(t ? merge_schema_of_type(t) : (struct merge_schema){ 0 }, l, c, &req, &merged));
        managed_fields_update_tree((struct merge_schema){ 0 }, l, c, &req);
    }
    json_decref(l);
    json_decref(c);
    json_decref(merged);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *original = (const char *)data + 1, *patch;
    const struct api_type *t;
    AUTO_SBUF out = { 0 };

    if (size < 2)
        return 0;
    patch = memchr(original, 0, size - 1);
    if (!patch)
        return 0;
    size_t original_len = (size_t)(patch++ - original), patch_len = size - 2 - original_len;
    t = data[0] & 8 ? &api_type_pod : data[0] & 16 ? &api_type_service : NULL;
    kerr_free(patch_apply_bytes(t, (enum patch_kind)(data[0] % 5), original, original_len, patch, patch_len, &out));
    fuzz_set(patch, patch_len);
    fuzz_apply(t, original, original_len, patch, patch_len);
    return 0;
}
