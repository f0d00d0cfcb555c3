// SPDX-License-Identifier: Apache-2.0
#include "scheduler/nodes.h"

#include <uthash.h>

#include "common/api/meta.h"
#include "common/api/values.h"
#include "common/base/sbuf.h"
#include "common/base/str.h"

#define MAX_COLUMNS 128  /* label keys with a column; the one not used for longest goes */
#define MAX_COUNTERS 128 /* likewise */

struct row_name {
    const char *name; /* of nodes.name */
    uint32_t row;
    UT_hash_handle hh;
};

struct label_value {
    char *text;
    uint32_t id;
    UT_hash_handle hh;
};

struct column {
    struct label_column pub; /* first */
    struct label_value *by_text;
    uint64_t used_at;
    UT_hash_handle hh; /* by key */
};

struct taint_set {
    char *text;
    uint32_t id, refs;
    struct arena *arena;
    struct taint_slice taints;
    UT_hash_handle hh;
};

struct pod_counter {
    struct pod_info *holder; /* keeps `who` alive */
    const struct pod_match *who;
    uint32_t *of_row;
    uint64_t used_at;
    UT_hash_handle hh; /* by text */
};

struct held {
    struct pod_info *holder;
    const struct affinity_term *term;
    struct row_count *rows;
    uint32_t nrows, cap;
    uint32_t place; /* in the list of its kind */
    UT_hash_handle hh;
};

struct image {
    char *name;
    int64_t size;
    uint32_t *rows;
    uint32_t nrows, cap;
    UT_hash_handle hh;
};

struct known_namespace {
    char *name;
    struct arena *arena;
    struct string_map labels;
    UT_hash_handle hh;
};

struct nodes_private {
    const struct object **object; /* by row */
    struct row_name *names;
    uint32_t *free_rows, nfree;
    struct column *columns;
    struct taint_set **taint_sets; /* by id; 0 unused */
    uint32_t ntaint_sets;
    struct taint_set *taints_by_text;
    struct pod_counter *counters;
    struct held *held_by_text[HELD_KINDS];
    struct held **held[HELD_KINDS];
    uint32_t nheld[HELD_KINDS], held_cap[HELD_KINDS];
    struct image *images;
    struct known_namespace *namespaces;
    uint64_t clock; /* counts uses, for the oldest column and counter */
};

/* --- rows --- */

static void
grow_column(void *column, size_t item, uint32_t old, uint32_t cap)
{
    char **p = column;

    *p = xreallocarray(*p, cap, item);
    memset(*p + (size_t)old * item, 0, (size_t)(cap - old) * item);
}

static void
grow(struct nodes *n)
{
    struct nodes_private *v = n->priv;
    uint32_t old = n->cap, cap = old ? old * 2 : 16;
    struct column *c, *cn;
    struct pod_counter *k, *kn;

    n->cap = cap;
    n->live = xreallocarray(n->live, cap, sizeof(*n->live));
    v->free_rows = xreallocarray(v->free_rows, cap, sizeof(*v->free_rows));
    grow_column(&n->live_at, sizeof(*n->live_at), old, cap);
    grow_column(&n->name, sizeof(*n->name), old, cap);
    grow_column(&n->node, sizeof(*n->node), old, cap);
    grow_column(&v->object, sizeof(*v->object), old, cap);
    for (uint32_t r = 0; r < RES_MAX; r++) {
        if (n->alloc[r])
            grow_column(&n->alloc[r], sizeof(int64_t), old, cap);
        if (n->used[r])
            grow_column(&n->used[r], sizeof(int64_t), old, cap);
    }
    grow_column(&n->used_cpu_or_default, sizeof(int64_t), old, cap);
    grow_column(&n->used_memory_or_default, sizeof(int64_t), old, cap);
    grow_column(&n->unschedulable, sizeof(*n->unschedulable), old, cap);
    grow_column(&n->taints, sizeof(*n->taints), old, cap);
    grow_column(&n->nports, sizeof(*n->nports), old, cap);
    grow_column(&n->pods, sizeof(*n->pods), old, cap);
    HASH_ITER(hh, v->columns, c, cn)
    grow_column(&c->pub.of_row, sizeof(uint32_t), old, cap);
    HASH_ITER(hh, v->counters, k, kn)
    grow_column(&k->of_row, sizeof(uint32_t), old, cap);
}

