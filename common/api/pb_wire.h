// SPDX-License-Identifier: Apache-2.0
/* pb_wire.h - protobuf's wire words and the numbers of upstream's envelope.  Private to pb_encode.c and pb_decode.c. */
#ifndef CKUBE_API_PB_WIRE_H
#define CKUBE_API_PB_WIRE_H

#include "common/api/type.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_GROUP = 3, PB_GROUP_END = 4, PB_FIXED32 = 5 };

#define PB_MAGIC "k8s\0"
#define PB_MAGIC_LEN 4

enum { /* runtime.Unknown */
    PB_UNKNOWN_TYPE_META = 1,
    PB_UNKNOWN_RAW = 2,
    PB_UNKNOWN_CONTENT_ENCODING = 3,
    PB_UNKNOWN_CONTENT_TYPE = 4,
};
enum { PB_TYPE_META_API_VERSION = 1, PB_TYPE_META_KIND = 2 };
enum { PB_LIST_META = 1, PB_LIST_ITEMS = 2 };
enum { PB_LIST_META_SELF_LINK = 1, PB_LIST_META_RESOURCE_VERSION = 2, PB_LIST_META_CONTINUE = 3, PB_LIST_META_REMAINING = 4 };
enum { PB_MAP_KEY = 1, PB_MAP_VALUE = 2 };
enum { PB_TIME_SECONDS = 1, PB_TIME_NANOS = 2 };
enum { PB_INT_OR_STRING_TYPE = 1, PB_INT_OR_STRING_INT = 2, PB_INT_OR_STRING_STR = 3 };
enum { PB_WRAPPED = 1 }; /* the one field of Quantity, Duration, RawExtension, FieldsV1, Verbs, ExtraValue */

static inline enum pb_wire
pb_wire_of(const struct api_field *f)
{
    switch ((enum api_value)f->value) {
    case API_BOOL:
    case API_I32:
    case API_I64:
    case API_U32:
    case API_U64:
        return PB_VARINT;
    case API_F64:
        return PB_FIXED64;
    default:
        return PB_BYTES;
    }
}

#endif
