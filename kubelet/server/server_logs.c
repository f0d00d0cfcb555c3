// SPDX-License-Identifier: Apache-2.0
/* GET /containerLogs/<namespace>/<pod>/<container> */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/net/http_server.h"
#include "kubelet/pod_worker.h"
#include "kubelet/server/log_format.h"
#include "kubelet/server/query.h"
#include "kubelet/server/server.h"

#define CHUNK 65536
#define LINE_MAX_BYTES (1024 * 1024)
#define FOLLOW_LOOK_MS 100
#define STATE_LOOK_MS 1000

static struct kerr *
number(const char *query, const char *name, int64_t lowest, int64_t *ret)
{
    AUTO_FREE char *v = query_value(query, name);

    *ret = -1;
    if (str_empty(v))
        return NULL;
    if (parse_i64(v, ret) || *ret < lowest)
        return kerr_new(KERR_BAD_REQUEST, "invalid value of %s: \"%s\"", name, v);
    return NULL;
}

static struct kerr *
read_options(const char *query, struct log_options *o)
{
    AUTO_FREE char *since = query_value(query, "sinceTime"), *stream = query_value(query, "stream");
    int64_t seconds = -1;
    struct kerr *err;

    *o = (struct log_options){ .follow = query_flag(query, "follow"), .previous = query_flag(query, "previous"),
                               .timestamps = query_flag(query, "timestamps") };
    err = number(query, "tailLines", 0, &o->tail_lines);
    if (!err)
        err = number(query, "limitBytes", 1, &o->limit_bytes);
    if (!err)
        err = number(query, "sinceSeconds", 1, &seconds);
    if (err)
        return err;
    if (!str_empty(since)) {
        if (api_time_parse(since, strlen(since), &o->since))
            return kerr_new(KERR_BAD_REQUEST, "invalid value of sinceTime: \"%s\"", since);
        o->has_since = true;
    } else if (seconds > 0) {
        o->since = api_time_from_unix_us(clock_wall_us() - seconds * 1000000);
        o->has_since = true;
    }
    if (stream && !strcasecmp(stream, "Stdout"))
        memcpy(o->stream, "stdout", 7);
    else if (stream && !strcasecmp(stream, "Stderr"))
        memcpy(o->stream, "stderr", 7);
    return NULL;
}

static const struct container_status *
status_of(const struct pod *pod, const char *name)
{
    const struct container_status_slice *lists[] = { &pod->status.container_statuses, &pod->status.init_container_statuses,
                                                     &pod->status.ephemeral_container_statuses };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (uint32_t i = 0; i < lists[l]->len; i++)
            if (str_eq(lists[l]->items[i].name, name))
                return &lists[l]->items[i];
    return NULL;
}

/* The log file of the container asked for. */
static struct kerr *
find_log(struct kubelet *k, const struct pod *pod, const char *name, bool previous, char **ret_path, char **ret_id)
{
    AUTO(arena) *a = arena_new(0);
    const struct container_status *st = status_of(pod, name);
    struct rt_pod rt = { 0 };
    struct pod_container pc;
    struct kerr *err;
    size_t skip = previous;

    if (!pod_container_find(pod, name, &pc))
        return kerr_new(KERR_BAD_REQUEST, "container %s is not valid for pod %s", name, pod->metadata.name);
    err = runtime_pod(k->rt, pod->metadata.uid, a, &rt);
    if (err)
        return err;
    for (size_t i = 0; i < rt.ncontainers; i++)
        if (str_eq(rt.containers[i].name, name) && rt.containers[i].state != RT_CREATED && skip-- == 0) {
            *ret_path = xstrdup(str_safe(rt.containers[i].log_path));
            *ret_id = xstrdup(rt.containers[i].id);
            return NULL;
        }
    if (previous)
        return kerr_new(KERR_BAD_REQUEST, "previous terminated container \"%s\" in pod \"%s\" not found", name, pod->metadata.name);
    if (st && st->state.waiting) {
        const char *why = st->state.waiting->reason;

        if (str_eq(why, "ErrImagePull") || str_eq(why, "ImagePullBackOff"))
            return kerr_new(KERR_BAD_REQUEST, "container \"%s\" in pod \"%s\" is waiting to start: trying and failing to pull image", name, pod->metadata.name);
        return kerr_new(KERR_BAD_REQUEST, "container \"%s\" in pod \"%s\" is waiting to start: %s", name, pod->metadata.name, str_safe(why));
    }
    return kerr_new(KERR_BAD_REQUEST, "container \"%s\" in pod \"%s\" is not available", name, pod->metadata.name);
}

/* --- reading --- */

struct reading {
    const struct server_request *rq;
    struct log_filter filter;
    struct sbuf line; /* an unfinished line */
    const char *path, *uid, *name, *id;
    int fd;
    ino_t inode;
    bool done;
};

static void
send_out(struct reading *r, struct sbuf *out)
{
    if (!out->len)
        return;
    http_reply_write(r->rq->stream, out->s, out->len);
    sbuf_clear(out);
    while (http_reply_full(r->rq->stream) && !http_stream_gone(r->rq->stream))
        clock_sleep_ms(10); /* the client is slow */
}

