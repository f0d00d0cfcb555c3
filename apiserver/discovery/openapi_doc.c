// SPDX-License-Identifier: Apache-2.0
#include "apiserver/discovery/openapi_doc.h"

#include <string.h>
#include <uthash.h>

#include "apiserver/registry/resource.h"
#include "common/api/codec.h"

#define META_V1 "io.k8s.apimachinery.pkg.apis.meta.v1."

/* A document under way.  v2 and v3 differ in where schemas live, how a reference with a text beside it is written, and how
 * parameters and bodies look; the rest is one. */
struct doc {
    struct sbuf *out;
    bool v3;
    struct wanted *wanted; /* types to be written, in the order found */
};

struct wanted {
    const struct api_type *type;
    UT_hash_handle hh;
};

/* --- small JSON helpers --- */

static void
comma(struct sbuf *b)
{
    char last = b->len ? b->s[b->len - 1] : '\0';

    if (last != '{' && last != '[' && last != ':' && last != '\0')
        sbuf_addc(b, ',');
}

static void
key(struct sbuf *b, const char *name)
{
    comma(b);
    json_add_string(b, name);
    sbuf_addc(b, ':');
}

static void
text(struct sbuf *b, const char *name, const char *value)
{
    key(b, name);
    json_add_string(b, value);
}

static void
ref(struct doc *d, const char *name)
{
    key(d->out, "$ref");
    sbuf_addf(d->out, "\"%s%s\"", d->v3 ? "#/components/schemas/" : "#/definitions/", name);
}

/* --- schemas --- */

static void
want(struct doc *d, const struct api_type *t)
{
    struct wanted *w;

    HASH_FIND_PTR(d->wanted, &t, w);
    if (w)
        return;
    w = XNEW(struct wanted);
    w->type = t;
    HASH_ADD_PTR(d->wanted, type, w);
    for (uint16_t i = 0; i < t->nfields; i++)
        if (t->fields[i].type && *t->fields[i].json)
            want(d, t->fields[i].type);
        else if (t->fields[i].type) /* inlined: only what it holds */
            for (uint16_t j = 0; j < t->fields[i].type->nfields; j++)
                if (t->fields[i].type->fields[j].type)
                    want(d, t->fields[i].type->fields[j].type);
}

static const struct {
    const char *type, *format, *ref;
} scalars[] = {
    [API_BOOL] = { "boolean", NULL, NULL },
    [API_I32] = { "integer", "int32", NULL },
    [API_I64] = { "integer", "int64", NULL },
    [API_U32] = { "integer", "int64", NULL },
    [API_U64] = { "integer", "int64", NULL },
    [API_F64] = { "number", "double", NULL },
    [API_STRING] = { "string", NULL, NULL },
    [API_BYTES] = { "string", "byte", NULL },
    [API_QUANTITY] = { NULL, NULL, "io.k8s.apimachinery.pkg.api.resource.Quantity" },
    [API_TIME] = { NULL, NULL, META_V1 "Time" },
    [API_MICRO_TIME] = { NULL, NULL, META_V1 "MicroTime" },
    [API_DURATION] = { NULL, NULL, META_V1 "Duration" },
    [API_INT_OR_STRING] = { NULL, NULL, "io.k8s.apimachinery.pkg.util.intstr.IntOrString" },
    [API_RAW] = { NULL, NULL, "io.k8s.apimachinery.pkg.runtime.RawExtension" },
    [API_FIELDS_V1] = { NULL, NULL, META_V1 "FieldsV1" },
    [API_MESSAGE] = { NULL, NULL, NULL },
};

/* The members of a value's schema; `beside`: other keywords stand in the same object. */
static void
value_schema(struct doc *d, const struct api_field *f, bool beside)
{
    const char *name = f->value == API_MESSAGE ? f->type->openapi : scalars[f->value].ref;

    if (f->value == API_STRINGS) {
        text(d->out, "type", "array");
        key(d->out, "items");
        sbuf_adds(d->out, "{\"type\":\"string\"}");
    } else if (!name) {
        text(d->out, "type", scalars[f->value].type);
        if (scalars[f->value].format)
            text(d->out, "format", scalars[f->value].format);
    } else if (d->v3 && beside) { /* OpenAPI 3.0: nothing may stand beside $ref */
        key(d->out, "allOf");
        sbuf_adds(d->out, "[{");
        ref(d, name);
        sbuf_adds(d->out, "}]");
    } else {
        ref(d, name);
    }
}

