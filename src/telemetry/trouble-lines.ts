import type { TroubleKind, TroubleSubject } from '../agent/events.ts';

interface TroubleText {
  readonly text: string;
  /** What can be done about it. */
  readonly hint?: string;
}

const NOT_SERVED = 'the daemon is not served';
const SEAT_TAKEN =
  'OpenVPN serves one management client at a time: end the other one (another pksigd?), or let it in by --relay';

const RELAY_HINT = 'is one connected, and may it answer (--relay-allow)?';

/** What the log says of a trouble, each time that it is told. */
export const TROUBLE_TEXTS: Readonly<Record<TroubleKind, TroubleText>> = {
  unreachable: { text: NOT_SERVED },
  'closed-before-greeting': {
    text: NOT_SERVED,
    hint: 'it closed before it greeted: does management-client-user or -group name somebody else?',
  },
  'seat-taken': { text: NOT_SERVED, hint: SEAT_TAKEN },
  'no-greeting': {
    text: 'connected, but OpenVPN does not answer: another management client has its only seat',
    hint: SEAT_TAKEN,
  },
  'short-lived': {
    text: 'the connection to the daemon does not last',
    hint: "see the daemon's log: why does it end?",
  },
  'no-daemon': {
    text: 'no daemon is connected',
    hint: 'is OpenVPN running with this --management address and --management-client?',
  },
  'key-not-ready': {
    text: 'the daemon waits for the key, which is not ready',
    hint: 'is the token there, and does nothing wait for its PIN?',
  },
  'fruitless-release': {
    text: 'the daemon is back in its hold, and asked for no signature since it was released',
    hint: "the handshake fails before it needs the key (management-external-key without 'pss'?), or the server does not answer: see the daemon's log, and ask 'pksigd check'",
  },
  'certificate-not-chosen': { text: "the daemon's hint names no certificate that can be used" },
  'no-certificate': { text: 'the daemon wants a certificate and there is none: give --cert' },
  'password-asked': {
    text: 'the daemon asks for a password, which pksigd does not have',
    hint: 'name its source (--auth-user-pass, --askpass), or let another management client in by --relay',
  },
  'question-asked': {
    text: 'the daemon asks a question that pksigd does not answer',
    hint: 'say the answer (docs/QUESTIONS.md), or let another management client in by --relay',
  },
  'answer-missing': { text: 'the daemon asks, and the answer can not be had' },
  'answer-refused': { text: 'the daemon asks, and the answer was refused before: it is not sent again by itself' },
  'certificate-unanswered': {
    text: 'the daemon wants a certificate, and no client of the relay gives one',
    hint: RELAY_HINT,
  },
  'password-unanswered': {
    text: 'the daemon asks for a password, and no client of the relay answers',
    hint: RELAY_HINT,
  },
  'question-unanswered': {
    text: 'the daemon asks a question, and no client of the relay answers',
    hint: RELAY_HINT,
  },
  'token-absent': { text: 'waiting for the token' },
  'key-not-open': { text: 'the key could not be opened: it is tried again' },
};

/** What the log says, at level info, when it is over. */
export const TROUBLE_OVER: Readonly<Record<TroubleSubject, string>> = {
  connection: 'the daemon is served again',
  greeting: 'OpenVPN answers',
  daemon: 'a daemon is connected',
  answer: 'the daemon goes on',
  release: 'the daemon asks for a signature',
  key: 'the key is ready: the daemon goes on',
  token: 'the token is there',
  opening: 'the key could be opened',
};
