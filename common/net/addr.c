// SPDX-License-Identifier: Apache-2.0
#include "common/net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "common/base/str.h"

static const char *
unix_path(const char *host)
{
    if (str_has_prefix(host, "unix://"))
        return host + strlen("unix://");
    if (str_has_prefix(host, "unix:"))
        return host + strlen("unix:");
    return host && host[0] == '/' ? host : NULL;
}

static struct kerr *
parse_unix(const char *path, struct addr *ret)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t len = strlen(path);

    if (path[0] != '/' || len >= sizeof un.sun_path)
        return kerr_new(KERR_INVALID, "unix socket path '%s' must be absolute and shorter than %zu bytes", path,
                        sizeof un.sun_path);
    memcpy(un.sun_path, path, len);
    memcpy(&ret->ss, &un, sizeof un);
    ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return NULL;
}

struct kerr *
addr_parse(const char *host, uint16_t port, struct addr *ret)
{
    char bare[INET6_ADDRSTRLEN];
    const char *path = unix_path(host);
    size_t len = strlen(str_safe(host));

    memset(ret, 0, sizeof *ret);
    if (path)
        return parse_unix(path, ret);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len >= sizeof bare)
        return kerr_new(KERR_INVALID, "'%s' is not an IP address", host);
    memcpy(bare, len ? host : "::", len ? len : 2);
    bare[len ? len : 2] = '\0';

    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET, bare, &v4.sin_addr) == 1) {
        memcpy(&ret->ss, &v4, sizeof v4);
        ret->len = sizeof v4;
    } else if (inet_pton(AF_INET6, bare, &v6.sin6_addr) == 1) {
        memcpy(&ret->ss, &v6, sizeof v6);
        ret->len = sizeof v6;
    } else {
        return kerr_new(KERR_INVALID, "'%s' is not an IP address", bare);
    }
    return NULL;
}

struct kerr *
addr_split(const char *host_port, char **ret_host, uint16_t *ret_port)
{
    const char *colon = host_port ? strrchr(host_port, ':') : NULL;
    int32_t port;

    if (!colon || parse_i32(colon + 1, &port) || port < 0 || port > 65535)
        return kerr_new(KERR_INVALID, "'%s' is not host:port", str_safe(host_port));
    const char *start = host_port;
    size_t len = (size_t)(colon - host_port);
    bool bracketed = len >= 2 && start[0] == '[' && start[len - 1] == ']';
    if (bracketed) {
        start++;
        len -= 2;
    } else if (memchr(start, ':', len)) {
        return kerr_new(KERR_INVALID, "'%s': an IPv6 address needs brackets before the port", host_port);
    }
    *ret_host = xstrndup(start, len);
    *ret_port = (uint16_t)port;
    return NULL;
}

char *
addr_format(const struct sockaddr *sa, socklen_t len)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        return xasprintf("%s:%u", text, ntohs(v4->sin_port));
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) { /* a v4 peer of a dual-stack socket */
            inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text, sizeof text);
            return xasprintf("%s:%u", text, ntohs(v6->sin6_port));
        }
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        return xasprintf("[%s]:%u", text, ntohs(v6->sin6_port));
    }
    const struct sockaddr_un *un = (const struct sockaddr_un *)sa;
    if (sa->sa_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path) && un->sun_path[0])
        return xasprintf("unix:%s", un->sun_path);
    return xstrdup("unix");
}

char *
addr_text(const struct addr *a)
{
    return addr_format((const struct sockaddr *)&a->ss, a->len);
}

bool
addr_is_ip(const char *host)
{
    unsigned char buf[sizeof(struct in6_addr)];

    return !str_empty(host) && (inet_pton(AF_INET, host, buf) == 1 || inet_pton(AF_INET6, host, buf) == 1);
}

uint16_t
addr_port(const struct addr *a)
{
    if (a->ss.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&a->ss)->sin_port);
    if (a->ss.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a->ss)->sin6_port);
    return 0;
}

void
addr_tune(int fd)
{
    static const int on = 1, probe_s = 15, probes = 9;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        return; /* a unix socket */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &probe_s, sizeof probe_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_s, sizeof probe_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

struct kerr *
addr_connect(const struct addr *a, int *ret_fd)
{
    AUTO_FREE char *text = addr_text(a);
    AUTO_FD int fd = socket(a->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return kerr_errno(errno, "dial %s: socket", text);
    addr_tune(fd);
    if (connect(fd, (const struct sockaddr *)&a->ss, a->len) < 0 && errno != EINPROGRESS) {
        int why = errno;
        char buf[128];
        return kerr_new(KERR_UNAVAILABLE, "dial %s: %s", text, strerror_r(why, buf, sizeof buf));
    }
    *ret_fd = fd;
    fd = -1;
    return NULL;
}