static void
comma_list(struct sbuf *b, const char *list)
{
    AUTO_STRLIST l = { 0 };

    strlist_split(&l, list, ',');
    sbuf_addc(b, '[');
    for (size_t i = 0; i < l.len; i++)
        sbuf_addf(b, "%s\"%s\"", i ? "," : "", l.items[i]);
    sbuf_addc(b, ']');
}

static void
field_extensions(struct doc *d, const struct api_field *f)
{
    struct sbuf *b = d->out;

    if (f->shape == API_LIST) {
        const char *type = f->flags & API_LIST_MAP ? "map" : f->flags & API_LIST_SET ? "set" : f->flags & API_ATOMIC ? "atomic" : NULL;
        if (type)
            text(b, "x-kubernetes-list-type", type);
        if (f->list_keys) {
            key(b, "x-kubernetes-list-map-keys");
            comma_list(b, f->list_keys);
        }
    } else if (f->flags & API_ATOMIC) {
        text(b, "x-kubernetes-map-type", "atomic");
    }
    if (f->merge_key)
        text(b, "x-kubernetes-patch-merge-key", f->merge_key);
    if (f->flags & (API_PATCH_MERGE | API_PATCH_RETAIN | API_PATCH_REPLACE))
        text(b, "x-kubernetes-patch-strategy",
             f->flags & API_PATCH_RETAIN ? (f->flags & API_PATCH_MERGE ? "merge,retainKeys" : "retainKeys") : f->flags & API_PATCH_MERGE ? "merge" : "replace");
}

static void
field_schema(struct doc *d, const struct api_field *f)
{
    struct sbuf *b = d->out;

    sbuf_addc(b, '{');
    if (f->doc)
        text(b, "description", f->doc);
    switch ((enum api_shape)f->shape) {
    case API_LIST:
        text(b, "type", "array");
        key(b, "items");
        sbuf_addc(b, '{');
        value_schema(d, f, false);
        sbuf_addc(b, '}');
        break;
    case API_MAP:
        text(b, "type", "object");
        key(b, "additionalProperties");
        sbuf_addc(b, '{');
        value_schema(d, f, false);
        sbuf_addc(b, '}');
        break;
    default:
        value_schema(d, f, f->doc != NULL || f->def != NULL);
    }
    if (f->def) {
        key(b, "default");
        sbuf_adds(b, f->def);
    }
    field_extensions(d, f);
    sbuf_addc(b, '}');
}

static void
properties(struct doc *d, const struct api_type *t)
{
    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        if (!*f->json) {
            properties(d, f->type);
        } else if (!(f->flags & API_JSON_HIDDEN)) {
            key(d->out, f->json);
            field_schema(d, f);
        }
    }
}

static void
required(struct sbuf *b, const struct api_type *t, bool *open)
{
    for (uint16_t i = 0; i < t->nfields; i++) {
        const struct api_field *f = &t->fields[i];
        if (!*f->json) {
            required(b, f->type, open);
            continue;
        }
        if (!(f->flags & API_REQUIRED) && (f->flags & (API_OPTIONAL | API_OMITEMPTY)))
            continue;
        if (!*open)
            key(b, "required");
        sbuf_adds(b, *open ? "," : "[");
        *open = true;
        json_add_string(b, f->json);
    }
}

static void
add_gvk(struct sbuf *b, const char *group, const char *version, const char *kind)
{
    sbuf_addf(b, "{\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}", group, kind, version);
}

/* The kinds whose objects a type is; options kinds belong to every group. */
static void
type_gvks(struct doc *d, const struct api_type *t)
{
    bool open = false;

    for (size_t i = 0; i < api_kinds_len; i++) {
        if (api_kinds[i].type != t)
            continue;
        if (!open)
            key(d->out, "x-kubernetes-group-version-kind");
        sbuf_addc(d->out, open ? ',' : '[');
        open = true;
        add_gvk(d->out, api_kinds[i].group, api_kinds[i].version, api_kinds[i].kind);
    }
    if (open)
        sbuf_addc(d->out, ']');
}