uint32_t
nodes_row(const struct nodes *n, const char *name)
{
    struct row_name *r;

    HASH_FIND_STR(n->priv->names, name, r);
    return r ? r->row : ROW_NONE;
}

static uint32_t
row_for(struct nodes *n, const char *name)
{
    uint32_t row = nodes_row(n, name);
    struct row_name *r;

    if (row != ROW_NONE)
        return row;
    if (n->priv->nfree > 0) {
        row = n->priv->free_rows[--n->priv->nfree];
    } else {
        if (n->nrows == n->cap)
            grow(n);
        row = n->nrows++;
    }
    n->name[row] = xstrdup(name);
    n->live_at[row] = ROW_NONE;
    r = XNEW(struct row_name);
    r->name = n->name[row];
    r->row = row;
    HASH_ADD_KEYPTR(hh, n->priv->names, r->name, strlen(r->name), r);
    return row;
}

/* Nothing is left there: neither a node nor pods.  Counts and sums are zero then. */
static void
release_row(struct nodes *n, uint32_t row)
{
    struct row_name *r;

    if (n->node[row] || n->pods[row].len > 0)
        return;
    HASH_FIND_STR(n->priv->names, n->name[row], r);
    HASH_DEL(n->priv->names, r);
    free(r);
    free(n->name[row]);
    n->name[row] = NULL;
    free(n->pods[row].items);
    n->pods[row] = (struct row_pods){ 0 };
    n->priv->free_rows[n->priv->nfree++] = row;
}

static int64_t *
resource_column(struct nodes *n, int64_t *columns[], uint32_t id)
{
    if (!columns[id])
        columns[id] = xcalloc(n->cap, sizeof(int64_t));
    return columns[id];
}

/* --- label columns --- */

uint32_t
label_column_id(const struct label_column *c, const char *value)
{
    struct label_value *v;

    HASH_FIND_STR(((const struct column *)c)->by_text, value, v);
    return v ? v->id : 0;
}

static void
column_free(struct column *c)
{
    struct label_value *v, *next;

    HASH_ITER(hh, c->by_text, v, next)
    {
        HASH_DEL(c->by_text, v);
        free(v->text);
        free(v);
    }
    free(c->pub.value);
    free(c->pub.of_row);
    free((char *)c->pub.key);
    free(c);
}

static void
column_set(struct column *c, uint32_t row, const char *value)
{
    struct label_value *v;

    if (!value) {
        c->pub.of_row[row] = 0;
        return;
    }
    HASH_FIND_STR(c->by_text, value, v);
    if (!v) {
        v = XNEW(struct label_value);
        v->text = xstrdup(value);
        v->id = ++c->pub.nvalues;
        c->pub.value = xreallocarray(c->pub.value, v->id + 1, sizeof(char *));
        c->pub.value[0] = NULL;
        c->pub.value[v->id] = v->text;
        HASH_ADD_KEYPTR(hh, c->by_text, v->text, strlen(v->text), v);
    }
    c->pub.of_row[row] = v->id;
}

/* A row's labels changed.  A column with many values that no node has any more is made anew when next asked for. */
static void
columns_update(struct nodes *n, uint32_t row)
{
    struct column *c, *next;

    HASH_ITER(hh, n->priv->columns, c, next)
    {
        column_set(c, row, n->node[row] ? meta_label(&n->node[row]->metadata, c->pub.key) : NULL);
        if (c->pub.nvalues > 2 * n->nlive + 64) {
            HASH_DEL(n->priv->columns, c);
            column_free(c);
        }
    }
}

