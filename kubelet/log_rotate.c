// SPDX-License-Identifier: Apache-2.0
#include "kubelet/log_rotate.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/klog.h"

#define LOOK_MS 10000

struct log_rotate {
    struct kubelet *k;
    pthread_t thread;
    atomic_bool stopping;
};

static int
by_name(const void *va, const void *vb)
{
    return strcmp(*(char *const *)va, *(char *const *)vb);
}

void
log_rotate_prune(const char *log, int max_files)
{
    const char *slash = strrchr(log, '/');
    AUTO_FREE char *dir = slash ? xstrndup(log, (size_t)(slash - log)) : NULL;
    AUTO_FREE char *prefix = slash ? xasprintf("%s.", slash + 1) : NULL;
    AUTO_STRLIST old = { 0 };
    DIR *d = dir ? opendir(dir) : NULL;
    struct dirent *e;

    while (d && (e = readdir(d)))
        if (str_has_prefix(e->d_name, prefix))
            strlist_add_take(&old, xasprintf("%s/%s", dir, e->d_name));
    if (d)
        closedir(d);
    if (old.len)
        qsort(old.items, old.len, sizeof *old.items, by_name); /* the names carry the time: oldest first */
    for (size_t i = 0; i + (size_t)(max_files > 1 ? max_files - 1 : 1) < old.len; i++)
        (void)unlink(old.items[i]);
}

static void
rotate(struct log_rotate *lr, const char *log, const char *id)
{
    time_t now = (time_t)clock_wall_s();
    AUTO_FREE char *to = NULL;
    char stamp[32];
    struct tm tm;
    struct kerr *err;

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
    to = xasprintf("%s.%s", log, stamp);
    log_rotate_prune(log, lr->k->cfg.container_log_max_files - 1);
    if (rename(log, to)) {
        log_warning("A container log cannot be rotated; trying again", "log", log, "err", strerror(errno));
        return;
    }
    err = runtime_container_reopen_log(lr->k->rt, id);
    if (err) { /* the runtime still writes to the old file: put it back */
        log_warning("The runtime does not reopen a log; trying again", "log", log, "err", kv_err(err));
        (void)rename(to, log);
    }
    kerr_free(err);
}

static void
look(struct log_rotate *lr)
{
    AUTO(arena) *a = arena_new(0);
    struct rt_pod_list l = { 0 };
    AUTO(kerr) *err = runtime_pods(lr->k->rt, a, &l);

    for (size_t i = 0; !err && i < l.len; i++)
        for (size_t c = 0; c < l.items[i].ncontainers; c++) {
            const struct rt_container *rc = &l.items[i].containers[c];
            AUTO_FREE char *log = xasprintf("%s/%s_%s_%s/%s/%u.log", lr->k->cfg.log_dir, str_safe(l.items[i].namespace), str_safe(l.items[i].name),
                                            l.items[i].uid, rc->name, rc->attempt);
            struct stat st;

            if (rc->state == RT_RUNNING && !stat(log, &st) && st.st_size > lr->k->cfg.container_log_max_bytes)
                rotate(lr, log, rc->id);
        }
}

static void *
thread_main(void *arg)
{
    struct log_rotate *lr = arg;
    uint64_t next = clock_mono_ms() + LOOK_MS;

    while (!atomic_load(&lr->stopping)) {
        clock_sleep_ms(500);
        if (clock_mono_ms() < next)
            continue;
        look(lr);
        next = clock_mono_ms() + LOOK_MS;
    }
    return NULL;
}

struct log_rotate *
log_rotate_start(struct kubelet *k)
{
    struct log_rotate *lr = XNEW(struct log_rotate);

    lr->k = k;
    if (pthread_create(&lr->thread, NULL, thread_main, lr))
        abort();
    return lr;
}

void
log_rotate_stop(struct log_rotate *lr)
{
    if (!lr)
        return;
    atomic_store(&lr->stopping, true);
    pthread_join(lr->thread, NULL);
    free(lr);
}
