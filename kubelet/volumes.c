// SPDX-License-Identifier: Apache-2.0
#include "kubelet/volumes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/api/values.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "kubelet/env.h"

struct volume_type {
    const char *dir; /* below volumes/ */
    bool tmpfs;      /* secrets stay off the disk */
    bool files;      /* written by the atomic writer */
};

static const struct volume_type type_empty_dir = { "kubernetes.io~empty-dir", false, false };
static const struct volume_type type_config_map = { "kubernetes.io~configmap", false, true };
static const struct volume_type type_secret = { "kubernetes.io~secret", true, true };
static const struct volume_type type_downward = { "kubernetes.io~downward-api", true, true };
static const struct volume_type type_projected = { "kubernetes.io~projected", true, true };

static const struct volume_type *
type_of(const struct volume_source *s)
{
    return s->empty_dir      ? &type_empty_dir
           : s->config_map   ? &type_config_map
           : s->secret       ? &type_secret
           : s->downward_api ? &type_downward
           : s->projected    ? &type_projected
                             : NULL;
}

static char *
volume_dir(const char *root, const char *uid, const struct volume *v)
{
    const struct volume_type *t = type_of(&v->volume_source);

    return xasprintf("%s/pods/%s/volumes/%s/%s", root, uid, t ? t->dir : "other", v->name);
}

static bool
is_mount_point(const char *dir)
{
    AUTO_FREE char *up = path_join(dir, "..");
    struct stat here, above;

    return !stat(dir, &here) && !stat(up, &above) && here.st_dev != above.st_dev;
}

static struct kerr *
mount_tmpfs(const char *dir, const struct quantity *limit)
{
    char opts[64] = "mode=0777";

    if (is_mount_point(dir))
        return NULL;
    if (limit && quantity_sign(*limit) > 0)
        snprintf(opts, sizeof opts, "mode=0777,size=%lld", (long long)quantity_value(*limit));
    if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, opts))
        return kerr_errno(errno, "mount a tmpfs on '%s'", dir);
    return NULL;
}

static const int64_t *
fs_group(const struct pod *pod)
{
    return pod->spec.security_context ? pod->spec.security_context->fs_group : NULL;
}

static struct kerr *
prepare_empty_dir(const struct pod *pod, const struct empty_dir_volume_source *e, const char *dir)
{
    const int64_t *gid = fs_group(pod);
    struct kerr *err = file_mkdirs(dir, 0755);

    if (!err && str_eq(e->medium, "Memory"))
        err = mount_tmpfs(dir, e->size_limit);
    if (err)
        return err;
    if (gid && chown(dir, (uid_t)-1, (gid_t)*gid))
        return kerr_errno(errno, "give '%s' to group %lld", dir, (long long)*gid);
    if (chmod(dir, gid ? 02777 : 0777))
        return kerr_errno(errno, "set the mode of '%s'", dir);
    return NULL;
}

static const struct host_path_kind {
    const char *type;
    mode_t format; /* 0: any */
    bool dir, file; /* made when missing */
    const char *what;
} host_path_kinds[] = {
    { "Directory", S_IFDIR, false, false, "directory" },   { "DirectoryOrCreate", S_IFDIR, true, false, "directory" },
    { "File", S_IFREG, false, false, "file" },             { "FileOrCreate", S_IFREG, false, true, "file" },
    { "Socket", S_IFSOCK, false, false, "socket file" },   { "CharDevice", S_IFCHR, false, false, "character device" },
    { "BlockDevice", S_IFBLK, false, false, "block device" },
};

