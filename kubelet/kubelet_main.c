// SPDX-License-Identifier: Apache-2.0
/* kubelet: runs the pods of this node.  Flags, start order, run; everything else is in the parts (kubelet.h). */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/file.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/klog.h"
#include "common/base/pool.h"
#include "common/client/informer.h"
#include "common/daemon/daemon.h"
#include "kubelet/kubelet.h"
#include "kubelet/log_rotate.h"
#include "kubelet/node.h"
#include "kubelet/pleg.h"
#include "kubelet/pod_worker.h"
#include "kubelet/prober.h"
#include "kubelet/sources.h"
#include "kubelet/server/server.h"
#include "kubelet/static_pods.h"
#include "kubelet/status_manager.h"

#define JOB_THREADS_EXTRA 32

static struct kubelet k;
static struct server *server;
static struct log_rotate *rotation;

static struct kerr *
check_swap(void)
{
    AUTO_FREE char *text = NULL;
    AUTO(kerr) *err = file_read("/proc/swaps", 65536, &text, NULL);
    const char *second = err ? NULL : strchr(text, '\n');

    if (k.cfg.fail_swap_on && second && second[1])
        return kerr_new(KERR_INTERNAL, "running with swap on is not supported, please disable swap or set --fail-swap-on flag to false");
    return NULL;
}

static void
read_resolver(void)
{
    AUTO_FREE char *text = NULL;
    AUTO(kerr) *err = str_empty(k.cfg.resolv_conf) ? NULL : file_read(k.cfg.resolv_conf, 65536, &text, NULL);

    if (err)
        log_warning("No resolver settings for pods of dnsPolicy Default", "err", kv_err(err));
    resolver_parse(text, &k.resolver);
}

static struct kerr *
make_dirs(void)
{
    AUTO_FREE char *pods = path_join(k.cfg.root_dir, "pods");
    const char *dirs[] = { k.cfg.root_dir, pods, k.cfg.log_dir, k.cfg.container_log_dir };
    struct kerr *err = NULL;

    for (size_t i = 0; !err && i < ARRAY_LEN(dirs); i++)
        err = file_mkdirs(dirs[i], i < 2 ? 0750 : 0755);
    return err;
}

