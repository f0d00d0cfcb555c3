// SPDX-License-Identifier: Apache-2.0
/* field_diff.h - what changed between two objects of one type, as three field sets.
 * Two walkers with the same rules: over structs (field_diff_struct.c, on every write) and over trees (field_tree.c, for
 * apply and custom resources).  Private to common/api. */
#ifndef CKUBE_API_FIELD_DIFF_H
#define CKUBE_API_FIELD_DIFF_H

#include "common/api/fieldset.h"
#include "common/api/merge_schema.h"
#include "common/api/tree.h"
#include "common/base/str.h"

struct field_diff { /* each NULL when empty */
    struct field_set *removed, *modified, *added;
};

struct keyed { /* an item of an associative list */
    struct field_elem elem;
    const void *item;
    uint32_t was;
};
void keyed_sort(struct keyed *items, uint32_t n); /* stable */
uint32_t keyed_run(const struct keyed *items, uint32_t n); /* how many equal the first */

/* Marks e, or hangs kids below it, in the set *s, which is made when missing. */
void field_diff_mark(struct arena *a, struct field_set **s, const struct field_elem *e);
void field_diff_hang(struct arena *a, struct field_diff *d, const struct field_elem *e, const struct field_diff *kids);

void field_diff_structs(struct arena *a, const struct api_type *t, const void *from, const void *to, struct field_diff *ret);

/* Trees; from NULL: everything is new. */
void field_diff_trees(struct arena *a, struct merge_schema schema, const json_t *from, const json_t *to, struct field_diff *ret);
/* Leaves and items mentioned: what an applied configuration owns. */
struct field_set *field_set_of_tree(struct arena *a, struct merge_schema schema, const json_t *tree);
/* The set with the declared fields on the way to its members. */
struct field_set *field_set_with_named(struct arena *a, struct merge_schema schema, const struct field_set *s);
/* Problems of a configuration, as upstream words them: ".spec.foo: field not declared in schema". */
void field_tree_validate(struct merge_schema schema, const json_t *tree, struct strlist *problems);
json_t *field_tree_merge(struct merge_schema schema, json_t *live, json_t *applied); /* new reference; shares parts */
json_t *field_tree_remove(struct merge_schema schema, json_t *tree, const struct field_set *doomed); /* the same; never NULL at the top */

#endif
