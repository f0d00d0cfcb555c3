// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_record.h"

void
pod_record_done(struct pod_record *r)
{
    for (size_t i = 0; i < r->ncontainers; i++) {
        struct container_record *c = &r->containers[i];
        char *owned[] = { c->name, c->image_ref, c->wait_reason, c->wait_message, c->kill_id, c->doomed_id, c->doomed_message,
                          c->hook_id, c->probed_id, c->ended_id, c->ended_message };

        for (size_t k = 0; k < ARRAY_LEN(owned); k++)
            free(owned[k]);
    }
    free(r->containers);
    free(r->rejected_reason);
    free(r->rejected_message);
    *r = (struct pod_record){ 0 };
}

const struct container_record *
pod_record_find(const struct pod_record *r, const char *name)
{
    for (size_t i = 0; i < r->ncontainers; i++)
        if (str_eq(r->containers[i].name, name))
            return &r->containers[i];
    return NULL;
}

struct container_record *
pod_record_get(struct pod_record *r, const char *name)
{
    struct container_record *c = (struct container_record *)pod_record_find(r, name);

    if (c)
        return c;
    r->containers = xreallocarray(r->containers, r->ncontainers + 1, sizeof *r->containers);
    c = &r->containers[r->ncontainers++];
    *c = (struct container_record){ .name = xstrdup(name), .doomed_grace_s = -1 };
    return c;
}

void
record_set(char **field, const char *text)
{
    char *copy = xstrdup(text);

    free(*field);
    *field = copy;
}
