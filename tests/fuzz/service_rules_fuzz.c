// SPDX-License-Identifier: Apache-2.0
/* Services and EndpointSlices of any content (YAML stream) into rules: nothing of an object but numbers and addresses
 * may get into the text, whatever the object says; and the reader of nft's listing survives any text. */
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "kube-proxy/object_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every element line is made of address, number and protocol tokens and our own words. */
static void
check_elements(const char *text)
{
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t len = strcspn(line, "\n");

        if (len < 12 || memcmp(line, "add element ", 12) != 0)
            continue;
        for (size_t i = 0; i < len; i++)
            if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789 .,:/{}-", line[i]))
                abort();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct picture_node node = { .name = "node-1", .zone = "zone-a" };
    struct nft_options opts = { .family = IP_V4, .masquerade_mark = 0x4000 };
    AUTO(nft_tables) *t = nft_tables_new(&opts);
    AUTO(object_files) *files = object_files_new();
    AUTO_SBUF text = { 0 }, warnings = { .max = 4096 };
    AUTO_FREE char *input = xstrndup((const char *)data, size);
    struct kerr *err = object_files_read(files, input, strlen(input), "fuzz");

    kerr_free(err);
    object_files_to_tables(files, &node, IP_V4, t, &warnings);
    nft_tables_full(t, &text);
    nft_tables_delta(t, &text);
    check_elements(sbuf_str(&text));
    sbuf_clear(&text);
    nft_tables_stale_affinity(t, input, &text);
    nft_tables_keep_affinity(t, input, &text);
    check_elements(sbuf_str(&text));
    return 0;
}
