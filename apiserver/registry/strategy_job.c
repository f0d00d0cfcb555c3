// SPDX-License-Identifier: Apache-2.0
/* Jobs: without manualSelector the selector and the pods' labels come from the job's uid (batch/v1 JobSpec.manualSelector).
 * Certificate signing requests: who asks is written by the apiserver, not by the client. */
#include <string.h>

#include "apiserver/registry/strategies.h"
#include "common/api/meta.h"

static void
job_prepare_create(const struct write_context *c, struct arena *a, void *body)
{
    struct job *job = body;
    struct string_map *labels = &job->spec.template.metadata.labels;

    job->status = (struct job_status){ 0 };
    if (job->spec.manual_selector && *job->spec.manual_selector)
        return;
    if (!string_map_get(labels, "batch.kubernetes.io/job-name"))
        string_map_set(labels, a, "batch.kubernetes.io/job-name", job->metadata.name);
    if (!string_map_get(labels, "job-name"))
        string_map_set(labels, a, "job-name", job->metadata.name);
    string_map_set(labels, a, "batch.kubernetes.io/controller-uid", job->metadata.uid);
    string_map_set(labels, a, "controller-uid", job->metadata.uid);
    if (!job->spec.selector)
        job->spec.selector = ARENA_NEW(a, struct label_selector);
    string_map_set(&job->spec.selector->match_labels, a, "batch.kubernetes.io/controller-uid", job->metadata.uid);
}

static void
job_prepare_update(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    ((struct job *)body)->status = ((const struct job *)old)->status;
}

static void
job_prepare_status(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    ((struct job *)body)->spec = ((const struct job *)old)->spec;
}

const struct strategy strategy_job = {
    .prepare_create = job_prepare_create,
    .prepare_update = job_prepare_update,
    .prepare_status = job_prepare_status,
    .orphans_by_default = true,
};

static void
csr_prepare_create(const struct write_context *c, struct arena *a, void *body)
{
    struct certificate_signing_request *csr = body;

    csr->status = (struct certificate_signing_request_status){ 0 };
    csr->spec.username = c->user->username;
    csr->spec.uid = c->user->uid;
    csr->spec.groups = c->user->groups;
    csr->spec.extra = c->user->extra;
}

static void
csr_prepare_update(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    struct certificate_signing_request *csr = body;
    const struct certificate_signing_request *was = old;

    csr->spec = was->spec;
    if (strcmp(c->subresource, "approval") == 0) {
        struct certificate_signing_request_status asked = csr->status;
        csr->status = was->status;
        csr->status.conditions = asked.conditions;
    } else {
        csr->status = was->status;
    }
}

static void
csr_prepare_status(const struct write_context *c, struct arena *a, void *body, const void *old)
{
    ((struct certificate_signing_request *)body)->spec = ((const struct certificate_signing_request *)old)->spec;
}

const struct strategy strategy_csr = {
    .no_generation = true,
    .prepare_create = csr_prepare_create,
    .prepare_update = csr_prepare_update,
    .prepare_status = csr_prepare_status,
};
