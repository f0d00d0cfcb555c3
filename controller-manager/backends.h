// SPDX-License-Identifier: Apache-2.0
/* backends.h - which pods stand behind a Service, and on which ports: the part that Endpoints and EndpointSlices share. */
#ifndef CKUBE_CONTROLLER_MANAGER_BACKENDS_H
#define CKUBE_CONTROLLER_MANAGER_BACKENDS_H

#include "controller-manager/controller.h"

struct service_picture {
    const struct object *service; /* NULL: it is gone */
    struct object_list pods;      /* those its selector matches */
    struct object_list nodes;     /* for zones; endpointslice only */
    struct object_list current;   /* its Endpoints (one at most) or EndpointSlices */
    int32_t max_per_slice;
};
void service_picture_done(struct service_picture *p);

/* Has an address and is not done; while it terminates only when asked for. */
bool backend_is_in(const struct pod *pod, bool with_terminating);
/* The pod's address of that family, or NULL. */
const char *backend_ip(const struct pod *pod, bool v6);
/* The pod has a DNS name of its own in this Service. */
bool backend_has_hostname(const struct pod *pod, const struct object_meta *service);
/* Target port of a Service port on this pod; named ones are looked up.  False: it has none. */
bool backend_port(const struct pod *pod, const struct service_port *port, int32_t *ret);
bool service_is_headless(const struct service *s);

/* Two pods of one group have the same ports: the resolved ports of one pod. */
struct backend_ports {
    struct {
        const struct service_port *port;
        int32_t number;
    } items[100];
    uint32_t len;
};
void backend_ports_of(const struct pod *pod, const struct service *s, struct backend_ports *ret);
bool backend_ports_equal(const struct backend_ports *a, const struct backend_ports *b);
struct object_reference *backend_ref(const struct pod *pod, struct arena *a);

/* Queues the Services whose selector matches the pod, before or after the change. */
void backends_pod_changed(struct controller *c, const struct object *old, const struct object *now);
/* Service and pods from the informers' copies. */
void backends_look(struct controller *c, const char *key, struct service_picture *ret);

#endif
