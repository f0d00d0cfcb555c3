// SPDX-License-Identifier: Apache-2.0
/* merge_schema.h - what server-side apply must know about one place of an object: how values there merge.
 * Two makers: the tables of built-in types (here), and, through the ops, a custom resource's structural schema.
 * Without ops everything is deduced from the values: objects are granular, lists are atomic. */
#ifndef CKUBE_API_MERGE_SCHEMA_H
#define CKUBE_API_MERGE_SCHEMA_H

#include <stdbool.h>

#include "common/api/type.h"

enum merge_kind {
    MERGE_DEDUCED,  /* by the value */
    MERGE_LEAF,     /* a scalar, or an atomic list or object: owned as a whole */
    MERGE_OBJECT,   /* member by member */
    MERGE_LIST_MAP, /* items known by their keys */
    MERGE_LIST_SET, /* items known by their value */
};

enum merge_member { MERGE_UNKNOWN, MERGE_FREE, MERGE_DECLARED }; /* no such member; a map's entry; a named field */

struct merge_schema {
    const struct merge_schema_ops *ops; /* NULL: deduced */
    const void *type, *field;           /* the ops' own */
};

struct merge_schema_ops {
    enum merge_kind (*kind)(struct merge_schema s);
    enum merge_member (*member)(struct merge_schema s, const char *name, struct merge_schema *ret);
    struct merge_schema (*item)(struct merge_schema s); /* of a list */
    const char *(*keys)(struct merge_schema s);         /* MERGE_LIST_MAP: "containerPort,protocol" */
    /* JSON text a missing key field stands for; NULL: it must not be missing. */
    const char *(*key_default)(struct merge_schema item, const char *key);
};

struct merge_schema merge_schema_of_type(const struct api_type *t);

/* For the walkers over structs: how the row's value merges, and a list's keys. */
enum merge_kind merge_kind_of_field(const struct api_field *f);
const char *merge_keys_of_field(const struct api_field *f);

#endif