static void
type_schema(struct doc *d, const struct api_type *t)
{
    struct sbuf *b = d->out;
    bool open = false;

    key(b, t->openapi);
    sbuf_addc(b, '{');
    if (t->doc)
        text(b, "description", t->doc);
    if (!(t->flags & (API_TYPE_SCHEMA_OR_ARRAY | API_TYPE_SCHEMA_OR_BOOL | API_TYPE_SCHEMA_OR_STRINGS))) {
        text(b, "type", "object");
        if (t->nfields) {
            key(b, "properties");
            sbuf_addc(b, '{');
            properties(d, t);
            sbuf_addc(b, '}');
        }
        required(b, t, &open);
        if (open)
            sbuf_addc(b, ']');
    }
    if (t->flags & API_TYPE_ATOMIC)
        text(b, "x-kubernetes-map-type", "atomic");
    type_gvks(d, t);
    sbuf_addc(b, '}');
}

static void
list_schema(struct doc *d, const struct resource *r)
{
    struct sbuf *b = d->out;
    AUTO_FREE char *name = xasprintf("%sList", r->kind->type->openapi);

    key(b, name);
    sbuf_addf(b, "{\"description\":\"A list of %s objects.\",\"type\":\"object\",\"properties\":{\"apiVersion\":{\"type\":\"string\"},"
                 "\"kind\":{\"type\":\"string\"},\"metadata\":{", r->kind->kind);
    ref(d, META_V1 "ListMeta");
    sbuf_adds(b, "},\"items\":{\"type\":\"array\",\"items\":{");
    ref(d, r->kind->type->openapi);
    sbuf_adds(b, "}}},\"required\":[\"items\"],\"x-kubernetes-group-version-kind\":[");
    add_gvk(b, r->kind->group, r->kind->version, r->list_kind);
    sbuf_adds(b, "]}");
}

static void
scalar_schemas(struct doc *d)
{
    static const char *const v2[][2] = {
        { META_V1 "Time", "{\"description\":\"A point in time, RFC 3339.\",\"type\":\"string\",\"format\":\"date-time\"}" },
        { META_V1 "MicroTime", "{\"description\":\"A point in time with microseconds, RFC 3339.\",\"type\":\"string\",\"format\":\"date-time\"}" },
        { META_V1 "Duration", "{\"description\":\"A length of time such as 1m30s.\",\"type\":\"string\"}" },
        { META_V1 "FieldsV1", "{\"description\":\"A set of fields, as a trie.\",\"type\":\"object\"}" },
        { META_V1 "Patch", "{\"description\":\"A patch in one of the patch formats.\",\"type\":\"object\"}" },
        { "io.k8s.apimachinery.pkg.runtime.RawExtension", "{\"description\":\"Any object.\",\"type\":\"object\"}" },
    };

    for (size_t i = 0; i < ARRAY_LEN(v2); i++) {
        key(d->out, v2[i][0]);
        sbuf_adds(d->out, v2[i][1]);
    }
    key(d->out, "io.k8s.apimachinery.pkg.api.resource.Quantity");
    sbuf_adds(d->out, d->v3 ? "{\"description\":\"A fixed-point number with a suffix: 100m, 2Gi.\",\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]}"
                            : "{\"description\":\"A fixed-point number with a suffix: 100m, 2Gi.\",\"type\":\"string\"}");
    key(d->out, "io.k8s.apimachinery.pkg.util.intstr.IntOrString");
    sbuf_adds(d->out, d->v3 ? "{\"description\":\"A number or a string.\",\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}"
                            : "{\"description\":\"A number or a string.\",\"type\":\"string\",\"format\":\"int-or-string\"}");
}

/* --- paths --- */

