// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/config_file.h"

#include "common/api/codec.h"
#include "common/base/file.h"

#define MAX_FILE (4u << 20)

struct config_file {
    char *path;
    json_t *tree;
    struct strlist warnings;
};

const struct strlist *
config_warnings(const struct config_file *cfg)
{
    return &cfg->warnings;
}

const char *
config_file_path(const struct config_file *cfg)
{
    return str_safe(cfg->path);
}

json_t *
config_tree(const struct config_file *cfg)
{
    return cfg->tree;
}

void
config_file_free(struct config_file *cfg)
{
    if (!cfg)
        return;
    free(cfg->path);
    json_decref(cfg->tree);
    strlist_done(&cfg->warnings);
    free(cfg);
}

struct config_file *
config_file_empty(const struct config_schema *schema)
{
    struct config_file *cfg = XNEW(struct config_file);

    (void)schema;
    cfg->tree = json_object();
    return cfg;
}

/* --- checking against the schema --- */

struct check {
    const struct config_schema *schema;
    struct strlist unknown; /* `unknown field "a.b"` */
    struct kerr *error;     /* the first wrong type */
    unsigned depth;
};

static const struct config_key *
find_key(const struct config_schema *schema, const char *path)
{
    for (size_t i = 0; i < schema->nkeys; i++) {
        if (strcmp(schema->keys[i].path, path) == 0)
            return &schema->keys[i];
    }
    return NULL;
}

static bool
has_below(const struct config_schema *schema, const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < schema->nkeys; i++) {
        const char *p = schema->keys[i].path;
        if (strncmp(p, path, len) == 0 && (p[len] == '.' || p[len] == '['))
            return true;
    }
    return false;
}

static const char *
json_type_name(const json_t *v)
{
    static const char *const names[] = { "object", "array", "string", "number", "number", "bool", "bool", "null" };

    return names[json_typeof(v)];
}

static const char *
wanted_name(enum config_type type)
{
    static const char *const names[] = {
        [CONFIG_BOOL] = "bool", [CONFIG_INT] = "integer", [CONFIG_FLOAT] = "number", [CONFIG_STRING] = "string",
        [CONFIG_DURATION] = "duration such as \"1m30s\"", [CONFIG_STRINGS] = "list of strings", [CONFIG_MAP] = "map", [CONFIG_ANY] = "",
    };

    return names[type];
}

static bool
is_strings(const json_t *v)
{
    size_t i;
    const json_t *item;

    if (!json_is_array(v))
        return false;
    json_array_foreach((json_t *)v, i, item) {
        if (!json_is_string(item))
            return false;
    }
    return true;
}

static bool
is_flat_map(json_t *v)
{
    const char *key;
    json_t *item;

    if (!json_is_object(v))
        return false;
    json_object_foreach(v, key, item) {
        if (json_is_object(item) || json_is_array(item))
            return false;
    }
    return true;
}

static bool
type_fits(enum config_type type, json_t *v)
{
    int64_t ms;

    if (json_is_null(v))
        return true;
    switch (type) {
    case CONFIG_BOOL:
        return json_is_boolean(v);
    case CONFIG_INT:
        return json_is_integer(v);
    case CONFIG_FLOAT:
        return json_is_number(v);
    case CONFIG_STRING:
        return json_is_string(v);
    case CONFIG_DURATION:
        return json_is_string(v) && parse_duration_ms(json_string_value(v), &ms) == 0;
    case CONFIG_STRINGS:
        return is_strings(v);
    case CONFIG_MAP:
        return is_flat_map(v);
    case CONFIG_ANY:
        return true;
    }
    return false;
}

static void check_object(struct check *c, json_t *object, const char *rule_path, const char *shown_path);

static void
check_items(struct check *c, json_t *list, const char *rule_path, const char *shown_path)
{
    AUTO_FREE char *rule = xasprintf("%s[]", rule_path);
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item) {
        AUTO_FREE char *shown = xasprintf("%s[%zu]", shown_path, i);
        if (json_is_object(item))
            check_object(c, item, rule, shown);
        else if (!c->error)
            c->error = kerr_new(KERR_BAD_REQUEST, "%s: must be an object, not a %s", shown, json_type_name(item));
    }
}

