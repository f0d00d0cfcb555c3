// SPDX-License-Identifier: Apache-2.0
#include "common/base/klog.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "common/base/sbuf.h"
#include "common/base/str.h"

struct vmodule {
    char *pattern;
    int v;
};

static atomic_int format_now;
static atomic_int verbosity;
static pthread_rwlock_t vmodules_lock = PTHREAD_RWLOCK_INITIALIZER; /* guards vmodules */
static struct vmodule *vmodules;
static size_t nvmodules;
static atomic_bool have_vmodules;

void
klog_set_format(enum klog_format format)
{
    atomic_store(&format_now, (int)format);
}

void
klog_set_verbosity(int v)
{
    atomic_store(&verbosity, v);
}

struct kerr *
klog_set_vmodule(const char *spec)
{
    AUTO_STRLIST parts = { 0 };
    struct vmodule *list = NULL;
    size_t n = 0;

    strlist_split(&parts, spec, ',');
    for (size_t i = 0; i < parts.len; i++) {
        char *eq = strchr(parts.items[i], '=');
        int32_t v;
        if (!eq || eq == parts.items[i] || parse_i32(eq + 1, &v)) {
            for (size_t j = 0; j < n; j++)
                free(list[j].pattern);
            free(list);
            return kerr_new(KERR_BAD_REQUEST, "--vmodule: \"%s\" is not pattern=level", parts.items[i]);
        }
        *eq = '\0';
        list = xreallocarray(list, n + 1, sizeof *list);
        list[n++] = (struct vmodule){ xstrdup(parts.items[i]), v };
    }
    pthread_rwlock_wrlock(&vmodules_lock);
    struct vmodule *old = vmodules;
    size_t nold = nvmodules;
    vmodules = list;
    nvmodules = n;
    atomic_store(&have_vmodules, n > 0);
    pthread_rwlock_unlock(&vmodules_lock);
    for (size_t i = 0; i < nold; i++)
        free(old[i].pattern);
    free(old);
    return NULL;
}

static const char *
base_name(const char *file)
{
    const char *slash = strrchr(file, '/');

    return slash ? slash + 1 : file;
}

bool
klog_v_on(int v, const char *file)
{
    if (v <= atomic_load_explicit(&verbosity, memory_order_relaxed))
        return true;
    if (!atomic_load_explicit(&have_vmodules, memory_order_relaxed))
        return false;
    const char *base = base_name(file);
    AUTO_FREE char *stem = xstrndup(base, strcspn(base, "."));
    bool on = false;
    pthread_rwlock_rdlock(&vmodules_lock);
    for (size_t i = 0; i < nvmodules && !on; i++)
        on = v <= vmodules[i].v && fnmatch(vmodules[i].pattern, stem, 0) == 0;
    pthread_rwlock_unlock(&vmodules_lock);
    return on;
}

static void
add_quoted(struct sbuf *b, const char *s, bool json)
{
    sbuf_addc(b, '"');
    for (const unsigned char *p = (const unsigned char *)str_safe(s); *p; p++) {
        if (*p == '"' || *p == '\\')
            sbuf_addf(b, "\\%c", *p);
        else if (*p == '\n')
            sbuf_adds(b, "\\n");
        else if (*p == '\t')
            sbuf_adds(b, "\\t");
        else if (*p < 0x20 || *p == 0x7f)
            sbuf_addf(b, json ? "\\u%04x" : "\\x%02x", *p);
        else
            sbuf_addc(b, (char)*p);
    }
    sbuf_addc(b, '"');
}

static void
add_text(struct sbuf *b, enum klog_level level, const char *file, int line, const char *message, va_list ap)
{
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    sbuf_addf(b, "%c%02d%02d %02d:%02d:%02d.%06ld %7ld %s:%d] ", "IWEF"[level], tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
              tm.tm_min, tm.tm_sec, now.tv_nsec / 1000, syscall(SYS_gettid), base_name(file), line);
    add_quoted(b, message, false);
    for (const char *key; (key = va_arg(ap, const char *));) {
        const char *value = va_arg(ap, const char *);
        sbuf_addf(b, " %s=", key);
        add_quoted(b, value, false);
        if (!value)
            break;
    }
    sbuf_addc(b, '\n');
}

static void
add_json(struct sbuf *b, enum klog_level level, const char *file, int line, const char *message, va_list ap)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    sbuf_addf(b, "{\"ts\":%lld.%03ld,\"caller\":\"%s:%d\",\"msg\":", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000,
              now.tv_nsec / 1000 % 1000, base_name(file), line);
    add_quoted(b, message, true);
    if (level != KLOG_ERROR && level != KLOG_FATAL)
        sbuf_addf(b, ",\"v\":0");
    for (const char *key; (key = va_arg(ap, const char *));) {
        const char *value = va_arg(ap, const char *);
        sbuf_addc(b, ',');
        add_quoted(b, key, true);
        sbuf_addc(b, ':');
        add_quoted(b, value, true);
        if (!value)
            break;
    }
    sbuf_adds(b, "}\n");
}

void
klog_write(enum klog_level level, const char *file, int line, const char *message, ...)
{
    AUTO_SBUF b = { .max = 64 * 1024 };
    va_list ap;

    va_start(ap, message);
    if (atomic_load_explicit(&format_now, memory_order_relaxed) == KLOG_JSON)
        add_json(&b, level, file, line, message, ap);
    else
        add_text(&b, level, file, line, message, ap);
    va_end(ap);
    if (b.truncated && b.len)
        b.s[b.len - 1] = '\n';
    ssize_t ignored = write(STDERR_FILENO, sbuf_str(&b), b.len);
    (void)ignored;
}

const char *
klog_format_int(char *buf, int64_t n)
{
    snprintf(buf, 24, "%lld", (long long)n);
    return buf;
}

bool
klog_every(uint64_t *last_ms, uint64_t now_ms, uint64_t interval_ms)
{
    if (*last_ms && now_ms - *last_ms < interval_ms)
        return false;
    *last_ms = now_ms ? now_ms : 1;
    return true;
}