static void
parameter(struct doc *d, const char *name, const char *in, const char *type)
{
    struct sbuf *b = d->out;
    bool path = strcmp(in, "path") == 0;

    comma(b);
    sbuf_addf(b, "{\"name\":\"%s\",\"in\":\"%s\"", name, in);
    if (path)
        sbuf_adds(b, ",\"required\":true");
    sbuf_addf(b, d->v3 ? ",\"schema\":{\"type\":\"%s\",\"uniqueItems\":true}}" : ",\"type\":\"%s\",\"uniqueItems\":true}", type);
}

static const struct operation {
    unsigned verb;
    bool on_item;
    const char *method, *action;
    const char *params; /* query parameters, "name:type" */
} operations[] = {
    { VERB_LIST, false, "get", "list",
      "allowWatchBookmarks:boolean,continue:string,fieldSelector:string,labelSelector:string,limit:integer,resourceVersion:string,"
      "resourceVersionMatch:string,sendInitialEvents:boolean,timeoutSeconds:integer,watch:boolean" },
    { VERB_CREATE, false, "post", "post", "dryRun:string,fieldManager:string,fieldValidation:string" },
    { VERB_DELETECOLLECTION, false, "delete", "deletecollection",
      "continue:string,dryRun:string,fieldSelector:string,gracePeriodSeconds:integer,labelSelector:string,limit:integer,orphanDependents:boolean,"
      "propagationPolicy:string,resourceVersion:string,resourceVersionMatch:string,sendInitialEvents:boolean,timeoutSeconds:integer" },
    { VERB_GET, true, "get", "get", "" },
    { VERB_UPDATE, true, "put", "put", "dryRun:string,fieldManager:string,fieldValidation:string" },
    { VERB_PATCH, true, "patch", "patch", "dryRun:string,fieldManager:string,fieldValidation:string,force:boolean" },
    { VERB_DELETE, true, "delete", "delete",
      "dryRun:string,gracePeriodSeconds:integer,ignoreStoreReadErrorWithClusterBreakingPotential:boolean,orphanDependents:boolean,"
      "propagationPolicy:string" },
};

struct target { /* what an operation works on */
    const struct resource *r;
    const char *group, *version, *kind; /* of its objects */
    const char *schema, *list_schema;
    const struct subresource *sub;
    bool all_namespaces;
};

static void
media_schema(struct doc *d, const char *schema)
{
    static const char *const types[] = { "application/json", "application/vnd.kubernetes.protobuf", "application/yaml" };

    key(d->out, "content");
    sbuf_addc(d->out, '{');
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        key(d->out, types[i]);
        sbuf_adds(d->out, "{\"schema\":{");
        ref(d, schema);
        sbuf_adds(d->out, "}}");
    }
    sbuf_addc(d->out, '}');
}

static void
body(struct doc *d, const struct operation *op, const char *schema)
{
    static const char *const patches[] = { "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
                                           "application/strategic-merge-patch+json" };
    bool patch = op->verb == VERB_PATCH;

    if (op->verb == VERB_LIST || op->verb == VERB_GET)
        return;
    if (patch)
        schema = META_V1 "Patch";
    if (op->verb == VERB_DELETE || op->verb == VERB_DELETECOLLECTION)
        schema = META_V1 "DeleteOptions";
    if (!d->v3)
        return; /* v2: a parameter, written with the others */
    key(d->out, "requestBody");
    sbuf_adds(d->out, "{\"content\":{");
    for (size_t i = 0; i < (patch ? ARRAY_LEN(patches) : 1); i++) {
        key(d->out, patch ? patches[i] : "*/*");
        sbuf_adds(d->out, "{\"schema\":{");
        ref(d, schema);
        sbuf_adds(d->out, "}}");
    }
    sbuf_adds(d->out, op->verb == VERB_CREATE || op->verb == VERB_UPDATE || patch ? "},\"required\":true}" : "}}");
}

