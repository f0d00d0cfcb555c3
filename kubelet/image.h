// SPDX-License-Identifier: Apache-2.0
/* image.h - makes sure that a container's image is on the node, by its pull policy. */
#ifndef CKUBE_KUBELET_IMAGE_H
#define CKUBE_KUBELET_IMAGE_H

#include "kubelet/kubelet.h"

enum image_answer {
    IMAGE_HERE,      /* *ret_ref is set */
    IMAGE_PULL,      /* not here: image_pull() it, which takes its time */
    IMAGE_NEVER,     /* not here and must not be pulled */
    IMAGE_INVALID,   /* the name is none */
};
const char *image_policy(const struct container *c); /* imagePullPolicy or its default: Always for :latest, else IfNotPresent */
bool image_name_valid(const char *image);
/* Asks the runtime, quickly.  *ret_image (in the arena, may be NULL) is what was found. */
struct kerr *image_check(struct kubelet *k, const struct container *c, struct arena *a, enum image_answer *ret, struct rt_image **ret_image) MUST_CHECK;
/* Pulls with the pod's secrets, one after the other until one works.  Events Pulling, Pulled, Failed. */
struct kerr *image_pull(struct kubelet *k, const struct pod *pod, const struct container *c, char **ret_ref) MUST_CHECK;

/* The credentials for `image` in a .dockerconfigjson or .dockercfg document; strings in the arena.  Pure. */
bool image_auth_find(const char *json, size_t len, bool legacy, const char *image, struct arena *a, struct image_auth *ret);

#endif
