#!/usr/bin/env bash
# How a shell script uses the service: curl, grep, and nothing that understands JSON.
# Prints the job's id. Ends with 3 if the job has failed.
set -euo pipefail
url=$1 picture=$2 result=$3

curl -fsS "$url/health" | grep -q '"status":"healthy"'

answer=$(printf '{"image_data":"%s","operation":"thumbnail","width":200,"height":200}' \
        "$(base64 -w 0 "$picture")" |
    curl -fsS -X POST "$url/jobs" -H 'Content-Type: application/json' --data-binary @-)
job_id=$(grep -o '"job_id":"[^"]*"' <<<"$answer" | cut -d '"' -f 4)
echo "$job_id"

for _ in $(seq 1 600); do
    job=$(curl -fsS "$url/jobs/$job_id")
    if grep -q '"status":"failed"' <<<"$job"; then
        exit 3
    fi
    if grep -q '"status":"completed"' <<<"$job"; then
        curl -fsS "$url/jobs/$job_id/download" -o "$result"
        exit 0
    fi
    sleep 0.05
done
exit 4
