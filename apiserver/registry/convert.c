// SPDX-License-Identifier: Apache-2.0
#include "apiserver/registry/convert.h"

struct kerr *
convert_object(struct object *obj, const struct api_kind *to, struct object **ret)
{
    const struct api_kind *from = object_kind(obj);

    if (from == to) {
        *ret = obj;
        return NULL;
    }
    object_unref(obj);
    return kerr_new(KERR_INTERNAL, "there is no conversion from %s %s to %s %s", from->version, from->kind, to->version, to->kind);
}
