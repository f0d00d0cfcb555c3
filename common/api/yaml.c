// SPDX-License-Identifier: Apache-2.0
/* YAML to JSON as sigs.k8s.io/yaml does it: libyaml's events make a small tree (anchors and merge keys need one),
 * the tree is written as JSON with sorted keys; of equal keys the last stays. */
#include "common/api/codec.h"

#include <math.h>
#include <yaml.h>

#include "common/api/json_scan.h"
#include "common/api/yaml_scalar.h"
#include "common/base/base64.h"

enum { ANCHOR_SLOTS = 4096, FINDINGS_MAX = 100 };

struct yaml_tree;

struct child {
    struct yaml_tree *node;
    struct child *next;
    bool alias;
};

struct yaml_tree {
    yaml_node_type_t type;
    bool plain;         /* a scalar whose text decides what it is */
    bool busy;          /* being written: an alias to it would never end */
    unsigned line;      /* from 1 */
    uint32_t nchildren; /* of mappings: keys and values by turns */
    const char *tag;    /* NULL: none given */
    const char *text;
    size_t len;
    struct child *children;
};

struct anchor {
    const char *name;
    struct yaml_tree *node; /* NULL while it is being read */
    struct anchor *next;
};

struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    struct anchor *anchors[ANCHOR_SLOTS];
};

struct writer {
    struct sbuf *out;
    struct arena *arena;
    struct strlist *duplicates; /* NULL: not asked for */
    int depth, alias_depth;
    uint64_t nodes, alias_nodes;
};

static struct kerr *read_node(struct reader *r, yaml_event_t *ev, int depth, struct yaml_tree **ret);
static struct kerr *write_node(struct writer *w, struct yaml_tree *n);

static struct kerr *yaml_error(const char *fmt, ...) MUST_CHECK PRINTF_LIKE(1, 2);

static struct kerr *
yaml_error(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    AUTO_FREE char *why = xvasprintf(fmt, ap);
    va_end(ap);
    return kerr_new(KERR_BAD_REQUEST, "error converting YAML to JSON: yaml: %s", why);
}

/* ---- events to tree ---- */

/* libyaml's complaint with the line upstream would name. */
static struct kerr *
parser_error(const yaml_parser_t *p)
{
    const char *why = p->problem ? p->problem : "unknown problem parsing YAML content";
    size_t line = p->problem_mark.line ? p->problem_mark.line + (p->error == YAML_SCANNER_ERROR) : p->context_mark.line;

    return line ? yaml_error("line %zu: %s", line, why) : yaml_error("%s", why);
}

static struct kerr *
next_event(struct reader *r, yaml_event_t *ret)
{
    return yaml_parser_parse(&r->parser, ret) ? NULL : parser_error(&r->parser);
}

static struct anchor **
anchor_slot(struct reader *r, const char *name)
{
    return &r->anchors[fnv32a(FNV32_INIT, name, strlen(name)) % ANCHOR_SLOTS];
}

/* The newest anchor of a name counts. */
static struct anchor *
find_anchor(struct reader *r, const char *name)
{
    struct anchor *a = *anchor_slot(r, name);

    while (a && strcmp(a->name, name) != 0)
        a = a->next;
    return a;
}

static struct anchor *
add_anchor(struct reader *r, const yaml_char_t *name)
{
    if (!name)
        return NULL;
    struct anchor **slot = anchor_slot(r, (const char *)name);
    struct anchor *a = ARENA_NEW(r->arena, struct anchor);
    a->name = arena_strdup(r->arena, (const char *)name);
    a->next = *slot;
    *slot = a;
    return a;
}

static struct yaml_tree *
new_node(struct reader *r, yaml_node_type_t type, const yaml_event_t *ev, const yaml_char_t *tag)
{
    struct yaml_tree *n = ARENA_NEW(r->arena, struct yaml_tree);

    n->type = type;
    n->line = (unsigned)ev->start_mark.line + 1;
    n->tag = tag && *tag ? arena_strdup(r->arena, (const char *)tag) : NULL;
    return n;
}

