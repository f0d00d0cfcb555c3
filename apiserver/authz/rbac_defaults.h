// SPDX-License-Identifier: Apache-2.0
/* rbac_defaults.h - the rows of rbac_defaults_table.c; for rbac_defaults.c and its test.  Lists are comma separated, the
 * core API group is written "core". */
#ifndef CKUBE_APISERVER_RBAC_DEFAULTS_H
#define CKUBE_APISERVER_RBAC_DEFAULTS_H

#include <stddef.h>

enum default_kind { DEFAULT_ROLE, DEFAULT_RULE, DEFAULT_PATH };

struct default_row {
    enum default_kind kind;
    /* ROLE: namespace ("" = ClusterRole), name, aggregate-to labels, aggregate-from label
     * RULE: verbs, groups, resources, resource names      PATH: verbs, paths */
    const char *a, *b, *c, *d;
};

struct default_binding { /* rows of one name are one binding; without a subject it binds nobody */
    const char *ns, *name, *role_kind, *role, *subject_kind, *subject_ns, *subject;
};

extern const struct default_row default_roles[];
extern const size_t default_roles_len;
extern const struct default_binding default_bindings[];
extern const size_t default_bindings_len;

#endif