static void
drop_oldest_column(struct nodes_private *v)
{
    struct column *c, *next, *oldest = NULL;

    HASH_ITER(hh, v->columns, c, next)
    if (!oldest || c->used_at < oldest->used_at)
        oldest = c;
    if (oldest) {
        HASH_DEL(v->columns, oldest);
        column_free(oldest);
    }
}

const struct label_column *
nodes_labels(struct nodes *n, const char *key)
{
    struct column *c;

    HASH_FIND_STR(n->priv->columns, key, c);
    if (!c) {
        c = XNEW(struct column);
        c->pub.key = xstrdup(key);
        c->pub.of_row = xcalloc(n->cap ? n->cap : 1, sizeof(uint32_t));
        for (uint32_t i = 0; i < n->nlive; i++)
            column_set(c, n->live[i], meta_label(&n->node[n->live[i]]->metadata, key));
        HASH_ADD_KEYPTR(hh, n->priv->columns, c->pub.key, strlen(c->pub.key), c);
    }
    c->used_at = ++n->priv->clock;
    return &c->pub;
}

/* --- taints --- */

static void
taint_set_unref(struct nodes_private *v, uint32_t id)
{
    struct taint_set *s = id ? v->taint_sets[id] : NULL;

    if (!s || --s->refs > 0)
        return;
    HASH_DEL(v->taints_by_text, s);
    v->taint_sets[id] = NULL;
    arena_free(s->arena);
    free(s);
}

static struct taint_set *
taint_set_new(struct nodes_private *v, const struct taint_slice *taints, const char *text)
{
    struct taint_set *s = XNEW(struct taint_set);

    s->arena = arena_new(256);
    s->text = arena_strdup(s->arena, text);
    s->taints.items = arena_alloc(s->arena, taints->len * sizeof(*s->taints.items));
    s->taints.len = taints->len;
    for (uint32_t i = 0; i < taints->len; i++)
        s->taints.items[i] = (struct taint){ .key = arena_strdup(s->arena, taints->items[i].key),
                                             .value = arena_strdup(s->arena, taints->items[i].value),
                                             .effect = arena_strdup(s->arena, taints->items[i].effect) };
    for (s->id = 1; s->id < v->ntaint_sets && v->taint_sets[s->id]; s->id++)
        ;
    if (s->id >= v->ntaint_sets) {
        v->ntaint_sets = s->id + 1;
        v->taint_sets = xreallocarray(v->taint_sets, v->ntaint_sets, sizeof(*v->taint_sets));
        v->taint_sets[0] = NULL;
    }
    v->taint_sets[s->id] = s;
    HASH_ADD_KEYPTR(hh, v->taints_by_text, s->text, strlen(s->text), s);
    return s;
}

static uint32_t
taint_set_ref(struct nodes_private *v, const struct taint_slice *taints)
{
    AUTO_SBUF text = { 0 };
    struct taint_set *s;

    if (taints->len == 0)
        return 0;
    for (uint32_t i = 0; i < taints->len; i++)
        sbuf_addf(&text, "%s=%s:%s\n", str_safe(taints->items[i].key), str_safe(taints->items[i].value), str_safe(taints->items[i].effect));
    HASH_FIND_STR(v->taints_by_text, sbuf_str(&text), s);
    if (!s)
        s = taint_set_new(v, taints, sbuf_str(&text));
    s->refs++;
    return s->id;
}

const struct taint_slice *
nodes_taints(const struct nodes *n, uint32_t id)
{
    static const struct taint_slice none;

    return id && id < n->priv->ntaint_sets && n->priv->taint_sets[id] ? &n->priv->taint_sets[id]->taints : &none;
}

uint32_t
nodes_taint_ids(const struct nodes *n)
{
    return n->priv->ntaint_sets ? n->priv->ntaint_sets : 1;
}

/* --- images --- */

static void
image_free(struct nodes_private *v, struct image *im)
{
    HASH_DEL(v->images, im);
    free(im->name);
    free(im->rows);
    free(im);
}

