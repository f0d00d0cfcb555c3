// SPDX-License-Identifier: Apache-2.0
#include "kubelet/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/base/sbuf.h"
#include "kubelet/run_command.h"

#define CGROUP2_MAGIC 0x63677270
#define MAX_HIERARCHIES 24
#define MIN_SHARES 2
#define MAX_SHARES 262144

struct hierarchy {
    char *path;        /* mount point */
    char *controllers; /* ",cpu,cpuacct," */
    bool clean_only;   /* the v2 tree beside v1 ones: runc makes groups there, we only remove them */
};

struct cgroups {
    bool v2, systemd;
    char *root; /* "" or "/some/where", no slash at the end */
    struct hierarchy hier[MAX_HIERARCHIES];
    size_t nhier;
};

static const char *const qos_dirs[] = { "", "/burstable", "/besteffort" };
static const char *const qos_slices[] = { "", "-burstable", "-besteffort" };

static void find_v1(struct cgroups *cg, const char *mount);
static char *slice_name(const struct cgroups *cg, int qos, const char *uid);
static char *cg_path(const struct cgroups *cg, int qos, const char *uid);
static struct kerr *make_everywhere(struct cgroups *cg, const char *path);
static struct kerr *apply_limits(struct cgroups *cg, const char *path, const struct cgroup_limits *l);
static struct kerr *systemd_slice_start(const char *slice, const struct cgroup_limits *l);

struct kerr *
cgroups_new(const char *mount, const char *root, bool systemd, struct cgroups **ret)
{
    AUTO(cgroups) *cg = XNEW(struct cgroups);
    struct statfs fs;

    if (statfs(mount, &fs))
        return kerr_errno(errno, "look at the cgroup mount '%s'", mount);
    cg->systemd = systemd;
    cg->root = str_empty(root) || !strcmp(root, "/") ? xstrdup("") : xasprintf("%s%s", *root == '/' ? "" : "/", root);
    for (size_t n = strlen(cg->root); n && cg->root[n - 1] == '/';)
        cg->root[--n] = '\0';
    cg->v2 = fs.f_type == CGROUP2_MAGIC;
    if (cg->v2)
        cg->hier[cg->nhier++] = (struct hierarchy){ xstrdup(mount), NULL, false };
    else
        find_v1(cg, mount);
    if (!cg->nhier)
        return kerr_new(KERR_INTERNAL, "no cgroup hierarchy is mounted under '%s'", mount);
    *ret = steal_ptr(cg);
    return NULL;
}

void
cgroups_free(struct cgroups *cg)
{
    if (!cg)
        return;
    for (size_t i = 0; i < cg->nhier; i++) {
        free(cg->hier[i].path);
        free(cg->hier[i].controllers);
    }
    free(cg->root);
    free(cg);
}

bool
cgroups_is_v2(const struct cgroups *cg)
{
    return cg->v2;
}

struct kerr *
cgroups_setup(struct cgroups *cg, const struct cgroup_limits *total)
{
    static const struct cgroup_limits none, besteffort = { .cpu_shares = MIN_SHARES };
    struct kerr *err;

    for (int qos = QOS_GUARANTEED; qos <= QOS_BEST_EFFORT; qos++) {
        const struct cgroup_limits *l = qos == QOS_GUARANTEED    ? total
                                        : qos == QOS_BEST_EFFORT ? &besteffort
                                                                 : &none;
        AUTO_FREE char *path = cg_path(cg, qos, NULL);

        if (cg->systemd) {
            AUTO_FREE char *slice = slice_name(cg, qos, NULL);

            err = systemd_slice_start(slice, l);
        } else {
            err = make_everywhere(cg, path);
            if (!err)
                err = apply_limits(cg, path, l);
        }
        if (err)
            return kerr_wrap(err, "set up the pods' cgroup '%s'", path);
    }
    return NULL;
}

char *
cgroups_pod_parent(const struct cgroups *cg, enum pod_qos qos, const char *uid)
{
    return cg->systemd ? slice_name(cg, qos, uid) : cg_path(cg, qos, uid);
}

struct kerr *
cgroups_pod_make(struct cgroups *cg, enum pod_qos qos, const char *uid, const struct cgroup_limits *limits)
{
    AUTO_FREE char *path = cg_path(cg, qos, uid);
    struct kerr *err;

    if (cg->systemd) {
        AUTO_FREE char *slice = slice_name(cg, qos, uid);

        return kerr_wrap(systemd_slice_start(slice, limits), "make the pod's slice '%s'", slice);
    }
    err = make_everywhere(cg, path);
    if (!err)
        err = apply_limits(cg, path, limits);
    return kerr_wrap(err, "make the pod's cgroup '%s'", path);
}

