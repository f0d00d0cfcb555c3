// SPDX-License-Identifier: Apache-2.0
#include "common/base/metrics.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <uthash.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/base/version.h"

#define MAX_KEY 1024 /* bytes of label values together; longer ones are cut */

struct metric_series {
    UT_hash_handle hh;
    char *key;             /* label values, each followed by \x1f */
    char *labels_text;     /* a="b",c="d" */
    atomic_uint_fast64_t whole; /* whole increments */
    _Atomic double real;   /* other additions; a gauge's value; a histogram's sum */
    atomic_bool hidden;
    atomic_uint_fast64_t *buckets; /* histogram: nbuckets + 1, not cumulative */
    const struct metric *of;
};

struct metric_table {
    pthread_rwlock_t lock; /* guards series; the series themselves are atomic and never freed */
    struct metric_series *series;
    struct metric_series *single;   /* of a family without labels */
    struct metric_series *overflow; /* all beyond METRIC_MAX_SERIES */
    unsigned nlabels;
    char *names[METRIC_MAX_LABELS];
};

struct collector {
    struct collector *next;
    void (*fn)(struct sbuf *, void *);
    void *arg;
};

/* Guards the list of families and of collectors; held while a collector runs. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric **families;
static size_t nfamilies;
static struct collector *collectors;

static struct metric_series *
series_new(const struct metric *m, const struct metric_table *t, const char *key)
{
    struct metric_series *s = XNEW(struct metric_series);
    struct sbuf text = { 0 };
    const char *p = key;

    s->of = m;
    s->key = xstrdup(key);
    for (unsigned i = 0; i < t->nlabels; i++) {
        size_t len = strcspn(p, "\x1f");
        sbuf_addf(&text, "%s%s=\"", i ? "," : "", t->names[i]);
        for (size_t j = 0; j < len; j++) {
            if (p[j] == '\\' || p[j] == '"')
                sbuf_addc(&text, '\\');
            if (p[j] == '\n')
                sbuf_adds(&text, "\\n");
            else
                sbuf_addc(&text, p[j]);
        }
        sbuf_addc(&text, '"');
        p += len + (p[len] != '\0');
    }
    s->labels_text = sbuf_steal(&text);
    if (m->type == METRIC_TYPE_HISTOGRAM)
        s->buckets = xcalloc(m->nbuckets + 1, sizeof *s->buckets);
    return s;
}

static struct metric_table *
table_new(const struct metric *m)
{
    struct metric_table *t = XNEW(struct metric_table);
    AUTO_STRLIST names = { 0 };

    strlist_split(&names, str_safe(m->labels), ',');
    if (names.len > METRIC_MAX_LABELS || m->nbuckets > METRIC_MAX_BUCKETS)
        abort(); /* a bug in the family's declaration */
    pthread_rwlock_init(&t->lock, NULL);
    for (size_t i = 0; i < names.len; i++)
        t->names[t->nlabels++] = xstrdup(names.items[i]);
    if (t->nlabels == 0)
        t->single = series_new(m, t, "");
    return t;
}

