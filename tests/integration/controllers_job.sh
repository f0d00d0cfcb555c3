#!/usr/bin/env bash
# The Job controller (and TTL after finished) of kube-controller-manager against our apiserver: the script is the kubelet.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
. tests/integration/lib/controllers.sh
lib_start
need_kubectl v35
start_etcd
start_apiserver
start_controllers
until_true k get serviceaccount default
job() { # NAME, SPEC lines from stdin (two blanks in front)
    { printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: %s}\nspec:\n' "$1"; cat; printf '  template:\n    spec: {restartPolicy: %s, terminationGracePeriodSeconds: 1, containers: [{name: c, image: "busybox:1"}]}\n' "${2:-Never}"; } | k apply -f - >/dev/null
}
status() { k get job "$1" -o "jsonpath={.status.$2}"; }
conditions() { k get job "$1" -o 'jsonpath={range .status.conditions[*]}{.type}={.status}/{.reason} {end}'; }
count() { k get pods -l "job-name=$1" --no-headers 2>/dev/null | grep -c "${2:-.}"; }

# --- completions and parallelism
job three <<<$'  completions: 3\n  parallelism: 2'
until_is 2 pods_of three
sees 'finalizers.*batch.kubernetes.io/job-tracking' k get pods -l job-name=three -o 'jsonpath={.items[0].metadata}'
until_is 2 status three active
for p in $(names three); do run_pod "$p"; done
until_is 2 status three ready
end_pod "$(names three | head -n 1)" Succeeded
until_is 1 status three succeeded
until_is 3 pods_of three
for p in $(running three); do end_pod "$p" Succeeded; done
until_is 3 status three succeeded
until_is 3 pods_of three
until_is 'SuccessCriteriaMet=True/CompletionsReached Complete=True/CompletionsReached ' conditions three
prints '{}' status three uncountedTerminatedPods
prints '0' status three terminating
sees '^[0-9]{4}-' status three completionTime
lacks 'job-tracking' k get pods -l job-name=three -o yaml
sees 'Complete +3/3' k get job three
sees 'condition met' k wait --for=condition=complete job/three --timeout=5s
sees 'SuccessfulCreate +job/three +Created pod: three-' k get events
until_sees 'Completed +job/three +Job completed' k get events
works k delete job three
until_is 0 pods_of three

# --- failures: back-off, then the limit
job bad <<<$'  backoffLimit: 0\n  parallelism: 2\n  completions: 2'
until_is 2 pods_of bad
first=$(names bad | head -n 1)
for p in $(names bad); do run_pod "$p"; done
end_pod "$first" Failed 3
until_is 'FailureTarget=True/BackoffLimitExceeded ' conditions bad
reap bad
until_is 'FailureTarget=True/BackoffLimitExceeded Failed=True/BackoffLimitExceeded ' conditions bad
prints 2 status bad failed
until_sees 'Warning +BackoffLimitExceeded +job/bad +Job has reached the specified backoff limit' k get events
job again <<<$'  backoffLimit: 3'
until_is 1 pods_of again
end_pod "$(names again)" Failed 1
until_is 1 status again failed
prints 1 pods_of again
until_is 2 pods_of again # ten seconds later

# --- what a failure means
job picky <<<$'  backoffLimit: 3\n  podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [42]}}]}'
until_is 1 pods_of picky
end_pod "$(names picky)" Failed 42
until_is 'FailureTarget=True/PodFailurePolicy Failed=True/PodFailurePolicy ' conditions picky
sees 'Container c for pod default/picky-.* failed with exit code 42 matching FailJob rule at index 0' k get job picky -o 'jsonpath={.status.conditions[*].message}'

# --- deadline, suspension, TTL
job late <<<$'  activeDeadlineSeconds: 1'
until_is 'FailureTarget=True/DeadlineExceeded Failed=True/DeadlineExceeded ' conditions late
job asleep <<<$'  suspend: true\n  parallelism: 2\n  ttlSecondsAfterFinished: 0\n  completions: 2'
until_is 'Suspended=True/JobSuspended ' conditions asleep
prints 0 pods_of asleep
works k patch job asleep -p '{"spec":{"suspend":false}}'
until_is 'Suspended=False/JobResumed ' conditions asleep
until_is 2 pods_of asleep
works k patch job asleep -p '{"spec":{"suspend":true}}'
until_is 'Suspended=True/JobSuspended ' conditions asleep
until_is 0 pods_of asleep
works k patch job asleep -p '{"spec":{"suspend":false}}'
until_is 2 pods_of asleep
for p in $(names asleep); do end_pod "$p" Succeeded; done
until_true gone job asleep

# --- indexes
job many <<<$'  completionMode: Indexed\n  completions: 4\n  parallelism: 4'
until_is 4 pods_of many
prints '0 1 2 3' eval "k get pods -l job-name=many -o 'jsonpath={range .items[*]}{.metadata.labels.batch\.kubernetes\.io/job-completion-index}{\"\n\"}{end}' | sort | xargs"
sees 'hostname: many-0' k get pods -l batch.kubernetes.io/job-completion-index=0 -o yaml
sees 'name: JOB_COMPLETION_INDEX' k get pods -l batch.kubernetes.io/job-completion-index=0 -o yaml
for i in 0 2 3; do end_pod "$(k get pods -l job-name=many,batch.kubernetes.io/job-completion-index=$i -o name | cut -d/ -f2)" Succeeded; done
until_is '0,2,3' status many completedIndexes
end_pod "$(k get pods -l job-name=many,batch.kubernetes.io/job-completion-index=1 -o name | cut -d/ -f2)" Succeeded
until_is '0-3' status many completedIndexes
until_is 'SuccessCriteriaMet=True/CompletionsReached Complete=True/CompletionsReached ' conditions many

# --- a controller that starts again goes on where it was; orphans lose the finalizer
job rest <<<$'  completions: 2\n  parallelism: 2'
until_is 2 pods_of rest
stop_controllers
for p in $(names rest); do end_pod "$p" Succeeded; done
start_controllers
until_is 'SuccessCriteriaMet=True/CompletionsReached Complete=True/CompletionsReached ' conditions rest
job left <<<$'  completions: 1'
until_is 1 pods_of left
works k delete job left --cascade=orphan
until_true gone job left
until_is '' k get pods -l job-name=left -o 'jsonpath={.items[*].metadata.finalizers}'
prints 1 pods_of left

stop_controllers || fail "the controller manager ended with code $?"
lib_end