static struct kerr *
read_children(struct reader *r, yaml_event_type_t last, int depth, struct yaml_tree *n)
{
    struct child **tail = &n->children;

    for (;;) {
        yaml_event_t ev;
        struct kerr *err = next_event(r, &ev);
        if (err)
            return err;
        if (ev.type == last) {
            yaml_event_delete(&ev);
            return NULL;
        }
        struct child *c = ARENA_NEW(r->arena, struct child);
        c->alias = ev.type == YAML_ALIAS_EVENT;
        err = read_node(r, &ev, depth + 1, &c->node);
        yaml_event_delete(&ev);
        if (err)
            return err;
        *tail = c;
        tail = &c->next;
        n->nchildren++;
    }
}

static struct kerr *
read_alias(struct reader *r, const char *name, struct yaml_tree **ret)
{
    struct anchor *a = find_anchor(r, name);

    if (!a)
        return yaml_error("unknown anchor '%s' referenced", name);
    if (!a->node)
        return yaml_error("anchor '%s' value contains itself", name);
    *ret = a->node;
    return NULL;
}

static struct kerr *
read_node(struct reader *r, yaml_event_t *ev, int depth, struct yaml_tree **ret)
{
    struct anchor *a;
    struct yaml_tree *n;
    struct kerr *err = NULL;

    if (depth > CODEC_MAX_DEPTH)
        return yaml_error("exceeded max depth of %d", CODEC_MAX_DEPTH);
    switch (ev->type) {
    case YAML_ALIAS_EVENT:
        return read_alias(r, (const char *)ev->data.alias.anchor, ret);
    case YAML_SCALAR_EVENT:
        a = add_anchor(r, ev->data.scalar.anchor);
        n = new_node(r, YAML_SCALAR_NODE, ev, ev->data.scalar.tag);
        n->plain = ev->data.scalar.plain_implicit;
        n->len = ev->data.scalar.length;
        n->text = arena_strndup(r->arena, (const char *)ev->data.scalar.value, n->len);
        break;
    case YAML_SEQUENCE_START_EVENT:
        a = add_anchor(r, ev->data.sequence_start.anchor);
        n = new_node(r, YAML_SEQUENCE_NODE, ev, ev->data.sequence_start.tag);
        err = read_children(r, YAML_SEQUENCE_END_EVENT, depth, n);
        break;
    case YAML_MAPPING_START_EVENT:
        a = add_anchor(r, ev->data.mapping_start.anchor);
        n = new_node(r, YAML_MAPPING_NODE, ev, ev->data.mapping_start.tag);
        err = read_children(r, YAML_MAPPING_END_EVENT, depth, n);
        break;
    default:
        return yaml_error("unexpected event");
    }
    if (a)
        a->node = n;
    *ret = n;
    return err;
}

/* The next document of the stream; NULL after the last. */
static struct kerr *
read_document(struct reader *r, struct yaml_tree **ret)
{
    *ret = NULL;
    memset(r->anchors, 0, sizeof r->anchors);
    for (;;) {
        yaml_event_t ev;
        struct kerr *err = next_event(r, &ev);
        if (err)
            return err;
        yaml_event_type_t type = ev.type;
        if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT ||
            type == YAML_ALIAS_EVENT)
            err = read_node(r, &ev, 1, ret);
        yaml_event_delete(&ev);
        if (err || type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT || type == YAML_NO_EVENT)
            return err;
    }
}

/* ---- tree to JSON ---- */

static const char *
short_tag(const struct yaml_tree *n)
{
    static const char prefix[] = "tag:yaml.org,2002:";

    return n->tag && str_has_prefix(n->tag, prefix) ? n->tag + sizeof prefix - 1 : NULL;
}

/* What a scalar is, its tag considered.  Unknown tags leave text. */
static struct kerr *
scalar_meaning(const struct yaml_tree *n, struct yaml_scalar *ret)
{
    const char *tag = short_tag(n);

    *ret = (struct yaml_scalar){ .meaning = YAML_STR };
    if (n->tag ? !tag || strcmp(tag, "str") == 0 || strcmp(tag, "binary") == 0 : !n->plain)
        return NULL;
    *ret = yaml_scalar_resolve(n->text, n->len);
    if (!n->tag || strcmp(yaml_meaning_tag(ret->meaning) + 2, tag) == 0)
        return NULL;
    if (strcmp(tag, "float") == 0 && ret->meaning == YAML_INT) {
        ret->meaning = YAML_FLOAT;
        return NULL;
    }
    if (!strstr(" bool int float null timestamp ", tag)) {
        ret->meaning = YAML_STR;
        return NULL;
    }
    return yaml_error("cannot decode %s `%s` as a !!%s", yaml_meaning_tag(ret->meaning), n->text, tag);
}

