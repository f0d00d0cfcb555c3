#!/usr/bin/env bash
# The CronJob, ReplicationController and ClusterRole aggregation controllers against our apiserver: the script is the kubelet.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
. tests/integration/lib/controllers.sh
lib_start
need_kubectl v35
start_etcd
start_apiserver
start_controllers
until_true k get serviceaccount default
cron() { # NAME SCHEDULE, more lines of spec from stdin
    { printf 'apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: %s}\nspec:\n  schedule: "%s"\n' "$1" "$2"; cat
      printf '  jobTemplate: {spec: {template: {metadata: {labels: {app: %s}}, spec: {restartPolicy: Never, terminationGracePeriodSeconds: 0, containers: [{name: c, image: "busybox:1"}]}}}}\n' "$1"; } | k apply -f - >/dev/null
}
jobs_of() { k get jobs -o "jsonpath={range .items[?(@.metadata.ownerReferences[0].name=='$1')]}{.metadata.name}{'\n'}{end}"; }
njobs() { jobs_of "$1" | grep -c .; true; }
at_least() { [ "$("${@:2}")" -ge "$1" ]; } # N COMMAND...
status() { k get cronjob "$1" -o "jsonpath={.status.$2}"; }
pod_label=app

# --- CronJobs; @every makes the test quick
cron tick '@every 2s' <<<'  successfulJobsHistoryLimit: 1'
UNTIL_S=90 until_true at_least 2 njobs tick # jobs are named by the minute, as upstream's: the second one comes with the next
sees 'batch.kubernetes.io/cronjob-scheduled-timestamp' eval 'k get job "$(jobs_of tick | head -n 1)" -o yaml'
sees '^[0-9]{4}-' status tick lastScheduleTime
works k patch cronjob tick -p '{"spec":{"suspend":true}}'
for _ in 1 2 3; do for p in $(running tick); do end_pod "$p" Succeeded; done; sleep 0.5; done
until_is 1 njobs tick
until_sees '^[0-9]{4}-' status tick lastSuccessfulTime
until_sees 'SuccessfulCreate +cronjob/tick +Created job tick-' k get events
until_sees 'SawCompletedJob +cronjob/tick +Saw completed job: tick-.*, condition: Complete' k get events
cron alone '@every 1s' <<<'  concurrencyPolicy: Forbid'
until_sees 'JobAlreadyActive +cronjob/alone +Not starting job because prior execution is running' k get events
prints 1 njobs alone
cron late '0 0 1 1 *' </dev/null
prints 0 njobs late
works k create job --from=cronjob/late now
until_is 1 pods_of late
works k delete cronjob alone tick late
until_is 0 njobs alone
refuses 'Invalid value' k create cronjob bad --image=i --schedule='61 * * * *'

# --- ReplicationControllers
k apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: ReplicationController
metadata: {name: rc}
spec:
  replicas: 2
  selector: {app: rc}
  template:
    metadata: {labels: {app: rc}}
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "web:1"}]}
YAML
until_is 2 pods_of rc
for p in $(names rc); do run_pod "$p"; done
until_is 2 k get rc rc -o 'jsonpath={.status.readyReplicas}'
works k scale rc rc --replicas=1
until_is 1 pods_of rc
works k delete pod -l app=rc
until_is 1 pods_of rc
works k delete rc rc
until_is 0 pods_of rc

# --- aggregated ClusterRoles
until_sees 'deployments.apps' k describe clusterrole edit
until_sees 'pods/log' k describe clusterrole view
k apply -f - >/dev/null <<'YAML'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: extra, labels: {rbac.authorization.k8s.io/aggregate-to-view: "true"}}
rules: [{apiGroups: [example.com], resources: [things], verbs: [get]}]
YAML
until_sees 'things.example.com' k describe clusterrole view
until_sees 'things.example.com' k describe clusterrole edit
works k delete clusterrole extra
until_true eval '! k describe clusterrole view | grep things.example.com'

stop_controllers || fail "the controller manager ended with code $?"
lib_end
