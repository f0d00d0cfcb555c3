// SPDX-License-Identifier: Apache-2.0
/* query.h - URL paths and queries of the node server taken apart.  Pure. */
#ifndef CKUBE_KUBELET_SERVER_QUERY_H
#define CKUBE_KUBELET_SERVER_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

char *query_decode(const char *s, size_t len, bool plus) MUST_CHECK; /* %XX, and + as a space when `plus` */
char *query_value(const char *query, const char *name) MUST_CHECK;   /* first value, decoded; NULL = absent */
void query_values(const char *query, const char *name, struct strlist *ret);
bool query_flag(const char *query, const char *name); /* "1", "true"; absent = false */
/* The decoded parts of "/exec/ns/pod/container". */
void path_parts(const char *path, struct strlist *ret);

#endif
