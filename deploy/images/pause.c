// SPDX-License-Identifier: Apache-2.0
/* pause.c - the first process of every pod: holds the pod's namespaces and, where the pod shares its process
 * namespace, is the init that reaps orphans.  Nothing else. */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

static void
on_end(int sig)
{
    (void)sig;
    _exit(0);
}

static void
on_child(int sig)
{
    (void)sig;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

int
main(void)
{
    struct sigaction end = { .sa_handler = on_end };
    struct sigaction child = { .sa_handler = on_child, .sa_flags = SA_NOCLDSTOP };

    if (sigaction(SIGINT, &end, NULL) || sigaction(SIGTERM, &end, NULL) || sigaction(SIGCHLD, &child, NULL))
        return 1;
    for (;;)
        pause();
}
