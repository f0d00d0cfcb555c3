// SPDX-License-Identifier: Apache-2.0
/* record_tree.h - records in order, with snapshots for free: a B+tree whose nodes are shared between versions.
 *
 *   struct record_tree live;                          one owner changes it
 *   struct record_tree old = record_tree_snapshot(&live);   O(1); reads on it need no lock, ever
 *
 * A change copies only the nodes that a snapshot still shares, on the path from the root.
 * Order: by key, or by (value of one field, key) for an index.  Changing: one thread at a time (the store's lock).
 * Reading a snapshot, and record_tree_done() of one: any thread. */
#ifndef CKUBE_APISERVER_RECORD_TREE_H
#define CKUBE_APISERVER_RECORD_TREE_H

#include "apiserver/storage/record.h"

struct tree_node;
struct record_tree {
    struct tree_node *root; /* NULL: empty */
    int by_field;           /* row of the shape's fields, or -1: by key alone */
};
struct tree_pos { /* a place in the order */
    const char *value; /* of the field; ignored when by_field < 0 */
    const char *key;
};

void record_tree_done(struct record_tree *t);
struct record_tree record_tree_snapshot(const struct record_tree *t);
uint64_t record_tree_count(const struct record_tree *t);

const struct record *record_tree_get(const struct record_tree *t, struct tree_pos at); /* borrowed */
/* Takes `rec`; returns the record of the same place that it replaced (the caller's), or NULL. */
struct record *record_tree_put(struct record_tree *t, struct record *rec);
struct record *record_tree_remove(struct record_tree *t, struct tree_pos at);

/* Walks from the first place >= `at` (whole tree: value "" and key ""). Borrowed records; the tree must not change. */
#define TREE_DEPTH_MAX 16
struct tree_walk {
    struct {
        const struct tree_node *node;
        unsigned at;
    } path[TREE_DEPTH_MAX];
    unsigned depth;
};
void tree_walk_from(struct tree_walk *w, const struct record_tree *t, struct tree_pos at);
const struct record *tree_walk_next(struct tree_walk *w); /* NULL: the end */
uint64_t record_tree_count_before(const struct record_tree *t, struct tree_pos at); /* how many are < at: O(log n) */

#endif
