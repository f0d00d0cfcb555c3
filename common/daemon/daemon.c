// SPDX-License-Identifier: Apache-2.0
#include "common/daemon/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "common/base/clock.h"
#include "common/base/klog.h"
#include "common/base/version.h"
#include "common/daemon/daemon_impl.h"
#include "common/daemon/sd_notify.h"

#define O(member) offsetof(struct common_options, member)
#define KLOG_GONE "it has no effect since Kubernetes 1.26: logs go to standard error"

static const struct flag logging_flags[] = {
    { "v", FLAG_I32, O(v), "0", "number for the log level verbosity", .shorthand = "v" },
    { "vmodule", FLAG_STRING, O(vmodule), NULL,
      "comma-separated list of pattern=N settings for file-filtered logging (only works for text log format)" },
    { "logging-format", FLAG_STRING, O(logging_format), "text", "Sets the log format. Permitted formats: \"json\", \"text\"." },
    { "log-flush-frequency", FLAG_IGNORED, 0, NULL, NULL },
    { "log-text-split-stream", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "log-text-info-buffer-size", FLAG_IGNORED, 0, NULL, NULL },
    { "log-json-split-stream", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "log-json-info-buffer-size", FLAG_IGNORED, 0, NULL, NULL },
    { "logtostderr", FLAG_IGNORED_BOOL, 0, NULL, NULL, KLOG_GONE },
    { "alsologtostderr", FLAG_IGNORED_BOOL, 0, NULL, NULL, KLOG_GONE },
    { "stderrthreshold", FLAG_IGNORED, 0, NULL, NULL, KLOG_GONE },
    { "log-dir", FLAG_IGNORED, 0, NULL, NULL, KLOG_GONE },
    { "log-file", FLAG_IGNORED, 0, NULL, NULL, KLOG_GONE },
    { "log-file-max-size", FLAG_IGNORED, 0, NULL, NULL, KLOG_GONE },
    { "log-backtrace-at", FLAG_IGNORED, 0, NULL, NULL, KLOG_GONE },
    { "add-dir-header", FLAG_IGNORED_BOOL, 0, NULL, NULL, KLOG_GONE },
    { "one-output", FLAG_IGNORED_BOOL, 0, NULL, NULL, KLOG_GONE },
    { "skip-headers", FLAG_IGNORED_BOOL, 0, NULL, NULL, KLOG_GONE },
    { "skip-log-headers", FLAG_IGNORED_BOOL, 0, NULL, NULL, KLOG_GONE },
};

static const struct flag global_flags[] = {
    { "help", FLAG_BOOL, O(help), NULL, "this text", .shorthand = "h" },
    { "version", FLAG_BOOL, O(version), NULL, "print version information and quit" },
    { "feature-gates", FLAG_BOOL_MAP, O(feature_gates), NULL,
      "A set of key=value pairs that describe feature gates for alpha/experimental features, A=true,B=false." },
    { "profiling", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "contention-profiling", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "show-hidden-metrics-for-version", FLAG_IGNORED, 0, NULL, NULL },
    { "disabled-metrics", FLAG_IGNORED, 0, NULL, NULL },
    { "allow-metric-labels", FLAG_IGNORED, 0, NULL, NULL },
    { "allow-metric-labels-manifest", FLAG_IGNORED, 0, NULL, NULL },
    { "emulated-version", FLAG_IGNORED, 0, NULL, NULL },
    { "emulation-forward-compatible", FLAG_IGNORED_BOOL, 0, NULL, NULL },
    { "min-compatibility-version", FLAG_IGNORED, 0, NULL, NULL },
};

/* --- signals: one daemon per process, the handler only sets flags and wakes the loop --- */

static struct daemon *signalled;
static volatile sig_atomic_t got_hup;

static void
on_signal(int sig)
{
    int saved = errno;
    struct daemon *d = signalled;
    uint64_t one = 1;

    if (d && sig == SIGHUP) {
        got_hup = 1;
    } else if (d) {
        if (atomic_exchange(&d->stopping, true))
            _exit(1); /* the second one: at once, as upstream */
    }
    if (d) {
        ssize_t ignored = write(d->signal_fd, &one, sizeof one);
        (void)ignored;
    }
    errno = saved;
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *d = arg;
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count);

    (void)ignored;
    (void)what;
    if (got_hup) {
        got_hup = 0;
        if (d->reopen)
            d->reopen(d->reopen_arg);
    }
    if (atomic_load(&d->stopping))
        loop_stop(d->loop);
}

