// SPDX-License-Identifier: Apache-2.0
/* apigen: reads the API schema, writes api_types.h and api_tables.c.  apigen -o DIR FILE.api... */
#include <stdio.h>
#include <string.h>

#include "common/api/gen/model.h"
#include "common/base/mem.h"

int
main(int argc, char **argv)
{
    struct model m = { 0 };

    if (argc < 4 || strcmp(argv[1], "-o") != 0) {
        fprintf(stderr, "usage: apigen -o DIR FILE.api...\n");
        return 2;
    }
    for (int i = 3; i < argc; i++)
        model_read(&m, argv[i]);
    model_resolve(&m);
    AUTO_FREE char *header = xasprintf("%s/api_types.h", argv[2]);
    AUTO_FREE char *tables = xasprintf("%s/api_tables.c", argv[2]);
    emit_header(&m, header);
    emit_tables(&m, tables);
    return 0;
}