static void
kill_members(const char *dir)
{
    AUTO_FREE char *procs = path_join(dir, "cgroup.procs");
    FILE *f = fopen(procs, "re");
    int pid;

    while (f && fscanf(f, "%d", &pid) == 1)
        if (pid > 1)
            kill(pid, SIGKILL);
    if (f)
        fclose(f);
}

/* Groups are removed from the leaves up; rmdir() is the only way. */
static int
remove_group(const char *dir, int depth)
{
    DIR *d = depth > 8 ? NULL : opendir(dir);
    struct dirent *e;

    if (!d)
        return errno == ENOENT ? 0 : -errno;
    while ((e = readdir(d)))
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            AUTO_FREE char *sub = path_join(dir, e->d_name);

            (void)remove_group(sub, depth + 1);
        }
    closedir(d);
    for (int tries = 0; tries < 5; tries++) {
        if (!rmdir(dir) || errno == ENOENT)
            return 0;
        if (errno != EBUSY)
            break;
        kill_members(dir);
        clock_sleep_ms(10);
    }
    return -errno;
}

struct kerr *
cgroups_pod_remove(struct cgroups *cg, const char *uid)
{
    for (int qos = QOS_GUARANTEED; qos <= QOS_BEST_EFFORT; qos++) {
        AUTO_FREE char *path = cg_path(cg, qos, uid);
        AUTO_FREE char *slice = cg->systemd ? slice_name(cg, qos, uid) : NULL;
        bool seen = false;

        for (size_t i = 0; i < cg->nhier; i++) {
            AUTO_FREE char *dir = xasprintf("%s%s", cg->hier[i].path, path);
            int rc;

            if (!file_exists(dir))
                continue;
            if (slice && !seen) {
                AUTO(kerr) *ignored = run_command((const char *const[]){ "systemctl", "stop", "--no-block", slice, NULL }, 10000, NULL);
                (void)ignored;
            }
            seen = true;
            rc = remove_group(dir, 0);
            if (rc && !slice)
                return kerr_errno(rc, "remove the cgroup '%s'", dir);
        }
    }
    return NULL;
}

void
cgroups_pod_uids(struct cgroups *cg, struct strlist *ret)
{
    for (size_t h = 0; h < cg->nhier; h++)
        for (int qos = QOS_GUARANTEED; qos <= QOS_BEST_EFFORT; qos++) {
            AUTO_FREE char *path = cg_path(cg, qos, NULL);
            AUTO_FREE char *dir = xasprintf("%s%s", cg->hier[h].path, path);
            DIR *d = opendir(dir);
            struct dirent *e;

            while (d && (e = readdir(d))) {
                const char *at = strstr(e->d_name, cg->systemd ? "-pod" : "pod");
                AUTO_FREE char *uid = NULL;

                if (!at || (!cg->systemd && at != e->d_name))
                    continue;
                uid = xstrdup(at + (cg->systemd ? 4 : 3));
                if (cg->systemd) {
                    char *end = strstr(uid, ".slice");

                    if (!end)
                        continue;
                    *end = '\0';
                    for (char *p = uid; *p; p++)
                        if (*p == '_')
                            *p = '-';
                }
                if (*uid && !strlist_has(ret, uid))
                    strlist_add(ret, uid);
            }
            if (d)
                closedir(d);
        }
}

static struct hierarchy *
with_controller(struct cgroups *cg, const char *controller)
{
    AUTO_FREE char *needle = xasprintf(",%s,", controller);

    if (cg->v2)
        return &cg->hier[0];
    for (size_t i = 0; i < cg->nhier; i++)
        if (!cg->hier[i].clean_only && cg->hier[i].controllers && strstr(cg->hier[i].controllers, needle))
            return &cg->hier[i];
    return NULL;
}

bool
cgroups_read(struct cgroups *cg, enum pod_qos qos, const char *uid, const char *v1_controller, const char *v1_file,
             const char *v2_file, int64_t *ret)
{
    struct hierarchy *h = with_controller(cg, v1_controller);
    AUTO_FREE char *path = cg_path(cg, qos, uid);
    AUTO_FREE char *file = h ? xasprintf("%s%s/%s", h->path, path, cg->v2 ? v2_file : v1_file) : NULL;
    FILE *f = file ? fopen(file, "re") : NULL;
    long long n;
    bool ok = f && fscanf(f, "%*[a-z_] %lld", &n) == 1;

    if (f && !ok) {
        rewind(f);
        ok = fscanf(f, "%lld", &n) == 1;
    }
    if (f)
        fclose(f);
    if (ok)
        *ret = n;
    return ok;
}

