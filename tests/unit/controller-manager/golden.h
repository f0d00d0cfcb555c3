// SPDX-License-Identifier: Apache-2.0
/* golden.h - a golden case of a controller: how golden_rows.c turns its objects into a picture. Included by test_golden.c only. */
#ifndef CKUBE_TESTS_CONTROLLER_GOLDEN_H
#define CKUBE_TESTS_CONTROLLER_GOLDEN_H

#include "controller-manager/controller.h"

struct golden {
    char *text; /* in.yaml */
    char *key;  /* setting "key", or NULL */
    struct api_time now;
    struct object_list objects;
    struct sbuf out;
};
char *golden_setting(const struct golden *g, const char *name); /* NULL = not set; caller frees */
void golden_kind(const struct golden *g, const char *kind, struct object_list *ret);
struct object *golden_first(const struct golden *g, const char *kind); /* a reference, or NULL */
void golden_print(struct golden *g, struct plan *plan); /* takes the plan */

struct golden_row {
    const char *controller; /* folder */
    void (*run)(struct golden *g);
};

#include "tests/unit/controller-manager/golden_rows.h"

#endif
