#!/bin/sh
# A test suite with a real coordinator, in a shell: it starts a server with temporary data on a free port, queues a
# build, plays the runner with curl, and looks at what became of it. The server ends with the script, however that
# ends, and leaves nothing.
#
#   BATON=target/debug/baton sh examples/test_suite.sh
set -eu

baton=${BATON:-baton}
work=$(mktemp -d)
server=
clean_up() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# field JSON NAME: the value of a field.
field() {
    printf '%s' "$1" | sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p"
}

# is WHAT GOT EXPECTED
is() {
    if [ "$2" != "$3" ]; then
        printf 'not ok - %s: %s, but expected %s\n' "$1" "$2" "$3"
        exit 1
    fi
    printf 'ok - %s\n' "$1"
}

# The server writes a line of JSON to descriptor 3 as soon as it serves. A pipe waits for that, without polling.
mkfifo "$work/ready"
"$baton" serve --ephemeral --ready-fd 3 3>"$work/ready" >/dev/null 2>"$work/log" &
server=$!
ready=$(cat "$work/ready")
if [ -z "$ready" ]; then
    cat "$work/log"
    exit 1
fi
url=$(field "$ready" url)/ci/api/v1
registration_token=$(field "$ready" registration_token)
# From here on, commands work on the server's data.
BATON_DATA=$(field "$ready" data)
export BATON_DATA

"$baton" project add demo >/dev/null
build=$(field "$("$baton" build add --project demo --script 'make test' --json)" id)
is 'the build waits' "$(field "$("$baton" build show "$build" --json)" status)" pending

# A runner registers, asks for work, and sends a log.
runner_token=$(field "$(curl -sS "$url/runners/register.json" -d "token=$registration_token")" token)
job=$(curl -sS "$url/builds/register.json" -d "token=$runner_token" -o "$work/job" -w '%{http_code}')
is 'the runner gets a build' "$job" 201
is 'the build runs' "$(field "$("$baton" build show "$build" --json)" status)" running
sent=$(curl -sS -X PATCH "$url/builds/$build/trace.txt" -H "BUILD-TOKEN: $runner_token" -H 'Content-Range: 0-12' \
    --data-binary 'all is well
' -o /dev/null -w '%{http_code}')
is 'the log is stored' "$sent" 202
ended=$(curl -sS -X PUT "$url/builds/$build.json" -d "token=$runner_token" -d state=success -o /dev/null -w '%{http_code}')
is 'the end is stored' "$ended" 200

is 'the build is green' "$(field "$("$baton" build show "$build" --json)" status)" success
is 'the log is what was sent' "$("$baton" build log "$build")" 'all is well'

kill "$server"
wait "$server"
server=
is 'nothing is left' "$(ls "$BATON_DATA" 2>/dev/null | wc -l | tr -d ' ')" 0
