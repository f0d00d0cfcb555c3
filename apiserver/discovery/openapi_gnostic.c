// SPDX-License-Identifier: Apache-2.0
/* The OpenAPI v2 document as gnostic's openapi.v2.Document (protobuf): a table of messages, and one walker over the JSON
 * tree.  Numbers are those of google/gnostic openapiv2/OpenAPIv2.proto. */
#include <jansson.h>
#include <string.h>

#include "apiserver/discovery/openapi_doc.h"
#include "common/base/str.h"

enum kind {
    TEXT,      /* string */
    TEXTS,     /* repeated string */
    FLAG,      /* bool */
    NUMBER,    /* int64 */
    ONE,       /* a message */
    MANY,      /* repeated message */
    NAMED,     /* a message whose only field 1 is repeated {1 name, 2 value}: maps of `type` */
    ANY,       /* {2: YAML text} */
    WRAP_TEXT, /* TypeItem: {1: repeated string} from one string */
    WRAP_ONE,  /* {1: message} */
    RESPONSES, /* {1: repeated {1 name, 2 {1: Response}}} */
    PATHS,     /* {2: repeated {1 name, 2 PathItem}} */
    PARAMETERS,/* repeated ParametersItem */
    SECURITY,  /* {1: repeated {1 name, 2 {2: ApiKeySecurity}}} */
};

struct message;

struct row {
    const char *json;
    unsigned number;
    enum kind kind;
    const struct message *type;
};

struct message {
    const struct row *rows;
    size_t n;
    unsigned extensions; /* number of vendor_extension */
};

#define MESSAGE(name, ext) static const struct message name = { name##_rows, ARRAY_LEN(name##_rows), ext }

static const struct message schema;
static const struct row schema_rows[] = {
    { "$ref", 1, TEXT, NULL },
    { "format", 2, TEXT, NULL },
    { "description", 4, TEXT, NULL },
    { "default", 5, ANY, NULL },
    { "required", 19, TEXTS, NULL },
    { "additionalProperties", 21, WRAP_ONE, &schema },
    { "type", 22, WRAP_TEXT, NULL },
    { "items", 23, WRAP_ONE, &schema },
    { "allOf", 24, MANY, &schema },
    { "properties", 25, NAMED, &schema },
};
static const struct message schema = { schema_rows, ARRAY_LEN(schema_rows), 31 };

static const struct row response_rows[] = { { "description", 1, TEXT, NULL }, { "schema", 2, WRAP_ONE, &schema } };
MESSAGE(response, 5);

static const struct row body_parameter_rows[] = {
    { "description", 1, TEXT, NULL }, { "name", 2, TEXT, NULL }, { "in", 3, TEXT, NULL }, { "required", 4, FLAG, NULL }, { "schema", 5, ONE, &schema },
};
MESSAGE(body_parameter, 6);

static const struct row query_rows[] = {
    { "required", 1, FLAG, NULL }, { "in", 2, TEXT, NULL },   { "description", 3, TEXT, NULL },
    { "name", 4, TEXT, NULL },     { "type", 6, TEXT, NULL }, { "uniqueItems", 20, FLAG, NULL },
};
MESSAGE(query, 23);

static const struct row path_parameter_rows[] = {
    { "required", 1, FLAG, NULL }, { "in", 2, TEXT, NULL },   { "description", 3, TEXT, NULL },
    { "name", 4, TEXT, NULL },     { "type", 5, TEXT, NULL }, { "uniqueItems", 19, FLAG, NULL },
};
MESSAGE(path_parameter, 22);

static const struct row operation_rows[] = {
    { "tags", 1, TEXTS, NULL },         { "summary", 2, TEXT, NULL },   { "description", 3, TEXT, NULL },
    { "operationId", 5, TEXT, NULL },   { "produces", 6, TEXTS, NULL }, { "consumes", 7, TEXTS, NULL },
    { "parameters", 8, PARAMETERS, NULL }, { "responses", 9, RESPONSES, NULL },
};
MESSAGE(operation, 13);

static const struct row path_item_rows[] = {
    { "get", 2, ONE, &operation },    { "put", 3, ONE, &operation },   { "post", 4, ONE, &operation },
    { "delete", 5, ONE, &operation }, { "patch", 8, ONE, &operation }, { "parameters", 9, PARAMETERS, NULL },
};
MESSAGE(path_item, 10);

static const struct row info_rows[] = { { "title", 1, TEXT, NULL }, { "version", 2, TEXT, NULL } };
MESSAGE(info, 7);

static const struct row api_key_rows[] = { { "type", 1, TEXT, NULL }, { "name", 2, TEXT, NULL }, { "in", 3, TEXT, NULL }, { "description", 4, TEXT, NULL } };
MESSAGE(api_key, 5);

static const struct row document_rows[] = {
    { "swagger", 1, TEXT, NULL }, { "info", 2, ONE, &info }, { "paths", 8, PATHS, NULL }, { "definitions", 9, NAMED, &schema },
    { "securityDefinitions", 13, SECURITY, NULL },
};
MESSAGE(document, 16);

/* --- writing --- */

static void
varint(struct sbuf *out, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        sbuf_addc(out, (char)(n | 0x80));
    sbuf_addc(out, (char)n);
}

