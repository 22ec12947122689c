import type { AgentErrorCode } from '../../errors.ts';
import type { Explanation } from './explanation.ts';
import type { KeyCode } from './keys.ts';
import type { TokenCode } from './tokens.ts';

type AgentCode = Exclude<AgentErrorCode, KeyCode | TokenCode | `ERR_REQUEST_${string}` | `ERR_POLICY_${string}`>;

const SEE_DAEMON = "See the daemon\'s log.";

/** The command line, files, the agent itself, OpenVPN\'s management interface. */
export const AGENT: Readonly<Record<AgentCode, Explanation>> = {
  ERR_USAGE: {
    what: 'The command line, or a value in it, is not as it must be.',
    causes: [
      {
        why: 'An option is mistyped, or two do not go together.',
        cure: 'pksigd COMMAND --help lists them; man pksigd-COMMAND says more.',
      },
      { why: 'Nothing says which key of a token is meant.', reason: 'no-key' },
      {
        why: 'The words behind management-external-cert in the .ovpn, which choose a certificate, can not be read.',
        cure: 'The message says which; docs/CERTIFICATES.md lists them.',
      },
      { why: 'Every user could connect where a daemon is to.', reason: 'open-listener' },
      { why: "The .ovpn has OpenVPN ask for the token's key, or names none.", reason: 'no-key' },
      { why: 'enrol has no name for the certificate.', reason: 'no-subject' },
      { why: 'A key says its public key only after a login.', reason: 'no-login-nor-certificate' },
    ],
  },
  ERR_CONFIG: {
    what: "The configuration file, or OpenVPN\'s, has a mistake. The message has file and line.",
    causes: [
      { why: 'A key or section is mistyped.', cure: 'pksigd config check says each mistake, with what was meant.' },
      {
        why: 'The .ovpn has no management directive, or what contradicts management-external-key.',
        cure: 'pksigd check prints the lines for it.',
      },
      { why: "'key', 'pkcs12' or 'pkcs11-id' is left in the .ovpn.", cure: "Remove it: the key is pksigd's." },
    ],
  },
  ERR_CONFIG_NOT_FOUND: {
    what: 'A configuration file is not there, or a file of CAs that it names.',
    causes: [
      {
        why: 'Its path is mistyped, or a pattern fits nothing.',
        cure: 'Correct it; in a shell a pattern stands in quotes.',
      },
      { why: 'Its file system is mounted late.', cure: 'Nothing: under systemd pksigd is started again.' },
    ],
  },
  ERR_STATE_DIRECTORY: {
    what: 'There is no private folder to write logins down in, so no login is made: a wrong PIN could lock the card.',
    causes: [
      { why: 'The folder can not be made or written, or others could.', reason: 'state-directory' },
      {
        why: 'A service user has no home.',
        cure: 'Write StateDirectory=pksigd into the unit, or give --state-directory.',
      },
      { why: 'The disk is full.', cure: 'Make room.' },
    ],
  },
  ERR_ABORTED: {
    what: 'It was given up: by Ctrl-C, a signal, or because it was not wanted any more.',
    causes: [{ why: 'Somebody ended it.', cure: 'Nothing.' }],
  },
  ERR_LOCKED: {
    what: 'The agent is locked: every request gets an empty answer at once.',
    causes: [{ why: 'Somebody called pksigd lock.', cure: 'pksigd unlock' }],
  },
  ERR_ANSWER: {
    what: 'The daemon asks for a password or code, and its source gives none.',
    causes: [
      {
        why: "The file or command of --auth-user-pass, --askpass or a proxy's option fails.",
        cure: "Read or run it by hand as the agent's user: docs/QUESTIONS.md.",
      },
      { why: 'The server wants a one-time code.', reason: 'no-challenge-command' },
    ],
  },
  ERR_ANSWER_REFUSED: {
    what: 'Username, password or code were refused by the server. They are not sent again until they change.',
    causes: [{ why: 'They are wrong, or the account is locked.', reason: 'refused-login' }],
  },
  ERR_AUDIT_FILE: {
    what: 'The audit log can not be used.',
    causes: [
      {
        why: 'It can not be written by this user, or others can read or write it.',
        cure: "Put it into a folder of the agent's own, mode 0700.",
      },
      {
        why: 'Its last lines are not as this agent left them.',
        cure: 'pksigd audit verify FILE says what is wrong; move the file away to begin a new one.',
      },
    ],
  },
  ERR_AUDIT_IN_USE: {
    what: 'Another agent writes this audit log.',
    causes: [{ why: 'Two agents have the same --audit.', cure: 'Give each its own.' }],
  },
  ERR_AUDIT_WRITE: {
    what: 'A line of the audit log could not be written, so what it was to tell of did not happen.',
    causes: [
      {
        why: 'The disk is full or broken.',
        cure: 'Make room: the agent goes on by itself. --audit-on-failure continue signs all the same.',
      },
    ],
  },
  ERR_AUDIT_CHAIN: {
    what: 'The audit log is not as it was written: lines were changed, dropped, moved or cut off.',
    causes: [
      { why: 'Somebody edited it.', cure: 'Ask who; the lines before are still sure.' },
      { why: 'A file of it is missing.', cure: 'Give all files: pksigd audit verify audit.log*.' },
    ],
  },
  ERR_CONTROL_CONNECT: {
    what: 'No agent was found, or its control socket can not be used.',
    causes: [
      { why: 'None runs.', cure: 'systemctl status pksigd' },
      { why: "It is another user's.", cure: 'Run the command as that user, or start the agent with --control-group.' },
      {
        why: 'It was started with another --control, or without a runtime directory.',
        cure: 'Give --control PATH to both.',
      },
    ],
  },
  ERR_CONTROL_PROTOCOL: {
    what: 'What answers on the control socket is no agent of this release.',
    causes: [{ why: 'pksigd was updated, and the agent not restarted.', cure: 'Restart it.' }],
  },
  ERR_CONTROL_BUSY: {
    what: 'Too many ask the agent at a time.',
    causes: [{ why: 'Something asks in a loop.', cure: 'Try again; --metrics is for what asks often.' }],
  },
  ERR_MANAGEMENT_ADDRESS: {
    what: 'The address of the management interface can not be used.',
    causes: [
      {
        why: 'The path is too long for a unix socket (107 bytes), or port or address is mistyped.',
        cure: "Write it as in the .ovpn: 'ADDRESS PORT' or 'PATH unix'.",
      },
      {
        why: 'pksigd is to listen at a path where something lies that is not a socket.',
        cure: 'Name another one; it is not removed.',
      },
    ],
  },
  ERR_MANAGEMENT_CONNECT: {
    what: "There is no connection to the daemon\'s management interface. run goes on trying.",
    causes: [
      {
        why: 'OpenVPN does not run, or with another management address.',
        cure: 'Start it; --openvpn-config takes the address from its own file.',
      },
      {
        why: 'This user may not use the socket, or not enter its folder (EACCES).',
        cure: "Put the socket into a folder that the agent's user can enter, and see management-client-user and -group in the .ovpn.",
      },
    ],
  },
  ERR_MANAGEMENT_LISTEN: {
    what: 'pksigd can not listen there.',
    causes: [
      { why: 'The folder is not there, or not for this user.', cure: 'Make it: RuntimeDirectory= in a unit does.' },
      { why: 'The address is not of this machine, or the port is for root.', cure: 'Give another one.' },
    ],
  },
  ERR_MANAGEMENT_IN_USE: {
    what: 'Another process listens there.',
    causes: [
      {
        why: 'A second pksigd, or OpenVPN itself: with --management-client pksigd listens, and OpenVPN connects.',
        cure: 'End the other one (ss -lp), or leave --management-client out.',
      },
    ],
  },
  ERR_MANAGEMENT_CLOSED: {
    what: 'The daemon ended the connection.',
    causes: [
      { why: 'It ended or restarted.', cure: SEE_DAEMON },
      { why: 'Something else than OpenVPN listens on that port.', cure: 'See what: ss -ltnp.' },
      { why: 'management-client-user or -group names somebody else.', cure: "Name the agent's user." },
    ],
  },
  ERR_MANAGEMENT_PASSWORD: {
    what: 'The management password is wrong, missing, or can not be read.',
    causes: [
      {
        why: 'The daemon wants one, and none was given.',
        cure: 'Name the password file behind address and port: --management 127.0.0.1 7505 /etc/openvpn/mgmt.pw.',
      },
      {
        why: 'The files differ.',
        cure: 'OpenVPN reads the first line of the file that its management directive names.',
      },
      { why: 'The password itself stands there.', cure: 'Write it into a file, and give that; change it.' },
    ],
  },
  ERR_MANAGEMENT_PEER: {
    what: "The other end is not of root, of the agent's user or of --management-user: it is neither signed for nor told a password.",
    causes: [
      { why: 'OpenVPN is started as another user.', reason: 'foreign-daemon' },
      { why: 'The system does not tell whose it is.', reason: 'unknown-daemon' },
      {
        why: 'The system can not be asked at the moment: the agent may open no more files (EMFILE).',
        cure: 'Raise its limit: LimitNOFILE= in its unit, ulimit -n in a shell.',
      },
      {
        why: 'Another user can put a socket in its place: a folder on the way can be written by others.',
        cure: "Put it into a folder of root's, mode 0755 or less.",
      },
    ],
  },
  ERR_MANAGEMENT_PROTOCOL: {
    what: "What came is no line of OpenVPN's management interface.",
    causes: [
      {
        why: 'Something else listens on that port.',
        cure: 'The message has its first words; ss -ltnp says what it is. Give --management what stands behind management in the .ovpn.',
      },
    ],
  },
  ERR_MANAGEMENT_COMMAND: {
    what: 'OpenVPN said ERROR to a command.',
    causes: [
      {
        why: 'This release does not know it, or not in this state.',
        cure: 'pksigd management … -- help lists what it knows.',
      },
    ],
  },
  ERR_MANAGEMENT_TIMEOUT: {
    what: 'OpenVPN did not answer in time.',
    causes: [
      {
        why: 'Another management client has its only seat: a second pksigd, a GUI, a monitor, telnet.',
        cure: 'End it, or let it in behind pksigd by --relay.',
      },
      { why: 'OpenVPN stands still, as while it looks up a name.', cure: SEE_DAEMON },
    ],
  },
  ERR_MANAGEMENT_ARGUMENT: {
    what: 'A word for OpenVPN has what its lines can not hold, such as a line end, or is too long.',
    causes: [
      {
        why: 'A password or answer is too long or has control characters.',
        cure: 'Shorten it: OpenVPN takes up to 256 bytes.',
      },
    ],
  },
  ERR_MANAGEMENT_LIMIT: {
    what: 'More came than is held: a line or block without end, or too many daemons.',
    causes: [
      { why: 'A further daemon connects than may.', reason: 'too-many-daemons' },
      { why: 'Something else than OpenVPN is at the other end.', cure: 'See what: ss -ltnp.' },
    ],
  },
};
