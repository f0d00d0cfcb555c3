// SPDX-License-Identifier: Apache-2.0
#include "apiserver/storage/record_tree.h"

#include <assert.h>
#include <string.h>

#define FANOUT 32
#define LOW (FANOUT / 4) /* a node with fewer joins a neighbour when both fit in one */

struct tree_node {
    _Atomic uint32_t refs;
    bool leaf;
    uint8_t n;
    union {
        const struct record *records[FANOUT]; /* leaf: references */
        struct {
            struct tree_node *kids[FANOUT];     /* references */
            const struct record *least[FANOUT]; /* of each kid; borrowed from it */
            uint64_t counts[FANOUT];
        };
    };
};
#define LEAF_SIZE (offsetof(struct tree_node, records) + FANOUT * sizeof(void *))

/* --- nodes --- */

static struct tree_node *
node_new(bool leaf)
{
    struct tree_node *n = xmalloc(leaf ? LEAF_SIZE : sizeof(struct tree_node));

    atomic_init(&n->refs, 1);
    n->leaf = leaf;
    n->n = 0;
    return n;
}

static struct tree_node *
node_ref(struct tree_node *n)
{
    if (n)
        atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    return n;
}

static void
node_unref(struct tree_node *n)
{
    if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < n->n; i++) {
        if (n->leaf)
            record_unref(n->records[i]);
        else
            node_unref(n->kids[i]);
    }
    free(n);
}

/* The node itself when nobody else holds it, else a copy that replaces our reference. */
static struct tree_node *
node_own(struct tree_node *n)
{
    struct tree_node *copy;

    if (atomic_load_explicit(&n->refs, memory_order_acquire) == 1)
        return n;
    copy = node_new(n->leaf);
    copy->n = n->n;
    if (n->leaf) {
        for (unsigned i = 0; i < n->n; i++)
            copy->records[i] = record_ref(n->records[i]);
    } else {
        memcpy(copy->least, n->least, sizeof(n->least));
        memcpy(copy->counts, n->counts, sizeof(n->counts));
        for (unsigned i = 0; i < n->n; i++)
            copy->kids[i] = node_ref(n->kids[i]);
    }
    node_unref(n);
    return copy;
}

static uint64_t
node_count(const struct tree_node *n)
{
    uint64_t count = 0;

    if (n->leaf)
        return n->n;
    for (unsigned i = 0; i < n->n; i++)
        count += n->counts[i];
    return count;
}

static const struct record *
node_least(const struct tree_node *n)
{
    return n->leaf ? n->records[0] : n->least[0];
}

static void
refresh_kid(struct tree_node *n, unsigned i)
{
    n->least[i] = node_least(n->kids[i]);
    n->counts[i] = node_count(n->kids[i]);
}

/* --- order --- */

static int
pos_cmp(int by_field, struct tree_pos at, const struct record *rec)
{
    if (by_field >= 0) {
        int cmp = strcmp(at.value, rec->fields[by_field]);

        if (cmp)
            return cmp;
    }
    return strcmp(at.key, rec->key);
}

static struct tree_pos
pos_of(int by_field, const struct record *rec)
{
    return (struct tree_pos){ by_field >= 0 ? rec->fields[by_field] : "", rec->key };
}

