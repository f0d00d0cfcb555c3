// SPDX-License-Identifier: Apache-2.0
/* codec.h - bytes to objects and back, in JSON, protobuf and YAML.  One walker each, driven by the tables of type.h.
 * Pure: no I/O, any thread.  All decoders survive any input and bound nesting at CODEC_MAX_DEPTH. */
#ifndef CKUBE_API_CODEC_H
#define CKUBE_API_CODEC_H

#include "common/api/object.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"

#define CODEC_MAX_DEPTH 200

/* What a decoder noticed beside errors, for fieldValidation.  Texts as upstream's strict decoder writes them:
 *   unknown field "spec.foo"      duplicate field "spec.containers[0].name" */
struct codec_report {
    struct strlist findings;
    bool collect; /* in: look for unknown and duplicate fields */
};

/* --- JSON --- */
/* Fills the zeroed struct `body` of type t; strings and lists come from `a`. */
struct kerr *json_decode(const struct api_type *t, struct arena *a, const char *json, size_t len,
                         struct codec_report *report, void *body) MUST_CHECK;
void json_encode(const struct api_type *t, const void *body, struct sbuf *out);
/* kind NULL: taken from apiVersion and kind in the document. */
struct kerr *object_decode_json(const char *json, size_t len, const struct api_kind *kind,
                                struct codec_report *report, struct object **ret) MUST_CHECK;
void object_encode_json(const struct object *obj, struct sbuf *out);
void json_add_string(struct sbuf *out, const char *s); /* quoted and escaped as Go's encoder does (HTML-escaped) */

/* The same document for people: as Go's json.Indent, two spaces a level.  Any bytes in, no check. */
void json_indent(const char *json, size_t len, struct sbuf *out);

/* --- protobuf --- */
struct kerr *pb_decode(const struct api_type *t, struct arena *a, const void *data, size_t len, void *body) MUST_CHECK;
void pb_encode(const struct api_type *t, const void *body, struct sbuf *out);
/* With the "k8s\0" magic and runtime.Unknown envelope. */
struct kerr *object_decode_pb(const void *data, size_t len, const struct api_kind *kind, struct object **ret) MUST_CHECK;
void object_encode_pb(const struct object *obj, struct sbuf *out);

/* --- YAML --- */
struct kerr *yaml_to_json(const char *yaml, size_t len, struct codec_report *report, struct sbuf *ret_json) MUST_CHECK; /* one document */
/* Calls fn for each document of a stream; stops at its first error. */
struct kerr *yaml_each_document(const char *yaml, size_t len, struct kerr *(*fn)(const char *json, size_t len, void *arg), void *arg) MUST_CHECK;
void json_to_yaml(const char *json, size_t len, struct sbuf *out);

/* --- lists: {"kind":"PodList","apiVersion":"v1","metadata":{...},"items":[...]} of any kind --- */
struct list_head_info { /* all may be empty */
    char *resource_version, *continue_token;
    int64_t remaining_item_count; /* -1 = absent */
};
void list_head_info_done(struct list_head_info *info);
/* Items get kind and apiVersion filled in.  *item_fn takes the object.  Works through the bytes once, no DOM. */
struct kerr *list_decode_json(const char *json, size_t len, const struct api_kind *item_kind,
                              void (*item_fn)(struct object *obj, void *arg), void *arg,
                              struct list_head_info *ret) MUST_CHECK;
struct kerr *list_decode_pb(const void *data, size_t len, const struct api_kind *item_kind,
                            void (*item_fn)(struct object *obj, void *arg), void *arg,
                            struct list_head_info *ret) MUST_CHECK;
/* A whole list with its envelope, of items as pb_encode() wrote them. */
struct pb_item {
    const void *data;
    size_t len;
};
void list_encode_pb(const struct api_kind *item_kind, const struct list_head_info *head, const struct pb_item *items, size_t n,
                    struct sbuf *out);

/* --- walkers without a format --- */
void api_copy(const struct api_type *t, struct arena *a, const void *from, void *to); /* deep; `to` is overwritten */
/* Semantic equality: NULL string = "", nil list = empty list, quantities by value, raw JSON by bytes. */
bool api_equal(const struct api_type *t, const void *a, const void *b);
/* Fills in static defaults (rows with `def`) where the field is empty, through all present structs. */
void api_default_static(const struct api_type *t, struct arena *a, void *body);

#endif
