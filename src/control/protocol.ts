import { AgentError, type AgentErrorCode } from '../errors.ts';

// The words on the control socket: a JSON object a line, one reply for each request, in order. docs/STATUS.md describes them.

/** Of the protocol; a request for another one is refused. */
export const CONTROL_VERSION = 1 as const;

export const CONTROL_COMMANDS = ['status', 'forget', 'lock', 'unlock', 'reload'] as const;
export type ControlCommand = (typeof CONTROL_COMMANDS)[number];

export interface ControlRequest {
  readonly version: typeof CONTROL_VERSION;
  readonly command: ControlCommand;
  /** For lock and unlock. */
  readonly passphrase?: string | undefined;
}

export type ControlReply =
  | { readonly version: typeof CONTROL_VERSION; readonly ok: true; readonly result: unknown }
  | {
      readonly version: typeof CONTROL_VERSION;
      readonly ok: false;
      readonly code: AgentErrorCode | null;
      readonly error: string;
    };

/** Bytes of a request. */
export const MAX_REQUEST: number = 8 * 1024;
/** Bytes of a reply: 5,000 tunnels take some 3 MB. */
export const MAX_REPLY: number = 64 * 1024 * 1024;

function isCommand(value: unknown): value is ControlCommand {
  return CONTROL_COMMANDS.includes(value as ControlCommand);
}

function malformed(what: string): AgentError {
  return new AgentError('ERR_CONTROL_PROTOCOL', `not a request: ${what}`);
}

/** @throws AgentError ERR_CONTROL_PROTOCOL */
export function readRequest(line: string): ControlRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw malformed('it is not JSON'); // not repeated: it may hold a passphrase
  }
  if (typeof value !== 'object' || value === null) throw malformed('it is not an object');
  const { version, command, passphrase, ...rest } = value as Record<string, unknown>;
  if (version !== CONTROL_VERSION) throw malformed(`"version" must be ${CONTROL_VERSION}`);
  if (!isCommand(command)) throw malformed(`"command" must be one of ${CONTROL_COMMANDS.join(', ')}`);
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw malformed('it has a field that is not known');
  if (passphrase === undefined) return { version, command };
  if (typeof passphrase !== 'string' || (command !== 'lock' && command !== 'unlock'))
    throw malformed('"passphrase" is a string, for lock and unlock');
  return { version, command, passphrase };
}

/** A reply that can't be understood. */
export function unreadableReply(): AgentError {
  return new AgentError('ERR_CONTROL_PROTOCOL', "the agent's reply can't be read: is it of another release?");
}

/** @throws AgentError ERR_CONTROL_PROTOCOL, and the error that the reply tells */
export function readResult(line: string): unknown {
  let reply: Partial<Record<string, unknown>> | null;
  try {
    reply = JSON.parse(line) as typeof reply;
  } catch {
    throw new AgentError('ERR_CONTROL_PROTOCOL', 'the reply is not JSON: is it a control socket of pksigd?');
  }
  if (reply?.['version'] !== CONTROL_VERSION)
    throw new AgentError('ERR_CONTROL_PROTOCOL', 'the reply is of another version: is the agent of another release?');
  const { ok, result, code, error } = reply;
  if (ok === true) return result;
  if (ok !== false) throw unreadableReply();
  const text = typeof error === 'string' && error.trim() !== '' ? error : 'the agent refused, and did not say why';
  // a newer agent may have codes that are not known here
  const isCode = typeof code === 'string' && /^ERR_[A-Z0-9_]{1,60}$/.test(code);
  throw new AgentError(isCode ? (code as AgentErrorCode) : 'ERR_CONTROL_PROTOCOL', text);
}