static void
check_member(struct check *c, json_t *v, const char *rule, const char *shown)
{
    const struct config_key *key = find_key(c->schema, rule);
    AUTO_FREE char *items = xasprintf("%s[]", rule);

    if (key && type_fits(key->type, v))
        return;
    if (!key && json_is_null(v) && has_below(c->schema, rule))
        return;
    if (!key && json_is_object(v) && has_below(c->schema, rule) && !has_below(c->schema, items)) {
        check_object(c, v, rule, shown);
    } else if (!key && json_is_array(v) && has_below(c->schema, items)) {
        check_items(c, v, rule, shown);
    } else if (key || has_below(c->schema, rule)) {
        if (!c->error)
            c->error = kerr_new(KERR_BAD_REQUEST, "%s: must be a %s, not %s%s%s", shown,
                                key ? wanted_name(key->type) : has_below(c->schema, items) ? "list" : "map",
                                json_is_string(v) ? "\"" : "a ", json_is_string(v) ? json_string_value(v) : json_type_name(v),
                                json_is_string(v) ? "\"" : "");
    } else {
        strlist_add_take(&c->unknown, xasprintf("unknown field \"%s\"", shown));
    }
}

static void
check_object(struct check *c, json_t *object, const char *rule_path, const char *shown_path)
{
    const char *name;
    json_t *v;

    if (++c->depth > CODEC_MAX_DEPTH) {
        c->depth--;
        return;
    }
    json_object_foreach(object, name, v) {
        if (!*rule_path && (str_eq(name, "apiVersion") || str_eq(name, "kind")))
            continue;
        AUTO_FREE char *rule = xasprintf("%s%s%s", rule_path, *rule_path ? "." : "", name);
        AUTO_FREE char *shown = xasprintf("%s%s%s", shown_path, *shown_path ? "." : "", name);
        check_member(c, v, rule, shown);
    }
    c->depth--;
}

static struct kerr *
check_head(const json_t *tree, const struct config_schema *schema)
{
    const char *api_version = json_string_value(json_object_get(tree, "apiVersion"));
    const char *kind = json_string_value(json_object_get(tree, "kind"));
    AUTO_FREE char *want = xasprintf("%s/%s", schema->group, schema->version);

    if (str_empty(kind))
        return kerr_new(KERR_BAD_REQUEST, "Object 'Kind' is missing; must be kind: %s, apiVersion: %s", schema->kind, want);
    if (str_empty(api_version))
        return kerr_new(KERR_BAD_REQUEST, "Object 'apiVersion' is missing; must be apiVersion: %s", want);
    if (str_eq(api_version, want) && str_eq(kind, schema->kind))
        return NULL;
    for (size_t i = 0; schema->old_versions && schema->old_versions[i][0]; i++) {
        AUTO_FREE char *old = xasprintf("%s/%s", schema->group, schema->old_versions[i][0]);
        if (str_eq(api_version, old))
            return kerr_new(KERR_BAD_REQUEST, "apiVersion %s is no longer served: %s", old, schema->old_versions[i][1]);
    }
    return kerr_new(KERR_BAD_REQUEST, "no kind \"%s\" is registered for version \"%s\" here; must be kind: %s, apiVersion: %s", kind,
                    api_version, schema->kind, want);
}

static void
join(const struct strlist *l, struct sbuf *out)
{
    for (size_t i = 0; i < l->len; i++)
        sbuf_addf(out, "%s%s", i ? ", " : "", l->items[i]);
}