static void
image_add(struct nodes_private *v, const char *name, int64_t size, uint32_t row)
{
    struct image *im;

    HASH_FIND_STR(v->images, name, im);
    if (!im) {
        im = XNEW(struct image);
        im->name = xstrdup(name);
        HASH_ADD_KEYPTR(hh, v->images, im->name, strlen(im->name), im);
    }
    im->size = size;
    if (im->nrows > 0 && im->rows[im->nrows - 1] == row)
        return; /* listed twice by the node */
    if (im->nrows == im->cap) {
        im->cap = im->cap ? im->cap * 2 : 4;
        im->rows = xreallocarray(im->rows, im->cap, sizeof(*im->rows));
    }
    im->rows[im->nrows++] = row;
}

static void
image_del(struct nodes_private *v, const char *name, uint32_t row)
{
    struct image *im;

    HASH_FIND_STR(v->images, name, im);
    for (uint32_t i = 0; im && i < im->nrows; i++)
        if (im->rows[i] == row) {
            im->rows[i] = im->rows[--im->nrows];
            break;
        }
    if (im && im->nrows == 0)
        image_free(v, im);
}

static void
images_of(struct nodes_private *v, const struct node *node, uint32_t row, bool add)
{
    const struct container_image_slice *l = node ? &node->status.images : &(struct container_image_slice){ 0 };

    for (uint32_t i = 0; i < l->len; i++)
        for (uint32_t k = 0; k < l->items[i].names.len; k++) {
            if (add)
                image_add(v, str_safe(l->items[i].names.items[k]), l->items[i].size_bytes, row);
            else
                image_del(v, str_safe(l->items[i].names.items[k]), row);
        }
}

bool
nodes_image(const struct nodes *n, const char *image, struct image_on_nodes *ret)
{
    struct image *im;

    HASH_FIND_STR(n->priv->images, image, im);
    if (!im)
        return false;
    *ret = (struct image_on_nodes){ im->size, im->rows, im->nrows };
    return true;
}

/* --- nodes --- */

static unsigned
set_allocatable(struct nodes *n, uint32_t row, const struct node *node)
{
    const struct quantity_map *a = &node->status.allocatable;
    bool changed = false;
    int64_t fresh[RES_MAX] = { 0 };

    for (uint32_t i = 0; i < a->len; i++) {
        uint32_t id = resource_id(n->resources, a->items[i].key);

        if (id != RES_UNKNOWN)
            fresh[id] = id == RES_CPU ? quantity_milli(a->items[i].value) : quantity_value(a->items[i].value);
    }
    for (uint32_t id = 0; id < RES_MAX; id++) {
        if (!n->alloc[id] && fresh[id] == 0)
            continue;
        changed |= resource_column(n, n->alloc, id)[row] != fresh[id];
        n->alloc[id][row] = fresh[id];
    }
    return changed ? NODE_ALLOCATABLE : 0;
}

static bool
same_labels(const struct node *old, const struct node *now)
{
    const struct string_map *a = &old->metadata.labels, *b = &now->metadata.labels;

    if (a->len != b->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!str_eq(a->items[i].key, b->items[i].key) || !str_eq(a->items[i].value, b->items[i].value))
            return false;
    return true;
}

unsigned
nodes_set_node(struct nodes *n, const struct object *object)
{
    const struct node *node = OBJECT_BODY(object, node);
    uint32_t row = row_for(n, node->metadata.name), taints = taint_set_ref(n->priv, &node->spec.taints);
    const struct node *old = n->node[row];
    const struct object *old_object = n->priv->object[row];
    unsigned changed = set_allocatable(n, row, node);

    if (!old) {
        changed |= NODE_ADDED;
        n->live_at[row] = n->nlive;
        n->live[n->nlive++] = row;
    } else if (!same_labels(old, node)) {
        changed |= NODE_LABELS;
    }
    if (n->taints[row] != taints)
        changed |= NODE_TAINTS;
    if (n->unschedulable[row] != node->spec.unschedulable)
        changed |= NODE_UNSCHEDULABLE;
    taint_set_unref(n->priv, n->taints[row]);
    n->taints[row] = taints;
    n->unschedulable[row] = node->spec.unschedulable;
    images_of(n->priv, old, row, false);
    images_of(n->priv, node, row, true);
    n->priv->object[row] = object_ref(object);
    n->node[row] = node;
    object_unref(old_object);
    if (changed & (NODE_ADDED | NODE_LABELS))
        columns_update(n, row);
    return changed;
}

