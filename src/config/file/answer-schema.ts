import * as v from 'valibot';
import { PROXY_TAKES, REMOTE_TAKES } from '../answers.ts';
import { command, setting, table, text, words } from './checkers.ts';
import type { AnswerSection } from './document.ts';
import type { Schema } from './schema-types.ts';

const plainWords = words(1, Infinity);
/** Of a question. */
const NAME = v.pipe(v.string(), v.regex(/^[^=]+$/));

const SOURCE = 'a source, as `pin-source` takes it';
const TWO_LINES = `${SOURCE}; its first two lines are username and password`;
const COMMAND = 'a command line for /bin/sh';

/** What a tunnel's section says of answers. */
export const ANSWERS: { readonly [Name in keyof AnswerSection]-?: Schema<AnswerSection[Name]> } = {
  'auth-user': v.optional(
    setting(
      {
        takes: 'a username',
        option: '--auth-user',
        without: 'the first line of `auth-user-pass`',
        text: 'The username for `auth-user-pass`, whose first line is the password then.',
      },
      text,
    ),
  ),
  'auth-user-pass': v.optional(
    setting(
      {
        takes: TWO_LINES,
        option: '--auth-user-pass',
        path: 'login',
        text: 'What OpenVPN gets that asks for username and password ([QUESTIONS.md](QUESTIONS.md)).',
      },
      text,
    ),
  ),
  askpass: v.optional(
    setting(
      {
        takes: SOURCE,
        option: '--askpass',
        path: 'login',
        text: 'What OpenVPN gets that asks for the password of a private key of its own.',
      },
      text,
    ),
  ),
  'http-proxy-user-pass': v.optional(
    setting(
      {
        takes: TWO_LINES,
        option: '--http-proxy-user-pass',
        path: 'login',
        text: 'The same for an HTTP proxy.',
      },
      text,
    ),
  ),
  'socks-proxy-user-pass': v.optional(
    setting(
      {
        takes: TWO_LINES,
        option: '--socks-proxy-user-pass',
        path: 'login',
        text: 'The same for a SOCKS proxy.',
      },
      text,
    ),
  ),
  'challenge-command': v.optional(
    setting(
      {
        takes: COMMAND,
        option: '--challenge-command',
        text: 'Reads a challenge on its standard input and prints the response: a one-time code.',
      },
      command,
    ),
  ),
  'open-url-command': v.optional(
    setting(
      {
        takes: COMMAND,
        option: '--open-url-command',
        text: 'Reads a link by which a person logs in on its standard input, and opens it.',
      },
      command,
    ),
  ),
  'answer-needok': v.optional(
    setting(
      {
        takes: 'a table of names and "ok" or "cancel", such as { token-insertion-request = "ok" }',
        option: '--answer-needok',
        text: 'What OpenVPN gets that wants something confirmed, by its name.',
      },
      table(NAME, v.picklist(['ok', 'cancel'])),
    ),
    {},
  ),
  'answer-needstr': v.optional(
    setting(
      {
        takes: 'a table of names and strings, such as { NAME = "text" }',
        option: '--answer-needstr',
        text: 'What OpenVPN gets that wants to know something, by its name. No secrets.',
      },
      table(NAME, v.string()),
    ),
    {},
  ),
  'answer-remote': v.optional(
    setting(
      {
        takes: `OpenVPN's words in one string: ${REMOTE_TAKES}`,
        option: '--answer-remote',
        path: 'plain words',
        text: 'What OpenVPN gets that asks which server to connect to (`management-query-remote`).',
      },
      plainWords,
    ),
  ),
  'answer-proxy': v.optional(
    setting(
      {
        takes: `OpenVPN's words in one string: ${PROXY_TAKES}`,
        option: '--answer-proxy',
        path: 'plain words',
        text: 'What OpenVPN gets that asks for a proxy (`management-query-proxy`).',
      },
      plainWords,
    ),
  ),
};
