#!/bin/bash
# Keep so many workers queued or running: pool.sh 20 [slurm|pbs]. It starts those that lack, and ends none.
# It may be stopped and started as one likes: what there is it asks the batch system.
set -euo pipefail
wanted=${1:?how many workers}
system=${2:-slurm}
here=$(cd "$(dirname "$0")" && pwd)
pause=${MUSCATE_POOL_SECONDS:-60}

count() {
    case $system in
        slurm) squeue --noheader --me --name=muscate-worker --states=PENDING,RUNNING,CONFIGURING | wc -l ;;
        pbs) qselect -u "$(id -un)" -N muscate-worker -s QR | wc -l ;;
        *) echo "pool.sh: $system: neither slurm nor pbs" >&2; return 1 ;;
    esac
}

submit() {
    case $system in
        slurm) sbatch --quiet "$here/worker.slurm" ;;
        pbs) qsub "$here/worker.pbs" >/dev/null ;;
    esac
}

count >/dev/null
while :; do
    # A batch system that does not answer is asked again; what is unknown is not taken for none.
    if there=$(count); then
        for ((n = there; n < wanted; n++)); do
            submit || break
        done
    fi
    [ "$pause" = 0 ] && break
    sleep "$pause"
done