/* One kubelet per root directory. */
static struct kerr *
take_lock(void)
{
    AUTO_FREE char *path = path_join(k.cfg.root_dir, ".ckube-kubelet.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* held until the process ends */

    if (fd < 0)
        return kerr_errno(errno, "open '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB))
        return kerr_new(KERR_CONFLICT, "another kubelet uses --root-dir=%s", k.cfg.root_dir);
    return NULL;
}

static struct kerr *
make_clients(void)
{
    AUTO_CLIENT_CONFIG cc = { 0 };
    struct rest_options o = { .component = "kubelet" };
    struct kerr *err = runtime_new(k.cfg.container_runtime_endpoint, k.cfg.image_service_endpoint, (uint64_t)k.cfg.runtime_timeout_ms, &k.rt);

    if (err)
        return err;
    snprintf(k.runtime_name, sizeof k.runtime_name, "containerd");
    if (str_empty(k.cfg.kubeconfig))
        log_info("Running without an apiserver: static pods only", "flag", "--kubeconfig");
    else {
        err = client_config_load(k.cfg.kubeconfig, NULL, &cc);
        if (!err)
            err = rest_new(&cc, &o, &k.rest);
    }
    k.events = events_new(k.rest, "kubelet", k.cfg.node_name);
    return err;
}

static struct kerr *
set_up_cgroups(void)
{
    struct cgroup_limits total = { 0 };
    struct kerr *err;
    int driver = runtime_cgroup_driver(k.rt);
    bool systemd = !strcmp(k.cfg.cgroup_driver, "systemd");

    if (driver >= 0 && (driver == 1) != systemd) {
        systemd = driver == 1;
        log_warning("The container runtime says which cgroup driver to use; cgroupDriver is set aside", "cgroupDriver", k.cfg.cgroup_driver,
                    "used", systemd ? "systemd" : "cgroupfs");
    }
    err = cgroups_new("/sys/fs/cgroup", k.cfg.cgroup_root, systemd, &k.cg);
    if (err)
        return err;
    total.cpu_shares = cgroup_milli_to_shares(k.allocatable_cpu_milli);
    total.memory_max = k.allocatable_memory;
    return k.cfg.cgroups_per_qos ? cgroups_setup(k.cg, &total) : NULL;
}

/* Until the runtime answers; says what for.  False: we are to stop. */
static bool
wait_for_runtime(void)
{
    while (!daemon_stopping(k.daemon)) {
        struct runtime_info info;
        struct kerr *err = runtime_info(k.rt, &info);

        if (!err) {
            snprintf(k.runtime_name, sizeof k.runtime_name, "%s", info.name);
            log_info("Container runtime", "name", info.name, "version", info.version, "endpoint", runtime_endpoint(k.rt));
            return true;
        }
        daemon_waiting(k.daemon, "container runtime", err);
        kerr_free(err);
        clock_sleep_ms(200);
    }
    return false;
}

static struct kerr *
start(struct static_pods **ret_sp)
{
    struct kerr *err = set_up_cgroups();

    if (err)
        return err;
    k.jobs = pool_new("jobs", (unsigned)k.cfg.max_pods + JOB_THREADS_EXTRA, 10000);
    k.pleg = pleg_new(&k);
    k.workers = pod_workers_new(&k);
    k.status = status_manager_new(&k);
    k.prober = prober_new(&k);
    k.node = node_new(&k);
    *ret_sp = static_pods_new(&k);
    err = sources_init(&k, *ret_sp);
    if (err)
        return err;
    pod_workers_start(k.workers);
    status_manager_start(k.status);
    pleg_start(k.pleg);
    node_start(k.node);
    static_pods_start(*ret_sp);
    rotation = log_rotate_start(&k);
    sources_start(&k);
    return k.cfg.enable_server ? server_new(&k, &server) : NULL;
}

static void
stop(struct static_pods *sp)
{
    static_pods_stop(sp);
    log_rotate_stop(rotation);
    informers_free(k.informers);
    pleg_stop(k.pleg);
    pod_workers_stop(k.workers);
    prober_stop(k.prober);
    node_stop(k.node);
    status_manager_stop(k.status);
}

static const char *const health_paths[] = { "/healthz", NULL };

int
main(int argc, char **argv)
{
    struct static_pods *sp = NULL;
    struct kerr *err;
    int rc;

    /* Many threads that mostly wait: few malloc arenas keep the memory small. */
    mallopt(M_ARENA_MAX, 2);
    k.daemon = daemon_new("kubelet", "The kubelet is the primary \"node agent\" that runs on each node. It works in terms of a PodSpec, "
                                     "a YAML or JSON object that describes a pod, and ensures that the described containers are running and healthy.");
    kubelet_config_flags(k.daemon, &k.cfg);
    if (!daemon_start(k.daemon, argc, argv, &rc))
        return rc;
    err = kubelet_config_load(k.daemon, &k.cfg);
    if (!err)
        err = check_swap();
    if (!err)
        err = make_dirs();
    if (!err)
        err = take_lock();
    if (!err)
        err = node_inspect(&k);
    if (!err)
        err = make_clients();
    if (!err && k.cfg.healthz_port > 0)
        err = daemon_serve_plain(k.daemon, k.cfg.healthz_bind_address, k.cfg.healthz_port, health_paths);
    if (err)
        return daemon_fail(k.daemon, err);
    read_resolver();
    if (k.cfg.configz)
        daemon_set_configz(k.daemon, "kubeletconfig", k.cfg.configz);
    if (!wait_for_runtime())
        return 0;
    err = start(&sp);
    if (err)
        return daemon_fail(k.daemon, err);
    daemon_ready(k.daemon);
    rc = daemon_run(k.daemon);
    /* Pods go on without us.  Long jobs (a kill that waits out its grace) must not hold us up: the process simply ends. */
    stop(sp);
    fflush(NULL);
    _exit(rc);
}
