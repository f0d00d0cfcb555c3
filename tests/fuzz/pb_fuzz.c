// SPDX-License-Identifier: Apache-2.0
/* Protobuf in, object, protobuf and JSON out: what was decoded must survive its own encoding. */
#include <stdlib.h>

#include "common/api/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
drop(struct object *obj, void *arg)
{
    object_unref(obj);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct api_kind *kind;
    struct list_head_info info;
    struct object *obj = NULL, *back = NULL, *copy;
    AUTO_SBUF raw = { 0 };
    AUTO_SBUF pb = { 0 };
    struct kerr *err;

    if (size < 1)
        return 0;
    kind = &api_kinds[data[0] % api_kinds_len];
    sbuf_adds(&raw, "k8s");
    sbuf_addc(&raw, '\0');
    sbuf_add(&raw, data + 1, size - 1);
    kerr_free(object_decode_pb(raw.s, raw.len, NULL, &back));
    object_unref(back);
    back = NULL;
    err = list_decode_pb(raw.s, raw.len, kind, drop, NULL, &info);
    if (!err)
        list_head_info_done(&info);
    kerr_free(err);

    obj = object_new(kind);
    err = pb_decode(kind->type, object_arena(obj), data + 1, size - 1, object_body(obj));
    if (!err) {
        object_encode_pb(obj, &pb);
        if (object_decode_pb(pb.s, pb.len, kind, &back) || !api_equal(kind->type, object_body(obj), object_body(back)))
            abort();
        copy = object_copy(back);
        if (!api_equal(kind->type, object_body(obj), object_body(copy)))
            abort();
        object_unref(copy);
        object_unref(back);
        sbuf_clear(&pb);
        object_encode_json(obj, &pb);
    }
    kerr_free(err);
    object_unref(obj);
    return 0;
}