static struct kerr *
write_text(struct writer *w, const struct yaml_tree *n)
{
    const char *tag = short_tag(n);

    if (!tag || strcmp(tag, "binary") != 0) {
        json_add_text(w->out, n->text, n->len);
        return NULL;
    }
    uint8_t *data = arena_alloc_raw(w->arena, BASE64_DECODED_MAX(n->len) + 1);
    ssize_t len = base64_decode(n->text, n->len, data, NULL);
    if (len < 0)
        return yaml_error("!!binary value contains invalid base64 data");
    json_add_text(w->out, (const char *)data, (size_t)len);
    return NULL;
}

static void
add_integer(const struct yaml_scalar *v, struct sbuf *out)
{
    sbuf_addf(out, "%s%llu", v->negative ? "-" : "", (unsigned long long)v->integer);
}

static struct kerr *
write_scalar(struct writer *w, const struct yaml_tree *n)
{
    struct yaml_scalar v;
    struct kerr *err = scalar_meaning(n, &v);

    if (err)
        return err;
    switch (v.meaning) {
    case YAML_NULL:
        sbuf_adds(w->out, "null");
        return NULL;
    case YAML_BOOL:
        sbuf_adds(w->out, v.yes ? "true" : "false");
        return NULL;
    case YAML_INT:
        add_integer(&v, w->out);
        return NULL;
    case YAML_FLOAT:
        if (!isfinite(v.number))
            return kerr_new(KERR_BAD_REQUEST, "error converting YAML to JSON: json: unsupported value: %s",
                            isnan(v.number) ? "NaN" : v.number < 0 ? "-Inf" : "+Inf");
        json_add_float(w->out, v.number);
        return NULL;
    default:
        return write_text(w, n);
    }
}

/* A key as JSON has it: text, whatever it was. */
static struct kerr *
key_text(struct writer *w, const struct yaml_tree *n, const char **ret, size_t *ret_len)
{
    AUTO_SBUF text = { 0 };
    struct yaml_scalar v;

    if (n->type != YAML_SCALAR_NODE)
        return yaml_error("invalid map key: a key must be a scalar, line %u", n->line);
    struct kerr *err = scalar_meaning(n, &v);
    if (err)
        return err;
    *ret = n->text;
    *ret_len = n->len;
    if (v.meaning == YAML_STR || v.meaning == YAML_TIMESTAMP)
        return NULL;
    if (v.meaning == YAML_NULL)
        return kerr_new(KERR_BAD_REQUEST, "error converting YAML to JSON: unsupported map key of type: null, line %u", n->line);
    if (v.meaning == YAML_BOOL)
        sbuf_adds(&text, v.yes ? "true" : "false");
    else if (v.meaning == YAML_INT)
        add_integer(&v, &text);
    else
        yaml_add_float(&text, v.number, 32);
    *ret = arena_strndup(w->arena, text.s, text.len);
    *ret_len = text.len;
    return NULL;
}

struct pair {
    const char *key;
    size_t len;
    uint32_t order; /* later ones win */
    struct child *value;
};

struct pairs {
    struct pair *items;
    size_t len, cap;
};