int64_t
cgroup_milli_to_shares(int64_t milli)
{
    int64_t shares = milli * 1024 / 1000;

    return milli == 0 || shares < MIN_SHARES ? MIN_SHARES : shares > MAX_SHARES ? MAX_SHARES : shares;
}

int64_t
cgroup_shares_to_weight(int64_t shares)
{
    return shares < MIN_SHARES ? 1 : 1 + (shares - 2) * 9999 / 262142;
}

static void
find_v1(struct cgroups *cg, const char *mount)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096], where[1024], type[64], opts[1024];
    AUTO_FREE char *below = xasprintf("%s/", mount);

    while (f && fgets(line, sizeof line, f) && cg->nhier < MAX_HIERARCHIES) {
        char *dash = strstr(line, " - ");
        bool twice = false;

        if (!dash || sscanf(line, "%*s %*s %*s %*s %1023s", where) != 1 ||
            sscanf(dash, " - %63s %*s %1023s", type, opts) != 2 || !str_has_prefix(type, "cgroup") || !str_has_prefix(where, below))
            continue;
        for (size_t i = 0; i < cg->nhier; i++)
            twice |= !strcmp(cg->hier[i].path, where);
        if (!twice)
            cg->hier[cg->nhier++] = (struct hierarchy){ xstrdup(where), xasprintf(",%s,", opts), !strcmp(type, "cgroup2") };
    }
    if (f)
        fclose(f);
}

/* "-" separates levels in slice names, so the uid's become "_". */
static char *
slice_name(const struct cgroups *cg, int qos, const char *uid)
{
    AUTO_SBUF b = { 0 };

    for (const char *p = cg->root; *p; p++)
        if (p > cg->root)
            sbuf_addc(&b, *p == '/' ? '-' : *p == '-' ? '_' : *p);
    sbuf_addf(&b, "%skubepods%s", b.len ? "-" : "", qos_slices[qos]);
    if (uid) {
        sbuf_adds(&b, "-pod");
        for (const char *p = uid; *p; p++)
            sbuf_addc(&b, *p == '-' ? '_' : *p);
    }
    sbuf_adds(&b, ".slice");
    return sbuf_steal(&b);
}

static char *
cg_path(const struct cgroups *cg, int qos, const char *uid)
{
    if (!cg->systemd)
        return xasprintf("%s/kubepods%s%s%s", cg->root, qos_dirs[qos], uid ? "/pod" : "", str_safe(uid));

    /* a-b-c.slice lives in a.slice/a-b.slice/a-b-c.slice */
    AUTO_FREE char *name = slice_name(cg, qos, uid);
    AUTO_SBUF b = { 0 };

    for (const char *p = name; *p; p++)
        if (*p == '-')
            sbuf_addf(&b, "/%.*s.slice", (int)(p - name), name);
    sbuf_addf(&b, "/%s", name);
    return sbuf_steal(&b);
}

static struct kerr *
write_file(const char *dir, const char *file, const char *text)
{
    AUTO_FREE char *path = path_join(dir, file);
    AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return kerr_errno(errno, "open '%s'", path);
    if (write(fd, text, strlen(text)) < 0)
        return kerr_errno(errno, "write '%s' to '%s'", text, path);
    return NULL;
}

/* A v1 cpuset starts empty, and a group with an empty one can hold no process. */
static void
inherit_cpuset(const char *parent, const char *dir)
{
    static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        AUTO_FREE char *from = path_join(parent, files[i]);
        AUTO_FREE char *to = path_join(dir, files[i]);
        AUTO_FREE char *mine = NULL, *theirs = NULL;
        AUTO(kerr) *e1 = file_read(to, 4096, &mine, NULL);
        AUTO(kerr) *e2 = file_read(from, 4096, &theirs, NULL);

        if (!e1 && !e2 && strspn(mine, " \n") == strlen(mine)) {
            AUTO(kerr) *e3 = write_file(dir, files[i], theirs);
            (void)e3;
        }
    }
}

static void
enable_v2_controllers(const char *dir)
{
    static const char *const wanted[] = { "+cpu", "+memory", "+pids", "+cpuset", "+io", "+hugetlb" };

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) { /* one by one: an absent one must not spoil the rest */
        AUTO(kerr) *err = write_file(dir, "cgroup.subtree_control", wanted[i]);
        if (err)
            log_v(4, "A cgroup controller stays off", "cgroup", dir, "controller", wanted[i], "err", kv_err(err));
    }
}

