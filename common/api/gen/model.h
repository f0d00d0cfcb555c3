// SPDX-License-Identifier: Apache-2.0
/* model.h - the schema as apigen reads it: groups, types, fields, enums, kinds.  Build-time tool: memory is never freed.
 *
 * The schema language (common/api/schema/<group>.api), a line each, `#` starts a comment:
 *   group NAME api="apps" version=v1 openapi=io.k8s.api.apps.v1 [proto3]
 *   kind Type [plural=.. scope=Cluster|Namespaced short=a,b categories=all]     without plural: no resource
 *   enum Name "Value" ...
 *   type Name [as=c_name] [atomic] [schema_or_array|schema_or_bool|schema_or_strings] ["doc"]
 *       jsonName  TYPE  protobufNumber  [option ...] ["doc"]
 * TYPE: T, *T (optional), []T, map[T] (string keys); T one of bool int32 int64 uint32 uint64 float64 string
 *   string(Enum) bytes Quantity Time MicroTime Duration IntOrString Raw FieldsV1 Strings, or a type: Name or group.Name
 * option: inline=member (jsonName "-") omitempty omitzero optional required atomic union merge[=key] retainkeys replace
 *   listmap=k1,k2 listset granular default="json" packed name=c_member */
#ifndef CKUBE_APIGEN_MODEL_H
#define CKUBE_APIGEN_MODEL_H

#include <stdbool.h>
#include <stddef.h>

struct group {
    char *name, *api, *version, *openapi;
    bool proto3;
};

struct enumeration {
    struct group *group;
    char *name;
    char **values;
    size_t nvalues;
};

struct field {
    char *json, *cname;
    char *value_name; /* type word without shape */
    int value;        /* enum api_value */
    int shape;        /* enum api_shape */
    int proto;
    unsigned flags; /* enum api_field_flags */
    struct type *type;
    struct enumeration *enumeration;
    char *def, *merge_key, *list_keys, *doc;
};

struct type {
    struct group *group;
    char *name, *cname, *doc;
    unsigned flags; /* enum api_type_flags */
    struct field *fields;
    size_t nfields;
    int emitted; /* topological state: 0 no, 1 in work, 2 done */
};

struct kind {
    struct group *group;
    char *type_name, *plural, *scope, *short_names, *categories;
    struct type *type;
};

struct model {
    struct type **types;
    size_t ntypes;
    struct enumeration **enums;
    size_t nenums;
    struct kind **kinds;
    size_t nkinds;
};

void model_read(struct model *m, const char *path); /* exits with file:line on a mistake */
void model_resolve(struct model *m);                /* names to pointers */
char *c_name(const char *json);                     /* clusterIPs -> cluster_ips */

void emit_header(const struct model *m, const char *path);
void emit_tables(const struct model *m, const char *path);

#endif
