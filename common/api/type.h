// SPDX-License-Identifier: Apache-2.0
/* type.h - how the generated API structs are described, so that one walker per concern serves all of them.
 *
 *   schema/<group>.api --apigen--> api_types.h   struct pod { struct type_meta type_meta; struct object_meta metadata; ... };
 *                            api_tables.c  const struct api_type api_type_pod = { ... rows of struct api_field ... };
 *
 * In memory a field is, by value kind V and shape:
 *   API_ONE   V itself             zero value = Go's zero value (string: NULL or "", both mean empty)
 *   API_PTR   V *                  NULL = absent (Go's *T); of a string: const char * itself, NULL = absent, "" = present
 *   API_LIST  struct api_list      { V *items; uint32_t len, cap; }; items NULL = Go's nil, else non-nil (maybe empty)
 *   API_MAP   struct api_list      of entries { const char *key; V value; }, sorted by key; NULL as above
 * where V is the C type named at enum api_value.  Everything an object points to lives in the object's arena
 * (or is constant); structs are immutable once shared.  A row with json "" is an inlined struct (Go embedding). */
#ifndef CKUBE_API_TYPE_H
#define CKUBE_API_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum api_value {
    API_BOOL,          /* bool */
    API_I32,           /* int32_t */
    API_I64,           /* int64_t */
    API_U32,           /* uint32_t (CRI only) */
    API_U64,           /* uint64_t (CRI only) */
    API_F64,           /* double */
    API_STRING,        /* const char *; no NUL inside: the decoders refuse it */
    API_BYTES,         /* struct api_bytes; base64 in JSON */
    API_QUANTITY,      /* struct quantity */
    API_TIME,          /* struct api_time; RFC 3339 seconds in JSON */
    API_MICRO_TIME,    /* struct api_time; six digits in JSON */
    API_DURATION,      /* struct api_duration; "1h30m" in JSON, {1: int64 ns} in protobuf */
    API_INT_OR_STRING, /* struct int_or_string */
    API_RAW,           /* struct api_raw: any JSON, kept as bytes (RawExtension, JSON); {1: bytes} in protobuf */
    API_FIELDS_V1,     /* struct api_raw: likewise, an object */
    API_STRINGS,       /* struct api_list of const char *: a named list as value (ExtraValue, Verbs); {1: repeated} */
    API_MESSAGE,       /* the struct of field->type */
};

enum api_shape { API_ONE, API_PTR, API_LIST, API_MAP };

enum api_field_flags {
    API_OMITEMPTY = 1 << 0,    /* left out of JSON when empty, as Go's encoding/json does (never for API_ONE structs) */
    API_OMITZERO = 1 << 1,     /* structs and times too are left out when zero */
    API_OPTIONAL = 1 << 2,     /* upstream marks it +optional */
    API_REQUIRED = 1 << 3,     /* upstream marks it +required */
    API_PATCH_MERGE = 1 << 4,  /* strategic merge: list merged by merge_key (or as a set of scalars) */
    API_PATCH_RETAIN = 1 << 5, /* retainKeys */
    API_LIST_MAP = 1 << 6,     /* server-side apply: associative list, keys in list_keys */
    API_LIST_SET = 1 << 7,
    API_ATOMIC = 1 << 8,       /* listType/mapType/structType=atomic */
    API_UNION = 1 << 9,        /* unionDiscriminator */
    API_JSON_HIDDEN = 1 << 10, /* json:"-" */
    API_PROTO_PACKED = 1 << 11,/* proto3 packed scalars (CRI) */
    API_PATCH_REPLACE = 1 << 12, /* patchStrategy=replace */
    API_GRANULAR = 1 << 13,    /* structType=granular: member by member although its type is atomic */
};

struct api_type;

struct api_enum {
    const char *name;
    const char *const *values;
    uint16_t nvalues;
};

struct api_field {
    const char *json; /* "" = inlined struct */
    uint16_t offset;
    uint16_t proto; /* protobuf number; 0 = not in protobuf (type_meta travels in the envelope) */
    uint8_t value;  /* enum api_value */
    uint8_t shape;  /* enum api_shape */
    uint16_t flags; /* enum api_field_flags */
    const struct api_type *type;       /* of API_MESSAGE; else NULL */
    const struct api_enum *enumeration; /* known values; may be NULL.  Whether the set is closed: validation knows */
    const char *def;       /* static default as JSON text, or NULL */
    const char *merge_key; /* strategic merge; or NULL */
    const char *list_keys; /* "containerPort,protocol"; or NULL */
    const char *doc;       /* our own one line, or NULL */
};

/* A JSON name of a type with inlined structs flattened: where the decoder looks names up. */
struct api_name {
    const char *json;
    uint16_t len;
    uint16_t offset; /* of the value from the start of the outer struct */
    const struct api_field *field;
};