static int
pair_cmp(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int c = memcmp(x->key, y->key, x->len < y->len ? x->len : y->len);

    if (c || x->len != y->len)
        return c ? c : x->len < y->len ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static bool
same_key(const struct pair *a, const struct pair *b)
{
    return a->len == b->len && memcmp(a->key, b->key, a->len) == 0;
}

static struct kerr *
count_node(struct writer *w)
{
    enum { LOW = 400000, HIGH = 4000000 };
    double allowed = w->nodes <= LOW    ? 0.99
                     : w->nodes >= HIGH ? 0.10
                                        : 0.99 - 0.89 * ((double)(w->nodes - LOW) / (HIGH - LOW));

    w->nodes++;
    w->alias_nodes += w->alias_depth > 0;
    if (w->out->truncated || (w->alias_nodes > 100 && w->nodes > 1000 && (double)w->alias_nodes / (double)w->nodes > allowed))
        return yaml_error("document contains excessive aliasing");
    return NULL;
}

static struct kerr *collect_pairs(struct writer *w, struct yaml_tree *map, int depth, struct pairs *ps);

/* The value of a << key: a mapping, or a list of them of which the earlier ones win. */
static struct kerr *
merge_pairs(struct writer *w, struct yaml_tree *from, int depth, struct pairs *ps)
{
    if (from->type == YAML_MAPPING_NODE)
        return collect_pairs(w, from, depth + 1, ps);
    if (from->type != YAML_SEQUENCE_NODE)
        return yaml_error("map merge requires map or sequence of maps as the value");
    AUTO_FREE struct yaml_tree **list = xcalloc(from->nchildren, sizeof(void *));
    uint32_t n = 0;
    for (struct child *c = from->children; c; c = c->next) {
        if (c->node->type != YAML_MAPPING_NODE)
            return yaml_error("map merge requires map or sequence of maps as the value");
        list[n++] = c->node;
    }
    while (n--) {
        struct kerr *err = collect_pairs(w, list[n], depth + 1, ps);
        if (err)
            return err;
    }
    return NULL;
}

static bool
is_merge_key(const struct yaml_tree *n)
{
    return n->type == YAML_SCALAR_NODE && n->len == 2 && memcmp(n->text, "<<", 2) == 0 && (n->plain || n->tag);
}

static struct kerr *
collect_pairs(struct writer *w, struct yaml_tree *map, int depth, struct pairs *ps)
{
    if (depth > CODEC_MAX_DEPTH)
        return yaml_error("exceeded max depth of %d", CODEC_MAX_DEPTH);
    for (struct child *k = map->children; k && k->next; k = k->next->next) {
        struct kerr *err = depth ? count_node(w) : NULL;
        if (!err && is_merge_key(k->node)) {
            w->alias_depth++;
            err = merge_pairs(w, k->next->node, depth, ps);
            w->alias_depth--;
        } else if (!err) {
            if (ps->len == ps->cap) {
                ps->cap = ps->cap ? ps->cap * 2 : 16;
                ps->items = xreallocarray(ps->items, ps->cap, sizeof *ps->items);
            }
            struct pair *p = &ps->items[ps->len];
            *p = (struct pair){ .order = (uint32_t)ps->len, .value = k->next };
            err = key_text(w, k->node, &p->key, &p->len);
            ps->len++;
        }
        if (err)
            return err;
    }
    return NULL;
}

static void
note_duplicate(struct writer *w, const struct pair *p)
{
    AUTO_SBUF text = { 0 };

    if (!w->duplicates || w->duplicates->len >= FINDINGS_MAX)
        return;
    sbuf_addf(&text, "line %u: key ", p->value->node->line);
    json_add_go_quoted(&text, p->key, p->len);
    sbuf_adds(&text, " already set in map");
    strlist_add(w->duplicates, text.s);
}

static struct kerr *
write_child(struct writer *w, struct child *c)
{
    w->alias_depth += c->alias;
    struct kerr *err = write_node(w, c->node);
    w->alias_depth -= c->alias;
    return err;
}

static struct kerr *
write_mapping(struct writer *w, struct yaml_tree *n)
{
    struct pairs ps = { 0 };
    struct kerr *err = collect_pairs(w, n, 0, &ps);
    bool first = true;

    if (!err && ps.len)
        qsort(ps.items, ps.len, sizeof *ps.items, pair_cmp);
    sbuf_addc(w->out, '{');
    for (size_t i = 0; !err && i < ps.len; i++) {
        if (i && same_key(&ps.items[i - 1], &ps.items[i]))
            note_duplicate(w, &ps.items[i]);
        if (i + 1 < ps.len && same_key(&ps.items[i], &ps.items[i + 1]))
            continue;
        if (!first)
            sbuf_addc(w->out, ',');
        first = false;
        json_add_text(w->out, ps.items[i].key, ps.items[i].len);
        sbuf_addc(w->out, ':');
        err = write_child(w, ps.items[i].value);
    }
    sbuf_addc(w->out, '}');
    free(ps.items);
    return err;
}

static struct kerr *
write_sequence(struct writer *w, struct yaml_tree *n)
{
    sbuf_addc(w->out, '[');
    for (struct child *c = n->children; c; c = c->next) {
        if (c != n->children)
            sbuf_addc(w->out, ',');
        struct kerr *err = write_child(w, c);
        if (err)
            return err;
    }
    sbuf_addc(w->out, ']');
    return NULL;
}

static struct kerr *
write_node(struct writer *w, struct yaml_tree *n)
{
    struct kerr *err = count_node(w);

    if (err)
        return err;
    if (n->type == YAML_SCALAR_NODE)
        return write_scalar(w, n);
    if (n->busy)
        return yaml_error("anchor value contains itself");
    if (++w->depth > CODEC_MAX_DEPTH)
        return yaml_error("exceeded max depth of %d", CODEC_MAX_DEPTH);
    n->busy = true;
    err = n->type == YAML_MAPPING_NODE ? write_mapping(w, n) : write_sequence(w, n);
    n->busy = false;
    w->depth--;
    return err;
}

/* Duplicates become one finding, worded as upstream's strict YAML error. */
static void
report_duplicates(const struct strlist *duplicates, struct codec_report *report)
{
    AUTO_SBUF text = { 0 };

    if (!duplicates->len)
        return;
    sbuf_adds(&text, "error converting YAML to JSON: yaml: unmarshal errors:");
    for (size_t i = 0; i < duplicates->len; i++)
        sbuf_addf(&text, "\n  %s", duplicates->items[i]);
    strlist_add(&report->findings, text.s);
}

static struct kerr *
write_document(struct reader *r, struct yaml_tree *root, size_t source_len, struct codec_report *report, struct sbuf *ret)
{
    AUTO_STRLIST duplicates = { 0 };
    /* Escapes can make text six times longer, aliases more; this much is never needed. */
    struct sbuf out = { .max = 16 * source_len + (1u << 20) };
    struct writer w = { .out = &out, .arena = r->arena, .duplicates = report && report->collect ? &duplicates : NULL };
    struct kerr *err = NULL;

    if (root)
        err = write_node(&w, root);
    else
        sbuf_adds(&out, "null");
    if (!err && out.truncated)
        err = yaml_error("document contains excessive aliasing");
    if (!err) {
        sbuf_add(ret, sbuf_str(&out), out.len);
        if (w.duplicates)
            report_duplicates(&duplicates, report);
    }
    sbuf_done(&out);
    return err;
}

static struct reader *
reader_new(const char *yaml, size_t len)
{
    struct reader *r = XNEW(struct reader);

    if (!yaml_parser_initialize(&r->parser))
        abort(); /* out of memory */
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)yaml, len);
    r->arena = arena_new(len / 2);
    return r;
}