void
metrics_register(struct metric *m)
{
    if (__atomic_load_n(&m->table, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&registry_lock);
    if (!m->table) {
        size_t at = nfamilies;
        families = xreallocarray(families, nfamilies + 1, sizeof(struct metric *));
        while (at > 0 && strcmp(families[at - 1]->name, m->name) > 0) {
            families[at] = families[at - 1];
            at--;
        }
        families[at] = m;
        nfamilies++;
        __atomic_store_n(&m->table, table_new(m), __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&registry_lock);
}

static struct metric_series *
series_add(struct metric *m, struct metric_table *t, const char *key)
{
    struct metric_series *s;

    pthread_rwlock_wrlock(&t->lock);
    HASH_FIND_STR(t->series, key, s);
    if (!s && HASH_COUNT(t->series) < METRIC_MAX_SERIES) {
        s = series_new(m, t, key);
        HASH_ADD_KEYPTR(hh, t->series, s->key, strlen(s->key), s);
    }
    if (!s) {
        if (!t->overflow) {
            AUTO_SBUF names = { 0 };
            for (unsigned i = 0; i < t->nlabels; i++)
                sbuf_adds(&names, "overflow\x1f");
            t->overflow = series_new(m, t, sbuf_str(&names));
        }
        s = t->overflow;
    }
    pthread_rwlock_unlock(&t->lock);
    return s;
}

static void
make_key(const struct metric_table *t, va_list ap, char *key)
{
    size_t len = 0;

    for (unsigned i = 0; i < t->nlabels; i++) {
        const char *value = str_safe(va_arg(ap, const char *));
        while (*value && len + t->nlabels < MAX_KEY) {
            key[len++] = *value == '\x1f' ? '?' : *value;
            value++;
        }
        key[len++] = '\x1f';
    }
    key[len] = '\0';
}

struct metric_series *
metric_series_of(struct metric *m, ...)
{
    char key[MAX_KEY + METRIC_MAX_LABELS + 1];
    struct metric_series *s;
    va_list ap;

    metrics_register(m);
    struct metric_table *t = m->table;
    if (t->single)
        return t->single;
    va_start(ap, m);
    make_key(t, ap, key);
    va_end(ap);
    pthread_rwlock_rdlock(&t->lock);
    HASH_FIND_STR(t->series, key, s);
    pthread_rwlock_unlock(&t->lock);
    if (!s)
        s = series_add(m, t, key);
    if (atomic_load_explicit(&s->hidden, memory_order_relaxed))
        atomic_store(&s->hidden, false);
    return s;
}

static void
add_real(_Atomic double *at, double n)
{
    double old = atomic_load_explicit(at, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(at, &old, old + n, memory_order_relaxed, memory_order_relaxed))
        ;
}

void
metric_series_inc(struct metric_series *s)
{
    atomic_fetch_add_explicit(&s->whole, 1, memory_order_relaxed);
}

void
metric_series_add(struct metric_series *s, double n)
{
    if (s->of->type == METRIC_TYPE_COUNTER && n >= 0 && n < 1e15 && n == floor(n))
        atomic_fetch_add_explicit(&s->whole, (uint64_t)n, memory_order_relaxed);
    else
        add_real(&s->real, n);
}

void
metric_series_set(struct metric_series *s, double value)
{
    atomic_store_explicit(&s->whole, 0, memory_order_relaxed);
    atomic_store_explicit(&s->real, value, memory_order_relaxed);
}

void
metric_series_observe(struct metric_series *s, double value)
{
    unsigned i = 0;

    while (i < s->of->nbuckets && value > s->of->buckets[i])
        i++;
    atomic_fetch_add_explicit(&s->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->whole, 1, memory_order_relaxed);
    add_real(&s->real, value);
}

double
metric_series_value(const struct metric_series *s)
{
    double whole = (double)atomic_load_explicit(&s->whole, memory_order_relaxed);

    return s->of->type == METRIC_TYPE_HISTOGRAM ? whole : whole + atomic_load_explicit(&s->real, memory_order_relaxed);
}

void
metric_remove_series(struct metric *m, ...)
{
    va_list ap;
    char key[MAX_KEY + METRIC_MAX_LABELS + 1];
    struct metric_series *s;

    metrics_register(m);
    struct metric_table *t = m->table;
    if (t->single)
        return;
    va_start(ap, m);
    make_key(t, ap, key);
    va_end(ap);
    pthread_rwlock_rdlock(&t->lock);
    HASH_FIND_STR(t->series, key, s);
    pthread_rwlock_unlock(&t->lock);
    if (!s)
        return;
    atomic_store(&s->hidden, true);
    metric_series_set(s, 0);
    for (unsigned i = 0; s->buckets && i <= m->nbuckets; i++)
        atomic_store(&s->buckets[i], 0);
}

void
metrics_add_collector(void (*fn)(struct sbuf *out, void *arg), void *arg)
{
    struct collector *c = XNEW(struct collector);

    *c = (struct collector){ NULL, fn, arg };
    pthread_mutex_lock(&registry_lock);
    struct collector **at = &collectors;
    while (*at)
        at = &(*at)->next;
    *at = c;
    pthread_mutex_unlock(&registry_lock);
}

void
metrics_remove_collector(void (*fn)(struct sbuf *out, void *arg), void *arg)
{
    pthread_mutex_lock(&registry_lock);
    for (struct collector **at = &collectors; *at; at = &(*at)->next) {
        struct collector *c = *at;
        if (c->fn == fn && c->arg == arg) {
            *at = c->next;
            free(c);
            break;
        }
    }
    pthread_mutex_unlock(&registry_lock);
}

/* As Go's strconv.FormatFloat(v, 'g', -1, 64): shortest text that reads back the same. */
static void
add_number(struct sbuf *out, double v)
{
    char buf[40];
    int digits = 0;

    if (isnan(v)) {
        sbuf_adds(out, "NaN");
        return;
    }
    if (isinf(v)) {
        sbuf_adds(out, v > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (v == floor(v) && fabs(v) < 1e6) {
        sbuf_add_i64(out, (int64_t)v);
        return;
    }
    do
        snprintf(buf, sizeof buf, "%.*e", digits, v);
    while (strtod(buf, NULL) != v && digits++ < 17);
    int exponent = (int)strtol(strchr(buf, 'e') + 1, NULL, 10);
    if (exponent >= -4 && exponent < 6)
        snprintf(buf, sizeof buf, "%.*f", digits > exponent ? digits - exponent : 0, v);
    sbuf_adds(out, buf);
}

void
metrics_write_head(struct sbuf *out, const char *name, const char *help, enum metric_type type)
{
    static const char *const types[] = { "counter", "gauge", "histogram" };

    sbuf_addf(out, "# HELP %s ", name);
    for (const char *p = str_safe(help); *p; p++) {
        if (*p == '\n')
            sbuf_adds(out, "\\n");
        else if (*p == '\\')
            sbuf_adds(out, "\\\\");
        else
            sbuf_addc(out, *p);
    }
    sbuf_addf(out, "\n# TYPE %s %s\n", name, types[type]);
}

void
metrics_write_sample(struct sbuf *out, const char *name, const char *labels_text, double value)
{
    sbuf_adds(out, name);
    if (!str_empty(labels_text))
        sbuf_addf(out, "{%s}", labels_text);
    sbuf_addc(out, ' ');
    add_number(out, value);
    sbuf_addc(out, '\n');
}

static void
write_histogram(struct sbuf *out, const struct metric *m, const struct metric_series *s)
{
    uint64_t sum = 0;
    const char *comma = str_empty(s->labels_text) ? "" : ",";

    for (unsigned i = 0; i <= m->nbuckets; i++) {
        sum += atomic_load_explicit(&s->buckets[i], memory_order_relaxed);
        sbuf_addf(out, "%s_bucket{%s%sle=\"", m->name, s->labels_text, comma);
        add_number(out, i < m->nbuckets ? m->buckets[i] : INFINITY);
        sbuf_adds(out, "\"} ");
        add_number(out, (double)sum);
        sbuf_addc(out, '\n');
    }
    AUTO_FREE char *sum_name = xasprintf("%s_sum", m->name);
    AUTO_FREE char *count_name = xasprintf("%s_count", m->name);
    metrics_write_sample(out, sum_name, s->labels_text, atomic_load_explicit(&s->real, memory_order_relaxed));
    metrics_write_sample(out, count_name, s->labels_text, (double)sum);
}

static void
write_series(struct sbuf *out, const struct metric *m, const struct metric_series *s, bool *head_written)
{
    if (!s || atomic_load_explicit(&s->hidden, memory_order_relaxed))
        return;
    if (!*head_written)
        metrics_write_head(out, m->name, m->help, m->type);
    *head_written = true;
    if (m->type == METRIC_TYPE_HISTOGRAM)
        write_histogram(out, m, s);
    else
        metrics_write_sample(out, m->name, s->labels_text, metric_series_value(s));
}

static void
write_family(struct sbuf *out, struct metric *m)
{
    struct metric_table *t = m->table;
    bool head_written = false;

    write_series(out, m, t->single, &head_written);
    pthread_rwlock_rdlock(&t->lock);
    for (const struct metric_series *s = t->series; s; s = s->hh.next)
        write_series(out, m, s, &head_written);
    write_series(out, m, t->overflow, &head_written);
    pthread_rwlock_unlock(&t->lock);
}

static void
write_gauge(struct sbuf *out, const char *name, const char *help, double value)
{
    metrics_write_head(out, name, help, METRIC_TYPE_GAUGE);
    metrics_write_sample(out, name, NULL, value);
}

static int
count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = -1; /* the DIR's own */

    if (!dir)
        return 0;
    for (struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* Fields of /proc/self/stat: 22 start time (ticks), 23 virtual bytes, 24 resident pages. */
static void
read_stat(unsigned long long *start_ticks, unsigned long long *virtual_bytes, unsigned long long *resident_bytes)
{
    AUTO_FREE char *text = NULL;
    long long pages = 0;

    kerr_free(file_read("/proc/self/stat", 65536, &text, NULL));
    const char *after_name = text ? strrchr(text, ')') : NULL;
    if (after_name && sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu %llu %lld",
                             start_ticks, virtual_bytes, &pages) == 3)
        *resident_bytes = (unsigned long long)(pages > 0 ? pages : 0) * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static void
write_process(struct sbuf *out)
{
    unsigned long long start_ticks = 0, virtual_bytes = 0, resident_bytes = 0;
    struct rusage use;
    struct rlimit files = { 0 }, space = { 0 };
    struct timespec up;

    getrusage(RUSAGE_SELF, &use);
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_AS, &space);
    clock_gettime(CLOCK_BOOTTIME, &up);
    read_stat(&start_ticks, &virtual_bytes, &resident_bytes);
    double age = (double)up.tv_sec + (double)up.tv_nsec / 1e9 - (double)start_ticks / (double)sysconf(_SC_CLK_TCK);

    metrics_write_head(out, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", METRIC_TYPE_COUNTER);
    metrics_write_sample(out, "process_cpu_seconds_total", NULL,
                         (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                             (double)((use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 10000) / 100);
    write_gauge(out, "process_max_fds", "Maximum number of open file descriptors.", (double)files.rlim_cur);
    write_gauge(out, "process_open_fds", "Number of open file descriptors.", count_fds());
    write_gauge(out, "process_resident_memory_bytes", "Resident memory size in bytes.", (double)resident_bytes);
    write_gauge(out, "process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
                floor(((double)clock_wall_us() / 1e6 - age) * 100) / 100);
    write_gauge(out, "process_virtual_memory_bytes", "Virtual memory size in bytes.", (double)virtual_bytes);
    write_gauge(out, "process_virtual_memory_max_bytes", "Maximum amount of virtual memory available in bytes.",
                space.rlim_cur == RLIM_INFINITY ? 18446744073709551615.0 : (double)space.rlim_cur);
}

static void
write_build_info(struct sbuf *out)
{
    AUTO_FREE char *labels = xasprintf(
        "build_date=\"\",compiler=\"cc\",git_commit=\"%s\",git_tree_state=\"clean\",git_version=\"%s\",go_version=\"\",major=\"1\","
        "minor=\"%d\",platform=\"%s\"",
        version_sha(), version_git(), version_minor(), version_platform());

    metrics_write_head(out, "kubernetes_build_info",
                       "A metric with a constant '1' value labeled by major, minor, git version, git commit, git tree state, "
                       "build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.",
                       METRIC_TYPE_GAUGE);
    metrics_write_sample(out, "kubernetes_build_info", labels, 1);
}

void
metrics_write(struct sbuf *out)
{
    AUTO_SBUF collected = { 0 };

    pthread_mutex_lock(&registry_lock);
    for (struct collector *c = collectors; c; c = c->next)
        c->fn(&collected, c->arg); /* first: they may set gauges too */
    write_build_info(out);
    for (size_t i = 0; i < nfamilies; i++)
        write_family(out, families[i]);
    pthread_mutex_unlock(&registry_lock);
    sbuf_add(out, sbuf_str(&collected), collected.len);
    write_process(out);
}