static void
take_bytes(struct reading *r, const char *buf, size_t len)
{
    AUTO_SBUF out = { 0 };

    while (len && !r->done) {
        const char *nl = memchr(buf, '\n', len);
        size_t n = nl ? (size_t)(nl - buf) : len;

        if (!nl || r->line.len) {
            if (r->line.len < LINE_MAX_BYTES)
                sbuf_add(&r->line, buf, n);
            if (!nl)
                break;
            r->done = !log_filter_line(&r->filter, sbuf_str(&r->line), r->line.len, &out);
            sbuf_clear(&r->line);
        } else {
            r->done = !log_filter_line(&r->filter, buf, n, &out);
        }
        buf += n + 1;
        len -= n + 1;
        if (out.len > CHUNK)
            send_out(r, &out);
    }
    send_out(r, &out);
}

/* To the present end of the file.  False: read error. */
static bool
read_on(struct reading *r)
{
    char *buf = xmalloc(CHUNK);
    ssize_t n = 0;

    while (!r->done && !http_stream_gone(r->rq->stream) && (n = read(r->fd, buf, CHUNK)) > 0)
        take_bytes(r, buf, (size_t)n);
    free(buf);
    return n >= 0;
}

static struct kerr *
open_log(struct reading *r, int64_t tail)
{
    struct stat st;

    r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &st))
        return kerr_errno(errno, "failed to open log file \"%s\"", r->path);
    r->inode = st.st_ino;
    if (tail >= 0 && st.st_size > 0) {
        char *text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, r->fd, 0);

        if (text != MAP_FAILED) {
            (void)lseek(r->fd, (off_t)log_tail_offset(text, (size_t)st.st_size, tail), SEEK_SET);
            munmap(text, (size_t)st.st_size);
        }
    }
    return NULL;
}

/* Was the file rotated away? Then the fresh one goes on where the old one ended. */
static void
check_rotation(struct reading *r)
{
    struct stat st;
    int fd;

    if (stat(r->path, &st) || st.st_ino == r->inode)
        return;
    (void)read_on(r);
    fd = open(r->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    close(r->fd);
    r->fd = fd;
    r->inode = st.st_ino;
}

static bool
still_runs(struct reading *r)
{
    AUTO(arena) *a = arena_new(0);
    struct rt_pod rt = { 0 };
    AUTO(kerr) *err = runtime_pod(r->rq->k->rt, r->uid, a, &rt);

    if (err)
        return true; /* not known: go on */
    for (size_t i = 0; i < rt.ncontainers; i++)
        if (!strcmp(rt.containers[i].id, r->id))
            return rt.containers[i].state == RT_RUNNING || rt.containers[i].state == RT_CREATED;
    return false;
}

static void
follow(struct reading *r)
{
    uint64_t looked = clock_mono_ms();
    bool runs = still_runs(r);

    while (!r->done && !http_stream_gone(r->rq->stream)) {
        off_t before = lseek(r->fd, 0, SEEK_CUR);

        if (!read_on(r))
            return;
        check_rotation(r);
        if (lseek(r->fd, 0, SEEK_CUR) != before)
            continue;
        if (!runs)
            return; /* ended, and all of it is read */
        clock_sleep_ms(FOLLOW_LOOK_MS);
        if (clock_mono_ms() - looked > STATE_LOOK_MS) {
            looked = clock_mono_ms();
            runs = still_runs(r);
        }
    }
}

void
server_logs(const struct server_request *rq)
{
    static const struct http_header plain[] = { { "Content-Type", "text/plain" } };
    AUTO_FREE char *path = NULL, *id = NULL;
    AUTO(object) *pod = NULL;
    struct log_options o;
    struct reading r = { .rq = rq, .fd = -1 };
    struct kerr *err;

    if (rq->parts->len != 4) {
        server_text(rq->stream, 404, "404 page not found\n");
        return;
    }
    err = read_options(rq->query, &o);
    pod = pod_workers_find(rq->k->workers, rq->parts->items[1], rq->parts->items[2], NULL);
    if (!err && !pod)
        err = kerr_new(KERR_NOT_FOUND, "pod \"%s\" does not exist", rq->parts->items[2]);
    if (!err)
        err = find_log(rq->k, OBJECT_BODY(pod, pod), rq->parts->items[3], o.previous, &path, &id);
    r.path = path;
    r.id = id;
    if (!err)
        err = open_log(&r, o.tail_lines);
    if (err) {
        server_error(rq->stream, err);
        return;
    }
    r.uid = object_meta(pod)->uid;
    r.name = rq->parts->items[3];
    log_filter_init(&r.filter, &o);
    http_reply_start(rq->stream, 200, plain, 1);
    if (o.follow)
        follow(&r);
    else
        (void)read_on(&r);
    if (r.line.len && !r.done) { /* the last line has no newline yet */
        AUTO_SBUF out = { 0 };

        (void)log_filter_line(&r.filter, r.line.s, r.line.len, &out);
        send_out(&r, &out);
    }
    http_reply_end(rq->stream);
    close(r.fd);
    sbuf_done(&r.line);
}
