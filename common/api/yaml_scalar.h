// SPDX-License-Identifier: Apache-2.0
/* yaml_scalar.h - what a plain YAML scalar means, by the YAML 1.1 rules of upstream's parser (yes and off are
 * booleans, 0644 is octal, dates stay text).  Under yaml.c and yaml_write.c.  Pure, any thread. */
#ifndef CKUBE_API_YAML_SCALAR_H
#define CKUBE_API_YAML_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/sbuf.h"

enum yaml_meaning { YAML_STR, YAML_NULL, YAML_BOOL, YAML_INT, YAML_FLOAT, YAML_TIMESTAMP };

struct yaml_scalar {
    enum yaml_meaning meaning;
    bool yes;         /* YAML_BOOL */
    bool negative;    /* YAML_INT */
    uint64_t integer; /* YAML_INT: without its sign */
    double number;    /* YAML_FLOAT, and YAML_INT too */
};

struct yaml_scalar yaml_scalar_resolve(const char *s, size_t len);
bool yaml_scalar_is_base60(const char *s); /* 1:30, a number to other parsers */
const char *yaml_meaning_tag(enum yaml_meaning m); /* "!!int" */
/* As Go's strconv.FormatFloat(v, 'g', -1, bits) with YAML's names for infinities. */
void yaml_add_float(struct sbuf *out, double v, int bits);

#endif
