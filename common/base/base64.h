// SPDX-License-Identifier: Apache-2.0
/* base64.h - RFC 4648 base64: standard with padding (JSON []byte, kubeconfig, etcd's gateway) and
 * URL-safe without (JWT).  Pure, any thread. */
#ifndef CKUBE_BASE_BASE64_H
#define CKUBE_BASE_BASE64_H

#include <stdint.h>
#include <sys/types.h>

#include "common/base/sbuf.h"

#define BASE64_ENCODED_SIZE(n) (((n) + 2) / 3 * 4)     /* without a NUL */
#define BASE64_DECODED_MAX(n) (((n) + 3) / 4 * 3)

void base64_encode(const void *p, size_t size, struct sbuf *out);
size_t base64_encode_to(const void *p, size_t size, char *ret); /* room: BASE64_ENCODED_SIZE; returns what it wrote */
void base64url_encode(const void *p, size_t size, struct sbuf *out); /* no padding */
/* Writes at most BASE64_DECODED_MAX(len) bytes; returns their number or -EINVAL.  As Go's StdEncoding: padding is
 * required, CR and LF are skipped.  *ret_bad (may be NULL): offset of the first bad byte. */
ssize_t base64_decode(const char *s, size_t len, uint8_t *ret, size_t *ret_bad);
ssize_t base64url_decode(const char *s, size_t len, uint8_t *ret); /* no padding */

#endif
