// SPDX-License-Identifier: Apache-2.0
#include "common/api/gen/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/api/type.h"
#include "common/base/mem.h"
#include "common/base/sbuf.h"

static const char *cur_path;
static int cur_line;

NORETURN PRINTF_LIKE(1, 2) static void
die(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s:%d: ", cur_path, cur_line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

#define PUSH(array, n, item)                                                                       \
    do {                                                                                           \
        (array) = xreallocarray((array), (n) + 1, sizeof *(array));                                \
        (array)[(n)++] = (item);                                                                   \
    } while (0)

/* --- words --- */

enum { WORDS_MAX = 256 };

struct words {
    char *at[WORDS_MAX];
    bool quoted[WORDS_MAX];
    int n;
};

/* key="a b" stays one word with its quotes removed; a word that starts with a quote is `quoted`. */
static void
split(char *line, struct words *w)
{
    w->n = 0;
    for (char *p = line;;) {
        while (isspace((unsigned char)*p))
            p++;
        if (!*p || *p == '#')
            return;
        if (w->n == WORDS_MAX)
            die("too many words");
        w->quoted[w->n] = *p == '"';
        char *out = p;
        w->at[w->n++] = p;
        bool in = false;
        for (; *p && (in || !isspace((unsigned char)*p)); p++) {
            if (*p == '"')
                in = !in;
            else if (in && *p == '\\' && p[1])
                *out++ = *++p;
            else
                *out++ = *p;
        }
        if (in)
            die("quote not closed");
        bool end = !*p;
        *out = '\0';
        if (end)
            return;
        p++;
    }
}

static char *
option(const char *word, const char *key)
{
    size_t len = strlen(key);

    return strncmp(word, key, len) == 0 && word[len] == '=' ? xstrdup(word + len + 1) : NULL;
}

/* --- names --- */

static bool
starts_word(const char *s, size_t i)
{
    if (i == 0 || s[i - 1] == '-' || s[i - 1] == '_' || !isupper((unsigned char)s[i]))
        return false;
    if (islower((unsigned char)s[i - 1]) || isdigit((unsigned char)s[i - 1]))
        return true;
    /* The last capital of a run opens a word when a small letter follows, but "IPs" is one word. */
    if (!islower((unsigned char)s[i + 1]))
        return false;
    return !(s[i + 1] == 's' && !islower((unsigned char)s[i + 2]));
}

char *
c_name(const char *json)
{
    static const char *const taken[] = { "default", "continue", "enum", "int", "bool", "static", "switch", "for", "if", "union",
                                         "signed", "const", "volatile", "register", "return", "auto", "extern", "char", "double", "float", "long", "short" };
    AUTO_SBUF b = { 0 };

    if (*json == '$')
        json++;
    for (size_t i = 0; json[i]; i++) {
        if (starts_word(json, i))
            sbuf_addc(&b, '_');
        sbuf_addc(&b, json[i] == '-' || json[i] == '.' ? '_' : (char)tolower((unsigned char)json[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (strcmp(taken[i], sbuf_str(&b)) == 0)
            sbuf_addc(&b, '_');
    return sbuf_steal(&b);
}

/* --- lines --- */

static const struct {
    const char *word;
    int value;
} scalars[] = {
    { "bool", API_BOOL },         { "int32", API_I32 },           { "int64", API_I64 },
    { "uint32", API_U32 },        { "uint64", API_U64 },          { "float64", API_F64 },
    { "string", API_STRING },     { "bytes", API_BYTES },         { "Quantity", API_QUANTITY },
    { "Time", API_TIME },         { "MicroTime", API_MICRO_TIME }, { "Duration", API_DURATION },
    { "IntOrString", API_INT_OR_STRING }, { "Raw", API_RAW },     { "FieldsV1", API_FIELDS_V1 },
    { "Strings", API_STRINGS },
};

static const struct {
    const char *word;
    unsigned flag;
} field_flags[] = {
    { "omitempty", API_OMITEMPTY },   { "omitzero", API_OMITZERO }, { "optional", API_OPTIONAL },
    { "required", API_REQUIRED },     { "atomic", API_ATOMIC },     { "union", API_UNION },
    { "merge", API_PATCH_MERGE },     { "retainkeys", API_PATCH_RETAIN }, { "replace", API_PATCH_REPLACE },
    { "listset", API_LIST_SET },      { "packed", API_PROTO_PACKED }, { "granular", API_GRANULAR },
};

static void
read_type_word(struct field *f, char *word)
{
    size_t len = strlen(word);

    f->shape = API_ONE;
    if (*word == '*') {
        f->shape = API_PTR;
        word++;
    } else if (strncmp(word, "[]", 2) == 0) {
        f->shape = API_LIST;
        word += 2;
    } else if (strncmp(word, "map[", 4) == 0 && word[len - 1] == ']') {
        f->shape = API_MAP;
        word[len - 1] = '\0';
        word += 4;
    }
    f->value = API_MESSAGE;
    f->value_name = xstrdup(word);
    for (size_t i = 0; i < ARRAY_LEN(scalars); i++)
        if (strcmp(scalars[i].word, word) == 0)
            f->value = scalars[i].value;
    if (strncmp(word, "string(", 7) == 0)
        f->value = API_STRING;
}

static void
read_field_option(struct field *f, char *word)
{
    char *value;

    if ((value = option(word, "inline"))) {
        f->cname = value;
    } else if ((value = option(word, "name"))) {
        f->cname = value;
    } else if ((value = option(word, "merge"))) {
        f->merge_key = value;
        f->flags |= API_PATCH_MERGE;
    } else if ((value = option(word, "listmap"))) {
        f->list_keys = value;
        f->flags |= API_LIST_MAP;
    } else if ((value = option(word, "default"))) {
        f->def = value;
    } else {
        for (size_t i = 0; i < ARRAY_LEN(field_flags); i++)
            if (strcmp(field_flags[i].word, word) == 0) {
                f->flags |= field_flags[i].flag;
                return;
            }
        die("unknown field option '%s'", word);
    }
}

static void
read_field(struct type *t, struct words *w)
{
    struct field f = { 0 };

    if (w->n < 3)
        die("a field needs name, type and number");
    f.json = xstrdup(strcmp(w->at[0], "-") == 0 ? "" : w->at[0]);
    read_type_word(&f, w->at[1]);
    f.proto = (int)strtol(w->at[2], NULL, 10);
    for (int i = 3; i < w->n; i++) {
        if (w->quoted[i])
            f.doc = xstrdup(w->at[i]);
        else
            read_field_option(&f, w->at[i]);
    }
    if (!f.cname)
        f.cname = c_name(f.json);
    if (!*f.cname)
        die("a field without JSON name needs inline=member");
    PUSH(t->fields, t->nfields, f);
}

static struct type *
read_type(struct model *m, struct group *g, struct words *w)
{
    struct type *t = XNEW(struct type);
    char *value;

    t->group = g;
    t->name = xstrdup(w->at[1]);
    t->cname = c_name(w->at[1]);
    t->flags = g->proto3 ? API_TYPE_PROTO3 : 0;
    for (int i = 2; i < w->n; i++) {
        if (w->quoted[i])
            t->doc = xstrdup(w->at[i]);
        else if ((value = option(w->at[i], "as")))
            t->cname = value;
        else if (strcmp(w->at[i], "schema_or_array") == 0)
            t->flags |= API_TYPE_SCHEMA_OR_ARRAY;
        else if (strcmp(w->at[i], "schema_or_bool") == 0)
            t->flags |= API_TYPE_SCHEMA_OR_BOOL;
        else if (strcmp(w->at[i], "schema_or_strings") == 0)
            t->flags |= API_TYPE_SCHEMA_OR_STRINGS;
        else if (strcmp(w->at[i], "atomic") == 0)
            t->flags |= API_TYPE_ATOMIC;
        else
            die("unknown type option '%s'", w->at[i]);
    }
    PUSH(m->types, m->ntypes, t);
    return t;
}

static struct group *
read_group(struct words *w)
{
    struct group *g = XNEW(struct group);
    char *value;

    g->name = xstrdup(w->at[1]);
    g->api = g->version = g->openapi = xstrdup("");
    for (int i = 2; i < w->n; i++) {
        if ((value = option(w->at[i], "api")))
            g->api = value;
        else if ((value = option(w->at[i], "version")))
            g->version = value;
        else if ((value = option(w->at[i], "openapi")))
            g->openapi = value;
        else if (strcmp(w->at[i], "proto3") == 0)
            g->proto3 = true;
        else
            die("unknown group option '%s'", w->at[i]);
    }
    return g;
}

static void
read_kind(struct model *m, struct group *g, struct words *w)
{
    struct kind *k = XNEW(struct kind);
    char *value;

    k->group = g;
    k->type_name = xstrdup(w->at[1]);
    for (int i = 2; i < w->n; i++) {
        if ((value = option(w->at[i], "plural")))
            k->plural = value;
        else if ((value = option(w->at[i], "scope")))
            k->scope = value;
        else if ((value = option(w->at[i], "short")))
            k->short_names = value;
        else if ((value = option(w->at[i], "categories")))
            k->categories = value;
        else
            die("unknown kind option '%s'", w->at[i]);
    }
    PUSH(m->kinds, m->nkinds, k);
}

static void
read_enum(struct model *m, struct group *g, struct words *w)
{
    struct enumeration *e = XNEW(struct enumeration);

    e->group = g;
    e->name = xstrdup(w->at[1]);
    for (int i = 2; i < w->n; i++)
        PUSH(e->values, e->nvalues, xstrdup(w->at[i]));
    PUSH(m->enums, m->nenums, e);
}

void
model_read(struct model *m, const char *path)
{
    FILE *in = fopen(path, "r");
    char line[16384];
    struct group *group = NULL;
    struct type *type = NULL;
    struct words w;

    cur_path = path;
    cur_line = 0;
    if (!in)
        die("cannot open");
    while (fgets(line, sizeof line, in)) {
        cur_line++;
        if (!strchr(line, '\n') && !feof(in))
            die("line too long");
        bool indented = isspace((unsigned char)*line);
        split(line, &w);
        if (w.n == 0)
            continue;
        if (indented) {
            if (!type)
                die("field outside of a type");
            read_field(type, &w);
        } else if (w.n < 2) {
            die("'%s' needs a name", w.at[0]);
        } else if (strcmp(w.at[0], "group") == 0) {
            group = read_group(&w);
        } else if (!group) {
            die("'group' must come first");
        } else if (strcmp(w.at[0], "type") == 0) {
            type = read_type(m, group, &w);
        } else if (strcmp(w.at[0], "kind") == 0) {
            read_kind(m, group, &w);
        } else if (strcmp(w.at[0], "enum") == 0) {
            read_enum(m, group, &w);
        } else {
            die("unknown word '%s'", w.at[0]);
        }
    }
    fclose(in);
}

/* --- resolving --- */

/* "Name": own group, then meta.  "group.Name": that group. */
static bool
visible(const struct group *from, const struct group *g, const char *want_group, size_t want_len, bool meta)
{
    if (want_group)
        return strlen(g->name) == want_len && memcmp(g->name, want_group, want_len) == 0;
    return meta ? strcmp(g->name, "meta") == 0 : g == from;
}

static void
split_reference(const char *ref, const char **group, size_t *group_len, const char **name)
{
    const char *dot = strchr(ref, '.');

    *group = dot ? ref : NULL;
    *group_len = dot ? (size_t)(dot - ref) : 0;
    *name = dot ? dot + 1 : ref;
}

static struct type *
find_type(const struct model *m, const struct group *from, const char *ref)
{
    const char *group, *name;
    size_t len;

    split_reference(ref, &group, &len, &name);
    for (int meta = 0; meta < 2; meta++)
        for (size_t i = 0; i < m->ntypes; i++)
            if (strcmp(m->types[i]->name, name) == 0 && visible(from, m->types[i]->group, group, len, meta))
                return m->types[i];
    fprintf(stderr, "apigen: group %s: type '%s' is not defined\n", from->name, ref);
    exit(1);
}

static struct enumeration *
find_enum(const struct model *m, const struct group *from, const char *ref)
{
    const char *group, *name;
    size_t len;

    split_reference(ref, &group, &len, &name);
    for (int meta = 0; meta < 2; meta++)
        for (size_t i = 0; i < m->nenums; i++)
            if (strcmp(m->enums[i]->name, name) == 0 && visible(from, m->enums[i]->group, group, len, meta))
                return m->enums[i];
    fprintf(stderr, "apigen: group %s: enum '%s' is not defined\n", from->name, ref);
    exit(1);
}

static void
resolve_field(const struct model *m, const struct group *from, struct field *f)
{
    if (f->value == API_MESSAGE) {
        f->type = find_type(m, from, f->value_name);
    } else if (strncmp(f->value_name, "string(", 7) == 0) {
        char *ref = xstrdup(f->value_name + 7);
        ref[strlen(ref) - 1] = '\0';
        f->enumeration = find_enum(m, from, ref);
        free(ref);
    }
}

void
model_resolve(struct model *m)
{
    for (size_t i = 0; i < m->ntypes; i++)
        for (size_t j = 0; j < m->types[i]->nfields; j++)
            resolve_field(m, m->types[i]->group, &m->types[i]->fields[j]);
    for (size_t i = 0; i < m->nkinds; i++)
        m->kinds[i]->type = find_type(m, m->kinds[i]->group, m->kinds[i]->type_name);
    for (size_t i = 0; i < m->ntypes; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(m->types[i]->cname, m->types[j]->cname) == 0) {
                fprintf(stderr, "apigen: two types want the C name '%s': use as=\n", m->types[i]->cname);
                exit(1);
            }
}