void
nodes_del_node(struct nodes *n, const char *name)
{
    uint32_t row = nodes_row(n, name), last;

    if (row == ROW_NONE || !n->node[row])
        return;
    images_of(n->priv, n->node[row], row, false);
    object_unref(n->priv->object[row]);
    n->priv->object[row] = NULL;
    n->node[row] = NULL;
    for (uint32_t id = 0; id < RES_MAX; id++)
        if (n->alloc[id])
            n->alloc[id][row] = 0;
    taint_set_unref(n->priv, n->taints[row]);
    n->taints[row] = 0;
    n->unschedulable[row] = false;
    last = n->live[--n->nlive];
    n->live[n->live_at[row]] = last;
    n->live_at[last] = n->live_at[row];
    n->live_at[row] = ROW_NONE;
    columns_update(n, row);
    release_row(n, row);
}

/* --- pods --- */

static void
counters_update(struct nodes *n, const struct pod_info *p, int by)
{
    const struct string_map *labels = nodes_namespace_labels(n, p->namespace);
    struct pod_counter *c, *next;

    HASH_ITER(hh, n->priv->counters, c, next)
    if (pod_match_hits(c->who, p, labels))
        c->of_row[p->row] += (uint32_t)by;
}

static void
held_free(struct nodes_private *v, enum held_kind kind, struct held *h)
{
    struct held *last = v->held[kind][--v->nheld[kind]];

    v->held[kind][h->place] = last;
    last->place = h->place;
    HASH_DEL(v->held_by_text[kind], h);
    pod_info_unref(h->holder);
    free(h->rows);
    free(h);
}

static struct held *
held_new(struct nodes_private *v, enum held_kind kind, struct pod_info *p, const struct affinity_term *t)
{
    struct held *h = XNEW(struct held);

    h->holder = pod_info_ref(p);
    h->term = t;
    h->place = v->nheld[kind]++;
    if (h->place == v->held_cap[kind]) {
        v->held_cap[kind] = h->place ? h->place * 2 : 8;
        v->held[kind] = xreallocarray(v->held[kind], v->held_cap[kind], sizeof(*v->held[kind]));
    }
    v->held[kind][h->place] = h;
    HASH_ADD_KEYPTR(hh, v->held_by_text[kind], t->text, strlen(t->text), h);
    return h;
}

static void
held_change(struct nodes_private *v, enum held_kind kind, struct pod_info *p, const struct affinity_term *t, bool add)
{
    struct held *h;
    uint32_t i;

    HASH_FIND_STR(v->held_by_text[kind], t->text, h);
    if (!h && !add)
        return;
    if (!h)
        h = held_new(v, kind, p, t);
    for (i = 0; i < h->nrows && h->rows[i].row != p->row; i++)
        ;
    if (!add) {
        if (i < h->nrows && --h->rows[i].n == 0)
            h->rows[i] = h->rows[--h->nrows];
        if (h->nrows == 0)
            held_free(v, kind, h);
        return;
    }
    if (i == h->nrows) {
        if (h->nrows == h->cap) {
            h->cap = h->cap ? h->cap * 2 : 4;
            h->rows = xreallocarray(h->rows, h->cap, sizeof(*h->rows));
        }
        h->rows[h->nrows++] = (struct row_count){ p->row, 0 };
    }
    h->rows[i].n++;
}

