// SPDX-License-Identifier: Apache-2.0
/* addr.h - socket addresses as people write them.  Pure, any thread. */
#ifndef CKUBE_NET_ADDR_H
#define CKUBE_NET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/kerr.h"

struct addr {
    struct sockaddr_storage ss;
    socklen_t len;
};

/* A literal IPv4 or IPv6 address ("", "0.0.0.0", "::", "[::1]") or an absolute unix path ("unix:///run/x", "unix:/run/x", "/run/x"). */
struct kerr *addr_parse(const char *host, uint16_t port, struct addr *ret) MUST_CHECK;
/* "host:port", "[v6]:port"; the host is copied without brackets. */
struct kerr *addr_split(const char *host_port, char **ret_host, uint16_t *ret_port) MUST_CHECK;
/* "10.0.0.1:443", "[::1]:443", "unix:/run/x", "unix" for an unnamed peer. */
char *addr_format(const struct sockaddr *sa, socklen_t len) MUST_CHECK;
bool addr_is_ip(const char *host); /* literal v4 or v6, without brackets */
uint16_t addr_port(const struct addr *a);
char *addr_text(const struct addr *a) MUST_CHECK; /* addr_format() of it */
/* A non-blocking, CLOEXEC socket whose connect has begun; *ret_fd is the caller's.  Finish it with
 * bufferevent_socket_connect(bev, NULL, 0). */
struct kerr *addr_connect(const struct addr *a, int *ret_fd) MUST_CHECK;
void addr_tune(int fd); /* TCP_NODELAY and keep-alive probes; no effect on unix sockets */

#endif
