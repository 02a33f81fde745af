# Ends one server and removes its folder when the kit's process closes the pipe that is standard input
# here: on purpose, or by dying in any way. Started by supervisor.rs with the folder as its argument.
#
# Until then it reads commands, one a line, and answers each with a line:
#   server PID     the process to look after, or none without a PID
#   end SIGNAL     asks the server to end
#   pause          stops all processes of the server as they are
#   resume         lets them go on
#   kill           kills them and answers when they are gone

# A terminal's signals are for the kit's process, and its death must not break a write here.
trap '' HUP INT TERM PIPE
folder=$1
server=

# The server's process and all that descend from it, with their states. Not its process group: Postgres
# gives each of its processes a session.
processes() {
    ps -A -o pid= -o ppid= -o stat= | awk -v root="$server" '
        { parent[$1] = $2; state[$1] = $3 }
        END {
            for (pid in parent) {
                up = pid
                while (up != root && up in parent && up != parent[up]) up = parent[up]
                if (up == root) print pid, state[pid]
            }
        }'
}

ids() { processes | cut -d ' ' -f 1; }

# Stops what is not stopped, until all is: one that writes to its disk stops later than it is told to, and
# one that was about to start another has done so. A zombie is gone, and waits for its parent alone.
pause() {
    while processes | grep -q ' [^TZ]'; do
        kill -STOP $(ids)
    done
}

# From a standstill, for what a killed process leaves behind has another parent and is not found.
kill_all() {
    [ -n "$server" ] || return
    pause
    ids=$(ids)
    kill -KILL $ids
    while ps -o stat= -p "$(echo $ids | tr ' ' ,)" | grep -q '^[^Z]'; do
        sleep 0.005
    done
}

while read -r command argument; do
    case $command in
        server) server=$argument ;;
        end) kill "-$argument" "$server" ;;
        pause) pause ;;
        resume) kill -CONT $(ids) ;;
        kill) kill_all ;;
    esac
    echo "$command"
done
kill_all
rm -rf -- "$folder"