/* Leaf: the first record >= at.  Inner: the kid in whose span `at` falls. */
static unsigned
node_find(const struct tree_node *n, int by_field, struct tree_pos at)
{
    const struct record *const *records = n->leaf ? n->records : n->least;
    unsigned lo = 0, hi = n->n;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        int cmp = pos_cmp(by_field, at, records[mid]);

        if (n->leaf ? cmp <= 0 : cmp < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return n->leaf || lo == 0 ? lo : lo - 1;
}

/* --- change --- */

#define MOVE(array, to, from, count) memmove(&(array)[to], &(array)[from], (count) * sizeof((array)[0]))

/* Makes room for one entry at i. */
static void
node_open(struct tree_node *n, unsigned i)
{
    if (n->leaf) {
        MOVE(n->records, i + 1, i, n->n - i);
    } else {
        MOVE(n->kids, i + 1, i, n->n - i);
        MOVE(n->least, i + 1, i, n->n - i);
        MOVE(n->counts, i + 1, i, n->n - i);
    }
    n->n++;
}

static void
node_close(struct tree_node *n, unsigned i)
{
    n->n--;
    if (n->leaf) {
        MOVE(n->records, i, i + 1, n->n - i);
    } else {
        MOVE(n->kids, i, i + 1, n->n - i);
        MOVE(n->least, i, i + 1, n->n - i);
        MOVE(n->counts, i, i + 1, n->n - i);
    }
}

/* The upper part of a full node; appending at the end (loading in order) leaves it nearly full. */
static struct tree_node *
node_split(struct tree_node *n, unsigned keep)
{
    struct tree_node *right = node_new(n->leaf);

    right->n = (uint8_t)(n->n - keep);
    if (n->leaf) {
        memcpy(right->records, n->records + keep, right->n * sizeof(n->records[0]));
    } else {
        memcpy(right->kids, n->kids + keep, right->n * sizeof(n->kids[0]));
        memcpy(right->least, n->least + keep, right->n * sizeof(n->least[0]));
        memcpy(right->counts, n->counts + keep, right->n * sizeof(n->counts[0]));
    }
    n->n = (uint8_t)keep;
    return right;
}

struct change {
    int by_field;
    struct record *rec; /* to put */
    struct record *old; /* replaced or removed */
};

static struct tree_node *put_in(struct tree_node *n, struct change *ch, struct tree_node **ret_right);

static struct tree_node *
put_in_leaf(struct tree_node *n, struct change *ch, unsigned i, struct tree_node **ret_right)
{
    struct tree_node *into = n;

    if (i < n->n && pos_cmp(ch->by_field, pos_of(ch->by_field, ch->rec), n->records[i]) == 0) {
        ch->old = (struct record *)n->records[i];
        n->records[i] = ch->rec;
        return n;
    }
    if (n->n == FANOUT) {
        *ret_right = node_split(n, i == FANOUT ? FANOUT - 2 : FANOUT / 2);
        if (i > n->n) {
            i -= n->n;
            into = *ret_right;
        }
    }
    node_open(into, i);
    into->records[i] = ch->rec;
    return n;
}

static void
add_kid(struct tree_node *n, unsigned i, struct tree_node *kid)
{
    node_open(n, i);
    n->kids[i] = kid;
    refresh_kid(n, i);
}

/* Takes n, gives what stands in its place, and a right neighbour when it was split. */
static struct tree_node *
put_in(struct tree_node *n, struct change *ch, struct tree_node **ret_right)
{
    struct tree_node *kid_right = NULL;
    unsigned i;

    n = node_own(n);
    i = node_find(n, ch->by_field, pos_of(ch->by_field, ch->rec));
    if (n->leaf)
        return put_in_leaf(n, ch, i, ret_right);
    n->kids[i] = put_in(n->kids[i], ch, &kid_right);
    refresh_kid(n, i);
    if (!kid_right)
        return n;
    if (n->n == FANOUT) {
        *ret_right = node_split(n, i == FANOUT - 1 ? FANOUT - 2 : FANOUT / 2);
        if (i >= n->n) {
            add_kid(*ret_right, i - n->n + 1, kid_right);
            return n;
        }
    }
    add_kid(n, i + 1, kid_right);
    return n;
}

struct record *
record_tree_put(struct record_tree *t, struct record *rec)
{
    struct change ch = { .by_field = t->by_field, .rec = rec };
    struct tree_node *right = NULL;

    if (!t->root)
        t->root = node_new(true);
    t->root = put_in(t->root, &ch, &right);
    if (right) {
        struct tree_node *top = node_new(false);

        add_kid(top, 0, t->root);
        add_kid(top, 1, right);
        t->root = top;
    }
    return ch.old;
}

/* Joins kids i and i + 1 when both fit in one. */
static void
try_join(struct tree_node *n, unsigned i)
{
    struct tree_node *a, *b;

    if (i + 1 >= n->n || n->kids[i]->n + n->kids[i + 1]->n > FANOUT)
        return;
    a = n->kids[i] = node_own(n->kids[i]);
    b = n->kids[i + 1] = node_own(n->kids[i + 1]);
    if (a->leaf) {
        memcpy(a->records + a->n, b->records, b->n * sizeof(b->records[0]));
    } else {
        memcpy(a->kids + a->n, b->kids, b->n * sizeof(b->kids[0]));
        memcpy(a->least + a->n, b->least, b->n * sizeof(b->least[0]));
        memcpy(a->counts + a->n, b->counts, b->n * sizeof(b->counts[0]));
    }
    a->n = (uint8_t)(a->n + b->n);
    b->n = 0; /* its entries are a's now */
    node_unref(b);
    node_close(n, i + 1);
    refresh_kid(n, i);
}

static struct tree_node *
remove_in(struct tree_node *n, struct change *ch, struct tree_pos at)
{
    unsigned i;

    n = node_own(n);
    i = node_find(n, ch->by_field, at);
    if (n->leaf) {
        ch->old = (struct record *)n->records[i];
        node_close(n, i);
        return n;
    }
    n->kids[i] = remove_in(n->kids[i], ch, at);
    if (n->kids[i]->n == 0) {
        node_unref(n->kids[i]);
        node_close(n, i);
        return n;
    }
    refresh_kid(n, i);
    if (n->kids[i]->n < LOW)
        try_join(n, i + 1 < n->n ? i : i ? i - 1 : 0);
    return n;
}

struct record *
record_tree_remove(struct record_tree *t, struct tree_pos at)
{
    struct change ch = { .by_field = t->by_field };

    if (!record_tree_get(t, at)) /* so that a miss copies nothing */
        return NULL;
    t->root = remove_in(t->root, &ch, at);
    while (t->root && !t->root->leaf && t->root->n == 1) {
        struct tree_node *top = t->root;

        t->root = node_ref(top->kids[0]);
        node_unref(top);
    }
    if (t->root->n == 0) {
        node_unref(t->root);
        t->root = NULL;
    }
    return ch.old;
}

/* --- read --- */

void
record_tree_done(struct record_tree *t)
{
    node_unref(t->root);
    t->root = NULL;
}

struct record_tree
record_tree_snapshot(const struct record_tree *t)
{
    return (struct record_tree){ node_ref(t->root), t->by_field };
}

uint64_t
record_tree_count(const struct record_tree *t)
{
    return t->root ? node_count(t->root) : 0;
}

const struct record *
record_tree_get(const struct record_tree *t, struct tree_pos at)
{
    const struct tree_node *n = t->root;
    unsigned i;

    if (!n)
        return NULL;
    while (!n->leaf)
        n = n->kids[node_find(n, t->by_field, at)];
    i = node_find(n, t->by_field, at);
    return i < n->n && pos_cmp(t->by_field, at, n->records[i]) == 0 ? n->records[i] : NULL;
}

void
tree_walk_from(struct tree_walk *w, const struct record_tree *t, struct tree_pos at)
{
    const struct tree_node *n = t->root;

    w->depth = 0;
    while (n) {
        unsigned i = node_find(n, t->by_field, at);

        assert(w->depth < TREE_DEPTH_MAX);
        w->path[w->depth].node = n;
        w->path[w->depth++].at = i;
        n = n->leaf ? NULL : n->kids[i];
    }
}

const struct record *
tree_walk_next(struct tree_walk *w)
{
    while (w->depth) {
        unsigned top = w->depth - 1, i = w->path[top].at;
        const struct tree_node *n = w->path[top].node;

        if (i >= n->n) { /* up, and one on */
            if (--w->depth)
                w->path[w->depth - 1].at++;
            continue;
        }
        if (n->leaf) {
            w->path[top].at++;
            return n->records[i];
        }
        assert(w->depth < TREE_DEPTH_MAX);
        w->path[w->depth].node = n->kids[i]; /* down to the first of kid i */
        w->path[w->depth++].at = 0;
    }
    return NULL;
}

uint64_t
record_tree_count_before(const struct record_tree *t, struct tree_pos at)
{
    const struct tree_node *n = t->root;
    uint64_t count = 0;

    while (n) {
        unsigned i = node_find(n, t->by_field, at);

        if (n->leaf)
            return count + i;
        for (unsigned k = 0; k < i; k++)
            count += n->counts[k];
        n = n->kids[i];
    }
    return count;
}
