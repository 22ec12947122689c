#!/usr/bin/env sh
':' /*
# This file is a shell script and, behind the comment's end, the JavaScript that the script starts.
#
# What Node can't do for itself, as it happens before any JavaScript runs:
# - SIGUSR1 opens Node's debugger. Node 20 has no option against that; a debugger that is to listen on an address that no
#   machine has (0.0.0.1) fails to open, whatever comes when.
# - Signals that come before Node starts, and real-time signals at any time, would end the process: they are ignored.
# - A core dump may hold a PIN: there is none, of this process and of all that it starts. A program that gets dumps through a pipe
#   (core(5), core_pattern) gets them whatever the limit is: of memory it gets nothing.
# - NODE_OPTIONS may open a debugger too. It belongs to whoever set it for some other program.
# - NODE_EXTRA_CA_CERTS has Node read hundreds of certificates, for three times the time of its start. We use none; the programs that we
#   start may, and get it back.
ulimit -c 0 2>/dev/null
{ echo 0 >/proc/self/coredump_filter; } 2>/dev/null
command trap '' HUP QUIT USR1 USR2 ALRM VTALRM PROF \
  34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 2>/dev/null
case ${NODE_OPTIONS-} in
*--inspect*) unset NODE_OPTIONS ;;
esac
if [ -n "${NODE_EXTRA_CA_CERTS-}" ]; then
  export PKSIGD_NODE_EXTRA_CA_CERTS="$NODE_EXTRA_CA_CERTS"
  unset NODE_EXTRA_CA_CERTS
fi
exec node --inspect-port=0.0.0.1:65535 -- "$0" "$@"
*/;
process.on('SIGUSR1', () => undefined);
// Node gives all other signals their default back when it starts. These are what people send to daemons; the rest follows.
if (process.argv[2] === 'run') for (const name of ['SIGHUP', 'SIGUSR2', 'SIGALRM', 'SIGQUIT']) process.on(name, () => undefined);
require('../dist/program/main.cjs');
