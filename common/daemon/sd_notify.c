// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/sd_notify.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/str.h"

bool
sd_notify_send(const char *fmt, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    va_list ap;

    if (str_empty(path) || strlen(path) >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return false;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* abstract */
    va_start(ap, fmt);
    AUTO_FREE char *text = xvasprintf(fmt, ap);
    va_end(ap);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    return sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, len) >= 0;
}

uint64_t
sd_notify_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t us;
    int64_t who;

    if (str_empty(getenv("NOTIFY_SOCKET")) || str_empty(usec) || parse_u64(usec, &us))
        return 0;
    if (!str_empty(pid) && (parse_i64(pid, &who) || who != getpid()))
        return 0;
    return us / 2000 ? us / 2000 : 1;
}
