// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "apiserver/rest/printers_table.h"
#include "common/api/meta.h"
#include "common/api/selector.h"
#include "common/api/values.h"

#define COLUMN(name_, type_, wide_) { .name = name_, .type = type_, .format = "", .description = "", .priority = wide_ }
#define NAME { .name = "Name", .type = "string", .format = "name", .description = "Name must be unique within a namespace.", .priority = 0 }
#define AGE COLUMN("Age", "string", 0)
#define COLUMNS(list) list, ARRAY_LEN(list)

/* --- namespaces --- */

static const struct print_column namespace_columns[] = { NAME, COLUMN("Status", "string", 0), AGE };

static void
namespace_row(const struct object *obj, int64_t now_s, struct sbuf *cells)
{
    const struct namespace *ns = OBJECT_BODY(obj, namespace);

    cell_string(cells, ns->metadata.name);
    cell_string(cells, ns->status.phase);
    cell_age(cells, ns->metadata.creation_timestamp, now_s);
}

const struct printer printers[] = {
    { "", "Namespace", COLUMNS(namespace_columns), namespace_row },
};
const size_t printers_len = ARRAY_LEN(printers);