static void
bytes(struct sbuf *out, unsigned number, const char *data, size_t len)
{
    varint(out, number << 3 | 2);
    varint(out, len);
    sbuf_add(out, data, len);
}

static void
nested(struct sbuf *out, unsigned number, const struct sbuf *part)
{
    bytes(out, number, sbuf_str(part), part->len);
}

static void write_message(const struct message *m, const json_t *tree, struct sbuf *out);

/* Any {2: yaml}: JSON is YAML. */
static void
write_any(const json_t *value, struct sbuf *out)
{
    char *yaml = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

    if (yaml)
        bytes(out, 2, yaml, strlen(yaml));
    free(yaml);
}

static void
named(struct sbuf *out, unsigned number, const char *name, const struct sbuf *value)
{
    AUTO_SBUF entry = { 0 };

    bytes(&entry, 1, name, strlen(name));
    nested(&entry, 2, value);
    nested(out, number, &entry);
}

static void
write_parameter(const json_t *p, struct sbuf *out)
{
    const char *in = json_string_value(json_object_get(p, "in"));
    AUTO_SBUF inner = { 0 };
    AUTO_SBUF parameter = { 0 };
    AUTO_SBUF item = { 0 };

    if (str_eq(in, "body")) {
        write_message(&body_parameter, p, &inner);
        nested(&parameter, 1, &inner);
    } else {
        AUTO_SBUF non_body = { 0 };
        bool path = str_eq(in, "path");
        write_message(path ? &path_parameter : &query, p, &inner);
        nested(&non_body, path ? 4 : 3, &inner);
        nested(&parameter, 2, &non_body);
    }
    nested(&item, 1, &parameter);
    sbuf_add(out, sbuf_str(&item), item.len);
}

static void
write_map(const struct row *row, const json_t *value, struct sbuf *out)
{
    const char *name;
    json_t *one;
    AUTO_SBUF all = { 0 };

    json_object_foreach ((json_t *)value, name, one) {
        AUTO_SBUF part = { 0 };
        AUTO_SBUF wrapped = { 0 };
        switch (row->kind) {
        case RESPONSES:
            write_message(&response, one, &part);
            nested(&wrapped, 1, &part);
            named(&all, 1, name, &wrapped);
            break;
        case SECURITY:
            write_message(&api_key, one, &part);
            nested(&wrapped, 2, &part);
            named(&all, 1, name, &wrapped);
            break;
        case PATHS:
            write_message(&path_item, one, &part);
            named(&all, 2, name, &part);
            break;
        default:
            write_message(row->type, one, &part);
            named(&all, 1, name, &part);
        }
    }
    nested(out, row->number, &all);
}

static void
write_row(const struct row *row, const json_t *value, struct sbuf *out)
{
    AUTO_SBUF part = { 0 };
    AUTO_SBUF inner = { 0 };
    size_t i;
    json_t *one;

    switch (row->kind) {
    case TEXT:
        bytes(out, row->number, json_string_value(value), json_string_length(value));
        break;
    case TEXTS:
        json_array_foreach ((json_t *)value, i, one)
            bytes(out, row->number, json_string_value(one), json_string_length(one));
        break;
    case FLAG:
        varint(out, row->number << 3);
        varint(out, json_is_true(value));
        break;
    case NUMBER:
        varint(out, row->number << 3);
        varint(out, (uint64_t)json_integer_value(value));
        break;
    case ONE:
        write_message(row->type, value, &part);
        nested(out, row->number, &part);
        break;
    case MANY:
        json_array_foreach ((json_t *)value, i, one) {
            sbuf_clear(&part);
            write_message(row->type, one, &part);
            nested(out, row->number, &part);
        }
        break;
    case WRAP_TEXT:
        bytes(&part, 1, json_string_value(value), json_string_length(value));
        nested(out, row->number, &part);
        break;
    case WRAP_ONE:
        write_message(row->type, value, &inner);
        nested(&part, 1, &inner);
        nested(out, row->number, &part);
        break;
    case ANY:
        write_any(value, &part);
        nested(out, row->number, &part);
        break;
    case PARAMETERS:
        json_array_foreach ((json_t *)value, i, one) {
            sbuf_clear(&part);
            write_parameter(one, &part);
            nested(out, row->number, &part);
        }
        break;
    default:
        write_map(row, value, out);
    }
}

static void
write_message(const struct message *m, const json_t *tree, struct sbuf *out)
{
    const char *name;
    json_t *value;

    for (size_t i = 0; i < m->n; i++)
        if ((value = json_object_get(tree, m->rows[i].json)))
            write_row(&m->rows[i], value, out);
    json_object_foreach ((json_t *)tree, name, value) {
        AUTO_SBUF any = { 0 };
        if (strncmp(name, "x-", 2) != 0 || !m->extensions)
            continue;
        write_any(value, &any);
        named(out, m->extensions, name, &any);
    }
}

struct kerr *
openapi_v2_to_protobuf(const struct sbuf *json, struct sbuf *out)
{
    json_error_t why;
    json_t *tree = json_loadb(sbuf_str(json), json->len, 0, &why);

    if (!tree)
        return kerr_new(KERR_INTERNAL, "the OpenAPI document is no JSON: %s", why.text);
    write_message(&document, tree, out);
    json_decref(tree);
    return NULL;
}
