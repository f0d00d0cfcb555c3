// SPDX-License-Identifier: Apache-2.0
/* Persistent volumes and claims, storage.k8s.io. */
#include <string.h>

#include "apiserver/registry/validate_kinds.h"
#include "common/api/codec.h"
#include "common/api/meta.h"
#include "common/api/values.h"

static const char *const access_modes[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", NULL };
static const char *const volume_modes[] = { "Block", "Filesystem", NULL };
static const char *const reclaim_policies[] = { "Delete", "Recycle", "Retain", NULL };

static void
check_access_modes(struct findings *f, const struct path *p, const struct string_slice *modes, const char *why_required)
{
    bool pod_only = string_slice_has(modes, "ReadWriteOncePod"), others = false;

    if (modes->len == 0)
        find_required(f, p, why_required);
    for (uint32_t i = 0; i < modes->len; i++) {
        if (!is_one_of(modes->items[i], access_modes))
            find_unsupported(f, p, modes->items[i], access_modes);
        else if (!str_eq(modes->items[i], "ReadWriteOncePod"))
            others = true;
    }
    if (pod_only && others)
        find_forbidden(f, p, "may not use ReadWriteOncePod with other access modes");
}

static void
check_data_source(struct findings *f, const struct path *p, const char *group, const char *kind, const char *name)
{
    check_required(f, AT(p, "name"), name);
    check_required(f, AT(p, "kind"), kind);
    if (str_empty(group) && !str_eq(kind, "PersistentVolumeClaim"))
        find_invalid(f, p, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    check_optional_name(f, AT(p, "apiGroup"), NAME_DNS_SUBDOMAIN, group);
}

void
check_pvc_spec(struct findings *f, const struct path *p, const struct persistent_volume_claim_spec *s)
{
    const struct path *storage = AT_KEY(AT(p, "resources"), "storage");
    const struct typed_object_reference *ref = s->data_source_ref;

    check_access_modes(f, AT(p, "accessModes"), &s->access_modes, "at least 1 access mode is required");
    check_label_selector(f, AT(p, "selector"), s->selector);
    if (!quantity_map_has(&s->resources.requests, "storage"))
        find_required(f, storage, "");
    else
        check_positive_quantity(f, storage, quantity_map_get(&s->resources.requests, "storage"));
    check_optional_name(f, AT(p, "storageClassName"), NAME_DNS_SUBDOMAIN, s->storage_class_name);
    if (s->volume_mode && !is_one_of(s->volume_mode, volume_modes))
        find_unsupported(f, AT(p, "volumeMode"), s->volume_mode, volume_modes);
    if (s->data_source)
        check_data_source(f, AT(p, "dataSource"), s->data_source->api_group, s->data_source->kind, s->data_source->name);
    if (ref) {
        check_data_source(f, AT(p, "dataSourceRef"), ref->api_group, ref->kind, ref->name);
        check_optional_name(f, AT(AT(p, "dataSourceRef"), "namespace"), NAME_DNS_LABEL, ref->namespace);
    }
    if (ref && s->data_source) {
        if (!str_empty(ref->namespace))
            find_invalid(f, p, "spec.dataSource", "may not be specified when dataSourceRef.namespace is specified");
        else if (!str_eq(ref->api_group, s->data_source->api_group) || !str_eq(ref->kind, s->data_source->kind) ||
                 !str_eq(ref->name, s->data_source->name))
            find_invalid(f, p, "spec.dataSource", "must match dataSourceRef");
    }
    check_optional_name(f, AT(p, "volumeAttributesClassName"), NAME_DNS_SUBDOMAIN, s->volume_attributes_class_name);
}

void
persistent_volume_claim_create(struct findings *f, const void *body)
{
    check_pvc_spec(f, AT(NULL, "spec"), &((const struct persistent_volume_claim *)body)->spec);
}

static bool
same_nullable(const char *a, const char *b)
{
    return !a == !b && str_eq(a, b);
}

void
persistent_volume_claim_update(struct findings *f, const void *body, const void *old_body)
{
    const struct persistent_volume_claim *pvc = body, *old = old_body;
    const struct persistent_volume_claim_spec *was = &old->spec;
    struct persistent_volume_claim_spec munged = pvc->spec;
    const struct path *p = AT(NULL, "spec");
    AUTO(arena) *a = arena_new(0);
    bool bound = str_eq(pvc->status.phase, "Bound");
    struct quantity size = quantity_map_get(&pvc->spec.resources.requests, "storage");
    struct quantity old_size = quantity_map_get(&was->resources.requests, "storage");

    persistent_volume_claim_create(f, body);
    if (str_empty(was->volume_name))
        munged.volume_name = was->volume_name;
    if (munged.storage_class_name && !was->storage_class_name)
        munged.storage_class_name = NULL;
    if (bound && munged.resources.requests.len > 0)
        quantity_map_set(&munged.resources.requests, a, "storage", old_size);
    if (bound && munged.volume_attributes_class_name)
        munged.volume_attributes_class_name = was->volume_attributes_class_name;
    if (!api_equal(&api_type_persistent_volume_claim_spec, &munged, was)) {
        AUTO_SBUF changed = { 0 };
        add_changed_fields(&changed, "spec.", &api_type_persistent_volume_claim_spec, &munged, was);
        find_forbidden(f, p,
                       "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound "
                       "claims\nchanged: %s",
                       sbuf_str(&changed));
    }
    if (quantity_cmp(size, old_size) < 0 && quantity_cmp(size, quantity_map_get(&old->status.capacity, "storage")) <= 0)
        find_forbidden(f, AT(AT(AT(p, "resources"), "requests"), "storage"), "field can not be less than status.capacity");
    if (!same_nullable(pvc->spec.volume_mode, was->volume_mode))
        check_str_immutable(f, AT(NULL, "volumeMode"), pvc->spec.volume_mode, was->volume_mode);
    if (was->volume_attributes_class_name) {
        const struct path *at = AT(p, "volumeAttributesClassName");
        if (!pvc->spec.volume_attributes_class_name)
            find_forbidden(f, at, "update from non-nil value to nil is forbidden");
        else if (!*pvc->spec.volume_attributes_class_name && *was->volume_attributes_class_name)
            find_forbidden(f, at, "update from non-nil value to an empty string is forbidden");
    }
}

void
persistent_volume_claim_status(struct findings *f, const void *body, const void *old)
{
    const struct persistent_volume_claim_status *s = &((const struct persistent_volume_claim *)body)->status;
    const struct path *p = AT(AT(NULL, "status"), "capacity");

    for (uint32_t i = 0; i < s->capacity.len; i++)
        if (quantity_sign(s->capacity.items[i].value) < 0)
            find_invalid_int(f, AT_KEY(p, s->capacity.items[i].key), quantity_value(s->capacity.items[i].value),
                             "must be a valid resource quantity");
    for (uint32_t i = 0; i < s->allocated_resources.len; i++)
        check_quantity_value(f, AT_KEY(AT(AT(NULL, "status"), "allocatedResources"), s->allocated_resources.items[i].key),
                             "storage", s->allocated_resources.items[i].value);
}

/* ---- volumes ---- */

static void
check_pv_secret(struct findings *f, const struct path *p, const struct secret_reference *ref)
{
    if (!ref)
        return;
    check_required_name(f, AT(p, "name"), NAME_DNS_SUBDOMAIN, ref->name);
    check_required_name(f, AT(p, "namespace"), NAME_DNS_LABEL, ref->namespace);
}

static void
check_pv_csi(struct findings *f, const struct path *p, const struct csi_persistent_volume_source *v)
{
    check_csi_driver_name(f, AT(p, "driver"), v->driver);
    check_required(f, AT(p, "volumeHandle"), v->volume_handle);
    check_pv_secret(f, AT(p, "controllerPublishSecretRef"), v->controller_publish_secret_ref);
    check_pv_secret(f, AT(p, "controllerExpandSecretRef"), v->controller_expand_secret_ref);
    check_pv_secret(f, AT(p, "nodePublishSecretRef"), v->node_publish_secret_ref);
    check_pv_secret(f, AT(p, "nodeExpandSecretRef"), v->node_expand_secret_ref);
}

/* Fields that a source cannot do without; the few with more rules come after. */
static void
check_pv_fields(struct findings *f, const struct path *p, const struct persistent_volume_source *v, const char *pv_name)
{
    const struct {
        const void *source;
        const char *name;
        struct {
            const char *field, *value;
        } required[3];
    } rows[] = {
        { v->gce_persistent_disk, "persistentDisk",
          { { "pdName", v->gce_persistent_disk ? v->gce_persistent_disk->pd_name : NULL } } },
        { v->aws_elastic_block_store, "awsElasticBlockStore",
          { { "volumeID", v->aws_elastic_block_store ? v->aws_elastic_block_store->volume_id : NULL } } },
        { v->glusterfs, "glusterfs",
          { { "endpoints", v->glusterfs ? v->glusterfs->endpoints : NULL }, { "path", v->glusterfs ? v->glusterfs->path : NULL } } },
        { v->nfs, "nfs", { { "server", v->nfs ? v->nfs->server : NULL }, { "path", v->nfs ? v->nfs->path : NULL } } },
        { v->rbd, "rbd", { { "image", v->rbd ? v->rbd->image : NULL } } },
        { v->quobyte, "quobyte", { { "volume", v->quobyte ? v->quobyte->volume : NULL } } },
        { v->cinder, "cinder", { { "volumeID", v->cinder ? v->cinder->volume_id : NULL } } },
        { v->flex_volume, "flexVolume", { { "driver", v->flex_volume ? v->flex_volume->driver : NULL } } },
        { v->azure_file, "azureFile",
          { { "secretName", v->azure_file ? v->azure_file->secret_name : NULL },
            { "shareName", v->azure_file ? v->azure_file->share_name : NULL } } },
        { v->vsphere_volume, "vsphereVolume", { { "volumePath", v->vsphere_volume ? v->vsphere_volume->volume_path : NULL } } },
        { v->photon_persistent_disk, "photonPersistentDisk",
          { { "pdID", v->photon_persistent_disk ? v->photon_persistent_disk->pd_id : NULL } } },
        { v->portworx_volume, "portworxVolume", { { "volumeID", v->portworx_volume ? v->portworx_volume->volume_id : NULL } } },
        { v->scale_io, "scaleIO",
          { { "gateway", v->scale_io ? v->scale_io->gateway : NULL },
            { "system", v->scale_io ? v->scale_io->system : NULL },
            { "volumeName", v->scale_io ? v->scale_io->volume_name : NULL } } },
        { v->local, "local", { { "path", v->local ? v->local->path : NULL } } },
        { v->storageos, "storageos", { { "volumeName", v->storageos ? v->storageos->volume_name : NULL } } },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t k = 0; rows[i].source && k < ARRAY_LEN(rows[i].required) && rows[i].required[k].field; k++)
            check_required(f, AT(AT(p, rows[i].name), rows[i].required[k].field), rows[i].required[k].value);
    if (v->nfs && !str_has_prefix(v->nfs->path, "/"))
        find_invalid(f, AT(AT(p, "nfs"), "path"), v->nfs->path, "must be an absolute path");
    if (v->rbd && v->rbd->monitors.len == 0)
        find_required(f, AT(AT(p, "rbd"), "monitors"), "");
    if (v->cephfs && v->cephfs->monitors.len == 0)
        find_required(f, AT(AT(p, "cephfs"), "monitors"), "");
    if (v->local)
        check_no_backsteps(f, AT(AT(p, "local"), "path"), v->local->path);
    if (v->host_path)
        check_host_path(f, AT(p, "hostPath"), v->host_path);
    if (v->iscsi)
        check_iscsi(f, AT(p, "iscsi"), v->iscsi->target_portal, v->iscsi->iqn, v->iscsi->lun,
                    v->iscsi->chap_auth_discovery || v->iscsi->chap_auth_session, v->iscsi->secret_ref,
                    v->iscsi->initiator_name);
    if (v->iscsi && v->iscsi->initiator_name &&
        strlen(str_safe(pv_name)) + 1 + strlen(str_safe(v->iscsi->target_portal)) > 64)
        find_invalid(f, AT(AT(p, "iscsi"), "targetportal"), v->iscsi->target_portal,
                     "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
                     "iscsi.initiatorName is specified.");
    if (v->fc)
        check_fc(f, AT(p, "fc"), v->fc);
    if (v->azure_disk)
        check_azure_disk(f, AT(p, "azureDisk"), v->azure_disk);
    if (v->csi)
        check_pv_csi(f, AT(p, "csi"), v->csi);
}

/* Every row of persistent_volume_source is a pointer to one kind of volume. */
static void
check_one_source(struct findings *f, const struct path *p, const struct persistent_volume_source *v)
{
    const struct api_type *t = &api_type_persistent_volume_source;
    unsigned have = 0;

    for (uint16_t i = 0; i < t->nfields; i++) {
        if (!*(void *const *)((const char *)v + t->fields[i].offset))
            continue;
        if (have++)
            find_forbidden(f, AT(p, t->fields[i].json), "may not specify more than 1 volume type");
    }
    if (have == 0)
        find_required(f, p, "must specify a volume type");
}

void
persistent_volume_create(struct findings *f, const void *body)
{
    static const char *const storage[] = { "storage", NULL };
    const struct persistent_volume *pv = body;
    const struct persistent_volume_spec *s = &pv->spec;
    const struct path *p = AT(NULL, "spec");

    check_access_modes(f, AT(p, "accessModes"), &s->access_modes, "");
    if (s->capacity.len == 0)
        find_required(f, AT(p, "capacity"), "");
    if (!quantity_map_has(&s->capacity, "storage") || s->capacity.len > 1)
        find_unsupported(f, AT(p, "capacity"), s->capacity.len ? s->capacity.items[0].key : "", storage);
    for (uint32_t i = 0; i < s->capacity.len; i++)
        check_positive_quantity(f, AT_KEY(AT(p, "capacity"), s->capacity.items[i].key), s->capacity.items[i].value);
    check_enum(f, AT(p, "persistentVolumeReclaimPolicy"), s->persistent_volume_reclaim_policy, reclaim_policies, false);
    if (s->node_affinity) {
        if (s->node_affinity->required)
            check_node_selector(f, AT(AT(p, "nodeAffinity"), "required"), s->node_affinity->required);
        else
            find_required(f, AT(AT(p, "nodeAffinity"), "required"), "must specify required node constraints");
    }
    check_one_source(f, p, &s->persistent_volume_source);
    check_pv_fields(f, p, &s->persistent_volume_source, pv->metadata.name);
    if (s->persistent_volume_source.local && !s->node_affinity)
        find_required(f, AT(p, "nodeAffinity"), "Local volume requires node affinity");
    const struct host_path_volume_source *host = s->persistent_volume_source.host_path;
    if (host && str_eq(host->path, "/") && str_eq(s->persistent_volume_reclaim_policy, "Recycle"))
        find_forbidden(f, AT(p, "persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'");
    check_optional_name(f, AT(p, "storageClassName"), NAME_DNS_SUBDOMAIN, s->storage_class_name);
    if (s->volume_mode && !is_one_of(s->volume_mode, volume_modes))
        find_unsupported(f, AT(p, "volumeMode"), s->volume_mode, volume_modes);
    if (s->volume_attributes_class_name) {
        if (!*s->volume_attributes_class_name)
            find_required(f, AT(p, "volumeAttributesClassName"), "an empty string is disallowed");
        else
            check_name(f, AT(p, "volumeAttributesClassName"), NAME_DNS_SUBDOMAIN, s->volume_attributes_class_name);
        if (!s->persistent_volume_source.csi)
            find_required(f, AT(p, "csi"), "has to be specified when using volumeAttributesClassName");
    }
}

void
persistent_volume_update(struct findings *f, const void *body, const void *old)
{
    const struct persistent_volume_spec *now = &((const struct persistent_volume *)body)->spec;
    const struct persistent_volume_spec *was = &((const struct persistent_volume *)old)->spec;
    struct persistent_volume_source munged = now->persistent_volume_source;
    struct csi_persistent_volume_source csi;

    persistent_volume_create(f, body);
    if (munged.csi && was->persistent_volume_source.csi && !was->persistent_volume_source.csi->controller_expand_secret_ref) {
        csi = *munged.csi;
        csi.controller_expand_secret_ref = NULL;
        munged.csi = &csi;
    }
    if (!api_equal(&api_type_persistent_volume_source, &munged, &was->persistent_volume_source))
        find_forbidden(f, AT(AT(NULL, "spec"), "persistentvolumesource"),
                       "spec.persistentvolumesource is immutable after creation");
    if (!same_nullable(now->volume_mode, was->volume_mode))
        check_str_immutable(f, AT(NULL, "volumeMode"), now->volume_mode, was->volume_mode);
    if (was->node_affinity && (!now->node_affinity ||
                               !api_equal(&api_type_volume_node_affinity, now->node_affinity, was->node_affinity)))
        find_invalid_struct(f, AT(NULL, "nodeAffinity"), &api_type_volume_node_affinity, now->node_affinity,
                            IMMUTABLE_MSG ", except for updating from beta label to GA");
}

/* ---- storage.k8s.io ---- */

void
storage_class_create(struct findings *f, const void *body)
{
    static const char *const binding[] = { "Immediate", "WaitForFirstConsumer", NULL };
    static const char *const reclaim[] = { "Delete", "Retain", NULL };
    const struct storage_class *sc = body;
    uint64_t size = 0;

    if (check_required(f, AT(NULL, "provisioner"), sc->provisioner)) {
        AUTO_FREE char *lower = str_lower(sc->provisioner);
        const char *why[NAME_MAX_ERRORS];
        unsigned n = name_check(NAME_QUALIFIED, lower, why);
        for (unsigned i = 0; i < n; i++)
            find_invalid(f, AT(NULL, "provisioner"), sc->provisioner, "%s", why[i]);
    }
    if (sc->parameters.len > 512)
        find_too_long(f, AT(AT(NULL, "provisioner"), "parameters"), 512);
    for (uint32_t i = 0; i < sc->parameters.len; i++) {
        if (str_empty(sc->parameters.items[i].key))
            find_invalid(f, AT(NULL, "parameters"), "", "field can not be empty.");
        size += strlen(sc->parameters.items[i].key) + strlen(str_safe(sc->parameters.items[i].value));
    }
    if (size > 256 * 1024)
        find_too_long(f, AT(NULL, "parameters"), 256 * 1024);
    if (sc->reclaim_policy && !is_one_of(sc->reclaim_policy, reclaim))
        find_unsupported(f, AT(NULL, "reclaimPolicy"), sc->reclaim_policy, reclaim);
    if (!sc->volume_binding_mode)
        find_required(f, AT(NULL, "volumeBindingMode"), "");
    else if (!is_one_of(sc->volume_binding_mode, binding))
        find_unsupported(f, AT(NULL, "volumeBindingMode"), sc->volume_binding_mode, binding);
    for (uint32_t i = 0; i < sc->allowed_topologies.len; i++) {
        const struct topology_selector_term *t = &sc->allowed_topologies.items[i];
        for (uint32_t k = 0; k < t->match_label_expressions.len; k++) {
            const struct path *p = AT_INDEX(AT(AT_INDEX(AT(NULL, "allowedTopologies"), i), "matchLabelExpressions"), k);
            if (t->match_label_expressions.items[k].values.len == 0)
                find_required(f, AT(p, "values"), "");
            check_label_key(f, AT(p, "key"), t->match_label_expressions.items[k].key);
        }
    }
}

void
storage_class_update(struct findings *f, const void *body, const void *old_body)
{
    const struct storage_class *now = body, *old = old_body;

    if (!maps_equal(&now->parameters, &old->parameters))
        find_forbidden(f, AT(NULL, "parameters"), "updates to parameters are forbidden.");
    if (!str_eq(now->provisioner, old->provisioner))
        find_forbidden(f, AT(NULL, "provisioner"), "updates to provisioner are forbidden.");
    if (!str_eq(now->reclaim_policy, old->reclaim_policy))
        find_forbidden(f, AT(NULL, "reclaimPolicy"), "updates to reclaimPolicy are forbidden.");
    check_str_immutable(f, AT(NULL, "volumeBindingMode"), now->volume_binding_mode, old->volume_binding_mode);
}

void
csi_driver_create(struct findings *f, const void *body)
{
    static const char *const modes[] = { "Ephemeral", "Persistent", NULL };
    static const char *const policies[] = { "File", "None", "ReadWriteOnceWithFSType", NULL };
    const struct csi_driver *d = body;
    const struct path *p = AT(NULL, "spec");

    check_csi_driver_name(f, AT(AT(NULL, "metadata"), "name"), d->metadata.name);
    if (!d->spec.attach_required)
        find_required(f, AT(p, "attachedRequired"), "");
    if (!d->spec.pod_info_on_mount)
        find_required(f, AT(p, "podInfoOnMount"), "");
    if (!d->spec.storage_capacity)
        find_required(f, AT(p, "storageCapacity"), "");
    if (d->spec.fs_group_policy && !is_one_of(d->spec.fs_group_policy, policies))
        find_unsupported(f, AT(p, "fsGroupPolicy"), d->spec.fs_group_policy, policies);
    for (uint32_t i = 0; i < d->spec.volume_lifecycle_modes.len; i++)
        if (!is_one_of(d->spec.volume_lifecycle_modes.items[i], modes))
            find_unsupported(f, AT(p, "volumeLifecycleModes"), d->spec.volume_lifecycle_modes.items[i], modes);
    for (uint32_t i = 0; i < d->spec.token_requests.len; i++) {
        const int64_t *seconds = d->spec.token_requests.items[i].expiration_seconds;
        if (seconds && *seconds < 600)
            find_invalid_int(f, AT(AT_INDEX(AT(p, "tokenRequests"), i), "expirationSeconds"), *seconds,
                             "may not specify a duration less than 10 minutes");
    }
}

static bool
same_bool(const bool *a, const bool *b)
{
    return !a == !b && (!a || *a == *b);
}

static void
find_bool_immutable(struct findings *f, const struct path *p, const bool *now, const bool *old)
{
    if (same_bool(now, old))
        return;
    if (now)
        find_invalid_bool(f, p, *now, IMMUTABLE_MSG);
    else
        find_invalid_null(f, p, IMMUTABLE_MSG);
}

void
csi_driver_update(struct findings *f, const void *body, const void *old)
{
    const struct csi_driver_spec *now = &((const struct csi_driver *)body)->spec, *was = &((const struct csi_driver *)old)->spec;
    const struct path *p = AT(NULL, "spec");

    csi_driver_create(f, body);
    find_bool_immutable(f, AT(p, "attachedRequired"), now->attach_required, was->attach_required);
    if (!slices_equal(&now->volume_lifecycle_modes, &was->volume_lifecycle_modes))
        find_invalid_list(f, AT(p, "volumeLifecycleModes"), &now->volume_lifecycle_modes, IMMUTABLE_MSG);
}

void
csi_node_create(struct findings *f, const void *body)
{
    const struct csi_node_spec *s = &((const struct csi_node *)body)->spec;
    const struct path *p = AT(AT(NULL, "spec"), "drivers");

    for (uint32_t i = 0; i < s->drivers.len; i++) {
        const struct csi_node_driver *d = &s->drivers.items[i];
        const struct path *at = AT_INDEX(p, i);
        check_csi_driver_name(f, AT(at, "name"), d->name);
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(s->drivers.items[k].name, d->name)) {
                find_duplicate(f, AT(at, "name"), d->name);
                break;
            }
        check_required(f, AT(at, "nodeID"), d->node_id);
        if (strlen(str_safe(d->node_id)) > 256)
            find_invalid(f, AT(at, "nodeID"), d->node_id, "must be 256 characters or less");
        for (uint32_t k = 0; k < d->topology_keys.len; k++)
            check_label_key(f, AT_INDEX(AT(at, "topologyKeys"), k), d->topology_keys.items[k]);
    }
}

void
volume_attachment_create(struct findings *f, const void *body)
{
    const struct volume_attachment_spec *s = &((const struct volume_attachment *)body)->spec;
    const struct path *p = AT(NULL, "spec");

    check_csi_driver_name(f, AT(p, "attacher"), s->attacher);
    if (!s->source.inline_volume_spec && !s->source.persistent_volume_name)
        find_required(f, AT(p, "source"), "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
    else if (s->source.inline_volume_spec && s->source.persistent_volume_name)
        find_forbidden(f, AT(p, "source"), "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
    else if (s->source.persistent_volume_name)
        check_required_name(f, AT(AT(p, "source"), "persistentVolumeName"), NAME_DNS_SUBDOMAIN,
                            s->source.persistent_volume_name);
    check_name(f, AT(p, "nodeName"), NAME_DNS_SUBDOMAIN, s->node_name);
}

void
volume_attachment_update(struct findings *f, const void *body, const void *old)
{
    const struct volume_attachment_spec *now = &((const struct volume_attachment *)body)->spec;

    volume_attachment_create(f, body);
    if (!api_equal(&api_type_volume_attachment_spec, now, &((const struct volume_attachment *)old)->spec))
        find_invalid_struct(f, AT(NULL, "spec"), &api_type_volume_attachment_spec, now, IMMUTABLE_MSG);
}

void
csi_storage_capacity_create(struct findings *f, const void *body)
{
    const struct csi_storage_capacity *c = body;

    check_label_selector(f, AT(NULL, "nodeTopology"), c->node_topology);
    check_required_name(f, AT(NULL, "storageClassName"), NAME_DNS_SUBDOMAIN, c->storage_class_name);
    if (c->capacity && quantity_sign(*c->capacity) < 0)
        find_invalid(f, AT(NULL, "capacity"), quantity_text(*c->capacity), NEGATIVE_MSG);
    if (c->maximum_volume_size && quantity_sign(*c->maximum_volume_size) < 0)
        find_invalid(f, AT(NULL, "maximumVolumeSize"), quantity_text(*c->maximum_volume_size), NEGATIVE_MSG);
}
