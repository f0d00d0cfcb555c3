// SPDX-License-Identifier: Apache-2.0
/* Bearer tokens: nothing but what the key signed may pass (the signature itself may be spelled in several ways). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ec.h>

#include "apiserver/authn/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jwt_key key;
    static char *good;
    AUTO_FREE char *text = xstrndup((const char *)data, size);

    if (!good) { /* the token is put where the input says "@" */
        struct sbuf token = { 0 };
        key = (struct jwt_key){ EVP_EC_gen("P-256"), xstrdup("k"), "ES256", true };
        AUTO(kerr) *err = jwt_sign(&key, "{\"sub\":\"me\"}", &token);
        if (err)
            abort();
        good = sbuf_steal(&token);
    }
    char *at = strchr(text, '@');
    AUTO_FREE char *token = at ? xasprintf("%.*s%s%s", (int)(at - text), text, good, at + 1) : xstrdup(text);
    json_decref(jwt_peek(token));
    if (jwt_verify(token, &key, 1) && strncmp(token, good, (size_t)(strrchr(good, '.') - good) + 1) != 0)
        abort();
    return 0;
}