static void
set_signals(struct daemon *d)
{
    struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    signalled = d;
    sigemptyset(&act.sa_mask);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* --- life --- */

struct daemon *
daemon_new(const char *name, const char *about)
{
    struct daemon *d = XNEW(struct daemon);

    d->name = name;
    d->signal_fd = -1;
    d->flags = flags_new(name, about);
    d->health = health_new();
    d->started_s = clock_wall_s();
    pthread_mutex_init(&d->lock, NULL);
    flags_add(d->flags, "Logs", logging_flags, ARRAY_LEN(logging_flags), &d->options);
    flags_add(d->flags, "Global", global_flags, ARRAY_LEN(global_flags), &d->options);
    flags_add_known_removed(d->flags);
    return d;
}

void
daemon_free(struct daemon *d)
{
    if (!d)
        return;
    if (signalled == d)
        signalled = NULL;
    serving_done(d);
    loop_timer_free(d->watchdog);
    if (d->signal_event)
        event_free(d->signal_event);
    loop_free(d->loop);
    if (d->signal_fd >= 0)
        close(d->signal_fd);
    flags_free(d->flags); /* frees the serving options as well, when they came from flags */
    serving_options_done(&d->serving);
    health_free(d->health);
    for (size_t i = 0; i < d->nendpoints; i++)
        free(d->endpoints[i].path);
    free(d->endpoints);
    for (size_t i = 0; i < d->configz.len; i++) {
        free(d->configz.items[i].key);
        free(d->configz.items[i].value);
    }
    free(d->configz.items);
    for (size_t i = 0; i < d->nwaiting; i++)
        free(d->waiting[i].peer);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

struct flags *
daemon_flags(struct daemon *d)
{
    return d->flags;
}

const char *
daemon_name(const struct daemon *d)
{
    return d->name;
}

struct loop *
daemon_loop(struct daemon *d)
{
    return d->loop;
}

struct health *
daemon_health(struct daemon *d)
{
    return d->health;
}

void
daemon_feature_gates(struct daemon *d, const char *const *known)
{
    d->known_gates = known;
}

/* "Name=true": the value part, or NULL. */
static const char *
known_gate(const struct daemon *d, const char *gate)
{
    size_t len = strlen(gate);

    for (size_t i = 0; d->known_gates && d->known_gates[i]; i++) {
        if (strncmp(d->known_gates[i], gate, len) == 0 && d->known_gates[i][len] == '=')
            return d->known_gates[i] + len + 1;
    }
    return NULL;
}

bool
daemon_feature(const struct daemon *d, const char *gate)
{
    return flag_map_bool(&d->options.feature_gates, gate, str_eq(known_gate(d, gate), "true"));
}

static struct kerr *
set_logging(const struct daemon *d)
{
    const struct common_options *o = &d->options;

    if (!str_eq(o->logging_format, "text") && !str_eq(o->logging_format, "json"))
        return kerr_new(KERR_BAD_REQUEST, "--logging-format: unknown format \"%s\": must be text or json", str_safe(o->logging_format));
    klog_set_format(str_eq(o->logging_format, "json") ? KLOG_JSON : KLOG_TEXT);
    klog_set_verbosity(o->v);
    return str_empty(o->vmodule) ? NULL : klog_set_vmodule(o->vmodule);
}

static void
log_flag(const char *name, const char *value, const char *def, bool changed, void *arg)
{
    (void)def;
    (void)arg;
    if (changed)
        log_v(1, "Flag", "name", name, "value", value);
}

static void
log_start(struct daemon *d)
{
    const struct strlist *warnings = flags_warnings(d->flags);

    for (size_t i = 0; i < warnings->len; i++)
        log_warning(warnings->items[i]);
    for (size_t i = 0; i < d->options.feature_gates.len; i++) {
        if (!known_gate(d, d->options.feature_gates.items[i].key))
            log_warning("Feature gate has no effect here", "gate", d->options.feature_gates.items[i].key);
    }
    log_info("Starting", "daemon", d->name, "version", version_git(), "ckube", version_sha(), "platform", version_platform());
    flags_each(d->flags, log_flag, NULL);
}

static struct kerr *
make_loop(struct daemon *d)
{
    struct kerr *err = loop_new("main", &d->loop);

    if (err)
        return err;
    d->signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->signal_fd < 0)
        return kerr_errno(errno, "eventfd");
    d->signal_event = event_new(loop_base(d->loop), d->signal_fd, EV_READ | EV_PERSIST, on_wake, d);
    if (!d->signal_event || event_add(d->signal_event, NULL))
        return kerr_new(KERR_INTERNAL, "cannot watch for signals");
    set_signals(d);
    return NULL;
}

bool
daemon_start(struct daemon *d, int argc, char *const *argv, int *ret_exit_code)
{
    AUTO_SBUF out = { 0 };
    AUTO(kerr) *err = flags_parse(d->flags, argc, argv);

    *ret_exit_code = 1;
    if (!err && d->options.help) {
        flags_help(d->flags, &out);
        fputs(sbuf_str(&out), stdout);
        *ret_exit_code = 0;
        return false;
    }
    if (!err && d->options.version) {
        printf("Kubernetes %s\n", version_git());
        *ret_exit_code = 0;
        return false;
    }
    if (!err)
        err = set_logging(d);
    if (err) {
        fprintf(stderr, "Error: %s\nSee '%s --help' for usage.\n", err->message, d->name);
        return false;
    }
    err = make_loop(d);
    if (err) {
        *ret_exit_code = daemon_fail(d, steal_ptr(err));
        return false;
    }
    log_start(d);
    return true;
}

int
daemon_fail(struct daemon *d, struct kerr *err)
{
    log_error("command failed", "daemon", d->name, "err", kv_err(err));
    sd_notify_send("STATUS=failed: %s", kv_err(err));
    kerr_free(err);
    return 1;
}

/* --- running --- */

static void
feed_watchdog(void *arg)
{
    (void)arg;
    sd_notify_send("WATCHDOG=1");
}

static void
start_watchdog(void *arg)
{
    struct daemon *d = arg;
    uint64_t every_ms = sd_notify_watchdog_ms();

    if (!every_ms || d->watchdog)
        return;
    d->watchdog = loop_timer_new(d->loop, feed_watchdog, d);
    loop_timer_every(d->watchdog, every_ms);
}

void
daemon_ready(struct daemon *d)
{
    sd_notify_send("READY=1\nSTATUS=running");
    loop_post(d->loop, start_watchdog, d);
}

/* Is this worth a line now?  Remembers what it said of this peer. */
static bool
is_news(struct daemon *d, const char *peer, bool well)
{
    bool news = !well;
    size_t i = 0;

    pthread_mutex_lock(&d->lock);
    while (i < d->nwaiting && !str_eq(d->waiting[i].peer, peer))
        i++;
    if (i == d->nwaiting && !well && d->nwaiting < MAX_WAITING)
        d->waiting[d->nwaiting++] = (struct waiting){ .peer = xstrdup(peer) };
    if (i < d->nwaiting && well) {
        news = d->waiting[i].logged_ms != 0;
        d->waiting[i].logged_ms = 0;
    } else if (i < d->nwaiting) {
        news = klog_every(&d->waiting[i].logged_ms, clock_mono_ms(), 10000);
    }
    pthread_mutex_unlock(&d->lock);
    return news;
}

void
daemon_waiting(struct daemon *d, const char *peer, const struct kerr *why)
{
    if (!is_news(d, peer, !why))
        return;
    if (why) {
        log_info("Waiting for a peer", "peer", peer, "why", why->message);
        sd_notify_send("STATUS=waiting for %s: %s", peer, why->message);
    } else {
        log_info("Peer is well again", "peer", peer);
        sd_notify_send("STATUS=running");
    }
}

void
daemon_waiting_fn(const char *peer, const struct kerr *why, void *daemon)
{
    daemon_waiting(daemon, peer, why);
}

int
daemon_run(struct daemon *d)
{
    if (!atomic_load(&d->stopping))
        loop_run(d->loop);
    log_info("Stopping", "daemon", d->name, "exit_code", kv_int(atomic_load(&d->exit_code)));
    sd_notify_send("STOPPING=1");
    return atomic_load(&d->exit_code);
}

void
daemon_stop(struct daemon *d, int exit_code)
{
    uint64_t one = 1;

    if (exit_code)
        atomic_store(&d->exit_code, exit_code);
    atomic_store(&d->stopping, true);
    ssize_t ignored = write(d->signal_fd, &one, sizeof one);
    (void)ignored;
}

bool
daemon_stopping(const struct daemon *d)
{
    return atomic_load(&d->stopping);
}

const atomic_bool *
daemon_stop_flag(const struct daemon *d)
{
    return &d->stopping;
}

void
daemon_on_reopen(struct daemon *d, void (*fn)(void *arg), void *arg)
{
    d->reopen = fn;
    d->reopen_arg = arg;
}
