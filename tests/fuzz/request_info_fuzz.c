// SPDX-License-Identifier: Apache-2.0
/* Method, path and query of a request, separated by newlines. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/http/request_info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = xstrndup((const char *)data, size);
    AUTO(arena) *a = arena_new(256);
    struct request_info info;
    char *path = strchr(text, '\n'), *query = path ? strchr(path + 1, '\n') : NULL;

    if (!path)
        return 0;
    *path++ = '\0';
    if (query)
        *query++ = '\0';
    AUTO(kerr) *err = request_info_parse(a, text, path, query, &info);
    if (!err) {
        if (!info.verb || !info.name || !info.ns || !info.rest || (info.is_resource && !*info.resource))
            abort();
        request_param_bool(&info, "watch");
    }
    return 0;
}
