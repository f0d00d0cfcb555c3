// SPDX-License-Identifier: Apache-2.0
/* Bytes from the container runtime and from log files: event messages, log lines, resolver files, pull secrets. */
#include <stddef.h>
#include <stdint.h>

#include "kubelet/cri/runtime_events.h"
#include "kubelet/image.h"
#include "kubelet/pod_net_files.h"
#include "kubelet/server/log_format.h"
#include "kubelet/server/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct log_options o = { .timestamps = size & 1, .limit_bytes = size & 2 ? 10 : -1, .has_since = size & 4 };
    AUTO_FREE char *text = xstrndup((const char *)data, size);
    AUTO(arena) *a = arena_new(0);
    AUTO_STRLIST parts = { 0 };
    AUTO_SBUF out = { 0 };
    struct image_auth auth;
    struct resolver r = { 0 };
    struct log_filter f;
    char id[64];

    (void)runtime_events_parse(data, size, id, sizeof id);
    log_filter_init(&f, &o);
    (void)log_filter_line(&f, (const char *)data, size, &out);
    (void)log_tail_offset((const char *)data, size, 3);
    resolver_parse(text, &r);
    resolver_done(&r);
    (void)image_auth_find((const char *)data, size, false, "reg.io/team/x:1", a, &auth);
    path_parts(text, &parts);
    free(query_value(text, "command"));
    return 0;
}
