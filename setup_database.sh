#!/bin/sh
# From an edited .env to a database that Cypher can start on. Run it as often as you like: what is there stays.
#
# Where .env still has the examples, secrets are drawn. Servers that answer are used; else, where they are to be on this
# machine and Docker Compose is there, docker-compose.yml starts them.
set -eu
cd "$(dirname "$0")"
umask 077

readonly POSTGRES_EXAMPLE=change_this_password
readonly REDIS_EXAMPLE=optional_redis_password
readonly MASTER_EXAMPLE=your_super_secure_master_password
readonly KEYS_EXAMPLE=/secure/path/to/keys
readonly PATIENCE=60 # seconds

say() { printf '%s\n' "$*"; }

fail() {
    printf 'setup_database.sh: %s\n' "$*" >&2
    exit 1
}

# setting NAME: its value, the environment before .env; empty where it is not set.
setting() {
    printenv "$1" || sed -n "s/^$1=//p" .env | tail -n 1 | sed -e "s/^'\(.*\)'\$/\1/" -e 's/^"\(.*\)"$/\1/'
}

# replace OLD NEW: put one whole line of .env in the place of another.
replace() {
    OLD=$1 NEW=$2 awk '{ print $0 == ENVIRON["OLD"] ? ENVIRON["NEW"] : $0 }' .env > .env.new
    cat .env.new > .env # keeps owner and mode
    rm .env.new
}

# has EXAMPLE-LINE: whether .env still holds it.
has() { grep -qxF -- "$1" .env; }

compose() {
    if docker compose version > /dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

# The first version of Compose cannot read docker-compose.yml.
has_compose() {
    case $(compose version --short 2> /dev/null) in "" | 1.*) return 1 ;; esac
}

# answers HOST PORT HEX: whether a server there says anything to these bytes. That a port is open says nothing:
# Docker opens it before the server does.
answers() {
    "$python" - "$@" <<'END'
import socket, sys

try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as server:
        server.settimeout(5)
        server.sendall(bytes.fromhex(sys.argv[3]))
        sys.exit(not server.recv(1))
except (OSError, ValueError):
    sys.exit(1)
END
}

postgres_answers() { answers "$postgres_host" "${postgres_port:-5432}" 0000000804d2162f; } # SSLRequest
redis_answers() { answers "$redis_host" "${redis_port:-6379}" 50494e470d0a; }              # PING

is_here() {
    case $1 in localhost | 127.0.0.1 | ::1) return 0 ;; esac
    return 1
}

# wait_for NAME COMMAND...
wait_for() {
    name=$1
    shift
    waited=0
    until "$@"; do
        [ "$waited" -lt "$PATIENCE" ] || fail "$name does not answer after $PATIENCE seconds. Look at: docker-compose logs"
        sleep 1
        waited=$((waited + 1))
    done
    say "$name answers."
}

[ -f .env ] || fail "There is no .env. Copy the example and edit it: cp .env.example .env"
command -v openssl > /dev/null || fail "openssl is missing, which draws the secrets."
if [ -x .venv/bin/cypher ]; then
    cypher=.venv/bin/cypher python=.venv/bin/python
else
    cypher=$(command -v cypher) || fail "Cypher is not installed. Run: make .venv/ready"
    python=$(command -v python3) || fail "python3 is missing."
fi
chmod go-rwx .env

postgres_host=$(setting POSTGRES_HOST) postgres_port=$(setting POSTGRES_PORT)
redis_host=$(setting REDIS_HOST) redis_port=$(setting REDIS_PORT)
[ -n "$postgres_host" ] || fail "POSTGRES_HOST is not set. Without it Cypher runs on embedded servers, and needs no setup."

# Which of the two are ours to start?
ours=
if is_here "$postgres_host" && ! postgres_answers; then ours=postgres; fi
if is_here "$redis_host" && ! redis_answers; then ours="$ours redis"; fi
if [ -n "$ours" ] && ! has_compose; then
    fail "Nothing answers for ${ours# } where .env says, and there is no Docker Compose 2 to start it." \
        "Start the servers, or name others in .env."
fi

case $ours in
    postgres*)
        # Two roles: the service itself can then neither change the schema nor rewrite the audit trail.
        if has "POSTGRES_PASSWORD=$POSTGRES_EXAMPLE" && has '#POSTGRES_MIGRATION_USER='; then
            replace '#POSTGRES_MIGRATION_USER=' POSTGRES_MIGRATION_USER=cypher_owner
            replace '#POSTGRES_MIGRATION_PASSWORD=' "POSTGRES_MIGRATION_PASSWORD=$(openssl rand -hex 32)"
        fi
        replace "POSTGRES_PASSWORD=$POSTGRES_EXAMPLE" "POSTGRES_PASSWORD=$(openssl rand -hex 32)"
        ;;
esac
case $ours in
    *redis) replace "REDIS_PASSWORD=$REDIS_EXAMPLE" "REDIS_PASSWORD=$(openssl rand -hex 32)" ;;
esac
for example in "POSTGRES_PASSWORD=$POSTGRES_EXAMPLE" "REDIS_PASSWORD=$REDIS_EXAMPLE"; do
    ! has "$example" || fail "${example%%=*} in .env is still the example: set the one of your server."
done
replace "MASTER_ENCRYPTION_PASSWORD=$MASTER_EXAMPLE" "MASTER_ENCRYPTION_PASSWORD=$(openssl rand -base64 32)"
replace "KEY_STORE_PATH=$KEYS_EXAMPLE" "KEY_STORE_PATH=$PWD/.keys"

if [ -n "$ours" ]; then
    # shellcheck disable=SC2086
    compose up -d $ours
fi
if is_here "$postgres_host"; then wait_for PostgreSQL postgres_answers; fi
if is_here "$redis_host"; then wait_for Redis redis_answers; fi

"$cypher" init-db --all

say ""
say "The database is ready. Next:"
say "  $cypher serve          starts Cypher on http://$(setting HOST | grep . || echo 127.0.0.1):$(setting PORT | grep . || echo 8080)"
say "  $cypher demo           in a second terminal: what a person sees, beside what the database holds"
say "Keep a copy of MASTER_ENCRYPTION_PASSWORD, which stands in .env, apart from every backup: nobody reads the data without."