static struct kerr *
prepare_host_path(const struct host_path_volume_source *h)
{
    const struct host_path_kind *k = NULL;
    struct stat st;

    for (size_t i = 0; i < ARRAY_LEN(host_path_kinds); i++)
        if (str_eq(h->type, host_path_kinds[i].type))
            k = &host_path_kinds[i];
    if (!k)
        return str_empty(h->type) ? NULL : kerr_new(KERR_INVALID, "hostPath type check failed: unknown type '%s'", h->type);
    if (stat(h->path, &st)) {
        if (k->dir)
            return file_mkdirs(h->path, 0755);
        if (k->file) {
            AUTO_FD int fd = open(h->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

            return fd < 0 ? kerr_errno(errno, "hostPath type check failed: create '%s'", h->path) : NULL;
        }
    } else if ((st.st_mode & S_IFMT) == k->format) {
        return NULL;
    }
    return kerr_new(KERR_INVALID, "hostPath type check failed: %s is not a %s", h->path, k->what);
}

static struct kerr *
prepare_files(const struct pod_facts *f, const struct volume *v, const struct object_source *src, const char *dir, int64_t now_s,
              int64_t *refresh_s)
{
    const int64_t *gid = fs_group(f->pod);
    struct volume_files_result r = { 0 };
    struct kerr *err = file_mkdirs(dir, 0755);

    if (!err && type_of(&v->volume_source)->tmpfs)
        err = mount_tmpfs(dir, NULL);
    if (!err)
        err = volume_files(f, v, src, dir, now_s, &r);
    if (!err) {
        for (size_t i = 0; gid && i < r.files.len; i++)
            r.files.items[i].mode |= 0440;
        if (gid)
            (void)chown(dir, (uid_t)-1, (gid_t)*gid);
        (void)chmod(dir, gid ? 02775 : 0777);
        err = atomic_write(dir, &r.files, gid ? (gid_t)*gid : (gid_t)-1, NULL);
    }
    if (r.refresh_s && (!*refresh_s || r.refresh_s < *refresh_s))
        *refresh_s = r.refresh_s;
    file_set_done(&r.files);
    return err;
}

/* The host directory behind a claim: bound to a hostPath or local volume. */
static struct kerr *
claim_path(const struct pod *pod, const struct volume *v, const struct object_source *src, char **ret)
{
    const char *claim_name = v->volume_source.persistent_volume_claim ? v->volume_source.persistent_volume_claim->claim_name : NULL;
    AUTO_FREE char *own = claim_name ? NULL : xasprintf("%s-%s", pod->metadata.name, v->name);
    AUTO(object) *claim = NULL;
    AUTO(object) *volume = NULL;
    const struct persistent_volume_claim *pvc;
    const struct persistent_volume *pv;
    struct kerr *err = src->get(src->arg, "PersistentVolumeClaim", pod->metadata.namespace, claim_name ? claim_name : own, &claim);

    if (err)
        return err;
    pvc = OBJECT_BODY(claim, persistent_volume_claim);
    if (str_empty(pvc->spec.volume_name) || !str_eq(pvc->status.phase, "Bound"))
        return kerr_new(KERR_UNAVAILABLE, "persistentvolumeclaim \"%s\" is not bound", pvc->metadata.name);
    err = src->get(src->arg, "PersistentVolume", NULL, pvc->spec.volume_name, &volume);
    if (err)
        return err;
    pv = OBJECT_BODY(volume, persistent_volume);
    if (pv->spec.persistent_volume_source.host_path)
        *ret = xstrdup(pv->spec.persistent_volume_source.host_path->path);
    else if (pv->spec.persistent_volume_source.local)
        *ret = xstrdup(pv->spec.persistent_volume_source.local->path);
    else
        return kerr_new(KERR_INVALID, "persistentvolume \"%s\" is of a type that this kubelet cannot mount (hostPath and local only)",
                        pv->metadata.name);
    return NULL;
}

static struct kerr *
prepare_one(const char *root, const struct pod_facts *f, const struct volume *v, const struct object_source *src, int64_t now_s,
            int64_t *refresh_s)
{
    const struct volume_source *s = &v->volume_source;
    AUTO_FREE char *dir = volume_dir(root, f->pod->metadata.uid, v);
    AUTO_FREE char *path = NULL;

    if (s->empty_dir)
        return prepare_empty_dir(f->pod, s->empty_dir, dir);
    if (s->host_path)
        return prepare_host_path(s->host_path);
    if (type_of(s))
        return prepare_files(f, v, src, dir, now_s, refresh_s);
    if (s->persistent_volume_claim || s->ephemeral)
        return claim_path(f->pod, v, src, &path);
    return kerr_new(KERR_INVALID, "this kubelet cannot mount volumes of this type");
}

struct kerr *
volumes_prepare(const char *root, const struct pod_facts *f, const struct object_source *src, int64_t now_s, int64_t *ret_refresh_s)
{
    int64_t refresh_s = 0;

    for (uint32_t i = 0; i < f->pod->spec.volumes.len; i++) {
        const struct volume *v = &f->pod->spec.volumes.items[i];
        struct kerr *err = prepare_one(root, f, v, src, now_s, &refresh_s);

        if (err)
            return kerr_wrap(err, "MountVolume.SetUp failed for volume \"%s\" ", v->name);
    }
    *ret_refresh_s = refresh_s;
    return NULL;
}

/* --- mounts of a container --- */

void
request_add_mount(struct container_request *rq, const char *host, const char *inside, bool read_only)
{
    rq->mounts = xreallocarray(rq->mounts, rq->nmounts + 1, sizeof *rq->mounts);
    rq->mounts[rq->nmounts++] = (struct rt_mount){ .host_path = xstrdup(host), .container_path = xstrdup(inside), .read_only = read_only };
}

static int
open_beneath(int dirfd, const char *path, uint64_t flags)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

/* Opens base/sub without ever leaving base; missing directories are made. */
static struct kerr *
open_sub_path(const char *base, const char *sub, int *ret_fd)
{
    AUTO_FD int at = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_STRLIST parts = { 0 };
    AUTO_SBUF done = { 0 };
    int fd;

    if (at < 0)
        return kerr_errno(errno, "open '%s'", base);
    fd = open_beneath(at, sub, O_PATH);
    if (fd < 0 && errno == ENOENT) {
        strlist_split(&parts, sub, '/');
        for (size_t i = 0; i < parts.len; i++) {
            AUTO_FD int parent = -1;

            if (str_empty(parts.items[i]) || !strcmp(parts.items[i], "."))
                continue;
            parent = done.len ? open_beneath(at, sbuf_str(&done), O_PATH | O_DIRECTORY) : dup(at);
            if (parent < 0)
                return kerr_errno(errno, "subPath '%s' of '%s'", sub, base);
            if (!mkdirat(parent, parts.items[i], 0750)) {
                struct stat up;
                mode_t group = !fstat(parent, &up) ? up.st_mode & S_ISGID : 0; /* fsGroup is passed on */

                (void)fchmodat(parent, parts.items[i], 0777 | group, 0);
            } else if (errno != EEXIST)
                return kerr_errno(errno, "make subPath '%s' of '%s'", sub, base);
            sbuf_addf(&done, "%s%s", done.len ? "/" : "", parts.items[i]);
        }
        fd = open_beneath(at, sub, O_PATH);
    }
    if (fd < 0)
        return kerr_errno(errno, "subPath '%s' of '%s'", sub, base);
    *ret_fd = fd;
    return NULL;
}

static struct kerr *
bind_sub_path(const char *root, const struct pod *pod, const struct container *c, uint32_t index, const char *volume, const char *base,
              const char *sub, char **ret)
{
    AUTO_FREE char *dir = xasprintf("%s/pods/%s/volume-subpaths/%s/%s", root, pod->metadata.uid, volume, c->name);
    AUTO_FREE char *target = xasprintf("%s/%u", dir, index);
    AUTO_FREE char *source = NULL;
    AUTO_FD int fd = -1;
    struct stat st;
    struct kerr *err = open_sub_path(base, sub, &fd);

    if (!err)
        err = file_mkdirs(dir, 0750);
    if (err)
        return err;
    source = xasprintf("/proc/self/fd/%d", fd);
    if (fstat(fd, &st))
        return kerr_errno(errno, "look at subPath '%s'", sub);
    (void)umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW); /* of the container's last life */
    if (S_ISDIR(st.st_mode)) {
        err = file_mkdirs(target, 0750);
        if (err)
            return err;
    } else {
        AUTO_FD int made = open(target, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

        if (made < 0)
            return kerr_errno(errno, "make '%s'", target);
    }
    if (mount(source, target, NULL, MS_BIND, NULL))
        return kerr_errno(errno, "bind subPath '%s' to '%s'", sub, target);
    *ret = steal_ptr(target);
    return NULL;
}

static const char *
lookup_env(const char *name, void *arg)
{
    return env_lookup(arg, name);
}

static struct kerr *
host_path_of(const char *root, const struct pod *pod, const struct volume *v, const struct object_source *src, char **ret)
{
    if (v->volume_source.host_path)
        *ret = xstrdup(v->volume_source.host_path->path);
    else if (v->volume_source.persistent_volume_claim || v->volume_source.ephemeral)
        return claim_path(pod, v, src, ret);
    else
        *ret = volume_dir(root, pod->metadata.uid, v);
    return NULL;
}

static struct kerr *
add_mount(const char *root, const struct pod *pod, const struct container *c, uint32_t index, const struct object_source *src,
          struct container_request *rq)
{
    const struct volume_mount *m = &c->volume_mounts.items[index];
    const struct volume *v = NULL;
    AUTO_FREE char *base = NULL, *bound = NULL, *inside = NULL;
    AUTO_SBUF sub = { 0 };
    struct rt_mount *out;
    struct kerr *err;

    for (uint32_t i = 0; i < pod->spec.volumes.len; i++)
        if (str_eq(pod->spec.volumes.items[i].name, m->name))
            v = &pod->spec.volumes.items[i];
    if (!v)
        return kerr_new(KERR_INVALID, "no volume is named \"%s\"", str_safe(m->name));
    err = host_path_of(root, pod, v, src, &base);
    if (err)
        return err;
    if (!str_empty(m->sub_path_expr))
        env_expand(m->sub_path_expr, lookup_env, rq, &sub);
    else
        sbuf_adds(&sub, str_safe(m->sub_path));
    if (sub.len) {
        if (sub.s[0] == '/' || strstr(sub.s, ".."))
            return kerr_new(KERR_INVALID, "subPath must be relative and not contain '..': \"%s\"", sub.s);
        err = bind_sub_path(root, pod, c, index, v->name, base, sub.s, &bound);
        if (err)
            return kerr_wrap(err, "failed to prepare subPath for volumeMount \"%s\" of container \"%s\"", m->name, c->name);
    }
    inside = *m->mount_path == '/' ? xstrdup(m->mount_path) : xasprintf("/%s", m->mount_path);
    request_add_mount(rq, bound ? bound : base, inside, m->read_only || (type_of(&v->volume_source) && type_of(&v->volume_source)->files));
    out = &rq->mounts[rq->nmounts - 1];
    out->propagation = str_eq(m->mount_propagation, "HostToContainer") ? 1 : str_eq(m->mount_propagation, "Bidirectional") ? 2 : 0;
    out->recursive_read_only = m->read_only && str_eq(m->recursive_read_only, "Enabled");
    return NULL;
}

struct kerr *
volumes_mounts(const char *root, const struct pod *pod, const struct container *c, const struct object_source *src, struct container_request *rq)
{
    for (uint32_t i = 0; i < c->volume_mounts.len; i++) {
        struct kerr *err = add_mount(root, pod, c, i, src, rq);

        if (err)
            return err;
    }
    return NULL;
}

/* --- the end --- */

/* Everything mounted below `dir`, deepest first. */
static void
unmount_below(const char *dir)
{
    AUTO_STRLIST found = { 0 };
    AUTO_FREE char *prefix = xasprintf("%s/", dir);
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[8192], where[4096];

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%*s %*s %*s %*s %4095s", where) == 1 && str_has_prefix(where, prefix))
            strlist_add(&found, where);
    if (f)
        fclose(f);
    for (size_t i = found.len; i-- > 0;)
        if (umount2(found.items[i], UMOUNT_NOFOLLOW) && umount2(found.items[i], MNT_DETACH | UMOUNT_NOFOLLOW))
            log_warning("A volume cannot be unmounted; trying again with the pod's next clean-up", "path", found.items[i], "err", strerror(errno));
}

struct kerr *
volumes_remove(const char *root, const char *uid)
{
    AUTO_FREE char *dir = xasprintf("%s/pods/%s", root, uid);

    if (str_empty(uid) || strchr(uid, '/') || !file_exists(dir))
        return NULL;
    unmount_below(dir);
    return kerr_wrap(file_remove_tree(dir), "remove the pod's directory");
}
