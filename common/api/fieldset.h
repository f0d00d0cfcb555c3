// SPDX-License-Identifier: Apache-2.0
/* fieldset.h - sets of field paths: who owns what in an object (metadata.managedFields[].fieldsV1).
 *
 *   {"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{}}},"f:replicas":{}}}
 *
 * A set is a tree of nodes sorted by path element; a node is a member itself, or has members below it, or both.
 * Elements: a member's name, an item of a list by its keys, by its value, or by its index.
 * All memory is the arena's; sets are never changed once they are handed on, so results may share parts.  NULL is the
 * empty set wherever a set goes in.  Pure, any thread. */
#ifndef CKUBE_API_FIELDSET_H
#define CKUBE_API_FIELDSET_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/kerr.h"
#include "common/base/sbuf.h"

enum field_scalar_kind { FIELD_NULL, FIELD_INT, FIELD_REAL, FIELD_STRING, FIELD_BOOL };

struct field_scalar {
    enum field_scalar_kind kind;
    union {
        int64_t i;
        double r;
        const char *s;
        bool b;
    };
};

struct field_key {
    const char *name;
    struct field_scalar value;
};

enum field_elem_kind { FIELD_NAME, FIELD_KEYS, FIELD_VALUE, FIELD_INDEX }; /* in sort order */

struct field_elem {
    enum field_elem_kind kind;
    uint32_t nkeys;
    union {
        const char *name;
        const struct field_key *keys; /* sorted by name */
        struct field_scalar value;
        int64_t index;
    };
};

struct field_set;

struct field_node {
    struct field_elem elem;
    bool member;
    struct field_set *kids; /* NULL: nothing below */
};

struct field_set {
    struct field_node *items;
    uint32_t len, cap;
};

static inline struct field_elem
field_elem_name(const char *name)
{
    return (struct field_elem){ .kind = FIELD_NAME, .name = name };
}
int field_elem_cmp(const struct field_elem *a, const struct field_elem *b);
/* As in messages: .name  [name="web"]  [="a"]  [3] */
void field_elem_text(const struct field_elem *e, struct sbuf *out);

/* --- building --- */
struct field_set *field_set_new(struct arena *a);
/* The node of e, made when missing; valid until the next call on this set.  The element is kept, not copied. */
struct field_node *field_set_at(struct arena *a, struct field_set *s, const struct field_elem *e);
/* Makes the path of names "metadata.name" a member. */
void field_set_add_path(struct arena *a, struct field_set *s, const char *dotted);
struct field_set *field_set_normal(struct field_set *s); /* drops empty nodes' effect: NULL when it is empty */

/* --- looking --- */
bool field_set_empty(const struct field_set *s);
bool field_set_equal(const struct field_set *a, const struct field_set *b);
const struct field_node *field_set_find(const struct field_set *s, const struct field_elem *e); /* NULL: none */
/* Calls fn with the text of each member's path (".spec.replicas"), parents first, in order. */
void field_set_each(const struct field_set *s, void (*fn)(const char *path, void *arg), void *arg);

/* --- algebra --- */
struct field_set *field_set_union(struct arena *a, const struct field_set *x, const struct field_set *y);
struct field_set *field_set_intersection(struct arena *a, const struct field_set *x, const struct field_set *y);
/* Members of x that are no members of y: a parent and its child are two different members. */
struct field_set *field_set_difference(struct arena *a, const struct field_set *x, const struct field_set *y);
/* The same, but a member of y takes with it everything below. */
struct field_set *field_set_recursive_difference(struct arena *a, const struct field_set *x, const struct field_set *y);

/* --- text: fieldsV1 as upstream writes it --- */
void field_set_encode(const struct field_set *s, struct sbuf *out);
struct kerr *field_set_decode(struct arena *a, const char *json, size_t len, struct field_set **ret) MUST_CHECK;

#endif