enum api_type_flags {
    API_TYPE_PROTO3 = 1 << 0,  /* zero scalars are not written (CRI); else proto2 as gogo writes it */
    API_TYPE_SCHEMA_OR_ARRAY = 1 << 1,   /* JSONSchemaPropsOrArray: JSON is the object or an array of them */
    API_TYPE_SCHEMA_OR_BOOL = 1 << 2,    /* JSONSchemaPropsOrBool */
    API_TYPE_SCHEMA_OR_STRINGS = 1 << 3, /* JSONSchemaPropsOrStringArray */
    API_TYPE_ATOMIC = 1 << 4,  /* structType=atomic (e.g. LabelSelector, ObjectReference) */
};

struct api_type {
    const char *name;    /* Go's name: "PodSpec" */
    const char *openapi; /* "io.k8s.api.core.v1.PodSpec" */
    const struct api_field *fields; /* in Go's order, which is JSON's output order */
    const struct api_name *names;   /* sorted by (len, bytes) */
    uint16_t nfields;
    uint16_t nnames;
    uint32_t size; /* bytes of the C struct */
    uint32_t flags;
    const char *doc;
};

/* One built-in kind. */
struct api_kind {
    const char *group;   /* "" for core */
    const char *version; /* "v1" */
    const char *kind;    /* "Pod" */
    const char *plural;  /* "pods" */
    const char *singular;
    const char *short_names; /* "po" or "a,b"; "" for none */
    const char *categories;  /* "all"; "" for none */
    bool namespaced;
    bool resource;       /* served and stored as a resource (false: Status, Scale, TokenRequest, ...) */
    const struct api_type *type;
    int32_t meta_offset; /* of struct object_meta in the struct; -1 = none (or ListMeta) */
};

extern const struct api_kind api_kinds[];
extern const size_t api_kinds_len;

/* "apps/v1" or "v1". NULL when unknown.  DeleteOptions and its like are found under any version. */
const struct api_kind *api_kind_find(const char *api_version, const char *kind);
const struct api_kind *api_kind_by_resource(const char *group, const char *version, const char *plural);
/* "v1" or "apps/v1": a constant string. */
const char *api_kind_api_version(const struct api_kind *k);

/* NULL when the type has no such JSON name. */
const struct api_name *api_type_name(const struct api_type *t, const char *json, size_t len);

/* --- C types of the values --- */

struct api_list { /* generic view of every generated slice and map */
    void *items;
    uint32_t len, cap;
};
struct api_bytes {
    const uint8_t *data;
    uint32_t len;
};
struct api_raw { /* compact or as received; NULL = absent */
    const char *json;
    uint32_t len;
};
struct quantity {
    const char *text; /* canonical, NULL = "0" */
};
struct api_time {
    int64_t sec; /* since 0001-01-01T00:00:00Z, so that the zero struct is Go's zero time = unset */
    int32_t nsec;
};
struct api_duration {
    int64_t ns;
};
struct int_or_string {
    const char *str; /* set: a string ("" included); NULL: the number */
    int32_t num;
};
struct string_slice {
    const char **items;
    uint32_t len, cap;
};
struct i32_slice {
    int32_t *items;
    uint32_t len, cap;
};
struct i64_slice {
    int64_t *items;
    uint32_t len, cap;
};
struct string_map_entry {
    const char *key;
    const char *value;
};
struct string_map {
    struct string_map_entry *items;
    uint32_t len, cap;
};
struct quantity_map_entry {
    const char *key;
    struct quantity value;
};
struct quantity_map {
    struct quantity_map_entry *items;
    uint32_t len, cap;
};
struct bytes_map_entry {
    const char *key;
    struct api_bytes value;
};
struct bytes_map {
    struct bytes_map_entry *items;
    uint32_t len, cap;
};
struct strings_map_entry {
    const char *key;
    struct string_slice value;
};
struct strings_map {
    struct strings_map_entry *items;
    uint32_t len, cap;
};

struct time_map_entry {
    const char *key;
    struct api_time value;
};
struct time_map {
    struct time_map_entry *items;
    uint32_t len, cap;
};
struct raw_map_entry {
    const char *key;
    struct api_raw value;
};
struct raw_map {
    struct raw_map_entry *items;
    uint32_t len, cap;
};
struct quantity_slice {
    struct quantity *items;
    uint32_t len, cap;
};
struct raw_slice {
    struct api_raw *items;
    uint32_t len, cap;
};
struct bytes_slice {
    struct api_bytes *items;
    uint32_t len, cap;
};

/* Where the value of an API_PTR field is; NULL = absent. */
static inline void *
api_ptr_target(const struct api_field *f, const void *at)
{
    void *target = *(void *const *)at;

    return target && f->value == API_STRING ? (void *)(uintptr_t)at : target;
}

/* Size in bytes of one value, and of one map entry (key first, value at API_ENTRY_VALUE). */
uint32_t api_value_size(const struct api_field *f);
uint32_t api_entry_size(const struct api_field *f);
#define API_ENTRY_VALUE 8u /* offset of the value in a map entry */

#endif
