// SPDX-License-Identifier: Apache-2.0
/* Accept and Content-Type headers. */
#include <stdint.h>
#include <stdlib.h>

#include "apiserver/http/media.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = xstrndup((const char *)data, size);
    struct media m;
    enum media_format format;
    AUTO(kerr) *err = media_accept(text, true, &m);
    AUTO(kerr) *plain = media_accept(text, false, &m);
    AUTO(kerr) *content = media_content(text, &format);

    if (!plain && (m.as != AS_ITSELF || !media_type(&m)))
        abort();
    return 0;
}