static struct kerr *
make_in(struct cgroups *cg, const struct hierarchy *h, const char *path)
{
    AUTO_FREE char *dir = xasprintf("%s%s", h->path, path);
    char *slash = dir + strlen(h->path);
    bool cpuset = !cg->v2 && h->controllers && strstr(h->controllers, ",cpuset,");

    while (slash && *slash) { /* every level below the mount, top down */
        char *next = strchr(slash + 1, '/');

        if (cg->v2) {
            *slash = '\0';
            enable_v2_controllers(dir);
            *slash = '/';
        }
        if (next)
            *next = '\0';
        if (mkdir(dir, 0755) && errno != EEXIST)
            return kerr_errno(errno, "make the cgroup '%s'", dir);
        if (cpuset) {
            AUTO_FREE char *parent = xstrndup(dir, (size_t)(slash - dir));

            inherit_cpuset(parent, dir);
        }
        if (next)
            *next = '/';
        slash = next;
    }
    return NULL;
}

static struct kerr *
make_everywhere(struct cgroups *cg, const char *path)
{
    for (size_t i = 0; i < cg->nhier; i++) {
        struct kerr *err = cg->hier[i].clean_only ? NULL : make_in(cg, &cg->hier[i], path);

        if (err)
            return err;
    }
    return NULL;
}

static struct kerr *
set_number(struct cgroups *cg, const char *path, const char *controller, const char *file, int64_t n)
{
    struct hierarchy *h = with_controller(cg, controller);
    AUTO_FREE char *dir = h ? xasprintf("%s%s", h->path, path) : NULL;
    char text[24];

    if (!dir)
        return NULL; /* the controller is not mounted here: nothing to limit with */
    snprintf(text, sizeof text, "%lld", (long long)n);
    return write_file(dir, file, text);
}

static struct kerr *
apply_v2(struct cgroups *cg, const char *path, const struct cgroup_limits *l)
{
    struct kerr *err = NULL;

    if (l->cpu_shares)
        err = set_number(cg, path, "cpu", "cpu.weight", cgroup_shares_to_weight(l->cpu_shares));
    if (!err && l->cpu_quota_us) {
        AUTO_FREE char *dir = xasprintf("%s%s", cg->hier[0].path, path);
        AUTO_FREE char *text = xasprintf("%lld %lld", (long long)l->cpu_quota_us, (long long)l->cpu_period_us);

        err = write_file(dir, "cpu.max", text);
    }
    if (!err && l->memory_max)
        err = set_number(cg, path, "memory", "memory.max", l->memory_max);
    if (!err && l->pids_max)
        err = set_number(cg, path, "pids", "pids.max", l->pids_max);
    return err;
}

static struct kerr *
apply_limits(struct cgroups *cg, const char *path, const struct cgroup_limits *l)
{
    const struct {
        int64_t n;
        const char *controller, *file;
    } rows[] = {
        { l->cpu_shares, "cpu", "cpu.shares" },
        { l->cpu_quota_us ? l->cpu_period_us : 0, "cpu", "cpu.cfs_period_us" },
        { l->cpu_quota_us, "cpu", "cpu.cfs_quota_us" },
        { l->memory_max, "memory", "memory.limit_in_bytes" },
        { l->pids_max, "pids", "pids.max" },
    };

    if (cg->v2)
        return apply_v2(cg, path, l);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kerr *err = rows[i].n ? set_number(cg, path, rows[i].controller, rows[i].file, rows[i].n) : NULL;

        if (err)
            return err;
    }
    return NULL;
}

/* Starting a slice that runs is fine; its properties are set again each time. */
static struct kerr *
systemd_slice_start(const char *slice, const struct cgroup_limits *l)
{
    const char *args[16] = { "systemctl", "start", slice, NULL };
    AUTO_STRLIST props = { 0 };
    size_t n = 0;
    struct kerr *err = run_command(args, 20000, NULL);

    if (err)
        return err;
    if (l->cpu_shares)
        strlist_add_take(&props, xasprintf("CPUWeight=%lld", (long long)cgroup_shares_to_weight(l->cpu_shares)));
    if (l->cpu_quota_us)
        strlist_add_take(&props, xasprintf("CPUQuota=%lld%%", (long long)(l->cpu_quota_us * 100 / l->cpu_period_us)));
    if (l->memory_max)
        strlist_add_take(&props, xasprintf("MemoryMax=%lld", (long long)l->memory_max));
    if (l->pids_max)
        strlist_add_take(&props, xasprintf("TasksMax=%lld", (long long)l->pids_max));
    if (!props.len)
        return NULL;
    args[n++] = "systemctl";
    args[n++] = "set-property";
    args[n++] = "--runtime";
    args[n++] = slice;
    for (size_t i = 0; i < props.len; i++)
        args[n++] = props.items[i];
    args[n] = NULL;
    return run_command(args, 20000, NULL);
}
