// SPDX-License-Identifier: Apache-2.0
/* printers.h - the columns `kubectl get` shows, per kind: what they are and how a row's cells are made.
 * One table in printers.c; a kind without a row gets Name and Age.  Pure; any thread. */
#ifndef CKUBE_APISERVER_PRINTERS_H
#define CKUBE_APISERVER_PRINTERS_H

#include "common/api/object.h"
#include "common/base/sbuf.h"

struct print_column {
    const char *name;
    const char *type;   /* "string", "integer", "boolean", "date" */
    const char *format; /* "name" for the first one, else "" */
    const char *description;
    int priority; /* 1: only with -o wide */
};

struct printer {
    const char *group, *kind;
    const struct print_column *columns;
    size_t ncolumns;
    /* Adds as many cells as there are columns; cells.h-style helpers below. */
    void (*row)(const struct object *obj, int64_t now_s, struct sbuf *cells);
};

const struct printer *printer_of(const struct api_kind *kind); /* never NULL */

/* Cells are JSON values, comma separated. */
void cell_string(struct sbuf *cells, const char *s); /* NULL and "" as "" */
void cell_int(struct sbuf *cells, int64_t n);
void cell_bool(struct sbuf *cells, bool b);
void cell_age(struct sbuf *cells, struct api_time since, int64_t now_s); /* "5d", "<unknown>" for the zero time */
void cell_null(struct sbuf *cells);
/* apimachinery's HumanDuration: "45s", "3m20s", "12d", ... */
void human_duration(int64_t seconds, struct sbuf *out);

#endif
