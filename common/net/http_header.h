// SPDX-License-Identifier: Apache-2.0
/* http_header.h - a header row, and what servers and clients both need to know about HTTP messages. */
#ifndef CKUBE_NET_HTTP_HEADER_H
#define CKUBE_NET_HTTP_HEADER_H

#include <stdbool.h>
#include <stddef.h>

struct http_header {
    const char *name;
    const char *value;
};

/* First value of a name in any case; NULL when absent.  `after` NULL, or the value to go on behind. */
const char *http_header_get(const struct http_header *headers, size_t n, const char *name);
const char *http_header_next(const struct http_header *headers, size_t n, const char *name, const char *after);
/* Is `token` in the comma list of any header of that name?  No case. */
bool http_header_has_token(const struct http_header *headers, size_t n, const char *name, const char *token);
/* Not a hop-by-hop header (Connection, Keep-Alive, Transfer-Encoding, Upgrade, ...): proxies copy only these. */
bool http_header_end_to_end(const char *name);
const char *http_status_text(int code); /* "Not Found"; "" when unknown */

#endif