static void
operation_parameters(struct doc *d, const struct operation *op, const char *schema)
{
    AUTO_STRLIST l = { 0 };
    struct sbuf *b = d->out;

    strlist_split(&l, op->params, ',');
    key(b, "parameters");
    sbuf_addc(b, '[');
    if (!d->v3 && op->verb != VERB_LIST && op->verb != VERB_GET) {
        const char *of = op->verb == VERB_PATCH ? META_V1 "Patch" : op->verb & (VERB_DELETE | VERB_DELETECOLLECTION) ? META_V1 "DeleteOptions" : schema;
        sbuf_addf(b, "{\"in\":\"body\",\"name\":\"body\"%s,\"schema\":{", op->verb & (VERB_DELETE | VERB_DELETECOLLECTION) ? "" : ",\"required\":true");
        ref(d, of);
        sbuf_adds(b, "}}");
    }
    for (size_t i = 0; i < l.len; i++) {
        char *colon = strchr(l.items[i], ':');
        *colon = '\0';
        parameter(d, l.items[i], "query", colon + 1);
    }
    sbuf_addc(b, ']');
}

static void
responses(struct doc *d, const struct operation *op, const char *schema)
{
    struct sbuf *b = d->out;
    const char *codes[] = { "200", "201", "202" };
    size_t n = op->verb == VERB_CREATE ? 3 : op->verb == VERB_UPDATE || op->verb == VERB_PATCH ? 2 : 1;

    key(b, "responses");
    sbuf_addc(b, '{');
    for (size_t i = 0; i < n; i++) {
        key(b, codes[i]);
        sbuf_addf(b, "{\"description\":\"%s\"", i == 0 ? "OK" : i == 1 ? "Created" : "Accepted");
        if (d->v3) {
            media_schema(d, schema);
        } else {
            key(b, "schema");
            sbuf_addc(b, '{');
            ref(d, schema);
            sbuf_addc(b, '}');
        }
        sbuf_addc(b, '}');
    }
    sbuf_adds(b, "}");
}

static void
add_operation(struct doc *d, const struct operation *op, const struct target *t)
{
    struct sbuf *b = d->out;
    const char *answer = op->verb == VERB_LIST                                                      ? t->list_schema
                         : op->verb == VERB_DELETE && !t->r->strategy->returns_deleted              ? META_V1 "Status"
                         : op->verb == VERB_DELETECOLLECTION                                        ? META_V1 "Status"
                                                                                                    : t->schema;

    key(b, op->method);
    sbuf_addf(b, "{\"tags\":[\"%s_%s\"],\"operationId\":\"%s%s%s%s%s%s%s\"", *t->r->kind->group ? t->r->kind->group : "core", t->r->kind->version, op->action,
              *t->r->kind->group ? t->r->kind->group : "Core", t->r->kind->version, t->r->kind->namespaced && !t->all_namespaces ? "Namespaced" : "",
              t->r->kind->kind, t->sub ? t->sub->name : "", t->all_namespaces ? "ForAllNamespaces" : "");
    if (!d->v3)
        sbuf_adds(b, ",\"consumes\":[\"*/*\"],\"produces\":[\"application/json\",\"application/yaml\",\"application/vnd.kubernetes.protobuf\"]");
    operation_parameters(d, op, t->schema);
    body(d, op, t->schema);
    responses(d, op, answer);
    text(b, "x-kubernetes-action", op->action);
    key(b, "x-kubernetes-group-version-kind");
    add_gvk(b, t->group, t->version, t->kind);
    sbuf_addc(b, '}');
}

static void
add_path(struct doc *d, const char *path, const struct target *t, unsigned verbs, bool item, bool post_on_item)
{
    struct sbuf *b = d->out;
    bool ns = strstr(path, "{namespace}") != NULL, name = strstr(path, "{name}") != NULL;

    key(b, path);
    sbuf_addc(b, '{');
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        const struct operation *op = &operations[i];
        bool here = op->on_item == item || (post_on_item && op->verb == VERB_CREATE);
        if (here && (verbs & op->verb))
            add_operation(d, op, t);
    }
    key(b, "parameters");
    sbuf_addc(b, '[');
    if (name)
        parameter(d, "name", "path", "string");
    if (ns)
        parameter(d, "namespace", "path", "string");
    parameter(d, "pretty", "query", "string");
    sbuf_adds(b, "]}");
}

