// SPDX-License-Identifier: Apache-2.0
#include "apiserver/server.h"

struct api_loop *
apiserver_loop_of(struct apiserver *srv, const struct loop *loop)
{
    for (size_t i = 0; i < srv->nloops; i++)
        if (srv->loops[i].loop == loop)
            return &srv->loops[i];
    return NULL;
}
