// SPDX-License-Identifier: Apache-2.0
/* tree.h - JSON as a jansson tree, for what has no struct: patches, applied configurations, custom resources.
 * Members keep their order.  Pure, any thread; one owner per tree. */
#ifndef CKUBE_API_TREE_H
#define CKUBE_API_TREE_H

#include <jansson.h>

#include "common/base/kerr.h"
#include "common/base/sbuf.h"

static inline void auto_json_(json_t **p)
{
    json_decref(*p);
}
#define AUTO_JSON __attribute__((cleanup(auto_json_))) json_t

/* Any JSON value; nesting bounded at CODEC_MAX_DEPTH, no NUL in strings.  Error: KERR_BAD_REQUEST. */
struct kerr *tree_load(const char *json, size_t len, json_t **ret) MUST_CHECK;
/* Compact, strings escaped and numbers written as Go does (1.0 -> 1, shortest digits). */
void tree_dump(const json_t *tree, struct sbuf *out);
void tree_dump_sorted(const json_t *tree, struct sbuf *out); /* the same, members by name */
unsigned tree_depth(const json_t *tree); /* 1 for a scalar or an empty container */
size_t tree_size(const json_t *tree);    /* bytes as text, roughly */
const char *tree_json_name(const json_t *tree); /* as encoding/json says: object, array, string, number, bool, null */
const char *tree_go_type(const json_t *tree);   /* as reflect says: map[string]interface {}, []interface {}, string, ... */

const char *tree_string(const json_t *object, const char *key); /* NULL when absent or no string */

#endif