static void
held_update(struct nodes *n, struct pod_info *p, bool add)
{
    const struct affinity_terms *lists[HELD_KINDS] = {
        [HELD_ANTI] = &p->anti_affinity, [HELD_REQUIRED] = &p->affinity, [HELD_PREFERRED] = &p->preferred_affinity,
    };

    for (unsigned kind = 0; kind < HELD_KINDS; kind++)
        for (uint32_t i = 0; i < lists[kind]->len; i++)
            held_change(n->priv, kind, p, &lists[kind]->items[i], add);
}

static void
account(struct nodes *n, struct pod_info *p, int by)
{
    uint32_t row = p->row;

    for (uint32_t i = 0; i < p->nrequests; i++)
        resource_column(n, n->used, p->requests[i].id)[row] += by * p->requests[i].amount;
    resource_column(n, n->used, RES_PODS)[row] += by;
    n->used_cpu_or_default[row] += by * p->cpu_or_default;
    n->used_memory_or_default[row] += by * p->memory_or_default;
    n->nports[row] += (uint32_t)by * p->nports;
    counters_update(n, p, by);
    held_update(n, p, by > 0);
}

void
nodes_add_pod(struct nodes *n, struct pod_info *p, const char *node)
{
    struct row_pods *l;

    p->row = row_for(n, node);
    l = &n->pods[p->row];
    if (l->len == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->items = xreallocarray(l->items, l->cap, sizeof(*l->items));
    }
    l->items[l->len++] = pod_info_ref(p);
    account(n, p, 1);
}

void
nodes_del_pod(struct nodes *n, struct pod_info *p)
{
    uint32_t row = p->row;
    struct row_pods *l;

    if (row == ROW_NONE)
        return;
    account(n, p, -1);
    l = &n->pods[row];
    for (uint32_t i = 0; i < l->len; i++)
        if (l->items[i] == p) {
            l->items[i] = l->items[--l->len];
            break;
        }
    p->row = ROW_NONE;
    pod_info_unref(p);
    release_row(n, row);
}

/* --- counters --- */

static void
counter_free(struct nodes_private *v, struct pod_counter *c)
{
    HASH_DEL(v->counters, c);
    pod_info_unref(c->holder);
    free(c->of_row);
    free(c);
}

static void
drop_oldest_counter(struct nodes_private *v)
{
    struct pod_counter *c, *next, *oldest = NULL;

    HASH_ITER(hh, v->counters, c, next)
    if (!oldest || c->used_at < oldest->used_at)
        oldest = c;
    if (oldest)
        counter_free(v, oldest);
}

static struct pod_counter *
counter_new(struct nodes *n, struct pod_info *holder, const struct pod_match *who)
{
    struct pod_counter *c = XNEW(struct pod_counter);

    c->holder = pod_info_ref(holder);
    c->who = who;
    c->of_row = xcalloc(n->cap ? n->cap : 1, sizeof(uint32_t));
    for (uint32_t row = 0; row < n->nrows; row++)
        for (uint32_t i = 0; i < n->pods[row].len; i++) {
            const struct pod_info *p = n->pods[row].items[i];

            c->of_row[row] += pod_match_hits(who, p, nodes_namespace_labels(n, p->namespace));
        }
    HASH_ADD_KEYPTR(hh, n->priv->counters, who->text, strlen(who->text), c);
    return c;
}

const uint32_t *
nodes_count(struct nodes *n, struct pod_info *holder, const struct pod_match *who)
{
    struct pod_counter *c;

    HASH_FIND_STR(n->priv->counters, who->text, c);
    if (!c)
        c = counter_new(n, holder, who);
    c->used_at = ++n->priv->clock;
    return c->of_row;
}

/* Between cycles, so that nothing is dropped under a cycle's hands. */
void
nodes_trim(struct nodes *n)
{
    while (HASH_COUNT(n->priv->counters) > MAX_COUNTERS)
        drop_oldest_counter(n->priv);
    while (HASH_COUNT(n->priv->columns) > MAX_COLUMNS)
        drop_oldest_column(n->priv);
}

