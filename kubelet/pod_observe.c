// SPDX-License-Identifier: Apache-2.0
#include "kubelet/pod_observe.h"

#include <fcntl.h>

#include "common/base/file.h"
#include "kubelet/prober.h"

#define TERMINATION_MAX 4096
#define TERMINATION_POD_MAX 12288
#define LOG_TAIL_BYTES 2048
#define LOG_TAIL_LINES 80
#define LOG_TAIL_READ 16384

/* The text behind "<time> <stream> <tag> " of a log line in CRI's format. */
static void
add_log_text(struct sbuf *out, const char *line, size_t len)
{
    const char *at = line, *end = line + len;

    for (int i = 0; i < 3; i++) {
        at = memchr(at, ' ', (size_t)(end - at));
        if (!at)
            return;
        at++;
    }
    sbuf_add(out, at, (size_t)(end - at));
    sbuf_addc(out, '\n');
}

static void
tail_of_log(const char *path, struct sbuf *out)
{
    char text[LOG_TAIL_READ];
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    ssize_t len = size <= 0 ? 0 : pread(fd, text, sizeof text, size > LOG_TAIL_READ ? size - LOG_TAIL_READ : 0);
    size_t from, lines = 0;

    if (len <= 0)
        return;
    from = (size_t)len;
    while (from > 0 && lines <= LOG_TAIL_LINES) {
        from--;
        if (from && text[from - 1] == '\n')
            lines++;
    }
    while (from < (size_t)len) {
        const char *nl = memchr(text + from, '\n', (size_t)len - from);
        size_t n = nl ? (size_t)(nl - text) - from : (size_t)len - from;

        add_log_text(out, text + from, n);
        from += n + 1;
    }
    if (out->len > LOG_TAIL_BYTES) {
        memmove(out->s, out->s + out->len - LOG_TAIL_BYTES, LOG_TAIL_BYTES);
        out->len = LOG_TAIL_BYTES;
        out->s[out->len] = '\0';
    }
}

/* File first; the log only when asked for, the file is empty and it failed. */
static void
termination_message(const struct rt_container *c, size_t ncontainers, struct sbuf *out)
{
    size_t bound = TERMINATION_POD_MAX / (ncontainers ? ncontainers : 1);
    AUTO_FREE char *text = NULL;
    size_t len = 0;

    if (bound > TERMINATION_MAX)
        bound = TERMINATION_MAX;
    if (!str_empty(c->termination_host_path)) {
        AUTO(kerr) *err = file_read(c->termination_host_path, 1024 * 1024, &text, &len);

        if (!err)
            sbuf_add(out, text, len < bound ? len : bound);
    }
    if (!out->len && c->exit_code != 0 && str_eq(c->termination_policy, "FallbackToLogsOnError") && !str_empty(c->log_path))
        tail_of_log(c->log_path, out);
}

void
pod_note_ends(struct pod_worker *w, const struct rt_pod *rt)
{
    for (size_t i = 0; i < rt->ncontainers; i++) {
        const struct rt_container *c = &rt->containers[i];
        const struct container_record *r;
        AUTO_SBUF text = { 0 };
        bool noted;

        if (c->state != RT_EXITED || pod_newest(rt, c->name, NULL) != c)
            continue;
        worker_lock(w);
        r = pod_record_find(&w->rec, c->name);
        noted = r && str_eq(r->ended_id, c->id);
        worker_unlock(w);
        if (noted)
            continue;
        prober_end_container(w->k->prober, w->uid, c->name);
        termination_message(c, rt->ncontainers, &text);
        worker_lock(w);
        record_set(&pod_record_get(&w->rec, c->name)->ended_id, c->id);
        record_set(&pod_record_get(&w->rec, c->name)->ended_message, text.len ? sbuf_str(&text) : NULL);
        worker_unlock(w);
    }
}

static const struct container_status *
api_status(const struct pod *pod, const char *name)
{
    const struct container_status_slice *lists[] = { &pod->status.container_statuses, &pod->status.init_container_statuses };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (uint32_t i = 0; i < lists[l]->len; i++)
            if (str_eq(lists[l]->items[i].name, name))
                return &lists[l]->items[i];
    return NULL;
}

/* A container that runs for the first time under our eyes: reset its probe results, start its probes.
 * What we reported of it before a restart of ours still holds until a probe says otherwise. */
void
pod_note_starts(struct pod_worker *w, const struct pod *pod, const struct rt_pod *rt)
{
    for (size_t i = 0; i < rt->ncontainers; i++) {
        const struct rt_container *c = &rt->containers[i];
        const struct container_status *st = api_status(pod, c->name);
        struct pod_container pc;
        struct container_record *r;

        if (c->state != RT_RUNNING || pod_newest(rt, c->name, NULL) != c || !pod_container_find(pod, c->name, &pc))
            continue;
        worker_lock(w);
        r = pod_record_get(&w->rec, c->name);
        if (!str_eq(r->probed_id, c->id)) {
            bool reported = st && str_has_suffix(st->container_id, c->id) && st->state.running;

            record_set(&r->probed_id, c->id);
            record_set(&r->wait_reason, NULL);
            record_set(&r->wait_message, NULL);
            r->started = !pc.c->startup_probe || (reported && st->started && *st->started);
            r->ready = !pc.c->readiness_probe || (reported && st->ready);
        }
        if (str_eq(r->kill_id, c->id)) { /* on its way out: no new probes */
            worker_unlock(w);
            continue;
        }
        worker_unlock(w);
        prober_container(w->k->prober, pod, &pc, c, rt->nsandboxes && rt->sandboxes[0].nips ? rt->sandboxes[0].ips[0] : "");
    }
}
