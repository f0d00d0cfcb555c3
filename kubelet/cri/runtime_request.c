// SPDX-License-Identifier: Apache-2.0
/* What requests own. */
#include "kubelet/cri/runtime.h"

const char *
runtime_error_text(const struct kerr *err)
{
    const char *at = strstr(err->message, "rpc error: ");

    return at ? at : err->message;
}

void
sandbox_request_done(struct sandbox_request *rq)
{
    strlist_done(&rq->dns_servers);
    strlist_done(&rq->dns_searches);
    strlist_done(&rq->dns_options);
}

void
container_request_done(struct container_request *rq)
{
    strlist_done(&rq->command);
    strlist_done(&rq->args);
    for (size_t i = 0; i < rq->nenv; i++) {
        free(rq->env[i].name);
        free(rq->env[i].value);
    }
    for (size_t i = 0; i < rq->nmounts; i++) {
        free(rq->mounts[i].host_path);
        free(rq->mounts[i].container_path);
    }
    for (size_t i = 0; i < rq->ndevices; i++) {
        free(rq->devices[i].host_path);
        free(rq->devices[i].container_path);
        free(rq->devices[i].permissions);
    }
    free(rq->env);
    free(rq->mounts);
    free(rq->devices);
    rq->env = NULL;
    rq->mounts = NULL;
    rq->devices = NULL;
    rq->nenv = rq->nmounts = rq->ndevices = 0;
}
