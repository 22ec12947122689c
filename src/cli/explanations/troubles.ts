import type { TroubleKind } from '../../agent/events.ts';
import type { Cause } from './explanation.ts';

/** Why a tunnel is not served, while that lasts, beside what the log itself says (`telemetry/trouble-lines.ts`). */
export const TROUBLES: Readonly<Record<TroubleKind, readonly Cause[]>> = {
  unreachable: [
    {
      why: 'OpenVPN does not run yet, or has another management address.',
      cure: 'Start it; pksigd connects as soon as it is there.',
    },
    { why: 'The socket, or its folder, is not for this user.', cure: 'pksigd explain ERR_MANAGEMENT_CONNECT' },
  ],
  'closed-before-greeting': [
    {
      why: 'OpenVPN turns this user away.',
      cure: "Have management-client-user or -group in the .ovpn name the agent's user.",
    },
  ],
  'seat-taken': [
    {
      why: 'A GUI, a monitor, telnet or a second pksigd is connected.',
      cure: 'End it, or have it connect to --relay.',
    },
  ],
  'no-greeting': [
    {
      why: 'A GUI, a monitor, telnet or a second pksigd is connected.',
      cure: 'End it, or have it connect to --relay.',
    },
  ],
  'short-lived': [{ why: 'OpenVPN restarts again and again.', cure: "See the daemon's log." }],
  'no-daemon': [
    {
      why: 'With --management-client OpenVPN connects to pksigd, and has not.',
      cure: "Write 'management-client' into the .ovpn, with the same address, and start OpenVPN after pksigd.",
    },
    {
      why: "Somebody has removed pksigd's socket: a unit that stopped, with the same RuntimeDirectory=.",
      cure: 'kill -HUP, or pksigd reload: the socket is bound anew.',
    },
  ],
  'key-not-ready': [
    { why: 'The token is away.', cure: 'Put it in.' },
    { why: 'A PIN is waited for, at a terminal or keypad.', cure: 'Type it, or give --pin-source.' },
  ],
  'fruitless-release': [
    {
      why: "'pss' is missing behind management-external-key.",
      cure: "Write 'management-external-key nopadding pkcs1 pss'; pksigd check prints the line for this key.",
    },
    {
      why: 'The server is not reached, or refuses the client before it signs.',
      cure: "See the daemon's log and the server's.",
    },
  ],
  'no-certificate': [
    {
      why: 'management-external-cert is in the .ovpn, and no certificate lies with the key.',
      cure: 'Give --cert FILE.',
    },
  ],
  'certificate-not-chosen': [
    {
      why: 'The words of management-external-cert fit no certificate of the key.',
      cure: 'pksigd keys shows what there is; docs/CERTIFICATES.md has the words.',
    },
  ],
  'password-asked': [
    {
      why: 'management-query-passwords is in the .ovpn.',
      cure: 'Give --auth-user-pass or --askpass, or let another client in by --relay with --relay-allow operate.',
    },
  ],
  'question-asked': [
    { why: 'The server or OpenVPN wants to know something.', cure: 'docs/QUESTIONS.md says which option answers it.' },
  ],
  'answer-missing': [{ why: 'The source of the answer fails.', cure: 'pksigd explain ERR_ANSWER' }],
  'answer-refused': [{ why: 'The answer is wrong.', cure: 'pksigd explain ERR_ANSWER_REFUSED' }],
  'certificate-unanswered': [
    { why: 'No client of the relay has the certificate, and pksigd has none.', cure: 'Give --cert.' },
  ],
  'password-unanswered': [
    {
      why: 'No client of the relay is connected, or it may only read.',
      cure: 'Connect one; --relay-allow operate lets it answer.',
    },
  ],
  'question-unanswered': [
    {
      why: 'No client of the relay is connected, or it may only read.',
      cure: 'Connect one; --relay-allow operate lets it answer.',
    },
  ],
  'token-absent': [{ why: 'The token is not in its reader.', cure: 'Put it in: the agent goes on by itself.' }],
  'key-not-open': [
    {
      why: 'Its token, module or program failed, or what it names is not there: code and error say what.',
      cure: 'pksigd explain CODE. It is tried again after 2 s, then at pauses twice as long, up to 5 minutes; at once by SIGHUP or pksigd reload.',
    },
  ],
};