static struct kerr *
check_tree(struct config_file *cfg, const struct config_schema *schema, struct codec_report *report)
{
    struct check c = { .schema = schema };
    AUTO_SBUF findings = { 0 };
    struct kerr *err = check_head(cfg->tree, schema);

    if (err)
        return err;
    check_object(&c, cfg->tree, "", "");
    for (size_t i = 0; i < report->findings.len; i++)
        strlist_add(&c.unknown, report->findings.items[i]);
    join(&c.unknown, &findings);
    strlist_done(&c.unknown);
    if (c.error)
        return c.error;
    if (!findings.len)
        return NULL;
    if (!schema->lenient)
        return kerr_new(KERR_BAD_REQUEST, "strict decoding error: %s", findings.s);
    strlist_add_take(&cfg->warnings, xasprintf("%s: strict decoding error: %s; falling back to lenient decoding, these are ignored",
                                               cfg->path, findings.s));
    return NULL;
}

struct kerr *
config_file_parse(const char *text, size_t len, const char *path, const struct config_schema *schema, struct config_file **ret)
{
    AUTO(config_file) *cfg = XNEW(struct config_file);
    struct codec_report report = { .collect = true };
    AUTO_SBUF json = { 0 };
    json_error_t at;

    cfg->path = xstrdup(path);
    struct kerr *err = yaml_to_json(text, len, &report, &json);
    if (!err) {
        cfg->tree = json_loadb(sbuf_str(&json), json.len, JSON_DECODE_ANY, &at);
        if (!json_is_object(cfg->tree))
            err = kerr_new(KERR_BAD_REQUEST, "%s", cfg->tree ? "must be a map at the top" : at.text);
    }
    if (!err)
        err = check_tree(cfg, schema, &report);
    strlist_done(&report.findings);
    if (err)
        return kerr_wrap(err, "%s", path);
    *ret = steal_ptr(cfg);
    return NULL;
}

struct kerr *
config_file_load(const char *path, const struct config_schema *schema, struct config_file **ret)
{
    AUTO_FREE char *text = NULL;
    size_t len;
    struct kerr *err = file_read(path, MAX_FILE, &text, &len);

    if (err)
        return err;
    return config_file_parse(text, len, path, schema, ret);
}

/* --- getters --- */

json_t *
config_at(const struct config_file *cfg, const char *path)
{
    json_t *v = cfg->tree;
    const char *p = path;

    while (v && *p) {
        size_t len = strcspn(p, ".[");
        if (len) {
            AUTO_FREE char *name = xstrndup(p, len);
            v = json_object_get(v, name);
        }
        p += len;
        if (*p == '[') {
            size_t index = strtoul(p + 1, NULL, 10);
            v = json_array_get(v, index);
            p += strcspn(p, "]");
            p += *p == ']';
        }
        p += *p == '.';
    }
    return json_is_null(v) ? NULL : v;
}

bool
config_has(const struct config_file *cfg, const char *path)
{
    return config_at(cfg, path) != NULL;
}

bool
config_bool(const struct config_file *cfg, const char *path, bool def)
{
    json_t *v = config_at(cfg, path);

    return json_is_boolean(v) ? json_is_true(v) : def;
}

int64_t
config_i64(const struct config_file *cfg, const char *path, int64_t def)
{
    json_t *v = config_at(cfg, path);

    return json_is_integer(v) ? json_integer_value(v) : def;
}

double
config_float(const struct config_file *cfg, const char *path, double def)
{
    json_t *v = config_at(cfg, path);

    return json_is_number(v) ? json_number_value(v) : def;
}

const char *
config_string(const struct config_file *cfg, const char *path, const char *def)
{
    json_t *v = config_at(cfg, path);

    return json_is_string(v) ? json_string_value(v) : def;
}

int64_t
config_duration_ms(const struct config_file *cfg, const char *path, int64_t def_ms)
{
    const char *text = config_string(cfg, path, NULL);
    int64_t ms;

    return text && parse_duration_ms(text, &ms) == 0 ? ms : def_ms;
}

void
config_strings(const struct config_file *cfg, const char *path, struct strlist *ret)
{
    json_t *list = config_at(cfg, path);
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item) {
        if (json_is_string(item))
            strlist_add(ret, json_string_value(item));
    }
}

size_t
config_len(const struct config_file *cfg, const char *path)
{
    json_t *v = config_at(cfg, path);

    return json_is_array(v) ? json_array_size(v) : json_is_object(v) ? json_object_size(v) : 0;
}
