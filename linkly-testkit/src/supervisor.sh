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

# The server's process and all that descend from it. Not its process group: Postgres gives each of its
# processes a session.
processes() {
    ps -A -o pid= -o ppid= | awk -v root="$server" '
        { parent[$1] = $2 }
        END {
            for (pid in parent) {
                up = pid
                while (up != root && up in parent && up != parent[up]) up = parent[up]
                if (up == root) print pid
            }
        }' | sort -n
}

# One that is stopped starts no other, so what is found twice in a row is complete.
pause() {
    paused=
    kill -STOP "$server"
    while found=$(processes) && [ "$found" != "$paused" ]; do
        kill -STOP $found
        paused=$found
    done
}

# From a standstill, for what a killed process leaves behind has another parent and is not found. A
# zombie is gone: it waits for its parent alone.
kill_all() {
    [ -n "$server" ] || return
    pause
    kill -KILL $paused
    while ps -o stat= -p "$(echo $paused | tr ' ' ,)" | grep -q '^[^Z]'; do
        sleep 0.005
    done
}

while read -r command argument; do
    case $command in
        server) server=$argument ;;
        end) kill "-$argument" "$server" ;;
        pause) pause ;;
        resume) kill -CONT $(processes) ;;
        kill) kill_all ;;
    esac
    echo "$command"
done
kill_all
rm -rf -- "$folder"
