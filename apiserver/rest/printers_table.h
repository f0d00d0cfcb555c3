// SPDX-License-Identifier: Apache-2.0
/* printers_table.h - the kinds with columns of their own; rows in printers_<area>.c.  For printers.c. */
#ifndef CKUBE_APISERVER_PRINTERS_TABLE_H
#define CKUBE_APISERVER_PRINTERS_TABLE_H

#include "apiserver/rest/printers.h"

struct label_selector;
struct pod_spec;
struct string_map;

extern const struct printer printers_core[]; /* what people list every day */
extern const size_t printers_core_len;
extern const struct printer printers_more[]; /* storage, networking, policy, admission and the rest */
extern const size_t printers_more_len;

/* --- how the rows are written --- */
#define COLUMN(name_, type_, wide_) { .name = name_, .type = type_, .format = "", .description = "", .priority = wide_ }
#define NAME { .name = "Name", .type = "string", .format = "name", .description = "Name of the object, unique within its namespace.", .priority = 0 }
#define AGE COLUMN("Age", "string", 0)
#define COLUMNS(list) list, ARRAY_LEN(list)

void cell_or_none(struct sbuf *cells, const char *s); /* "<none>" for nothing */
void cells_containers(struct sbuf *cells, const struct pod_spec *spec); /* two cells: names, images */
void cell_selector(struct sbuf *cells, const struct label_selector *selector);
void cell_labels(struct sbuf *cells, const struct string_map *m);

#endif
