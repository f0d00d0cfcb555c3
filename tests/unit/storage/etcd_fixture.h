// SPDX-License-Identifier: Apache-2.0
/* etcd_fixture.h - a private etcd for a test: free ports, a data folder under /tmp, ended with the test. */
#ifndef CKUBE_TESTS_ETCD_FIXTURE_H
#define CKUBE_TESTS_ETCD_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

extern char **environ;

struct etcd_fixture {
    pid_t pid;
    int client_port, peer_port;
    char dir[64], url[64];
    const char *cert, *key, *client_ca; /* TLS, when set before etcd_fixture_start() */
};

static inline int
fixture_free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;

    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0)
        port = ntohs(at.sin_port);
    close(fd);
    return port;
}

static inline bool
fixture_accepts(int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;

    close(fd);
    return good;
}

static inline int
fixture_run(char *const argv[], bool wait, pid_t *ret_pid)
{
    posix_spawn_file_actions_t fa;
    pid_t pid;
    int status = 0, rc;

    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
    rc = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    if (rc)
        return -rc;
    if (ret_pid)
        *ret_pid = pid;
    if (wait)
        waitpid(pid, &status, 0);
    return wait ? status : 0;
}

/* (Re)starts etcd on its data folder; waits until it listens. */
static inline bool
etcd_fixture_start(struct etcd_fixture *f)
{
    AUTO_FREE char *data = xasprintf("%s/data", f->dir);
    AUTO_FREE char *peer = xasprintf("http://127.0.0.1:%d", f->peer_port);
    AUTO_FREE char *cluster = xasprintf("default=%s", peer);
    char *argv[] = { "etcd", "--data-dir", data, "--listen-client-urls", f->url, "--advertise-client-urls", f->url,
                     "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
                     "--unsafe-no-fsync", "--log-level", "error", f->cert ? "--cert-file" : NULL, (char *)f->cert, "--key-file",
                     (char *)f->key, f->client_ca ? "--client-cert-auth" : NULL, "--trusted-ca-file", (char *)f->client_ca, NULL };

    if (fixture_run(argv, false, &f->pid) != 0)
        return false;
    for (int i = 0; i < 400; i++) {
        if (fixture_accepts(f->client_port))
            return true;
        clock_sleep_ms(25);
    }
    return false;
}

static inline bool
etcd_fixture_new(struct etcd_fixture *f)
{
    if (access("/usr/bin/etcd", X_OK) != 0)
        return false;
    strcpy(f->dir, "/tmp/ckube-etcd-XXXXXX");
    if (!mkdtemp(f->dir))
        return false;
    f->client_port = fixture_free_port();
    f->peer_port = fixture_free_port();
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d", f->client_port);
    return etcd_fixture_start(f);
}

static inline void
etcd_fixture_stop(struct etcd_fixture *f, int signal)
{
    if (f->pid > 0) {
        kill(f->pid, signal);
        waitpid(f->pid, NULL, 0);
    }
    f->pid = 0;
}

static inline void
etcd_fixture_done(struct etcd_fixture *f)
{
    etcd_fixture_stop(f, SIGKILL);
    if (f->dir[0])
        kerr_free(file_remove_tree(f->dir));
}

/* etcdctl ARGS: as another user of the same etcd. */
static inline int
etcd_fixture_ctl(struct etcd_fixture *f, const char *a, const char *b, const char *c)
{
    AUTO_FREE char *endpoints = xasprintf("--endpoints=%s", f->url);
    char *argv[] = { "etcdctl", endpoints, (char *)a, (char *)b, (char *)c, NULL };

    setenv("ETCDCTL_API", "3", 1);
    return fixture_run(argv, true, NULL);
}

#endif