static void
reader_free(struct reader *r)
{
    yaml_parser_delete(&r->parser);
    arena_free(r->arena);
    free(r);
}
DEFINE_AUTO(reader)

struct kerr *
yaml_to_json(const char *yaml, size_t len, struct codec_report *report, struct sbuf *ret_json)
{
    AUTO(reader) *r = reader_new(yaml, len);
    struct yaml_tree *root;
    struct kerr *err = read_document(r, &root);

    return err ? err : write_document(r, root, len, report, ret_json);
}

static bool
is_null(const struct yaml_tree *n)
{
    struct yaml_scalar v;

    if (!n)
        return true;
    if (n->type != YAML_SCALAR_NODE || n->tag || !n->plain)
        return false;
    v = yaml_scalar_resolve(n->text, n->len);
    return v.meaning == YAML_NULL;
}

struct kerr *
yaml_each_document(const char *yaml, size_t len, struct kerr *(*fn)(const char *json, size_t len, void *arg), void *arg)
{
    AUTO(reader) *r = reader_new(yaml, len);

    for (;;) {
        AUTO_SBUF json = { 0 };
        struct yaml_tree *root;
        struct kerr *err = read_document(r, &root);
        if (err)
            return err;
        if (!root && r->parser.stream_end_produced)
            return NULL;
        if (is_null(root)) /* "---" with nothing or only comments under it */
            continue;
        err = write_document(r, root, len, NULL, &json);
        if (!err)
            err = fn(json.s, json.len, arg);
        if (err)
            return err;
    }
}
