// SPDX-License-Identifier: Apache-2.0
#include "kubelet/run_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "common/base/clock.h"

#define OUTPUT_MAX 65536

extern char **environ;

static struct kerr *
spawn(const char *const *argv, int out_fd, pid_t *ret)
{
    posix_spawn_file_actions_t fa;
    int rc;

    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, out_fd, 1);
    posix_spawn_file_actions_adddup2(&fa, out_fd, 2);
    rc = posix_spawnp(ret, argv[0], &fa, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    return rc ? kerr_errno(rc, "start '%s'", argv[0]) : NULL;
}

struct kerr *
run_command(const char *const *argv, uint64_t timeout_ms, struct sbuf *out)
{
    AUTO_SBUF own = { .max = OUTPUT_MAX };
    struct sbuf *b = out ? out : &own;
    uint64_t end = clock_mono_ms() + timeout_ms;
    int fds[2], status = 0;
    struct kerr *err;
    pid_t pid = -1;

    if (!b->max)
        b->max = OUTPUT_MAX;
    if (pipe2(fds, O_CLOEXEC))
        return kerr_errno(errno, "make a pipe for '%s'", argv[0]);
    err = spawn(argv, fds[1], &pid);
    close(fds[1]);
    while (!err) {
        struct pollfd p = { fds[0], POLLIN, 0 };
        uint64_t now = clock_mono_ms();
        char buf[4096];
        ssize_t n;

        if (now >= end || poll(&p, 1, (int)(end - now)) == 0) {
            kill(pid, SIGKILL);
            err = kerr_new(KERR_TIMEOUT, "'%s' did not end within %llu ms", argv[0], (unsigned long long)timeout_ms);
            break;
        }
        n = read(fds[0], buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        sbuf_add(b, buf, (size_t)n);
    }
    close(fds[0]);
    if (pid > 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    if (!err && status)
        err = kerr_new(KERR_INTERNAL, "'%s %s' ended with status %d: %s", argv[0], argv[1] ? argv[1] : "",
                       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), sbuf_str(b));
    return err;
}
