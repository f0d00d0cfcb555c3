// SPDX-License-Identifier: Apache-2.0
/* Any object that decodes can be defaulted (twice with the same result) and checked, against itself and an empty one. */
#include <stdint.h>
#include <string.h>

#include "apiserver/registry/defaults.h"
#include "apiserver/registry/validate.h"
#include "common/api/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct object *now, struct object *old)
{
    const struct api_kind *kind = object_kind(now);

    kerr_free(validate_update(kind, object_body(now), object_body(old), NULL));
    kerr_free(validate_status_update(kind, object_body(now), object_body(old), NULL));
    kerr_free(validate_subresource(kind, "ephemeralcontainers", object_body(now), object_body(old), NULL));
    kerr_free(validate_subresource(kind, "resize", object_body(now), object_body(old), NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(object) *obj = NULL;
    AUTO_SBUF once = { 0 };
    AUTO_SBUF twice = { 0 };
    AUTO(kerr) *err = object_decode_json((const char *)data, size, NULL, NULL, &obj);

    if (err)
        return 0;
    const struct api_kind *kind = object_kind(obj);
    AUTO(object) *empty = object_new(kind);
    api_default_static(kind->type, object_arena(obj), object_body(obj));
    defaults_apply(kind, object_arena(obj), object_body(obj));
    object_encode_json(obj, &once);
    defaults_apply(kind, object_arena(obj), object_body(obj));
    object_encode_json(obj, &twice);
    if (strcmp(sbuf_str(&once), sbuf_str(&twice)) != 0)
        __builtin_trap();
    kerr_free(validate_create(kind, object_body(obj), NULL));
    check(obj, obj);
    check(obj, empty);
    check(empty, obj);
    return 0;
}
