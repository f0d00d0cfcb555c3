// SPDX-License-Identifier: Apache-2.0
/* record.h - one stored object as the apiserver keeps it: its JSON bytes, ready to send, and what is needed to
 * select it.  Immutable and reference-counted: lists, watch events and answers share the bytes, nobody copies them.
 *
 *   one block:  struct record | field values | labels | strings | JSON with "resourceVersion" spliced in
 *
 * Decoded on demand (object_decode_json(rec->json, rec->json_len, ...)).  Any thread. */
#ifndef CKUBE_APISERVER_RECORD_H
#define CKUBE_APISERVER_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/api/type.h"
#include "common/base/kerr.h"

/* A field that selectors may name.  metadata.name and metadata.namespace need no row. */
struct store_field {
    const char *name;     /* "spec.nodeName" */
    const char *path;     /* where it is in the JSON; NULL: as name.  At most RECORD_PATH_MAX members deep */
    const char *fallback; /* second path, used when the first is empty; or NULL */
    const char *zero;     /* value when absent; NULL: "" ("false" for booleans, "0" for numbers) */
};
#define RECORD_PATH_MAX 4
#define RECORD_FIELDS_MAX 24

struct record_shape { /* how the records of one resource are read */
    bool namespaced;
    const struct store_field *fields; /* constant */
    uint32_t nfields;
};

struct record {
    _Atomic uint32_t refs;
    uint32_t json_len;
    int64_t revision;  /* the resourceVersion */
    const char *json;  /* complete object (when broken: whatever was stored), NUL after it; json[-1] is a ',' so that lists
                        * of references need no bytes in between */
    uint32_t rv_at, rv_len; /* json without [rv_at, rv_at + rv_len) are the bytes in etcd */
    uint32_t size;     /* bytes of the block, for accounting */
    bool broken;       /* the stored value is no object: only deletable */
    const char *key;   /* below the resource's prefix: "ns/name" or "name" */
    const char *ns;    /* "" when cluster-scoped */
    const char *name;
    const char *uid;
    struct string_map labels;  /* sorted by key */
    const char **fields;       /* values in the order of the shape's rows; never NULL */
};

/* json: an object, with or without a resourceVersion (which is replaced).  Broken JSON: KERR_INVALID. */
struct kerr *record_new(const struct record_shape *shape, const char *key, const char *json, size_t len,
                        int64_t revision, struct record **ret) MUST_CHECK;
struct record *record_new_broken(const struct record_shape *shape, const char *key, const char *value, size_t len,
                                 int64_t revision) MUST_CHECK;
/* The same object at another revision: what DELETED events carry. */
struct record *record_at_revision(const struct record *rec, const struct record_shape *shape, int64_t revision) MUST_CHECK;

struct record *record_ref(const struct record *rec); /* NULL gives NULL */
void record_unref(const struct record *rec);         /* NULL is fine */
DEFINE_AUTO_UNREF(record)

/* Whether the object in etcd has exactly these bytes (resourceVersion left out). */
bool record_same_stored(const struct record *rec, const char *stored, size_t len);
/* The bytes for etcd: json without its resourceVersion, in `ret_stored` (malloc'd). */
struct kerr *record_stored_form(const char *json, size_t len, char **ret_stored, size_t *ret_len) MUST_CHECK;
/* Value of a selectable field, also metadata.name and metadata.namespace; NULL: not selectable. */
const char *record_field(const struct record *rec, const struct record_shape *shape, const char *name);

#endif
