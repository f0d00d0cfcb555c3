// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/client/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_CLIENT_CONFIG c = { 0 };
    AUTO_FREE char *text = xstrndup((const char *)data, size);

    kerr_free(kubeconfig_parse(text, strlen(text), "/dir/file", NULL, &c));
    return 0;
}