static void
subresource_paths(struct doc *d, const struct resource *r, const char *item)
{
    for (size_t i = 0; i < r->nsubresources; i++) {
        const struct subresource *s = &r->subresources[i];
        AUTO_FREE char *path = xasprintf("%s/%s", item, s->name);
        AUTO_FREE char *api_version = xasprintf("%s%s%s", str_safe(s->kind_group), str_empty(s->kind_group) ? "" : "/", str_safe(s->kind_version));
        const struct api_kind *k = s->kind ? api_kind_find(api_version, s->kind) : r->kind;
        if (!k)
            continue;
        const struct target t = { r, k->group, k->version, k->kind, k->type->openapi, k->type->openapi, s, false };
        want(d, k->type);
        add_path(d, path, &t, s->verbs, true, true);
    }
}

static void
resource_paths(struct doc *d, const struct resource *r)
{
    const struct api_kind *k = r->kind;
    AUTO_FREE char *base = *k->group ? xasprintf("/apis/%s/%s", k->group, k->version) : xasprintf("/api/%s", k->version);
    AUTO_FREE char *scoped = xasprintf("%s%s/%s", base, k->namespaced ? "/namespaces/{namespace}" : "", k->plural);
    AUTO_FREE char *item = xasprintf("%s/{name}", scoped);
    AUTO_FREE char *everywhere = xasprintf("%s/%s", base, k->plural);
    AUTO_FREE char *list = xasprintf("%sList", k->type->openapi);
    struct target t = { r, k->group, k->version, k->kind, k->type->openapi, list, NULL, false };

    add_path(d, scoped, &t, r->verbs, false, false);
    if (r->verbs & (VERB_GET | VERB_UPDATE | VERB_PATCH | VERB_DELETE))
        add_path(d, item, &t, r->verbs, true, false);
    subresource_paths(d, r, item);
    t.all_namespaces = true;
    if (k->namespaced && (r->verbs & VERB_LIST))
        add_path(d, everywhere, &t, VERB_LIST, false, false);
}

/* --- documents --- */

static bool
in_scope(const struct resource *r, const char *group, const char *version)
{
    return !group || (strcmp(r->kind->group, group) == 0 && strcmp(r->kind->version, version) == 0);
}

static void
write_document(struct doc *d, const char *group, const char *version)
{
    struct sbuf *b = d->out;
    struct wanted *w, *next;

    sbuf_addf(b, "{\"%s\":\"%s\",\"info\":{\"title\":\"Kubernetes\",\"version\":\"%s\"},\"paths\":{", d->v3 ? "openapi" : "swagger",
              d->v3 ? "3.0.0" : "2.0", CKUBE_VERSION);
    want(d, &api_type_status);
    want(d, &api_type_delete_options);
    want(d, &api_type_list_meta);
    for (size_t i = 0; i < resources_count(); i++)
        if (in_scope(resource_at(i), group, version)) {
            want(d, resource_at(i)->kind->type);
            resource_paths(d, resource_at(i));
        }
    sbuf_adds(b, d->v3 ? "},\"components\":{\"schemas\":{" : "},\"definitions\":{");
    HASH_ITER (hh, d->wanted, w, next) {
        type_schema(d, w->type);
        HASH_DEL(d->wanted, w);
        free(w);
    }
    for (size_t i = 0; i < resources_count(); i++)
        if (in_scope(resource_at(i), group, version) && (resource_at(i)->verbs & VERB_LIST))
            list_schema(d, resource_at(i));
    scalar_schemas(d);
    sbuf_adds(b, "}");
    static const char bearer[] = "{\"BearerToken\":{\"description\":\"Bearer Token authentication\",\"type\":\"apiKey\",\"name\":\"authorization\",\"in\":\"header\"}}";
    key(b, d->v3 ? "securitySchemes" : "securityDefinitions");
    sbuf_adds(b, bearer);
    sbuf_adds(b, d->v3 ? "}}" : "}");
}

void
openapi_write_v2(struct sbuf *out)
{
    struct doc d = { .out = out };

    write_document(&d, NULL, NULL);
}

void
openapi_write_v3(const char *group, const char *version, struct sbuf *out)
{
    struct doc d = { .out = out, .v3 = true };

    write_document(&d, group, version);
}