uint32_t
nodes_held(const struct nodes *n, enum held_kind kind)
{
    return n->priv->nheld[kind];
}

struct held_term
nodes_held_at(const struct nodes *n, enum held_kind kind, uint32_t i)
{
    const struct held *h = n->priv->held[kind][i];

    return (struct held_term){ h->term, h->rows, h->nrows };
}

/* --- namespaces --- */

const struct string_map *
nodes_namespace_labels(const struct nodes *n, const char *name)
{
    struct known_namespace *k;

    HASH_FIND_STR(n->priv->namespaces, name, k);
    return k ? &k->labels : NULL;
}

static void
namespace_free(struct nodes_private *v, struct known_namespace *k)
{
    HASH_DEL(v->namespaces, k);
    arena_free(k->arena);
    free(k);
}

void
nodes_set_namespace(struct nodes *n, const char *name, const struct string_map *labels)
{
    struct known_namespace *k;
    struct pod_counter *c, *next;

    HASH_FIND_STR(n->priv->namespaces, name, k);
    if (k)
        namespace_free(n->priv, k);
    if (labels) {
        k = XNEW(struct known_namespace);
        k->arena = arena_new(256);
        k->name = arena_strdup(k->arena, name);
        for (uint32_t i = 0; i < labels->len; i++)
            (void)string_map_set(&k->labels, k->arena, labels->items[i].key, labels->items[i].value);
        HASH_ADD_KEYPTR(hh, n->priv->namespaces, k->name, strlen(k->name), k);
    }
    HASH_ITER(hh, n->priv->counters, c, next)
    if (c->who->namespace_query)
        counter_free(n->priv, c);
}

/* --- life --- */

struct nodes *
nodes_new(struct resource_names *resources)
{
    struct nodes *n = XNEW(struct nodes);

    n->resources = resources;
    n->priv = XNEW(struct nodes_private);
    grow(n);
    for (uint32_t id = 0; id < RES_FIRST_OTHER; id++) {
        (void)resource_column(n, n->alloc, id);
        (void)resource_column(n, n->used, id);
    }
    return n;
}

static void
free_tables(struct nodes *n)
{
    struct nodes_private *v = n->priv;
    struct column *c, *cn;
    struct pod_counter *k, *kn;
    struct known_namespace *s, *sn;
    struct image *im, *in;

    HASH_ITER(hh, v->columns, c, cn)
    {
        HASH_DEL(v->columns, c);
        column_free(c);
    }
    HASH_ITER(hh, v->counters, k, kn)
    counter_free(v, k);
    HASH_ITER(hh, v->namespaces, s, sn)
    namespace_free(v, s);
    HASH_ITER(hh, v->images, im, in)
    image_free(v, im);
}

void
nodes_free(struct nodes *n)
{
    if (!n)
        return;
    for (uint32_t row = 0; row < n->nrows; row++)
        for (uint32_t left = n->name[row] ? n->pods[row].len : 0; left > 0; left--)
            nodes_del_pod(n, n->pods[row].items[left - 1]);
    while (n->nlive > 0)
        nodes_del_node(n, n->name[n->live[0]]);
    free_tables(n);
    for (uint32_t id = 0; id < RES_MAX; id++) {
        free(n->alloc[id]);
        free(n->used[id]);
    }
    for (unsigned kind = 0; kind < HELD_KINDS; kind++)
        free(n->priv->held[kind]);
    free(n->priv->taint_sets);
    free(n->priv->free_rows);
    free(n->priv->object);
    free(n->priv);
    free(n->live);
    free(n->live_at);
    free(n->name);
    free(n->node);
    free(n->used_cpu_or_default);
    free(n->used_memory_or_default);
    free(n->unschedulable);
    free(n->taints);
    free(n->nports);
    free(n->pods);
    free(n);
}
